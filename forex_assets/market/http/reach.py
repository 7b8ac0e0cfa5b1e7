"""Looking hosts up before they are asked: all that may be wanted at once, so that dead ones cost the time of one."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx


def host_key(url: str) -> str:
    """Return host and port of an address."""
    parsed = httpx.URL(url)
    return f"{parsed.host}:{parsed.port or parsed.scheme}"


@dataclass
class Probe:
    """Whether a host can be reached, found out in the background."""

    host: str
    timeout_s: float
    done: threading.Event
    give_up_at: float
    trouble: str | None = None

    def wait(self) -> None:
        """Return when it is known, or the time for it is over."""
        self.done.wait(max(0.0, self.give_up_at - time.monotonic()))

    def verdict(self) -> str | None:
        """Return what keeps the host from being reached as far as is known now, or None."""
        if self.done.is_set():
            return self.trouble
        if time.monotonic() >= self.give_up_at:
            return f"{self.host} cannot be reached within {self.timeout_s:g} s."
        return None


class Probes:
    """The hosts of one ingestion that may be wanted, and what is known of them.

    Parameters
    ----------
    timeout_s:
        How long taking a connection may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._expected: dict[str, str] = {}
        self._probes: dict[str, Probe] = {}
        self._guard = threading.Lock()

    def expect(self, urls: Iterable[str]) -> None:
        """Name addresses that may be asked."""
        with self._guard:
            for url in urls:
                self._expected.setdefault(host_key(url), url)

    def trouble(self, url: str) -> str | None:
        """Return what keeps a host from being reached, or None; the first call looks all expected hosts up."""
        with self._guard:
            wanted = {**self._expected, host_key(url): url}
            fresh = {key: each for key, each in wanted.items() if key not in self._probes and not _is_proxied(each)}
            for key, each in fresh.items():
                self._probes[key] = self._start(each)
            probe = self._probes.get(host_key(url))
        if probe is None:
            return None
        probe.wait()
        return probe.verdict()

    def take(self) -> dict[str, Probe]:
        """Return the look-ups made so far, by host, and forget them."""
        with self._guard:
            probes, self._probes = self._probes, {}
        return probes

    def _start(self, url: str) -> Probe:
        # The system's own resolver has no time-out to set, so it runs in a thread nobody waits for.
        parsed = httpx.URL(url)
        port = parsed.port or (80 if parsed.scheme == "http" else 443)
        seconds = self._timeout_s
        probe = Probe(parsed.host, seconds, threading.Event(), time.monotonic() + seconds)

        def look() -> None:
            try:
                with contextlib.closing(socket.create_connection((parsed.host, port), timeout=seconds)):
                    pass
            except TimeoutError:
                probe.trouble = f"{parsed.host} cannot be reached within {seconds:g} s."
            except OSError as error:
                probe.trouble = f"{parsed.host} cannot be reached: {error.strerror or error}."
            probe.done.set()

        threading.Thread(target=look, daemon=True, name=f"reach-{parsed.host}").start()
        return probe


def _is_proxied(url: str) -> bool:
    return bool(getproxies()) and not proxy_bypass(httpx.URL(url).host)
