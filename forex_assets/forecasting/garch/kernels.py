"""Likelihood, fit and terminal distribution of three volatility recursions, compiled by numba with their filters.

Importing this module imports numba (about a second), so only the functions that need it do. Compiled code is cached
where numba keeps it (``NUMBA_CACHE_DIR``). Parameters and states are those of :mod:`.recursion`; innovations follow
Student's t with nu degrees of freedom, scaled to unit variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np

from forex_assets.forecasting.garch import EGARCH, GARCH, recursion
from forex_assets.forecasting.garch.recursion import LOG_RANGE, MEAN_ABS_NORMAL, PARAMETERS

MAX_PERSISTENCE = 0.9998
MAX_PASSES = 60
_MIN_NU, _MAX_NU = 2.1, 300.0

_compile: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")


def _compile_with(function: Callable[..., Any], **names: Any) -> Any:
    """Compile a function whose module knows ``names`` as plain Python; compiled code calls compiled code only."""
    made = FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return _compile(made)


backcast: Callable[..., Any] = _compile(recursion.backcast)
advance: Callable[..., Any] = _compile(recursion.advance)
states_at: Callable[..., Any] = _compile_with(recursion.states_at, advance=advance)
window_states: Callable[..., Any] = _compile_with(recursion.window_states, advance=advance, backcast=backcast)
clip_returns: Callable[..., Any] = _compile(recursion.clip_returns)


def _digamma(x: float) -> float:
    step = 1e-4 * x
    return (math.lgamma(x + step) - math.lgamma(x - step)) / (2.0 * step)


digamma: Callable[..., Any] = _compile(_digamma)


def _likelihood_pass(kind: int, r: Any, start: int, end: int, theta: Any, g: Any, hess: Any) -> tuple[float, float]:
    """Return log likelihood and state after the last return; fill gradient and its outer product (log(nu - 2) last)."""
    omega, a1, a2, beta, nu = theta[0], theta[1], theta[2], theta[3], theta[4]
    nm2 = nu - 2.0
    back = backcast(r, start, end)
    for i in range(PARAMETERS):
        g[i] = 0.0
        for j in range(PARAMETERS):
            hess[i, j] = 0.0
    constant = math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(math.pi * nm2)
    d_constant = 0.5 * digamma(0.5 * (nu + 1.0)) - 0.5 * digamma(0.5 * nu) - 0.5 / nm2
    ll = 0.0
    d0 = 1.0
    if kind == EGARCH:
        centre = math.log(back)
        state = omega + beta * centre
        d1, d2, d3 = 0.0, 0.0, centre
    else:
        centre = 0.0
        state = omega + (0.5 * (a1 + a2) + beta) * back
        d1, d2, d3 = 0.5 * back, 0.5 * back, back
    h00, h01, h02, h03, h04 = 0.0, 0.0, 0.0, 0.0, 0.0
    h11, h12, h13, h14, h22 = 0.0, 0.0, 0.0, 0.0, 0.0
    h23, h24, h33, h34, h44 = 0.0, 0.0, 0.0, 0.0, 0.0
    g0, g1, g2, g3, g4 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(start, end):
        x = r[i]
        if kind == EGARCH:
            z = x * math.exp(-0.5 * state)
            q = z * z / nm2
            log_v = state
        else:
            z = 0.0
            q = x * x / (nm2 * state)
            log_v = math.log(state)
        w = (nu + 1.0) * q / (1.0 + q)
        lq = math.log(1.0 + q)
        ll += -0.5 * log_v - 0.5 * (nu + 1.0) * lq
        slope = 0.5 * (w - 1.0)
        if kind != EGARCH:
            slope /= state
        e0, e1, e2, e3 = slope * d0, slope * d1, slope * d2, slope * d3
        e4 = (d_constant - 0.5 * lq + 0.5 * w / nm2) * nm2
        g0 += e0
        g1 += e1
        g2 += e2
        g3 += e3
        g4 += e4
        h00 += e0 * e0
        h01 += e0 * e1
        h02 += e0 * e2
        h03 += e0 * e3
        h04 += e0 * e4
        h11 += e1 * e1
        h12 += e1 * e2
        h13 += e1 * e3
        h14 += e1 * e4
        h22 += e2 * e2
        h23 += e2 * e3
        h24 += e2 * e4
        h33 += e3 * e3
        h34 += e3 * e4
        h44 += e4 * e4
        if kind == EGARCH:
            size = abs(z) - MEAN_ABS_NORMAL
            pull = beta - 0.5 * (a1 * abs(z) + a2 * z)
            d0 = 1.0 + pull * d0
            d1 = size + pull * d1
            d2 = z + pull * d2
            d3 = state + pull * d3
            state = omega + a1 * size + a2 * z + beta * state
            state = min(max(state, centre - LOG_RANGE), centre + LOG_RANGE)
        else:
            up = x * x if x >= 0.0 else 0.0
            down = x * x - up
            d0 = 1.0 + beta * d0
            d1 = up + beta * d1
            d2 = down + beta * d2
            d3 = state + beta * d3
            state = omega + a1 * up + a2 * down + beta * state
    g[0], g[1], g[2], g[3], g[4] = g0, g1, g2, g3, g4
    hess[0, 0], hess[0, 1], hess[0, 2], hess[0, 3], hess[0, 4] = h00, h01, h02, h03, h04
    hess[1, 1], hess[1, 2], hess[1, 3], hess[1, 4], hess[2, 2] = h11, h12, h13, h14, h22
    hess[2, 3], hess[2, 4], hess[3, 3], hess[3, 4], hess[4, 4] = h23, h24, h33, h34, h44
    for i in range(PARAMETERS):
        for j in range(i):
            hess[i, j] = hess[j, i]
    return ll + constant * (end - start), state


likelihood_pass: Callable[..., Any] = _compile(_likelihood_pass)


def _project(kind: int, theta: Any, level: float) -> None:
    """Move parameters into their region; ``level`` is the variance of the window."""
    if kind == EGARCH:
        theta[1] = min(max(theta[1], 0.0), 1.0)
        theta[2] = min(max(theta[2], -0.5), 0.5)
        theta[3] = min(max(theta[3], 0.0), MAX_PERSISTENCE)
    else:
        theta[0] = max(theta[0], 1e-6 * level)
        theta[1] = min(max(theta[1], 0.0), 0.6)
        theta[2] = min(max(theta[2], 0.0), 0.6)
        if kind == GARCH:
            theta[2] = theta[1]
        theta[3] = min(max(theta[3], 0.0), MAX_PERSISTENCE - 0.5 * (theta[1] + theta[2]))
    theta[4] = min(max(theta[4], _MIN_NU), _MAX_NU)


project: Callable[..., Any] = _compile(_project)


def _newton_step(kind: int, theta: Any, g: Any, hess: Any, damping: float, level: float, step: Any) -> float:
    """Fill ``step`` with the damped scoring step and return the likelihood it promises; bounds are respected."""
    n = PARAMETERS
    a = np.zeros((n, n + 1))
    for i in range(n):
        for j in range(n):
            a[i, j] = hess[i, j]
        a[i, n] = g[i]
    if kind == GARCH:  # a1 and a2 are one parameter
        for j in range(n + 1):
            a[1, j] += a[2, j]
        for i in range(n):
            a[i, 1] += a[i, 2]
        for j in range(n + 1):
            a[2, j] = 0.0
        for i in range(n):
            a[i, 2] = 0.0
        a[2, 2] = 1.0
    for i in range(n):
        low, high = -np.inf, np.inf
        if i == 0 and kind != EGARCH:
            low = 1e-6 * level
        elif i == 4:
            low, high = _MIN_NU, _MAX_NU
        elif i == 3:
            low = 0.0
            high = MAX_PERSISTENCE if kind == EGARCH else MAX_PERSISTENCE - 0.5 * (theta[1] + theta[2])
        elif i == 1 or (i == 2 and kind != EGARCH):
            low = 0.0
        if (theta[i] <= low and a[i, n] < 0.0) or (theta[i] >= high and a[i, n] > 0.0):
            for j in range(n):
                a[i, j] = 0.0
                a[j, i] = 0.0
            a[i, i], a[i, n] = 1.0, 0.0
    for i in range(n):
        a[i, i] += damping * a[i, i] + 1e-12
    rhs = a[:, n].copy()
    for i in range(n):  # Gaussian elimination; the matrix is positive definite after damping
        pivot = a[i, i]
        if pivot <= 0.0:
            pivot = 1e-12
        for k in range(i + 1, n):
            factor = a[k, i] / pivot
            for j in range(i, n + 1):
                a[k, j] -= factor * a[i, j]
    for i in range(n - 1, -1, -1):
        total = a[i, n]
        for j in range(i + 1, n):
            total -= a[i, j] * step[j]
        step[i] = total / a[i, i] if a[i, i] > 0.0 else 0.0
    if kind == GARCH:
        step[2] = step[1]
    promise = 0.0
    for i in range(n):
        if not (kind == GARCH and i == 2):
            promise += 0.5 * step[i] * rhs[i]
    return promise


newton_step: Callable[..., Any] = _compile(_newton_step)


def _start_values(kind: int, r: Any, start: int, end: int, theta: Any) -> None:
    """Fill ``theta`` with the likeliest of a few usual parameter sets at the window's own variance."""
    level = 0.0
    for i in range(start, end):
        level += r[i] * r[i]
    level = max(level / (end - start), 1e-14)
    g, hess, trial = np.zeros(PARAMETERS), np.zeros((PARAMETERS, PARAMETERS)), np.zeros(PARAMETERS)
    best = -np.inf
    for case in range(3):
        reaction = 0.05 if case == 0 else (0.03 if case == 1 else 0.10)
        memory = 0.93 if case == 0 else (0.965 if case == 1 else 0.80)
        if kind == EGARCH:
            memory = memory + reaction
            trial[0], trial[1], trial[2], trial[3] = (1.0 - memory) * math.log(level), 2.0 * reaction, 0.0, memory
        else:
            trial[0], trial[1], trial[2] = (1.0 - reaction - memory) * level, reaction, reaction
            trial[3] = memory
        trial[4] = 8.0
        ll, _ = likelihood_pass(kind, r, start, end, trial, g, hess)
        if ll > best:
            best = ll
            theta[:] = trial


