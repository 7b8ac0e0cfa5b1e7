"""From store and settings to the life cycle's operations on a pair, without Dagster: deploy, watch, and what is shown.

The assets in :mod:`forex_assets.defs.deployment` and the ``forex optimize`` commands call the same functions.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.clock import AsOf
from forex_assets.errors import DataError, ForexError
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.lifecycle.guards import GuardFacts, collect_facts, decide_guards
from forex_assets.lifecycle.health import Health, Losses, step
from forex_assets.lifecycle.probation import judge_canary
from forex_assets.lifecycle.promotion import AUTOMATION, Deployer, Move, Proposal
from forex_assets.lifecycle.reports import CandidateReport, ValidationReport
from forex_assets.lifecycle.sinks import Sinks, Told, smtp_credentials
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion
from forex_assets.ops.alerts import Alert, Outbox
from forex_assets.pipeline import Pipeline, choices_of, day_key
from forex_assets.provenance import content_hash
from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG, VALIDATION_REPORT

READINESS_LEVELS = ("NOT_READY", "CAUTIOUS", "READY", "OPTIMAL")
READINESS_MAX_AGE_DAYS = 7


@dataclass(frozen=True)
class Deployment:
    """What a deployment did: one move per horizon, and what became of the notes about it (A20)."""

    moves: tuple[Move, ...]
    told: tuple[Told, ...]
    guards: Mapping[str, Any]

    @property
    def refused(self) -> tuple[Move, ...]:
        """The moves that were refused."""
        return tuple(move for move in self.moves if move.action == "refused")


def deployer_of(pipeline: Pipeline) -> Deployer:
    """Return the deployer of a pipeline's home."""
    return Deployer(pipeline.lifecycle, pipeline.settings.deployment)


def sinks_of(pipeline: Pipeline, environ: Mapping[str, str] = os.environ) -> Sinks:
    """Return the sinks of a pipeline's home; the first configured pair has its classic files in the folder itself."""
    settings = pipeline.settings
    return Sinks(
        settings.home,
        settings.deployment.sinks,
        main_pair=next(iter(settings.pairs)),
        credentials=lambda: smtp_credentials(environ),
    )


# ---- deploying --------------------------------------------------------------------------------------------------


def proposal_of(pipeline: Pipeline, pair_id: str, horizon: str) -> Proposal:
    """Return the newest candidate of a horizon with the gate's judgement, both read from the store, and checks.

    Raises
    ------
    DataError
        When no candidate was found, or none was validated.
    StoreError
        When a slice cannot be read or was judged bad.
    """
    key = (horizon,)
    for table in (CANDIDATE_CONFIG, VALIDATION_REPORT):
        if not pipeline.store.exists(table, pair_id, key):
            raise DataError(
                f"{pair_id} {horizon} has no {table.name}; there is nothing to deploy.",
                remedy=f"run `forex optimize run --pair {pair_id} --horizon {horizon}` first.",
            )
    candidate = CandidateReport.from_frame(pipeline.store.read(CANDIDATE_CONFIG, pair_id, [key]))
    report = ValidationReport.from_frame(pipeline.store.read(VALIDATION_REPORT, pair_id, [key]))
    if candidate.candidate is None:
        raise DataError(
            f"The search of {pair_id} {horizon} found no candidate: {'; '.join(candidate.reasons)}.",
            remedy="there is nothing to deploy; see `forex optimize history`.",
        )
    subject = Subject.forecast(pair_id, horizon)
    return Proposal(
        candidate.candidate,
        report,
        checks=_checks(pipeline, subject, candidate.candidate, report),
        shadow=shadow_evidence(pipeline, subject, candidate.candidate),
    )


