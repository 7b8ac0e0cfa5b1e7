"""The panel in the graph: prices of many pairs, fits by month, lineage, and what happens where something is missing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.defs import panel
from forex_assets.defs.run import run_panel
from forex_assets.errors import DataError
from forex_assets.forecasting.ensemble.conditions import scheduled_events
from forex_assets.forecasting.ensemble.learn import EnsembleConfig
from forex_assets.forecasting.panel import build
from forex_assets.forecasting.panel.features import INDEX_FEATURES, Market
from forex_assets.forecasting.panel.fit import PanelConfig
from forex_assets.market_data import MarketData
from forex_assets.pipeline import Pipeline
from forex_assets.pooled import drivers as pooled_drivers
from forex_assets.pooled import fits as pooled_fits
from forex_assets.pooled import index as pooled_index
from forex_assets.pooled import prices as pooled_prices
from forex_assets.pooled import stored as pooled_stored
from forex_assets.schemas.panel import PANEL_BARS, PANEL_FITS, PANEL_INDEX, PANEL_WEIGHTS
from forex_assets.settings import load_settings
from forex_assets_tests.defs.world import World, settings_of, small_config

NOW = pd.Timestamp("2031-06-14 12:00", tz="UTC")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("panel")
    config = small_config(folder / "configs")
    with dg.DagsterInstance.ephemeral() as instance:
        made = World(settings_of(config, folder / "home"), instance)
        assert run_panel(made.runner, dt.date(2025, 6, 13)) is None
        yield made


def test_a_run_lays_down_prices_index_and_the_fits_of_the_month(world: World) -> None:
    frame = pooled_stored.stored_bars(world.pipeline)
    pairs = set(frame["series"])
    assert len(pairs) >= pooled_prices.MIN_PAIRS
    assert "usdclp" in pairs
    assert pooled_stored.stored_months(world.pipeline) == ["2025-06-01"]
    for table in PANEL_FITS:
        rows = pooled_stored.read(world.pipeline, table, ("2025-06-01",))
        assert rows is not None
        assert len(rows)
        assert (rows["valid_from"] <= "2025-06-01").all()
        assert (rows["learned_through"] < rows["valid_from"]).all()
    index = pooled_stored.read(world.pipeline, PANEL_INDEX, ())
    assert index is not None
    assert index.empty  # no VIX offline: nobody would use it
    results = [
        check.node_def.compute_fn.decorated_fn()
        for check in panel.build_checks(world.pipeline)  # type: ignore[union-attr]
    ]
    assert [result.passed for result in results] == [True, True]
    assert not pooled_prices.is_due(world.pipeline, NOW)


def test_forecast_and_backtest_stand_below_the_pooled_fits_in_lineage(world: World) -> None:
    graph = world.definitions.resolve_asset_graph()
    for name in ("forecast", "backtest"):
        parents = graph.get(dg.AssetKey(["usdclp", name])).parent_keys
        assert set(panel.LEARNED) <= parents
    weights = panel.FIT_KEYS["ensemble_weights"]
    assert panel.BARS in graph.get(weights).parent_keys
    assert {spec.group_name for spec in world.definitions.resolve_all_asset_specs() if spec.key.path[0] == "panel"} == {
        panel.GROUP
    }


def test_a_month_the_package_does_not_ship_keeps_its_rows_where_prices_end_before(world: World) -> None:
    frames, source = pooled_fits.month_fits(world.pipeline, dt.date(2031, 12, 1))
    assert "prices reach only 20" in source
    shipped, _ = pooled_fits.month_fits(world.pipeline, dt.date(2025, 6, 1))
    assert frames["panel_weights"]["weight"].equals(shipped["panel_weights"]["weight"])


def _four_pairs_and_vix(world: World) -> pd.DataFrame:
    frame = pooled_stored.stored_bars(world.pipeline)
    kept = frame[frame["series"].isin(["usdclp", "usdzar", "usdmxn", "usdeur"]) & (frame["event_date"] >= "2012-01-01")]
    vix = kept[kept["series"] == "usdeur"].assign(series="vix")
    vix = vix.assign(
        value=18 + 4 * np.sin(np.arange(len(vix)) / 40), available_at=vix["available_at"] + pd.Timedelta("1h")
    )
    return pd.concat([kept, vix], ignore_index=True)


@pytest.mark.capability("A01")
def test_a_pair_looked_up_without_storing_has_its_drivers_and_the_index_beside_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    prices = _four_pairs_and_vix(world)
    pipeline = Pipeline(load_settings())
    vix = prices[prices["series"] == "vix"]
    observations = pd.DataFrame(
        {
            "series": "vix",
            "event_time": vix["event_date"].dt.tz_localize("UTC"),
            "available_at": vix["available_at"],
            "value": vix["value"],
            "withdrawn_at": pd.Series(pd.NaT, index=vix.index, dtype="datetime64[us, UTC]"),
        }
    )
    asked: list[str] = []
    monkeypatch.setattr(MarketData, "ingest", lambda self, pair, now: {"observations": observations})

    def bars(pipeline: Pipeline, *, now: pd.Timestamp) -> pd.DataFrame:
        asked.append("panel")
        return prices

    monkeypatch.setattr(pooled_prices, "bars", bars)
    assert pooled_drivers.pair_drivers(pipeline, "eurusd") == {}
    pipeline.data.look_up("eurusd", now=NOW)
    assert asked == []  # made when a model may look at it, not before
    for _ in range(2):
        drivers = pooled_drivers.pair_drivers(pipeline, "eurusd")
        assert set(drivers) == {"vix", *INDEX_FEATURES}
        assert Market.of(drivers) is not None
    assert asked == ["panel"]
    assert pipeline.store.pairs() == []


def test_a_later_month_is_learned_from_the_stored_prices_and_serves_from_its_first_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    """Four pairs, cheap choices: the same code that learns the whole panel."""
    prices = _four_pairs_and_vix(world)
    config = small_config(tmp_path / "configs")
    with dg.DagsterInstance.ephemeral() as instance:
        other = World(settings_of(config, tmp_path / "home"), instance)
        pooled_stored.write(other.pipeline, PANEL_BARS, (), prices)
        pooled_stored.write(other.pipeline, PANEL_INDEX, (), pooled_index.index(other.pipeline))
        index = pooled_stored.read(other.pipeline, PANEL_INDEX, ())
        assert index is not None
        assert set(index["series"]) == set(INDEX_FEATURES)
        real = build.make
        monkeypatch.setattr(
            build,
            "make",
            lambda through, vix, **options: real(
                through,
                vix,
                **options,
                panel=PanelConfig(first_refit="2015-01-01", min_rows=300),
                ensemble=EnsembleConfig(
                    start="2015-06-01", first_month="2016-06-01", every=20, watched=(), min_rows=60
                ),
            ),
        )
        monkeypatch.setattr(pooled_fits, "shipped_through", lambda: np.datetime64("2019-12-01"))
        frames, source = pooled_fits.month_fits(other.pipeline, dt.date(2020, 3, 1))
        assert source.startswith("learned from prices to 20")
        for table in PANEL_FITS:
            assert frames[table.name]["valid_from"].max() <= pd.Timestamp("2020-03-01")
            pooled_stored.write(other.pipeline, table, ("2020-03-01",), frames[table.name])
        assert set(frames["panel_weights"]["variant"]) == {"plain", "vix"}
        fit, ensemble = pooled_fits.newest_fits(other.pipeline)
        assert fit.frames["panel_shapes"]["valid_from"].max() == pd.Timestamp("2020-03-01")
        used = set(ensemble.conditions())
        assert set(ensemble.events) == used & set(scheduled_events()), "the days of every event that a width may need"
        assert pooled_fits.fingerprint(other.pipeline)["month"] == "2020-03-01"
        assert (
            Market.of({**pooled_drivers.pair_drivers(other.pipeline, "usdclp")}) is None
        )  # this pair has no VIX of its own


def test_prices_that_change_are_new_rows_known_from_then_on(world: World) -> None:
    stored = pooled_stored.stored_bars(world.pipeline)
    fresh = stored[stored["series"] == "usdzar"].drop(columns=list(schemas.PROVENANCE)).tail(3).copy()
    fresh.iloc[0, fresh.columns.get_loc("value")] *= 1.01
    fresh.iloc[2, fresh.columns.get_loc("event_date")] += pd.Timedelta(days=3)
    new = pooled_prices._new_rows(pooled_prices._by_series(stored)["usdzar"], fresh, NOW)
    assert len(new) == 2
    revised = new[new["event_date"] == fresh["event_date"].iloc[0]]
    assert revised["available_at"].iloc[0] == NOW
    history = pooled_stored.histories(pd.concat([stored, new], ignore_index=True))["usdzar"]
    before, after = (history.known_at(np.datetime64(day, "us")) for day in ("2031-06-14T11:00", "2031-06-14T13:00"))
    assert before[1][-4] * 1.01 == pytest.approx(after[1][-4])
    assert before[1][-5] == after[1][-5]


def test_a_panel_that_cannot_be_refreshed_is_noted_and_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise DataError("the disk is full", remedy="make room.")

    monkeypatch.setattr(pooled_prices, "is_due", lambda *_: True)
    monkeypatch.setattr(pooled_prices, "bars", broken)
    note = run_panel(world.runner, dt.date(2025, 6, 13))
    assert note is not None
    assert "the disk is full" in note


def test_without_stored_prices_the_index_says_what_to_do(tmp_path: Path) -> None:
    config = small_config(tmp_path / "configs")
    with dg.DagsterInstance.ephemeral() as instance:
        other = World(settings_of(config, tmp_path / "home"), instance)
        with pytest.raises(DataError, match="No prices of the panel"):
            pooled_index.index(other.pipeline)
        assert pooled_prices.is_due(other.pipeline, NOW)
        checks = [check.node_def.compute_fn.decorated_fn for check in panel.build_checks(other.pipeline)]  # type: ignore[union-attr]
        assert not checks[1]().passed
        assert pooled_stored.read(other.pipeline, PANEL_WEIGHTS, ("2025-06-01",)) is None
        assert json.dumps(pooled_fits.fingerprint(other.pipeline)) == '{"month": "shipped"}'
