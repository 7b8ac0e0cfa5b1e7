"""What a pair's models may look at beside its price: its own drivers and the panel's volatility index."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.pooled.stored import PANEL, driver, naive, read
from forex_assets.schemas import OBSERVATIONS, Table
from forex_assets.schemas.panel import PANEL_INDEX

if TYPE_CHECKING:
    from forex_assets.forecasting.drivers import DriverHistory
    from forex_assets.pipeline import Pipeline


def drivers_made_from(pipeline: Pipeline, pair_id: str) -> list[Any]:
    """Return what :func:`pair_drivers` depends on, to compare: the slices as written, or the frames looked up."""
    from forex_assets.last_made import Same

    def source(table: Table, owner: str, look_up: Callable[[str], pd.DataFrame | None]) -> Any:
        stored = pipeline.store.exists(table, owner, ())
        return pipeline.store.info(table, owner, ()) if stored else Same(look_up(pair_id))

    return [
        source(OBSERVATIONS, pair_id, pipeline.data.known_observations),
        source(PANEL_INDEX, PANEL, pipeline.looked_up_index),
    ]


def pair_drivers(pipeline: Pipeline, pair_id: str) -> dict[str, DriverHistory]:
    """Return what a pair's models may look at beside its price: its drivers, and the panel's volatility index."""
    from forex_assets.forecasting.drivers import DriverHistory

    pair = pipeline.settings.pair(pair_id)
    out: dict[str, DriverHistory] = {}
    observations = pipeline.data.known_observations(pair_id)
    if observations is not None:
        rows = observations[observations["series"].isin(pair.drivers)]
        for name, part in rows.groupby("series", sort=True):
            spec = pipeline.settings.series[str(name)]
            out[str(name)] = DriverHistory(
                str(name),
                calendar_for(spec.calendar),
                part["event_time"].dt.tz_convert(None).to_numpy().astype("datetime64[D]"),
                naive(part["available_at"]),
                part["value"].to_numpy(dtype=float),
                None if part["withdrawn_at"].isna().all() else naive(part["withdrawn_at"]),
            )
    table = read(pipeline, PANEL_INDEX, ())
    table = table if table is not None else pipeline.looked_up_index(pair_id)
    if table is not None:
        for name in table["series"].unique():
            item = driver(table, str(name))
            if item is not None:
                out[str(name)] = item
    return out
