"""The event log keeps its connections, and is otherwise the stock one: same files, same content, same endings."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from forex_assets.defs.event_log import PooledSqliteEventLogStorage, place_new
from forex_assets.settings import packaged_config_dir
from forex_assets_tests.defs.numbered import PARTITIONS, materialise


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dagster"
    folder.mkdir()
    body = yaml.safe_load((packaged_config_dir() / "dagster.yaml").read_text(encoding="utf-8"))
    (folder / "dagster.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as made:
        yield made


def _stock(home: Path) -> SqliteEventLogStorage:
    return SqliteEventLogStorage(str(home / "history" / "runs"))


def _plain(records: Any) -> list[tuple[Any, ...]]:
    """Return the events of a run without what a second run must have anew."""
    return [
        (
            record.event_log_entry.dagster_event.event_type_value if record.event_log_entry.dagster_event else None,
            record.event_log_entry.step_key,
            record.partition_key if record.event_log_entry.dagster_event else None,
        )
        for record in records
    ]


def test_the_packaged_instance_uses_it(instance: dg.DagsterInstance) -> None:
    assert type(instance.event_log_storage) is PooledSqliteEventLogStorage


def test_the_stock_storage_reads_everything_it_wrote(instance: dg.DagsterInstance, dagster_home: Path) -> None:
    result = materialise(instance)
    assert result.success
    stock = _stock(dagster_home)
    mine = instance.event_log_storage
    assert stock.get_records_for_run(result.run_id).records == mine.get_records_for_run(result.run_id).records
    assert len(mine.get_records_for_run(result.run_id).records) > 20
    key = dg.AssetKey("numbers")
    assert stock.get_materialized_partitions(key) == set(PARTITIONS.get_partition_keys())
    check = dg.AssetCheckKey(key, "fine")
    assert stock.get_latest_asset_check_execution_by_key([check])[check].evaluation.passed
    stock.dispose()


def test_it_writes_the_same_events_as_the_stock_storage(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "stock").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "stock")) as reference:
        assert type(reference.event_log_storage) is not PooledSqliteEventLogStorage
        theirs = reference.event_log_storage.get_records_for_run(materialise(reference).run_id).records
    mine = instance.event_log_storage.get_records_for_run(materialise(instance).run_id).records
    assert _plain(mine) == _plain(theirs)


def test_it_reads_and_continues_what_the_stock_storage_wrote(dagster_home: Path) -> None:
    config = dagster_home / "dagster.yaml"
    pooled = config.read_text(encoding="utf-8")
    body = yaml.safe_load(pooled)
    del body["event_log_storage"]
    config.write_text(yaml.safe_dump(body), encoding="utf-8")
    with dg.DagsterInstance.get() as stock:
        first = materialise(stock)
    config.write_text(pooled, encoding="utf-8")
    with dg.DagsterInstance.get() as instance:
        assert type(instance.event_log_storage) is PooledSqliteEventLogStorage
        assert len(instance.event_log_storage.get_records_for_run(first.run_id).records) > 20
        second = materialise(instance)
        newest = instance.get_latest_materialization_event(dg.AssetKey("numbers"))
        assert newest is not None
        assert newest.run_id == second.run_id


def test_a_deleted_run_leaves_no_event_and_no_file(instance: dg.DagsterInstance, dagster_home: Path) -> None:
    kept, gone = materialise(instance).run_id, materialise(instance).run_id
    instance.delete_run(gone)
    storage = instance.event_log_storage
    assert storage.get_records_for_run(gone).records == []
    assert len(storage.get_records_for_run(kept).records) > 20
    assert instance.get_run_by_id(gone) is None
    assert not _stock(dagster_home).get_records_for_run(gone).records
    assert materialise(instance).success, "the log goes on after a deletion"


def test_more_runs_than_open_shards_are_all_kept(instance: dg.DagsterInstance) -> None:
    runs = [materialise(instance).run_id for _ in range(10)]
    assert all(len(instance.event_log_storage.get_records_for_run(run_id).records) > 20 for run_id in runs)
    storage = instance.event_log_storage
    assert isinstance(storage, PooledSqliteEventLogStorage)
    assert len(storage._engines) <= 8


WRITER = textwrap.dedent(
    """
    import dagster as dg
    from forex_assets_tests.defs.numbered import materialise
    with dg.DagsterInstance.get() as instance:
        for _ in range(3):
            result = materialise(instance)
            assert result.success
            print(result.run_id, flush=True)
    """
)


def test_two_processes_write_to_one_log_at_once(instance: dg.DagsterInstance, dagster_home: Path) -> None:
    environ = {**os.environ, "DAGSTER_HOME": str(dagster_home)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    mine = [materialise(instance).run_id for _ in range(2)]
    runs = list(mine)
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
        runs += out.split()
    assert len(set(runs)) == 8
    stock = _stock(dagster_home)
    for run_id in runs:
        kinds = _plain(stock.get_records_for_run(run_id).records)
        assert sum(kind == "ASSET_MATERIALIZATION" for kind, _, _ in kinds) == 6
        assert kinds[-1][0] == dg.DagsterEventType.RUN_SUCCESS.value
        assert len(instance.event_log_storage.get_records_for_run(run_id).records) == len(kinds)
    stock.dispose()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_opens_connections_of_its_own(instance: dg.DagsterInstance) -> None:
    """SQLite connections must not cross a fork; the child writes to the same log and the parent goes on."""
    before = [materialise(instance).run_id for _ in range(2)]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # Enough runs to push every inherited connection out, and an orderly end: neither may touch the parent's.
            code = 0 if all(materialise(instance).success for _ in range(9)) else 1
            instance.event_log_storage.dispose()
        finally:
            os._exit(code)  # never back into the test run
    meanwhile = materialise(instance).run_id
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    after = materialise(instance).run_id
    runs = [run.run_id for run in instance.get_runs()]
    assert len(runs) == 13
    assert {*before, meanwhile, after} < set(runs)
    for run_id in runs:
        kinds = _plain(instance.event_log_storage.get_records_for_run(run_id).records)
        assert sum(kind == "ASSET_MATERIALIZATION" for kind, _, _ in kinds) == 6
        assert kinds[-1][0] == dg.DagsterEventType.RUN_SUCCESS.value


def _schema(path: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [
            *connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name"),
            *connection.execute("SELECT version_num FROM alembic_version"),
            *connection.execute("PRAGMA journal_mode"),
        ]


def test_a_later_runs_log_is_copied_and_is_what_the_stock_storage_makes(
    instance: dg.DagsterInstance, dagster_home: Path, tmp_path: Path
) -> None:
    runs = dagster_home / "history" / "runs"
    first, second = (materialise(instance).run_id for _ in range(2))
    assert [path.name for path in runs.glob(".empty-run-*")] == [f".empty-run-{dg.__version__}"]
    assert not list(runs.glob(".*.tmp"))
    (tmp_path / "stock").mkdir()
    stock = SqliteEventLogStorage(str(tmp_path / "stock"))
    with stock.run_connection("plain"):
        pass
    expected = _schema(tmp_path / "stock" / "plain.db")
    assert _schema(runs / f"{first}.db") == _schema(runs / f"{second}.db") == expected
    with contextlib.closing(sqlite3.connect(runs / f".empty-run-{dg.__version__}")) as connection:
        assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign"])
def test_a_damaged_copy_is_not_used(instance: dg.DagsterInstance, dagster_home: Path, damage: str) -> None:
    materialise(instance)
    (kept,) = (dagster_home / "history" / "runs").glob(".empty-run-*")
    whole = kept.read_bytes()
    kept.write_bytes({"empty": b"", "cut": whole[:-4096], "foreign": b"x" * len(whole)}[damage])
    made = materialise(instance)
    assert made.success
    assert any(
        entry.dagster_event and entry.dagster_event.is_step_materialization for entry in instance.all_logs(made.run_id)
    )


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    place_new(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        place_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