def _checks(
    pipeline: Pipeline, subject: Subject, version: ConfigVersion, report: ValidationReport
) -> dict[str, bool | None]:
    """Return what is looked at again before anything is deployed, by name: passed, failed, or None for unknown."""
    states = {"good": True, "bad": False, "unknown": None}
    checks: dict[str, bool | None] = {
        f"verdict of {table.name}": states[pipeline.store.info(table, subject.pair, (subject.horizon,)).verdict.state]
        for table in (CANDIDATE_CONFIG, VALIDATION_REPORT)
    }
    checks["candidate and report are about this subject"] = version.subject == report.subject == subject
    checks["candidate was tuned on data of its time"] = version.data_cutoff <= report.as_of
    checks["the ledger is intact"] = pipeline.lifecycle.is_intact()
    checks["the model takes the parameters"] = _runs(version)
    return checks


def _runs(version: ConfigVersion) -> bool:
    from forex_assets.forecasting.registry import ModelChoice, choices

    try:
        choices([ModelChoice(version.model, version.parameter_values, version.label)])
    except ForexError:
        return False
    return True


def guard_facts(
    pipeline: Pipeline,
    pair_id: str,
    models: Sequence[str],
    *,
    horizons: Sequence[str],
    now: dt.datetime,
    running_forecasts: int | None,
    dry_run: bool = False,
) -> GuardFacts:
    """Return what the guards look at, for a pair's horizons and the models to be promoted."""
    settings = pipeline.settings
    return collect_facts(
        settings.home,
        settings.deployment.guards,
        now=now,
        dry_run=dry_run or settings.dry_run,
        running_forecasts=running_forecasts,
        readiness=readiness_level(pipeline, pair_id, horizons),
        models=models,
    )


def readiness_level(pipeline: Pipeline, pair_id: str, horizons: Sequence[str]) -> str | None:
    """Return the lowest readiness level of some horizons on the newest day judged; None when it is not known.

    It is not known when nothing was judged, a horizon is missing, or the newest data are a week younger.
    """
    table = schemas.TABLES.get("readiness")
    keys = pipeline.store.keys(table, pair_id) if table else []
    if table is None or not keys:
        return None
    newest, days = max(keys), pipeline.snapshot_days(pair_id)
    if days and (days[-1] - dt.date.fromisoformat(newest[-1])).days > READINESS_MAX_AGE_DAYS:
        return None
    rows = pipeline.store.read(table, pair_id, [newest])
    rows = rows.loc[(rows["profile"] == "recommended") & rows["horizon"].isin(horizons)]
    levels = set(rows["level"])
    if set(rows["horizon"]) != set(horizons) or not levels <= set(READINESS_LEVELS):
        return None
    return next(level for level in READINESS_LEVELS if level in levels)


def deploy(
    pipeline: Pipeline,
    pair_id: str,
    horizons: Sequence[str],
    *,
    now: dt.datetime,
    running_forecasts: int | None,
    dry_run: bool = False,
    force: bool = False,
    actor: str = AUTOMATION,
) -> Deployment:
    """Promote, stage or refuse the newest validated candidates of some horizons, and tell the sinks.

    Raises
    ------
    DataError
        When a horizon has no candidate, or none that was validated.
    """
    deployer = deployer_of(pipeline)
    proposals = [proposal_of(pipeline, pair_id, horizon) for horizon in horizons]
    facts = guard_facts(
        pipeline,
        pair_id,
        [item.version.model for item in proposals],
        horizons=horizons,
        now=now,
        running_forecasts=running_forecasts,
        dry_run=dry_run,
    )
    moves = deployer.propose(
        proposals, facts, as_of=newest_day(pipeline, pair_id, now), now=now, actor=actor, force=force
    )
    told = sinks_of(pipeline).tell(proposals[0].version.subject.scope, now=now)
    warn_of_sinks(pipeline, told, now)
    for move in moves:
        if move.action == "refused" and not facts.dry_run:
            raise_alert(pipeline, move.subject, "deployment", "high", "Deployment refused", move.reasons, now)
    judged = decide_guards(facts.as_dict(), pipeline.settings.deployment.guards.model_dump(mode="json"))
    return Deployment(tuple(moves), tuple(told), judged)


