"""Challengers that are refitted on a schedule: one fit per month or year of a series, one forecast per origin.

A fit belongs to an *end* and sees the first ``end`` values alone; which fit serves an origin follows from the dates of
the values known there, so one origin gets what it gets among thousands. Between fits the state is moved on with every
value, the parameters are not.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError
from forex_assets.forecasting.contract import OriginRandom, QuantilePaths
from forex_assets.forecasting.drivers import aligned_driver
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.levels import QUANTILE_LEVELS

GAUSSIAN: Floats = np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])
SIGMA_FLOOR = 1e-7
Refit = Literal["month", "year"]


@dataclass(frozen=True)
class View:
    """What is known at one end of a series; nothing later can be reached through it."""

    history: PriceHistory
    series: KnownSeries
    end: int

    @property
    def log_value(self) -> Floats:
        """Log values, shape (end,)."""
        return self.series.log_value[: self.end]

    @property
    def log_return(self) -> Floats:
        """Log returns, shape (end - 1,)."""
        return self.series.log_return[: self.end - 1]

    def driver(self, name: str) -> Floats:
        """Return a driver as it was known when each value became known, shape (end,), NaN where it was not."""
        return aligned_driver(self.history, self.series, name)[: self.end]


def fit_ends(series: KnownSeries, ends: Ints, refit: Refit, first: int) -> Ints:
    """Return, for each end, the end its fit is made at: the newest first value of a month or year, or ``first``."""
    unit = "datetime64[M]" if refit == "month" else "datetime64[Y]"
    period = series.event_date.astype(unit)
    opens = np.flatnonzero(np.append(True, period[1:] != period[:-1])) + 1  # ends whose last value opens a period
    opens = np.append(first, opens[opens > first])
    found: Ints = opens[np.searchsorted(opens, ends, side="right") - 1]
    return found


class Refitted:
    """Centre and Gaussian width of the log return, from a fit of the last ``window`` returns."""

    name: str
    refit: Refit = "month"
    first_fit = 250
    free_parameters: tuple[str, ...] = ()
    """Parameters that change no fit."""

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        m, k = steps.shape
        centre, sigma = np.empty((m, k)), np.empty((m, k))
        import statsmodels.tools.sm_exceptions  # noqa: F401  # it asks for its warnings when it is first imported

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn of every start value and every unused index
            for group in origins.groups:
                at_fit = fit_ends(group.series, group.ends, self.refit, self.first_fit)
                for position, end, fit_end in zip(group.positions, group.ends, at_fit, strict=True):
                    fit = self.fitted(View(history, group.series, int(fit_end)), params, origins)
                    view = View(history, group.series, int(end))
                    centre[position], sigma[position] = self.forecast(fit, view, steps[position], params, origins)
        fine = np.isfinite(centre) & np.isfinite(sigma)
        if not fine.all():
            i = int(np.flatnonzero(~fine.all(axis=1))[0])
            raise DataError(
                f"Model '{self.name}' has no finite forecast of {history.pair} at {origins.as_of[i]}.",
                remedy="check the values before that day, or leave the model out.",
            )
        unit = np.maximum(sigma, SIGMA_FLOOR)[..., None] * GAUSSIAN
        last = origins.last_value[:, None]
        return QuantilePaths(last * np.exp(centre), last[..., None] * np.exp(centre[..., None] + unit))

    def fitted(self, view: View, params: Mapping[str, Any], origins: Origins) -> Any:
        """Return the fit made at a view, the same one each time."""
        decisive = {name: value for name, value in params.items() if name not in self.free_parameters}
        own = (*sorted(decisive.items()), *self.fit_key(params, origins))
        key = ("refitted", self.name, own, view.end, tuple(sorted(view.history.drivers)))
        if key not in view.series.cache:
            view.series.cache[key] = self.fit(view, params, origins)
        return view.series.cache[key]

    def fit_key(self, params: Mapping[str, Any], origins: Origins) -> tuple[Any, ...]:
        """Return what a fit depends on beside its parameters."""
        return ()

    def fit(self, view: View, params: Mapping[str, Any], origins: Origins) -> Any:
        """Fit to what a view shows."""
        raise NotImplementedError

    def forecast(
        self, fit: Any, view: View, steps: Ints, params: Mapping[str, Any], origins: Origins
    ) -> tuple[Floats, Floats]:
        """Return centre and standard deviation of the log return over each number of steps, shape (k,) each."""
        raise NotImplementedError


def cumulated_sigma(psi: Floats, sigma: float, steps: Ints) -> Floats:
    """Return the deviation of the sum of the next steps of a process with these moving-average weights (psi_0 = 1)."""
    reach = np.cumsum(psi)  # what a shock adds to the sum by the time it has been there that long
    variance = np.cumsum(reach**2)
    return np.asarray(sigma * np.sqrt(variance[np.asarray(steps) - 1]))
