"""The classic ensemble of spec 2.5 with its parameters, and its units repaired: ARIMA + GARCH, VAR, random forest.

As it was: weights from the table (or inverse RMSE over 30 points), std = weighted mean of the members' stds, 95% at
1.96 and 80% at 1.282 of it, times a multiplier that grows with the tenor. Repaired (J09, J10): every member forecasts
the log return *to the tenor*, so stds and RMSEs are in one unit; GARCH's variance is cumulated over the horizon; RMSEs
and the forest's std come from forecasts out of sample; and no member sees a value of the day it forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, Parameter
from forex_assets.forecasting.garch import GARCH
from forex_assets.forecasting.garch.engine import GarchEngine
from forex_assets.forecasting.models._refitted import Refitted, View
from forex_assets.forecasting.models.arima import Arma, arma_path, choose_arma
from forex_assets.forecasting.models.var import VarFit, driver_changes, fit_var, var_path
from forex_assets.forecasting.origins import Origins

MEMBERS = ("arima_garch", "var", "random_forest")
RMSE_WINDOW = 30
FOREST_LAGS = 5
HELD_OUT_SHARE = 0.2
ARIMA_WINDOW = 500
VAR_WINDOW = 1000
_GARCH = {"engine": "bulk", "refit": "month", "window": 2500}


@dataclass(frozen=True)
class ClassicRow:
    """The classic table's row of one tenor."""

    steps: int
    max_order: int
    var_lags: int
    criterion: str
    trees: int
    depth: int
    min_split: int
    min_leaf: int
    weights: tuple[float, float, float]
    multiplier: float


TABLE: dict[int, ClassicRow] = {
    7: ClassicRow(5, 2, 5, "aic", 400, 10, 5, 2, (0.45, 0.35, 0.20), 1.00),
    15: ClassicRow(11, 3, 7, "aic", 500, 12, 5, 2, (0.40, 0.40, 0.20), 1.15),
    30: ClassicRow(21, 5, 10, "aic", 600, 15, 5, 2, (0.35, 0.40, 0.25), 1.35),
    90: ClassicRow(63, 7, 15, "bic", 800, 20, 8, 3, (0.30, 0.35, 0.35), 1.75),
}


def row_of(horizon_days: int) -> ClassicRow:
    """Return the table's row whose tenor is nearest."""
    return TABLE[min(TABLE, key=lambda days: abs(np.log(days / horizon_days)))]


@dataclass(frozen=True)
class Forest:
    """A fitted forest for the return over ``steps`` values and its deviation on later rows it had not seen."""

    model: Any
    steps: int
    sigma: float
    columns: tuple[str, ...]