def newest_day(pipeline: Pipeline, pair_id: str, now: dt.datetime | None = None) -> dt.date:
    """Return the newest day with data: later days' forecasts use what is deployed now.

    Nothing is read but names, so that a rollback works whatever state the data are in.

    Parameters
    ----------
    now:
        Gives the day (today in Santiago) where there are no data at all; None: that is refused.

    Raises
    ------
    DataError
        When there are no data and ``now`` is None.
    """
    days = pipeline.snapshot_days(pair_id)
    if days:
        return days[-1]
    if now is None:
        raise DataError(f"No bars of {pair_id} are stored.", remedy=f"run `forex run --pair {pair_id}` first.")
    return AsOf(now).date


# ---- watching ---------------------------------------------------------------------------------------------------


def watch(pipeline: Pipeline, pair_id: str, horizon: str, *, now: dt.datetime) -> Health:
    """Watch the version of a horizon once; see :func:`forex_assets.lifecycle.health.step`."""
    subject = Subject.forecast(pair_id, horizon)
    deployer = deployer_of(pipeline)
    facts = guard_facts(pipeline, pair_id, (), horizons=[horizon], now=now, running_forecasts=0)
    health = step(
        deployer,
        subject,
        canary=lambda: canary(pipeline, subject),
        losses=lambda: losses(pipeline, subject),
        now=now,
        as_of=newest_day(pipeline, pair_id, now),
        kill_file=None if facts.kill_files is None else bool(facts.kill_files),
    )
    if health.phase == "rolled_back" and health.acted:
        raise_alert(pipeline, subject, "rollback", "high", "Rollback executed", health.reasons, now, event=health.entry)
    elif health.watch.reasons and health.watch.reasons[0].startswith("overdue"):
        raise_alert(pipeline, subject, "probation", "medium", "Probation overdue", health.reasons, now)
    if halted := deployer.halted(deployer.store.state(subject.scope), now):
        raise_alert(pipeline, subject, "halted", "critical", "Automation halted", [halted], now)
    warn_of_sinks(pipeline, sinks_of(pipeline).tell(subject.scope, now=now), now)
    return health


def canary(pipeline: Pipeline, subject: Subject) -> dict[str, Any]:
    """Make a trial forecast from the newest day with the version in use, judge it, and keep nothing."""
    from forex_assets.forecasting.forecast import make_forecast

    policy = pipeline.settings.deployment.probation.technical.model_dump(mode="json")
    config = pipeline.active(subject.pair, subject.horizon)
    facts: dict[str, Any] = {"problem": "", "damage": list(config.notes)}
    chosen = [choice for choice in choices_of(config) if choice.name in (config.model, "random_walk")]
    started = time.perf_counter()
    try:
        snapshot = pipeline.snapshot(subject.pair)
        frame = make_forecast(
            pipeline.history(subject.pair, snapshot.bars),
            np.array([snapshot.as_of], dtype="datetime64[D]"),
            horizon_days=pipeline.settings.horizons[subject.horizon],
            models=chosen,
            active_model=config.model,
            calibration=pipeline.calibration_of(config),
            max_age=pipeline.settings.platform.forecast.max_last_value_age_business_days,
            seed=pipeline.settings.platform.forecast.seed,
        )
    except ForexError as error:
        return judge_canary({**facts, "problem": str(error)}, policy)
    last = frame.loc[frame["is_target"]].set_index("model")
    row, walk = last.loc[config.model], last.loc["random_walk"]
    quantiles = frame.loc[frame["model"] == config.model, list(QUANTILE_COLUMNS)].to_numpy(dtype=float)
    facts |= {
        "finite": bool(np.isfinite(quantiles).all()),
        "monotone": bool((np.diff(quantiles, axis=1) >= 0).all()),
        "seconds": time.perf_counter() - started,
        "last_value": float(row["last_value"]),
        "median": float(row["q500"]),
        "width": float(row["q975"] - row["q025"]),
        "reference_width": float(walk["q975"] - walk["q025"]),
    }
    return judge_canary(facts, policy)


