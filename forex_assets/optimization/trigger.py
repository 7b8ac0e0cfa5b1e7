"""What the trigger knows about a subject, from the ledger, the pointers and the stored findings; and its decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from forex_assets import schemas
from forex_assets.deployment import raise_alert
from forex_assets.lifecycle.ledger import Decision, Entry
from forex_assets.lifecycle.reports import TriggerReport, frame_of
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.trigger import (
    FUNCTION,
    decide_retraining,
    known_findings,
    openings_of,
    searches_of,
    trigger_report,
)
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.pipeline import Pipeline
from forex_assets.provenance import content_hash


def judge_trigger(
    pipeline: Pipeline, pair_id: str, horizon: str, *, as_of: dt.date, now: dt.datetime, running: bool = False
) -> TriggerReport:
    """Decide whether a horizon is to be optimised; the decision goes into the ledger when it differs from the last.

    Parameters
    ----------
    as_of:
        Day whose end is judged.
    running:
        Whether a search of this subject is queued or running.
    """
    subject = Subject.forecast(pair_id, horizon)
    policy = pipeline.settings.optimization.trigger
    known = trigger_facts(pipeline, subject, as_of=as_of, running=running)
    plain_policy = policy.model_dump(mode="json")
    decided = decide_retraining(known, plain_policy)
    report = trigger_report(subject, decided, as_of=as_of, profile=policy.profile)
    last = pipeline.lifecycle.ledger.entries(subject=subject, kinds=("trigger",), limit=1)
    if last and last[0].as_of == as_of and _same(last[0], decided):
        return _with_entry(report, last[0].id)
    entry = pipeline.lifecycle.ledger.append(
        Decision(
            kind="trigger",
            subject=subject,
            outcome=decided,
            reasons=report.reasons,
            function=FUNCTION,
            inputs=known,
            policy=plain_policy,
            as_of=as_of,
        ),
        now=now,
    )
    if decided["alarm"]:
        raise_alert(pipeline, subject, "trigger_blind", "high", "The trigger is blind", [decided["alarm"]], now)
    return _with_entry(report, entry.id)


def trigger_facts(pipeline: Pipeline, subject: Subject, *, as_of: dt.date, running: bool) -> dict[str, Any]:
    """Return what :func:`decide_retraining` is given, plain values."""
    policy = pipeline.settings.optimization.trigger
    entries = pipeline.lifecycle.ledger.entries(subject=subject, kinds=("search", "gate", "promotion", "rollback"))
    entries = [entry for entry in entries if entry.as_of is not None and entry.as_of <= as_of]
    pointers = pipeline.lifecycle.of(subject)
    tuned_for: str | None = None
    if pointers.current != SETTINGS:
        version = pipeline.lifecycle.versions.find(pointers.current)
        tuned_for = str(version.search.get("settings_hash", "")) if version else ""
    return {
        "today": as_of.isoformat(),
        "findings": known_findings(
            stored_findings(pipeline, subject.pair, as_of, policy.findings_max_age_days),
            horizon=subject.horizon,
            profile=policy.profile,
        ),
        "searches": searches_of(entries),
        "openings": openings_of(entries),
        "on_probation": bool(pointers.probation),
        "running": running,
        "tuned_for": tuned_for,
        "settings_hash": pipeline.settings.config_hash(subject.pair),
    }


def stored_findings(pipeline: Pipeline, pair_id: str, as_of: dt.date, max_age_days: int) -> Iterable[Mapping[str, Any]]:
    """Return the stored findings of the last days up to ``as_of``, one mapping each."""
    table = schemas.TABLES["findings"]
    first = (as_of - dt.timedelta(days=max_age_days)).isoformat()
    keys = [key for key in pipeline.store.keys(table, pair_id) if first <= key[-1] <= as_of.isoformat()]
    if not keys:
        return []
    return [
        {str(name): value for name, value in row.items()}
        for row in pipeline.store.read(table, pair_id, keys).to_dict("records")
    ]


def trigger_frame(pipeline: Pipeline, report: TriggerReport) -> pd.DataFrame:
    """Return the rows of ``trigger_report``."""
    return pipeline.stamp(
        frame_of(report),
        config_hash=pipeline.settings.config_hash(report.subject.pair),
        data_hash=content_hash({"entry": report.entry, "as_of": report.as_of.isoformat()}),
    )


def _same(entry: Entry, decided: Mapping[str, Any]) -> bool:
    return all(entry.outcome.get(name) == decided[name] for name in ("rules", "asking"))


def _with_entry(report: TriggerReport, entry: str) -> TriggerReport:
    from dataclasses import replace

    return replace(report, entry=entry)
