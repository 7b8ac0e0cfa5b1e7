"""Every file of a store, read to its last byte: which are whole slices, which are damaged, which are something else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forex_assets.schemas import TABLES, Table
from forex_assets.store.files import TEMPORARY_SUFFIX
from forex_assets.store.slice_file import Key
from forex_assets.store.slice_names import ASIDE
from forex_assets.store.slices import SliceStore

#: A slice may be stamped this far ahead of the clock before the clock is said to have stepped back.
CLOCK_TOLERANCE = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Damaged:
    """One slice that no reader can use, and why."""

    table: str
    pair: str
    key: Key
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What lies below the root of a store.

    Parameters
    ----------
    whole:
        Number of slices read to the last byte.
    damaged:
        Slices that are empty, cut off, changed, foreign, misplaced or of another schema version.
    strange:
        Files that are no slice of a declared table.
    unfinished:
        Temporary files of writers that were killed (or are at work now).
    aside:
        Files moved aside before.
    ahead:
        Addresses of slices stamped later than the present clock says.
    """

    whole: int
    damaged: tuple[Damaged, ...]
    strange: tuple[str, ...]
    unfinished: tuple[str, ...]
    aside: tuple[str, ...]
    ahead: tuple[str, ...]


def inspect_store(
    store: SliceStore,
    *,
    now: dt.datetime,
    tables: Mapping[str, Table] = TABLES,
    pairs: Sequence[str] | None = None,
) -> Inspection:
    """Read every slice of a store, page checksums included, and account for every other file.

    Raises
    ------
    StoreError
        When the root cannot be listed.
    """
    whole, damaged, ahead, slices = 0, [], [], set()
    for pair in store.pairs() if pairs is None else pairs:
        for table in tables.values():
            for item in (item for batch in store.scan(table, pair) for item in batch.slices):
                name = store.name_of(table, pair, item.key)
                slices.add(name)
                if item.info is None:
                    damaged.append(Damaged(table.name, pair, item.key, name, item.problem or "unreadable"))
                    continue
                whole += 1
                if item.info.written_at > now + CLOCK_TOLERANCE:
                    ahead.append(item.path)
    strange, unfinished, aside = [], [], []
    for name in store.names():
        last = name.rsplit("/", 1)[-1]
        if name.startswith(f"{ASIDE}/"):
            aside.append(name)
        elif last.startswith(".") and last.endswith(TEMPORARY_SUFFIX):
            unfinished.append(name)
        elif name not in slices and (pairs is None or name.split("/")[0] in pairs):
            strange.append(name)
    return Inspection(whole, tuple(damaged), tuple(strange), tuple(unfinished), tuple(aside), tuple(ahead))
