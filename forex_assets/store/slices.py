"""The slice store: one Parquet file per partition of a table, replaced atomically, judged by its own verdict.

A slice is found at ``<root>/<pair>/<table>/<partition…>.parquet``. Its verdict, metadata and schema version stand in
the Parquet footer, so they change in the same atomic step as its rows. Every slice is checked against its declared
table when it is written, and again when it is read.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

from forex_assets.errors import DataError, StoreError, UnusableSliceError, ValidationError
from forex_assets.schemas import Table
from forex_assets.settings import PAIR_ID
from forex_assets.store.files import explain, files_at, store_errors
from forex_assets.store.naming import is_plain_name, sanitize_filename

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Key = tuple[str, ...]
VerdictState = Literal["good", "bad", "unknown"]

ASIDE = ".damaged"
"""Folder below the root where damaged files are moved; hidden names are no slices."""
_LONGEST_PART = 128
_SUFFIX = ".parquet"
_WHOLE_TABLE = "all"
_MAX_PARTITIONS = 4
_BATCH = 64
_TASK = 16
_ROWS_TOGETHER = 20_000
_READERS = min(4, os.cpu_count() or 1)
_FOOTER = {
    name: f"forex.{name}".encode()
    for name in ("table", "pair", "key", "schema_version", "verdict", "meta", "written_at")
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks said of a slice: good, bad (nothing downstream may use it) or unknown, with reasons."""

    state: VerdictState = "good"
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in get_args(VerdictState):
            raise ValidationError(
                f"Verdict {self.state!r} is not one of {', '.join(get_args(VerdictState))}.",
                remedy="use good, bad or unknown.",
            )


GOOD = Verdict("good")


@dataclass(frozen=True, slots=True)
class SliceInfo:
    """What the footer of a slice says, without its rows."""

    table: str
    pair: str
    key: Key
    rows: int
    verdict: Verdict
    meta: Mapping[str, str]
    schema_version: int
    written_at: dt.datetime
    path: str
    size_bytes: int

    def require_usable(self) -> None:
        """Refuse a slice whose verdict is bad.

        Raises
        ------
        UnusableSliceError
            Naming the slice and the reasons of its verdict.
        """
        if self.verdict.state == "bad":
            raise _unusable([self], 1)


