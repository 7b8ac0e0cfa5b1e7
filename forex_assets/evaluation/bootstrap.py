"""The stationary bootstrap for errors that overlap: how long its blocks are, its draws, and what they miss.

References
----------
Politis and Romano (1994), The stationary bootstrap, JASA 89(428).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.evaluation.overlap import MEMORY_BUSINESS_DAYS


def block_length(n: int, overlap: float, spacing: float) -> float:
    """Return the mean block, in origins, that a bootstrap of ``n`` overlapping rows needs.

    At least two overlaps, and half a year (the memory of volatility) where twenty of them fit; never over half of all.
    """
    return float(min(max(2.0 * overlap, n ** (1 / 3), min(MEMORY_BUSINESS_DAYS / spacing, n / 20)), n / 2))


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


def bootstrap_widening(n: int, overlap: float, length: float) -> float:
    """Return true over bootstrapped standard error for the correlation ``1 - k/overlap``, blocks of mean ``length``.

    Geometric blocks weight the correlation at lag k by ``(1 - 1/length)^k``, and measuring it about the sample's own
    mean loses ``2 length / n`` of the variance.
    """
    lags = np.arange(1, math.ceil(overlap))
    rho = 1.0 - lags / overlap
    kept = (1.0 - 1.0 / length) ** lags
    missed = (1.0 + 2.0 * rho.sum()) / (1.0 + 2.0 * (rho * kept).sum())
    return math.sqrt(missed / max(0.5, 1.0 - 2.0 * length / n))


def speaking_stretches(excess: Floats, overlap: float) -> Floats:
    """Return how many stretches of ``overlap`` rows carry the variation of each column: ``(sum d²)² / sum d⁴``."""
    stretch = max(1, round(overlap))
    edges = np.arange(0, max(1, len(excess) - stretch + 1), stretch)
    totals = np.add.reduceat(excess, edges, axis=0)
    return np.asarray((totals**2).sum(axis=0) ** 2 / (totals**4).sum(axis=0), dtype=np.float64)
