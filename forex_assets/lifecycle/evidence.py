"""Evidence that may be looked at every day: e-values on sequences of targets whose periods do not overlap.

An e-value of 20 against a statement is as strong as a p-value of 5%, however often and whenever one looked (Ville's
inequality). Targets that overlap are dealt out to sequences that do not, whose e-values are averaged (Vovk and Wang
2021).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forex_assets.arrays import Floats

#: Shares of its capital that a bettor on bounded values stakes; all are tried at once.
BETS = tuple(0.1 * i for i in range(1, 10))
#: Effects (mean over standard deviation) that the t-evidence is spread over.
EFFECTS = (0.25, 0.5, 1.0, 2.0, 4.0)
_STEP = 0.1
_LARGEST = 1e300


def bounded_evidence(values: Floats, bound: float, overlap: int) -> float:
    """Return the e-value against "the mean of ``values`` is at most ``bound``" (values in [-1, 1], bound in (-1, 1)).

    A mixture of bets; valid whatever the distribution (Waudby-Smith and Ramdas 2024), and slow for that.
    """
    if not len(values):
        return 1.0
    steps = (values - bound) / (1 + bound)
    sums = np.zeros((overlap, len(BETS)))
    np.add.at(sums, np.arange(len(values)) % overlap, np.log1p(np.outer(steps, BETS)))
    with np.errstate(over="ignore"):
        return float(min(np.exp(sums).mean(), _LARGEST))


def mean_evidence(values: Floats, overlap: int) -> float:
    """Return the e-value against "the mean of ``values`` is at most 0", whatever their scale.

    The t-statistic's, exact for normal values (Pérez-Ortiz, Lardy, de Heide and Grünwald 2024; Wang and Ramdas 2024).
    Loss differences are not quite normal: how often it errs on them is measured (docs/lifecycle.md).
    """
    place = np.arange(len(values)) % overlap
    counts = np.bincount(place, minlength=overlap)
    sums: Floats = np.bincount(place, values, minlength=overlap).astype(np.float64)
    squares: Floats = np.bincount(place, values**2, minlength=overlap).astype(np.float64)
    return float(min(t_evidence(sums, squares, counts).mean(), _LARGEST))


def t_evidence(sums: Floats, squares: Floats, counts: NDArray[np.int64]) -> Floats:
    """Return the e-values of many sequences, each given by its sum, its sum of squares and its length.

    For an effect the ratio of the t-statistic's densities is an integral over the unknown scale; it is taken on a grid.
    """
    ratio = sums / np.sqrt(np.maximum(squares, 1e-300))
    out = np.zeros(ratio.shape)
    for count in np.unique(counts):
        here = counts == count
        if not count:
            out[here] = 1.0
            continue
        scale = np.arange(_STEP / 2, (EFFECTS[-1] + 1.0) * math.sqrt(count) + 10.0, _STEP)
        base = (count - 1) * np.log(scale) - scale**2 / 2
        nothing = _log_sum(base)
        for effect in EFFECTS:
            tilted = _log_sum(base + effect * ratio[here][:, None] * scale)
            out[here] += np.exp(np.minimum(tilted - nothing - count * effect**2 / 2, 690.0)) / len(EFFECTS)
    return out


def mean_interval(values: Floats, overlap: int, alpha: float) -> tuple[float, float]:
    """Return the means that the t-evidence does not rule out from either side; infinite where nothing is ruled out."""
    if len(values) < 3 or not (spread := float(values.std())):
        return -math.inf, math.inf
    return -_end(-values, spread, overlap, alpha), _end(values, spread, overlap, alpha)


def _end(values: Floats, spread: float, overlap: int, alpha: float) -> float:
    """Return the smallest mean above which ``values`` are evidence of ``2 / alpha`` that it is lower."""
    inside = float(values.mean())
    outside = inside + 64 * spread
    if mean_evidence(outside - values, overlap) < 2 / alpha:
        return math.inf
    for _ in range(24):
        middle = (inside + outside) / 2
        if mean_evidence(middle - values, overlap) < 2 / alpha:
            inside = middle
        else:
            outside = middle
    return outside


def _log_sum(values: Floats) -> Floats:
    top = values.max(axis=-1)
    out: Floats = top + np.log(np.exp(values - top[..., None]).sum(axis=-1))
    return out
