"""Width factors by regime, learned from past errors and shrunk to one (K12); handed over to the intervals.

A factor of 1.3 for HIGH_VOL says: forecasts made in that regime needed intervals 1.3 times as wide as they had. It is
learned from errors that had matured, and offered only if it would have helped on stretches it was not learned from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.settings.regimes import FactorPolicy

_HALF_80, _ALPHA_80, _ALPHA_95 = 1.2815515655446004, 0.2, 0.05
_GRID = np.round(np.arange(0.5, 2.501, 0.05), 2)
_FOLDS, _DRAWS = 5, 200


@dataclass(frozen=True, slots=True)
class RegimeFactor:
    """The factor of one regime and horizon.

    ``factor`` is what to multiply the width by (1 unless ``accepted``), ``shrunk`` the estimate after shrinkage,
    ``raw`` before it, ``low`` and ``high`` its 95% block-bootstrap interval; ``score_ratio`` is the interval loss on
    held-out stretches with the factor over without it (below 1: it helped).
    """

    regime: str
    horizon: str
    factor: float
    shrunk: float
    raw: float
    low: float
    high: float
    n: int
    n_effective: float
    score_ratio: float
    accepted: bool
    reason: str


def regime_factors(
    error_sigma: Floats,
    half_95_sigma: Floats,
    matured_on: Dates,
    regimes: Sequence[str] | npt.NDArray[np.object_],
    *,
    horizon: str,
    steps: float,
    as_of: np.datetime64,
    policy: FactorPolicy,
    seed: int = 20250613,
) -> list[RegimeFactor]:
    """Return the factor of every regime that occurred.

    Parameters
    ----------
    error_sigma:
        Mean minus outcome in the forecast's own standard deviations, shape (n,), in the order of the origins.
    half_95_sigma:
        Half-width of its 95% interval in the same unit, shape (n,).
    matured_on:
        When each outcome became known; errors after ``as_of`` are not used.
    regimes:
        Regime at each origin, as known then.
    horizon, steps:
        Name, and the steps that one error spans.
    as_of:
        Day at whose end the factors are wanted.
    policy, seed:
        Shrinkage, and the seed of the bootstrap.
    """
    usable = (matured_on <= as_of) & np.isfinite(error_sigma) & np.isfinite(half_95_sigma)
    sizes, half = np.abs(error_sigma[usable]), half_95_sigma[usable]
    labels = np.asarray(regimes, dtype=object)[usable]
    losses = _losses(sizes, half)
    return [
        _factor(str(name), np.flatnonzero(labels == name), losses, horizon, steps, policy, seed)
        for name in sorted(set(labels.tolist()) - {"UNKNOWN"})
    ]


def factor_of(factors: Sequence[RegimeFactor], regime: str) -> RegimeFactor | None:
    """Return the factor of a regime, or None where it never occurred."""
    return next((item for item in factors if item.regime == regime), None)


def _losses(sizes: Floats, half_95: Floats) -> Floats:
    """Return the Winkler scores of both intervals by row and grid factor, in sigmas, shape (n, g)."""
    out = np.zeros((len(sizes), len(_GRID)))
    for half, alpha in ((np.full(len(sizes), _HALF_80), _ALPHA_80), (half_95, _ALPHA_95)):
        width = half[:, None] * _GRID
        out += 2.0 * width + (2.0 / alpha) * np.maximum(sizes[:, None] - width, 0.0)
    return out


def _factor(
    regime: str,
    rows: npt.NDArray[np.int64],
    losses: Floats,
    horizon: str,
    steps: float,
    policy: FactorPolicy,
    seed: int,
) -> RegimeFactor:
    n = len(rows)
    effective = _effective(rows, steps)
    raw = _best(losses[rows].sum(axis=0))
    weight = effective / (effective + policy.shrinkage_effective_n)
    shrunk = min(1.0 + weight * (raw - 1.0), policy.max_factor)
    if effective < policy.min_effective_n:
        reason = f"worth {effective:.1f} independent errors, {policy.min_effective_n:g} are needed; the factor is 1"
        return RegimeFactor(
            regime, horizon, 1.0, shrunk, raw, math.nan, math.nan, n, effective, math.nan, False, reason
        )
    low, high = _bootstrap(losses[rows], steps, seed)
    ratio = _held_out(rows, losses, steps, policy)
    accepted = ratio < 1.0
    reason = f"interval loss on held-out stretches {ratio:.3f} times that without it" + (
        "" if accepted else "; it would not have helped, the factor is 1"
    )
    return RegimeFactor(
        regime, horizon, shrunk if accepted else 1.0, shrunk, raw, min(low, raw), max(high, raw), n, effective, ratio,
        accepted, reason,
    )  # fmt: skip


def _best(losses: Floats) -> float:
    return float(_GRID[int(np.argmin(losses))])


def _effective(rows: npt.NDArray[np.int64], steps: float) -> float:
    """Return how many non-overlapping errors fit into the stretches of a regime."""
    if not len(rows):
        return 0.0
    breaks = np.flatnonzero(np.diff(rows) > steps) + 1
    return float(sum(max(1.0, len(part) / steps) for part in np.split(rows, breaks)))


def _bootstrap(losses: Floats, steps: float, seed: int) -> tuple[float, float]:
    n = len(losses)
    block = max(1, round(2 * steps))
    rng = np.random.default_rng(seed)
    pieces = math.ceil(n / block)
    cumulated = np.concatenate([np.zeros((1, losses.shape[1])), np.cumsum(np.concatenate([losses, losses]), axis=0)])
    starts = rng.integers(0, n, (_DRAWS, pieces))
    totals = (cumulated[starts + min(block, n)] - cumulated[starts]).sum(axis=1)
    drawn = _GRID[np.argmin(totals, axis=1)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def _held_out(rows: npt.NDArray[np.int64], losses: Floats, steps: float, policy: FactorPolicy) -> float:
    """Return the loss with factors learned elsewhere over the loss with none, on stretches left out in turn."""
    one = int(np.argmin(np.abs(_GRID - 1.0)))
    parts = [part for part in np.array_split(rows, _FOLDS) if len(part)]
    got = without = 0.0
    for part in parts:
        gap = np.ceil(steps)
        others = rows[(rows < part[0] - gap) | (rows > part[-1] + gap)]
        weight = (effective := _effective(others, steps)) / (effective + policy.shrinkage_effective_n)
        learned = 1.0 + weight * (_best(losses[others].sum(axis=0)) - 1.0) if len(others) else 1.0
        place = int(np.argmin(np.abs(_GRID - min(learned, policy.max_factor))))
        got += float(losses[part, place].sum())
        without += float(losses[part, one].sum())
    return got / without if without > 0 else math.nan
