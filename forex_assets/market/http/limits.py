"""How often a service may be asked: over all threads and ingestions of the process, and all processes of a home."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from forex_assets.errors import StoreError
from forex_assets.store.locks import FileLock

_LOG = logging.getLogger(__name__)
_LOCK_TIMEOUT_S = 10.0


class RateLimit:
    """Spaces requests evenly, over all threads.

    Parameters
    ----------
    per_second:
        Requests allowed in a second.
    clock, sleep:
        Where time comes from and how to wait; tests give their own.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1.0 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = -math.inf

    def wait(self) -> None:
        """Return when the next request may be made."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


_LIMITS: dict[tuple[str, float], RateLimit] = {}
_LIMITS_GUARD = threading.Lock()


def shared_limit(base_url: str, per_second: float) -> RateLimit:
    """Return the process's one limiter for a service, so that several ingestions together keep its limit."""
    with _LIMITS_GUARD:
        return _LIMITS.setdefault((base_url, per_second), RateLimit(per_second))


class Pace:
    """The limits of all services, kept by all processes that share a folder.

    Parameters
    ----------
    folder:
        Where the moment of each service's last request is noted, or None to heed this process only.
    clock, sleep:
        A clock that all processes share, and how to wait; tests give their own.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._sleep = sleep

    def wait(self, host: str, per_second: float) -> None:
        """Return when a host may be asked; who cannot be told of other processes' requests heeds its own."""
        shared_limit(host, per_second).wait()
        if self._folder is None:
            return
        path = self._folder / hashlib.sha256(host.encode()).hexdigest()[:16]
        try:
            with FileLock(path.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S):
                gone = self._clock() - _last(path)
                if 0 <= gone < 1 / per_second:  # one to come is of a clock that began anew
                    self._sleep(1 / per_second - gone)
                path.write_text(repr(self._clock()), encoding="ascii")
        except (StoreError, OSError) as error:
            _LOG.warning("Other processes cannot be told of this request: %s", error)


def _last(path: Path) -> float:
    with contextlib.suppress(OSError, ValueError):  # none yet, or cut off by a crash: nobody need wait
        return float(path.read_text(encoding="ascii"))
    return -math.inf
