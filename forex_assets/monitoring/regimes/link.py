"""How closely two series of returns move together, with a test that holds up to storms.

The standard error of a correlation from its influence function: ``psi = x y - rho (x^2 + y^2) / 2`` of standardised
returns, with Newey-West weights. It needs neither normal nor independent returns, unlike ``1 / sqrt(n - 3)``, and it is
computed for every day of a history at once. Fisher's z makes it symmetric.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forex_assets.arrays import Floats

_ROWS = 2_000
_LIMIT = 0.999999


class Link(NamedTuple):
    """Correlation by end of window: value, Fisher's z with its standard error, slope of x on y."""

    correlation: Floats
    z: Floats
    z_error: Floats
    slope: Floats


def rolling_link(x: Floats, y: Floats, window: int, lags: int) -> Link:
    """Return the link of ``x`` and ``y`` over the ``window`` returns up to each one; NaN before there are as many.

    All-equal returns in a window have no correlation: NaN.
    """
    n = len(x)
    out = [np.full(n, np.nan) for _ in range(4)]
    if n >= window:
        views = [np.lib.stride_tricks.sliding_window_view(item, window) for item in (x, y)]
        for start in range(0, n - window + 1, _ROWS):
            part = _link(*(np.ascontiguousarray(view[start : start + _ROWS]) for view in views), lags=lags)
            for column, values in zip(out, part, strict=True):
                column[window - 1 + start : window - 1 + start + len(values)] = values
    return Link(*out)


def probability_negative(link: Link) -> Floats:
    """Return the probability that the true link is negative (flat prior, normal in Fisher's z)."""
    from scipy.special import ndtr

    return np.asarray(ndtr(-link.z / link.z_error), dtype=np.float64)


def interval(correlation: float, z: float, z_error: float) -> tuple[float, float]:
    """Return the 95% interval of one correlation."""
    if not math.isfinite(correlation):
        return math.nan, math.nan
    return math.tanh(z - 1.96 * z_error), math.tanh(z + 1.96 * z_error)


def _link(x: Floats, y: Floats, *, lags: int) -> tuple[Floats, Floats, Floats, Floats]:
    n = x.shape[1]
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    sx, sy = np.sqrt((x * x).mean(axis=1)), np.sqrt((y * y).mean(axis=1))
    flat = ~((sx > 1e-12) & (sy > 1e-12))
    sx, sy = np.where(flat, np.nan, sx), np.where(flat, np.nan, sy)
    x, y = x / sx[:, None], y / sy[:, None]
    rho = np.clip((x * y).mean(axis=1), -_LIMIT, _LIMIT)
    psi = x * y - rho[:, None] * (x * x + y * y) / 2.0
    variance = (psi * psi).mean(axis=1)
    for lag in range(1, lags + 1):
        variance = variance + 2.0 * (1.0 - lag / (lags + 1)) * (psi[:, lag:] * psi[:, :-lag]).sum(axis=1) / n
    # Never less than a third of what independent returns would have: a sum of sample covariances can come out tiny.
    variance = np.maximum(variance, (psi * psi).mean(axis=1) / 3.0)
    error = np.sqrt(variance / (n - 3)) / (1.0 - rho * rho)
    return rho, np.arctanh(rho), np.maximum(error, 1e-9), rho * sx / sy
