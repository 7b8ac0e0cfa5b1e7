"""Models: arithmetic of the yardstick, units, batch independence, and what each interval option is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.contract import OriginRandom, Parameter, QuantilePaths, check_paths
from forex_assets.forecasting.ensemble.members import MEMBERS
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import (
    ModelChoice,
    bulk_model_names,
    get_model,
    model_names,
    resolve_parameters,
)
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.settings import load_settings
from forex_assets.simulation.worlds import garch_t_world, random_walk_world
from forex_assets_tests.forecasting.conftest import LAST_DAY, MODELS, history_of

Q = list(QUANTILE_COLUMNS)
HORIZONS = [7, 15, 30, 90]


def coverage(rows: pd.DataFrame, low: str = "q025", high: str = "q975") -> pd.Series:
    done = rows.dropna(subset=["actual"])
    inside = (done["actual"] >= done[low]) & (done["actual"] <= done[high])
    return inside.groupby(done["model"]).mean()


def test_the_yardstick_is_the_last_value_and_sigma_60_times_root_steps(fixing_history: PriceHistory) -> None:
    rows = run_backtest(
        fixing_history, horizon_days=30, models=["random_walk"], start="2024-01-02", as_of=LAST_DAY
    ).set_index("as_of")
    for day in rows.index[::37]:
        row = rows.loc[day]
        known = fixing_history.event_date <= np.datetime64(row["last_event_date"], "D")
        value = fixing_history.value[known]
        sigma = np.diff(np.log(value))[-60:].std(ddof=1)
        assert row["last_value"] == value[-1]
        assert row["mean"] == pytest.approx(value[-1], rel=1e-12)
        from scipy import stats

        expected = value[-1] * np.exp(stats.norm.ppf(QUANTILE_LEVELS) * sigma * np.sqrt(row["steps"]))
        np.testing.assert_allclose(row[Q].to_numpy(dtype=float), expected, rtol=1e-8)


@pytest.mark.capability("J09")
@pytest.mark.parametrize("model", MODELS)
def test_the_95_interval_at_7_days_is_in_price_units_and_cumulated_over_the_horizon(
    fixing_history: PriceHistory, model: str
) -> None:
    rows = run_backtest(fixing_history, horizon_days=7, models=[model], start="2024-06-03", as_of=LAST_DAY)
    returns = pd.Series(
        np.diff(np.log(fixing_history.value)), index=fixing_history.event_date[1:].astype("datetime64[ns]")
    )
    sigma = returns.rolling(60).std().reindex(pd.DatetimeIndex(rows["last_event_date"])).to_numpy()
    ideal = 2 * 1.96 * rows["last_value"] * sigma * np.sqrt(rows["steps"])
    ratio = ((rows["q975"] - rows["q025"]) / ideal).median()
    assert (ratio == pytest.approx(1.0, abs=0.01)) if model == "random_walk" else (0.8 < ratio < 1.5)


@pytest.mark.capability("J08", "B01")
def test_the_width_of_an_ewma_random_walk_is_a_factor_on_its_volatility(fixing_history: PriceHistory) -> None:
    models = [ModelChoice("rw_ewma", {"width": width}, str(width)) for width in (1.0, 0.5)]
    frame = make_forecast(fixing_history, fixing_history.event_date[-1:], 30, models, "0.5").set_index(
        ["step", "model"]
    )
    moves = np.log(frame[Q].div(frame["last_value"], axis=0))
    plain, half = (moves.xs(name, level="model") for name in ("1.0", "0.5"))
    np.testing.assert_allclose(half, 0.5 * plain, rtol=1e-9, atol=1e-12)


def test_t30_widens_95_by_4_2_percent_and_80_by_the_factor_1_310() -> None:
    history = history_of(900 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.006, 400))))
    rows = run_backtest(
        history,
        horizon_days=7,
        models=["random_walk", ModelChoice("random_walk", {"interval": "t30"}, "random_walk_t30")],
        as_of=str(history.event_date[-1]),
    ).set_index(["as_of", "model"])
    move = np.log(rows[Q].div(rows["last_value"], axis=0)).unstack("model")
    factor = move.xs("random_walk_t30", axis=1, level="model") / move.xs("random_walk", axis=1, level="model")
    np.testing.assert_allclose(factor["q975"], 2.042 / 1.960, rtol=1e-3)
    np.testing.assert_allclose(factor["q025"], 1.042, rtol=1e-3)
    np.testing.assert_allclose(factor["q900"], 1.310 / 1.2816, rtol=1e-3)


@pytest.mark.capability("J08", "K10", "K17")
def test_t30_is_no_coverage_repair_but_the_horizons_own_variance_is() -> None:
    world = random_walk_world(3, 6000, average_of=16)
    history = PriceHistory.from_bars(world.bars, world.calendar)
    rows = run_backtest(
        history,
        horizon_days=7,
        models=["random_walk", ModelChoice("random_walk", {"interval": "t30"}, "t30"), "rw_blend"],
        start="2010-01-04",
        as_of=str(history.event_date[-1]),
    )
    share = coverage(rows)
    assert share["random_walk"] < 0.92  # averaged prices: the one-day volatility is too small for seven days
    assert 0.0 < share["t30"] - share["random_walk"] < 0.02
    assert share["t30"] < 0.93
    assert share["rw_blend"] == pytest.approx(0.95, abs=0.012)


@pytest.mark.capability("K17")
def test_interval_scaling_learns_the_averaging_of_the_fixing_from_its_past(fixing_history: PriceHistory) -> None:
    from forex_assets.forecasting.volatility import horizon_variance_factor

    days = np.array(["2018-01-02"], dtype="datetime64[D]")
    group = make_origins(fixing_history, days, 7).groups[0]
    factor = horizon_variance_factor(group.series, group.ends, np.array([[1, 5, 21]]))[0]
    assert factor[0] == 1.0
    assert 1.1 < factor[1] < 1.35
    assert factor[1] < factor[2] < 1.4


@pytest.mark.capability("K11")
def test_empirical_quantiles_keep_the_skew_that_a_gaussian_interval_throws_away() -> None:
    rng = np.random.default_rng(8)
    shock = rng.exponential(1.0, 4000) - 1.0  # falls slowly, rises in jumps
    history = history_of(900 * np.exp(np.cumsum(0.006 * shock)))
    rows = run_backtest(history, horizon_days=7, models=MODELS, start="2020-01-02", as_of=str(history.event_date[-1]))
    move = np.log(rows[["q025", "q500", "q975"]]).assign(model=rows["model"])
    skew = ((move["q975"] - move["q500"]) / (move["q500"] - move["q025"])).groupby(move["model"]).median()
    assert skew["random_walk"] == pytest.approx(1.0)
    assert skew["rw_blend"] == pytest.approx(1.0)
    assert skew["rw_empirical"] > 1.25
    assert skew["champion_zero"] > 1.1


@pytest.mark.capability("K19")
def test_the_desk_gets_the_ensemble_with_the_yardstick_and_the_calibrated_baseline_beside_it() -> None:
    settings_ = load_settings(environ={})
    assert settings_.platform.forecast.active_model == "ensemble"
    assert set(settings_.platform.forecast.models) <= set(model_names())
    assert {"random_walk", "champion_zero", *MEMBERS} <= set(settings_.platform.forecast.models)
    assert get_model("champion_zero").capabilities.bases == ("rw_blend", "rw_empirical")


@pytest.mark.capability("K19")
def test_the_baseline_is_calibrated_on_a_world_with_planted_garch_and_heavy_tails() -> None:
    rows = []
    for seed in range(4):
        world = garch_t_world(100 + seed, 4000)
        history = PriceHistory.from_bars(world.bars, world.calendar)
        rows.append(
            run_backtest(history, horizon_days=7, models=MODELS, start="2009-01-02", as_of=str(history.event_date[-1]))
        )
    every = pd.concat(rows)
    assert coverage(every)["champion_zero"] == pytest.approx(0.95, abs=0.01)
    assert coverage(every, "q100", "q900")["champion_zero"] == pytest.approx(0.80, abs=0.02)


@pytest.mark.capability("J10")
def test_all_models_speak_of_the_same_targets_in_the_same_unit(garch_history: PriceHistory) -> None:
    rows = run_backtest(
        garch_history,
        horizon_days=30,
        models=MODELS,
        start="2008-01-02",
        every=5,
        as_of=str(garch_history.event_date[-1]),
    )
    shared = ["as_of", "target_date", "last_value", "last_event_date", "steps", "actual", "matured_on"]
    first = rows.loc[rows["model"] == MODELS[0], shared].reset_index(drop=True)
    for model in MODELS[1:]:
        pd.testing.assert_frame_equal(rows.loc[rows["model"] == model, shared].reset_index(drop=True), first)
    centre = rows["q500"] / rows["last_value"]
    width = (rows["q975"] - rows["q025"]) / rows["last_value"]
    assert centre.between(0.97, 1.03).all()  # prices, neither returns nor percentages
    assert width.between(0.01, 0.6).all()
    assert (rows["last_event_date"] <= rows["as_of"]).all()
    assert (rows["matured_on"].dropna() > rows.loc[rows["matured_on"].notna(), "as_of"]).all()


@pytest.mark.parametrize("horizon", HORIZONS)
def test_the_last_step_of_a_path_is_the_backtest_row_exactly(garch_history: PriceHistory, horizon: int) -> None:
    last = str(garch_history.event_date[-1])
    rows = run_backtest(garch_history, horizon_days=horizon, models=MODELS, start="2008-01-02", as_of=last)
    from forex_assets.forecasting.calibration import learn

    days = garch_history.calendar.sessions("2014-03-03", "2014-06-27")
    paths = make_forecast(garch_history, days, horizon, MODELS, "champion_zero", learn(rows))
    assert (paths.groupby(["as_of", "model"])["step"].count() == paths.groupby(["as_of", "model"])["step"].max()).all()
    final = paths[paths["is_target"]].set_index(["as_of", "model"])
    again = rows.set_index(["as_of", "model"]).loc[final.index]
    assert (final[["mean", *Q]].to_numpy() == again[["mean", *Q]].to_numpy()).all()
    assert (final["step"].to_numpy() == again["steps"].to_numpy()).all()
    assert (final["step_date"] == final["target_date"]).all()


@pytest.mark.parametrize("model", MODELS)
def test_one_origin_is_what_it_is_among_thousands(garch_history: PriceHistory, model: str) -> None:
    last = str(garch_history.event_date[-1])
    days = garch_history.calendar.sessions("2005-06-01", last)
    many = make_origins(garch_history, days, 30, unusable="drop", min_values=300)
    rng = OriginRandom("planted", 30, model)
    params = resolve_parameters(get_model(model), {})
    whole = get_model(model).predict(garch_history, many, many.steps[:, None], params, rng)
    for position in (0, 17, 1500, len(many) - 1):
        fresh = PriceHistory(
            "planted", garch_history.calendar, garch_history.event_date, garch_history.available_at, garch_history.value
        )
        one = make_origins(fresh, many.as_of[position : position + 1], 30)
        alone = get_model(model).predict(fresh, one, one.steps[:, None], params, rng)
        assert (alone.quantiles[0] == whole.quantiles[position]).all()
        assert (alone.mean[0] == whole.mean[position]).all()


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_batch_composition_and_repeated_or_shuffled_steps_change_nothing(data: st.DataObject) -> None:
    history = history_of(900 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.007, 700))))
    picks = data.draw(st.lists(st.integers(320, 699), min_size=1, max_size=12, unique=True))
    steps = np.array(data.draw(st.lists(st.integers(1, 64), min_size=1, max_size=8)))
    origins = make_origins(history, history.event_date[picks], 30)
    for name in bulk_model_names():
        params, rng = resolve_parameters(get_model(name), {}), OriginRandom("made", 30, name)
        whole = get_model(name).predict(history, origins, np.tile(steps, (len(picks), 1)), params, rng)
        check_paths(name, whole, (len(picks), len(steps)))
        i, k = data.draw(st.integers(0, len(picks) - 1)), data.draw(st.integers(0, len(steps) - 1))
        one = make_origins(history, origins.as_of[i : i + 1], 30)
        alone = get_model(name).predict(history, one, steps[k : k + 1][None, :], params, rng)
        assert (alone.quantiles[0, 0] == whole.quantiles[i, k]).all()


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-5, 1e-3, 0.006, 0.05]),
    st.sampled_from([2, 4]),
    st.integers(1, 120),
)
@settings(max_examples=40, deadline=None)
def test_quantiles_are_positive_and_strictly_increasing_on_any_usable_history(
    seed: int, sigma: float, decimals: int, horizon: int
) -> None:
    rng = np.random.default_rng(seed)
    values = np.round(900 * np.exp(np.cumsum(sigma * rng.standard_t(3, 500))), decimals)
    history = history_of(np.maximum(values, 0.01))
    origins = make_origins(history, history.event_date[320::29], horizon, unusable="drop")
    for name in bulk_model_names():
        paths = get_model(name).predict(
            history,
            origins,
            origins.steps[:, None],
            resolve_parameters(get_model(name), {}),
            OriginRandom("m", 7, name),
        )
        check_paths(name, paths, (len(origins), 1))
        assert (paths.quantiles[..., 0] < paths.mean).all()
        assert (paths.mean < paths.quantiles[..., -1]).all()


def test_a_frozen_rate_that_wakes_up_does_not_set_the_tails_for_years() -> None:
    rng = np.random.default_rng(4)
    calm, awake = rng.normal(0, 1e-6, 600), rng.normal(0, 0.004, 1200)
    history = history_of(8.28 * np.exp(np.cumsum(np.concatenate([calm, awake]))))
    rows = run_backtest(
        history,
        horizon_days=30,
        models=["rw_blend", "rw_empirical"],
        start="2018-06-01",
        as_of=str(history.event_date[-1]),
    )
    width = (rows["q975"] - rows["q025"]).groupby(rows["model"]).median()
    assert width["rw_empirical"] < 2 * width["rw_blend"]


def test_missing_days_do_not_inflate_the_blended_volatility() -> None:
    rng = np.random.default_rng(9)
    whole = history_of(900 * np.exp(np.cumsum(rng.normal(0, 0.006, 2500))))
    kept = np.sort(rng.choice(2500, 2000, replace=False))
    kept[-1] = 2499
    holes = PriceHistory("made", whole.calendar, whole.event_date[kept], whole.available_at[kept], whole.value[kept])
    day, widths = whole.event_date[-1:], {}
    for label, history in (("whole", whole), ("holes", holes)):
        frame = make_forecast(history, day, 30, ["random_walk", "rw_blend"], "rw_blend")
        final = frame[frame["is_target"]].set_index("model")
        widths[label] = final["q975"] - final["q025"]
    assert widths["holes"]["rw_blend"] == pytest.approx(widths["whole"]["rw_blend"], rel=0.1)


# --- wrong answers and wrong questions -------------------------------------------------------------------------------


def test_a_model_that_answers_disordered_quantiles_is_stopped() -> None:
    good = QuantilePaths(np.full((1, 1), 900.0), np.linspace(800, 1000, 13).reshape(1, 1, 13))
    check_paths("made", good, (1, 1))
    for broken in (good.quantiles[..., ::-1], good.quantiles * np.nan, good.quantiles - 900):
        with pytest.raises(DataError, match="strictly increasing"):
            check_paths("made", QuantilePaths(good.mean, broken), (1, 1))
    with pytest.raises(DataError, match="shapes"):
        check_paths("made", good, (2, 1))


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"temperature": 0.8}, "no parameter 'temperature'"),
        ({"interval": "t5"}, r"'t5'; allowed: \['gaussian', 't30'\]"),
    ],
)
def test_an_unknown_parameter_or_value_is_refused(parameters: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match) as caught:
        resolve_parameters(get_model("random_walk"), parameters)
    assert caught.value.remedy


@pytest.mark.parametrize("value", [True, "3", 0, 101, float("nan"), 2.5])
def test_a_numeric_parameter_outside_its_rule_is_refused(value: object) -> None:
    rule = Parameter(20, "samples", low=1, high=100, whole=True)
    assert rule.check("m", "samples", 100) == 100
    with pytest.raises(ValidationError, match="whole number in"):
        rule.check("m", "samples", value)


def test_a_world_without_variance_is_refused() -> None:
    with pytest.raises(ValidationError, match="below 1"):
        garch_t_world(1, 10, reaction=0.2, persistence=0.8)
    with pytest.raises(ValidationError, match="n >= 1"):
        random_walk_world(1, 0)
