"""Whole files, replaced atomically: on a local disk, or in any file system universal_pathlib knows.

A reader meets the old file or the new one, never a part. On a local disk that is a temporary file in the same folder,
``fsync``, ``os.replace``, ``fsync`` of the folder; in an object store it is a single put.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Protocol

from forex_assets.errors import StoreError

TEMPORARY_SUFFIX = ".tmp"
_BATCH = 64
_FLUSHERS = 8
_MARKS = ("ETag", "LastModified", "mtime", "created")

_REMEDIES = {
    errno.EROFS: "mount it read-write, or point FOREX_STORE_ROOT (or FOREX_HOME) to a folder that can be written.",
    errno.EACCES: "give this user write permission, or point FOREX_STORE_ROOT (or FOREX_HOME) to its own folder.",
    errno.EPERM: "give this user write permission, or point FOREX_STORE_ROOT (or FOREX_HOME) to its own folder.",
    errno.ENOSPC: "free disk space and run the same command again; slices already written are reused.",
    errno.EDQUOT: "free disk quota and run the same command again; slices already written are reused.",
    errno.ENOENT: "the folder went away (unmounted or deleted?); restore it and run the same command again.",
    errno.ENOTDIR: "a file stands where a folder belongs; move it away, or choose another store root.",
    errno.EEXIST: "a file stands where a folder belongs; move it away, or choose another store root.",
    errno.EISDIR: "a folder stands where a file belongs; move it away.",
    errno.ENAMETOOLONG: "use shorter partition names, or a store root nearer to the top of the disk.",
}


def explain(error: OSError, action: str, path: object) -> StoreError:
    """Return the store error that says what the operating system refused, where, and what to do about it."""
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and the store root with `forex doctor`.")
    return StoreError(f"Cannot {action} {path}: {reason}. What was stored before is untouched.", remedy=remedy)


class Files(Protocol):
    """What the store needs of a file system; names are relative and use ``/``."""

    root: str

    def locate(self, name: str) -> str:
        """Return the full address of a file, for people and other tools."""

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""

    def read(self, name: str) -> Any:
        """Return a whole file as a buffer."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for random reading."""

    def write_all(self, items: Iterable[tuple[str, Any]]) -> None:
        """Replace each file atomically, in order; durable when this returns."""

    def walk(self, folder: str, suffix: str) -> list[str]:
        """Return the names of all files below a folder with a suffix, hidden ones left out."""

    def marks(self, folder: str, suffix: str) -> Iterator[tuple[Any, ...]]:
        """Yield the name of each file that :meth:`walk` finds with what changes when it is written anew."""

    def folders(self) -> list[str]:
        """Return the names of the folders directly below the root."""

    def sweep(self, before: float) -> list[str]:
        """Delete temporary files last changed before a POSIX time; return their addresses."""

    def everything(self) -> list[str]:
        """Return the names of all files below the root, hidden ones too; links are not followed."""

    def set_aside(self, name: str, target: str) -> None:
        """Move a file to another name below the root, where there is none."""


