"""From a backtest to the evidence on its models: comparison, reliability and slices, for the asset and the commands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forex_assets import schemas, trials
from forex_assets.pipeline import PROVENANCE, Pipeline, instants_of
from forex_assets.provenance import combine_hashes

if TYPE_CHECKING:
    from forex_assets.evaluation.grid import ScoreGrid
    from forex_assets.evaluation.slices import KnownSeries, Labels

#: Copper as the shock's driver, the first that the pair has.
COPPER_SERIES = ("copper_comex", "copper_lme")


@dataclass(frozen=True)
class Evidence:
    """Rows of the tables model_comparison, reliability and performance_slices, stamped."""

    comparison: pd.DataFrame
    reliability: pd.DataFrame
    slices: pd.DataFrame


def evidence(
    pipeline: Pipeline, pair_id: str, horizon: str, backtest: pd.DataFrame, *, as_of: dt.date | None = None
) -> Evidence:
    """Return the evidence of one horizon's backtest; empty tables where nothing has matured.

    Parameters
    ----------
    backtest:
        BACKTEST rows of the pair and horizon, with their provenance.
    as_of:
        Nothing that matured after this day is used; default: the newest snapshot.
    """
    from forex_assets.evaluation.compare import compare_models, reliability
    from forex_assets.evaluation.grid import score_grid
    from forex_assets.evaluation.slices import performance_slices

    snapshot = pipeline.snapshot(pair_id, as_of)
    day = np.datetime64(snapshot.as_of, "D")
    config = pipeline.active(pair_id, horizon, snapshot.as_of)
    rows = backtest.drop(columns=[name for name in PROVENANCE if name in backtest.columns])
    known = rows.loc[rows["actual"].notna() & (rows["matured_on"] <= pd.Timestamp(day))]
    if known.empty:
        return Evidence(
            schemas.MODEL_COMPARISON.empty(), schemas.RELIABILITY.empty(), schemas.PERFORMANCE_SLICES.empty()
        )
    grid = score_grid(known, as_of=day)
    labels = slice_labels(pipeline, pair_id, grid, snapshot.bars)
    hashes = "+".join(sorted(backtest["data_hash"].unique()))
    stamps = {"config_hash": config.config_hash, "data_hash": combine_hashes({"backtest": hashes})}
    shared = {"as_of": day, "active_model": config.model}
    origins = grid.origins[[0, -1]]
    ever = trials.count(trials.tried(pipeline.settings.home, pair_id, horizon), *origins)
    return Evidence(
        pipeline.stamp(compare_models(grid, tried=ever, **shared), **stamps),  # type: ignore[arg-type]
        pipeline.stamp(reliability(grid, **shared), **stamps),  # type: ignore[arg-type]
        pipeline.stamp(performance_slices(grid, labels, **shared), **stamps),  # type: ignore[arg-type]
    )


def slice_labels(pipeline: Pipeline, pair_id: str, grid: ScoreGrid, bars: pd.DataFrame) -> dict[str, Labels]:
    """Return the slices of a pair's origins: those its data allow."""
    from forex_assets.clock import as_of_instants, bcch
    from forex_assets.evaluation.slices import calendar_labels, meeting_labels, shock_labels, volatility_regimes

    instants = as_of_instants(grid.origins)
    labels = calendar_labels(grid)
    labels["regime"] = volatility_regimes(_series(bars.rename(columns={"event_date": "day"})), instants)
    pair = pipeline.settings.pair(pair_id)
    if "CLP" in (pair.base, pair.quote):
        reactions = bcch.meetings()["reaction_date"].to_numpy().astype("datetime64[D]")
        labels["meeting"] = meeting_labels(grid.last_event_date, grid.targets, reactions)
    copper = [name for name in COPPER_SERIES if name in pair.drivers]
    if copper:
        observations = pipeline.observations(pair_id)
        for name in copper:
            rows = observations.loc[observations["series"] == name]
            if len(rows):
                labels["shock"] = shock_labels(_series(rows.rename(columns={"event_time": "day"})), instants)
                break
    return labels


def _series(rows: pd.DataFrame) -> KnownSeries:
    """Return the values in use, one per date, each known since its date first had one."""
    from forex_assets.evaluation.slices import KnownSeries

    day = rows["day"]
    if isinstance(day.dtype, pd.DatetimeTZDtype):
        day = day.dt.tz_convert(None)
    rows = rows.assign(day=day.to_numpy().astype("datetime64[D]").astype("datetime64[ns]"))
    first = rows.groupby("day")["available_at"].min()
    good = rows.loc[rows["withdrawn_at"].isna() & (rows["value"] > 0)]
    good = good.sort_values(["day", "available_at"], kind="stable").drop_duplicates("day", keep="last")
    return KnownSeries(
        good["day"].to_numpy().astype("datetime64[D]"),
        instants_of(first.reindex(good["day"])),
        good["value"].to_numpy(dtype=np.float64),
    )
