"""The whole of ``forex run`` with all providers on loopback: bars of the folder, no credential left behind."""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

from forex_assets import schemas
from forex_assets.market.asof import bars_as_of
from forex_assets.market.ingest import ingest
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex
from forex_assets_tests.cli.conftest import forex as forex
from forex_assets_tests.market.left_behind import archived, contents
from forex_assets_tests.market.provider_cases import siete_answer, xe_page
from forex_assets_tests.market.provider_server import Provider, Reply, Request
from forex_assets_tests.market.test_loopback import KEYED, SECRETS, TRACES, Market, configure, unfriendly
from forex_assets_tests.market.test_loopback import keyed as keyed

PAIR = "usdclp_close"
DAY = dt.date(2025, 6, 13)
START = "2024-01-02"
SERIES = ("usdclp_fixing", "tpm", "copper_lme", "copper_comex", "dxy", "sp500", "wti", "brent", "fed_funds")
"""What the folder and the providers both have, besides the target."""


class Desk(Market):
    """The providers of a desk with credentials: SIETE serves the fixing and XE the close, the other keyed ones refuse.

    Whatever answers repeats the credential it was given.
    """

    symbols: ClassVar = {symbol: file for symbol, file in Market.symbols.items() if symbol != "CLP=X"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        closes = pd.read_csv(folder / "usdclp_close_long_daily.csv")
        closes = closes[(closes["source"] != "session_avg") & (closes["date"] >= "2022-06")]
        # The mid of the midnight after a session is dated the next weekday.
        self.mids = [
            (np.busday_offset(np.datetime64(day), 1, roll="forward"), value)
            for day, value in zip(closes["date"], closes["close"], strict=True)
        ]

    def keyed(self, request: Request) -> Reply:
        """Answer, or refuse, a provider that was sent a credential."""
        given = " ".join([*request.query.values(), request.headers.get("authorization", "")])
        name, query = request.path.split("/")[1], request.query
        if name == "xe":
            rows = [row for row in self.mids if row[0] >= np.datetime64(query["start_timestamp"][:10])]
            page = slice(500 * (int(query["page"]) - 1), 500 * int(query["page"]))
            return Reply({**xe_page(rows[page]), "echo": given})
        if name == "siete" and query.get("timeseries") == "F073.TCO.PRE.Z.D":
            frame = self.read("usdclp_observado_daily.csv", "value")
            frame = frame[(frame["event_date"] >= query["firstdate"]) & (frame["event_date"] <= query["lastdate"])]
            rows = [(np.datetime64(day, "D"), value) for day, value in frame.itertuples(index=False)]
            return Reply({**siete_answer(rows), "echo": given})
        reply = self(request)  # FRED's table needs no key
        return reply if reply.status == 200 else unfriendly(request)


@pytest.mark.capability("A01", "L19")
def test_a_run_from_providers_has_the_bars_of_the_folder_and_leaves_no_credential(
    home: Path,
    forex: Forex,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    provider: Provider,
    keyed: dict[str, Provider],
    monkeypatch: pytest.MonkeyPatch,
    market_data_dir: Path,
) -> None:
    configs = tmp_path / "configs"
    configure(configs, provider, monkeypatch, **{name: server.base_url for name, server in keyed.items()})
    _providers_only(configs)
    provider.answer = desk = Desk(market_data_dir)
    for server in keyed.values():
        server.answer = desk.keyed
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("forex_assets.pooled.prices.is_due", lambda *_: False)  # no model here uses the panel
    with caplog.at_level(logging.DEBUG):
        done = forex("run", "--pair", PAIR, "--as-of", f"{DAY}", "--days", "1")
    assert done.code == 0, done.out[-2000:] + done.err[-2000:]
    for name in KEYED:
        sent = " ".join(f"{request.query} {request.headers}" for request in keyed[name].requests)
        assert any(trace in sent for trace in (*TRACES, "eGVhY")), f"its credential did travel to {name}"
    live = Pipeline(load_settings())
    _complete(live)
    _same_as_the_folder(live, market_data_dir, monkeypatch)
    said = ("output", (done.out + done.err).encode()), ("log", caplog.text.encode())
    told = [*said, *archived(home), *contents(tmp_path)]
    assert home.is_relative_to(tmp_path)
    assert len(told) > 200
    assert _found(told, TRACES) == []


def _found(told: Iterable[tuple[str, bytes]], traces: Iterable[str]) -> list[tuple[str, str]]:
    sought = [trace.encode() for trace in traces]
    return [(trace.decode(), where) for where, text in told for trace in sought if trace in text]


def _providers_only(configs: Path) -> None:
    """Leave only the live providers in the chains, a short history, one tenor and the models that need no panel."""
    for path in (configs / "pairs").glob("*.yaml"):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        if body["id"] != PAIR:
            path.unlink()
            continue
        chains = {
            name: [source for source in chain if source not in ("folder", "embedded", "ecb")]
            for name, chain in body["chains"].items()
        }
        body["chains"] = {name: chain for name, chain in chains.items() if chain}
        body["drivers"] = [name for name in body["drivers"] if name in body["chains"]]
        body["history_start"] = dt.date.fromisoformat(START)
        path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    path = configs / "platform.yaml"
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    body["backtest"]["start"] = dt.date.fromisoformat(START)
    body["horizons"] = {"7d": 7}
    body["forecast"].update(active_model="random_walk", models=["random_walk"])
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")


def _complete(live: Pipeline) -> None:
    """Check that the run got to its end: forecasts, evaluations, report, warehouse."""
    assert len(live.store.keys(schemas.FORECAST, PAIR)) >= 2
    assert len(live.store.keys(schemas.EVALUATION, PAIR)) >= 1
    assert (live.settings.home / "warehouse.duckdb").is_file()
    assert len(list(live.settings.home.glob(f"reports/{PAIR}/*/report_*.html"))) == 2


def _same_as_the_folder(live: Pipeline, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the bars the run stored, and each driver, with an ingestion of the folder."""
    observed = live.data.stored_observations(PAIR)
    assert observed is not None
    assert set(observed.loc[observed["series"] == PAIR, "source"]) == {"xe"}
    assert set(observed.loc[observed["series"] == "usdclp_fixing", "source"]) == {"siete"}
    monkeypatch.delenv("FOREX_CONFIG_DIR")
    monkeypatch.setenv("FOREX_DATA_DIR", str(folder))
    monkeypatch.setenv("FOREX_OFFLINE", "1")
    settings = load_settings()
    held = ingest(settings, PAIR, now=dt.datetime(2025, 7, 31, 6, tzinfo=dt.UTC)).observations
    for day in live.store.keys(schemas.BARS, PAIR):
        mine = live.store.read(schemas.BARS, PAIR, [day])
        _equal(mine, bars_as_of(held, settings.pair(PAIR), day[0]), "event_date", f"bars of {day[0]}")
    for name in SERIES:
        mine, own = (rows[(rows["series"] == name) & rows["withdrawn_at"].isna()] for rows in (observed, held))
        _equal(mine, own, "event_time", name)


def _equal(mine: pd.DataFrame, own: pd.DataFrame, date: str, what: str) -> None:
    columns = [date, "available_at", "value"]
    start, end = (pd.Timestamp(day, tz=own[date].dt.tz) for day in (START, DAY))
    mine, own = (rows.loc[rows[date].between(start, end), columns].reset_index(drop=True) for rows in (mine, own))
    assert len(own) > 340, what
    pd.testing.assert_frame_equal(mine, own, check_dtype=False, obj=what)


def test_a_credential_hidden_in_any_kind_of_file_is_found(tmp_path: Path) -> None:
    secret = SECRETS["XE_API_KEY"] * 50
    (tmp_path / "log.txt").write_text(secret, encoding="utf-8")
    pd.DataFrame({"note": [secret]}).to_parquet(tmp_path / "slice.parquet", compression="zstd")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("create table t as select ? as note", [secret])
    with sqlite3.connect(tmp_path / "index.db") as index:
        index.execute("create table t (body blob)")
        index.execute("insert into t values (?)", [zlib.compress(secret.encode())])
    found = {Path(where).name for _, where in _found(contents(tmp_path), [SECRETS["XE_API_KEY"]])}
    assert found == {"log.txt", "slice.parquet", "warehouse.duckdb", "index.db"}
