"""Group optimization: trigger, search and gate per horizon, their sensor, schedule and checks."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors, say
from forex_assets.defs.forecasts import ALL_DAYS
from forex_assets.defs.loop_markdown import candidate_metadata, criteria_markdown, gate_markdown, trigger_markdown
from forex_assets.defs.partitions import horizons
from forex_assets.defs.sensors import attempts, in_progress
from forex_assets.deployment import newest_day
from forex_assets.lifecycle.asking import MAX_ATTEMPTS, Attempts, Latest
from forex_assets.lifecycle.ledger import Entry
from forex_assets.lifecycle.subject import Subject
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.schemas.lifecycle import VALIDATION_REPORT
from forex_assets.settings import PairSpec

GROUP = "optimization"
SEARCH_POOL = "search"
CRITERIA = {
    "improvement": "CRPS lower beyond noise on a period no search has seen.",
    "own_pair": "Where the panel decides: not worse beyond noise on this pair alone.",
    "interval_score": "95% interval score no worse than the incumbent's.",
    "coverage_80": "Coverage of the 80% interval no further from nominal, either way.",
    "coverage_95": "Coverage of the 95% interval no further from nominal, either way.",
    "tail_low": "Share below the 95% interval no further from 2.5%.",
    "tail_high": "Share above the 95% interval no further from 2.5%.",
    "stability": "Large losses no larger.",
    "bias": "Mean error in the forecast's own sigma within its limit.",
    "latency": "One daily forecast, warm, within its budget.",
}


class SearchConfig(dg.Config):
    """What is searched from: the snapshot of ``as_of`` (empty: the newest), by the settings' engine unless another."""

    as_of: str = ""
    engine: str = ""
    rules: list[str] = Field(default_factory=lambda: ["hand"])
    isolated: bool = True


class GateConfig(dg.Config):
    """How to judge: ``force`` lets a candidate through that was ranked on days of the gate's own period (classic)."""

    force: bool = False


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return the optimisation assets of one pair."""
    by_horizon = horizons(pipeline.settings)

    @dg.asset(
        name="trigger_report",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        deps=[
            dg.AssetDep([pair.id, "findings"], partition_mapping=ALL_DAYS),
            dg.AssetDep([pair.id, "drift_report"], partition_mapping=ALL_DAYS),
            [pair.id, "performance_report"],
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "trigger_report", GROUP, unit="rule"),
    )
    def trigger_report(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.optimization.trigger import judge_trigger, trigger_frame

        now = utc_now().to_pydatetime()
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon in context.partition_keys:
                report = judge_trigger(
                    pipeline,
                    pair.id,
                    horizon,
                    as_of=newest_day(pipeline, pair.id),
                    now=now,
                    running=in_progress(context.instance, search_job(pair.id), pair=pair.id, horizon=horizon),
                )
                frames[(horizon,)] = trigger_frame(pipeline, report)
        describe_slices(context, context.asset_key, frames)
        for (horizon,), frame in frames.items():
            say(context, horizon, "why", trigger_markdown(frame))
        return frames

    @dg.asset(
        name="candidate_config",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        deps=[
            [pair.id, "trigger_report"],
            dg.AssetDep([pair.id, "bars"], partition_mapping=ALL_DAYS),
            [pair.id, "active_config"],
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        pool=SEARCH_POOL,
        **asset_options(pair, "candidate_config", GROUP, unit="configuration"),
    )
    def candidate_config(context: dg.AssetExecutionContext, config: SearchConfig) -> Any:
        from forex_assets.optimization.search import candidate_frame, search

        now = utc_now().to_pydatetime()
        as_of = dt.date.fromisoformat(config.as_of) if config.as_of else newest_day(pipeline, pair.id)
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon in context.partition_keys:
                report = search(
                    pipeline,
                    pair.id,
                    horizon,
                    as_of=as_of,
                    now=now,
                    rules=config.rules,
                    engine=config.engine or None,
                    isolated=config.isolated,
                    progress=_progress(context),
                )
                frames[(horizon,)] = candidate_frame(pipeline, report)
                for name, text in candidate_metadata(pipeline, report).items():
                    say(context, horizon, name, text)
        describe_slices(context, context.asset_key, frames)
        return frames

    @dg.asset(
        name="validation_report",
        key_prefix=pair.id,
        partitions_def=by_horizon,
        deps=[[pair.id, "candidate_config"], dg.AssetDep([pair.id, "bars"], partition_mapping=ALL_DAYS)],
        output_required=False,
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "validation_report", GROUP, unit="criterion"),
    )
    def validation_report(context: dg.AssetExecutionContext, config: GateConfig) -> Iterator[Any]:
        from forex_assets.errors import DataError
        from forex_assets.optimization.gate import candidate_of, validate, validation_frame

        now = utc_now().to_pydatetime()
        frames: dict[tuple[str, ...], pd.DataFrame] = {}
        with readable_errors():
            for horizon in context.partition_keys:
                try:
                    version = candidate_of(pipeline, pair.id, horizon)
                except DataError as none_found:
                    context.log.info("%s", none_found)
                    continue
                report = validate(pipeline, version, as_of=version.data_cutoff, now=now, force=config.force)
                frames[(horizon,)] = validation_frame(pipeline, report, version.data_hash)
                say(context, horizon, "gate", gate_markdown(frames[(horizon,)]))
        if len(frames) == len(context.partition_keys):
            describe_slices(context, context.asset_key, frames)
            yield dg.Output(frames)
        elif frames:
            raise dg.Failure(
                description="Some horizons have a candidate and others have none; run each horizon by itself.",
                allow_retries=False,
            )

    return [trigger_report, candidate_config, validation_report]


def build_checks(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetChecksDefinition]:
    """Return one check per criterion of the gate: expected beside actual, every horizon's newest report."""
    key = dg.AssetKey([pair.id, "validation_report"])

    @dg.multi_asset_check(
        name=f"{pair.id}_gate_checks",
        specs=[dg.AssetCheckSpec(f"gate_{name}", asset=key, description=doc) for name, doc in CRITERIA.items()],
        can_subset=True,
    )
    def gate_checks(context: dg.AssetCheckExecutionContext) -> Any:
        keys = pipeline.store.keys(VALIDATION_REPORT, pair.id)
        rows = pipeline.store.read(VALIDATION_REPORT, pair.id, keys) if keys else VALIDATION_REPORT.empty()
        chosen = {check.name for check in context.selected_asset_check_keys}
        for name in CRITERIA:
            if f"gate_{name}" not in chosen:
                continue
            own = rows.loc[rows["criterion"] == name]
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=f"gate_{name}",
                passed=len(own) > 0 and bool((own["state"] == "met").all()),
                severity=dg.AssetCheckSeverity.WARN,
                description="no report holds this criterion" if own.empty else None,
                metadata={"expected and actual": dg.MetadataValue.md(criteria_markdown(own))},
            )

    return [gate_checks]


