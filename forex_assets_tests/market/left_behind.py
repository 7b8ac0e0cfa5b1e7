"""Everything a run leaves on disk, also what a search of the bytes would not see because it is compressed."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forex_assets.market.vintages.archive import RawArchive


def contents(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Give the name of each file under the folders with everything it says."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                raw = path.read_bytes()
                yield str(path), str(path).encode() + raw
                yield from ((str(path), text) for text in _inside(path, raw))


def archived(home: Path) -> Iterator[tuple[str, bytes]]:
    """Give every payload of the archive."""
    archive = RawArchive(home)
    assert archive.verify() == []
    for names in archive.packs():
        pack = archive.contents(*names)
        for sha in pack.by_hash:
            yield f"{names} {sha}", pack.payload(sha)


def _inside(path: Path, raw: bytes) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield f"{table.schema} {table.schema.metadata}".encode()
        yield from _texts_of(table)
    elif path.suffix == ".duckdb":
        yield from _warehouse(path)
    elif raw.startswith(b"SQLite format 3\0"):
        yield from _sqlite(path)


def _texts_of(table: pa.Table) -> Iterator[bytes]:
    """Give what each column that is not of numbers or dates says, every text once."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_primitive(column.type):
            continue
        if not pa.types.is_nested(column.type):
            column = pc.unique(column)
        yield name.encode() + b"\n".join(_bytes(value) for value in column.to_pylist())


def _warehouse(path: Path) -> Iterator[bytes]:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("select table_name, sql from duckdb_tables()").fetchall()
        views = connection.execute("select view_name, sql from duckdb_views() where not internal").fetchall()
        yield repr([tables, views]).encode()
        for name, _ in tables:
            columns = connection.execute(f'describe "{name}"').fetchall()
            for column in (each[0] for each in columns if "VARCHAR" in each[1] or "BLOB" in each[1]):
                yield from _cells(connection.execute(f'select distinct "{column}" from "{name}"').fetchall())


def _sqlite(path: Path) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (name,) in tables:
            yield from _cells(connection.execute(f'select * from "{name}"'))


def _cells(rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    yield b"\n".join(_bytes(value) for row in rows for value in row if not isinstance(value, (int, float)))


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    with contextlib.suppress(zlib.error):  # it was not compressed
        value = zlib.decompress(value)
    return value
