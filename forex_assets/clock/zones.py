"""Wall times to UTC instants and back, vectorised, with each zone's own history of clock changes.

Offsets come from the IANA tables through :mod:`zoneinfo`, one look-up per day of a year, cached. Nothing here knows
what time it is now.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forex_assets.arrays import Dates, Instants
from forex_assets.errors import ValidationError

SANTIAGO = "America/Santiago"
NEW_YORK = "America/New_York"
END_OF_DAY = dt.time(23, 59, 59, 999999)

_DAY_US = np.int64(86_400_000_000)
_SECOND_US = 1_000_000
_UTC = dt.UTC


@functools.cache
def zone_info(name: str) -> ZoneInfo:
    """Return a zone by its IANA name.

    Raises
    ------
    ValidationError
        When there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValidationError(
            f"{name!r} is not a time zone.", remedy="use an IANA name, for example America/Santiago."
        ) from error


def as_dates(values: Any) -> Dates:
    """Return dates as ``datetime64[D]``, of the shape given.

    Accepts dates, ISO strings, ``datetime64`` at midnight and naive pandas indexes or series. A zone-aware value or one
    with a time of day is an instant, not a date, and is refused: which date it falls on depends on the zone.

    Raises
    ------
    ValidationError
        When a value is not a date.
    """
    if getattr(values, "tz", None) is not None or getattr(getattr(values, "dtype", None), "tz", None) is not None:
        raise ValidationError(
            "Zone-aware instants were given where dates are expected.",
            remedy="convert them with forex_assets.clock.santiago_dates first.",
        )
    if isinstance(values, dt.datetime):
        if values.tzinfo is not None:
            raise ValidationError(
                f"{values.isoformat()} is an instant, not a date.",
                remedy="convert it with forex_assets.clock.santiago_dates first.",
            )
        values = np.datetime64(values)
    array = np.asarray(values)
    if array.dtype == np.dtype("datetime64[D]"):
        return array
    if array.dtype.kind == "O" and any(isinstance(item, dt.datetime) and item.tzinfo for item in array.ravel()):
        raise ValidationError(
            "Zone-aware instants were given where dates are expected.",
            remedy="convert them with forex_assets.clock.santiago_dates first.",
        )
    if not array.size:
        return np.empty(array.shape, dtype="datetime64[D]")
    if array.dtype.kind not in "MOUS":
        raise ValidationError(
            f"Dates are expected, {array.dtype} was given.", remedy="give datetime64, datetime.date or ISO strings."
        )
    try:
        fine = array.astype("datetime64[us]")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValidationError(f"Not a date: {error}.", remedy="write dates as YYYY-MM-DD.") from error
    days = fine.astype("datetime64[D]")
    odd = (fine != days.astype("datetime64[us]")) & ~np.isnat(fine)
    if odd.any():
        raise ValidationError(
            f"{fine[odd].ravel()[0] if fine.ndim else fine} has a time of day where a date is expected.",
            remedy="truncate it on purpose, or use an as_of instant.",
        )
    return days


def as_instants(values: Any) -> Instants:
    """Return UTC instants as ``datetime64[us]``, of the shape given.

    Zone-aware datetimes, pandas indexes and series are converted; ``datetime64`` arrays are in UTC already.

    Raises
    ------
    ValidationError
        When a value is no instant, or a datetime has no zone.
    """
    if isinstance(values, dt.datetime):
        if values.tzinfo is None:
            raise ValidationError(
                f"{values.isoformat()} has no time zone.", remedy="give instants zone-aware, for example in UTC."
            )
        values = np.datetime64(values.astimezone(_UTC).replace(tzinfo=None), "us")
    elif getattr(getattr(values, "dtype", None), "tz", None) is not None:
        values = getattr(values, "dt", values).tz_convert(None)
    array = np.asarray(values)
    if array.dtype.kind != "M":
        raise ValidationError(
            f"Instants are expected, {array.dtype} was given.",
            remedy="give datetime64 in UTC, or zone-aware pandas values.",
        )
    return array.astype("datetime64[us]")


def day_range(first: Dates, last: Dates) -> Dates:
    """Return every calendar day from ``first`` to ``last``, both included."""
    low, high = (int(day.astype(np.int64)) for day in (first, last))
    return np.arange(low, high + 1, dtype=np.int64).astype("datetime64[D]")


