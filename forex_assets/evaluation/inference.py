"""Intervals for means, shares and ratios of errors that overlap.

Errors of neighbouring origins of an h-step forecast share most of their steps: under a random walk their correlation at
a distance of k origins is ``1 - k/h``. A naive interval takes them as independent and is far too narrow (spec K03). The
intervals here use that known correlation, which holds in samples too short to estimate any, together with an estimate
of the dependence that is there (Newey-West), whichever is wider. Measured validity: docs/evaluation.md.

References
----------
Hansen and Hodrick (1980), JPE 88(5), for the dependence of overlapping errors; Newey and West (1987), Econometrica
55(3); Satterthwaite (1946), Biometrics 2(6), for the degrees of freedom; Clopper and Pearson (1934), Biometrika 26(4);
Politis and Romano (1994), The stationary bootstrap, JASA 89(428).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.errors import ValidationError

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

CONFIDENCE = 0.95
BOOTSTRAP_DRAWS = 1_000
BOOTSTRAP_SEED = 20250613
#: A block bootstrap of fewer independent stretches than this says nothing about its own spread.
MIN_EFFECTIVE_FOR_RATIO = 5.0
#: Dependence is estimated only in samples that hold this many independent errors.
_MIN_EFFECTIVE_FOR_ESTIMATE = 20.0
#: How long volatility is remembered (half a year): hits and losses cluster beyond the overlap.
_MEMORY_BUSINESS_DAYS = 125
#: Two losses whose proportion varies by less than this share of the largest loss cannot be told apart.
_PROPORTIONAL = 1e-9


class Interval(NamedTuple):
    """An estimate with its 95% interval; the ends are NaN where the sample cannot give one."""

    value: float
    low: float
    high: float
    n: int
    n_effective: float


def overlap_rows(order_dates: npt.ArrayLike, overlap_steps: float) -> float:
    """Return how many consecutive origins share steps, from the origins' usual distance in business days.

    Parameters
    ----------
    order_dates:
        Origin dates (n,), in any order; repeats (several rows of one date) count once.
    overlap_steps:
        Steps of one forecast error, in business days.
    """
    return max(1.0, float(overlap_steps) / origin_spacing(_dates(order_dates)))


def effective_n(n: int, overlap: float) -> float:
    """Return how many independent errors tell as much about a mean as ``n`` consecutive overlapping ones.

    Parameters
    ----------
    n:
        Rows, one per origin, in order.
    overlap:
        Consecutive rows whose errors share steps (1: none), as :func:`overlap_rows` gives.
    """
    _check_overlap(overlap)
    return _overlap_moments(int(n), round(float(overlap), 6))[0] if n > 0 else 0.0


def hits_effective_n(n: int, overlap: float, share: float) -> float:
    """Return the same for hits of a central interval that holds ``share`` of normal errors.

    Whether an error lies outside depends less on its neighbours than the error itself does, so hits are worth more.
    """
    _check_overlap(overlap)
    if n <= 0:
        return 0.0
    if overlap <= 1:
        return float(n)
    return _hits_effective_n(int(n), round(float(overlap), 6), round(float(np.clip(share, 0.01, 0.99)), 2))


def mean_interval(values: npt.ArrayLike, order_dates: npt.ArrayLike, overlap_steps: float) -> Interval:
    """Return the mean of overlapping errors with an interval that allows for their dependence.

    Parameters
    ----------
    values:
        Errors or losses (n,), any unit.
    order_dates:
        Origin date of each (n,); all rows of one date count as one observation.
    overlap_steps:
        Steps of one error, in business days.

    Notes
    -----
    The half-width is the larger of two. One takes errors to have the correlation ``1 - k/overlap``: the sample
    variance is unbiased for it, and Student's t has the degrees of freedom of a variance estimated from errors so
    correlated. The other, in samples of at least 20 independent errors, is Newey-West's with at least ``2 * overlap``
    lags, and with half a year of them where a tenth of the sample is that long. With fewer than three dates the ends
    are NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    dates = _dates(order_dates)
    _check_rows(values, dates)
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0.0)
    sums, counts = _by_date(dates, values)
    m = len(counts)
    spacing = origin_spacing(dates)
    overlap = max(1.0, overlap_steps / spacing)
    effective, unbiased_scale, freedom = _overlap_moments(m, round(overlap, 6))
    mean = float(values.mean())
    if m < 3:
        return Interval(mean, math.nan, math.nan, n, effective)
    influence = (sums - mean * counts) / counts.mean()
    half = float(_student_t(np.array(freedom))) * math.sqrt(
        float(influence @ influence) / m * unbiased_scale / effective
    )
    if effective >= _MIN_EFFECTIVE_FOR_ESTIMATE:
        half = max(half, _newey_west_half_width(influence, newey_west_lags(m, overlap, spacing)))
    return Interval(mean, mean - half, mean + half, n, effective)


