"""Killed, out of disk, or racing: after any of it the pointers lead to a whole version and the ledger verifies."""

from __future__ import annotations

import datetime as dt
import errno
import json
import multiprocessing as mp
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forex_assets.errors import ForexError, StoreError
from forex_assets.lifecycle.pointers import ConcurrentMoveError, Pointers
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets_tests.lifecycle.factory import (
    AS_OF,
    CLEAR,
    NOW,
    OTHER,
    SUBJECT,
    deployer,
    fails_at,
    killed_before,
    promote,
    proposal,
    rollback,
    version,
)


def _prepared(folder: Path) -> Path:
    promote(folder, 1)
    promote(folder, 2, days=1)
    return folder


def _first(home: Path) -> None:
    promote(home, 3, days=2)


def _back(home: Path) -> None:
    rollback(home, days=2)


def _confirm(home: Path) -> None:
    from forex_assets.lifecycle.ledger import Decision

    decision = Decision("probation", SUBJECT, {"verdict": "passed"}, ["no harm seen"])
    deployer(home).confirm(SUBJECT, decision, now=NOW + dt.timedelta(days=2))


def _stage(home: Path) -> None:
    made = deployer(home, policies={"low": "two-person", "medium": "two-person", "high": "two-person"})
    candidate = version(3)
    made.propose([proposal(candidate, made.store.of(SUBJECT).current)], CLEAR, as_of=AS_OF, now=NOW)


def _vacant(home: Path) -> None:
    promote(home, 1)


def _reject(home: Path) -> None:
    deployer(home).vote(version(3), by="Ana", why="too narrow", approve=False, now=NOW)


def _acknowledge(home: Path) -> None:
    deployer(home).acknowledge(SUBJECT, by="Ana", why="late prices", now=NOW + dt.timedelta(days=3))


def _both(home: Path) -> None:
    made = deployer(home, promotion_unit="set")
    state = made.store.state(SUBJECT.scope)
    pair = [version(3), version(7, OTHER)]
    made.propose([proposal(one, state.of(one.subject).current) for one in pair], CLEAR, as_of=AS_OF, now=NOW)


def _staged(folder: Path) -> Path:
    _stage(_prepared(folder))
    return folder


def _in_trouble(folder: Path) -> Path:
    rollback(_prepared(folder), days=2, actor="automation")
    return folder


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


pytestmark = pytest.mark.usefixtures("unflushed")

STEPS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Path]]] = {
    "first promotion": (_vacant, _empty),
    "promotion": (_first, _prepared),
    "promotion of a set": (_both, _prepared),
    "staging": (_stage, _prepared),
    "rejection": (_reject, _staged),
    "confirmation": (_confirm, _prepared),
    "rollback": (_back, _prepared),
    "acknowledgement": (_acknowledge, _in_trouble),
}


def _sound(home: Path) -> str:
    store = LifecycleStore(home)
    found = store.resolve(SUBJECT)
    pointers = store.of(SUBJECT)
    assert found.notes == ()
    assert (found.version.hash if found.version else SETTINGS) == pointers.current
    for name in {pointers.current, pointers.last_known_good, *pointers.earlier, pointers.staged} - {SETTINGS, None}:
        assert store.versions.get(str(name)).hash == name
    verified = store.ledger.verify()
    assert verified.intact, verified.faults
    return pointers.current


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.capability("J15", "L03", "A21", "A24")
def test_killed_between_any_two_file_operations_it_was_either_done_or_not(tmp_path: Path, step: str) -> None:
    work, prepare = STEPS[step]
    start = prepare(tmp_path / "start")
    done = tmp_path / "done"
    shutil.copytree(start, done)
    before = LifecycleStore(start).of(SUBJECT)
    work(done)
    after = LifecycleStore(done).of(SUBJECT)
    kills = interrupted = 0
    for number in range(1, 400):
        home = tmp_path / f"home{number}"
        shutil.copytree(start, home)
        if not killed_before(number, lambda home=home: work(home), home):
            break
        kills += 1
        _sound(home)
        found = LifecycleStore(home).of(SUBJECT)
        assert _where(found) in {_where(before), _where(after)}
        # What comes next works, and says when the step before it was cut short.
        if LifecycleStore(home).of(SUBJECT).earlier:
            deployer(home).rollback(SUBJECT, why=["trial"], as_of=AS_OF, now=NOW, actor="Ana")
        else:
            with pytest.raises(ForexError, match="no earlier version"):
                deployer(home).rollback(SUBJECT, why=["trial"], as_of=AS_OF, now=NOW, actor="Ana")
        _sound(home)
        interrupted += any(e.outcome.get("interrupted") for e in LifecycleStore(home).ledger.entries(kinds=["repair"]))
        assert not list(home.rglob(".0*.tmp"))
        shutil.rmtree(home)
    else:
        pytest.fail("the step never ended")
    assert kills > 10
    assert interrupted >= 1