@dataclass(frozen=True, slots=True)
class SliceWrite:
    """One slice to write: its rows, verdict and metadata."""

    frame: pd.DataFrame
    verdict: Verdict = GOOD
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScannedSlice:
    """One slice met while scanning: its rows as Arrow where it may be used, else why not."""

    key: Key
    path: str
    info: SliceInfo | None
    rows: Any | None
    problem: str | None


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
            info, rows = self._load(table, pair, key, names)
            if info.verdict.state == "bad" and not allow_bad:
                bad.append(info)
            else:
                parts.append(_rows_with(rows, only))
        if bad:
            raise _unusable(bad, len(asked))
        if not parts:
            return table.empty()[names or list(table.column_names)]
        return _to_pandas(pa.concat_tables(parts))

    def scan(self, table: Table, pair: str, keys: Iterable[Sequence[str]] | None = None) -> Iterator[ScannedSlice]:
        """Yield every slice with its rows as an Arrow table; a bad or unreadable one without rows but with why."""
        wanted = iter(self.keys(table, pair) if keys is None else keys)
        if not (batch := list(islice(wanted, 1))):
            return
        yield self._scan_one(table, pair, tuple(batch[0]))
        # Decoding lets other threads run; a batch at a time, so that memory stays that of a batch, and some slices to
        # a task, since handing over a task costs a tenth of reading a small slice.
        with ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="scan") as pool:
            while batch := list(islice(wanted, _BATCH * _READERS)):
                tasks = [batch[start : start + _TASK] for start in range(0, len(batch), _TASK)]
                for part in pool.map(lambda keys: [self._scan_one(table, pair, tuple(key)) for key in keys], tasks):
                    yield from part

    def _scan_one(self, table: Table, pair: str, key: Key) -> ScannedSlice:
        name = _slice_name(table, pair, key)
        path = self._files.locate(name)
        try:
            info, rows = self._load(table, pair, key, None, name=name)
        except StoreError as error:
            return ScannedSlice(key, path, None, None, error.message)
        if info.verdict.state == "bad":
            return ScannedSlice(key, path, info, None, "; ".join(info.verdict.reasons) or "verdict bad")
        return ScannedSlice(key, path, info, rows, None)

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

        scanned = list(self.scan(table, pair, keys))
        if bad := [item.info for item in scanned if item.info is not None and item.rows is None]:
            raise _unusable(bad, len(scanned))
        parts = [item.rows for item in scanned if item.rows is not None]
        left_out = tuple(f"{table.name} {'/'.join(item.key)}: {item.problem}" for item in scanned if item.rows is None)
        return (_to_pandas(pa.concat_tables(parts)) if parts else table.empty()), left_out

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
        name = _slice_name(table, pair, whole)
        path = self._files.locate(name)
        try:
            with self._files.open(name) as handle:
                metadata = pq.read_metadata(handle)
                size = handle.seek(0, io.SEEK_END)
        except FileNotFoundError as error:
            raise _missing(table, pair, whole, path) from error
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from error
        return _parse_footer(table, pair, whole, path, metadata.metadata or {}, metadata.num_rows, size)

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
        name = _slice_name(table, pair, tuple(key))
        with store_errors("look for", self._files.locate(name)):
            return self._files.exists(name)

    def keys(self, table: Table, pair: str) -> list[Key]:
        """Return the keys of all stored slices of a table, sorted; temporary and foreign names are left out."""
        folder = f"{_checked_pair(pair)}/{table.name}"
        with store_errors("list", self._files.locate(folder)):
            names = self._files.walk(folder, _SUFFIX)
        found: list[Key] = []
        for name in names:
            parts = tuple(name[len(folder) + 1 : -len(_SUFFIX)].split("/"))
            if parts == (_WHOLE_TABLE,):
                found.append(())
            elif _is_key(parts):
                found.append(parts)
        return sorted(found)

    def state(self, table: Table, pair: str) -> tuple[tuple[Any, ...], ...]:
        """Return name and marks of every stored file of a table, sorted: equal while none was written or removed."""
        folder = f"{_checked_pair(pair)}/{table.name}"
        with store_errors("list", self._files.locate(folder)):
            return tuple(sorted(self._files.marks(folder, _SUFFIX)))

    def pairs(self) -> list[str]:
        """Return the pairs that have a folder in the store, sorted."""
        with store_errors("list", self.root):
            return [name for name in self._files.folders() if _is_pair(name)]

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
        return _slice_name(table, pair, tuple(key))

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
            out.extend(
                self._encode(table, pair, key, item, rows) for (key, item), rows in zip(pending, tables, strict=True)
            )
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

    def _encode(
        self, table: Table, pair: str, key: Key, item: SliceWrite, rows: pa.Table
    ) -> tuple[str, Any, SliceInfo]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = _slice_name(table, pair, tuple(key))
        written_at = self._clock().astimezone(dt.UTC)
        footer = {
            "table": table.name,
            "pair": pair,
            "key": json.dumps(list(key)),
            "schema_version": str(table.version),
            "verdict": json.dumps({"state": item.verdict.state, "reasons": list(item.verdict.reasons)}),
            "meta": json.dumps(_checked_meta(item.meta), sort_keys=True),
            "written_at": written_at.isoformat(),
        }
        sink = pa.BufferOutputStream()
        pq.write_table(
            rows.replace_schema_metadata({_FOOTER[field]: value.encode() for field, value in footer.items()}),
            sink,
            compression="lz4",  # a slice is many small pages: zstd would read 3 times slower and save 15% of the disk
            use_dictionary=[column.name for column in table.columns if column.kind in ("str", "date")],
            write_page_checksum=True,
        )
        data = sink.getvalue()
        info = SliceInfo(
            table=table.name,
            pair=pair,
            key=tuple(key),
            rows=rows.num_rows,
            verdict=item.verdict,
            meta=dict(item.meta),
            schema_version=table.version,
            written_at=written_at,
            path=self._files.locate(name),
            size_bytes=data.size,
        )
        return name, data, info

    def _load(
        self, table: Table, pair: str, key: Key, columns: list[str] | None, *, name: str | None = None
    ) -> tuple[SliceInfo, pa.Table]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = name or _slice_name(table, pair, key)
        path = self._files.locate(name)
        try:
            data = self._files.read(name)
        except FileNotFoundError as error:
            raise _missing(table, pair, key, path) from error
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            metadata = file.metadata
            info = _parse_footer(table, pair, key, path, metadata.metadata or {}, metadata.num_rows, len(data))
            rows = file.read(columns=columns, use_threads=False)
            whole = rows.schema if columns is None else file.schema_arrow  # building it again costs a tenth
            if not whole.equals(table.arrow_schema(), check_metadata=False):
                raise _foreign(path, f"its columns are not those of table '{table.name}' version {table.version}")
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from error
        return info, rows.replace_schema_metadata(None)

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


def _is_key(parts: Sequence[object]) -> bool:
    return (
        len(parts) <= _MAX_PARTITIONS
        and tuple(parts) != (_WHOLE_TABLE,)
        and all(
            is_plain_name(part) and len(str(part)) <= _LONGEST_PART and not str(part).endswith(_SUFFIX)
            for part in parts
        )
    )


