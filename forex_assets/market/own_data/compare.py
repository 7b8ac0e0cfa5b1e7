"""A file's values held against a series that is known: whether it is the same thing, in which unit, on which date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.settings import SeriesSpec

SCALES = (1.0, 0.01, 100.0, 0.001, 1000.0, 1e-6, 1e6)
SHIFTS = (0, -1, 1)
#: Fewer dates in common say nothing.
FEWEST = 10
#: The same thing from two sources: this near, typically (relative).
SAME = 0.01
#: Another date fits clearly worse: its typical gap is at least this many times the best one's.
CLEARLY = 2.0
_EQUAL = 1e-6
_TINY = 1e-9


@dataclass(frozen=True)
class Match:
    """How a file fits a held series at the best unit and date.

    Parameters
    ----------
    series:
        The held series.
    scale:
        What the file's values are multiplied by.
    shift_sessions:
        By how many sessions its dates are moved.
    dates:
        Dates in common.
    equal:
        How many of them agree to a millionth.
    median_gap, largest_gap, largest_on:
        Relative differences, and the date of the largest.
    first, last:
        Ends of the common span.
    new_dates:
        Dates of the file that are not held.
    clear:
        Whether no other date of the file's rows fits nearly as well.
    """

    series: str
    scale: float
    shift_sessions: int
    dates: int
    equal: int
    median_gap: float
    largest_gap: float
    largest_on: pd.Timestamp
    first: pd.Timestamp
    last: pd.Timestamp
    new_dates: int
    clear: bool


def match(rows: pd.DataFrame, held: pd.DataFrame, spec: SeriesSpec) -> Match | None:
    """Return how a file's rows fit a held series, or None where too few dates are in common or nothing fits.

    Parameters
    ----------
    rows, held:
        ``event_date`` and ``value``.
    spec:
        The held series.
    """
    fits = [
        fit
        for shift in (SHIFTS if spec.frequency == "daily" else (0,))
        for scale in SCALES
        if (fit := _fit(_moved(rows, shift, spec), held, spec, scale, shift)) is not None and fit.median_gap <= SAME
    ]
    if not fits:
        return None
    best = min(fits, key=lambda fit: (fit.median_gap, abs(fit.shift_sessions)))
    others = [fit for fit in fits if fit.shift_sessions != best.shift_sessions]
    clear = all(fit.median_gap >= CLEARLY * max(best.median_gap, _TINY) for fit in others)
    return best if clear == best.clear else Match(**{**best.__dict__, "clear": clear})


def matches(rows: pd.DataFrame, held: Mapping[str, pd.DataFrame], specs: Mapping[str, SeriesSpec]) -> list[Match]:
    """Return the held series a file may be, best first."""
    found = [fit for name, frame in held.items() if (fit := match(rows, frame, specs[name])) is not None]
    return sorted(found, key=lambda fit: fit.median_gap)


def _moved(rows: pd.DataFrame, shift: int, spec: SeriesSpec) -> pd.DataFrame:
    if not shift or spec.frequency == "monthly":
        return rows
    calendar = calendar_for(spec.calendar)
    days = rows["event_date"].to_numpy("datetime64[D]")
    inside = (days > np.datetime64(calendar.first) + 31) & (days < np.datetime64(calendar.last) - 31)
    moved = calendar.add(days[inside], shift).astype("datetime64[ns]")
    return rows[inside].assign(event_date=moved).drop_duplicates("event_date", keep="last")


def _fit(rows: pd.DataFrame, held: pd.DataFrame, spec: SeriesSpec, scale: float, shift: int) -> Match | None:
    both = rows.merge(held[["event_date", "value"]], on="event_date", suffixes=("", "_held")).dropna()
    if len(both) < FEWEST:
        return None
    mine, theirs = both["value"].to_numpy(float) * scale, both["value_held"].to_numpy(float)
    # A rate near zero has no meaningful ratio: differences are measured against the series' own size.
    size = np.maximum(np.abs(theirs), float(np.median(np.abs(theirs))) if spec.change == "diff" else 0.0)
    gap = np.abs(mine - theirs) / np.maximum(size, _TINY)
    worst = int(np.argmax(gap))
    dates = both["event_date"]
    return Match(
        spec.id,
        scale,
        shift,
        len(both),
        int((gap <= _EQUAL).sum()),
        float(np.median(gap)),
        float(gap[worst]),
        dates.iloc[worst],
        dates.min(),
        dates.max(),
        int((~rows["event_date"].isin(held["event_date"])).sum()),
        True,
    )
