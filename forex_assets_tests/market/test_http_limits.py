"""The client under a provider's limits: Retry-After, circuits that open and are probed, conditional requests."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from forex_assets.errors import SourceError
from forex_assets.market.http.failures import UnreachableError
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.http.limits import shared_limit
from forex_assets_tests.market.provider_server import FAST, PATIENT, Provider, Reply

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def ask(provider: Provider, cache: Path | None, now: dt.datetime = NOW, path: str = "x") -> object:
    with HttpGateway(PATIENT, cache_dir=cache, now=now) as gateway:
        return gateway.get(f"{provider.base_url}/{path}", label="it").body


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "Sat, 21 Nov 2026 12:00:04 GMT", "Date": "Sat, 21 Nov 2026 12:00:00 GMT"}, 4.0),
        ({"Retry-After": "Sat, 21 Nov 2026 12:00:02 GMT"}, 2.0),  # no Date: the moment of the ingestion
        ({"Retry-After": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(status: int, headers: dict[str, str], waited: float | None) -> None:
    replies = iter([httpx.Response(status, headers=headers), httpx.Response(200, json={"ok": True})])
    slept: list[float] = []
    transport = httpx.MockTransport(lambda _request: next(replies))
    with HttpGateway(PATIENT, cache_dir=None, now=NOW, transport=transport, sleep=slept.append) as gateway:
        assert gateway.get("http://bank.example/x", label="it").body == {"ok": True}
    assert len(slept) == 1
    assert slept[0] == waited if waited is not None else slept[0] < 0.01


@pytest.mark.capability("L18")
def test_retry_after_longer_than_anybody_waits_opens_the_circuit_until_then(provider: Provider, tmp_path: Path) -> None:
    provider.always(Reply(status=429, headers={"Retry-After": "600"}))
    with pytest.raises(SourceError, match="HTTP 429"):
        ask(provider, tmp_path)
    assert len(provider.requests) == 1
    for minutes in (1, 9):
        with pytest.raises(UnreachableError, match="Not asked again before 2026-11-21 12:10 UTC"):
            ask(provider, tmp_path, NOW + minutes * MINUTE)
    assert len(provider.requests) == 1
    provider.always(Reply({"ok": True}))
    assert ask(provider, tmp_path, NOW + 11 * MINUTE) == {"ok": True}


@pytest.mark.capability("L18")
def test_open_circuit_is_probed_once_and_closed_by_success(provider: Provider, tmp_path: Path) -> None:
    provider.always(Reply(status=429))
    with pytest.raises(SourceError):
        ask(provider, tmp_path)
    assert len(provider.requests) == PATIENT.attempts
    with pytest.raises(UnreachableError, match=r"HTTP 429\. Not asked again before 2026-11-21 12:01"):
        ask(provider, tmp_path, NOW + 0.5 * MINUTE, "y")
    with pytest.raises(SourceError, match="HTTP 429"):
        ask(provider, tmp_path, NOW + 2 * MINUTE, "probe")
    assert [request.path for request in provider.requests] == ["/x", "/x", "/probe"], "one probe, no retries"
    with pytest.raises(UnreachableError, match="before 2026-11-21 12:04"):  # twice as long now
        ask(provider, tmp_path, NOW + 3.5 * MINUTE)
    provider.always(Reply({"ok": True}))
    assert ask(provider, tmp_path, NOW + 5 * MINUTE) == {"ok": True}
    provider.always(Reply(status=500))
    with pytest.raises(SourceError, match="HTTP 500"):
        ask(provider, tmp_path, NOW + 6 * MINUTE)
    assert list((tmp_path / "circuits").iterdir()) == [], "closed again: one bad page opens nothing"


def test_circuit_of_one_host_is_not_that_of_another(provider: Provider, tmp_path: Path) -> None:
    provider.always(Reply(status=429))
    with pytest.raises(SourceError):
        ask(provider, tmp_path)
    provider.always(Reply({"ok": True}))
    port = provider.base_url.rsplit(":", 1)[1]
    with HttpGateway(PATIENT, cache_dir=tmp_path, now=NOW) as gateway:
        assert gateway.get(f"http://localhost:{port}/x", label="it").body == {"ok": True}


@pytest.mark.parametrize("text", ["{", '{"why": 1}', '{"opened_at": "x", "until": "y", "why": "", "openings": 1}'])
def test_unreadable_or_future_circuit_records_hold_nobody_up(provider: Provider, tmp_path: Path, text: str) -> None:
    provider.always(Reply(status=429))
    with pytest.raises(SourceError):
        ask(provider, tmp_path)
    (record,) = (tmp_path / "circuits").iterdir()
    kept = json.loads(record.read_text(encoding="utf-8"))
    assert set(kept) == {"host", "why", "openings", "opened_at", "until"}
    provider.always(Reply({"ok": True}))
    assert ask(provider, tmp_path, NOW - MINUTE) == {"ok": True}, "the clock stepped back"
    record.write_text(text, encoding="utf-8")
    assert ask(provider, tmp_path) == {"ok": True}


@pytest.mark.capability("L18")
def test_host_given_up_by_its_adapter_is_not_asked_again(provider: Provider, tmp_path: Path) -> None:
    with HttpGateway(PATIENT, cache_dir=tmp_path, now=NOW) as gateway:
        gateway.give_up(f"{provider.base_url}/q", "stooq says that its daily limit is used up.")
        with pytest.raises(UnreachableError, match="daily limit"):
            gateway.get(f"{provider.base_url}/x", label="it")
    with pytest.raises(UnreachableError, match="Not asked again before 2026-11-21 13:00"):
        ask(provider, tmp_path, NOW + 30 * MINUTE)
    assert provider.requests == []


def test_unchanged_answer_costs_a_conditional_request_and_counts_as_fetched_now(
    provider: Provider, tmp_path: Path
) -> None:
    stamps = {"ETag": '"v1"', "Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT"}
    replies = iter([Reply({"n": 1}, headers=stamps), Reply(b"", status=304), Reply({"n": 2})])
    provider.answer = lambda _request: next(replies)
    later = NOW + 60 * MINUTE
    for now, body in ((NOW, {"n": 1}), (later, {"n": 1}), (later, {"n": 2})):
        with HttpGateway(PATIENT, cache_dir=tmp_path, now=now) as gateway:
            known = gateway.cached("key", not_before=NOW - MINUTE)
            payload = gateway.get(f"{provider.base_url}/x", label="it", known=known)
            gateway.keep("key", payload)
        assert (payload.body, payload.retrieved_at) == (body, now)
    first, second, _ = provider.requests
    assert "if-none-match" not in first.headers
    assert second.headers["if-none-match"] == '"v1"'
    assert second.headers["if-modified-since"] == stamps["Last-Modified"]


def test_not_modified_without_a_question_is_a_failure(provider: Provider) -> None:
    provider.always(Reply(b"", status=304))
    with pytest.raises(SourceError, match="HTTP 304"):
        ask(provider, None)


def test_bytes_are_kept_and_come_back_as_they_were(provider: Provider, tmp_path: Path) -> None:
    raw = bytes(range(1, 256))
    provider.always(Reply(raw))
    with HttpGateway(PATIENT, cache_dir=tmp_path, now=NOW) as gateway:
        gateway.keep("zip", gateway.get(f"{provider.base_url}/x", label="it", kind="bytes"), asked="all")
        kept = gateway.cached("zip", not_before=NOW, asked="all")
        assert kept is not None
        assert kept.body == raw
        assert gateway.cached("zip", not_before=NOW, asked="less") is None


def test_requests_of_all_threads_share_the_providers_limit() -> None:
    assert shared_limit("a.example", 3.0) is shared_limit("a.example", 3.0)
    assert shared_limit("a.example", 3.0) is not shared_limit("b.example", 3.0)


def test_json_that_names_something_twice_is_refused(provider: Provider) -> None:
    provider.always(Reply('{"2025-06-12": 1, "2025-06-12": 2}'))
    with pytest.raises(SourceError, match="names '2025-06-12' twice"):
        ask(provider, None)


@pytest.fixture
def swallowing() -> Iterator[list[str]]:
    """Addresses that take no connection and say nothing: a listener whose queue is full."""
    with contextlib.ExitStack() as stack:
        urls = []
        for place in range(2, 8):
            listener = stack.enter_context(socket.socket())
            listener.bind((f"127.0.0.{place}", 0))
            listener.listen(0)
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            urls.append(f"http://127.0.0.{place}:{listener.getsockname()[1]}")
        yield urls


@pytest.mark.capability("L18")
def test_many_dead_hosts_cost_the_time_of_one(
    swallowing: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    http = FAST.model_copy(update={"connect_timeout_s": 0.3})
    started = time.monotonic()
    with HttpGateway(http, cache_dir=tmp_path, now=NOW) as gateway:
        gateway.expect(swallowing)
        for url in swallowing[1:]:
            with pytest.raises(UnreachableError, match=r"cannot be reached within 0\.3 s"):
                gateway.get(f"{url}/x", label="it")
        with ThreadPoolExecutor(4) as pool:
            assert len(list(pool.map(lambda url: _refused(gateway, url), swallowing[1:]))) == len(swallowing) - 1
    with HttpGateway(http, cache_dir=tmp_path, now=NOW) as gateway:
        assert "Not asked again" in _refused(gateway, swallowing[0]), "looked up with the others, though nobody asked"
    assert time.monotonic() - started < 3 * 0.3, "one after the other they would take six times as long"


def _refused(gateway: HttpGateway, url: str) -> str:
    with pytest.raises(UnreachableError) as caught:
        gateway.get(f"{url}/y", label="it")
    return caught.value.message
