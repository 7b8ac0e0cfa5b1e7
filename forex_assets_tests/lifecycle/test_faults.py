"""What goes wrong around the life cycle: after each fault everything deployed is whole, on record, and goes on."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing as mp
import os
import resource
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from forex_assets.errors import StoreError
from forex_assets.lifecycle import classic_files
from forex_assets.lifecycle.health import Losses, read_watch, step
from forex_assets.lifecycle.ledger import Decision, Ledger
from forex_assets.lifecycle.pointers import ConcurrentMoveError
from forex_assets.lifecycle.sinks import Sinks
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.versions import SETTINGS, VersionStore
from forex_assets_tests.lifecycle.factory import (
    AS_OF,
    CLEAR,
    NOW,
    SUBJECT,
    deployer,
    killed_before,
    policy,
    promote,
    proposal,
    rollback,
    version,
)

pytestmark = pytest.mark.usefixtures("unflushed")


def sound(home: Path) -> str:
    """Assert that the pointers lead to whole versions and that the ledger verifies; return the version in use."""
    store = LifecycleStore(home)
    found, pointers = store.resolve(SUBJECT), store.of(SUBJECT)
    assert found.notes == ()
    assert (found.version.hash if found.version else SETTINGS) == pointers.current
    for name in {pointers.last_known_good, *pointers.earlier, pointers.staged} - {SETTINGS, None}:
        assert store.versions.get(str(name)).hash == name
    assert store.verify().faults == ()
    return pointers.current


# ---- killed ------------------------------------------------------------------------------------------------------


def _check(home: Path, minute: int) -> str:
    health = step(
        deployer(home),
        SUBJECT,
        canary=lambda: {"passed": False, "reasons": ["no prices"]},
        losses=lambda: Losses([], 1, 7),
        now=NOW + dt.timedelta(minutes=minute),
        as_of=AS_OF,
    )
    return health.phase


@pytest.mark.capability("A24", "A30", "L07", "L09", "J12")
def test_a_watcher_killed_anywhere_is_finished_by_the_next_one(tmp_path: Path) -> None:
    start = tmp_path / "start"
    promote(start, 1)
    assert [_check(start, minute) for minute in (0, 1)] == ["technical"] * 2
    for number in range(1, 200):
        home = tmp_path / f"home{number}"
        shutil.copytree(start, home)
        killed = killed_before(number, lambda home=home: _check(home, 2), home)
        found = sound(home)
        assert found in (version(1).hash, SETTINGS)
        if found != SETTINGS:
            assert _check(home, 3) == "rolled_back"
        store = LifecycleStore(home)
        assert sound(home) == SETTINGS
        assert store.of(SUBJECT).incident
        assert "3 checks in a row failed" in store.ledger.entries(kinds=["rollback"])[-1].reasons[0]
        assert read_watch(store.root, SUBJECT, store.of(SUBJECT)).version == SETTINGS
        shutil.rmtree(home)
        if not killed:
            break
    assert 12 < number < 199


def _tell(home: Path) -> list[str]:
    body = {**policy().sinks.model_dump(), "mail": {**policy().sinks.mail.model_dump(), "mode": "file"}}
    body["mail"]["recipients"] = ["desk@example.org"]
    sinks = Sinks(home, type(policy().sinks).model_validate(body), main_pair="usdclp")
    return [item.state for item in sinks.tell(SUBJECT.scope, now=NOW)]


@pytest.mark.capability("A24", "A27", "A28", "L01", "J12")
def test_sinks_killed_anywhere_are_told_the_rest_by_the_next_call(tmp_path: Path) -> None:
    start = tmp_path / "start"
    promote(start, 1)
    _tell(start)
    second = promote(start, 2, days=1)
    (change,) = Sinks(start, policy().sinks, main_pair="usdclp")._changes(SUBJECT.scope, 1)
    wanted = classic_files.content(change)
    for number in range(1, 200):
        home = tmp_path / f"home{number}"
        shutil.copytree(start, home)
        killed = killed_before(number, lambda home=home: _tell(home), home)
        json.loads((home / "configs" / "chronos_7d.json").read_text())  # whole at any time: the old or the new one
        _tell(home)
        assert (home / "configs" / "chronos_7d.json").read_bytes() == wanted
        assert len(list((home / "mail").glob("*.eml"))) == 2
        if number % 8 == 1:
            assert _tell(home) == []
            assert sound(home) == second.hash
        shutil.rmtree(home)
        if not killed:
            break
    assert 8 < number < 199


@pytest.mark.capability("A24", "D12", "J13")
def test_a_version_or_a_large_decision_cut_short_is_not_there_or_whole(tmp_path: Path) -> None:
    made = version(1)
    decision = Decision("gate", SUBJECT, {"approved": False}, ["why"], inputs={"x": list(range(5000))})

    def record(home: Path) -> None:
        VersionStore(home).put(made)
        Ledger(home).append(decision, now=NOW)

    for number in range(1, 100):
        home = tmp_path / f"home{number}"
        home.mkdir()
        killed = killed_before(number, lambda home=home: record(home), home)
        assert VersionStore(home).find(made.hash) in (None, made)
        assert Ledger(home).verify().intact
        for entry in Ledger(home).entries():
            assert len(Ledger(home).given(entry)[0]["x"]) == 5000
        record(home)
        assert VersionStore(home).get(made.hash) == made
        assert Ledger(home).verify().intact
        if not killed:
            break
    assert 8 < number < 99


# ---- no space ----------------------------------------------------------------------------------------------------


@pytest.mark.capability("A22", "J12", "D12")
def test_a_real_limit_of_file_size_ends_in_an_error_with_a_remedy_and_changes_nothing(tmp_path: Path) -> None:
    first = promote(tmp_path, 1)
    size = (tmp_path / "lifecycle" / "ledger.jsonl").stat().st_size
    for room in (10, 200, size + 10):
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            try:
                promote(tmp_path, 2, days=1)
            except StoreError as error:
                os._exit(1 if "ledger" in error.message or "versions" in error.message else 2)
            except BaseException:  # noqa: BLE001 - the child must not return into pytest
                os._exit(3)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert sound(tmp_path) == first.hash
    promote(tmp_path, 2, days=1)
    assert sound(tmp_path) == version(2).hash


# ---- many at once ------------------------------------------------------------------------------------------------


def _compete(home: str, number: int, expected: int, barrier: Any, out: Any) -> None:
    made = deployer(Path(home))
    barrier.wait()
    try:
        if number % 2:
            candidate = version(number)
            current = made.store.of(SUBJECT).current
            at: dict[str, Any] = {"as_of": AS_OF, "now": NOW, "expected": expected}
            out.put((number, made.propose([proposal(candidate, current)], CLEAR, **at)[0].action))
        else:
            made.rollback(SUBJECT, why=["now"], as_of=AS_OF, now=NOW, actor=f"p{number}", expected=expected)
            out.put((number, "rolled back"))
    except ConcurrentMoveError as error:
        out.put((number, error.message))


@pytest.mark.capability("L02", "L05", "A24")
def test_of_promotions_and_rollbacks_at_once_one_wins_and_the_others_are_told_and_recorded(tmp_path: Path) -> None:
    promote(tmp_path, 100)
    promote(tmp_path, 101, days=1)
    context = mp.get_context("fork")
    barrier, out = context.Barrier(8), context.Queue()
    arguments = [(str(tmp_path), number, 2, barrier, out) for number in range(1, 9)]
    children = [context.Process(target=_compete, args=one) for one in arguments]
    for child in children:
        child.start()
    answers = dict(out.get(timeout=60) for _ in children)
    for child in children:
        child.join(60)
    won = [number for number, answer in answers.items() if answer in ("promoted", "rolled back")]
    assert len(won) == 1
    assert all("somebody else moved" in answer for number, answer in answers.items() if number not in won)
    assert sound(tmp_path) == (version(won[0]).hash if won[0] % 2 else version(100).hash)
    store = LifecycleStore(tmp_path)
    assert store.state(SUBJECT.scope).generation == 3
    told = [entry for entry in store.ledger.entries() if entry.outcome.get("action") == "refuse"]
    assert len(told) == 7
    assert all("moved by somebody else" in entry.reasons[0] for entry in told)


@pytest.mark.capability("A24", "L04")
def test_the_classic_file_is_whole_whenever_it_is_read(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    _tell(tmp_path)
    path, over, seen, bad = tmp_path / "configs" / "chronos_7d.json", threading.Event(), [0], []

    def read() -> None:
        while not over.is_set():
            try:
                seen[0] += len(json.loads(path.read_bytes())) == 10
            except (OSError, ValueError) as error:
                bad.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2, 12):
        promote(tmp_path, number, days=number)
        _tell(tmp_path)
    over.set()
    reader.join(30)
    assert bad == []
    assert seen[0] > 20


# ---- git ---------------------------------------------------------------------------------------------------------


@pytest.mark.capability("A24", "A34", "J12")
def test_a_file_changed_by_hand_in_the_repository_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    folder.mkdir()
    git("init", "--quiet", "--initial-branch=deployed")
    body = {**policy().sinks.model_dump(), "git_repository": str(folder), "classic_folder": None}
    sinks = Sinks(tmp_path, type(policy().sinks).model_validate(body), main_pair="usdclp")
    promote(tmp_path, 1)
    assert [item.state for item in sinks.tell(SUBJECT.scope, now=NOW)] == ["told"]
    path = folder / "chronos_7d.json"
    for mine in (b"mine", None):
        if mine is None:
            git("restore", "--", path.name)  # the person puts it back
        else:
            path.write_bytes(mine)
            rollback(tmp_path, days=1)
        (told,) = sinks.tell(SUBJECT.scope, now=NOW)
        assert told.state == ("failed" if mine else "told")
        if mine:
            assert "not committed" in told.detail
            assert path.read_bytes() == mine
            assert "git restore" in LifecycleStore(tmp_path).ledger.entries(kinds=["sink"])[-1].reasons[0]
    assert not path.exists()  # the settings' model has no classic file
    assert git("status", "--porcelain") == ""
    assert sound(tmp_path) == SETTINGS


# ---- the clock ---------------------------------------------------------------------------------------------------


@pytest.mark.capability("A24", "K28")
def test_probation_and_rollback_under_a_clock_gone_back_keep_their_order(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    _check(tmp_path, 0)
    assert _check(tmp_path, -500_000) == "technical"
    assert _check(tmp_path, -900_000) == "rolled_back"
    sound(tmp_path)
    entries = LifecycleStore(tmp_path).ledger.entries()
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    spans = LifecycleStore(tmp_path).of(SUBJECT).history
    assert [span.recorded_at for span in spans] == sorted(span.recorded_at for span in spans)
