"""The one contract of all models: a point-in-time price history, origins, and quantile paths.

``PriceHistory`` answers *what was known when*. ``make_origins`` turns forecast days into origins and refuses the
unusable ones. A ``Model`` maps many origins at once to quantiles in price units; one origin gives exactly what it gives
among thousands.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from forex_assets.clock import BusinessCalendar, as_of_instants, target_dates
from forex_assets.errors import DataError, ValidationError
from forex_assets.levels import QUANTILE_LEVELS
from forex_assets.outcome import settled

if TYPE_CHECKING:
    import pandas as pd

Dates = npt.NDArray[np.datetime64]
Instants = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Day: TypeAlias = str | dt.date | np.datetime64

MIN_VALUES = 61
"""Values a history needs before the yardstick (60 daily returns) exists."""
GROSS_MOVE_LOG = float(np.log(3.0))
"""A one-observation move beyond a factor of 3 is a wrong unit or a wrong value, not a market move."""
FLAT_WINDOW = 60
#: The last observations may stretch over this many times as many sessions; sparser ones are no daily history.
MAX_GAP_FACTOR = 2
"""An origin whose last 60 returns are all zero has no volatility to forecast from."""


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


class DriverHistory(PriceHistory):
    """Every value of a driver (a rate, an index, a commodity) with when it was known: any finite number.

    ``pair`` is the series id.
    """

    _positive = False

    def newest_at(self, instants: Instants, max_age_days: int) -> Floats:
        """Return the newest value known at each instant, shape (m,); NaN where none is, or it is older than allowed.

        Parameters
        ----------
        instants:
            ``datetime64[us]`` UTC, shape (m,), in any order.
        max_age_days:
            Largest number of calendar days from the value's date to the instant.
        """
        out = np.full(len(instants), np.nan)
        for group in self.groups(instants) if len(instants) else []:
            some = group.ends > 0
            at, last = group.positions[some], group.ends[some] - 1
            age = (instants[at].astype("datetime64[D]") - group.series.event_date[last]).astype(np.int64)
            out[at] = np.where(age <= max_age_days, group.series.value[last], np.nan)
        return out


def aligned_driver(history: PriceHistory, series: KnownSeries, name: str, max_age_days: int = 10) -> Floats:
    """Return, for each value of a series, the driver as it was known when that value became known, shape (n,).

    So row i looks at nothing an origin that knows value i could not know. NaN where the driver is missing or stale.

    Raises
    ------
    DataError
        When the history carries no such driver.
    """
    if name not in history.drivers:
        raise DataError(
            f"{history.pair} has no driver '{name}'; it has: {', '.join(history.drivers) or 'none'}.",
            remedy="give the driver a source that serves it (docs/data-sources.md), or use a model without it.",
        )
    key = ("driver", name, max_age_days)
    if key not in series.cache:
        known = np.maximum.accumulate(series.available_at)
        series.cache[key] = history.drivers[name].newest_at(known, max_age_days)
    return np.asarray(series.cache[key])


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


@dataclass(frozen=True)
class Origins:
    """Usable forecast days with what was known at the end of each.

    Attributes
    ----------
    horizon_days:
        Tenor in calendar days.
    as_of, target_date, last_event_date:
        Shape (m,), ``datetime64[D]``.
    last_value:
        Shape (m,), quote per base.
    steps:
        Business days in (last_event_date, target_date], shape (m,).
    groups:
        The series known at the origins; every position 0..m-1 is in exactly one group.
    dropped:
        Reason → number of requested days that are no usable origin.
    """

    pair: str
    horizon_days: int
    as_of: Dates
    target_date: Dates
    last_event_date: Dates
    last_value: Floats
    steps: Ints
    groups: tuple[OriginGroup, ...]
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def known_count(self) -> Ints:
        """Return how many values are known at each origin, shape (m,)."""
        count = np.zeros(len(self), dtype=np.int64)
        for group in self.groups:
            count[group.positions] = group.ends
        return count

    def subset(self, positions: Ints) -> Origins:
        """Return the origins at growing positions, as they are."""
        place = np.full(len(self), -1, dtype=np.int64)
        place[positions] = np.arange(len(positions))
        groups = []
        for group in self.groups:
            kept = place[group.positions] >= 0
            if kept.any():
                groups.append(OriginGroup(group.series, place[group.positions[kept]], group.ends[kept]))
        return Origins(
            pair=self.pair,
            horizon_days=self.horizon_days,
            as_of=self.as_of[positions],
            target_date=self.target_date[positions],
            last_event_date=self.last_event_date[positions],
            last_value=self.last_value[positions],
            steps=self.steps[positions],
            groups=tuple(groups),
            dropped=self.dropped,
        )

    def known(self, position: int) -> tuple[Dates, Floats]:
        """Return dates and values known at one origin: for models that treat origins one by one."""
        for group in self.groups:
            hit = np.flatnonzero(group.positions == position)
            if len(hit):
                end = int(group.ends[hit[0]])
                return group.series.event_date[:end], group.series.value[:end]
        raise IndexError(position)


def make_origins(
    history: PriceHistory,
    as_of: Dates,
    horizon_days: int,
    max_age: int = 10,
    *,
    min_values: int = MIN_VALUES,
    unusable: Literal["raise", "drop"] = "raise",
) -> Origins:
    """Turn forecast days into origins.

    Parameters
    ----------
    history:
        What was known when.
    as_of:
        Forecast days, shape (m,); each means the end of that day in America/Santiago.
    horizon_days:
        Tenor in calendar days.
    max_age:
        Largest number of business days from the last value to the forecast day.
    min_values:
        Smallest number of known values.
    unusable:
        ``raise`` refuses the first unusable day, ``drop`` leaves them out and counts them by reason.

    Raises
    ------
    ValidationError
        When the horizon is not a positive whole number.
    DataError
        When a day is unusable and ``unusable`` is ``raise``.
    """
    horizon_days = _checked_horizon(horizon_days)
    days = np.atleast_1d(np.asarray(as_of, dtype="datetime64[D]"))
    m = len(days)
    window_start = np.full(m, np.datetime64("NaT", "D"))
    last_event = np.full(m, np.datetime64("NaT", "D"))
    last_value = np.full(m, np.nan)
    count, gross, moves = (np.zeros(m, dtype=np.int64) for _ in range(3))
    groups = history.groups(as_of_instants(days)) if m else []
    for group in groups:
        at, ends, series = group.positions, group.ends, group.series
        some = ends > 0
        last_event[at[some]] = series.event_date[ends[some] - 1]
        last_value[at[some]] = series.value[ends[some] - 1]
        count[at] = ends
        gross[at] = series.gross_moves[ends]
        moves[at] = series.moved[ends] - series.moved[np.maximum(ends - FLAT_WINDOW, 0)]
        window_start[at[some]] = series.event_date[np.maximum(ends[some] - 1 - FLAT_WINDOW, 0)]
    target = target_dates(days, horizon_days, history.calendar).astype("datetime64[D]") if m else days
    known = count > 0
    age = np.zeros(m, dtype=np.int64)
    steps, stretch = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    if known.any():
        age[known] = history.calendar.count(last_event[known], days[known])
        steps[known] = history.calendar.count(last_event[known], target[known])
        stretch[known] = history.calendar.count(window_start[known], last_event[known])
    problems: list[tuple[str, npt.NDArray[np.bool_], Callable[[int], str], str]] = [
        (
            "too_short",
            count < min_values,
            lambda i: f"{count[i]} values are known, {min_values} are needed",
            "choose a later day, or a source with a longer history.",
        ),
        (
            "stale",
            age > max_age,
            lambda i: (
                f"the last value is dated {last_event[i]}, {age[i]} business days before; at most {max_age} allowed"
            ),
            "fetch newer data, or choose a day closer to the last value.",
        ),
        (
            "gappy",
            stretch > MAX_GAP_FACTOR * np.minimum(count, FLAT_WINDOW),
            lambda i: (
                f"the last {min(int(count[i]), FLAT_WINDOW)} values stretch over {stretch[i]} business days; at most "
                f"{MAX_GAP_FACTOR} a value are allowed, since volatility is taken from daily moves"
            ),
            "fill the gap from another source, or choose a day after 60 regular values.",
        ),
        (
            "gross_jump",
            gross > 0,
            lambda i: f"{gross[i]} known move(s) change the value by more than a factor of 3: a wrong unit or value",
            "let the quality rules withdraw the wrong values, or correct the source's unit.",
        ),
        (
            "constant",
            moves == 0,
            lambda i: f"the value has been {last_value[i]} for {FLAT_WINDOW} observations, so there is no volatility",
            "check the source for a frozen feed; a pegged rate cannot be forecast by these models.",
        ),
        (
            "no_step",
            steps < 1,
            lambda i: f"the target date {target[i]} is not after the last known value, dated {last_event[i]}",
            "ask for a longer horizon; the value for that date is already known.",
        ),
    ]
    usable = np.ones(m, dtype=bool)
    dropped: dict[str, int] = {}
    for reason, bad, say, remedy in problems:
        bad &= usable
        if bad.any():
            if unusable == "raise":
                i = int(np.argmax(bad))
                raise DataError(f"{history.pair} at {days[i]}, {horizon_days}d: {say(i)}.", remedy=remedy)
            dropped[reason] = int(bad.sum())
            usable &= ~bad
    new_position = np.cumsum(usable) - 1
    kept = tuple(
        OriginGroup(group.series, new_position[group.positions[keep]], group.ends[keep])
        for group in groups
        if (keep := usable[group.positions]).any()
    )
    return Origins(
        pair=history.pair,
        horizon_days=horizon_days,
        as_of=days[usable],
        target_date=target[usable],
        last_event_date=last_event[usable],
        last_value=last_value[usable],
        steps=steps[usable],
        groups=kept,
        dropped=MappingProxyType(dropped),
    )


def as_day(day: Day) -> np.datetime64:
    """Return a day as ``datetime64[D]``."""
    days: Any = np.asarray(day, dtype="datetime64[D]")
    value: np.datetime64 = days[()]
    return value


def _checked_horizon(horizon_days: int) -> int:
    if isinstance(horizon_days, bool) or not isinstance(horizon_days, (int, np.integer)) or horizon_days < 1:
        raise ValidationError(
            f"Horizon {horizon_days!r} is not a positive whole number of calendar days.",
            remedy="use 7, 15, 30 or 90, or another horizon of platform.yaml.",
        )
    return int(horizon_days)


@dataclass(frozen=True)
class QuantilePaths:
    """Predictive distributions in price units.

    Attributes
    ----------
    mean:
        Shape (m, k), quote per base.
    quantiles:
        Shape (m, k, 13), strictly increasing along the last axis, positive; levels of :mod:`forex_assets.levels`.
    """

    mean: Floats
    quantiles: Floats


@dataclass(frozen=True)
class Parameter:
    """One parameter a model understands: its default and its rule (named choices, a closed range, or a text)."""

    default: Any
    doc: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    text: bool = False

    def check(self, model: str, name: str, value: Any) -> Any:
        """Return the value, or raise ValidationError naming value, rule and remedy."""
        if self.choices:
            if not any(type(value) is type(choice) and value == choice for choice in self.choices):
                raise ValidationError(
                    f"Parameter '{name}' of model '{model}' is {value!r}; allowed: {list(self.choices)}.",
                    remedy="use one of the allowed values.",
                )
            return value
        if self.text:
            if not isinstance(value, str):
                raise ValidationError(
                    f"Parameter '{name}' of model '{model}' is {value!r}; it must be a text.",
                    remedy=f"write it as a text; the default is {self.default!r}.",
                )
            return value
        kinds = (int, np.integer) if self.whole else (int, float, np.integer, np.floating)
        inside = (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and bool(np.isfinite(value))
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )
        if not inside:
            kind = "a whole number" if self.whole else "a number"
            raise ValidationError(
                f"Parameter '{name}' of model '{model}' is {value!r}; it must be {kind} in [{self.low}, {self.high}].",
                remedy=f"use a value in that range; the default is {self.default!r}.",
            )
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class Capabilities:
    """What a model is and which parameters it has.

    Attributes
    ----------
    family:
        ``parametric``, ``empirical``, ``ensemble``, ``sampling`` or ``quantile``.
    transform:
        What the model is shown: ``log_return`` for every model that works on changes.
    covariates:
        Series ids of drivers it uses besides the price.
    parameters:
        Name → rule. A parameter that is not here does not exist for this model.
    min_history:
        Known values an origin needs.
    bases:
        Models whose quantiles an ensemble combines.
    calibrated:
        True when the learned width factors are applied to its quantiles.
    bulk:
        True when thousands of origins pass at once. False for challengers that refit or run a network at every origin:
        their backtests take fewer origins.
    needs:
        What it cannot run without besides prices: ``checkpoint``.
    centre:
        ``last`` when its point forecast is the last value by construction: an ensemble puts it on the pair's carry
        where there is one. ``own``: it says itself where the centre is.
    max_steps:
        Observations ahead it may be asked for. Two years by default: no model was ever judged beyond one.
    """

    family: Literal["parametric", "empirical", "ensemble", "sampling", "quantile"]
    transform: Literal["log_return", "level"] = "log_return"
    covariates: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: MappingProxyType({}))
    min_history: int = MIN_VALUES
    bases: tuple[str, ...] = ()
    calibrated: bool = False
    bulk: bool = True
    needs: tuple[str, ...] = ()
    centre: Literal["last", "own"] = "own"
    max_steps: int = 520


@dataclass(frozen=True)
class OriginRandom:
    """Random generators of a sampling model: one per origin, so that a batch changes nothing.

    The seed of an origin derives from (pair, as_of, horizon, model) and the platform's seed.
    """

    pair: str
    horizon_days: int
    model: str
    seed: int = 0

    def seed_of(self, as_of: np.datetime64) -> int:
        """Return the 64-bit seed of one origin."""
        text = f"{self.seed}|{self.pair}|{as_day(as_of)}|{self.horizon_days}|{self.model}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def generator(self, as_of: np.datetime64) -> np.random.Generator:
        """Return a fresh generator for one origin."""
        return np.random.default_rng(self.seed_of(as_of))


@runtime_checkable
class Model(Protocol):
    """A forecasting model: many origins at once, quantiles in price units out."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the model is and can."""
        ...

    def predict(
        self,
        history: PriceHistory,
        origins: Origins,
        steps: Ints,
        params: Mapping[str, Any],
        rng: OriginRandom,
    ) -> QuantilePaths:
        """Predict every requested step of every origin.

        Parameters
        ----------
        history:
            The whole history; a model may look only at what ``origins`` says was known.
        origins:
            m origins.
        steps:
            Business days after each origin's last value, shape (m, k), each at least 1, in any order, repeats allowed.
        params:
            Every parameter of ``capabilities.parameters``, checked.
        rng:
            Seeds by origin, for models that sample.
        """
        ...


