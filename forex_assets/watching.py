"""From the store to what the monitors see: prices, drivers and the scores of matured forecasts.

What is stored is read; only :func:`fresh_frames` asks the sources, when nothing is stored yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from forex_assets import schemas
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.pipeline import Pipeline
from forex_assets.provenance import content_hash
from forex_assets.schemas import PROVENANCE

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames
    from forex_assets.monitoring.observed import Observed

BENCHMARK = "random_walk"
_PREVIOUS_DAY = "previous_business_day"


def stored_frames(pipeline: Pipeline, pair_id: str, *, scores: bool = True) -> Frames:
    """Return everything the monitors look at: prices, drivers and the scores of matured forecasts.

    Scores are those of the stored evaluations, and before them those of the stored backtest.
    """
    from forex_assets.monitoring.frames import SCORE_COLUMNS

    table = scores_of(pipeline, pair_id) if scores else schemas.EVALUATION.empty()[list(SCORE_COLUMNS)]
    return frames_from(pipeline, pair_id, pipeline.observations(pair_id), table)


def fresh_frames(pipeline: Pipeline, pair_id: str, *, now: pd.Timestamp) -> Frames:
    """Return the same from the store where it holds the pair's data and backtests, else made in memory.

    Nothing is stored: a replay of a data folder leaves the platform as it is.

    Raises
    ------
    DataError
        When no value of the pair is known.
    """
    from forex_assets.errors import DataError
    from forex_assets.market.asof import bars_as_of, data_hash

    horizons = pipeline.settings.horizons
    is_stored = pipeline.store.exists(schemas.OBSERVATIONS, pair_id, ())
    if is_stored and all(pipeline.store.exists(schemas.BACKTEST, pair_id, (name,)) for name in horizons):
        return stored_frames(pipeline, pair_id)
    observations = pipeline.data.look_up(pair_id, now=now)
    newest = pipeline.default_as_of(pair_id, now=now, observations=observations)
    bars = bars_as_of(observations, pipeline.settings.pair(pair_id), newest)
    if bars.empty:
        raise DataError(f"No value of {pair_id} is known.", remedy="give a data folder that has its target series.")
    hashed = data_hash(bars)
    backtests = {name: pipeline.backtest_of(pair_id, name, bars, newest, hashed) for name in horizons}
    return frames_from(pipeline, pair_id, observations, scores_of(pipeline, pair_id, backtests))


def frames_from(pipeline: Pipeline, pair_id: str, observations: pd.DataFrame, scores: pd.DataFrame) -> Frames:
    """Return what the monitors look at from observations and the scores of matured forecasts."""
    from forex_assets.monitoring.frames import Frames

    settings = pipeline.settings
    pair = settings.pair(pair_id)
    series = {name: _observed(pipeline, observations, name) for name in (pair.target.series, *pair.drivers)}
    return Frames(
        pair=pair_id,
        horizons=settings.horizons,
        calendar=pipeline.calendar(pair_id),
        target=series[pair.target.series],
        drivers={
            **{name: series[name] for name in pair.drivers if len(series[name].values)},
            **_ranges(observations, pair.target.series),
        },
        scores=scores,
        input_hashes={
            "observations": str(observations["data_hash"].iloc[0]) if len(observations) else "",
            "scores": content_hash([len(scores), float(scores["crps"].sum()) if len(scores) else 0.0]),
        },
    )


def scores_of(pipeline: Pipeline, pair_id: str, backtests: Mapping[str, pd.DataFrame] | None = None) -> pd.DataFrame:
    """Return the matured forecasts of the deployed model and of the random walk, live ones before backtest ones.

    Backtests are the stored ones unless others are given by horizon. What the stored slices gave is kept until one is
    written anew: every monitor asks for it.
    """
    models = {name: pipeline.active(pair_id, name).model for name in pipeline.settings.horizons}
    if backtests is not None:
        return _scores(pipeline, pair_id, models, backtests)
    store = pipeline.store
    written = [store.state(table, pair_id) for table in (schemas.BACKTEST, schemas.EVALUATION)]

    def read() -> pd.DataFrame:
        columns = [name for name in schemas.BACKTEST.column_names if name not in (*PROVENANCE, "last_event_date")]
        stored = {
            name: store.read(schemas.BACKTEST, pair_id, [(name,)], columns=columns, only={"model": [model, BENCHMARK]})
            for name, model in models.items()
            if store.exists(schemas.BACKTEST, pair_id, (name,))
        }
        return _scores(pipeline, pair_id, models, stored)

    scores: pd.DataFrame = pipeline.memory.kept("scores", (pair_id, models, written), read)
    return scores


def _scores(
    pipeline: Pipeline, pair_id: str, models: Mapping[str, str], backtests: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    from forex_assets.monitoring.frames import SCORE_COLUMNS

    store, parts = pipeline.store, []
    for horizon, model in models.items():
        keys = [key for key in store.keys(schemas.EVALUATION, pair_id) if key[0] == horizon]
        live = store.read(schemas.EVALUATION, pair_id, keys) if keys else schemas.EVALUATION.empty()
        rows = backtests.get(horizon, schemas.BACKTEST.empty())
        parts.append(matured_scores(live, rows, model))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else schemas.EVALUATION.empty()[list(SCORE_COLUMNS)]


def matured_scores(live: pd.DataFrame, backtest: pd.DataFrame, model: str, *, deployed: bool = True) -> pd.DataFrame:
    """Return the matured forecasts of one model and of the random walk of one horizon, live ones before backtest ones.

    Parameters
    ----------
    live, backtest:
        Rows of tables ``evaluation`` and ``backtest`` (with or without scores); those without an outcome are left out.
    model:
        Whose forecasts are marked ``is_active``.
    deployed:
        Whether it is the deployed one: then the live rows are those of whatever was deployed when they were made.
    """
    from forex_assets.monitoring.frames import SCORE_COLUMNS

    columns = list(SCORE_COLUMNS)
    mine = live["is_active"].astype(bool) if deployed else live["model"] == model
    live = live.assign(is_active=mine).loc[mine | (live["model"] == BENCHMARK), columns]
    rows = backtest.loc[
        backtest["model"].isin([model, BENCHMARK]) & backtest["actual"].notna() & ~backtest["as_of"].isin(live["as_of"])
    ]
    if rows.empty:
        return live
    if "crps" not in rows.columns:
        rows = scored_backtest(rows)
    past = rows.assign(is_active=rows["model"] == model)[columns]
    return pd.concat([live, past], ignore_index=True) if len(live) else past.reset_index(drop=True)


def scored_backtest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the matured rows of a backtest with their scores, without the columns no monitor reads."""
    from forex_assets.evaluation.scores import score_rows
    from forex_assets.monitoring.frames import SCORE_COLUMNS

    rows = rows.loc[rows["actual"].notna()]
    made = score_rows(
        rows["mean"].to_numpy(float), rows[list(QUANTILE_COLUMNS)].to_numpy(float), rows["actual"].to_numpy(float)
    )
    return rows[[name for name in SCORE_COLUMNS if name in rows.columns]].assign(**made)


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
