"""Apply every rule to a frame of observations, series by series, then each series against its declared reference."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.clock import BusinessCalendar, calendar_for
from forex_assets.errors import DataError, ValidationError
from forex_assets.market.quality import rules
from forex_assets.market.quality.rules import Context, Finding, Ints, Rows, Scale
from forex_assets.settings import QualitySettings, SeriesSpec

_NEVER = np.iinfo(np.int64).max
_NEEDED = ("series", "event_time", "available_at", "value", "open", "high", "low", "source", "retrieved_at")


@dataclass(frozen=True)
class _Judged:
    """One series with its own findings, in order of arrival; ``position`` are its rows in the caller's frame."""

    spec: SeriesSpec
    calendar: BusinessCalendar
    position: Ints
    rows: Rows
    context: Context
    findings: list[Finding]
    withdrawn: Ints


def apply_quality(
    observations: pd.DataFrame, specs: Mapping[str, SeriesSpec], limits: QualitySettings, *, now: dt.datetime
) -> pd.DataFrame:
    """Return the observations with ``withdrawn_at``, ``rule`` and ``reason`` of the first verdict on each row.

    Rows keep their order and number. Each verdict depends only on rows with ``available_at`` up to its
    ``withdrawn_at``; verdicts the frame already carries are made anew.

    Parameters
    ----------
    observations:
        Frame with the columns of table ``observations`` (provenance and the verdict columns may be absent).
    specs:
        Series id → its declaration; holds every series of the frame.
    limits:
        ``quality:`` of ``platform.yaml``.
    now:
        Instant of judging, zone-aware: nothing may describe a later time.

    Raises
    ------
    DataError
        When a column is missing, a series is not declared, or an instant is empty.
    ValidationError
        When ``now`` has no time zone.
    """
    if now.tzinfo is None:
        raise ValidationError(f"now={now} has no time zone.", remedy="pass a zone-aware instant, for example in UTC.")
    missing = [name for name in _NEEDED if name not in observations.columns]
    if missing:
        raise DataError(
            f"Observations to judge lack the columns {missing}.", remedy="give the columns of table 'observations'."
        )
    codes, names = pd.factorize(observations["series"], sort=True)
    unknown = [str(name) for name in names if name not in specs]
    if unknown or (codes < 0).any():
        raise DataError(
            f"Observations hold series that are not declared: {unknown or ['(empty name)']}.",
            remedy="declare them in series.yaml.",
        )
    now_us = int(now.timestamp() * 1_000_000)
    columns = _columns(observations)
    judged = {
        str(name): _judge(specs[str(name)], np.flatnonzero(codes == code), columns, limits, now_us)
        for code, name in enumerate(names)
    }
    withdrawn = np.full(len(observations), _NEVER, dtype=np.int64)
    rule: npt.NDArray[np.object_] = np.full(len(observations), None, dtype=object)
    reason: npt.NDArray[np.object_] = np.full(len(observations), None, dtype=object)
    for series in judged.values():
        reference = series.spec.reference
        findings = series.findings
        if reference is not None and reference.series in judged:
            findings = [*findings, _cross_source(series, judged[reference.series], limits)]
        at = series.position
        withdrawn[at], rule[at], reason[at] = rules.earliest(findings, len(at))
    out = observations.copy()
    instants = withdrawn.astype("datetime64[us]")
    instants[withdrawn == _NEVER] = np.datetime64("NaT")
    out["withdrawn_at"] = pd.DatetimeIndex(instants.astype("datetime64[ns]"), tz="UTC")
    out["rule"] = rule
    out["reason"] = reason
    return out


def _columns(observations: pd.DataFrame) -> Rows:
    def instants(name: str) -> Ints:
        index = pd.DatetimeIndex(observations[name])
        if index.tz is None and len(index):
            raise DataError(f"Column '{name}' holds instants without a time zone.", remedy="give instants in UTC.")
        if index.hasnans:
            raise DataError(
                f"Column '{name}' is empty in a row.", remedy="every observation has event, availability and retrieval."
            )
        naive = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
        return naive.to_numpy().astype("datetime64[us]").astype(np.int64)

    def floats(name: str) -> npt.NDArray[np.float64]:
        return observations[name].to_numpy(dtype=np.float64, na_value=np.nan)

    return Rows(
        event=instants("event_time").astype("datetime64[us]").astype("datetime64[D]"),
        available=instants("available_at"),
        retrieved=instants("retrieved_at"),
        value=floats("value"),
        open=floats("open"),
        high=floats("high"),
        low=floats("low"),
        source=pd.factorize(observations["source"], sort=True)[0].astype(np.int64),
    )


