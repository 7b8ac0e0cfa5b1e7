"""What was known of a price when: every value with the time it became known and the time it was found bad.

:class:`PriceHistory` answers for thousands of instants at once: at each, what is known is a prefix of one
:class:`KnownSeries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Day, Floats, Instants, Ints, as_day
from forex_assets.clock import BusinessCalendar
from forex_assets.errors import DataError
from forex_assets.outcome import settled

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.forecasting.drivers import DriverHistory

GROSS_MOVE_LOG = float(np.log(3.0))
"""A one-observation move beyond a factor of 3 is a wrong unit or a wrong value, not a market move."""


class KnownSeries:
    """Values in date order; at every origin that refers to it, what is known is a prefix of it.

    Parameters
    ----------
    event_date, available_at, value:
        One value per date, shape (n,).
    calendar:
        Calendar that counts sessions between values.
    """

    def __init__(self, event_date: Dates, available_at: Instants, value: Floats, calendar: BusinessCalendar) -> None:
        self.event_date = event_date
        self.available_at = available_at
        self.value = value
        self.calendar = calendar
        self.cache: dict[Any, Any] = {}
        """Statistics that models derive once per series; entries must not look beyond their own index."""

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def log_value(self) -> Floats:
        """Natural logarithm of the values, shape (n,)."""
        return np.log(self.value)

    @cached_property
    def log_return(self) -> Floats:
        """Log return between consecutive values, shape (n - 1,); element i ends at value i + 1."""
        return np.diff(self.log_value)

    @cached_property
    def sessions(self) -> Floats:
        """Calendar sessions each log return spans (1 without gaps), shape (n - 1,)."""
        if len(self.event_date) < 2:
            return np.zeros(0)
        spans = self.calendar.count(self.event_date[:-1], self.event_date[1:])
        return np.maximum(np.asarray(spans, dtype=np.float64), 1.0)

    @cached_property
    def gross_moves(self) -> Ints:
        """Number of moves beyond a factor of 3 among the first e values, shape (n + 1,)."""
        return _counts_by_end(np.abs(self.log_return) > GROSS_MOVE_LOG, len(self))

    @cached_property
    def moved(self) -> Ints:
        """Number of non-zero returns among the first e values, shape (n + 1,)."""
        return _counts_by_end(self.log_return != 0.0, len(self))


def _counts_by_end(flags: npt.NDArray[np.bool_], n: int) -> Ints:
    out = np.zeros(n + 1, dtype=np.int64)
    if n > 1:
        out[2:] = np.cumsum(flags)
    return out


@dataclass(frozen=True)
class OriginGroup:
    """Origins that share one series: ``ends[i]`` values of it are known at origin ``positions[i]``."""

    series: KnownSeries
    positions: Ints
    ends: Ints


class PriceHistory:
    """Every value of a pair with when it was known and when it was withdrawn.

    At an instant ``t`` a row is known when ``available_at <= t`` and it is not withdrawn by then; of several known rows
    with one date the newest counts. Time is cut into epochs inside which what is known only grows at its end (the usual
    case is one epoch), so that thousands of origins share one array.

    Parameters
    ----------
    pair:
        Pair id.
    calendar:
        The pair's business calendar.
    event_date:
        Date each value belongs to, ``datetime64[D]``, shape (n,), any order.
    available_at:
        When each value could first be known, ``datetime64[us]`` UTC, shape (n,).
    value:
        Values in quote per base, shape (n,), positive and finite.
    withdrawn_at:
        From when each value is known to be bad, NaT while good, shape (n,).
    drivers:
        Other series a model may look at (``capabilities.covariates``), by series id.

    Raises
    ------
    DataError
        When a value is missing, zero, negative or infinite, or lacks its date or availability.
    """

    _positive = True

    def __init__(
        self,
        pair: str,
        calendar: BusinessCalendar,
        event_date: Dates,
        available_at: Instants,
        value: Floats,
        withdrawn_at: Instants | None = None,
        drivers: Mapping[str, DriverHistory] | None = None,
    ) -> None:
        self.drivers: Mapping[str, DriverHistory] = MappingProxyType(dict(drivers or {}))
        event_date = np.asarray(event_date, dtype="datetime64[D]")
        available_at = np.asarray(available_at, dtype="datetime64[us]")
        value = np.asarray(value, dtype=np.float64)
        if withdrawn_at is None:
            withdrawn_at = np.full(len(value), np.datetime64("NaT", "us"))
        withdrawn_at = np.asarray(withdrawn_at, dtype="datetime64[us]")
        if not len(event_date) == len(available_at) == len(value) == len(withdrawn_at):
            raise DataError(
                f"Price history of {pair}: {len(event_date)} dates, {len(available_at)} availabilities, {len(value)} "
                f"values and {len(withdrawn_at)} withdrawals; they must be equally many.",
                remedy="pass one entry of each per row.",
            )
        if np.isnat(event_date).any() or np.isnat(available_at).any():
            raise DataError(
                f"Price history of {pair}: a row lacks its date or the time it became known.",
                remedy="complete or quarantine the row; every value needs event_date and available_at.",
            )
        seen = np.isnat(withdrawn_at) | (withdrawn_at > available_at)
        order = np.flatnonzero(seen)
        order = order[np.lexsort((available_at[order], event_date[order]))]
        self.pair = pair
        self.calendar = calendar
        self.event_date: Dates = event_date[order]
        self.available_at: Instants = available_at[order]
        self.value: Floats = value[order]
        self.withdrawn_at: Instants = withdrawn_at[order]
        bad = ~(np.isfinite(self.value) & (self.value > 0 if self._positive else True))
        if bad.any():
            first = int(np.argmax(bad))
            rule = "an exchange rate must be a positive finite number" if self._positive else "it must be finite"
            raise DataError(
                f"Price history of {pair}: value {self.value[first]} on {self.event_date[first]} "
                f"({int(bad.sum())} such rows); {rule}.",
                remedy="let the quality rules withdraw the row (withdrawn_at = available_at), or correct the source.",
            )
        self._breaks = self._epoch_breaks()
        self._epochs: dict[int, KnownSeries] = {}

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def from_bars(
        cls,
        frame: pd.DataFrame,
        calendar: BusinessCalendar,
        drivers: Mapping[str, DriverHistory] | None = None,
    ) -> PriceHistory:
        """Build the history from one snapshot of the ``bars`` table (with or without provenance columns).

        Raises
        ------
        DataError
            When the frame is empty, mixes pairs or snapshots, or holds unusable values.
        """
        if frame.empty:
            raise DataError("The bars hold no rows.", remedy="materialise bars for a day with data first.")
        for name in ("pair", "as_of"):
            if name in frame.columns and frame[name].nunique(dropna=False) > 1:
                raise DataError(
                    f"The bars mix several values of '{name}': {sorted(map(str, frame[name].unique()))[:4]}; "
                    "a history is one snapshot of one pair.",
                    remedy=f"select one {name} (the newest snapshot holds the whole history).",
                )
        withdrawn = frame["withdrawn_at"] if "withdrawn_at" in frame.columns else None
        return cls(
            pair=str(frame["pair"].iloc[0]) if "pair" in frame.columns else "unnamed",
            calendar=calendar,
            event_date=frame["event_date"].to_numpy().astype("datetime64[D]"),
            available_at=_instants(frame["available_at"]),
            value=frame["value"].to_numpy(dtype=np.float64),
            withdrawn_at=None if withdrawn is None else _instants(withdrawn),
            drivers=drivers,
        )

    def with_drivers(self, drivers: Mapping[str, DriverHistory]) -> PriceHistory:
        """Return the same prices with other drivers beside them."""
        return PriceHistory(
            self.pair, self.calendar, self.event_date, self.available_at, self.value, self.withdrawn_at, drivers
        )

    @property
    def revised_at(self) -> Instants:
        """Return the instants at which what is known changed other than by growing at its end."""
        return self._breaks

    def _epoch_breaks(self) -> Instants:
        """Return the instants at which what is known changes other than by growing at its end."""
        breaks = [self.withdrawn_at[~np.isnat(self.withdrawn_at)]]
        n = len(self.value)
        if n > 1:
            # A row breaks the growth when a row of its own or a later date was there first.
            later = self.available_at.astype(np.int64)
            suffix = np.minimum.accumulate(later[::-1])[::-1]
            late = np.zeros(n, dtype=bool)
            late[:-1] = later[:-1] > suffix[1:]
            repeat = np.zeros(n, dtype=bool)
            repeat[1:] = self.event_date[1:] == self.event_date[:-1]
            breaks.append(self.available_at[late | repeat])
        return np.unique(np.concatenate(breaks))

    def _epoch(self, index: int) -> KnownSeries:
        series = self._epochs.get(index)
        if series is None:
            live = np.ones(len(self.value), dtype=bool)
            if index < len(self._breaks):
                live &= self.available_at < self._breaks[index]
            if index > 0:
                start = self._breaks[index - 1]
                live &= np.isnat(self.withdrawn_at) | (self.withdrawn_at > start)
            rows = np.flatnonzero(live)
            if len(rows):
                dates = self.event_date[rows]
                rows = rows[np.append(dates[1:] != dates[:-1], True)]
            series = KnownSeries(self.event_date[rows], self.available_at[rows], self.value[rows], self.calendar)
            self._epochs[index] = series
        return series

    def groups(self, instants: Instants) -> list[OriginGroup]:
        """Return, for instants of shape (m,), the series known at each: one group per epoch met."""
        instants = np.asarray(instants, dtype="datetime64[us]")
        epochs = np.searchsorted(self._breaks, instants, side="right")
        found = []
        for index in np.unique(epochs):
            series = self._epoch(int(index))
            positions = np.flatnonzero(epochs == index)
            # Equal availabilities of neighbouring dates are known together; the last of them ends the prefix.
            ends = np.searchsorted(np.maximum.accumulate(series.available_at), instants[positions], side="right")
            found.append(OriginGroup(series, positions.astype(np.int64), ends.astype(np.int64)))
        return found

    def known_at(self, instant: np.datetime64) -> tuple[Dates, Floats]:
        """Return dates and values known at one instant."""
        group = self.groups(np.array([instant], dtype="datetime64[us]"))[0]
        end = int(group.ends[0])
        return group.series.event_date[:end], group.series.value[:end]

    @cached_property
    def _outcomes(self) -> tuple[Dates, Floats, Dates]:
        """Date, value and maturity day of every date that ever had a value at the end of a day."""
        return settled(self.event_date, self.available_at, self.withdrawn_at, self.value)

    def outcomes(self, target: Dates, as_of: Day | None = None) -> tuple[Floats, Dates]:
        """Return the outcome of each target date and the day it matured.

        The outcome is the value dated the target date as known at the end of the first day (America/Santiago) at
        whose end such a value was known. There is no matching of nearest dates.

        Parameters
        ----------
        target:
            Target dates, shape (m,).
        as_of:
            Outcomes that matured after this day stay empty; None keeps all.

        Returns
        -------
        tuple
            Values (NaN until known) and maturity days (NaT until known), each of shape (m,).
        """
        dates, values, days = self._outcomes
        actual = np.full(len(target), np.nan)
        matured = np.full(len(target), np.datetime64("NaT", "D"))
        if not len(dates):
            return actual, matured
        at = np.minimum(np.searchsorted(dates, target), len(dates) - 1)
        hit = dates[at] == target
        if as_of is not None:
            hit &= days[at] <= as_day(as_of)
        actual[hit] = values[at[hit]]
        matured[hit] = days[at[hit]]
        return actual, matured


def _instants(series: pd.Series[Any]) -> Instants:
    if getattr(series.dtype, "tz", None) is None:
        if series.isna().all():
            return np.full(len(series), np.datetime64("NaT", "us"))
        raise DataError(
            f"Column '{series.name}' holds instants without a time zone.",
            remedy="make them UTC-aware (the bars table declares its instants in UTC).",
        )
    instants: Instants = series.dt.tz_convert(None).to_numpy().astype("datetime64[us]")
    return instants
