"""Which partitions to make: pure decisions used by the run command, the schedules and the sensors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forex_assets.clock import BusinessCalendar, target_dates
from forex_assets.errors import ValidationError

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DayRange:
    """Consecutive business days of a pair, both ends included."""

    first: dt.date
    last: dt.date
    count: int


def _date(day: np.datetime64) -> dt.date:
    return dt.date.fromisoformat(str(day.astype("datetime64[D]")))


def last_business_day(day: dt.date, calendar: BusinessCalendar) -> dt.date:
    """Return ``day``, or the business day before it when it is none."""
    return _date(calendar.roll_back(np.array([day], dtype="datetime64[D]"))[0])


def forecast_days(as_of: dt.date, horizon_days: int, days: int, calendar: BusinessCalendar, first: dt.date) -> DayRange:
    """Return the as_of days to forecast: the last ``days`` business days and those behind the last ``days`` targets.

    The two sets overlap or nearly touch at every tenor, so one range covers both.

    Raises
    ------
    ValidationError
        When the range would start before ``first``, the pair's history start.
    """
    end = np.datetime64(as_of, "D")
    matured_by = end - np.timedelta64(horizon_days, "D")
    oldest = calendar.add(calendar.roll_back(np.array([matured_by])), -(days - 1))[0]
    recent = calendar.add(np.array([end]), -(days - 1))[0]
    start = min(oldest, recent)
    if _date(start) < first:
        raise ValidationError(
            f"As-of {as_of} with {days} days needs forecasts from {_date(start)}, before the history start {first}.",
            remedy="choose a later --as-of, fewer --days, or an earlier history_start in the pair's file.",
        )
    sessions = calendar.sessions(start, end)
    return DayRange(_date(sessions[0]), _date(sessions[-1]), len(sessions))


def matured_targets(
    forecast_keys: Iterable[Key],
    evaluation_keys: Iterable[Key],
    horizons: Mapping[str, int],
    calendar: BusinessCalendar,
    newest_value: dt.date,
) -> dict[str, list[dt.date]]:
    """Return, per horizon, the forecast days whose target is dated at or before ``newest_value`` and unevaluated."""
    done = set(evaluation_keys)
    missing: dict[str, list[dt.date]] = {}
    for horizon, days in horizons.items():
        waiting = sorted(key[1] for key in forecast_keys if key[0] == horizon and key not in done)
        if not waiting:
            continue
        as_ofs = np.array(waiting, dtype="datetime64[D]")
        matured = target_dates(as_ofs, days, calendar) <= np.datetime64(newest_value, "D")
        if matured.any():
            missing[horizon] = [_date(day) for day in as_ofs[matured]]
    return missing


def contiguous(days: Sequence[dt.date], calendar: BusinessCalendar) -> list[DayRange]:
    """Split days into ranges of consecutive business days, oldest first."""
    ranges: list[DayRange] = []
    for day in sorted(days):
        if ranges:
            last = ranges[-1]
            following = _date(calendar.add(np.array([np.datetime64(last.last, "D")]), 1)[0])
            if following == day:
                ranges[-1] = DayRange(last.first, day, last.count + 1)
                continue
        ranges.append(DayRange(day, day, 1))
    return ranges


def missing_forecasts(
    bars_keys: Sequence[Key], forecast_keys: Iterable[Key], horizons: Sequence[str], look_back: int
) -> list[str]:
    """Return the newest ``look_back`` days with bars for which any horizon has no forecast."""
    done = set(forecast_keys)
    newest = [key[0] for key in sorted(bars_keys)[-look_back:]]
    return [day for day in newest if any((horizon, day) not in done for horizon in horizons)]
