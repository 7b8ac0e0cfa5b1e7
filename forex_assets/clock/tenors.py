"""Tenors: calendar days from as_of, rolled *following* to a day the target is published."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from forex_assets.arrays import Dates
from forex_assets.clock.calendars import BusinessCalendar, ScalarDate
from forex_assets.clock.zones import as_dates
from forex_assets.errors import ValidationError


@overload
def target_dates(as_of: ScalarDate, horizon_days: int, calendar: BusinessCalendar) -> np.datetime64: ...
@overload
def target_dates(as_of: Any, horizon_days: int, calendar: BusinessCalendar) -> Dates: ...
def target_dates(as_of: Any, horizon_days: int, calendar: BusinessCalendar) -> Any:
    """Return the date each forecast is about: ``as_of + horizon_days``, or the next session where that is closed.

    Never earlier than ``as_of + horizon_days``: a forecast is not scored with a value dated before its target.

    Parameters
    ----------
    as_of:
        Dates the forecasts stand at.
    horizon_days:
        Calendar days, at least 1.
    calendar:
        The pair's calendar.

    Raises
    ------
    ValidationError
        When ``horizon_days`` is not a whole number of at least 1.
    DataError
        When a target lies beyond the calendar.
    """
    if isinstance(horizon_days, bool) or not isinstance(horizon_days, int | np.integer) or horizon_days < 1:
        raise ValidationError(
            f"horizon_days must be a whole number of at least 1, got {horizon_days!r}.", remedy="give calendar days."
        )
    return calendar.roll_forward(as_dates(as_of) + np.timedelta64(int(horizon_days), "D"))
