"""The loop's sensors ask for what is due and for nothing twice, whatever dies between their ticks."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forex_assets.lifecycle.asking import DEAD_AFTER, MAX_ATTEMPTS, Ask, Attempts, Latest, Run, attempts_of
from forex_assets.lifecycle.ledger import Decision, Entry, Ledger
from forex_assets.lifecycle.subject import Subject

NOW = dt.datetime(2025, 6, 16, 6, 0, tzinfo=dt.UTC)
SUBJECT = Subject.forecast("usdclp", "7d")
TICK = dt.timedelta(minutes=10)
A_DAY = dt.timedelta(days=1)
TICKS = 10_000


def ago(hours: float) -> dt.datetime:
    return NOW - dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    ("runs", "under_way", "over"),
    [
        ((), False, 0),
        ((Run("active", ago(0.1)),), True, 0),
        ((Run("done", ago(1)),), False, 0),
        ((Run("failed", ago(1)), Run("failed", ago(2))), False, 2),
        ((Run("active", ago(13)),), False, 1),  # its process was killed: nothing is heard of it any more
        ((Run("active", ago(13)), Run("active", ago(0.1))), True, 1),
    ],
)
def test_a_run_without_news_for_half_a_day_came_to_nothing(runs: tuple[Run, ...], under_way: bool, over: int) -> None:
    assert attempts_of(runs, NOW) == Attempts(under_way, over)


def decide(ledger: Ledger, kind: str, outcome: dict[str, Any], now: dt.datetime) -> Entry:
    decision = Decision(kind, SUBJECT, outcome, ["planted"], as_of=now.date())
    return ledger.append(decision, now=now)


@pytest.mark.capability("A24", "L07")
def test_each_try_has_a_key_of_its_own_and_the_last_one_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    trigger = decide(ledger, "trigger", {"should_optimize": True}, NOW)

    def asked(over: int, under_way: bool = False) -> Ask | None:
        return Latest(ledger.entries(subject=SUBJECT)).ask_search(lambda entry: Attempts(under_way, over))

    assert [asked(over) for over in range(MAX_ATTEMPTS)] == [
        Ask(trigger, f"{trigger.id}-{over}") for over in range(MAX_ATTEMPTS)
    ]
    assert asked(MAX_ATTEMPTS) == Ask(trigger, note=f"3 runs for {trigger.id} failed")
    assert asked(0, under_way=True) == Ask(trigger, note="a search is queued or running")
    decide(ledger, "search", {"failed": True}, NOW)
    assert asked(0) == Ask(trigger, f"{trigger.id}-1")  # it failed and said so itself
    decide(ledger, "search", {"failed": True}, NOW)
    assert asked(0) is None
    decide(ledger, "trigger", {"should_optimize": False}, NOW)
    assert asked(0) is None


@dataclass
class Record:
    """What Dagster keeps of a run: it outlives every process."""

    step: str
    key: str
    decision: str
    state: str
    updated_at: dt.datetime
    ends_at: dt.datetime
    fate: str


@dataclass
class Machine:
    """A ledger and run records on a disk, and processes that die.

    A run ends in one of four ways: it does its step, it fails before it, it is killed and reads as started for ever, or
    it is killed after its step was recorded. A run key that was used once launches nothing again, as with Dagster.
    """

    root: Path
    rng: np.random.Generator
    now: dt.datetime = NOW
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger, self._seen = Ledger(self.root), (-1, Latest(()))

    def restart(self) -> None:
        """Lose everything that is not on the disk."""
        self.__post_init__()
        self.counts["restarts"] += 1

    def latest(self) -> Latest:
        """Return the newest decisions, read anew whenever the ledger grew."""
        size = self.ledger.path.stat().st_size if self.ledger.path.exists() else 0
        if self._seen[0] != size:
            self._seen = size, Latest(self.ledger.entries(subject=SUBJECT, limit=40))
        return self._seen[1]

    def evaluate(self) -> None:
        """Tick the sensors of search and deployment; each may be cut off before what it asks for is launched."""
        latest = self.latest()
        for step, ask in (
            ("search", latest.ask_search(lambda entry: self.tried("search", entry))),
            ("deployment", latest.ask_deployment(lambda entry: self.tried("deployment", entry))),
        ):
            if ask is None or ask.note:
                continue
            if self.rng.random() < 0.1:
                self.counts["cut off"] += 1
                self.restart()
            elif any(record.key == ask.key and record.step == step for record in self.records):
                self.counts["same key"] += 1
            else:
                ends_at = self.now + int(self.rng.integers(1, 6)) * TICK
                fate = str(self.rng.choice(("does", "fails", "vanishes", "does and dies"), p=(0.6, 0.2, 0.1, 0.1)))
                self.records.append(Record(step, ask.key, ask.decision.id, "active", self.now, ends_at, fate))
                self.counts[f"{step} launched"] += 1

    def tried(self, step: str, decision: Entry) -> Attempts:
        """Return what the records say of a decision."""
        mine = [record for record in self.records if record.step == step]
        every = attempts_of([Run(record.state, record.updated_at) for record in mine], self.now)  # type: ignore[arg-type]
        own = [record for record in mine if record.decision == decision.id]
        over = attempts_of([Run(record.state, record.updated_at) for record in own], self.now)  # type: ignore[arg-type]
        return Attempts(every.under_way, over.over)

    def work(self) -> None:
        """Let the runs whose time has come end."""
        for record in self.records:
            if record.state != "active" or record.ends_at > self.now or record.fate == "vanished":
                continue
            self.counts[record.fate] += 1
            if record.fate == "vanishes":
                record.fate = "vanished"
                continue
            record.updated_at = self.now
            if record.fate == "fails":
                record.state = "failed"
                continue
            record.state = "done" if record.fate == "does" else "failed"
            self.act(record.step)

    def act(self, step: str) -> None:
        """Do a step as its run does: with what is newest in the ledger."""
        newest = self.latest()
        wanted = newest.wants_search if step == "search" else newest.wants_deployment
        if not wanted:
            self.wrong.append(f"{self.now}: a {step} that nothing asks for")
        if step == "search":
            name = f"candidate-{len(self.records)}"
            decide(self.ledger, "search", {"failed": False, "candidate": name}, self.now)
            decide(self.ledger, "gate", {"approved": bool(self.rng.random() < 0.5), "candidate": name}, self.now)
        else:
            decide(self.ledger, "promotion", {"candidate": newest.gate and newest.gate.outcome["candidate"]}, self.now)


@pytest.mark.capability("A02", "A24", "J12", "L07", "L09")
def test_nothing_is_lost_and_nothing_done_twice_in_ten_thousand_ticks_with_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # processes die here, the machine's power does not
    machine = Machine(tmp_path, np.random.default_rng(11))
    rng, counts = machine.rng, machine.counts
    need_since: dt.datetime | None = None
    next_day, outage = NOW, 0
    for _ in range(TICKS):
        machine.now += TICK
        machine.work()
        latest = machine.latest()
        if need_since and latest.search and latest.search.at >= need_since:
            need_since = None
            counts["needs served"] += 1
        if machine.now >= next_day and not latest.wants_deployment:
            next_day = machine.now + A_DAY
            if need_since is None and rng.random() < 0.5:
                need_since = machine.now
                counts["needs"] += 1
            decide(machine.ledger, "trigger", {"should_optimize": need_since is not None}, machine.now)
        # Three tries that vanish take a day and a half; the trigger that follows asks anew.
        if need_since and machine.now - need_since > 4 * A_DAY:
            machine.wrong.append(f"{machine.now}: asked for on {need_since}, never searched")
            need_since = None
        if latest.wants_deployment and latest.gate and machine.now - latest.gate.at > MAX_ATTEMPTS * DEAD_AFTER + A_DAY:
            if machine.tried("deployment", latest.gate).over < MAX_ATTEMPTS:
                machine.wrong.append(f"{machine.now}: approved by {latest.gate.id}, never deployed")
            decide(machine.ledger, "staging", {"by": "a person, after three failures"}, machine.now)
            counts["given up"] += 1
        if outage or rng.random() < 0.01:
            outage = outage - 1 if outage else int(rng.integers(1, 30))
            counts["missed ticks"] += 1
            continue
        if rng.random() < 0.05:
            machine.restart()
        machine.evaluate()

    assert machine.wrong == []
    assert counts["needs served"] >= counts["needs"] - 1 > 10
    assert min(counts[name] for name in ("fails", "vanishes", "does and dies", "restarts", "cut off")) > 3, counts
    assert counts["missed ticks"] > 500
    assert machine.ledger.verify().intact
