"""Markets with planted truth, as the monitors see them: every version of every value, with when it was known."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets import schemas
from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Observed, observed
from forex_assets.schemas import EVALUATION
from forex_assets.settings import Settings, load_settings, packaged_config_dir

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]
CL = calendar_for(["CL"])
NEVER = np.datetime64("NaT", "us")


@functools.cache
def settings(home: Path | None = None) -> Settings:
    """The packaged settings, without an environment."""
    return load_settings(packaged_config_dir(), {"FOREX_HOME": str(home)} if home else {})


def sessions(n: int, end: str = "2024-06-28") -> Dates:
    """The last ``n`` Chilean sessions up to a day."""
    return CL.sessions(np.datetime64(end) - np.timedelta64(2 * n + 60, "D"), np.datetime64(end))[-n:]


def series(name: str, dates: Dates, values: Floats, unit: str = "CLP per USD") -> Observed:
    """A series whose values are known on the evening of their day."""
    known = (as_of_instants(dates) - np.timedelta64(4, "h")).astype("datetime64[us]")
    return Observed(name, unit, dates, np.asarray(values, float), known, np.full(len(dates), NEVER))


def prices(returns: Floats, start: float = 900.0) -> Floats:
    """Prices from log returns."""
    return np.asarray(start * np.exp(np.cumsum(returns)))


def t_returns(rng: np.random.Generator, shape: Any, sigma: float = 0.006, freedom: float = 5.0) -> Floats:
    """Student's t returns of standard deviation ``sigma``."""
    return np.asarray(rng.standard_t(freedom, shape) * sigma * np.sqrt((freedom - 2) / freedom))


def linked(rng: np.random.Generator, n: int, link: float = -0.4, copper_sigma: float = 0.014) -> tuple[Floats, Floats]:
    """Returns of a price and of copper that correlate by ``link``."""
    copper = t_returns(rng, n, copper_sigma)
    price = 0.006 * (link * copper / copper_sigma) + np.sqrt(1 - link**2) * t_returns(rng, n)
    return price, copper


def frames(
    target: Observed, drivers: Mapping[str, Observed] | None = None, pair: str = "usdclp_close", scores: Any = None
) -> Frames:
    """Frames without scores unless given."""
    return Frames(
        pair=pair,
        horizons=settings().horizons,
        calendar=CL,
        target=target,
        drivers=drivers or {},
        scores=EVALUATION.empty() if scores is None else scores,
    )


def day(value: np.datetime64) -> dt.date:
    """A date of numpy as one of Python."""
    found: dt.date = value.astype("datetime64[D]").item()
    return found


def real_market(folder: Path) -> Frames:
    """USD/CLP at the close, COMEX copper, DXY, VIX and the S&P 500 from the folder of market data."""
    from forex_assets.market.ingest import ingest

    made = load_settings(
        packaged_config_dir(),
        {"FOREX_DATA_DIR": str(folder), "FOREX_OFFLINE": "1", "FOREX_PAIRS": "usdclp_close"},
    )
    rows = ingest(made, "usdclp_close", now=pd.Timestamp("2025-06-16T12:00:00Z"), stored=None).observations
    pair = made.pair("usdclp_close")
    drivers = {
        name: observed(rows, name, made.series[name].unit) for name in pair.drivers if (rows["series"] == name).any()
    }
    return Frames(
        pair=pair.id,
        horizons=made.horizons,
        calendar=CL,
        target=observed(rows, pair.target.series, pair.unit),
        drivers=drivers,
        scores=schemas.EVALUATION.empty(),
    )
