"""The panel's tables as they are stored, and as histories and drivers to compute with."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.errors import DataError
from forex_assets.provenance import content_hash
from forex_assets.schemas import PROVENANCE, Table
from forex_assets.schemas.panel import PANEL_BARS, PANEL_FITS

if TYPE_CHECKING:
    from forex_assets.forecasting.drivers import DriverHistory
    from forex_assets.forecasting.price_history import PriceHistory
    from forex_assets.pipeline import Pipeline

PANEL = "panel"
VIX = "vix"
FIXING_PAIR = "usdclp"
CONFIG = content_hash(["panel", 1])


def month_key(month: dt.date | np.datetime64) -> str:
    """Return the partition key of a month: its first day."""
    day: Any = np.asarray(month, dtype="datetime64[M]").astype("datetime64[D]")
    return str(day)


def read(pipeline: Pipeline, table: Table, key: tuple[str, ...]) -> pd.DataFrame | None:
    """Return a stored slice of the panel, or None when it is not there."""
    if not pipeline.store.exists(table, PANEL, key):
        return None
    return pipeline.store.read(table, PANEL, [key])


def write(pipeline: Pipeline, table: Table, key: tuple[str, ...], frame: pd.DataFrame) -> None:
    """Store a slice of the panel."""
    from forex_assets.verdicts import judge_slice

    meta = {name: str(frame[name].iloc[0]) for name in PROVENANCE} if len(frame) else {}
    pipeline.store.write(table, PANEL, key, frame, verdict=judge_slice(table, frame), meta=meta)


def stored_bars(pipeline: Pipeline) -> pd.DataFrame:
    """Return the stored prices.

    Raises
    ------
    DataError
        When there are none.
    """
    frame = read(pipeline, PANEL_BARS, ())
    if frame is None or frame.empty:
        raise DataError("No prices of the panel are stored.", remedy="materialise panel/bars first (job panel_job).")
    return frame


def stored_months(pipeline: Pipeline) -> list[str]:
    """Return the months whose every fit is stored, in order."""
    keys = [set(pipeline.store.keys(table, PANEL)) for table in PANEL_FITS]
    return sorted(key[0] for key in set.intersection(*keys) if len(key) == 1)


def histories(frame: pd.DataFrame) -> dict[str, PriceHistory]:
    """Return the panel's price histories by pair."""
    from forex_assets.forecasting.price_history import PriceHistory

    calendars = {FIXING_PAIR: calendar_for("CL")}
    target = calendar_for("TARGET")
    return {
        str(name): PriceHistory(
            str(name),
            calendars.get(str(name), target),
            rows["event_date"].to_numpy().astype("datetime64[D]"),
            naive(rows["available_at"]),
            rows["value"].to_numpy(dtype=float),
        )
        for name, rows in frame[frame["series"] != VIX].groupby("series", sort=True)
    }


def driver(frame: pd.DataFrame, name: str, calendar: str = "FX") -> DriverHistory | None:
    """Return one series of a table with series, event_date, available_at and value as a driver, or None."""
    from forex_assets.forecasting.drivers import DriverHistory

    rows = frame[frame["series"] == name]
    if rows.empty:
        return None
    return DriverHistory(
        name,
        calendar_for(calendar),
        rows["event_date"].to_numpy().astype("datetime64[D]"),
        naive(rows["available_at"]),
        rows["value"].to_numpy(dtype=float),
    )


def utc(instants: Any) -> pd.DatetimeIndex:
    """Return instants as UTC."""
    return pd.DatetimeIndex(np.asarray(instants, dtype="datetime64[us]")).tz_localize("UTC")


def naive(column: pd.Series[Any]) -> Any:
    """Return a column of instants as UTC without a zone, shape (n,)."""
    aware = isinstance(column.dtype, pd.DatetimeTZDtype)
    instants = column if aware else pd.to_datetime(column, utc=True)  # rows of different origin differ in precision
    return instants.dt.tz_convert(None).to_numpy().astype("datetime64[us]")


def price_hash(frame: pd.DataFrame) -> str:
    """Return the hash of prices: what forecasts made from them depend on."""
    columns = frame[["series", "event_date", "available_at", "value"]]
    return content_hash([len(columns), int(pd.util.hash_pandas_object(columns, index=False).sum())])
