"""One step of watching a promoted version: check, judge, remember, and roll back when it disappoints.

What was seen is stored per subject, so that watching goes on after a restart (L07, L09). A step can be repeated: it
looks at the pointers anew, and a rollback that a crash cut short is made by the next step.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from forex_assets.errors import ForexError
from forex_assets.lifecycle.canonical import instant_text
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.pointers import Pointers
from forex_assets.lifecycle.probation import (
    STATISTICAL,
    TECHNICAL,
    check_due,
    decide_statistical,
    decide_technical,
)
from forex_assets.lifecycle.promotion import AUTOMATION, Deployer
from forex_assets.lifecycle.subject import Subject
from forex_assets.settings.deployment import TechnicalProbation
from forex_assets.store.files import explain, write_file

Phase = Literal["none", "technical", "statistical", "passed", "rolled_back"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What has been seen of one version: technical checks so far, and the newest statistical evidence."""

    version: str
    generation: int
    technical: str = "running"
    checks: int = 0
    healthy: int = 0
    failed_in_a_row: int = 0
    last_check_at: str | None = None
    failed: bool = False
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a subject's version fares after a step of watching."""

    subject: Subject
    phase: Phase
    verdict: Literal["healthy", "unhealthy", "undecided"]
    version: str
    shadow: str
    watch: Watch
    reasons: tuple[str, ...]
    incident: str
    acted: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of a version and the one before it on the same matured targets.

    Parameters
    ----------
    rows:
        (as_of, CRPS of the version and of the one before it, whether the 95% interval of each missed), by as_of.
    overlap:
        Number of consecutive targets whose periods overlap.
    maturity_days:
        Days until a forecast matures.
    panel, panel_overlap:
        The same on the pairs of the panel together; empty where one pair judges.
    """

    rows: Sequence[Sequence[Any]]
    overlap: int
    maturity_days: int
    panel: Sequence[Sequence[Any]] = ()
    panel_overlap: int = 1


def watch_path(root: Path, subject: Subject) -> Path:
    """Return the file that remembers what was seen of a subject's version."""
    return root / "probation" / f"{subject.key.replace('/', '-')}.json"


def read_watch(root: Path, subject: Subject, pointers: Pointers) -> Watch:
    """Return what was seen of the current version; a damaged file or another version's starts anew."""
    generation = pointers.history[-1].generation if pointers.history else 0
    fresh = Watch(pointers.current, generation)
    try:
        body = json.loads(watch_path(root, subject).read_bytes())
        found = Watch(**{**body, "reasons": tuple(body["reasons"])})
    except FileNotFoundError:
        return fresh
    except (OSError, ValueError, TypeError, KeyError):
        return replace(fresh, reasons=("what was seen before was damaged; checking starts anew",))
    return found if (found.version, found.generation) == (fresh.version, fresh.generation) else fresh


def due(watch: Watch, now: dt.datetime, policy: TechnicalProbation) -> str:
    """Return why a step of watching a version on probation is due: a rollback cut short, or a technical check.

    Empty when neither is; statistical checks are due with each new day of evidence, which is not looked at here.
    """
    if watch.failed:
        return "a rollback is due"
    if watch.technical == "running" and check_due(watch.last_check_at, now, policy.model_dump(mode="json")):
        return "a technical check is due"
    return ""


