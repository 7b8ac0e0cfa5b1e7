"""What the life cycle asks of a domain, and the steps that go through it: trigger, gate and probation of any subject.

Staging, promotion and rollback (:class:`Deployer`), versions, pointers, guards and ledger know nothing of forecasts. A
domain other than the forecasts' (strategies by session) gives an :class:`Adapter` and uses these steps; forecasts have
their own, which also search, ask the panel and read the store (:mod:`forex_assets.optimization`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from forex_assets.lifecycle import gate_loss
from forex_assets.lifecycle.criteria import criteria_of
from forex_assets.lifecycle.health import Health, Losses, step
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.promotion import Deployer
from forex_assets.lifecycle.reports import TriggerReport, ValidationReport
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.trigger import (
    FUNCTION,
    YEAR_DAYS,
    decide_retraining,
    known_findings,
    openings_of,
    searches_of,
    trigger_report,
)
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion
from forex_assets.monitoring.finding import Finding


class Adapter(Protocol):
    """One subject of a domain, as the life cycle sees it. A problem is raised as a :class:`ForexError`."""

    @property
    def subject(self) -> Subject:
        """What it is about."""

    @property
    def settings_hash(self) -> str:
        """Hash of the sources and settings a version is tuned for."""

    def findings(self, as_of: dt.date) -> Sequence[Finding]:
        """Return the findings of monitors ``performance`` and ``drift`` about this subject, of the days up to one."""

    def gate_losses(self, version: str, as_of: dt.date) -> gate_loss.LossSeries:
        """Return the losses of a version (or ``settings``) on the gate's period, which no search has seen."""

    def latency_s(self, version: str) -> float:
        """Return the warm median seconds of one decision of a version."""

    def canary(self) -> Mapping[str, Any]:
        """Try the version in use once; ``passed`` and ``reasons``."""

    def losses(self) -> Losses:
        """Return the losses of the version in use and of the one before it, on the same outcomes."""


def judge_trigger(
    store: LifecycleStore,
    adapter: Adapter,
    policy: Mapping[str, Any],
    *,
    as_of: dt.date,
    now: dt.datetime,
    running: bool = False,
) -> TriggerReport:
    """Decide whether a subject is to be optimised, and record it; ``policy`` is ``optimization.trigger``, plain."""
    subject, pointers = adapter.subject, store.of(adapter.subject)
    entries = store.ledger.entries(subject=subject, kinds=("search", "gate", "promotion", "rollback"))
    entries = [entry for entry in entries if entry.as_of is not None and entry.as_of <= as_of]
    version = None if pointers.current == SETTINGS else store.versions.find(pointers.current)
    known = {
        "today": as_of.isoformat(),
        "findings": known_findings(adapter.findings(as_of), horizon=subject.part, profile=policy["profile"]),
        "searches": searches_of(entries),
        "openings": openings_of(entries),
        "on_probation": pointers.probation,
        "running": running,
        "tuned_for": None
        if pointers.current == SETTINGS
        else str(version.search.get("settings_hash", ""))
        if version
        else "",
        "settings_hash": adapter.settings_hash,
    }
    decided = decide_retraining(known, policy)
    report = trigger_report(subject, decided, as_of=as_of, profile=policy["profile"])
    _record(store, "trigger", subject, decided, report.reasons, FUNCTION, known, policy, as_of, now)
    return report


def open_gate(
    store: LifecycleStore,
    adapter: Adapter,
    version: ConfigVersion,
    policy: Mapping[str, Any],
    *,
    as_of: dt.date,
    now: dt.datetime,
) -> ValidationReport:
    """Judge a candidate against what is in use, and count the opening; ``policy`` is ``optimization.gate``, plain."""
    subject, incumbent = adapter.subject, store.of(adapter.subject).current
    entries = store.ledger.entries(subject=subject, kinds=("gate",))
    spent = [dt.date.fromisoformat(day) for day in openings_of(entries)]
    opening = 1 + sum(0 <= (as_of - day).days < YEAR_DAYS for day in spent)
    known = {
        "own": gate_loss.measure_loss(adapter.gate_losses(version.hash, as_of), adapter.gate_losses(incumbent, as_of)),
        "opening": opening,
        "latency_s": {
            "candidate": adapter.latency_s(version.hash),
            "incumbent": adapter.latency_s(incumbent),
        },
        "version": version.hash,
        "against": incumbent,
    }
    outcome = gate_loss.decide_gate_loss(known, policy)
    _record(store, "gate", subject, outcome, outcome["reasons"], gate_loss.FUNCTION, known, policy, as_of, now)
    return ValidationReport(
        subject=subject,
        as_of=as_of,
        profile=str(policy["profile"]),
        candidate=version.hash,
        incumbent=incumbent,
        approved=outcome["approved"],
        metrics=outcome["metrics"],
        criteria=criteria_of(outcome),
        reasons=tuple(outcome["reasons"]),
        opening=opening,
        first_of_subject=incumbent == SETTINGS,
    )


def watch(
    deployer: Deployer, adapter: Adapter, *, as_of: dt.date, now: dt.datetime, kill_file: bool | None = False
) -> Health:
    """Watch the version in use once; see :func:`forex_assets.lifecycle.health.step`."""
    return step(
        deployer,
        adapter.subject,
        canary=adapter.canary,
        losses=adapter.losses,
        now=now,
        as_of=as_of,
        kill_file=kill_file,
    )


def _record(
    store: LifecycleStore,
    kind: str,
    subject: Subject,
    outcome: Mapping[str, Any],
    reasons: Sequence[str],
    function: str,
    known: Mapping[str, Any],
    policy: Mapping[str, Any],
    as_of: dt.date,
    now: dt.datetime,
) -> None:
    decision = Decision(kind, subject, outcome, reasons, function=function, inputs=known, policy=policy, as_of=as_of)
    store.ledger.append(decision, now=now)
