"""Width factors: learned from matured errors only, slow, asymmetric, and honest where evidence is thin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.backtest import Backtest, backtest, run_backtest
from forex_assets.forecasting.calibration import (
    MIN_TENORS,
    apply,
    base_quantiles,
    factors_from_frame,
    learn,
    learn_factors,
)
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.levels import MEDIAN_INDEX, QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.schemas import BACKTEST, FORECAST, INTERVAL_CALIBRATION
from forex_assets_tests.forecasting.conftest import LAST_DAY, MODELS

Q = list(QUANTILE_COLUMNS)
PROVENANCE = {"config_hash": "c", "data_hash": "d", "code_version": "v"}


@pytest.fixture(scope="module")
def done(garch_history: PriceHistory) -> Backtest:
    return backtest(
        garch_history, horizon_days=15, models=MODELS, start="2006-01-02", as_of=str(garch_history.event_date[-1])
    )


def planted(lower: float, upper: float, n: int = 4000, horizon: int = 7) -> dict[str, np.ndarray | int]:
    """Errors whose lower tail is ``lower`` and upper tail ``upper`` times as wide as the stated quantiles say."""
    from scipy import stats

    rng = np.random.default_rng(0)
    z = rng.standard_normal(n)
    sigma = rng.uniform(0.01, 0.03, n)
    move = sigma * np.where(z < 0, lower * z, upper * z)
    start = np.datetime64("2008-01-01", "D") + np.arange(n)
    return {
        "horizon_days": horizon,
        "target_date": start + horizon,
        "matured_on": start + horizon,
        "actual": 900 * np.exp(move),
        "quantiles": 900 * np.exp(sigma[:, None] * stats.norm.ppf(QUANTILE_LEVELS)),
        "through": start[-1],
    }


def test_factors_move_towards_the_planted_truth_on_each_side_alone() -> None:
    factors = learn_factors(**planted(0.7, 1.4))  # type: ignore[arg-type]
    assert factors.lower[-1] < 0.9
    assert factors.upper[-1] > 1.15
    assert factors.shares["tail_high_after"][-1] < factors.shares["tail_high_before"][-1]
    assert factors.shares["tail_low_after"][-1] > factors.shares["tail_low_before"][-1]
    # slow: never beyond the truth, and growing with the evidence
    assert (factors.upper <= 1.45).all()
    assert factors.upper[12] < factors.upper[-1]


def test_factors_stay_near_one_where_the_intervals_are_right() -> None:
    factors = learn_factors(**planted(1.0, 1.0))  # type: ignore[arg-type]
    assert np.abs(factors.lower - 1).max() < 0.05
    assert np.abs(factors.upper - 1).max() < 0.05


def test_thin_evidence_leaves_the_factor_at_one_and_says_so() -> None:
    factors = learn_factors(**planted(0.5, 2.0, n=600, horizon=90))  # type: ignore[arg-type]
    thin = factors.n_effective < MIN_TENORS
    assert thin.any()
    assert (factors.lower[thin] == 1).all()
    assert (factors.upper[thin] == 1).all()
    assert (factors.n[thin] >= factors.n_effective[thin]).all()
    assert factors.n[thin][-1] > 10 * factors.n_effective[thin][-1]


@pytest.mark.capability("J08")
def test_every_row_is_learned_from_errors_matured_before_it_and_carries_its_n(done: Backtest) -> None:
    factors = INTERVAL_CALIBRATION.conform(done.calibration.assign(**PROVENANCE))
    assert (factors["learned_through"] < factors["valid_from"]).all()
    assert (factors["valid_from"].dt.day == 1).all()
    assert (factors["n"] > 0).all()
    assert (factors["n_effective"] <= factors["n"]).all()
    rows = done.rows[done.rows["model"] == "champion_zero"]
    for row in factors.iloc[[0, 40, -1]].itertuples():
        since = row.valid_from - pd.DateOffset(years=10)
        used = rows[(rows["matured_on"] < row.valid_from) & (rows["matured_on"] >= since)]
        assert row.n == len(used)
        assert row.learned_through == used["matured_on"].max()


def test_factors_learned_from_stored_rows_are_those_the_backtest_used(done: Backtest) -> None:
    pd.testing.assert_frame_equal(learn(done.rows), done.calibration)


def test_champion_zero_rows_are_its_base_with_the_factors_valid_at_each_origin(done: Backtest) -> None:
    champion = done.rows[done.rows["model"] == "champion_zero"].reset_index(drop=True)
    base = base_quantiles(done.rows, "champion_zero")
    blend, empirical = (
        done.rows.loc[done.rows["model"] == name, Q].to_numpy() for name in ("rw_blend", "rw_empirical")
    )
    np.testing.assert_allclose(base[Q].to_numpy(), (blend + empirical) / 2, rtol=1e-14)
    days = champion["as_of"].to_numpy().astype("datetime64[D]")
    lower, upper, since = factors_from_frame(done.calibration, "champion_zero", 15).at(days)
    assert (apply(base[Q].to_numpy(), lower, upper) == champion[Q].to_numpy()).all()
    assert (np.isnat(since) | (since <= days)).all()
    assert (lower != 1).any()


def test_a_forecast_uses_the_row_valid_by_its_day_and_shows_which(garch_history: PriceHistory, done: Backtest) -> None:
    days = np.array(["2012-05-31", "2012-06-01", "2012-06-29"], dtype="datetime64[D]")
    frame = make_forecast(garch_history, days, 15, MODELS, "champion_zero", done.calibration)
    FORECAST.conform(frame.assign(**PROVENANCE))
    champion = frame[frame["model"] == "champion_zero"].groupby("as_of")["calibrated_from"].first()
    assert list(champion.astype(str)) == ["2012-05-01", "2012-06-01", "2012-06-01"]
    assert frame.loc[frame["model"] != "champion_zero", "calibrated_from"].isna().all()
    assert set(frame.loc[frame["is_active"], "model"]) == {"champion_zero"}


@pytest.mark.parametrize("calibration", ["none", "empty", "later"])
def test_an_uncalibrated_forecast_is_visible(garch_history: PriceHistory, done: Backtest, calibration: str) -> None:
    given_ = {
        "none": None,
        "empty": done.calibration.iloc[:0],
        "later": done.calibration[done.calibration["valid_from"] > "2014-01-01"],
    }[calibration]
    frame = make_forecast(garch_history, "2013-01-02", 15, MODELS, "champion_zero", given_)
    assert frame["calibrated_from"].isna().all()
    final = frame[frame["is_target"]].set_index("model")[Q]
    np.testing.assert_allclose(
        final.loc["champion_zero"], (final.loc["rw_blend"] + final.loc["rw_empirical"]) / 2, rtol=1e-14
    )


@given(st.floats(0.5, 2.0), st.floats(0.5, 2.0), st.lists(st.floats(0.001, 0.05), min_size=13, max_size=13))
@settings(max_examples=60, deadline=None)
def test_applied_factors_keep_order_sign_and_median(lower: float, upper: float, gaps: list[float]) -> None:
    q = 900 * np.exp(np.cumsum(gaps) - np.cumsum(gaps)[MEDIAN_INDEX])
    wide = apply(q, lower, upper)
    assert (np.diff(wide) > 0).all()
    assert (wide > 0).all()
    assert wide[MEDIAN_INDEX] == pytest.approx(q[MEDIAN_INDEX])
    np.testing.assert_allclose(
        np.log(wide / q[MEDIAN_INDEX])[:6], lower * np.log(q / q[MEDIAN_INDEX])[:6], rtol=1e-9, atol=1e-12
    )
    assert (apply(q, 1.0, 1.0) == q).all()


def test_learning_needs_the_base_models_rows_of_one_pair(done: Backtest) -> None:
    with pytest.raises(DataError, match="'rw_blend' has none"):
        learn(done.rows[done.rows["model"] == "champion_zero"])
    with pytest.raises(DataError, match="exactly one pair"):
        learn(pd.concat([done.rows, done.rows.assign(pair="other")]))


def test_factors_can_be_learned_for_an_uncalibrated_model_and_for_many_horizons(garch_history: PriceHistory) -> None:
    last = str(garch_history.event_date[-1])
    rows = pd.concat(
        [
            run_backtest(garch_history, horizon_days=h, models=MODELS, start="2010-01-04", every=3, as_of=last)
            for h in (7, 30)
        ]
    )
    factors = learn(rows, model="random_walk")
    assert sorted(factors["horizon"].unique()) == [7, 30]
    assert not factors.duplicated(["horizon", "valid_from"]).any()
    assert (factors["model"] == "random_walk").all()


def test_rows_follow_the_declared_table_and_key(fixing_history: PriceHistory) -> None:
    rows = run_backtest(fixing_history, horizon_days=90, models=MODELS, start="2024-01-02", as_of=LAST_DAY)
    BACKTEST.conform(rows.assign(**PROVENANCE))
    assert rows.attrs["dropped"] == {}
    recent = rows["target_date"] > pd.Timestamp(LAST_DAY)
    assert rows.loc[recent, "actual"].isna().all()
    assert rows.loc[~recent, "actual"].notna().all()


def test_spacing_takes_every_nth_session(fixing_history: PriceHistory) -> None:
    every = {
        n: run_backtest(
            fixing_history, horizon_days=7, models=["random_walk"], start="2024-01-02", as_of=LAST_DAY, every=n
        )
        for n in (1, 5)
    }
    pd.testing.assert_frame_equal(every[1].iloc[::5].reset_index(drop=True), every[5])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"every": 0}, ValidationError, "every=0"),
        ({"every": True}, ValidationError, "every=True"),
        ({"start": "2026-01-02"}, ValidationError, "after its last possible origin"),
        ({"models": []}, ValidationError, "No model"),
        ({"models": ["random_walk", "random_walk"]}, ValidationError, "more than once"),
        ({"models": ["random_wlak"]}, ValidationError, "did you mean 'random_walk'"),
        ({"horizon_days": 0}, ValidationError, "0"),
        ({"start": "2000-01-03", "end": "2000-02-01"}, DataError, "too_short"),
    ],
)
def test_a_wrong_backtest_is_refused(
    fixing_history: PriceHistory, change: dict[str, object], error: type[Exception], match: str
) -> None:
    arguments = {"horizon_days": 7, "models": ["random_walk"], "start": "2024-01-02", "as_of": LAST_DAY} | change
    with pytest.raises(error, match=match):
        run_backtest(fixing_history, **arguments)  # type: ignore[arg-type]


def test_a_forecast_needs_its_active_model_and_usable_days(garch_history: PriceHistory) -> None:
    with pytest.raises(ValidationError, match="active model"):
        make_forecast(garch_history, "2013-01-02", 7, ["random_walk"], "champion_zero")
    days = ["2004-02-02", "2013-01-02"]
    with pytest.raises(DataError, match="2004-02-02"):
        make_forecast(garch_history, days, 7, ["random_walk"], "random_walk")
    frame = make_forecast(garch_history, days, 7, ["random_walk"], "random_walk", unusable="drop")
    assert frame.attrs["dropped"] == {"too_short": 1}
    assert len(make_forecast(garch_history, days[:1], 7, ["random_walk"], "random_walk", unusable="drop")) == 0
