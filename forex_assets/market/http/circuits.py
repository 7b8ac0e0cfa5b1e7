"""Hosts that do not answer: given up at once for all threads, and for a while by the next ingestions.

A host that fails opens its circuit. While it is open nobody asks; afterwards one request, without retries, probes
whether the host is back: success closes the circuit, failure opens it for twice as long.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

from forex_assets.market.http.cache import write_json
from forex_assets.settings import HttpSettings

_LOG = logging.getLogger(__name__)
_AT_ONCE = dt.timedelta(seconds=30)


@dataclass
class Host:
    """What is known of one host in this ingestion."""

    name: str
    first_contact: threading.Lock = field(default_factory=threading.Lock)
    contacted: bool = False
    down: str | None = None
    troubles: int = 0
    openings: int = 0
    half_open: bool = False


class Circuits:
    """The open circuits, kept in a folder for other processes.

    Parameters
    ----------
    folder:
        Folder of the records, or None to keep none.
    http:
        How long a circuit stays open.
    now:
        The moment of the ingestion.
    """

    def __init__(self, folder: Path | None, http: HttpSettings, now: dt.datetime) -> None:
        self._folder = folder
        self._http = http
        self._now = now

    def recall(self, host: Host) -> None:
        """Take over an open circuit left by an earlier ingestion; after its time one request may probe."""
        path = self._path(host)
        if path is None or not path.is_file():
            return
        try:
            entry = json.loads(path.read_bytes())
            opened, until = (dt.datetime.fromisoformat(entry[name]) for name in ("opened_at", "until"))
            why, host.openings = str(entry["why"]), int(entry["openings"])
            # A clock set back closes it; an ingestion that began a little later may have opened it.
            still_open = opened - _AT_ONCE <= self._now < until
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("The record of an open circuit is unreadable and ignored: %s (%s)", path.name, error)
            return
        if still_open:
            host.down = f"{why} Not asked again before {until:%Y-%m-%d %H:%M} UTC."
        else:
            host.half_open = True

    def open(self, host: Host, why: str, pause: dt.timedelta | None = None) -> None:
        """Ask a host no more, for at least ``pause``; each time in a row for twice as long as before."""
        host.down = why
        host.openings += 1
        path = self._path(host)
        if path is None:
            return
        grown = min(self._http.circuit_open_s * 2 ** min(host.openings - 1, 16), self._http.circuit_open_max_s)
        until = self._now + max(pause or dt.timedelta(0), dt.timedelta(seconds=grown))
        entry = {
            "host": host.name,
            "why": why,
            "openings": host.openings,
            "opened_at": self._now.isoformat(),
            "until": until.isoformat(),
        }
        write_json(path, entry)

    def close(self, host: Host) -> None:
        """Forget that a host was down: it answered."""
        host.half_open = False
        if host.openings:
            host.openings = 0
            path = self._path(host)
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, host: Host) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{hashlib.sha256(host.name.encode()).hexdigest()[:16]}.json"
