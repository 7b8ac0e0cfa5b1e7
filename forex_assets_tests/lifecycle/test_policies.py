"""Who may promote what: guards that fail closed, policies by risk class, approvals, incidents, halts."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError as SettingsError

from forex_assets.errors import ValidationError
from forex_assets.lifecycle.guards import collect_facts, decide_guards, require_no_kill_file
from forex_assets.lifecycle.pointers import Pointers
from forex_assets.lifecycle.promotion import Proposal, require_moved
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets_tests.lifecycle.factory import (
    AS_OF,
    CLEAR,
    NOW,
    OTHER,
    SUBJECT,
    deployer,
    policy,
    promote,
    proposal,
    report,
    rollback,
    version,
)

AT: dict[str, Any] = {"as_of": AS_OF, "now": NOW}
UNKNOWN = {
    "kill_file": {"kill_files": None},
    "dry_run": {"dry_run": None},
    "running_forecast": {"running_forecasts": None},
    "disk_space": {"free_mib": None},
    "readiness": {"readiness": None, "models": ("chronos_t5",)},
}
STOPPED = {
    "kill_file": {"kill_files": ("KILL",)},
    "dry_run": {"dry_run": True},
    "frozen_window": {"now": dt.datetime(2025, 12, 31, 12, tzinfo=dt.UTC)},
    "running_forecast": {"running_forecasts": 1},
    "disk_space": {"free_mib": 3.0},
    "readiness": {"readiness": "CAUTIOUS", "models": ("chronos_t5",)},
}


@pytest.mark.parametrize("guard", UNKNOWN)
@pytest.mark.capability("L08", "L18")
def test_a_guard_that_cannot_be_judged_stops_the_promotion(tmp_path: Path, guard: str) -> None:
    facts = replace(CLEAR, **UNKNOWN[guard])
    judged = decide_guards(facts.as_dict(), policy().guards.model_dump(mode="json"))
    assert [item["name"] for item in judged["guards"] if item["state"] == "unknown"] == [guard]
    move = deployer(tmp_path).propose([proposal(version())], facts, **AT)[0]
    assert move.action == "refused"
    assert LifecycleStore(tmp_path).of(SUBJECT).current == SETTINGS


@pytest.mark.parametrize("guard", STOPPED)
@pytest.mark.capability("L08", "B22", "A24")
def test_a_guard_that_does_not_hold_stops_the_promotion(tmp_path: Path, guard: str) -> None:
    facts = replace(CLEAR, **STOPPED[guard])
    judged = decide_guards(facts.as_dict(), policy().guards.model_dump(mode="json"))
    assert [item["name"] for item in judged["guards"] if item["state"] == "stops"] == [guard]
    made = deployer(tmp_path)
    move = made.propose([proposal(version())], facts, **AT)[0]
    assert move.action == "refused"
    (entry,) = made.store.ledger.entries()
    assert list(entry.reasons) == judged["reasons"]


def test_the_facts_are_looked_up_and_an_unreadable_place_is_unknown(tmp_path: Path) -> None:
    options: dict[str, Any] = {"now": NOW, "dry_run": False, "running_forecasts": 0, "readiness": None, "models": []}
    facts = collect_facts(tmp_path / "none yet", policy().guards, **options)
    assert facts.kill_files == ()
    assert facts.free_mib
    (tmp_path / "kill.txt").symlink_to("nowhere")
    assert collect_facts(tmp_path, policy().guards, **options).kill_files == ("kill.txt",)
    (tmp_path / "file").touch()
    assert collect_facts(tmp_path / "file", policy().guards, **options).kill_files is None
    with pytest.raises(Exception, match=r"kill\.txt stops"):
        require_no_kill_file(tmp_path, policy().guards)
    with pytest.raises(Exception, match="cannot be ruled out"):
        require_no_kill_file(tmp_path / "file", policy().guards)


@pytest.mark.capability("B22", "B27")
def test_a_foundation_model_waits_for_readiness_and_for_two_people(tmp_path: Path) -> None:
    made = deployer(tmp_path)
    candidate = version(model="chronos_t5")
    facts = replace(CLEAR, models=("chronos_t5",))
    first = made.propose([proposal(candidate)], facts, **AT)[0]
    assert (first.action, first.policy, first.risk_class) == ("staged", "two-person", "high")
    made.vote(candidate, by="Ana", why="holdout looks right", approve=True, now=NOW)
    made.vote(candidate, by="Ana", why="and again", approve=True, now=NOW)
    assert made.propose([proposal(candidate)], facts, **AT)[0].action == "staged"  # one person is one
    made.vote(candidate, by="Beto", why="checked the intervals", approve=True, now=NOW)
    assert made.propose([proposal(candidate)], facts, **AT)[0].action == "promoted"
    span = made.store.of(SUBJECT).history[-1]
    assert span.approvers == ("Ana", "Beto")
    assert made.propose([proposal(candidate)], facts, **AT)[0].action == "kept"


@pytest.mark.capability("E24", "L11")
def test_a_proposer_does_not_approve_their_own_and_an_approval_needs_a_name_and_a_reason(tmp_path: Path) -> None:
    made = deployer(tmp_path, policies={"low": "two-person", "medium": "two-person", "high": "two-person"})
    candidate = version()
    made.propose([proposal(candidate)], CLEAR, actor="Ana", **AT)
    for by in ("Ana", "Beto"):
        made.vote(candidate, by=by, why="good", approve=True, now=NOW)
    assert made.propose([proposal(candidate)], CLEAR, actor="Ana", **AT)[0].action == "staged"
    for by, why in (("", "good"), ("Ana", " "), ("automation", "good")):
        with pytest.raises(ValidationError, match="name and a justification"):
            made.vote(candidate, by=by, why=why, approve=True, now=NOW)
    with pytest.raises(ValidationError, match="not staged"):
        made.vote(version(9), by="Ana", why="good", approve=True, now=NOW)


@pytest.mark.capability("E24", "D07")
def test_a_rejected_version_is_unstaged_and_not_promoted_again(tmp_path: Path) -> None:
    made = deployer(tmp_path, policies={"low": "two-person", "medium": "two-person", "high": "two-person"})
    candidate = version()
    made.propose([proposal(candidate)], CLEAR, **AT)
    made.vote(candidate, by="Ana", why="too narrow", approve=False, now=NOW)
    pointers = made.store.of(SUBJECT)
    assert (pointers.staged, pointers.failed) == (None, (candidate.hash,))
    move = made.propose([proposal(candidate)], CLEAR, **AT)[0]
    assert move.action == "refused"
    assert "rejected by Ana: too narrow" in move.reasons
    with pytest.raises(Exception, match="keeps its version"):
        require_moved(move)


@pytest.mark.capability("A38", "L11")
def test_shadow_then_auto_promotes_only_what_showed_no_harm_in_shadow(tmp_path: Path) -> None:
    made = deployer(tmp_path, policies={"low": "shadow-then-auto", "medium": "shadow-then-auto", "high": "two-person"})
    candidate = version()
    good = {"targets": 25, "days": 40, "evidence_worse": 0.7}
    for shadow, action in (
        (None, "staged"),
        ({**good, "targets": 5}, "staged"),
        ({**good, "days": 3}, "staged"),
        ({**good, "evidence_worse": 25.0}, "staged"),
        (good, "promoted"),
    ):
        assert made.propose([proposal(candidate, shadow=shadow)], CLEAR, **AT)[0].action == action
        if action == "staged":
            assert made.store.resolve(SUBJECT).shadows == (candidate,)
            assert made.store.resolve(SUBJECT, candidate.data_cutoff).shadows == (candidate,)
            assert made.store.resolve(SUBJECT, candidate.data_cutoff - dt.timedelta(days=1)).shadows == ()


AGAINST = {
    "not approved": ({"report": report(version(), approved=False)}, "did not approve"),
    "another candidate": ({"report": report(version(5))}, "the gate judged version"),
    "another incumbent": ({"report": report(version(), "a" * 16)}, "judge it again"),
    "a failed check": ({"checks": {"rows": False}}, "check rows failed"),
    "an unknown check": ({"checks": {"rows": None}}, "check rows could not be made"),
}


@pytest.mark.parametrize("case", AGAINST)
@pytest.mark.capability("J25", "A19", "A24")
def test_what_speaks_against_a_candidate_keeps_the_current_one_and_is_on_record(tmp_path: Path, case: str) -> None:
    changes, words = AGAINST[case]
    first = promote(tmp_path, 8) if case != "another incumbent" else None
    made = deployer(tmp_path)
    current = first.hash if first else SETTINGS
    given = {"report": report(version(), current), **changes}
    move = made.propose(
        [
            Proposal(version(), checks={"rows": True}, **{k: v for k, v in given.items() if k != "checks"})
            if "checks" not in given
            else Proposal(version(), **given)
        ],
        CLEAR,
        **AT,
    )[0]
    assert move.action == "refused"
    assert words in " ".join(move.reasons)
    assert made.store.of(SUBJECT).current == current
    assert words in " ".join(made.store.ledger.entries()[-1].reasons)


# ---- rollback --------------------------------------------------------------------------------------------------


@pytest.mark.capability("J15", "L02", "A31")
def test_rolling_back_twice_goes_back_twice_and_then_says_there_is_nothing_left(tmp_path: Path) -> None:
    first, second = promote(tmp_path, 1), promote(tmp_path, 2, days=1)
    assert LifecycleStore(tmp_path).of(SUBJECT).current == second.hash
    assert rollback(tmp_path, days=2) == first.hash
    assert rollback(tmp_path, days=3) == SETTINGS
    with pytest.raises(ValidationError, match="no earlier version"):
        rollback(tmp_path, days=4)
    third = promote(tmp_path, 3, days=5)
    assert LifecycleStore(tmp_path).of(SUBJECT).current == third.hash
    assert rollback(tmp_path, days=6) == SETTINGS


@pytest.mark.capability("L02")
def test_a_rollback_goes_to_the_last_known_good_or_to_a_named_earlier_version(tmp_path: Path) -> None:
    from forex_assets.lifecycle.ledger import Decision

    first = promote(tmp_path, 1)
    deployer(tmp_path).confirm(SUBJECT, Decision("probation", SUBJECT, {}, ["fine"]), now=NOW)
    promote(tmp_path, 2, days=1)
    promote(tmp_path, 3, days=2)
    assert LifecycleStore(tmp_path).of(SUBJECT).last_known_good == first.hash
    assert rollback(tmp_path, days=3, to="last_known_good") == first.hash
    with pytest.raises(ValidationError, match="was never in use"):
        rollback(tmp_path, days=4, to=version(3).hash)
    pointers = LifecycleStore(tmp_path).of(SUBJECT)
    assert set(pointers.failed) == {version(2).hash, version(3).hash}
    assert rollback(tmp_path, days=5, to=SETTINGS) == SETTINGS


@pytest.mark.capability("L09", "L11")
def test_an_automatic_rollback_opens_an_incident_that_only_a_person_closes(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    rollback(tmp_path, days=1, actor="automation")
    made = deployer(tmp_path)
    incident = made.store.of(SUBJECT).incident
    assert incident == made.store.ledger.entries(kinds=["rollback"])[-1].id
    later: dict[str, Any] = {"as_of": AS_OF + dt.timedelta(days=2), "now": NOW + dt.timedelta(days=2)}
    assert made.propose([proposal(version(2))], CLEAR, **later)[0].action == "refused"
    assert made.store.of(SUBJECT).incident == incident
    with pytest.raises(ValidationError, match="name and what was found"):
        made.acknowledge(SUBJECT, by="automation", why="fine", now=NOW)
    made.acknowledge(SUBJECT, by="Ana", why="prices of one source were late", now=NOW + dt.timedelta(days=3))
    with pytest.raises(ValidationError, match="no open incident"):
        made.acknowledge(SUBJECT, by="Ana", why="again", now=NOW)
    assert made.propose([proposal(version(2))], CLEAR, **later)[0].action == "promoted"


@pytest.mark.capability("L09")
def test_repeated_rollbacks_halt_the_whole_pair_until_acknowledged(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    rollback(tmp_path, days=1, actor="automation")
    promote(tmp_path, 7, OTHER, days=2)
    rollback(tmp_path, OTHER, days=3, actor="automation")
    made = deployer(tmp_path)
    third = version(9, OTHER)
    at: dict[str, Any] = {"as_of": AS_OF + dt.timedelta(days=4), "now": NOW + dt.timedelta(days=4)}
    made.acknowledge(OTHER, by="Ana", why="seen", now=at["now"])
    state = made.store.state(SUBJECT.scope)
    assert made.halted(state, at["now"]) == ""  # one of the two was acknowledged
    promote(tmp_path, 9, OTHER, days=5)
    rollback(tmp_path, OTHER, days=6, actor="automation")
    made = deployer(tmp_path)
    late = NOW + dt.timedelta(days=7)
    assert "2 automatic rollbacks within 90 days" in made.halted(made.store.state(SUBJECT.scope), late)
    assert made.halted(made.store.state(SUBJECT.scope), NOW + dt.timedelta(days=200)) == ""
    move = made.propose([proposal(replace_number(third))], CLEAR, as_of=AS_OF, now=late, force=True)[0]
    assert any("automation is halted" in reason for reason in move.reasons)


def replace_number(of: Any) -> Any:
    """Return another candidate for the same subject."""
    return version(10, of.subject)


@pytest.mark.capability("L08")
def test_a_kill_file_stops_an_automatic_rollback_but_not_a_person(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    for kill_file in (True, None):
        with pytest.raises(ValidationError, match="kill file stops automation"):
            rollback(tmp_path, days=1, actor="automation", kill_file=kill_file)
    assert rollback(tmp_path, days=1, actor="Ana", kill_file=True) == SETTINGS


# ---- sets -------------------------------------------------------------------------------------------------------


@pytest.mark.capability("L03")
def test_a_set_is_promoted_together_in_one_move_or_not_at_all(tmp_path: Path) -> None:
    made = deployer(tmp_path, promotion_unit="set")
    one, two = version(1), version(2, OTHER)
    half = [proposal(one), proposal(two, report=report(two, approved=False))]
    assert [move.action for move in made.propose(half, CLEAR, **AT)] == ["staged", "refused"]
    assert made.store.of(SUBJECT).current == SETTINGS
    moves = made.propose([proposal(one), proposal(two)], CLEAR, **AT)
    assert [move.action for move in moves] == ["promoted", "promoted"]
    assert moves[0].generation == moves[1].generation
    state = made.store.state(SUBJECT.scope)
    assert {key: item.current for key, item in state.subjects.items()} == {SUBJECT.key: one.hash, OTHER.key: two.hash}
    with pytest.raises(ValidationError, match="one set of subjects"):
        made.propose([], CLEAR, **AT)


# ---- history ----------------------------------------------------------------------------------------------------


@pytest.mark.capability("J16", "L04")
def test_a_past_day_gets_what_was_current_then_as_believed_then(tmp_path: Path) -> None:
    first, second = promote(tmp_path, 1), promote(tmp_path, 2, days=10)
    store = LifecycleStore(tmp_path)

    def at(days: int, known: int | None = None) -> object:
        known_at = None if known is None else NOW + dt.timedelta(days=known)
        found = store.resolve(SUBJECT, AS_OF + dt.timedelta(days=days), known_at=known_at)
        return found.version

    assert [at(0), at(1), at(10), at(11), at(99)] == [None, first, first, second, second]
    assert at(99, known=5) == first
    assert at(99, known=-1) is None
    rollback(tmp_path, days=20)
    assert [at(15), at(21)] == [second, first]


@pytest.mark.capability("J01")
def test_a_version_tuned_on_later_data_is_not_used_for_an_earlier_day(tmp_path: Path) -> None:
    made = deployer(tmp_path)
    late = version(1, data_cutoff=AS_OF + dt.timedelta(days=30))
    made.propose([proposal(late)], CLEAR, **AT)
    found = made.store.resolve(SUBJECT, AS_OF + dt.timedelta(days=5))
    assert found.version is None
    assert "newer than as_of" in found.notes[0]
    assert made.store.resolve(SUBJECT, AS_OF + dt.timedelta(days=31)).version == late


# ---- the policy itself ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"policies": {"low": "auto", "medium": "yolo", "high": "auto"}},
        {"approvals_needed": 1},
        {"promotion_unit": "set", "policies": {"low": "auto", "medium": "two-person", "high": "two-person"}},
        {"nonsense": 1},
        {"rollback": {"halt_after": 0, "within_days": 9}},
    ],
)
@pytest.mark.capability("L11")
def test_a_malformed_policy_is_refused_when_it_is_loaded(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        policy(**wrong)


@pytest.mark.capability("K28")
def test_a_probation_whose_checks_do_not_fit_into_its_time_is_refused() -> None:
    technical = {**policy().probation.technical.model_dump(), "check_every_s": 3600}
    with pytest.raises(SettingsError, match="do not fit"):
        policy(probation={"technical": technical, "statistical": policy().probation.statistical.model_dump()})


def test_pointers_never_go_back_to_what_was_never_in_use() -> None:
    from forex_assets.lifecycle.pointers import Span

    span = Span("a" * 16, AS_OF, NOW, 1, "rollback", "")
    with pytest.raises(ValidationError, match="was not current before"):
        Pointers().rollback("a" * 16, span)