def losses(pipeline: Pipeline, subject: Subject) -> Losses:
    """Return the CRPS of the version in use and of the one before it, on the targets both forecast.

    Raises
    ------
    DataError
        When the version before cannot be read.
    """
    from forex_assets.optimization.probation import choice_of, is_pooled, panel_losses

    pointers = pipeline.lifecycle.of(subject)
    names = (pointers.current, pointers.previous or SETTINGS)
    since = pointers.history[-1].valid_from
    own = paired_losses(pipeline, subject, *(_label(pipeline, subject, name) for name in names), since=since)
    days = pipeline.snapshot_days(subject.pair)
    if not days or not is_pooled(pipeline, subject):
        return own
    both = [choice_of(pipeline, subject, name) for name in names]
    rows, overlap = panel_losses(pipeline, subject, *both, since=since, through=days[-1])
    return replace(own, panel=rows, panel_overlap=overlap)


def shadow_evidence(pipeline: Pipeline, subject: Subject, version: ConfigVersion) -> dict[str, float] | None:
    """Return what a staged version showed in shadow beside the current one, or None when it did not run."""
    from forex_assets.lifecycle.probation import decide_statistical

    pointers = pipeline.lifecycle.of(subject)
    if pointers.staged != version.hash:
        return None
    current = _label(pipeline, subject, pointers.current)
    found = paired_losses(pipeline, subject, version.label, current, since=version.data_cutoff)
    policy = pipeline.settings.deployment.probation.statistical.model_dump(mode="json")
    known = {"losses": found.rows, "overlap": found.overlap, "maturity_days": found.maturity_days, "days": 0}
    outcome = decide_statistical(known, policy)
    days = (pd.Timestamp(found.rows[-1][0]) - pd.Timestamp(found.rows[0][0])).days if found.rows else 0
    return {"targets": len(found.rows), "days": days, "evidence_worse": outcome["evidence_worse"]}


def paired_losses(pipeline: Pipeline, subject: Subject, new: str, old: str, *, since: dt.date) -> Losses:
    """Return how two models' live forecasts did on the same matured targets, from an as_of day on."""
    days = pipeline.settings.horizons[subject.horizon]
    first = day_key(since)
    keys = [
        key
        for key in pipeline.store.keys(schemas.EVALUATION, subject.pair)
        if key[0] == subject.horizon and key[1] >= first
    ]
    if not keys:
        return Losses([], 1, days)
    frame = pipeline.store.read(schemas.EVALUATION, subject.pair, keys)
    both = [frame.loc[frame["model"] == name].set_index("as_of")[["crps", "covered_95"]] for name in (new, old)]
    wide = both[0].join(both[1], how="inner", lsuffix="_new", rsuffix="_old").sort_index()
    if wide.empty:
        return Losses([], 1, days)
    targets = frame.drop_duplicates("as_of").set_index("as_of")["target_date"].reindex(wide.index)
    made = wide.index.to_numpy()
    ends = np.searchsorted(made, targets.to_numpy(), side="left")
    overlap = int((ends - np.arange(len(made))).max()) if len(made) else 1
    rows = [
        [pd.Timestamp(str(day)).date().isoformat(), float(a), float(b), not c, not d]
        for day, a, b, c, d in zip(
            made,
            *(wide[name] for name in ("crps_new", "crps_old", "covered_95_new", "covered_95_old")),
            strict=True,
        )
    ]
    return Losses(rows, max(overlap, 1), days)


def _label(pipeline: Pipeline, subject: Subject, name: str) -> str:
    if name == SETTINGS:
        return pipeline.settings.active_model(subject.pair)
    return pipeline.lifecycle.versions.get(name).label


# ---- telling ----------------------------------------------------------------------------------------------------


