"""A random walk in price whose width and shape come from pooled fits over many pairs (log-HAR)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.forecasting.carry import log_carry
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.panel.artefacts import PLAIN, VIX, PanelFit, between_tenors, current
from forex_assets.forecasting.panel.features import (
    INDEX_FEATURES,
    MARKET_FEATURES,
    MIN_VALUES,
    NOMINAL_STEPS,
    VIX_SERIES,
    Market,
    averaging_factor,
    base_variances,
    own_features,
)
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.levels import QUANTILE_LEVELS


class LogHar:
    """Width: GJR's forecast × a pooled regression's correction. Shape: the panel's errors. Centre: carry, or spot.

    The model only applies pooled fits valid at the origin (:mod:`forex_assets.forecasting.panel`), it learns nothing.
    Where the history brings no VIX or no panel index, or one is older than ten days at an origin, the fit without them
    serves (:func:`variants` tells which). Before the first fit it is GJR with Student's t. A pair with two known policy
    rates is centred on the last value × carry (:mod:`forex_assets.forecasting.carry`), every other on the last value.
    """

    name = "loghar"
    capabilities = Capabilities(
        family="parametric",
        covariates=(VIX_SERIES, *INDEX_FEATURES),
        parameters={
            "vix": Parameter("auto", "Use the VIX where there is one, or never", choices=("auto", "never")),
            "centre": Parameter(
                "carry", "Last value × carry where it is known, or last value", choices=("carry", "last")
            ),
        },
        min_history=MIN_VALUES,
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        m, k = steps.shape
        fit = current()
        market = Market.of(history.drivers) if params["vix"] == "auto" else None
        quantiles = np.empty((m, k, len(QUANTILE_LEVELS)))
        for group in origins.groups:
            at = group.positions
            quantiles[at] = log_quantiles(
                fit, history.pair, group.series, group.ends, steps[at], origins.as_of[at], market
            )
        centre = log_carry(history, origins, steps) if params["centre"] == "carry" else np.zeros((m, k))
        quantiles += centre[:, :, None]
        np.exp(quantiles, out=quantiles)
        quantiles *= origins.last_value[:, None, None]
        return QuantilePaths(mean=origins.last_value[:, None] * np.exp(centre), quantiles=quantiles)


def variants(fit: PanelFit, market: Market | None, days: Dates) -> list[str]:
    """Return which fit serves each day: ``vix``, or ``plain`` where a driver or its fit is missing."""
    return [VIX if used else PLAIN for used in _market_there(fit, market, days)[0]]


def log_quantiles(
    fit: PanelFit, pair: str, series: KnownSeries, ends: Ints, steps: Ints, days: Dates, market: Market | None
) -> Floats:
    """Return quantiles of the log return around the centre, shape (m, k, 13)."""
    nominal = np.array(NOMINAL_STEPS)
    base = base_variances(series, ends, np.tile(nominal, (len(ends), 1)))
    with_vix, seen_market = _market_there(fit, market, days)
    log_variance = np.empty(base.shape)
    shape = np.empty((*base.shape, len(QUANTILE_LEVELS)))
    for i, step in enumerate(NOMINAL_STEPS):
        own = own_features(series, ends, base[:, i] / step)
        for variant, rows in ((PLAIN, np.flatnonzero(~with_vix)), (VIX, np.flatnonzero(with_vix))):
            if not len(rows):
                continue
            seen = np.column_stack([own[rows], seen_market[rows]]) if variant == VIX else own[rows]
            ratio = fit.log_ratio(variant, step, pair, seen, days[rows])
            width = fit.factor(variant, step, pair, days[rows])
            log_variance[rows, i] = np.log(base[rows, i] / step) + ratio + 2.0 * np.log(width)
            shape[rows, i] = fit.shape(variant, step, days[rows])
    if not pair.startswith("usd"):  # the panel's skew is that of a dollar that rises
        shape = 0.5 * (shape - shape[..., ::-1])
    low, weight = between_tenors(steps)
    at = np.arange(len(ends))[:, None]
    per_session = np.exp((1.0 - weight) * log_variance[at, low] + weight * log_variance[at, low + 1])
    unit = (1.0 - weight)[..., None] * shape[at, low] + weight[..., None] * shape[at, low + 1]
    sigma = np.sqrt(per_session * steps * averaging_factor(series, ends, steps))
    return np.asarray(sigma[..., None] * unit)


def _market_there(
    fit: PanelFit, market: Market | None, days: Dates
) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], Floats]:
    if market is None or VIX not in fit.variants:
        return np.zeros(len(days), dtype=bool), np.zeros((len(days), len(MARKET_FEATURES)))
    features = market.features(days)
    return np.asarray(np.isfinite(features).all(axis=1)), features
