"""FRED: both headers of its CSV, the API behind it, and values as they were first published."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets.errors import SourceError
from forex_assets.market.asof import drivers_as_of
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.ingest import ingest
from forex_assets.market.sources.fred import FredSource
from forex_assets.settings import SeriesSpec, Settings, load_settings
from forex_assets_tests.market.provider_server import PATIENT, Provider, Reply, Request
from forex_assets_tests.market.test_chain import Scripted, sessions

NOW = dt.datetime(2025, 6, 20, 23, tzinfo=dt.UTC)
KEY = "0123456789abcdef0123456789abcdef"


def source(provider: Provider, gateway: HttpGateway, key: str | None = None) -> FredSource:
    return FredSource(
        base_url=f"{provider.base_url}/csv",
        api_url=f"{provider.base_url}/api",
        api_key=key,
        gateway=gateway,
        now=NOW,
        cache_hours=6,
    )


def ask(
    provider: Provider, spec: SeriesSpec, key: str | None = None, start: str = "2025-06-01", cache: Path | None = None
) -> FetchResult:
    with HttpGateway(PATIENT, cache_dir=cache, now=NOW) as gateway:
        return source(provider, gateway, key).fetch(
            FetchRequest(spec, dt.date.fromisoformat(start), dt.date(2025, 6, 20))
        )


def csv(header: str, *rows: str) -> Reply:
    return Reply("\n".join([header, *rows]) + "\n")


def observations(*rows: tuple[str, str, str], **extra: Any) -> Reply:
    items = [
        {"date": day, "value": value, "realtime_start": since, "realtime_end": "9999-12-31"}
        for day, value, since in rows
    ]
    return Reply({"units": "lin", "count": len(items), "observations": items, **extra})


@pytest.mark.parametrize("header", ["DATE,DGS10", "observation_date,DGS10"])
def test_both_headers_are_read_and_missing_is_a_dot_or_nothing(
    provider: Provider, series: dict[str, SeriesSpec], header: str
) -> None:
    provider.always(csv(header, "2025-06-17,4.39", "2025-06-18,4.38", "2025-06-19,.", "2025-06-20,"))
    frame = ask(provider, series["us_10y"]).frame
    assert frame["value"].tolist() == [4.39, 4.38]
    assert provider.requests[0].query == {"id": "DGS10", "cosd": "2025-06-01", "coed": "2025-06-20"}


def test_another_series_than_asked_for_is_refused(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    provider.always(csv("observation_date,DGS2", "2025-06-17,3.94"))
    with pytest.raises(SourceError, match="no column DGS10; it has observation_date, DGS2"):
        ask(provider, series["us_10y"])


def test_repetitions_on_closed_days_are_left_out_where_declared(
    provider: Provider, series: dict[str, SeriesSpec]
) -> None:
    days = [f"2025-06-{day:02d},4.33" for day in range(12, 20)]  # 14 and 15 a weekend, 19 Juneteenth
    provider.always(csv("observation_date,DFF", *days))
    frame = ask(provider, series["fed_funds"]).frame
    assert frame["event_date"].dt.day.tolist() == [12, 13, 16, 17, 18]


@pytest.mark.capability("L18")
def test_the_api_serves_where_the_file_fails_and_that_is_said(
    provider: Provider, series: dict[str, SeriesSpec]
) -> None:
    spec = series["wti"]
    api = observations(("2025-06-17", "75.2", "2025-06-20"), ("2025-06-18", ".", "2025-06-20"))
    provider.answer = lambda request: api if request.path == "/api" else Reply(status=403)
    answer = ask(provider, spec, KEY)
    assert answer.frame["value"].tolist() == [75.2]
    assert answer.note == "from the API: fred DCOILWTICO: the server answered HTTP 403."
    assert provider.requests[-1].query["api_key"] == KEY
    with pytest.raises(SourceError, match="HTTP 403"):
        ask(provider, spec)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (observations(("2025-06-17", "75.2", "2025-06-20"), count=9), "does not hold all"),
        (observations(("2025-06-17", "75.2", "2025-06-20"), units="pch"), "units 'pch'"),
        (
            Reply({"error_code": 400, "error_message": f"Bad Request. api_key {KEY} is not registered"}),
            r"api_key \*\*\*",
        ),
        (Reply({"observations": [{"date": "2025-06-17"}]}), "another shape"),
        (observations(("2025-06-17", "75,2", "2025-06-20")), "decimal comma"),
    ],
)
def test_api_answers_of_another_shape_are_refused(
    provider: Provider, series: dict[str, SeriesSpec], reply: Reply, says: str
) -> None:
    provider.answer = lambda request: reply if request.path == "/api" else Reply(status=403)
    with pytest.raises(SourceError, match=says) as caught:
        ask(provider, series["wti"], KEY)
    assert KEY not in str(caught.value)


def vintages(request: Request) -> Reply:
    if request.path == "/csv":
        return csv("observation_date,DGS10", "2025-06-16,4.46", "2025-06-17,4.39", "2025-06-18,4.38")
    assert request.query["realtime_start"] == request.query["observation_start"]
    return observations(
        ("2025-06-16", "4.40", "2025-06-17"),
        ("2025-06-16", "4.46", "2025-06-19"),
        ("2025-06-17", "4.39", "2025-06-18"),
        ("2025-06-18", ".", "2025-06-19"),
        ("2025-06-18", "4.38", "2025-06-20"),
    )


@pytest.mark.capability("K17")
def test_vintages_say_when_each_value_was_first_known_and_what_stood_there_before(
    provider: Provider, series: dict[str, SeriesSpec]
) -> None:
    provider.answer = vintages
    answer = ask(provider, series["us_10y"], KEY)
    told = answer.frame["available_at"].dt.strftime("%Y-%m-%d %H:%M").tolist()
    assert told == ["2025-06-19 22:00", "2025-06-18 22:00", "2025-06-20 22:00"]  # 18:00 in New York
    assert answer.earlier is not None
    assert answer.earlier["value"].tolist() == [4.40]
    assert answer.earlier["available_at"].dt.strftime("%Y-%m-%d").tolist() == ["2025-06-17"]


def test_without_a_key_or_with_a_refusal_the_values_come_without_vintages(
    provider: Provider, series: dict[str, SeriesSpec]
) -> None:
    provider.answer = lambda request: vintages(request) if request.path == "/csv" else Reply(status=400)
    assert "available_at" not in ask(provider, series["us_10y"]).frame.columns
    answer = ask(provider, series["us_10y"], KEY)
    assert "available_at" not in answer.frame.columns
    assert answer.note == "no vintages: fred API DGS10: the server answered HTTP 400."


def test_vintages_reach_back_no_further_than_the_api_serves(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    provider.answer = lambda request: (
        csv("observation_date,DGS10", "2005-01-04,4.29") if request.path == "/csv" else observations()
    )
    answer = ask(provider, series["us_10y"], KEY, start="2005-01-03")
    assert answer.frame["available_at"].isna().all()
    assert provider.requests[-1].query["observation_start"] == "2018-06-22"


@pytest.mark.capability("K17", "L05")
def test_a_driver_is_read_as_it_was_known_before_its_revision(
    provider: Provider, home: Path, series: dict[str, SeriesSpec]
) -> None:
    provider.answer = vintages
    settings = small(load_settings())
    with HttpGateway(PATIENT, cache_dir=None, now=NOW) as gateway:
        sources = {
            "fred": source(provider, gateway, KEY),
            "embedded": Scripted("embedded", sessions("2025-01-02", "2025-06-20", 930.0), now=NOW),
        }
        held = ingest(settings, "usdclp", now=NOW, sources=sources).observations
        again = ingest(settings, "usdclp", now=NOW, stored=held, sources=sources).observations
    pd.testing.assert_frame_equal(held, again)
    rows = held[held["series"] == "us_10y"]
    assert sorted(rows["value"]) == [4.38, 4.39, 4.40, 4.46]
    pair = settings.pair("usdclp")
    days = ["2025-06-17", "2025-06-18", "2025-06-19", "2025-06-20"]
    drivers = drivers_as_of(held, settings, pair, np.array(days, dtype="datetime64[D]"))
    newest = dict(zip(days, drivers["value"], strict=True))
    assert newest == {"2025-06-17": 4.40, "2025-06-18": 4.39, "2025-06-19": 4.39, "2025-06-20": 4.38}
    replaced = rows[rows["rule"] == "revision"].iloc[0]
    assert (replaced["value"], replaced["withdrawn_at"]) == (4.40, pd.Timestamp("2025-06-19 22:00", tz="UTC"))


def small(settings: Settings) -> Settings:
    chains = {"usdclp_fixing": ["embedded"], "us_10y": ["fred"]}
    pair = settings.pair("usdclp").model_copy(update={"chains": chains, "drivers": ["us_10y"]})
    return settings.model_copy(update={"pairs": {"usdclp": pair}})