start_values: Callable[..., Any] = _compile(_start_values)


def _fit(kind: int, r: Any, start: int, end: int, theta: Any, tolerance: float) -> tuple[float, float, int]:
    """Improve ``theta`` in place until a step promises less likelihood than ``tolerance``.

    Returns (log likelihood, state after the last return, passes over the data).
    """
    level = 0.0
    for i in range(start, end):
        level += r[i] * r[i]
    level = max(level / (end - start), 1e-14)
    g, hess = np.zeros(PARAMETERS), np.zeros((PARAMETERS, PARAMETERS))
    g_new, hess_new = np.zeros(PARAMETERS), np.zeros((PARAMETERS, PARAMETERS))
    step, trial = np.zeros(PARAMETERS), np.zeros(PARAMETERS)
    project(kind, theta, level)
    ll, state = likelihood_pass(kind, r, start, end, theta, g, hess)
    passes, damping = 1, 1e-4
    while passes < MAX_PASSES:
        promise = newton_step(kind, theta, g, hess, damping, level, step)
        if not promise > tolerance:
            break
        for i in range(4):
            trial[i] = theta[i] + step[i]
        trial[4] = 2.0 + (theta[4] - 2.0) * math.exp(min(max(step[4], -1.0), 1.0))
        project(kind, trial, level)
        ll_new, state_new = likelihood_pass(kind, r, start, end, trial, g_new, hess_new)
        passes += 1
        if ll_new > ll:
            gained = ll_new - ll
            theta[:] = trial
            ll, state = ll_new, state_new
            g[:] = g_new
            hess[:] = hess_new
            damping = max(0.1 * damping, 1e-7)
            if gained < 0.1 * tolerance:
                break
        else:
            damping = max(10.0 * damping, 1e-2)
            if damping > 1e8:
                break
    return ll, state, passes