def raise_alert(
    pipeline: Pipeline,
    subject: Subject,
    kind: str,
    severity: str,
    title: str,
    reasons: Sequence[str],
    now: dt.datetime,
    *,
    event: str = "",
) -> None:
    """Put an alert about a subject into the outbox (A26).

    Its key is the fault, so that a lasting one is one alert; ``event`` tells faults of one kind apart.
    """
    Outbox.from_settings(pipeline.settings).append(
        Alert(
            kind=kind,
            severity=severity,
            pair=subject.owner,
            title=f"{title}: {subject}",
            body="; ".join(reasons),
            key=":".join(filter(None, [kind, subject.key, event])),
            created_at=now,
        )
    )


def warn_of_sinks(pipeline: Pipeline, told: Sequence[Told], now: dt.datetime) -> None:
    """Put an alert into the outbox for every sink that failed; it is tried again."""
    for item in told:
        if item.state == "failed":
            raise_alert(
                pipeline, item.subject, f"sink_{item.sink}", "medium", f"Sink {item.sink} failed", [item.detail], now
            )


# ---- rows -------------------------------------------------------------------------------------------------------


def deployed_rows(pipeline: Pipeline, deployment: Deployment, as_of: dt.date) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the rows of ``deployed_config``, by horizon."""
    out: dict[tuple[str, ...], pd.DataFrame] = {}
    for move in deployment.moves:
        state = pipeline.lifecycle.state(move.subject.scope)
        pointers = state.of(move.subject)
        version = pipeline.lifecycle.versions.find(move.version)
        before = (
            pipeline.lifecycle.versions.find(pointers.previous) if pointers.previous not in (None, SETTINGS) else None
        )
        row = {
            "subject": move.subject.key,
            "as_of": pd.Timestamp(as_of).as_unit("ns"),
            "version": pointers.current,
            "previous": pointers.previous or "",
            "last_known_good": pointers.last_known_good,
            "staged": pointers.staged or "",
            "generation": state.generation,
            "valid_from": pd.Timestamp(pointers.history[-1].valid_from).as_unit("ns") if pointers.history else pd.NaT,
            "action": move.action,
            "policy": move.policy,
            "risk_class": move.risk_class,
            "changes": "\n".join(version.diff(before)) if version else "",
            "sinks": json.dumps({item.sink: item.state for item in deployment.told}, sort_keys=True),
            "reasons": "\n".join(move.reasons),
            "entry": move.entry,
        }
        out[(move.subject.horizon,)] = _stamped(pipeline, move.subject, pd.DataFrame([row]), move.entry)
    return out


def health_rows(pipeline: Pipeline, health: Health, as_of: dt.date) -> pd.DataFrame:
    """Return the row of ``post_deployment_health`` of one horizon."""
    evidence = health.watch.evidence or {}

    def figure(name: str) -> float:
        return float(evidence.get(name, float("nan")))

    row = {
        "subject": health.subject.key,
        "as_of": pd.Timestamp(as_of).as_unit("ns"),
        "version": health.version,
        "shadow": health.shadow,
        "phase": health.phase,
        "verdict": health.verdict,
        "checks": health.watch.checks,
        "failed_in_a_row": health.watch.failed_in_a_row,
        "n": int(evidence.get("n", 0)),
        "n_effective": float(evidence.get("n_effective", 0.0)),
        **{name: figure(name) for name in ("loss_ratio", "loss_ratio_low", "loss_ratio_high", "evidence_worse")},
        **{name: figure(name) for name in ("evidence_not_worse", "decidable_in_days")},
        "incident": health.incident,
        "reasons": "\n".join(health.reasons),
        "entry": health.entry,
    }
    return _stamped(pipeline, health.subject, pd.DataFrame([row]), str(health.watch))


def _stamped(pipeline: Pipeline, subject: Subject, frame: pd.DataFrame, seen: str) -> pd.DataFrame:
    config = pipeline.active(subject.pair, subject.horizon)
    return pipeline.stamp(frame, config_hash=config.config_hash, data_hash=content_hash([seen]))
