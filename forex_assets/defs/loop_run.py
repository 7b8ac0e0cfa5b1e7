"""``forex optimize run``: trigger, search, gate and deployment of some horizons, run by run through Dagster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from forex_assets.defs import jobs
from forex_assets.defs.run import Runner
from forex_assets.errors import ForexError
from forex_assets.home import dagster_home
from forex_assets.lifecycle.subject import Subject
from forex_assets.settings import Settings

Told = Callable[[str], None]


@dataclass
class LoopOutcome:
    """What one horizon went through, step by step; ``error`` when a step failed."""

    horizon: str
    result: str = ""
    triggered: bool | None = None
    candidate: str = ""
    approved: bool | None = None
    deployed: str = ""
    reasons: list[str] = field(default_factory=list)
    entries: dict[str, str] = field(default_factory=dict)
    error: ForexError | None = None


def run_loop(
    settings: Settings,
    pair_id: str,
    horizons: Sequence[str],
    *,
    force: bool = False,
    dry_run: bool = False,
    engine: str = "",
    isolated: bool = True,
    told: Told = lambda text: None,
) -> list[LoopOutcome]:
    """Go through the loop for each horizon (A23); a horizon that fails does not stop the others.

    Parameters
    ----------
    force:
        Search even where no rule asks, and let the classic engines' candidates through, which were ranked on days of
        the gate's own period; the ledger says that a person did, and such a promotion is of high risk.
    dry_run:
        Judge the triggers and stop there.
    """
    import os

    os.environ.setdefault("DAGSTER_HOME", str(dagster_home(settings)))
    with dg.DagsterInstance.get() as instance:
        runner = Runner(settings, instance)
        told("judging the triggers")
        outcomes = [LoopOutcome(horizon) for horizon in horizons]
        for outcome in outcomes:
            try:
                _one(runner, pair_id, outcome, force, dry_run, engine, isolated, told)
            except ForexError as error:
                outcome.error = error
                outcome.result = "failed"
                outcome.reasons = [str(error)]
        return outcomes


def _one(
    runner: Runner,
    pair_id: str,
    outcome: LoopOutcome,
    force: bool,
    dry_run: bool,
    engine: str,
    isolated: bool,
    told: Told,
) -> None:
    name = outcome.horizon
    subject = Subject.forecast(pair_id, name)

    def newest(kind: str) -> Any:
        return next(iter(runner.pipeline.lifecycle.ledger.entries(subject=subject, kinds=(kind,), limit=1)), None)

    runner.execute(jobs.job_name(pair_id, jobs.TRIGGER), first=name, last=name)
    trigger = newest("trigger")
    outcome.triggered = bool(trigger.outcome["should_optimize"])
    outcome.reasons, outcome.entries["trigger"] = list(trigger.reasons), trigger.id
    if dry_run or not (outcome.triggered or force):
        outcome.result = "would search" if outcome.triggered else "not triggered"
        return
    told(f"searching {pair_id} {name}")
    rules = list(trigger.outcome["asking"]) if outcome.triggered else ["hand"]
    op = {"config": {"rules": rules, "engine": engine, "isolated": isolated}}
    gate = {"config": {"force": force}}
    config = {"ops": {f"{pair_id}__candidate_config": op, f"{pair_id}__validation_report": gate}}
    tags = {"pair": pair_id, "horizon": name}
    runner.execute(jobs.job_name(pair_id, jobs.OPTIMIZE), first=name, last=name, config=config, tags=tags)
    search = newest("search")
    outcome.candidate, outcome.entries["search"] = search.outcome["candidate"], search.id
    outcome.reasons = list(search.reasons)
    if not outcome.candidate:
        outcome.result = "nothing better found"
        return
    gate = newest("gate")
    outcome.approved, outcome.entries["gate"] = bool(gate.outcome["approved"]), gate.id
    outcome.reasons = list(gate.reasons)
    if not outcome.approved:
        outcome.result = "not approved"
        return
    told(f"deploying {pair_id} {name}")
    runner.execute(jobs.job_name(pair_id, jobs.DEPLOY), first=name, last=name, tags=tags)
    pointers = runner.pipeline.lifecycle.of(subject)
    outcome.deployed = pointers.current
    outcome.result = "deployed" if pointers.current == outcome.candidate else "staged"
