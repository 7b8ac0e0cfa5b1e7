"""The rules, one pure function each, over the rows of one series in order of arrival.

Every rule returns :class:`Finding`: which rows, known from when, and why. Nothing here looks past a finding's
``known_at``: a row is judged against rows that had arrived by then, so verdicts known by an instant never depend on
what came after it.

The *spine* is the part of the arrivals that extends the series: rows that carry a later date than every sound row
before them. Level and volatility are taken from the spine before a row; a revision of an old date, or a late one, is
judged against the spine before its date and never changes the spine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from forex_assets.market.publication import PUBLISHED_AHEAD
from forex_assets.settings import QualitySettings, SeriesSpec

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Dates: TypeAlias = "npt.NDArray[np.datetime64]"

RULES: dict[str, str] = {
    "not_finite": "the value is missing or infinite",
    "future": "the row describes a time that had not come when it was fetched",
    "calendar": "the date is not a session of the series' calendar (a monthly value must stand on the 1st)",
    "duplicate": "the same source gave this date twice for the same instant",
    "unit": "the value is about 100 or 1000 times the recent level, or a hundredth or thousandth of it",
    "range": "the value is outside the range declared for the series",
    "high_low": "high is below low, or open or close lies outside them",
    "jump": "a gross jump: beyond the hard limit and beyond the limit in past robust sigmas",
    "cross_source": "the value disagrees with the declared reference series",
    "spike": "a jump that the next value took back",
    "outlier": "one or two values far out, in robust sigmas, between neighbours that agree with each other",
    "stale": "one of a run of equal quotes: no trading took place",
    "revision": "a newer version of the value took its place (set where observations are merged, not here)",
}
"""Rules in order of precedence among verdicts known at the same instant, and what each says."""

LEVEL_ROWS = 5
"""The recent level is the median of this many rows: a bad row does not move it, three rows at a new level do."""
UNIT_LEVEL_MIN_ROWS = 5
LEVEL_MIN_ROWS = 3
VOLATILITY_MIN_ROWS = 20
LANDING_SIGMA = 3.0
"""A spike may be taken back by more than itself, as far as an ordinary move of this many sigmas explains."""
OUTLIER_AGREEMENT = 0.6
"""The neighbours of an outlier lie no further apart than this share of its distance from their middle."""
OUTLIER_TOGETHER = 0.7
"""Each of two outliers lies at least this share of their mean distance out."""
_HALF_NORMAL_MEDIAN = 0.6744897501960817
_UNIT_POWERS = (2, 3)
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Rows:
    """Rows of one series in order of arrival: instants in microseconds UTC, dates as days."""

    event: Dates
    available: Ints
    retrieved: Ints
    value: Floats
    open: Floats
    high: Floats
    low: Floats
    source: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Finding:
    """What one rule found: row positions, the instant (microseconds UTC) each is known from, and why."""

    rule: str
    rows: Ints
    known_at: Ints
    reasons: Sequence[str]


@dataclass(frozen=True)
class Context:
    """What each row could be compared with when it arrived.

    ``before`` counts the spine rows dated before the row and known by its arrival; level, long level and daily sigma
    (in the scale of :class:`Scale`) come from those, NaN where they are too few. ``long_sigma`` is that of the last
    weeks; ``sigma`` the larger of it and that of the last days, so that a storm explains its own moves. ``gap`` is
    the distance in business days (months for a monthly series) from the last of them.
    """

    spine: Ints
    before: Ints
    level: Floats
    unit_level: Floats
    sigma: Floats
    long_sigma: Floats
    gap: Floats


@dataclass(frozen=True)
class Scale:
    """How moves of a series are measured: log ratios, or differences in shares of the declared range's width."""

    change: Literal["log", "diff"]
    width: float

    @classmethod
    def of(cls, spec: SeriesSpec) -> Scale:
        """Return the scale of a series: limits in logs serve differences as shares of the range's width."""
        return cls(spec.change, 1.0 if spec.change == "log" else spec.range[1] - spec.range[0])

    def transform(self, values: Floats) -> Floats:
        """Return values on the scale where moves are differences; NaN where a log does not exist."""
        if self.change == "diff":
            return values / self.width
        out = np.full(values.shape, np.nan)
        np.log(values, out=out, where=values > 0)
        return out

    def describe(self, move: Any) -> str:
        """Return a move as text: percent for logs, units for differences."""
        return f"{np.expm1(move):+.1%}" if self.change == "log" else f"{move * self.width:+.4g}"


