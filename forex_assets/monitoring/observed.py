"""One series with every version of its values, and what of it was known at any instant.

Monitors judge a day from what was known at its end. Judging many days at once goes the same way: where the values known
at a day are a prefix of those known at the newest one (no value was revised, withdrawn or late since), whatever is
computed forward through time can be read off at that prefix; any other day is computed by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.errors import DataError
from forex_assets.provenance import HASH_LENGTH

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.clock import BusinessCalendar


@dataclass(frozen=True, eq=False)
class Known:
    """What was known of a series at one instant: one value per date, dates growing."""

    name: str
    unit: str
    dates: Dates
    values: Floats

    def __len__(self) -> int:
        """Count the values."""
        return len(self.values)

    @property
    def hash(self) -> str:
        """Hash of the values and their dates."""
        return self.prefix_hash(len(self))

    def prefix_hash(self, length: int) -> str:
        """Return the hash of the first ``length`` values: that of what was known when only those were."""
        digest = hashlib.sha256(self.name.encode())
        digest.update(self.dates[:length].astype("datetime64[D]").astype(np.int64).tobytes())
        digest.update(np.ascontiguousarray(self.values[:length], dtype=np.float64).tobytes())
        return digest.hexdigest()[:HASH_LENGTH]

    def head(self, length: int) -> Known:
        """Return the first ``length`` values."""
        return Known(self.name, self.unit, self.dates[:length], self.values[:length])


@dataclass(frozen=True, eq=False)
class Observed:
    """Every version of a series' values.

    Parameters
    ----------
    name, unit:
        Series id and its unit.
    dates:
        Session each version describes, shape (n,).
    values:
        The values, shape (n,).
    available, withdrawn:
        When each version could be known, and from when it is known to be bad (NaT: never), UTC microseconds.
    """

    name: str
    unit: str
    dates: Dates
    values: Floats
    available: Dates
    withdrawn: Dates

    def at(self, instant: np.datetime64) -> Known:
        """Return what was known at an instant: of each date the version that became known last."""
        rows = self._rows_at(instant)
        return Known(self.name, self.unit, self.dates[rows], self.values[rows])

    def prefixes(self, instants: Dates) -> Ints:
        """Return how many of the values known at the last instant were known at each one.

        -1 where what was known then is no prefix of it: a value was revised, withdrawn or came late in between.
        ``instants`` must grow.
        """
        if not len(instants):
            return np.empty(0, dtype=np.int64)
        rows = self._rows_at(instants[-1])
        available = self.available[rows]
        lengths = np.searchsorted(np.sort(available), instants, side="right").astype(np.int64)
        broken = np.zeros(len(instants) + 1, dtype=np.int64)

        def mark(start: Dates, end: Dates) -> None:
            low = np.searchsorted(instants, start, side="left")
            high = np.searchsorted(instants, end, side="left")
            np.add.at(broken, low, 1)
            np.add.at(broken, np.maximum(high, low), -1)

        kept = np.zeros(len(self.values), dtype=bool)
        kept[rows] = True
        gone = np.flatnonzero(~kept & (self.available <= instants[-1]))
        if len(gone):
            # Until the last instant at the latest; a version superseded or withdrawn sooner is a prefix again by then,
            # and the few days between are judged by themselves.
            mark(self.available[gone], self._end_of(gone, rows, instants[-1]))
        if len(available):
            later = np.minimum.accumulate(available[::-1])[::-1]
            late = np.flatnonzero(available[:-1] > later[1:])
            if len(late):
                mark(later[1:][late], available[late])
        lengths[np.cumsum(broken[:-1]) > 0] = -1
        return lengths

    def groups(self, instants: Dates) -> Iterator[tuple[Ints, Known, Ints]]:
        """Yield groups of instants with what is known of the series and how many of its values each instant knows.

        All instants whose knowledge is a prefix of the last one's are one group; every other is alone. ``instants``
        must grow.
        """
        lengths = self.prefixes(instants)
        whole = np.flatnonzero(lengths >= 0).astype(np.int64)
        if len(whole):
            yield whole, self.at(instants[-1]), lengths[whole]
        for i in np.flatnonzero(lengths < 0):
            own = self.at(instants[i])
            yield np.array([i], dtype=np.int64), own, np.array([len(own)], dtype=np.int64)

    def _rows_at(self, instant: np.datetime64) -> Ints:
        good = np.flatnonzero((self.available <= instant) & ~(self.withdrawn <= instant))
        order = np.lexsort((good, self.available[good], self.dates[good]))
        good = good[order]
        dates = self.dates[good]
        rows: Ints = good[np.append(dates[1:] != dates[:-1], True)[: len(good)]].astype(np.int64)
        return rows

    def _end_of(self, gone: Ints, kept: Ints, last: np.datetime64) -> Dates:
        """Return from when each version that is not kept no longer showed."""
        ends = np.where(np.isnat(self.withdrawn[gone]), np.datetime64("9999-12-31", "us"), self.withdrawn[gone])
        place = np.searchsorted(self.dates[kept], self.dates[gone])
        same = (
            (place < len(kept)) & (self.dates[kept[np.minimum(place, len(kept) - 1)]] == self.dates[gone])
            if len(kept)
            else np.zeros(len(gone), dtype=bool)
        )
        if same.any():
            other, one = kept[place[same]], gone[same]
            later, until = self.available[other], ends[same]
            # The kept version took over only if it came later; one withdrawn while on top gives way to it by itself.
            over = (later > self.available[one]) | ((later == self.available[one]) & (other > one))
            ends[same] = np.where(over, np.minimum(until, later), until)
        return np.asarray(np.minimum(ends, last + np.timedelta64(1, "us")))


def observed(
    observations: pd.DataFrame, series: str, unit: str, *, sessions: BusinessCalendar | None = None
) -> Observed:
    """Return one series out of table ``observations``.

    Parameters
    ----------
    observations:
        Table ``observations``; rows of other series are ignored.
    series, unit:
        Series id, and the unit its rows must carry.
    sessions:
        For a value published the business day before the date it carries (a fixing that averages that day): the
        calendar whose previous session it describes.

    Raises
    ------
    DataError
        When a row carries another unit, or a value that is no finite number.
    """
    chosen = observations.loc[observations["series"] == series]
    if len(chosen):
        units = set(chosen["unit"]) if "unit" in chosen.columns else {unit}
        if units != {unit}:
            raise DataError(
                f"{series} is configured in {unit!r}, its observations are in {', '.join(sorted(map(repr, units)))}.",
                remedy="correct the series' unit in series.yaml, or the source.",
            )
    values = chosen["value"].to_numpy(dtype=np.float64)
    finite = np.isfinite(values)
    dates = chosen["event_time"].dt.tz_convert(None).to_numpy().astype("datetime64[D]")
    if sessions is not None and len(dates):
        dates = sessions.add(sessions.roll_forward(dates), -1)
    return Observed(
        name=series,
        unit=unit,
        dates=dates[finite],
        values=values[finite],
        available=_microseconds(chosen["available_at"])[finite],
        withdrawn=_microseconds(chosen["withdrawn_at"])[finite],
    )


def _microseconds(instants: pd.Series[pd.Timestamp]) -> Dates:
    return np.asarray(instants.dt.tz_convert(None), dtype="datetime64[us]")
