"""A run of several pairs asks its sources together: every question once, every pair's step its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.defs import jobs, run
from forex_assets.defs.run import PairOutcome, Runner
from forex_assets.errors import ForexError
from forex_assets.pooled import prices as pooled_prices
from forex_assets.settings import Settings, load_settings, packaged_config_dir
from forex_assets.verdicts import judge_slice
from forex_assets_tests.defs.world import edit_yaml
from forex_assets_tests.market.conftest import provider as provider
from forex_assets_tests.market.provider_cases import table
from forex_assets_tests.market.provider_server import Provider, Reply, Request, on_loopback

PAIRS = ["eurusd", "usdzar"]
INGESTED = jobs.FAMILIES[jobs.INGEST]
FRED = {"DFF": 4.3, "VIXCLS": 18.0}


def answers(request: Request) -> Reply:
    """FRED has the funds rate and the VIX, the ECB every currency; Yahoo has moved away."""
    name, *rest = request.path.strip("/").split("/")
    if name == "fred":
        series = request.query["id"]
        days = np.arange(np.datetime64(request.query["cosd"]), np.datetime64(request.query["coed"]))
        days = days[np.is_busday(days)]
        rows = [[str(day), f"{FRED[series] + 0.01 * (place % 7):.2f}"] for place, day in enumerate(days)]
        return Reply(table(["observation_date", series], rows))
    if name == "ecb_live" and rest[0].startswith("D."):
        days = np.arange(np.datetime64(request.query["startPeriod"]), np.datetime64(request.query["endPeriod"]))
        days = days[np.is_busday(days)]
        rows = [
            [currency, "EUR", str(day), f"{1 + 0.001 * (place % 9):.4f}"]
            for currency in rest[0].split(".")[1].split("+")
            for place, day in enumerate(days)
        ]
        return Reply(table(["CURRENCY", "CURRENCY_DENOM", "TIME_PERIOD", "OBS_VALUE"], rows))
    return Reply(status=404)


@pytest.fixture
def desk(home: Path, tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two pairs that share three drivers, their providers on loopback."""
    configs = shutil.copytree(packaged_config_dir(), tmp_path / "configs")

    def platform(body: dict[str, Any]) -> None:
        on_loopback(body["providers"], provider.base_url)
        body["providers"]["http"].update(read_timeout_s=10.0)

    def recent(body: dict[str, Any]) -> None:
        body["history_start"] = dt.date(2025, 1, 2)

    edit_yaml(configs / "platform.yaml", platform)
    for name in PAIRS:
        edit_yaml(configs / "pairs" / f"{name}.yaml", recent)
    provider.answer = answers
    for name, value in (("CONFIG_DIR", str(configs)), ("OFFLINE", "0"), ("PAIRS", ",".join(PAIRS))):
        monkeypatch.setenv(f"FOREX_{name}", value)
    return load_settings()


@pytest.fixture
def runner(desk: Settings) -> Iterator[Runner]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runner(desk, instance)


def asked(provider: Provider) -> Counter[tuple[Any, ...]]:
    return Counter((each.path, *sorted(each.query.items())) for each in provider.requests)


def told(runner: Runner, pair: str, name: str) -> dict[str, Any]:
    event = runner.instance.get_latest_materialization_event(dg.AssetKey([pair, name]))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


@pytest.mark.capability("A01", "E03")
def test_a_run_asks_every_question_once_and_every_pairs_step_says_its_sources(
    desk: Settings, runner: Runner, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prices(runner: Runner, *_: Any) -> None:
        assert len(pooled_prices.bars(runner.pipeline, now=run.utc_now()))

    def only_ingest(runner: Runner, pair_id: str, **_: Any) -> PairOutcome:
        runner.execute(jobs.job_name(pair_id, jobs.INGEST), tags={"pair": pair_id})
        return PairOutcome(pair_id, error=ForexError("stopped here", remedy="none"))

    monkeypatch.setattr(run, "Runner", lambda *_, **__: runner)
    monkeypatch.setattr(run.dg.DagsterInstance, "get", lambda: contextlib.nullcontext(runner.instance))
    monkeypatch.setattr(run, "run_panel", prices)
    monkeypatch.setattr(run, "run_pair", only_ingest)
    assert len(run.run_pairs(desk, PAIRS, as_of=None, days=1)) == 2
    requests = asked(provider)
    assert set(requests.values()) == {1}, {what: times for what, times in requests.items() if times > 1}
    of_yahoo = [path for path, *_ in requests if path.startswith("/yahoo")]
    assert sum("DX-Y.NYB" in path for path in of_yahoo) == 1, "what failed for one pair is not asked for the other"
    for pair in PAIRS:
        for name in INGESTED:
            rows = runner.pipeline.store.read(schemas.TABLES[name], pair, [()])
            assert told(runner, pair, name)["dagster/row_count"] == len(rows)
        lines = told(runner, pair, "source_status")["sources"].splitlines()
        assert any("| vix " in line and "| fred " in line and "| answered " in line for line in lines)
        assert any("| dxy " in line and "| failed " in line and "HTTP 404" in line for line in lines)
        observations = runner.pipeline.data.stored_observations(pair)
        assert observations is not None
        assert set(observations.loc[observations["series"] == "vix", "source"]) == {"fred"}
    assert len([path for path, *_ in requests if "+JPY+" in path]) == 1, "the panel's currencies in one request"


@pytest.mark.capability("K18")
def test_a_pair_that_fails_fails_in_its_own_step(runner: Runner) -> None:
    pipeline, now = runner.pipeline, run.utc_now()
    pipeline.data.write_ingest("eurusd", now=now)
    path = Path(pipeline.store.info(schemas.OBSERVATIONS, "eurusd", ()).path)
    path.write_bytes(b"no table")
    pipeline.memory.forget()
    with pipeline.data.asking_together(PAIRS, now=now):
        with pytest.raises(ForexError, match="eurusd"):
            runner.execute(jobs.job_name("eurusd", jobs.INGEST))
        assert runner.execute(jobs.job_name("usdzar", jobs.INGEST)) == len(INGESTED)
    assert path.read_bytes() == b"no table"
    assert told(runner, "usdzar", "observations")["dagster/row_count"] > 0


def test_what_was_stored_while_the_sources_answered_is_not_lost(runner: Runner) -> None:
    pipeline, now = runner.pipeline, run.utc_now()
    first = pipeline.data.write_ingest("usdzar", now=now)["observations"]
    with pipeline.data.asking_together(["usdzar"], now=now):
        pipeline.data._asked["usdzar"].result()
        extra = first.head(1).assign(event_time=first["event_time"].min() - pd.Timedelta(days=7))
        both = pd.concat([extra, first], ignore_index=True)
        pipeline.store.write(
            schemas.OBSERVATIONS, "usdzar", (), both, verdict=judge_slice(schemas.OBSERVATIONS, both)
        )  # by somebody else
        made = pipeline.data.write_ingest("usdzar", now=now)["observations"]
        again = pipeline.data.write_ingest("usdzar", now=now)["observations"]  # what was answered is taken once
    assert len(made) == len(first) + 1
    pd.testing.assert_frame_equal(made, again)


def test_a_block_that_is_left_early_asks_nobody_afterwards(runner: Runner) -> None:
    pipeline = runner.pipeline
    with pytest.raises(KeyError), pipeline.data.asking_together(PAIRS, now=run.utc_now()):
        raise KeyError
    assert pipeline.data._asked == {}
    with pipeline.data.sources(now=run.utc_now()) as sources:
        assert "fred" in sources
