"""The gateway of all live sources of one ingestion: asks politely, more than once where that helps, never a dead host.

A host that cannot be reached is asked once: whoever asks next, from any thread, gets the first answer at once, and for
some time so do the next ingestions of other processes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import tenacity

from forex_assets.errors import SourceError
from forex_assets.market.http.answers import Kind, Payload, parse_payload
from forex_assets.market.http.cache import AnswerCache
from forex_assets.market.http.circuits import Circuits, Host
from forex_assets.market.http.exchange import Exchange, retry_after_s
from forex_assets.market.http.failures import (
    LATER,
    BusyError,
    StalledError,
    TransientError,
    UnreachableError,
    unreachable,
)
from forex_assets.market.http.limits import Pace
from forex_assets.market.http.reach import Probes, host_key
from forex_assets.market.vintages.recording import note, note_cached
from forex_assets.settings import HttpSettings

_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
_NOT_MODIFIED = 304
_TOO_MANY = 429
_TROUBLE_LIMIT = 2
_STALL_READS = 2
_USED_UP = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Question:
    """One question to a provider; what the fields mean is told by :meth:`HttpGateway.get`."""

    url: str
    label: str
    kind: Kind
    params: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    per_second: float | None
    read_s: float
    known: Payload | None
    secrets: Sequence[str]


class HttpGateway:
    """Fetches for all sources of one ingestion.

    Parameters
    ----------
    http:
        Time-outs, attempts, back-off, size limit, and how long a circuit stays open.
    cache_dir:
        Folder of the disk cache and of open circuits, or None for neither.
    now:
        The moment of the ingestion; stamped on fresh answers and compared with cached ones.
    transport:
        An httpx transport instead of the network, for tests of the client itself.
    sleep:
        How to wait between attempts; tests give their own.
    """

    def __init__(
        self,
        http: HttpSettings,
        *,
        cache_dir: Path | None,
        now: dt.datetime,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._now = now
        self._sleep = sleep
        self._exchange = Exchange(http, transport)
        self._cache = AnswerCache(cache_dir)
        self._circuits = Circuits(None if cache_dir is None else cache_dir / "circuits", http, now)
        self._pace = Pace(None if cache_dir is None else cache_dir / "limits")
        self._probes = Probes(http.connect_timeout_s)
        self._is_probing = transport is None
        self._hosts: dict[str, Host] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._failures: dict[tuple[str, str], SourceError] = {}
        self._guard = threading.Lock()

    def expect(self, urls: Iterable[str]) -> None:
        """Name addresses that may be asked; the first request looks all their hosts up at once."""
        self._probes.expect(urls)

    def get(
        self,
        url: str,
        *,
        label: str,
        kind: Kind = "json",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        per_second: float | None = None,
        read_timeout_s: float | None = None,
        known: Payload | None = None,
        secrets: Sequence[str] = (),
    ) -> Payload:
        """Return what a URL answers.

        Parameters
        ----------
        url:
            Without credentials; those go into ``params`` or ``headers``.
        label:
            How the request is called in errors, for example ``mindicador dolar/2025``.
        kind:
            ``json`` (parsed), ``text`` or ``bytes``.
        params, headers:
            Query parameters and request headers; they enter no error, log or cache key.
        per_second:
            Requests a second the host allows, over all threads, and all processes with the same cache.
        read_timeout_s:
            Time-out of this provider where it is shorter than the configured one.
        known:
            An answer held already. Where it has validators the request is conditional, and if nothing has changed
            that answer comes back, fetched now.
        secrets:
            Credentials of the request; an answer that repeats one is kept with it masked.

        Raises
        ------
        SourceError
            When the host is unreachable, stalls, refuses, or answers anything but what is expected, whole.
        """
        host = self._host(host_key(url))
        read_s = min(read_timeout_s or self._http.read_timeout_s, self._http.read_timeout_s)
        question = _Question(url, label, kind, params, headers, per_second, read_s, known, secrets)
        with host.first_contact:
            if not host.contacted:
                try:
                    self._circuits.recall(host)
                    if host.down is None and self._is_probing:
                        self._give_up_on(host, self._probes.trouble(url))
                    return self._ask(question, host)
                finally:
                    host.contacted = True
        if host.down is None:
            self._circuits.recall(host)  # another process may have found it dead meanwhile
        return self._ask(question, host)

    def give_up(self, url: str, why: str) -> None:
        """Ask this host no more for a while: it said, in whatever form, that its limit is used up."""
        self._circuits.open(self._host(host_key(url)), why, _USED_UP)

    @contextlib.contextmanager
    def turn(self, key: str, asked: str = "") -> Iterator[None]:
        """Let one at a time, of all threads and processes, look for the answer under ``key`` and ask.

        The others then find it kept. A question that failed is not asked again in this ingestion: it fails as before.

        Raises
        ------
        SourceError
            When the question ``asked`` failed before.
        """
        with self._guard:
            lock = self._turns.setdefault(key, threading.Lock())
        with lock, self._cache.alone(key, timeout_s=_STALL_READS * self._http.read_timeout_s):
            failure = self._failures.get((key, asked))
            if failure is not None:
                raise type(failure)(failure.message, remedy=failure.remedy)
            try:
                yield
            except SourceError as error:
                self._failures[key, asked] = error
                raise

    def cached(self, key: str, *, not_before: dt.datetime, asked: str = "") -> Payload | None:
        """Return the answer kept under ``key`` to the question ``asked`` if fetched at or after ``not_before``."""
        return self._cache.get(key, not_before=not_before, asked=asked)

    def keep(self, key: str, payload: Payload, *, asked: str = "", on_disk: bool = True) -> None:
        """Keep an answer under ``key``, in place of the one there; ``asked`` tells which question it answers.

        What must not be on disk is kept for this ingestion. A cache that cannot be written is logged and costs the
        next run a request.
        """
        self._cache.keep(key, payload, asked=asked, on_disk=on_disk)

    def close(self) -> None:
        """Close the connections; the gateway opens new ones if it is used again.

        Hosts that were looked up, found dead and not asked are remembered too: the next ingestion need not wait.
        """
        self._exchange.close()
        for key, probe in self._probes.take().items():
            host = self._host(key)
            if not host.contacted and host.down is None:
                self._circuits.recall(host)
                if host.down is None:
                    self._give_up_on(host, probe.verdict())

    def __enter__(self) -> HttpGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _host(self, key: str) -> Host:
        with self._guard:
            return self._hosts.setdefault(key, Host(key))

    def _give_up_on(self, host: Host, trouble: str | None) -> None:
        if trouble is not None:
            self._circuits.open(host, trouble)

    def _ask(self, question: _Question, host: Host) -> Payload:
        if host.down is not None:
            raise unreachable(host.down)
        retrying = tenacity.Retrying(
            # A host that stalls is not worth as many attempts as one that refuses at once; one that was given up
            # before gets a single probe.
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(1 if host.half_open else self._http.attempts),
                tenacity.stop_after_delay(_STALL_READS * question.read_s),
            ),
            wait=self._pause,
            retry=tenacity.retry_if_exception(self._is_worth_another),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            payload: Payload = retrying(self._once, question)
        except UnreachableError as error:
            self._circuits.open(host, error.message)
            raise
        except TransientError as error:
            host.troubles += 1
            wait_s = error.wait_s if isinstance(error, BusyError) else None
            too_many = isinstance(error, BusyError) and error.too_many
            if (
                wait_s is not None
                or too_many
                or host.half_open
                or isinstance(error, StalledError)
                or host.troubles >= _TROUBLE_LIMIT
            ):
                self._circuits.open(host, error.message, None if wait_s is None else dt.timedelta(seconds=wait_s))
            raise SourceError(error.message, remedy=error.remedy) from None
        host.troubles = 0
        self._circuits.close(host)
        return payload

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Return how long to wait before the next attempt: what the host asked for, or a growing random pause."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, BusyError) and error.wait_s is not None:
            return error.wait_s
        backoff = tenacity.wait_exponential_jitter(
            initial=self._http.backoff_initial_s, max=self._http.backoff_max_s, jitter=self._http.backoff_initial_s
        )
        return float(backoff(state))

    def _is_worth_another(self, error: BaseException) -> bool:
        if isinstance(error, BusyError) and error.wait_s is not None and error.wait_s > self._http.retry_after_max_s:
            return False
        return isinstance(error, TransientError)

    def _once(self, question: _Question) -> Payload:
        label, known = question.label, question.known
        if question.per_second is not None:
            self._pace.wait(host_key(question.url), question.per_second)
        headers = dict(question.headers or {})
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        status, answered, raw = self._exchange.download(question.url, label, question.params, headers, question.read_s)
        if status == _NOT_MODIFIED and known is not None and (known.etag or known.last_modified):
            note_cached(label, known.sha256)
            return replace(known, retrieved_at=self._now, from_cache=True)
        if status in _RETRIED_STATUS:
            raise BusyError(
                f"{label}: the server answered HTTP {status}.",
                remedy=LATER,
                wait_s=retry_after_s(answered, self._now),
                too_many=status == _TOO_MANY,
            )
        if status != 200:
            raise SourceError(
                f"{label}: the server answered HTTP {status}.",
                remedy="check the provider's address in platform.yaml; the provider may have moved.",
            )
        note(label, raw, secrets=question.secrets)
        return Payload(
            parse_payload(raw, label, question.kind),
            hashlib.sha256(raw).hexdigest(),
            self._now,
            etag=answered.get("ETag"),
            last_modified=answered.get("Last-Modified"),
        )
