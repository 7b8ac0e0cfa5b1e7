"""The evidence assets: stored by horizon with the run, pictures in the UI, the same figures as the library's."""

from __future__ import annotations

import base64
import re

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.evaluation.grid import score_grid
from forex_assets.evidence import evidence
from forex_assets.schemas import PROVENANCE
from forex_assets_tests.defs.world import HORIZONS, PAIR, World

TABLES = (schemas.MODEL_COMPARISON, schemas.RELIABILITY, schemas.PERFORMANCE_SLICES)


@pytest.mark.capability("E07")
def test_a_run_stores_the_evidence_of_every_horizon(built: World) -> None:
    store = built.pipeline.store
    for table in TABLES:
        assert set(store.keys(table, PAIR)) == {(name,) for name in HORIZONS}
        for name, days in HORIZONS.items():
            frame = store.read(table, PAIR, [(name,)])
            assert set(frame["horizon"]) == {days}
            assert store.info(table, PAIR, (name,)).verdict.state == "good"
    slices = store.read(schemas.PERFORMANCE_SLICES, PAIR, [("7d",)])
    assert set(slices["slice"]) == {"regime", "meeting", "shock", "weekday", "year", "quarter"}


def test_stored_figures_are_those_of_the_stored_backtest(built: World) -> None:
    store = built.pipeline.store
    backtest = store.read(schemas.BACKTEST, PAIR, [("7d",)])
    compared = store.read(schemas.MODEL_COMPARISON, PAIR, [("7d",)]).set_index("model")
    grid = score_grid(backtest.drop(columns=list(PROVENANCE)))
    for column, model in enumerate(grid.models):
        assert compared.loc[model, "crps"] == pytest.approx(grid.scores["crps"][:, column].mean())
    assert compared["trials"].unique().tolist() == [len(grid.models) - 1]


def test_the_ui_gets_a_table_and_pictures_that_are_small_svg_files(built: World) -> None:
    shown = {
        "model_comparison": ["comparison"],
        "reliability": ["calibration_curve", "pit_histogram"],
        "performance_slices": ["interval_score_through_time", "width_and_coverage_by_regime"],
    }
    for name, labels in shown.items():
        records = built.instance.fetch_materializations(dg.AssetKey([PAIR, name]), limit=10).records
        metadata = {
            str(record.partition_key): record.asset_materialization.metadata
            for record in records
            if record.asset_materialization is not None
        }
        assert set(metadata) == set(HORIZONS)
        for label in labels:
            text = str(metadata["7d"][label].value)
            assert len(text) < 60_000
            if label != "comparison":
                found = re.search(r"base64,([A-Za-z0-9+/=]+)\)", text)
                assert found is not None
                assert base64.b64decode(found[1]).startswith(b"<svg")


def test_evidence_of_a_past_day_uses_nothing_that_matured_later(built: World) -> None:
    store = built.pipeline.store
    backtest = store.read(schemas.BACKTEST, PAIR, [("7d",)])
    day = built.pipeline.snapshot_days(PAIR)[0]
    found = evidence(built.pipeline, PAIR, "7d", backtest, as_of=day)
    cut = backtest[backtest["matured_on"] <= pd.Timestamp(day)]
    assert found.comparison["n"].max() == cut["as_of"].nunique()
    changed = backtest.assign(actual=np.where(backtest["matured_on"] > pd.Timestamp(day), 1.0, backtest["actual"]))
    again = evidence(built.pipeline, PAIR, "7d", changed, as_of=day)
    for part in ("comparison", "reliability", "slices"):
        pd.testing.assert_frame_equal(getattr(found, part), getattr(again, part))
    nothing = evidence(built.pipeline, PAIR, "7d", backtest.assign(actual=np.nan), as_of=day)
    assert nothing.comparison.empty
    assert nothing.slices.empty
