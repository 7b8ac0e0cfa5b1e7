"""The watching commands on embedded data: tables, JSON, exit codes, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex


@pytest.mark.capability("B12")
def test_check_shows_every_horizon_with_status_changes_and_samples(forex: Forex) -> None:
    said = forex("check", "--pair", "usdclp", "--as-of", "2025-06-12", "--json")
    rows = json.loads(said.out)["rows"]
    assert [row["horizon"] for row in rows] == ["7d", "15d", "30d", "90d"]
    assert said.code == int(any(row["degradation_detected"] for row in rows))
    assert {row["status"] for row in rows} <= {"EXCELLENT", "GOOD", "DEGRADED", "CRITICAL", "UNKNOWN"}
    assert rows[0]["samples"] > 0
    # The classic rule sees no matured 90d forecast among the newest ones, and says GOOD.
    assert rows[3]["classic_status"] == "GOOD"


def test_drift_is_shown_for_both_profiles(forex: Forex) -> None:
    for profile, subject in (("recommended", "returns"), ("classic", "price level")):
        said = forex("drift", "show", "--pair", "usdclp", "--as-of", "2025-06-12", "--profile", profile, "--json")
        assert subject in {row["subject"] for row in json.loads(said.out)["rows"]}


def test_a_replay_of_a_month_draws_its_picture(forex: Forex, tmp_path: Path) -> None:
    picture = tmp_path / "replay.svg"
    said = forex(
        *("monitor", "replay", "--pair", "usdclp", "--from", "2025-05-01", "--to", "2025-05-30"),
        *("--monitor", "performance,drift", "--picture", str(picture)),
    )
    assert said.code == 0
    assert "Alarms:" in said.out
    assert picture.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("monitor", "replay", "--pair", "usdclp", "--profile", "strict"), "no profile 'strict'"),
        (("drift", "show", "--days", "0"), "from 1 to 365"),
        (("check", "--all", "--pair", "usdclp"), "exclude each other"),
        (("monitor", "calibrate-alarms", "--years", "2"), "between 5 and 60"),
        (("drift", "show", "--pair", "usdclp,eurusd"), "one pair"),
        (("monitor", "replay", "--pair", "usdclp,eurusd"), "one pair"),
    ],
)
def test_wrong_use_is_refused_with_the_rule(forex: Forex, arguments: tuple[str, ...], words: str) -> None:
    said = forex(*arguments)
    assert said.code == 2
    assert words in said.err.replace("\n", " ")


def test_alarms_are_calibrated_in_one_small_world(forex: Forex) -> None:
    arguments = ("--years", "5", "--paths", "1", "--null", "walk_t5", "--profile", "classic")
    said = forex("monitor", "calibrate-alarms", *arguments)
    assert said.code == 0
    # Unless asked otherwise, on the paths the packaged rates come from, never on those that chose the limits.
    assert f"World walk_t5, profile classic, seed {load_settings().recommended.alarm_table.reporting_seed}" in said.out
