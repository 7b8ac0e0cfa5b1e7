"""``forex optimize run`` and ``model-optimizer`` in this process: from the trigger to a deployment and back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from forex_assets.cli.model_optimizer import app, main
from forex_assets.defs.loop_run import run_loop
from forex_assets.home import prepare_home
from forex_assets.lifecycle.classic_history import COLUMNS
from forex_assets.lifecycle.reports import ValidationReport
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.pipeline import Pipeline
from forex_assets.schemas.lifecycle import VALIDATION_REPORT
from forex_assets_tests.cli.conftest import Forex, Said, forex  # noqa: F401 - a fixture
from forex_assets_tests.defs.test_optimization import variant
from forex_assets_tests.defs.world import PAIR, World

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def weak_home(world: World, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A built home with a weak start, which the commands find through the environment."""
    weak = variant(world, config_dir, tmp_path / "weak", active="random_walk")
    return entered(weak, monkeypatch)


def entered(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    settings = world.settings
    for name, value in (
        ("FOREX_HOME", settings.home),
        ("FOREX_CONFIG_DIR", settings.config_dir),
        ("FOREX_PAIRS", PAIR),
        ("FOREX_OFFLINE", "1"),
        ("DAGSTER_HOME", settings.home / "dagster"),
    ):
        monkeypatch.setenv(name, str(value))
    prepare_home(settings, {"DAGSTER_HOME": str(settings.home / "dagster")})
    return world


@pytest.fixture
def classic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call ``model-optimizer`` with arguments in this process."""

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["model-optimizer", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.mark.capability("A03", "A23", "A31", "A37")
def test_a_run_by_hand_goes_from_the_trigger_to_a_deployment_and_back(
    weak_home: World,
    forex: Forex,  # noqa: F811
    classic: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered(weak_home, monkeypatch)  # the fixture of the command points to a home of its own
    subject, pipeline = Subject.forecast(PAIR, "7d"), Pipeline(weak_home.settings)
    said = classic("run", "--all", "--dry-run", "--json")
    assert said.code == 0
    found = json.loads(said.out)["pairs"][0]["horizons"]
    assert [(row["horizon"], row["result"], row["triggered"]) for row in found] == [
        ("7d", "would search", True),
        ("30d", "would search", True),
    ]
    assert pipeline.lifecycle.of(subject).current == SETTINGS

    said = forex("optimize", "run", "--horizon", "7d", "--in-process", "--json")
    assert said.code == 0, said.err
    (row,) = json.loads(said.out)["pairs"][0]["horizons"]
    assert (row["result"], row["approved"], row["deployed"]) == ("deployed", True, row["candidate"])
    assert set(row["entries"]) == {"trigger", "search", "gate"}
    assert pipeline.lifecycle.of(subject).current == row["candidate"]
    assert f"searching {PAIR} 7d" in said.err

    said = forex("optimize", "run", "--horizon", "7d")
    assert said.code == 0
    assert "usdclp 7d: not triggered" in said.out
    assert "on probation" in said.out

    (done,) = json.loads(classic("history", "--json").out)["rows"]
    assert tuple(done) == COLUMNS
    assert (done["horizon"], done["triggered_by"], done["days_since_last"], done["success"]) == (
        "7d",
        "time",
        None,
        True,
    )
    assert done["drift_severity"] in ("NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL")
    assert isinstance(done["performance_degradation_pct"], float)
    assert "yes" in classic("history", "-h", "7d", "-n", "1").out
    assert row["candidate"] in classic("status").out
    said = classic("rollback", "7d")
    assert said.code == 0
    assert pipeline.lifecycle.of(subject).current == SETTINGS


@pytest.mark.capability("A13", "A19", "K06")
def test_what_is_forced_by_hand_reaches_the_gate_that_judges_this_very_candidate(weak_home: World) -> None:
    pipeline, subject = Pipeline(weak_home.settings), Subject.forecast(PAIR, "7d")
    (done,) = run_loop(weak_home.settings, PAIR, ["7d"], isolated=False, force=True)
    (gate,) = pipeline.lifecycle.ledger.entries(subject=subject, kinds=("gate",))
    given, _ = pipeline.lifecycle.ledger.given(gate)
    report = ValidationReport.from_frame(pipeline.store.read(VALIDATION_REPORT, PAIR, [("7d",)]))
    assert gate.id == done.entries["gate"] == report.entry
    assert gate.outcome["candidate"] == done.candidate == report.candidate == given["version"]
    assert report.forced
    # What a person forced is of high risk: it waits for two others.
    assert (done.approved, done.result, done.deployed) == (True, "staged", SETTINGS)
    assert pipeline.lifecycle.of(subject).staged == done.candidate


@pytest.mark.capability("A24")
def test_a_horizon_that_fails_is_told_and_the_others_go_on(
    world: World, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = variant(world, config_dir, tmp_path / "broken", active="rw_ewma", models=["rw_ewma"], min_origins=5000)
    entered(broken, monkeypatch)
    told: list[str] = []
    first, second = run_loop(broken.settings, PAIR, ["7d", "30d"], isolated=False, told=told.append)
    assert (first.result, second.result) == ("failed", "failed")
    assert first.error is not None
    assert "5000 are needed" in first.reasons[0]
    assert told == ["judging the triggers", f"searching {PAIR} 7d", f"searching {PAIR} 30d"]


@pytest.mark.capability("A19")
def test_a_search_that_finds_nothing_better_ends_there_and_is_no_failure(
    world: World, config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = variant(world, config_dir, tmp_path / "calm", active="rw_ewma", models=["rw_ewma"], trials=1)
    entered(calm, monkeypatch)
    (outcome,) = run_loop(calm.settings, PAIR, ["7d"], isolated=False)
    assert (outcome.result, outcome.candidate, outcome.approved) == ("nothing better found", "", None)
    (again,) = run_loop(calm.settings, PAIR, ["7d"], isolated=False)
    assert (again.result, again.triggered) == ("not triggered", False)
    (forced,) = run_loop(calm.settings, PAIR, ["7d"], isolated=False, force=True)
    assert forced.result == "nothing better found"
    search = Pipeline(calm.settings).lifecycle.ledger.entries(kinds=("search",))[-1]
    assert search.outcome["rules"] == ["hand"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "run needs --horizon or --all"),
        (("run", "--all", "-h", "7d"), "not both"),
        (("run", "-h", "8d"), "'8d' is not one of"),
        (("run", "-h", "7d", "--data-dir", "/nowhere"), "--data-dir '/nowhere' is not an existing folder"),
        (("run", "-h", "7d", "--config-dir", "/nowhere"), "--config-dir '/nowhere' is not an existing folder"),
        (("rollback",), "rollback needs a horizon"),
        (("rollback", "7d", "--horizon", "15d"), "two horizons, '7d' and '15d'"),
        (("rollback", "7d"), "there is no earlier version"),
        (("history", "-n", "0"), "--limit 0"),
        (("optimise",), "has no command 'optimise'"),
    ],
)
def test_wrong_use_of_the_classic_names_says_value_and_rule(
    home: Path, classic: Callable[..., Said], arguments: tuple[str, ...], message: str
) -> None:
    said = classic(*arguments)
    assert said.code == 2
    assert message in " ".join(said.err.split())
    assert home


def test_the_classic_names_stand_on_the_page_of_commands() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"`model-optimizer {name}" in text
        for parameter in command.params:
            assert [option for option in parameter.opts if f"`{option}" not in text and "--" in option] == []


@pytest.mark.capability("A38")
def test_simulate_prints_rates_with_their_intervals(forex: Forex) -> None:  # noqa: F811
    said = forex("optimize", "simulate", "--horizon", "7d", "--improvement", "0,0.1", "--worlds", "2")
    assert said.code == 0
    assert "10%" in said.out
    rows = json.loads(
        forex("optimize", "simulate", "--horizon", "7d", "--improvement", "0.1", "--worlds", "2", "--json").out
    )["rows"]
    assert rows[0]["improvement"] == 0.1
    said = forex("optimize", "simulate", "--improvement", "a tenth")
    assert said.code == 2
    assert "'a tenth' is no list of shares" in said.err
    said = forex("optimize", "run", "--engine", "grid")
    assert said.code == 2
    assert "--engine 'grid' is unknown" in said.err
