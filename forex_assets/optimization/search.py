"""One search of one horizon: in a child process with limits, with its fall-back, recorded in the ledger."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forex_assets import trials
from forex_assets.clock import target_dates
from forex_assets.deployment import raise_alert
from forex_assets.errors import DataError, ForexError
from forex_assets.forecasting.registry import ModelChoice, get_model
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.reports import CandidateReport, frame_of
from forex_assets.lifecycle.search.engines import Evaluate, Found, Problem, SearchStoppedError, Trial, run_engine
from forex_assets.lifecycle.search.objective import Evaluator, Objective, latency_of
from forex_assets.lifecycle.search.periods import Periods, lay_periods
from forex_assets.lifecycle.search.space import Space, key_of, space_of
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion, Quantity
from forex_assets.optimization.limits import with_fallback
from forex_assets.pipeline import Pipeline
from forex_assets.provenance import content_hash
from forex_assets.settings.optimization import SearchSettings

Line = Callable[[Mapping[str, Any]], None]
_UNITS = {
    "context_length": "observations",
    "window": "observations",
    "num_samples": "paths",
    "samples": "paths",
}


def search(
    pipeline: Pipeline,
    pair_id: str,
    horizon: str,
    *,
    as_of: dt.date,
    now: dt.datetime,
    rules: Sequence[str] = (),
    engine: str | None = None,
    isolated: bool = True,
    progress: Line = lambda line: None,
) -> CandidateReport:
    """Search for a configuration better than the one in use, and record it.

    Parameters
    ----------
    as_of:
        Snapshot the search works from; its gate period stays unseen.
    rules:
        Rules of the trigger that asked for it; ``hand`` for a person.
    engine:
        Another engine than the settings'.
    isolated:
        Whether it runs in a child process with limits of memory and time.
    progress:
        Called with plain values after every configuration.

    Raises
    ------
    ForexError
        When nothing could be searched; the failure is in the ledger.
    """
    subject = Subject.forecast(pair_id, horizon)
    settings = pipeline.settings.optimization.search
    engine = engine or settings.engine
    started = time.monotonic()
    job = {"pair": pair_id, "horizon": horizon, "as_of": as_of.isoformat(), "engine": engine, "trials": settings.trials}
    fallback = ""
    try:
        if isolated:
            result, fallback = with_fallback(pipeline, job, progress)
        else:
            result = run_job(pipeline, job, progress)
    except ForexError as error:
        _record(pipeline, subject, as_of, now, {"failed": True, "rules": list(rules), "engine": engine}, [str(error)])
        raise
    seconds = time.monotonic() - started
    report = _report(pipeline, subject, as_of, now, result, engine, fallback, seconds)
    outcome = {
        "failed": False,
        "rules": list(rules),
        "engine": engine,
        "candidate": report.candidate.hash if report.candidate else "",
        "model": report.candidate.model if report.candidate else "",
        "trials": report.trials,
        "failed_trials": report.failed_trials,
        "objective": report.objective,
        "incumbent_objective": report.incumbent_objective,
        "rmse": (result["winner"] or {}).get("rmse"),
        "incumbent_rmse": (result["incumbent"] or {}).get("rmse"),
        "seconds": round(seconds, 3),
        "peak_memory_mib": report.peak_memory_mib,
        "timed_out": report.timed_out,
        "fallback": fallback,
    }
    scored = [ModelChoice(row["model"], row["parameters"]) for row in result["table"] if not row["error"]]
    if scored:
        trials.record(pipeline.settings.home, pair_id, horizon, scored, *result["origins"], how="search")
    entry = _record(pipeline, subject, as_of, now, outcome, report.reasons)
    if report.candidate is not None:
        pipeline.lifecycle.versions.put(report.candidate)
    if seconds > settings.alert_s or report.timed_out:
        raise_alert(
            pipeline, subject, "search_slow", "medium", "Search was slow", [f"{seconds:.0f} s", *report.reasons], now
        )
    return replace(report, entry=entry)


def problem_of(pipeline: Pipeline, pair_id: str, horizon: str, as_of: dt.date, engine: str) -> tuple[Problem, Space]:
    """Return what is searched for a horizon from the snapshot of ``as_of``.

    Raises
    ------
    DataError
        When the history holds too few origins for search, selection and gate.
    """
    settings = pipeline.settings.optimization
    snapshot = pipeline.snapshot(pair_id, as_of)
    history = pipeline.history(pair_id, snapshot.bars)
    days_ahead = pipeline.settings.horizons[horizon]
    incumbent = incumbent_of(pipeline, pair_id, horizon, as_of)
    space = space_of(engine, horizon_days=days_ahead, models=settings.search.models)
    needed = max(get_model(name).capabilities.min_history for name in [*space.models, incumbent.model])
    if len(history) <= needed:
        raise DataError(
            f"{pair_id} has {len(history)} values, a search needs more than {needed}.",
            remedy="use a source with a longer history.",
        )
    periods = lay_periods(
        np.datetime64(as_of, "D"),
        first_day=history.event_date[needed],
        horizon_days=days_ahead,
        gate_days=settings.gate.period_days,
        selection_days=settings.search.selection_days,
        history_years=settings.search.history_years,
    )
    classic = engine != "adaptive"
    days = _days(history, periods, settings.search.origin_every_business_days, days_ahead if classic else None)
    enough = settings.search.min_origins if not classic else 1
    if len(days) < enough:
        raise DataError(
            f"The search of {pair_id} {horizon} has {len(days)} origins, {enough} are needed.",
            remedy="lower optimization.search.origin_every_business_days, or use a longer history.",
        )
    evaluator = Evaluator(
        history,
        horizon_days=days_ahead,
        days=days,
        # Outcomes of the gate's period do not exist for a search.
        as_of=np.datetime64(as_of, "D") if classic else periods.gate_start - np.timedelta64(1, "D"),
        max_age=pipeline.settings.platform.forecast.max_last_value_age_business_days,
        seed=settings.search.seed,
        cache=pipeline.settings.home / "cache" / "search",
        data_hash=snapshot.data_hash,
    )
    objective = Objective(settings.search.calibration_penalty, settings.search.latency_penalty_per_s)
    latency = {}
    if objective.latency_penalty_per_s and not classic:  # a daily forecast of this horizon, warm (A39)
        day, horizons = np.datetime64(as_of, "D"), {horizon: days_ahead}
        for name in {*space.models, incumbent.model}:
            latency[name] = latency_of(ModelChoice(name), history, day, horizons)
    rank = "rmse" if classic else "crps"
    return Problem(evaluator, periods, objective, incumbent, rank=rank, latency=latency), space


def incumbent_of(pipeline: Pipeline, pair_id: str, horizon: str, as_of: dt.date) -> ModelChoice:
    """Return the configuration in use at ``as_of`` as a model choice."""
    config = pipeline.active(pair_id, horizon, as_of)
    if config.deployed:
        return ModelChoice(config.deployed.model, config.deployed.parameters)
    return ModelChoice(config.model, config.parameters.get(config.model, {}))


def run_job(pipeline: Pipeline, job: Mapping[str, Any], progress: Line) -> dict[str, Any]:
    """Run one search here and return its result as plain values; what the child process does."""
    settings = pipeline.settings.optimization.search
    as_of = dt.date.fromisoformat(job["as_of"])
    problem, space = problem_of(pipeline, job["pair"], job["horizon"], as_of, job["engine"])
    started = time.monotonic()
    warned = False

    def deadline() -> None:
        nonlocal warned
        spent = time.monotonic() - started
        if spent > settings.stop_s:
            raise SearchStoppedError(f"The search of {job['pair']} {job['horizon']} took {spent:.0f} s.", ())
        if spent > settings.warn_s and not warned:
            warned = True
            progress({"warning": f"the search has taken {spent:.0f} s; it is stopped after {settings.stop_s:.0f} s"})

    def told(trial: Trial, done: int, total: int) -> None:
        progress({"done": done, "total": total, **trial.row()})

    name = content_hash({**job, "data": problem.evaluator.key(problem.incumbent), "space": space.hash})
    journal = pipeline.settings.home / "cache" / "search" / f"{name}.journal" if space.engine == "adaptive" else None
    if job.get("random"):
        space = Space("random-fallback", space.models)
    notes: list[str] = []

    def noted(text: str) -> None:
        notes.append(text)
        progress({"warning": text})

    with _evaluation(problem, settings, noted, deadline) as evaluate:
        found = run_engine(
            problem,
            space,
            trials=job["trials"],
            seed=settings.seed,
            finalists=settings.finalists,
            deadline=deadline,
            progress=told,
            journal=None if job.get("random") else journal,
            evaluate=evaluate,
            batch=settings.proposals_together,
            group=settings.dask.workers if evaluate else 1,
        )
    body = _plain(found, problem)
    return {**body, "reasons": [*body["reasons"], *notes]}


def candidate_frame(pipeline: Pipeline, report: CandidateReport) -> pd.DataFrame:
    """Return the row of ``candidate_config``."""
    data_hash = report.candidate.data_hash if report.candidate else content_hash({"entry": report.entry})
    config_hash = pipeline.settings.config_hash(report.subject.pair)
    return pipeline.stamp(frame_of(report), config_hash=config_hash, data_hash=data_hash)


@contextlib.contextmanager
def _evaluation(
    problem: Problem, settings: SearchSettings, told: Callable[[str], None], deadline: Callable[[], None]
) -> Iterator[Evaluate | None]:
    """Yield how a batch is evaluated elsewhere, or None when it is evaluated here; the results are the same."""
    if settings.distributed == "none":
        yield None
        return
    from forex_assets.optimization.distributed import dask_evaluation

    with dask_evaluation(
        problem, settings.dask, memory_mib=settings.memory_mib, told=told, deadline=deadline
    ) as evaluate:
        yield evaluate


# ---- results ---------------------------------------------------------------------------------------------------


def _plain(found: Found, problem: Problem) -> dict[str, Any]:
    best = found.winner or found.incumbent
    losses = problem.evaluator.losses(best.choice)
    keep = problem.periods.selection(losses.origins, losses.matured) if problem.rank == "crps" else None
    judged = problem.search_rows(losses) if keep is None else losses.rows(keep)
    error = judged.error
    metrics = {
        "validation_rmse": float(np.sqrt((error**2).mean())),
        "validation_mae": float(np.abs(error).mean()),
        "validation_mape": float(100.0 * np.abs(error / judged.actual).mean()),
        "crps": float(judged.crps.mean()),
        "coverage_95": float(judged.covered_95.mean()),
    }
    return {
        "winner": found.winner.row() if found.winner else None,
        "incumbent": found.incumbent.row(),
        "table": [trial.row() for trial in found.trials],
        "origins": [str(problem.evaluator.days[0]), str(problem.evaluator.days[-1])],
        "finalists": [key_of(trial.choice) for trial in found.finalists],
        "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        "reasons": list(found.reasons),
        "timed_out": False,
        "peak_memory_mib": _peak_memory_mib(),
    }


def _report(
    pipeline: Pipeline,
    subject: Subject,
    as_of: dt.date,
    now: dt.datetime,
    result: Mapping[str, Any],
    engine: str,
    fallback: str,
    seconds: float,
) -> CandidateReport:
    winner, incumbent = result["winner"], result["incumbent"]
    failed = [row for row in result["table"] if row["error"]]
    candidate = None
    if winner is not None:
        pointers = pipeline.lifecycle.of(subject)
        quote = pipeline.settings.pair(subject.pair).unit
        units = {"validation_rmse": quote, "validation_mae": quote, "validation_mape": "percent", "crps": "percent"}
        candidate = ConfigVersion(
            subject=subject,
            model=winner["model"],
            parameters={name: Quantity(value, _unit(name, value)) for name, value in winner["parameters"].items()},
            data_hash=pipeline.snapshot(subject.pair, as_of).data_hash,
            data_cutoff=as_of,
            code_version=pipeline.code_version,
            model_id=_model_id(winner),
            parents=(pointers.current or SETTINGS,),
            metrics={name: Quantity(value, units.get(name, "share")) for name, value in result["metrics"].items()},
            search={
                "engine": engine,
                "iterations": len(result["table"]),
                "seconds": round(seconds, 3),
                "seed": pipeline.settings.optimization.search.seed,
                "settings_hash": pipeline.settings.config_hash(subject.pair),
            },
            created_at=now,
            approver="policy:gate",
        )
    reasons = tuple(result["reasons"])
    if failed:
        reasons += (f"{len(failed)} of {len(result['table'])} configurations failed: {failed[0]['error']}",)
    return CandidateReport(
        subject=subject,
        as_of=as_of,
        engine=engine,
        candidate=candidate,
        reasons=reasons,
        trials=len(result["table"]),
        failed_trials=len(failed),
        objective=_number((winner or {}).get("objective")),
        incumbent_objective=_number((incumbent or {}).get("objective")),
        seconds=seconds,
        peak_memory_mib=_number(result["peak_memory_mib"]),
        timed_out=bool(result["timed_out"]),
        fallback=fallback,
        table=tuple(result["table"]),
    )


def _record(
    pipeline: Pipeline,
    subject: Subject,
    as_of: dt.date,
    now: dt.datetime,
    outcome: Mapping[str, Any],
    reasons: Sequence[str],
) -> str:
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in outcome.items()
    }
    decision = Decision(kind="search", subject=subject, outcome=plain, reasons=list(reasons), as_of=as_of)
    return pipeline.lifecycle.ledger.append(decision, now=now).id


def _days(history: Any, periods: Periods, every: int, classic_horizon: int | None) -> Any:
    if classic_horizon is None:
        return history.calendar.sessions(periods.search_start, periods.gate_start - np.timedelta64(1, "D"))[::every]
    # One origin a day whose target lies in the last 30 days, A10; a value may be known a few days before its date.
    last = periods.end
    days = history.calendar.sessions(last - np.timedelta64(classic_horizon + 50, "D"), last)
    targets = target_dates(days, classic_horizon, history.calendar)
    return days[(targets > last - np.timedelta64(30, "D")) & (targets <= last + np.timedelta64(10, "D"))]


def _unit(name: str, value: Any) -> str:
    return "name" if isinstance(value, str) else _UNITS.get(name, "1")


def _model_id(winner: Mapping[str, Any]) -> str:
    checkpoint = winner["parameters"].get("checkpoint")
    return f"{winner['model']}:{checkpoint}" if checkpoint else str(winner["model"])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _peak_memory_mib() -> float:
    # Not getrusage: a child counts what its parent held when it was started.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return float(status["VmHWM"].split()[0]) / 1024.0
