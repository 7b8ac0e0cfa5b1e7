"""Which partitions to make: pure decisions, held against plain twins."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import calendar_for, target_dates
from forex_assets.errors import ValidationError
from forex_assets.planning import DayRange, contiguous, forecast_days, matured_targets, missing_forecasts

CL = calendar_for("CL")
HISTORY_START = dt.date(2015, 1, 2)
SESSIONS = [day.item() for day in CL.sessions(np.datetime64("2022-01-03"), np.datetime64("2024-12-30"))]
HORIZONS = {"7d": 7, "15d": 15, "30d": 30, "90d": 90}


@given(as_of=st.sampled_from(SESSIONS), horizon=st.sampled_from([7, 15, 30, 90]), days=st.integers(1, 90))
def test_one_range_covers_the_last_days_and_those_behind_the_last_matured_targets(
    as_of: dt.date, horizon: int, days: int
) -> None:
    span = forecast_days(as_of, horizon, days, CL, HISTORY_START)
    covered = CL.sessions(np.datetime64(span.first), np.datetime64(span.last))
    assert span.last == as_of
    assert span.count == len(covered) >= days
    matured = target_dates(covered, horizon, CL) <= np.datetime64(as_of)
    assert matured.sum() >= days
    # No more than is needed: without the first day one of the two would fall short.
    assert matured.sum() == days or span.count == days


def test_too_early_a_start_names_the_day_and_the_remedy() -> None:
    with pytest.raises(ValidationError, match=r"before the history start 2015-01-02") as caught:
        forecast_days(dt.date(2015, 3, 2), 90, 60, CL, HISTORY_START)
    assert "--days" in caught.value.remedy


@given(days=st.lists(st.sampled_from(SESSIONS), unique=True))
def test_ranges_hold_exactly_the_days_given_and_cannot_be_joined(days: list[dt.date]) -> None:
    ranges = contiguous(days, CL)
    held = [day.item() for span in ranges for day in CL.sessions(np.datetime64(span.first), np.datetime64(span.last))]
    assert held == sorted(days)
    assert [span.count for span in ranges] == [
        len(CL.sessions(np.datetime64(span.first), np.datetime64(span.last))) for span in ranges
    ]
    for left, right in pairwise(ranges):
        assert CL.add(np.array([np.datetime64(left.last)]), 1)[0] < np.datetime64(right.first)


def test_a_holiday_does_not_break_a_range() -> None:
    days = [dt.date(2024, 9, 17), dt.date(2024, 9, 23), dt.date(2024, 9, 25)]
    assert contiguous(days, CL) == [
        DayRange(dt.date(2024, 9, 17), dt.date(2024, 9, 23), 2),
        DayRange(dt.date(2024, 9, 25), dt.date(2024, 9, 25), 1),
    ]


_KEYS = st.sets(st.tuples(st.sampled_from(list(HORIZONS)), st.sampled_from(SESSIONS[:80]).map(dt.date.isoformat)))


@given(made=_KEYS, done=_KEYS, newest=st.sampled_from(SESSIONS))
def test_matured_targets_are_those_dated_up_to_the_newest_value_and_not_evaluated(
    made: set[tuple[str, str]], done: set[tuple[str, str]], newest: dt.date
) -> None:
    plain: dict[str, list[dt.date]] = {}
    for name, days in HORIZONS.items():
        for key in sorted(made - done):
            target = target_dates(np.array([np.datetime64(key[1])]), days, CL)[0]
            if key[0] == name and target <= np.datetime64(newest):
                plain.setdefault(name, []).append(dt.date.fromisoformat(key[1]))
    assert matured_targets(made, done, HORIZONS, CL, newest) == plain


def test_a_tenor_matures_on_its_target_date_not_a_day_before() -> None:
    # Friday 13 June + 7 days is a holiday in Chile; the target rolls to Monday the 23rd.
    keys = [("7d", "2025-06-13")]
    assert matured_targets(keys, [], HORIZONS, CL, dt.date(2025, 6, 20)) == {}
    assert matured_targets(keys, [], HORIZONS, CL, dt.date(2025, 6, 23)) == {"7d": [dt.date(2025, 6, 13)]}


def test_missing_forecasts_looks_at_the_newest_days_with_bars_only() -> None:
    bars = [(day,) for day in ("2025-06-09", "2025-06-10", "2025-06-11")]
    done = [(name, "2025-06-10") for name in ("7d", "30d")] + [("7d", "2025-06-11")]
    assert missing_forecasts(bars, done, ["7d", "30d"], 5) == ["2025-06-09", "2025-06-11"]
    assert missing_forecasts(bars, done, ["7d", "30d"], 2) == ["2025-06-11"]
    assert missing_forecasts(bars, done, ["7d"], 2) == []
    assert missing_forecasts([], done, ["7d"], 2) == []
