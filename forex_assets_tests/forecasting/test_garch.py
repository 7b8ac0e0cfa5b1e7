"""The GARCH family: the bulk engine against arch, against plain Python, and against its own past."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.contract import OriginRandom, check_paths
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.garch import EGARCH, GARCH, GJR, kernels
from forex_assets.forecasting.garch.engine import GarchEngine, refit_schedule, scaled_returns
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.simulation.worlds import garch_t_world
from forex_assets_tests.forecasting.conftest import history_of
from forex_assets_tests.forecasting.panel_data import ecb_history

Q = list(QUANTILE_COLUMNS)
FAMILY = ["garch_t", "gjr_t", "egarch_t"]
KINDS = {"garch_t": GARCH, "gjr_t": GJR, "egarch_t": EGARCH}
DEFAULTS = {"engine": "bulk", "refit": "month", "window": 2500}


def engine_of(history: PriceHistory, kind: int, **changed: object) -> GarchEngine:
    series = history.groups(history.available_at[-1:])[0].series
    return GarchEngine.of(series, kind, {**DEFAULTS, **changed})


def fresh(history: PriceHistory) -> PriceHistory:
    return PriceHistory(history.pair, history.calendar, history.event_date, history.available_at, history.value)


def plain_filter(kind: int, r: np.ndarray, theta: np.ndarray) -> tuple[float, list[float]]:
    """The recursion as a textbook writes it: log likelihood, and the variance before each return and after the last."""
    omega, a1, a2, beta, nu = theta
    weights = [0.94**i for i in range(min(75, len(r)))]
    variance = sum(w * x * x for w, x in zip(weights, r, strict=False)) / sum(weights)
    log_variance = omega + beta * math.log(variance)
    variance = omega + (a1 + a2) / 2 * variance + beta * variance
    total, path = 0.0, []
    for x in r:
        v = math.exp(log_variance) if kind == EGARCH else variance
        path.append(v)
        total += math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(math.pi * (nu - 2) * v)
        total -= (nu + 1) / 2 * math.log(1 + x * x / ((nu - 2) * v))
        z = x / math.sqrt(v)
        log_variance = omega + a1 * (abs(z) - math.sqrt(2 / math.pi)) + a2 * z + beta * math.log(v)
        variance = omega + (a1 if x >= 0 else a2) * x * x + beta * v
    path.append(math.exp(log_variance) if kind == EGARCH else variance)
    return total, path


@pytest.mark.parametrize("kind", [GARCH, GJR, EGARCH])
def test_the_compiled_recursion_is_the_plain_one_and_its_gradient_is_the_slope(kind: int) -> None:
    r = np.random.default_rng(3).standard_t(5, 700) * 0.6
    theta = np.array([0.01, 0.09, -0.03, 0.96, 6.0] if kind == EGARCH else [0.01, 0.04, 0.07, 0.92, 6.0])
    if kind == GARCH:
        theta[2] = theta[1]
    g, hess = np.zeros(5), np.zeros((5, 5))
    ll, state = kernels.likelihood_pass(kind, r, 0, len(r), theta, g, hess)
    expected, path = plain_filter(kind, r, theta)
    assert ll == pytest.approx(expected, rel=1e-10)
    states = kernels.window_states(kind, r, 0, len(r), theta)
    np.testing.assert_allclose(np.exp(states) if kind == EGARCH else states, path, rtol=1e-10)
    assert state == pytest.approx(states[-1], rel=1e-12)
    for i in range(5):
        step = 1e-5 * max(abs(theta[i]), 0.01)
        up, down = theta.copy(), theta.copy()
        up[i] += step
        down[i] -= step
        slope = (plain_filter(kind, r, up)[0] - plain_filter(kind, r, down)[0]) / (2 * step)
        assert g[i] == pytest.approx(slope * (theta[4] - 2 if i == 4 else 1), rel=2e-4, abs=2e-3)


@pytest.mark.parametrize("currency", ["EUR", "JPY", "ZAR", "BRL", "KRW"])
def test_the_bulk_fit_agrees_with_arch_on_sigma_within_one_percent(currency: str) -> None:
    history = ecb_history(currency)
    returns = scaled_returns(history.groups(history.available_at[-1:])[0].series)
    from forex_assets.forecasting.garch import reference

    for kind in (GARCH, GJR, EGARCH):
        theirs = reference.fit(kind, returns, len(returns) - 2500, len(returns))
        ours = np.zeros(5)
        row = kernels.fit_chain(kind, returns, np.array([len(returns) + 1]), 2500, ours, True, 0.005)[0]
        sigma = [
            kernels.window_states(kind, returns, len(returns) - 2500, len(returns), theta[:5])
            for theta in (row, theirs)
        ]
        ratio = np.exp(0.5 * (sigma[0] - sigma[1])) if kind == EGARCH else np.sqrt(sigma[0] / sigma[1])
        assert np.abs(ratio - 1).mean() < 0.01
        assert np.abs(ratio - 1).max() < 0.03
        assert row[6] > theirs[6] - 0.1  # log likelihood


def test_one_parameter_switches_to_arch_and_the_forecasts_agree(garch_history: PriceHistory) -> None:
    frames = [
        run_backtest(
            garch_history,
            horizon_days=30,
            models=[ModelChoice(name, {"engine": engine, "window": 1000}) for name in FAMILY],
            start="2014-06-02",
            end="2014-07-31",
            as_of=str(garch_history.event_date[-1]),
        )
        for engine in ("bulk", "arch")
    ]
    width = [frame["q975"] / frame["q025"] - 1 for frame in frames]
    assert (width[0] / width[1]).between(0.97, 1.03).all()
    assert not (width[0] == width[1]).any()


def test_planted_volatility_is_found(garch_history: PriceHistory) -> None:
    world = garch_t_world(11, 3100)
    ends = np.arange(1500, 3000, 50)
    for kind in (GARCH, GJR):
        sigma = engine_of(garch_history, kind).sigma(ends)
        ratio = sigma / world.sigma[ends]  # of the move that ends at value `end`, the next one
        assert np.abs(np.log(ratio)).mean() < 0.08


@pytest.mark.parametrize("model", FAMILY)
@pytest.mark.parametrize("changed", [{}, {"refit": "week"}, {"terminal": "simulated", "samples": 300}])
def test_one_origin_is_what_it_is_among_thousands(
    garch_history: PriceHistory, model: str, changed: dict[str, object]
) -> None:
    params = resolve_parameters(get_model(model), changed)
    rng = OriginRandom("planted", 30, model)
    days = garch_history.calendar.sessions("2008-06-02", str(garch_history.event_date[-1]))[::5]
    many = make_origins(garch_history, days, 30)
    whole = get_model(model).predict(fresh(garch_history), many, many.steps[:, None], params, rng)
    check_paths(model, whole, (len(many), 1))
    for position in (0, 130, len(many) - 1):
        again = fresh(garch_history)
        one = make_origins(again, many.as_of[position : position + 1], 30)
        steps = np.array([[1, many.steps[position], 3]])
        alone = get_model(model).predict(again, one, steps, params, rng)
        assert (alone.quantiles[0, 1] == whole.quantiles[position, 0]).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["month", "week", "value"]))
@settings(max_examples=15, deadline=None)
@pytest.mark.capability("J10")
def test_no_fit_or_state_depends_on_later_values(seed: int, refit: str) -> None:
    rng = np.random.default_rng(seed)
    move = rng.standard_t(4, 420) * 0.006
    end = int(rng.integers(260, 400))
    other = move.copy()
    other[end - 1 :] = rng.standard_t(4, 421 - end) * 0.05
    one, two = (history_of(900 * np.exp(np.cumsum(np.append(0.0, m)))) for m in (move, other))
    ends = np.arange(250, end + 1)
    for kind in (GARCH, GJR, EGARCH):
        engines = [engine_of(history, kind, refit=refit) for history in (one, two)]
        engines[1].sigma(np.array([421]))  # has looked at everything before it is asked about the past
        steps = np.tile([1, 5, 21], (len(ends), 1))
        a, b = (engine.log_quantiles(ends, steps) for engine in engines)
        assert (a == b).all()
        assert (engines[0].sigma(ends) == engines[1].sigma(ends)).all()


def test_the_schedule_is_the_first_value_of_each_period_and_starts_afresh_each_year() -> None:
    history = history_of(900 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.006, 800))))
    series = history.groups(history.available_at[-1:])[0].series
    ends, anchor = refit_schedule(series, "month")
    dates = series.event_date[ends - 1]
    assert ends[0] == 250
    assert (np.diff(dates.astype("datetime64[M]")).astype(int) == 1).all()
    assert anchor.sum() == len(np.unique(dates.astype("datetime64[Y]")))
    weeks, _ = refit_schedule(series, "week")
    assert set(ends) <= set(weeks)
    assert len(refit_schedule(series, "value")[0]) == len(series) - 249


@pytest.mark.parametrize("model", FAMILY)
def test_simulation_and_shape_agree_and_draws_are_common_over_tenors(garch_history: PriceHistory, model: str) -> None:
    last = str(garch_history.event_date[-1])
    frames = [
        run_backtest(
            garch_history,
            horizon_days=30,
            models=[ModelChoice(model, {"terminal": terminal})],
            start="2013-01-02",
            every=10,
            as_of=last,
        )
        for terminal in ("shape", "simulated")
    ]
    width = [np.log(frame["q975"] / frame["q025"]) for frame in frames]
    assert (width[0] / width[1]).median() == pytest.approx(1.0, abs=0.1)
    again = run_backtest(
        garch_history,
        horizon_days=30,
        models=[ModelChoice(model, {"terminal": "simulated"})],
        start="2013-01-02",
        every=10,
        as_of=last,
    )
    assert (again[Q].to_numpy() == frames[1][Q].to_numpy()).all()
    theta = np.array([0.02, 0.1, 0.0, 0.98, 6.0]) if model == "egarch_t" else np.array([0.01, 0.04, 0.04, 0.94, 6.0])
    z = np.random.default_rng(0).standard_normal(500)
    short, long = (kernels.simulate(KINDS[model], 0.1, theta, z, np.uint64(7), n, 200, 100.0) for n in (3, 20))
    assert (short == long[:3]).all()


def test_draws_are_uniform_over_the_residuals() -> None:
    z = np.arange(50, dtype=float)
    theta = np.array([1.0, 0.0, 0.0, 0.0, 6.0])  # constant unit variance
    sums = kernels.simulate(GARCH, 1.0, theta, z, np.uint64(12345), 4, 20_000, 1e9)
    draws = np.diff(sums, axis=0, prepend=0.0).round().astype(int)
    counts = np.bincount(draws.ravel(), minlength=50)
    assert ((counts - 1600) ** 2 / 1600).sum() < 86  # chi-squared, 49 degrees of freedom, 99.9%
    assert abs(np.corrcoef(draws)[np.triu_indices(4, 1)]).max() < 0.03


def test_a_falling_price_that_stirs_volatility_more_is_seen_by_gjr_and_egarch_only() -> None:
    rng = np.random.default_rng(12)
    variance, moves = 0.3, []
    for _ in range(3000):
        x = math.sqrt(variance) * rng.standard_t(8) * math.sqrt(6 / 8)
        moves.append(x)
        variance = 0.01 + (0.01 if x >= 0 else 0.12) * x * x + 0.90 * variance
    history = history_of(900 * np.exp(np.cumsum(np.array(moves) / 100)), first_day="2005-01-03")
    for kind in (GARCH, GJR, EGARCH):
        row = engine_of(history, kind).fitted(np.array([3000]))[1][0]
        if kind == GARCH:
            assert row[1] == row[2]
        elif kind == GJR:
            assert row[2] - row[1] > 0.06
        else:
            assert row[2] < -0.03


@pytest.mark.parametrize("model", FAMILY)
def test_a_rate_that_was_frozen_and_one_with_a_broken_peg_have_finite_widths(model: str) -> None:
    rng = np.random.default_rng(4)
    for moves in (
        np.concatenate([rng.normal(0, 1e-6, 600), rng.normal(0, 0.004, 500)]),
        np.where(np.arange(900) == 700, 0.3, rng.normal(0, 0.0005, 900)),
        np.where(rng.random(900) < 0.9, 0.0, rng.normal(0, 0.003, 900)),
    ):
        history = history_of(8.28 * np.exp(np.cumsum(moves)))
        rows = run_backtest(history, horizon_days=90, models=[model], as_of=str(history.event_date[-1]), every=7)
        assert (rows["q975"] / rows["q025"]).max() < 3.0
        assert (np.diff(rows[Q].to_numpy(), axis=1) > 0).all()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"engine": "stan"}, r"'stan'; allowed: \['bulk', 'arch'\]"),
        ({"window": 100}, r"100; it must be a whole number in \[250, 20000\]"),
        ({"refit": "never"}, "allowed"),
        ({"temperature": 1.0}, "no parameter 'temperature'"),
    ],
)
def test_a_parameter_outside_its_rule_is_refused(parameters: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        resolve_parameters(get_model("gjr_t"), parameters)


def test_too_short_constant_and_broken_histories_are_refused() -> None:
    short = history_of(900 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.006, 200))))
    with pytest.raises(DataError, match="too_short"):
        run_backtest(short, horizon_days=7, models=["gjr_t"], as_of=str(short.event_date[-1]))
    constant = history_of(np.full(400, 900.0))
    with pytest.raises(DataError, match="no volatility"):
        make_forecast(constant, constant.event_date[-1:], 7, ["gjr_t"], "gjr_t")
    jump = history_of(np.where(np.arange(400) == 350, 900_000.0, 900.0 + np.arange(400) % 7))
    with pytest.raises(DataError, match="factor of 3"):
        make_forecast(jump, jump.event_date[-1:], 7, ["gjr_t"], "gjr_t")
    with pytest.raises(DataError, match="positive finite"):
        history_of(np.where(np.arange(400) == 350, np.nan, 900.0))


def test_a_forecast_with_the_statistical_models_imports_no_numba() -> None:
    code = (
        "import sys; from forex_assets.forecasting.registry import get_model, model_names;"
        "[get_model(name) for name in model_names()];"
        "print('numba' in sys.modules or 'arch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
        env=dict(os.environ),
    )
    assert done.stdout.strip() == "False"
