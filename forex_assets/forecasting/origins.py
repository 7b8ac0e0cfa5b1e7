"""Forecast days as origins: what was known at the end of each, and which days cannot be forecast from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.clock import as_of_instants, target_dates
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.price_history import OriginGroup, PriceHistory

MIN_VALUES = 61
"""Values a history needs before the yardstick (60 daily returns) exists."""
FLAT_WINDOW = 60
"""An origin whose last 60 returns are all zero has no volatility to forecast from."""
MAX_GAP_FACTOR = 2
"""The last observations may stretch over this many times as many sessions; sparser ones are no daily history."""


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
    groups = history.groups(as_of_instants(days)) if len(days) else []
    state = _known_at(history, days, horizon_days, groups)
    usable = np.ones(len(days), dtype=bool)
    dropped: dict[str, int] = {}
    for problem in _problems(state, max_age=max_age, min_values=min_values):
        bad = problem.hit & usable
        if bad.any():
            if unusable == "raise":
                i = int(np.argmax(bad))
                raise DataError(
                    f"{history.pair} at {days[i]}, {horizon_days}d: {problem.say(i)}.", remedy=problem.remedy
                )
            dropped[problem.reason] = int(bad.sum())
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
        target_date=state.target[usable],
        last_event_date=state.last_event[usable],
        last_value=state.last_value[usable],
        steps=state.steps[usable],
        groups=kept,
        dropped=MappingProxyType(dropped),
    )


@dataclass(frozen=True)
class _State:
    """What is known at each asked day, every field of shape (m,)."""

    target: Dates
    last_event: Dates
    last_value: Floats
    steps: Ints
    count: Ints
    """Known values."""
    gross: Ints
    """Known moves beyond a factor of 3."""
    moves: Ints
    """Non-zero returns among the last ``FLAT_WINDOW``."""
    age: Ints
    """Business days from the last value to the day."""
    stretch: Ints
    """Business days the last ``FLAT_WINDOW`` returns span."""


def _known_at(history: PriceHistory, days: Dates, horizon_days: int, groups: Sequence[OriginGroup]) -> _State:
    m = len(days)
    window_start = np.full(m, np.datetime64("NaT", "D"))
    last_event = np.full(m, np.datetime64("NaT", "D"))
    last_value = np.full(m, np.nan)
    count, gross, moves = (np.zeros(m, dtype=np.int64) for _ in range(3))
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
    return _State(target, last_event, last_value, steps, count, gross, moves, age, stretch)


@dataclass(frozen=True)
class _Problem:
    """A rule that days break: which, what to say of one, and what to do about it."""

    reason: str
    hit: npt.NDArray[np.bool_]
    say: Callable[[int], str]
    remedy: str


def _problems(state: _State, *, max_age: int, min_values: int) -> list[_Problem]:
    """Return the rules in the order in which a day is refused by them."""
    return [
        _Problem(
            "too_short",
            state.count < min_values,
            lambda i: f"{state.count[i]} values are known, {min_values} are needed",
            "choose a later day, or a source with a longer history.",
        ),
        _Problem(
            "stale",
            state.age > max_age,
            lambda i: (
                f"the last value is dated {state.last_event[i]}, {state.age[i]} business days before; "
                f"at most {max_age} allowed"
            ),
            "fetch newer data, or choose a day closer to the last value.",
        ),
        _Problem(
            "gappy",
            state.stretch > MAX_GAP_FACTOR * np.minimum(state.count, FLAT_WINDOW),
            lambda i: (
                f"the last {min(int(state.count[i]), FLAT_WINDOW)} values stretch over {state.stretch[i]} business "
                f"days; at most {MAX_GAP_FACTOR} a value are allowed, since volatility is taken from daily moves"
            ),
            "fill the gap from another source, or choose a day after 60 regular values.",
        ),
        _Problem(
            "gross_jump",
            state.gross > 0,
            lambda i: (
                f"{state.gross[i]} known move(s) change the value by more than a factor of 3: a wrong unit or value"
            ),
            "let the quality rules withdraw the wrong values, or correct the source's unit.",
        ),
        _Problem(
            "constant",
            state.moves == 0,
            lambda i: (
                f"the value has been {state.last_value[i]} for {FLAT_WINDOW} observations, so there is no volatility"
            ),
            "check the source for a frozen feed; a pegged rate cannot be forecast by these models.",
        ),
        _Problem(
            "no_step",
            state.steps < 1,
            lambda i: (
                f"the target date {state.target[i]} is not after the last known value, dated {state.last_event[i]}"
            ),
            "ask for a longer horizon; the value for that date is already known.",
        ),
    ]


def _checked_horizon(horizon_days: int) -> int:
    if isinstance(horizon_days, bool) or not isinstance(horizon_days, (int, np.integer)) or horizon_days < 1:
        raise ValidationError(
            f"Horizon {horizon_days!r} is not a positive whole number of calendar days.",
            remedy="use 7, 15, 30 or 90, or another horizon of platform.yaml.",
        )
    return int(horizon_days)