def row_findings(
    rows: Rows, spec: SeriesSpec, limits: QualitySettings, is_session: Bools, now_us: int
) -> list[Finding]:
    """Return the findings that need the row alone: not finite, future, calendar, duplicate, range, high and low."""
    finite = np.isfinite(rows.value)
    low, high = spec.range
    with np.errstate(invalid="ignore"):
        outside = finite & ((rows.value < low) | (rows.value > high))
        unloggable = finite & (rows.value <= 0) if spec.change == "log" else np.zeros(len(rows), dtype=bool)
    seen = np.minimum(rows.retrieved, now_us)
    ahead = spec.publication.rule in PUBLISHED_AHEAD
    stands_at = rows.available if ahead else rows.event.astype("datetime64[us]").astype(np.int64)
    future = stands_at > seen + int(limits.future_tolerance_hours * 3_600_000_000)
    repeat = np.zeros(len(rows), dtype=bool)
    repeat[1:] = (
        (rows.available[1:] == rows.available[:-1])
        & (rows.event[1:] == rows.event[:-1])
        & (rows.source[1:] == rows.source[:-1])
    )
    findings = [
        _at_once("not_finite", ~finite, rows, lambda i: f"value {rows.value[i]} is not a number"),
        _at_once(
            "future",
            future,
            rows,
            lambda i: f"dated {rows.event[i]}, seen at {np.datetime64(int(seen[i]), 'us').astype('datetime64[m]')} UTC",
        ),
        _at_once("duplicate", repeat, rows, lambda i: f"{rows.event[i]} given again, {_repetition(rows, i)}"),
        _at_once(
            "range",
            outside | unloggable,
            rows,
            lambda i: (
                f"{rows.value[i]:g} is outside {low:g} to {high:g} {spec.unit}"
                if outside[i]
                else f"{rows.value[i]:g} has no logarithm, and changes of {spec.id} are logs"
            ),
        ),
    ]
    if spec.frequency == "monthly":
        off = rows.event != rows.event.astype("datetime64[M]").astype("datetime64[D]")
        findings.append(_at_once("calendar", off, rows, lambda i: f"{rows.event[i]} is not the first of a month"))
    elif spec.quality.calendar != "any":
        findings.append(
            _at_once(
                "calendar",
                ~is_session,
                rows,
                lambda i: f"{_dated(rows.event[i])} is no {_kind_of_day(spec)}",
            )
        )
    if spec.quality.high_low:
        findings.append(_high_low(rows, spec, limits.ohlc_tolerance_log))
    return findings


