"""When a value dated *t* can first be known: the publication rules of ``configs/series.yaml``, vectorised.

Nothing here looks at data. A rule is a statement about the publisher's timetable, so that every observation carries an
``available_at`` and no model can use a number before its publication (K17).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.arrays import Dates, Instants
from forex_assets.clock import calendar_for, to_utc

if TYPE_CHECKING:
    from forex_assets.settings import SeriesSpec


#: Rules under which a value carries a date after the day it becomes known.
PUBLISHED_AHEAD = frozenset({"previous_business_day", "uf"})
_UF_DAY = 9


def available_at(spec: SeriesSpec, event_dates: Dates) -> Instants:
    """Return when each value of a series can first be known.

    Parameters
    ----------
    spec:
        The series; its ``publication`` rule and ``calendar`` decide.
    event_dates:
        Dates the values carry, ``datetime64[D]`` of any order.

    Returns
    -------
    ``datetime64[us]`` instants in UTC, one per date.
    """
    dates = np.asarray(event_dates, dtype="datetime64[D]")
    if not len(dates):
        return np.empty(0, dtype="datetime64[us]")
    return to_utc(publication_dates(spec, dates), dt.time.fromisoformat(spec.publication.time), spec.publication.zone)


def publication_dates(spec: SeriesSpec, event_dates: Dates) -> Dates:
    """Return the calendar day, in the publisher's zone, on which each value appears."""
    rule = spec.publication
    dates = np.asarray(event_dates, dtype="datetime64[D]")
    if rule.rule == "same_day":
        return dates
    if rule.rule == "uf":
        return _uf_publication(dates)
    calendar = calendar_for(spec.calendar)
    if rule.rule == "previous_business_day":
        return calendar.add(dates, -1)
    if rule.rule == "business_days_after":
        return calendar.add(dates, rule.days)
    return calendar.roll_forward(_day_of_month(dates, rule.months, rule.day))


def _uf_publication(dates: Dates) -> Dates:
    """The UF of the 10th of a month to the 9th of the next appears together, on the 9th before."""
    months = dates.astype("datetime64[M]")
    day = (dates - months.astype("datetime64[D]")).astype(int) + 1
    published = np.where(day > _UF_DAY, months, months - np.timedelta64(1, "M"))
    return np.asarray(published.astype("datetime64[D]") + np.timedelta64(_UF_DAY - 1, "D"), dtype="datetime64[D]")


def _day_of_month(dates: Dates, months: int, day: int) -> Dates:
    """Return day ``day`` of the month ``months`` after each date's, or that month's last day where it is shorter."""
    target = dates.astype("datetime64[M]") + months
    last = (target + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    wanted = target.astype("datetime64[D]") + np.timedelta64(day - 1, "D")
    return np.where(wanted < last, wanted, last).astype("datetime64[D]")
