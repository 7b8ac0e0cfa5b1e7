"""BCCh SIETE: the shapes of its answers, its refusals inside HTTP 200, and credentials that never leave."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.http.limits import RateLimit
from forex_assets.market.sources.siete import SieteSource, read_credentials
from forex_assets.settings import HttpSettings, SeriesSpec
from forex_assets_tests.market.provider_server import FAST, HTML, PATIENT, Provider, Reply

NOW = dt.datetime(2025, 6, 20, 12, tzinfo=dt.UTC)
USER = "desk.analyst@example.cl"
PASSWORD = "s3cret p&ss/wörd"


def answer(*rows: tuple[str, str, str]) -> dict[str, Any]:
    """A ``GetSeries`` answer as the service sends it."""
    return {
        "Codigo": 0,
        "Descripcion": "Success",
        "Series": {
            "descripEsp": "Tipo de cambio nominal (dólar observado)",
            "descripIng": "Nominal exchange rate",
            "seriesId": "F073.TCO.PRE.Z.D",
            "Obs": [{"indexDateString": day, "value": value, "statusCode": status} for day, value, status in rows],
        },
        "SeriesInfos": [],
    }


REFUSAL = {
    "Codigo": -5,
    "Descripcion": "Invalid username or password",
    "Series": {"descripEsp": None, "descripIng": None, "seriesId": None, "Obs": None},
    "SeriesInfos": [],
}


def fetch(
    provider: Provider,
    spec: SeriesSpec,
    *,
    http: HttpSettings = PATIENT,
    cache: Path | None = None,
    base_url: str | None = None,
) -> FetchResult:
    with HttpGateway(http, cache_dir=cache, now=NOW) as gateway:
        source = SieteSource(
            base_url or f"{provider.base_url}/SieteRestWS.ashx",
            gateway=gateway,
            now=NOW,
            max_requests_per_s=1000,
            user=USER,
            password=PASSWORD,
        )
        return source.fetch(FetchRequest(spec, dt.date(2025, 6, 1), dt.date(2025, 6, 20)))


def test_dates_are_day_first_and_values_are_text(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    provider.always(Reply(answer(("12-06-2025", "936.36", "OK"), ("13-06-2025", "930.25", "OK"))))
    frame = fetch(provider, series["usdclp_fixing"]).frame
    assert list(frame["event_date"].dt.strftime("%Y-%m-%d")) == ["2025-06-12", "2025-06-13"]
    assert list(frame["value"]) == [936.36, 930.25]


@pytest.mark.parametrize(
    ("text", "value"), [("936,36", 936.36), ("1.036,36", 1036.36), (" 5 ", 5.0), ("6.1685", 6.1685)]
)
def test_decimal_comma_is_read_as_one(
    provider: Provider, series: dict[str, SeriesSpec], text: str, value: float
) -> None:
    provider.always(Reply(answer(("12-06-2025", text, "OK"))))
    assert list(fetch(provider, series["usdclp_fixing"]).frame["value"]) == [value]


def test_missing_days_are_no_rows(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    provider.always(
        Reply(answer(("13-06-2025", "930.25", "OK"), ("14-06-2025", "NaN", "ND"), ("15-06-2025", "0", "ND")))
    )
    assert len(fetch(provider, series["usdclp_fixing"]).frame) == 1


@pytest.mark.parametrize("observations", [None, []])
def test_success_without_observations_has_no_rows(
    provider: Provider, series: dict[str, SeriesSpec], observations: Any
) -> None:
    body = answer()
    body["Series"]["Obs"] = observations
    provider.always(Reply(body))
    assert len(fetch(provider, series["usdclp_fixing"]).frame) == 0


def test_byte_order_mark_and_latin_text_do_not_matter(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    raw = b'\xef\xbb\xbf{"Codigo": 0, "Descripcion": "\xe9xito", "Series": {"Obs": []}}'
    provider.always(Reply(raw))
    assert len(fetch(provider, series["usdclp_fixing"]).frame) == 0


def test_request_carries_what_the_service_documents(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    provider.always(Reply(answer()))
    fetch(provider, series["tpm"])
    (request,) = provider.requests
    assert request.query == {
        "user": USER,
        "pass": PASSWORD,
        "function": "GetSeries",
        "timeseries": "F022.TPM.TIN.D001.NO.Z.D",
        "firstdate": "2025-06-01",
        "lastdate": "2025-06-20",
    }


@pytest.mark.capability("L18")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (REFUSAL, "refused with code -5: Invalid username or password"),
        ({**REFUSAL, "Codigo": "-50", "Descripcion": f"user {USER} with {PASSWORD} unknown"}, "refused with code -50"),
        ({"Series": {}}, "no 'Codigo'"),
        ([], "no 'Codigo'"),
        (answer(("2025/06/12", "936.36", "OK")), "another shape"),
        (answer(("12-06-2025", "n/a", "OK")), "another shape"),
        ({"Codigo": 0, "Series": {"Obs": [{"value": "1"}]}}, "another shape"),
        (HTML, "HTML instead of JSON"),
    ],
)
def test_refusal_inside_http_200_is_a_typed_error(
    provider: Provider, series: dict[str, SeriesSpec], body: Any, says: str
) -> None:
    provider.always(Reply(body))
    with pytest.raises(SourceError, match=says) as caught:
        fetch(provider, series["usdclp_fixing"])
    assert PASSWORD not in str(caught.value)
    assert USER not in str(caught.value)


SPOILT = ("s3cret", "p&ss", "p%26ss", "w%C3%B6rd", "wörd", "desk.analyst", "example.cl")


@pytest.mark.capability("L19")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(REFUSAL),
        Reply({**REFUSAL, "Descripcion": f"no access for {USER}/{PASSWORD}"}),
        Reply(status=500),
        Reply(status=403),
        Reply(HTML),
        Reply(answer(("12-06-2025", "936.36", "OK")), truncated=True),
        Reply(silent=True),
        Reply(answer(("12-06-2025", "936.36", "OK"))),
    ],
    ids=["refused", "echoed", "500", "403", "html", "truncated", "slow", "fine"],
)
def test_credentials_reach_no_error_log_cache_or_setting(
    provider: Provider,
    series: dict[str, SeriesSpec],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
) -> None:
    provider.always(reply)
    told: list[str] = []
    with caplog.at_level(logging.DEBUG), contextlib.suppress(SourceError):
        try:
            http = FAST if reply.silent else PATIENT
            told.append(repr(fetch(provider, series["usdclp_fixing"], http=http, cache=tmp_path / "http")))
        except SourceError as error:
            chain: BaseException | None = error
            while chain is not None:
                told += [str(chain), repr(chain), repr(getattr(chain, "__dict__", {}))]
                chain = chain.__cause__ or chain.__context__
            told.append("".join(traceback.format_exception(error)))
            raise
    told += [record.getMessage() for record in caplog.records] + [caplog.text]
    told += [path.name + path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert provider.requests, "the credentials did travel to the provider"
    assert any("HTTP Request: GET" in text for text in told) or reply.silent, "httpx's own log is part of the test"
    assert [(part, text) for part in SPOILT for text in told if part in text] == []


@pytest.mark.capability("L19")
def test_source_does_not_show_its_credentials(series: dict[str, SeriesSpec]) -> None:
    gateway = HttpGateway(FAST, cache_dir=None, now=NOW)
    source = SieteSource(
        "http://x.invalid", gateway=gateway, now=NOW, max_requests_per_s=5, user=USER, password=PASSWORD
    )
    assert not any(part in repr(source) for part in SPOILT)
    assert source.not_configured(series["tpm"]) is None


def test_without_credentials_it_is_not_configured(series: dict[str, SeriesSpec]) -> None:
    gateway = HttpGateway(FAST, cache_dir=None, now=NOW)
    source = SieteSource("http://x.invalid", gateway=gateway, now=NOW, max_requests_per_s=5, user=USER)
    assert source.not_configured(series["tpm"]) == "BCCH_USER and BCCH_PASS are not set"
    with pytest.raises(SourceError, match="no credentials"):
        source.fetch(FetchRequest(series["tpm"], dt.date(2025, 6, 1), dt.date(2025, 6, 2)))


@pytest.mark.capability("L19")
def test_credentials_come_from_environment_or_private_file_only(tmp_path: Path) -> None:
    secret_file = tmp_path / "pass"
    secret_file.write_text("from-a-file\n", encoding="utf-8")
    secret_file.chmod(0o600)
    assert read_credentials({"BCCH_USER": "u", "BCCH_PASS": "p"}) == ("u", "p")
    assert read_credentials({"BCCH_USER": "u", "BCCH_PASS_FILE": str(secret_file)}) == ("u", "from-a-file")
    assert read_credentials({}) == (None, None)
    secret_file.chmod(0o644)
    with pytest.raises(ConfigError, match="600"):
        read_credentials({"BCCH_USER": "u", "BCCH_PASS_FILE": str(secret_file)})


def test_requests_are_spaced_to_the_services_limit() -> None:
    moment = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        moment[0] += seconds

    limit = RateLimit(5, clock=lambda: moment[0], sleep=sleep)
    turns = []
    for _ in range(11):
        limit.wait()
        turns.append(moment[0])
    assert turns[-1] - turns[0] == pytest.approx(2.0)
    assert all(later - earlier >= 0.2 - 1e-9 for earlier, later in itertools.pairwise(turns))
    moment[0] += 60
    slept.clear()
    limit.wait()
    assert slept == []


def test_bad_code_is_a_configuration_error(provider: Provider, series: dict[str, SeriesSpec]) -> None:
    spec = series["tpm"].model_copy(update={"addresses": {"siete": {"code": "F022&user=x"}}})
    with pytest.raises(ConfigError, match=r"addresses\.siete"):
        fetch(provider, spec)
