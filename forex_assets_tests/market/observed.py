"""Observations for tests: frames of table ``observations`` built from arrays, or from the files of market data."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.market.publication import available_at
from forex_assets.settings import PublicationRule, ReferenceSeries, SeriesSpec

NOW = dt.datetime(2025, 6, 30, tzinfo=dt.UTC)

YAHOO = SeriesSpec(
    id="usdclp_yahoo",
    label="Yahoo CLP=X, daily close as published",
    unit="CLP per USD",
    calendar="CL",
    publication=PublicationRule(rule="same_day", time="18:00", zone="America/Santiago"),
    range=(200, 3000),
    max_age_business_days=3,
    basis="close",
    # dated t it carries the close of the session before t, which the fixing dated t averages
    reference=ReferenceSeries(series="usdclp_fixing", shift_business_days=0),
)
MARKET = YAHOO.model_copy(
    update={
        "id": "usdclp_market",
        "label": "USD/CLP market, local session",
        "reference": ReferenceSeries(series="usdclp_fixing", shift_business_days=1),
    }
)


def observations(
    spec: SeriesSpec,
    dates: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    available: npt.ArrayLike | None = None,
    source: str = "folder",
    **prices: npt.ArrayLike,
) -> pd.DataFrame:
    """Rows of one series as a source would give them: known when the series' publication rule says."""
    days = np.asarray(dates, dtype="datetime64[D]")
    count = len(days)
    known = available_at(spec, days) if available is None else np.asarray(available, dtype="datetime64[us]")
    empty = np.full(count, np.nan)
    return pd.DataFrame(
        {
            "pair": "usdclp",
            "series": spec.id,
            "event_time": pd.DatetimeIndex(days.astype("datetime64[ns]"), tz="UTC"),
            "available_at": pd.DatetimeIndex(known.astype("datetime64[ns]"), tz="UTC"),
            "value": np.asarray(values, dtype=np.float64),
            **{name: np.asarray(prices.get(name, empty), dtype=np.float64) for name in ("open", "high", "low")},
            "unit": spec.unit,
            "source": source,
            "retrieved_at": pd.DatetimeIndex([NOW] * count).as_unit("ns"),
            "payload_hash": "0" * 64,
        }
    )


def from_file(
    folder: Path, spec: SeriesSpec, file: str, column: str = "close", *, first: str = "1999-02-01", ohlc: bool = False
) -> pd.DataFrame:
    """Rows of one data file, from ``first`` on (calendars start in 1999); drops what its address declares to drop."""
    frame = pd.read_csv(folder / file, parse_dates=["date"])
    column = column if column in frame.columns else str(frame.columns[-1])
    frame = frame[frame["date"] >= first].dropna(subset=[column])
    for name, unwanted in spec.addresses.get("folder", {}).get("drop_where", {}).items():
        frame = frame[~frame[name].isin(unwanted)]
    prices = {name: frame[name] for name in ("open", "high", "low")} if ohlc else {}
    return observations(spec, frame["date"].to_numpy().astype("datetime64[D]"), frame[column], **prices)
