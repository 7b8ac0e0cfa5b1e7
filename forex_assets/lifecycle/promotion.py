"""Moving the pointers: propose, promote, roll back, confirm, approve, acknowledge.

Order of every move: the version's files, one ledger line with the decision and the pointers it leads to, the pointers.
A crash before the last step leaves the old pointers in force, and the next operation records the interruption; a crash
after it leaves the new ones. Sinks come later and cannot undo anything (:mod:`forex_assets.lifecycle.sinks`).
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forex_assets.errors import StoreError, ValidationError
from forex_assets.lifecycle import policies
from forex_assets.lifecycle.canonical import instant_text
from forex_assets.lifecycle.guards import GuardFacts
from forex_assets.lifecycle.ledger import Decision, Entry
from forex_assets.lifecycle.pointers import (
    OPEN,
    ConcurrentMoveError,
    Pointers,
    PointerState,
    Span,
    encode_subjects,
    stamped,
)
from forex_assets.lifecycle.reports import ValidationReport
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion
from forex_assets.settings.deployment import DeploymentSettings
from forex_assets.store.files import TEMPORARY_SUFFIX
from forex_assets.store.locks import FileLock

AUTOMATION = "automation"
_LOOK_BACK = 200


@dataclass(frozen=True)
class Proposal:
    """A candidate with what speaks for it.

    Parameters
    ----------
    version, report:
        The candidate and the gate's judgement of it.
    checks:
        Asset checks by name: passed, failed, or None when a check could not be made.
    shadow:
        What its time in shadow showed: ``targets``, ``days``, ``evidence_worse``; None before it started.
    """

    version: ConfigVersion
    report: ValidationReport
    checks: Mapping[str, bool | None]
    shadow: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What an operation did to one subject: ``promoted``, ``staged``, ``kept``, ``refused`` or ``rolled_back``."""

    subject: Subject
    action: str
    version: str
    previous: str
    generation: int
    policy: str
    risk_class: str
    reasons: tuple[str, ...]
    entry: str