@runtime_checkable
class EnsembleModel(Model, Protocol):
    """A model that combines the quantiles of ``capabilities.bases``."""

    def combine(self, bases: Sequence[QuantilePaths]) -> QuantilePaths:
        """Return the combination of the bases' predictions for the same origins and steps."""
        ...


def check_paths(model: str, paths: QuantilePaths, shape: tuple[int, int]) -> QuantilePaths:
    """Return the paths, or raise DataError when shape, order, sign or finiteness of the quantiles is wrong."""
    wanted = (*shape, len(QUANTILE_LEVELS))
    if paths.mean.shape != shape or paths.quantiles.shape != wanted:
        raise DataError(
            f"Model '{model}' answered shapes {paths.mean.shape}, {paths.quantiles.shape}; due are {shape}, {wanted}.",
            remedy="return one mean and 13 quantiles for every origin and step asked for.",
        )
    q = paths.quantiles
    fine = np.isfinite(q).all() and np.isfinite(paths.mean).all() and (q[..., 0] > 0).all()
    if not (fine and (paths.mean > 0).all() and (q[..., 1:] > q[..., :-1]).all()):
        raise DataError(
            f"Model '{model}' answered quantiles that are not positive, finite and strictly increasing.",
            remedy="repair the model; map quantiles of the log return to prices by exp and keep them ordered.",
        )
    return paths
