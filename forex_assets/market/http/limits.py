"""How often a service may be asked, over all threads and ingestions of the process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


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
