"""One feed as known at an instant, and what a rule says of it."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.arrays import Dates, Floats
from forex_assets.clock import BusinessCalendar, calendar_for
from forex_assets.market.quality.rules import Scale
from forex_assets.settings import SeriesSpec

State = Literal["found", "clear", "unknown"]
_STILL_DATED = ("jump", "cross_source", "spike", "outlier", "high_low")


@dataclass(frozen=True, slots=True)
class FeedFinding:
    """What one rule says of one series (against another, where it compares two).

    Parameters
    ----------
    rule, series, against:
        A key of :data:`FEED_RULES`; what was judged; what it was held against, or None.
    state:
        ``found``, ``clear`` or ``unknown``.
    since:
        First date of what was found.
    effect, limit, unit:
        The figure and what it was held against; NaN where the rule could not look.
    n:
        Values or sessions behind the figure.
    reason:
        A sentence.
    """

    rule: str
    series: str
    against: str | None
    state: State
    since: dt.date | None
    effect: float
    limit: float
    unit: str
    n: int
    reason: str


@dataclass(frozen=True)
class Feed:
    """One series as known at the instant: the usable values by date, and ``all_…`` with those whose size was judged."""

    spec: SeriesSpec
    calendar: BusinessCalendar
    dates: Dates
    value: Floats
    level: Floats
    all_dates: Dates
    all_value: Floats
    all_level: Floats
    closed: Dates


def feed_of(spec: SeriesSpec, rows: pd.DataFrame, instant: pd.Timestamp) -> Feed:
    """Return one series as known at an instant; rows without verdict columns count as they are."""
    if "withdrawn_at" not in rows.columns:
        rows = rows.assign(withdrawn_at=pd.Series(pd.NaT, index=rows.index, dtype="datetime64[ns, UTC]"), rule=None)
    rows = rows.sort_values(["event_time", "available_at"], kind="stable")
    withdrawn = rows["withdrawn_at"].notna() & (rows["withdrawn_at"] <= instant)
    dates = rows["event_time"].dt.tz_convert(None).to_numpy().astype("datetime64[D]")
    value = rows["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    level = Scale.of(spec).transform(value)
    gone = withdrawn.to_numpy(dtype=bool)
    rule = rows["rule"].to_numpy(dtype=object)

    def last_of_each(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        at = np.flatnonzero(mask & np.isfinite(level))
        return at[np.append(dates[at][1:] != dates[at][:-1], True)] if len(at) else at

    usable = last_of_each(~gone)
    # What makes a feed suspect may have been withdrawn row by row: it is looked at here all the same.
    dated = last_of_each(~gone | np.isin(rule.astype(str), _STILL_DATED))
    return Feed(
        spec=spec,
        calendar=calendar_for(spec.calendar),
        dates=dates[usable],
        value=value[usable],
        level=level[usable],
        all_dates=dates[dated],
        all_value=value[dated],
        all_level=level[dated],
        closed=dates[gone & (rule == "calendar")],
    )


def unknown(rule: str, feed: Feed, against: str | None, why: str) -> FeedFinding:
    """Return that a rule could not look, and why."""
    return FeedFinding(rule, feed.spec.id, against, "unknown", None, math.nan, math.nan, "", len(feed.dates), why)
