"""One request and its answer: connections, time-outs, the limit on size, and httpx's failures as typed ones."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import logging
import math
import ssl
import threading
import time
from collections.abc import Mapping

import httpx

from forex_assets.errors import SourceError
from forex_assets.market.http.failures import LATER, TransientError, stalled, unreachable
from forex_assets.ops.secrets import RedactingFilter
from forex_assets.settings import HttpSettings

LONGEST_PAUSE = dt.timedelta(hours=24)
_WHOLE_ANSWER_READS = 4
_USER_AGENT = "forex_assets"


class Exchange:
    """The connections of one ingestion.

    Parameters
    ----------
    http:
        Time-outs and size limit.
    transport:
        An httpx transport instead of the network, for tests.
    """

    def __init__(self, http: HttpSettings, transport: httpx.BaseTransport | None = None) -> None:
        self._http = http
        self._transport = transport
        self._client: httpx.Client | None = None
        self._guard = threading.Lock()

    def download(
        self, url: str, label: str, params: Mapping[str, str] | None, headers: Mapping[str, str], read_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and bytes of what a URL answers.

        Raises
        ------
        SourceError
            When the host cannot be reached, stalls, breaks off, or answers more than is allowed.
        """
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
                        raise stalled(label, seconds)
                return response.status_code, response.headers, b"".join(parts)
        except httpx.ConnectTimeout:
            failure = unreachable(f"{host} did not take a connection within {self._http.connect_timeout_s:g} s.")
        except httpx.ConnectError as error:
            failure = unreachable(f"{host} cannot be reached: {_plain(error)}.")
        except httpx.TimeoutException:
            failure = stalled(label, read_s)
        except httpx.RemoteProtocolError as error:
            failure = TransientError(f"{label}: the answer broke off ({_plain(error)}).", remedy=LATER)
        except httpx.HTTPError as error:
            failure = TransientError(f"{label}: the exchange failed ({_plain(error)}).", remedy=LATER)
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
        """Close the connections; new ones are opened if it is used again."""
        with self._guard:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def retry_after_s(answered: httpx.Headers, now: dt.datetime) -> float | None:
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
            since = email.utils.parsedate_to_datetime(sent) if sent else now
            seconds = (until - since).total_seconds()
        except (ValueError, TypeError):
            return None
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE.total_seconds())


def quiet_request_log() -> None:
    """Mask credentials in httpx's own log of requests, which holds whole URLs."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(item, RedactingFilter) for item in logger.filters):
        logger.addFilter(RedactingFilter())


@functools.cache
def _tls() -> ssl.SSLContext:
    # Reading the certificate authorities takes longer than most of a run's other steps: once a process.
    return httpx.create_ssl_context()


def _plain(error: Exception) -> str:
    text = str(error).split("?", 1)[0].strip().rstrip(".")
    return text or type(error).__name__


def _too_long(label: str, megabytes: float) -> SourceError:
    return SourceError(
        f"{label}: the answer is longer than {megabytes:g} MB.",
        remedy="raise providers.http.max_response_mb in platform.yaml if the provider really sends that much.",
    )
