"""Random walks in price whose width follows a GARCH recursion: GARCH(1,1), GJR and EGARCH with Student's t shocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.garch import EGARCH, GARCH, GJR
from forex_assets.forecasting.garch.engine import MIN_VALUES_TO_FIT, GarchEngine
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.levels import QUANTILE_LEVELS

_PARAMETERS = {
    "engine": Parameter("bulk", "Who fits: numba in bulk, or the arch package", choices=("bulk", "arch")),
    "refit": Parameter(
        "month", "When parameters are refitted; volatility moves daily", choices=("month", "week", "value")
    ),
    "window": Parameter(2500, "Returns a fit looks back on", low=MIN_VALUES_TO_FIT, high=20_000, whole=True),
    "terminal": Parameter(
        "shape",
        "Distribution at the tenor: forecast variance × shape of past moves, or filtered historical simulation",
        choices=("shape", "simulated"),
    ),
    "samples": Parameter(2000, "Paths per origin when simulated", low=200, high=100_000, whole=True),
}


class _GarchFamily:
    """Centre: the last value. Width: the recursion's variance over the tenor; shape: that of past moves so scaled."""

    name: str
    kind: int
    capabilities = Capabilities(
        family="parametric", parameters=_PARAMETERS, min_history=MIN_VALUES_TO_FIT, centre="last"
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        m, k = steps.shape
        quantiles = np.empty((m, k, len(QUANTILE_LEVELS)))
        for group in origins.groups:
            at = group.positions
            engine = GarchEngine.of(group.series, self.kind, params)
            if params["terminal"] == "simulated":
                quantiles[at] = engine.simulated_log_quantiles(
                    group.ends, steps[at], origins.as_of[at], params["samples"], rng
                )
            else:
                quantiles[at] = engine.log_quantiles(group.ends, steps[at])
        np.exp(quantiles, out=quantiles)
        quantiles *= origins.last_value[:, None, None]
        return QuantilePaths(mean=np.repeat(origins.last_value[:, None], k, axis=1), quantiles=quantiles)


class GarchT(_GarchFamily):
    """GARCH(1,1) with Student's t shocks."""

    name = "garch_t"
    kind = GARCH


class GjrT(_GarchFamily):
    """GJR: rises and falls of the price move volatility differently."""

    name = "gjr_t"
    kind = GJR


class EgarchT(_GarchFamily):
    """EGARCH: the same in the logarithm of the variance."""

    name = "egarch_t"
    kind = EGARCH
