"""Each promotion policy end to end from the command line: auto, two people, shadow first; and a wrong one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from forex_assets import schemas
from forex_assets.lifecycle.reports import CandidateReport, frame_of
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion
from forex_assets.pipeline import Pipeline
from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG, VALIDATION_REPORT
from forex_assets.settings import load_settings, packaged_config_dir
from forex_assets_tests.cli.conftest import Forex
from forex_assets_tests.lifecycle.factory import AS_OF, SUBJECT, report, version
from forex_assets_tests.reporting.factory import _evaluation_rows, _prices, table

Configure = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write a configuration whose deployment policy differs from the packaged one, and use it."""
    folder = tmp_path / "configs-of-test"
    shutil.copytree(packaged_config_dir(), folder)
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(folder))

    def change(**values: Any) -> None:
        path = folder / "deployment.yaml"
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        body["guards"]["frozen_windows"] = []  # the command's clock is the real one
        path.write_text(yaml.safe_dump({**body, **values}), encoding="utf-8")

    change()
    return change


def _offer() -> ConfigVersion:
    pipeline = Pipeline(load_settings())
    candidate = version(1, parameters={})
    current = pipeline.lifecycle.of(SUBJECT).current
    found = CandidateReport(SUBJECT, AS_OF, "test", candidate, ("best",))
    for spec, item in ((CANDIDATE_CONFIG, found), (VALIDATION_REPORT, report(candidate, current))):
        frame = pipeline.stamp(frame_of(item), config_hash="c" * 16, data_hash="d" * 16)
        pipeline.store.write(spec, "usdclp", ("7d",), frame)
    return candidate


def _promote(forex: Forex, by: str) -> tuple[str, str]:
    said = forex("optimize", "promote", "--horizon", "7d", "--yes", "--by", by, "--json")
    (move,) = json.loads(said.out)["moves"]
    return move["action"], move["policy"]


def _in_use(home: Path) -> str:
    store = LifecycleStore(home)
    assert store.verify().intact
    return store.of(SUBJECT).current


@pytest.mark.capability("L11", "A20")
def test_auto_promotes_at_once(forex: Forex, home: Path, configure: Configure) -> None:
    candidate = _offer()
    assert _promote(forex, "Ana") == ("promoted", "auto")
    assert _in_use(home) == candidate.hash


@pytest.mark.capability("L11", "D07", "E24", "B27")
def test_two_person_waits_for_two_others_and_records_their_reasons(
    forex: Forex, home: Path, configure: Configure
) -> None:
    configure(policies={"low": "auto", "medium": "two-person", "high": "two-person"})
    candidate = _offer()
    assert _promote(forex, "Ana") == ("staged", "two-person")
    for by in ("Ana", "Beto"):
        said = forex("optimize", "approve", "--horizon", "7d", "--why", f"{by} looked", "--by", by)
        assert said.code == 0
    assert _promote(forex, "Ana") == ("staged", "two-person")  # a proposer is not another person
    assert _in_use(home) == SETTINGS
    forex("optimize", "approve", "--horizon", "7d", "--why", "coverage holds", "--by", "Carla")
    assert _promote(forex, "Ana") == ("promoted", "two-person")
    assert _in_use(home) == candidate.hash
    assert LifecycleStore(home).of(SUBJECT).history[-1].approvers == ("Ana", "Beto", "Carla")
    rows = json.loads(forex("optimize", "history", "--json").out)["entries"]
    assert next(row["reasons"][0] for row in rows if row["kind"] == "approval") == "coverage holds"


@pytest.mark.capability("L11", "A38", "L07")
def test_shadow_then_auto_promotes_after_enough_matured_targets_without_harm(
    forex: Forex, home: Path, configure: Configure
) -> None:
    configure(policies={"low": "auto", "medium": "shadow-then-auto", "high": "two-person"}, shadow_min_targets=5)
    candidate = _offer()
    assert _promote(forex, "Ana") == ("staged", "shadow-then-auto")
    active = Pipeline(load_settings()).active("usdclp", "7d")
    assert [item.version for item in active.shadows] == [candidate.hash]  # runs beside what is in use
    status = json.loads(forex("optimize", "status", "--horizon", "7d", "--json").out)["pairs"][0]["horizons"][0]
    assert status["staged"] == candidate.hash
    _mature(candidate.label, active.model, days=8)
    assert _promote(forex, "Ana") == ("staged", "shadow-then-auto")  # 5 targets, but not 14 days
    _mature(candidate.label, active.model, days=30)
    assert _promote(forex, "Ana") == ("promoted", "shadow-then-auto")
    assert _in_use(home) == candidate.hash


def _mature(new: str, old: str, *, days: int) -> None:
    """Store the scores of both models on the days after the candidate's data end."""
    pipeline = Pipeline(load_settings())
    made = pd.DataFrame(_evaluation_rows(_prices(), pd.Timestamp("2025-08-29"), 7))
    first = pd.Timestamp("2025-06-02")
    made = made.loc[(made["as_of"] >= first) & (made["as_of"] < first + pd.Timedelta(days=days))]
    for row in made.to_dict("records"):
        frame = table(schemas.EVALUATION, [{**row, "model": name, "is_active": name == old} for name in (new, old)])
        pipeline.store.write(schemas.EVALUATION, "usdclp", ("7d", row["as_of"].date().isoformat()), frame)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"policies": {"low": "auto", "medium": "yolo", "high": "auto"}}, "medium"),
        ({"approvals_needed": 1}, "approvals_needed"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
@pytest.mark.capability("L11", "A24", "J12")
def test_a_malformed_policy_stops_every_command_and_changes_nothing(
    forex: Forex, home: Path, configure: Configure, wrong: dict[str, Any], words: str
) -> None:
    _offer()
    configure(**wrong)
    for command in (
        ("optimize", "promote", "--yes"),
        ("optimize", "rollback", "--horizon", "7d", "--why", "x", "--yes"),
    ):
        said = forex(*command)
        assert said.code == 2
        assert "deployment.yaml" in said.err
        assert words in said.err
    assert _in_use(home) == SETTINGS
    assert LifecycleStore(home).ledger.entries() == []
