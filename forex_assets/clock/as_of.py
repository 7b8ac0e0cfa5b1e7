"""The instant a result is made at. A plain date means the end of that day in Santiago."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from forex_assets.arrays import Dates, Instants
from forex_assets.clock.zones import END_OF_DAY, SANTIAGO, local_dates, to_utc, zone_info
from forex_assets.errors import ValidationError


@dataclass(frozen=True, slots=True, order=True)
class AsOf:
    """The moment a result stands at; only what was available at or before it may be used.

    Parameters
    ----------
    instant:
        Zone-aware; kept in UTC.
    """

    instant: dt.datetime

    def __post_init__(self) -> None:
        if self.instant.tzinfo is None or self.instant.utcoffset() is None:
            raise ValidationError(
                f"as_of {self.instant.isoformat()} has no time zone.",
                remedy="add one (2025-06-13T18:30:00-04:00), or give a plain date for the end of that day in Santiago.",
            )
        object.__setattr__(self, "instant", self.instant.astimezone(dt.UTC))

    @classmethod
    def parse(cls, value: AsOf | str | dt.date | np.datetime64) -> AsOf:
        """Return the as_of a date, a zone-aware datetime or the ISO text of either stands for.

        Raises
        ------
        ValidationError
            When the value is neither, or is a datetime without a zone.
        """
        if isinstance(value, AsOf):
            return value
        if isinstance(value, str):
            return cls._parse_text(value.strip())
        if isinstance(value, dt.datetime):
            return cls(value)
        if isinstance(value, dt.date):
            return cls.end_of(value)
        if isinstance(value, np.datetime64) and not np.isnat(value) and np.datetime_data(value.dtype)[0] == "D":
            return cls.end_of(dt.date.fromisoformat(str(value)))
        raise ValidationError(
            f"as_of {value!r} is neither a date nor a zone-aware datetime.",
            remedy="give 2025-06-13, or 2025-06-13T18:30:00-04:00.",
        )

    @classmethod
    def _parse_text(cls, text: str) -> AsOf:
        try:
            if len(text) == 10:
                return cls.end_of(dt.date.fromisoformat(text))
            return cls(dt.datetime.fromisoformat(text))
        except ValueError as error:
            raise ValidationError(
                f"as_of {text!r} is neither a date nor an ISO datetime ({error}).",
                remedy="write 2025-06-13, or 2025-06-13T18:30:00-04:00.",
            ) from error

    @classmethod
    def end_of(cls, day: dt.date) -> AsOf:
        """Return the last microsecond of a day in Santiago."""
        stamp = as_of_instants(np.array([day], dtype="datetime64[D]"))[0].item()
        return cls(stamp.replace(tzinfo=dt.UTC))

    @property
    def date(self) -> dt.date:
        """The date in Santiago at this instant."""
        return self.instant.astimezone(zone_info(SANTIAGO)).date()

    @property
    def instant_us(self) -> np.datetime64:
        """The instant as ``datetime64[us]`` in UTC, as the library's arrays hold it."""
        return np.datetime64(self.instant.replace(tzinfo=None), "us")

    @property
    def is_end_of_day(self) -> bool:
        """Whether this is what a plain date stands for."""
        return self == AsOf.end_of(self.date)

    def __str__(self) -> str:
        return self.date.isoformat() if self.is_end_of_day else self.instant.isoformat()


def as_of_instants(dates: ArrayLike) -> Instants:
    """Return the last microsecond of each date in Santiago, as ``datetime64[us]`` in UTC.

    On the night clocks go back 23:59 comes twice; the day ends with the second.
    """
    return to_utc(dates, END_OF_DAY, SANTIAGO)


def santiago_dates(instants: ArrayLike) -> Dates:
    """Return the date in Santiago at each UTC instant."""
    return local_dates(instants, SANTIAGO)
