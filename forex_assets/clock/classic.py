"""The rules this platform replaces, kept by name so that their effect can be measured. Nothing uses them by default.

``third_tuesdays``
    A policy meeting on the third Tuesday of every month (the Bank holds eight a year, on published dates).
``daily_ffill``
    A grid of calendar days, weekends and holidays filled with the last value (zero returns, too small a volatility).
``nearest_within``
    The value dated nearest to the target, up to three days away, as its outcome (even one dated before it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forex_assets.arrays import Dates
from forex_assets.clock.calendars import ScalarDate
from forex_assets.clock.zones import as_dates, day_range
from forex_assets.errors import ValidationError

_TUESDAY_OFFSET = 2  # 1970-01-01 was a Thursday: day number 5 is a Tuesday, and (5 + 2) % 7 == 0


def third_tuesdays(start: ScalarDate, end: ScalarDate) -> Dates:
    """Return the third Tuesday of every month from ``start`` to ``end``, both included."""
    low, high = as_dates(start), as_dates(end)
    days: Dates = day_range(low, high)
    is_tuesday = (days.astype(np.int64) + _TUESDAY_OFFSET) % 7 == 0
    day_of_month = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    third: NDArray[np.bool_] = is_tuesday & (day_of_month >= 15) & (day_of_month <= 21)
    return days[third]


def daily_ffill(dates: ArrayLike, values: ArrayLike) -> tuple[Dates, NDArray[np.float64]]:
    """Return every calendar day from the first date to the last, each with the last value at or before it.

    Raises
    ------
    ValidationError
        When dates are not strictly growing, or not as many as values.
    """
    days, numbers = _aligned(dates, values)
    if not days.size:
        return days, numbers
    grid = day_range(days[:1].reshape(()), days[-1:].reshape(()))
    return grid, numbers[np.searchsorted(days, grid, side="right") - 1]


def nearest_within(targets: ArrayLike, dates: ArrayLike, days: int = 3) -> NDArray[np.int64]:
    """Return, for each target, the place in ``dates`` of the nearest one at most ``days`` away, else -1.

    Of two equally near the earlier is taken, as the rule always did.
    """
    if isinstance(days, bool) or days < 0:
        raise ValidationError(f"days must be 0 or more, got {days!r}.", remedy="give calendar days.")
    wanted = as_dates(targets)
    have, _ = _aligned(dates, np.zeros(np.asarray(dates).shape))
    if not have.size:
        return np.full(wanted.shape, -1, dtype=np.int64)
    after = np.searchsorted(have, wanted, side="left")
    left, right = np.clip(after - 1, 0, have.size - 1), np.clip(after, 0, have.size - 1)
    to_left, to_right = np.abs(wanted - have[left]), np.abs(have[right] - wanted)
    place = np.where(to_left <= to_right, left, right)
    distance = np.minimum(to_left, to_right)
    return np.where(distance <= np.timedelta64(days, "D"), place, -1).astype(np.int64)


OPTIONS: Mapping[str, Callable[..., Any]] = {
    "third_tuesdays": third_tuesdays,
    "daily_ffill": daily_ffill,
    "nearest_within": nearest_within,
}
"""The classic rules by the name a configuration would give them."""


def _aligned(dates: ArrayLike, values: ArrayLike) -> tuple[Dates, NDArray[np.float64]]:
    days, numbers = as_dates(dates), np.asarray(values, dtype=np.float64)
    if days.ndim != 1 or days.shape != numbers.shape:
        raise ValidationError(
            f"{days.shape} dates do not go with {numbers.shape} values.", remedy="give one value per date."
        )
    if days.size > 1 and not (days[1:] > days[:-1]).all():
        raise ValidationError("Dates must grow strictly.", remedy="sort them and keep one value per date.")
    return days, numbers
