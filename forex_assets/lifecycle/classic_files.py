"""The classic files, exactly: ``chronos_<h>.json`` and a timestamped backup before each change (A27, A28)."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

from forex_assets.lifecycle.change import Change
from forex_assets.store.files import explain, make_folder, write_file

BACKUPS = "backups"


def folder_of(change: Change, folder: Path, main_pair: str) -> Path:
    """Return the folder of a change's file: the given one, or below it one by pair for all but the main pair."""
    return folder if change.subject.owner == main_pair else folder / change.subject.owner


def content(change: Change) -> bytes | None:
    """Return the bytes of the classic file, or None when there is to be none."""
    body = change.classic()
    return None if body is None else json.dumps(body, indent=2).encode() + b"\n"


def deliver(change: Change, folder: Path, main_pair: str) -> str:
    """Back up the present file, then replace it atomically; return the backup's path (empty: nothing to back up).

    A backup that fails stops before anything is replaced (A22).

    Raises
    ------
    StoreError
        When the disk refuses; the present file is untouched.
    """
    where = folder_of(change, folder, main_pair)
    path = where / change.classic_name
    data = content(change)
    try:
        present = path.read_bytes()
    except FileNotFoundError:
        present = None
    except OSError as error:
        raise explain(error, "read", path) from error
    if present == data:
        return ""
    backup = ""
    try:
        if present is not None:
            backup = str(_back_up(present, where / BACKUPS, change))
        if data is None:
            path.unlink(missing_ok=True)
        else:
            write_file(path, data)
            path.chmod(0o644)
    except OSError as error:
        raise explain(error, "write", path) from error
    return backup


def _back_up(present: bytes, folder: Path, change: Change) -> Path:
    """Keep the present file under the first free second from the change on; the same content is kept once."""
    make_folder(folder)
    folder.chmod(0o755)
    at = dt.datetime.fromisoformat(change.timestamp)
    while True:
        path = folder / f"chronos_{change.subject.part}_{at:%Y%m%d_%H%M%S}.json"
        if not path.exists():
            write_file(path, present)
            path.chmod(0o644)
            return path
        if path.read_bytes() == present:
            return path
        at += dt.timedelta(seconds=1)
