"""Worlds in which nothing is wrong: what a monitor says in them is a false alarm.

Four nulls: a driftless walk with Student's t innovations, GARCH with t innovations, blocks of the real dólar observado
put together anew, and the real ECB pairs. The forecasts are those of the deployed model, made by the same backtest as
everything else, so they are stable and honest by construction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.clock import SANTIAGO, BusinessCalendar, calendar_for, to_utc
from forex_assets.errors import ValidationError
from forex_assets.evaluation.scores import score_rows
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.simulation.drivers import driver_levels

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.forecasting.price_history import PriceHistory

BUSINESS_DAYS_A_YEAR = 252
NULLS = ("walk_t5", "garch_t", "clp_blocks", "ecb_pairs")
SIGMA_DAILY = 0.006
MEAN_BLOCK = 250


@dataclass(frozen=True, eq=False)
class NullPath:
    """One path: prices, drivers that move with them as in calm times, and the dates.

    Attributes
    ----------
    name:
        For example ``garch_t/3``.
    dates:
        Business days, shape (n,).
    returns:
        Log return that ends at each date, shape (n,); the first is 0.
    drivers:
        Driver → its level on the same dates.
    calendar:
        Calendar of the dates.
    """

    name: str
    dates: Dates
    returns: Floats
    drivers: Mapping[str, Floats]
    calendar: BusinessCalendar

    @property
    def prices(self) -> Floats:
        """Prices, shape (n,), starting at 900."""
        return np.asarray(900.0 * np.exp(np.cumsum(self.returns)), dtype=np.float64)

    def with_returns(self, returns: Floats) -> NullPath:
        """Return the path with other returns."""
        return replace(self, returns=returns)


def null_paths(null: str, *, years: int, paths: int, seed: int) -> Iterator[NullPath]:
    """Yield paths of one null.

    Parameters
    ----------
    null:
        One of :data:`NULLS`.
    years, paths, seed:
        Length and number of simulated paths, and the seed; the real ECB pairs are what they are.

    Raises
    ------
    ValidationError
        When there is no such null.
    """
    if null not in NULLS:
        raise ValidationError(f"There is no null world {null!r}.", remedy=f"use one of {', '.join(NULLS)}.")
    if null == "ecb_pairs":
        yield from _ecb_paths(seed)
        return
    calendar = calendar_for("FX")
    n = years * BUSINESS_DAYS_A_YEAR
    first = calendar.roll_forward(np.datetime64("2000-01-03", "D"))
    dates = calendar.add(np.full(n, first - np.timedelta64(1, "D")), np.arange(1, n + 1))
    rng = np.random.default_rng([seed, NULLS.index(null)])
    source = _fixing_returns() if null == "clp_blocks" else None
    for i in range(paths):
        if null == "walk_t5":
            returns = SIGMA_DAILY * rng.standard_t(5, n) * np.sqrt(3 / 5)
        elif null == "garch_t":
            returns = _garch_returns(rng, n)
        else:
            assert source is not None  # nosec B101
            returns = source[_block_index(rng, n, len(source))]
        returns[0] = 0.0
        yield NullPath(f"{null}/{i}", dates, returns, driver_levels(rng, returns), calendar)


def _garch_returns(rng: np.random.Generator, n: int) -> Floats:
    from forex_assets.simulation.worlds import garch_t_world

    world = garch_t_world(rng, n)
    return np.diff(np.log(world.bars["value"].to_numpy(dtype=np.float64)), prepend=np.log(900.0))


def _fixing_returns() -> Floats:
    """Return the daily moves of the embedded dólar observado, less their mean."""
    from forex_assets.forecasting.panel.prices import fixing_history

    returns = np.diff(np.log(fixing_history().value))
    return np.asarray(returns - returns.mean(), dtype=np.float64)


def _block_index(rng: np.random.Generator, n: int, length: int) -> npt.NDArray[np.int64]:
    """Return positions of a stationary bootstrap: blocks of geometric length, wrapped at the end."""
    new = rng.random(n) < 1.0 / MEAN_BLOCK
    new[0] = True
    start = rng.integers(length, size=n)
    began = np.maximum.accumulate(np.where(new, np.arange(n), 0))
    return np.asarray((start[began] + np.arange(n) - began) % length, dtype=np.int64)


def _ecb_paths(seed: int) -> Iterator[NullPath]:
    from forex_assets.forecasting.panel.prices import CURRENCIES, ecb_price_history

    for currency in CURRENCIES:
        history = ecb_price_history(currency)
        rng = np.random.default_rng([seed, 99, len(history)])
        returns = np.diff(np.log(history.value), prepend=np.log(history.value[0]))
        drivers = driver_levels(rng, returns)
        yield NullPath(f"ecb_pairs/{currency.lower()}", history.event_date, returns, drivers, history.calendar)


def price_history(path: NullPath) -> PriceHistory:
    """Return the price history of a path; each value is known at 18:00 Santiago of its own date."""
    from forex_assets.forecasting.price_history import PriceHistory

    return PriceHistory("planted", path.calendar, path.dates, to_utc(path.dates, dt.time(18, 0), SANTIAGO), path.prices)


def matured_forecasts(path: NullPath, horizons: Mapping[str, int], model: str) -> dict[str, pd.DataFrame]:
    """Return the deployed model's matured forecasts and the random walk's, scored, by horizon, in order of maturity.

    Frames carry the columns of ``Frames.scores`` and the quantiles, so that a fault can be planted into them.
    """
    import pandas as pd

    from forex_assets.forecasting.backtest import backtest

    history = price_history(path)
    out: dict[str, pd.DataFrame] = {}
    for name, days in horizons.items():
        rows = backtest(history, horizon_days=days, models=["random_walk", model], as_of=path.dates[-1]).rows
        rows = rows.loc[rows["actual"].notna()].sort_values(["model", "matured_on", "as_of"], kind="stable")
        scores = score_rows(
            rows["mean"].to_numpy(dtype=np.float64),
            rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64),
            rows["actual"].to_numpy(dtype=np.float64),
        )
        frame = rows.assign(**scores, is_active=(rows["model"] == model).to_numpy())
        out[name] = pd.DataFrame(frame).reset_index(drop=True)
    return out
