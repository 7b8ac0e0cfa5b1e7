"""Theta, ETS, ARIMA, VAR, boosting, classic ensemble: parity with the libraries, planted truth, point in time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from forex_assets.clock import calendar_for
from forex_assets.errors import DataError
from forex_assets.forecasting.contract import OriginRandom, QuantilePaths, check_paths
from forex_assets.forecasting.drivers import DriverHistory, aligned_driver
from forex_assets.forecasting.features import FEATURES, PRICE, UNAVAILABLE, build_features
from forex_assets.forecasting.models._refitted import View, fit_ends
from forex_assets.forecasting.models.arima import Arma, arma_path, choose_arma
from forex_assets.forecasting.models.classic_ensemble import TABLE, ClassicEnsemble, row_of
from forex_assets.forecasting.models.ets import Ets
from forex_assets.forecasting.models.gbm import training_rows
from forex_assets.forecasting.models.theta import Theta
from forex_assets.forecasting.models.var import driver_changes
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import bulk_model_names, get_model, model_names, resolve_parameters
from forex_assets.forecasting.volatility import blended_sigma
from forex_assets.levels import MEDIAN_INDEX
from forex_assets_tests.forecasting.conftest import history_of

MODELS = ("theta", "ets", "auto_arima", "var", "gbm_quantile", "classic_ensemble")
FAST: dict[str, dict[str, Any]] = {
    "gbm_quantile": {"trees": 8},
    "classic_ensemble": {"trees": 20},
    "ets": {"window": 120},
    "theta": {"window": 120},
}
N = 1300
SIGMA = 0.006


def with_drivers(history: PriceHistory, leads: float = 0.0, seed: int = 3) -> PriceHistory:
    """Add copper, dollar index and rates, each known a day after its date; copper's change leads the price's."""
    rng = np.random.default_rng(seed)
    n = len(history)
    copper_move = rng.normal(0, 0.01, n)
    if leads:
        copper_move[:-1] = leads * np.diff(np.log(history.value)) + copper_move[:-1]
    late = history.available_at - np.timedelta64(1, "h")

    def made(name: str, values: np.ndarray) -> DriverHistory:
        return DriverHistory(name, history.calendar, history.event_date, late, values)

    return history.with_drivers(
        {
            "copper_comex": made("copper_comex", 4 * np.exp(np.cumsum(copper_move))),
            "dxy": made("dxy", 100 * np.exp(np.cumsum(rng.normal(0, 0.004, n)))),
            "tpm": made("tpm", 5 + np.round(np.cumsum(rng.normal(0, 0.02, n)), 2)),
            "fed_funds": made("fed_funds", 2 + np.cumsum(rng.normal(0, 0.01, n))),
            "vix": made("vix", 18 * np.exp(rng.normal(0, 0.2, n))),
        }
    )


def walk(seed: int = 1, n: int = N, sigma: float = SIGMA) -> PriceHistory:
    return history_of(900 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, sigma, n))))


@pytest.fixture(scope="module")
def history() -> PriceHistory:
    return with_drivers(walk())


def predict(
    model: str, history: PriceHistory, days: Any, steps: Any, horizon: int = 15, **params: Any
) -> QuantilePaths:
    made = get_model(model)
    origins = make_origins(history, np.asarray(days, dtype="datetime64[D]"), horizon)
    resolved = resolve_parameters(made, {**FAST.get(model, {}), **params})
    paths = made.predict(history, origins, np.asarray(steps), resolved, OriginRandom(history.pair, horizon, model))
    return check_paths(model, paths, np.asarray(steps).shape)


def test_challengers_are_registered_but_are_no_bulk_models() -> None:
    assert set(MODELS) < set(model_names())
    assert not set(MODELS) & set(bulk_model_names())


@pytest.mark.parametrize("model", MODELS)
def test_one_origin_gives_what_it_gives_among_many(model: str, history: PriceHistory) -> None:
    days = history.event_date[1180:1290:17]
    steps = np.tile([11, 3, 21], (len(days), 1))
    whole = predict(model, history, days, steps)
    fresh = with_drivers(walk())
    for i in (0, len(days) - 1):
        alone = predict(model, fresh, days[i : i + 1], steps[i : i + 1, :1])
        np.testing.assert_array_equal(alone.quantiles[0, 0], whole.quantiles[i, 0])
        np.testing.assert_array_equal(alone.mean[0, 0], whole.mean[i, 0])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.capability("J10")
def test_what_becomes_known_later_changes_nothing(model: str, history: PriceHistory) -> None:
    """The canary: every price and driver after the origin is another, contemporaneous ones of the target included."""
    t = 1200
    rng = np.random.default_rng(9)

    def changed(values: np.ndarray) -> np.ndarray:
        out = values.copy()
        out[t + 1 :] *= np.exp(rng.normal(0, 0.05, len(values) - t - 1))
        return out

    drivers = {
        name: DriverHistory(name, one.calendar, one.event_date, one.available_at, changed(one.value))
        for name, one in history.drivers.items()
    }
    other = PriceHistory("made", history.calendar, history.event_date, history.available_at, changed(history.value))
    other = other.with_drivers(drivers)
    day, steps = history.event_date[[t]], np.array([[5, 21]])
    np.testing.assert_array_equal(
        predict(model, history, day, steps).quantiles, predict(model, other, day, steps).quantiles
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.capability("J09")
def test_the_95_interval_of_a_random_walk_is_1_96_s_sigma_root_h_in_price_units(
    model: str, history: PriceHistory
) -> None:
    params = {"multiplier": "none"} if model == "classic_ensemble" else {}
    days = history.event_date[1180:1290:17]
    paths = predict(model, history, days, np.full((len(days), 1), 5), 7, **params)
    width = (paths.quantiles[:, 0, -1] - paths.quantiles[:, 0, 0]).mean()
    last = history.value[1180:1290:17].mean()
    assert width == pytest.approx(2 * 1.96 * last * SIGMA * np.sqrt(5), rel=0.15)


def test_fits_are_made_at_the_first_value_of_a_period(history: PriceHistory) -> None:
    series = make_origins(history, history.event_date[-1:], 7).groups[0].series
    ends = np.arange(300, N)
    month = fit_ends(series, ends, "month", 250)
    assert (month <= ends).all()
    opened = series.event_date[month - 1].astype("datetime64[M]")
    assert (opened == series.event_date[ends - 1].astype("datetime64[M]"))[20:].all()
    assert len(np.unique(fit_ends(series, ends, "year", 250))) == len(
        np.unique(series.event_date[ends - 1].astype("datetime64[Y]"))
    )


def _view(history: PriceHistory, end: int) -> View:
    return View(history, make_origins(history, history.event_date[-1:], 7).groups[0].series, end)


def test_theta_is_that_of_statsmodels(history: PriceHistory) -> None:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    view, params = _view(history, 800), {"window": 300}
    origins = make_origins(history, history.event_date[-1:], 7)
    steps = np.array([1, 5, 20])
    centre, sigma = Theta().forecast(Theta().fit(view, params, origins), view, steps, params, origins)
    y = view.log_value[-300:]
    result = ThetaModel(y - y[0], period=1, deseasonalize=False, use_test=False).fit()
    theirs = np.asarray(result.forecast(20))[steps - 1] - (y[-1] - y[0])
    np.testing.assert_allclose(centre, theirs, atol=2e-5)
    band = np.asarray(result.prediction_intervals(20, alpha=0.05))[steps - 1]
    np.testing.assert_allclose(2 * 1.959964 * sigma, band[:, 1] - band[:, 0], rtol=1e-3)


def test_ets_is_that_of_statsmodels(history: PriceHistory) -> None:
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    trended = history_of(900 * np.exp(np.cumsum(np.random.default_rng(4).normal(0.002, 0.003, 400))))
    view, params = _view(trended, 350), {"window": 200}
    origins = make_origins(trended, trended.event_date[-1:], 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = Ets().fit(view, params, origins)
        y = (view.log_value[-200:] - view.log_value[-200]) * 100
        model = ETSModel(y, error="add", trend="add" if fit.phi else None, damped_trend=0 < fit.phi < 1)
        result = model.fit(disp=False, maxiter=200)
    steps = np.array([1, 4, 15])
    centre, sigma = Ets().forecast(fit, view, steps, params, origins)
    assert centre[-1] > 0.01  # it follows the trend
    np.testing.assert_allclose(100 * centre, np.asarray(result.forecast(15))[steps - 1] - y[-1], rtol=1e-6)
    later = _view(trended, 380)
    moved, _ = Ets().forecast(fit, later, steps, params, origins)
    longer = ETSModel(
        (later.log_value[-230:] - view.log_value[-200]) * 100,
        error="add",
        trend="add" if fit.phi else None,
        damped_trend=0 < fit.phi < 1,
        initialization_method="known",
        initial_level=result.initial_level,
        initial_trend=result.initial_trend if fit.phi else None,
    )
    theirs = longer.smooth(result.params).forecast(15)
    np.testing.assert_allclose(100 * moved, np.asarray(theirs)[steps - 1] - longer.endog[-1], rtol=1e-5)
    paths = np.asarray(result.simulate(15, anchor="end", repetitions=20_000, rng=np.random.default_rng(1)))
    np.testing.assert_allclose(100 * sigma, paths.std(axis=1)[steps - 1], rtol=0.03)


def test_arma_finds_a_planted_order_and_its_width_is_that_of_simulated_paths() -> None:
    from scipy.signal import lfilter

    rng = np.random.default_rng(5)
    y = lfilter([1.0, 0.5], [1.0, -0.6], rng.normal(0, 0.01, 4000))
    found = choose_arma(y, 2, 2)
    assert sum(found.order) >= 2
    assert found.sigma == pytest.approx(0.01, rel=0.03)
    assert choose_arma(rng.normal(0, 0.01, 2000), 2, 2).order in {(0, 0), (1, 0), (0, 1)}
    planted = Arma(0.001, np.array([0.6]), np.array([0.5]), 0.01)
    _, sigma = arma_path(planted, y, np.array([1, 5, 20]))
    paths = lfilter([1.0, 0.5], [1.0, -0.6], rng.normal(0, 0.01, (20_000, 20)), axis=1).cumsum(axis=1)
    np.testing.assert_allclose(sigma, paths.std(axis=0)[[0, 4, 19]], rtol=0.02)
    centre, _ = arma_path(planted, np.array([0.0] * 50 + [0.011]), np.array([1]))
    assert centre[0] == pytest.approx(0.001 + 0.6 * 0.01 + 0.5 * 0.01 * 1.0, abs=2e-3)


def test_var_uses_a_driver_that_leads_and_only_once_it_is_known() -> None:
    plain = walk(seed=6)
    leading = with_drivers(plain, leads=1.0)
    days = plain.event_date[1100:1290]
    moved = np.log(plain.value[1101:1291] / plain.value[1100:1290])
    paths = predict("var", leading, days, np.ones((len(days), 1), dtype=int), 7)
    said = np.log(paths.mean[:, 0] / plain.value[1100:1290])
    assert np.corrcoef(said, moved)[0, 1] > 0.3
    late = {
        name: DriverHistory(name, one.calendar, one.event_date, one.available_at + np.timedelta64(30, "h"), one.value)
        for name, one in leading.drivers.items()
    }
    said = np.log(predict("var", plain.with_drivers(late), days, np.ones((len(days), 1), dtype=int), 7).mean[:, 0])
    assert np.corrcoef(said - np.log(plain.value[1100:1290]), moved)[0, 1] < 0.2


def test_a_missing_or_stale_driver_is_a_typed_error() -> None:
    plain = walk()
    day = plain.event_date[[1200]]
    with pytest.raises(DataError, match="neither copper") as caught:
        predict("var", plain, day, [[5]])
    assert caught.value.remedy
    with pytest.raises(DataError, match="neither copper"):
        predict("classic_ensemble", plain, day, [[5]])
    predict("classic_ensemble", plain, day, [[5]], var="optional")
    full = with_drivers(plain)
    stopped = {
        name: DriverHistory(name, one.calendar, one.event_date[:1195], one.available_at[:1195], one.value[:1195])
        for name, one in full.drivers.items()
    }
    with pytest.raises(DataError, match="not known or stale"):
        predict("var", plain.with_drivers(stopped), plain.event_date[[1205]], [[5]])
    with pytest.raises(DataError, match="no driver 'gold'"):
        aligned_driver(plain, _view(plain, 300).series, "gold")


def test_drivers_stand_beside_a_price_as_they_were_known_when_it_was() -> None:
    plain = walk(n=300)
    value = np.arange(300.0)
    twice = DriverHistory(
        "dxy",
        calendar_for("FX"),
        np.append(plain.event_date, plain.event_date[100]),
        np.append(plain.available_at + np.timedelta64(5, "D"), plain.available_at[200]),
        np.append(value, -7.0),
    )
    history = plain.with_drivers({"dxy": twice})
    seen = aligned_driver(history, _view(history, 300).series, "dxy", 12)
    assert np.isnan(seen[:3]).all()
    instants = plain.available_at
    for i in range(10, 300, 13):
        known = np.flatnonzero(plain.available_at + np.timedelta64(5, "D") <= instants[i])
        assert seen[i] == value[known[-1]]
    assert np.isnan(aligned_driver(history, _view(history, 300).series, "dxy", 2)).all()
    with pytest.raises(DataError, match="must be finite"):
        DriverHistory("x", plain.calendar, plain.event_date, plain.available_at, np.full(300, np.nan))


def test_every_declared_feature_looks_back_as_far_as_it_says_and_never_ahead(history: PriceHistory) -> None:
    names = [feature.name for feature in FEATURES]
    assert len(set(names)) == len(names)
    assert not set(UNAVAILABLE) & {feature.source for feature in FEATURES}
    assert {f"price_log_change_{lag}" for lag in (1, 2, 3, 5, 7, 14, 21, 30)} < set(names)
    values = np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, 400))) * 50
    for feature in FEATURES:
        plain = feature.make(values)
        for at in (150, 300):
            ahead = values.copy()
            ahead[at + 1 :] *= 1.3
            assert feature.make(ahead)[at] == plain[at]
            assert np.isfinite(plain[at])
            if feature.reach < 400:
                behind = values.copy()
                behind[: at - feature.reach] *= 1.3
                assert feature.make(behind)[at] == pytest.approx(plain[at], rel=1e-9)
    built = build_features(history, _view(history, N).series, np.array([60, 700, 1299]))
    sources = [feature.source for feature in FEATURES]
    there = np.isfinite(built[1])
    assert there.tolist() == [source == PRICE or source in history.drivers for source in sources]


@pytest.mark.capability("J10")
def test_boosting_learns_from_matured_rows_alone_and_finds_a_planted_regime() -> None:
    rng = np.random.default_rng(8)
    vix = np.where(np.arange(1600) % 40 < 20, 12.0, 40.0)  # too quick for a volatility of the past to follow
    value = 900 * np.exp(np.cumsum(rng.normal(0, 1, 1600) * np.where(np.roll(vix, 1) > 20, 0.012, 0.003)))
    plain = history_of(value)
    driver = DriverHistory("vix", plain.calendar, plain.event_date, plain.available_at, vix)
    history = plain.with_drivers({"vix": driver})
    at = np.array([1401, 1402, 1421, 1422])  # the first days of a calm and of a wild stretch
    paths = predict("gbm_quantile", history, history.event_date[at], np.full((4, 1), 5), 7, trees=40, min_leaf=30)
    width = np.log(paths.quantiles[:, 0, -1] / paths.quantiles[:, 0, 0])
    known = blended_sigma(_view(history, 1600).series)[at + 1]
    assert (width[2:] / known[2:]).min() > 1.3 * (width[:2] / known[:2]).max()
    view = _view(history, 900)
    shown, target = training_rows(view, 63)
    assert len(shown) == len(target) == len(np.arange(900 - 63, 60, -21))


@pytest.mark.capability("J09", "J10", "B08")
def test_the_classic_table_is_the_documented_one() -> None:
    assert [TABLE[days].trees for days in (7, 15, 30, 90)] == [400, 500, 600, 800]
    assert [TABLE[days].multiplier for days in (7, 15, 30, 90)] == [1.0, 1.15, 1.35, 1.75]
    assert [TABLE[days].max_order for days in (7, 15, 30, 90)] == [2, 3, 5, 7]
    assert TABLE[90].criterion == "bic"
    assert row_of(31) is TABLE[30]
    for row in TABLE.values():
        assert sum(row.weights) == pytest.approx(1.0)


@pytest.mark.capability("J10")
def test_classic_weights_by_rmse_are_in_one_unit_so_no_member_takes_all(history: PriceHistory) -> None:
    origins = make_origins(history, history.event_date[[1200]], 7)
    model = ClassicEnsemble()
    params = resolve_parameters(model, {"trees": 20, "weights": "inverse_rmse"})
    view = _view(history, 1201)
    fit = model.fitted(View(history, view.series, 1100), params, origins)
    weights = model._inverse_rmse(fit, view, row_of(7), ["arima_garch", "var", "random_forest"])
    share = weights / weights.sum()
    assert share.max() < 0.5
    assert share.min() > 0.2
    wide = predict("classic_ensemble", history, history.event_date[[1200]], [[63]], 90)
    plain = predict("classic_ensemble", history, history.event_date[[1200]], [[63]], 90, multiplier="none")
    stretched = np.log(wide.quantiles[0, 0] / wide.quantiles[0, 0, MEDIAN_INDEX])
    np.testing.assert_allclose(
        stretched, 1.75 * np.log(plain.quantiles[0, 0] / plain.quantiles[0, 0, MEDIAN_INDEX]), atol=1e-12
    )
    assert set(driver_changes(view)) == {"copper", "dxy", "differential"}
