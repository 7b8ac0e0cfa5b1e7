"""Made drivers beside a made price: copper, the dollar index and the VIX, mean-reverting and linked as on the market.

Logarithms of real drivers do not wander without end: a walk of VIX's daily size leaves 5 to 150 within a year or two,
and every rule that looks at levels would be measured on numbers no market has shown. Each driver is therefore an
autoregression of its logarithm about a long-run level (VIX: of its distance from a floor), with Student's t(5)
innovations whose same-day correlations with the price and with each other are those of the market.

Measured on daily closes of 2010-11-29 to 2025-06-13 (VIX: 1990-01-02 on, 8,949 days). Copper's persistence is that of
the one-factor model of Schwartz (1997), Journal of Finance 52(3), for copper: mean reversion of 0.37 a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from forex_assets.arrays import Floats

FREEDOM = 5


class Driver(NamedTuple):
    """One driver: ``floor + level * exp(x)`` with ``x`` an autoregression of the first order."""

    unit: str
    level: float
    floor: float
    persistence: float
    """What is left of a distance from the long-run level after one day."""
    sigma: float
    """Standard deviation of a day's innovation of ``x``."""


DRIVERS: Mapping[str, Driver] = {
    "copper_comex": Driver("USD per lb", 3.4, 0.0, 0.9984, 0.0142),
    "dxy": Driver("index", 97.0, 0.0, 0.9988, 0.0044),
    "vix": Driver("index", 9.44, 8.0, 0.9791, 0.129),
}
#: Same-day correlations of innovations: the price, then the drivers in order.
CORRELATIONS = np.array(
    [
        [1.00, -0.41, 0.36, 0.28],
        [-0.41, 1.00, -0.31, -0.25],
        [0.36, -0.31, 1.00, 0.09],
        [0.28, -0.25, 0.09, 1.00],
    ]
)


def driver_levels(rng: np.random.Generator, returns: Floats) -> dict[str, Floats]:
    """Return the level of each driver beside a price's returns, shape (n,) each.

    The part of an innovation that goes with the price is the price's own return over its standard deviation, so that
    drivers are loud when the price is.
    """
    n = len(returns)
    weights = np.linalg.cholesky(CORRELATIONS)
    price = returns / max(float(returns.std()), 1e-12)
    noise = rng.standard_t(FREEDOM, size=(len(DRIVERS), n)) * np.sqrt((FREEDOM - 2) / FREEDOM)
    shocks = weights[1:] @ np.vstack([price, noise])
    out = {}
    for (name, driver), shock in zip(DRIVERS.items(), shocks, strict=True):
        spread = driver.sigma / np.sqrt(1.0 - driver.persistence**2)
        x = autoregression(driver.sigma * shock, driver.persistence, start=float(spread * rng.standard_normal()))
        out[name] = driver.floor + driver.level * np.exp(x)
    return out


def autoregression(innovations: Floats, persistence: float, start: float) -> Floats:
    """Return the first-order autoregression of innovations, from ``start`` before the first."""
    value, out = start, []
    for innovation in innovations.tolist():
        value = persistence * value + innovation
        out.append(value)
    return np.asarray(out, dtype=np.float64)
