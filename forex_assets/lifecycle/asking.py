"""What the loop's sensors ask for: pure decisions over ledger entries and the records of earlier runs.

A sensor keeps nothing between its ticks. What is to be done follows from the newest decisions of a subject; how often
it was tried, from the runs that carry the decision's id. A run that failed, was cancelled, or died without a word is
asked for again under a key of its own, since a run key that was used once launches nothing a second time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from forex_assets.lifecycle.ledger import Entry

MAX_ATTEMPTS = 3
#: A run whose process was killed reads as started for ever; after so long it holds nobody up.
DEAD_AFTER = dt.timedelta(hours=12)
#: Searches that failed by themselves after which a trigger is taken as answered.
MAX_FAILURES = 2

RunState = Literal["active", "failed", "done"]


@dataclass(frozen=True, slots=True)
class Run:
    """An earlier run as its record has it: queued or running, failed or cancelled, or done; and since when."""

    state: RunState
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often something was tried: whether a run of it is under way, and how many came to nothing."""

    under_way: bool
    over: int


def attempts_of(runs: Iterable[Run], now: dt.datetime) -> Attempts:
    """Return what the runs of one decision say; a run without news for ``DEAD_AFTER`` came to nothing."""
    under_way, over = False, 0
    for run in runs:
        dead = run.state == "active" and now - run.updated_at > DEAD_AFTER
        under_way |= run.state == "active" and not dead
        over += dead or run.state == "failed"
    return Attempts(under_way, over)


@dataclass(frozen=True, slots=True)
class Ask:
    """A run that is wanted: for which decision, and under which key; or none now, and why."""

    decision: Entry
    key: str = ""
    note: str = ""


class Latest:
    """The newest decisions about one subject, from its ledger entries, oldest first."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        def newest(kind: str) -> Entry | None:
            return next((entry for entry in reversed(entries) if entry.kind == kind), None)

        self.trigger, self.search, self.gate = newest("trigger"), newest("search"), newest("gate")
        after = [entry for entry in entries if self.trigger and entry.number > self.trigger.number]
        searches = [entry for entry in after if entry.kind == "search"]
        self.failures = len([entry for entry in searches if entry.outcome.get("failed")])
        answered = len(searches) > self.failures or self.failures >= MAX_FAILURES
        self.wants_search = bool(self.trigger and self.trigger.outcome["should_optimize"] and not answered)
        judged = [entry for entry in entries if self.gate and entry.number > self.gate.number]
        moves = [entry for entry in judged if entry.kind in ("promotion", "staging", "rollback")]
        approved = bool(self.gate and self.gate.outcome.get("approved"))
        self.wants_deployment = approved and not moves and self.search is not None and _is_of(self.gate, self.search)

    def ask_search(self, tried: Callable[[Entry], Attempts]) -> Ask | None:
        """Return the search that the newest trigger asks for and did not get; None where none is wanted."""
        if self.trigger is None or not self.wants_search:
            return None
        return _ask(self.trigger, tried(self.trigger), "search", self.failures)

    def ask_deployment(self, tried: Callable[[Entry], Attempts]) -> Ask | None:
        """Return the deployment of what the gate approved and nobody acted on; None where none is wanted."""
        if self.gate is None or not self.wants_deployment:
            return None
        return _ask(self.gate, tried(self.gate), "deployment")


def _ask(decision: Entry, tried: Attempts, what: str, failures: int = 0) -> Ask:
    if tried.under_way:
        return Ask(decision, note=f"a {what} is queued or running")
    over = max(tried.over, failures)
    if over >= MAX_ATTEMPTS:
        return Ask(decision, note=f"{over} runs for {decision.id} failed")
    return Ask(decision, key=f"{decision.id}-{over}")


def _is_of(gate: Entry | None, search: Entry) -> bool:
    return gate is not None and gate.outcome.get("candidate") == search.outcome.get("candidate")
