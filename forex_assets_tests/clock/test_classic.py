"""The classic rules exist by name only, do what they did, and show why they were replaced."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import forex_assets
from forex_assets import clock
from forex_assets.clock import calendar_for, classic, target_dates
from forex_assets.errors import ValidationError

PACKAGE = Path(forex_assets.__file__).parent
DAYS = st.dates(dt.date(2000, 1, 1), dt.date(2030, 12, 31))


@pytest.mark.capability("K13", "K17", "K18")
def test_classic_rules_are_named_options_that_nothing_else_uses() -> None:
    assert set(classic.OPTIONS) == {"third_tuesdays", "daily_ffill", "nearest_within"}
    assert not set(classic.OPTIONS) & set(clock.__all__)
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "classic.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module == "forex_assets.clock.classic")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "forex_assets.clock"
            and any(alias.name == "classic" for alias in node.names)
        )
    ]
    assert users == []


@given(DAYS, st.integers(0, 800))
def test_third_tuesdays_equal_the_plain_enumeration(start: dt.date, length: int) -> None:
    days = [start + dt.timedelta(days=n) for n in range(length + 1)]
    plain = [day for day in days if day.weekday() == 1 and 15 <= day.day <= 21]
    assert classic.third_tuesdays(days[0], days[-1]).tolist() == plain


@pytest.mark.capability("K17")
def test_a_daily_filled_grid_makes_returns_that_never_were() -> None:
    chile = calendar_for("CL")
    sessions = chile.sessions("2025-01-02", "2025-06-13")
    values = np.exp(np.random.default_rng(7).normal(0, 0.006, sessions.size).cumsum()) * 950
    grid, filled = classic.daily_ffill(sessions, values)
    assert grid.size == (sessions[-1] - sessions[0]).astype(int) + 1
    true_sigma = np.diff(np.log(values)).std()
    filled_returns = np.diff(np.log(filled))
    assert (filled_returns == 0).sum() == grid.size - sessions.size
    assert filled_returns.std() < 0.9 * true_sigma
    # On the grid seven days are seven steps; on the calendar at most five.
    targets = target_dates(sessions[:-10], 7, chile)
    assert chile.count(sessions[:-10], targets).max() <= 5


@pytest.mark.capability("K18")
def test_the_nearest_date_can_lie_before_the_target_and_the_following_date_cannot() -> None:
    chile = calendar_for("CL")
    sessions = chile.sessions("2025-06-01", "2025-07-31")
    wanted = np.array(["2025-06-20", "2025-06-21", "2025-06-22"], dtype="datetime64[D]")
    nearest = sessions[classic.nearest_within(wanted, sessions)]
    assert nearest.tolist() == [dt.date(2025, 6, 19), dt.date(2025, 6, 19), dt.date(2025, 6, 23)]
    assert (nearest[:2] < wanted[:2]).all()
    assert (target_dates(wanted - np.timedelta64(7, "D"), 7, chile) == np.datetime64("2025-06-23")).all()


@given(st.lists(DAYS, min_size=1, max_size=20), st.sets(DAYS, max_size=40), st.integers(0, 40))
def test_nearest_within_equals_the_plain_search(targets: list[dt.date], dated: set[dt.date], days: int) -> None:
    have = sorted(dated)
    places = classic.nearest_within(targets, np.array(have, dtype="datetime64[D]"), days)
    for target, place in zip(targets, places, strict=True):
        near = [(abs(day - target), day) for day in have if abs(day - target) <= dt.timedelta(days=days)]
        assert (have[place] if place >= 0 else None) == (min(near)[1] if near else None)


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValidationError, match="0 or more"):
        classic.nearest_within(["2025-06-13"], ["2025-06-13"], days=-1)
    with pytest.raises(ValidationError, match="grow strictly"):
        classic.daily_ffill(["2025-06-13", "2025-06-12"], [1, 2])
    with pytest.raises(ValidationError, match="one value per date"):
        classic.daily_ffill(["2025-06-13"], [1, 2])
    assert classic.daily_ffill([], [])[0].size == 0