def build_sensors(pipeline: Pipeline, pair: PairSpec) -> list[dg.SensorDefinition]:
    """Return the sensors of the loop: findings → trigger, trigger → search, approval → deployment.

    Each tick looks at ledger and store anew; there is no cursor that could step over a decision.
    """
    names = list(pipeline.settings.horizons)

    @dg.sensor(
        name=f"{pair.id}_trigger",
        job_name=jobs.job_name(pair.id, jobs.TRIGGER),
        minimum_interval_seconds=60,
        description="Judges every horizon's trigger once new findings are stored.",
    )
    def trigger(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _result(*trigger_requests(pipeline, pair.id, names, context.instance))

    @dg.sensor(
        name=f"{pair.id}_optimize",
        job_name=search_job(pair.id),
        minimum_interval_seconds=60,
        description="Searches where the newest trigger asks for it, and has the candidate judged.",
    )
    def optimize(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _result(*search_requests(pipeline, pair.id, names, context.instance))

    @dg.sensor(
        name=f"{pair.id}_deploy",
        job_name=jobs.job_name(pair.id, jobs.DEPLOY),
        minimum_interval_seconds=60,
        description="Has what the gate approved deployed, as the policy of its risk class says.",
    )
    def deploy(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _result(*deployment_requests(pipeline, pair.id, names, context.instance))

    return [trigger, optimize, deploy]


Requests = tuple[list[dg.RunRequest], list[str]]


def _result(requests: list[dg.RunRequest], notes: list[str]) -> dg.SensorResult:
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SensorResult(skip_reason="; ".join(notes) or "nothing is asked for")


def trigger_requests(pipeline: Pipeline, pair_id: str, names: Sequence[str], instance: dg.DagsterInstance) -> Requests:
    """Return the run that judges every trigger when findings are newer than a decision, else why there is none."""
    job = jobs.job_name(pair_id, jobs.TRIGGER)
    newest = max((key[-1] for key in pipeline.store.keys(schemas.TABLES["findings"], pair_id)), default="")
    if not newest:
        return [], [f"no findings of {pair_id} are stored yet"]
    behind = [name for name in names if _day(_latest(pipeline, pair_id, name).trigger) < newest]
    if not behind:
        return [], [f"every trigger of {pair_id} has seen the findings of {newest}"]
    if in_progress(instance, job, pair=pair_id):
        return [], ["triggers are being judged"]
    over = attempts(instance, job, pair=pair_id, as_of=newest).over
    if over >= MAX_ATTEMPTS:
        return [], [f"{over} runs for the findings of {newest} failed"]
    tags = {**jobs.range_tags(names[0], names[-1]), "pair": pair_id, "as_of": newest}
    return [dg.RunRequest(run_key=f"{pair_id}-trigger-{newest}-{over}", tags=tags)], []


def search_requests(pipeline: Pipeline, pair_id: str, names: Sequence[str], instance: dg.DagsterInstance) -> Requests:
    """Return a search per horizon whose newest trigger asks for one and got none, and what else is to be said."""
    requests, notes = [], []
    job = search_job(pair_id)
    for name in names:
        tags = {"pair": pair_id, "horizon": name}
        ask = _latest(pipeline, pair_id, name).ask_search(_tried(instance, job, tags))
        if ask is None:
            continue
        if ask.note:
            notes.append(f"{name}: {ask.note}")
            continue
        trigger = ask.decision
        config = {"ops": {f"{pair_id}__candidate_config": {"config": {"rules": list(trigger.outcome["asking"])}}}}
        requests.append(
            dg.RunRequest(
                run_key=ask.key,
                partition_key=name,
                run_config=config,
                tags={**tags, "decision": trigger.id, "why": "; ".join(trigger.reasons)[:200]},
            )
        )
    return requests, notes


def deployment_requests(
    pipeline: Pipeline, pair_id: str, names: Sequence[str], instance: dg.DagsterInstance
) -> Requests:
    """Return a deployment per horizon whose newest candidate was approved and not acted on yet."""
    job = jobs.job_name(pair_id, jobs.DEPLOY)
    requests, notes = [], []
    for name in names:
        tags = {"pair": pair_id, "horizon": name}
        ask = _latest(pipeline, pair_id, name).ask_deployment(_tried(instance, job, tags))
        if ask is None:
            continue
        if ask.note:
            notes.append(f"{name}: {ask.note}")
            continue
        decision = ask.decision.id
        requests.append(dg.RunRequest(run_key=ask.key, partition_key=name, tags={**tags, "decision": decision}))
    return requests, notes


def _tried(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> Callable[[Entry], Attempts]:
    """Return how often a decision was acted on; a run of the horizon that is under way holds any other back."""

    def tried(decision: Entry) -> Attempts:
        own = attempts(instance, job, **tags, decision=decision.id)
        return Attempts(in_progress(instance, job, **tags), own.over)

    return tried


def build_schedule(pipeline: Pipeline, pair: PairSpec) -> dg.ScheduleDefinition:
    """Return the weekly look at every trigger (A02); searches follow by sensor where one asks."""
    names = list(pipeline.settings.horizons)
    crons = pipeline.settings.platform.schedules

    def weekly(context: dg.ScheduleEvaluationContext) -> Any:
        day = context.scheduled_execution_time.date()
        if not pipeline.snapshot_days(pair.id):
            return dg.SkipReason(f"No bars of {pair.id} are stored yet.")
        return dg.RunRequest(run_key=f"{pair.id}-{day}", tags=jobs.range_tags(names[0], names[-1]))

    return dg.ScheduleDefinition(
        name=f"{pair.id}_weekly_optimization",
        cron_schedule=crons.weekly_optimization,
        execution_timezone=crons.timezone,
        job_name=jobs.job_name(pair.id, jobs.TRIGGER),
        execution_fn=weekly,
        description="Judges every trigger once a week, also where nothing else did.",
        tags={"pair": pair.id},
    )


def search_job(pair_id: str) -> str:
    """Return the name of a pair's search job."""
    return jobs.job_name(pair_id, jobs.OPTIMIZE)


def _latest(pipeline: Pipeline, pair_id: str, horizon: str) -> Latest:
    subject = Subject.forecast(pair_id, horizon)
    return Latest(pipeline.lifecycle.ledger.entries(subject=subject, limit=_LOOK_BACK))


_LOOK_BACK = 40


def _day(entry: Entry | None) -> str:
    return entry.as_of.isoformat() if entry is not None and entry.as_of is not None else ""


# ---- what people read ---------------------------------------------------------------------------------------------


def _progress(context: dg.AssetExecutionContext) -> Any:
    def told(line: Any) -> None:
        if "warning" in line:
            context.log.warning("%s", line["warning"])
        elif line["done"] % 20 == 0 or line["done"] == line["total"]:
            context.log.info("%s of %s configurations", line["done"], line["total"])

    return told
