"""Scores of quantile forecasts, vectorised over rows; smaller is better for every loss.

Shapes: ``actual`` is (n,), ``quantiles`` (n, k) with one column per level of
:data:`forex_assets.levels.QUANTILE_LEVELS` unless other levels are given. Units: those of the price, except where a
function says share or probability.

References
----------
Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, JASA 102(477).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.errors import DataError
from forex_assets.levels import INTERVALS, QUANTILE_COLUMNS, QUANTILE_LEVELS

Bools = npt.NDArray[np.bool_]

#: Width of the central 80% interval of a normal distribution, in its standard deviations.
WIDTH_80_IN_SIGMA = 2 * 1.2815515655446004


def pinball(actual: Floats, quantiles: Floats, levels: Sequence[float] = QUANTILE_LEVELS) -> Floats:
    """Return the pinball (quantile) loss of every row and level, shape (n, k).

    ``level * (actual - quantile)`` above the quantile, ``(1 - level) * (quantile - actual)`` below it.
    """
    tau = np.asarray(levels, dtype=np.float64)
    excess = np.asarray(actual, dtype=np.float64)[:, None] - np.asarray(quantiles, dtype=np.float64)
    return np.asarray(np.maximum(tau * excess, (tau - 1.0) * excess), dtype=np.float64)


def crps_from_quantiles(actual: Floats, quantiles: Floats, levels: Sequence[float] = QUANTILE_LEVELS) -> Floats:
    """Return twice the mean pinball loss over the levels, shape (n,): the CRPS by the stored quantiles."""
    return np.asarray(2.0 * pinball(actual, quantiles, levels).mean(axis=1), dtype=np.float64)


def interval_score(actual: Floats, lower: Floats, upper: Floats, percent: int) -> Floats:
    """Return the Winkler score of the central ``percent`` interval, shape (n,).

    The width, plus ``2 / alpha`` times the distance by which the actual lies outside; ``alpha = 1 - percent / 100``.
    """
    alpha = 1.0 - percent / 100.0
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    return np.asarray((upper - lower) + (2.0 / alpha) * outside, dtype=np.float64)


def below(actual: Floats, lower: Floats) -> Bools:
    """Return whether the actual lies strictly below the interval."""
    return np.asarray(actual < lower)


def above(actual: Floats, upper: Floats) -> Bools:
    """Return whether the actual lies strictly above the interval."""
    return np.asarray(actual > upper)


def covered(actual: Floats, lower: Floats, upper: Floats) -> Bools:
    """Return whether the actual lies inside the closed interval."""
    return ~(below(actual, lower) | above(actual, upper))


def pit(actual: Floats, quantiles: Floats, levels: Sequence[float] = QUANTILE_LEVELS) -> Floats:
    """Return the probability integral transform of the actual, shape (n,), within [0, 1].

    The distribution function is linear between the stored quantiles. Beyond the outermost ones it has exponential tails
    whose density continues that of the outermost segment. Where quantiles coincide (an atom at the actual) the middle
    of the jump is taken.
    """
    tau = np.asarray(levels, dtype=np.float64)
    q = np.asarray(quantiles, dtype=np.float64)
    y = np.asarray(actual, dtype=np.float64)
    last = len(tau) - 1
    first_not_below = (q < y[:, None]).sum(axis=1)
    first_above = (q <= y[:, None]).sum(axis=1)
    rows = np.arange(len(y))

    right = np.clip(first_not_below, 1, last)
    left = right - 1
    span = q[rows, right] - q[rows, left]
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.where(span > 0, (y - q[rows, left]) / span, 0.5)
    out = tau[left] + within * (tau[right] - tau[left])

    scale_low = (q[:, 1] - q[:, 0]) * tau[0] / (tau[1] - tau[0])
    scale_high = (q[:, last] - q[:, last - 1]) * (1 - tau[last]) / (tau[last] - tau[last - 1])
    out = np.where(y < q[:, 0], tau[0] * _decay(q[:, 0] - y, scale_low), out)
    out = np.where(y > q[:, last], 1 - (1 - tau[last]) * _decay(y - q[:, last], scale_high), out)

    on_quantile = first_above > first_not_below
    low_edge = tau[np.minimum(first_not_below, last)]
    high_edge = tau[np.maximum(first_above - 1, 0)]
    return np.asarray(np.clip(np.where(on_quantile, (low_edge + high_edge) / 2, out), 0.0, 1.0), dtype=np.float64)


def _decay(distance: Floats, scale: Floats) -> Floats:
    """Return ``exp(-distance / scale)`` for positive distances; a scale of zero is a tail without mass."""
    positive = np.maximum(distance, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(scale > 0, positive / np.where(scale > 0, scale, 1.0), np.inf)
    return np.asarray(np.exp(-np.where(positive > 0, ratio, 0.0)), dtype=np.float64)


def implied_sigma(quantiles: Floats) -> Floats:
    """Return the standard deviation a normal distribution of the same 80% width would have, shape (n,)."""
    lower, upper = _columns(quantiles, 80)
    return np.asarray((upper - lower) / WIDTH_80_IN_SIGMA, dtype=np.float64)


def score_rows(mean: Floats, quantiles: Floats, actual: Floats) -> dict[str, npt.NDArray[np.generic]]:
    """Return every score column of the EVALUATION table for rows of stored quantiles.

    Parameters
    ----------
    mean, actual:
        Shape (n,), price units.
    quantiles:
        Shape (n, 13), price units, in the order of :data:`forex_assets.levels.QUANTILE_COLUMNS`.

    Raises
    ------
    DataError
        When a value is not finite, quantiles fall, or the 80% interval has no width.
    """
    mean, quantiles, actual = (np.asarray(part, dtype=np.float64) for part in (mean, quantiles, actual))
    _check(mean, quantiles, actual)
    error = mean - actual
    out: dict[str, npt.NDArray[np.generic]] = {
        "error": error,
        "error_sigma": error / implied_sigma(quantiles),
        "crps": crps_from_quantiles(actual, quantiles),
        "pit": pit(actual, quantiles),
    }
    for percent in INTERVALS:
        lower, upper = _columns(quantiles, percent)
        out[f"interval_score_{percent}"] = interval_score(actual, lower, upper, percent)
        out[f"covered_{percent}"] = covered(actual, lower, upper)
        out[f"width_{percent}"] = upper - lower
    lower, upper = _columns(quantiles, 95)
    out["below_95"] = below(actual, lower)
    out["above_95"] = above(actual, upper)
    return out


def _columns(quantiles: Floats, percent: int) -> tuple[Floats, Floats]:
    lower, upper = (QUANTILE_COLUMNS.index(name) for name in INTERVALS[percent])
    return quantiles[:, lower], quantiles[:, upper]


def _check(mean: Floats, quantiles: Floats, actual: Floats) -> None:
    finite = np.isfinite(mean) & np.isfinite(actual) & np.isfinite(quantiles).all(axis=1)
    rules = (
        (~finite, "has a value that is not a finite number"),
        (finite & (np.diff(quantiles, axis=1) < 0).any(axis=1), "has quantiles that fall as the level grows"),
        (finite & (implied_sigma(quantiles) <= 0), "has an 80% interval without width"),
    )
    for broken, rule in rules:
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise DataError(
                f"Row {row} of {len(actual)} to be scored {rule}: mean {mean[row]}, actual {actual[row]}, "
                f"quantiles {quantiles[row].tolist()}.",
                remedy="repair the forecast (finite, growing quantiles) before it is evaluated.",
            )
