"""What one ingestion or one process asked, no other thread or process of the same home asks again."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest
from forex_assets.market.http.failures import UnreachableError
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.http.limits import Pace
from forex_assets.market.sources import EcbLiveSource, SieteSource, YahooSource
from forex_assets.market.vintages.recording import recording
from forex_assets.settings import SeriesSpec
from forex_assets_tests.market.left_behind import contents
from forex_assets_tests.market.provider_cases import CASES, NOW, siete_answer
from forex_assets_tests.market.provider_server import PATIENT, Provider, Reply, Request

SECONDS = dt.timedelta(seconds=1)


def gateway_of(folder: Path | None, now: dt.datetime = NOW) -> HttpGateway:
    return HttpGateway(PATIENT, cache_dir=folder, now=now)


def day(row: tuple[np.datetime64, float]) -> dt.date:
    return dt.date.fromisoformat(str(row[0]))


@pytest.mark.capability("A01", "L18")
@pytest.mark.parametrize("threads", [1, 6])
def test_a_question_that_failed_is_not_asked_again_in_the_same_ingestion(
    provider: Provider, tmp_path: Path, series: dict[str, SeriesSpec], threads: int
) -> None:
    provider.always(Reply(status=404))
    request = FetchRequest(series["dxy"], dt.date(2025, 5, 1), dt.date(2025, 6, 12))

    def fails(source: YahooSource) -> str:
        with pytest.raises(SourceError, match="HTTP 404") as caught:
            source.fetch(request)
        return caught.value.message

    with gateway_of(tmp_path) as gateway, ThreadPoolExecutor(max_workers=threads) as pool:
        source = YahooSource(
            base_url=f"{provider.base_url}/y", gateway=gateway, now=NOW, cache_hours=6.0, name="yahoo", user_agent="x"
        )
        told = list(pool.map(fails, [source] * 6))
    assert len(set(told)) == 1
    assert len(provider.requests) == 1
    with gateway_of(tmp_path) as gateway, pytest.raises(SourceError):  # the next ingestion may
        YahooSource(
            base_url=f"{provider.base_url}/y", gateway=gateway, now=NOW, cache_hours=6.0, name="yahoo", user_agent="x"
        ).fetch(request)
    assert len(provider.requests) == 2


@pytest.mark.capability("L19")
def test_an_answer_to_a_credential_serves_the_whole_ingestion_and_is_not_on_disk(
    provider: Provider, tmp_path: Path, series: dict[str, SeriesSpec]
) -> None:
    case = CASES["siete"]
    rows = sorted(case.truth().items())[-40:]
    provider.always(Reply({**siete_answer(rows), "echo": "s3cret-of-mine"}))
    request = FetchRequest(series[case.series], day(rows[0]), day(rows[-1]))
    with gateway_of(tmp_path) as gateway:
        source = SieteSource(
            provider.base_url,
            gateway=gateway,
            now=NOW,
            max_requests_per_s=1000,
            user="a-user-of-mine",
            password="s3cret-of-mine",  # a loopback server's
        )
        with recording() as first:
            one = source.fetch(request)
        with recording() as second:
            other = source.fetch(request)
    assert len(provider.requests) == 1
    assert one.payload_hash == other.payload_hash
    assert [taken.raw is None for taken in (*first, *second)] == [False, True], "kept once"
    assert not [where for where, text in contents(tmp_path) if b"of-mine" in text]


@pytest.mark.capability("A01", "K17")
def test_processes_that_want_the_same_at_once_share_one_request(
    provider: Provider, tmp_path: Path, series: dict[str, SeriesSpec]
) -> None:
    case, count = CASES["stooq"], 3
    rows = sorted(case.truth().items())
    provider.always(Reply(case.answer(case.dated(rows))))
    request = FetchRequest(series["sp500"], day(rows[-40]), day(rows[-1]))
    start = threading.Barrier(count)

    def one(_: int) -> str:
        with gateway_of(tmp_path) as mine:  # a client of its own, as every process has
            source = case.build(provider.base_url, mine)
            start.wait()
            return source.fetch(request).payload_hash

    with ThreadPoolExecutor(max_workers=count) as pool:
        assert len(set(pool.map(one, range(count)))) == 1
    assert len(provider.requests) == 1


def test_a_cache_that_takes_no_lock_costs_a_request_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "turns").write_text("no folder", encoding="utf-8")
    with caplog.at_level(logging.WARNING), gateway_of(tmp_path) as gateway, gateway.turn("yahoo dxy"):
        pass
    assert "may ask the same" in caplog.text


@pytest.mark.capability("L18", "K17")
@pytest.mark.parametrize("later", [-20 * SECONDS, 20 * SECONDS])
def test_a_host_another_process_gave_up_meanwhile_is_asked_no_more(
    provider: Provider, tmp_path: Path, later: dt.timedelta
) -> None:
    with gateway_of(tmp_path) as mine, gateway_of(tmp_path, NOW + later) as others:
        provider.always(Reply({"ok": True}))
        assert mine.get(f"{provider.base_url}/a", label="it").body == {"ok": True}
        provider.always(Reply(status=429, headers={"Retry-After": "600"}))
        with pytest.raises(SourceError, match="HTTP 429"):
            others.get(f"{provider.base_url}/b", label="it")
        asked = len(provider.requests)
        with pytest.raises(UnreachableError, match="Not asked again before"):
            mine.get(f"{provider.base_url}/c", label="it")
    assert len(provider.requests) == asked


class Clock:
    """A clock all processes read, moved on by whoever sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.capability("A01", "K17")