fit: Callable[..., Any] = _compile(_fit)


def _fit_chain(kind: int, r: Any, ends: Any, window: int, theta: Any, cold: bool, tolerance: float) -> Any:
    """Fit at each end in turn, each from the parameters before it (the first from start values when ``cold``).

    ``ends`` count values, so the returns known at an end are the first ``end - 1``. Returns rows of parameters, state,
    log likelihood and passes, shape (c, 8).
    """
    out = np.empty((len(ends), PARAMETERS + 3))
    for i in range(len(ends)):
        end = ends[i] - 1
        start = max(0, end - window)
        if cold and i == 0:
            start_values(kind, r, start, end, theta)
        ll, state, passes = fit(kind, r, start, end, theta, tolerance)
        out[i, :PARAMETERS] = theta
        out[i, PARAMETERS] = state
        out[i, PARAMETERS + 1] = ll
        out[i, PARAMETERS + 2] = passes
    return out


fit_chain: Callable[..., Any] = _compile(_fit_chain)


def _log_growth(theta: Any, z: Any, steps: int) -> Any:
    """EGARCH: the part of the log expected variance 1..steps ahead that does not depend on the state, shape (steps,).

    Expectations of exp over the innovations are means over the residuals z, since Student's t has none.
    """
    out = np.zeros(steps)
    weight, total = 1.0, 0.0
    for k in range(1, steps):
        mean = 0.0
        if weight > 1e-6:
            for i in range(len(z)):
                mean += math.exp(weight * (theta[1] * (abs(z[i]) - MEAN_ABS_NORMAL) + theta[2] * z[i]))
            total += math.log(mean / len(z))
        total += theta[0] * weight
        out[k] = total
        weight *= theta[3]
    return out


