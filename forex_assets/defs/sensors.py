"""Sensors: thin translations of the decisions in :mod:`forex_assets.planning`; each tick looks at the store anew."""

from __future__ import annotations

import datetime as dt

import dagster as dg

from forex_assets import schemas
from forex_assets.clock import calendar_for
from forex_assets.defs import jobs
from forex_assets.defs.partitions import partition_key
from forex_assets.ops.alerts import Alert, Outbox
from forex_assets.pipeline import Pipeline
from forex_assets.planning import contiguous, matured_targets, missing_forecasts
from forex_assets.settings import PairSpec, Settings

ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
LOOK_BACK_DAYS = 5
RANGES_PER_TICK = 8


def in_progress(instance: dg.DagsterInstance, job: str, **tags: str) -> bool:
    """Tell whether a run of this job with these tags is queued or running."""
    return bool(instance.get_run_ids(dg.RunsFilter(job_name=job, tags=tags, statuses=ACTIVE), limit=1))


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.SensorDefinition]:
    """Return the sensors of one pair."""
    horizons = pipeline.settings.horizons
    forecast_job = jobs.job_name(pair.id, jobs.FORECAST)
    evaluation_job = jobs.job_name(pair.id, jobs.EVALUATION)

    @dg.sensor(
        name=f"{pair.id}_forecast_new_bars",
        job_name=forecast_job,
        minimum_interval_seconds=60,
        description="Forecasts every horizon once a business day's bars are stored.",
    )
    def forecast_new_bars(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = pipeline.store
        missing = missing_forecasts(
            store.keys(schemas.BARS, pair.id), store.keys(schemas.FORECAST, pair.id), list(horizons), LOOK_BACK_DAYS
        )
        if not missing:
            return dg.SensorResult(skip_reason=f"Every recent day of {pair.id} with bars has its forecasts.")
        requests = []
        for day in missing:
            first, last = next(iter(horizons)), list(horizons)[-1]
            written = store.info(schemas.BARS, pair.id, (day,)).written_at
            if in_progress(context.instance, forecast_job, as_of=day):
                continue
            requests.append(
                dg.RunRequest(
                    run_key=f"{pair.id}-{day}-{written.isoformat()}",
                    tags={**jobs.range_tags(f"{day}|{first}", f"{day}|{last}"), "pair": pair.id, "as_of": day},
                )
            )
        return dg.SensorResult(run_requests=requests)

    @dg.sensor(
        name=f"{pair.id}_evaluate_matured",
        job_name=evaluation_job,
        minimum_interval_seconds=300,
        description="Scores forecasts as their target values become known.",
    )
    def evaluate_matured(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = pipeline.store
        days = pipeline.snapshot_days(pair.id)
        if not days:
            return dg.SensorResult(skip_reason=f"No bars of {pair.id} are stored yet.")
        newest = store.info(schemas.BARS, pair.id, (days[-1].isoformat(),)).meta.get("newest_event_date")
        if newest is None:
            return dg.SensorResult(skip_reason=f"The newest bars of {pair.id}, for {days[-1]}, are empty.")
        calendar = calendar_for(pair.calendars)
        missing = matured_targets(
            store.keys(schemas.FORECAST, pair.id),
            store.keys(schemas.EVALUATION, pair.id),
            horizons,
            calendar,
            dt.date.fromisoformat(newest),
        )
        requests = []
        for horizon, waiting in missing.items():
            if in_progress(context.instance, evaluation_job, pair=pair.id, horizon=horizon):
                continue
            for span in contiguous(waiting, calendar)[:RANGES_PER_TICK]:
                first, last = span.first.isoformat(), span.last.isoformat()
                requests.append(
                    dg.RunRequest(
                        run_key=f"{pair.id}-{horizon}-{first}-{last}-{days[-1]}",
                        tags={
                            **jobs.range_tags(partition_key((horizon, first)), partition_key((horizon, last))),
                            "pair": pair.id,
                            "horizon": horizon,
                        },
                    )
                )
        if not requests:
            return dg.SensorResult(skip_reason=f"No matured forecast of {pair.id} waits for its evaluation.")
        return dg.SensorResult(run_requests=requests)

    return [forecast_new_bars, evaluate_matured]


def build_failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that puts every failed run into the alert outbox."""

    @dg.run_failure_sensor(name="run_failures", description="Queues an alert for every failed run.")
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        error = context.failure_event.message or "no message"
        steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
        Outbox.from_settings(settings).append(
            Alert(
                kind="run_failure",
                severity="high",
                pair=run.tags.get("pair", "all"),
                title=f"Run of {run.job_name} failed",
                body=f"{error} Steps: {', '.join(steps) or 'none started'}. Run {run.run_id}.",
                key=f"run_failure:{run.job_name}",
                created_at=dt.datetime.now(tz=dt.UTC),
            )
        )

    return run_failures
