"""From the store to what the monitors see: prices, drivers and the scores of matured forecasts.

Everything here is read from what is stored; nothing asks a source or a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from forex_assets import schemas
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.pipeline import Pipeline

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames
    from forex_assets.monitoring.observed import Observed

BENCHMARK = "random_walk"
_PREVIOUS_DAY = "previous_business_day"


def stored_frames(pipeline: Pipeline, pair_id: str, *, scores: bool = True) -> Frames:
    """Return everything the monitors look at: prices, drivers and the scores of matured forecasts.

    Scores are those of the stored evaluations, and before them those of the stored backtest.
    """
    from forex_assets.monitoring.frames import SCORE_COLUMNS, Frames

    settings = pipeline.settings
    pair = settings.pair(pair_id)
    observations = pipeline.observations(pair_id)
    series = {name: _observed(pipeline, observations, name) for name in (pair.target.series, *pair.drivers)}
    table = scores_of(pipeline, pair_id) if scores else schemas.EVALUATION.empty()[list(SCORE_COLUMNS)]
    return Frames(
        pair=pair_id,
        horizons=settings.horizons,
        calendar=pipeline.calendar(pair_id),
        target=series[pair.target.series],
        drivers={
            **{name: series[name] for name in pair.drivers if len(series[name].values)},
            **_ranges(observations, pair.target.series),
        },
        scores=table,
        input_hashes={"observations": str(observations["data_hash"].iloc[0]) if len(observations) else ""},
    )


def scores_of(pipeline: Pipeline, pair_id: str) -> pd.DataFrame:
    """Return the matured forecasts of the deployed model and of the random walk, live ones before backtest ones."""
    from forex_assets.evaluation.scores import score_rows
    from forex_assets.monitoring.frames import SCORE_COLUMNS

    columns, store, parts = list(SCORE_COLUMNS), pipeline.store, []
    for horizon in pipeline.settings.horizons:
        active = pipeline.active(pair_id, horizon).model
        keys = [key for key in store.keys(schemas.EVALUATION, pair_id) if key[0] == horizon]
        live = store.read(schemas.EVALUATION, pair_id, keys) if keys else schemas.EVALUATION.empty()
        live = live.loc[live["is_active"] | (live["model"] == BENCHMARK), columns]
        parts.append(live)
        if store.exists(schemas.BACKTEST, pair_id, (horizon,)):
            rows = store.read(schemas.BACKTEST, pair_id, [(horizon,)])
            rows = rows.loc[rows["model"].isin([active, BENCHMARK]) & rows["actual"].notna()]
            rows = rows.loc[~rows["as_of"].isin(live["as_of"])]
            if len(rows):
                made = score_rows(
                    rows["mean"].to_numpy(float),
                    rows[list(QUANTILE_COLUMNS)].to_numpy(float),
                    rows["actual"].to_numpy(float),
                )
                parts.append(rows.assign(is_active=rows["model"] == active, **made)[columns])
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else schemas.EVALUATION.empty()[columns]


def _observed(pipeline: Pipeline, observations: pd.DataFrame, name: str) -> Observed:
    from forex_assets.clock import calendar_for
    from forex_assets.monitoring.observed import observed

    spec = pipeline.settings.series[name]
    sessions = (
        calendar_for(spec.calendar) if spec.basis == "fixing" and spec.publication.rule == _PREVIOUS_DAY else None
    )
    return observed(observations, name, spec.unit, sessions=sessions)


def _ranges(observations: pd.DataFrame, target: str) -> dict[str, Observed]:
    """Return the price's daily range over its close where the source gives high and low."""
    from forex_assets.monitoring.observed import observed

    rows = observations.loc[
        (observations["series"] == target) & observations["high"].notna() & observations["low"].notna()
    ]
    if rows.empty:
        return {}
    share = (rows["high"] - rows["low"]) / rows["value"]
    made = rows.assign(series="intraday_range", unit="share", value=share)
    return {"intraday_range": observed(made, "intraday_range", "share")}
