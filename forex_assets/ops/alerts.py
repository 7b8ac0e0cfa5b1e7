"""The alert outbox: one JSON line per alert, appended and synced under a lock, never rewritten.

The outbox is the truth about what was raised; delivery reads it. An alert repeats its predecessor when it carries the
same key within the cool-down and is not more severe; repeats are not written, so that one lasting fault is one alert
(L10). A line that cannot be read is reported with its number and left where it is.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forex_assets.errors import StoreError, ValidationError
from forex_assets.ops.secrets import redact
from forex_assets.settings import Settings
from forex_assets.store import naming
from forex_assets.store.locks import FileLock

SEVERITIES = ("info", *naming.SEVERITIES)
FORMAT_VERSION = 1
_TEXT_FIELDS = ("kind", "severity", "title", "body", "key")


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person should know.

    Parameters
    ----------
    kind:
        What sort of event, for example ``run_failure`` or ``stale_data``.
    severity:
        One of :data:`SEVERITIES`.
    pair:
        The pair it is about, or None.
    title, body:
        One line, and the details with their figures; secrets are masked when the alert is queued.
    key:
        Identifies the fault rather than the event: two alerts with one key are about the same thing.
    created_at:
        When it was raised, zone-aware.

    Raises
    ------
    ValidationError
        When the severity is unknown, a text is empty or no text, or ``created_at`` has no zone.
    """

    kind: str
    severity: str
    pair: str | None
    title: str
    body: str
    key: str
    created_at: dt.datetime

    def __post_init__(self) -> None:
        for name in (*_TEXT_FIELDS, *(() if self.pair is None else ("pair",))):
            value = getattr(self, name)
            if not isinstance(value, str) or not (value.strip() or name == "body"):
                raise ValidationError(f"Alert field {name} is {value!r}; it must be a text.", remedy="give it a value.")
        naming.validate_severity(self.severity, SEVERITIES, "Alert severity")
        if not isinstance(self.created_at, dt.datetime) or self.created_at.utcoffset() is None:
            raise ValidationError(
                f"Alert time {self.created_at!r} is not an instant with a time zone.", remedy="pass an aware datetime."
            )


@dataclass(frozen=True, slots=True)
class CorruptLine:
    """A line of the outbox that is not an alert: its number (from 1), what it holds, and why it is refused."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutboxContent:
    """What the outbox holds, oldest first: alerts with their line numbers, and every line that is not one."""

    alerts: tuple[tuple[int, Alert], ...]
    corrupt: tuple[CorruptLine, ...]


class Outbox:
    """An append-only file of alerts.

    Parameters
    ----------
    path:
        The file; made with mode 600 on the first alert.
    cooldown:
        How long an alert silences its repeats.
    lock_timeout_s:
        How long to wait for another writer, in seconds.
    """

    def __init__(self, path: Path, *, cooldown: dt.timedelta = dt.timedelta(hours=24), lock_timeout_s: float = 10.0):
        if cooldown < dt.timedelta(0):
            raise ValidationError(f"The cool-down {cooldown} is negative.", remedy="use zero or more.")
        self.path = path
        self.cooldown = cooldown
        self._lock_timeout_s = lock_timeout_s

    @classmethod
    def from_settings(cls, settings: Settings) -> Outbox:
        """Return the platform's outbox."""
        alerts = settings.platform.alerts
        return cls(settings.home / alerts.outbox, cooldown=dt.timedelta(hours=alerts.cooldown_hours))

    def append(self, alert: Alert) -> bool:
        """Queue an alert; return False when it repeats one still in its cool-down.

        The line is on disk when this returns. Concurrent writers, in this process or others, wait for each other.

        Raises
        ------
        StoreError
            When the outbox cannot be written; what it held is untouched.
        """
        line = _encode(alert)
        with FileLock(self._lock_path, self._lock_timeout_s):
            data = self._read_bytes()
            if self._is_repeat(alert, data):
                return False
            # A line torn by a crash is closed first, so that it spoils no line but its own.
            torn = bool(data) and not data.endswith(b"\n")
            try:
                _append_synced(self.path, (b"\n" if torn else b"") + line)
            except OSError as error:
                raise self._explain(error, "write") from error
        return True

    def read(self, limit: int | None = None) -> OutboxContent:
        """Return the newest ``limit`` alerts (default: all), oldest first, and every line that cannot be read.

        Raises
        ------
        StoreError
            When the file cannot be read.
        """
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ValidationError(f"Alert limit {limit!r} is not a positive whole number.", remedy="use 1 or more.")
        data = self._read_bytes()
        if data and not data.endswith(b"\n"):
            # Either a writer is in the middle of the last line, or it died there: waiting for the lock tells which.
            with FileLock(self._lock_path, self._lock_timeout_s):
                data = self._read_bytes()
        alerts: list[tuple[int, Alert]] = []
        corrupt: list[CorruptLine] = []
        for number, raw in enumerate(data.split(b"\n"), start=1):
            if not raw.strip():
                continue
            try:
                alerts.append((number, _decode(raw)))
            except (ValueError, ValidationError) as error:
                corrupt.append(CorruptLine(number, redact(raw.decode("utf-8", "replace")), str(error)))
        return OutboxContent(tuple(alerts if limit is None else alerts[-limit:]), tuple(corrupt))

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def _is_repeat(self, alert: Alert, data: bytes) -> bool:
        # Only lines that hold the key are parsed: the outbox grows, one key stays rare.
        needle = json.dumps(redact(alert.key)).encode()
        for raw in data.split(b"\n"):
            if needle not in raw:
                continue
            try:
                earlier = _decode(raw)
            except (ValueError, ValidationError):
                continue  # a corrupt line silences nothing; read() reports it
            if (
                earlier.key == redact(alert.key)
                and abs(alert.created_at - earlier.created_at) < self.cooldown
                and SEVERITIES.index(alert.severity) <= SEVERITIES.index(earlier.severity)
            ):
                return True
        return False

    def _read_bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._explain(error, "read") from error

    def _explain(self, error: OSError, action: str) -> StoreError:
        return StoreError(
            f"Cannot {action} the alert outbox {self.path}: {error.strerror or error}.",
            remedy="make it a file of yours in a folder you can write, with space left on its disk.",
        )


def _append_synced(path: Path, data: bytes) -> None:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new and os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _encode(alert: Alert) -> bytes:
    body: dict[str, Any] = {
        "v": FORMAT_VERSION,
        "created_at": alert.created_at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "kind": redact(alert.kind),
        "severity": alert.severity,
        "pair": alert.pair,
        "title": redact(alert.title),
        "body": redact(alert.body),
        "key": redact(alert.key),
    }
    return json.dumps(body, ensure_ascii=True).encode() + b"\n"


def _decode(raw: bytes) -> Alert:
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError(f"a line must hold an object, not {type(body).__name__}")
    if body.get("v") != FORMAT_VERSION:
        raise ValueError(f"format version {body.get('v')!r} is not {FORMAT_VERSION}")
    missing = [name for name in (*_TEXT_FIELDS, "pair", "created_at") if name not in body]
    if missing:
        raise ValueError(f"fields missing: {', '.join(missing)}")
    if not isinstance(body["created_at"], str):
        raise ValueError(f"created_at {body['created_at']!r} is not a text")
    return Alert(
        kind=body["kind"],
        severity=body["severity"],
        pair=body["pair"],
        title=body["title"],
        body=body["body"],
        key=body["key"],
        created_at=dt.datetime.fromisoformat(body["created_at"]),
    )
