"""A random walk with drift: a challenger that shows what past drift is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.models.random_walk import interval_scores
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, rolling_std
from forex_assets.levels import QUANTILE_LEVELS


class RandomWalkDrift:
    """Centre: last value × exp(mean log return of the last ``window`` × steps). Width: that of ``random_walk``."""

    name = "rw_drift"
    capabilities = Capabilities(
        family="parametric",
        parameters={"window": Parameter(250, "Returns the drift is the mean of", low=20, high=10_000, whole=True)},
        min_history=YARDSTICK_WINDOW + 1,
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        m, k = steps.shape
        centre = np.empty((m, k))
        quantiles = np.empty((m, k, len(QUANTILE_LEVELS)))
        for group in origins.groups:
            at, ends, x = group.positions, group.ends, group.series.log_value
            first = np.maximum(ends - 1 - params["window"], 0)
            drift = (x[ends - 1] - x[first]) / (ends - 1 - first)
            centre[at] = drift[:, None] * steps[at]
            sigma = rolling_std(group.series)[ends][:, None] * np.sqrt(steps[at])
            quantiles[at] = centre[at][:, :, None] + sigma[:, :, None] * interval_scores("gaussian")
        last = origins.last_value
        return QuantilePaths(mean=last[:, None] * np.exp(centre), quantiles=last[:, None, None] * np.exp(quantiles))
