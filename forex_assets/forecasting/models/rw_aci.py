"""A random walk with per-pair adaptive conformal intervals: a classic option, and a warning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.models._common import LEVELS, predict_from_log_quantiles
from forex_assets.forecasting.models.random_walk import interval_scores
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, rolling_std
from forex_assets.levels import MEDIAN_INDEX

LEAST_SCORES = 60


class RandomWalkAci:
    """Centre: the last value. Width: σ of the last 60 returns × √steps × what adaptive conformal inference makes of it.

    Until 60 errors have matured it is the yardstick. Fast steps chase the last errors: intervals after a crisis are too
    wide for long, which is why the ensemble's corrections are slow, pooled, and used on evidence alone.
    """

    name = "rw_aci"
    capabilities = Capabilities(
        family="empirical",
        parameters={
            "rate": Parameter(0.02, "Step of the level after each matured error", low=0.0, high=0.5),
            "window": Parameter(
                500, "Newest matured errors the width is a quantile of", low=60, high=5_000, whole=True
            ),
        },
        min_history=YARDSTICK_WINDOW + 1,
        centre="last",
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""

        def log_quantiles(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
            sigma = rolling_std(series)[ends][:, None] * np.sqrt(steps)
            unit = np.tile(interval_scores("gaussian"), (*steps.shape, 1))
            for step in np.unique(steps):
                widths = _widths(series, int(step), params["rate"], params["window"])
                i, k = np.nonzero(steps == step)
                half = widths[ends[i]]
                known = np.isfinite(half).all(axis=1)
                unit[i[known], k[known]] = _both_sides(half[known])
            return np.asarray(sigma[:, :, None] * unit)

        return predict_from_log_quantiles(origins, steps, log_quantiles)


def _widths(series: KnownSeries, step: int, rate: float, window: int) -> Floats:
    """Return half-widths of the six central intervals, widest first, by end, shape (n + 1, 6)."""
    key = ("aci", step, rate, window)
    if key not in series.cache:
        from forex_assets.forecasting.conformal import adaptive_widths

        n, x = len(series), series.log_value
        scores = np.full(n + 1, np.nan)
        ends = np.arange(YARDSTICK_WINDOW + 1, n + 1 - step)
        scores[ends] = np.abs(x[ends + step - 1] - x[ends - 1]) / (rolling_std(series)[ends] * np.sqrt(step))
        miss = 2.0 * LEVELS[:MEDIAN_INDEX]
        made = adaptive_widths(scores, step, miss, rate, window, LEAST_SCORES)
        # Levels move apart; their widths must not cross.
        series.cache[key] = np.maximum.accumulate(made[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(series.cache[key])


def _both_sides(half: Floats) -> Floats:
    """Return increasing symmetric scores from half-widths, (m, 6) to (m, 13)."""
    apart = np.maximum(half, 0.0) + 1e-6 * np.arange(half.shape[1], 0, -1)
    return np.concatenate([-apart, np.zeros((len(half), 1)), apart[:, ::-1]], axis=1)