def share_interval(hits: npt.ArrayLike, overlap: float, order_dates: npt.ArrayLike | None = None) -> Interval:
    """Return a share of hits with the Clopper-Pearson interval at the effective number of trials.

    Parameters
    ----------
    hits:
        Truth values (n,).
    overlap:
        Without ``order_dates``: consecutive rows whose errors share steps (1: independent trials, the exact interval).
        With them: steps of one error, in business days.
    order_dates:
        Origin date of each row; without it the rows are in order, one per origin.
    """
    values = np.asarray(hits, dtype=np.float64)
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0.0)
    if order_dates is None:
        order = np.arange(n)
        spacing, rows = 1.0, float(overlap)
    else:
        dates = _dates(order_dates)
        _check_rows(values, dates)
        order = np.argsort(dates, kind="stable")
        spacing = origin_spacing(dates)
        rows = max(1.0, overlap / spacing)
    _check_overlap(rows)
    share = float(values.mean())
    effective = _effective_trials(values[order], rows, spacing, share)
    low, high = clopper_pearson(share, effective)
    return Interval(share, float(low), float(high), n, effective)


def ratio_interval(
    num: npt.ArrayLike,
    den: npt.ArrayLike,
    dates: npt.ArrayLike,
    block: float,
    *,
    min_effective_n: float = MIN_EFFECTIVE_FOR_RATIO,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """Return the ratio of two mean losses on the same rows with a block-bootstrap interval.

    See :func:`ratio_intervals`, which does several ratios with one set of draws.
    """
    numerator = np.asarray(num, dtype=np.float64)[:, None]
    denominator = np.asarray(den, dtype=np.float64)[:, None]
    return ratio_intervals(
        numerator, denominator, dates, block, min_effective_n=min_effective_n, draws=draws, seed=seed
    )[0]


def ratio_intervals(
    num: Floats,
    den: Floats,
    dates: npt.ArrayLike,
    block: float,
    *,
    min_effective_n: float | Floats = MIN_EFFECTIVE_FOR_RATIO,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> list[Interval]:
    """Return ratios of mean losses, column by column, with stationary-bootstrap intervals over dates.

    Parameters
    ----------
    num, den:
        Losses (n, c) of the model and of its benchmark on the same rows.
    dates:
        Origin date of each row (n,); all rows of one date (every pair of a panel) are drawn together.
    block:
        Steps of one error, in business days. Blocks have at least twice that mean length, since geometric blocks of
        mean h would cut a quarter of the dependence of h-step errors, and up to half a year where the sample holds
        twenty of them.
    min_effective_n:
        Independent errors below which no interval is given, for all columns or for each.
    draws, seed:
        Bootstrap samples and the fixed seed of their blocks.

    Notes
    -----
    The percentiles of the log ratio over the draws are spread out by what geometric blocks miss of the dependence, and
    to Student's t with as many degrees of freedom as stretches of the sample really speak: with
    ``d = num - ratio * den`` summed over stretches of one overlap, ``(sum d²)² / sum d⁴ - 1``, so that a ratio resting
    on two storms gets the interval of two observations. Identical losses have the ratio 1 exactly. The ends are NaN
    where the sample is too short, where no row tells the two losses apart (one is a multiple of the other), or where
    the denominator is zero.
    """
    num, den = np.asarray(num, dtype=np.float64), np.asarray(den, dtype=np.float64)
    order_dates = _dates(dates)
    if num.shape != den.shape:
        raise ValidationError(
            f"A ratio needs both losses on the same rows; got shapes {num.shape} and {den.shape}.",
            remedy="align model and benchmark on their common targets first.",
        )
    _check_rows(num, order_dates)
    n, columns = num.shape
    if n == 0:
        return [Interval(math.nan, math.nan, math.nan, 0, 0.0)] * columns
    sums, counts = _by_date(order_dates, np.concatenate([num, den], axis=1))
    m = len(counts)
    spacing = origin_spacing(order_dates)
    overlap = max(1.0, block / spacing)
    effective = effective_n(m, overlap)
    top, bottom = sums[:, :columns], sums[:, columns:]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(bottom.sum(axis=0) > 0, top.sum(axis=0) / bottom.sum(axis=0), np.nan)
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    same = np.isfinite(ratio) & (top == bottom).all(axis=0)
    low[same] = high[same] = 1.0
    excess = top - ratio * bottom
    told_apart = np.abs(excess).max(axis=0) > _PROPORTIONAL * np.abs(top).max(axis=0)
    usable = told_apart & (ratio > 0) & (effective >= np.asarray(min_effective_n)) & (m >= 3)
    if usable.any():
        length = block_length(m, overlap, spacing)
        totals = stationary_bootstrap_sums(
            np.concatenate([top[:, usable], bottom[:, usable]], axis=1), length, draws, np.random.default_rng(seed)
        )
        kept = int(usable.sum())
        centre = np.log(ratio[usable])
        tail = 100 * (1 - CONFIDENCE) / 2
        spread = np.percentile(np.log(totals[:, :kept] / totals[:, kept:]) - centre, [tail, 100 - tail], axis=0)
        freedom = np.maximum(1.0, np.minimum(_speaking_stretches(excess[:, usable], overlap) - 1.0, m / length))
        widen = _bootstrap_widening(m, overlap, length) * _student_t(freedom) / _student_t(np.array(np.inf))
        low[usable] = np.exp(centre + np.minimum(spread[0], 0.0) * widen)
        high[usable] = np.exp(centre + np.maximum(spread[1], 0.0) * widen)
    return [Interval(float(r), float(a), float(b), n, effective) for r, a, b in zip(ratio, low, high, strict=True)]


def block_length(n: int, overlap: float, spacing: float) -> float:
    """Return the mean block, in origins, that a bootstrap of ``n`` overlapping rows needs.

    At least two overlaps, and half a year (the memory of volatility) where twenty of them fit; never over half of all.
    """
    return float(min(max(2.0 * overlap, n ** (1 / 3), min(_MEMORY_BUSINESS_DAYS / spacing, n / 20)), n / 2))


def _dates(values: npt.ArrayLike) -> Dates:
    return np.atleast_1d(np.asarray(values)).astype("datetime64[D]")


def origin_spacing(dates: Dates) -> float:
    """Return the usual distance of neighbouring origins in business days."""
    unique = dates if _grow(dates) else np.unique(dates)
    if len(unique) < 2:
        return 1.0
    return max(1.0, float(np.median(np.busday_count(unique[:-1], unique[1:]))))


def _grow(dates: Dates) -> bool:
    return bool((dates[1:] > dates[:-1]).all())


def _check_rows(values: Floats, dates: Dates) -> None:
    if len(values) != len(dates):
        raise ValidationError(
            f"{len(values)} values cannot belong to {len(dates)} dates.", remedy="pass one origin date per value."
        )
    if not np.isfinite(values).all():
        raise ValidationError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} values are not finite numbers.",
            remedy="keep only matured rows with finite scores.",
        )


