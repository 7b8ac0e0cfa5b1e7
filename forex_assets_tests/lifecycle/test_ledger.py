"""The ledger: append-only, chained, every change of it found where it is, every decision recomputable."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import StoreError, ValidationError
from forex_assets.lifecycle.decisions import decide, replay
from forex_assets.lifecycle.ledger import Decision, Ledger
from forex_assets_tests.lifecycle.factory import NOW, SUBJECT, deployer, killed_before, promote, rollback

pytestmark = pytest.mark.usefixtures("unflushed")


def _filled(folder: Path, lines: int = 6) -> Ledger:
    ledger = Ledger(folder)
    for number in range(lines):
        decision = Decision("trigger", SUBJECT, {"fired": number}, [f"reason {number}"], inputs={"x": number})
        ledger.append(decision, now=NOW + dt.timedelta(minutes=number))
    return ledger


@pytest.mark.capability("E24", "B27")
def test_an_entry_says_what_was_decided_from_what_by_whom_and_why(tmp_path: Path) -> None:
    ledger = _filled(tmp_path)
    entry = ledger.find("000003")
    assert (entry.outcome, entry.reasons, entry.actor) == ({"fired": 2}, ("reason 2",), "automation")
    assert ledger.given(entry) == ({"x": 2}, {})
    assert [item.number for item in ledger.entries(limit=2)] == [5, 6]
    assert ledger.entries(kinds=["rollback"]) == []
    for name in ("", "9", "0000"):
        with pytest.raises(ValidationError, match="ledger entry"):
            ledger.find(name)


EDITS = {
    "a changed outcome": (lambda lines: lines[2].replace(b'"fired":2', b'"fired":3'), 3),
    "a changed reason": (lambda lines: lines[0].replace(b"reason 0", b"reason 9"), 1),
    "a changed hash": (lambda lines: lines[3][:-10] + b"0" * 8 + lines[3][-2:], 4),
    "an emptied line": (lambda lines: b"", 5),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.capability("L01", "J16")
def test_a_line_edited_by_hand_is_found_and_located(tmp_path: Path, edit: str) -> None:
    ledger = _filled(tmp_path)
    change, number = EDITS[edit]
    lines = ledger.path.read_bytes().split(b"\n")
    lines[number - 1] = change(lines)
    ledger.path.write_bytes(b"\n".join(lines))
    found = ledger.verify()
    assert not found.intact
    assert found.faults[0].line == number
    assert "content does not match" in found.faults[0].problem


@pytest.mark.capability("L01")
def test_lines_removed_inserted_or_reordered_are_found(tmp_path: Path) -> None:
    ledger = _filled(tmp_path)
    whole = ledger.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed, line, words in (
        (lines[1:], 1, "lines before it were removed"),
        (lines[:2] + lines[3:], 3, "removed or inserted"),
        ([lines[1], lines[0], *lines[2:]], 1, "removed"),
        (lines[:-1], 5, "removed at the end"),
        ([], 0, "removed at the end"),
        ([*lines[:3], lines[2], *lines[3:]], 4, "inserted"),
    ):
        ledger.path.write_bytes(b"".join(changed))
        fault = ledger.verify().faults[0]
        assert (fault.line, words in fault.problem) == (line, True), (fault, words)
    ledger.path.write_bytes(whole)
    assert ledger.verify().intact
    assert ledger.verify().lines == 6


def test_a_line_cut_short_by_a_crash_is_reported_and_removed_by_the_next_append(tmp_path: Path) -> None:
    ledger = _filled(tmp_path, 2)
    with ledger.path.open("ab") as file:
        file.write(b'{"prev":"abc')
    assert "unfinished line" in ledger.verify().faults[0].problem
    ledger.append(Decision("guard", None, {}, ["why"]), now=NOW)
    assert ledger.verify().intact
    assert [entry.number for entry in ledger.entries()] == [1, 2, 3]


def test_nothing_is_chained_to_a_last_line_that_is_no_entry(tmp_path: Path) -> None:
    ledger = _filled(tmp_path, 2)
    with ledger.path.open("ab") as file:
        file.write(b"rubbish\n")
    with pytest.raises(StoreError, match="newest line"):
        ledger.append(Decision("guard", None, {}, ["why"]), now=NOW)


def _append_many(folder: Path, name: str) -> None:
    ledger = Ledger(folder)
    for number in range(25):
        ledger.append(Decision("trigger", SUBJECT, {"by": name, "n": number}, ["why"]), now=NOW)


@pytest.mark.capability("J13", "L05")
def test_eight_processes_lose_no_line(tmp_path: Path) -> None:
    children = []
    for name in range(8):
        child = os.fork()
        if child == 0:
            try:
                _append_many(tmp_path, str(name))
            finally:
                os._exit(0)
        children.append(child)
    assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
    ledger = Ledger(tmp_path)
    assert ledger.verify().intact
    seen = [(entry.outcome["by"], entry.outcome["n"]) for entry in ledger.entries()]
    assert len(set(seen)) == len(seen) == 200


@pytest.mark.capability("J13")
def test_a_writer_killed_at_any_file_operation_leaves_a_ledger_that_verifies(tmp_path: Path) -> None:
    work = lambda: _filled(tmp_path, 1)  # noqa: E731
    killed = sum(killed_before(step, work, tmp_path) for step in range(1, 12))
    assert killed > 3
    assert Ledger(tmp_path).verify().intact
    ledger = _filled(tmp_path, 2)
    assert ledger.verify().intact


@given(values=st.lists(st.dictionaries(st.text(max_size=5), st.floats() | st.text(max_size=9) | st.none()), max_size=6))
@settings(max_examples=25, deadline=None)
def test_whatever_is_recorded_comes_back_and_verifies(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, object]]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    for value in values:
        entry = ledger.append(Decision("gate", SUBJECT, value, ["why"], inputs=value), now=NOW)
        assert ledger.find(entry.id) == entry
        assert set(ledger.given(entry)[0]) == set(value)
    assert ledger.verify().intact


def test_large_inputs_are_kept_apart_and_a_change_of_them_is_noticed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    entry = ledger.append(Decision("gate", SUBJECT, {}, ["why"], inputs={"x": list(range(5000))}), now=NOW)
    assert entry.inputs is None
    assert ledger.given(entry)[0]["x"][-1] == 4999
    (path,) = ledger.inputs.iterdir()
    path.write_text(path.read_text().replace("4999", "4998"))
    with pytest.raises(StoreError, match="were changed"):
        ledger.given(entry)


@pytest.mark.capability("E24")
def test_a_decision_replays_to_the_same_decision_or_says_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(tmp_path, 1)
    rollback(tmp_path, days=1)
    ledger = deployer(tmp_path).store.ledger
    assert [replay(ledger, entry.id).result for entry in ledger.entries()] == ["same", "same"]
    from forex_assets.lifecycle import policies

    monkeypatch.setattr(policies, "risk_class", lambda *_: "high")
    found = replay(ledger, ledger.entries()[0].id)
    assert found.result == "different"
    assert "risk_class: 'medium' → 'high'" in found.differences
    monkeypatch.setattr("forex_assets.lifecycle.decisions.code_version", lambda: "9.9")
    assert "replayed by 9.9" in replay(ledger, ledger.entries()[1].id).notes[0]


def test_a_record_of_an_act_is_not_replayable_and_says_why(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    act = ledger.append(Decision("approval", SUBJECT, {}, ["looks right"], actor="Ana"), now=NOW)
    assert "act or a fact" in replay(ledger, act.id).notes[0]
    gone = ledger.append(Decision("gate", SUBJECT, {}, ["why"], function="gate/0"), now=NOW)
    assert replay(ledger, gone.id).result == "not replayable"
    with pytest.raises(StoreError, match="not registered"):
        decide("nothing", {}, {})


@pytest.mark.parametrize("wrong", [{"kind": "whim"}, {"reasons": []}, {"reasons": [" "]}])
def test_an_entry_without_a_known_kind_or_a_reason_is_refused(wrong: dict[str, object]) -> None:
    values: dict[str, object] = {"kind": "gate", "subject": SUBJECT, "outcome": {}, "reasons": ["why"], **wrong}
    with pytest.raises(ValidationError):
        Decision(**values)  # type: ignore[arg-type]


def test_what_has_no_json_form_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"inputs\.x\[0\] is a object"):
        Ledger(tmp_path).append(Decision("gate", None, {}, ["why"], inputs={"x": [object()]}), now=NOW)
    with pytest.raises(ValidationError, match="no zone"):
        Ledger(tmp_path).append(Decision("gate", None, {}, ["why"]), now=dt.datetime(2025, 1, 1))
    assert json.loads(json.dumps(Ledger(tmp_path).verify().lines)) == 0


@pytest.mark.capability("L01")
def test_the_quick_check_agrees_with_the_full_one_whatever_happened_to_the_ledger(tmp_path: Path) -> None:
    ledger = _filled(tmp_path)
    newest = ledger.entries()[-1].id
    assert ledger.is_intact({newest})
    ledger.append(Decision("guard", None, {}, ["why"]), now=NOW)
    assert ledger.is_intact({newest, ledger.entries()[-1].id})
    assert not ledger.is_intact({"000002-00000000"})
    whole, anchor = ledger.path.read_bytes(), ledger.anchor.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed in (
        whole.replace(b'"fired":1', b'"fired":7'),  # in the part checked before
        b"".join(lines[:-1]),
        b"".join([*lines[:-1], lines[-1].replace(b'"why"', b'"who"')]),
        whole + b"rubbish\n",
        whole + b"torn",
        b"".join([*lines, lines[-1]]),
    ):
        ledger.path.write_bytes(changed)
        assert ledger.is_intact({newest}) == ledger.verify({newest}).intact == False  # noqa: E712
    ledger.path.write_bytes(whole)
    ledger.anchor.write_bytes(anchor)
    ledger.path.with_name("ledger.checked").write_bytes(b"{")
    assert ledger.is_intact({newest})
