"""Train, info, backtest by the command, and the forecast the asset makes: the real code on a tiny checkpoint."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from forex_assets import schemas
from forex_assets.cli import app
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.pipeline import PROVENANCE, Pipeline
from forex_assets.store.slices import SliceStore
from forex_assets_tests.cli.conftest import Forex, forex
from forex_assets_tests.defs.world import PAIR, edit_yaml, settings_of, small_config

__all__ = ["forex"]
Q = list(QUANTILE_COLUMNS)
DAYS = [dt.date(2025, 6, 11), dt.date(2025, 6, 13)]


@pytest.mark.capability("E04", "K20")
def test_a_trained_checkpoint_goes_through_info_backtest_and_the_forecast_asset(
    checkpoints: Path, forex: Forex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREX_CHRONOS_PATH", str(checkpoints))
    shown = json.loads(CliRunner().invoke(app, ["chronos", "info", str(checkpoints), "--json"]).stdout)
    assert [body["model"] for body in shown] == ["chronos_bolt", "chronos_t5"]

    days = pd.bdate_range("2012-01-02", "2023-12-29")
    values = 5.0 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 0.007, len(days))))
    folder = tmp_path / "data"
    folder.mkdir()
    pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "value": values}).to_csv(
        folder / "fx_usdbrl_daily.csv", index=False
    )
    out = tmp_path / "rows.parquet"
    command = ["backtest", "--data-dir", str(folder), "--pair", "usdbrl", "--models", "chronos_t5,chronos_bolt"]
    span = ["--horizon", "7d", "--every", "20", "--out", str(out), "--json"]
    said = forex(*command, *span, "--start", "2022-02-01")
    assert said.code == 0, said.err
    rows = pd.read_parquet(out)
    assert set(rows["model"]) == {"random_walk", "chronos_t5", "chronos_bolt"}
    assert (np.diff(rows[Q].to_numpy(), axis=1) > 0).all()
    refused = forex(*command, *span, "--start", "2021-02-01")
    assert refused.code != 0 or "learned from data through" in refused.err + refused.out

    def models(body: dict[str, Any]) -> None:
        body["forecast"]["models"] = [
            "random_walk",
            "rw_blend",
            "rw_empirical",
            "champion_zero",
            "chronos_t5",
            "chronos_bolt",
        ]
        body["forecast"]["active_model"] = "champion_zero"
        body["backtest"] = {**body["backtest"], "start": dt.date(2025, 1, 2), "every_business_days": 20}

    config = small_config(tmp_path / "configs")
    edit_yaml(config / "platform.yaml", models)
    pipeline = Pipeline(settings_of(config, tmp_path / "home"), SliceStore("memory://chronos"))
    for name, frame in pipeline.data.ingest(PAIR, now=pd.Timestamp("2025-06-14 12:00", tz="UTC")).items():
        pipeline.store.write(schemas.TABLES[name], PAIR, (), frame)
    made = pipeline.bars(PAIR, DAYS)
    for key in made:
        frame = made[key]
        meta = {name: str(frame[name].iloc[0]) for name in PROVENANCE}
        pipeline.store.write(schemas.BARS, PAIR, key, frame, meta=meta)
    forecasts = pipeline.forecasts(PAIR, "7d", DAYS)
    for frame in forecasts.values():
        assert {"chronos_t5", "chronos_bolt"} < set(frame["model"])
        schemas.FORECAST.conform(frame)
    backtest = pipeline.backtest(PAIR, "7d")
    last = backtest[backtest["as_of"] == backtest["as_of"].max()]
    assert {"chronos_t5", "chronos_bolt"} < set(last["model"])
