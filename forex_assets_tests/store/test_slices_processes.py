"""Real processes write, read, crash and are refused: a reader meets a whole slice, the old one or the new one."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forex_assets.errors import StoreError
from forex_assets.schemas import BARS
from forex_assets.store.slice_file import SliceWrite, Verdict
from forex_assets.store.slices import SliceStore
from forex_assets_tests.store.frames import bars, same
from forex_assets_tests.store.processes import PATIENCE_S, SPAWN, finish, kill_at_fault_point, start, stop_here

WRITERS = 8
ROUNDS = 8
SHARED = ("shared",)
DAY = ("2025-06-13",)


def _rows_of(writer: int, round_: int) -> pd.DataFrame:
    """Rows that tell who wrote them when, as many as only that round writes."""
    return bars(50 + 10 * writer + round_, value=float(1000 * writer + round_))


def _write(root: str, writer: int, barrier: Any) -> None:
    store = SliceStore(root)
    barrier.wait(PATIENCE_S)
    for round_ in range(ROUNDS):
        frame = _rows_of(writer, round_)
        verdict = Verdict("unknown", (f"{writer}/{round_}",))
        store.write(BARS, "usdclp", (f"own-{writer}", f"{round_:03d}"), frame, verdict=verdict)
        store.write_many(BARS, "usdclp", {SHARED: SliceWrite(frame, verdict), (f"last-{writer}",): SliceWrite(frame)})


def _read(root: str, barrier: Any, stop: Any, connection: Connection) -> None:
    store = SliceStore(root)
    barrier.wait(PATIENCE_S)
    seen = 0
    while not stop.is_set():
        for key in store.keys(BARS, "usdclp"):
            frame = store.read(BARS, "usdclp", [key])
            (value,) = set(frame["value"])
            writer, round_ = divmod(int(value), 1000)
            same(frame, BARS.conform(_rows_of(writer, round_)))
            seen += 1
        info = store.info(BARS, "usdclp", SHARED) if store.exists(BARS, "usdclp", SHARED) else None
        if info is not None:
            writer, round_ = map(int, info.verdict.reasons[0].split("/"))
            assert info.rows == len(_rows_of(writer, round_))
    connection.send(seen)


@pytest.mark.capability("B02", "L05")
def test_eight_processes_write_the_same_and_other_slices_with_readers_throughout(tmp_path: Path) -> None:
    barrier, stop = SPAWN.Barrier(WRITERS + 2), SPAWN.Event()
    pipes = [SPAWN.Pipe() for _ in range(2)]
    readers = [start(_read, str(tmp_path), barrier, stop, theirs) for _, theirs in pipes]
    writers = [start(_write, str(tmp_path), writer, barrier) for writer in range(WRITERS)]
    try:
        finish(writers)
    finally:
        stop.set()
    seen = [ours.recv() if ours.poll(PATIENCE_S) else 0 for ours, _ in pipes]
    finish(readers)
    assert min(seen) > 0
    store = SliceStore(tmp_path)
    assert len(store.keys(BARS, "usdclp")) == WRITERS * ROUNDS + WRITERS + 1
    for writer in range(WRITERS):
        for round_ in range(ROUNDS):
            stored = store.read(BARS, "usdclp", [(f"own-{writer}", f"{round_:03d}")])
            same(stored, BARS.conform(_rows_of(writer, round_)))
        same(store.read(BARS, "usdclp", [(f"last-{writer}",)]), BARS.conform(_rows_of(writer, ROUNDS - 1)))
    assert not list(tmp_path.rglob("*.tmp"))


def _write_until(connection: Connection, root: str, step: str) -> None:
    store = SliceStore(root)
    frame = bars(500, value=950.0)
    real_write, real_replace, real_fsync = os.write, os.replace, os.fsync
    replaced = False

    def write(descriptor: int, data: Any) -> int:
        if step == "half written":
            real_write(descriptor, bytes(data[: len(data) // 2]))
            real_fsync(descriptor)
            stop_here(connection, step)
        return real_write(descriptor, data)

    def fsync(descriptor: int) -> None:
        if step == "written, not flushed" or (step == "replaced, folder not flushed" and replaced):
            stop_here(connection, step)
        real_fsync(descriptor)

    def replace(*args: Any, **kwargs: Any) -> None:
        nonlocal replaced
        if step == "flushed, not replaced":
            stop_here(connection, step)
        real_replace(*args, **kwargs)
        replaced = True

    os.write, os.fsync, os.replace = write, fsync, replace  # type: ignore[assignment]
    store.write(BARS, "usdclp", DAY, frame, verdict=Verdict("unknown", ("new",)))


@pytest.mark.capability("L05")
@pytest.mark.parametrize(
    ("step", "value"),
    [
        ("half written", 900.0),
        ("written, not flushed", 900.0),
        ("flushed, not replaced", 900.0),
        ("replaced, folder not flushed", 950.0),
    ],
)
def test_kill_9_in_mid_write_leaves_the_old_slice_or_the_new_one(tmp_path: Path, step: str, value: float) -> None:
    store = SliceStore(tmp_path)
    old = bars(500, value=900.0)
    store.write(BARS, "usdclp", DAY, old, verdict=Verdict("good", ("old",)))
    assert kill_at_fault_point(_write_until, str(tmp_path), step) == step
    same(store.read(BARS, "usdclp"), BARS.conform(bars(500, value=value)))
    assert store.info(BARS, "usdclp", DAY).verdict.reasons == (("new",) if value == 950.0 else ("old",))
    assert store.keys(BARS, "usdclp") == [DAY]
    left = list(tmp_path.rglob("*.tmp"))
    assert len(left) == (value == 900.0)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    assert store.sweep(older_than=dt.timedelta(hours=1), now=later) == [str(path) for path in left]
    store.write(BARS, "usdclp", DAY, old)
    same(store.read(BARS, "usdclp"), BARS.conform(old))


def test_kill_9_of_the_first_write_leaves_no_slice(tmp_path: Path) -> None:
    kill_at_fault_point(_write_until, str(tmp_path), "half written")
    store = SliceStore(tmp_path)
    assert store.keys(BARS, "usdclp") == []
    assert not store.exists(BARS, "usdclp", DAY)


def _write_limited(connection: Connection, root: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        SliceStore(root).write(BARS, "usdclp", DAY, bars(2000, value=950.0))
    except StoreError as error:
        connection.send(str(error))
    else:
        connection.send("written")


@pytest.mark.capability("L05")
def test_a_disk_that_really_refuses_half_way_keeps_the_old_slice(tmp_path: Path) -> None:
    store = SliceStore(tmp_path)
    store.write(BARS, "usdclp", DAY, bars(value=900.0))
    ours, theirs = SPAWN.Pipe()
    finish([start(_write_limited, theirs, str(tmp_path))])
    message = ours.recv()
    assert "File too large" in message
    assert "What was stored before is untouched" in message
    same(store.read(BARS, "usdclp"), BARS.conform(bars(value=900.0)))
    assert not list(tmp_path.rglob("*.tmp"))


def _write_as_nobody(connection: Connection, root: str) -> None:
    BARS.to_arrow(bars())  # what is imported late is imported while this user may still read it
    SliceStore("memory://warm").write(BARS, "usdclp", DAY, bars())
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    store = SliceStore(root)
    messages = []
    attempts: list[Callable[[], object]] = [
        lambda: store.write(BARS, "usdclp", DAY, bars(value=950.0)),
        lambda: store.write(BARS, "eurusd", DAY, bars(value=950.0)),
    ]
    for attempt in attempts:
        try:
            attempt()
        except StoreError as error:
            messages.append(str(error))
    connection.send((messages, store.read(BARS, "usdclp")["value"].tolist()))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of this machine can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="forex-store-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.capability("L05")
def test_a_read_only_root_is_named_with_a_remedy_and_still_read(open_folder: Path) -> None:
    root = open_folder / "store"
    SliceStore(root).write(BARS, "usdclp", DAY, bars(3, value=900.0))
    for path in [*root.rglob("*"), root]:
        path.chmod(0o444 if path.is_file() else 0o555)
    ours, theirs = SPAWN.Pipe()
    finish([start(_write_as_nobody, theirs, str(root))])
    messages, values = ours.recv()
    assert len(messages) == 2
    for message in messages:
        assert f"Cannot write {root}" in message
        assert "Permission denied" in message
        assert "FOREX_STORE_ROOT" in message
    assert values == [900.0] * 3
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["2025-06-13.parquet"]
