"""A fixed mean of other models' quantiles, with fixed width factors: what a search over weights may deploy.

The ensemble learns its weights on the panel; here they are parameters, so that a search can propose them for one pair
and horizon and a gate can judge them. Quantile averaging: Lichtendahl, Grushka-Cockayne and Winkler (2013), Management
Science 59(7).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import ValidationError
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.garch.engine import MIN_VALUES_TO_FIT
from forex_assets.forecasting.origins import MIN_VALUES, Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.levels import QUANTILE_LEVELS

BASES = ("rw_blend", "rw_empirical", "rw_ewma", "garch_t", "gjr_t", "loghar")
"""Models that may enter: width and shape by different means, none with a centre of its own but carry."""
_DEFAULT = 1.0
_MEDIAN = QUANTILE_LEVELS.index(0.5)


class Blend:
    """Weighted mean of quantiles of :data:`BASES`, then width factors below and above the median."""

    name = "blend"
    capabilities = Capabilities(
        family="ensemble",
        parameters=MappingProxyType(
            {
                **{
                    f"weight_{base}": Parameter(
                        _DEFAULT, f"Share of {base} before shares add up to 1", low=0.0, high=1.0
                    )
                    for base in BASES
                },
                "width_lower": Parameter(1.0, "Factor on distances below the median", low=0.5, high=2.0),
                "width_upper": Parameter(1.0, "Factor on distances above the median", low=0.5, high=2.0),
            }
        ),
        min_history=max(MIN_VALUES, MIN_VALUES_TO_FIT),
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        used = [base for base in BASES if params[f"weight_{base}"] > 0]
        return combine({base: base_paths(base, history, origins, steps, rng) for base in used}, params)


def base_paths(base: str, history: PriceHistory, origins: Origins, steps: Ints, rng: OriginRandom) -> QuantilePaths:
    """Return the paths of one base with its default parameters."""
    from forex_assets.forecasting.registry import get_model, resolve_parameters

    model = get_model(base)
    own = OriginRandom(rng.pair, rng.horizon_days, base, rng.seed)
    return model.predict(history, origins, steps, resolve_parameters(model, {}), own)


def combine(paths: Mapping[str, QuantilePaths], params: Mapping[str, Any]) -> QuantilePaths:
    """Return the blend of paths by base name; bases without weight need not be there.

    Parameters
    ----------
    paths:
        Base → mean (m, k) and quantiles (m, k, 13).
    params:
        Every parameter of the model.

    Raises
    ------
    ValidationError
        When no base has a weight.
    """
    weights = {base: float(params[f"weight_{base}"]) for base in BASES if params[f"weight_{base}"] > 0}
    total = sum(weights.values())
    if not total > 0:
        raise ValidationError(
            "Every weight of model 'blend' is 0.", remedy=f"give one of {', '.join(BASES)} a weight above 0."
        )
    mean: Floats = sum(paths[base].mean * (weight / total) for base, weight in weights.items())  # type: ignore[assignment]
    quantiles: Floats = sum(paths[base].quantiles * (weight / total) for base, weight in weights.items())  # type: ignore[assignment]
    log = np.log(quantiles)
    middle = log[..., _MEDIAN : _MEDIAN + 1]
    factors = np.ones(len(QUANTILE_LEVELS))
    factors[:_MEDIAN], factors[_MEDIAN + 1 :] = params["width_lower"], params["width_upper"]
    return QuantilePaths(mean=mean, quantiles=np.exp(middle + (log - middle) * factors))
