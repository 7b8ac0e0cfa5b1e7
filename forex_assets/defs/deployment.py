"""Group deployment: what is deployed per horizon, how it fares, and the sensor that keeps an eye on it."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from forex_assets import deployment, schemas
from forex_assets.defs import jobs
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors, say
from forex_assets.defs.loop_markdown import accuracy_picture, changes, table, timeline
from forex_assets.defs.partitions import horizons
from forex_assets.defs.sensors import active_runs, in_progress
from forex_assets.lifecycle.drill import drill
from forex_assets.lifecycle.health import Health, due, read_watch
from forex_assets.lifecycle.subject import Subject
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.settings import PairSpec

GROUP = "deployment"


class DeployConfig(dg.Config):
    """How to deploy: ``dry_run`` decides and records without changing anything."""

    dry_run: bool = False


def build(pipeline: Pipeline, pair: PairSpec, after: Sequence[str] = ()) -> list[dg.AssetsDefinition]:
    """Return the deployment assets of one pair; ``after`` names the assets of the pair that make what is deployed."""
    by_horizon = horizons(pipeline.settings)

    @dg.asset(
        name="deployed_config",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        deps=[[pair.id, name] for name in after],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "deployed_config", GROUP, unit="version"),
    )
    def deployed_config(context: dg.AssetExecutionContext, config: DeployConfig) -> Any:
        now = utc_now().to_pydatetime()
        with readable_errors():
            done = deployment.deploy(
                pipeline,
                pair.id,
                context.partition_keys,
                now=now,
                running_forecasts=running_forecasts(context.instance, pair.id),
                dry_run=config.dry_run,
            )
            frames = deployment.deployed_rows(pipeline, done, deployment.newest_day(pipeline, pair.id, now))
        if done.refused:
            raise dg.Failure(
                description=" ".join(f"{move.subject}: {'; '.join(move.reasons)}." for move in done.refused),
                metadata={
                    "guards": dg.MetadataValue.md(_guards(done.guards)),
                    "ledger": ", ".join(move.entry for move in done.refused),
                    "what is deployed": "unchanged",
                },
                allow_retries=False,
            )
        describe_slices(context, context.asset_key, frames)
        context.add_output_metadata(
            {
                "what happened": dg.MetadataValue.md(_moves(pipeline, done)),
                "guards": dg.MetadataValue.md(_guards(done.guards)),
                "versions": dg.MetadataValue.md(timeline(pipeline, pair.id, list(context.partition_keys))),
            }
        )
        for horizon in context.partition_keys:
            say(context, horizon, "versions over accuracy", accuracy_picture(pipeline, pair.id, horizon))
        return frames

    @dg.asset(
        name="post_deployment_health",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        deps=[[pair.id, "deployed_config"]],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "post_deployment_health", GROUP, unit="ratio"),
    )
    def post_deployment_health(context: dg.AssetExecutionContext) -> Any:
        now = utc_now().to_pydatetime()
        frames, seen = {}, []
        with readable_errors():
            for horizon in context.partition_keys:
                health = deployment.watch(pipeline, pair.id, horizon, now=now)
                seen.append(health)
                day = deployment.newest_day(pipeline, pair.id, now)
                frames[(horizon,)] = deployment.health_rows(pipeline, health, day)
        describe_slices(context, context.asset_key, frames)
        context.add_output_metadata({"health": dg.MetadataValue.md(_health(seen))})
        for health in seen:
            if health.phase != "technical":  # a check a minute, and nothing matures in between
                part = health.subject.part
                say(context, part, "versions over accuracy", accuracy_picture(pipeline, pair.id, part))
        return frames

    return [deployed_config, post_deployment_health]


def build_sensor(pipeline: Pipeline, pair: PairSpec) -> dg.SensorDefinition:
    """Return the sensor that has a pair's versions on probation watched: each minute at first, then once per new day.

    It keeps no cursor: each tick looks at the stored state anew, so that a restart loses nothing.
    """
    job = jobs.job_name(pair.id, jobs.PROBATION)
    all_horizons = list(pipeline.settings.horizons)

    @dg.sensor(
        name=f"{pair.id}_probation",
        job_name=job,
        minimum_interval_seconds=30,
        description="Watches promoted versions on probation, and rolls back those that disappoint.",
    )
    def probation(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = dt.datetime.now(tz=dt.UTC)
        wanted = due_horizons(pipeline, pair.id, all_horizons, now)
        if not wanted:
            return dg.SensorResult(skip_reason=f"No version of {pair.id} needs watching now.")
        if in_progress(context.instance, job, pair=pair.id):
            return dg.SensorResult(skip_reason=f"A watching run of {pair.id} is in progress; {len(wanted)} due.")
        requests = []
        for horizon, (why, key) in wanted.items():
            tags = {"pair": pair.id, "horizon": horizon, "why": why}
            requests.append(dg.RunRequest(run_key=key, partition_key=horizon, tags=tags))
        return dg.SensorResult(run_requests=requests)

    return probation


def due_horizons(
    pipeline: Pipeline, pair_id: str, names: Sequence[str], now: dt.datetime
) -> dict[str, tuple[str, str]]:
    """Return the horizons whose version is to be watched now: why, and a run key that no earlier request had."""
    store, policy = pipeline.lifecycle, pipeline.settings.deployment.probation.technical
    state = store.state(Subject.forecast(pair_id, names[0]).scope)
    if not any(item.probation for item in state.subjects.values()):
        return {}
    days = pipeline.snapshot_days(pair_id)
    found = {}
    for horizon in names:
        subject = Subject.forecast(pair_id, horizon)
        pointers = state.of(subject)
        if not pointers.probation:
            continue
        watch = read_watch(store.root, subject, pointers)
        base = f"{subject.key}-{watch.generation}"
        # The minute is part of the key: a run that died before it wrote anything is asked for again.
        if why := due(watch, now, policy):
            found[horizon] = (why, f"{base}-check-{watch.checks}-{now:%Y%m%dT%H%M}")
        elif watch.technical == "passed" and days:
            written = _newest_evaluation(pipeline, subject)
            found[horizon] = ("a new day of evidence", f"{base}-day-{days[-1]}-{written}")
    return found


def _newest_evaluation(pipeline: Pipeline, subject: Subject) -> str:
    keys = [key for key in pipeline.store.keys(schemas.EVALUATION, subject.pair) if key[0] == subject.horizon]
    return f"{len(keys)}-{max(keys)[1]}" if keys else "none"


def running_forecasts(instance: dg.DagsterInstance, pair_id: str) -> int | None:
    """Return how many forecast runs of a pair are queued or running; None when Dagster cannot tell."""
    job = jobs.job_name(pair_id, jobs.FORECAST)
    try:
        return len(instance.get_run_ids(active_runs(job), limit=10))
    except (dg.DagsterError, OSError):
        return None


def build_drill(pipeline: Pipeline) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """Return the restore drill as a job, and its schedule: it fails when something damaged is not restored in time."""
    settings = pipeline.settings
    subject = Subject.forecast(next(iter(settings.pairs)), next(iter(settings.horizons)))

    @dg.op(name="restore_drill", description="Damages a copy of what the life cycle keeps, and restores it.")
    def restore_drill(context: dg.OpExecutionContext) -> None:
        with readable_errors():
            report = drill(settings.home, settings.deployment, subject=subject, now=utc_now().to_pydatetime())
        rows = [(step.name, step.restored, f"{step.seconds:.3f}", step.detail) for step in report.steps]
        steps = dg.MetadataValue.md(table(("Damaged", "Restored", "Seconds", "What was seen"), rows))
        if not report.passed:
            raise dg.Failure("The restore drill failed.", metadata={"steps": steps}, allow_retries=False)
        context.add_output_metadata({"steps": steps, "slowest restore (s)": report.restore_s})

    @dg.job(name="restore_drill_job", description="Restore drill of the version store, in a sandbox.")
    def restore_drill_job() -> None:
        restore_drill()

    schedule = dg.ScheduleDefinition(
        name="restore_drill",
        job=restore_drill_job,
        cron_schedule=settings.deployment.drill.cron,
        execution_timezone=settings.platform.schedules.timezone,
        description="Restore drill of the version store, in a sandbox.",
    )
    return restore_drill_job, schedule


# ---- what people read ---------------------------------------------------------------------------------------------


def _moves(pipeline: Pipeline, done: deployment.Deployment) -> str:
    rows, differences = [], []
    for move in done.moves:
        version = pipeline.lifecycle.versions.find(move.version)
        before = pipeline.lifecycle.versions.find(move.previous) if move.previous else None
        rows.append((move.subject.part, move.action, move.version, move.policy, "; ".join(move.reasons)))
        text = changes(version, before) if version else "the version cannot be read"
        differences.append(f"**{move.subject.part}**\n\n{text}")
    return "\n\n".join([table(("Horizon", "Done", "Version", "Policy", "Why"), rows), *differences])


def _guards(judged: Any) -> str:
    rows = [(item["name"], item["state"], item["reason"]) for item in judged["guards"]]
    return table(("Guard", "State", "Why"), rows)


def _health(seen: Sequence[Health]) -> str:
    rows = []
    for health in seen:
        evidence = health.watch.evidence or {}
        ratio = float(evidence.get("loss_ratio", "nan"))
        days = float(evidence.get("decidable_in_days", "nan"))
        rows.append(
            (
                health.subject.part,
                health.phase,
                health.verdict,
                f"{health.watch.healthy}/{health.watch.checks}",
                f"{ratio:.3f} (n {int(evidence['n'])})" if ratio == ratio else "",
                f"decidable in about {days:.0f} days" if days == days and health.phase == "statistical" else "",
                "; ".join(health.reasons),
            )
        )
    return table(("Horizon", "Phase", "Verdict", "Checks passed", "Loss ratio", "When", "Why"), rows)
