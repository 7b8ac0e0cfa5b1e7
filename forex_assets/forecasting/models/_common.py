"""What the built-in models share: work group by group, and map log-return quantiles to prices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forex_assets.forecasting.contract import Floats, Ints, KnownSeries, Origins, QuantilePaths
from forex_assets.levels import QUANTILE_LEVELS

LEVELS: Floats = np.array(QUANTILE_LEVELS)

LogQuantiles = Callable[[KnownSeries, Ints, Ints], Floats]
"""(series, ends (m,), steps (m, k)) → quantiles of the log return from the last value, (m, k, 13)."""


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
