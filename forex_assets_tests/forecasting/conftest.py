"""Histories the forecasting tests share."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.clock import SANTIAGO, BusinessCalendar, calendar_for, to_utc
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.simulation.worlds import garch_t_world

MODELS = ["random_walk", "rw_blend", "rw_empirical", "champion_zero"]
LAST_DAY = "2025-06-13"


def history_of(
    values: np.ndarray, calendar: BusinessCalendar | None = None, first_day: str = "2015-01-05", pair: str = "made"
) -> PriceHistory:
    """A history of consecutive sessions, each value known at 18:00 Santiago of its date."""
    calendar = calendar or calendar_for("FX")
    before = calendar.roll_forward(np.datetime64(first_day, "D")) - np.timedelta64(1, "D")
    dates = calendar.add(np.full(len(values), before), np.arange(1, len(values) + 1))
    return PriceHistory(pair, calendar, dates, to_utc(dates, dt.time(18, 0), SANTIAGO), np.asarray(values, dtype=float))


@pytest.fixture(scope="session")
def garch_history() -> PriceHistory:
    """Twelve years of GARCH-t prices."""
    world = garch_t_world(11, 3100)
    return PriceHistory.from_bars(world.bars, world.calendar)


@pytest.fixture(scope="session")
def fixing_history(market_data_dir: Path) -> PriceHistory:
    """The dólar observado, known at 18:00 of the business day before its date."""
    frame = pd.read_csv(market_data_dir / "usdclp_observado_daily.csv", parse_dates=["date"])
    calendar = calendar_for("CL")
    dates = frame.iloc[:, 0].to_numpy().astype("datetime64[D]")
    known = to_utc(calendar.add(dates, -1), dt.time(18, 0), SANTIAGO)
    return PriceHistory("usdclp", calendar, dates, known, frame.iloc[:, 1].to_numpy(dtype=float))
