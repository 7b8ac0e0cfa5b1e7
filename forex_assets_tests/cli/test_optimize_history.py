"""``forex optimize backtest`` and ``forex demo loop`` from the outside: what they print, and how they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forex_assets.cli import optimize_history
from forex_assets.defs import loop_demo
from forex_assets.reporting.loop_story import Chapter, Story
from forex_assets_tests.cli.conftest import Forex


@pytest.mark.capability("J01", "K06")
def test_the_replay_runs_on_the_real_years(forex: Forex, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("optimize", "backtest", "--pair", "usdclp", "--horizon", "7d", "--from", "2024-11-01", "--json")
    said = forex(*arguments)
    assert said.code == 0, said.err
    body = json.loads(said.out)
    (row,) = body["rows"]
    assert row["configurations"] >= 64
    assert row["searches"] >= 2
    assert row["first_origin"] == "2024-11-04"
    assert 0.9 < row["crps"]["value"] < 1.1
    assert row["decisions"][0]["day"] == "2024-09-30"
    assert "replaying the months" in said.err
    # The same rows as a person reads them, a promotion among them.
    moved = {**row["decisions"][0], "action": "promoted"}
    optimize_history._print([{**row, "decisions": [moved], "months_with_shortened_periods": 1}], "champion_zero")
    text = capsys.readouterr().out
    assert "7d 2024-09-30: promoted" in text
    assert "the best of 71 in hindsight" in text
    assert "shortened where the history was short: 7d" in text


def test_wrong_use_of_the_replay_is_refused_before_anything_is_computed(forex: Forex) -> None:
    said = forex("optimize", "backtest", "--pair", "usdclp,eurusd")
    assert (said.code, said.out) == (2, "")
    assert "one pair at a time" in said.err
    assert forex("optimize", "backtest", "--from", "2015-13-01").code == 2


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand in for the play itself, which has a test of its own; keeps the homes it was given."""
    homes: list[Any] = []

    def run_demo(home: Path, config_dir: Path, *, daemon: bool, told: Callable[[str], None]) -> Story:
        told("playing")
        homes.append((home, daemon))
        entry = {"id": "000001-abc", "kind": "trigger", "what": "", "actor": "automation", "reasons": ["time"]}
        chapter = Chapter("trigger", {"rules": [], "asking": ["time"]}, (entry,), 1.0)
        return Story("usdclp", "7d", "2025-06-13", (chapter,), 2.0, daemon)

    monkeypatch.setattr(loop_demo, "run_demo", run_demo)
    return homes


def test_the_demo_keeps_the_story_and_only_on_request_its_home(
    forex: Forex, home: Path, tmp_path: Path, played: list[Any]
) -> None:
    said = forex("demo", "loop")
    assert said.code == 0
    assert "1. trigger (1 s): trigger 000001-abc" in said.out
    assert "playing" in said.err
    ((temporary, daemon),) = played
    assert not daemon
    assert not temporary.exists()
    assert "000001-abc" in (home / "demo" / "loop_en.html").read_text(encoding="utf-8")

    own = tmp_path / "own"
    said = forex("demo", "loop", "--home", str(own), "--daemon", "--json")
    body = json.loads(said.out)
    assert body["home"] == str(own)
    assert body["by_daemon"]
    assert [Path(page).parent for page in body["pages"]] == [own / "demo"] * 2
    assert "demonio real" in (own / "demo" / "loop_es.html").read_text(encoding="utf-8")
    assert f"Home: {own}" in forex("demo", "loop", "--home", str(own)).out
