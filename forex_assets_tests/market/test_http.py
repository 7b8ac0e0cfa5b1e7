"""The HTTP client: what every failure becomes, what is retried, remembered, cached and never told."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from forex_assets.errors import SourceError
from forex_assets.market.http.answers import Payload
from forex_assets.market.http.failures import UnreachableError
from forex_assets.market.http.gateway import HttpGateway
from forex_assets_tests.market.provider_server import FAST, HTML, PATIENT, Provider, Reply

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_whole_json_comes_back_with_the_hash_of_its_bytes(provider: Provider) -> None:
    provider.always(Reply({"a": 1}))
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        payload = gateway.get(f"{provider.base_url}/x", label="x")
    assert payload.body == {"a": 1}
    assert payload.sha256 == hashlib.sha256(b'{"a": 1}').hexdigest()
    assert payload.retrieved_at == NOW


def test_refused_connection_says_so_and_is_typed() -> None:
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway, pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
        gateway.get(f"http://127.0.0.1:{free_port()}/x", label="x")


def test_unknown_host_is_unreachable_without_waiting_for_the_resolver() -> None:
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway, pytest.raises(UnreachableError, match="no-such-host"):
        gateway.get("http://no-such-host.invalid/x", label="x")


@pytest.mark.parametrize(
    ("reply", "says", "attempts"),
    [
        (Reply(status=500), "HTTP 500", 2),
        (Reply(HTML, status=503), "HTTP 503", 2),
        (Reply(status=429), "HTTP 429", 2),
        (Reply(status=404), "HTTP 404", 1),
        (Reply(status=302), "HTTP 302", 1),
        (Reply({"serie": [1] * 100}, truncated=True), "broke off", 2),
        (Reply('{"serie": [{"fecha": "2024-'), "not whole JSON", 2),
        (Reply(HTML), "HTML instead of JSON", 1),
        (Reply("No data"), "not whole JSON", 2),
        (Reply(b""), "empty", 2),
        (Reply("[" + "1," * 300_000 + "1]"), "longer than 0.5 MB", 1),
    ],
)
def test_failure_is_a_source_error_that_says_what_happened(
    provider: Provider, reply: Reply, says: str, attempts: int
) -> None:
    provider.always(reply)
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway, pytest.raises(SourceError, match=says) as caught:
        gateway.get(f"{provider.base_url}/x", label="mindicador dolar/2024", params={"pass": "hunter2hunter2"})
    assert caught.value.message.startswith("mindicador dolar/2024: ")
    assert caught.value.remedy
    assert "hunter2" not in str(caught.value)
    assert len(provider.requests) == attempts


def test_slow_server_is_given_up_after_the_read_timeout(provider: Provider) -> None:
    provider.always(Reply(silent=True))
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway, pytest.raises(SourceError, match=r"within 0\.15 s"):
        gateway.get(f"{provider.base_url}/x", label="x")
    assert len(provider.requests) == FAST.attempts


def test_failure_that_a_retry_cures_is_not_seen(provider: Provider) -> None:
    replies = iter([Reply(status=500), Reply({"ok": True})])
    provider.answer = lambda _request: next(replies)
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        assert gateway.get(f"{provider.base_url}/x", label="x").body == {"ok": True}


@pytest.mark.capability("L18")
def test_unreachable_host_is_asked_once_however_many_threads_want_it() -> None:
    asked: list[str] = []
    another = threading.Event()

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) > 1:
            another.set()
        another.wait(0.3)  # hold the first request so that the other threads arrive while it is under way
        raise httpx.ConnectError("Connection refused", request=request)

    gateway = HttpGateway(FAST, cache_dir=None, now=NOW, transport=httpx.MockTransport(refuse))

    def ask(number: int) -> str:
        with pytest.raises(UnreachableError) as caught:
            gateway.get(f"http://bank.example/{number}", label=str(number))
        return caught.value.message

    with ThreadPoolExecutor(8) as pool:
        messages = set(pool.map(ask, range(24)))
    assert len(asked) == 1
    assert messages == {"bank.example cannot be reached: Connection refused."}
    gateway.close()


def test_stalling_host_is_not_asked_again_by_the_next_series(provider: Provider) -> None:
    provider.always(Reply(silent=True))
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway:
        for name in ("a", "b", "c"):
            with pytest.raises(SourceError):
                gateway.get(f"{provider.base_url}/{name}", label=name)
    assert {request.path for request in provider.requests} == {"/a"}


def test_one_bad_page_does_not_condemn_the_host(provider: Provider) -> None:
    provider.answer = lambda request: Reply(status=500) if request.path == "/bad" else Reply({"ok": True})
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        with pytest.raises(SourceError):
            gateway.get(f"{provider.base_url}/bad", label="bad")
        assert gateway.get(f"{provider.base_url}/good", label="good").body == {"ok": True}


def test_cached_answer_is_good_only_if_fetched_late_enough(provider: Provider, tmp_path: Path) -> None:
    provider.always(Reply({"n": 1}))
    with HttpGateway(PATIENT, cache_dir=tmp_path / "http", now=NOW) as gateway:
        gateway.keep("key", gateway.get(f"{provider.base_url}/x", label="x"))
        kept = gateway.cached("key", not_before=NOW)
        assert kept is not None
        assert kept.from_cache
        assert kept.body == {"n": 1}
        assert kept.retrieved_at == NOW
        assert gateway.cached("key", not_before=NOW + dt.timedelta(seconds=1)) is None
        assert gateway.cached("another", not_before=NOW) is None


def test_damaged_cache_entry_is_fetched_again_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = HttpGateway(FAST, cache_dir=tmp_path, now=NOW)
    gateway.keep("key", Payload({"n": 1}, "0" * 64, NOW))
    (entry,) = tmp_path.iterdir()
    entry.write_text('{"body"', encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert HttpGateway(FAST, cache_dir=tmp_path, now=NOW).cached("key", not_before=NOW) is None
    assert "unreadable" in caplog.text


def test_cache_that_cannot_be_written_is_logged_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    gateway = HttpGateway(FAST, cache_dir=blocked / "http", now=NOW)
    with caplog.at_level(logging.WARNING):
        gateway.keep("key", Payload({}, "0" * 64, NOW))
    assert "cannot be written" in caplog.text
