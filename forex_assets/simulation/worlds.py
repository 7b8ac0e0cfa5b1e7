"""Daily worlds: a random walk (also seen through a fixing's averaging) and GARCH(1,1) with Student's t shocks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.clock import SANTIAGO, BusinessCalendar, calendar_for, to_utc
from forex_assets.errors import ValidationError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class World:
    """Made prices and their truth.

    Attributes
    ----------
    bars:
        One snapshot of the ``bars`` table without provenance; every value known at 18:00 Santiago of its own date.
    calendar:
        Calendar of the dates.
    sigma:
        True daily log volatility of the move that ends at each value, shape (n,).
    """

    bars: pd.DataFrame
    calendar: BusinessCalendar
    sigma: Floats


def random_walk_world(
    seed: int | np.random.Generator,
    n: int,
    *,
    sigma_daily_log: float = 0.006,
    average_of: int = 1,
    start_value: float = 900.0,
    first_day: str = "2004-01-02",
    pair: str = "planted",
) -> World:
    """Return a driftless Gaussian random walk of n values.

    Parameters
    ----------
    seed:
        Seed or generator.
    n:
        Number of values.
    sigma_daily_log:
        Standard deviation of a day's log return.
    average_of:
        Moments of a day each value is the average of; 1 gives closes, many give a fixing, whose one-day volatility
        understates longer moves (variance of k days over k one-day variances: (3k - 1) / (2k)).
    start_value, first_day, pair:
        First value, first date at the earliest, and name.
    """
    _check(n, sigma_daily_log, start_value)
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, sigma_daily_log / np.sqrt(average_of), size=(n, average_of))
    path = np.cumsum(moves.ravel()).reshape(n, average_of).mean(axis=1)
    return _world(path, np.full(n, sigma_daily_log), start_value, first_day, pair)


def garch_t_world(
    seed: int | np.random.Generator,
    n: int,
    *,
    sigma_daily_log: float = 0.006,
    reaction: float = 0.07,
    persistence: float = 0.91,
    degrees_of_freedom: float = 5.0,
    start_value: float = 900.0,
    first_day: str = "2004-01-02",
    pair: str = "planted",
) -> World:
    """Return GARCH(1,1) prices with Student's t shocks and long-run volatility ``sigma_daily_log``.

    Raises
    ------
    ValidationError
        When ``reaction + persistence`` is not below 1, or the shocks have no variance.
    """
    _check(n, sigma_daily_log, start_value)
    if not (reaction >= 0 and persistence >= 0 and reaction + persistence < 1) or degrees_of_freedom <= 2:
        raise ValidationError(
            f"reaction {reaction} + persistence {persistence} must be below 1 and degrees_of_freedom "
            f"{degrees_of_freedom} above 2, or the variance does not exist.",
            remedy="lower reaction or persistence, or raise degrees_of_freedom.",
        )
    rng = np.random.default_rng(seed)
    shock = rng.standard_t(degrees_of_freedom, size=n) * np.sqrt((degrees_of_freedom - 2) / degrees_of_freedom)
    base = sigma_daily_log**2 * (1 - reaction - persistence)
    variance = np.empty(n)
    level = sigma_daily_log**2
    for i in range(n):
        variance[i] = level
        level = base + (reaction * shock[i] ** 2 + persistence) * level
    sigma = np.sqrt(variance)
    return _world(np.cumsum(sigma * shock), sigma, start_value, first_day, pair)


def _check(n: int, sigma_daily_log: float, start_value: float) -> None:
    if n < 1 or sigma_daily_log <= 0 or start_value <= 0:
        raise ValidationError(
            f"A world needs n >= 1, sigma_daily_log > 0, start_value > 0; got {n}, {sigma_daily_log}, {start_value}.",
            remedy="correct the argument.",
        )


def _world(path: Floats, sigma: Floats, start_value: float, first_day: str, pair: str) -> World:
    import pandas as pd

    calendar = calendar_for("FX")
    first = calendar.roll_forward(np.datetime64(first_day, "D"))
    dates = calendar.add(np.full(len(path), first - np.timedelta64(1, "D")), np.arange(1, len(path) + 1))
    known = to_utc(dates, dt.time(18, 0), SANTIAGO)
    bars = pd.DataFrame(
        {
            "pair": pair,
            "as_of": pd.Timestamp(str(dates[-1])),
            "event_date": dates.astype("datetime64[ns]"),
            "available_at": pd.DatetimeIndex(known.astype("datetime64[ns]")).tz_localize("UTC"),
            "open": np.nan,
            "high": np.nan,
            "low": np.nan,
            "value": start_value * np.exp(path - path[0]),
            "source": "simulation",
            "withdrawn_at": pd.Series(pd.NaT, index=range(len(path)), dtype="datetime64[ns, UTC]"),
            "withdrawn_rule": None,
        }
    )
    return World(bars=bars, calendar=calendar, sigma=sigma)