def _is_pair(name: str) -> bool:
    return PAIR_ID.fullmatch(name) is not None and is_plain_name(name)


def _checked_pair(pair: str) -> str:
    if not isinstance(pair, str) or not _is_pair(pair):
        raise ValidationError(
            f"Pair id {pair!r} does not match {PAIR_ID.pattern}, or is a device name on Windows.",
            remedy="use the id of a configured pair.",
        )
    return pair


def _slice_name(table: Table, pair: str, key: Key) -> str:
    if not _is_key(key):
        raise ValidationError(
            f"Partition key {key!r} of table '{table.name}' breaks the rule: at most {_MAX_PARTITIONS} plain names "
            f"(ASCII letters, digits, '_', '.', '-') of at most {_LONGEST_PART} characters, not ending in '{_SUFFIX}', "
            f"and not the reserved ('{_WHOLE_TABLE}',).",
            remedy="use the partition keys of the asset graph, for example ('7d', '2025-06-13').",
        )
    return f"{_checked_pair(pair)}/{table.name}/{'/'.join(key) if key else _WHOLE_TABLE}{_SUFFIX}"


def _checked_meta(meta: Mapping[str, str]) -> dict[str, str]:
    for name, value in meta.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValidationError(
                f"Slice metadata {name!r}: {value!r} is not text to text.", remedy="turn names and values into strings."
            )
    return dict(meta)


def _rows_with(rows: pa.Table, only: Mapping[str, Sequence[str]] | None) -> pa.Table:
    import pyarrow.compute as pc

    for name, values in (only or {}).items():
        rows = rows.filter(pc.field(name).isin(list(values)))
    return rows


def _to_pandas(rows: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas(date_as_object=False, coerce_temporal_nanoseconds=True)
    return frame


def _parse_footer(
    table: Table, pair: str, key: Key, path: str, footer: Mapping[bytes, bytes], rows: int, size: int
) -> SliceInfo:
    missing = [name.decode() for name in _FOOTER.values() if name not in footer]
    if missing:
        raise _foreign(path, f"its footer lacks {', '.join(missing)}")
    try:
        text = {field: footer[name].decode() for field, name in _FOOTER.items()}
        verdict = json.loads(text["verdict"])
        info = SliceInfo(
            table=text["table"],
            pair=text["pair"],
            key=tuple(json.loads(text["key"])),
            rows=rows,
            verdict=Verdict(verdict["state"], tuple(verdict["reasons"])),
            meta=json.loads(text["meta"]),
            schema_version=int(text["schema_version"]),
            written_at=dt.datetime.fromisoformat(text["written_at"]),
            path=path,
            size_bytes=size,
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise _foreign(path, f"its footer cannot be understood ({error})") from error
    if (info.table, info.pair, info.key) != (table.name, pair, key):
        raise _foreign(path, f"it holds {info.pair}/{info.table}/{'/'.join(info.key)}, not what its name says")
    if info.schema_version > table.version:
        raise StoreError(
            f"{path} has schema version {info.schema_version} of table '{table.name}'; this program knows "
            f"{table.version}.",
            remedy="update forex_assets, or use the store of this version.",
        )
    if info.schema_version < table.version:
        raise StoreError(
            f"{path} has the old schema version {info.schema_version} of table '{table.name}'; this program writes "
            f"{table.version}.",
            remedy="materialise that partition again.",
        )
    return info


def _missing(table: Table, pair: str, key: Key, path: str) -> StoreError:
    label = "/".join(key) or "(whole table)"
    return StoreError(
        f"No slice {label} of table '{table.name}' is stored for {pair} (looked for {path}).",
        remedy=f"materialise {pair}/{table.name} for that partition first.",
    )


def _unreadable(path: str, error: Exception) -> StoreError:
    if isinstance(error, OSError) and error.errno is not None:
        return explain(error, "read", path)
    return StoreError(
        f"{path} is not a whole Parquet file: {str(error).strip().rstrip('.')}.",
        remedy="delete that file and materialise its partition again; the other slices are not affected.",
    )


def _foreign(path: str, reason: str) -> StoreError:
    return StoreError(
        f"{path} was not written by this store: {reason}.",
        remedy="move that file away and materialise its partition again.",
    )


def _unusable(bad: Sequence[SliceInfo], asked: int) -> UnusableSliceError:
    first = bad[0]
    reasons = "; ".join(first.verdict.reasons) or "no reason recorded"
    return UnusableSliceError(
        f"{len(bad)} of {asked} slices of {first.pair}/{first.table} have a bad verdict, first "
        f"{'/'.join(first.key) or '(whole table)'}: {reasons}.",
        remedy="look at the failed check, correct the data, and materialise those partitions again.",
    )
