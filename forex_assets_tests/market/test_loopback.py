"""Ingestion with every provider on loopback: the bars of the folder, and no credential in anything left behind."""

from __future__ import annotations

import datetime as dt
import functools
import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from forex_assets.market.asof import bars_as_of
from forex_assets.market.ingest import Ingest, ingest
from forex_assets.market.vintages.archive import RawArchive
from forex_assets.ops.secrets import KNOWN_SECRETS
from forex_assets.settings import Settings, load_settings
from forex_assets_tests.market.provider_cases import alpha_vantage, fred_observations, table, xe_page, yahoo_chart
from forex_assets_tests.market.provider_server import Provider, Reply, Request, on_loopback, serve
from forex_assets_tests.market.test_yahoo import as_bars, read

NOW = dt.datetime(2025, 6, 14, 6, tzinfo=dt.UTC)  # Friday is over in New York
SECRETS = {
    "BCCH_USER": "desk.user@example.cl",
    "BCCH_PASS": "pässw0rd&more",
    "FRED_API_KEY": "f00dfeed0000f00dfeed0000f00dfeed",
    "ALPHAVANTAGE_API_KEY": "AVKEY0AVKEY0AVKE",
    "XE_ACCOUNT_ID": "xeaccount4711",
    "XE_API_KEY": "xe-s3cret-k3y-0815",
}
TRACES = (*SECRETS.values(), "p%C3%A4ssw0rd", "pässw0rd", "desk.user", "ZGVzay", "eGVhY2NvdW50")


KEYED = ("siete", "fred", "alphavantage", "xe")


def configure(folder: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, **others: str) -> Settings:
    """The packaged configuration with every provider on loopback."""
    packaged = load_settings(environ={}).config_dir
    for path in packaged.rglob("*.*"):
        copy = folder / path.relative_to(packaged)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    body = yaml.safe_load((folder / "platform.yaml").read_text(encoding="utf-8"))
    on_loopback(body["providers"], provider.base_url, **others)
    body["providers"]["http"].update(read_timeout_s=10.0)
    (folder / "platform.yaml").write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(folder))
    monkeypatch.setenv("FOREX_OFFLINE", "0")
    return load_settings()


