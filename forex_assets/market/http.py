"""One HTTP client for all live providers: time-outs, retries with jitter, size limit, disk cache, dead hosts.

Every failure becomes a :class:`~forex_assets.errors.SourceError` that says what happened and never holds a URL's
query, so credentials cannot reach an error, a log or a cache key. A host that cannot be reached is asked once: whoever
asks next, from any thread, gets the first answer at once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx
import tenacity

from forex_assets.errors import SourceError
from forex_assets.settings import HttpSettings

_LOG = logging.getLogger(__name__)
_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
_TROUBLE_LIMIT = 2
_WHOLE_ANSWER_READS = 4
_STALL_READS = 2
_LATER = "try again later; what is stored stays in use."
_USER_AGENT = "forex_assets"
_CACHE_REMEDY = "nothing: the answer is used, only the next one costs a request again."


@dataclass(frozen=True, slots=True)
class Payload:
    """A JSON answer, the SHA-256 of its bytes, when it was fetched, and whether from the disk cache."""

    body: Any
    sha256: str
    retrieved_at: dt.datetime
    from_cache: bool = False


class UnreachableError(SourceError):
    """The host could not be reached at all; asking it again in this ingestion is pointless."""


class _TransientError(SourceError):
    """A failure that another attempt may cure."""


class _StalledError(_TransientError):
    """The host took the connection and then did not answer in time."""


@dataclass
class _Host:
    """What is known of one host in this ingestion."""

    first_contact: threading.Lock = field(default_factory=threading.Lock)
    contacted: bool = False
    down: str | None = None
    troubles: int = 0


class HttpGateway:
    """Fetches JSON for all sources of one ingestion.

    Parameters
    ----------
    http:
        Time-outs, attempts, back-off and size limit.
    cache_dir:
        Folder of the disk cache, or None for none.
    now:
        The moment of the ingestion; stamped on fresh answers and compared with cached ones.
    transport:
        An httpx transport instead of the network, for tests of the client itself.
    """

    def __init__(
        self,
        http: HttpSettings,
        *,
        cache_dir: Path | None,
        now: dt.datetime,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = http
        self._cache_dir = cache_dir
        self._now = now
        self._hosts: dict[str, _Host] = {}
        self._guard = threading.Lock()
        self._client: httpx.Client | None = None
        self._transport = transport

    def get_json(self, url: str, *, label: str, params: Mapping[str, str] | None = None) -> Payload:
        """Return the JSON a URL answers.

        Parameters
        ----------
        url:
            Without credentials; those go into ``params``.
        label:
            How the request is called in errors, for example ``mindicador dolar/2025``.
        params:
            Query parameters; they enter no error, log or cache key.

        Raises
        ------
        SourceError
            When the host is unreachable, stalls, refuses, or answers anything but whole JSON.
        """
        host = self._host(url)
        with host.first_contact:
            if not host.contacted:
                try:
                    self._reach(url)
                    return self._ask(url, host, label, params)
                finally:
                    host.contacted = True
        return self._ask(url, host, label, params)

    def cached(self, key: str, *, not_before: dt.datetime) -> Payload | None:
        """Return the answer kept under ``key`` if it was fetched at or after ``not_before``, else None."""
        path = self._cache_path(key)
        if path is None or not path.is_file():
            return None
        try:
            entry = json.loads(path.read_bytes())
            retrieved = dt.datetime.fromisoformat(entry["retrieved_at"])
            payload = Payload(entry["body"], str(entry["sha256"]), retrieved, from_cache=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("A cached answer is unreadable and will be fetched again: %s (%s)", path.name, error)
            return None
        return payload if retrieved >= not_before else None

    def keep(self, key: str, payload: Payload) -> None:
        """Keep an answer under ``key``; a cache that cannot be written is logged and costs the next run a request."""
        path = self._cache_path(key)
        if path is None:
            return
        entry = {
            "key": key,
            "retrieved_at": payload.retrieved_at.isoformat(),
            "sha256": payload.sha256,
            "body": payload.body,
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(entry, stream)
            Path(name).replace(path)
        except OSError as error:
            _LOG.warning("The HTTP cache cannot be written: %s. Remedy: %s", error.strerror or error, _CACHE_REMEDY)

    def _host(self, url: str) -> _Host:
        parsed = httpx.URL(url)
        with self._guard:
            return self._hosts.setdefault(f"{parsed.host}:{parsed.port or parsed.scheme}", _Host())

    def _ask(self, url: str, host: _Host, label: str, params: Mapping[str, str] | None) -> Payload:
        if host.down is not None:
            raise _unreachable(host.down)
        retrying = tenacity.Retrying(
            # A host that stalls is not worth as many attempts as one that refuses at once.
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._http.attempts),
                tenacity.stop_after_delay(_STALL_READS * self._http.read_timeout_s),
            ),
            wait=tenacity.wait_exponential_jitter(
                initial=self._http.backoff_initial_s, max=self._http.backoff_max_s, jitter=self._http.backoff_initial_s
            ),
            retry=tenacity.retry_if_exception_type(_TransientError),
            reraise=True,
        )
        try:
            payload: Payload = retrying(self._once, url, label, params)
        except UnreachableError as error:
            host.down = error.message
            raise
        except _TransientError as error:
            host.troubles += 1
            if isinstance(error, _StalledError) or host.troubles >= _TROUBLE_LIMIT:
                host.down = error.message
            raise SourceError(error.message, remedy=error.remedy) from None
        host.troubles = 0
        return payload

    def _once(self, url: str, label: str, params: Mapping[str, str] | None) -> Payload:
        status, raw = self._download(url, label, params)
        if status in _RETRIED_STATUS:
            raise _TransientError(f"{label}: the server answered HTTP {status}.", remedy=_LATER)
        if status != 200:
            raise SourceError(
                f"{label}: the server answered HTTP {status}.",
                remedy="check the provider's address in platform.yaml; the provider may have moved.",
            )
        return Payload(_parse_json(raw, label), hashlib.sha256(raw).hexdigest(), self._now)

    def _download(self, url: str, label: str, params: Mapping[str, str] | None) -> tuple[int, bytes]:
        host = httpx.URL(url).host
        limit = int(self._http.max_response_mb * 1_000_000)
        seconds = _WHOLE_ANSWER_READS * self._http.read_timeout_s
        deadline = time.monotonic() + seconds
        # An httpx error carries the request and with it the query, so none is chained: each becomes a failure that is
        # raised outside the handler.
        failure: SourceError
        try:
            with self._session().stream("GET", url, params=params) as response:
                parts: list[bytes] = []
                size = 0
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise _too_long(label, self._http.max_response_mb)
                    if time.monotonic() > deadline:
                        raise _stalled(label, seconds)
                return response.status_code, b"".join(parts)
        except httpx.ConnectTimeout:
            failure = _unreachable(f"{host} did not take a connection within {self._http.connect_timeout_s:g} s.")
        except httpx.ConnectError as error:
            failure = _unreachable(f"{host} cannot be reached: {_plain(error)}.")
        except httpx.TimeoutException:
            failure = _stalled(label, self._http.read_timeout_s)
        except httpx.RemoteProtocolError as error:
            failure = _TransientError(f"{label}: the answer broke off ({_plain(error)}).", remedy=_LATER)
        except httpx.HTTPError as error:
            failure = _TransientError(f"{label}: the exchange failed ({_plain(error)}).", remedy=_LATER)
        raise failure

    def _session(self) -> httpx.Client:
        with self._guard:
            if self._client is None:
                self._client = httpx.Client(
                    timeout=httpx.Timeout(self._http.read_timeout_s, connect=self._http.connect_timeout_s),
                    headers={"User-Agent": _USER_AGENT, "Accept": "application/json"},
                    follow_redirects=False,
                    transport=self._transport,
                )
            return self._client

    def close(self) -> None:
        """Close the connections; the gateway opens new ones if it is used again."""
        with self._guard:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> HttpGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reach(self, url: str) -> None:
        """Give up on a name that does not resolve in time: the system's own resolver has no time-out to set."""
        parsed = httpx.URL(url)
        host = self._host(url)
        if self._transport is not None or (getproxies() and not proxy_bypass(parsed.host)):
            return
        outcome: list[str | None] = []

        def look_up() -> None:
            try:
                socket.getaddrinfo(parsed.host, parsed.port or 443)
                outcome.append(None)
            except OSError as error:
                outcome.append(str(error.strerror or error))

        thread = threading.Thread(target=look_up, daemon=True, name="resolve")
        thread.start()
        thread.join(self._http.connect_timeout_s)
        if not outcome:
            host.down = f"{parsed.host} did not resolve within {self._http.connect_timeout_s:g} s."
        elif outcome[0] is not None:
            host.down = f"{parsed.host} cannot be reached: {outcome[0]}."

    def _cache_path(self, key: str) -> Path | None:
        if self._cache_dir is None:
            return None
        return self._cache_dir / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _parse_json(raw: bytes, label: str) -> Any:
    if not raw.strip():
        raise _TransientError(f"{label}: the answer is empty.", remedy=_LATER)
    if raw.lstrip()[:1] == b"<":
        raise SourceError(
            f"{label}: the answer is HTML instead of JSON.",
            remedy="the provider shows an error or maintenance page; try again later, or check its address.",
        )
    try:
        return json.loads(raw.decode("utf-8-sig", errors="replace"))
    except ValueError:
        raise _TransientError(f"{label}: the answer of {len(raw)} bytes is not whole JSON.", remedy=_LATER) from None


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
