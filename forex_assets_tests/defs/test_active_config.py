"""The configuration a forecast used is the one configured, and every row says which."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.forecasting.panel import artefacts as panel
from forex_assets.made_from import PARTS
from forex_assets.pipeline import PROVENANCE
from forex_assets.provenance import code_version, combine_hashes
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World, settings_of, small_config, write_market_folder

RANGE = {"first": f"{LAST_AS_OF}|7d", "last": f"{LAST_AS_OF}|30d"}


def _with(world: World, **forecast: object) -> World:
    platform = world.settings.platform
    changed = platform.model_copy(update={"forecast": platform.forecast.model_copy(update=forecast)})
    return World(world.settings.model_copy(update={"platform": changed}), world.instance)


def _hashes(world: World) -> dict[str, str]:
    rows = world.pipeline.store.read(schemas.FORECAST, PAIR, [(h, str(LAST_AS_OF)) for h in world.settings.horizons])
    found = rows.groupby("horizon")["config_hash"].unique()
    assert (found.str.len() == 1).all()
    return {f"{horizon}d": hashes[0] for horizon, hashes in found.items()}


@pytest.mark.capability("J01")
def test_deploying_another_model_changes_the_hash_and_the_active_rows_of_the_next_forecast(world: World) -> None:
    before = _hashes(world)
    changed = _with(world, active_model="rw_blend")
    changed.run(jobs.FORECAST, **RANGE)
    after = _hashes(changed)
    assert all(after[horizon] != before[horizon] for horizon in before)
    assert after == {h: changed.pipeline.active(PAIR, h).config_hash for h in changed.settings.horizons}
    rows = changed.pipeline.store.read(schemas.FORECAST, PAIR, [("7d", str(LAST_AS_OF))])
    assert set(rows.loc[rows["is_active"], "model"]) == {"rw_blend"}


@pytest.mark.capability("J01")
@pytest.mark.parametrize(
    "forecast", [{"models": ["random_walk", "ensemble"]}, {"max_last_value_age_business_days": 9}, {"seed": 7}]
)
def test_every_setting_that_decides_numbers_is_in_the_hash(world: World, forecast: dict[str, object]) -> None:
    changed = _with(world, **forecast)
    for horizon in world.settings.horizons:
        assert changed.pipeline.active(PAIR, horizon) != world.pipeline.active(PAIR, horizon)
        assert changed.pipeline.active(PAIR, horizon).config_hash != world.pipeline.active(PAIR, horizon).config_hash


def test_what_does_not_decide_numbers_is_not_in_the_hash(world: World) -> None:
    elsewhere = World(world.settings.model_copy(update={"store_root": "memory://elsewhere"}), world.instance)
    for horizon in world.settings.horizons:
        assert elsewhere.pipeline.active(PAIR, horizon) == world.pipeline.active(PAIR, horizon)


def test_the_same_configuration_gives_the_same_hash_and_rows_again(world: World) -> None:
    before = _hashes(world)
    world.run(jobs.FORECAST, **RANGE)
    assert _hashes(world) == before


@pytest.mark.capability("J01", "E09")
def test_the_observed_data_version_is_the_hash_stamped_into_the_rows(world: World) -> None:
    for changed in (world, _with(world, active_model="rw_blend")):
        changed.run(jobs.OBSERVE)
        for horizon in changed.settings.horizons:
            records = world.instance.fetch_observations(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey([PAIR, "active_config"]), asset_partitions=[horizon]),
                limit=1,
            ).records
            tags = records[0].asset_observation.tags
            assert tags["dagster/data_version"] == changed.pipeline.active(PAIR, horizon).config_hash


RUN = (jobs.MARKET, jobs.BACKTEST, jobs.FORECAST, jobs.EVALUATION, jobs.PERFORMANCE, jobs.REPORT)
RUN_TABLES = sorted({name for family in RUN for name in jobs.FAMILIES[family]} & set(schemas.TABLES) - {"quarantine"})


@pytest.mark.capability("E09")
@pytest.mark.parametrize("name", RUN_TABLES)
def test_every_row_of_every_table_traces_to_configuration_data_and_code(built: World, name: str) -> None:
    rows = built.pipeline.store.read(schemas.TABLES[name], PAIR, None)
    assert len(rows) > 0
    for column in PROVENANCE[:2]:
        assert rows[column].str.fullmatch(r"[0-9a-f]{16}").all()
    assert set(rows["code_version"]) == {code_version()}


@pytest.mark.capability("E09")
def test_a_quarantined_row_traces_to_them_too_and_says_why(tmp_path: Path) -> None:
    def wrong_unit(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["date"] == "2025-03-05", "value"] *= 100
        return frame

    data = write_market_folder(tmp_path / "data", {"usdclp_fixing": wrong_unit}, since="2024")
    config = small_config(tmp_path / "configs", source="folder")
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(settings_of(config, tmp_path / "home", data_dir=data), instance)
        world.run(jobs.INGEST)
        rows = world.pipeline.store.read(schemas.QUARANTINE, PAIR, [()])
    assert rows["event_time"].dt.strftime("%Y-%m-%d").tolist() == ["2025-03-05"]
    assert rows["rule"].notna().all()
    assert rows["reason"].str.len().min() > 10
    assert rows["config_hash"].iloc[0] == world.settings.config_hash(PAIR)
    assert set(rows["code_version"]) == {code_version()}


@pytest.mark.capability("E09")
def test_a_forecast_row_leads_back_to_its_bars_its_drivers_its_learned_rows_and_its_configuration(built: World) -> None:
    store = built.pipeline.store
    seen: dict[str, dict[str, str]] = {}
    for horizon, day in store.keys(schemas.FORECAST, PAIR):
        rows = store.read(schemas.FORECAST, PAIR, [(horizon, day)])
        parts = json.loads(store.info(schemas.FORECAST, PAIR, (horizon, day)).meta["made_from"])
        assert set(parts) == set(PARTS)
        assert parts["bars"] == store.info(schemas.BARS, PAIR, (day,)).meta["data_hash"]
        assert set(rows["data_hash"]) == {combine_hashes(parts)}
        assert set(rows["config_hash"]) == {built.pipeline.active(PAIR, horizon).config_hash}
        # Horizons of one evening share all but their width factors.
        shared = {name: value for name, value in parts.items() if name != "width_factors"}
        assert seen.setdefault(day, shared) == shared
        anew = built.pipeline.forecasts(PAIR, horizon, [dt.date.fromisoformat(day)])[(horizon, day)]
        assert set(anew["data_hash"]) == {combine_hashes(parts)}


@pytest.mark.capability("E09")
def test_the_data_hash_follows_a_learned_row_that_serves_and_no_other(
    built: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = dt.date.fromisoformat(str(LAST_AS_OF))
    key = ("7d", str(LAST_AS_OF))

    def hashes() -> tuple[str, str]:
        forecast = built.pipeline.forecasts(PAIR, "7d", [day])[key]
        return str(forecast["data_hash"].iloc[0]), str(built.pipeline.backtest(PAIR, "7d")["data_hash"].iloc[0])

    plain, shipped = hashes(), panel.embedded()
    for serves in (True, False):
        frames = {name: frame.copy() for name, frame in shipped.frames.items()}
        factors = frames["panel_factors"]
        newest = factors.loc[factors["valid_from"] <= pd.Timestamp(day), "valid_from"].max()
        changed = factors["valid_from"] == (newest if serves else factors["valid_from"].min())
        factors.loc[changed, "factor"] *= 1.01
        other = panel.PanelFit(frames["panel_coefficients"], frames["panel_shapes"], factors)
        monkeypatch.setattr(panel, "embedded", lambda other=other: other)
        forecast, backtest = hashes()
        assert (forecast != plain[0]) is serves
        assert backtest != plain[1]  # its older origins used the older rows


@pytest.mark.capability("E09")
def test_the_materialisation_in_dagster_carries_the_same_hashes_as_the_slice(built: World) -> None:
    event = built.instance.get_latest_materialization_event(dg.AssetKey([PAIR, "forecast"]))
    assert event is not None
    materialization = event.asset_materialization
    assert materialization is not None
    day, horizon = str(materialization.partition).split("|")
    info = built.pipeline.store.info(schemas.FORECAST, PAIR, (horizon, day))
    assert materialization.metadata["data_hash"].value == info.meta["data_hash"]
    assert materialization.metadata["config_hash"].value == info.meta["config_hash"]
    assert materialization.metadata["dagster/partition_row_count"].value == info.rows


@pytest.mark.capability("B27")
def test_the_ui_says_what_carries_the_newest_forecast_why_others_do_not_and_which_way_it_points(built: World) -> None:
    records = built.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey([PAIR, "forecast"]), asset_partitions=[f"{LAST_AS_OF}|7d"]), limit=1
    ).records
    assert records[0].asset_materialization is not None
    metadata = records[0].asset_materialization.metadata
    made = str(metadata["made_of"].value)
    shares = [float(share) for share in re.findall(r"\| ([0-9.]+)% \|", made)]
    assert sum(shares) == pytest.approx(100.0, abs=0.2)
    assert "rw_drift: gate shut" in made
    assert "driver vix: no VIX" in made
    assert re.fullmatch(r"down \d+%, flat \(within 0\.5%\) \d+%, up \d+%", str(metadata["direction"].value))
    assert "panel_fits" in str(metadata["made_from"].value)
