"""A random walk whose width comes from a blend of volatilities, scaled by the horizon's own variance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, QuantilePaths
from forex_assets.forecasting.models._common import T8_UPPER_SCORES, predict_from_log_quantiles, symmetric_scores
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, blended_sigma, horizon_variance_factor

SHAPE_DEGREES_OF_FREEDOM = 8.0


class RandomWalkBlend:
    """Centre: the last value. Width: blend of 20-, 60-, 250- and 1000-day volatilities × the horizon's own scaling.

    The variance ratio of 5-day to 1-day moves, learned from the past alone, corrects √steps: the averaging inside a
    fixing makes its one-day volatility too small for longer moves (K17). The shape is Student's t scaled to the
    variance; it was chosen on data to 2017.
    """

    name = "rw_blend"
    capabilities = Capabilities(family="parametric", min_history=YARDSTICK_WINDOW + 1, centre="last")

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        return predict_from_log_quantiles(origins, steps, blend_log_quantiles)


def blend_log_quantiles(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
    """Return quantiles of the log return, shape (m, k, 13)."""
    variance = blended_sigma(series)[ends][:, None] ** 2 * steps * horizon_variance_factor(series, ends, steps)
    quantiles: Floats = np.sqrt(variance)[:, :, None] * shape_scores()
    return quantiles


@cache
def shape_scores() -> Floats:
    """Return the scores of the unit-variance t shape at the stored levels."""
    df = SHAPE_DEGREES_OF_FREEDOM
    scores: Floats = symmetric_scores(T8_UPPER_SCORES) * np.sqrt((df - 2) / df)
    return scores