def context_of(rows: Rows, sound: Bools, spec: SeriesSpec, limits: QualitySettings) -> Context:
    """Return what each row could be compared with when it arrived, from the sound rows before it."""
    import pandas as pd

    scale = Scale.of(spec)
    days = rows.event.astype(np.int64)
    newest = np.maximum.accumulate(np.where(sound, days, np.iinfo(np.int64).min)) if len(rows) else days
    extends = sound.copy()
    extends[1:] &= days[1:] > newest[:-1]
    spine = np.flatnonzero(extends)
    dates, values = rows.event[spine], rows.value[spine]
    moved = np.full(len(spine), np.nan)
    moved[1:] = np.abs(np.diff(scale.transform(values))) / np.sqrt(_distance(dates[:-1], dates[1:], spec))

    def rolling(series: Floats, window: int, least: int) -> Floats:
        medians = pd.Series(series).rolling(window, min_periods=least).median().to_numpy()
        return np.concatenate([[np.nan], medians])

    before = np.minimum(
        np.searchsorted(dates, rows.event, side="left"),
        np.searchsorted(rows.available[spine], rows.available, side="right"),
    ).astype(np.int64)
    gap = np.full(len(rows), np.nan)
    known = before > 0
    gap[known] = _distance(dates[before[known] - 1], rows.event[known], spec)
    window, fast = limits.volatility_window_rows, limits.volatility_fast_rows
    long_sigma = rolling(moved, window, VOLATILITY_MIN_ROWS) / _HALF_NORMAL_MEDIAN
    recent_sigma = rolling(moved, fast, fast) / _HALF_NORMAL_MEDIAN
    return Context(
        spine=spine,
        before=before,
        level=rolling(values, LEVEL_ROWS, LEVEL_MIN_ROWS)[before],
        unit_level=rolling(values, window, UNIT_LEVEL_MIN_ROWS)[before],
        sigma=np.where(np.isnan(long_sigma), np.nan, np.fmax(long_sigma, recent_sigma))[before],
        long_sigma=long_sigma[before],
        gap=gap,
    )


