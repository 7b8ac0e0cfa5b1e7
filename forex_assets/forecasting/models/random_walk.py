"""The yardstick: a random walk with intervals from the last 60 daily log returns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.models._common import T30_UPPER_SCORES, predict_from_log_quantiles, symmetric_scores
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, rolling_std
from forex_assets.levels import QUANTILE_LEVELS


class RandomWalk:
    """Centre: the last value. Quantiles: last value × exp(z σ √steps), σ = std of the last 60 daily log returns.

    Parameter ``interval`` names the shape: ``gaussian`` (z = 1.960 at 95%, 1.282 at 80%) or ``t30``, Student's t with
    30 degrees of freedom (2.042 and 1.310: B01). It widens every 95% interval by 4.2% and repairs nothing else (K10).
    """

    name = "random_walk"
    capabilities = Capabilities(
        family="parametric",
        parameters={"interval": Parameter("gaussian", "Shape of the interval", choices=("gaussian", "t30"))},
        min_history=YARDSTICK_WINDOW + 1,
        centre="last",
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        score = interval_scores(params["interval"])

        def log_quantiles(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
            sigma = rolling_std(series)[ends]
            return (sigma[:, None] * np.sqrt(steps))[:, :, None] * score

        return predict_from_log_quantiles(origins, steps, log_quantiles)


@cache
def interval_scores(interval: str) -> Floats:
    """Return standard scores at the stored levels for ``gaussian`` or ``t30``."""
    if interval == "gaussian":
        return np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])
    return symmetric_scores(T30_UPPER_SCORES)
