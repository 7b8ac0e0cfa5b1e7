"""A row's data hash covers everything its forecast looked at, and nothing that became known or valid later."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.ensemble import artefacts as ensemble
from forex_assets.forecasting.panel import artefacts as panel
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.made_from import DRIVERS, ENSEMBLE, PANEL, WIDTHS, Ledger, in_force, made_from

DAYS = [dt.date(2024, 3, 14), dt.date(2024, 3, 15), dt.date(2024, 3, 18)]


def driver(changed: dict[str, float] | None = None, withdrawn: dict[str, str] | None = None) -> DriverHistory:
    days = np.arange(np.datetime64("2024-03-01"), np.datetime64("2024-03-20"))
    value = np.arange(len(days), dtype=float) + 10
    gone = np.full(len(days), np.datetime64("NaT", "us"))
    for day, made in (changed or {}).items():
        value[np.flatnonzero(days == np.datetime64(day))] = made
    for day, when in (withdrawn or {}).items():
        gone[np.flatnonzero(days == np.datetime64(day))] = np.datetime64(when, "us")
    known = days.astype("datetime64[us]") + np.timedelta64(20, "h")
    return DriverHistory("vix", calendar_for("US"), days, known, value, gone)


def beside(item: DriverHistory) -> PriceHistory:
    days = np.arange(np.datetime64("2024-03-01"), np.datetime64("2024-03-20"))
    known = days.astype("datetime64[us]") + np.timedelta64(15, "h")
    return PriceHistory("usdclp", calendar_for("CL"), days, known, np.full(len(days), 900.0), None, {"vix": item})


def of(history: PriceHistory, part: str, whole: bool = False) -> list[str]:
    return [made[part] for made in made_from(history, DAYS, whole=whole)]


@pytest.mark.capability("E09", "K14")
def test_a_driver_counts_from_when_it_was_known_and_until_it_was_withdrawn() -> None:
    plain = of(beside(driver()), DRIVERS)
    assert len(set(plain)) == 3  # every evening something more was known
    assert of(beside(driver({"2024-03-15": 99.0})), DRIVERS) == [plain[0], *_other(plain[1:], {"2024-03-15": 99.0})]
    assert of(beside(driver({"2024-03-19": 99.0})), DRIVERS) == plain
    gone = of(beside(driver(withdrawn={"2024-03-05": "2024-03-15T12:00"})), DRIVERS)
    assert gone[0] == plain[0]
    assert gone[1] != plain[1]


def _other(plain: list[str], changed: dict[str, float]) -> list[str]:
    found = of(beside(driver(changed)), DRIVERS)[1:]
    assert all(one != other for one, other in zip(found, plain, strict=True))
    return found


def test_a_backtest_hash_tells_a_value_withdrawn_before_its_end_from_one_that_never_was() -> None:
    never = np.array([day != np.datetime64("2024-03-05") for day in driver().event_date])
    full = driver()
    without = DriverHistory("vix", full.calendar, full.event_date[never], full.available_at[never], full.value[never])
    withdrawn = driver(withdrawn={"2024-03-05": "2024-03-13T12:00"})
    assert of(beside(without), DRIVERS) == of(beside(withdrawn), DRIVERS)  # a forecast after it sees the same
    assert of(beside(without), DRIVERS, whole=True) != of(beside(withdrawn), DRIVERS, whole=True)


@dataclass(eq=False)
class Fit:
    frames: dict[str, pd.DataFrame]


@pytest.mark.capability("E09")
def test_learned_rows_count_while_they_are_in_force() -> None:
    history = beside(driver())
    shipped = panel.embedded()
    valid = sorted(shipped.frames["panel_shapes"]["valid_from"].unique())
    last = max(day for day in valid if day <= pd.Timestamp(DAYS[0]))
    for when, differs in ((last, True), (max(valid), False), (min(valid), False)):
        frames = {name: frame.copy() for name, frame in shipped.frames.items()}
        rows = frames["panel_shapes"]["valid_from"] == when
        frames["panel_shapes"].loc[rows, "q025"] -= 0.01
        changed = panel.PanelFit(frames["panel_coefficients"], frames["panel_shapes"], frames["panel_factors"])
        with panel.using(changed):
            assert (of(history, PANEL) != of(history, PANEL)) is False
            found, found_whole = of(history, PANEL), of(history, PANEL, whole=True)
        assert (found != of(history, PANEL)) is differs
        # A backtest up to the day used the older rows as well, and none of those valid later.
        assert (found_whole != of(history, PANEL, whole=True)) is (when <= pd.Timestamp(DAYS[0]))
    weights = {name: frame.copy() for name, frame in ensemble.embedded().frames.items()}
    weights["panel_weights"]["reason"] = "told otherwise"
    with ensemble.using(ensemble.EnsembleFit(weights["panel_weights"], weights["panel_corrections"])):
        other = of(history, ENSEMBLE)
    assert all(one != two for one, two in zip(other, of(history, ENSEMBLE), strict=True))


def test_width_factors_count_by_what_decides_the_width() -> None:
    rows = pd.DataFrame(
        {
            "pair": "usdclp",
            "horizon": 7,
            "model": "champion_zero",
            "valid_from": pd.to_datetime(["2024-02-01", "2024-03-01", "2024-03-15"]),
            "factor_lower": [1.0, 1.1, 1.2],
            "factor_upper": [1.0, 0.9, 0.8],
            "n": [10, 20, 30],
        }
    )
    history = beside(driver())

    def hashes(frame: pd.DataFrame) -> list[str]:
        return [made[WIDTHS] for made in made_from(history, DAYS, frame)]

    plain = hashes(rows)
    assert plain[0] != plain[1] == plain[2]
    assert hashes(rows.assign(n=99)) == plain
    assert hashes(rows.iloc[1:]) == plain  # February's row was no longer in force
    assert hashes(rows.iloc[:2])[:1] == plain[:1]
    assert hashes(rows.assign(factor_upper=1.0))[0] != plain[0]


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 25), st.integers(0, 3)), min_size=1, max_size=12),
    at=st.integers(-2, 30),
)
def test_a_ledger_holds_what_counts_whatever_the_order_of_rows(rows: list[tuple[int, int, int]], at: int) -> None:
    def ledger(listed: list[tuple[int, int, int]]) -> Ledger:
        since = np.array([row[0] for row in listed], dtype="datetime64[D]")
        until = np.array([row[0] + row[1] for row in listed], dtype="datetime64[D]")
        until[[row[1] > 20 for row in listed]] = np.datetime64("NaT")
        return Ledger(pd.DataFrame({"value": [row[2] for row in listed]}), since, until)

    time = np.array([at], dtype="datetime64[D]")
    counts = [row for row in rows if row[0] <= at and (row[1] > 20 or row[0] + row[1] > at)]
    (found,) = ledger(rows).at(time)
    assert found[0] == len(counts)
    assert ledger(rows[::-1]).at(time) == [found]
    if counts:
        forever = ledger([(0, 25, row[2]) for row in counts])
        assert forever.at(np.array([40], dtype="datetime64[D]")) == [found]


def test_a_table_without_rows_counts_nothing() -> None:
    empty = pd.DataFrame({"valid_from": pd.to_datetime([]), "model": pd.Series([], dtype=object)})
    assert in_force(empty, ("model",)).at(np.array(["2024-01-01"], dtype="datetime64[D]")) == [(0, 0)]
