"""The warehouse: a DuckDB file published from the slice store, one documented table per asset, for any SQL tool.

It is a read copy. Publishing builds a new file beside the old one and swaps it in one step: readers that have the old
file open keep reading it, new readers get the new one, and nobody meets a lock or a half-built table.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, ItemsView, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forex_assets.errors import StoreError
from forex_assets.schemas import BARS, TABLES, Column, Kind, Table
from forex_assets.schemas.panel import PANEL_FITS
from forex_assets.store.files import TEMPORARY_SUFFIX, explain, make_folder, replace_file
from forex_assets.store.locks import FileLock
from forex_assets.store.reading import ScannedBatch, ScannedSlice
from forex_assets.store.slice_file import Key
from forex_assets.store.slices import SliceStore

if TYPE_CHECKING:
    import duckdb

NEWEST_ONLY = frozenset({BARS.name, *(table.name for table in PANEL_FITS)})
"""Tables whose every slice repeats the whole history: only the newest slice of each pair is published."""

#: Rows held at once: a few backtests are as many as thousands of forecasts.
_BATCH_ROWS = 50_000
_SQL_TYPES: dict[Kind, str] = {
    "date": "DATE",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "float": "DOUBLE",
    "int": "BIGINT",
    "str": "VARCHAR",
    "bool": "BOOLEAN",
}
SLICES = Table(
    name="_slices",
    doc="Every slice considered, published or not: bad verdicts and unreadable files are listed here, with why.",
    columns=(
        Column("asset", "str", "Table the slice belongs to"),
        Column("pair", "str", "Pair id"),
        Column("key", "str", "Partition, its parts joined by '/'; empty for a whole table"),
        Column("rows", "int", "Rows in the slice; empty when unreadable", "rows", nullable=True),
        Column("verdict", "str", "good, unknown, bad (not published) or unreadable (not published)"),
        Column("published", "bool", "True when the slice's rows are in the table"),
        Column("reasons", "str", "Why the verdict, or why it cannot be read", nullable=True),
        Column("path", "str", "Where the slice is"),
        Column("written_at", "instant", "When it was written; empty when unreadable", nullable=True),
    ),
    key=("asset", "pair", "key"),
)


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication holds, and what it had to leave out."""

    path: Path
    rows: Mapping[str, int]
    slices: int
    excluded: tuple[str, ...]

    def items(self) -> ItemsView[str, int]:
        """Return table name and number of rows."""
        return self.rows.items()


def publish(
    store: SliceStore,
    path: str | os.PathLike[str],
    tables: Iterable[Table] | None = None,
    pairs: Sequence[str] | None = None,
    *,
    connect: Callable[[str], AbstractContextManager[duckdb.DuckDBPyConnection]] | None = None,
    timeout: float = 60.0,
) -> Published:
    """Build the warehouse from the stored slices and swap it in for the file at ``path``.

    Parameters
    ----------
    store:
        Where the slices are.
    path:
        The warehouse file; replaced in one step at the end.
    tables, pairs:
        What to publish; by default every declared table and every pair in the store.
    connect:
        Opens a DuckDB file for writing, as a context manager (for example a Dagster resource's); by default
        ``duckdb.connect``.
    timeout:
        Seconds to wait for another publication of the same file.

    Returns
    -------
    Published
        Rows per table, and the slices left out for a bad verdict or a damaged file (they are in table ``_slices`` too).

    Raises
    ------
    StoreError
        When another publication holds the file for too long, or the file cannot be built; the old one is untouched.
    """
    import duckdb

    target = Path(path).absolute()
    try:
        make_folder(target.parent)
    except OSError as error:
        raise explain(error, "publish", target) from error
    with FileLock(target.with_name(f".{target.name}.lock"), timeout=timeout):
        # Under the lock no publication is under way, so whatever lies here was left by one that was killed.
        _remove(target.parent.glob(f".{target.name}.*{TEMPORARY_SUFFIX}*"))
        building = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
        try:
            with (connect or duckdb.connect)(str(building)) as connection:
                published = _fill(connection, store, target, list(tables or TABLES.values()), pairs)
                connection.execute("CHECKPOINT")
            replace_file(building, target)
        except OSError as error:
            raise explain(error, "publish", target) from error
        except duckdb.Error as error:
            raise StoreError(
                f"The warehouse {target} could not be built: {error}. The one published before is untouched.",
                remedy="check space and permissions of its folder with `forex doctor`, then publish again.",
            ) from error
        finally:
            _remove(target.parent.glob(f"{building.name}*"))
    return published


