"""Two states, filtered: a probability from the past only, and a label that does not flicker.

Everything here runs forward in time and works on one path (n,) or on many side by side (n, m), so that a live day, a
replay of years and thousands of simulated paths are one computation.

References
----------
Hamilton (1989), Econometrica 57(2), for the filter; the observation density is Student's t of unit variance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats, Ints

Bools = npt.NDArray[np.bool_]


class Held(NamedTuple):
    """A label held over time: on or off, and for how many steps it has been so."""

    on: Bools
    steps: Ints


def long_sigma(returns: Floats, *, half_life: float, warmup: int, clip: float) -> Floats:
    """Return the long-run standard deviation known *before* each return.

    Exponential smoothing of squared returns, each cut at ``clip`` standard deviations so that one storm does not
    become the yardstick of the next; seeded with the first ``warmup`` returns, NaN until then.
    """
    n = returns.shape[0]
    out = np.full(returns.shape, np.nan)
    if n <= warmup:
        return out
    seed = returns[:warmup]
    level = np.asarray((seed * seed).mean(axis=0), dtype=np.float64)
    weight = 1.0 - 0.5 ** (1.0 / half_life)
    if returns.ndim == 1:
        value, limit = float(level), clip * clip
        squares = (returns * returns).tolist()
        held: list[float] = []
        for i in range(warmup, n):
            held.append(value)
            value += weight * (min(squares[i], limit * value) - value)
        out[warmup:] = np.sqrt(held)
        return out
    for i in range(warmup, n):
        out[i] = np.sqrt(level)
        level = level + weight * (np.minimum(returns[i] * returns[i], clip * clip * level) - level)
    return out


def log_t_density(z: Floats, scale: float, freedom: float) -> Floats:
    """Return the log density of Student's t of standard deviation ``scale`` at ``z``."""
    unit = scale * math.sqrt((freedom - 2.0) / freedom)
    constant = (
        math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi) - math.log(unit)
    )
    return np.asarray(constant - (freedom + 1) / 2 * np.log1p((z / unit) ** 2 / freedom), dtype=np.float64)


def filtered_probability(
    z: Floats,
    *,
    calm_scale: float,
    loud_scale: float,
    freedom: float,
    enter: float,
    leave: float,
) -> Floats:
    """Return the filtered probability of the loud state after each standardised return.

    Parameters
    ----------
    z:
        Standardised returns, (n,) or (n, m); NaN where there is none yet (the probability is then NaN, and the filter
        starts from the states' long-run shares at the first number).
    calm_scale, loud_scale:
        Standard deviation of ``z`` in each state.
    freedom:
        Degrees of freedom of the t density, above 2.
    enter, leave:
        Probability a day of going from calm to loud, and back.
    """
    ratio = np.exp(log_t_density(z, loud_scale, freedom) - log_t_density(z, calm_scale, freedom))
    start = enter / (enter + leave)
    out = np.full(z.shape, np.nan)
    if z.ndim == 1:
        p, ratios, held = start, ratio.tolist(), []
        for item in ratios:
            if item == item:  # not NaN
                prior = p * (1.0 - leave) + (1.0 - p) * enter
                p = prior * item / (prior * item + 1.0 - prior)
                held.append(p)
            else:
                held.append(math.nan)
        out[:] = held
        return out
    state = np.full(z.shape[1:], start)
    for i in range(z.shape[0]):
        before: Floats = state * (1.0 - leave) + (1.0 - state) * enter
        update = before * ratio[i] / (before * ratio[i] + 1.0 - before)
        seen = np.isfinite(update)
        state = np.where(seen, update, state)
        out[i] = np.where(seen, update, np.nan)
    return out


def hold(probability: Floats, *, on_at: float, off_at: float, dwell: int, rest: int = 0) -> Held:
    """Return the label: on from ``on_at``, off from ``off_at``; on for at least ``dwell`` steps, off for ``rest``.

    A NaN keeps the label as it is (and counts as a step).
    """
    on = np.zeros(probability.shape, dtype=bool)
    steps = np.zeros(probability.shape, dtype=np.int64)
    if probability.ndim == 1:
        state, count = False, rest
        for i, p in enumerate(probability.tolist()):
            count += 1
            change = (p <= off_at) if state else (p >= on_at)
            if change and count > (dwell if state else rest):
                state, count = not state, 1
            on[i], steps[i] = state, count
        return Held(on, steps)
    label = np.zeros(probability.shape[1:], dtype=bool)
    age = np.full(probability.shape[1:], rest, dtype=np.int64)
    for i in range(probability.shape[0]):
        age = age + 1
        p = probability[i]
        change = np.where(label, (p <= off_at) & (age > dwell), (p >= on_at) & (age > rest))
        label = label ^ change
        age = np.where(change, 1, age)
        on[i], steps[i] = label, age
    return Held(on, steps)
