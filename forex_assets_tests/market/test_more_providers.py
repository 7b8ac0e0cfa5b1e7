"""findic, Stooq, BIS, the ECB, Alpha Vantage and XE: what is particular to each."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets.clock import calendar_for
from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import FetchRequest, FetchResult, Source
from forex_assets.market.http.failures import UnreachableError
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources import (
    AlphaVantageSource,
    BisSource,
    EcbLiveSource,
    EcbSource,
    FindicSource,
    StooqSource,
    XeSource,
    build_sources,
)
from forex_assets.settings import SeriesSpec, Settings
from forex_assets_tests.market.provider_cases import alpha_vantage, close, fixing, xe_page, zipped
from forex_assets_tests.market.provider_server import PATIENT, Provider, Reply, Request

NOW = dt.datetime(2025, 6, 12, 23, 30, tzinfo=dt.UTC)


@pytest.fixture
def gateway(tmp_path: Path) -> HttpGateway:
    return HttpGateway(PATIENT, cache_dir=tmp_path / "http", now=NOW)


def common(provider: Provider, gateway: HttpGateway) -> dict[str, Any]:
    return {"base_url": f"{provider.base_url}/it", "gateway": gateway, "now": NOW, "cache_hours": 6.0}


def frame_of(values: Mapping[np.datetime64, float]) -> pd.DataFrame:
    days = np.array(sorted(values)).astype("datetime64[ns]")
    return pd.DataFrame({"event_date": days, "value": [values[day] for day in sorted(values)]})


def ask(source: Source, spec: SeriesSpec, start: str = "2025-06-01", end: str = "2025-06-13") -> FetchResult:
    def references(_name: str) -> pd.DataFrame:
        return frame_of(fixing())

    return source.fetch(FetchRequest(spec, dt.date.fromisoformat(start), dt.date.fromisoformat(end), references))


def test_findic_has_plain_dates_and_mindicadors_addresses(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    body = {"version": "1.3.0", "autor": "findic.cl", "codigo": "uf", "nombre": "Unidad de fomento (UF)"}
    provider.always(Reply({**body, "serie": [{"fecha": "2025-06-02", "valor": 39190.34}]}))
    source = FindicSource(f"{provider.base_url}/api", gateway=gateway, now=NOW, cache_hours_open_year=6)
    assert ask(source, series["uf"]).frame["value"].tolist() == [39190.34]
    assert provider.requests[0].path == "/api/uf/2025"
    assert source.not_configured(series["uf"]) is None
    provider.always(Reply({**body, "codigo": "dolar", "serie": []}))
    with pytest.raises(SourceError, match=r"findic uf/2024: the answer is about 'dolar'"):
        ask(source, series["uf"], "2024-06-01", "2024-06-10")


@pytest.mark.parametrize("text", ["Exceeded the daily hits limit", "Exceeded the daily hits limit\n"])
def test_stooq_is_left_alone_once_its_limit_is_used_up(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec], text: str
) -> None:
    provider.always(Reply(text))
    source = StooqSource(**common(provider, gateway))
    with pytest.raises(SourceError, match="the service says 'Exceeded the daily hits limit'"):
        ask(source, series["sp500"])
    with pytest.raises(UnreachableError, match="Exceeded"):
        ask(source, series["eem"])
    assert len(provider.requests) == 1


def test_stooq_bars_are_asked_for_by_compact_dates_and_todays_is_left_out(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    rows = ["2025-06-11,6049.38,6059.4,6002.32,6022.24,1", "2025-06-13,6000.56,6026.16,5963.21,5976.97,1"]
    provider.always(Reply("\r\n".join(["Date,Open,High,Low,Close,Volume", *rows]) + "\r\n"))
    answer = ask(StooqSource(**common(provider, gateway)), series["sp500"])
    assert answer.frame["value"].tolist() == [6022.24]
    assert answer.note == "1 bars of a day that is not over are left out"  # it is the 13th in Warsaw
    assert provider.requests[0].query == {"s": "^spx", "d1": "20250601", "d2": "20250613", "i": "d"}
    provider.always(Reply("No data"))
    with pytest.raises(SourceError, match="'No data'"):
        ask(StooqSource(**common(provider, gateway)), series["eem"])


@pytest.mark.capability("E03")
def test_bis_dates_are_checked_against_the_fixing_itself(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    header = "FREQ,REF_AREA,CURRENCY,COLLECTION,UNIT_MEASURE,TIME_PERIOD,OBS_VALUE,OBS_STATUS"
    days, values = sorted(fixing()), fixing()
    sessions = calendar_for("CL").add(np.array(days), -1)  # dated on the session the fixing averages
    rows = [f"D,CL,CLP,A,CLP,{day},{values[label]},A" for day, label in zip(sessions, days, strict=True)]
    rows.insert(3, "D,CL,CLP,A,CLP,2024-07-20,NaN,M")
    provider.always(Reply("\n".join([header, *rows])))
    answer = ask(BisSource(**common(provider, gateway)), series["usdclp_fixing"])
    assert "dates checked against usdclp_fixing: 1 session early, corrected" in (answer.note or "")
    for day, value in zip(answer.frame["event_date"], answer.frame["value"], strict=True):
        assert value == values[np.datetime64(day.date())]
    assert provider.requests[0].path == "/it/D.CL.CLP.A"
    assert provider.requests[0].query["format"] == "csv"
    provider.always(Reply("\n".join([header, "D,CL,CLP,E,CLP,2025-06-02,940.5,A"])))
    with pytest.raises(SourceError, match=r"about 'D\.CL\.CLP\.E'"):
        ask(BisSource(**common(provider, gateway)), series["usdclp_fixing"], end="2025-06-12")


def test_ecb_cross_goes_through_the_euro_where_both_have_a_rate(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    header = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE,TITLE"
    usd = [f"EXR.D.USD,D,USD,EUR,SP00,A,2025-06-{day},{rate},US dollar" for day, rate in ((10, 1.1429), (11, 1.1473))]
    zar = [f'EXR.D.ZAR,D,ZAR,EUR,SP00,A,2025-06-{day},{rate},"rand, South"' for day, rate in ((11, 20.3), (12, "NaN"))]
    provider.always(Reply("\r\n".join([header, *usd, *zar]) + "\r\n"))
    source = EcbLiveSource(**common(provider, gateway), archive_url=f"{provider.base_url}/archive")
    frame = ask(source, series["usdzar_ecb"]).frame
    assert frame["event_date"].dt.day.tolist() == [11]
    assert frame["value"].tolist() == [20.3 / 1.1473]
    assert provider.requests[0].path == "/it/D.USD+ZAR.EUR.SP00.A"


@pytest.mark.capability("L18")
def test_ecb_archive_serves_where_the_service_fails_and_equals_the_packaged_one(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    lines = ["Date,USD,JPY,CYP,ZAR,", "2025-06-12,1.1594,166.5,N/A,20.6,", "2025-06-11,1.1433,166.07,N/A,20.3,"]
    archive = Reply(zipped("\n".join(lines)))
    provider.answer = lambda request: archive if request.path == "/archive" else Reply(status=404)
    source = EcbLiveSource(**common(provider, gateway), archive_url=f"{provider.base_url}/archive")
    answer = ask(source, series["eurusd_ecb"])
    assert answer.frame["value"].tolist() == [1.1433, 1.1594]
    assert answer.note == "from the archive: ecb_live EURUSD: the server answered HTTP 404."
    packaged = EcbSource(now=NOW).fetch(FetchRequest(series["eurusd_ecb"], dt.date(2025, 6, 11), dt.date(2025, 6, 12)))
    assert answer.frame["value"].tolist() == packaged.frame["value"].tolist()


def test_alpha_vantage_takes_what_its_functions_need(series: dict[str, SeriesSpec]) -> None:
    for wrong in ({"function": "FX_DAILY", "symbol": "EEM"}, {"function": "TREASURY_YIELD"}, {"function": "NEWS"}):
        spec = series["eem"].model_copy(update={"addresses": {"alphavantage": wrong}})
        source = AlphaVantageSource(
            base_url="http://x.invalid",
            gateway=None,
            now=NOW,
            cache_hours=6,
            api_key="k",  # type: ignore[arg-type]
        )
        with pytest.raises(ConfigError, match=r"addresses\.alphavantage"):
            ask(source, spec)


def test_alpha_vantage_yields_are_daily_percent_and_missing_is_a_dot(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    data = [{"date": "2025-06-12", "value": "."}, {"date": "2025-06-11", "value": "4.41"}]
    body = {"name": "10-Year Treasury", "interval": "daily", "unit": "percent", "data": data}
    provider.always(Reply(body))
    source = AlphaVantageSource(**common(provider, gateway), api_key="a-key-of-mine")
    assert ask(source, series["us_10y"]).frame["value"].tolist() == [4.41]
    assert provider.requests[0].query == {
        "function": "TREASURY_YIELD",
        "maturity": "10year",
        "interval": "daily",
        "apikey": "a-key-of-mine",
    }
    provider.always(Reply({**body, "unit": "basis points"}))
    with pytest.raises(SourceError, match="daily percent is expected"):
        ask(source, series["us_2y"])


@pytest.mark.parametrize(
    ("field", "said", "match"),
    [("3. To Symbol", "COP", "about 'COP', not CLP"), ("6. Time Zone", "Moon", "zone is 'Moon'")],
)
def test_alpha_vantage_says_whose_bars_it_sends(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec], field: str, said: str, match: str
) -> None:
    body = alpha_vantage(sorted(close().items()))
    source = AlphaVantageSource(**common(provider, gateway), api_key="a-key-of-mine")
    provider.always(Reply({**body, "Meta Data": {**body["Meta Data"], field: said}}))
    for _ in range(2):  # what it said stays said: it is not asked again in this ingestion
        with pytest.raises(SourceError, match=match):
            ask(source, series["usdclp_close"])
    assert len(provider.requests) == 1


@pytest.mark.capability("L19")
def test_alpha_vantage_repeats_the_key_in_its_refusal_and_nobody_else_does(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    key = "QX7Z81KEYKEYKEY0"
    told = f"We have detected your API key as {key} and our standard API rate limit is 25 requests per day."
    provider.always(Reply({"Information": told}))
    source = AlphaVantageSource(**common(provider, gateway), api_key=key)
    with pytest.raises(SourceError, match=r"API key as \*\*\*") as caught:
        ask(source, series["us_10y"])
    assert key not in str(caught.value)
    with pytest.raises(UnreachableError, match=r"\*\*\*"):
        ask(source, series["us_2y"])
    assert len(provider.requests) == 1, "the limit is used up for every series"


def test_xe_mid_of_midnight_belongs_to_the_session_before_and_travels_with_basic_credentials(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    truth = close()
    after = [(day + 1, value) for day, value in sorted(truth.items())]
    provider.always(Reply(xe_page(after)))
    source = XeSource(**common(provider, gateway), account="desk", api_key="k3y")
    answer = ask(source, series["usdclp_close"])
    assert "1 session late, corrected" in (answer.note or "")
    for day, value in zip(answer.frame["event_date"], answer.frame["value"], strict=True):
        assert truth[np.datetime64(day.date())] == value
    (request,) = provider.requests
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"desk:k3y").decode()
    assert "k3y" not in str(request.query)


def test_xe_pages_are_read_to_the_last(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forex_assets.market.sources.xe._PER_PAGE", 100)
    after = [(day + 1, value) for day, value in sorted(close().items())]

    def answer(request: Request) -> Reply:
        page = int(request.query["page"])
        return Reply(xe_page(after[100 * (page - 1) : 100 * page]))

    provider.answer = answer
    source = XeSource(**common(provider, gateway), account="desk", api_key="k3y")
    ask(source, series["usdclp_close"])
    assert [request.query["page"] for request in provider.requests] == ["1", "2", "3"]


def test_xe_is_never_used_without_a_check(
    provider: Provider, gateway: HttpGateway, series: dict[str, SeriesSpec]
) -> None:
    spec = series["eurusd_ecb"].model_copy(update={"addresses": {"xe": {"from": "EUR", "to": "USD"}}})
    source = XeSource(**common(provider, gateway), account="desk", api_key="k3y")
    with pytest.raises(SourceError, match="eurusd_ecb declares none"):
        ask(source, spec)
    provider.always(Reply({"from": "USD", "amount": 100.0, "to": {"CLP": []}}))
    with pytest.raises(SourceError, match="about 100"):
        ask(source, series["usdclp_close"])


def test_keyed_and_switched_off_sources_say_why_they_are_not_asked(configured: Settings) -> None:
    off = configured.platform.providers.stooq.model_copy(update={"enabled": False})
    providers = configured.platform.providers.model_copy(update={"stooq": off})
    settings = configured.model_copy(
        update={"platform": configured.platform.model_copy(update={"providers": providers})}
    )
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        sources = build_sources(settings, now=NOW, gateway=gateway, environ={})
        keyed = build_sources(
            settings,
            now=NOW,
            gateway=gateway,
            environ={"FRED_API_KEY": "f", "ALPHAVANTAGE_API_KEY": "a", "XE_ACCOUNT_ID": "x", "XE_API_KEY": "y"},
        )
    spec = configured.series["usdclp_close"]
    reasons = {name: source.not_configured(spec) for name, source in sources.items() if not source.is_local}
    assert reasons == {
        "siete": "BCCH_USER and BCCH_PASS are not set",
        "mindicador": None,
        "findic": None,
        "fred": None,
        "ecb_live": None,
        "bis": None,
        "yahoo": None,
        "stooq": "switched off (providers.stooq.enabled in platform.yaml)",
        "alphavantage": "ALPHAVANTAGE_API_KEY is not set",
        "xe": "XE_ACCOUNT_ID and XE_API_KEY are not set",
    }
    assert keyed["alphavantage"].not_configured(spec) is None
    assert keyed["xe"].not_configured(spec) is None
    assert not any(
        secret in repr(keyed[name]) for name in ("alphavantage", "xe", "fred") for secret in ("'f'", "'a'", "'y'")
    )