class LocalFiles:
    """Files below a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()
        self.root = str(self._root)

    def locate(self, name: str) -> str:
        """Return the absolute path of a file."""
        return f"{self.root}{os.sep}{name.replace('/', os.sep)}"

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        return (self._root / name).is_file()

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        with open(f"{self.root}/{name}", "rb", buffering=0) as handle:  # noqa: PTH123  # once per slice: no Path objects
            return handle.read()

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for random reading."""
        return (self._root / name).open("rb")

    def write_all(self, items: Iterable[tuple[str, Any]]) -> None:
        """Replace each file atomically, in order; every file and folder is on disk when this returns."""
        folders: dict[Path, None] = {}
        rest = iter(items)
        try:
            while batch := [(self._root / name, data) for name, data in itertools.islice(rest, _BATCH)]:
                for path, _ in batch:
                    if path.parent not in folders:
                        make_folder(path.parent)
                        folders[path.parent] = None
                _replace_all(batch)
        finally:
            for folder in folders:
                _sync_folder(folder)

    def walk(self, folder: str, suffix: str) -> list[str]:
        """Return the names of all files below a folder with a suffix, hidden ones left out."""
        found: list[str] = []
        pending = [folder]
        while pending:
            current = pending.pop()
            try:
                with os.scandir(self._root / current) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        name = f"{current}/{entry.name}"
                        if entry.name.endswith(suffix):
                            found.append(name)
                        elif entry.is_dir():
                            pending.append(name)
            except FileNotFoundError:
                continue
        return found

    def marks(self, folder: str, suffix: str) -> Iterator[tuple[Any, ...]]:
        """Yield name, inode, time of change and size of each file that :meth:`walk` finds."""
        for name in self.walk(folder, suffix):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                status = (self._root / name).stat()
                yield name, status.st_ino, status.st_mtime_ns, status.st_size

    def folders(self) -> list[str]:
        """Return the names of the folders directly below the root."""
        try:
            with os.scandir(self._root) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []

    def sweep(self, before: float) -> list[str]:
        """Delete temporary files last changed before a POSIX time; return their paths."""
        removed = []
        for path in sorted(self._root.rglob(f".*{TEMPORARY_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):  # its writer, or another sweep, was faster
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()
                    removed.append(str(path))
        return removed

    def everything(self) -> list[str]:
        """Return the names of all files below the root, hidden ones too; links are not followed."""
        found: list[str] = []
        for folder, folders, names in os.walk(self._root, onerror=_raise):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            found += [Path(folder, name).relative_to(self._root).as_posix() for name in (*names, *links)]
        return sorted(found)

    def set_aside(self, name: str, target: str) -> None:
        """Move a file to another name below the root, where there is none; durable when this returns."""
        source, path = self._root / name, self._root / target
        make_folder(path.parent)
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        source.rename(path)
        _sync_folder(path.parent)
        _sync_folder(source.parent)


class RemoteFiles:
    """Files below a universal_pathlib address: memory, object stores, anything fsspec reaches."""

    def __init__(self, root: Any) -> None:
        self._fs = root.fs
        self._path = root.path.rstrip("/")
        self.root = str(root).rstrip("/")

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def locate(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        return bool(self._fs.isfile(self._at(name)))

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return bytes(self._fs.cat_file(self._at(name)))

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for random reading (a buffer: one get instead of many ranges)."""
        return io.BytesIO(self.read(name))

    def write_all(self, items: Iterable[tuple[str, Any]]) -> None:
        """Put each file whole, in order."""
        for name, data in items:
            self._fs.pipe_file(self._at(name), bytes(data))

    def walk(self, folder: str, suffix: str) -> list[str]:
        """Return the names of all files below a folder with a suffix, hidden ones left out."""
        self._fs.invalidate_cache()
        skip = len(self._fs._strip_protocol(self._path)) + 1
        names = [path[skip:] for path in self._fs.find(self._at(folder)) if path.endswith(suffix)]
        return [name for name in names if not any(part.startswith(".") for part in name.split("/"))]

    def marks(self, folder: str, suffix: str) -> Iterator[tuple[Any, ...]]:
        """Yield name, size and the store's own mark (entity tag, else time of change) of each file."""
        self._fs.invalidate_cache()
        for path, entry in self._fs.find(self._at(folder), detail=True).items():
            if path.endswith(suffix):
                mark = next(
                    (entry[name] for name in ("ETag", "LastModified", "mtime", "created") if name in entry), None
                )
                yield path, entry.get("size"), str(mark)

    def folders(self) -> list[str]:
        """Return the names of the folders directly below the root."""
        self._fs.invalidate_cache()
        if not self._fs.exists(self._path):
            return []
        entries = self._fs.ls(self._path, detail=True)
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries if entry["type"] == "directory")

    def sweep(self, before: float) -> list[str]:
        """Return nothing: a single put leaves no temporary files."""
        del before
        return []

    def everything(self) -> list[str]:
        """Return the names of all files below the root, hidden ones too."""
        self._fs.invalidate_cache()
        skip = len(self._fs._strip_protocol(self._path)) + 1
        return sorted(path[skip:] for path in self._fs.find(self._path))

    def set_aside(self, name: str, target: str) -> None:
        """Copy a file to another name below the root, where there is none, and then remove it."""
        if self.exists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        self._fs.pipe_file(self._at(target), self.read(name))
        self._fs.rm_file(self._at(name))


def files_at(root: object) -> Files:
    """Return the files below a root: a local path, a universal_pathlib path, or its URL."""
    if isinstance(root, Path):  # a plain path, or universal_pathlib's local one
        return LocalFiles(Path(str(root)))
    text = str(root)
    if "://" not in text and "::" not in text:
        if not text.strip():
            raise StoreError("The store root is empty.", remedy="give a folder or a URL such as s3://bucket/forex.")
        return LocalFiles(Path(text))
    from upath import UPath

    try:
        path = UPath(text)
        if path.protocol in ("file", "local"):
            return LocalFiles(Path(path.path))
        return RemoteFiles(path)
    except (ValueError, ImportError) as error:
        raise StoreError(
            f"The store root {text!r} cannot be used: {error}.",
            remedy="use a folder, or a URL whose fsspec package is installed (for example s3fs for s3://).",
        ) from error


def replace_file(source: Path, path: Path) -> None:
    """Put a finished file of the same folder in the place of another, atomically and durably."""
    descriptor = os.open(source, os.O_RDWR)  # Windows flushes only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    source.replace(path)
    _sync_folder(path.parent)


def write_file(path: Path, data: Any) -> None:
    """Replace one local file atomically and durably."""
    LocalFiles(path.parent).write_all([(path.name, data)])


@contextlib.contextmanager
def store_errors(action: str, path: object) -> Iterator[None]:
    """Turn what the operating system refuses inside the block into a store error."""
    try:
        yield
    except OSError as error:
        raise explain(error, action, path) from error


def _replace_all(items: Sequence[tuple[Path, Any]]) -> None:
    """Write every file beside its place, flush them together (a disk merges what waits), then move them in order."""
    waiting: list[tuple[int, Path, Path]] = []
    try:
        for path, data in items:
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            waiting.append((os.open(temporary, flags, 0o666), temporary, path))
            _write_whole(waiting[-1][0], data)
        _flush([descriptor for descriptor, _, _ in waiting])
        while waiting:
            descriptor, temporary, path = waiting[0]
            waiting[0] = (-1, temporary, path)  # a close that fails has closed: its number may be another file's by now
            os.close(descriptor)
            temporary.replace(path)
            del waiting[0]
    except BaseException:
        for descriptor, temporary, _ in waiting:
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # the first error is the one to report
                    os.close(descriptor)
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise


def _flush(descriptors: Sequence[int]) -> None:
    if len(descriptors) == 1:
        os.fsync(descriptors[0])
        return
    with ThreadPoolExecutor(min(len(descriptors), _FLUSHERS)) as pool:
        for _ in pool.map(os.fsync, descriptors):
            pass


def _write_whole(descriptor: int, data: Any) -> None:
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(descriptor, rest) :]


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each durable."""
    missing = []
    current = folder
    while not current.exists():
        missing.append(current)
        current = current.parent
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_folder(made.parent)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # what is gone holds nothing
        raise error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no handle of a folder to flush
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # removed meanwhile: nothing left to make durable
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
