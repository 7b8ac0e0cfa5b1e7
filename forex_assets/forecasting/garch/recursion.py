"""The three volatility recursions: first state, one step, states over a window, and the returns they are fed.

Returns are in percent. Parameters are ``[omega, a1, a2, beta, nu]``:

- ``GARCH`` and ``GJR``: ``v = omega + a1 r² [r >= 0] + a2 r² [r < 0] + beta v``; GARCH has a1 = a2. State: v.
- ``EGARCH``: ``log v = omega + a1 (|z| - sqrt(2 / pi)) + a2 z + beta log v``, z = r / sqrt(v). State: log v.

The state at an end is the variance of the next return. The first state comes from a backcast, as in ``arch``.

The functions run as they stand, and :mod:`.kernels` holds them compiled. One daily forecast from kept parameters takes
some ten thousand steps: milliseconds in plain Python, where loading numba alone takes over a second. Sums, products
and square roots round the same in both, so GARCH's and GJR's numbers do not depend on who computed them (a test
compares the bits); EGARCH's logarithms may differ in the last bit, so it is always compiled.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from forex_assets.forecasting.garch import EGARCH, GARCH

PARAMETERS = 5
MEAN_ABS_NORMAL = math.sqrt(2.0 / math.pi)
BACKCAST_DAYS = 75
BACKCAST_DECAY = 0.94
LOG_RANGE = 12.0
PLAIN_STEPS = 60_000
"""Work up to which plain Python beats loading numba by far."""


def fitting(steps: int, kind: int = GARCH) -> Any:
    """Return the module whose functions should do so many steps: this one, or :mod:`.kernels`."""
    if kind == EGARCH or steps > PLAIN_STEPS or "numba" in sys.modules:
        from forex_assets.forecasting.garch import kernels

        return kernels
    return sys.modules[__name__]


def backcast(r: Any, start: int, end: int) -> float:
    """Return the variance before the first return: a decaying mean of the first squares."""
    total, weights, weight = 0.0, 0.0, 1.0
    for i in range(start, min(end, start + BACKCAST_DAYS)):
        total += weight * r[i] * r[i]
        weights += weight
        weight *= BACKCAST_DECAY
    return max(total / weights, 1e-14)


def advance(kind: int, state: float, x: float, theta: Any) -> Any:
    """Return the state after one more return."""
    if kind == EGARCH:
        z = x * math.exp(-0.5 * state)
        return theta[0] + theta[1] * (abs(z) - MEAN_ABS_NORMAL) + theta[2] * z + theta[3] * state
    a = theta[1] if x >= 0.0 else theta[2]
    return theta[0] + a * x * x + theta[3] * state


def states_at(kind: int, r: Any, fitted_at: Any, ends: Any, rows: Any) -> Any:
    """Return the state at each end, filtered on from the fit that serves it, shape (m,)."""
    out = np.empty(len(ends))
    for i in range(len(ends)):
        state = rows[i, PARAMETERS]
        centre = state
        for j in range(fitted_at[i] - 1, ends[i] - 1):
            state = advance(kind, state, r[j], rows[i])
            if kind == EGARCH:
                state = min(max(state, centre - LOG_RANGE), centre + LOG_RANGE)
        out[i] = state
    return out


def window_states(kind: int, r: Any, start: int, end: int, theta: Any) -> Any:
    """Return the state before each return of the window and after the last, shape (end - start + 1,)."""
    out = np.empty(end - start + 1)
    back = backcast(r, start, end)
    centre = math.log(back)
    if kind == EGARCH:
        state = theta[0] + theta[3] * centre
    else:
        state = theta[0] + (0.5 * (theta[1] + theta[2]) + theta[3]) * back
    for i in range(end - start):
        out[i] = state
        state = advance(kind, state, r[start + i], theta)
        if kind == EGARCH:
            state = min(max(state, centre - LOG_RANGE), centre + LOG_RANGE)
    out[end - start] = state
    return out


def clip_returns(raw: Any, decay: float, multiple: float, floor: float) -> Any:
    """Return returns clipped at ``multiple`` EWMA standard deviations known before each, shape (n,)."""
    out = raw.copy()
    n = len(raw)
    first = min(n, 20)
    variance = 0.0
    for i in range(first):
        variance += raw[i] * raw[i] / first
    for i in range(n):
        bound = multiple * math.sqrt(max(variance, floor * floor))
        out[i] = min(max(raw[i], -bound), bound)
        variance = decay * variance + (1.0 - decay) * out[i] * out[i]
    return out
