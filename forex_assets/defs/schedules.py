"""Schedules in the desk's zone: daily data, dashboard, weekly validation, daily check (B13-B15).

All are stopped until someone starts them: a host on embedded data alone has nothing new to fetch each evening.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np

from forex_assets import schemas
from forex_assets.clock import AsOf
from forex_assets.defs import jobs
from forex_assets.pipeline import Pipeline
from forex_assets.settings import PairSpec

Evaluate = Callable[[dg.ScheduleEvaluationContext], Any]


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.ScheduleDefinition]:
    """Return the schedules of one pair."""
    crons = pipeline.settings.platform.schedules
    horizons = list(pipeline.settings.horizons)

    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = AsOf(context.scheduled_execution_time).date
        if not pipeline.calendar(pair.id).is_open(np.array([day], dtype="datetime64[D]"))[0]:
            return dg.SkipReason(f"{day} is not a business day of {pair.id}.")
        return dg.RunRequest(run_key=f"{pair.id}-{day}", partition_key=day.isoformat())

    def dashboard(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = AsOf(context.scheduled_execution_time).date
        days = sorted({key[1] for key in pipeline.store.keys(schemas.FORECAST, pair.id)})
        if not days:
            return dg.SkipReason(f"No forecast of {pair.id} is stored yet.")
        return dg.RunRequest(run_key=f"{pair.id}-{today}", partition_key=days[-1])

    def all_horizons(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = AsOf(context.scheduled_execution_time).date
        if not pipeline.snapshot_days(pair.id):
            return dg.SkipReason(f"No bars of {pair.id} are stored yet.")
        return dg.RunRequest(run_key=f"{pair.id}-{today}", tags=jobs.range_tags(horizons[0], horizons[-1]))

    def schedule(name: str, cron: str, family: str, evaluate: Evaluate, description: str) -> dg.ScheduleDefinition:
        return dg.ScheduleDefinition(
            name=f"{pair.id}_{name}",
            cron_schedule=cron,
            execution_timezone=crons.timezone,
            job_name=jobs.job_name(pair.id, family),
            execution_fn=evaluate,
            description=description,
            tags={"pair": pair.id},
        )

    return [
        schedule(
            "daily_run", crons.daily_run, jobs.MARKET, daily, "New data after publication; forecasts follow by sensor."
        ),
        schedule("dashboard", crons.dashboard, jobs.REPORT, dashboard, "The desk report of the newest forecasts."),
        schedule(
            "weekly_validation", crons.weekly_validation, jobs.VALIDATION, all_horizons, "Backtest and scores anew."
        ),
        schedule(
            "daily_check", crons.daily_check, jobs.PERFORMANCE, all_horizons, "Coverage and bias of matured forecasts."
        ),
    ]
