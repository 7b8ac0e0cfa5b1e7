"""What the life cycle holds, as plain values for people and programs; reading only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forex_assets.clock import AsOf
from forex_assets.deployment import deployer_of, sinks_of
from forex_assets.lifecycle.health import read_watch
from forex_assets.lifecycle.ledger import Entry
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.pipeline import Pipeline

if TYPE_CHECKING:
    from forex_assets.reporting.changes_section import ChangesView

#: What the desk report tells of the life cycle.
CHANGE_KINDS = (
    *("trigger", "search", "gate", "staging", "approval", "promotion", "probation", "rollback", "acknowledgement"),
)


def status_of(pipeline: Pipeline, pair_id: str, horizons: Sequence[str], *, now: dt.datetime) -> dict[str, Any]:
    """Return what is deployed for a pair, how it fares, and what is wrong with the store itself."""
    deployer = deployer_of(pipeline)
    store = deployer.store
    scope = Subject.forecast(pair_id, horizons[0]).scope
    state = store.state(scope)
    problems = [*state.damage, *(f"{path}: {what}" for path, what in store.versions.damaged().items())]
    ledger = store.verify()
    problems += [f"ledger line {fault.line}: {fault.problem}" for fault in ledger.faults]
    halted = deployer.halted(state, now)
    if halted:
        problems.append(halted)
    rows = [_row(pipeline, Subject.forecast(pair_id, horizon)) for horizon in horizons]
    problems += [f"{row['horizon']}: incident {row['incident']} is open" for row in rows if row["incident"]]
    behind = {name: count for name, count in sinks_of(pipeline).behind(scope).items() if count}
    problems += [f"sink {name} has not been told of {count} change(s)" for name, count in behind.items()]
    return {
        "pair": pair_id,
        "generation": state.generation,
        "horizons": rows,
        "ledger": {"lines": ledger.lines, "head": ledger.head, "intact": ledger.intact},
        "sinks_behind": behind,
        "halted": halted,
        "problems": problems,
    }


def _row(pipeline: Pipeline, subject: Subject) -> dict[str, Any]:
    store = pipeline.lifecycle
    pointers = store.of(subject)
    watch = read_watch(store.root, subject, pointers)
    found = store.resolve(subject)
    span = pointers.history[-1] if pointers.history else None
    evidence = watch.evidence or {}
    phase = "none"
    if pointers.probation:
        phase = "technical" if watch.technical == "running" else "statistical"
    return {
        "horizon": subject.horizon,
        "current": pointers.current,
        "model": found.version.model if found.version else pipeline.settings.active_model(subject.pair),
        "parameters": found.version.parameter_values if found.version else {},
        "config_hash": pipeline.active(subject.pair, subject.horizon).config_hash,
        "valid_from": span.valid_from.isoformat() if span else None,
        "since": span.recorded_at.isoformat() if span else None,
        "cause": span.cause if span else None,
        "staged": pointers.staged,
        "previous": pointers.previous,
        "last_known_good": pointers.last_known_good,
        "probation": phase,
        "checks": {"made": watch.checks, "healthy": watch.healthy, "failed_in_a_row": watch.failed_in_a_row},
        "evidence": dict(evidence),
        "decidable_in_days": evidence.get("decidable_in_days"),
        "incident": pointers.incident,
        "notes": list(found.notes),
    }


def history_of(
    pipeline: Pipeline, pair_id: str, horizons: Sequence[str], *, limit: int, kinds: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the newest decisions about a pair's horizons, newest first."""
    wanted = {Subject.forecast(pair_id, horizon) for horizon in horizons}
    entries = [entry for entry in pipeline.lifecycle.ledger.entries(kinds=kinds) if entry.subject in wanted]
    return [entry_row(entry) for entry in entries[-limit:][::-1]]


def changes_of(pipeline: Pipeline, pair_id: str, as_of: dt.date, *, days: int = 31) -> ChangesView:
    """Return what the life cycle did to a pair on the data of the days up to ``as_of``, for the desk report.

    A decision counts on the day whose data it was made from; one that has none (an acknowledgement) on its own day.
    """
    from forex_assets.reporting.changes_section import Change, ChangesView

    first = as_of - dt.timedelta(days=days - 1)
    wanted = {Subject.forecast(pair_id, horizon) for horizon in pipeline.settings.horizons}
    found, triggers = [], 0
    for entry in pipeline.lifecycle.ledger.entries(kinds=CHANGE_KINDS):
        day = entry.as_of or AsOf(entry.at).date
        if entry.subject not in wanted or not first <= day <= as_of:
            continue
        triggers += entry.kind == "trigger"
        if entry.kind == "trigger" and not entry.outcome.get("should_optimize"):
            continue
        if entry.kind == "probation" and entry.outcome.get("state") not in ("passed", "failed"):
            continue
        found.append(
            Change(
                day=day,
                horizon=entry.subject.part,
                kind=entry.kind,
                outcome=entry.outcome,
                reasons=entry.reasons,
                actor=entry.actor,
                entry=entry.id,
                differences=_differences(pipeline, entry),
            )
        )
    return ChangesView(first, as_of, tuple(found), triggers)


def _differences(pipeline: Pipeline, entry: Entry) -> tuple[str, ...]:
    """Return what a promoted or staged version changes against the one it was judged against."""
    if entry.kind not in ("promotion", "staging") or entry.outcome.get("action") == "refuse":
        return ()
    versions = pipeline.lifecycle.versions
    version = versions.find(str(entry.outcome.get("candidate")))
    if version is None:
        return ()
    parent = version.parents[0] if version.parents else SETTINGS
    return tuple(version.diff(None if parent == SETTINGS else versions.find(parent)))


def entry_row(entry: Entry) -> dict[str, Any]:
    """Return one decision as plain values, without its inputs."""
    version = entry.outcome.get("candidate") or entry.outcome.get("target") or entry.outcome.get("version") or ""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "subject": entry.subject.key if entry.subject else "",
        "what": str(entry.outcome.get("action") or entry.outcome.get("state") or entry.outcome.get("verdict") or ""),
        "version": "" if version == SETTINGS else str(version),
        "actor": entry.actor,
        "as_of": entry.as_of.isoformat() if entry.as_of else None,
        "reasons": list(entry.reasons),
    }
