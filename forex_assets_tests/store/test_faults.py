"""``kill -9`` at every file operation of a slice write and of a publication: the old one or the new one, never neither.

A fresh process is asked to do the job again and again; the k-th time it kills itself before its k-th operation, until
it gets through. Operations are the calls that change or flush files (a write also half-way through its bytes), and for
the warehouse every SQL statement but comments. So every state a killed writer can leave is met, not those luck finds.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pytest

from forex_assets.schemas import BARS
from forex_assets.store.slice_file import SliceWrite
from forex_assets.store.slices import SliceStore
from forex_assets.store.warehouse import publish
from forex_assets_tests.store.frames import bars, same
from forex_assets_tests.store.processes import PATIENCE_S, SPAWN, finish, start

pytestmark = pytest.mark.capability("L05", "J13")
DAY = ("2025-06-13",)
KEYS = [("2025-06-11",), ("2025-06-12",), DAY]
WATCHED = ("open", "write", "fsync", "close", "replace", "rename", "mkdir", "unlink")
OLD, NEW = 900.0, 950.0


class _Countdown:
    """Kills this process before its k-th operation."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def watch_files(self) -> None:
        for name in WATCHED:
            setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.step()
            if name == "write":
                descriptor, data = args
                real(descriptor, bytes(data[: len(data) // 2]))
                self.step()
                return len(data) // 2 + real(descriptor, bytes(data[len(data) // 2 :]))
            return real(*args, **kwargs)

        return call


def _write_one(root: str, countdown: _Countdown) -> None:
    countdown.watch_files()
    SliceStore(root).write(BARS, "usdclp", DAY, bars(40, value=NEW))


def _write_three(root: str, countdown: _Countdown) -> None:
    countdown.watch_files()
    frame = bars(40, value=NEW)
    SliceStore(root).write_many(BARS, "usdclp", {key: SliceWrite(frame) for key in KEYS})


class _Statements:
    """A DuckDB connection whose every statement is an operation."""

    def __init__(self, real: duckdb.DuckDBPyConnection, countdown: _Countdown) -> None:
        self._real, self._countdown = real, countdown

    def execute(self, *args: Any) -> Any:
        if not str(args[0]).startswith("COMMENT"):
            self._countdown.step()
        return self._real.execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __enter__(self) -> _Statements:
        return self

    def __exit__(self, *_: object) -> None:
        self._countdown.step()
        self._real.close()
        self._countdown.step()


def _publish(root: str, countdown: _Countdown) -> None:
    countdown.watch_files()

    def connect(name: str) -> Any:
        countdown.step()
        return _Statements(duckdb.connect(name), countdown)

    publish(SliceStore(root), Path(root).parent / "w.duckdb", [BARS], connect=connect)


def _die_at_each(connection: Connection, job: Callable[[str, _Countdown], None], root: str) -> None:
    """Do the job in forked children, the k-th dying before its k-th operation; report each and wait to go on."""
    at = 0
    while True:
        child = os.fork()
        if child == 0:
            job(root, _Countdown(at))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not killed and os.WEXITSTATUS(status):
            raise AssertionError(f"the job failed with {status}")
        connection.send((at, killed))
        if not killed:
            return
        connection.recv()
        at += 1


def every_death(job: Callable[[str, _Countdown], None], root: Path, look: Callable[[int, bool], None]) -> int:
    """Run ``look(k, killed)`` after each death and after the run that got through; return the number of operations."""
    ours, theirs = SPAWN.Pipe()
    child = start(_die_at_each, theirs, job, str(root))
    while True:
        assert ours.poll(PATIENCE_S), "the child stopped answering"
        at, killed = ours.recv()
        look(at, killed)
        if not killed:
            finish([child])
            return int(at)
        ours.send("go on")


def test_a_slice_is_the_old_one_or_the_new_one_at_every_death(tmp_path: Path) -> None:
    store = SliceStore(tmp_path / "store")
    old, new = BARS.conform(bars(40, value=OLD)), BARS.conform(bars(40, value=NEW))
    store.write(BARS, "usdclp", DAY, old)
    seen: list[float] = []

    def look(at: int, killed: bool) -> None:
        del at
        assert store.keys(BARS, "usdclp") == [DAY]
        stored = store.read(BARS, "usdclp", [DAY])
        value = float(stored["value"].iloc[0])
        same(stored, new if value == NEW else old)
        seen.append(value)
        if value == NEW and killed:
            store.write(BARS, "usdclp", DAY, old)

    operations = every_death(_write_one, tmp_path / "store", look)
    assert operations >= 8
    assert seen.count(OLD) >= 5
    assert seen[-1] == NEW
    assert seen.count(NEW) >= 3  # renamed, folder not flushed yet


def test_a_first_slice_is_there_whole_or_not_at_all_at_every_death(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "store"
    store = SliceStore(root)
    new = BARS.conform(bars(40, value=NEW))
    states: list[bool] = []

    def look(at: int, killed: bool) -> None:
        del at, killed
        there = store.exists(BARS, "usdclp", DAY)
        states.append(there)
        if there:
            same(store.read(BARS, "usdclp", [DAY]), new)

    assert every_death(_write_one, root, look) >= 10
    assert states[0] is False
    assert states[-1] is True
    assert states == sorted(states)  # once there, never gone again


def test_of_many_slices_each_is_whole_at_every_death(tmp_path: Path) -> None:
    store = SliceStore(tmp_path / "store")
    old, new = bars(40, value=OLD), bars(40, value=NEW)
    for key in KEYS:
        store.write(BARS, "usdclp", key, old)
    mixed = 0

    def look(at: int, killed: bool) -> None:
        nonlocal mixed
        del at, killed
        values = [float(store.read(BARS, "usdclp", [key])["value"].iloc[0]) for key in KEYS]
        assert set(values) <= {OLD, NEW}
        assert values == sorted(values, reverse=True)  # in order: those written come first
        mixed += len(set(values)) == 2
        store.write_many(BARS, "usdclp", {key: SliceWrite(old) for key in KEYS})

    assert every_death(_write_three, tmp_path / "store", look) >= 18
    assert mixed >= 3  # between the moves of the three
    assert len(new) == 40


def test_the_warehouse_is_the_old_one_or_the_new_one_at_every_death(tmp_path: Path) -> None:
    store, path = SliceStore(tmp_path / "store"), tmp_path / "w.duckdb"
    store.write(BARS, "usdclp", DAY, bars(5, value=OLD))
    publish(store, path, [BARS])
    store.write(BARS, "usdclp", DAY, bars(7, value=NEW))
    seen: list[float] = []

    def look(at: int, killed: bool) -> None:
        del at, killed
        with duckdb.connect(str(path), read_only=True) as reader:
            (row,) = reader.execute("select min(value), max(value), count(*) from bars").fetchall()
            assert row in {(OLD, OLD, 5), (NEW, NEW, 7)}
        seen.append(row[0])

    operations = every_death(_publish, tmp_path / "store", look)
    assert operations >= 25
    assert seen == sorted(seen)  # from the swap on the new one, before it the old one
    assert seen[0] == OLD
    assert seen[-1] == NEW
    assert sorted(item.name for item in tmp_path.iterdir()) == [".w.duckdb.lock", "store", "w.duckdb"]
