"""Tests of whether two models are told apart, which belong to the best, and whether any beats the random walk.

Losses of h-step forecasts from neighbouring origins share steps, so every test here allows for at least that overlap:
a heteroskedasticity and autocorrelation consistent variance, or a stationary bootstrap whose blocks are longer than the
horizon. Measured size and power: docs/evaluation.md.

References
----------
Diebold and Mariano (1995), JBES 13(3); Harvey, Leybourne and Newbold (1997), IJF 13(2); Hansen, Lunde and Nason (2011),
The model confidence set, Econometrica 79(2); Hansen (2005), A test for superior predictive ability, JBES 23(4); Holm
(1979), Scandinavian Journal of Statistics 6(2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.errors import ValidationError
from forex_assets.evaluation.bootstrap import block_length, stationary_bootstrap_sums
from forex_assets.evaluation.inference import BOOTSTRAP_SEED, MIN_EFFECTIVE_FOR_RATIO
from forex_assets.evaluation.overlap import effective_n, newey_west, newey_west_lags, origin_spacing

DRAWS = 1_000


class DieboldMariano(NamedTuple):
    """Mean loss minus the benchmark's, its statistic (negative: the model is better) and two-sided p-value."""

    difference: float
    statistic: float
    p_value: float


def diebold_mariano(loss: Floats, benchmark: Floats, origins: npt.ArrayLike, steps: float) -> DieboldMariano:
    """Test whether two forecasts have equal expected loss.

    Parameters
    ----------
    loss, benchmark:
        Losses of the model and of the benchmark at the same origins, shape (n,).
    origins:
        Origin dates in order, shape (n,).
    steps:
        Business days one error spans.

    Notes
    -----
    Newey-West with at least twice the overlap of lags (half a year where the sample is long), Student's t with the
    degrees of freedom such a variance has. Statistic and p-value are NaN below five independent forecasts, and where
    the two losses are the same.
    """
    differences = _same_rows(loss, benchmark)
    n = len(differences)
    if n == 0:
        return DieboldMariano(math.nan, math.nan, math.nan)
    mean = float(differences.mean())
    spacing = origin_spacing(np.asarray(origins, dtype="datetime64[D]"))
    overlap = max(1.0, steps / spacing)
    if effective_n(n, overlap) < MIN_EFFECTIVE_FOR_RATIO:
        return DieboldMariano(mean, math.nan, math.nan)
    error, freedom = newey_west(differences - mean, newey_west_lags(n, overlap, spacing))
    if error <= 1e-12 * float(np.abs(loss).mean() + np.abs(benchmark).mean()):
        return DieboldMariano(mean, math.nan, math.nan)
    from scipy.special import stdtr

    statistic = mean / error
    return DieboldMariano(mean, statistic, float(2.0 * stdtr(freedom, -abs(statistic))))


def bootstrap_means(losses: Floats, origins: npt.ArrayLike, steps: float, draws: int = DRAWS) -> Floats:
    """Return the mean loss of every model in every stationary-bootstrap sample of the origins, shape (draws, k)."""
    n = len(losses)
    spacing = origin_spacing(np.asarray(origins, dtype="datetime64[D]"))
    length = block_length(n, max(1.0, steps / spacing), spacing)
    return stationary_bootstrap_sums(losses, length, draws, np.random.default_rng(BOOTSTRAP_SEED)) / n


def model_confidence_set(losses: Floats, means: Floats) -> Floats:
    """Return the p-value with which each model belongs to the set of the best, shape (k,); the last one left has 1.

    Parameters
    ----------
    losses:
        Shape (n, k), every model at every origin.
    means:
        What :func:`bootstrap_means` gives for them.

    Notes
    -----
    The range statistic and elimination rule of Hansen, Lunde and Nason, from the bootstrap means alone; the tests hold
    it equal to ``arch.bootstrap.MCS`` on the same draws. Models whose losses are the same everywhere are never told
    apart and leave together.
    """
    k = losses.shape[1]
    average = losses.mean(axis=0)
    gaps = average[:, None] - average[None, :]
    spread = means[:, :, None] - means[:, None, :] - gaps
    scale = np.sqrt((spread**2).mean(axis=0))
    scale[scale <= 1e-12 * max(float(average.max()), 1e-300)] = np.inf
    observed, drawn = gaps / scale, spread / scale
    left = list(range(k))
    p_values = np.ones(k)
    running = 0.0
    while len(left) > 1:
        at = np.ix_(left, left)
        statistic = observed[at]
        peak = float(statistic.max())
        running = max(running, float((drawn[(slice(None), *at)].reshape(len(means), -1).max(axis=1) > peak).mean()))
        if peak <= 0.0:  # nothing tells the rest apart
            break
        worst = left[int(np.unravel_index(int(statistic.argmax()), statistic.shape)[0])]
        p_values[worst] = running
        left.remove(worst)
    return p_values


def superior_ability(losses: Floats, benchmark: Floats, means: Floats, benchmark_means: Floats) -> float:
    """Return Hansen's consistent p-value of the hypothesis that no model beats the benchmark.

    Parameters
    ----------
    losses, benchmark:
        Losses at the same origins, (n, k) and (n,).
    means, benchmark_means:
        Their means in the same bootstrap samples, (draws, k) and (draws,).
    """
    n = len(losses)
    gain = (benchmark[:, None] - losses).mean(axis=0)
    drawn = benchmark_means[:, None] - means
    scale = np.sqrt(((drawn - gain) ** 2).mean(axis=0))
    told = scale > 1e-12 * max(float(np.abs(benchmark).mean()), 1e-300)
    if not told.any():
        return math.nan
    gain, drawn, scale = gain[told], drawn[:, told], scale[told]
    statistic = float((gain / scale).max())
    threshold = -scale * math.sqrt(2.0 * math.log(max(math.log(max(n, 3)), 1.0 + 1e-9)))
    centre = np.where(gain >= threshold, gain, 0.0)
    simulated = ((drawn - centre) / scale).max(axis=1)
    return float((simulated > statistic).mean())


def holm(p_values: npt.ArrayLike, trials: int = 0) -> Floats:
    """Return p-values corrected for looking at several (Holm); NaN stays and counts as no test.

    ``trials`` is how many were looked at where that is more than are given; the others count as if their p were 1.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    out = np.full(raw.shape, np.nan)
    known = np.flatnonzero(np.isfinite(raw))
    order = known[np.argsort(raw[known], kind="stable")]
    factors = max(len(order), trials) - np.arange(len(order))
    out[order] = np.minimum(np.maximum.accumulate(raw[order] * factors), 1.0)
    return out


def _same_rows(loss: Floats, benchmark: Floats) -> Floats:
    loss, benchmark = np.asarray(loss, dtype=np.float64), np.asarray(benchmark, dtype=np.float64)
    if loss.shape != benchmark.shape or loss.ndim != 1:
        raise ValidationError(
            f"A comparison needs both losses at the same origins; got shapes {loss.shape} and {benchmark.shape}.",
            remedy="align model and benchmark on their common targets first.",
        )
    differences = loss - benchmark
    if not np.isfinite(differences).all():
        raise ValidationError(
            f"{int((~np.isfinite(differences)).sum())} of {len(differences)} loss differences are not finite.",
            remedy="keep the origins that both have.",
        )
    return differences
