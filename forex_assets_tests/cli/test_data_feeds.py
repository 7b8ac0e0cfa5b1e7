"""``forex data check`` names a feed under suspicion; that alone is no fault."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex


@pytest.mark.capability("J13", "E03")
def test_a_level_that_broke_is_named_with_its_date(forex: Forex, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREX_PAIRS", "eurusd")
    pipeline = Pipeline(load_settings())
    pipeline.data.write_ingest("eurusd", now=pd.Timestamp("2025-06-13T23:00", tz="UTC"))
    assert "level_break" not in forex("data", "check", "--pair", "eurusd").out
    rows = pipeline.store.read(schemas.OBSERVATIONS, "eurusd", [()])
    days = sorted(rows.loc[rows["series"] == "eurusd_ecb", "event_time"].unique())
    late = (rows["series"] == "eurusd_ecb") & (rows["event_time"] >= days[-20])
    rows.loc[late, "value"] *= 1.12
    pipeline.store.write(schemas.OBSERVATIONS, "eurusd", (), rows)
    said = forex("data", "check", "--pair", "eurusd")
    assert "level_break in eurusd_ecb" in said.out
    assert f"since {pd.Timestamp(days[-20]):%Y-%m-%d}" in " ".join(said.out.split())
    assert "0 faults" in said.out
