"""One feed as known at an instant, and what a rule says of it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
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
Facts = tuple[tuple[str, str | int], ...]

#: Code of why a rule could not look → what it says of its facts.
CANNOT_LOOK: Mapping[str, str] = {
    "no_value": "no usable value is held",
    "dated_ahead": "every value held is dated ahead",
    "monthly": "a monthly series has no sessions",
    "few_values": "fewer than {need} values",
    "no_level": "too few values",
    "calendar_ends": "the calendar does not reach",
    "no_reference": "no value of {series} to compare with",
    "few_common": "only {n} dates in common",
    "few_earlier": "only {n} earlier dates in common",
    "no_lag": "too little agreement at any lag over {n} sessions",
    "nothing_alike": "no series held moves with it closely enough to tell",
    "only_suspects_alike": "no series held moves with it closely enough to tell, {series} being under suspicion",
}
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
    cannot_look, facts:
        Where it is unknown: why, a key of :data:`CANNOT_LOOK`, and what that names; series by id, joined by commas.
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
    cannot_look: str = ""
    facts: Facts = ()


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


def unknown(rule: str, feed: Feed, against: str | None, why: str, **facts: str | int) -> FeedFinding:
    """Return that a rule could not look, and why: a key of :data:`CANNOT_LOOK` with its facts."""
    n, said = len(feed.dates), CANNOT_LOOK[why].format(**facts)
    none = math.nan
    return FeedFinding(rule, feed.spec.id, against, "unknown", None, none, none, "", n, said, why, tuple(facts.items()))
