"""Each rule, one at a time, on a quiet random walk with one thing wrong in it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from forex_assets.clock import calendar_for
from forex_assets.errors import DataError, ValidationError
from forex_assets.market.quality import RULES, apply_quality
from forex_assets.settings import QualitySettings, ReferenceSeries, SeriesSpec
from forex_assets_tests.market.observed import MARKET, NOW, observations

DAYS = calendar_for("CL").sessions("2022-01-03", "2023-12-29")
QUIET = MARKET.model_copy(update={"reference": None})


def walk(days: int = len(DAYS), *, sigma: float = 0.005, seed: int = 7) -> npt.NDArray[np.float64]:
    return 800 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, sigma, days)))


def judge(frame: pd.DataFrame, limits: QualitySettings, *specs: SeriesSpec, now: dt.datetime = NOW) -> pd.DataFrame:
    return apply_quality(frame, {spec.id: spec for spec in specs or (QUIET,)}, limits, now=now)


def withdrawn(judged: pd.DataFrame) -> dict[str, str]:
    """Date → rule of every row withdrawn."""
    bad = judged[judged["withdrawn_at"].notna()]
    return dict(zip(bad["event_time"].dt.strftime("%Y-%m-%d"), bad["rule"], strict=True))


@pytest.mark.capability("E03")
def test_a_sound_series_loses_nothing(limits: QualitySettings) -> None:
    frame = observations(QUIET, DAYS, walk())
    judged = judge(frame, limits)
    assert withdrawn(judged) == {}
    pd.testing.assert_frame_equal(judged.drop(columns=["withdrawn_at", "rule", "reason"]), frame)


@pytest.mark.parametrize(
    ("factor", "rule"),
    [(100.0, "unit"), (1000.0, "unit"), (0.01, "unit"), (0.001, "unit"), (5.0, "range"), (1.4, "jump")],
)
@pytest.mark.capability("E03")
def test_a_wrong_unit_a_wild_value_and_a_gross_jump_are_withdrawn_on_arrival(
    limits: QualitySettings, factor: float, rule: str
) -> None:
    values = walk()
    values[200] *= factor
    judged = judge(observations(QUIET, DAYS, values), limits)
    assert withdrawn(judged) == {str(DAYS[200]): rule}
    assert judged["withdrawn_at"].iloc[200] == judged["available_at"].iloc[200]


def test_a_wrong_unit_stays_withdrawn_however_often_it_is_repeated(limits: QualitySettings) -> None:
    values = walk()
    values[200:225] /= 100
    assert set(withdrawn(judge(observations(QUIET, DAYS, values), limits))) == {str(day) for day in DAYS[200:225]}


def test_a_new_level_is_believed_after_three_values(limits: QualitySettings) -> None:
    values = walk()
    values[200:] *= 1.6  # a devaluation that lasts is a fact, not an error
    judged = judge(observations(QUIET, DAYS, values), limits)
    assert withdrawn(judged) == {str(day): "jump" for day in DAYS[200:203]}


def test_a_move_of_eight_sigmas_below_the_hard_limit_stands(limits: QualitySettings) -> None:
    values = walk()
    values[200:] *= 1.08  # 16 sigmas of this quiet series
    assert withdrawn(judge(observations(QUIET, DAYS, values), limits)) == {}


def test_a_gross_move_of_a_wild_series_stands(limits: QualitySettings) -> None:
    values = np.clip(walk(sigma=0.05, seed=3), 250, 2900)
    values[200] = values[199] * 1.33
    assert str(DAYS[200]) not in withdrawn(judge(observations(QUIET, DAYS, values), limits))


@pytest.mark.capability("E03")
def test_a_spike_taken_back_is_withdrawn_from_when_the_next_value_is_known(limits: QualitySettings) -> None:
    values = walk()
    values[200] *= 1.09
    judged = judge(observations(QUIET, DAYS, values), limits)
    assert withdrawn(judged) == {str(DAYS[200]): "spike"}
    assert judged["withdrawn_at"].iloc[200] == judged["available_at"].iloc[201]
    assert "taken back" in judged["reason"].iloc[200]


def test_a_spike_in_a_storm_stands(limits: QualitySettings) -> None:
    values = walk()
    storm = np.cumprod(np.where(np.arange(40) % 2, 1.04, 1 / 1.04))
    values[190:230] *= storm
    values[215] *= 1.05
    assert str(DAYS[215]) not in withdrawn(judge(observations(QUIET, DAYS, values), limits))


def test_alternating_spikes_are_told_from_the_values_between_them(limits: QualitySettings) -> None:
    values = walk()
    values[[200, 202]] *= 1.09
    assert withdrawn(judge(observations(QUIET, DAYS, values), limits)) == {
        str(DAYS[200]): "spike",
        str(DAYS[202]): "spike",
    }


def test_a_move_that_stays_is_no_spike(limits: QualitySettings) -> None:
    values = walk()
    values[200:] *= 1.09
    assert withdrawn(judge(observations(QUIET, DAYS, values), limits)) == {}


@pytest.mark.capability("E03")
def test_repeats_of_a_stale_run_are_withdrawn_when_the_run_reaches_the_limit(limits: QualitySettings) -> None:
    values = walk()
    values[200:206] = values[200]
    judged = judge(observations(QUIET, DAYS, values), limits)
    assert withdrawn(judged) == {str(day): "stale" for day in DAYS[201:206]}
    known = judged["withdrawn_at"].iloc[201:206].to_list()
    reached = judged["available_at"].iloc[203]
    assert known == [reached, reached, reached, judged["available_at"].iloc[204], judged["available_at"].iloc[205]]


def test_a_run_below_the_limit_and_a_run_with_trading_stand(limits: QualitySettings) -> None:
    values = walk()
    values[100:103] = values[100]
    values[200:206] = values[200]
    prices = {name: values.copy() for name in ("open", "high", "low")}
    prices["high"][200:206] += np.arange(6)  # the bars differ, so there was trading
    assert withdrawn(judge(observations(QUIET, DAYS, values, **prices), limits)) == {}


def test_series_exempt_by_declaration_may_repeat_and_jump(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    values = np.full(len(DAYS), 4.0)
    values[200:] = 11.25
    frame = observations(series["tpm"], DAYS, values)
    assert withdrawn(judge(frame, limits, series["tpm"])) == {}


@pytest.mark.capability("K17")
def test_a_forward_filled_calendar_grid_is_refused_on_weekends_and_holidays(limits: QualitySettings) -> None:
    grid = np.arange(np.datetime64("2023-01-02"), np.datetime64("2023-07-01"))
    level = pd.Series(walk(), index=DAYS).reindex(grid, method="ffill").to_numpy()
    judged = judge(observations(QUIET, grid, level), limits)
    closed = {str(day) for day in grid[~calendar_for("CL").is_open(grid)]}
    assert withdrawn(judged) == dict.fromkeys(closed, "calendar")
    reasons = judged.set_index(judged["event_time"].dt.strftime("%Y-%m-%d"))["reason"]
    assert reasons["2023-01-07"] == "2023-01-07 (Sat) is no session of calendar CL"


def test_a_series_that_trades_on_bank_holidays_is_refused_on_weekends_only(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    days = np.arange(np.datetime64("2022-10-03"), np.datetime64("2022-10-17"))  # Columbus Day is the 10th
    frame = observations(series["vix"], days, np.linspace(30, 32, len(days)))
    assert set(withdrawn(judge(frame, limits, series["vix"]))) == {
        "2022-10-08",
        "2022-10-09",
        "2022-10-15",
        "2022-10-16",
    }


def test_a_monthly_value_stands_on_the_first_of_its_month(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    frame = observations(series["ipc_yoy"], ["2023-01-01", "2023-02-01", "2023-03-08"], [12.3, 11.9, 11.1])
    assert withdrawn(judge(frame, limits, series["ipc_yoy"])) == {"2023-03-08": "calendar"}


def test_high_low_and_close_must_fit_together(limits: QualitySettings) -> None:
    values = walk()
    prices = {"open": values.copy(), "high": values * 1.01, "low": values * 0.99}
    prices["high"][50], prices["low"][50] = prices["low"][50], prices["high"][50]
    prices["high"][60] = values[60] * 0.995  # the close lies above the high
    prices["open"][70] = values[70] * 0.98
    prices["low"][80] = -1.0
    prices["high"][90] = values[90] * (1 - 1e-4)  # rounding, inside the tolerance
    prices["open"][100] = prices["high"][100] = prices["low"][100] = np.nan  # no prices given
    judged = judge(observations(QUIET, DAYS, values, **prices), limits)
    assert withdrawn(judged) == {str(DAYS[i]): "high_low" for i in (50, 60, 70, 80)}


def test_a_value_that_is_no_number_is_withdrawn(limits: QualitySettings) -> None:
    values = walk()
    values[[50, 60]] = [np.nan, np.inf]
    rules = {str(DAYS[50]): "not_finite", str(DAYS[60]): "not_finite"}
    assert withdrawn(judge(observations(QUIET, DAYS, values), limits)) == rules


def test_a_log_series_refuses_zero_and_below_even_where_the_range_allows_it(limits: QualitySettings) -> None:
    spec = QUIET.model_copy(update={"range": (-5.0, 3000.0)})
    values = walk()
    values[50] = 0.0
    assert withdrawn(judge(observations(spec, DAYS, values), limits, spec)) == {str(DAYS[50]): "range"}


def test_oil_may_fall_below_zero_where_its_range_says_so(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    days = calendar_for("US").sessions("2020-01-02", "2020-06-30")
    values = np.linspace(60, 20, len(days))
    values[np.searchsorted(days, np.datetime64("2020-04-20"))] = -36.98
    assert withdrawn(judge(observations(series["wti"], days, values), limits, series["wti"])) == {}


@pytest.mark.capability("E03")
def test_a_date_that_has_not_come_is_withdrawn_unless_published_ahead(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    now = dt.datetime(2023, 6, 1, 23, 0, tzinfo=dt.UTC)  # after 18:00 in Santiago: the fixing of the 2nd is out
    days = calendar_for("CL").sessions("2023-05-29", "2023-06-09")
    flat = np.linspace(800, 801, len(days))
    fixing, close = series["usdclp_fixing"], QUIET
    ahead = withdrawn(judge(observations(fixing, days, flat), limits, fixing, now=now))
    later = withdrawn(judge(observations(close, days, flat), limits, close, now=now))
    assert min(ahead) == "2023-06-06"
    assert min(later) == "2023-06-05"
    assert set(ahead.values()) == set(later.values()) == {"future"}


def test_a_future_date_withdraws_nothing_but_itself(limits: QualitySettings) -> None:
    days = np.concatenate([DAYS[:100], [np.datetime64("2031-01-02")], DAYS[100:]])
    early = DAYS[99].astype("datetime64[us]") + np.timedelta64(22, "h")
    known = np.concatenate([DAYS.astype("datetime64[us]") + np.timedelta64(22, "h")])
    frame = observations(QUIET, days, np.insert(walk(), 100, 500.0), available=np.insert(known, 100, early))
    assert withdrawn(judge(frame, limits)) == {"2031-01-02": "future"}


def test_a_repeated_row_is_withdrawn_and_the_first_stands(limits: QualitySettings) -> None:
    frame = observations(QUIET, DAYS, walk())
    again = frame.iloc[[120]].assign(value=frame["value"].iloc[120] * 1.01)
    judged = judge(pd.concat([frame, again], ignore_index=True), limits)
    assert withdrawn(judged) == {str(DAYS[120]): "duplicate"}
    assert pd.isna(judged["withdrawn_at"].iloc[120])
    assert judged["rule"].iloc[-1] == "duplicate"


def test_a_revision_is_judged_against_what_came_before_its_date(limits: QualitySettings) -> None:
    frame = observations(QUIET, DAYS, walk())
    later = pd.Timedelta(days=3)
    good = frame.iloc[[120]].assign(
        value=lambda row: row["value"] * 1.01, available_at=lambda row: row["available_at"] + later
    )
    bad = frame.iloc[[300]].assign(
        value=lambda row: row["value"] / 100, available_at=lambda row: row["available_at"] + later
    )
    judged = judge(pd.concat([frame, good, bad], ignore_index=True), limits)
    assert withdrawn(judged) == {str(DAYS[300]): "unit"}
    assert judged["rule"].iloc[-1] == "unit"
    assert judged["withdrawn_at"].iloc[-1] == judged["available_at"].iloc[-1]


@pytest.mark.capability("E03")
def test_a_source_that_disagrees_with_its_reference_is_withdrawn_once_both_are_known(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    calendar = calendar_for("CL")
    close = walk(len(DAYS) - 1)
    fixing = observations(series["usdclp_fixing"], DAYS[1:], close)  # dated t + 1 it averages the session of t
    closes = close.copy()
    closes[200] *= 1.03
    market = observations(MARKET, DAYS[:-1], closes)
    judged = judge(pd.concat([market, fixing], ignore_index=True), limits, MARKET, series["usdclp_fixing"])
    assert withdrawn(judged) == {str(DAYS[200]): "cross_source"}
    # The fixing of the next session is published at 18:00 of this one, when the close is known too.
    assert judged["withdrawn_at"].iloc[200] == judged["available_at"].iloc[200]
    assert str(calendar.add(DAYS[200], 1)) in judged["reason"].iloc[200]


def test_a_reference_known_later_withdraws_from_then_on(limits: QualitySettings, series: dict[str, SeriesSpec]) -> None:
    close = walk(len(DAYS) - 1)
    fixing = observations(series["usdclp_fixing"], DAYS[1:], close)
    late = fixing["available_at"].iloc[200] + pd.Timedelta(hours=30)
    fixing.loc[200, "available_at"] = late
    closes = close.copy()
    closes[200] *= 1.03
    frame = pd.concat([observations(MARKET, DAYS[:-1], closes), fixing], ignore_index=True)
    judged = judge(frame, limits, MARKET, series["usdclp_fixing"])
    assert judged["withdrawn_at"].iloc[200] == late


def test_a_reference_that_is_itself_withdrawn_judges_nobody(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    close = walk(len(DAYS) - 1)
    wrong = close.copy()
    wrong[200] /= 100
    frame = pd.concat(
        [observations(MARKET, DAYS[:-1], close), observations(series["usdclp_fixing"], DAYS[1:], wrong)],
        ignore_index=True,
    )
    judged = judge(frame, limits, MARKET, series["usdclp_fixing"])
    assert judged.loc[judged["rule"].notna(), "series"].to_list() == ["usdclp_fixing"]


def test_the_newest_reference_known_on_arrival_decides(limits: QualitySettings, series: dict[str, SeriesSpec]) -> None:
    close = walk(len(DAYS) - 1)
    fixing = observations(series["usdclp_fixing"], DAYS[1:], close)
    first = fixing.iloc[[200]].assign(
        value=lambda row: row["value"] * 1.03, available_at=lambda row: row["available_at"] - pd.Timedelta(hours=2)
    )
    frame = pd.concat([observations(MARKET, DAYS[:-1], close), first, fixing], ignore_index=True)
    assert "usdclp_market" not in set(
        judge(frame, limits, MARKET, series["usdclp_fixing"]).dropna(subset="rule")["series"]
    )


def test_a_series_older_than_its_calendar_is_refused_on_weekends_only(limits: QualitySettings) -> None:
    days = np.arange(np.datetime64("1990-01-01"), np.datetime64("1990-02-01"))
    known = days.astype("datetime64[us]") + np.timedelta64(22, "h")
    frame = observations(QUIET, days, np.linspace(300, 305, len(days)), available=known)
    weekends = {str(day) for day in days[~np.is_busday(days)]}
    assert set(withdrawn(judge(frame, limits))) == weekends
    with_reference = MARKET.model_copy(update={"reference": ReferenceSeries(series=QUIET.id, shift_business_days=1)})
    assert set(withdrawn(judge(frame, limits, with_reference))) == weekends


def test_an_empty_frame_is_judged_to_an_empty_frame(limits: QualitySettings) -> None:
    judged = judge(observations(QUIET, [], []), limits)
    assert len(judged) == 0
    assert str(judged["withdrawn_at"].dtype) == "datetime64[ns, UTC]"


@pytest.mark.capability("L18")
def test_what_cannot_be_judged_is_refused_by_name_not_passed(limits: QualitySettings) -> None:
    frame = observations(QUIET, DAYS[:3], [800, 801, 802])
    with pytest.raises(DataError, match="retrieved_at"):
        judge(frame.drop(columns="retrieved_at"), limits)
    with pytest.raises(DataError, match="usdclp_market"):
        apply_quality(frame, {}, limits, now=NOW)
    with pytest.raises(DataError, match="available_at"):
        judge(frame.assign(available_at=pd.NaT), limits)
    with pytest.raises(DataError, match="time zone"):
        judge(frame.assign(event_time=frame["event_time"].dt.tz_localize(None)), limits)
    with pytest.raises(ValidationError, match="time zone"):
        judge(frame, limits, now=dt.datetime(2025, 1, 1))


def test_every_rule_is_described() -> None:
    assert all(RULES.values())
