"""The main job of ``forex run``: the whole graph of some pairs, run by run through Dagster, with progress."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import numpy as np

from forex_assets import schemas
from forex_assets.defs import jobs, panel
from forex_assets.defs.build import build_definitions
from forex_assets.defs.completed import fingerprint, is_current, remember
from forex_assets.defs.partitions import partition_key
from forex_assets.defs.run_log import usage, usage_tags
from forex_assets.errors import DataError, ForexError
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.planning import contiguous, forecast_days, last_business_day
from forex_assets.pooled import fits as pooled_fits
from forex_assets.pooled import prices as pooled_prices
from forex_assets.pooled import stored as pooled_stored
from forex_assets.settings import Settings
from forex_assets.summary import source_summary, why_not

Progress = Callable[["Step"], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One Dagster run about to start: which pair, which job, how many partitions."""

    pair: str
    family: str
    label: str
    partitions: int
    index: int
    total: int


@dataclass
class PairOutcome:
    """What happened to one pair."""

    pair: str
    as_of: dt.date | None = None
    runs: int = 0
    partitions: int = 0
    error: ForexError | None = None
    notes: list[str] = field(default_factory=list)
    missing_source: bool = False
    reused: bool = False


STEPS_PER_PAIR = 14


class Runner:
    """Executes jobs in this process on the given instance."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, *, log_level: str = "CRITICAL") -> None:
        self.settings = settings
        self.instance = instance
        self.pipeline = Pipeline(settings)
        self.repository = build_definitions(settings, self.pipeline)
        self.log_level = log_level

    def execute(
        self,
        job: str,
        *,
        first: str | None = None,
        last: str | None = None,
        config: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> int:
        """Run one job and return how many partitions or assets it materialised.

        Raises
        ------
        ForexError
            When a step fails; carries the step's own message and remedy.
        """
        definition = self.repository.resolve_job_def(job)
        _, cpu_before = usage()
        # Dagster keeps the list of partitions of one instant only; days begin at whole quarters of an hour everywhere.
        with dg.partition_loading_context(effective_dt=utc_now().floor("15min").to_pydatetime()):
            result = definition.execute_in_process(
                instance=self.instance,
                tags={**(jobs.range_tags(first, last) if first and last else {}), **(tags or {})},
                run_config={"loggers": {"console": {"config": {"log_level": self.log_level}}}, **(config or {})},
                raise_on_error=False,
            )
        self.instance.add_run_tags(result.run_id, usage_tags(cpu_before))
        if not result.success:
            raise _failure(job, result)
        return len([event for event in result.all_events if event.is_step_materialization])


def _failure(job: str, result: dg.ExecuteInProcessResult) -> ForexError:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            metadata = data.user_failure_data.metadata if data.user_failure_data else {}
            if "what" in metadata and "remedy" in metadata:
                return DataError(str(metadata["what"].value), remedy=str(metadata["remedy"].value))
            error = data.error
            cause = error.cause if error and error.cause else error
            text = (cause.message if cause else event.message or "unknown failure").strip()
            return DataError(
                f"Step {event.step_key} of {job} failed: {text}", remedy="see the run in the Dagster UI (`make ui`)."
            )
    return DataError(f"Run of {job} failed before any step.", remedy="see the run in the Dagster UI (`make ui`).")


def run_pair(
    runner: Runner,
    pair_id: str,
    *,
    as_of: dt.date | None,
    days: int,
    progress: Progress | None = None,
    force: bool = False,
) -> PairOutcome:
    """Run the whole graph of one pair up to ``as_of`` and report; a failure is carried, not raised."""
    outcome = PairOutcome(pair_id, as_of=as_of)
    try:
        _run_pair(runner, outcome, days, progress, force)
    except ForexError as error:
        outcome.error = error
    return outcome


def _run_pair(runner: Runner, outcome: PairOutcome, days: int, progress: Progress | None, force: bool) -> None:
    pipeline, settings = runner.pipeline, runner.settings
    pair = settings.pair(outcome.pair)
    calendar = pipeline.calendar(pair.id)
    names = list(settings.horizons)
    limit = settings.platform.forecast.max_last_value_age_business_days
    if outcome.as_of is not None:
        asked, outcome.as_of = outcome.as_of, last_business_day(outcome.as_of, calendar)
        if outcome.as_of != asked:
            outcome.notes.append(f"{asked} is no business day of {pair.id}; {outcome.as_of}, the last one, is used.")
        for value in settings.horizons.values():
            forecast_days(outcome.as_of, value, days, calendar, pair.history_start)
    index = 0

    def go(family: str, label: str, count: int, **options: Any) -> None:
        nonlocal index
        index += 1
        if progress:
            progress(Step(pair.id, family, label, count, index, STEPS_PER_PAIR))
        tags = {"pair": pair.id, "family": family, **options.pop("tags", {})}
        outcome.partitions += runner.execute(jobs.job_name(pair.id, family), tags=tags, **options)
        outcome.runs += 1

    go(jobs.INGEST, "market data: asking the sources", 3)
    if not (pipeline.observations(pair.id)["series"] == pair.target.series).any():
        outcome.missing_source = True
        why = "; ".join(
            why_not(entry) for entry in source_summary(pipeline, pair.id) if entry["series"] == pair.target.series
        )
        raise DataError(
            f"No source has the target series {pair.target.series} of {pair.id} ({why}).",
            remedy="set FOREX_DATA_DIR to a folder that has it, or configure a live provider (docs/data-sources.md).",
        )
    newest = pipeline.default_as_of(pair.id, now=utc_now())
    if outcome.as_of is None:
        outcome.as_of = newest
    as_of = outcome.as_of
    latest = calendar.add(np.array([newest], dtype="datetime64[D]"), limit)[0].item()
    if as_of > latest:
        raise DataError(
            f"As-of {as_of} is more than {limit} business days after the newest value of {pair.id}, of {newest}.",
            remedy=f"choose a day up to {latest}, or fetch newer data (a live provider, FOREX_DATA_DIR).",
        )
    spans = {
        name: forecast_days(as_of, value, days, calendar, pair.history_start)
        for name, value in settings.horizons.items()
    }
    first = min(span.first for span in spans.values()).isoformat()
    last = max(span.last for span in spans.values()).isoformat()
    config = {"as_of": last}

    def as_of_config(*ops: str) -> dict[str, Any]:
        return {"ops": {f"{pair.id}__{op}": {"config": config} for op in ops}}

    mark = fingerprint(pipeline, pair.id, as_of, days)
    if not force and is_current(pipeline, pair.id, mark):
        outcome.reused = True
        outcome.notes.append(
            "nothing new since the last run: all of it is up to date and was reused (--force redoes it)."
        )
        return
    longest = max(spans.values(), key=lambda span: span.count)
    go(jobs.OBSERVE, "active configuration", len(names))
    go(jobs.SNAPSHOT, f"snapshots {first} … {last}", 2 * longest.count, first=first, last=last)
    go(
        jobs.BACKTEST,
        "backtest and width factors",
        2 * len(names),
        first=names[0],
        last=names[-1],
        config=as_of_config("backtest"),
    )
    for name, span in spans.items():
        go(
            jobs.FORECAST,
            f"forecasts {name}",
            span.count,
            first=partition_key((name, span.first.isoformat())),
            last=partition_key((name, span.last.isoformat())),
            tags={"horizon": name},
        )
    for name, span in spans.items():
        forecast_keys = [key for key in pipeline.store.keys(schemas.FORECAST, pair.id) if key[0] == name]
        made = [dt.date.fromisoformat(key[1]) for key in forecast_keys if span.first.isoformat() <= key[1] <= last]
        ready, withheld = pipeline.evaluable(pair.id, name, made, as_of=as_of)
        ranges = contiguous(ready[-days:], calendar)
        outcome.notes += [f"{name}: the forecast of {day} is withheld ({why})." for day, why in withheld.items()]
        if not ranges:
            outcome.notes.append(f"{name}: no forecast has matured by {as_of}.")
        for part in ranges:
            go(
                jobs.EVALUATION,
                f"evaluations {name}",
                part.count,
                first=partition_key((name, part.first.isoformat())),
                last=partition_key((name, part.last.isoformat())),
                config=as_of_config("evaluation"),
                tags={"horizon": name},
            )
    go(
        jobs.PERFORMANCE,
        "scores",
        len(names),
        first=names[0],
        last=names[-1],
        config=as_of_config("performance_report", "evidence"),
    )
    go(jobs.MONITORING, "monitors", 2, first=last, last=last)
    go(jobs.REPORT, "desk report", 1, first=last, last=last)
    remember(pipeline, pair.id, mark, first, last)


def run_panel(runner: Runner, as_of: dt.date | None, progress: Progress | None = None) -> str | None:
    """Refresh the panel's prices and lay down the month's pooled fits where they are due; return a note on failure.

    Fits the package does not ship are never learned here, where someone waits, but by the job of the month.
    """
    now = utc_now()
    if not pooled_prices.is_due(runner.pipeline, now):
        return None
    if progress:
        progress(Step("panel", "panel", "panel: prices of all pairs, pooled fits", 2, 1, 1))
    month = min(np.datetime64(as_of or now.date(), "M"), pooled_fits.shipped_through().astype("datetime64[M]"))
    try:
        runner.execute(panel.PRICES_JOB)
        runner.execute(panel.JOB, tags={"dagster/partition": pooled_stored.month_key(month)})
    except ForexError as error:
        return f"the panel was not refreshed ({error.message}); the pooled fits there are serve."
    return None


def release_memory() -> None:
    """Hand freed memory back to the system: what one pair's backtest took must not add up over the pairs."""
    import ctypes
    import gc

    import pyarrow as pa

    gc.collect()
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def run_pairs(
    settings: Settings,
    pair_ids: Sequence[str],
    *,
    as_of: dt.date | None,
    days: int,
    progress: Progress | None = None,
    log_level: str = "CRITICAL",
    force: bool = False,
) -> list[PairOutcome]:
    """Run the whole graph of several pairs, then publish the warehouse.

    A pair whose last complete run had the same inputs is left as it is, unless ``force`` is set.
    """
    logging.getLogger("dagster").setLevel(log_level)
    with dg.DagsterInstance.get() as instance:
        runner = Runner(settings, instance, log_level=log_level)
        # Temporary files of a writer that was killed; a living one is younger than this.
        runner.pipeline.store.sweep(older_than=dt.timedelta(hours=1), now=utc_now().to_pydatetime())
        outcomes = []
        # What the steps of this run ask for is asked for now, together; each takes its own when its turn comes.
        with runner.pipeline.data.asking_together(pair_ids, now=utc_now()):
            note = run_panel(runner, as_of, progress)
            for pair_id in pair_ids:
                outcomes.append(run_pair(runner, pair_id, as_of=as_of, days=days, progress=progress, force=force))
                runner.pipeline.memory.forget()
                release_memory()
        if note:
            for outcome in outcomes:
                outcome.notes.append(note)
        published = (settings.home / "warehouse.duckdb").exists()
        if any(outcome.error is None and not (outcome.reused and published) for outcome in outcomes):
            if progress:
                progress(Step("all", "warehouse", "warehouse", 1, 1, 1))
            runner.execute(f"{jobs.WAREHOUSE_JOB}_job")
        return outcomes