def wrong_unit(rows: Rows, context: Context, spec: SeriesSpec, limits: QualitySettings) -> Finding:
    """Find values about ×100, ×1000, ÷100 or ÷1000 of the level of the last weeks."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rows.value / context.unit_level
        size = np.where(ratio > 0, np.abs(np.log(np.where(ratio > 0, ratio, 1.0))), 0.0)
        far = np.abs(rows.value - context.unit_level) >= limits.spike_log * Scale.of(spec).width
    near = np.zeros(len(rows), dtype=bool)
    for power in _UNIT_POWERS:
        near |= np.abs(size - power * np.log(10.0)) <= limits.unit_tolerance_log
    if spec.change == "diff":
        near &= far
    return _at_once(
        "unit",
        near,
        rows,
        lambda i: f"{rows.value[i]:g} is {_times(ratio[i])} the recent level {context.unit_level[i]:.4g} {spec.unit}",
    )


def gross_jump(rows: Rows, context: Context, spec: SeriesSpec, limits: QualitySettings) -> Finding:
    """Find values beyond both the hard limit and the limit in past robust sigmas from the recent level."""
    scale = Scale.of(spec)
    move = scale.transform(rows.value) - scale.transform(context.level)
    stretch = np.sqrt(context.gap)
    with np.errstate(invalid="ignore", divide="ignore"):
        gross = np.abs(move) > limits.jump_gross_log * stretch
        gross &= np.abs(move) >= limits.jump_robust_sigma * context.sigma * stretch
        sigmas = np.abs(move) / (context.sigma * stretch)
    return _at_once(
        "jump",
        gross,
        rows,
        lambda i: (
            f"{rows.value[i]:g} is {scale.describe(move[i])} from the recent level {context.level[i]:.6g}, "
            f"{sigmas[i]:.0f} robust sigmas"
        ),
    )


def spikes(rows: Rows, context: Context, kept: Ints, spec: SeriesSpec, limits: QualitySettings) -> Finding:
    """Find jumps that the next row took back; known when that next row is.

    ``kept`` are the spine positions that no rule withdrew on arrival.
    """
    scale = Scale.of(spec)
    level = scale.transform(rows.value[kept])
    move = np.diff(level)
    up, back = move[:-1], move[1:]
    with np.errstate(invalid="ignore"):
        sigma = context.sigma[kept[1:-1]] * np.sqrt(context.gap[kept[1:-1]])
        limit = np.maximum(limits.spike_log, limits.spike_robust_sigma * sigma)
        landing = np.maximum((1 - limits.spike_reversal_share) * np.abs(up), LANDING_SIGMA * sigma)
        candidate = (np.abs(up) >= limit) & (np.sign(up) == -np.sign(back))
        candidate &= np.abs(back) >= limits.spike_reversal_share * np.abs(up)
        candidate &= np.abs(up + back) <= landing
    found: list[int] = []
    for place in np.flatnonzero(candidate):  # the value after a spike moves back, which is no spike of its own
        if not found or found[-1] != place - 1:
            found.append(int(place))
    at = np.asarray(found, dtype=np.int64)
    reasons = [
        f"{rows.value[kept[p + 1]]:g} moved {scale.describe(up[p])}, "
        f"taken back by {rows.value[kept[p + 2]]:g} on {rows.event[kept[p + 2]]}"
        for p in found
    ]
    return Finding("spike", kept[at + 1], rows.available[kept[at + 2]], reasons)


def outliers(rows: Rows, context: Context, kept: Ints, spec: SeriesSpec, limits: QualitySettings) -> Finding:
    """Find one or two rows far from the middle of the rows around them; known when the row after them is.

    A move of so many sigmas that is whole again a day or two later is an error of the feed: a market that falls eight
    sigmas moves on. ``kept`` are the spine positions that no rule withdrew on arrival.
    """
    scale = Scale.of(spec)
    level = scale.transform(rows.value[kept])
    sigma = context.sigma[kept] * np.sqrt(context.gap[kept])
    candidates: list[tuple[int, int, float]] = []
    for length, least in ((1, limits.outlier_robust_sigma), (2, limits.outlier_pair_robust_sigma)):
        count = len(kept) - 1 - length
        if count < 1:
            continue
        before, after = level[:count], level[1 + length :]
        middle = (before + after) / 2
        out = np.stack([level[1 + place : 1 + place + count] for place in range(length)]) - middle
        mean = out.mean(axis=0)
        with np.errstate(invalid="ignore"):
            far = np.abs(mean) >= np.maximum(limits.outlier_log, least * sigma[1 : 1 + count])
            far &= (np.sign(mean) * out).min(axis=0) >= OUTLIER_TOGETHER * np.abs(mean)
            far &= np.abs(after - before) <= OUTLIER_AGREEMENT * np.abs(mean)
        candidates += [(int(first), length, float(mean[first])) for first in np.flatnonzero(far)]
    found: dict[int, tuple[int, float]] = {}
    for first, length, distance in sorted(candidates, key=lambda item: (item[0] + item[1], item[1])):
        # What stands between two outliers, or after one, is none itself.
        if not found.keys() & set(range(first, first + 1 + length)):
            found.update((place, (first + 1 + length, distance)) for place in range(first + 1, first + 1 + length))
    at = np.asarray(list(found), dtype=np.int64)
    back = np.asarray([after for after, _ in found.values()], dtype=np.int64)
    reasons = [
        f"{rows.value[kept[place]]:g} is {scale.describe(distance)} from its neighbours, "
        f"{abs(distance) / sigma[place]:.0f} robust sigmas, and {rows.value[kept[after]]:g} followed"
        for place, (after, distance) in found.items()
    ]
    return Finding("outlier", kept[at], rows.available[kept[back]], reasons)


def stale_runs(rows: Rows, kept: Ints, limits: QualitySettings) -> Finding:
    """Find the repeats of runs of equal quotes, known when the run reaches the limit; its first row stands."""
    n, length = len(kept), limits.stale_run_length
    if n < length:
        return Finding("stale", np.empty(0, np.int64), np.empty(0, np.int64), [])
    same = rows.value[kept][1:] == rows.value[kept][:-1]
    for prices in (rows.open[kept], rows.high[kept], rows.low[kept]):
        same &= (prices[1:] == prices[:-1]) | (np.isnan(prices[1:]) & np.isnan(prices[:-1]))
    place = np.arange(n)
    first = np.maximum.accumulate(np.where(np.concatenate([[True], ~same]), place, 0))
    offset = place - first
    total = np.bincount(first, minlength=n)[first]
    hit = np.flatnonzero((offset >= 1) & (total >= length))
    known = rows.available[kept[np.maximum(hit, first[hit] + length - 1)]]
    reasons = [
        f"{rows.value[kept[i]]:g} repeated since {rows.event[kept[first[i]]]}, the run reached {length} equal quotes"
        for i in hit
    ]
    return Finding("stale", kept[hit], known, reasons)


def earliest(findings: Sequence[Finding], size: int) -> tuple[Ints, npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return for each row the first verdict known: instant (the largest int64: none), rule and reason.

    Among verdicts known at the same instant the order of :data:`RULES` decides.
    """
    known_at = np.full(size, np.iinfo(np.int64).max, dtype=np.int64)
    rule: npt.NDArray[np.object_] = np.full(size, None, dtype=object)
    reason: npt.NDArray[np.object_] = np.full(size, None, dtype=object)
    rank = {name: place for place, name in enumerate(RULES)}
    for finding in sorted(findings, key=lambda found: rank[found.rule]):
        sooner = finding.known_at < known_at[finding.rows]
        at = finding.rows[sooner]
        known_at[at] = finding.known_at[sooner]
        rule[at] = finding.rule
        reason[at] = [text for text, take in zip(finding.reasons, sooner, strict=True) if take]
    return known_at, rule, reason


