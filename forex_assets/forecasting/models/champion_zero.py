"""The baseline every other model must beat: the mean of two quantile sets, with slowly learned width factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forex_assets.arrays import Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, QuantilePaths
from forex_assets.forecasting.models.rw_blend import RandomWalkBlend
from forex_assets.forecasting.models.rw_empirical import RandomWalkEmpirical
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory


class ChampionZero:
    """The mean of ``rw_blend`` and ``rw_empirical``, quantile by quantile, then the learned width factors.

    ``predict`` and ``combine`` return the *base*: the mean before the factors. The backtest and the forecast apply the
    factors that were valid at each origin (:mod:`forex_assets.forecasting.calibration`), and the rows say so.
    """

    name = "champion_zero"
    capabilities = Capabilities(
        family="ensemble",
        min_history=RandomWalkEmpirical.capabilities.min_history,
        bases=(RandomWalkBlend.name, RandomWalkEmpirical.name),
        calibrated=True,
        centre="last",
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict the base; see :class:`forex_assets.forecasting.contract.Model`."""
        return self.combine(
            [
                RandomWalkBlend().predict(history, origins, steps, {}, rng),
                RandomWalkEmpirical().predict(history, origins, steps, {}, rng),
            ]
        )

    def combine(self, bases: Sequence[QuantilePaths]) -> QuantilePaths:
        """Return the mean of the bases, quantile by quantile."""
        return QuantilePaths(
            mean=np.mean([base.mean for base in bases], axis=0),
            quantiles=np.mean([base.quantiles for base in bases], axis=0),
        )
