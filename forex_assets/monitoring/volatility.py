"""The volatility alarm: whether the market is louder than its own clustering explains.

Everything runs forward in time: element i of an array uses the first i + 1 returns.

References
----------
Shiryaev (1963) and Roberts (1966), Technometrics 8(3), for the sum of likelihood ratios over every possible start of
the change; Pollak (1985), Annals of Statistics 13(1), for its near-optimal delay.
"""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.settings.monitoring import VolatilityAlarm

#: Returns the long-run level is seeded with.
SEED_OBS = 250
#: One return moves the long-run level by no more than this many standard deviations.
_CLIP_SIGMA = 4.0
_TINY = 1e-300


def surprise(returns: Floats, policy: VolatilityAlarm) -> Floats:
    """Return the evidence that returns have become louder, after each one: a log sum of likelihood ratios.

    A filter of fixed reaction and persistence about a slow long-run level says what variance each return should have.
    Against it stands, for every start within the last ``lookback_obs`` returns, the same filter whose returns are
    ``louder_factor`` times as large from then on, so that a storm the filter would explain anyway counts for little.
    NaN for the first ``SEED_OBS`` returns.
    """
    n = len(returns)
    out = np.full(n, np.nan)
    if n <= SEED_OBS:
        return out
    expected, long_run = _filtered(returns, policy.reaction, policy.persistence, policy.long_run_half_life_obs)
    squares = returns * returns
    usual = _log_density(squares, expected, policy.freedom)
    total = np.full(n, -np.inf)
    louder = policy.louder_factor**2
    pull = (1.0 - policy.reaction - policy.persistence) * louder * long_run
    variance, gain = louder * expected, np.zeros(n)
    # Step k looks at the return k days after each start: all starts side by side.
    for k in range(min(policy.lookback_obs, n)):
        starts = n - k
        gain = gain[:starts] + _log_density(squares[k:], variance[:starts], policy.freedom) - usual[k:]
        np.logaddexp(total[k:], gain, out=total[k:])
        variance = pull[:starts] + policy.reaction * squares[k:] + policy.persistence * variance[:starts]
    out[SEED_OBS:] = total[SEED_OBS:]
    return out


def _log_density(squares: Floats, variance: Floats, freedom: float) -> Floats:
    """Return the log density of Student's t up to a constant, from squared values and their variance."""
    safe = np.maximum(variance, _TINY)
    ratio = squares / (safe * (freedom - 2))
    return np.asarray(-0.5 * np.log(safe) - (freedom + 1) / 2 * np.log1p(ratio), dtype=np.float64)


def _filtered(returns: Floats, reaction: float, persistence: float, half_life: float) -> tuple[Floats, Floats]:
    """Return the variance expected of each return before it is seen, and the long-run level known then."""
    squares = (returns * returns).tolist()
    level = variance = float(np.mean(returns[:SEED_OBS] ** 2))
    weight, rest, cap = 1.0 - 0.5 ** (1.0 / half_life), 1.0 - reaction - persistence, _CLIP_SIGMA**2
    out: list[float] = []
    levels: list[float] = []
    for square in squares:
        out.append(variance)
        levels.append(level)
        level += weight * (min(square, cap * level) - level)
        variance = rest * level + reaction * square + persistence * variance
    return np.asarray(out, dtype=np.float64), np.asarray(levels, dtype=np.float64)
