"""The volatility alarm: whether the market is louder than its own clustering explains.

Everything runs forward in time: element i of an array uses the first i + 1 returns.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from forex_assets.monitoring.degradation import rolling_sum
from forex_assets.settings.monitoring import VolatilityAlarm

Floats = npt.NDArray[np.float64]
#: Returns the long-run level is seeded with.
SEED_OBS = 250
#: One return moves the long-run level by no more than this many standard deviations.
_CLIP_SIGMA = 4.0


def surprise(returns: Floats, policy: VolatilityAlarm) -> Floats:
    """Return the evidence that returns are louder than expected, after each one (log likelihood ratio, CUSUM).

    A filter of fixed reaction and persistence about a slow long-run level says what size the next return should have.
    The evidence adds up while returns look ``louder_factor`` times that, and never falls below zero, so that it speaks
    of the present. NaN for the first ``SEED_OBS`` returns.
    """
    n = len(returns)
    out = np.full(n, np.nan)
    if n <= SEED_OBS:
        return out
    expected = _filtered(returns, policy.reaction, policy.persistence, policy.long_run_half_life_obs)
    z2 = returns[SEED_OBS:] ** 2 / np.maximum(expected[SEED_OBS:], 1e-300)
    freedom, factor = policy.freedom, policy.louder_factor
    gain = -math.log(factor) - (freedom + 1) / 2 * (
        np.log1p(z2 / factor**2 / (freedom - 2)) - np.log1p(z2 / (freedom - 2))
    )
    total = np.concatenate([[0.0], np.cumsum(gain)])
    out[SEED_OBS:] = total[1:] - np.minimum.accumulate(total)[1:]
    return out


def log_ratio(returns: Floats, policy: VolatilityAlarm) -> Floats:
    """Return the log ratio of mean absolute returns, the newest ``short_obs`` over the ``long_obs`` before them."""
    n, short, long = len(returns), policy.short_obs, policy.long_obs
    out = np.full(n, np.nan)
    if n < short + long:
        return out
    size = np.abs(returns)
    before = np.full(n, np.nan)
    before[short:] = rolling_sum(size, long)[:-short] / long
    capped = np.where(np.isnan(before), size, np.minimum(size, 1.25 * _CLIP_SIGMA * np.nan_to_num(before)))
    with np.errstate(invalid="ignore", divide="ignore"):
        out[:] = np.log(rolling_sum(capped, short) / short / before)
    return out


def _filtered(returns: Floats, reaction: float, persistence: float, half_life: float) -> Floats:
    """Return the variance expected of each return before it is seen."""
    squares = (returns * returns).tolist()
    level = variance = float(np.mean(returns[:SEED_OBS] ** 2))
    weight, rest, cap = 1.0 - 0.5 ** (1.0 / half_life), 1.0 - reaction - persistence, _CLIP_SIGMA**2
    out: list[float] = []
    for square in squares:
        out.append(variance)
        level += weight * (min(square, cap * level) - level)
        variance = rest * level + reaction * square + persistence * variance
    return np.asarray(out, dtype=np.float64)
