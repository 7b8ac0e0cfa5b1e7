"""Models of a backtest side by side: figures of plain computations, planted differences found, slices that add up."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from forex_assets.errors import DataError
from forex_assets.evaluation.compare import compare_models, naive_scale, reliability
from forex_assets.evaluation.grid import ScoreGrid, score_grid
from forex_assets.evaluation.slices import (
    KnownSeries,
    calendar_labels,
    meeting_labels,
    performance_slices,
    shock_labels,
    volatility_regimes,
)
from forex_assets.levels import QUANTILE_LEVELS
from forex_assets.schemas.evidence import MODEL_COMPARISON, PERFORMANCE_SLICES, RELIABILITY
from forex_assets_tests.evaluation.worlds import backtest, walk

MODELS = {"random_walk": (1.0, 0.0), "narrow": (0.4, 0.0), "nearly": (1.02, 0.0), "biased": (1.0, 0.8)}
DATES, VALUES = walk(1_700, seed=33)
STAMPS = {"config_hash": "c", "data_hash": "d", "code_version": "v"}
AS_OF = DATES[-1]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return backtest(DATES, VALUES, 7, models=MODELS)


@pytest.fixture(scope="module")
def grid(rows: pd.DataFrame) -> ScoreGrid:
    return score_grid(rows)


@pytest.fixture(scope="module")
def compared(grid: ScoreGrid) -> pd.DataFrame:
    found = compare_models(grid, as_of=AS_OF, active_model="nearly")
    MODEL_COMPARISON.conform(found.assign(**STAMPS))
    return found.set_index("model")


@pytest.mark.capability("K04", "K05")
def test_planted_models_are_told_from_the_random_walk_and_an_equal_one_is_not(compared: pd.DataFrame) -> None:
    assert compared.loc["narrow", "verdict"] == "worse"
    assert compared.loc["narrow", "e_better"] < 1
    assert compared.loc["biased", "dm_crps_p_adjusted"] < 0.01
    assert compared.loc["biased", "dm_crps"] > 0
    assert compared.loc["nearly", "verdict"] == "undecided"
    assert compared.loc["nearly", "mcs_crps_p"] > 0.1 > compared.loc["narrow", "mcs_crps_p"]
    assert (compared["spa_crps_p"] > 0.1).all()
    assert (compared["trials"] == 3).all()
    assert compared["is_active"].tolist() == [False, False, False, True]


def test_figures_are_those_of_a_plain_computation(rows: pd.DataFrame, compared: pd.DataFrame) -> None:
    known = rows.dropna(subset=["actual"])
    by_model = {name: frame.set_index("as_of") for name, frame in known.groupby("model")}
    walk_error = by_model["random_walk"]["mean"] - by_model["random_walk"]["actual"]
    error = by_model["biased"]["mean"] - by_model["biased"]["actual"]
    assert compared.loc["biased", "theil_u"] == pytest.approx(math.sqrt((error**2).mean() / (walk_error**2).mean()))
    narrow = by_model["narrow"]
    covered = ((narrow["actual"] >= narrow["q025"]) & (narrow["actual"] <= narrow["q975"])).mean()
    inner = ((narrow["actual"] >= narrow["q100"]) & (narrow["actual"] <= narrow["q900"])).mean()
    assert compared.loc["narrow", "coverage_error"] == pytest.approx((abs(covered - 0.95) + abs(inner - 0.8)) / 2)
    assert compared.loc["random_walk", "crps_ratio"] == 1.0


@pytest.mark.capability("K04")
def test_the_scale_of_absolute_errors_knows_no_outcome_after_the_origin(rows: pd.DataFrame, grid: ScoreGrid) -> None:
    scale = naive_scale(grid)
    place = 400
    cut = score_grid(rows[rows["matured_on"] <= pd.Timestamp(grid.origins[place])])
    assert np.isnan(scale[:5]).all()
    naive = np.abs(cut.actual - cut.last_value)
    assert scale[place] == pytest.approx(naive.mean())


@pytest.mark.capability("K04")
def test_scaled_errors_do_not_follow_volatility_where_plain_ones_do() -> None:
    calm_dates, calm = walk(1_500, seed=1)
    wild = 900.0 + (calm - 900.0) * 3.0
    plain = [score_grid(backtest(calm_dates, v, 7, sigma=5.4 * f)) for v, f in ((calm, 1.0), (wild, 3.0))]
    table = [compare_models(g, as_of=AS_OF, active_model="random_walk").iloc[0] for g in plain]
    assert table[1]["crps"] == pytest.approx(3 * table[0]["crps"])
    assert table[1]["mase"] == pytest.approx(table[0]["mase"])


def test_without_the_random_walk_nothing_is_compared_with_it(rows: pd.DataFrame) -> None:
    alone = score_grid(rows[rows["model"] != "random_walk"])
    found = compare_models(alone, as_of=AS_OF, active_model="nearly")
    assert found[["crps_ratio", "dm_crps", "spa_crps_p"]].isna().all().all()
    assert found["mcs_crps_p"].max() == 1.0
    assert (found["verdict"] == "undecided").all()


def test_models_with_different_origins_are_compared_where_both_have_one(rows: pd.DataFrame) -> None:
    late = rows[(rows["model"] != "nearly") | (rows["as_of"] > pd.Timestamp(DATES[900]))]
    found = compare_models(score_grid(late), as_of=AS_OF, active_model="nearly").set_index("model")
    both = rows[rows["as_of"] > pd.Timestamp(DATES[900])]
    expected = compare_models(score_grid(both), as_of=AS_OF, active_model="nearly").set_index("model")
    assert found.loc["nearly", "crps_ratio"] == pytest.approx(expected.loc["nearly", "crps_ratio"])
    assert found.loc["nearly", "n"] < found.loc["narrow", "n"]


def test_later_rows_change_nothing_known_before(rows: pd.DataFrame) -> None:
    cut = DATES[1_200]
    early = score_grid(rows, as_of=cut)
    known = rows[rows["matured_on"] <= pd.Timestamp(cut)]
    pd.testing.assert_frame_equal(
        compare_models(early, as_of=cut, active_model="nearly"),
        compare_models(score_grid(known), as_of=cut, active_model="nearly"),
    )


def test_rows_that_cannot_be_compared_are_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="has matured"):
        score_grid(rows[rows["actual"].isna()])
    with pytest.raises(DataError, match="are mixed"):
        score_grid(pd.concat([rows, rows.assign(horizon=15)]))
    with pytest.raises(DataError, match="stand twice"):
        score_grid(pd.concat([rows, rows.tail(40).head(3)]).dropna(subset=["actual"]).pipe(lambda f: pd.concat([f, f])))


def test_reliability_says_how_often_outcomes_lay_below_each_quantile(rows: pd.DataFrame, grid: ScoreGrid) -> None:
    found = reliability(grid, as_of=AS_OF, active_model="nearly")
    RELIABILITY.conform(found.assign(**STAMPS))
    assert len(found) == len(MODELS) * len(QUANTILE_LEVELS)
    narrow = rows[(rows["model"] == "narrow") & rows["actual"].notna()]
    cell = found[(found["model"] == "narrow") & (found["level"] == 0.025)].iloc[0]
    assert cell["share_below"] == pytest.approx((narrow["actual"] <= narrow["q025"]).mean())
    right = found[found["model"] == "random_walk"]
    assert ((right["share_below_low"] <= right["level"]) & (right["level"] <= right["share_below_high"])).all()
    assert cell["share_below_low"] > 0.025


def test_every_slice_adds_up_to_all_forecasts(grid: ScoreGrid) -> None:
    labels = calendar_labels(grid)
    found = performance_slices(grid, labels, as_of=AS_OF, active_model="nearly")
    PERFORMANCE_SLICES.conform(found.assign(**STAMPS))
    totals = found.groupby(["slice", "model"])["n"].sum()
    assert (totals == len(grid.origins)).all()
    monday = found[(found["slice"] == "weekday") & (found["value"] == "Mon") & (found["model"] == "narrow")].iloc[0]
    at = np.flatnonzero(pd.DatetimeIndex(grid.origins).dayofweek == 0)
    column = grid.models.index("narrow")
    assert monday["coverage_95"] == pytest.approx(grid.scores["covered_95"][at, column].mean())
    assert monday["coverage_95_low"] < monday["coverage_95"] < monday["coverage_95_high"]
    expected = grid.scores["crps"][at, column].mean() / grid.scores["crps"][at, 0].mean()
    assert monday["crps_ratio"] == pytest.approx(expected)


def known(values: np.ndarray) -> KnownSeries:
    days = DATES[: len(values)]
    return KnownSeries(days, days.astype("datetime64[us]") + np.timedelta64(21, "h"), values)


def ends(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[us]") + np.timedelta64(23, "h")


def test_a_planted_storm_is_turbulent_and_what_comes_later_changes_no_state() -> None:
    rng = np.random.default_rng(2)
    sigma = np.full(1_500, 0.004)
    sigma[1_000:1_100] = 0.02
    prices = 900.0 * np.exp(np.cumsum(sigma * rng.normal(size=1_500)))
    states = volatility_regimes(known(prices), ends(DATES[:1_500]))
    assert (states[:270] == "unknown").all()
    assert (states[1_025:1_095] == "turbulent").all()
    changed = prices.copy()
    changed[1_050:] *= np.exp(np.cumsum(rng.normal(0, 0.05, 450)))
    np.testing.assert_array_equal(volatility_regimes(known(changed), ends(DATES[:1_500]))[:1_050], states[:1_050])
    assert (volatility_regimes(known(prices[:100]), ends(DATES[:100])) == "unknown").all()


def test_a_meeting_in_the_life_of_a_forecast_is_one_the_market_answers_after_its_last_value() -> None:
    day = np.array(["2024-01-05", "2024-01-08", "2024-01-09", "2010-01-04"], dtype="datetime64[D]")
    target = np.array(["2024-01-09", "2024-01-10", "2024-01-16", "2010-01-11"], dtype="datetime64[D]")
    reactions = np.array(["2023-12-20", "2024-01-09", "2024-02-01"], dtype="datetime64[D]")
    assert meeting_labels(day, target, reactions).tolist() == ["in_life", "in_life", "none", "unknown"]
    assert meeting_labels(day, target, reactions[:0]).tolist() == ["unknown"] * 4


def test_a_shock_is_five_known_days_of_the_driver() -> None:
    copper = np.full(60, 4.0)
    copper[30:] = 4.4
    copper[40:] = 4.0
    found = shock_labels(known(copper), ends(DATES[:60]))
    assert (found[:5] == "unknown").all()
    assert (found[30:35] == "up").all()
    assert (found[40:45] == "down").all()
    assert (found[5:30] == "none").all()
    assert (found[35:40] == "none").all()
    early = shock_labels(known(copper), DATES[:60].astype("datetime64[us]"))  # before the day's value is known
    assert early[30] == "none"
    assert early[31] == "up"
