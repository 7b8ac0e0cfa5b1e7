"""The directional view: how likely up, flat and down are, read off the quantiles, and how good that was (spec 2.5).

No model of its own: the probabilities are those the predictive distribution already states. Flat means a change of less
than the neutral band either way.

References
----------
Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review 78(1).
"""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import ValidationError
from forex_assets.evaluation.scores import pit

#: Classes in the order of the probability columns.
CLASSES = ("down", "flat", "up")
#: Changes up to this share of the last value count as flat (the classic band, 0.5%).
NEUTRAL_BAND_SHARE = 0.005


def probabilities(quantiles: Floats, last_value: Floats, band: float = NEUTRAL_BAND_SHARE) -> Floats:
    """Return P(down), P(flat), P(up) of every row, shape (n, 3); rows add up to one.

    Parameters
    ----------
    quantiles:
        Shape (n, 13), price units.
    last_value:
        The value the change is counted from, shape (n,).
    band:
        Half the neutral zone, as a share of the last value.

    Raises
    ------
    ValidationError
        When the band is not a share from 0 (inclusive) to 1.
    """
    below = pit(last_value * (1.0 - _checked(band)), quantiles)
    not_above = np.maximum(pit(last_value * (1.0 + band), quantiles), below)
    return np.stack([below, not_above - below, 1.0 - not_above], axis=1)


def outcome_classes(actual: Floats, last_value: Floats, band: float = NEUTRAL_BAND_SHARE) -> Ints:
    """Return 0 (down), 1 (flat) or 2 (up) for every row, shape (n,)."""
    change = actual / last_value - 1.0
    band = _checked(band)
    return np.asarray(1 + (change > band).astype(np.int64) - (change < -band).astype(np.int64), dtype=np.int64)


def brier(probability: Floats, outcome: Ints) -> Floats:
    """Return the Brier score of every row, shape (n,): squared distance to the class that came true, 0 to 2."""
    truth = np.eye(len(CLASSES))[outcome]
    return np.asarray(((probability - truth) ** 2).sum(axis=1), dtype=np.float64)


def hits(probability: Floats, outcome: Ints) -> Floats:
    """Return 1 where the likeliest class came true, shape (n,); a tie of k classes counts 1/k for each."""
    best = probability >= probability.max(axis=1, keepdims=True) - 1e-12
    right = best[np.arange(len(outcome)), outcome]
    return np.asarray(right / best.sum(axis=1), dtype=np.float64)


def _checked(band: float) -> float:
    if not 0.0 <= band < 1.0:
        raise ValidationError(
            f"The neutral band {band!r} must be a share of the last value in [0, 1).", remedy="write 0.005 for 0.5%."
        )
    return float(band)
