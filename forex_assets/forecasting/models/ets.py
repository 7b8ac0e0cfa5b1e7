"""Exponential smoothing of the log price: level, level and trend, or damped trend, chosen by AICc (statsmodels)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, Parameter
from forex_assets.forecasting.models._refitted import Refitted, View
from forex_assets.forecasting.origins import Origins

FORMS: tuple[tuple[str | None, bool], ...] = ((None, False), ("add", False), ("add", True))
PERCENT = 100.0


@dataclass(frozen=True)
class EtsFit:
    """Weights of level and trend, damping, one-step deviation, and the states after ``end`` values."""

    end: int
    alpha: float
    beta: float
    phi: float
    sigma: float
    level: float
    trend: float


class Ets(Refitted):
    """ETS(A,N,N), (A,A,N) or (A,Ad,N) with the forecast variances of Hyndman et al. (2008), table 6.1."""

    name = "ets"
    capabilities = Capabilities(
        family="parametric",
        parameters={"window": Parameter(500, "Log prices a fit looks back on", low=100, high=5000, whole=True)},
        min_history=251,
        bulk=False,
    )

    def fit(self, view: View, params: Mapping[str, Any], origins: Origins) -> EtsFit:
        """Return the best form with its states at the view's end."""
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel

        log_value = view.log_value[-params["window"] :]
        y = (log_value - log_value[0]) * PERCENT
        best: tuple[float, EtsFit] | None = None
        for trend, damped in FORMS:
            result = ETSModel(y, error="add", trend=trend, damped_trend=damped).fit(disp=False, maxiter=200)
            found = EtsFit(
                end=view.end,
                alpha=float(result.smoothing_level),
                beta=float(result.smoothing_trend) if trend else 0.0,
                phi=float(result.damping_trend) if damped else (1.0 if trend else 0.0),
                sigma=float(np.sqrt(result.scale)) / PERCENT,
                level=float(log_value[0] + result.level[-1] / PERCENT),
                trend=float(result.slope[-1] / PERCENT) if trend else 0.0,
            )
            if best is None or result.aicc < best[0]:
                best = (float(result.aicc), found)
        assert best is not None  # nosec B101
        return best[1]

    def forecast(
        self, fit: Any, view: View, steps: Ints, params: Mapping[str, Any], origins: Origins
    ) -> tuple[Floats, Floats]:
        """Return centre and deviation of the log return."""
        level, trend = fit.level, fit.trend
        for value in view.log_value[fit.end :].tolist():  # the states move on, the parameters stay
            error = value - (level + fit.phi * trend)
            level, trend = level + fit.phi * trend + fit.alpha * error, fit.phi * trend + fit.beta * error
        longest = int(steps.max())
        damping = np.cumsum(fit.phi ** np.arange(1, longest + 1)) if fit.phi else np.zeros(longest)
        weights = fit.alpha + fit.beta * damping[: longest - 1]  # of a shock, after 1, 2, … steps
        variance = 1.0 + np.concatenate([[0.0], np.cumsum(weights**2)])
        return level - view.log_value[-1] + trend * damping[steps - 1], fit.sigma * np.sqrt(variance[steps - 1])
