"""Opening the gate for a candidate: losses of candidate and incumbent on the unseen period, its own and the panel's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.deployment import raise_alert
from forex_assets.errors import DataError, ForexError
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model
from forex_assets.lifecycle import gate, gate_classic
from forex_assets.lifecycle.criteria import criteria_of
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.reports import ValidationReport, frame_of
from forex_assets.lifecycle.search.objective import Evaluator, latency_of, paired
from forex_assets.lifecycle.trigger import openings_of
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion
from forex_assets.optimization.search import incumbent_of
from forex_assets.pipeline import Pipeline

#: Engines that rank on the last 30 days (A10).
CLASSIC_ENGINES = ("classic", "classic-per-horizon", "random")
#: Business days between the gate's origins.
EVERY = 5
#: A model that cannot pass thousands of origins at once is judged on fewer of them, on fewer pairs.
EVERY_SLOW, PAIRS_SLOW = 20, 6
#: Fewer pairs than this are no panel.
MIN_PAIRS = 5
#: Gates in a row that say no before somebody is told (A26).
ALERT_AFTER = 3


def validate(
    pipeline: Pipeline,
    version: ConfigVersion,
    *,
    as_of: dt.date,
    now: dt.datetime,
    force: bool = False,
    actor: str = "automation",
) -> ValidationReport:
    """Judge a candidate on the gate's period; every opening is counted in the ledger, whatever it says.

    Raises
    ------
    ForexError
        When the candidate or the incumbent cannot be evaluated on the pair itself: nothing is approved.
    """
    subject, settings = version.subject, pipeline.settings.optimization
    policy = settings.gate
    profile = policy.profile
    mine = ModelChoice(version.model, version.parameter_values)
    theirs = incumbent_of(pipeline, subject.pair, subject.horizon, as_of)
    pointers = pipeline.lifecycle.of(subject)
    incumbent = pointers.current or SETTINGS
    snapshot = pipeline.snapshot(subject.pair, as_of)
    history = pipeline.history(subject.pair, snapshot.bars)
    latency = {
        "candidate": latency_of(mine, history, np.datetime64(as_of, "D"), pipeline.settings.horizons),
        "incumbent": latency_of(theirs, history, np.datetime64(as_of, "D"), pipeline.settings.horizons),
    }
    known: dict[str, Any]
    if profile == "classic":
        last = np.datetime64(as_of, "D") - np.timedelta64(30, "D")
        pairing = _pairing(pipeline, history, subject.horizon, mine, theirs, as_of, 1, days=200)
        window = [part.rows(part.matured > last) for part in pairing[1:]]
        known = {**gate_classic.measure_classic(window[0], window[1], latency), "forced": force}
        opening, first = 0, incumbent == SETTINGS
        function, decide = gate_classic.FUNCTION, gate_classic.decide_gate_classic
    else:
        opening = 1 + _openings(pipeline, version, as_of)
        first = incumbent == SETTINGS
        days = pipeline.settings.horizons[subject.horizon]
        every = EVERY if get_model(version.model).capabilities.bulk else EVERY_SLOW
        own = _pairing(pipeline, history, subject.horizon, mine, theirs, as_of, every)
        panel: dict[str, Any] | None = None
        if first or days >= policy.pool_from_horizon_days:
            panel = _panel(pipeline, version, own, mine, theirs, as_of, every)
        known = {
            "own": gate.measure([own]),
            "panel": panel,
            "horizon_days": days,
            "opening": opening,
            "first": first,
            "latency_s": latency,
        }
        engine = str(version.search.get("engine", ""))
        if engine in CLASSIC_ENGINES:  # ranked on the last 30 days, which are the gate's own
            known |= {"seen": engine, "forced": force}
        function, decide = gate.FUNCTION, gate.decide_gate
    plain_policy = policy.model_dump(mode="json")
    known |= {"version": version.hash, "against": incumbent}
    outcome = decide(known, plain_policy)
    criteria = criteria_of(outcome)
    report = ValidationReport(
        subject=subject,
        as_of=as_of,
        profile=profile,
        candidate=version.hash,
        incumbent=incumbent,
        approved=outcome["approved"],
        metrics=outcome["metrics"],
        criteria=criteria,
        reasons=tuple(outcome["reasons"]),
        opening=opening,
        first_of_subject=first,
        forced=force,
        details={
            "judged_on": outcome["judged_on"],
            "latency_s": latency,
            "panel": known.get("panel"),
            "own": known.get("own"),
        },
    )
    entry = pipeline.lifecycle.ledger.append(
        Decision(
            kind="gate",
            subject=subject,
            outcome=outcome,
            reasons=report.reasons,
            function=function,
            inputs=known,
            policy=plain_policy,
            actor=actor,
            as_of=as_of,
        ),
        now=now,
    )
    if not report.approved:
        _alert_after_several(pipeline, version, now)
    from dataclasses import replace

    return replace(report, entry=entry.id)


def validation_frame(pipeline: Pipeline, report: ValidationReport, data_hash: str) -> pd.DataFrame:
    """Return the rows of ``validation_report``."""
    config_hash = pipeline.settings.config_hash(report.subject.pair)
    return pipeline.stamp(frame_of(report), config_hash=config_hash, data_hash=data_hash)


def _openings(pipeline: Pipeline, version: ConfigVersion, as_of: dt.date) -> int:
    entries = pipeline.lifecycle.ledger.entries(subject=version.subject, kinds=("gate",))
    days = [dt.date.fromisoformat(day) for day in openings_of(entries)]
    return sum(0 <= (as_of - day).days < 365 for day in days)


def _pairing(
    pipeline: Pipeline,
    history: PriceHistory,
    horizon: str,
    mine: ModelChoice,
    theirs: ModelChoice,
    as_of: dt.date,
    every: int,
    *,
    days: int | None = None,
) -> gate.Pairing:
    """Return the losses of both on the gate's origins of one pair."""
    settings = pipeline.settings
    end = np.datetime64(as_of, "D")
    start = end - np.timedelta64(days or settings.optimization.gate.period_days, "D")
    sessions = history.calendar.sessions(start, end)[::every]
    evaluator = Evaluator(
        history,
        horizon_days=settings.horizons[horizon],
        days=sessions,
        as_of=end,
        max_age=settings.platform.forecast.max_last_value_age_business_days,
        seed=settings.optimization.search.seed,
    )
    both = paired([evaluator.losses(mine), evaluator.losses(theirs)])
    return history.pair, both[0], both[1]


