"""Names for the arrays that the library passes around, and the one way a day is written in them."""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Dates = npt.NDArray[np.datetime64]
Instants = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Day: TypeAlias = str | dt.date | np.datetime64


def as_day(day: Day) -> np.datetime64:
    """Return a day as ``datetime64[D]``."""
    days: Any = np.asarray(day, dtype="datetime64[D]")
    value: np.datetime64 = days[()]
    return value
