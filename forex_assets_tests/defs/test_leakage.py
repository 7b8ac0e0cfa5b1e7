"""The leakage canary through Dagster: what becomes known after a day changes nothing that was made for that day.

Four worlds read the same official data from a folder: as published, with target values changed after the day, with a
driver changed after it, and with everything after it cut off. Rows are compared with their hashes, not only their
numbers: a hash that moved would say that something later was looked at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import forex_assets.pipeline
from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.pipeline import PROVENANCE, Pipeline
from forex_assets.store.slices import SliceStore
from forex_assets_tests.defs.world import (
    FILES,
    HORIZONS,
    PAIR,
    World,
    settings_of,
    small_config,
    write_market_folder,
)

CANARY = dt.date(2025, 3, 14)
AFTER = dt.date(2025, 3, 18)
"""Made in the same runs as the canary day, where there are data: days of one run must not see each other's future."""
LATER = dt.date(2025, 6, 13)
EARLY = (dt.date(2025, 2, 4), dt.date(2025, 2, 6))
"""Forecast days whose targets, at 30 days too, are known by the canary day."""
Change = Callable[[pd.DataFrame], pd.DataFrame]


def _after(frame: pd.DataFrame) -> pd.Series[Any]:
    # The fixing dated t is known on the business day before, so at the end of Friday the 14th Monday's is known.
    return frame["date"] > pd.Timestamp("2025-03-17")


def _shift(factor: float) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        later = _after(frame)
        # A different market, not a defect: quality rules must not simply throw the changed values out.
        frame.loc[later, "value"] *= (
            np.linspace(1.0, factor, int(later.sum())) * np.tile([1.0, 1.01], len(frame))[: int(later.sum())]
        )
        return frame

    return change


