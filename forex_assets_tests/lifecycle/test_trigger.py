"""The trigger: four rules in three states, and what holds a search back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.lifecycle.decisions import decide
from forex_assets.lifecycle.trigger import RULES, decide_retraining, known_findings
from forex_assets.settings import load_settings

POLICY = load_settings().optimization.trigger.model_dump(mode="json")
TODAY = dt.date(2025, 6, 13)


def finding(monitor: str, state: str, day: dt.date, *, severity: str = "high", rule: str = "skill") -> dict[str, Any]:
    return {
        "monitor": monitor,
        "rule": rule,
        "subject": "7d",
        "day": day.isoformat(),
        "state": state,
        "severity": severity,
        "reason": f"{monitor} {state}",
    }


def days(count: int) -> list[dt.date]:
    return [TODAY - dt.timedelta(days=back) for back in range(count)][::-1]


def facts(**changes: Any) -> dict[str, Any]:
    clear = [finding(monitor, "clear", day) for day in days(3) for monitor in ("performance", "drift")]
    base: dict[str, Any] = {
        "today": TODAY.isoformat(),
        "findings": clear,
        "searches": [search(30)],
        "openings": [],
        "on_probation": False,
        "running": False,
        "tuned_for": None,
        "settings_hash": "now",
    }
    return {**base, **changes}


def search(days_ago: int, *, rules: tuple[str, ...] = ("time",), result: str = "rejected") -> dict[str, Any]:
    day = TODAY - dt.timedelta(days=days_ago)
    return {"day": day.isoformat(), "rules": list(rules), "result": result}


@pytest.mark.capability("A03", "A06")
def test_nothing_fired_means_no_search_and_says_so() -> None:
    decided = decide_retraining(facts(), POLICY)
    assert not decided["should_optimize"]
    assert decided["reasons"] == ["no rule fired"]
    assert {rule["state"] for rule in decided["rules"].values()} == {"clear"}


@pytest.mark.capability("A04", "A05", "E13")
@pytest.mark.parametrize("monitor", ["performance", "drift"])
def test_a_finding_must_hold_on_consecutive_days_before_it_asks(monitor: str) -> None:
    once = facts(findings=[*facts()["findings"], finding(monitor, "fired", TODAY, rule="other")])
    assert not decide_retraining(once, POLICY)["should_optimize"]
    assert "waits to be confirmed" in decide_retraining(once, POLICY)["rules"][monitor]["reason"]
    held = facts(findings=[*facts()["findings"], *(finding(monitor, "fired", day, rule="other") for day in days(2))])
    decided = decide_retraining(held, POLICY)
    assert decided["should_optimize"]
    assert decided["asking"] == [monitor]


def test_a_finding_below_the_wanted_severity_does_not_ask() -> None:
    low = [finding("drift", "fired", day, severity="low", rule="mean") for day in days(3)]
    assert decide_retraining(facts(findings=[*facts()["findings"], *low]), POLICY)["rules"]["drift"]["state"] == "clear"


@pytest.mark.capability("A07")
def test_monitors_that_cannot_judge_leave_time_and_raise_an_alarm() -> None:
    blind = [finding(monitor, "unknown", day) for day in days(2) for monitor in ("performance", "drift")]
    for findings in (blind, []):
        decided = decide_retraining(facts(findings=findings, searches=[search(400)]), POLICY)
        assert decided["asking"] == ["time"]
        assert "only the time rule is left" in decided["alarm"]
    stale = [finding("drift", "clear", TODAY - dt.timedelta(days=40))]
    assert decide_retraining(facts(findings=stale), POLICY)["rules"]["drift"]["state"] == "unknown"


@pytest.mark.capability("A06", "E13")
def test_the_time_rule_counts_days_and_a_failed_search_is_none() -> None:
    assert decide_retraining(facts(searches=[search(POLICY["max_days_between"])]), POLICY)["asking"] == ["time"]
    assert not decide_retraining(facts(searches=[search(POLICY["max_days_between"] - 1)]), POLICY)["asking"]
    assert decide_retraining(facts(searches=[search(3, result="failed")]), POLICY)["asking"] == ["time"]


@pytest.mark.capability("A37", "J16")
def test_a_rejected_search_holds_back_its_own_reason_and_no_other() -> None:
    fired = [*facts()["findings"], *(finding("drift", "fired", day, rule="other") for day in days(2))]
    same = facts(findings=fired, searches=[search(5, rules=("drift",))])
    other = facts(findings=fired, searches=[search(5, rules=("performance",))])
    assert not decide_retraining(same, POLICY)["should_optimize"]
    assert "rejected 5 days ago" in " ".join(decide_retraining(same, POLICY)["reasons"])
    assert decide_retraining(other, POLICY)["asking"] == ["drift"]
    deployed = facts(findings=fired, searches=[search(5, rules=("performance",), result="promoted")])
    assert not decide_retraining(deployed, POLICY)["should_optimize"]


@pytest.mark.capability("A37", "J16")
@given(
    st.lists(
        st.tuples(
            st.integers(0, 60), st.sampled_from(RULES), st.sampled_from(["promoted", "rejected", "failed", "open"])
        ),
        max_size=6,
    ),
    st.sets(st.sampled_from(["performance", "drift"])),
)
def test_no_reason_asks_twice_within_the_least_distance(history: list[tuple[int, str, str]], firing: set[str]) -> None:
    searches = [search(ago, rules=(rule,), result=result) for ago, rule, result in sorted(history, reverse=True)]
    findings = [*facts()["findings"], *(finding(m, "fired", day, rule="other") for m in firing for day in days(2))]
    decided = decide_retraining(facts(findings=findings, searches=searches), POLICY)
    for rule in decided["asking"]:
        for ago, asked, result in history:
            if ago < POLICY["min_days_between"]:
                assert result != "promoted"
                assert not (result == "rejected" and asked == rule)
    assert decided["should_optimize"] == bool(decided["asking"])


def test_what_stops_a_search_whatever_fires() -> None:
    due = {"searches": [search(400)]}
    assert decide_retraining(facts(**due), POLICY)["should_optimize"]
    spent = [(TODAY - dt.timedelta(days=20 * k)).isoformat() for k in range(POLICY["openings_per_year"])]
    for change, word in (
        ({"running": True}, "running"),
        ({"on_probation": True}, "probation"),
        ({"openings": spent}, "within a year"),
    ):
        decided = decide_retraining(facts(**due, **change), POLICY)
        assert not decided["should_optimize"]
        assert word in decided["reasons"][0]
        assert decided["rules"]["time"]["state"] == "fired"


@pytest.mark.capability("E13")
def test_a_version_tuned_for_other_settings_asks_and_one_that_does_not_say_is_unknown() -> None:
    assert decide_retraining(facts(tuned_for="before"), POLICY)["asking"] == ["business"]
    assert decide_retraining(facts(tuned_for="now"), POLICY)["rules"]["business"]["state"] == "clear"
    assert decide_retraining(facts(tuned_for=""), POLICY)["rules"]["business"]["state"] == "unknown"


def test_a_clock_that_ran_back_is_unknown_not_due() -> None:
    decided = decide_retraining(facts(searches=[search(-5)]), POLICY)
    assert decided["rules"]["time"]["state"] == "unknown"


def test_findings_of_other_horizons_and_profiles_are_left_out() -> None:
    row = {
        "monitor": "drift",
        "rule": "mean",
        "profile": "recommended",
        "subject": "usdclp",
        "as_of": TODAY,
        "state": "clear",
        "severity": "info",
        "reasons": "first\nsecond",
    }
    rows = [row, {**row, "subject": "90d"}, {**row, "profile": "classic"}, {**row, "monitor": "regime"}]
    kept = known_findings(rows, horizon="7d", profile="recommended")
    assert [(item["subject"], item["reason"]) for item in kept] == [("usdclp", "first")]


def test_the_decision_replays_through_the_registry() -> None:
    assert decide("trigger/1", facts(), POLICY) == decide_retraining(facts(), POLICY)