def none_found(rule: str) -> Finding:
    """Return the finding of a rule that found nothing."""
    return Finding(rule, np.empty(0, np.int64), np.empty(0, np.int64), [])


def _at_once(rule: str, mask: Bools, rows: Rows, reason: Any) -> Finding:
    at = np.flatnonzero(mask)
    return Finding(rule, at, rows.available[at], [reason(i) for i in at])


def _high_low(rows: Rows, spec: SeriesSpec, tolerance: float) -> Finding:
    scale = Scale.of(spec)
    given = [~np.isnan(prices) for prices in (rows.open, rows.high, rows.low)]
    top, bottom = scale.transform(rows.high), scale.transform(rows.low)
    bad = np.zeros(len(rows), dtype=bool)
    with np.errstate(invalid="ignore"):
        for prices, present in zip((rows.open, rows.high, rows.low), given, strict=True):
            bad |= present & ~np.isfinite(scale.transform(prices))
        bad |= top < bottom - tolerance
        for prices in (rows.value, rows.open):
            inside = scale.transform(prices)
            bad |= (inside > top + tolerance) | (inside < bottom - tolerance)
    return _at_once(
        "high_low",
        bad,
        rows,
        lambda i: (
            f"open {rows.open[i]:g}, high {rows.high[i]:g}, low {rows.low[i]:g} and close {rows.value[i]:g} "
            "contradict each other"
        ),
    )


def _distance(start: Dates, end: Dates, spec: SeriesSpec) -> Floats:
    if spec.frequency == "monthly":
        months = end.astype("datetime64[M]").astype(np.int64) - start.astype("datetime64[M]").astype(np.int64)
        return np.maximum(months, 1).astype(np.float64)
    return np.maximum(np.busday_count(start, end), 1).astype(np.float64)


def _times(ratio: Any) -> str:
    return f"{ratio:.0f} times" if ratio > 1 else f"1/{1 / ratio:.0f} of"


def _kind_of_day(spec: SeriesSpec) -> str:
    return f"session of calendar {spec.calendar}" if spec.quality.calendar == "sessions" else "weekday"


def _dated(day: Any) -> str:
    return f"{day} ({('Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue', 'Wed')[int(day.astype(np.int64)) % 7]})"


def _repetition(rows: Rows, i: int) -> str:
    same = rows.value[i] == rows.value[i - 1]
    return "with the same value" if same else f"{rows.value[i]:g} against {rows.value[i - 1]:g}"
