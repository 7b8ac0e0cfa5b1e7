"""mindicador.cl: the shapes of its year pages, its traps, its cache, its failures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import FRAME_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources.mindicador import MindicadorSource
from forex_assets.settings import SeriesSpec
from forex_assets_tests.market.provider_server import FAST, HTML, PATIENT, Provider, Reply, Request

# Thursday morning: the fixing of the day is known since Wednesday 18:00.
NOW = dt.datetime(2024, 2, 15, 12, tzinfo=dt.UTC)


def page(slug: str, *rows: tuple[str, float | None]) -> dict[str, Any]:
    """A year page as the provider sends it: newest first."""
    return {
        "version": "1.7.0",
        "autor": "mindicador.cl",
        "codigo": slug,
        "nombre": "Dólar observado",
        "unidad_medida": "Pesos",
        "serie": [{"fecha": stamp, "valor": value} for stamp, value in rows],
    }


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "http"


@pytest.fixture
def ask(provider: Provider, cache: Path, series: dict[str, SeriesSpec]) -> Iterator[Any]:
    """Ask for a series through a source on the loopback provider, at a given moment."""
    gateways: list[HttpGateway] = []

    def fetch(
        name: str = "usdclp_fixing", start: str = "2024-02-01", end: str = "2024-02-20", now: dt.datetime = NOW
    ) -> FetchResult:
        gateway = HttpGateway(PATIENT, cache_dir=cache, now=now)
        gateways.append(gateway)
        source = MindicadorSource(f"{provider.base_url}/api", gateway=gateway, now=now, cache_hours_open_year=6)
        return source.fetch(FetchRequest(series[name], dt.date.fromisoformat(start), dt.date.fromisoformat(end)))

    yield fetch
    for gateway in gateways:
        gateway.close()


@pytest.mark.parametrize(
    "hour", ["T03:00:00.000Z", "T04:00:00.000Z", "T00:00:00.000Z", ""], ids=["summer", "winter", "midnight", "plain"]
)
def test_the_date_is_the_one_written_whatever_the_zone_shape(provider: Provider, ask: Any, hour: str) -> None:
    provider.always(Reply(page("dolar", (f"2024-02-15{hour}", 965.8), (f"2024-02-14{hour}", 971.56))))
    frame = ask().frame
    assert tuple(frame.columns) == FRAME_COLUMNS
    assert list(frame["event_date"].dt.strftime("%Y-%m-%d")) == ["2024-02-14", "2024-02-15"]
    assert list(frame["value"]) == [971.56, 965.8]
    assert frame[["open", "high", "low"]].isna().all(axis=None)


def test_year_pages_are_asked_by_slug_and_year_newest_first(provider: Provider, ask: Any) -> None:
    provider.answer = lambda request: Reply(page("dolar", (f"{request.path[-4:]}-01-10T03:00:00.000Z", 900.0)))
    frame = ask(start="2022-06-01").frame
    assert [request.path for request in provider.requests] == [
        "/api/dolar/2024",
        "/api/dolar/2023",
        "/api/dolar/2022",
    ]
    # The page of 2022 was read, its January lies before the window.
    assert list(frame["event_date"].dt.year) == [2023, 2024]


def test_policy_rate_and_copper_come_the_same_way(provider: Provider, ask: Any) -> None:
    provider.answer = lambda request: Reply(page(request.path.split("/")[2], ("2024-02-14T03:00:00.000Z", 7.25)))
    assert list(ask("tpm").frame["value"]) == [7.25]
    assert list(ask("copper_lme").frame["value"]) == [7.25]
    assert [request.path for request in provider.requests] == ["/api/tpm/2024", "/api/libra_cobre/2024"]


def test_empty_serie_is_an_answer_without_rows_and_is_not_kept(provider: Provider, cache: Path, ask: Any) -> None:
    provider.always(Reply(page("dolar")))
    assert len(ask().frame) == 0
    assert not list(cache.glob("*.json"))


def test_empty_page_of_a_closed_year_is_asked_again_after_a_week_only(provider: Provider, ask: Any) -> None:
    provider.answer = lambda request: Reply(page("dolar"))
    for days, asked in ((0, 1), (6, 1), (8, 2)):
        ask(start="2022-01-01", end="2022-12-31", now=NOW + dt.timedelta(days=days))
        assert len(provider.requests) == asked


def test_missing_value_is_no_row(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("dolar", ("2024-02-15T03:00:00.000Z", None), ("2024-02-14T03:00:00.000Z", 971.56))))
    assert list(ask().frame["value"]) == [971.56]


def test_repeated_date_is_taken_once_and_said(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("dolar", ("2024-02-14T03:00:00.000Z", 971.56), ("2024-02-14T03:00:00.000Z", 971.56))))
    result = ask()
    assert len(result.frame) == 1
    assert "1 repeated dates" in (result.note or "")


def test_closed_year_is_asked_once_for_ever_the_open_one_again(provider: Provider, ask: Any) -> None:
    provider.answer = lambda request: Reply(page("dolar", (f"{request.path[-4:]}-01-10T03:00:00.000Z", 900.0)))
    first = ask(start="2023-01-01")
    provider.requests.clear()
    again = ask(start="2023-01-01", now=NOW + dt.timedelta(days=300))
    assert [request.path for request in provider.requests] == ["/api/dolar/2024"]
    assert again.frame.equals(first.frame)


def test_year_that_closed_after_it_was_read_is_asked_again(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("dolar", ("2024-02-14T03:00:00.000Z", 971.56))))
    ask()
    ask(now=dt.datetime(2025, 3, 1, tzinfo=dt.UTC))
    assert [request.path for request in provider.requests] == ["/api/dolar/2024"] * 2


@pytest.mark.parametrize(
    ("later", "asked"),
    [
        (dt.timedelta(hours=5), 1),  # five hours on, nothing new is due: the page is still good
        (dt.timedelta(hours=7), 2),  # older than the configured hours
        (dt.timedelta(hours=9, minutes=1), 2),  # 18:01 Santiago: the next fixing is due
    ],
)
def test_open_year_is_cached_for_hours_but_never_across_a_publication(
    provider: Provider, ask: Any, later: dt.timedelta, asked: int
) -> None:
    provider.always(Reply(page("dolar", ("2024-02-15T03:00:00.000Z", 965.8))))
    ask()
    ask(now=NOW + later)
    assert len(provider.requests) == asked


def test_page_read_an_hour_before_the_publication_does_not_hide_the_new_fixing(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("dolar", ("2024-02-15T03:00:00.000Z", 965.8))))
    before = dt.datetime(2024, 2, 15, 20, 30, tzinfo=dt.UTC)  # 17:30 Santiago
    ask(now=before)
    ask(now=before + dt.timedelta(hours=1))  # 18:30, the daily run
    assert len(provider.requests) == 2


def test_one_failing_year_is_named_and_the_others_are_used(provider: Provider, ask: Any) -> None:
    def answer(request: Request) -> Reply:
        if request.path.endswith("2023"):
            return Reply(status=500)
        return Reply(page("dolar", (f"{request.path[-4:]}-07-10T04:00:00.000Z", 900.0)))

    provider.answer = answer
    result = ask(start="2022-01-01", end="2024-12-31")
    assert list(result.frame["event_date"].dt.year) == [2022, 2024]
    assert "mindicador dolar/2023: the server answered HTTP 500" in (result.note or "")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (HTML, "HTML instead of JSON"),
        ({"message": "Invalid indicator"}, "no 'serie': Invalid indicator"),
        (page("uf", ("2024-02-14T03:00:00.000Z", 1.0)), "about 'uf'"),
        (page("dolar", ("14-02-2024", 971.56)), "no date of the known shapes"),
        (page("dolar", ("2024-02-31T03:00:00.000Z", 971.56)), "2024-02-31"),
        ({"codigo": "dolar", "serie": [{"fecha": "2024-02-14T03:00:00.000Z"}]}, "no observation"),
        ({"codigo": "dolar", "serie": [{"fecha": "2024-02-14T03:00:00.000Z", "valor": "x"}]}, "no observation"),
        ([1, 2], "no 'serie'"),
    ],
)
def test_another_shape_is_a_typed_error_naming_what_was_seen(
    provider: Provider, ask: Any, body: Any, says: str
) -> None:
    provider.always(Reply(body))
    with pytest.raises(SourceError, match=says):
        ask()


def test_truncated_page_is_a_typed_error(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("dolar", *[("2024-02-14T03:00:00.000Z", 971.56)] * 50), truncated=True))
    with pytest.raises(SourceError, match="broke off"):
        ask()


def test_silent_provider_costs_one_series_not_every_year(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    provider.always(Reply(silent=True))
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway:
        source = MindicadorSource(provider.base_url, gateway=gateway, now=NOW, cache_hours_open_year=6)
        with pytest.raises(SourceError, match=r"within 0\.15 s"):
            source.fetch(FetchRequest(series["usdclp_fixing"], dt.date(2015, 1, 1), dt.date(2024, 2, 15)))
    assert {request.path for request in provider.requests} == {"/dolar/2024"}


def test_ipc_is_refused_as_anything_but_a_monthly_change(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    spec = series["ipc_yoy"].model_copy(update={"addresses": {"mindicador": {"slug": "ipc"}}})
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway:
        source = MindicadorSource(provider.base_url, gateway=gateway, now=NOW, cache_hours_open_year=6)
        with pytest.raises(ConfigError, match="monthly change"):
            source.fetch(FetchRequest(spec, dt.date(2024, 1, 1), dt.date(2024, 2, 15)))
    assert provider.requests == []


def test_address_without_a_slug_is_a_configuration_error(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    spec = series["tpm"].model_copy(update={"addresses": {"mindicador": {"slugg": "tpm"}}})
    with HttpGateway(FAST, cache_dir=None, now=NOW) as gateway:
        source = MindicadorSource(provider.base_url, gateway=gateway, now=NOW, cache_hours_open_year=6)
        with pytest.raises(ConfigError, match=r"addresses\.mindicador"):
            source.fetch(FetchRequest(spec, dt.date(2024, 1, 1), dt.date(2024, 2, 15)))


def test_next_year_is_asked_only_when_something_of_it_is_published(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("uf", ("2024-12-31T03:00:00.000Z", 38416.69))))
    ask("uf", start="2024-12-01", end="2025-01-09", now=dt.datetime(2024, 12, 5, tzinfo=dt.UTC))
    assert [request.path[-4:] for request in provider.requests] == ["2024"]
    provider.requests.clear()
    ask("uf", start="2024-12-01", end="2025-01-09", now=dt.datetime(2024, 12, 10, tzinfo=dt.UTC))
    assert [request.path[-4:] for request in provider.requests] == ["2025", "2024"]


def test_values_keep_their_precision(provider: Provider, ask: Any) -> None:
    provider.always(Reply(page("uf", ("2024-02-14T03:00:00.000Z", 36789.36))))
    assert np.asarray(ask("uf").frame["value"])[0] == 36789.36
