"""Every live adapter against every way a provider fails: how each answers, and what must become of it.

``python -m forex_assets_tests.market.provider_cases`` prints the table of docs/providers.md.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from forex_assets.clock import calendar_for
from forex_assets.market.contract import Source
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources import (
    AlphaVantageSource,
    BisSource,
    EcbLiveSource,
    FindicSource,
    FredSource,
    MindicadorSource,
    SieteSource,
    StooqSource,
    XeSource,
    YahooSource,
)
from forex_assets_tests.market.provider_server import HTML, Reply, Request

# Thursday, 19:30 in Santiago: the fixing of Friday and the close of Thursday are known, and it is Friday in London.
NOW = dt.datetime(2025, 6, 12, 23, 30, tzinfo=dt.UTC)
FIRST = "2024-07-01"
STORED_TO = np.datetime64("2025-05-30")
SPOILT = np.datetime64("2025-06-09")
"""The session whose value is spoilt, where one is; it is not stored yet."""

FAILURES: dict[str, str] = {
    "refused": "connection refused",
    "slow": "no answer in time",
    "429": "HTTP 429",
    "500": "HTTP 500",
    "truncated": "answer cut short",
    "html": "HTML page",
    "text": "refusal inside HTTP 200",
    "empty": "empty answer",
    "field": "changed field name",
    "x100": "one value ×100",
    "x1000": "all values ×1000",
    "repeated": "duplicated, contradicting, unordered rows",
    "zone": "stamps of another zone",
    "unfinished": "a bar that is not over",
    "comma": "decimal comma",
}
ENDS: dict[str, str] = {
    "error": "typed error, the next source in the chain serves",
    "quarantine": "the rows are withdrawn by a quality rule",
    "left out": "the rows are left out with a note, the rest is used",
    "read": "read as meant, or its dates corrected with a note",
    "—": "cannot happen: it has no such bar",
}
_ERRORS = dict.fromkeys(("refused", "slow", "429", "500", "truncated", "html", "text", "empty", "field"), "error")

Rows = list[tuple[np.datetime64, Any]]


@dataclass(frozen=True)
class Case:
    """One adapter: its series, how to build it, how the provider answers, and what must become of each failure."""

    label: str
    name: str
    series: str
    build: Callable[[str, HttpGateway], Source]
    answer: Callable[[Rows], Any]
    text: Any
    renamed: tuple[str, str]
    ends: Mapping[str, str]
    dated: Callable[[Rows], Rows] = field(default=lambda rows: rows)
    zoned: Callable[[Rows], Any] | None = None
    before: Callable[[Request], Reply | None] = field(default=lambda _request: None)

    def truth(self) -> dict[np.datetime64, float]:
        return TRUTH[self.series]()


def reply(case: Case, failure: str) -> tuple[Reply, Any]:
    """Return what the provider answers under a failure, and the value that must not stand where there is one."""
    sound = case.dated(sorted(case.truth().items()))
    wrong: Any = None
    rows: Rows = list(sound)
    if failure in ("429", "500"):
        return Reply(status=int(failure)), None
    if failure == "slow":
        return Reply(silent=True), None
    if failure == "truncated":
        return Reply(case.answer(rows), truncated=True), None
    if failure == "html":
        return Reply(HTML), None
    if failure == "text":
        return Reply(case.text), None
    if failure == "empty":
        return Reply(b""), None
    if failure == "field":
        old, new = case.renamed
        raw = case.answer(rows)
        if isinstance(raw, bytes):
            return Reply(zipped(unzipped(raw).replace(old, new))), None
        text = raw if isinstance(raw, str) else json.dumps(raw)
        assert old in text
        return Reply(text.replace(old, new)), None
    place = next(index for index, (day, _) in enumerate(rows) if day >= SPOILT)
    if failure == "x100":
        wrong = rows[place][1] * 100
        rows[place] = (rows[place][0], wrong)
    elif failure == "x1000":
        rows = [(day, value * 1000) for day, value in rows]
        wrong = rows[place][1]
    elif failure == "repeated":
        wrong = rows[place][1] * 1.03
        rows = [*rows, (rows[place][0], wrong), rows[place + 1]][::-1]
    elif failure == "comma":
        rows[place] = (rows[place][0], f"{rows[place][1]:.4f}".replace(".", ","))
    elif failure == "unfinished":
        wrong = rows[-1][1] * 1.02
        rows = [*rows, (np.busday_offset(np.datetime64(NOW.date()), 1), wrong)]
    elif failure == "zone":
        assert case.zoned is not None
        return Reply(case.zoned(rows)), None
    return Reply(case.answer(rows)), wrong


@functools.cache
def fixing() -> dict[np.datetime64, float]:
    from forex_assets_tests.defs.world import read_embedded

    frame = read_embedded("usdclp_fixing")
    frame = frame[frame["date"] >= FIRST]
    days = frame["date"].to_numpy().astype("datetime64[D]")
    return dict(zip(days, frame["value"].to_numpy(float).tolist(), strict=True))


@functools.cache
def close() -> dict[np.datetime64, float]:
    """A close of each session: what the next fixing averaged, and a little noise."""
    values = fixing()
    days = sorted(values)
    noise = np.random.default_rng(7).normal(0, 0.0005, len(days))
    sessions = calendar_for("CL").add(np.array(days), -1)
    return {
        day: round(values[label] * (1 + shake), 4)
        for day, label, shake in zip(sessions, days, noise, strict=True)
        if day >= np.datetime64(FIRST)
    }


@functools.cache
def walk(calendar: str, start: float, sigma: float, last: str) -> dict[np.datetime64, float]:
    days = calendar_for(calendar).sessions(FIRST, last)
    steps = np.random.default_rng(11).normal(0, sigma, len(days)).cumsum()
    return {day: round(float(start + start * np.tanh(step) / 5), 4) for day, step in zip(days, steps, strict=True)}


TRUTH: dict[str, Callable[[], dict[np.datetime64, float]]] = {
    "usdclp_fixing": fixing,
    "usdclp_close": close,
    "us_10y": lambda: walk("US", 4.2, 0.02, "2025-06-11"),
    "eurusd_ecb": lambda: walk("TARGET", 1.1, 0.01, "2025-06-12"),
}


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A CSV as text; values that hold a comma are not quoted, as a provider that changed its locale would write."""
    return "\r\n".join(",".join(str(cell) for cell in line) for line in [header, *rows]) + "\r\n"


