"""The outcome of a target date: which value counts, and since when it does.

The outcome is the value dated the target date itself, never of a nearby date, as it was known at the end of the
Santiago day on which it first became known (``matured_on``). What is revised or withdrawn after that day does not
change it, so an evaluation once made stays what it was.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.arrays import Dates
from forex_assets.clock import AsOf
from forex_assets.errors import DataError
from forex_assets.outcome import settled

DateLike = AsOf | str | dt.date | np.datetime64


def outcomes(bars: pd.DataFrame, target_dates: npt.ArrayLike, as_of: DateLike) -> pd.DataFrame:
    """Return the outcomes known at the end of ``as_of`` for some target dates.

    Parameters
    ----------
    bars:
        One BARS snapshot (columns ``event_date``, ``available_at``, ``value``, ``withdrawn_at`` are read), with every
        revision as a row of its own. Instants carry a zone.
    target_dates:
        Calendar dates; repeats count once.
    as_of:
        A calendar date (its end in Santiago); what became known later is not used. At an instant within a day, nothing
        of that day has matured.

    Returns
    -------
    DataFrame
        ``target_date``, ``actual``, ``matured_on``, one row per known target in date order. Unknown targets are absent.

    Raises
    ------
    DataError
        When ``bars`` holds several snapshots, or its instants carry no zone.
    """
    _check(bars)
    wanted = np.unique(as_dates(target_dates))
    event = as_dates(bars["event_date"])
    keep = np.isin(event, wanted)
    event = event[keep]
    available = _instants(bars["available_at"])[keep]
    withdrawn = _instants(bars["withdrawn_at"])[keep]
    value = bars["value"].to_numpy(dtype=np.float64)[keep]

    dates, actual, matured_on = settled(event, available, withdrawn, value)
    known = matured_on <= last_complete_day(as_of)
    return pd.DataFrame(
        {
            "target_date": dates[known].astype("datetime64[ns]"),
            "actual": actual[known],
            "matured_on": matured_on[known].astype("datetime64[ns]"),
        }
    )


def matured(target_dates: npt.ArrayLike, bars: pd.DataFrame, as_of: DateLike) -> npt.NDArray[np.bool_]:
    """Return, for each target date in the order given, whether its outcome is known at the end of ``as_of``."""
    known = outcomes(bars, target_dates, as_of)
    return np.isin(as_dates(target_dates), as_dates(known["target_date"]))


def as_dates(values: npt.ArrayLike | pd.Series) -> Dates:
    """Return calendar dates as ``datetime64[D]``."""
    raw = values.to_numpy() if isinstance(values, pd.Series | pd.Index) else np.atleast_1d(np.asarray(values))
    return np.asarray(raw, dtype="datetime64[D]")


def last_complete_day(value: DateLike) -> np.datetime64:
    """Return the newest Santiago date that has ended at ``value``; a naive midnight stands for its date."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, pd.Timestamp) and value.tzinfo is None and value == value.normalize():
        value = value.date()
    parsed = AsOf.parse(value)
    day = np.datetime64(parsed.date, "D")
    return day if parsed.is_end_of_day else day - np.timedelta64(1, "D")


def _instants(values: pd.Series) -> npt.NDArray[np.datetime64]:
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        if values.isna().all():
            return np.full(len(values), np.datetime64("NaT"), dtype="datetime64[us]")
        raise DataError(
            f"Column '{values.name}' of the bars holds instants without a time zone (type {values.dtype}).",
            remedy="give every instant a zone (UTC in stored frames); naive and zone-aware times are never mixed.",
        )
    return np.asarray(values.dt.tz_convert(None).to_numpy(), dtype="datetime64[us]")


def _check(bars: pd.DataFrame) -> None:
    if "as_of" in bars.columns and bars["as_of"].nunique() > 1:
        raise DataError(
            f"Outcomes need one snapshot of bars; these rows hold {bars['as_of'].nunique()}, "
            f"from {bars['as_of'].min():%Y-%m-%d} to {bars['as_of'].max():%Y-%m-%d}.",
            remedy="pass the bars of one as_of, the newest wanted.",
        )
