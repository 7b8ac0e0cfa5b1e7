"""A made-up strategy by session goes through the life cycle of forecasts, from trigger to rollback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forex_assets.errors import DataError, ValidationError
from forex_assets.lifecycle.adapter import Adapter, judge_trigger, open_gate, watch
from forex_assets.lifecycle.decisions import replay
from forex_assets.lifecycle.gate_loss import LossSeries, measure_loss
from forex_assets.lifecycle.health import Losses
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.promotion import Proposal
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion
from forex_assets.monitoring.finding import Finding
from forex_assets.settings import load_settings
from forex_assets_tests.lifecycle.factory import AS_OF, CLEAR, NOW, deployer, version

STRATEGY = Subject.strategy("opening_range", "rth")
OTHER = Subject.strategy("opening_range", "overnight")
DAYS = np.arange(np.datetime64("2020-01-01"), np.datetime64("2025-06-13"), 3)
MINUTE = dt.timedelta(minutes=1)


@dataclass
class MadeUp:
    """A strategy whose regret per session is a fixed series, smaller by a share under its candidate."""

    share: float = 0.8
    harmed: bool = False
    subject: Subject = STRATEGY
    settings_hash: str = "s" * 16
    better: set[str] = field(default_factory=set)

    def findings(self, as_of: dt.date) -> Sequence[Finding]:
        return [
            Finding(
                *("performance", "skill", "recommended", self.subject.owner, self.subject.part, day, "fired", "high"),
                reasons=("the regret grew by a third",),
                effect=0.33,
                unit="share of regret",
            )
            for day in (as_of - dt.timedelta(days=1), as_of)
        ]

    def gate_losses(self, version: str, as_of: dt.date) -> LossSeries:
        days = DAYS[np.datetime64(as_of) > DAYS]
        regret = np.random.default_rng(7).gamma(4.0, 1.0, len(days))
        noise = np.random.default_rng(8).gamma(50.0, 0.02, len(days))
        return LossSeries(days, regret * (self.share * noise if version in self.better else 1.0))

    def latency_s(self, version: str) -> float:
        return 0.01

    def canary(self) -> Mapping[str, Any]:
        if self.harmed:
            raise DataError("no signal came out.", remedy="look at the feed.")
        return {"passed": True, "reasons": ["the signal is sane"]}

    def losses(self) -> Losses:
        return Losses([], 1, 1)


def candidate_of(subject: Subject = STRATEGY) -> ConfigVersion:
    return version(1, subject, model="opening_range", search={"settings_hash": "s" * 16})


@pytest.mark.capability("D07", "D12")
def test_a_strategy_goes_through_the_whole_life_cycle_with_the_functions_of_forecasts(home: Path) -> None:
    policies = load_settings().optimization
    made, domain = deployer(home), MadeUp()
    adapter: Adapter = domain
    store = made.store

    asked = judge_trigger(store, adapter, policies.trigger.model_dump(mode="json"), as_of=AS_OF, now=NOW)
    assert asked.should_optimize
    assert "the regret grew by a third" in asked.reasons[0]

    candidate = candidate_of()
    domain.better.add(candidate.hash)
    found = Decision("search", STRATEGY, {"candidate": candidate.hash, "rules": ["performance"]}, ["best"], as_of=AS_OF)
    store.ledger.append(found, now=NOW)
    gate = open_gate(store, adapter, candidate, policies.gate.model_dump(mode="json"), as_of=AS_OF, now=NOW)
    assert gate.approved, gate.reasons
    assert [item.name for item in gate.criteria] == ["improvement", "stability", "latency"]

    proposal = Proposal(candidate, gate, {"signals": True})
    (move,) = made.propose([proposal], CLEAR, as_of=AS_OF, now=NOW)
    assert (move.action, move.risk_class, move.policy) == ("staged", "high", "two-person")
    for name in ("Ana", "Beto"):
        made.vote(candidate, by=name, why="the gate's evidence holds", approve=True, now=NOW)
    (move,) = made.propose([proposal], CLEAR, as_of=AS_OF, now=NOW)
    assert move.action == "promoted"
    resolved = store.resolve(STRATEGY, AS_OF + dt.timedelta(days=1)).version
    assert resolved is not None
    assert resolved.hash == candidate.hash
    assert store.of(OTHER).current == SETTINGS

    health = watch(made, adapter, as_of=AS_OF, now=NOW + MINUTE)
    assert (health.phase, health.watch.healthy) == ("technical", 1)
    again = judge_trigger(store, adapter, policies.trigger.model_dump(mode="json"), as_of=AS_OF, now=NOW + MINUTE)
    assert not again.should_optimize
    assert again.reasons[0] == "the version in use is still on probation"

    domain.harmed = True
    seen = [watch(made, adapter, as_of=AS_OF, now=NOW + (2 + i) * MINUTE) for i in range(3)]
    assert [item.phase for item in seen] == ["technical", "technical", "rolled_back"]
    assert "no signal came out" in " ".join(seen[-1].reasons)
    assert store.of(STRATEGY).current == SETTINGS
    assert store.of(STRATEGY).incident
    with pytest.raises(ValidationError, match="has no open incident"):
        made.acknowledge(OTHER, by="Ana", why="not this one", now=NOW)
    made.acknowledge(STRATEGY, by="Ana", why="the feed was down", now=NOW + 10 * MINUTE)

    assert store.ledger.verify().intact
    decided = [entry for entry in store.ledger.entries() if entry.function]
    assert {entry.kind for entry in decided} == {"trigger", "gate", "staging", "promotion", "probation", "rollback"}
    assert {replay(store.ledger, entry.id).result for entry in decided} == {"same"}


@pytest.mark.capability("K19")
def test_a_candidate_no_better_is_refused_by_the_same_gate_and_the_seventh_opening_of_a_year_always(home: Path) -> None:
    policy = load_settings().optimization.gate.model_dump(mode="json")
    made, domain = deployer(home), MadeUp(share=1.0)
    candidate = candidate_of()
    domain.better.add(candidate.hash)
    reports = [open_gate(made.store, domain, candidate, policy, as_of=AS_OF, now=NOW) for _ in range(7)]
    assert [report.opening for report in reports] == [1, 2, 3, 4, 5, 6, 7]
    assert not any(report.approved for report in reports)
    assert reports[0].reasons[0].startswith("improvement: expected loss lower")
    assert reports[6].reasons[0].startswith("openings")
    (move,) = made.propose([Proposal(candidate, reports[0], {})], CLEAR, as_of=AS_OF, now=NOW)
    assert move.action == "refused"


def test_a_loss_must_be_positive_and_of_the_same_days() -> None:
    days = DAYS[:3]
    with pytest.raises(ValidationError, match=r"A loss is -1; losses must be positive"):
        LossSeries(days, np.array([1.0, -1.0, 2.0]))
    with pytest.raises(ValidationError, match="3 days and 2 losses"):
        LossSeries(days, np.array([1.0, 2.0]))
    mine = LossSeries(days, np.ones(3))
    with pytest.raises(DataError, match="share no day"):
        measure_loss(mine, LossSeries(days + 1, np.ones(3)))