def unzipped(raw: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return archive.read(archive.namelist()[0]).decode()


def zipped(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", text)
    return out.getvalue()


def siete_answer(rows: Rows, suffix: str = "") -> Any:
    shown = [(f"{day.item():%d-%m-%Y}{suffix}", str(value)) for day, value in rows]
    observations = [{"indexDateString": day, "value": value, "statusCode": "OK"} for day, value in shown]
    return {"Codigo": 0, "Descripcion": "Success", "Series": {"seriesId": "F073.TCO.PRE.Z.D", "Obs": observations}}


def _pages(rows: Rows, suffix: str = "T04:00:00.000Z") -> Any:
    serie = [{"fecha": f"{day}{suffix}", "valor": value} for day, value in rows]
    return {"version": "1.7.0", "codigo": "dolar", "nombre": "Dólar observado", "serie": serie[::-1]}


def _late(rows: Rows) -> Rows:
    """Dated one weekday late, with a bar on closed days too, as Yahoo's CLP=X has been seen."""
    held = dict(rows)
    days = np.arange(rows[0][0], NOW.date(), dtype="datetime64[D]")
    out: Rows = []
    for day in days[np.is_busday(days)]:
        known = [value for when, value in held.items() if when == day]
        value = known[0] if known else out[-1][1]
        out.append((np.busday_offset(day, 1), value))
    return out


def _midnights(rows: Rows) -> Rows:
    """The mid of midnight UTC after each session, weekends included."""
    held, value, out = dict(rows), rows[0][1], []
    for day in np.arange(rows[0][0], NOW.date(), dtype="datetime64[D]"):
        value = held.get(day, value)
        out.append((day + 1, value))
    return out


def yahoo_chart(
    rows: Rows, symbol: str = "CLP=X", zone: str = "Europe/London", stamped: str | None = None, currency: str = "CLP"
) -> Any:
    tz = ZoneInfo(stamped or zone)
    stamps = [int(dt.datetime.combine(day.item(), dt.time(), tzinfo=tz).timestamp()) for day, _ in rows]
    values = [value for _, value in rows]
    quote = dict.fromkeys(("open", "high", "low", "close"), values) | {"volume": [0] * len(rows)}
    meta = {"currency": currency, "symbol": symbol, "exchangeTimezoneName": zone, "gmtoffset": 3600}
    return {
        "chart": {
            "result": [{"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote], "adjclose": [{}]}}],
            "error": None,
        }
    }


def _graph(rows: Rows, suffix: str = "") -> str:
    return table(["observation_date", "DGS10"], [[f"{day}{suffix}", value] for day, value in rows])


def fred_observations(rows: Rows, suffix: str = "") -> Any:
    items = [
        {"realtime_start": "2025-06-12", "realtime_end": "2025-06-12", "date": f"{day}{suffix}", "value": str(value)}
        for day, value in rows
    ]
    return {"units": "lin", "count": len(items), "offset": 0, "limit": 100000, "observations": items}


def _stooq(rows: Rows) -> str:
    return table(["Date", "Open", "High", "Low", "Close"], [[day, *[value] * 4] for day, value in rows])


def _bis(rows: Rows, suffix: str = "") -> str:
    header = ["FREQ", "REF_AREA", "CURRENCY", "COLLECTION", "UNIT_MEASURE", "TIME_PERIOD", "OBS_VALUE"]
    return table(header, [["D", "CL", "CLP", "A", "CLP", f"{day}{suffix}", value] for day, value in rows])


def _sdmx(rows: Rows, suffix: str = "") -> str:
    header = ["KEY", "FREQ", "CURRENCY", "CURRENCY_DENOM", "EXR_TYPE", "EXR_SUFFIX", "TIME_PERIOD", "OBS_VALUE"]
    key = ["EXR.D.USD.EUR.SP00.A", "D", "USD", "EUR", "SP00", "A"]
    return table(header, [[*key, f"{day}{suffix}", value] for day, value in rows])


def _archive(rows: Rows, suffix: str = "") -> bytes:
    lines = [[f"{day}{suffix}", value, "N/A", "164.3", ""] for day, value in rows[::-1]]
    return zipped(table(["Date", "USD", "CYP", "JPY", ""], lines))


def alpha_vantage(rows: Rows, zone: str = "UTC") -> Any:
    bars: list[tuple[str, Any]] = [
        (str(day), {"1. open": str(value), "2. high": str(value), "3. low": str(value), "4. close": str(value)})
        for day, value in rows[::-1]
    ]
    meta = {
        "1. Information": "Forex Daily Prices",
        "2. From Symbol": "USD",
        "3. To Symbol": "CLP",
        "6. Time Zone": zone,
    }
    return {"Meta Data": meta, "Time Series FX (Daily)": Repeating(bars)}


class Repeating(dict[str, Any]):
    """A JSON object that may hold a key twice, as text."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def items(self) -> Any:
        return self.pairs


def xe_page(rows: Rows, zone: str = "Z") -> Any:
    quotes = [{"mid": value, "timestamp": f"{day}T00:00:00{zone}"} for day, value in rows]
    return {"terms": "http://www.xe.com/legal/dfs.php", "from": "USD", "amount": 1.0, "to": {"CLP": quotes}}


def _shifted(rows: Rows) -> Rows:
    """A weekday later: dated in a zone in which the session ends the next day."""
    return [(np.busday_offset(day, 1, roll="forward"), value) for day, value in rows if np.is_busday(day)]


def common(base_url: str, gateway: HttpGateway) -> dict[str, Any]:
    """Arguments every live source takes."""
    return {"base_url": base_url, "gateway": gateway, "now": NOW, "cache_hours": 6.0}


def mirror(base_url: str, gateway: HttpGateway) -> dict[str, Any]:
    """Arguments of the two mirrors."""
    return {"base_url": base_url, "gateway": gateway, "now": NOW, "cache_hours_open_year": 6.0}


DEAD = "http://127.0.0.1:9"  # discard: nothing listens there
SPOILT_ROWS = {"x100": "quarantine", "x1000": "quarantine", "repeated": "left out", "zone": "error", "comma": "error"}
CHECKED = {"x1000": "error", "zone": "read"}

CASES: dict[str, Case] = {
    case.label: case
    for case in (
        Case(
            "siete",
            "siete",
            "usdclp_fixing",
            lambda url, gateway: SieteSource(
                url, gateway=gateway, now=NOW, max_requests_per_s=1000, user="desk@example.cl", password="not-a-secret"
            ),
            siete_answer,
            {"Codigo": -5, "Descripcion": "Invalid username or password", "Series": {"Obs": None}, "SeriesInfos": []},
            ('"value"', '"valor"'),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "—", "comma": "read"},
            zoned=lambda rows: siete_answer(rows, " 03:00"),
        ),
        Case(
            "mindicador",
            "mindicador",
            "usdclp_fixing",
            lambda url, gateway: MindicadorSource(**mirror(url, gateway)),
            _pages,
            "Servicio no disponible",
            ('"valor"', '"value"'),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "—"},
            zoned=lambda rows: _pages(rows, "T21:00:00.000Z"),
        ),
        Case(
            "findic",
            "findic",
            "usdclp_fixing",
            lambda url, gateway: FindicSource(**mirror(url, gateway)),
            lambda rows: _pages(rows, ""),
            {"error": "indicador no encontrado"},
            ('"fecha"', '"date"'),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "—"},
            zoned=lambda rows: _pages(rows, "T21:00:00.000Z"),
        ),
        Case(
            "fred (CSV)",
            "fred",
            "us_10y",
            lambda url, gateway: FredSource(**common(url, gateway), api_url=DEAD),
            _graph,
            "Bad Request. The series does not exist.",
            ("DGS10", "value"),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "left out"},
            zoned=lambda rows: _graph(rows, "T00:00:00-05:00"),
        ),
        Case(
            "fred (API)",
            "fred",
            "us_10y",
            lambda url, gateway: FredSource(**common(DEAD, gateway), api_url=url, api_key="not-a-secret"),
            fred_observations,
            {"error_code": 400, "error_message": "Bad Request. The value for variable api_key is not registered."},
            ('"observations"', '"data"'),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "left out"},
            zoned=lambda rows: fred_observations(rows, "T00:00:00-05:00"),
        ),
        Case(
            "ecb_live (SDMX)",
            "ecb_live",
            "eurusd_ecb",
            lambda url, gateway: EcbLiveSource(**common(url, gateway), archive_url=DEAD),
            _sdmx,
            "No results found.",
            ("OBS_VALUE", "VALUE"),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "left out"},
            zoned=lambda rows: _sdmx(rows, "T00:00:00+02:00"),
        ),
        Case(
            "ecb_live (zip)",
            "ecb_live",
            "eurusd_ecb",
            lambda url, gateway: EcbLiveSource(**common(DEAD, gateway), archive_url=url),
            _archive,
            "No results found.",
            ("USD", "US dollar"),
            {**_ERRORS, **SPOILT_ROWS, "unfinished": "left out"},
            zoned=lambda rows: _archive(rows, "T00:00:00+02:00"),
        ),
        Case(
            "bis",
            "bis",
            "usdclp_fixing",
            lambda url, gateway: BisSource(**common(url, gateway)),
            _bis,
            "NoRecordsFound",
            ("TIME_PERIOD", "PERIOD"),
            {**_ERRORS, **SPOILT_ROWS, "x1000": "error", "unfinished": "—"},
            zoned=lambda rows: _bis(rows, "T00:00:00+02:00"),
        ),
        Case(
            "yahoo",
            "yahoo",
            "usdclp_close",
            lambda url, gateway: YahooSource(**common(url, gateway), user_agent="Mozilla/5.0"),
            yahoo_chart,
            {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}},
            ('"close"', '"last"'),
            {**_ERRORS, **SPOILT_ROWS, **CHECKED, "zone": "error", "unfinished": "left out"},
            dated=_late,
            zoned=lambda rows: yahoo_chart(rows, zone="America/New_York", stamped="Europe/London"),
        ),
        Case(
            "stooq",
            "stooq",
            "usdclp_close",
            lambda url, gateway: StooqSource(**common(url, gateway)),
            _stooq,
            "Exceeded the daily hits limit",
            ("Close", "Last"),
            {**_ERRORS, **SPOILT_ROWS, **CHECKED, "unfinished": "left out"},
            zoned=lambda rows: _stooq(_shifted(rows)),
        ),
        Case(
            "alphavantage",
            "alphavantage",
            "usdclp_close",
            lambda url, gateway: AlphaVantageSource(**common(url, gateway), api_key="not-a-secret"),
            alpha_vantage,
            {"Note": "Thank you for using Alpha Vantage! Our standard API rate limit is 25 requests per day."},
            ("4. close", "4. last"),
            {**_ERRORS, **SPOILT_ROWS, **CHECKED, "repeated": "error", "unfinished": "left out"},
            zoned=lambda rows: alpha_vantage(_shifted(rows)),
        ),
        Case(
            "xe",
            "xe",
            "usdclp_close",
            lambda url, gateway: XeSource(**common(url, gateway), account="desk", api_key="not-a-secret"),
            xe_page,
            {"code": 3, "message": "Request limit exceeded.", "documentation_url": "https://xecdapi.xe.com/docs/v1/"},
            ('"mid"', '"rate"'),
            {**_ERRORS, **SPOILT_ROWS, **CHECKED, "unfinished": "left out"},
            dated=_midnights,
            zoned=lambda rows: xe_page(rows, "+09:00"),
        ),
    )
}


def rendered() -> str:
    """The table of docs/providers.md."""
    lines = ["| Failure | " + " | ".join(f"`{label}`" for label in CASES) + " |", "|---|" + "---|" * len(CASES)]
    lines += [
        f"| {told} | " + " | ".join(case.ends[failure] for case in CASES.values()) + " |"
        for failure, told in FAILURES.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(rendered())
