"""Adaptive conformal intervals of one pair (Gibbs and Candès, 2021): kept as an option, and what it costs is measured.

The level of each central interval is moved after every matured error: α ← α + γ (target − miss). Its width is the
quantile of past absolute scores at the level so moved. Errors mature as many values later as the tenor is long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from forex_assets.arrays import Floats

_compile: Callable[..., Any] = numba.njit(cache=True)


def _adaptive_widths(scores: Floats, lag: int, miss: Floats, rate: float, window: int, least: int) -> Floats:
    """Return interval half-widths after each end, shape (n, levels); NaN while fewer than ``least`` scores matured.

    Parameters
    ----------
    scores:
        Absolute standardised error of the forecast made at each end, shape (n,), NaN where there is none; known ``lag``
        ends later.
    miss:
        Share of outcomes each interval should miss, shape (levels,).
    rate:
        Step γ.
    window:
        Newest matured scores the width is a quantile of.
    """
    n, k = len(scores), len(miss)
    out = np.full((n, k), np.nan)
    level = miss.copy()
    for end in range(n):
        newest = end - lag
        if newest >= 0 and not np.isnan(scores[newest]):
            for j in range(k):
                if not np.isnan(out[newest, j]):
                    missed = 1.0 if scores[newest] > out[newest, j] else 0.0
                    level[j] = min(max(level[j] + rate * (miss[j] - missed), 0.0), 1.0)
        first = max(newest + 1 - window, 0)
        held = np.empty(max(newest + 1 - first, 0))
        count = 0
        for i in range(first, newest + 1):
            if not np.isnan(scores[i]):
                held[count] = scores[i]
                count += 1
        if count < least:
            continue
        held = np.sort(held[:count])
        for j in range(k):
            place = (1.0 - level[j]) * (count + 1) - 1.0
            low = min(max(int(np.floor(place)), 0), count - 1)
            high = min(low + 1, count - 1)
            share = min(max(place - low, 0.0), 1.0)
            out[end, j] = held[low] + share * (held[high] - held[low])
    return out


adaptive_widths: Callable[..., Floats] = _compile(_adaptive_widths)