class ClassicEnsemble(Refitted):
    """Weighted mean of three members' centres and deviations, Gaussian, times the classic multiplier."""

    name = "classic_ensemble"
    refit = "year"
    first_fit = 500
    free_parameters = ("weights", "multiplier")
    capabilities = Capabilities(
        family="ensemble",
        covariates=("copper_comex", "copper_lme", "dxy", "tpm", "fed_funds"),
        parameters={
            "weights": Parameter("table", "Members' weights", choices=("table", "inverse_rmse")),
            "multiplier": Parameter("table", "Widening by tenor", choices=("table", "none")),
            "var": Parameter(
                "required", "Refuse without drivers, or go on without the VAR", choices=("required", "optional")
            ),
            "trees": Parameter(0, "Trees of the forest; 0: the table's", low=0, high=5000, whole=True),
        },
        min_history=502,
        bulk=False,
    )

    def fit_key(self, params: Mapping[str, Any], origins: Origins) -> tuple[Any, ...]:
        """Return the tenor: forest and orders are fitted for it."""
        return (row_of(origins.horizon_days).steps,)

    def fit(self, view: View, params: Mapping[str, Any], origins: Origins) -> tuple[Arma, VarFit | None, Forest]:
        """Fit every member; without any driver the VAR is refused, or left out where that was asked for."""
        row = row_of(origins.horizon_days)
        arma = choose_arma(view.log_return[-ARIMA_WINDOW:], min(row.max_order, 5), min(row.max_order, 5))
        var = None
        if params["var"] == "required" or driver_changes(view):
            var = fit_var(view, VAR_WINDOW, row.var_lags, row.criterion)
        return arma, var, fit_forest(view, row, params["trees"] or row.trees)

    def forecast(
        self, fit: Any, view: View, steps: Ints, params: Mapping[str, Any], origins: Origins
    ) -> tuple[Floats, Floats]:
        """Return centre and deviation of the log return."""
        row = row_of(origins.horizon_days)
        parts = self.members(fit, view, steps, row)
        weights = np.array([weight for weight, name in zip(row.weights, MEMBERS, strict=True) if name in parts])
        if params["weights"] == "inverse_rmse":
            weights = self._inverse_rmse(fit, view, row, list(parts))
        weights = weights / weights.sum()
        centre = sum(w * part[0] for w, part in zip(weights, parts.values(), strict=True))
        sigma = sum(w * part[1] for w, part in zip(weights, parts.values(), strict=True))
        widen = row.multiplier if params["multiplier"] == "table" else 1.0
        return np.asarray(centre), np.asarray(sigma) * widen

    def members(self, fit: Any, view: View, steps: Ints, row: ClassicRow) -> dict[str, tuple[Floats, Floats]]:
        """Return centre and deviation of each member that can forecast at a view."""
        arma, var, forest = fit
        garch = GarchEngine.of(view.series, GARCH, _GARCH).variances(np.array([view.end]), steps[None, :])[0]
        parts = {"arima_garch": (arma_path(arma, view.log_return[-ARIMA_WINDOW:], steps)[0], np.sqrt(garch))}
        if var is not None:
            parts["var"] = var_path(var, view, steps)
        seen = forest_rows(view, np.array([view.end]), forest.columns)
        share = steps / forest.steps
        parts["random_forest"] = (float(forest.model.predict(seen)[0]) * share, forest.sigma * np.sqrt(share))
        return parts

    def _inverse_rmse(self, fit: Any, view: View, row: ClassicRow, names: list[str]) -> Floats:
        """Return 1 / RMSE of each member over the last 30 origins whose return over the tenor is known, one unit."""
        ends = view.end - row.steps - np.arange(RMSE_WINDOW)
        errors: dict[str, list[float]] = {name: [] for name in names}
        for end in ends:
            past = View(view.history, view.series, int(end))
            moved = view.series.log_value[end + row.steps - 1] - view.series.log_value[end - 1]
            for name, (centre, _) in self.members(fit, past, np.array([row.steps]), row).items():
                if name in errors:
                    errors[name].append(float(centre[0] - moved))
        return np.array([1.0 / np.sqrt(np.mean(np.square(errors[name]))) for name in names])


def forest_columns(view: View) -> tuple[str, ...]:
    """Return the drivers a forest sees beside the price: those known at the view's end."""
    return tuple(name for name, values in driver_changes(view).items() if np.isfinite(values[-FOREST_LAGS:]).all())


def forest_rows(view: View, ends: Ints, columns: tuple[str, ...]) -> Floats:
    """Return lags 1 to 5 of the price's and the drivers' changes before each end; unknown driver changes count as 0."""
    changes = driver_changes(view)
    parts = [view.log_return, *(np.nan_to_num(changes[name]) for name in columns if name in changes)]
    return np.column_stack([part[ends - 1 - lag] for part in parts for lag in range(1, FOREST_LAGS + 1)])


def fit_forest(view: View, row: ClassicRow, trees: int) -> Forest:
    """Return the forest of a tenor; its deviation is that of errors on the last fifth of rows, not seen before."""
    from sklearn.ensemble import RandomForestRegressor

    columns = forest_columns(view)
    starts = np.arange(FOREST_LAGS + 2, view.end - row.steps + 1)
    seen = forest_rows(view, starts, columns)
    moved = view.series.log_value[starts + row.steps - 1] - view.series.log_value[starts - 1]

    def forest(count: int) -> Any:
        return RandomForestRegressor(
            n_estimators=count,
            max_depth=row.depth,
            min_samples_split=row.min_split,
            min_samples_leaf=row.min_leaf,
            max_features="sqrt",
            random_state=0,
            n_jobs=1,
        )

    cut = int(len(starts) * (1 - HELD_OUT_SHARE))
    early = forest(max(20, trees // 8)).fit(seen[: cut - row.steps], moved[: cut - row.steps])
    sigma = float(np.sqrt(np.mean((early.predict(seen[cut:]) - moved[cut:]) ** 2)))
    return Forest(forest(trees).fit(seen, moved), row.steps, sigma, columns)
