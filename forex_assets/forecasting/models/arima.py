"""ARMA on log returns, orders chosen by AIC: what AutoARIMA is on a series whose price has a unit root.

Coefficients by Hannan and Rissanen's three steps (statsmodels): a regression for each order, so that a fit costs
milliseconds where maximum likelihood over all orders costs seconds. Orders that are not stationary and invertible are
not taken; (0, 0), the random walk with drift, always is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, Parameter
from forex_assets.forecasting.models._refitted import Refitted, View, cumulated_sigma
from forex_assets.forecasting.origins import Origins

LARGEST_ROOT = 0.98


@dataclass(frozen=True)
class Arma:
    """Mean, coefficients and shock deviation of log returns."""

    mean: float
    ar: Floats
    ma: Floats
    sigma: float

    @property
    def order(self) -> tuple[int, int]:
        """Return (p, q)."""
        return len(self.ar), len(self.ma)


def choose_arma(returns: Floats, max_p: int, max_q: int) -> Arma:
    """Return the order with the smallest AIC among those up to (max_p, max_q).

    Parameters
    ----------
    returns:
        Log returns, shape (n,).
    """
    from statsmodels.tsa.arima.estimators.hannan_rissanen import hannan_rissanen

    mean = float(returns.mean())
    y = returns - mean
    n = len(y)
    scale = float(y.std()) or 1.0
    best = Arma(mean, np.zeros(0), np.zeros(0), scale)
    least = n * np.log(scale**2) + 2
    for p in range(max_p + 1):
        for q in range(max_q + 1):
            if p == q == 0:
                continue
            try:
                found, _ = hannan_rissanen(y / scale, ar_order=p, ma_order=q, demean=False)
            except (ValueError, np.linalg.LinAlgError):
                continue  # too few returns for the long autoregression of this order, or a singular one
            ar, ma = np.asarray(found.ar_params, float), np.asarray(found.ma_params, float)
            if not (_inside(ar) and _inside(-ma)):
                continue
            shocks = shocks_of(y, ar, ma)
            sigma = float(np.sqrt(np.mean(shocks[p + q :] ** 2)))
            aic = n * np.log(sigma**2) + 2 * (p + q + 1)
            if aic < least:
                best, least = Arma(mean, ar, ma, sigma), aic
    return best


def _inside(coefficients: Floats) -> bool:
    """Return whether ``1 - c1 z - c2 z² …`` has no root near or inside the unit circle."""
    if not len(coefficients):
        return True
    roots = np.roots(np.concatenate([[1.0], -coefficients]))
    return bool(np.isfinite(coefficients).all() and (np.abs(roots) < LARGEST_ROOT).all())


def shocks_of(y: Floats, ar: Floats, ma: Floats) -> Floats:
    """Return the shocks of a demeaned series, started from nothing."""
    from scipy.signal import lfilter

    return np.asarray(lfilter(np.concatenate([[1.0], -ar]), np.concatenate([[1.0], ma]), y))


def arma_path(model: Arma, returns: Floats, steps: Ints) -> tuple[Floats, Floats]:
    """Return centre and deviation of the sum of the next returns over each number of steps."""
    longest = int(steps.max())
    p, q = model.order
    y = returns - model.mean
    shocks = shocks_of(y, model.ar, model.ma)
    past, seen = [*y[-max(p, 1) :]], [*shocks[-max(q, 1) :]]
    psi = np.zeros(longest)
    for j in range(longest):
        ahead = sum(model.ar[i] * past[-1 - i] for i in range(min(p, len(past))))
        ahead += sum(model.ma[i] * seen[-1 - i] for i in range(min(q, len(seen))))
        past.append(ahead)
        seen.append(0.0)
        psi[j] = (
            1.0
            if j == 0
            else (model.ma[j - 1] if j <= q else 0.0) + sum(model.ar[i] * psi[j - 1 - i] for i in range(min(p, j)))
        )
    moved = np.cumsum(np.array(past[-longest:]) + model.mean)
    return moved[np.asarray(steps) - 1], cumulated_sigma(psi, model.sigma, steps)


class AutoArima(Refitted):
    """ARIMA(p, 1, q) with drift on the log price, p and q up to 2 by AIC, refitted monthly."""

    name = "auto_arima"
    capabilities = Capabilities(
        family="parametric",
        parameters={
            "window": Parameter(500, "Log returns a fit looks back on", low=120, high=5000, whole=True),
            "max_order": Parameter(2, "Largest p and q looked at", low=0, high=7, whole=True),
        },
        min_history=251,
        bulk=False,
    )

    def fit(self, view: View, params: Mapping[str, Any], origins: Origins) -> Arma:
        """Choose order and coefficients."""
        return choose_arma(view.log_return[-params["window"] :], params["max_order"], params["max_order"])

    def forecast(
        self, fit: Any, view: View, steps: Ints, params: Mapping[str, Any], origins: Origins
    ) -> tuple[Floats, Floats]:
        """Return centre and deviation of the log return."""
        return arma_path(fit, view.log_return[-params["window"] :], steps)
