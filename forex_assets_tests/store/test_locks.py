"""The file lock excludes real processes, survives their death, and is never unlinked."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forex_assets.errors import StoreError, ValidationError
from forex_assets.store import locks
from forex_assets.store.locks import FileLock, LockTimeoutError, ParquetFileLock
from forex_assets_tests.store.processes import PATIENCE_S, SPAWN, finish, kill_at_fault_point, start, stop_here

PROCESSES = 8
ROUNDS = 6


def _append(path: str, writer: int, barrier: Any, native: bool) -> None:
    if native:
        sys.modules["portalocker"] = None  # type: ignore[assignment]  # as if it were not installed
    barrier.wait(PATIENCE_S)
    for round_ in range(ROUNDS):
        with ParquetFileLock(path, timeout=PATIENCE_S) as file:
            stored = file.read()
            row = pd.DataFrame({"writer": [writer], "round": [round_]})
            file.write(row if stored is None else pd.concat([stored, row], ignore_index=True))


@pytest.mark.capability("B02", "J13")
@pytest.mark.parametrize("locker", ["portalocker", "half of them without portalocker"])
def test_eight_processes_append_to_one_file_and_no_row_is_lost(tmp_path: Path, locker: str) -> None:
    path = tmp_path / "tracking.parquet"
    path.write_bytes(b"")  # what an older program left: a file of no bytes
    barrier = SPAWN.Barrier(PROCESSES)
    native = [locker != "portalocker" and i % 2 == 1 for i in range(PROCESSES)]
    finish([start(_append, str(path), i, barrier, mode) for i, mode in enumerate(native)])
    rows = pd.read_parquet(path)
    assert sorted(zip(rows["writer"], rows["round"], strict=True)) == [
        (writer, round_) for writer in range(PROCESSES) for round_ in range(ROUNDS)
    ]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["tracking.parquet", "tracking.parquet.lock"]


def _crash_while_holding(connection: Connection, path: str) -> None:
    file = ParquetFileLock(path, timeout=PATIENCE_S).acquire()
    stored = file.read()
    assert stored is not None
    os.replace = lambda *_: stop_here(connection, "about to replace")  # type: ignore[assignment]
    file.write(stored.assign(value=-1))


@pytest.mark.capability("B02", "J13")
def test_a_holder_killed_in_mid_write_frees_the_lock_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "drift.parquet"
    with ParquetFileLock(path) as file:
        file.write(pd.DataFrame({"value": [1, 2, 3]}))
    assert kill_at_fault_point(_crash_while_holding, str(path)) == "about to replace"
    with ParquetFileLock(path, timeout=5.0) as file:
        stored = file.read()
        assert stored is not None
        assert stored["value"].tolist() == [1, 2, 3]
        file.write(stored.assign(value=stored["value"] * 2))
    assert pd.read_parquet(path)["value"].tolist() == [2, 4, 6]


def _hold(connection: Connection, path: str) -> None:
    with FileLock(path, timeout=PATIENCE_S):
        connection.send("held")
        connection.recv()
    connection.send("released")


@pytest.mark.capability("B02", "J13")
def test_the_lock_file_is_the_same_file_after_every_release(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with FileLock(path):
        inode = path.stat().st_ino
    for _ in range(3):
        with FileLock(path, timeout=1.0):
            pass
        assert path.stat().st_ino == inode


@pytest.mark.capability("B02")
def test_a_time_out_says_which_lock_and_how_long_and_the_lock_works_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    ours, theirs = SPAWN.Pipe()
    child = start(_hold, theirs, str(path))
    assert ours.poll(PATIENCE_S)
    assert ours.recv() == "held"
    lock = FileLock(path, timeout=0.05)
    with pytest.raises(LockTimeoutError, match=r"x\.lock was held by someone else for all of the 0\.05 s") as caught:
        lock.acquire()
    assert "dead one holds no lock" in caught.value.remedy
    assert not lock.held
    ours.send("go")
    assert ours.recv() == "released"
    with lock:
        assert lock.held
    finish([child])


@pytest.mark.parametrize("shared", [True, False])
def test_threads_exclude_each_other_on_one_object_and_on_two(tmp_path: Path, shared: bool) -> None:
    one = FileLock(tmp_path / "x.lock", timeout=60.0)
    counter = {"value": 0}

    def work() -> None:
        lock = one if shared else FileLock(tmp_path / "x.lock", timeout=60.0)
        for _ in range(20):
            with lock:
                before = counter["value"]
                os.sched_yield()
                counter["value"] = before + 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert counter["value"] == 120


def test_the_lock_is_not_re_entrant_and_says_so_by_timing_out(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "x.lock", timeout=0.0)
    with lock:
        for again in (lock, FileLock(lock.path, timeout=0.0)):
            with pytest.raises(LockTimeoutError):
                again.acquire()
    with lock:
        pass
    lock.release()  # releasing what is not held is harmless
    assert not lock.held


def test_the_lock_never_changes_what_the_lock_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text("a note for people")
    with FileLock(path):
        pass
    assert path.read_text() == "a note for people"


def test_the_folder_of_the_lock_is_made(tmp_path: Path) -> None:
    with FileLock(tmp_path / "a" / "b" / "x.lock") as lock:
        assert lock.path.exists()


@pytest.mark.capability("J13")
def test_the_fallback_without_portalocker_excludes_a_holder_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileLock(tmp_path / "x.lock"):
        monkeypatch.setitem(sys.modules, "portalocker", None)
        with pytest.raises(LockTimeoutError):
            FileLock(tmp_path / "x.lock", timeout=0.0).acquire()
    with FileLock(tmp_path / "x.lock", timeout=0.0) as lock:
        assert lock.held


@pytest.mark.capability("B02")
def test_reading_and_writing_need_the_lock(tmp_path: Path) -> None:
    file = ParquetFileLock(tmp_path / "x.parquet")
    with pytest.raises(StoreError, match="without its lock"):
        file.read()
    with pytest.raises(StoreError, match="without its lock"):
        file.write(pd.DataFrame({"a": [1]}))
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.capability("B02")
def test_a_missing_or_empty_file_has_no_rows_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with ParquetFileLock(path) as file:
        assert file.read() is None
        path.write_bytes(b"")
        assert file.read() is None
        path.write_bytes(b"PAR1 cut short")
        with pytest.raises(StoreError, match="is not a whole Parquet file"):
            file.read()
        assert path.read_bytes() == b"PAR1 cut short"


def test_what_the_disk_refuses_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot open the lock file"):
        FileLock(tmp_path / "file" / "x.lock").acquire()
    with ParquetFileLock(tmp_path / "x.parquet") as file:
        file.write(pd.DataFrame({"a": [1]}))

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="No space left"):
            file.write(pd.DataFrame({"a": [2]}))
        monkeypatch.undo()
        stored = file.read()
        assert stored is not None
        assert stored["a"].tolist() == [1]
        (tmp_path / "x.parquet").unlink()
        (tmp_path / "x.parquet").mkdir()
        with pytest.raises(StoreError, match="Cannot read"):
            file.read()


def test_a_file_system_without_locks_is_an_error_not_a_missing_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "_locker", lambda: refuse)
    lock = FileLock(tmp_path / "x.lock")
    with pytest.raises(StoreError, match="refuses locks"):
        lock.acquire()
    monkeypatch.undo()
    with lock:  # the failed attempt left nothing held
        assert lock.held


def test_portalockers_own_refusal_is_passed_on_as_what_the_system_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import portalocker

    def refuse(*_: object) -> None:
        try:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        except OSError as error:
            raise portalocker.exceptions.LockException(str(error)) from error

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(StoreError, match="No locks available"):
        FileLock(tmp_path / "x.lock").acquire()


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), True, "30", None])
def test_a_time_out_must_be_a_number_of_seconds(tmp_path: Path, timeout: Any) -> None:
    with pytest.raises(ValidationError, match="not a number of seconds"):
        FileLock(tmp_path / "x.lock", timeout=timeout)


def test_importing_the_lock_stays_cheap() -> None:
    code = "import sys, forex_assets.store.locks; print({'pandas', 'pyarrow', 'duckdb'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "set()"
