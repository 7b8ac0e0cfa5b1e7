"""The Theta method on the log price: simple exponential smoothing with half of the past's slope as drift.

Assimakopoulos and Nikolopoulos (2000), IJF 16; Hyndman and Billah (2003), IJF 19. Parameters by statsmodels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, Parameter
from forex_assets.forecasting.models._refitted import Refitted, View
from forex_assets.forecasting.origins import Origins


class Theta(Refitted):
    """Centre: level plus half of the slope. Width: smoothing's own one-step error, grown with the horizon."""

    name = "theta"
    capabilities = Capabilities(
        family="parametric",
        parameters={"window": Parameter(500, "Log prices a fit looks back on", low=100, high=5000, whole=True)},
        min_history=251,
        bulk=False,
    )

    def fit(self, view: View, params: Mapping[str, Any], origins: Origins) -> tuple[float, float, float]:
        """Return smoothing weight, slope and one-step deviation."""
        from statsmodels.tsa.forecasting.theta import ThetaModel

        y = view.log_value[-params["window"] :]
        result = ThetaModel(y - y[0], period=1, deseasonalize=False, use_test=False).fit()
        return float(result.params["alpha"]), float(result.params["b0"]), float(np.sqrt(result.sigma2))

    def forecast(
        self, fit: Any, view: View, steps: Ints, params: Mapping[str, Any], origins: Origins
    ) -> tuple[Floats, Floats]:
        """Return centre and deviation of the log return."""
        alpha, slope, sigma = fit
        y = view.log_value[-params["window"] :]
        n = len(y)
        weight = alpha * (1.0 - alpha) ** np.arange(n - 1, -1, -1)
        weight[0] += (1.0 - alpha) ** n  # the level starts at the first value
        level = float(weight @ (y - y[-1]))
        drift = 0.5 * slope * (steps - 1 + (1.0 - (1.0 - alpha) ** n) / alpha)
        return level + drift, sigma * np.sqrt(1.0 + (steps - 1) * alpha**2)
