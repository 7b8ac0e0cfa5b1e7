"""The hand-over of regimes to the intervals: learned on the past, used on evidence, refused with numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forex_assets.forecasting.ensemble.calibration import CalibrationConfig
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.regime_factors import PREFIX, RegimeFactors, in_use, learn_by_regime
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import FORECAST, INTERVAL_CALIBRATION
from forex_assets_tests.evaluation.worlds import backtest, bars, walk

CONFIG = CalibrationConfig(prior_tenors=20.0, min_tenors=5.0)
STAMPS = {"config_hash": "c", "data_hash": "d", "code_version": "v"}
HIGH = PREFIX + "HIGH_VOL"


def world(seed: int, scale: float, days: int = 4_000) -> tuple[pd.DataFrame, dict[np.datetime64, str]]:
    """A walk whose moves are ``scale`` times as large in stretches of HIGH_VOL, and forecasts that know nothing of it.

    A tenor may begin inside a stretch and end outside it, so the errors of HIGH_VOL are a little less than ``scale``.
    """
    rng = np.random.default_rng(seed)
    dates, _ = walk(days, seed=0)
    loud = np.zeros(days, dtype=bool)
    for start in rng.choice(days - 60, days // 160, replace=False):
        loud[start : start + 40] = True
    values = 900.0 + np.cumsum(rng.normal(0.0, 3.0, days) * np.where(np.roll(loud, 1), scale, 1.0))
    rows = backtest(dates, values, 7, sigma=3.0)
    labels = {day: "HIGH_VOL" if high else "NORMAL" for day, high in zip(dates, loud, strict=True)}
    return rows, labels


def newest(learned: pd.DataFrame, condition: str = HIGH) -> pd.Series:
    return learned.loc[learned["condition"] == condition].sort_values("valid_from").iloc[-1]


@pytest.mark.capability("B07", "B08", "K12")
def test_a_regime_whose_errors_are_larger_gets_a_wider_interval_and_one_whose_are_smaller_a_narrower() -> None:
    for scale, wider in ((1.6, True), (0.6, False)):
        rows, labels = world(1, scale)
        learned = learn_by_regime(rows, labels, model="random_walk", config=CONFIG)
        INTERVAL_CALIBRATION.conform(learned.assign(**STAMPS))
        found = newest(learned)
        assert found["used"]
        assert found["reason"].startswith("used: interval score ratio 0.")
        for side in ("factor_lower", "factor_upper"):
            assert (found[side] > 1.2) if wider else (found[side] < 0.9)
        before, after = (abs(found[f"coverage_95_{when}"] - 0.95) for when in ("before", "after"))
        assert after < before


@pytest.mark.capability("B08", "K12")
def test_where_the_regime_changes_nothing_the_factor_is_refused_with_its_numbers() -> None:
    used = []
    for seed in range(24):
        found = newest(learn_by_regime(*world(seed, 1.0, 3_000), model="random_walk", config=CONFIG))
        used.append(bool(found["used"]))
        assert "interval score ratio" in found["reason"] or "tenors of evidence" in found["reason"]
        assert 0.75 < found["factor_lower"] < 1.35
    assert sum(used) <= 5, f"{sum(used)} of 24 worlds without any effect had a factor accepted"


@pytest.mark.capability("J11", "K12")
def test_factors_rest_on_what_had_matured_and_each_row_stays_what_it_was() -> None:
    rows, labels = world(3, 1.6)
    whole = learn_by_regime(rows, labels, model="random_walk", config=CONFIG)
    assert (whole["learned_through"] < whole["valid_from"]).all()
    cut = pd.Timestamp("2014-06-30")
    known = rows.loc[rows["as_of"] <= cut].copy()
    late = known["matured_on"] > cut
    known.loc[late, "actual"], known.loc[late, "matured_on"] = np.nan, pd.NaT
    earlier = learn_by_regime(known, labels, model="random_walk", config=CONFIG)
    same = whole.loc[whole["valid_from"] <= cut].reset_index(drop=True)
    pd.testing.assert_frame_equal(earlier.reset_index(drop=True), same)


def learned_rows(used: bool, valid_from: str = "2012-01-01") -> pd.DataFrame:
    row = {
        "horizon": 7, "model": "random_walk", "condition": HIGH, "used": used,
        "valid_from": pd.Timestamp(valid_from), "factor_lower": 1.5, "factor_upper": 2.0,
    }  # fmt: skip
    return pd.DataFrame([row])


@pytest.mark.capability("B07", "B08")
def test_a_forecast_is_conditioned_on_its_own_day_and_says_by_how_much() -> None:
    from forex_assets.clock import calendar_for

    dates, values = walk(1_500, seed=6)
    history = PriceHistory.from_bars(bars(dates, values), calendar_for("CL"))
    days = dates[-3:]
    labels = {days[0]: "HIGH_VOL", days[1]: "NORMAL"}  # the third is unknown
    factors = RegimeFactors(labels, learned_rows(used=True, valid_from="2005-06-01"))
    plain, conditioned = (
        make_forecast(history, days, 7, ["random_walk", "rw_ewma"], "random_walk", regime_factors=given).set_index(
            ["as_of", "model", "step"]
        )
        for given in (None, factors)
    )
    FORECAST.conform(conditioned.reset_index().assign(**STAMPS))
    assert plain["regime"].isna().all()
    assert (plain["regime_lower"] == 1.0).all()
    first = conditioned.xs((pd.Timestamp(days[0]), "random_walk"), level=(0, 1))
    before = plain.xs((pd.Timestamp(days[0]), "random_walk"), level=(0, 1))
    assert set(first["regime"]) == {"HIGH_VOL"}
    np.testing.assert_allclose(np.log(first["q975"] / first["q500"]), 2.0 * np.log(before["q975"] / before["q500"]))
    np.testing.assert_allclose(np.log(first["q025"] / first["q500"]), 1.5 * np.log(before["q025"] / before["q500"]))
    rest = conditioned.index.get_level_values(0) != pd.Timestamp(days[0])
    other_model = conditioned.index.get_level_values(1) == "rw_ewma"
    pd.testing.assert_frame_equal(conditioned[rest | other_model], plain[rest | other_model])


@pytest.mark.capability("B08")
@pytest.mark.parametrize("rows", [learned_rows(used=False), learned_rows(used=True, valid_from="2030-01-01")])
def test_refused_and_future_factors_change_nothing(rows: pd.DataFrame) -> None:
    day = np.array(["2020-03-02"], dtype="datetime64[D]")
    found = RegimeFactors({day[0]: "HIGH_VOL"}, rows).on("random_walk", 7, day)
    assert not found.changes
    assert found.lower.tolist() == found.upper.tolist() == [1.0]
    assert (in_use(rows) is None) == (not rows["used"].any())
    assert in_use(None) is None


def test_without_matured_errors_or_regimes_there_are_no_rows() -> None:
    rows, labels = world(2, 1.0, 900)
    assert learn_by_regime(rows, {}, model="random_walk", config=CONFIG).empty
    assert learn_by_regime(rows, labels, model="absent", config=CONFIG).empty
    assert set(rows.columns) >= set(QUANTILE_COLUMNS)
