"""The slice store: one Parquet file per partition of a table, replaced atomically, judged by its own verdict.

A slice is found at ``<root>/<pair>/<table>/<partition…>.parquet`` (:mod:`forex_assets.store.slice_names`). Every slice
is checked against its declared table when it is written, and again when it is read.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from forex_assets.errors import DataError, ValidationError
from forex_assets.schemas import Table
from forex_assets.store.files import files_at, store_errors
from forex_assets.store.naming import sanitize_filename
from forex_assets.store.reading import ScannedBatch, load_slice, scan_slices
from forex_assets.store.slice_file import (
    GOOD,
    Key,
    SliceInfo,
    SliceWrite,
    Verdict,
    encode_slice,
    missing,
    parse_footer,
    unreadable,
    unusable,
)
from forex_assets.store.slice_names import ASIDE, SUFFIX, folder_name, is_pair, key_of, slice_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_BATCH = 64
_ROWS_TOGETHER = 20_000


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class SliceStore:
    """Slices below one root.

    Parameters
    ----------
    root:
        A folder, a universal_pathlib path, or a URL (``memory://…``, ``s3://…``).
    clock:
        Gives the time stamped into what is written.
    """

    def __init__(self, root: object, *, clock: Callable[[], dt.datetime] = _utc_now) -> None:
        self._files = files_at(root)
        self._clock = clock

    @property
    def root(self) -> str:
        """The address everything is stored under."""
        return self._files.root

    def write(
        self,
        table: Table,
        pair: str,
        key: Sequence[str],
        frame: pd.DataFrame,
        *,
        verdict: Verdict = GOOD,
        meta: Mapping[str, str] | None = None,
    ) -> SliceInfo:
        """Write one slice, replacing what was there; an empty frame is written too.

        Raises
        ------
        ValidationError
            When pair, key, verdict or metadata break their rule.
        DataError
            When the frame is not of the declared table.
        StoreError
            When the root cannot be written; the slice stored before is untouched.
        """
        return self.write_many(table, pair, {tuple(key): SliceWrite(frame, verdict, meta or {})})[0]

    def write_many(
        self,
        table: Table,
        pair: str,
        slices: Mapping[Key, SliceWrite | tuple[Any, ...]] | Iterable[tuple[Key, SliceWrite | tuple[Any, ...]]],
    ) -> list[SliceInfo]:
        """Write many slices of one table; each is atomic on its own, the set is not.

        Parameters
        ----------
        table, pair:
            Where they belong.
        slices:
            Key → ``SliceWrite`` or ``(frame, verdict, meta)``; as a mapping, or as pairs from a generator so that
            only a batch of frames is in memory at a time.

        Raises
        ------
        ValidationError, DataError, StoreError
            As :meth:`write`. Slices of earlier batches stay written; running the same call again completes the set.
        """
        pairs = iter(slices.items() if isinstance(slices, Mapping) else slices)
        written: list[SliceInfo] = []
        while batch := self._serialise(table, pair, islice(pairs, _BATCH)):
            with store_errors("write", self._files.locate(f"{pair}/{table.name}")):
                self._files.write_all((name, data) for name, data, _ in batch)
            written.extend(info for _, _, info in batch)
        return written

    def read(
        self,
        table: Table,
        pair: str,
        keys: Iterable[Sequence[str]] | None = None,
        *,
        columns: Sequence[str] | None = None,
        only: Mapping[str, Sequence[str]] | None = None,
        allow_bad: bool = False,
    ) -> pd.DataFrame:
        """Return the rows of some slices (``None``: all there are), concatenated in the order of the keys.

        Parameters
        ----------
        table, pair, keys:
            Which slices.
        columns:
            Columns to read; default: all.
        only:
            Column read → values of the rows wanted; others are dropped before they become a frame.
        allow_bad:
            Read slices with a bad verdict too.

        Raises
        ------
        UnusableSliceError
            When a slice has a bad verdict and ``allow_bad`` is false.
        StoreError
            When a slice is missing, unreadable, of another table or of another schema version.
        """
        import pyarrow as pa

        asked = self.keys(table, pair) if keys is None else [tuple(key) for key in keys]
        names = self._column_names(table, columns)
        parts, bad = [], []
        for key in asked:
            info, rows = load_slice(self._files, table, pair, key, names)
            if info.verdict.state == "bad" and not allow_bad:
                bad.append(info)
            else:
                parts.append(_rows_with(rows, only))
        if bad:
            raise unusable(bad, len(asked))
        if not parts:
            return table.empty()[names or list(table.column_names)]
        return _to_pandas(pa.concat_tables(parts))

    def scan(self, table: Table, pair: str, keys: Iterable[Sequence[str]] | None = None) -> Iterator[ScannedBatch]:
        """Yield every slice, batch by batch, with the rows of those that may be used; of the others, why not."""
        asked = self.keys(table, pair) if keys is None else [tuple(key) for key in keys]
        yield from scan_slices(self._files, table, pair, asked)

    def read_whole_ones(
        self, table: Table, pair: str, keys: Iterable[Sequence[str]] | None = None
    ) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Return the rows of the slices that can be read, and of each that cannot, which and why.

        For results made from many slices, of which one that is damaged or of another schema version must not stop the
        others; the caller says what was left out.

        Raises
        ------
        UnusableSliceError
            When a slice has a bad verdict: that is a judgement, no damage.
        """
        import pyarrow as pa

        batches = list(self.scan(table, pair, keys))
        scanned = [item for batch in batches for item in batch.slices]
        if bad := [item.info for item in scanned if item.info is not None and item.problem is not None]:
            raise unusable(bad, len(scanned))
        left_out = tuple(f"{table.name} {'/'.join(item.key)}: {item.problem}" for item in scanned if item.problem)
        whole = any(item.problem is None for item in scanned)
        return (_to_pandas(pa.concat_tables(batch.rows for batch in batches)) if whole else table.empty()), left_out

    def info(self, table: Table, pair: str, key: Sequence[str]) -> SliceInfo:
        """Return what the footer of a slice says.

        Raises
        ------
        StoreError
            When the slice is missing, unreadable, or of another table.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = tuple(key)
        name = slice_name(table, pair, whole)
        path = self._files.locate(name)
        try:
            with self._files.open(name) as handle:
                metadata = pq.read_metadata(handle)
                size = handle.seek(0, io.SEEK_END)
        except FileNotFoundError as error:
            raise missing(table, pair, whole, path) from error
        except (pa.ArrowException, OSError) as error:
            raise unreadable(path, error) from error
        return parse_footer(table, pair, whole, path, metadata.metadata or {}, metadata.num_rows, size)

    def verify(self, table: Table, pair: str, keys: Iterable[Sequence[str]] | None = None) -> pd.DataFrame:
        """Read slices, bad ones too, and hold them against the table's full pandera schema.

        Raises
        ------
        DataError
            When a stored frame breaks the declared schema.
        StoreError
            As :meth:`read`.
        """
        import pandera.errors

        frame = self.read(table, pair, keys, allow_bad=True)
        try:
            table.pandera_schema().validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases
            raise DataError(
                f"Stored rows of table '{table.name}' for {pair} break its schema in {len(cases)} places, first "
                f"{cases.iloc[0].to_dict()}.",
                remedy="materialise those partitions again.",
            ) from error
        return frame

    def exists(self, table: Table, pair: str, key: Sequence[str]) -> bool:
        """Tell whether a slice is stored, whatever its verdict."""
        name = slice_name(table, pair, tuple(key))
        with store_errors("look for", self._files.locate(name)):
            return self._files.exists(name)

    def keys(self, table: Table, pair: str) -> list[Key]:
        """Return the keys of all stored slices of a table, sorted; temporary and foreign names are left out."""
        folder = folder_name(table, pair)
        with store_errors("list", self._files.locate(folder)):
            names = self._files.walk(folder, SUFFIX)
        return sorted(key for name in names if (key := key_of(name, folder)) is not None)

    def state(self, table: Table, pair: str) -> tuple[tuple[Any, ...], ...]:
        """Return name and marks of every stored file of a table, sorted: equal while none was written or removed."""
        folder = folder_name(table, pair)
        with store_errors("list", self._files.locate(folder)):
            return tuple(sorted(self._files.marks(folder, SUFFIX)))

    def pairs(self) -> list[str]:
        """Return the pairs that have a folder in the store, sorted."""
        with store_errors("list", self.root):
            return [name for name in self._files.folders() if is_pair(name)]

    def sweep(self, *, older_than: dt.timedelta, now: dt.datetime) -> list[str]:
        """Delete temporary files that killed writers left more than ``older_than`` before ``now``; return them.

        They are never read, so this only frees space. Choose an age beyond the longest write (an hour is ample).
        """
        if older_than < dt.timedelta(0):
            raise ValidationError(f"The age {older_than} is negative.", remedy="give a duration of zero or more.")
        with store_errors("clean", self.root):
            return self._files.sweep((now - older_than).timestamp())

    def names(self) -> list[str]:
        """Return the names of all files below the root, whatever they are."""
        with store_errors("list", self.root):
            return self._files.everything()

    def name_of(self, table: Table, pair: str, key: Sequence[str]) -> str:
        """Return the name of a slice's file below the root, whether it is stored or not."""
        return slice_name(table, pair, tuple(key))

    def set_aside(self, name: str, label: str) -> str:
        """Move a file out of sight of every reader, into the hidden folder :data:`ASIDE`, and return its address there.

        Nothing is deleted. ``label`` names the occasion, for example its instant.
        """
        target = f"{ASIDE}/{sanitize_filename(label)}/{name.lstrip('.')}"
        with store_errors("move aside", self._files.locate(name)):
            self._files.set_aside(name, target)
        return self._files.locate(target)

    def _serialise(
        self, table: Table, pair: str, slices: Iterable[tuple[Key, SliceWrite | tuple[Any, ...]]]
    ) -> list[tuple[str, Any, SliceInfo]]:
        """Return file name, bytes and footer of each slice; small frames are converted together."""
        out: list[tuple[str, Any, SliceInfo]] = []
        pending: list[tuple[Key, SliceWrite]] = []

        def convert() -> None:
            tables = table.to_arrow_many([item.frame for _, item in pending])
            for (key, item), rows in zip(pending, tables, strict=True):
                name = slice_name(table, pair, tuple(key))
                now = self._clock().astimezone(dt.UTC)
                path = self._files.locate(name)
                out.append((name, *encode_slice(table, pair, key, item, rows, written_at=now, path=path)))
            pending.clear()

        rows = 0
        for key, given in slices:
            item = given if isinstance(given, SliceWrite) else SliceWrite(*given)
            if rows + len(item.frame) > _ROWS_TOGETHER:
                convert()
                rows = 0
            pending.append((key, item))
            rows += len(item.frame)
        convert()
        return out

    @staticmethod
    def _column_names(table: Table, columns: Sequence[str] | None) -> list[str] | None:
        if columns is None:
            return None
        unknown = [name for name in columns if name not in table.column_names]
        if unknown:
            raise ValidationError(
                f"Table '{table.name}' has no column {', '.join(map(repr, unknown))}.",
                remedy=f"choose from {', '.join(table.column_names)}.",
            )
        return list(columns)


def _rows_with(rows: pa.Table, only: Mapping[str, Sequence[str]] | None) -> pa.Table:
    import pyarrow.compute as pc

    for name, values in (only or {}).items():
        rows = rows.filter(pc.field(name).isin(list(values)))
    return rows


def _to_pandas(rows: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False, coerce_temporal_nanoseconds=True)
    return frame