def _where(pointers: Pointers) -> tuple[object, ...]:
    return pointers.current, pointers.staged, pointers.earlier, pointers.last_known_good, bool(pointers.incident)


@pytest.mark.parametrize("step", ["promotion", "staging", "rejection", "confirmation", "rollback", "acknowledgement"])
@pytest.mark.capability("A22", "J12", "D12")
def test_a_full_disk_at_any_operation_leaves_what_was_deployed(tmp_path: Path, step: str) -> None:
    work, prepare = STEPS[step]
    start = prepare(tmp_path / "start")
    results = []
    for number in range(1, 400):
        home = tmp_path / f"home{number}"
        shutil.copytree(start, home)
        result = fails_at(number, errno.ENOSPC, lambda home=home: work(home), home)
        _sound(home)
        shutil.rmtree(home)
        results.append(result)
        if result == 0:
            break
    assert results[-1] == 0
    assert 3 not in results  # a typed error, or done where only cleaning up failed
    assert results.count(1) > 8


def _race(home: str, number: int, expected: int, barrier: object, out: object) -> None:
    made = deployer(Path(home))
    candidate = version(number)
    barrier.wait()  # type: ignore[attr-defined]
    try:
        move = made.propose([proposal(candidate)], CLEAR, as_of=AS_OF, now=NOW, expected=expected)[0]
        out.put((number, move.action))  # type: ignore[attr-defined]
    except ConcurrentMoveError as error:
        out.put((number, error.message))  # type: ignore[attr-defined]


@pytest.mark.capability("L02", "J13", "L05")
def test_of_eight_processes_promoting_at_once_one_wins_and_the_others_are_told(tmp_path: Path) -> None:
    context = mp.get_context("fork")
    barrier, out = context.Barrier(8), context.Queue()
    children = [context.Process(target=_race, args=(str(tmp_path), number, 0, barrier, out)) for number in range(1, 9)]
    for child in children:
        child.start()
    answers = dict(out.get(timeout=60) for _ in children)
    for child in children:
        child.join(60)
    winners = [number for number, answer in answers.items() if answer == "promoted"]
    assert len(winners) == 1
    assert all("somebody else moved" in answer for n, answer in answers.items() if n != winners[0])
    store = LifecycleStore(tmp_path)
    assert _sound(tmp_path) == version(winners[0]).hash
    assert store.state(SUBJECT.scope).generation == 1
    refused = [e for e in store.ledger.entries() if e.outcome.get("action") == "refuse"]
    assert len(refused) == 7


@pytest.mark.capability("L02")
def test_the_swap_itself_refuses_a_taken_generation_even_without_the_lock(tmp_path: Path) -> None:
    store = LifecycleStore(tmp_path)
    stale = store.state(SUBJECT.scope)
    promote(tmp_path, 1)
    with pytest.raises(ConcurrentMoveError, match="moved by somebody else"):
        store.pointers.swap(stale, {SUBJECT.key: stale.of(SUBJECT).stage(version(2).hash)}, now=NOW, entry="x")
    assert _sound(tmp_path) == version(1).hash


def _reader(home: str, stop: object, out: object) -> None:
    seen, bad = 0, []
    while not stop.is_set():  # type: ignore[attr-defined]
        store = LifecycleStore(Path(home))
        found = store.resolve(SUBJECT)
        seen += 1
        if found.notes or found.version is None:
            bad.append(found.notes)
    out.put((seen, bad))  # type: ignore[attr-defined]


