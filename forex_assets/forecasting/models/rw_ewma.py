"""A random walk whose width is an exponentially weighted volatility (RiskMetrics)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.models._common import predict_from_log_quantiles
from forex_assets.forecasting.models.rw_blend import shape_scores
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, ewma_variance, horizon_variance_factor


class RandomWalkEwma:
    """Centre: the last value. Width: EWMA volatility per session × √steps × the horizon's own variance; t shape."""

    name = "rw_ewma"
    capabilities = Capabilities(
        family="parametric",
        parameters={
            "decay": Parameter(0.97, "Weight of yesterday's variance", low=0.8, high=0.999),
            "width": Parameter(1.0, "Factor on the volatility; 1 is the variance as it stands", low=0.4, high=2.5),
        },
        min_history=YARDSTICK_WINDOW + 1,
        centre="last",
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""

        def log_quantiles(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
            variance = ewma_variance(series, params["decay"])[ends][:, None]
            sigma = params["width"] * np.sqrt(variance * steps * horizon_variance_factor(series, ends, steps))
            return np.asarray(sigma[:, :, None] * shape_scores())

        return predict_from_log_quantiles(origins, steps, log_quantiles)
