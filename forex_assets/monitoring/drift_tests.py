"""Effect size and dependence-aware p-value of each drift test, for a recent window against the one before it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.monitoring.degradation import overlap_variance
from forex_assets.monitoring.drift_samples import Sample, Test
from forex_assets.monitoring.windows import Rolling, ks_effective_p
from forex_assets.settings.monitoring import DriftFloors, DriftPolicy

#: Lags over which a window's own dependence is estimated.
LAGS = 20
#: The same for sizes, which cluster longer.
SIZE_LAGS = 60
#: Variance of a correlation of fat-tailed, volatile moves over that of normal ones.
CORRELATION_INFLATION = 1.5
#: Where distribution functions of standardised values are compared.
GRID = tuple(float(point) for point in np.linspace(-3.2, 3.2, 65))
UNITS: dict[Test, str] = {
    "location": "sigma",
    "scale": "log ratio",
    "distribution": "distance",
    "persistence": "correlation",
    "link": "correlation",
}


class Measured(NamedTuple):
    """One test over days: effect, its standard error, p-value; NaN where it could not be made."""

    effect: Floats
    error: Floats
    p_value: Floats


def floor_of(subject: str, test: Test, floors: DriftFloors) -> float:
    """Return the effect below which a test is no drift; the pair's own volatility has one of its own."""
    return {
        "location": floors.location_sigma,
        "scale": floors.volatility_log if subject == "volatility" else floors.scale_log,
        "distribution": floors.distribution_distance,
        "persistence": floors.persistence_correlation,
        "link": floors.link_correlation,
    }[test]


def measure(sample: Sample, test: Test, ends: Ints, policy: DriftPolicy) -> Measured:
    """Return one test of one sample for the values known at each end (with enough of them)."""
    out = Measured(*(np.full(len(ends), np.nan) for _ in range(3)))
    enough = np.flatnonzero(ends >= policy.baseline_obs + policy.recent_obs)
    if not len(enough):
        return out
    last = ends[enough]
    middle = last - policy.recent_obs
    windows = _Windows(middle - policy.baseline_obs, middle, last)
    series = [Rolling(np.abs(sample.values) if test == "scale" else sample.values)]
    if test == "link":
        assert sample.partner is not None  # nosec B101
        series.append(Rolling(sample.partner))
    found = {
        "location": _location,
        "scale": _scale,
        "distribution": _distribution,
        "persistence": _persistence,
        "link": _link,
    }[test](series, windows, sample.steps)
    good = np.ones(len(last), dtype=bool)
    for one in series:
        share = one.missing_share(windows.first, middle) + one.missing_share(middle, last)
        good &= (share <= policy.max_missing_share) & ~one.is_constant(windows.first, middle)
        good &= ~one.is_constant(middle, last)
    for column, numbers in zip(out, found, strict=True):
        column[enough] = np.where(good, numbers, np.nan)
    return out


class _Windows(NamedTuple):
    """Edges of the two windows: the baseline from ``first``, the recent one from ``middle`` to ``last``."""

    first: Ints
    middle: Ints
    last: Ints

    @property
    def sizes(self) -> tuple[int, int]:
        """Observations of the recent window and of the baseline."""
        return int(self.last[0] - self.middle[0]), int(self.middle[0] - self.first[0])


def _inflation(series: Rolling, at: _Windows, steps: float, lags: int = LAGS) -> Floats:
    """Return the variance of the two windows' difference of means, in variances of one value."""
    m, n = at.sizes
    seen = series.dependence(at.first, at.middle, lags) * (1.0 / m + 1.0 / n)
    if steps <= 1:
        return seen
    return np.asarray(np.maximum(overlap_variance(m, steps) + overlap_variance(n, steps), seen))


def _two_sided(z: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(z)), dtype=np.float64)


def _location(series: list[Rolling], at: _Windows, steps: float) -> Measured:
    x, n = series[0], at.sizes[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.maximum(x.autocovariance(at.first, at.middle, 0), 0.0) / (n - 1))
        effect = (x.mean(at.middle, at.last) - x.mean(at.first, at.middle)) / spread
        error = np.sqrt(_inflation(x, at, steps))
        return Measured(effect, error, _two_sided(effect / error))


def _scale(series: list[Rolling], at: _Windows, steps: float) -> Measured:
    size, n = series[0], at.sizes[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        before = size.mean(at.first, at.middle)
        effect = np.log(size.mean(at.middle, at.last) / before)
        spread = np.sqrt(np.maximum(size.autocovariance(at.first, at.middle, 0), 0.0) / (n - 1)) / before
        error = spread * np.sqrt(_inflation(size, at, steps, SIZE_LAGS))
        return Measured(effect, error, _two_sided(effect / error))


def _distribution(series: list[Rolling], at: _Windows, steps: float) -> Measured:
    """Compare distribution functions at fixed points: a KS distance that costs nothing per window."""
    x = series[0]
    m, n = at.sizes
    distance = np.zeros(len(at.last))
    for point in GRID:
        below = np.concatenate([[0.0], np.cumsum(x.values <= point)])
        recent = (below[at.last] - below[at.middle]) / m
        np.maximum(distance, np.abs(recent - (below[at.middle] - below[at.first]) / n), out=distance)
    # As many independent values as tell as much: both windows shrunk by the same factor.
    variance = _inflation(x, at, steps)
    shrink = (1.0 / m + 1.0 / n) / variance
    return Measured(distance, np.sqrt(variance) / 2.0, ks_effective_p(distance, m * shrink, n * shrink))


def _persistence(series: list[Rolling], at: _Windows, steps: float) -> Measured:
    x = series[0]
    return _correlations(x.lag_one(at.middle, at.last), x.lag_one(at.first, at.middle), at)


def _link(series: list[Rolling], at: _Windows, steps: float) -> Measured:
    x, y = series
    product = Rolling(x.values * y.values)

    def correlation(first: Ints, last: Ints) -> Floats:
        covariance = product.mean(first, last) - x.mean(first, last) * y.mean(first, last)
        size = x.autocovariance(first, last, 0) * y.autocovariance(first, last, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(covariance * (last - first) / np.sqrt(size), dtype=np.float64)

    return _correlations(correlation(at.middle, at.last), correlation(at.first, at.middle), at)


def _correlations(after: Floats, before: Floats, at: _Windows) -> Measured:
    """Compare two correlations by Fisher's z, with the variance of fat-tailed moves."""
    m, n = at.sizes
    with np.errstate(invalid="ignore"):
        gap = np.arctanh(np.clip(after, -0.999, 0.999)) - np.arctanh(np.clip(before, -0.999, 0.999))
    error = math.sqrt(CORRELATION_INFLATION * (1.0 / (m - 3) + 1.0 / (n - 3)))
    return Measured(after - before, np.full(len(gap), error), _two_sided(gap / error))
