"""From the monitors to the store: findings as rows with their measured alarm rates, and the drift reports of days."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forex_assets.errors import StoreError
from forex_assets.monitoring.false_alarms import false_alarm_rate
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.persistence import persisting_unknowns
from forex_assets.monitoring.registry import PROFILES, judge_day
from forex_assets.pipeline import Pipeline, day_key
from forex_assets.provenance import combine_hashes
from forex_assets.schemas import PROVENANCE
from forex_assets.schemas.monitoring import DRIFT_REPORT, FINDINGS

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames

#: Days of earlier findings that are looked at for unknowns that last.
HISTORY_DAYS = 40
_FIELDS = (
    *("monitor", "rule", "profile", "subject", "state", "severity", "effect", "effect_low", "effect_high"),
    *("unit", "threshold", "n", "n_effective"),
)


def findings_of(
    pipeline: Pipeline, frames: Frames, days: Sequence[dt.date], names: tuple[str, ...] | None = None
) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return every monitor's findings of each day under both profiles, as FINDINGS rows by store key.

    With all monitors asked for, how far each forecast moved and whether the day is worth a message follow.
    """
    from forex_assets.calibration_view import watch_settings
    from forex_assets.event_alerts import event_finding, forecast_changes

    out: dict[tuple[str, ...], pd.DataFrame] = {}
    earlier = stored_findings(pipeline, frames.pair, before=min(days)) if days else FINDINGS.empty()
    allowance = pipeline.settings.recommended.performance.unknown_allowance_business_days
    for day in sorted(days):
        settings, _ = watch_settings(pipeline, frames.pair, day)
        found: list[Finding] = []
        for profile in PROFILES:
            found.extend(judge_day(frames, day, settings, profile, names))
            if names is None:
                found.extend(forecast_changes(pipeline, frames.pair, day, settings, profile))
        found.extend(persisting_unknowns(found, earlier, day, allowance, frames.calendar))
        if names is None:
            found.extend([event_finding(found, frames.pair, day, profile) for profile in PROFILES])
        frame = pipeline.stamp(
            finding_rows(found),
            config_hash=pipeline.settings.config_hash(frames.pair),
            data_hash=combine_hashes(dict(frames.input_hashes)),
        )
        out[(day_key(day),)] = frame
        earlier = pd.concat([earlier, frame], ignore_index=True) if len(earlier) else frame
    return out


def finding_rows(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return findings as rows of table ``findings`` without provenance, each with its rule's measured alarm rate."""
    rows = []
    for finding in findings:
        rate = false_alarm_rate(finding.profile, finding.monitor, finding.rule, finding.subject)
        rows.append(
            {
                "pair": finding.pair,
                "as_of": pd.Timestamp(finding.as_of),
                **{name: getattr(finding, name) for name in _FIELDS},
                "window_start": pd.Timestamp(finding.window_start) if finding.window_start else pd.NaT,
                "window_end": pd.Timestamp(finding.window_end) if finding.window_end else pd.NaT,
                "reasons": "\n".join(finding.reasons),
                "cannot_tell": None if finding.cannot_tell is None else finding.cannot_tell.stored(),
                "false_alarms_per_year": rate.per_year if rate is not None else np.nan,
                "input_hashes": json.dumps(dict(finding.input_hashes), sort_keys=True),
            }
        )
    columns = [name for name in FINDINGS.column_names if name not in PROVENANCE]
    return pd.DataFrame(rows, columns=columns) if rows else FINDINGS.empty()[columns]


def stored_findings(pipeline: Pipeline, pair_id: str, *, before: dt.date, days: int = HISTORY_DAYS) -> pd.DataFrame:
    """Return stored findings of the newest ``days`` days before one."""
    keys = [key for key in pipeline.store.keys(FINDINGS, pair_id) if key[0] < day_key(before)][-days:]
    return pipeline.store.read(FINDINGS, pair_id, keys, allow_bad=True) if keys else FINDINGS.empty()


def newest_findings(pipeline: Pipeline, pair_id: str, as_of: dt.date | None = None) -> pd.DataFrame:
    """Return the stored findings of a day, or of the newest one.

    Raises
    ------
    StoreError
        When there are none.
    """
    keys = [key for key in pipeline.store.keys(FINDINGS, pair_id) if as_of is None or key[0] == day_key(as_of)]
    if not keys:
        raise StoreError(
            f"No findings of {pair_id} are stored{f' for {as_of}' if as_of else ''}.",
            remedy=f"run `forex run --pair {pair_id}`, or its job {pair_id}_monitoring_job for that day.",
        )
    return pipeline.store.read(FINDINGS, pair_id, [keys[-1]], allow_bad=True)


def drift_history(pipeline: Pipeline, pair_id: str, *, before: dt.date) -> pd.DataFrame:
    """Return stored drift reports of the days before one, oldest first.

    Raises
    ------
    StoreError
        When a stored report is damaged: it is named, and neither dropped nor written over.
    """
    keys = [key for key in pipeline.store.keys(DRIFT_REPORT, pair_id) if key[0] < day_key(before)]
    return pipeline.store.read(DRIFT_REPORT, pair_id, keys, allow_bad=True) if keys else DRIFT_REPORT.empty()


def drift_reports_of(
    pipeline: Pipeline, frames: Frames, days: Sequence[dt.date]
) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the drift report of each day by store key, each with the trend of the stored history before it."""
    from forex_assets.monitoring.drift_report import drift_report

    out: dict[tuple[str, ...], pd.DataFrame] = {}
    history = drift_history(pipeline, frames.pair, before=min(days)) if days else DRIFT_REPORT.empty()
    for day in sorted(days):
        frame = pipeline.stamp(
            drift_report(frames, day, pipeline.settings, history),
            config_hash=pipeline.settings.config_hash(frames.pair),
            data_hash=combine_hashes(dict(frames.input_hashes)),
        )
        out[(day_key(day),)] = frame
        history = pd.concat([history, frame], ignore_index=True) if len(history) else frame
    return out
