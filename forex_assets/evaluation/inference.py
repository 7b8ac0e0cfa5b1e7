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
#: Below this many blocks a block bootstrap says nothing about its own spread.
MIN_BLOCKS = 3.0
#: A sample autocovariance is believed only in samples this many times longer than the overlap.
_MIN_EFFECTIVE_FOR_ESTIMATE = 20.0


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
    dates = np.unique(_dates(order_dates))
    if len(dates) < 2:
        return max(1.0, float(overlap_steps))
    gaps = np.busday_count(dates[:-1], dates[1:])
    spacing = max(1.0, float(np.median(gaps)))
    return max(1.0, float(overlap_steps) / spacing)


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
    The standard error is the wider of two: that of errors with the correlation ``1 - k/overlap``, and Newey-West's with
    ``2 * overlap`` lags where the sample is long enough to estimate it. Student's t has the degrees of freedom of a
    variance estimated from errors so correlated. With fewer than three dates the ends are NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    dates = _dates(order_dates)
    _check_rows(values, dates)
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0.0)
    sums, counts = _by_date(dates, values)
    m = len(counts)
    overlap = overlap_rows(dates, overlap_steps)
    effective, unbiased_scale, freedom = _overlap_moments(m, round(overlap, 6))
    mean = float(values.mean())
    if m < 3:
        return Interval(mean, math.nan, math.nan, n, effective)
    influence = (sums - mean * counts) / counts.mean()
    variance = float(influence @ influence) / m * unbiased_scale / effective
    if effective >= _MIN_EFFECTIVE_FOR_ESTIMATE:
        variance = max(variance, _newey_west(influence, math.ceil(2 * overlap)))
    half = _student_t(freedom) * math.sqrt(variance)
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
        rows = float(overlap)
    else:
        dates = _dates(order_dates)
        _check_rows(values, dates)
        order = np.argsort(dates, kind="stable")
        rows = overlap_rows(dates, overlap)
    _check_overlap(rows)
    share = float(values.mean())
    effective = _effective_trials(values[order], rows, share)
    low, high = _clopper_pearson(share, effective)
    return Interval(share, low, high, n, effective)