@pytest.mark.capability("A24", "L04")
def test_no_reader_ever_sees_a_part_while_pointers_move(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    context = mp.get_context("fork")
    stop, out = context.Event(), context.Queue()
    child = context.Process(target=_reader, args=(str(tmp_path), stop, out))
    child.start()
    for number in range(2, 22):
        promote(tmp_path, number, days=number)
    stop.set()
    seen, bad = out.get(timeout=60)
    child.join(60)
    assert seen > 20
    assert bad == []


# ---- damage ----------------------------------------------------------------------------------------------------


@pytest.mark.capability("A24", "D12")
def test_a_corrupted_version_file_is_read_from_its_copy_and_mended(tmp_path: Path) -> None:
    made = promote(tmp_path, 1)
    store = LifecycleStore(tmp_path)
    path = store.versions.folder / f"{made.hash}.json"
    for damage in (b"", b"{", path.read_bytes().replace(b"31", b"32")):
        path.write_bytes(damage)
        assert store.resolve(SUBJECT).version == made
        assert store.versions.damaged() == {str(path): "can be mended from its copy"}
        assert store.versions.mend(made.hash)
        assert store.versions.damaged() == {}


@pytest.mark.capability("A24", "D12")
def test_a_version_lost_with_its_copy_is_stepped_over_and_said(tmp_path: Path) -> None:
    first, second = promote(tmp_path, 1), promote(tmp_path, 2, days=1)
    store = LifecycleStore(tmp_path)
    for folder in (store.versions.folder, store.versions.copies):
        (folder / f"{second.hash}.json").write_bytes(b"rubbish")
    found = store.resolve(SUBJECT)
    assert found.version is None or found.version == first
    assert f"version {second.hash} cannot be read" in found.notes[0]
    assert store.versions.damaged() == {
        str(folder / f"{second.hash}.json"): "lost" for folder in (store.versions.folder, store.versions.copies)
    }
    assert rollback(tmp_path, days=2) == first.hash


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"hash": 1', b"\xff\xfe"])
@pytest.mark.capability("A24", "J15")
def test_a_corrupted_pointer_is_recomputed_from_the_ledger_and_repaired_by_the_next_move(
    tmp_path: Path, damage: bytes
) -> None:
    promote(tmp_path, 1)
    second = promote(tmp_path, 2, days=1)
    before = LifecycleStore(tmp_path).state(SUBJECT.scope)
    path = LifecycleStore(tmp_path).pointers.path(SUBJECT.scope, 2)
    path.write_bytes(damage)
    store = LifecycleStore(tmp_path)
    state = store.state(SUBJECT.scope)
    assert state.subjects == before.subjects
    assert "recomputed from the ledger" in state.damage[0]
    assert store.resolve(SUBJECT).version == second
    promote(tmp_path, 3, days=2)
    assert LifecycleStore(tmp_path).state(SUBJECT.scope).damage == ()
    assert [e.outcome["scope"] for e in store.ledger.entries(kinds=["repair"])] == [SUBJECT.scope]


@pytest.mark.capability("A24", "L09")
def test_a_pointer_lost_from_the_ledger_too_falls_back_to_the_last_known_good_not_to_what_may_have_been_rolled_back(
    tmp_path: Path,
) -> None:
    promote(tmp_path, 1)
    _confirm(tmp_path)
    promote(tmp_path, 2, days=3)
    rollback(tmp_path, days=4)
    store = LifecycleStore(tmp_path)
    newest = store.pointers.generations(SUBJECT.scope)[-1]
    store.pointers.path(SUBJECT.scope, newest).write_bytes(b"rubbish")
    store.ledger.path.unlink()
    found = LifecycleStore(tmp_path).resolve(SUBJECT)
    assert found.version == version(1)
    assert "last known good" in found.notes[0]


@pytest.mark.capability("J15")
def test_every_generation_damaged_leaves_the_settings_model_and_says_so(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    store = LifecycleStore(tmp_path)
    store.pointers.path(SUBJECT.scope, 1).write_bytes(b"")
    store.ledger.path.unlink()
    found = LifecycleStore(tmp_path).resolve(SUBJECT)
    assert found.version is None
    assert "damaged" in found.notes[0]


@pytest.mark.capability("K28")
def test_a_clock_that_jumps_back_reorders_nothing(tmp_path: Path) -> None:
    first = promote(tmp_path, 1, days=10)
    second = promote(tmp_path, 2, days=-400)
    store = LifecycleStore(tmp_path)
    history = store.of(SUBJECT).history
    assert [span.version for span in history] == [first.hash, second.hash]
    assert history[1].recorded_at >= history[0].recorded_at
    assert history[1].valid_from >= history[0].valid_from
    assert [entry.at for entry in store.ledger.entries()] == sorted(entry.at for entry in store.ledger.entries())
    lines = [json.loads(line) for line in store.ledger.path.read_text().splitlines()]
    assert "clock" in lines[-1]  # what the clock said is kept
    assert store.resolve(SUBJECT, AS_OF - dt.timedelta(days=399)).version is None
    _sound(tmp_path)


def test_another_subject_of_the_pair_keeps_its_pointers(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    promote(tmp_path, 7, OTHER, days=1)
    rollback(tmp_path, days=2)
    store = LifecycleStore(tmp_path)
    assert store.of(SUBJECT).current == SETTINGS
    assert store.of(OTHER).current == version(7, OTHER).hash


@pytest.mark.capability("A22")
def test_a_read_only_folder_refuses_with_a_remedy_and_changes_nothing(tmp_path: Path) -> None:
    start = _prepared(tmp_path / "home")
    assert fails_at(1, errno.EROFS, lambda: promote(start, 3, days=2), start) == 1
    assert _sound(start) == version(2).hash
    with pytest.raises(StoreError):
        LifecycleStore(start).versions.get("0" * 16)