def step(
    deployer: Deployer,
    subject: Subject,
    *,
    canary: Callable[[], Mapping[str, Any]],
    losses: Callable[[], Losses],
    now: dt.datetime,
    as_of: dt.date,
    kill_file: bool | None = False,
) -> Health:
    """Watch a subject's version once.

    Parameters
    ----------
    canary:
        Makes a trial forecast and returns ``passed`` and ``reasons``; an error of it counts as a failed check.
    losses:
        Returns the losses on matured targets; an error leaves the evidence as it was.
    """
    store = deployer.store
    pointers = store.of(subject)
    watch = read_watch(store.root, subject, pointers)
    if not pointers.probation:
        rolled = bool(pointers.history) and "rollback" in pointers.history[-1].cause
        phase: Phase = "rolled_back" if rolled else ("passed" if pointers.history else "none")
        verdict: Literal["healthy", "unhealthy"] = "unhealthy" if pointers.incident else "healthy"
        why = ("rolled back",) if rolled else ("nothing is on probation",)
        return Health(subject, phase, verdict, pointers.current, "", watch, why, pointers.incident or "")
    span = pointers.history[-1]
    technical = deployer.policy.probation.technical.model_dump(mode="json")
    decision: Decision | None = None
    if not watch.failed and watch.technical == "running" and check_due(watch.last_check_at, now, technical):
        watch, decision = _technical(deployer, subject, watch, span.recorded_at, canary, now, as_of)
    if not watch.failed and watch.technical == "passed" and decision is None:
        watch, decision = _statistical(deployer, subject, watch, span.recorded_at, losses, now, as_of)
    _save(store.root, subject, watch)
    if watch.failed:
        if decision:
            store.ledger.append(decision, now=now)
        move = deployer.rollback(
            subject,
            to="last_known_good",
            why=watch.reasons,
            as_of=as_of,
            now=now,
            actor=AUTOMATION,
            kill_file=kill_file,
        )
        after = store.of(subject)
        return Health(
            subject,
            "rolled_back",
            "unhealthy",
            after.current,
            "",
            watch,
            watch.reasons,
            after.incident or "",
            f"rolled back to {move.version}",
            move.entry,
        )
    entry = ""
    if decision and decision.outcome["state"] == "passed" and decision.function == STATISTICAL:
        entry = deployer.confirm(subject, decision, now=now).id
        return Health(subject, "passed", "healthy", pointers.current, "", watch, watch.reasons, "", "confirmed", entry)
    if decision and (decision.outcome["state"] == "passed" or not decision.inputs.get("passed", True)):
        entry = store.ledger.append(decision, now=now).id
    phase = "technical" if watch.technical == "running" else "statistical"
    state: Literal["unhealthy", "undecided"] = "unhealthy" if watch.failed_in_a_row else "undecided"
    return Health(
        subject,
        phase,
        state,
        pointers.current,
        pointers.previous or "",
        watch,
        watch.reasons,
        pointers.incident or "",
        "",
        entry,
    )


def _technical(
    deployer: Deployer,
    subject: Subject,
    watch: Watch,
    started: dt.datetime,
    canary: Callable[[], Mapping[str, Any]],
    now: dt.datetime,
    as_of: dt.date,
) -> tuple[Watch, Decision]:
    try:
        seen = canary()
    except ForexError as error:
        seen = {"passed": False, "reasons": [f"the check could not be made: {error}"]}
    known = {
        "started_at": instant_text(started),
        "checks": watch.checks,
        "healthy": watch.healthy,
        "failed_in_a_row": watch.failed_in_a_row,
        "last_check_at": watch.last_check_at,
        "now": instant_text(now),
        "passed": seen["passed"],
        "reasons": list(seen["reasons"]),
    }
    policy = deployer.policy.probation.technical.model_dump(mode="json")
    outcome = decide_technical(known, policy)
    seen_now = replace(
        watch,
        technical=outcome["state"],
        checks=outcome["checks"],
        healthy=outcome["healthy"],
        failed_in_a_row=outcome["failed_in_a_row"],
        last_check_at=instant_text(now),
        failed=outcome["state"] == "failed",
        reasons=tuple(outcome["reasons"]),
    )
    return seen_now, Decision(
        "probation", subject, outcome, outcome["reasons"], function=TECHNICAL, inputs=known, policy=policy, as_of=as_of
    )


def _statistical(
    deployer: Deployer,
    subject: Subject,
    watch: Watch,
    started: dt.datetime,
    losses: Callable[[], Losses],
    now: dt.datetime,
    as_of: dt.date,
) -> tuple[Watch, Decision | None]:
    try:
        found = losses()
    except ForexError as error:
        return replace(watch, reasons=(f"the losses cannot be compared: {error}",)), None
    known = {
        "losses": [list(row) for row in found.rows],
        "overlap": found.overlap,
        "maturity_days": found.maturity_days,
        "days": max((now - started).days, 0),
        "panel": [list(row) for row in found.panel],
        "panel_overlap": found.panel_overlap,
    }
    policy = deployer.policy.probation.statistical.model_dump(mode="json")
    outcome = decide_statistical(known, policy)
    decision = Decision(
        "probation",
        subject,
        outcome,
        outcome["reasons"],
        function=STATISTICAL,
        inputs=known,
        policy=policy,
        as_of=as_of,
    )
    watch = replace(watch, evidence=outcome, reasons=tuple(outcome["reasons"]), failed=outcome["state"] == "failed")
    return watch, decision if outcome["state"] != "undecided" else None


def _save(root: Path, subject: Subject, watch: Watch) -> None:
    from forex_assets.lifecycle.canonical import plain

    path = watch_path(root, subject)
    try:
        write_file(path, json.dumps(plain(asdict(watch)), indent=1, allow_nan=False).encode() + b"\n")
    except OSError as error:
        raise explain(error, "write", path) from error
