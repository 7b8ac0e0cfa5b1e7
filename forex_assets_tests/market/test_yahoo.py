"""Yahoo's chart: nulls, zones, the session under way, the second host, and the one-day check of CLP=X on real files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets.clock import calendar_for
from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources.yahoo import YahooAddress, YahooSource, parse_chart
from forex_assets.settings import SeriesSpec
from forex_assets_tests.market.provider_cases import yahoo_chart
from forex_assets_tests.market.provider_server import HTML, PATIENT, Provider, Reply

NOW = dt.datetime(2025, 6, 13, 22, tzinfo=dt.UTC)
ROOMY = PATIENT.model_copy(update={"max_response_mb": 4})
COPPER = YahooAddress(symbol="HG=F", currency="USD")


def bars(*days: str, value: float = 4.8) -> list[tuple[np.datetime64, Any]]:
    return [(np.datetime64(day), round(value + place / 100, 4)) for place, day in enumerate(days)]


def parse(body: Any, address: YahooAddress = COPPER, now: dt.datetime = NOW) -> tuple[pd.DataFrame, str | None]:
    return parse_chart(body, address=address, label=f"yahoo {address.symbol}", now=now)


def chart(rows: Any, **options: Any) -> Any:
    return yahoo_chart(rows, **{"symbol": "HG=F", "zone": "America/New_York", "currency": "USD", **options})


def result(body: Any) -> dict[str, Any]:
    return dict(body["chart"]["result"][0])


def ask(
    provider: Provider, spec: SeriesSpec, start: str, end: str, reference: pd.DataFrame | None = None, **options: Any
) -> FetchResult:
    with HttpGateway(ROOMY, cache_dir=options.pop("cache", None), now=options.get("now", NOW)) as gateway:
        source = YahooSource(
            **{
                "base_url": provider.base_url,
                "gateway": gateway,
                "now": NOW,
                "cache_hours": 6.0,
                "user_agent": "Mozilla/5.0 (test)",
                **options,
            }
        )
        give = None if reference is None else (lambda _name: reference)
        return source.fetch(FetchRequest(spec, dt.date.fromisoformat(start), dt.date.fromisoformat(end), give))


def read(folder: Path, file: str, column: str) -> pd.DataFrame:
    data = pd.read_csv(folder / file, parse_dates=["date"])
    return data.rename(columns={"date": "event_date", column: "value"})[["event_date", "value"]].dropna()


def as_bars(frame: pd.DataFrame) -> list[tuple[np.datetime64, Any]]:
    days = frame["event_date"].to_numpy("datetime64[D]")
    return list(zip(days, frame["value"].tolist(), strict=True))


@pytest.mark.capability("E03", "K17", "L18")
def test_clp_bars_of_the_sample_file_are_found_a_day_late_corrected_and_it_is_said(
    provider: Provider, series: dict[str, SeriesSpec], market_data_dir: Path
) -> None:
    raw = read(market_data_dir, "usdclp_yahoo_raw_daily.csv", "close")
    fixing = read(market_data_dir, "usdclp_observado_daily.csv", "value")
    provider.always(Reply(yahoo_chart(as_bars(raw))))
    answer = ask(provider, series["usdclp_close"], "2011-01-01", "2025-06-13", fixing)
    assert answer.note is not None
    assert answer.note.startswith(
        "dates checked against usdclp_fixing: 1 session late, corrected (rank correlation 0.3"
    )
    joined = pd.read_csv(market_data_dir / "usdclp_close_long_daily.csv", parse_dates=["date"])
    joined = joined[(joined["source"] == "yahoo_realigned") & (joined["date"] >= "2011-01-01")]
    both = answer.frame.merge(joined, left_on="event_date", right_on="date")
    assert len(both) > 1500
    assert (both["value"] == both["close"]).mean() > 0.99, "moved by hand and by the adapter they are the same"
    market = read(market_data_dir, "usdclp_market_daily.csv", "close")
    gaps = answer.frame.merge(market, on="event_date", suffixes=("", "_market"))
    assert np.log(gaps["value"] / gaps["value_market"]).abs().median() < 6e-4
    as_dated = raw.merge(market, on="event_date", suffixes=("", "_market"))
    assert np.log(as_dated["value"] / as_dated["value_market"]).abs().median() > 40e-4


@pytest.mark.capability("E03", "K17")
def test_clp_bars_with_right_dates_are_left_as_they_are(
    provider: Provider, series: dict[str, SeriesSpec], market_data_dir: Path
) -> None:
    market = read(market_data_dir, "usdclp_market_daily.csv", "close")
    market = market[calendar_for("CL").is_open(market["event_date"].to_numpy("datetime64[D]"))]
    fixing = read(market_data_dir, "usdclp_observado_daily.csv", "value")
    provider.always(Reply(yahoo_chart(as_bars(market))))
    answer = ask(provider, series["usdclp_close"], "2025-01-02", "2025-06-12", fixing)
    assert "dates checked against usdclp_fixing: same session" in (answer.note or "")
    expected = market[market["event_date"].between("2025-01-02", "2025-06-12")]
    assert answer.frame["value"].tolist() == expected["value"].tolist()


@pytest.mark.capability("L18")
def test_clp_bars_that_cannot_be_checked_are_refused(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    days = calendar_for("CL").sessions("2024-06-03", "2025-06-12")
    rng = np.random.default_rng(3)
    noise = list(zip(days, (900 + rng.normal(0, 8, len(days))).round(2).tolist(), strict=True))
    provider.always(Reply(yahoo_chart(noise)))
    other = pd.DataFrame({"event_date": days.astype("datetime64[ns]"), "value": 900 + rng.normal(0, 8, len(days))})
    with pytest.raises(SourceError, match=r"no value of usdclp_fixing to compare with"):
        ask(provider, series["usdclp_close"], "2025-05-01", "2025-06-13")
    with pytest.raises(SourceError, match=r"cannot be told from usdclp_fixing \(\d+ pairs"):
        ask(provider, series["usdclp_close"], "2025-05-01", "2025-06-13", other)


def test_series_without_a_reference_are_dated_in_the_exchanges_zone(
    provider: Provider, series: dict[str, SeriesSpec]
) -> None:
    provider.always(Reply(chart(bars("2025-06-10", "2025-06-11", "2025-06-12"))))
    answer = ask(provider, series["copper_comex"], "2025-06-11", "2025-06-13")
    assert answer.frame["event_date"].dt.strftime("%Y-%m-%d").tolist() == ["2025-06-11", "2025-06-12"]
    assert answer.frame["value"].tolist() == [4.81, 4.82]
    assert answer.frame["open"].tolist() == [4.81, 4.82]
    (request,) = provider.requests
    assert request.path == "/v8/finance/chart/HG%3DF"
    assert request.query["interval"] == "1d"
    assert request.headers["user-agent"] == "Mozilla/5.0 (test)"


def test_nulls_are_no_bars() -> None:
    body = chart(bars("2025-06-10", "2025-06-11", "2025-06-12"))
    quote = result(body)["indicators"]["quote"][0]
    quote["close"] = [4.8, None, 4.82]
    frame, note = parse(body)
    assert frame["value"].tolist() == [4.8, 4.82]
    assert note is None


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        (dt.datetime(2025, 6, 13, 20, 30, tzinfo=dt.UTC), 1),  # 16:30 in New York, the day is not over
        (dt.datetime(2025, 6, 14, 4, 1, tzinfo=dt.UTC), 2),  # past midnight there
    ],
)
def test_the_bar_of_a_day_that_is_not_over_is_left_out(now: dt.datetime, kept: int) -> None:
    frame, note = parse(chart(bars("2025-06-12", "2025-06-13")), now=now)
    assert len(frame) == kept
    assert (note == "the unfinished bar of 2025-06-13 is left out") == (kept == 1)


def test_a_session_is_over_at_the_end_the_answer_names() -> None:
    body = chart(bars("2025-06-12", "2025-06-13"))
    opened = dt.datetime(2025, 6, 13, 13, 30, tzinfo=dt.UTC)
    period = {"start": int(opened.timestamp()), "end": int((opened + dt.timedelta(hours=6.5)).timestamp())}
    result(body)["meta"]["currentTradingPeriod"] = {"regular": period}
    assert len(parse(body, now=opened + dt.timedelta(hours=6))[0]) == 1
    assert len(parse(body, now=opened + dt.timedelta(hours=7))[0]) == 2


def test_a_live_bar_beside_the_days_own_is_a_contradiction_and_left_out_while_the_day_lasts() -> None:
    body = chart(bars("2025-06-11", "2025-06-12", "2025-06-12"))
    frame, note = parse(body)
    assert frame["event_date"].dt.strftime("%Y-%m-%d").tolist() == ["2025-06-11"]
    assert "given more than once with different values" in (note or "")


def test_empty_answer_without_stamps_has_no_rows() -> None:
    body = chart([])
    del result(body)["timestamp"]
    body["chart"]["result"][0].pop("timestamp", None)
    body["chart"]["result"][0]["indicators"]["quote"] = [{}]
    assert len(parse(body)[0]) == 0


def test_stamps_read_in_another_zone_than_they_were_written_are_refused() -> None:
    days = calendar_for("US").sessions("2024-01-02", "2024-12-31")
    rows = [(day, 4.0) for day in days]
    with pytest.raises(SourceError, match="fall on weekends"):
        parse(chart(rows, zone="America/New_York", stamped="Europe/London"))
    with pytest.raises(SourceError, match="an hour later in one season"):
        parse(chart(rows, zone="UTC", stamped="America/New_York"))
    assert len(parse(chart(rows))[0]) == len(rows)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: b.pop("chart"), "no 'chart'"),
        (
            lambda b: b["chart"].update(result=None, error={"code": "Not Found", "description": "gone"}),
            "Not Found: gone",
        ),
        (lambda b: b["chart"]["result"][0].pop("meta"), "no 'meta'"),
        (lambda b: result(b)["meta"].update(symbol="GC=F"), "about 'GC=F'"),
        (lambda b: result(b)["meta"].update(currency="USX"), "in 'USX', USD is expected"),
        (lambda b: result(b)["meta"].update(dataGranularity="1wk"), "bars of '1wk'"),
        (lambda b: result(b)["meta"].update(exchangeTimezoneName="Mars/Base"), "zone is 'Mars/Base'"),
        (lambda b: result(b)["meta"].pop("exchangeTimezoneName"), "zone is None"),
        (lambda b: result(b)["timestamp"].append(1), "'close' holds 2 values for 3 stamps"),
        (lambda b: result(b)["timestamp"].__setitem__(0, 1_749_700_000_000), "does not hold seconds"),
        (lambda b: result(b)["timestamp"].__setitem__(0, "2025-06-12"), "does not hold seconds"),
        (lambda b: result(b)["indicators"].pop("quote"), "no 'quote'"),
        (lambda b: result(b)["indicators"]["quote"][0]["close"].__setitem__(0, "4,80"), "decimal comma"),
    ],
)
def test_another_shape_is_a_typed_error_naming_what_was_seen(spoil: Any, says: str) -> None:
    body = chart(bars("2025-06-11", "2025-06-12"))
    spoil(body)
    with pytest.raises(SourceError, match=says):
        parse(body)


@pytest.mark.capability("L18")
@pytest.mark.parametrize("trouble", [Reply(status=429), Reply(status=500), Reply(HTML), Reply("Too Many Requests")])
def test_the_second_host_is_asked_when_the_first_fails(
    provider: Provider, series: dict[str, SeriesSpec], trouble: Reply
) -> None:
    good = Reply(chart(bars("2025-06-10", "2025-06-11")))
    provider.answer = lambda request: good if request.path.startswith("/second") else trouble
    port = provider.base_url.rsplit(":", 1)[1]
    answer = ask(
        provider, series["copper_comex"], "2025-06-01", "2025-06-13", other_urls=(f"http://localhost:{port}/second",)
    )
    assert answer.frame["value"].tolist() == [4.8, 4.81]
    assert (answer.note or "").startswith("the other host failed: yahoo HG=F: ")


def test_answer_is_good_for_hours_and_asked_for_again_after_a_publication(
    provider: Provider, series: dict[str, SeriesSpec], tmp_path: Path
) -> None:
    provider.always(Reply(chart(bars("2025-06-10", "2025-06-11"))))
    spec = series["copper_comex"]
    for hours, asked in ((0, 1), (1, 1), (7, 2)):
        now = dt.datetime(2025, 6, 13, 8, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
        ask(provider, spec, "2025-06-01", "2025-06-13", now=now, cache=tmp_path)
        assert len(provider.requests) == asked


def test_bad_symbol_is_a_configuration_error(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    spec = series["copper_comex"].model_copy(update={"addresses": {"yahoo": {"symbol": "../secrets"}}})
    with pytest.raises(ConfigError, match=r"addresses\.yahoo"):
        ask(provider, spec, "2025-06-01", "2025-06-13")
    assert provider.requests == []
