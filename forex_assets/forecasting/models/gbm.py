"""Gradient-boosted quantile regression on the classic features, one regression per tenor and level (scikit-learn).

The target is the log return over the tenor in units of the blended volatility known at its start; the answer is put
back into today's. Fitted once a year on rows whose target had matured; between the tenors it is fitted for, quantiles
are interpolated by log steps. Without a driver its column is empty, and the trees go round it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.features import FEATURES, build_features
from forex_assets.forecasting.models._refitted import View, fit_ends
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, blended_sigma
from forex_assets.levels import MEDIAN_INDEX, QUANTILE_LEVELS

NOMINAL_STEPS = (5, 11, 21, 63)
FITTED_LEVELS = (0.025, 0.1, 0.3, 0.5, 0.7, 0.9, 0.975)
FIRST_FIT = 1000
MIN_ROWS = 40
ROWS_PER_TENOR = 3
"""Training rows taken from each tenor's length: neighbours share most of their target."""
MOVE_CLIP = 6.0


class GbmQuantile:
    """Direct quantiles of the tenor's return; ``mean`` is the median."""

    name = "gbm_quantile"
    capabilities = Capabilities(
        family="quantile",
        covariates=tuple(sorted({feature.source for feature in FEATURES if feature.source != "price"})),
        parameters={
            "trees": Parameter(60, "Boosting rounds per level", low=5, high=2000, whole=True),
            "depth": Parameter(3, "Depth of a tree", low=1, high=12, whole=True),
            "learning_rate": Parameter(0.05, "Shrinkage of each tree", low=0.001, high=1.0),
            "min_leaf": Parameter(60, "Rows in a leaf at least", low=5, high=5000, whole=True),
        },
        min_history=FIRST_FIT + 2,
        bulk=False,
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        m, k = steps.shape
        log_quantiles = np.empty((m, k, len(QUANTILE_LEVELS)))
        nominal = np.log(np.array(NOMINAL_STEPS, dtype=np.float64))
        x = np.clip(np.log(steps.astype(np.float64)), nominal[0], nominal[-1])
        low = np.clip(np.searchsorted(nominal, x, side="right") - 1, 0, len(nominal) - 2)
        weight = (x - nominal[low]) / (nominal[low + 1] - nominal[low])
        for group in origins.groups:
            at, ends = group.positions, group.ends
            shown = build_features(history, group.series, ends)
            sigma = blended_sigma(group.series)[ends]
            fit_at = fit_ends(group.series, ends, "year", FIRST_FIT)
            needed = {int(i) for i in np.unique(low[at])} | {int(i) + 1 for i in np.unique(low[at][weight[at] > 0])}
            unit = np.zeros((len(at), len(nominal), len(QUANTILE_LEVELS)))
            for fit_end in np.unique(fit_at):
                rows = np.flatnonzero(fit_at == fit_end)
                for index in needed:
                    told, models = self._fitted(View(history, group.series, int(fit_end)), NOMINAL_STEPS[index], params)
                    unit[rows, index] = _unit_quantiles(models, shown[rows][:, told])
            own, share = low[at], weight[at][..., None]
            rows = np.arange(len(at))[:, None]
            mixed = (1.0 - share) * unit[rows, own] + share * unit[rows, own + 1]
            log_quantiles[at] = mixed * (sigma[:, None] * np.sqrt(steps[at]))[..., None]
        gap = np.arange(len(QUANTILE_LEVELS)) * 1e-9
        quantiles = origins.last_value[:, None, None] * np.exp(np.maximum.accumulate(log_quantiles, axis=-1) + gap)
        return QuantilePaths(quantiles[..., MEDIAN_INDEX].copy(), quantiles)

    def _fitted(self, view: View, step: int, params: Mapping[str, Any]) -> tuple[Ints, list[Any]]:
        key = ("gbm", tuple(sorted(params.items())), view.end, step, tuple(sorted(view.history.drivers)))
        if key not in view.series.cache:
            view.series.cache[key] = _fit(view, step, params)
        told, models = view.series.cache[key]
        return told, models


def training_rows(view: View, step: int) -> tuple[Floats, Floats]:
    """Return features and standardised moves of past starts whose target is among the values of a view."""
    stride = max(1, step // ROWS_PER_TENOR)
    starts = np.arange(view.end - step, YARDSTICK_WINDOW, -stride)[::-1]
    moves = view.series.log_value[starts + step - 1] - view.series.log_value[starts - 1]
    target = moves / (blended_sigma(view.series)[starts] * np.sqrt(step))
    return build_features(view.history, view.series, starts), np.clip(target, -MOVE_CLIP, MOVE_CLIP)


def _fit(view: View, step: int, params: Mapping[str, Any]) -> tuple[Ints, list[Any]]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    features, target = training_rows(view, step)
    if len(target) < MIN_ROWS:
        raise DataError(
            f"Model 'gbm_quantile' of {view.history.pair}: {len(target)} past moves over {step} values are no sample.",
            remedy="use a longer history.",
        )
    # A column that never differs says nothing, and the binning refuses one without values.
    told = np.flatnonzero([len(np.unique(column[np.isfinite(column)])) > 1 for column in features.T])
    models = []
    for tau in FITTED_LEVELS:
        model = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=tau,
            max_iter=params["trees"],
            max_depth=params["depth"],
            learning_rate=params["learning_rate"],
            min_samples_leaf=min(params["min_leaf"], max(5, len(target) // 10)),
            early_stopping=False,
            random_state=0,
        )
        models.append(model.fit(features[:, told], target))
    return told, models


def _unit_quantiles(models: list[Any], shown: Floats) -> Floats:
    """Return the standardised quantiles at the stored levels: linear in the normal score between fitted ones."""
    from statistics import NormalDist

    answers = np.sort(np.column_stack([model.predict(shown) for model in models]), axis=1)
    score = [NormalDist().inv_cdf(tau) for tau in FITTED_LEVELS]
    wanted = [NormalDist().inv_cdf(tau) for tau in QUANTILE_LEVELS]
    return np.array([np.interp(wanted, score, row) for row in answers])