@pytest.fixture
def live(home: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    return configure(tmp_path / "configs", provider, monkeypatch)


@pytest.fixture
def keyed() -> Iterator[dict[str, Provider]]:
    """A server of its own for each provider with credentials, so that one that gives up stops no other."""
    servers = {name: serve() for name in KEYED}
    yield {name: live for name, (live, _) in servers.items()}
    for _, server in servers.values():
        server.shutdown()
        server.server_close()


def without_local(settings: Settings, pair_id: str) -> Settings:
    pair = settings.pair(pair_id)
    chains = {
        name: [source for source in chain if source not in ("folder", "embedded", "ecb")]
        for name, chain in pair.chains.items()
    }
    chains = {name: chain for name, chain in chains.items() if chain}
    drivers = [name for name in pair.drivers if name in chains]
    changed = pair.model_copy(update={"chains": chains, "drivers": drivers, "history_start": dt.date(2022, 1, 3)})
    backtest = settings.platform.backtest.model_copy(update={"start": dt.date(2022, 1, 3)})
    return settings.model_copy(
        update={
            "pairs": {pair_id: changed},
            "platform": settings.platform.model_copy(update={"backtest": backtest}),
        }
    )


class Market:
    """Answers every provider's requests from the files of the data folder."""

    slugs: Mapping[str, tuple[str, str]] = {
        "dolar": ("usdclp_observado_daily.csv", "value"),
        "tpm": ("bcch_tpm_daily.csv", "value"),
        "uf": ("uf_daily.csv", "value"),
        "libra_cobre": ("copper_lme_bcch_daily.csv", "value"),
    }
    symbols: Mapping[str, tuple[str, str, str, str]] = {
        "CLP=X": ("usdclp_yahoo_raw_daily.csv", "close", "Europe/London", "CLP"),
        "HG=F": ("copper_hg_daily.csv", "close", "America/New_York", "USD"),
        "DX-Y.NYB": ("dxy_daily.csv", "close", "America/New_York", "USD"),
        "^VIX": ("vix_daily.csv", "close", "America/Chicago", "USD"),
        "^GSPC": ("sp500_daily.csv", "close", "America/New_York", "USD"),
    }
    fred: Mapping[str, str] = {
        "DFF": "fed_funds_daily.csv",
        "DCOILWTICO": "wti_spot_daily.csv",
        "DCOILBRENTEU": "brent_spot_daily.csv",
    }

    def __init__(self, folder: Path) -> None:
        self.read = functools.cache(lambda file, column: read(folder, file, column).query("event_date >= '2021'"))

    def __call__(self, request: Request) -> Reply:
        name, *rest = request.path.strip("/").split("/")
        if name in ("mindicador", "findic") and rest[0] in self.slugs:
            slug, year = rest
            frame = self.read(*self.slugs[slug])
            frame = frame[frame["event_date"].dt.year == int(year)]
            serie = [{"fecha": f"{day:%Y-%m-%d}", "valor": value} for day, value in frame.itertuples(index=False)]
            return Reply({"codigo": slug, "serie": serie[::-1]})
        if name == "yahoo" and rest[-1].replace("%3D", "=").replace("%5E", "^") in self.symbols:
            symbol = rest[-1].replace("%3D", "=").replace("%5E", "^")
            file, column, zone, currency = self.symbols[symbol]
            chart = yahoo_chart(as_bars(self.read(file, column)), symbol=symbol, zone=zone, currency=currency)
            return Reply(chart)
        if name == "fred" and not rest and request.query["id"] in self.fred:
            series = request.query["id"]
            rows = as_bars(self.read(self.fred[series], "value"))
            return Reply(table(["observation_date", series], [[day, value] for day, value in rows]))
        return Reply(status=404)


@pytest.mark.capability("A01", "E03")
def test_bars_from_the_providers_are_those_of_the_folder(
    live: Settings, provider: Provider, market_data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.answer = Market(market_data_dir)
    settings = without_local(live, "usdclp_close")
    started = time.monotonic()
    result = ingest(settings, "usdclp_close", now=NOW, environ={})
    seconds = time.monotonic() - started
    states = result.source_status.set_index(["series", "source"])
    assert states.loc[("usdclp_close", "yahoo"), "state"] == "answered"
    assert "1 session late, corrected" in states.loc[("usdclp_close", "yahoo"), "reason"]
    monkeypatch.setenv("FOREX_DATA_DIR", str(market_data_dir))
    monkeypatch.setenv("FOREX_OFFLINE", "1")
    folder = ingest(load_settings(), "usdclp_close", now=NOW)
    for series in ("usdclp_fixing", "tpm", "copper_lme", "copper_comex", "dxy", "sp500", "wti", "brent", "fed_funds"):
        mine, theirs = (_standing(each, series) for each in (result, folder))
        recent = theirs[theirs["event_time"] >= "2022-02-01"]
        both = recent.merge(mine, on="event_time", suffixes=("", "_live"))
        assert len(both) == len(recent) > 100, series
        assert (both["value"] == both["value_live"]).all(), series
    pair = settings.pair("usdclp_close")
    live_bars, bars = (bars_as_of(each.observations, pair, "2025-06-13") for each in (result, folder))
    both = live_bars[live_bars["withdrawn_at"].isna()].merge(bars, on="event_date", suffixes=("", "_folder"))
    assert len(both) > 700
    gap = np.log(both["value"] / both["value_folder"]).abs()
    assert gap.median() < 10e-4, "the market's close, a feed's copy of it on the same session"
    assert seconds < 10


def _standing(result: Ingest, series: str) -> pd.DataFrame:
    rows = result.observations
    return rows.loc[(rows["series"] == series) & rows["withdrawn_at"].isna(), ["event_time", "value"]]


def unfriendly(request: Request) -> Reply:
    """Repeats every credential it is given, as some services do."""
    given = " ".join([*request.query.values(), request.headers.get("authorization", "")])
    name = request.path.split("/")[1]
    if name == "siete":
        return Reply({"Codigo": -5, "Descripcion": f"no access for {given}", "Series": {"Obs": None}})
    if name == "alphavantage":
        return Reply({"Information": f"your API key {given} has used its rate limit"})
    if name == "xe":
        return Reply({"code": 3, "message": f"credentials {given} are not valid"})
    if name == "fred" and request.path.endswith("/api"):
        return Reply({"error_code": 400, "error_message": f"Bad Request: {given}"})
    return Reply(status=404)


def friendly(request: Request) -> Reply:
    """Answers the keyed services well, the credentials repeated beside the data."""
    days = [(np.datetime64(day), 4.4) for day in ("2025-06-10", "2025-06-11")]
    given = " ".join([*request.query.values(), request.headers.get("authorization", "")])
    name = request.path.split("/")[1]
    body: Any = {"error": "no"}
    if name == "alphavantage":
        data = [{"date": str(day), "value": str(value)} for day, value in days]
        body = (
            {"interval": "daily", "unit": "percent", "data": data}
            if "maturity" in request.query
            else alpha_vantage(days)
        )
    elif name == "xe":
        body = xe_page(days)
    elif name == "fred" and request.path.endswith("/api"):
        body = fred_observations(days)
    elif name == "siete":
        rows = [{"indexDateString": "11-06-2025", "value": "940.5", "statusCode": "OK"}]
        body = {"Codigo": 0, "Series": {"Obs": rows}}
    return Reply({**body, "echo": given})


def payloads(home: Path) -> list[str]:
    """Every payload of the archive as text; compressed, a search of the files would not see them."""
    archive = RawArchive(home)
    assert archive.verify() == []
    packs = [archive.contents(*names) for names in archive.packs()]
    return [
        json.dumps(str(pack.payload(sha))) + pack.payload(sha).decode("utf-8", errors="replace")
        for pack in packs
        for sha in pack.by_hash
    ]


@pytest.mark.capability("L19")
@pytest.mark.parametrize("answer", [unfriendly, friendly], ids=["refusing", "answering"])
@pytest.mark.parametrize("pair_id", ["usdclp", "usdclp_close"])
def test_nothing_left_behind_holds_a_credential(
    home: Path,
    tmp_path: Path,
    provider: Provider,
    keyed: dict[str, Provider],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Any,
    pair_id: str,
) -> None:
    of_providers = {name for name in KNOWN_SECRETS if not name.startswith("FOREX_")}
    assert set(SECRETS) == of_providers, "every credential there is is looked for"
    others = {name: server.base_url for name, server in keyed.items()}
    settings = without_local(configure(tmp_path / "configs", provider, monkeypatch, **others), pair_id)
    for server in (provider, *keyed.values()):
        server.answer = answer
    with caplog.at_level(logging.DEBUG):
        result = ingest(settings, pair_id, now=NOW, environ=SECRETS, archive=RawArchive(home))
    asked = set(KEYED) if pair_id == "usdclp_close" else set(KEYED) - {"xe"}
    for name in asked:
        sent = " ".join(str(request.query) + str(request.headers) for request in keyed[name].requests)
        assert any(trace in sent for trace in (*TRACES, "eGVhY")), f"its credential did travel to {name}"
    told = [caplog.text, repr(settings), " ".join(result.notes)]
    told += [record.getMessage() for record in caplog.records]
    told += [frame.to_csv() for frame in (result.observations, result.source_status)]
    files = [path for path in home.rglob("*") if path.is_file()]
    told += [path.name + path.read_bytes().decode("utf-8", errors="replace") for path in files]
    told += payloads(home)
    assert files or answer is friendly, "open circuits are kept"
    assert any("***" in text for text in payloads(home)), "what repeated a credential is kept masked"
    assert [(trace, text[:80]) for trace in TRACES for text in told if trace in text] == []
