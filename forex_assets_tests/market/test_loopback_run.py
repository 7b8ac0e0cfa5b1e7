"""The market part of ``forex run`` with all providers on loopback: bars of the folder, no credential left behind."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from forex_assets.market.asof import bars_as_of
from forex_assets.market.ingest import ingest
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets_tests.market.provider_server import Provider, Reply, Request
from forex_assets_tests.market.test_loopback import KEYED, SECRETS, TRACES, Market, configure, payloads, unfriendly
from forex_assets_tests.market.test_loopback import keyed as keyed

DAY = dt.date(2025, 6, 13)
START = "2023-01-02"
MARKET_OF_A_RUN = f"""
import dagster as dg
from forex_assets.defs import jobs
from forex_assets.defs.run import Runner
from forex_assets.home import prepare_home
from forex_assets.settings import load_settings

settings = load_settings()
prepare_home(settings)
with dg.DagsterInstance.get() as instance:
    runner = Runner(settings, instance)
    runner.execute(jobs.job_name("usdclp", jobs.INGEST), tags={{}})
    runner.execute(jobs.job_name("usdclp", jobs.SNAPSHOT), first="{DAY}", last="{DAY}", tags={{}})
"""
"""The first two jobs of ``forex run``, as it starts them."""
REPO = Path(__file__).resolve().parents[2]


@pytest.mark.capability("A01", "L19")
def test_a_run_from_providers_has_the_bars_of_the_folder_and_leaves_no_credential(
    home: Path,
    tmp_path: Path,
    provider: Provider,
    keyed: dict[str, Provider],
    monkeypatch: pytest.MonkeyPatch,
    market_data_dir: Path,
) -> None:
    configs = tmp_path / "configs"
    others = {name: server.base_url for name, server in keyed.items()}
    configure(configs, provider, monkeypatch, **others)
    _providers_only(configs)
    market = Market(market_data_dir)

    def keyed_answer(request: Request) -> Reply:
        reply = market(request)  # FRED's table needs no key
        return reply if reply.status == 200 else unfriendly(request)

    provider.answer = market
    for server in keyed.values():
        server.answer = keyed_answer
    environ = {**os.environ, **SECRETS, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MARKET_OF_A_RUN],
        cwd=REPO, env=environ, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    asked = {name for name in KEYED if keyed[name].requests}
    assert asked == {"siete", "fred", "alphavantage"}, "every keyed provider of the pair was asked"
    live = Pipeline(load_settings()).snapshot("usdclp", DAY).bars
    _same_bars(live, market_data_dir, monkeypatch)
    told = [done.stdout, done.stderr, *payloads(home)]
    files = [path for path in (*home.rglob("*"), *tmp_path.rglob("*")) if path.is_file()]
    told += [path.name + path.read_bytes().decode("utf-8", errors="replace") for path in files]
    assert len(files) > 30
    assert [(trace, text[:80]) for trace in TRACES for text in told if trace in text] == []


def _providers_only(configs: Path) -> None:
    """Leave only the live providers in the chains, and a short history."""
    for path in (configs / "pairs").glob("*.yaml"):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        if body["id"] != "usdclp":
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
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")


def _same_bars(live: pd.DataFrame, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOREX_CONFIG_DIR",):
        monkeypatch.delenv(name)
    monkeypatch.setenv("FOREX_DATA_DIR", str(folder))
    monkeypatch.setenv("FOREX_OFFLINE", "1")
    settings = load_settings()
    held = ingest(settings, "usdclp", now=dt.datetime(2025, 6, 14, 6, tzinfo=dt.UTC))
    own = bars_as_of(held.observations, settings.pair("usdclp"), DAY)
    own = own[own["event_date"] >= START]
    mine = live[live["event_date"] >= START]
    columns = ["event_date", "available_at", "value"]
    assert len(own) > 590
    pd.testing.assert_frame_equal(
        mine[columns].reset_index(drop=True), own[columns].reset_index(drop=True), check_dtype=False
    )
