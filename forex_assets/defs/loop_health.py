"""Group optimization: how the retraining loop itself fares per horizon; alerts where it is silent (A25, A26)."""

from typing import Any

import dagster as dg
import pandas as pd

from forex_assets.clock import AsOf
from forex_assets.defs import jobs
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors, say
from forex_assets.defs.optimization import GROUP
from forex_assets.defs.partitions import horizons
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.settings import PairSpec


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return the asset with one pair's findings about its loop."""

    @dg.asset(
        name="loop_findings",
        key_prefix=pair.id,
        partitions_def=horizons(pipeline.settings),
        deps=[[pair.id, "trigger_report"], [pair.id, "validation_report"], [pair.id, "post_deployment_health"]],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "loop_findings", GROUP, unit="unit of each figure"),
    )
    def loop_findings(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.optimization import loop_health

        now = utc_now().to_pydatetime()
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon in context.partition_keys:
                found = loop_health.loop_findings(pipeline, pair.id, horizon, now=now)
                loop_health.alert_absence(pipeline, found, now)
                frames[(horizon,)] = loop_health.loop_frame(pipeline, pair.id, found)
        describe_slices(context, context.asset_key, frames)
        for (horizon,), frame in frames.items():
            say(context, horizon, "the loop", loop_markdown(frame))
        return frames

    return [loop_findings]


def build_schedule(pipeline: Pipeline, pair: PairSpec) -> dg.ScheduleDefinition:
    """Return the daily look at the loop."""
    names = list(pipeline.settings.horizons)

    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = AsOf(context.scheduled_execution_time).date
        return dg.RunRequest(run_key=f"{pair.id}-{day}", tags=jobs.range_tags(names[0], names[-1]))

    return dg.ScheduleDefinition(
        name=f"{pair.id}_loop_health",
        cron_schedule=pipeline.settings.optimization.watch.cron,
        execution_timezone=pipeline.settings.platform.schedules.timezone,
        job_name=jobs.job_name(pair.id, jobs.LOOP),
        execution_fn=daily,
        description="Metrics and alert conditions of the retraining loop; an alert where it is silent.",
        tags={"pair": pair.id},
    )


def loop_markdown(frame: pd.DataFrame) -> str:
    """Return what fires, and then every figure of the recommended rules, as Markdown."""
    own = frame.loc[frame["profile"] == "recommended"]
    fired = own.loc[own["state"] == "fired"]
    lines = [f"- **{row.severity}** {row.rule}: {row.reasons}" for row in fired.itertuples()] or ["nothing fires"]
    shown = own.assign(value=[_figure(row) for row in own.itertuples()], why=own["reasons"].str.partition(": ")[2])
    table = shown[["rule", "state", "value", "why", "metric"]].to_markdown(index=False)
    return "\n".join(lines) + f"\n\n{table}"


def _figure(row: Any) -> str:
    if pd.isna(row.effect):
        return ""
    ends = "" if pd.isna(row.effect_low) else f" [{row.effect_low:.3g}, {row.effect_high:.3g}]"
    return f"{row.effect:.3g}{ends} {row.unit}"
