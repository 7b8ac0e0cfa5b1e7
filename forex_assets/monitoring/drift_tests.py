"""Effect size and dependence-aware p-value of each drift test, for a recent window against the one before it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.monitoring.degradation import overlap_variance
from forex_assets.monitoring.drift_samples import Sample, Test
from forex_assets.monitoring.windows import dependence, ks_distance, ks_effective_p, lag_one, window_pairs
from forex_assets.settings.monitoring import DriftFloors, DriftPolicy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Lags over which a window's own dependence is estimated.
LAGS = 20
#: Variance of a correlation of fat-tailed, volatile moves over that of normal ones.
CORRELATION_INFLATION = 1.5
UNITS: dict[Test, str] = {
    "location": "sigma",
    "scale": "log ratio",
    "shape": "distance",
    "persistence": "correlation",
    "link": "correlation",
}


class Measured(NamedTuple):
    """One test over days: effect, its standard error, p-value; NaN where it could not be made."""

    effect: Floats
    error: Floats
    p_value: Floats


def floor_of(test: Test, floors: DriftFloors) -> float:
    """Return the effect below which a test is no drift."""
    return {
        "location": floors.location_sigma,
        "scale": floors.scale_log,
        "shape": floors.shape_distance,
        "persistence": floors.persistence_correlation,
        "link": floors.link_correlation,
    }[test]


def measure(sample: Sample, test: Test, ends: Ints, policy: DriftPolicy) -> Measured:
    """Return one test of one sample for the values known at each end (with enough of them)."""
    out = Measured(*(np.full(len(ends), np.nan) for _ in range(3)))
    need = policy.baseline_obs + policy.recent_obs
    enough = np.flatnonzero(ends >= need)
    for part in np.array_split(enough, max(1, len(enough) // 2000)):
        if not len(part):
            continue
        base, recent = window_pairs(sample.values, policy.baseline_obs, policy.recent_obs, ends[part])
        missing = np.isnan(base).mean(axis=1) + np.isnan(recent).mean(axis=1)
        base, recent = np.nan_to_num(base, nan=0.0), np.nan_to_num(recent, nan=0.0)
        if test == "link":
            assert sample.partner is not None
            pairs = window_pairs(sample.partner, policy.baseline_obs, policy.recent_obs, ends[part])
            missing = missing + np.isnan(pairs[0]).mean(axis=1) + np.isnan(pairs[1]).mean(axis=1)
            partner = (np.nan_to_num(pairs[0], nan=0.0), np.nan_to_num(pairs[1], nan=0.0))
            found = _link(base, recent, *partner)
        else:
            found = {"location": _location, "scale": _scale, "shape": _shape, "persistence": _persistence}[test](
                base, recent, sample.steps
            )
        still = (np.ptp(base, axis=1) == 0) | (np.ptp(recent, axis=1) == 0)
        good = (missing <= policy.max_missing_share) & ~still
        for column, numbers in zip(out, found, strict=True):
            column[part] = np.where(good, numbers, np.nan)
    return out


def _inflation(base: Floats, recent: Floats, steps: float) -> Floats:
    """Return how much dependence inflates the variance of the two windows' difference, over independence."""
    m, n = recent.shape[1], base.shape[1]
    if steps <= 1:
        return np.asarray(dependence(base, LAGS) * (1.0 / m + 1.0 / n))
    known = overlap_variance(m, steps) + overlap_variance(n, steps)
    return np.asarray(np.maximum(known, dependence(base, LAGS) * (1.0 / m + 1.0 / n)))


def _two_sided(z: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(2.0 * ndtr(-np.abs(z)), dtype=np.float64)


def _location(base: Floats, recent: Floats, steps: float) -> Measured:
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = (recent.mean(axis=1) - base.mean(axis=1)) / base.std(axis=1, ddof=1)
        error = np.sqrt(_inflation(base, recent, steps))
        return Measured(effect, error, _two_sided(effect / error))


def _scale(base: Floats, recent: Floats, steps: float) -> Measured:
    size_b, size_r = np.abs(base - np.median(base, axis=1)[:, None]), np.abs(recent - np.median(base, axis=1)[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = np.log(size_r.mean(axis=1) / size_b.mean(axis=1))
        spread = size_b.std(axis=1, ddof=1) / size_b.mean(axis=1)
        error = spread * np.sqrt(_inflation(size_b, size_r, steps))
        return Measured(effect, error, _two_sided(effect / error))


def _shape(base: Floats, recent: Floats, steps: float) -> Measured:
    def own_scale(x: Floats) -> Floats:
        centred = x - np.median(x, axis=1)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(centred / np.abs(centred).mean(axis=1)[:, None], dtype=np.float64)

    with np.errstate(invalid="ignore"):
        distance = ks_distance(own_scale(recent), own_scale(base))
    m, n = recent.shape[1], base.shape[1]
    # As many independent values as tell as much: both windows shrunk by the same factor.
    shrink = (1.0 / m + 1.0 / n) / _inflation(base, recent, steps)
    error = np.sqrt((1.0 / m + 1.0 / n) / shrink) / 2.0
    return Measured(distance, error, ks_effective_p(distance, m * shrink, n * shrink))


def _persistence(base: Floats, recent: Floats, steps: float) -> Measured:
    m, n = recent.shape[1], base.shape[1]
    after, before = lag_one(recent), lag_one(base)
    with np.errstate(invalid="ignore"):
        gap = np.arctanh(np.clip(after, -0.999, 0.999)) - np.arctanh(np.clip(before, -0.999, 0.999))
    error = math.sqrt(CORRELATION_INFLATION * (1.0 / (m - 3) + 1.0 / (n - 3)))
    return Measured(after - before, np.full(len(gap), error), _two_sided(gap / error))


def _link(base: Floats, recent: Floats, partner_base: Floats, partner_recent: Floats) -> Measured:
    m, n = recent.shape[1], base.shape[1]
    after, before = _correlation(recent, partner_recent), _correlation(base, partner_base)
    with np.errstate(invalid="ignore"):
        gap = np.arctanh(np.clip(after, -0.999, 0.999)) - np.arctanh(np.clip(before, -0.999, 0.999))
    error = math.sqrt(CORRELATION_INFLATION * (1.0 / (m - 3) + 1.0 / (n - 3)))
    return Measured(after - before, np.full(len(gap), error), _two_sided(gap / error))


def _correlation(x: Floats, y: Floats) -> Floats:
    a, b = x - x.mean(axis=1)[:, None], y - y.mean(axis=1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)), dtype=np.float64)