def to_utc(dates: ArrayLike, time: dt.time, zone: str) -> Instants:
    """Return the UTC instants at which a zone's clocks show ``time`` on each date.

    A time shown twice (clocks going back) means the second one, a time skipped (clocks going forward) the moment after
    the gap: something said to be public at that time is never taken as known too early.

    Parameters
    ----------
    dates:
        ``datetime64[D]`` of any shape; NaT stays NaT.
    time:
        Wall time, without a zone.
    zone:
        IANA name.

    Returns
    -------
    ``datetime64[us]`` in UTC, of the same shape.
    """
    days = as_dates(dates)
    known = ~np.isnat(days)
    flat = days[known]
    result = np.full(days.shape, np.datetime64("NaT"), dtype="datetime64[us]")
    if flat.size:
        years = flat.astype("datetime64[Y]")
        day_of_year = (flat - years.astype("datetime64[D]")).astype(np.int64)
        offsets = np.empty(flat.shape, dtype=np.int64)
        numbers = years.astype(np.int64) + 1970
        for year in np.unique(numbers):
            here = numbers == year
            offsets[here] = _year_offsets(zone, time, int(year))[day_of_year[here]]
        clock_us = ((time.hour * 60 + time.minute) * 60 + time.second) * _SECOND_US + time.microsecond
        wall = flat.astype("datetime64[us]") + np.timedelta64(clock_us, "us")
        result[known] = wall - offsets.astype("timedelta64[us]")
    return result


def local_dates(instants: ArrayLike, zone: str) -> Dates:
    """Return the date a zone's calendar shows at each UTC instant; NaT stays NaT."""
    stamps = as_instants(instants)
    known = ~np.isnat(stamps)
    flat = stamps[known]
    result = np.full(stamps.shape, np.datetime64("NaT"), dtype="datetime64[D]")
    if flat.size:
        years = flat.astype("datetime64[Y]").astype(np.int64) + 1970
        local = np.empty(flat.shape, dtype="datetime64[us]")
        for year in np.unique(years):
            here = years == year
            starts, offsets = _year_transitions(zone, int(year))
            place = np.searchsorted(starts, flat[here], side="right") - 1
            local[here] = flat[here] + offsets[place]
        result[known] = local.astype("datetime64[D]")
    return result


@functools.lru_cache(maxsize=1024)
def _year_offsets(zone: str, time: dt.time, year: int) -> NDArray[np.int64]:
    """Offset from UTC in microseconds at ``time`` of every day of a year (the later instant where there are two)."""
    info = zone_info(zone)
    first = dt.datetime.combine(dt.date(year, 1, 1), time, tzinfo=info)
    days = (dt.date(year, 12, 31) - dt.date(year, 1, 1)).days + 1
    offsets = np.empty(days, dtype=np.int64)
    for index in range(days):
        wall = first + dt.timedelta(days=index)
        offsets[index] = min(_offset_us(wall.replace(fold=0)), _offset_us(wall.replace(fold=1)))
    return offsets


@functools.lru_cache(maxsize=1024)
def _year_transitions(zone: str, year: int) -> tuple[Instants, NDArray[np.timedelta64]]:
    """UTC instants from which each offset of a year holds, and the offsets."""
    info = zone_info(zone)
    low = dt.datetime(year, 1, 1, tzinfo=_UTC)
    end = dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=_UTC)
    starts = [low]
    offsets = [_offset_us(low.astimezone(info))]
    while low < end:
        high = min(low + dt.timedelta(days=1), end)
        after = _offset_us(high.astimezone(info))
        if after != offsets[-1]:
            before, inside = low, high
            while inside - before > dt.timedelta(seconds=1):
                middle = before + (inside - before) // 2
                middle = middle.replace(microsecond=0)
                if _offset_us(middle.astimezone(info)) == offsets[-1]:
                    before = middle
                else:
                    inside = middle
            starts.append(inside)
            offsets.append(after)
        low = high
    stamps = np.array([moment.replace(tzinfo=None) for moment in starts], dtype="datetime64[us]")
    return stamps, np.array(offsets, dtype="timedelta64[us]")


def _offset_us(moment: dt.datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else offset // dt.timedelta(microseconds=1)
