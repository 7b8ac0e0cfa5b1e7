"""The loop's own findings from ledger, pointers and store: rows, alerts about absence, and what a scraper reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forex_assets.clock import AsOf
from forex_assets.deployment import raise_alert
from forex_assets.lifecycle.health import read_watch
from forex_assets.lifecycle.loop_findings import KINDS, RULES, LoopFacts, judge_loop
from forex_assets.lifecycle.subject import Subject
from forex_assets.monitoring.finding import Finding
from forex_assets.pipeline import Pipeline
from forex_assets.provenance import content_hash
from forex_assets.schemas.lifecycle import TRIGGER_REPORT

if TYPE_CHECKING:
    import pandas as pd

#: Alert conditions that nothing else tells: the others are raised by the step that meets them, when it does.
ABSENCE = ("search_heartbeat", "trigger_heartbeat", "probation_heartbeat")


def loop_findings(pipeline: Pipeline, pair_id: str, horizon: str, *, now: dt.datetime) -> tuple[Finding, ...]:
    """Return the metrics (A25) and alert conditions (A26) of one horizon's loop at an instant."""
    facts = facts_of(pipeline, Subject.forecast(pair_id, horizon))
    return judge_loop(facts, now=now, as_of=AsOf(now).date, policy=policy_of(pipeline))


def facts_of(pipeline: Pipeline, subject: Subject) -> LoopFacts:
    """Return what ledger, pointers and store say about a subject's loop."""
    lifecycle = pipeline.lifecycle
    entries = lifecycle.ledger.entries(subject=subject, kinds=KINDS)
    pointers = lifecycle.of(subject)
    watch = read_watch(lifecycle.root, subject, pointers)
    judged = [entry.at for entry in entries if entry.kind == "trigger"][-1:]
    # Judged again with the same result on the same day, a trigger makes no entry; its stored report is written anew.
    if pipeline.store.exists(TRIGGER_REPORT, subject.owner, (subject.part,)):
        judged.append(pipeline.store.info(TRIGGER_REPORT, subject.owner, (subject.part,)).written_at)
    checked: dt.datetime | None = None
    if watch.last_check_at:
        checked = dt.datetime.fromisoformat(watch.last_check_at)
    elif pointers.history:
        checked = pointers.history[-1].recorded_at
    return LoopFacts(
        subject=subject,
        entries=entries,
        judged_at=max(judged) if judged else None,
        incident=bool(pointers.incident),
        on_probation=pointers.probation and watch.technical == "running",
        checked_at=checked,
    )


def policy_of(pipeline: Pipeline) -> dict[str, Any]:
    """Return the limits the loop is held against, plain values."""
    settings = pipeline.settings
    search = settings.optimization.search
    return {
        **settings.optimization.watch.model_dump(mode="json"),
        "alert_s": search.alert_s,
        "memory_mib": search.memory_mib,
        "search_heartbeat_days": search.heartbeat_days,
        "check_every_s": settings.deployment.probation.technical.check_every_s,
    }


def alert_absence(pipeline: Pipeline, findings: Sequence[Finding], now: dt.datetime) -> list[Finding]:
    """Put an alert into the outbox for every silence that fires, and return those findings."""
    silent = [item for item in findings if item.rule in ABSENCE and item.state == "fired"]
    for item in silent:
        title = f"The loop is silent ({item.rule})"
        subject = Subject.forecast(item.pair, item.subject)
        raise_alert(pipeline, subject, item.rule, item.severity, title, item.reasons, now)
    return silent


def loop_frame(pipeline: Pipeline, pair_id: str, findings: Sequence[Finding]) -> pd.DataFrame:
    """Return findings as rows of ``loop_findings``: those of table ``findings``, each with its metric's name."""
    from forex_assets.findings_view import finding_rows

    rows = finding_rows(findings).assign(metric=[RULES[item.rule].name for item in findings])
    seen: Mapping[str, Any] = {
        f"{item.profile}/{item.rule}": [item.state, repr(item.effect), *item.reasons] for item in findings
    }
    return pipeline.stamp(rows, config_hash=pipeline.settings.config_hash(pair_id), data_hash=content_hash(seen))