def _check_overlap(overlap: float) -> None:
    if not overlap >= 1:
        raise ValidationError(
            f"overlap must be at least 1 (1: rows share no steps), got {overlap!r}.",
            remedy="pass the number of consecutive rows whose errors share steps.",
        )


def _by_date(dates: Dates, values: Floats) -> tuple[Floats, Floats]:
    """Return sums per date in date order, and rows per date."""
    if _grow(dates):
        return values, np.ones(len(dates))
    unique, inverse, counts = np.unique(dates, return_inverse=True, return_counts=True)
    sums = np.zeros((len(unique), *values.shape[1:]))
    np.add.at(sums, inverse.ravel(), values)
    return sums, counts.astype(np.float64)


@functools.lru_cache(maxsize=4096)
def _overlap_moments(n: int, overlap: float) -> tuple[float, float, float]:
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


def _effective_trials(hits: Floats, overlap: float, spacing: float, share: float) -> float:
    n = len(hits)
    if overlap <= 1:
        return float(n)
    errors_effective = effective_n(n, overlap)
    shrunk = (share * errors_effective + 2.0) / (errors_effective + 4.0)
    effective = hits_effective_n(n, overlap, shrunk)
    if errors_effective >= _MIN_EFFECTIVE_FOR_ESTIMATE and 0.0 < share < 1.0:
        half = _newey_west_half_width(hits - share, newey_west_lags(n, overlap, spacing))
        normal = float(_student_t(np.array(np.inf)))
        effective = min(effective, share * (1.0 - share) * (normal / half) ** 2)
    return float(np.clip(effective, 1.0, n))