def test_processes_together_keep_a_providers_limit(tmp_path: Path) -> None:
    clock, host = Clock(), "limit.example:443"
    processes = [Pace(tmp_path, clock=clock, sleep=clock.sleep) for _ in range(3)]
    moments = []
    for place in range(9):
        processes[place % 3].wait(host, 1000.0)
        moments.append(clock.now)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert min(gaps) >= 0.001 - 1e-9
    before = clock.now
    processes[0].wait("other.example:443", 1000.0)
    assert clock.now == before, "another provider's requests are none of its"


@pytest.mark.parametrize("text", ["", "nonsense", "99999999.0", "nan"])
def test_a_note_of_the_last_request_that_says_nothing_holds_nobody_up(tmp_path: Path, text: str) -> None:
    clock, host = Clock(), "limit.example:443"
    pace = Pace(tmp_path, clock=clock, sleep=clock.sleep)
    pace.wait(host, 1000.0)
    (note,) = [path for path in tmp_path.iterdir() if path.suffix != ".lock"]
    assert math.isclose(float(note.read_text(encoding="ascii")), clock.now)
    note.write_text(text, encoding="ascii")
    before = clock.now
    pace.wait(host, 1000.0)
    assert clock.now == before


def test_a_folder_that_takes_no_note_is_logged_and_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        Pace(blocked / "limits").wait("limit.example:443", 1000.0)
    assert "cannot be told" in caplog.text


def test_currencies_wanted_together_are_one_request_and_long_histories_are_not(
    provider: Provider, tmp_path: Path, series: dict[str, SeriesSpec]
) -> None:
    rates = {"USD": 1.1, "ZAR": 20.0, "JPY": 160.0}

    def answer(request: Request) -> Reply:
        names = request.path.split("/")[-1].split(".")[1].split("+")
        rows = [f"{name},EUR,2025-06-{day:02d},{rates[name] + day}" for name in names for day in (10, 11, 12)]
        return Reply("\n".join(["CURRENCY,CURRENCY_DENOM,TIME_PERIOD,OBS_VALUE", *rows]))

    provider.answer = answer

    def spec(quote: str) -> SeriesSpec:
        address = {"base": "USD", "quote": quote, "together": ["USD", "ZAR", "JPY"]}
        update = {"id": f"usd{quote.lower()}_ecb", "addresses": {"ecb_live": address}}
        return series["usdzar_ecb"].model_copy(update=update)

    def values(start: dt.date) -> dict[str, list[float]]:
        with gateway_of(tmp_path) as gateway:
            source = EcbLiveSource(
                base_url=provider.base_url, archive_url=provider.base_url, gateway=gateway, now=NOW, cache_hours=6.0
            )
            end = dt.date(2025, 6, 13)
            return {
                name: list(source.fetch(FetchRequest(spec(name), start, end)).frame["value"]) for name in ("ZAR", "JPY")
            }

    together = values(dt.date(2025, 5, 1))
    assert [request.path for request in provider.requests] == ["/D.JPY+USD+ZAR.EUR.SP00.A"]
    assert together["ZAR"] == pytest.approx([(20 + day) / (1.1 + day) for day in (10, 11, 12)])
    assert values(dt.date(2020, 1, 1)) == together
    assert [request.path for request in provider.requests[1:]] == ["/D.USD+ZAR.EUR.SP00.A", "/D.USD+JPY.EUR.SP00.A"]
