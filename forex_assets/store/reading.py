"""Slices read: one, or all of a table in batches, by threads or, where there are very many, by processes.

Most of the work of a small slice is per file, not per row, and half of it holds the interpreter's lock: threads save a
third of the time on a local disk and hide the latency of a remote store; 100,000 local slices take processes.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forex_assets.errors import StoreError
from forex_assets.schemas import Table
from forex_assets.store.files import Files, LocalFiles
from forex_assets.store.slice_file import Key, SliceInfo, decode_slice, missing, unreadable
from forex_assets.store.slice_names import slice_name

if TYPE_CHECKING:
    import pyarrow as pa

#: From so many local slices on, processes earn what starting them costs: a second against a quarter millisecond each.
MANY = 20_000
_PER_THREAD, _PER_PROCESS = 16, 256
_PROCESSES = min(4, os.cpu_count() or 1)
_REMOTE_THREADS = 8
_IDLE_S = 5


@dataclass(frozen=True, slots=True)
class ScannedSlice:
    """One slice met while scanning: what its footer says, and why its rows are not to be used, if so."""

    key: Key
    path: str
    info: SliceInfo | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ScannedBatch:
    """Slices met one after another, and the rows of those without a problem, in the same order, as one Arrow table."""

    slices: Sequence[ScannedSlice]
    rows: pa.Table


def load_slice(
    files: Files, table: Table, pair: str, key: Key, columns: list[str] | None = None
) -> tuple[SliceInfo, pa.Table]:
    """Return what a slice's footer says, and its rows.

    Raises
    ------
    ValidationError
        When pair or key break their rule.
    StoreError
        When the slice is missing, unreadable, of another table or of another schema version.
    """
    name = slice_name(table, pair, key)
    path = files.locate(name)
    try:
        data = files.read(name)
    except FileNotFoundError as error:
        raise missing(table, pair, key, path) from error
    except OSError as error:
        raise unreadable(path, error) from error
    return decode_slice(table, pair, key, data, path=path, columns=columns)


def scan_slices(files: Files, table: Table, pair: str, keys: Sequence[Key]) -> Iterator[ScannedBatch]:
    """Yield the slices of some keys, in their order; a bad or unreadable one without rows but with why.

    Only a few batches are held at a time.

    Raises
    ------
    ValidationError
        When pair or key break their rule.
    StoreError
        When a process that reads is killed.
    """
    if isinstance(files, LocalFiles) and len(keys) >= MANY and _PROCESSES > 1:
        yield from _scan_in_processes(files, table, pair, keys)
    elif len(keys) <= _PER_THREAD:
        yield from (_scan(files, table, pair, part) for part in _parts(keys, _PER_THREAD))
    else:
        threads = _PROCESSES if isinstance(files, LocalFiles) else _REMOTE_THREADS
        read = functools.partial(_scan, files, table, pair)
        with ThreadPoolExecutor(threads, thread_name_prefix="scan") as pool:
            yield from _ahead(pool, read, _parts(keys, _PER_THREAD), 4 * threads)


def _scan(files: Files, table: Table, pair: str, keys: Sequence[Key]) -> ScannedBatch:
    import pyarrow as pa

    slices: list[ScannedSlice] = []
    parts: list[Any] = []
    for key in keys:
        try:
            info, rows = load_slice(files, table, pair, key)
        except StoreError as error:
            slices.append(ScannedSlice(key, files.locate(slice_name(table, pair, key)), None, error.message))
            continue
        problem = None
        if info.verdict.state == "bad":
            problem = "; ".join(info.verdict.reasons) or "verdict bad"
        else:
            parts.append(rows)
        slices.append(ScannedSlice(key, info.path, info, problem))
    whole = pa.concat_tables(parts) if parts else table.arrow_schema().empty_table()
    return ScannedBatch(slices, whole)


def _scan_in_processes(files: LocalFiles, table: Table, pair: str, keys: Sequence[Key]) -> Iterator[ScannedBatch]:
    import pyarrow as pa
    from loky import get_reusable_executor  # unlike the standard one, it never runs the caller's main module again

    read = functools.partial(scan_elsewhere, files.root, table, pair)
    pool = get_reusable_executor(max_workers=_PROCESSES, timeout=_IDLE_S)
    try:
        for slices, data in _ahead(pool, read, _parts(keys, _PER_PROCESS), 2 * _PROCESSES):
            yield ScannedBatch(slices, pa.ipc.open_stream(data).read_all())
    except BrokenProcessPool as error:
        raise StoreError(
            f"A process that read slices of {pair}/{table.name} below {files.root} was killed: {error}.",
            remedy="free memory (a reader takes some 200 MB) and run the same command again.",
        ) from error


def scan_elsewhere(root: str, table: Table, pair: str, keys: Sequence[Key]) -> tuple[Sequence[ScannedSlice], bytes]:
    """Scan as :func:`scan_slices` in another process: return the slices, and their rows as an Arrow stream."""
    from pathlib import Path

    import pyarrow as pa

    batch = _scan(LocalFiles(Path(root)), table, pair, keys)
    rows = batch.rows.combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return batch.slices, sink.getvalue().to_pybytes()


def _ahead(
    pool: Executor, read: Callable[[Sequence[Key]], Any], parts: Iterator[Sequence[Key]], ahead: int
) -> Iterator[Any]:
    """Yield what ``read`` returns for each part, in order, with no more than ``ahead`` parts under way."""
    waiting: deque[Future[Any]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(read, part))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _parts(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
