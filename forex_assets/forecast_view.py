"""The forecast of a day for a reader: the stored one, or the same rows computed on the spot, never written."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.errors import DataError, StoreError, UnusableSliceError
from forex_assets.pipeline import Pipeline, day_key, utc_now
from forex_assets.summary import forecast_values


def forecast_of(pipeline: Pipeline, pair_id: str, as_of: dt.date | None, horizons: list[str]) -> dict[str, Any]:
    """Return the forecasts of one pair and day as plain values.

    A stored slice is shown when it was made by the present configuration; otherwise, also where it is damaged, the
    rows are computed from the observations known at the end of that day. ``damaged`` names what could not be read.

    Raises
    ------
    UnusableSliceError
        When the stored forecast is judged bad.
    DataError
        When no value of the pair's target was known by the end of that day, or the last one is too old.
    """
    from forex_assets.market.asof import bars_as_of

    pair = pipeline.settings.pair(pair_id)

    @cache
    def observations() -> pd.DataFrame:
        return pipeline.data.look_up(pair_id, now=utc_now())

    stored_days = pipeline.snapshot_days(pair_id)
    day = as_of or (
        stored_days[-1] if stored_days else pipeline.default_as_of(pair_id, now=utc_now(), observations=observations())
    )
    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    bars: pd.DataFrame | None = None
    for horizon in horizons:
        frame = _stored(pipeline, pair_id, horizon, day, damaged)
        stored = frame is not None
        if frame is None:
            bars = bars if bars is not None else bars_as_of(observations(), pair, day)
            if bars.empty:
                first = _first_day(observations(), pair.target.series)
                raise DataError(
                    f"No value of {pair_id} was known by the end of {day}; the first was known on {first}.",
                    remedy="choose a later --as-of.",
                )
            frame = pipeline.forecast_on(pair_id, horizon, bars, [day])[(horizon, day_key(day))]
        target = frame.loc[frame["is_target"]]
        active = target.loc[target["is_active"]].iloc[0]
        rows.append(
            {
                "horizon": horizon,
                "stored": stored,
                "active": forecast_values(active),
                "direction": direction_of(active),
                "made_of": composition_of(active),
                "random_walk": forecast_values(target.loc[target["model"] == "random_walk"].iloc[0]),
                "quantiles": {
                    name: float(value)
                    for name, value in active.items()
                    if str(name).startswith("q") and str(name)[1:].isdigit()
                },
            }
        )
    history = bars if bars is not None else _history(pipeline, pair_id, day, observations, damaged)
    good = history.loc[history["withdrawn_at"].isna()]
    return {
        "pair": pair.id,
        "label": pair.label,
        "unit": pair.unit,
        "as_of": day.isoformat(),
        "last_value": float(good["value"].iloc[-1]),
        "last_event_date": day_key(np.datetime64(good["event_date"].iloc[-1])),
        "source": str(good["source"].iloc[-1]),
        "horizons": rows,
        "damaged": damaged,
    }


def direction_of(row: pd.Series[Any]) -> dict[str, float]:
    """Return how likely down, flat and up are by a forecast's quantiles, and the band that counts as flat (a share)."""
    from forex_assets.evaluation.direction import CLASSES, NEUTRAL_BAND_SHARE, probabilities
    from forex_assets.levels import QUANTILE_COLUMNS

    quantiles = row[list(QUANTILE_COLUMNS)].to_numpy(dtype=float)[None]
    shares = probabilities(quantiles, np.array([float(row["last_value"])]))[0]
    return {**{name: float(share) for name, share in zip(CLASSES, shares, strict=True)}, "band": NEUTRAL_BAND_SHARE}


def composition_of(row: pd.Series[Any]) -> dict[str, Any] | None:
    """Return which models carry a forecast with what weight, and why others do not; None for a model of its own."""
    if not isinstance(row["carried_by"], str):
        return None
    return {
        "carried_by": json.loads(row["carried_by"]),
        "left_out": json.loads(row["left_out"]),
        "degraded": bool(row["degraded"]),
    }


def _history(
    pipeline: Pipeline, pair_id: str, day: dt.date, observations: Callable[[], pd.DataFrame], damaged: list[str]
) -> pd.DataFrame:
    """Return the stored bars of a day; where they are damaged, the same from the observations."""
    from forex_assets.market.asof import bars_as_of

    try:
        return pipeline.snapshot(pair_id, day).bars
    except UnusableSliceError:
        raise
    except StoreError as error:
        damaged.append(error.message)
        return bars_as_of(observations(), pipeline.settings.pair(pair_id), day)


def _first_day(observations: pd.DataFrame, series: str) -> str:
    known = observations.loc[observations["series"] == series, "available_at"]
    return day_key(known.min()) if len(known) else "no day"


def _stored(pipeline: Pipeline, pair_id: str, horizon: str, day: dt.date, damaged: list[str]) -> pd.DataFrame | None:
    key = (horizon, day_key(day))
    if not pipeline.store.exists(schemas.FORECAST, pair_id, key):
        return None
    try:
        info = pipeline.store.info(schemas.FORECAST, pair_id, key)
        frame = pipeline.store.read(schemas.FORECAST, pair_id, [key], allow_bad=True)
    except StoreError as error:
        damaged.append(error.message)
        return None
    if info.meta.get("config_hash") != pipeline.active(pair_id, horizon, day).config_hash:
        return None
    if info.verdict.state == "bad":
        raise UnusableSliceError(
            f"The {horizon} forecast of {pair_id} for {day} is judged bad: {'; '.join(info.verdict.reasons)}.",
            remedy="look at the forecast's checks in the Dagster UI; nothing downstream uses this slice.",
        )
    return frame
