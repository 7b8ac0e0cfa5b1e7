"""The trigger's false alarms and the comparison of both profiles: on planted findings, and through the command."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forex_assets.lifecycle.simulate import Rate
from forex_assets.optimization.profiles import ProfileRow
from forex_assets.optimization.trigger_rates import path_searches, policy_of
from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex
from forex_assets_tests.cli.conftest import forex as forex

DAYS = np.busday_offset("2020-01-06", np.arange(400))


def scanned(fires: dict[int, str], *, subject: str = "7d", severity: str = "medium") -> pd.DataFrame:
    """Return states of one rule of each monitor over the days; ``fires`` names the monitor that fires on a day."""
    rows = [
        {
            "as_of": pd.Timestamp(day),
            "monitor": monitor,
            "rule": "skill",
            "subject": subject,
            "state": "fired" if fires.get(i) == monitor else "clear",
            "severity": severity,
        }
        for i, day in enumerate(DAYS)
        for monitor in ("performance", "drift")
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def policy() -> dict[str, Any]:
    return policy_of(load_settings(environ={"FOREX_OFFLINE": "1"}), "recommended")


@pytest.mark.capability("A04", "A05", "A06", "A37", "K05")
def test_only_what_fires_on_two_days_in_a_row_asks_and_time_asks_when_nothing_does(policy: dict[str, Any]) -> None:
    every_90_days = path_searches(scanned({}), DAYS, "7d", policy)
    assert every_90_days == [["time"]] * 6  # 560 calendar days
    once = path_searches(scanned({20: "drift"}), DAYS, "7d", policy)
    assert once == every_90_days
    twice = path_searches(scanned({20: "drift", 21: "drift"}), DAYS, "7d", policy)
    assert twice[0] == ["drift"]
    assert {tuple(item) for item in twice[1:]} == {("time",)}
    other = path_searches(scanned({20: "drift", 21: "drift"}, subject="30d"), DAYS, "7d", policy)
    assert other == every_90_days
    mild = path_searches(scanned({20: "drift", 21: "drift"}, severity="low"), DAYS, "7d", policy)
    assert mild == every_90_days


@pytest.mark.capability("A37", "J16")
def test_an_alarm_that_stays_asks_once_a_fortnight_and_another_reason_at_once(policy: dict[str, Any]) -> None:
    stays = dict.fromkeys(range(20, 60), "drift")  # 8 weeks
    asked = path_searches(scanned(stays), DAYS, "7d", policy)
    assert [item for item in asked if item == ["drift"]] == [["drift"]] * 4
    both = {**stays, 25: "performance", 26: "performance"}
    asked = path_searches(scanned(both), DAYS, "7d", policy)
    assert asked[:2] == [["drift"], ["performance"]]


@pytest.mark.capability("A03", "A19", "K01", "K05", "K06")
def test_the_command_puts_both_profiles_side_by_side_where_nothing_is_wrong(
    forex: Forex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = forex("optimize", "compare", "--horizon", "7d", "--worlds", "3", "--years", "5", "--paths", "1", "--json")
    assert said.code == 0, said.err
    classic, recommended = json.loads(said.out)["rows"]
    assert (classic["profile"], recommended["profile"]) == ("classic", "recommended")
    for row in (classic, recommended):
        assert row["false_alarms"]["low"] <= row["false_alarms"]["value"] <= row["false_alarms"]["high"]
        assert row["years"] == pytest.approx(2.02, abs=0.01)
    assert classic["false_alarms"]["value"] > 15 > 5 > recommended["false_alarms"]["value"]
    assert recommended["searches_per_year"] >= 365.25 / 90 - 1
    assert classic["wrong"]["n"] == 3
    assert 0 <= recommended["wrong_per_year"] <= 6

    rows = [
        ProfileRow("7d", "classic", "walk_t5", 100.0, 35.0, (34.5, 31.2, 37.9), Rate(30, 40), 26.2, Rate(3, 4)),
        ProfileRow("7d", "recommended", "garch_t", 100.0, 4.5, (0.5, 0.2, 0.9), Rate(1, 40), 0.1, Rate(9, 10)),
    ]
    monkeypatch.setattr("forex_assets.optimization.profiles.compare_profiles", lambda *args, **kwargs: rows)
    said = forex("optimize", "compare", "--horizon", "7d")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert "Classic Recommended" in text, "a column per profile, in the order of the rows"
    assert "false alarms a year 34.50 [31.20, 37.90] 0.50 [0.20, 0.90]" in text
    assert "7d recommended: garch_t, 100 years" in text
