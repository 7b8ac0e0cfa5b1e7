"""The warehouse is published whole: readers are never disturbed, and what is left out is said."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from forex_assets.errors import StoreError
from forex_assets.schemas import BARS, EVALUATION, FORECAST, TABLES
from forex_assets.store.locks import FileLock, LockTimeoutError
from forex_assets.store.slice_file import SliceWrite, Verdict
from forex_assets.store.slices import SliceStore
from forex_assets.store.warehouse import publish
from forex_assets_tests.store.frames import bars, filled, forecast, same
from forex_assets_tests.store.processes import (
    PATIENCE_S,
    SPAWN,
    finish,
    kill_at_fault_point,
    start,
    stop_here,
)

NOW = dt.datetime(2025, 6, 13, 22, 45, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    store = SliceStore(tmp_path / "store", clock=lambda: NOW)
    store.write(BARS, "usdclp", ("2025-06-12",), bars(4, as_of="2025-06-12", value=900.0))
    store.write(BARS, "usdclp", ("2025-06-13",), bars(5, value=910.0))
    store.write(BARS, "eurusd", ("2025-06-13",), bars(3, value=1.1, pair="eurusd"))
    for day in ("2025-06-12", "2025-06-13"):
        store.write(FORECAST, "usdclp", ("7d", day), forecast(day))
    return store


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_table_is_there_with_its_rows_over_all_pairs(store: SliceStore, tmp_path: Path) -> None:
    published = publish(store, tmp_path / "warehouse.duckdb")
    assert dict(published.items()) == dict.fromkeys(TABLES, 0) | {"bars": 8, "forecast": 6, "_slices": 4}
    assert (published.excluded, published.slices) == ((), 4)
    path = published.path
    assert {row[0] for row in ask(path, "select table_name from duckdb_tables()")} == {*TABLES, "_slices"}
    assert ask(path, "select pair, count(*) from bars group by 1 order by 1") == [("eurusd", 3), ("usdclp", 5)]
    assert sorted(item.name for item in tmp_path.iterdir()) == [".warehouse.duckdb.lock", "store", "warehouse.duckdb"]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_rows_come_back_from_sql_as_they_were_stored(tmp_path: Path, name: str) -> None:
    table = TABLES[name]
    store = SliceStore(tmp_path / "store")
    owner = {"pair": "usdclp"} if "pair" in table.column_names else {}
    frame = table.conform(filled(table, 4).assign(**owner))
    store.write(table, "usdclp", ("2025-06-13",), frame)
    path = publish(store, tmp_path / "w.duckdb", [table]).path
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        back = connection.execute(f'select * from "{name}"').df()
    same(table.conform(back), frame)


def test_tables_and_columns_carry_their_documentation_and_emptiness(store: SliceStore, tmp_path: Path) -> None:
    path = publish(store, tmp_path / "w.duckdb").path
    comments = dict(ask(path, "select table_name, comment from duckdb_tables()"))
    columns = {
        (table, column): (comment, nullable)
        for table, column, comment, nullable in ask(
            path, "select table_name, column_name, comment, is_nullable from duckdb_columns() where not internal"
        )
    }
    for table in TABLES.values():
        assert comments[table.name].startswith(table.doc)
        for column in table.columns:
            comment, nullable = columns[(table.name, column.name)]
            assert comment == (column.doc if column.unit is None else f"{column.doc} [{column.unit}]")
            assert nullable == column.nullable
    assert comments["bars"].endswith("One row per pair, as_of, event_date, available_at.")


def test_bars_come_from_the_newest_snapshot_or_the_newest_that_may_be_used(store: SliceStore, tmp_path: Path) -> None:
    bad = Verdict("bad", ("jump of 9 sigma",))
    store.write(BARS, "usdclp", ("2025-06-16",), bars(6, as_of="2025-06-16", value=9000.0), verdict=bad)
    published = publish(store, tmp_path / "w.duckdb")
    assert ask(published.path, "select distinct as_of, value from bars where pair = 'usdclp'") == [
        (dt.date(2025, 6, 13), 910.0)
    ]
    assert ask(
        published.path, "select key, verdict, published from _slices where asset = 'bars' order by pair, key"
    ) == [
        ("2025-06-13", "good", True),
        ("2025-06-13", "good", True),
        ("2025-06-16", "bad", False),
    ]


def test_bad_and_damaged_slices_are_left_out_counted_and_explained(store: SliceStore, tmp_path: Path) -> None:
    bad = store.write(
        FORECAST, "usdclp", ("7d", "2025-06-13"), forecast("2025-06-13"), verdict=Verdict("bad", ("it's odd", "very"))
    )
    thin = Verdict("unknown", ("n = 2",))
    store.write(FORECAST, "usdclp", ("15d", "2025-06-13"), filled(FORECAST, 2), verdict=thin, meta={"a": "b"})
    damaged = Path(store.info(FORECAST, "usdclp", ("7d", "2025-06-12")).path)
    damaged.write_bytes(b"")
    published = publish(store, tmp_path / "w.duckdb", [FORECAST], ["usdclp"])
    rows = ask(
        published.path, "select key, rows, verdict, published, reasons, path, written_at from _slices order by key"
    )
    assert [row[:4] for row in rows] == [
        ("15d/2025-06-13", 2, "unknown", True),
        ("7d/2025-06-12", None, "unreadable", False),
        ("7d/2025-06-13", 3, "bad", False),
    ]
    assert rows[0][4] == "n = 2"
    assert "not a whole Parquet file" in rows[1][4]
    assert rows[2][4:6] == ("it's odd; very", bad.path)
    assert rows[2][6] == NOW
    assert ask(published.path, "select count(*) from forecast") == [(2,)]
    assert len(published.excluded) == 2
    assert published.excluded[1] == "forecast/usdclp/7d/2025-06-13: it's odd; very"


def test_an_empty_store_publishes_empty_documented_tables(tmp_path: Path) -> None:
    published = publish(SliceStore("memory://nothing-here"), tmp_path / "new" / "w.duckdb")
    assert set(published.rows.values()) == {0}
    assert ask(published.path, "select count(*) from evaluation") == [(0,)]


def test_more_slices_than_one_batch_are_all_there(tmp_path: Path) -> None:
    store = SliceStore("memory://many")
    days = [str(day.date()) for day in pd.bdate_range("2020-01-01", periods=603)]
    frame = FORECAST.conform(filled(FORECAST, 1))
    store.write_many(FORECAST, "usdclp", (((day,), SliceWrite(frame.assign(as_of=pd.Timestamp(day)))) for day in days))
    published = publish(store, tmp_path / "w.duckdb", [FORECAST])
    assert ask(published.path, "select count(*), count(distinct as_of) from forecast") == [(603, 603)]


def test_a_reader_of_the_old_file_is_undisturbed_by_a_new_one(store: SliceStore, tmp_path: Path) -> None:
    path = publish(store, tmp_path / "w.duckdb").path
    with duckdb.connect(str(path), read_only=True) as reader:
        assert reader.execute("select count(*) from bars").fetchone() == (8,)
        store.write(BARS, "usdclp", ("2025-06-16",), bars(7, as_of="2025-06-16", value=920.0))
        publish(store, path)
        assert reader.execute("select max(value) from bars").fetchone() == (910.0,)
    assert ask(path, "select max(value), count(*) from bars") == [(920.0, 10)]


def test_the_connection_may_come_from_the_dagster_duckdb_resource(store: SliceStore, tmp_path: Path) -> None:
    from dagster_duckdb import DuckDBResource

    opened = []

    @contextlib.contextmanager
    def connect(path: str) -> Iterator[duckdb.DuckDBPyConnection]:
        opened.append(path)
        with DuckDBResource(database=path).get_connection() as connection:
            yield connection

    path = publish(store, tmp_path / "w.duckdb", connect=connect).path
    assert [Path(name).parent for name in opened] == [tmp_path]
    assert opened != [str(path)]
    assert ask(path, "select count(*) from bars") == [(8,)]


def test_what_a_killed_publication_left_is_removed_by_the_next(store: SliceStore, tmp_path: Path) -> None:
    for name in (".w.duckdb.1.aaaaaaaa.tmp", ".w.duckdb.1.aaaaaaaa.tmp.wal"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "other.tmp").write_bytes(b"not ours")
    publish(store, tmp_path / "w.duckdb")
    assert sorted(item.name for item in tmp_path.iterdir()) == [".w.duckdb.lock", "other.tmp", "store", "w.duckdb"]


def test_a_failed_publication_keeps_the_old_file_and_says_why(
    store: SliceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish(store, tmp_path / "w.duckdb").path
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def broken(name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(name) as connection:
            yield connection
            raise duckdb.IOException("could not write: disk quota")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StoreError, match=r"Cannot publish .*No space left"):
            publish(store, path)
    with pytest.raises(StoreError, match=r"could not be built: .*disk quota"):
        publish(store, path, connect=broken)
    with FileLock(tmp_path / ".w.duckdb.lock"), pytest.raises(LockTimeoutError):
        publish(store, path, timeout=0.0)
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == [".w.duckdb.lock", "store", "w.duckdb"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot publish"):
        publish(store, tmp_path / "file" / "w.duckdb")


def test_slices_can_be_read_by_duckdb_directly_as_the_documentation_shows(store: SliceStore) -> None:
    pattern = f"{store.root}/usdclp/forecast/**/*.parquet"
    counted = f"select count(*), count(distinct as_of) from read_parquet('{pattern}')"
    with duckdb.connect() as connection:
        assert connection.execute(counted).fetchall() == [(6, 2)]
    file = store.info(FORECAST, "usdclp", ("7d", "2025-06-13")).path
    with duckdb.connect() as connection:
        rows = connection.execute(f"select key, value from parquet_kv_metadata('{file}')").fetchall()
    footer = dict(rows)
    assert footer[b"forex.table"] == b"forecast"
    assert b'"good"' in footer[b"forex.verdict"]
    assert len(pd.read_parquet(file)) == 3


# ---- real processes ----------------------------------------------------------------------------------------------


def _poll(path: str, stop: Any, connection: Connection) -> None:
    versions = set()
    while not stop.is_set():
        with duckdb.connect(path, read_only=True) as reader:
            tables = {row[0] for row in reader.execute("select table_name from duckdb_tables()").fetchall()}
            assert tables == {*TABLES, "_slices"}
            rows = reader.execute("select value, count(*) from bars group by 1").fetchall()
            ((value, count),) = rows  # one publication's rows, all of them
            assert count == int(value)
            versions.add(value)
            scored = reader.execute("select count(*) from evaluation").fetchone()
            assert scored == (3,)
    connection.send(sorted(versions))


def _publish_rounds(root: str, path: str, first: int, rounds: int) -> None:
    store = SliceStore(root)
    for round_ in range(first, first + rounds):
        store.write(BARS, "usdclp", ("2025-06-13",), bars(round_, value=float(round_)))
        publish(store, path, timeout=PATIENCE_S)


def test_a_reader_that_polls_while_two_processes_publish_meets_whole_warehouses_only(tmp_path: Path) -> None:
    root, path = str(tmp_path / "store"), str(tmp_path / "w.duckdb")
    store = SliceStore(root)
    store.write(EVALUATION, "usdclp", ("7d", "2025-06-13"), filled(EVALUATION, 3))
    _publish_rounds(root, path, 10, 1)
    stop = SPAWN.Event()
    ours, theirs = SPAWN.Pipe()
    reader = start(_poll, path, stop, theirs)
    try:
        finish([start(_publish_rounds, root, path, first, 4) for first in (20, 40)])
    finally:
        stop.set()
    assert ours.poll(PATIENCE_S), "the reader failed"
    assert len(ours.recv()) >= 2
    finish([reader])


def _publish_until(connection: Connection, root: str, path: str, step: str) -> None:
    real = os.replace

    @contextlib.contextmanager
    def connect(name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(name) as opened:
            yield opened
            if step == "tables filled":
                stop_here(connection, step)

    def replace(*args: Any, **kwargs: Any) -> None:
        if step == "built, not swapped":
            stop_here(connection, step)
        real(*args, **kwargs)
        stop_here(connection, step)

    os.replace = replace  # type: ignore[assignment]
    publish(SliceStore(root), path, connect=connect)


@pytest.mark.parametrize(
    ("step", "value"), [("tables filled", 910.0), ("built, not swapped", 910.0), ("swapped", 920.0)]
)
def test_kill_9_while_publishing_leaves_the_old_warehouse_or_the_new_one(
    store: SliceStore, tmp_path: Path, step: str, value: float
) -> None:
    path = publish(store, tmp_path / "w.duckdb").path
    store.write(BARS, "usdclp", ("2025-06-16",), bars(7, as_of="2025-06-16", value=920.0))
    assert kill_at_fault_point(_publish_until, store.root, str(path), step) == step
    assert ask(path, "select max(value) from bars where pair = 'usdclp'") == [(value,)]
    publish(store, path, timeout=5.0)  # the dead holder's lock is free
    assert ask(path, "select max(value) from bars where pair = 'usdclp'") == [(920.0,)]
    assert sorted(item.name for item in tmp_path.iterdir()) == [".w.duckdb.lock", "store", "w.duckdb"]
