"""The pure functions behind recorded decisions, by name, and the replay of a ledger entry through them.

A decision function takes what was known and the policy, both plain values, and returns the outcome, plain values too.
A changed rule gets a new name (``gate/2``), so that old entries replay through the rule they were made by.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forex_assets.errors import ForexError, StoreError
from forex_assets.lifecycle.canonical import differences, plain
from forex_assets.lifecycle.ledger import Entry, Ledger
from forex_assets.provenance import code_version

DecisionFunction = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]

#: Name → ``module:function``; imported when it is needed.
FUNCTIONS: dict[str, str] = {
    "trigger/1": "forex_assets.lifecycle.trigger:decide_retraining",
    "gate/1": "forex_assets.lifecycle.gate:decide_gate",
    "gate-classic/1": "forex_assets.lifecycle.gate_classic:decide_gate_classic",
    "gate-loss/1": "forex_assets.lifecycle.gate_loss:decide_gate_loss",
    "guards/1": "forex_assets.lifecycle.guards:decide_guards",
    "promotion/1": "forex_assets.lifecycle.policies:decide_promotion",
    "technical-probation/1": "forex_assets.lifecycle.probation:decide_technical",
    "statistical-probation/1": "forex_assets.lifecycle.probation_1:decide_statistical",
    "statistical-probation/2": "forex_assets.lifecycle.probation:decide_statistical",
    "model-switch/1": "forex_assets.lifecycle.model_switch:decide_switch",
    "rollback/1": "forex_assets.lifecycle.policies:decide_rollback",
}


@dataclass(frozen=True, slots=True)
class Replay:
    """What recomputing a decision gave: ``same``, ``different``, or ``not replayable``, and why."""

    entry: Entry
    result: str
    differences: tuple[str, ...]
    notes: tuple[str, ...]


def decide(name: str, inputs: Mapping[str, Any], policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a registered decision function makes of inputs and policy, as plain values.

    Raises
    ------
    StoreError
        When no function has that name, or it cannot be imported.
    """
    address = FUNCTIONS.get(name)
    if address is None:
        raise StoreError(
            f"Decision function {name!r} is not registered; registered: {', '.join(sorted(FUNCTIONS))}.",
            remedy="replay with the code version that made the entry.",
        )
    module, _, attribute = address.partition(":")
    try:
        function: DecisionFunction = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise StoreError(
            f"Decision function {name!r} is registered as {address!r}, which cannot be imported: {error}.",
            remedy="install what the module needs, or correct the registration.",
        ) from error
    return dict(plain(function(plain(inputs), plain(policy)), "outcome"))


def replay(ledger: Ledger, name: str) -> Replay:
    """Recompute a recorded decision from its inputs and policy; say what differs.

    Raises
    ------
    ValidationError
        When no entry has that id.
    """
    entry = ledger.find(name)
    notes = []
    if entry.code_version != code_version():
        notes.append(f"made by code {entry.code_version}, replayed by {code_version()}")
    if not entry.function:
        notes.append(f"a {entry.kind} entry by {entry.actor} records an act or a fact; there is nothing to recompute")
        return Replay(entry, "not replayable", (), tuple(notes))
    try:
        inputs, policy = ledger.given(entry)
        outcome = decide(entry.function, inputs, policy)
    except ForexError as error:
        return Replay(entry, "not replayable", (), (*notes, str(error)))
    # The pointers a decision leads to are recorded with it, to mend them; they are not part of the decision.
    decided = {key: value for key, value in entry.outcome.items() if key != "move"}
    found = differences(decided, dict(outcome))
    return Replay(entry, "different" if found else "same", tuple(found), tuple(notes))