class Deployer:
    """The operations on what is deployed.

    Parameters
    ----------
    store:
        Versions, pointers and ledger.
    policy:
        The ``deployment`` settings.
    lock_timeout_s:
        How long to wait for another operation on the same set.
    """

    def __init__(self, store: LifecycleStore, policy: DeploymentSettings, *, lock_timeout_s: float = 20.0) -> None:
        self.store = store
        self.policy = policy
        self._lock_timeout_s = lock_timeout_s

    # ---- promotion ---------------------------------------------------------------------------------------------

    def propose(
        self,
        proposals: Sequence[Proposal],
        facts: GuardFacts,
        *,
        as_of: dt.date,
        now: dt.datetime,
        actor: str = AUTOMATION,
        force: bool = False,
        expected: int | None = None,
    ) -> list[Move]:
        """Promote, stage, keep or refuse each candidate, as the policy of its risk class says.

        All proposals are of one set (a pair's horizons). With ``promotion_unit: set`` they are promoted together, in
        one move, or not at all.

        Parameters
        ----------
        as_of:
            Newest day with data; forecasts of later days use what is promoted.
        expected:
            Generation of the pointers the decision rests on; refused when they have moved since.

        Raises
        ------
        ConcurrentMoveError
            When somebody else moved the pointers; the refusal is in the ledger.
        StoreError
            When the disk refuses; what was in use stays in use.
        """
        scope = _one_scope([item.version.subject for item in proposals])
        with self._locked(scope):
            state = self._ready(scope, now, expected, actor, as_of)
            decided = [(item, self._judge(item, state, facts, now, actor, force)) for item in proposals]
            if self.policy.promotion_unit == "set":
                decided = _together(decided)
            changed: dict[str, Pointers] = {}
            for item, (outcome, known) in decided:
                pointers = state.of(item.version.subject)
                if outcome["action"] in ("promote", "stage"):
                    self.store.versions.put(item.version)
                if outcome["action"] == "stage" and pointers.staged != item.version.hash:
                    changed[item.version.subject.key] = pointers.stage(item.version.hash)
                if outcome["action"] == "promote":
                    span = self._span(state, item.version.subject, item.version.hash, as_of, now, "promotion")
                    span = replace(span, approvers=tuple(sorted({vote["by"] for vote in known["approvals"]})))
                    changed[item.version.subject.key] = pointers.promote(item.version.hash, span)
            entries = []
            for item, (outcome, known) in decided:
                key = item.version.subject.key
                own = {key: changed[key]} if key in changed else {}
                entries.append(
                    self._record(item.version.subject, outcome, known, state, own, changed, now, actor, as_of)
                )
            made = self._move(state, changed, entries, now) if changed else state
            return [
                self._report(item.version.subject, outcome, made, entry, item.version.hash)
                for (item, (outcome, _)), entry in zip(decided, entries, strict=True)
            ]

    def _judge(
        self, item: Proposal, state: PointerState, facts: GuardFacts, now: dt.datetime, actor: str, force: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        version, pointers = item.version, state.of(item.version.subject)
        incumbent = None if pointers.current == SETTINGS else self.store.versions.find(pointers.current)
        # Only what is staged can be voted on, and what was rejected is remembered: no other votes are looked for.
        votes = self.votes(version) if version.hash in (pointers.staged, *pointers.failed) else []
        known = {
            "candidate": {"subject": version.subject.key, "model": version.model, "hash": version.hash},
            "incumbent": incumbent and {"model": incumbent.model, "hash": incumbent.hash},
            "validation": {
                "approved": item.report.approved,
                "candidate": item.report.candidate,
                "incumbent": item.report.incumbent,
                "criteria": {c.name: c.state for c in item.report.criteria},
                "reasons": list(item.report.reasons),
                "forced": item.report.forced,
            },
            "checks": dict(item.checks),
            "guard_facts": facts.as_dict(),
            "pointers": {
                "current": pointers.current,
                "staged": pointers.staged,
                "failed": list(pointers.failed),
                "incident": pointers.incident,
            },
            "halted": self.halted(state, now),
            "approvals": [vote for vote in votes if vote["approve"]],
            "rejections": [vote for vote in votes if not vote["approve"]],
            "proposer": actor,
            "shadow": item.shadow and dict(item.shadow),
            "force": force,
        }
        return policies.decide_promotion(known, self._plain_policy()), known

    # ---- rollback ----------------------------------------------------------------------------------------------

    def rollback(
        self,
        subject: Subject,
        *,
        why: Sequence[str],
        as_of: dt.date,
        now: dt.datetime,
        to: str = "previous",
        actor: str = AUTOMATION,
        kill_file: bool | None = False,
        expected: int | None = None,
    ) -> Move:
        """Go back to the version before, to the last known good one, or to a named earlier one.

        An automatic rollback opens an incident that stays until a person acknowledges it.

        Raises
        ------
        ValidationError
            When there is nothing to go back to; the refusal is in the ledger.
        ConcurrentMoveError
            When somebody else moved the pointers first.
        """
        with self._locked(subject.scope):
            state = self._ready(subject.scope, now, expected, actor, as_of)
            pointers = state.of(subject)
            automatic = actor == AUTOMATION
            known = {
                "pointers": {
                    "current": pointers.current,
                    "earlier": list(pointers.earlier),
                    "last_known_good": pointers.last_known_good,
                },
                "wanted": to,
                "readable": [name for name in dict.fromkeys(pointers.earlier) if self.store.versions.find(name)],
                "automatic": automatic,
                "kill_file": kill_file,
                "why": list(why),
            }
            policy = self.policy.rollback.model_dump(mode="json")
            outcome = policies.decide_rollback(known, policy)
            changed: dict[str, Pointers] = {}
            if outcome["action"] == "rollback":
                cause = "automatic rollback" if automatic else "rollback"
                span = self._span(state, subject, outcome["target"], as_of, now, cause)
                moved = pointers.rollback(outcome["target"], span)
                changed[subject.key] = replace(moved, incident=OPEN) if automatic else moved
            decision = Decision(
                "rollback",
                subject,
                {**outcome, **_move(state, changed)},
                outcome["reasons"],
                function=policies.ROLLBACK,
                inputs=known,
                policy=policy,
                actor=actor,
                as_of=as_of,
            )
            entry = self.store.ledger.append(decision, now=now)
            if not changed:
                raise ValidationError(
                    f"{subject} cannot be rolled back: {'; '.join(outcome['reasons'])}.",
                    remedy="see `forex optimize history` for what was in use, and `forex optimize status`.",
                )
            made = self._move(state, changed, [entry], now)
            return self._report(subject, {**outcome, "action": "rolled_back"}, made, entry, outcome["target"])

    # ---- the rest ----------------------------------------------------------------------------------------------

    def confirm(self, subject: Subject, decision: Decision, *, now: dt.datetime) -> Entry:
        """Record that probation was passed: the version in use becomes the last known good one."""
        return self._simple(subject, decision, lambda pointers, _: pointers.confirm(), now)

    def vote(
        self,
        version: ConfigVersion,
        *,
        by: str,
        why: str,
        approve: bool,
        now: dt.datetime,
        as_of: dt.date | None = None,
    ) -> Entry:
        """Record a person's approval or rejection of a staged version, with its justification (E24).

        Raises
        ------
        ValidationError
            When it is not staged, or name or justification is empty.
        """
        by, why = by.strip(), why.strip()
        if not by or by == AUTOMATION or not why:
            raise ValidationError(
                "An approval needs a person's name and a justification.", remedy="give --by NAME --why TEXT."
            )
        subject = version.subject
        if self.store.of(subject).staged != version.hash:
            raise ValidationError(
                f"Version {version.hash} is not staged for {subject}.",
                remedy="see `forex optimize status` for what waits for approval.",
            )
        outcome = {"version": version.hash, "approve": approve}
        decision = Decision("approval", subject, outcome, [why], actor=by, as_of=as_of)
        if approve:
            return self.store.ledger.append(decision, now=now)
        return self._simple(subject, decision, lambda pointers, _: pointers.unstage(failed=True), now)

    def acknowledge(self, subject: Subject, *, by: str, why: str, now: dt.datetime) -> Entry:
        """Close the open incident of a subject; automation goes on.

        Raises
        ------
        ValidationError
            When no incident is open, or name or justification is empty.
        """
        if not by.strip() or by.strip() == AUTOMATION or not why.strip():
            raise ValidationError(
                "An acknowledgement needs a person's name and what was found.", remedy="give --by NAME --why TEXT."
            )
        incident = self.store.of(subject).incident
        if not incident:
            raise ValidationError(f"{subject} has no open incident.", remedy="see `forex optimize status`.")
        decision = Decision("acknowledgement", subject, {"incident": incident}, [why.strip()], actor=by.strip())
        return self._simple(
            subject, decision, lambda pointers, at: replace(pointers, incident=None, acknowledged_at=at), now
        )

    def repair(self, scope: str, *, now: dt.datetime) -> PointerState:
        """Write damaged pointers anew, record an interrupted move, mend versions from their copies."""
        with self._locked(scope):
            state = self._ready(scope, now, None, AUTOMATION, None)
            names = {name for item in state.subjects.values() for name in (item.current, *item.earlier, item.staged)}
            for name in sorted(names - {SETTINGS, None}, key=str):
                if self.store.versions.find(str(name)) and self.store.versions.mend(str(name)):
                    reason = f"version {name} was damaged and is mended from its copy"
                    self.store.ledger.append(Decision("repair", None, {"version": name}, [reason]), now=now)
            return self.store.state(scope)

    def votes(self, version: ConfigVersion) -> list[dict[str, Any]]:
        """Return the approvals and rejections of a version."""
        entries = self.store.ledger.entries(subject=version.subject, kinds=["approval"])
        return [
            {"by": entry.actor, "why": entry.reasons[0], "approve": entry.outcome["approve"], "entry": entry.id}
            for entry in entries
            if entry.outcome.get("version") == version.hash
        ]

    def halted(self, state: PointerState, now: dt.datetime) -> str:
        """Return why automation is halted for a set of subjects, or an empty text."""
        rollbacks = [
            instant_text(span.recorded_at)
            for pointers in state.subjects.values()
            for span in pointers.history
            if span.cause == "automatic rollback"
            and (pointers.acknowledged_at is None or span.recorded_at > pointers.acknowledged_at)
        ]
        return policies.halted(rollbacks, instant_text(now), self.policy.rollback.model_dump(mode="json"))

    # ---- steps -------------------------------------------------------------------------------------------------

    def _locked(self, scope: str) -> FileLock:
        return FileLock(self.store.root / f"{scope}.lock", self._lock_timeout_s)

    def _plain_policy(self) -> dict[str, Any]:
        return self.policy.model_dump(mode="json", exclude={"sinks", "drill"})

    def _ready(
        self, scope: str, now: dt.datetime, expected: int | None, actor: str, as_of: dt.date | None
    ) -> PointerState:
        """Return the pointers to move from: mended where damaged, an interrupted move recorded, the expected ones."""
        self._sweep(scope)
        state = self.store.state(scope)
        if state.damage:
            decision = Decision("repair", None, {"scope": scope, "generation": state.generation}, state.damage)
            entry = self.store.ledger.append(decision, now=now)
            newest = self.store.pointers.generations(scope)[-1]
            state = self.store.pointers.swap(
                replace(state, damage=()), {}, now=now, entry=entry.id, generation=newest + 1
            )
        self._note_interruption(state, now)
        if expected is not None and expected != state.generation:
            reason = f"the pointers of {scope} were moved by somebody else (generation {state.generation})"
            outcome = {"action": "refuse", "expected": expected, "generation": state.generation}
            self.store.ledger.append(Decision("promotion", None, outcome, [reason], actor=actor, as_of=as_of), now=now)
            raise ConcurrentMoveError(
                f"The pointers of {scope} are at generation {state.generation}, not {expected}: somebody else moved "
                "them; nothing was changed.",
                remedy="look at `forex optimize status`, and repeat the command if it still applies.",
            )
        return state

    def _note_interruption(self, state: PointerState, now: dt.datetime) -> None:
        """Record a move that was decided but never made, because its process died between ledger and pointers."""
        for entry in itertools.islice(self.store.ledger.newest_first(), _LOOK_BACK):
            if entry.kind == "repair" and entry.outcome.get("scope") == state.scope:
                return
            move = entry.outcome.get("move")
            if isinstance(move, Mapping) and move["scope"] == state.scope:
                if move["generation"] > state.generation:
                    reason = f"{entry.kind} {entry.id} was interrupted before the pointers moved; nothing was changed"
                    outcome = {"interrupted": entry.id, "scope": state.scope, "generation": state.generation}
                    self.store.ledger.append(Decision("repair", entry.subject, outcome, [reason]), now=now)
                return

    def _sweep(self, scope: str) -> None:
        """Delete temporary files that a killed process left; the lock is held, so nobody is writing them."""
        for folder in (self.store.pointers.folder / scope, self.store.versions.folder, self.store.versions.copies):
            for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                path.unlink(missing_ok=True)

    def _span(
        self, state: PointerState, subject: Subject, version: str, as_of: dt.date, now: dt.datetime, cause: str
    ) -> Span:
        """Return the new stretch of history: from the next day on, and never before the stretch it follows."""
        history = state.of(subject).history
        first = max([as_of + dt.timedelta(days=1), *(span.valid_from for span in history)])
        recorded = max([now, *(span.recorded_at for span in history)])
        return Span(version, first, recorded, state.generation + 1, cause, "")

    def _record(
        self,
        subject: Subject,
        outcome: Mapping[str, Any],
        known: Mapping[str, Any],
        state: PointerState,
        own: Mapping[str, Pointers],
        changed: Mapping[str, Pointers],
        now: dt.datetime,
        actor: str,
        as_of: dt.date,
    ) -> Entry:
        # The first entry of a joint move holds all of it, so that it can be recomputed from one line.
        first = own and next(iter(changed)) == next(iter(own))
        kind = "staging" if outcome["action"] == "stage" else "promotion"
        decision = Decision(
            kind,
            subject,
            {**outcome, **(_move(state, changed) if first else {})},
            outcome["reasons"],
            function=policies.PROMOTION,
            inputs=known,
            policy=self._plain_policy(),
            actor=actor,
            as_of=as_of,
        )
        return self.store.ledger.append(decision, now=now)

    def _move(
        self, state: PointerState, changed: Mapping[str, Pointers], entries: Sequence[Entry], now: dt.datetime
    ) -> PointerState:
        entry = next(item for item in entries if "move" in item.outcome)
        try:
            return self.store.pointers.swap(
                state, stamped(changed, state.generation + 1, entry.id), now=now, entry=entry.id
            )
        except ConcurrentMoveError as error:
            outcome = {"interrupted": entry.id, "scope": state.scope, "generation": state.generation}
            self.store.ledger.append(Decision("repair", entry.subject, outcome, [error.message]), now=now)
            raise

    def _simple(
        self,
        subject: Subject,
        decision: Decision,
        change: Callable[[Pointers, dt.datetime], Pointers],
        now: dt.datetime,
    ) -> Entry:
        with self._locked(subject.scope):
            state = self._ready(subject.scope, now, None, decision.actor, decision.as_of)
            changed = {subject.key: change(state.of(subject), now)}
            entry = self.store.ledger.append(
                replace(decision, outcome={**decision.outcome, **_move(state, changed)}), now=now
            )
            self._move(state, changed, [entry], now)
            return entry

    def _report(
        self, subject: Subject, outcome: Mapping[str, Any], state: PointerState, entry: Entry, version: str
    ) -> Move:
        pointers = state.of(subject)
        past = {"promote": "promoted", "stage": "staged", "keep": "kept", "refuse": "refused"}
        return Move(
            subject=subject,
            action=past.get(outcome["action"], outcome["action"]),
            version=version,
            previous=pointers.previous or "",
            generation=state.generation,
            policy=outcome.get("policy", ""),
            risk_class=outcome.get("risk_class", ""),
            reasons=tuple(outcome["reasons"]),
            entry=entry.id,
        )


def _one_scope(subjects: Sequence[Subject]) -> str:
    scopes = {subject.scope for subject in subjects}
    if len(scopes) != 1 or len(set(subjects)) != len(subjects):
        raise ValidationError(
            f"A promotion covers one set of subjects, each once; got {', '.join(map(str, subjects)) or 'none'}.",
            remedy="promote each pair by itself.",
        )
    return scopes.pop()


def _together(
    decided: Sequence[tuple[Proposal, tuple[dict[str, Any], dict[str, Any]]]],
) -> list[tuple[Proposal, tuple[dict[str, Any], dict[str, Any]]]]:
    """Return the decisions with every promotion held back to staging unless the whole set is promoted or kept."""
    waiting = [item for item, (outcome, _) in decided if outcome["action"] not in ("promote", "keep")]
    if not waiting:
        return list(decided)
    names = ", ".join(str(item.version.subject) for item in waiting)
    reason = f"the set is promoted together, and {names} is not ready"
    return [
        (item, ({**outcome, "action": "stage", "reasons": [reason, *outcome["reasons"]]}, known))
        if outcome["action"] == "promote"
        else (item, (outcome, known))
        for item, (outcome, known) in decided
    ]


def _move(state: PointerState, changed: Mapping[str, Pointers]) -> dict[str, Any]:
    if not changed:
        return {}
    generation = state.generation + 1
    return {"move": {"scope": state.scope, "generation": generation, "subjects": encode_subjects(changed)}}


def require_moved(move: Move) -> Move:
    """Return the move; raise when it was refused.

    Raises
    ------
    StoreError
        With every reason.
    """
    if move.action == "refused":
        raise StoreError(
            f"{move.subject} keeps its version: {'; '.join(move.reasons)}.",
            remedy=f"see `forex ledger show {move.entry}`; correct what is named and try again.",
        )
    return move
