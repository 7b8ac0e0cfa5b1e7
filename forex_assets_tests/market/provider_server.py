"""A provider on loopback: a real HTTP server that answers, or fails, exactly as a test says."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from forex_assets.settings import HttpSettings

FAST = HttpSettings(
    connect_timeout_s=2.0,
    read_timeout_s=0.15,
    attempts=2,
    backoff_initial_s=0.001,
    backoff_max_s=0.002,
    cache_hours_open_year=6,
    max_response_mb=0.5,
)
PATIENT = FAST.model_copy(update={"read_timeout_s": 10.0})
"""Time-outs for tests in which the server answers, however busy the machine is."""


def on_loopback(providers: dict[str, Any], base_url: str, **others: str) -> dict[str, Any]:
    """``providers:`` of ``platform.yaml`` with every address on loopback, under the provider's name, and no waiting.

    ``others`` names the servers of providers that have one of their own.
    """
    for name, body in providers.items():
        if name != "http":
            body.update(
                {
                    key: f"{others.get(name, base_url)}/{name}"
                    for key in ("base_url", "api_url", "archive_url")
                    if key in body
                }
            )
            body.update({"other_urls": []} if "other_urls" in body else {}, max_requests_per_s=1000)
    providers["fred"]["api_url"] += "/api"
    providers["ecb_live"]["archive_url"] += "/archive"
    providers["http"].update(read_timeout_s=0.5, attempts=2, backoff_initial_s=0.001, backoff_max_s=0.002)
    return providers


HTML = "<!DOCTYPE html><html><body>Service unavailable</body></html>"


@dataclass(frozen=True)
class Reply:
    """What the server does with one request: a body (text, bytes or JSON), or silence, or a body cut short."""

    body: Any = b""
    status: int = 200
    truncated: bool = False
    silent: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Request:
    """A request the server saw."""

    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Provider:
    """The server: ``answer`` decides, ``requests`` remembers."""

    base_url: str
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Reply] = field(default=lambda _request: Reply(status=404))
    released: threading.Event = field(default_factory=threading.Event)

    def always(self, reply: Reply) -> None:
        self.answer = lambda _request: reply


def serve() -> tuple[Provider, http.server.ThreadingHTTPServer]:
    """Start a server on a free loopback port; shut it down after use."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            request = Request(parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()})
            request.headers = {name.lower(): value for name, value in self.headers.items()}
            provider.requests.append(request)
            reply = provider.answer(request)
            if reply.silent:
                provider.released.wait(30)
                return
            raw = reply.raw()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(raw[: len(raw) // 2] if reply.truncated else raw)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Keep test output clean."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that hung up is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return provider, server
