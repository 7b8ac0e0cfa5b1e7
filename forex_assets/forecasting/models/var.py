"""Vector autoregression of log returns with copper, the dollar index and the rate differential (statsmodels).

Drivers stand beside each price as they were known when that price became known. One that is missing, stale or too short
is left out; without any the model refuses, since it would be an autoregression by another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError
from forex_assets.forecasting.contract import Capabilities, Parameter
from forex_assets.forecasting.models._refitted import Refitted, View
from forex_assets.forecasting.origins import Origins

COPPER = ("copper_comex", "copper_lme")
DIFFERENTIAL = ("tpm", "fed_funds")
COVARIATES = (*COPPER, "dxy", *DIFFERENTIAL)
MIN_ROWS = 200


def driver_changes(view: View) -> dict[str, Floats]:
    """Return the change of each driver over each return of a view, shape (end - 1,), NaN where it was not known.

    Copper (COMEX where there is one, else LME) and the dollar index in log, the rate differential in points.
    """
    held = view.history.drivers
    found: dict[str, Floats] = {}
    copper = next((name for name in COPPER if name in held), None)
    if copper is not None:
        found["copper"] = np.diff(np.log(view.driver(copper)))
    if "dxy" in held:
        found["dxy"] = np.diff(np.log(view.driver("dxy")))
    if all(name in held for name in DIFFERENTIAL):
        found["differential"] = np.diff(view.driver("tpm") - view.driver("fed_funds"))
    return found


@dataclass(frozen=True)
class VarFit:
    """Coefficients of a fitted VAR in units of each column's deviation."""

    names: tuple[str, ...]
    scale: Floats
    intercept: Floats
    lags: Floats
    covariance: Floats


class Var(Refitted):
    """VAR(p) with p by AIC up to ``max_lags``; returns first, drivers after, all stationary."""

    name = "var"
    capabilities = Capabilities(
        family="parametric",
        covariates=COVARIATES,
        parameters={
            "window": Parameter(1000, "Log returns a fit looks back on", low=MIN_ROWS, high=10_000, whole=True),
            "max_lags": Parameter(5, "Largest number of lags looked at", low=1, high=20, whole=True),
            "criterion": Parameter("aic", "What chooses the lags", choices=("aic", "bic")),
        },
        min_history=251,
        bulk=False,
    )

    def fit(self, view: View, params: Mapping[str, Any], origins: Origins) -> VarFit:
        """Fit to the newest rows in which every driver taken is known."""
        return fit_var(view, params["window"], params["max_lags"], params["criterion"])

    def forecast(
        self, fit: Any, view: View, steps: Ints, params: Mapping[str, Any], origins: Origins
    ) -> tuple[Floats, Floats]:
        """Return centre and deviation of the log return."""
        return var_path(fit, view, steps)


def fit_var(view: View, window: int, max_lags: int, criterion: str) -> VarFit:
    """Return the VAR of a view.

    Raises
    ------
    DataError
        When no driver is known over enough rows.
    """
    from statsmodels.tsa.api import VAR

    changes = driver_changes(view)
    taken: dict[str, Floats] = {}
    rows = min(window, view.end - 1)
    for name, values in changes.items():
        gaps = np.flatnonzero(~np.isfinite(values))
        known = len(values) - 1 - (int(gaps[-1]) if len(gaps) else -1)
        if known >= MIN_ROWS and np.ptp(values[-known:]) > 0:
            taken[name] = values
            rows = min(rows, known)
    if not taken or rows < MIN_ROWS:
        raise DataError(
            f"VAR of {view.history.pair}: neither copper, dxy nor the rate differential is known over the "
            f"{MIN_ROWS} values up to {view.series.event_date[view.end - 1]}.",
            remedy="give one a source (docs/data-sources.md), or leave the model out.",
        )
    y = np.column_stack([view.log_return, *taken.values()])[-rows:]
    scale = y.std(axis=0)
    result = VAR(y / scale).fit(maxlags=max_lags, ic=criterion)
    if result.k_ar == 0:
        result = VAR(y / scale).fit(1)
    covariance = np.asarray(result.sigma_u)
    return VarFit(tuple(taken), scale, np.asarray(result.intercept), np.asarray(result.coefs), covariance)


def var_path(fit: VarFit, view: View, steps: Ints) -> tuple[Floats, Floats]:
    """Return centre and deviation of the sum of the next returns over each number of steps."""
    p, k, _ = fit.lags.shape
    changes = driver_changes(view)
    recent = np.column_stack([view.log_return[-p:], *(changes[name][-p:] for name in fit.names)]) / fit.scale
    if not np.isfinite(recent).all():
        late = [name for i, name in enumerate(fit.names) if not np.isfinite(recent[:, i + 1]).all()]
        raise DataError(
            f"VAR of {view.history.pair}: {', '.join(late)} is not known or stale at "
            f"{view.series.event_date[view.end - 1]}.",
            remedy="fetch newer values of it, or leave the model out.",
        )
    longest = int(steps.max())
    state = [*recent]
    psi = np.zeros((longest, k, k))
    psi[0] = np.eye(k)
    for j in range(longest):
        state.append(fit.intercept + sum(fit.lags[i] @ state[-1 - i] for i in range(p)))
        if j:
            psi[j] = sum((psi[j - 1 - i] @ fit.lags[i] for i in range(min(p, j))), np.zeros((k, k)))
    moved = np.cumsum(np.array(state[-longest:])[:, 0]) * fit.scale[0]
    reach = np.cumsum(psi, axis=0)[:, 0]
    variance = np.cumsum(np.einsum("ja,ab,jb->j", reach, fit.covariance, reach)) * fit.scale[0] ** 2
    return moved[np.asarray(steps) - 1], np.sqrt(variance[np.asarray(steps) - 1])
