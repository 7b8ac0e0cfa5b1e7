"""Intervals for means, shares and ratios of errors that overlap.

A naive interval takes neighbouring errors as independent and is far too narrow (spec K03). The intervals here use the
correlation that is known from the overlap, which holds in samples too short to estimate any, together with an estimate
of the dependence that is there, whichever is wider. Measured validity: docs/evaluation.md.

References
----------
Clopper and Pearson (1934), Biometrika 26(4); for the rest see :mod:`.overlap` and :mod:`.bootstrap`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import ValidationError
from forex_assets.evaluation.bootstrap import (
    block_length,
    bootstrap_widening,
    speaking_stretches,
    stationary_bootstrap_sums,
)
from forex_assets.evaluation.overlap import (
    check_overlap,
    days_of,
    effective_n,
    grow,
    hits_effective_n,
    newey_west,
    newey_west_lags,
    origin_spacing,
    overlap_moments,
)

CONFIDENCE = 0.95
BOOTSTRAP_DRAWS = 1_000
BOOTSTRAP_SEED = 20250613
MIN_EFFECTIVE_FOR_RATIO = 5.0
"""A block bootstrap of fewer independent stretches than this says nothing about its own spread."""
_MIN_EFFECTIVE_FOR_ESTIMATE = 20.0
"""Dependence is estimated only in samples that hold this many independent errors."""
_PROPORTIONAL = 1e-9
"""Two losses whose proportion varies by less than this share of the largest loss cannot be told apart."""


class Interval(NamedTuple):
    """An estimate with its 95% interval; the ends are NaN where the sample cannot give one."""

    value: float
    low: float
    high: float
    n: int
    n_effective: float


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
    dates = days_of(order_dates)
    _check_rows(values, dates)
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0.0)
    sums, counts = _by_date(dates, values)
    m = len(counts)
    spacing = origin_spacing(dates)
    overlap = max(1.0, overlap_steps / spacing)
    effective, unbiased_scale, freedom = overlap_moments(m, round(overlap, 6))
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
        dates = days_of(order_dates)
        _check_rows(values, dates)
        order = np.argsort(dates, kind="stable")
        spacing = origin_spacing(dates)
        rows = max(1.0, overlap / spacing)
    check_overlap(rows)
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
    order_dates = days_of(dates)
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
        freedom = np.maximum(1.0, np.minimum(speaking_stretches(excess[:, usable], overlap) - 1.0, m / length))
        widen = bootstrap_widening(m, overlap, length) * _student_t(freedom) / _student_t(np.array(np.inf))
        low[usable] = np.exp(centre + np.minimum(spread[0], 0.0) * widen)
        high[usable] = np.exp(centre + np.maximum(spread[1], 0.0) * widen)
    return [Interval(float(r), float(a), float(b), n, effective) for r, a, b in zip(ratio, low, high, strict=True)]


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


def _by_date(dates: Dates, values: Floats) -> tuple[Floats, Floats]:
    """Return sums per date in date order, and rows per date."""
    if grow(dates):
        return values, np.ones(len(dates))
    unique, inverse, counts = np.unique(dates, return_inverse=True, return_counts=True)
    sums = np.zeros((len(unique), *values.shape[1:]))
    np.add.at(sums, inverse.ravel(), values)
    return sums, counts.astype(np.float64)


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


def _student_t(freedom: Floats) -> Floats:
    """Return the upper 97.5% point of Student's t, of the normal distribution where ``freedom`` is infinite."""
    from scipy.special import ndtri, stdtrit

    upper = 1.0 - (1.0 - CONFIDENCE) / 2.0
    finite = np.where(np.isinf(freedom), 1.0, freedom)
    return np.asarray(np.where(np.isinf(freedom), ndtri(upper), stdtrit(finite, upper)), dtype=np.float64)
