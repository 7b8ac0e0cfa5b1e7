"""``forex optimize`` and ``forex ledger`` from the outside: what they print, what they change, how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forex_assets.lifecycle.reports import CandidateReport, frame_of
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.ops.alerts import Outbox
from forex_assets.pipeline import Pipeline
from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG, VALIDATION_REPORT
from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex
from forex_assets_tests.lifecycle.factory import (
    AS_OF,
    CLEAR,
    NOW,
    SUBJECT,
    deployer,
    promote,
    proposal,
    report,
    rollback,
    version,
)


@pytest.mark.capability("A31", "J15", "L02")
def test_rollback_by_hand_twice_goes_back_twice_and_tells_the_classic_file(forex: Forex, home: Path) -> None:
    first = promote(home, 1)
    promote(home, 2, days=1)
    said = forex("optimize", "rollback", "--horizon", "7d", "--why", "losses doubled", "--by", "Ana", "--yes", "--json")
    assert said.code == 0
    assert json.loads(said.out)["version"] == first.hash
    assert LifecycleStore(home).of(SUBJECT).current == first.hash
    assert json.loads((home / "configs" / "chronos_7d.json").read_text())["horizon"] == "7d"
    said = forex("optimize", "rollback", "--horizon", "7d", "--why", "still", "--yes")
    assert "settings is in use again" in said.out
    assert not (home / "configs" / "chronos_7d.json").exists()
    said = forex("optimize", "rollback", "--horizon", "7d", "--why", "once more", "--yes")
    assert said.code == 2
    assert "there is no earlier version" in " ".join(said.err.split())


def test_what_asks_needs_a_yes_where_nobody_is_there_to_answer(forex: Forex, home: Path) -> None:
    promote(home, 1)
    said = forex("optimize", "rollback", "--horizon", "7d", "--why", "x")
    assert said.code == 2
    assert "give --yes" in said.err
    assert LifecycleStore(home).of(SUBJECT).current == version(1).hash


def test_status_shows_what_is_deployed_and_ends_with_1_when_a_person_is_needed(forex: Forex, home: Path) -> None:
    said = forex("optimize", "status", "--json")
    assert said.code == 0
    (pair,) = json.loads(said.out)["pairs"]
    assert {row["current"] for row in pair["horizons"]} == {SETTINGS}
    made = promote(home, 1)
    rollback(home, days=1, actor="automation")
    said = forex("optimize", "status", "--horizon", "7d")
    assert said.code == 1
    assert "settings" in said.out
    assert "incident 000002" in said.out
    said = forex("optimize", "acknowledge", "--horizon", "7d", "--why", "late prices", "--by", "Ana", "--json")
    assert json.loads(said.out)["by"] == "Ana"
    forex("optimize", "rollback", "--horizon", "7d", "--why", "tell the sinks", "--yes")
    (pair,) = json.loads(forex("optimize", "status", "--horizon", "7d", "--json").out)["pairs"]
    assert [row["incident"] for row in pair["horizons"]] == [None]
    assert made.hash in json.dumps(json.loads(forex("optimize", "history", "--json").out))


@pytest.mark.capability("E24")
def test_a_staged_version_is_approved_or_rejected_with_a_justification(forex: Forex, home: Path) -> None:
    made = deployer(home)
    candidate = version(1, model="chronos_t5")
    made.propose([proposal(candidate)], CLEAR, as_of=AS_OF, now=NOW)
    said = forex("optimize", "approve", "--horizon", "7d", "--why", "coverage holds", "--by", "Ana", "--json")
    assert json.loads(said.out) | {"entry": ""} == {
        "subject": SUBJECT.key,
        "version": candidate.hash,
        "approved": True,
        "by": "Ana",
        "entry": "",
    }
    assert (
        "rejected by Beto"
        in forex("optimize", "approve", "--horizon", "7d", "--why", "too slow", "--by", "Beto", "--reject").out
    )
    said = forex("optimize", "approve", "--horizon", "7d", "--why", "again")
    assert said.code == 2
    assert "No version is staged" in said.err


def test_promote_says_when_there_is_nothing_to_deploy(forex: Forex, home: Path) -> None:
    said = forex("optimize", "promote", "--yes")
    assert said.code == 1
    assert "No horizon of usdclp has a validated candidate" in said.err
    assert home.exists()


@pytest.mark.capability("A20", "L08", "L11")
def test_promote_deploys_what_was_validated_and_says_what_stops_it(forex: Forex, home: Path) -> None:
    pipeline = Pipeline(load_settings())
    candidate = version(1, parameters={})
    found = CandidateReport(SUBJECT, AS_OF, "test", candidate, ("best",))
    for table, item in ((CANDIDATE_CONFIG, found), (VALIDATION_REPORT, report(candidate))):
        frame = pipeline.stamp(frame_of(item), config_hash="c" * 16, data_hash="d" * 16)
        pipeline.store.write(table, "usdclp", ("7d",), frame)
    dry = forex("optimize", "promote", "--dry-run", "--by", "Ana", "--json")
    assert (dry.code, json.loads(dry.out)["moves"][0]["action"]) == (1, "refused")
    (home / "KILL").touch()
    stopped = forex("optimize", "promote", "--horizon", "7d", "--yes")
    assert stopped.code == 1
    assert "the kill file KILL is there" in " ".join(stopped.out.split())
    (home / "KILL").unlink()
    said = forex("optimize", "promote", "--yes", "--by", "Ana", "--json")
    (move,) = json.loads(said.out)["moves"]
    assert (said.code, move["action"], move["version"]) == (0, "promoted", candidate.hash)
    assert json.loads(said.out)["sinks"][0]["state"] == "told"
    assert Pipeline(load_settings()).active("usdclp", "7d").model == candidate.label
    kinds = [alert.kind for _, alert in Outbox.from_settings(load_settings()).read().alerts]
    assert kinds == ["deployment"]  # the refusal; a dry run raises none


@pytest.mark.capability("L01", "E24")
def test_the_ledger_is_verified_shown_and_replayed(forex: Forex, home: Path) -> None:
    promote(home, 1)
    promote(home, 2, days=1)
    assert forex("ledger", "verify").out.strip() == "2 lines, intact"
    assert len(json.loads(forex("ledger", "show", "--json").out)["entries"]) == 2
    assert "promotion" in forex("ledger", "show").out
    shown = json.loads(forex("ledger", "show", "000001", "--json").out)
    assert shown["inputs"]["candidate"]["hash"] == version(1).hash
    assert "the gate approved it" in forex("ledger", "show", "000001").out
    assert json.loads(forex("ledger", "replay", "000002", "--json").out)["result"] == "same"
    path = home / "lifecycle" / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"policy":"auto"', b'"policy":"free"', 1))
    said = forex("ledger", "verify", "--json")
    assert said.code == 1
    assert next(fault["line"] for fault in json.loads(said.out)["faults"]) == 1
    assert forex("ledger", "verify").code == 1
    said = forex("ledger", "replay", "000001")
    assert said.code == 1
    assert "policy: 'free' → 'auto'" in said.out


@pytest.mark.capability("L01")
def test_a_ledger_written_anew_is_missed_by_the_pointers(forex: Forex, home: Path) -> None:
    promote(home, 1)
    (home / "lifecycle" / "ledger.jsonl").unlink()
    (home / "lifecycle" / "ledger.head").unlink()
    promote(home / "elsewhere", 2)
    (home / "elsewhere" / "lifecycle" / "ledger.jsonl").rename(home / "lifecycle" / "ledger.jsonl")
    assert LifecycleStore(home).ledger.verify().intact
    said = forex("ledger", "verify")
    assert said.code == 1
    assert "the pointers name this entry" in said.out


@pytest.mark.capability("L02")
def test_the_drill_restores_every_damage_and_touches_nothing_deployed(forex: Forex, home: Path) -> None:
    made = promote(home, 1)
    promote(home, 2, days=1)
    before = sorted((path.name, path.read_bytes()) for path in (home / "lifecycle" / "pointers").rglob("*.json"))
    said = forex("optimize", "drill", "--json")
    body = json.loads(said.out)
    assert (said.code, body["passed"], body["planted"]) == (0, True, False)
    assert len(body["steps"]) == 5
    assert 0 < body["restore_s"] < 5
    after = sorted((path.name, path.read_bytes()) for path in (home / "lifecycle" / "pointers").rglob("*.json"))
    assert after == before
    assert [path for path in home.iterdir() if path.name.startswith(".drill")] == []
    assert LifecycleStore(home).versions.get(made.hash) == made
    assert "restored" in forex("optimize", "drill", "--horizon", "30d").out  # plants versions of its own
    (home / "lifecycle" / "ledger.jsonl").write_bytes(b"")
    assert forex("optimize", "drill").code == 1  # a ledger that is already damaged cannot be restored