def _judge(spec: SeriesSpec, position: Ints, columns: Rows, limits: QualitySettings, now_us: int) -> _Judged:
    order = np.lexsort((columns.source[position], columns.event[position], columns.available[position]))
    position = position[order]
    rows = Rows(**{name: getattr(columns, name)[position] for name in Rows.__dataclass_fields__})
    calendar = calendar_for(spec.calendar)
    findings = rules.row_findings(rows, spec, limits, _is_open(spec, calendar, rows.event), now_us)
    sound = np.ones(len(rows), dtype=bool)
    for finding in findings:
        sound[finding.rows] = False
    context = rules.context_of(rows, sound, spec, limits)
    on_arrival = [rules.wrong_unit(rows, context, spec, limits)]
    if spec.quality.jump:
        on_arrival.append(rules.gross_jump(rows, context, spec, limits))
    for finding in on_arrival:
        sound[finding.rows] = False
    findings += on_arrival
    kept = context.spine[sound[context.spine]]
    if spec.quality.jump and len(kept) >= 3:
        findings.append(rules.spikes(rows, context, kept, spec, limits))
    if spec.quality.outliers and len(kept) >= 3:
        findings.append(rules.outliers(rows, context, kept, spec, limits))
    if spec.quality.stale:
        findings.append(rules.stale_runs(rows, kept, limits))
    withdrawn, _, _ = rules.earliest(findings, len(rows))
    return _Judged(spec, calendar, position, rows, context, findings, withdrawn)


def _is_open(spec: SeriesSpec, calendar: BusinessCalendar, dates: rules.Dates) -> npt.NDArray[np.bool_]:
    """Return which dates may carry a value; where the closures are not known only weekends are refused."""
    out = np.is_busday(dates)
    if spec.quality.calendar == "sessions":
        known = _within(calendar, dates)
        out[known] = calendar.is_open(dates[known])
    return out


def _shifted(calendar: BusinessCalendar, dates: rules.Dates, sessions: int) -> rules.Dates:
    """Return dates moved by sessions; empty where the calendar does not reach."""
    if not sessions:
        return dates
    out = np.full(len(dates), np.datetime64("NaT"), dtype="datetime64[D]")
    month = np.timedelta64(31 * (1 + abs(sessions) // 20), "D")  # room for the move inside the calendar's years
    known = _within(calendar, dates - month) & _within(calendar, dates + month)
    out[known] = calendar.add(dates[known], sessions)
    return out


def _within(calendar: BusinessCalendar, dates: rules.Dates) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = (dates >= np.datetime64(calendar.first, "D")) & (
        dates <= np.datetime64(calendar.last, "D")
    )
    return inside


def _cross_source(series: _Judged, reference: _Judged, limits: QualitySettings) -> Finding:
    """Find rows that disagree with the newest reference value known when they arrive, or with the first known later."""
    declared = series.spec.reference
    if declared is None or not len(reference.rows):
        return rules.none_found("cross_source")
    scale = Scale.of(series.spec)
    shift = declared.shift_business_days
    described = _shifted(series.calendar, series.rows.event, shift)
    sound = np.flatnonzero(reference.withdrawn > reference.rows.available)
    sound = sound[np.lexsort((reference.rows.available[sound], reference.rows.event[sound]))]
    days, known = reference.rows.event[sound].astype(np.int64), reference.rows.available[sound]
    wanted = described.astype(np.int64)
    first, end = np.searchsorted(days, wanted, side="left"), np.searchsorted(days, wanted, side="right")
    # Rank instants so that (date, instant) packs into one sorted integer key.
    ranks = np.unique(np.concatenate([known, series.rows.available]))
    width = len(ranks) + 1
    newest = np.searchsorted(
        days * width + np.searchsorted(ranks, known),
        wanted * width + np.searchsorted(ranks, series.rows.available),
        side="right",
    )
    exists = end > first
    pick = np.where(newest > first, newest - 1, first)[exists]
    mine, theirs = np.flatnonzero(exists), sound[pick]
    decided = np.maximum(series.rows.available[mine], reference.rows.available[theirs])
    difference = scale.transform(series.rows.value[mine]) - scale.transform(reference.rows.value[theirs])
    sigma = np.nan_to_num(reference.context.long_sigma[theirs], nan=0.0)
    limit = np.maximum(limits.cross_source_tolerance_log, limits.cross_source_robust_sigma * sigma)
    bad = np.flatnonzero((np.abs(difference) > limit) & (reference.withdrawn[theirs] > decided))
    reasons = [
        f"{series.rows.value[mine[i]]:g} is {scale.describe(difference[i])} from {declared.series} "
        f"{reference.rows.value[theirs[i]]:g} dated {reference.rows.event[theirs[i]]}, limit {limit[i]:.2%}"
        for i in bad
    ]
    return Finding("cross_source", mine[bad], decided[bad], reasons)