def _cut(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[~_after(frame)]


WORLDS: dict[str, Mapping[str, Change]] = {
    "as published": {},
    "target changed": {"usdclp_fixing": _shift(1.3)},
    "driver changed": {"copper_lme": _shift(0.5), "tpm": _shift(3.0)},
    "cut off": dict.fromkeys(FILES, _cut),
}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    """Each world run through Dagster: the canary day, then, where there are data, three months later."""
    root = tmp_path_factory.mktemp("canary")
    config = small_config(root / "configs", source="folder")
    made: dict[str, World] = {}
    for number, (name, changes) in enumerate(WORLDS.items()):
        data = write_market_folder(root / f"data{number}", changes)
        world = World(settings_of(config, root / f"home{number}", data_dir=data), dg.DagsterInstance.ephemeral())
        newest, beside = (CANARY, CANARY) if name == "cut off" else (LATER, AFTER)
        world.run(jobs.INGEST)
        for first, last in dict.fromkeys((EARLY, (CANARY, beside), (newest, newest))):
            world.run(jobs.SNAPSHOT, first=first.isoformat(), last=last.isoformat())
        # Factors learned three months later too: a forecast may use only those valid by its own day.
        world.run(jobs.BACKTEST, first="7d", last="30d", config=_as_of("backtest", newest))
        for first, last in (EARLY, (CANARY, beside)):
            world.run(jobs.FORECAST, first=f"{first}|7d", last=f"{last}|30d")
        config_at = _as_of("evaluation", newest)
        world.run(jobs.EVALUATION, first=f"{EARLY[0]}|7d", last=f"{EARLY[1]}|30d", config=config_at)
        made[name] = world
    yield made
    for world in made.values():
        world.instance.dispose()


def _as_of(asset: str, day: dt.date) -> dict[str, Any]:
    return {"ops": {f"{PAIR}__{asset}": {"config": {"as_of": day.isoformat()}}}}


def _rows(world: World, table: schemas.Table, keys: list[tuple[str, ...]] | None = None) -> pd.DataFrame:
    return world.pipeline.store.read(table, PAIR, keys)


def _forecasts(world: World) -> pd.DataFrame:
    """Return the forecasts made for days up to the canary day."""
    keys = [key for key in world.pipeline.store.keys(schemas.FORECAST, PAIR) if key[1] <= CANARY.isoformat()]
    assert {key[1] for key in keys} >= {EARLY[0].isoformat(), CANARY.isoformat()}
    return _rows(world, schemas.FORECAST, keys)


def _same(left: pd.DataFrame, right: pd.DataFrame, *, but: tuple[str, ...] = ()) -> None:
    assert len(left) > 0
    pd.testing.assert_frame_equal(
        left.drop(columns=list(but)).reset_index(drop=True),
        right.drop(columns=list(but)).reset_index(drop=True),
        check_exact=True,
    )


CHANGED = ("target changed", "driver changed", "cut off")


def test_the_changed_worlds_really_differ_from_the_published_one(worlds: dict[str, World]) -> None:
    base = _rows(worlds["as published"], schemas.OBSERVATIONS, [()])
    for name in CHANGED:
        other = _rows(worlds[name], schemas.OBSERVATIONS, [()])
        assert len(other) != len(base) or not np.array_equal(other["value"], base["value"])
    good = _rows(worlds["target changed"], schemas.OBSERVATIONS, [()])
    after = good.loc[(good["series"] == "usdclp_fixing") & (good["event_time"] > "2025-03-18")]
    assert after["withdrawn_at"].isna().mean() > 0.9, "the change was taken for a defect, so it proves nothing"
    later = _rows(worlds["as published"], schemas.BACKTEST).query("as_of > '2025-04-15'")["mean"].to_numpy()
    moved = _rows(worlds["target changed"], schemas.BACKTEST).query("as_of > '2025-04-15'")["mean"].to_numpy()
    assert len(later) == len(moved)
    assert not np.isclose(later, moved).any()


@pytest.mark.capability("K14")
@pytest.mark.parametrize("name", CHANGED)
def test_bars_and_drivers_of_a_day_do_not_depend_on_what_became_known_after_it(
    worlds: dict[str, World], name: str
) -> None:
    keys = [key for key in worlds[name].pipeline.store.keys(schemas.BARS, PAIR) if key[0] <= CANARY.isoformat()]
    _same(_rows(worlds[name], schemas.BARS, keys), _rows(worlds["as published"], schemas.BARS, keys))
    _same(_rows(worlds[name], schemas.DRIVERS, keys), _rows(worlds["as published"], schemas.DRIVERS, keys))


@pytest.mark.capability("K14")
@pytest.mark.parametrize("name", CHANGED)
def test_forecasts_of_a_day_do_not_depend_on_what_became_known_after_it(worlds: dict[str, World], name: str) -> None:
    _same(_forecasts(worlds[name]), _forecasts(worlds["as published"]))


@pytest.mark.capability("K14")
@pytest.mark.parametrize("name", CHANGED)
def test_width_factors_valid_by_a_day_do_not_depend_on_what_became_known_after_it(
    worlds: dict[str, World], name: str
) -> None:
    def rows(world: World) -> pd.DataFrame:
        frame = _rows(world, schemas.INTERVAL_CALIBRATION)
        return frame.loc[frame["valid_from"] <= pd.Timestamp(CANARY)]

    # The data hash is that of the whole backtest the factors were learned from, which ends on another day.
    _same(rows(worlds[name]), rows(worlds["as published"]), but=("data_hash",))


@pytest.mark.capability("K14")
@pytest.mark.parametrize("name", CHANGED)
def test_the_active_configuration_of_a_day_does_not_depend_on_data(worlds: dict[str, World], name: str) -> None:
    for horizon in HORIZONS:
        mine = worlds[name].pipeline.active(PAIR, horizon, CANARY)
        assert mine == worlds["as published"].pipeline.active(PAIR, horizon, CANARY)
        assert set(_forecasts(worlds[name]).query(f"horizon == {HORIZONS[horizon]}")["config_hash"]) == {
            mine.config_hash
        }


@pytest.mark.capability("K14")
@pytest.mark.parametrize("name", CHANGED)
def test_backtest_rows_made_and_matured_before_a_change_stay_what_they_were(
    worlds: dict[str, World], name: str
) -> None:
    def rows(world: World) -> pd.DataFrame:
        frame = _rows(world, schemas.BACKTEST)
        return frame.loc[(frame["as_of"] <= pd.Timestamp(CANARY)) & (frame["matured_on"] <= pd.Timestamp(CANARY))]

    def predictions(world: World) -> pd.DataFrame:
        frame = _rows(world, schemas.BACKTEST)
        return frame.loc[frame["as_of"] <= pd.Timestamp(CANARY)]

    _same(rows(worlds[name]), rows(worlds["as published"]), but=("data_hash",))
    # Not yet matured ones differ in their outcome only.
    _same(
        predictions(worlds[name]),
        predictions(worlds["as published"]),
        but=("data_hash", "actual", "matured_on"),
    )


@pytest.mark.capability("K14")
@pytest.mark.parametrize("name", CHANGED)
def test_evaluations_matured_before_a_change_stay_what_they_were(worlds: dict[str, World], name: str) -> None:
    frame = _rows(worlds[name], schemas.EVALUATION)
    assert frame["matured_on"].max() <= pd.Timestamp(CANARY)
    _same(frame, _rows(worlds["as published"], schemas.EVALUATION))


@pytest.mark.capability("K14")
def test_a_value_revised_later_in_the_same_home_leaves_past_days_as_they_were(
    worlds: dict[str, World], tmp_path: Path
) -> None:
    """The revision of a past value is a new row, known from the day it was seen; days before keep the old one."""
    base = worlds["as published"]

    def revise(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["date"].between("2025-02-05", "2025-02-11"), "value"] *= 1.002
        return frame

    data = write_market_folder(tmp_path / "data", {"usdclp_fixing": revise})
    revised = World(
        settings_of(base.settings.config_dir, tmp_path / "home", data_dir=data), dg.DagsterInstance.ephemeral()
    )
    store = revised.pipeline.store
    store.write(schemas.OBSERVATIONS, PAIR, (), _rows(base, schemas.OBSERVATIONS, [()]))
    revised.run(jobs.INGEST)
    observations = _rows(revised, schemas.OBSERVATIONS, [()])
    assert (observations["rule"] == "revision").sum() == 5
    for day in (*EARLY, CANARY):
        revised.run(jobs.SNAPSHOT, first=day.isoformat(), last=day.isoformat())
    keys = store.keys(schemas.BARS, PAIR)
    _same(_rows(revised, schemas.BARS, keys), _rows(base, schemas.BARS, keys))
    revised.instance.dispose()


@pytest.mark.capability("K14")
@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32 - 1), what=st.sampled_from(["value", "withdraw", "drop"]), share=st.floats(0.001, 1.0))
def test_any_change_of_later_observations_leaves_snapshots_drivers_and_forecasts_alone(
    worlds: dict[str, World], seed: int, what: str, share: float
) -> None:
    world = worlds["as published"]
    changed = _rows(world, schemas.OBSERVATIONS, [()])
    rng = np.random.default_rng(seed)
    end_of_day = pd.Timestamp("2025-03-15 02:59:59.999999", tz="UTC")  # of 14 March in Santiago
    later = np.flatnonzero((changed["available_at"] > end_of_day).to_numpy())
    rows = changed.index[rng.choice(later, size=max(1, int(share * len(later))), replace=False)]
    if what == "value":
        changed.loc[rows, "value"] *= rng.uniform(0.1, 10.0, len(rows))
    elif what == "withdraw":
        changed.loc[rows, "withdrawn_at"] = changed.loc[rows, "available_at"]
        changed.loc[rows, ["rule", "reason"]] = ["jump", "planted"]
    else:
        changed = changed.drop(index=rows)
    pipeline = Pipeline(world.settings, SliceStore("memory://canary"))
    pipeline.store.write(schemas.OBSERVATIONS, PAIR, (), changed)
    days = [EARLY[0], CANARY]
    keys = [(day.isoformat(),) for day in days]
    bars = pipeline.bars(PAIR, days)
    for key in keys:
        meta = {name: str(bars[key][name].iloc[0]) for name in PROVENANCE}
        pipeline.store.write(schemas.BARS, PAIR, key, bars[key], meta=meta)
        pipeline.store.write(schemas.DRIVERS, PAIR, key, pipeline.drivers(PAIR, days)[key])
    pipeline.store.write(
        schemas.INTERVAL_CALIBRATION, PAIR, ("7d",), _rows(world, schemas.INTERVAL_CALIBRATION, [("7d",)])
    )
    for forecast_key, frame in pipeline.forecasts(PAIR, "7d", days).items():
        pipeline.store.write(schemas.FORECAST, PAIR, forecast_key, frame)
    made = pipeline.store.keys(schemas.FORECAST, PAIR)
    for table, written in ((schemas.BARS, keys), (schemas.DRIVERS, keys), (schemas.FORECAST, made)):
        _same(pipeline.store.read(table, PAIR, written), _rows(world, table, written))


def test_the_canary_notices_a_snapshot_that_looks_a_week_ahead(
    worlds: dict[str, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted leak: were the comparison blind, this would find the worlds equal."""
    exact = forex_assets.pipeline.as_of_instants
    monkeypatch.setattr(forex_assets.pipeline, "as_of_instants", lambda days: exact(days) + np.timedelta64(7, "D"))
    key = (CANARY.isoformat(),)
    leaking = {name: world.pipeline.bars(PAIR, [CANARY, AFTER])[key] for name, world in worlds.items()}
    with pytest.raises(AssertionError):
        _same(leaking["target changed"], leaking["as published"])


def test_a_forecast_for_the_canary_day_alone_equals_the_one_made_in_the_range(worlds: dict[str, World]) -> None:
    world = worlds["as published"]
    before = _rows(world, schemas.FORECAST, [("7d", CANARY.isoformat())])
    world.run(jobs.FORECAST, first=f"{CANARY}|7d", last=f"{CANARY}|7d")
    _same(_rows(world, schemas.FORECAST, [("7d", CANARY.isoformat())]), before)
