"""What the built-in models share: work group by group, and map log-return quantiles to prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import QuantilePaths
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries
from forex_assets.levels import QUANTILE_LEVELS

LEVELS: Floats = np.array(QUANTILE_LEVELS)

#: Quantiles of Student's t above the median at the stored levels, as scipy gives them (a test holds them equal):
#: importing scipy would cost a daily forecast more than computing it.
T8_UPPER_SCORES = (
    0.26192109674883235,
    0.545933763540483,
    0.8888895177670202,
    1.3968153097438654,
    1.8595480375308973,
    2.306004135204166,
)
T30_UPPER_SCORES = (
    0.2556053649519128,
    0.5300190039065046,
    0.8537672614712979,
    1.3104150253913955,
    1.697260886593957,
    2.0422724563012378,
)

LogQuantiles = Callable[[KnownSeries, Ints, Ints], Floats]
"""(series, ends (m,), steps (m, k)) → quantiles of the log return from the last value, (m, k, 13)."""


def symmetric_scores(upper: Sequence[float]) -> Floats:
    """Return scores at all stored levels from those above the median."""
    return np.array([*(-score for score in reversed(upper)), 0.0, *upper])


def predict_from_log_quantiles(origins: Origins, steps: Ints, log_quantiles: LogQuantiles) -> QuantilePaths:
    """Return paths centred on the last value: mean = last value, quantiles = last value × exp(log quantile)."""
    m, k = steps.shape
    quantiles = np.empty((m, k, len(LEVELS)))
    for group in origins.groups:
        at = group.positions
        quantiles[at] = log_quantiles(group.series, group.ends, steps[at])
    np.exp(quantiles, out=quantiles)
    quantiles *= origins.last_value[:, None, None]
    mean = np.repeat(origins.last_value[:, None], k, axis=1)
    return QuantilePaths(mean=mean, quantiles=quantiles)
