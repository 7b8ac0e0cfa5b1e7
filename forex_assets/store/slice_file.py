"""What one slice's file holds: its rows as Parquet, and in the footer its verdict, metadata and schema version.

Everything of a slice stands in one file, so that it changes in one atomic step. Bytes in, bytes out: where the files
are is the store's matter (:mod:`forex_assets.store.slices`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from forex_assets.errors import StoreError, UnusableSliceError, ValidationError
from forex_assets.schemas import Table
from forex_assets.store.files import explain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Key = tuple[str, ...]
VerdictState = Literal["good", "bad", "unknown"]

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
            raise unusable([self], 1)


@dataclass(frozen=True, slots=True)
class SliceWrite:
    """One slice to write: its rows, verdict and metadata."""

    frame: pd.DataFrame
    verdict: Verdict = GOOD
    meta: Mapping[str, str] = field(default_factory=dict)


def encode_slice(
    table: Table, pair: str, key: Key, item: SliceWrite, rows: pa.Table, *, written_at: dt.datetime, path: str
) -> tuple[Any, SliceInfo]:
    """Return the bytes of a slice's file, and what its footer says.

    Parameters
    ----------
    table, pair, key:
        Where the slice belongs.
    item:
        Its verdict and metadata.
    rows:
        Its rows, of the table's Arrow schema.
    written_at:
        The instant to stamp, in UTC.
    path:
        Where it will be, for the information returned.

    Raises
    ------
    ValidationError
        When the metadata is not text to text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

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
        path=path,
        size_bytes=data.size,
    )
    return data, info


def decode_slice(
    table: Table, pair: str, key: Key, data: Any, *, path: str, columns: list[str] | None = None
) -> tuple[SliceInfo, pa.Table]:
    """Return what the footer of a slice's file says, and its rows; page checksums are verified.

    Raises
    ------
    StoreError
        When the bytes are damaged, of another slice, or of another schema version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        metadata = file.metadata
        info = parse_footer(table, pair, key, path, metadata.metadata or {}, metadata.num_rows, len(data))
        rows = file.read(columns=columns, use_threads=False)
        whole = rows.schema if columns is None else file.schema_arrow  # building it again costs a tenth
        if not whole.equals(table.arrow_schema(), check_metadata=False):
            raise _foreign(path, f"its columns are not those of table '{table.name}' version {table.version}")
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error
    return info, rows.replace_schema_metadata(None)


def parse_footer(
    table: Table, pair: str, key: Key, path: str, footer: Mapping[bytes, bytes], rows: int, size: int
) -> SliceInfo:
    """Return what a footer says, held against where its file was found.

    Raises
    ------
    StoreError
        When it was not written by this store, is of another slice, or of another schema version.
    """
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


def _checked_meta(meta: Mapping[str, str]) -> dict[str, str]:
    for name, value in meta.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValidationError(
                f"Slice metadata {name!r}: {value!r} is not text to text.", remedy="turn names and values into strings."
            )
    return dict(meta)


def missing(table: Table, pair: str, key: Key, path: str) -> StoreError:
    """Return the error that says a slice is not stored."""
    label = "/".join(key) or "(whole table)"
    return StoreError(
        f"No slice {label} of table '{table.name}' is stored for {pair} (looked for {path}).",
        remedy=f"materialise {pair}/{table.name} for that partition first.",
    )


def unreadable(path: str, error: Exception) -> StoreError:
    """Return the error that says a slice's file cannot be read, and what to do."""
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


def unusable(bad: Sequence[SliceInfo], asked: int) -> UnusableSliceError:
    """Return the error that names the first slice of those with a bad verdict."""
    first = bad[0]
    reasons = "; ".join(first.verdict.reasons) or "no reason recorded"
    return UnusableSliceError(
        f"{len(bad)} of {asked} slices of {first.pair}/{first.table} have a bad verdict, first "
        f"{'/'.join(first.key) or '(whole table)'}: {reasons}.",
        remedy="look at the failed check, correct the data, and materialise those partitions again.",
    )
