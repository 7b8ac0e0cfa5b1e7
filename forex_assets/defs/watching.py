"""Regimes and readiness per business day, the market calibration per horizon, the weekly validation per week."""

import datetime as dt
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from forex_assets.clock import AsOf
from forex_assets.defs import jobs
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors
from forex_assets.defs.findings import GROUP
from forex_assets.defs.forecasts import ALL_DAYS, AsOfConfig
from forex_assets.defs.partitions import business_days, horizons, weeks
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.settings import PairSpec

FORECASTS, REPORTS = "forecasts", "reports"
#: Older regimes and readiness are stale: a long weekend and a day of grace.
MAX_AGE = dt.timedelta(days=5)


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return these assets of one pair."""
    days = business_days(pipeline.settings, pair)
    fresh = dg.FreshnessPolicy.time_window(fail_window=MAX_AGE)

    @dg.asset(
        name="regime_report",
        key_prefix=pair.id,
        partitions_def=days,
        deps=[[pair.id, "observations"]],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        freshness_policy=fresh,
        **asset_options(pair, "regime_report", GROUP),
    )
    def regime_report(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.regime_view import regime_reports

        with readable_errors():
            frames = regime_reports(pipeline, pair.id, [dt.date.fromisoformat(key) for key in context.partition_keys])
        describe_slices(context, context.asset_key, frames)
        for (day,), frame in list(frames.items())[-5:]:
            row = frame.loc[frame["profile"] == "recommended"].iloc[0]
            context.add_asset_metadata(
                {
                    "regime": str(row["regime"]),
                    "risk": str(row["risk"]),
                    "why": dg.MetadataValue.md("\n".join(f"- {line}" for line in str(row["reasons"]).splitlines())),
                },
                asset_key=context.asset_key,
                partition_key=day,
            )
        return frames

    @dg.asset(
        name="readiness",
        key_prefix=pair.id,
        partitions_def=days,
        deps=[
            [pair.id, "findings"],
            dg.AssetDep([pair.id, "performance_report"], partition_mapping=ALL_DAYS),
            dg.AssetDep([pair.id, "backtest"], partition_mapping=ALL_DAYS),
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        freshness_policy=fresh,
        **asset_options(pair, "readiness", GROUP),
    )
    def readiness(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.readiness_view import readiness_frame, readiness_of
        from forex_assets.watching import stored_frames

        out = {}
        with readable_errors():
            frames = stored_frames(pipeline, pair.id)
            for key in context.partition_keys:
                day = dt.date.fromisoformat(key)
                out[(key,)] = readiness_frame(pipeline, pair.id, day, readiness_of(pipeline, pair.id, day, frames))
        describe_slices(context, context.asset_key, out)
        for (day_name,), frame in list(out.items())[-5:]:
            context.add_asset_metadata(
                {"levels": dg.MetadataValue.md(readiness_markdown(frame))},
                asset_key=context.asset_key,
                partition_key=day_name,
            )
        return out

    @dg.asset(
        name="calibration",
        key_prefix=pair.id,
        partitions_def=horizons(pipeline.settings),
        deps=[[pair.id, "observations"], [pair.id, "backtest"]],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "calibration", FORECASTS, unit="unit of each number"),
    )
    def calibration(context: dg.AssetExecutionContext, config: AsOfConfig) -> Any:
        from forex_assets.calibration_view import analyse_pair, calibration_frame
        from forex_assets.regime_view import factors_of
        from forex_assets.watching import stored_frames

        with readable_errors():
            made = analyse_pair(pipeline, pair.id, config.day())
            names = [str(key) for key in context.partition_keys]
            day = made.metadata.calibration_date
            factors = factors_of(stored_frames(pipeline, pair.id), pipeline.settings, day, names)
            out = {(name,): calibration_frame(pipeline, made, name, factors) for name in names}
        describe_slices(context, context.asset_key, out)
        for (name,), frame in out.items():
            context.add_asset_metadata(
                {"numbers": dg.MetadataValue.md(calibration_markdown(frame))},
                asset_key=context.asset_key,
                partition_key=name,
            )
        return out

    @dg.asset(
        name="weekly_validation",
        key_prefix=pair.id,
        partitions_def=weeks(pipeline.settings, pair),
        deps=[
            dg.AssetDep([pair.id, name], partition_mapping=ALL_DAYS)
            for name in ("findings", "readiness", "regime_report", "performance_report", "forecast", "calibration")
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **{**asset_options(pair, "weekly_validation", REPORTS), "kinds": {"python", "html"}},
    )
    def weekly_validation(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.defs.run_log import read_runs
        from forex_assets.weekly_view import weekly_summary, write_weekly

        out = {}
        with readable_errors():
            runs = read_runs(context.instance)
            for key in context.partition_keys:
                week = dt.date.fromisoformat(str(key))
                summary = weekly_summary(pipeline, pair.id, week, runs=runs, now=utc_now())
                out[(str(key),)] = write_weekly(pipeline, summary)
                context.add_asset_metadata(
                    {
                        "verdict": summary.verdict,
                        "not_good": dg.MetadataValue.md(summary.markdown()),
                        **{
                            f"report_{row.language}": dg.MetadataValue.path(str(pipeline.settings.home / str(row.path)))
                            for row in out[(str(key),)].itertuples()
                        },
                    },
                    asset_key=context.asset_key,
                    partition_key=str(key),
                )
        describe_slices(context, context.asset_key, out)
        return out

    return [regime_report, readiness, calibration, weekly_validation]


def build_schedule(pipeline: Pipeline, pair: PairSpec) -> dg.ScheduleDefinition:
    """Return the schedule of the weekly report, on disk by Monday 09:00 (B13)."""
    crons = pipeline.settings.platform.schedules

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = np.datetime64(AsOf(context.scheduled_execution_time).date, "D")
        if not pipeline.snapshot_days(pair.id):
            return dg.SkipReason(f"No bars of {pair.id} are stored yet.")
        monday = today - (today.astype(np.int64) + 3) % 7
        return dg.RunRequest(run_key=f"{pair.id}-{monday}", partition_key=str(monday))

    return dg.ScheduleDefinition(
        name=f"{pair.id}_weekly_report",
        cron_schedule=crons.weekly_report,
        execution_timezone=crons.timezone,
        job_name=jobs.job_name(pair.id, jobs.WEEKLY),
        execution_fn=evaluate,
        description="The weekly validation report, Spanish and English: every check, tail risks, what changed.",
        tags={"pair": pair.id},
    )


def build_calibration_schedule(pipeline: Pipeline, pair: PairSpec) -> dg.ScheduleDefinition:
    """Return the schedule that measures the market calibration anew, before the weekly report shows it (B17)."""
    crons, names = pipeline.settings.platform.schedules, list(pipeline.settings.horizons)

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not pipeline.snapshot_days(pair.id):
            return dg.SkipReason(f"No bars of {pair.id} are stored yet.")
        today = AsOf(context.scheduled_execution_time).date
        return dg.RunRequest(run_key=f"{pair.id}-{today}", tags=jobs.range_tags(names[0], names[-1]))

    return dg.ScheduleDefinition(
        name=f"{pair.id}_market_calibration",
        cron_schedule=crons.market_calibration,
        execution_timezone=crons.timezone,
        job_name=jobs.job_name(pair.id, jobs.CALIBRATION),
        execution_fn=evaluate,
        description="Thresholds, seasons, links and factors by regime from the pair's own history, anew.",
        tags={"pair": pair.id},
    )


def readiness_markdown(frame: pd.DataFrame) -> str:
    """Return levels, and what keeps them from being better, as Markdown."""
    lines = []
    for (profile, horizon), rows in frame.groupby(["profile", "horizon"], sort=False):
        lines.append(f"**{horizon}** ({profile}): {rows['level'].iloc[0]}, {rows['score'].iloc[0]:.0f} points")
        lines += [f"  - {row.check}: {row.state}. {row.message}" for row in rows.itertuples() if row.state != "pass"]
    return "\n\n".join(lines)


def calibration_markdown(frame: pd.DataFrame) -> str:
    """Return the numbers as a table."""
    columns = ["section", "name", "value", "low", "high", "unit", "n"]
    return str(frame[columns].round(4).to_markdown(index=False))
