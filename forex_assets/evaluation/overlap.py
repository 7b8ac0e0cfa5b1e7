"""How errors that overlap depend on each other: as known from the steps they share, and as estimated.

Errors of neighbouring origins of an h-step forecast share most of their steps: under a random walk their correlation at
a distance of k origins is ``1 - k/h``, in samples too short to estimate any. Dependence beyond that is estimated.

References
----------
Hansen and Hodrick (1980), JPE 88(5), for the dependence of overlapping errors; Newey and West (1987), Econometrica
55(3); Satterthwaite (1946), Biometrics 2(6), for the degrees of freedom.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import ValidationError

MEMORY_BUSINESS_DAYS = 125
"""How long volatility is remembered (half a year): hits and losses cluster beyond the overlap."""


def overlap_rows(order_dates: npt.ArrayLike, overlap_steps: float) -> float:
    """Return how many consecutive origins share steps, from the origins' usual distance in business days.

    Parameters
    ----------
    order_dates:
        Origin dates (n,), in any order; repeats (several rows of one date) count once.
    overlap_steps:
        Steps of one forecast error, in business days.
    """
    return max(1.0, float(overlap_steps) / origin_spacing(days_of(order_dates)))


def effective_n(n: int, overlap: float) -> float:
    """Return how many independent errors tell as much about a mean as ``n`` consecutive overlapping ones.

    Parameters
    ----------
    n:
        Rows, one per origin, in order.
    overlap:
        Consecutive rows whose errors share steps (1: none), as :func:`overlap_rows` gives.
    """
    check_overlap(overlap)
    return overlap_moments(int(n), round(float(overlap), 6))[0] if n > 0 else 0.0


def hits_effective_n(n: int, overlap: float, share: float) -> float:
    """Return the same for hits of a central interval that holds ``share`` of normal errors.

    Whether an error lies outside depends less on its neighbours than the error itself does, so hits are worth more.
    """
    check_overlap(overlap)
    if n <= 0:
        return 0.0
    if overlap <= 1:
        return float(n)
    return _hits_effective_n(int(n), round(float(overlap), 6), round(float(np.clip(share, 0.01, 0.99)), 2))


def origin_spacing(dates: Dates) -> float:
    """Return the usual distance of neighbouring origins in business days."""
    unique = dates if grow(dates) else np.unique(dates)
    if len(unique) < 2:
        return 1.0
    return max(1.0, float(np.median(np.busday_count(unique[:-1], unique[1:]))))


def newey_west(influence: Floats, lags: int) -> tuple[float, float]:
    """Return the standard error of the mean of a centred series, and its degrees of freedom.

    Bartlett weights on ``lags`` autocovariances. The variance so estimated has about ``1.5 n / lags`` degrees of
    freedom; measured about the sample's own mean it misses ``lags / n`` of itself, which is put back.
    """
    n = len(influence)
    total = float(influence @ influence)
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(influence[lag:] @ influence[:-lag])
    freedom = max(1.0, 1.5 * n / (lags + 1.0))
    return math.sqrt(max(total, 0.0) / max(0.5, 1.0 - lags / n)) / n, freedom


def newey_west_lags(n: int, overlap: float, spacing: float) -> int:
    """Return how many autocovariances of ``n`` overlapping rows are weighed: twice the overlap, or half a year."""
    return math.ceil(max(2.0 * overlap, min(MEMORY_BUSINESS_DAYS / spacing, n / 10)))


def days_of(values: npt.ArrayLike) -> Dates:
    """Return dates as days, shape (n,)."""
    return np.atleast_1d(np.asarray(values)).astype("datetime64[D]")


def grow(dates: Dates) -> bool:
    """Tell whether dates are in order without repeats."""
    return bool((dates[1:] > dates[:-1]).all())


def check_overlap(overlap: float) -> None:
    """Refuse an overlap below one row."""
    if not overlap >= 1:
        raise ValidationError(
            f"overlap must be at least 1 (1: rows share no steps), got {overlap!r}.",
            remedy="pass the number of consecutive rows whose errors share steps.",
        )


@functools.lru_cache(maxsize=4096)
def overlap_moments(n: int, overlap: float) -> tuple[float, float, float]:
    """Return (effective n, factor that unbiases the sample variance, its degrees of freedom) for ``1 - k/overlap``.

    With R the correlation matrix and M the removal of the mean: ``n_eff = n² / 1'R1``, ``E[x'Mx] = tr(MR)`` and
    Satterthwaite's ``tr(MR)² / tr(MRMR)``.
    """
    if n == 1:
        return 1.0, math.nan, math.nan
    lags = np.arange(n)
    rho = np.maximum(0.0, 1.0 - lags / overlap)
    cumulative = np.cumsum(rho)
    row_sums = cumulative + cumulative[::-1] - 1.0
    total = float(row_sums.sum())
    trace = n - total / n
    squares = float(n + 2.0 * ((n - lags[1:]) * rho[1:] ** 2).sum())
    trace_squared = squares - 2.0 * float(row_sums @ row_sums) / n + (total / n) ** 2
    return n * n / total, n / trace, max(1.0, trace * trace / trace_squared)


@functools.lru_cache(maxsize=4096)
def _hits_effective_n(n: int, overlap: float, share: float) -> float:
    lags = np.arange(1, min(n, math.ceil(overlap)))
    correlation = _hit_correlations(overlap, share)[: len(lags)]
    return float(n / (1.0 + 2.0 * ((1.0 - lags / n) * correlation).sum()))


@functools.lru_cache(maxsize=4096)
def _hit_correlations(overlap: float, share: float) -> Floats:
    """Return the correlation of hits at every lag at which errors overlap: it does not depend on how many there are."""
    lags = np.arange(1, math.ceil(overlap))
    return _hit_correlation(np.maximum(0.0, 1.0 - lags / overlap), share)


@functools.cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(96)
    return nodes, weights


def _hit_correlation(rho: Floats, share: float) -> Floats:
    """Return the correlation of two hits of a central interval when the normal errors correlate by ``rho``."""
    from scipy.special import ndtr, ndtri

    edge = float(ndtri((1.0 + share) / 2.0))
    nodes, weights = _quadrature()
    z = nodes * edge
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * weights * edge
    rho = rho[:, None]
    spread = np.sqrt(1.0 - rho * rho)
    both = (density * (ndtr((edge - rho * z) / spread) - ndtr((-edge - rho * z) / spread))).sum(axis=1)
    return np.asarray(np.clip((both - share * share) / (share * (1.0 - share)), 0.0, 1.0), dtype=np.float64)