def _fill(
    connection: Any, store: SliceStore, target: Path, tables: Sequence[Table], pairs: Sequence[str] | None
) -> Published:
    log: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    chosen = store.pairs() if pairs is None else list(pairs)
    for table in tables:
        _create(connection, table)
        counts[table.name] = 0
        held: list[Any] = []
        inserted = 0
        for pair in chosen:
            for batch in _slices_of(store, table, pair):
                log += [_log_row(table, pair, item) for item in batch.slices]
                counts[table.name] += batch.rows.num_rows
                if batch.rows.num_rows:
                    held.append(batch.rows)
                if counts[table.name] - inserted >= _BATCH_ROWS:
                    _insert(connection, table, held)
                    inserted = counts[table.name]
        _insert(connection, table, held)
    _create(connection, SLICES)
    _insert(connection, SLICES, [_log_rows(log)])
    counts[SLICES.name] = len(log)
    left_out = [row for row in log if not row["published"]]
    excluded = tuple(f"{row['asset']}/{row['pair']}/{row['key']}: {row['reasons']}" for row in left_out)
    return Published(path=target, rows=dict(counts), slices=len(log), excluded=excluded)


def _slices_of(store: SliceStore, table: Table, pair: str) -> Iterable[ScannedBatch]:
    if table.name not in NEWEST_ONLY:
        yield from store.scan(table, pair)
        return
    newest_first: list[Key] = sorted(store.keys(table, pair), reverse=True)
    for key in newest_first:  # a bad newest snapshot gives way to the one before it
        batch = next(iter(store.scan(table, pair, [key])))
        yield batch
        if batch.slices[0].problem is None:
            return


def _create(connection: Any, table: Table) -> None:
    columns = ", ".join(
        f"{_name(column.name)} {_SQL_TYPES[column.kind]}" + ("" if column.nullable else " NOT NULL")
        for column in table.columns
    )
    connection.execute("BEGIN")  # one flush for the table and its comments, not one each
    connection.execute(f"CREATE TABLE {_name(table.name)} ({columns})")
    key = ", ".join(dict.fromkeys(("pair", *table.key)))
    connection.execute(f"COMMENT ON TABLE {_name(table.name)} IS {_text(f'{table.doc} One row per {key}.')}")
    for column in table.columns:
        comment = column.doc if column.unit is None else f"{column.doc} [{column.unit}]"
        connection.execute(f"COMMENT ON COLUMN {_name(table.name)}.{_name(column.name)} IS {_text(comment)}")
    connection.execute("COMMIT")


def _insert(connection: Any, table: Table, held: list[Any]) -> None:
    import pyarrow as pa

    if not held:
        return
    connection.register("_batch", pa.concat_tables(held).combine_chunks())
    names = ", ".join(_name(column.name) for column in table.columns)
    insert = f"INSERT INTO {_name(table.name)} SELECT {names} FROM _batch"  # noqa: S608  # nosec B608  # declared names
    connection.execute(insert)
    connection.unregister("_batch")
    held.clear()


def _log_row(table: Table, pair: str, item: ScannedSlice) -> dict[str, Any]:
    info = item.info
    reasons = item.problem if item.problem is not None else "; ".join(info.verdict.reasons if info else ())
    return {
        "asset": table.name,
        "pair": pair,
        "key": "/".join(item.key),
        "rows": None if info is None else info.rows,
        "verdict": "unreadable" if info is None else info.verdict.state,
        "published": item.problem is None,
        "reasons": reasons or None,
        "path": item.path,
        "written_at": None if info is None else info.written_at,
    }


def _log_rows(log: Sequence[Mapping[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist(list(log), schema=SLICES.arrow_schema())


def _name(identifier: str) -> str:
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
