"""Group evaluation: outcomes and scores of matured forecasts, and the report by window of maturity."""

from typing import Any

import dagster as dg
import pandas as pd

from forex_assets.defs.assets import (
    SINGLE_RUN,
    SLICE_IO,
    asset_options,
    describe_slices,
    picture_markdown,
    readable_errors,
    say,
)
from forex_assets.defs.forecasts import ALL_DAYS, AsOfConfig
from forex_assets.defs.partitions import day_by_horizon, horizons
from forex_assets.pipeline import Pipeline
from forex_assets.settings import PairSpec

GROUP = "evaluation"
EVIDENCE = "evidence"
EVIDENCE_TABLES = ("model_comparison", "reliability", "performance_slices")


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
            say(context, horizon, "scores", scores_markdown(frame))
            describe_status(context, horizon, frame)
        return frames

    @dg.multi_asset(
        name=f"{pair.id}__{EVIDENCE}",
        outs={
            name: dg.AssetOut(
                key=dg.AssetKey([pair.id, name]),
                io_manager_key=SLICE_IO,
                **asset_options(pair, name, GROUP),
            )
            for name in EVIDENCE_TABLES
        },
        partitions_def=by_horizon,
        ins={"backtest": dg.AssetIn(key=dg.AssetKey([pair.id, "backtest"]))},
        backfill_policy=SINGLE_RUN,
    )
    def evidence(context: dg.AssetExecutionContext, config: AsOfConfig, backtest: pd.DataFrame) -> tuple[Any, Any, Any]:
        from forex_assets.evidence import evidence as evidence_of

        frames: dict[str, dict[tuple[str, ...], pd.DataFrame]] = {name: {} for name in EVIDENCE_TABLES}
        with readable_errors():
            for horizon in context.partition_keys:
                rows = backtest.loc[backtest["horizon"] == pipeline.settings.horizons[horizon]]
                found = evidence_of(pipeline, pair.id, horizon, rows, as_of=config.day())
                for name, frame in zip(
                    EVIDENCE_TABLES, (found.comparison, found.reliability, found.slices), strict=True
                ):
                    frames[name][(horizon,)] = frame
        for name in EVIDENCE_TABLES:
            key = dg.AssetKey([pair.id, name])
            describe_slices(context, key, frames[name])
            for (horizon,) in frames[name]:
                others = {other: frames[other][(horizon,)] for other in EVIDENCE_TABLES}
                for label, markdown in evidence_markdown(name, others).items():
                    context.add_asset_metadata(
                        {label: dg.MetadataValue.md(markdown)}, asset_key=key, partition_key=horizon
                    )
        comparison, reliability, slices = (frames[name] for name in EVIDENCE_TABLES)
        return comparison, reliability, slices

    return [evaluation, performance_report, evidence]


def evidence_markdown(name: str, frames: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Return what a table of evidence shows in the UI: the comparison as a table, pictures of the others."""
    from forex_assets.reporting.evidence_charts import pictures

    frame = frames[name]
    if frame.empty:
        return {"note": "No forecast of this horizon has matured."}
    if name == "model_comparison":
        columns = ["model", "n", "n_effective", "crps_ratio", "interval_score_95_ratio", "theil_u", "mase"]
        columns += [
            "direction_hit",
            "brier_ratio",
            "dm_crps_p_adjusted",
            "mcs_crps_p",
            "e_better",
            "e_worse",
            "verdict",
        ]
        tried = (
            f"Configurations ever scored on these origins beside the random walk, searches included: "
            f"**{int(frame['trials'].iloc[0])}**; adjusted p-values allow for them.\n\n"
        )
        return {"comparison": tried + str(frame[columns].round(3).to_markdown(index=False))}
    return {label: picture_markdown(label, picture) for label, picture in pictures(name, frame).items()}


def describe_status(context: dg.AssetExecutionContext, horizon: str, frame: pd.DataFrame) -> None:
    """Put the deployed model's status and recommendation on the partition."""
    rows = frame.loc[frame["is_active"]]
    if rows.empty:
        return
    row = rows.iloc[0]
    context.add_asset_metadata(
        {
            "status": str(row["status"]),
            "status_classic": str(row["status_classic"]),
            "degradation_detected": bool(row["degradation_detected"]),
            "recommendation": str(row["recommendation"]),
        },
        asset_key=context.asset_key,
        partition_key=horizon,
    )


def scores_markdown(frame: pd.DataFrame) -> str:
    """Return the scores of a report as a small Markdown table."""
    columns = [
        "window",
        "model",
        "status",
        "n",
        "n_effective",
        "coverage_80",
        "coverage_95",
        "interval_score_ratio",
        "crps_ratio",
        "theil_u",
    ]
    return str(frame[columns].round(3).to_markdown(index=False))
