"""Find out which session a source's dates really belong to.

Some sources date a close one day late (a daily bar of Yahoo's CLP=X dated t carries the close of t-1). A model fitted
on such dates shows skill that does not exist, because yesterday's drivers seem to lead the price. The shift shows when
the series' changes are correlated, at several lags, with those of a reference whose session is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.clock import BusinessCalendar
from forex_assets.errors import DataError, ValidationError

MIN_PAIRS = 60
MIN_CORRELATION = 0.3
MIN_LEAD_SIGMA = 3.0


@dataclass(frozen=True)
class ShiftReport:
    """At which lag a series agrees with its reference.

    Parameters
    ----------
    lag:
        Sessions by which the series' dates run late: the value dated t describes session t - lag. Meaningless unless
        ``confident``.
    correlation:
        Rank correlation of daily changes by lag.
    n:
        Pairs of changes behind the correlation at ``lag``.
    confident:
        True when there are enough pairs, the correlation is real, and no other lag comes near. False means unknown.
    """

    lag: int
    correlation: Mapping[int, float]
    n: int
    confident: bool


def detect_date_shift(
    series_frame: pd.DataFrame,
    reference_frame: pd.DataFrame,
    calendar: BusinessCalendar,
    max_lag: int = 3,
    *,
    reference_shift_business_days: int = 0,
) -> ShiftReport:
    """Return the lag in sessions at which the series' changes agree best with the reference's.

    Ranks are correlated, so that a handful of wild values decides nothing.

    Parameters
    ----------
    series_frame, reference_frame:
        Columns ``event_date`` (or ``event_time``) and ``value``; positive values, one row per date.
    calendar:
        Sessions both series live on; rows on other days are left out.
    max_lag:
        Lags from ``-max_lag`` to ``max_lag`` sessions are tried.
    reference_shift_business_days:
        Sessions by which the reference's own dates are known to run late (1 for the dólar observado).

    Raises
    ------
    ValidationError
        When ``max_lag`` is below 1.
    DataError
        When a frame lacks its columns or repeats a date.
    """
    if max_lag < 1:
        raise ValidationError(f"max_lag={max_lag} leaves nothing to compare.", remedy="use 1 or more sessions.")
    series_dates, series_values = _sessions_of(series_frame, "series", calendar)
    reference_dates, reference_values = _sessions_of(reference_frame, "reference", calendar)
    if not len(series_dates) or not len(reference_dates):
        return ShiftReport(0, {lag: float("nan") for lag in range(-max_lag, max_lag + 1)}, 0, False)
    margin = np.timedelta64(10 * (max_lag + abs(reference_shift_business_days)), "D")
    grid = calendar.sessions(
        min(series_dates[0], reference_dates[0]) - margin, max(series_dates[-1], reference_dates[-1]) + margin
    )
    ours = _changes(grid, series_dates, series_values)
    theirs = _moved(_changes(grid, reference_dates, reference_values), -reference_shift_business_days)
    correlation: dict[int, float] = {}
    pairs: dict[int, int] = {}
    for lag in range(-max_lag, max_lag + 1):
        correlation[lag], pairs[lag] = _rank_correlation(ours, _moved(theirs, lag))
    usable = [lag for lag in correlation if np.isfinite(correlation[lag])]
    if not usable:
        return ShiftReport(0, correlation, 0, False)
    best = max(usable, key=lambda lag: correlation[lag])
    rivals = [correlation[lag] for lag in usable if lag != best]
    n = pairs[best]
    confident = False
    if n >= MIN_PAIRS and rivals and correlation[best] >= MIN_CORRELATION:
        top, second = np.arctanh(np.clip([correlation[best], max(rivals)], -0.999999, 0.999999))
        confident = bool((top - second) * np.sqrt((n - 3) / 2) >= MIN_LEAD_SIGMA)
    return ShiftReport(best, correlation, n, confident)


def _sessions_of(
    frame: pd.DataFrame, role: str, calendar: BusinessCalendar
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    name = "event_date" if "event_date" in frame.columns else "event_time"
    missing = [column for column in (name, "value") if column not in frame.columns]
    if missing:
        raise DataError(
            f"The {role} frame lacks the columns {missing}.", remedy="give event_date (or event_time) and value."
        )
    index = pd.DatetimeIndex(frame[name])
    dates = (
        (index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index)
        .to_numpy()
        .astype("datetime64[D]")
    )
    values = frame["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    usable = np.isfinite(values) & (values > 0)
    dates, values = dates[usable], values[usable]
    order = np.argsort(dates, kind="stable")
    dates, values = dates[order], values[order]
    repeated = dates[1:][dates[1:] == dates[:-1]]
    if len(repeated):
        raise DataError(f"The {role} frame has {repeated[0]} more than once.", remedy="give one value per date.")
    open_days = calendar.is_open(dates)
    return dates[open_days], values[open_days]


def _changes(
    grid: npt.NDArray[np.datetime64], dates: npt.NDArray[np.datetime64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return log changes on a grid of sessions, NaN where this session or the one before has no value."""
    levels = np.full(len(grid), np.nan)
    levels[np.searchsorted(grid, dates)] = np.log(values)
    changes = np.full(len(grid), np.nan)
    changes[1:] = np.diff(levels)
    return changes


def _moved(changes: npt.NDArray[np.float64], places: int) -> npt.NDArray[np.float64]:
    """Return the changes moved to later sessions (earlier for negative places)."""
    out = np.full(len(changes), np.nan)
    if abs(places) >= len(changes):
        return out
    if places > 0:
        out[places:] = changes[:-places]
    elif places < 0:
        out[:places] = changes[-places:]
    else:
        out[:] = changes
    return out


def _rank_correlation(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> tuple[float, int]:
    from scipy.stats import rankdata

    both = np.isfinite(left) & np.isfinite(right)
    n = int(both.sum())
    if n < 3:
        return float("nan"), n
    ranks = [rankdata(side[both]) for side in (left, right)]
    if any(np.ptp(side) == 0 for side in ranks):
        return float("nan"), n
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]), n
