"""Answers kept on disk, each with the question it answers and when it was fetched."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from forex_assets.errors import StoreError
from forex_assets.market.http.answers import Payload
from forex_assets.store.locks import FileLock

_LOG = logging.getLogger(__name__)
_REMEDY = "nothing: the answer is used, only the next one costs a request again."


class AnswerCache:
    """The answers of one folder, and in memory those kept through this object.

    Parameters
    ----------
    folder:
        Where they are, or None to keep none on disk.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: dict[tuple[str, str], Payload] = {}

    def get(self, key: str, *, not_before: dt.datetime, asked: str = "") -> Payload | None:
        """Return the answer kept under ``key`` to the question ``asked`` if fetched at or after ``not_before``."""
        kept = self._kept.get((key, asked))
        if kept is not None and kept.retrieved_at >= not_before:
            return replace(kept, from_cache=True)
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            entry = json.loads(path.read_bytes())
            if entry.get("asked", "") != asked:
                return None
            retrieved = dt.datetime.fromisoformat(entry["retrieved_at"])
            body = base64.b64decode(entry["bytes"]) if "bytes" in entry else entry["body"]
            payload = Payload(
                body,
                str(entry["sha256"]),
                retrieved,
                from_cache=True,
                etag=entry.get("etag"),
                last_modified=entry.get("last_modified"),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("A cached answer is unreadable and will be fetched again: %s (%s)", path.name, error)
            return None
        return payload if retrieved >= not_before else None

    def keep(self, key: str, payload: Payload, *, asked: str = "", on_disk: bool = True) -> None:
        """Keep an answer under ``key``, in place of the one there; ``asked`` tells which question it answers.

        A cache that cannot be written is logged and costs the next run a request.
        """
        self._kept[key, asked] = payload
        path = self._path(key)
        if path is None or not on_disk:
            return
        held = isinstance(payload.body, bytes)
        entry = {
            "key": key,
            "asked": asked,
            "retrieved_at": payload.retrieved_at.isoformat(),
            "sha256": payload.sha256,
            "etag": payload.etag,
            "last_modified": payload.last_modified,
            ("bytes" if held else "body"): base64.b64encode(payload.body).decode() if held else payload.body,
        }
        write_json(path, entry)

    @contextlib.contextmanager
    def alone(self, key: str, *, timeout_s: float) -> Iterator[None]:
        """Keep other processes from looking for the answer under ``key``; where that cannot be, go on without."""
        path = self._path(key)
        with contextlib.ExitStack() as stack:
            if path is not None:
                try:
                    stack.enter_context(FileLock(path.parent / "turns" / path.stem, timeout=timeout_s))
                except StoreError as error:
                    _LOG.warning("Another process may ask the same: %s Remedy: %s", error.message, _REMEDY)
            yield

    def _path(self, key: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def write_json(path: Path, entry: Mapping[str, Any]) -> None:
    """Replace a file of the cache; one that cannot be written is logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(entry, stream)
        Path(name).replace(path)
    except OSError as error:
        _LOG.warning("The HTTP cache cannot be written: %s. Remedy: %s", error.strerror or error, _REMEDY)
