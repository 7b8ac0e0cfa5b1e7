"""One HTTP client for all live providers: time-outs, retries, rate limits, circuit breaker, cache, dead hosts.

Every failure becomes a :class:`~forex_assets.errors.SourceError` that says what happened and never holds a URL's
query, so credentials cannot reach an error, a log or a cache key. A host that cannot be reached is asked once: whoever
asks next, from any thread, gets the first answer at once, and for some time so do the next ingestions of other
processes (the circuit is open; then one request, without retries, probes whether the host is back). Hosts that may be
wanted are looked up together, so that several dead ones cost the time of one.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import email.utils
import functools
import hashlib
import json
import logging
import math
import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.request import getproxies, proxy_bypass

import httpx
import tenacity

from forex_assets.errors import SourceError
from forex_assets.market.vintages.recording import note, note_cached
from forex_assets.ops.secrets import RedactingFilter
from forex_assets.settings import HttpSettings

Kind = Literal["json", "text", "bytes"]

_LOG = logging.getLogger(__name__)
_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
_NOT_MODIFIED = 304
_TOO_MANY = 429
_TROUBLE_LIMIT = 2
_WHOLE_ANSWER_READS = 4
_STALL_READS = 2
_LONGEST_PAUSE = dt.timedelta(hours=24)
_LATER = "try again later; what is stored stays in use."
_USER_AGENT = "forex_assets"
_CACHE_REMEDY = "nothing: the answer is used, only the next one costs a request again."
_NAMES = {"json": "JSON", "text": "a table", "bytes": "a file"}


@dataclass(frozen=True, slots=True)
class Payload:
    """An answer, the SHA-256 of its bytes, when it was fetched, whether from the disk cache, and its validators."""

    body: Any
    sha256: str
    retrieved_at: dt.datetime
    from_cache: bool = False
    etag: str | None = None
    last_modified: str | None = None


class UnreachableError(SourceError):
    """The host could not be reached at all; asking it again in this ingestion is pointless."""


class _TransientError(SourceError):
    """A failure that another attempt may cure."""


class _StalledError(_TransientError):
    """The host took the connection and then did not answer in time."""


class _BusyError(_TransientError):
    """The host said that it is asked too much, and perhaps how long to wait."""

    def __init__(self, message: str, *, remedy: str, wait_s: float | None = None, too_many: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.wait_s = wait_s
        self.too_many = too_many


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


@dataclass
class _Probe:
    """Whether a host can be reached, found out in the background."""

    done: threading.Event
    give_up_at: float
    trouble: str | None = None


@dataclass
class _Host:
    """What is known of one host in this ingestion."""

    name: str
    first_contact: threading.Lock = field(default_factory=threading.Lock)
    contacted: bool = False
    down: str | None = None
    troubles: int = 0
    openings: int = 0
    half_open: bool = False


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
        self._cache_dir = cache_dir
        self._now = now
        self._hosts: dict[str, _Host] = {}
        self._probes: dict[str, _Probe] = {}
        self._expected: dict[str, str] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._client: httpx.Client | None = None
        self._transport = transport
        self._sleep = sleep

    def expect(self, urls: Iterable[str]) -> None:
        """Name addresses that may be asked; the first request looks all their hosts up at once."""
        with self._guard:
            for url in urls:
                self._expected.setdefault(_host_key(url), url)

    def get_json(
        self, url: str, *, label: str, params: Mapping[str, str] | None = None, secrets: Sequence[str] = ()
    ) -> Payload:
        """Return the JSON a URL answers; see :meth:`get`."""
        return self.get(url, label=label, params=params, secrets=secrets)

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
            Requests a second the host allows, over all threads of the process.
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
        host = self._host(url)
        ask = functools.partial(
            self._ask, url, host, label, kind, params, headers, per_second, read_timeout_s, known, secrets
        )
        with host.first_contact:
            if not host.contacted:
                try:
                    self._recall(host)
                    if host.down is None:
                        self._reach(url, host)
                    return ask()
                finally:
                    host.contacted = True
        return ask()

    def give_up(self, url: str, why: str) -> None:
        """Ask this host no more for a while: it said, in whatever form, that its limit is used up."""
        host = self._host(url)
        self._open(host, why, _LONGEST_PAUSE / 24)

    @contextlib.contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Let one thread at a time look for the answer under ``key`` and ask: the others then find it kept."""
        with self._guard:
            lock = self._turns.setdefault(key, threading.Lock())
        with lock:
            yield

    def cached(self, key: str, *, not_before: dt.datetime, asked: str = "") -> Payload | None:
        """Return the answer kept under ``key`` to the question ``asked`` if fetched at or after ``not_before``."""
        path = self._cache_path(key)
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

    def keep(self, key: str, payload: Payload, *, asked: str = "") -> None:
        """Keep an answer under ``key``, in place of the one there; ``asked`` tells which question it answers.

        A cache that cannot be written is logged and costs the next run a request.
        """
        path = self._cache_path(key)
        if path is None:
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
        _write_json(path, entry)

    def _host(self, url: str) -> _Host:
        key = _host_key(url)
        with self._guard:
            return self._hosts.setdefault(key, _Host(key))

    def _ask(
        self,
        url: str,
        host: _Host,
        label: str,
        kind: Kind,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        per_second: float | None,
        read_timeout_s: float | None,
        known: Payload | None,
        secrets: Sequence[str],
    ) -> Payload:
        if host.down is not None:
            raise _unreachable(host.down)
        read_s = min(read_timeout_s or self._http.read_timeout_s, self._http.read_timeout_s)
        retrying = tenacity.Retrying(
            # A host that stalls is not worth as many attempts as one that refuses at once; one that was given up
            # before gets a single probe.
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(1 if host.half_open else self._http.attempts),
                tenacity.stop_after_delay(_STALL_READS * read_s),
            ),
            wait=self._pause,
            retry=tenacity.retry_if_exception(self._is_worth_another),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            payload: Payload = retrying(
                self._once, url, label, kind, params, headers, per_second, read_s, known, secrets
            )
        except UnreachableError as error:
            self._open(host, error.message)
            raise
        except _TransientError as error:
            host.troubles += 1
            wait_s = error.wait_s if isinstance(error, _BusyError) else None
            too_many = isinstance(error, _BusyError) and error.too_many
            if (
                wait_s is not None
                or too_many
                or host.half_open
                or isinstance(error, _StalledError)
                or host.troubles >= _TROUBLE_LIMIT
            ):
                self._open(host, error.message, None if wait_s is None else dt.timedelta(seconds=wait_s))
            raise SourceError(error.message, remedy=error.remedy) from None
        host.troubles = 0
        self._close_circuit(host)
        return payload

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Return how long to wait before the next attempt: what the host asked for, or a growing random pause."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _BusyError) and error.wait_s is not None:
            return error.wait_s
        backoff = tenacity.wait_exponential_jitter(
            initial=self._http.backoff_initial_s, max=self._http.backoff_max_s, jitter=self._http.backoff_initial_s
        )
        return float(backoff(state))

    def _is_worth_another(self, error: BaseException) -> bool:
        if isinstance(error, _BusyError) and error.wait_s is not None and error.wait_s > self._http.retry_after_max_s:
            return False
        return isinstance(error, _TransientError)

    def _once(
        self,
        url: str,
        label: str,
        kind: Kind,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        per_second: float | None,
        read_s: float,
        known: Payload | None,
        secrets: Sequence[str],
    ) -> Payload:
        if per_second is not None:
            shared_limit(_host_key(url), per_second).wait()
        asked = dict(headers or {})
        if known is not None and known.etag:
            asked["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            asked["If-Modified-Since"] = known.last_modified
        status, answered, raw = self._download(url, label, params, asked, read_s)
        if status == _NOT_MODIFIED and known is not None and (known.etag or known.last_modified):
            note_cached(label, known.sha256)
            return replace(known, retrieved_at=self._now, from_cache=True)
        if status in _RETRIED_STATUS:
            raise _BusyError(
                f"{label}: the server answered HTTP {status}.",
                remedy=_LATER,
                wait_s=self._retry_after(answered),
                too_many=status == _TOO_MANY,
            )
        if status != 200:
            raise SourceError(
                f"{label}: the server answered HTTP {status}.",
                remedy="check the provider's address in platform.yaml; the provider may have moved.",
            )
        note(label, raw, secrets=secrets)
        return Payload(
            parse_payload(raw, label, kind),
            hashlib.sha256(raw).hexdigest(),
            self._now,
            etag=answered.get("ETag"),
            last_modified=answered.get("Last-Modified"),
        )

    def _retry_after(self, answered: httpx.Headers) -> float | None:
        """Return the seconds ``Retry-After`` asks for, a number or a date; None where it says nothing readable."""
        text = (answered.get("Retry-After") or "").strip()
        if not text:
            return None
        try:
            seconds = float(text)
        except ValueError:
            try:
                until = email.utils.parsedate_to_datetime(text)
                sent = answered.get("Date")
                since = email.utils.parsedate_to_datetime(sent) if sent else self._now
                seconds = (until - since).total_seconds()
            except (ValueError, TypeError):
                return None
        if not math.isfinite(seconds):
            return None
        return min(max(seconds, 0.0), _LONGEST_PAUSE.total_seconds())

    def _download(
        self, url: str, label: str, params: Mapping[str, str] | None, headers: Mapping[str, str], read_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        host = httpx.URL(url).host
        limit = int(self._http.max_response_mb * 1_000_000)
        seconds = _WHOLE_ANSWER_READS * read_s
        deadline = time.monotonic() + seconds
        timeout = httpx.Timeout(read_s, connect=self._http.connect_timeout_s)
        # An httpx error carries the request and with it the query, so none is chained: each becomes a failure that is
        # raised outside the handler.
        failure: SourceError
        try:
            with self._session().stream("GET", url, params=params, headers=headers, timeout=timeout) as response:
                parts: list[bytes] = []
                size = 0
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise _too_long(label, self._http.max_response_mb)
                    if time.monotonic() > deadline:
                        raise _stalled(label, seconds)
                return response.status_code, response.headers, b"".join(parts)
        except httpx.ConnectTimeout:
            failure = _unreachable(f"{host} did not take a connection within {self._http.connect_timeout_s:g} s.")
        except httpx.ConnectError as error:
            failure = _unreachable(f"{host} cannot be reached: {_plain(error)}.")
        except httpx.TimeoutException:
            failure = _stalled(label, read_s)
        except httpx.RemoteProtocolError as error:
            failure = _TransientError(f"{label}: the answer broke off ({_plain(error)}).", remedy=_LATER)
        except httpx.HTTPError as error:
            failure = _TransientError(f"{label}: the exchange failed ({_plain(error)}).", remedy=_LATER)
        raise failure

    def _session(self) -> httpx.Client:
        with self._guard:
            if self._client is None:
                quiet_request_log()
                self._client = httpx.Client(
                    headers={"User-Agent": _USER_AGENT, "Accept": "application/json, text/csv;q=0.9, */*;q=0.5"},
                    follow_redirects=False,
                    transport=self._transport,
                    verify=_tls(),
                )
            return self._client

    def close(self) -> None:
        """Close the connections; the gateway opens new ones if it is used again.

        Hosts that were looked up, found dead and not asked are remembered too: the next ingestion need not wait.
        """
        with self._guard:
            client, self._client = self._client, None
            probes, self._probes = self._probes, {}
        if client is not None:
            client.close()
        for key, probe in probes.items():
            with self._guard:
                host = self._hosts.setdefault(key, _Host(key))
            if not host.contacted and host.down is None:
                self._recall(host)
                if host.down is None:
                    self._judge(host, probe)

    def __enter__(self) -> HttpGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reach(self, url: str, host: _Host) -> None:
        """Give up on a host that does not resolve or connect in time; all expected hosts are tried at once."""
        if self._transport is not None:
            return
        with self._guard:
            wanted = {**self._expected, _host_key(url): url}
            fresh = {key: each for key, each in wanted.items() if key not in self._probes and not _is_proxied(each)}
            for key, each in fresh.items():
                self._probes[key] = self._probe(each)
            probe = self._probes.get(_host_key(url))
        if probe is None:
            return
        probe.done.wait(max(0.0, probe.give_up_at - time.monotonic()))
        self._judge(host, probe)

    def _judge(self, host: _Host, probe: _Probe) -> None:
        if probe.done.is_set():
            if probe.trouble is not None:
                self._open(host, probe.trouble)
        elif time.monotonic() >= probe.give_up_at:
            name = host.name.rsplit(":", 1)[0]
            self._open(host, f"{name} cannot be reached within {self._http.connect_timeout_s:g} s.")

    def _probe(self, url: str) -> _Probe:
        # The system's own resolver has no time-out to set, so it runs in a thread nobody waits for.
        parsed = httpx.URL(url)
        port = parsed.port or (80 if parsed.scheme == "http" else 443)
        seconds = self._http.connect_timeout_s
        probe = _Probe(threading.Event(), time.monotonic() + seconds)

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

    def _recall(self, host: _Host) -> None:
        """Take over an open circuit left by an earlier ingestion; after its time one request may probe."""
        path = self._circuit_path(host)
        if path is None or not path.is_file():
            return
        try:
            entry = json.loads(path.read_bytes())
            opened, until = (dt.datetime.fromisoformat(entry[name]) for name in ("opened_at", "until"))
            why, host.openings = str(entry["why"]), int(entry["openings"])
            still_open = opened <= self._now < until  # a clock set back closes it
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("The record of an open circuit is unreadable and ignored: %s (%s)", path.name, error)
            return
        if still_open:
            host.down = f"{why} Not asked again before {until:%Y-%m-%d %H:%M} UTC."
        else:
            host.half_open = True

    def _open(self, host: _Host, why: str, pause: dt.timedelta | None = None) -> None:
        host.down = why
        host.openings += 1
        path = self._circuit_path(host)
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
        _write_json(path, entry)

    def _close_circuit(self, host: _Host) -> None:
        host.half_open = False
        if host.openings:
            host.openings = 0
            path = self._circuit_path(host)
            if path is not None:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _cache_path(self, key: str) -> Path | None:
        if self._cache_dir is None:
            return None
        return self._cache_dir / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def _circuit_path(self, host: _Host) -> Path | None:
        if self._cache_dir is None:
            return None
        return self._cache_dir / "circuits" / f"{hashlib.sha256(host.name.encode()).hexdigest()[:16]}.json"


def quiet_request_log() -> None:
    """Mask credentials in httpx's own log of requests, which holds whole URLs."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(item, RedactingFilter) for item in logger.filters):
        logger.addFilter(RedactingFilter())


def looks_like_html(text: str) -> bool:
    """Return whether an answer is a web page: an error or maintenance page instead of data."""
    return text.lstrip("\ufeff \t\r\n")[:1] == "<"


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the certificate authorities takes longer than most of a run's other steps: once a process.
    return httpx.create_ssl_context()


def _host_key(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.host}:{parsed.port or parsed.scheme}"


def _is_proxied(url: str) -> bool:
    return bool(getproxies()) and not proxy_bypass(httpx.URL(url).host)


def _write_json(path: Path, entry: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(entry, stream)
        Path(name).replace(path)
    except OSError as error:
        _LOG.warning("The HTTP cache cannot be written: %s. Remedy: %s", error.strerror or error, _CACHE_REMEDY)


def parse_payload(raw: bytes, label: str, kind: Kind) -> Any:
    """Return the bytes of an answer as JSON, text or bytes; an empty, HTML or broken one is a typed error."""
    if not raw.strip():
        raise _TransientError(f"{label}: the answer is empty.", remedy=_LATER)
    if looks_like_html(raw[:64].decode("utf-8", errors="replace")):
        raise SourceError(
            f"{label}: the answer is HTML instead of {_NAMES[kind]}.",
            remedy="the provider shows an error or maintenance page; try again later, or check its address.",
        )
    if kind == "bytes":
        return raw
    text = raw.decode("utf-8-sig", errors="replace")
    if kind == "text":
        return text
    try:
        return json.loads(text, object_pairs_hook=functools.partial(_object, label=label))
    except ValueError:
        raise _TransientError(f"{label}: the answer of {len(raw)} bytes is not whole JSON.", remedy=_LATER) from None


def _object(pairs: list[tuple[str, Any]], *, label: str) -> dict[str, Any]:
    """Return a JSON object; one that names something twice contradicts itself, whichever is the right one."""
    body = dict(pairs)
    if len(body) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(
            f"{label}: the answer names {twice[:40]!r} twice.", remedy="try again later; the next source serves."
        )
    return body


def _plain(error: Exception) -> str:
    text = str(error).split("?", 1)[0].strip().rstrip(".")
    return text or type(error).__name__


def _unreachable(what: str) -> UnreachableError:
    return UnreachableError(what, remedy="check the network, or set FOREX_OFFLINE=1 to ask no live provider.")


def _stalled(label: str, seconds: float) -> _StalledError:
    return _StalledError(f"{label}: no whole answer within {seconds:g} s.", remedy=_LATER)


def _too_long(label: str, megabytes: float) -> SourceError:
    return SourceError(
        f"{label}: the answer is longer than {megabytes:g} MB.",
        remedy="raise providers.http.max_response_mb in platform.yaml if the provider really sends that much.",
    )