def ratio_interval(
    num: npt.ArrayLike,
    den: npt.ArrayLike,
    dates: npt.ArrayLike,
    block: float,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """Return the ratio of two mean losses on the same rows with a block-bootstrap interval.

    See :func:`ratio_intervals`, which does several ratios with one set of draws.
    """
    numerator = np.asarray(num, dtype=np.float64)[:, None]
    denominator = np.asarray(den, dtype=np.float64)[:, None]
    return ratio_intervals(numerator, denominator, dates, block, draws=draws, seed=seed)[0]


def ratio_intervals(
    num: Floats,
    den: Floats,
    dates: npt.ArrayLike,
    block: float,
    *,
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
        Shortest mean block, in business days: at least the horizon's steps. Twice that is used, since geometric blocks
        of mean h would cut a third of the dependence of h-step errors.
    draws, seed:
        Bootstrap samples and the fixed seed of their blocks.

    Notes
    -----
    The spread of the log ratio over the draws is widened by what geometric blocks still miss of the correlation
    ``1 - k/h``, and to Student's t with as many degrees of freedom as there are independent stretches. With fewer than
    three such stretches, or a denominator of zero, the ends are NaN.
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
    overlap = overlap_rows(order_dates, block)
    effective = effective_n(m, overlap)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(sums[:, columns:].sum(0) > 0, sums[:, :columns].sum(0) / sums[:, columns:].sum(0), np.nan)
    low = high = np.full(columns, np.nan)
    if effective >= MIN_BLOCKS and m >= 3:
        length = min(max(2.0 * overlap, m ** (1 / 3)), m / 2)
        totals = _stationary_bootstrap_sums(sums, length, draws, np.random.default_rng(seed))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = np.log(totals[:, :columns] / totals[:, columns:])
            centre = np.log(ratio)
        widen = _bootstrap_widening(overlap, length) * math.sqrt(effective / (effective - 1.0))
        widen *= _student_t(effective - 1.0) / _student_t(math.inf)
        tail = 100 * (1 - CONFIDENCE) / 2
        lower, upper = np.percentile(drawn - centre, [tail, 100 - tail], axis=0)
        low, high = np.exp(centre - upper * widen), np.exp(centre - lower * widen)
    return [
        Interval(float(r), *((float(a), float(b)) if math.isfinite(r) else (math.nan, math.nan)), n, effective)
        for r, a, b in zip(ratio, low, high, strict=True)
    ]


def _dates(values: npt.ArrayLike) -> Dates:
    return np.atleast_1d(np.asarray(values)).astype("datetime64[D]")


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
    correlation = _hit_correlation(np.maximum(0.0, 1.0 - lags / overlap), share)
    return float(n / (1.0 + 2.0 * ((1.0 - lags / n) * correlation).sum()))


def _hit_correlation(rho: Floats, share: float) -> Floats:
    """Return the correlation of two hits of a central interval when the normal errors correlate by ``rho``."""
    from scipy.special import ndtr, ndtri

    edge = float(ndtri((1.0 + share) / 2.0))
    nodes, weights = np.polynomial.legendre.leggauss(96)
    z = nodes * edge
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * weights * edge
    rho = rho[:, None]
    spread = np.sqrt(1.0 - rho * rho)
    both = (density * (ndtr((edge - rho * z) / spread) - ndtr((-edge - rho * z) / spread))).sum(axis=1)
    return np.asarray(np.clip((both - share * share) / (share * (1.0 - share)), 0.0, 1.0), dtype=np.float64)


def _effective_trials(hits: Floats, overlap: float, share: float) -> float:
    n = len(hits)
    if overlap <= 1:
        return float(n)
    errors_effective = effective_n(n, overlap)
    shrunk = (share * errors_effective + 2.0) / (errors_effective + 4.0)
    effective = hits_effective_n(n, overlap, shrunk)
    if errors_effective >= _MIN_EFFECTIVE_FOR_ESTIMATE and 0.0 < share < 1.0:
        variance = _newey_west(hits - share, math.ceil(2 * overlap))
        effective = min(effective, share * (1.0 - share) / variance)
    return float(np.clip(effective, 1.0, n))


def _newey_west(influence: Floats, lags: int) -> float:
    """Return the variance of the mean of a centred series, with Bartlett weights on ``lags`` autocovariances."""
    n = len(influence)
    total = float(influence @ influence)
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(influence[lag:] @ influence[:-lag])
    return total / (n * n)


def _clopper_pearson(share: float, trials: float) -> tuple[float, float]:
    from scipy.special import betaincinv

    tail = (1.0 - CONFIDENCE) / 2.0
    hits = share * trials
    misses = trials - hits
    low = 0.0 if hits <= 1e-12 else float(betaincinv(hits, misses + 1.0, tail))
    high = 1.0 if misses <= 1e-12 else float(betaincinv(hits + 1.0, misses, 1.0 - tail))
    return low, high


@functools.lru_cache(maxsize=4096)
def _student_t(freedom: float) -> float:
    from scipy.special import ndtri, stdtrit

    upper = 1.0 - (1.0 - CONFIDENCE) / 2.0
    return float(ndtri(upper) if math.isinf(freedom) else stdtrit(freedom, upper))


def _bootstrap_widening(overlap: float, length: float) -> float:
    """Return true over bootstrapped standard error for the correlation ``1 - k/overlap``, blocks of mean ``length``."""
    lags = np.arange(1, math.ceil(overlap))
    rho = 1.0 - lags / overlap
    kept = (1.0 - 1.0 / length) ** lags
    return math.sqrt((1.0 + 2.0 * rho.sum()) / (1.0 + 2.0 * (rho * kept).sum()))


def _stationary_bootstrap_sums(sums: Floats, length: float, draws: int, rng: np.random.Generator) -> Floats:
    """Return the column totals of ``draws`` stationary-bootstrap samples of the rows, shape (draws, columns).

    Blocks start anywhere, run round the end, and have geometric lengths of mean ``length``; a block's total is a
    difference of running totals, so the cost is that of the blocks, not of the rows.
    """
    n, columns = sums.shape
    running = np.zeros((2 * n + 1, columns))
    np.cumsum(np.concatenate([sums, sums]), axis=0, out=running[1:])
    blocks = math.ceil(n / length + 4.0 * math.sqrt(n / length) + 4.0)
    lengths = rng.geometric(1.0 / length, size=(draws, blocks))
    ends = np.cumsum(lengths, axis=1)
    while (ends[:, -1] < n).any():
        more = rng.geometric(1.0 / length, size=(draws, blocks))
        ends = np.concatenate([ends, ends[:, -1:] + np.cumsum(more, axis=1)], axis=1)
    ends = np.minimum(ends, n)
    lengths = np.diff(ends, axis=1, prepend=0)
    starts = rng.integers(0, n, size=lengths.shape)
    total = np.empty((draws, columns))
    for column in range(columns):
        series = running[:, column]
        total[:, column] = (series[starts + lengths] - series[starts]).sum(axis=1)
    return total
