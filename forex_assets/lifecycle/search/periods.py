"""Which past belongs to the search, which to the selection of a finalist, and which to the gate alone (K06)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import as_day
from forex_assets.errors import DataError

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Periods:
    """Three stretches of origins, nested in time with an embargo of a whole tenor between them.

    An outcome that enters the search is known before the first origin of the selection, and one that enters the
    selection before the first origin of the gate.

    Attributes
    ----------
    search_start, selection_start, gate_start, end:
        First origin of each, and the last day of all.
    """

    search_start: np.datetime64
    selection_start: np.datetime64
    gate_start: np.datetime64
    end: np.datetime64

    def search(self, origins: npt.NDArray[np.datetime64], matured: npt.NDArray[np.datetime64]) -> Rows:
        """Return the rows the search may look at."""
        return np.asarray((origins >= self.search_start) & (matured < self.selection_start))

    def selection(self, origins: npt.NDArray[np.datetime64], matured: npt.NDArray[np.datetime64]) -> Rows:
        """Return the rows finalists are compared on."""
        return np.asarray((origins >= self.selection_start) & (matured < self.gate_start))

    def gate(self, origins: npt.NDArray[np.datetime64], matured: npt.NDArray[np.datetime64]) -> Rows:
        """Return the rows only the gate sees."""
        return np.asarray((origins >= self.gate_start) & (matured <= self.end))


def lay_periods(
    as_of: np.datetime64,
    *,
    first_day: np.datetime64,
    horizon_days: int,
    gate_days: int,
    selection_days: int,
    history_years: int,
) -> Periods:
    """Return the periods that end at ``as_of``.

    Raises
    ------
    DataError
        When the history is too short to hold a search before selection and gate.
    """
    end = as_day(as_of)
    gate_start = end - np.timedelta64(gate_days, "D")
    selection_start = gate_start - np.timedelta64(selection_days + horizon_days, "D")
    search_start = max(selection_start - np.timedelta64(round(history_years * 365.25), "D"), first_day)
    if search_start + np.timedelta64(2 * horizon_days, "D") >= selection_start:
        raise DataError(
            f"History from {first_day} to {end} holds no search before {selection_days} days of selection and "
            f"{gate_days} days of gate.",
            remedy="shorten optimization.gate.period_days or search.selection_days, or use a longer history.",
        )
    return Periods(search_start, selection_start, gate_start, end)