log_growth: Callable[..., Any] = _compile(_log_growth)


def _growing_variance(states: Any, theta: Any, growth: Any, step: int, ceiling: float) -> Any:
    """Return EGARCH's variance of the sum of the next ``step`` returns for each state, shape (m,)."""
    out = np.zeros(len(states))
    weight = 1.0
    for i in range(step):
        for j in range(len(states)):
            out[j] += min(math.exp(min(growth[i] + weight * states[j], 50.0)), ceiling)
        weight *= theta[3]
    return out


growing_variance: Callable[..., Any] = _compile(_growing_variance)


def _simulate(kind: int, state: float, theta: Any, z: Any, seed: Any, steps: int, samples: int, ceiling: float) -> Any:
    """Return sums of simulated returns after 1..steps days, shape (steps, samples); innovations drawn from ``z``.

    Draw j of day i is a hash of (seed, i, j): the paths do not depend on how many days are asked for.
    """
    out = np.empty((steps, samples))
    n = np.uint64(len(z))
    log_ceiling = math.log(ceiling)
    states = np.full(samples, state)
    for i in range(steps):
        for j in range(samples):
            key = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * (
                np.uint64(i) * np.uint64(1 << 20) + np.uint64(j) + np.uint64(1)
            )
            key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            key = key ^ (key >> np.uint64(31))
            shock = z[((key >> np.uint64(32)) * n) >> np.uint64(32)]
            now = states[j]
            x = shock * (math.exp(0.5 * now) if kind == EGARCH else math.sqrt(now))
            out[i, j] = x if i == 0 else out[i - 1, j] + x
            after = advance(kind, now, x, theta)
            states[j] = min(after, log_ceiling if kind == EGARCH else ceiling)
    return out


simulate: Callable[..., Any] = _compile(_simulate)
