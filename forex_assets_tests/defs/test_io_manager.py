"""The I/O manager: every partition of a run is written, once, whatever the run's shape; nothing else is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.io_manager import SliceIOManager
from forex_assets.errors import UnusableSliceError
from forex_assets.store.slice_file import Verdict
from forex_assets_tests.defs.world import PAIR, World

FORECAST_JOB = jobs.job_name(PAIR, jobs.FORECAST)


def _output(table: str, *keys: str) -> Any:
    return SimpleNamespace(
        asset_key=dg.AssetKey([PAIR, table]), has_asset_partitions=bool(keys), asset_partition_keys=list(keys)
    )


def _forecast(world: World, horizon: str, day: str) -> pd.DataFrame:
    return world.pipeline.store.read(schemas.FORECAST, PAIR, [(horizon, day)])


def _contents(world: World, table: str) -> dict[str, str]:
    folder = Path(world.settings.store_root) / PAIR / table
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.parquet")
    }


@pytest.mark.capability("L05")
def test_one_run_over_a_range_of_days_and_horizons_writes_every_slice_of_the_product(world: World) -> None:
    store = world.pipeline.store
    days = [key[0] for key in store.keys(schemas.BARS, PAIR)][-3:]
    wanted = {(horizon, day) for horizon in world.settings.horizons for day in days}
    before = {key: store.info(schemas.FORECAST, PAIR, key).written_at for key in wanted}
    count = world.runner.execute(FORECAST_JOB, first=f"{days[0]}|7d", last=f"{days[-1]}|30d")
    assert count == len(wanted)
    assert all(store.info(schemas.FORECAST, PAIR, key).written_at > before[key] for key in wanted)
    for horizon, day in wanted:
        rows = _forecast(world, horizon, day)
        assert set(rows["as_of"]) == {pd.Timestamp(day)}
        assert set(rows["horizon"]) == {world.settings.horizons[horizon]}
    for key in store.keys(schemas.FORECAST, PAIR):
        if key not in wanted:
            assert store.info(schemas.FORECAST, PAIR, key).written_at < min(before.values()) + pd.Timedelta("1h")


@pytest.mark.capability("L05")
def test_running_again_gives_identical_rows(world: World) -> None:
    store = world.pipeline.store
    keys = [key for key in store.keys(schemas.FORECAST, PAIR) if key[0] == "7d"]
    before = store.read(schemas.FORECAST, PAIR, keys)
    slices = set(store.keys(schemas.FORECAST, PAIR))
    for _ in range(2):
        world.runner.execute(FORECAST_JOB, first=f"{keys[0][1]}|7d", last=f"{keys[-1][1]}|7d")
    pd.testing.assert_frame_equal(store.read(schemas.FORECAST, PAIR, keys), before)
    assert set(store.keys(schemas.FORECAST, PAIR)) == slices


def test_a_partition_without_rows_is_written_empty_so_that_no_older_slice_stays(world: World) -> None:
    store = world.pipeline.store
    first, second = store.keys(schemas.DRIVERS, PAIR)[-2:]
    rows = store.read(schemas.DRIVERS, PAIR, [second])
    SliceIOManager(store).handle_output(_output("drivers", first[0], second[0]), {second: rows})
    assert store.info(schemas.DRIVERS, PAIR, first).rows == 0
    assert store.read(schemas.DRIVERS, PAIR, [first]).empty
    assert len(store.read(schemas.DRIVERS, PAIR, [second])) == len(rows)


def test_slices_outside_the_runs_partitions_are_refused_and_nothing_is_written(world: World) -> None:
    store = world.pipeline.store
    first, second = store.keys(schemas.FORECAST, PAIR)[-2:]
    before = _contents(world, "forecast")
    frames = {key: store.read(schemas.FORECAST, PAIR, [key]) for key in (first, second)}
    with pytest.raises(dg.DagsterInvariantViolationError, match=f"outside the run's partitions.*{first[1]}"):
        SliceIOManager(store).handle_output(_output("forecast", f"{second[1]}|{second[0]}"), frames)
    assert _contents(world, "forecast") == before


@pytest.mark.capability("E09")
def test_each_slice_carries_its_verdict_and_provenance_in_its_own_file(world: World) -> None:
    store = world.pipeline.store
    key = store.keys(schemas.FORECAST, PAIR)[-1]
    rows = store.read(schemas.FORECAST, PAIR, [key])
    SliceIOManager(store).handle_output(_output("forecast", f"{key[1]}|{key[0]}"), {key: rows})
    info = store.info(schemas.FORECAST, PAIR, key)
    assert info.verdict.state == "good"
    assert {name: info.meta[name] for name in info.meta} == {
        name: rows[name].iloc[0] for name in ("config_hash", "data_hash", "code_version")
    }


@pytest.mark.capability("L18")
def test_an_input_holding_a_slice_judged_bad_is_refused_with_its_reasons(world: World) -> None:
    store = world.pipeline.store
    good, bad = store.keys(schemas.FORECAST, PAIR)[:2]
    store.write(
        schemas.FORECAST,
        PAIR,
        bad,
        store.read(schemas.FORECAST, PAIR, [bad]),
        verdict=Verdict("bad", ("forecast_sanity: expected 1, saw 9",)),
    )
    manager = SliceIOManager(store)
    names = [f"{key[1]}|{key[0]}" for key in (good, bad)]
    with pytest.raises(UnusableSliceError, match="forecast_sanity: expected 1, saw 9") as caught:
        manager.load_input(_output("forecast", *names))
    assert bad[1] in str(caught.value)
    assert len(manager.load_input(_output("forecast", names[0]))) > 0


def test_an_unpartitioned_asset_is_one_slice(world: World) -> None:
    rows = SliceIOManager(world.pipeline.store).load_input(_output("observations"))
    assert len(rows) == world.pipeline.store.info(schemas.OBSERVATIONS, PAIR, ()).rows
