"""Classic width rules, kept exactly: a multiplier on the distance from the centre, in price units (B08, K12)."""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import ValidationError

CLASSIC_MULTIPLIERS = {"NORMAL": 1.0, "COPPER_SHOCK": 1.5, "BCCH_INTERVENTION": 2.0, "UNKNOWN": 1.5}
HIGH_VOL_SLOPE, HIGH_VOL_CAP = 0.25, 2.5


def classic_multiplier(regime: str, zscore: float = 0.0) -> float:
    """Return the multiplier of the classic table: HIGH_VOL is ``min(1 + 0.25 z, 2.5)``; an unknown name is UNKNOWN."""
    if regime == "HIGH_VOL":
        return min(1.0 + HIGH_VOL_SLOPE * zscore, HIGH_VOL_CAP)
    return CLASSIC_MULTIPLIERS.get(regime, CLASSIC_MULTIPLIERS["UNKNOWN"])


def widened(quantiles: Floats, centre: Floats, multiplier: Floats | float) -> Floats:
    """Return quantiles with their price distance from the centre multiplied: ± 20 CLP at 2.0 becomes ± 40.

    Parameters
    ----------
    quantiles:
        Shape (..., 13).
    centre:
        Point forecast, shape (...).
    multiplier:
        Positive, scalar or shape (...).

    Raises
    ------
    ValidationError
        When a multiplier is not positive, or so large that a price would not be.
    """
    factor = np.asarray(multiplier, dtype=np.float64)
    if not (np.isfinite(factor) & (factor > 0)).all():
        raise ValidationError(f"Multiplier {multiplier!r} must be positive and finite.", remedy="use 1.0 to 2.5.")
    middle = np.asarray(centre)[..., None]
    made = middle + factor[..., None] * (np.asarray(quantiles) - middle)
    if not (made > 0).all():
        raise ValidationError(
            f"Multiplier {np.max(factor):.3g} makes a price of {np.min(made):.3g}; prices are positive.",
            remedy="use a smaller multiplier; this rule works in price units, as the classic one did.",
        )
    return made
