"""Group evaluation: outcomes and scores of matured forecasts, and the report by window of maturity."""

from typing import Any

import dagster as dg
import pandas as pd

from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors
from forex_assets.defs.forecasts import ALL_DAYS, AsOfConfig
from forex_assets.defs.partitions import day_by_horizon, horizons
from forex_assets.pipeline import Pipeline
from forex_assets.settings import PairSpec

GROUP = "evaluation"


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return the evaluation assets of one pair."""
    by_horizon = horizons(pipeline.settings)

    @dg.asset(
        name="evaluation",
        key_prefix=pair.id,
        partitions_def=day_by_horizon(pipeline.settings, pair),
        ins={"forecast": dg.AssetIn(key=dg.AssetKey([pair.id, "forecast"]))},
        deps=[dg.AssetDep([pair.id, "bars"], partition_mapping=ALL_DAYS)],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "evaluation", GROUP),
    )
    def evaluation(context: dg.AssetExecutionContext, config: AsOfConfig, forecast: pd.DataFrame) -> Any:
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon, days in pipeline.settings.horizons.items():
                rows = forecast.loc[forecast["horizon"] == days]
                if len(rows):
                    frames.update(pipeline.evaluations(pair.id, horizon, rows, as_of=config.day()))
        describe_slices(context, context.asset_key, frames)
        return frames

    @dg.asset(
        name="performance_report",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        ins={"backtest": dg.AssetIn(key=dg.AssetKey([pair.id, "backtest"]))},
        deps=[
            dg.AssetDep([pair.id, "evaluation"], partition_mapping=dg.MultiToSingleDimensionPartitionMapping("horizon"))
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "performance_report", GROUP),
    )
    def performance_report(context: dg.AssetExecutionContext, config: AsOfConfig, backtest: pd.DataFrame) -> Any:
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon in context.partition_keys:
                rows = backtest.loc[backtest["horizon"] == pipeline.settings.horizons[horizon]]
                frames[(horizon,)] = pipeline.performance(pair.id, horizon, rows, as_of=config.day())
        describe_slices(context, context.asset_key, frames)
        for (horizon,), frame in frames.items():
            context.add_asset_metadata(
                {"scores": dg.MetadataValue.md(scores_markdown(frame))},
                asset_key=context.asset_key,
                partition_key=horizon,
            )
        return frames

    return [evaluation, performance_report]


def scores_markdown(frame: pd.DataFrame) -> str:
    """Return the scores of a report as a small Markdown table."""
    columns = [
        "window",
        "model",
        "n",
        "n_effective",
        "coverage_80",
        "coverage_95",
        "interval_score_ratio",
        "crps_ratio",
        "theil_u",
    ]
    return str(frame[columns].round(3).to_markdown(index=False))
