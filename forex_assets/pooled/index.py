"""The panel's volatility index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from forex_assets.pooled import prices
from forex_assets.pooled.stored import CONFIG, VIX, histories, stored_bars, utc
from forex_assets.schemas.panel import PANEL_INDEX

if TYPE_CHECKING:
    from forex_assets.pipeline import Pipeline


def index(pipeline: Pipeline) -> pd.DataFrame:
    """Return the panel's volatility index from its stored prices; empty without VIX, beside which alone it serves."""
    return _index_of(pipeline, stored_bars(pipeline))


def fresh_index(pipeline: Pipeline, *, now: pd.Timestamp) -> pd.DataFrame:
    """Return the same from what the sources have, storing nothing; it takes seconds."""
    return _index_of(pipeline, prices.bars(pipeline, now=now))


def _index_of(pipeline: Pipeline, frame: pd.DataFrame) -> pd.DataFrame:
    from forex_assets.forecasting.panel.index import panel_index

    rows = []
    if (frame["series"] == VIX).any():
        for name, item in panel_index(histories(frame)).items():
            rows.append(
                pd.DataFrame(
                    {
                        "series": name,
                        "event_date": item.event_date.astype("datetime64[ns]"),
                        "available_at": utc(item.available_at),
                        "value": item.value,
                    }
                )
            )
    if not rows:
        return PANEL_INDEX.empty()
    made = pd.concat(rows, ignore_index=True)
    return pipeline.stamp(made, config_hash=CONFIG, data_hash=str(frame["data_hash"].iloc[0]))
