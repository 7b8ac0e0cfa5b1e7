"""File locks that exclude other processes, survive a crash of the holder, and never let two hold at once.

The operating system drops the lock when its holder dies, so nothing has to be cleaned up. The lock file itself is never
unlinked: a lock on a file that someone else may delete and recreate can be held twice.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from forex_assets.errors import StoreError, ValidationError
from forex_assets.store.files import explain, make_folder, write_file

if TYPE_CHECKING:
    import pandas as pd

_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05
_HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})


class LockTimeoutError(StoreError):
    """Someone else held the lock for the whole time allowed."""


class FileLock:
    """An exclusive lock between processes, and between threads, on a file of its own.

    Not re-entrant: acquiring a lock that this object holds waits like any other attempt.

    Parameters
    ----------
    path:
        The lock file; created when absent, never truncated, never deleted.
    timeout:
        How long to wait, in seconds; 0 tries once.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float = 30.0) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < float("inf"):
            raise ValidationError(f"The lock time-out {timeout!r} is not a number of seconds.", remedy="use 0 or more.")
        self.path = Path(path).absolute()
        self.timeout = float(timeout)
        self._threads = threading.Lock()
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> Self:
        """Take the lock.

        Raises
        ------
        LockTimeoutError
            When it stayed held by someone else.
        StoreError
            When the lock file cannot be made or locked.
        """
        deadline = time.monotonic() + self.timeout
        if not self._threads.acquire(timeout=self.timeout):
            raise self._timed_out()
        try:
            self._descriptor = self._lock_file(deadline)
        except BaseException:
            self._threads.release()
            raise
        return self

    def release(self) -> None:
        """Let the lock go; the file stays."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.close(descriptor)  # closing drops the lock
        finally:
            self._threads.release()

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _lock_file(self, deadline: float) -> int:
        try_lock = _locker()
        try:
            make_folder(self.path.parent)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise explain(error, "open the lock file", self.path) from error
        pause = _FIRST_PAUSE_S
        try:
            while not try_lock(descriptor):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._timed_out()
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        except OSError as error:
            os.close(descriptor)
            raise StoreError(
                f"The file system of {self.path} refuses locks: {error.strerror or error}.",
                remedy="put the store on a disk that supports file locks (a local one, or NFS with lockd).",
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _timed_out(self) -> LockTimeoutError:
        return LockTimeoutError(
            f"The lock {self.path} was held by someone else for all of the {self.timeout:g} s allowed.",
            remedy="wait for the other run to end (a dead one holds no lock), or allow a longer time-out.",
        )


class ParquetFileLock(FileLock):
    """The lock of one Parquet file, and the only two things to do while holding it: read and replace the file.

    The lock file stands beside it as ``<name>.lock``. Reading *inside* the lock is what keeps a concurrent writer's
    rows: ``with ParquetFileLock(path) as file: file.write(pd.concat([file.read(), new]))``.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float = 30.0) -> None:
        self.parquet_path = Path(path).absolute()
        super().__init__(self.parquet_path.with_name(f"{self.parquet_path.name}.lock"), timeout)

    def read(self) -> pd.DataFrame | None:
        """Return the file's rows, or None when it does not exist or holds no bytes at all.

        Raises
        ------
        StoreError
            When the lock is not held, or the file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._check_held("read")
        try:
            data = self.parquet_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(error, "read", self.parquet_path) from error
        if not data:
            return None
        try:
            frame: pd.DataFrame = pq.read_table(pa.BufferReader(data)).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise StoreError(
                f"{self.parquet_path} is not a whole Parquet file: {error}.",
                remedy="restore it from a copy, or move it away to start anew.",
            ) from error
        return frame

    def write(self, frame: pd.DataFrame) -> None:
        """Replace the file with these rows, atomically and durably.

        Raises
        ------
        StoreError
            When the lock is not held, or the file cannot be written; the old file is untouched.
        """
        self._check_held("write")
        sink = io.BytesIO()
        frame.to_parquet(sink, index=False, compression="zstd")
        try:
            write_file(self.parquet_path, sink.getbuffer())
        except OSError as error:
            raise explain(error, "write", self.parquet_path) from error

    def _check_held(self, action: str) -> None:
        if not self.held:
            raise StoreError(
                f"Refused to {action} {self.parquet_path} without its lock.",
                remedy="do it inside `with ParquetFileLock(path) as file:`.",
            )


def _locker() -> Callable[[int], bool]:
    """Return the function that tries once to lock a descriptor: portalocker's, or the operating system's own."""
    try:
        import portalocker
    except ImportError:
        return _native_try_lock

    flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING

    def try_lock(descriptor: int) -> bool:
        try:
            portalocker.lock(descriptor, flags)
        except portalocker.exceptions.AlreadyLocked:
            return False
        except portalocker.exceptions.LockException as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, OSError):
                raise cause from error
            raise OSError(str(error)) from error
        return True

    return try_lock


def _native_try_lock(descriptor: int) -> bool:
    with contextlib.suppress(ImportError):
        import fcntl

        return _attempt(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB))
    import msvcrt

    windows: Any = msvcrt
    os.lseek(descriptor, 0, os.SEEK_SET)
    return _attempt(lambda: windows.locking(descriptor, windows.LK_NBLCK, 1))


def _attempt(lock: Callable[[], object]) -> bool:
    try:
        lock()
    except OSError as error:
        if error.errno in _HELD_ELSEWHERE:
            return False
        raise
    return True
