"""Slices read by processes are the slices read here, and a reader that dies is an error, never a shorter table."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from forex_assets.errors import StoreError
from forex_assets.schemas import FORECAST, Table
from forex_assets.store import reading
from forex_assets.store.reading import ScannedSlice
from forex_assets.store.slice_file import Key, SliceWrite, Verdict
from forex_assets.store.slices import SliceStore
from forex_assets.store.warehouse import publish
from forex_assets_tests.store.frames import filled

NOW = dt.datetime(2025, 6, 13, 22, 45, tzinfo=dt.UTC)
COUNT = 600


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    """Slices of more than two tasks: good ones, a bad one, a damaged one and an empty one."""
    store = SliceStore(tmp_path / "store", clock=lambda: NOW)
    frame = FORECAST.conform(filled(FORECAST, 2))
    days = [str(day.date()) for day in pd.bdate_range("2020-01-01", periods=COUNT)]
    store.write_many(
        FORECAST, "usdclp", ((("7d", day), SliceWrite(frame.assign(as_of=pd.Timestamp(day)))) for day in days)
    )
    store.write(FORECAST, "usdclp", ("7d", days[300]), frame, verdict=Verdict("bad", ("odd",)))
    store.write(FORECAST, "usdclp", ("7d", days[301]), frame.iloc[:0])
    Path(store.info(FORECAST, "usdclp", ("7d", days[302])).path).write_bytes(b"PAR1")
    return store


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MANY", 100)
    monkeypatch.setattr(reading, "_PROCESSES", 2)


def scanned(store: SliceStore) -> tuple[list[ScannedSlice], pa.Table]:
    batches = list(store.scan(FORECAST, "usdclp"))
    return [item for batch in batches for item in batch.slices], pa.concat_tables(batch.rows for batch in batches)


@pytest.mark.capability("B02")
def test_processes_read_the_same_slices_in_the_same_order_with_the_same_reasons(
    store: SliceStore, many: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices, rows = scanned(store)
    monkeypatch.setattr(reading, "MANY", COUNT + 1)
    alone, same_rows = scanned(store)
    assert slices == alone
    assert rows.equals(same_rows)
    assert rows.num_rows == 2 * (COUNT - 3)
    assert next(item.problem for item in slices if item.problem is not None) == "odd"
    assert sum(item.problem is not None for item in slices) == 2


@pytest.mark.capability("B02")
def test_a_warehouse_published_by_processes_holds_what_one_process_publishes(
    store: SliceStore, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_many = publish(store, tmp_path / "many.duckdb", [FORECAST])
    monkeypatch.setattr(reading, "MANY", COUNT + 1)
    by_one = publish(store, tmp_path / "one.duckdb", [FORECAST])
    assert (by_many.rows, by_many.excluded) == (by_one.rows, by_one.excluded)
    with duckdb.connect(str(by_many.path), read_only=True) as connection:
        connection.execute(f"ATTACH '{by_one.path}' AS one (READ_ONLY)")
        for table in ("forecast", "_slices"):
            assert connection.execute(f"SELECT * FROM {table}").fetchall() == (
                connection.execute(f"SELECT * FROM one.{table}").fetchall()
            )


def killed(root: str, table: Table, pair: str, keys: Sequence[Key]) -> None:
    """Stand for a reader that the operating system kills for its memory."""
    del root, table, pair, keys
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.capability("B02")
def test_a_reader_that_is_killed_stops_the_publication_and_the_old_warehouse_stays(
    store: SliceStore, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "w.duckdb"
    publish(store, target, [FORECAST])
    before = target.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(reading, "scan_elsewhere", killed)
        with pytest.raises(StoreError, match=r"A process that read slices of usdclp/forecast .* was killed") as caught:
            publish(store, target, [FORECAST])
    assert "free memory" in str(caught.value)
    assert target.read_bytes() == before
    assert publish(store, target, [FORECAST]).rows["forecast"] == 2 * (COUNT - 3)