def _panel(
    pipeline: Pipeline,
    version: ConfigVersion,
    own: gate.Pairing,
    mine: ModelChoice,
    theirs: ModelChoice,
    as_of: dt.date,
    every: int,
) -> dict[str, Any] | None:
    """Return how both compare on the panel of pairs, the subject's own among them; None when there is no panel."""
    from forex_assets.forecasting.panel.prices import CURRENCIES, ecb_price_history, pair_id

    bulk = get_model(version.model).capabilities.bulk
    pairings: list[gate.Pairing] = [own]
    skipped: list[str] = []
    for currency in _spread(CURRENCIES, len(CURRENCIES) if bulk else PAIRS_SLOW):
        if pair_id(currency) == version.subject.pair:
            continue
        try:
            history = ecb_price_history(currency, as_of)
            pairings.append(_pairing(pipeline, history, version.subject.horizon, mine, theirs, as_of, every))
        except ForexError as error:  # says nothing for either side; too few pairs left make the gate say unknown
            skipped.append(f"{pair_id(currency)}: {error.message}")
    if len(pairings) < MIN_PAIRS:
        return None
    return {**gate.measure(pairings), "skipped": skipped}


def _spread(items: Sequence[str], count: int) -> list[str]:
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, count).round()]


def _alert_after_several(pipeline: Pipeline, version: ConfigVersion, now: dt.datetime) -> None:
    entries = pipeline.lifecycle.ledger.entries(subject=version.subject, kinds=("gate",), limit=ALERT_AFTER)
    if len(entries) == ALERT_AFTER and not any(entry.outcome.get("approved") for entry in entries):
        why = [f"{entry.at:%Y-%m-%d}: {entry.reasons[0]}" for entry in entries]
        title = f"The gate said no {ALERT_AFTER} times in a row"
        raise_alert(pipeline, version.subject, "validation_fails", "medium", title, why, now)


def candidate_of(pipeline: Pipeline, pair_id: str, horizon: str) -> ConfigVersion:
    """Return the candidate stored for a horizon.

    Raises
    ------
    DataError
        When the last search found none.
    """
    from forex_assets.lifecycle.reports import CandidateReport
    from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG

    report = CandidateReport.from_frame(pipeline.store.read(CANDIDATE_CONFIG, pair_id, [(horizon,)]))
    if report.candidate is None:
        raise DataError(
            f"The search of {pair_id} {horizon} found no candidate: {'; '.join(report.reasons)}.",
            remedy="there is nothing to judge; the configuration in use stays.",
        )
    return report.candidate
