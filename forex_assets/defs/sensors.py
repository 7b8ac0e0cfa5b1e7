"""Sensors: thin translations of the decisions in :mod:`forex_assets.planning`; each tick looks at the store anew."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.partitions import partition_key
from forex_assets.lifecycle.asking import DEAD_AFTER, MAX_ATTEMPTS, Attempts, Run, RunState, attempts_of
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
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
LOOK_BACK_DAYS = 5
RANGES_PER_TICK = 8


def active_runs(job: str, **tags: str) -> dg.RunsFilter:
    """Return what finds the runs of a job that are queued or running.

    A run whose process was killed reads as started for ever; after ``DEAD_AFTER`` it holds nobody up.
    """
    since = dt.datetime.now(tz=dt.UTC) - DEAD_AFTER
    return dg.RunsFilter(job_name=job, tags=tags, statuses=ACTIVE, updated_after=since)


def in_progress(instance: dg.DagsterInstance, job: str, **tags: str) -> bool:
    """Tell whether a run of this job with these tags is queued or running."""
    return bool(instance.get_run_ids(active_runs(job, **tags), limit=1))


def attempts(instance: dg.DagsterInstance, job: str, **tags: str) -> Attempts:
    """Return how the runs of this job with these tags went: one under way, and how many failed, were cancelled or died.

    The newest ones are looked at, up to the limit of attempts and one more.
    """
    filters = dg.RunsFilter(job_name=job, tags=tags, statuses=[*ACTIVE, *FAILED])
    records = instance.get_run_records(filters, limit=MAX_ATTEMPTS + 1)
    return attempts_of([_run(record) for record in records], dt.datetime.now(tz=dt.UTC))


def forecast_attempts(instance: dg.DagsterInstance, job: str, bars: Mapping[str, str]) -> dict[str, Attempts]:
    """Return how the forecasts of some days went, asking the run storage once.

    Parameters
    ----------
    bars:
        Day → when its bars were written: any run of the day that is under way counts, but of those that came to nothing
        only the ones on these bars.
    """
    statuses = [*ACTIVE, *FAILED]
    records = instance.get_run_records(dg.RunsFilter(job_name=job, tags={"as_of": list(bars)}, statuses=statuses))
    now = dt.datetime.now(tz=dt.UTC)
    found = {}
    for day, written in bars.items():
        mine = [record for record in records if record.dagster_run.tags["as_of"] == day]
        own = [record for record in mine if record.dagster_run.tags.get("bars_written_at") == written]
        under_way = attempts_of([_run(record) for record in mine], now).under_way
        found[day] = Attempts(under_way, attempts_of([_run(record) for record in own], now).over)
    return found


def _run(record: dg.RunRecord) -> Run:
    state: RunState = "failed" if record.dagster_run.status in FAILED else "active"
    return Run(state, record.update_timestamp)


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.SensorDefinition]:
    """Return the sensors of one pair."""
    horizons = pipeline.settings.horizons
    forecast_job = jobs.job_name(pair.id, jobs.FORECAST)
    evaluation_job = jobs.job_name(pair.id, jobs.EVALUATION)
    calendar = pipeline.calendar(pair.id)

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
        first, last = next(iter(horizons)), list(horizons)[-1]
        requests, waiting = [], []
        bars = {day: store.info(schemas.BARS, pair.id, (day,)).written_at.isoformat() for day in missing}
        tried = forecast_attempts(context.instance, forecast_job, bars)
        for day, written in bars.items():
            over = tried[day].over
            if tried[day].under_way:
                waiting.append(f"{day}: in progress")
            elif over >= MAX_ATTEMPTS:
                waiting.append(f"{day}: failed {over} times on these bars")
            else:
                tags = {"pair": pair.id, "as_of": day, "bars_written_at": written}
                requests.append(
                    dg.RunRequest(
                        run_key=f"{pair.id}-{day}-{written}-{over}",
                        tags={**jobs.range_tags(f"{day}|{first}", f"{day}|{last}"), **tags},
                    )
                )
        return dg.SensorResult(run_requests=requests) if requests else dg.SensorResult(skip_reason="; ".join(waiting))

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
        due = matured_targets(
            store.keys(schemas.FORECAST, pair.id),
            store.keys(schemas.EVALUATION, pair.id),
            horizons,
            calendar,
            dt.date.fromisoformat(newest),
        )
        requests: list[dg.RunRequest] = []
        notes: list[str] = []
        for horizon, made in due.items():
            if in_progress(context.instance, evaluation_job, pair=pair.id, horizon=horizon):
                notes.append(f"{horizon}: in progress")
                continue
            # A forecast judged bad, or a target date whose value never came, must not hold up its neighbours.
            ready, withheld = pipeline.evaluable(pair.id, horizon, made, as_of=days[-1])
            if len(ready) < len(made):
                unknown = len(made) - len(ready) - len(withheld)
                notes.append(f"{horizon}: {len(withheld)} judged bad, {unknown} without a value of their target date")
            for span in contiguous(ready, calendar)[:RANGES_PER_TICK]:
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
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SensorResult(
            skip_reason="; ".join([f"No matured forecast of {pair.id} waits for its evaluation.", *notes])
        )

    return [forecast_new_bars, evaluate_matured]


def build_failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that puts every failed run into the alert outbox."""

    @dg.run_failure_sensor(name="run_failures", description="Queues an alert for every failed run.")
    def run_failures(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        error = context.failure_event.message or "no message"
        steps = sorted(event.step_key for event in context.get_step_failure_events() if event.step_key)
        Outbox.from_settings(settings).append(
            Alert(
                kind="run_failure",
                severity="high",
                pair=run.tags.get("pair", "all"),
                title=f"Run of {run.job_name} failed",
                body=f"{error} Steps: {', '.join(steps) or 'none started'}. Run {run.run_id}.",
                # The fault, not the run: a job that keeps failing in the same step is one alert per cool-down.
                key=":".join(["run_failure", run.job_name, run.tags.get("horizon", "all"), *steps]),
                created_at=dt.datetime.now(tz=dt.UTC),
            )
        )

    return run_failures