def _newey_west_half_width(influence: Floats, lags: int) -> float:
    """Return half the 95% interval of the mean of a centred series."""
    error, freedom = newey_west(influence, lags)
    return float(_student_t(np.array(freedom))) * error


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
    return math.ceil(max(2.0 * overlap, min(_MEMORY_BUSINESS_DAYS / spacing, n / 10)))


def _speaking_stretches(excess: Floats, overlap: float) -> Floats:
    """Return how many stretches of ``overlap`` rows carry the variation of each column: ``(sum d²)² / sum d⁴``."""
    stretch = max(1, round(overlap))
    edges = np.arange(0, max(1, len(excess) - stretch + 1), stretch)
    totals = np.add.reduceat(excess, edges, axis=0)
    return np.asarray((totals**2).sum(axis=0) ** 2 / (totals**4).sum(axis=0), dtype=np.float64)


def clopper_pearson(share: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return both ends of the 95% interval of shares at effective numbers of trials, vectorised; NaN stays NaN."""
    from scipy.special import betaincinv

    tail = (1.0 - CONFIDENCE) / 2.0
    share = np.asarray(share, dtype=np.float64)
    trials = np.maximum(np.broadcast_to(np.asarray(trials, dtype=np.float64), share.shape), 1e-9)
    hits, misses = share * trials, (1.0 - share) * trials
    low = np.where(hits <= 1e-12, 0.0, betaincinv(np.maximum(hits, 1e-12), misses + 1.0, tail))
    high = np.where(misses <= 1e-12, 1.0, betaincinv(hits + 1.0, np.maximum(misses, 1e-12), 1.0 - tail))
    unknown = np.isnan(share)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def _student_t(freedom: Floats) -> Floats:
    """Return the upper 97.5% point of Student's t, of the normal distribution where ``freedom`` is infinite."""
    from scipy.special import ndtri, stdtrit

    upper = 1.0 - (1.0 - CONFIDENCE) / 2.0
    finite = np.where(np.isinf(freedom), 1.0, freedom)
    return np.asarray(np.where(np.isinf(freedom), ndtri(upper), stdtrit(finite, upper)), dtype=np.float64)


def _bootstrap_widening(n: int, overlap: float, length: float) -> float:
    """Return true over bootstrapped standard error for the correlation ``1 - k/overlap``, blocks of mean ``length``.

    Geometric blocks weight the correlation at lag k by ``(1 - 1/length)^k``, and measuring it about the sample's own
    mean loses ``2 length / n`` of the variance.
    """
    lags = np.arange(1, math.ceil(overlap))
    rho = 1.0 - lags / overlap
    kept = (1.0 - 1.0 / length) ** lags
    missed = (1.0 + 2.0 * rho.sum()) / (1.0 + 2.0 * (rho * kept).sum())
    return math.sqrt(missed / max(0.5, 1.0 - 2.0 * length / n))


def _stationary_blocks(
    n: int, length: float, draws: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return first rows and lengths (draws, blocks) of stationary-bootstrap samples; a draw's lengths add up to n."""
    blocks = math.ceil(n / length + 4.0 * math.sqrt(n / length) + 4.0)
    ends = np.cumsum(rng.geometric(1.0 / length, size=(draws, blocks)), axis=1)
    while (ends[:, -1] < n).any():
        more = rng.geometric(1.0 / length, size=(draws, blocks))
        ends = np.concatenate([ends, ends[:, -1:] + np.cumsum(more, axis=1)], axis=1)
    lengths = np.diff(np.minimum(ends, n), axis=1, prepend=0)
    return rng.integers(0, n, size=lengths.shape), lengths


def stationary_bootstrap_sums(rows: Floats, length: float, draws: int, rng: np.random.Generator) -> Floats:
    """Return the column totals of stationary-bootstrap samples of the rows, shape (draws, columns).

    Blocks start anywhere and run round the end. A block's total is a difference of running totals, so the cost is that
    of the blocks, not of the rows.
    """
    starts, lengths = _stationary_blocks(len(rows), length, draws, rng)
    totals = np.empty((draws, rows.shape[1]))
    for column in range(rows.shape[1]):
        running = np.concatenate([[0.0], np.cumsum(np.tile(rows[:, column], 2))])
        totals[:, column] = (running[starts + lengths] - running[starts]).sum(axis=1)
    return totals
