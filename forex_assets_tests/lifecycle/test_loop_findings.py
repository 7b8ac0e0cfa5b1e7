"""Metrics and alert conditions of the loop, from ledgers with known content; each silence; the orderings at load."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forex_assets.lifecycle.ledger import Decision, Ledger
from forex_assets.lifecycle.loop_findings import ALERTS, METRICS, LoopFacts, exposition, judge_loop
from forex_assets.monitoring.finding import Finding
from forex_assets.settings import load_settings, packaged_config_dir
from forex_assets.settings.optimization import OptimizationSettings
from forex_assets.settings.reading import read_yaml
from forex_assets_tests.lifecycle.factory import AS_OF, NOW, SUBJECT, promote, rollback

DAY = dt.timedelta(days=1)
POLICY: dict[str, Any] = {
    **load_settings().optimization.watch.model_dump(mode="json"),
    "alert_s": 600.0,
    "memory_mib": 1024,
    "search_heartbeat_days": 120,
    "check_every_s": 60.0,
}


class Book:
    """A real ledger that a test writes decisions into, days apart."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)

    def add(self, kind: str, day: float, **outcome: Any) -> None:
        decision = Decision(kind, SUBJECT, outcome, [f"{kind} of day {day:g}"], as_of=AS_OF)
        self.ledger.append(decision, now=NOW + day * DAY)

    def judge(self, day: float, **facts: Any) -> Mapping[tuple[str, str], Finding]:
        now = NOW + day * DAY
        found = judge_loop(
            LoopFacts(SUBJECT, self.ledger.entries(subject=SUBJECT), **facts),
            now=now,
            as_of=now.date(),
            policy=POLICY,
        )
        return {(item.rule, item.profile): item for item in found}


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def search(book: Book, day: float, **outcome: Any) -> None:
    given = {"seconds": 100.0, "peak_memory_mib": 300.0, "timed_out": False, "rmse": 9.0, "incumbent_rmse": 10.0}
    book.add("search", day, **(given | outcome))


@pytest.mark.capability("A25")
def test_every_metric_is_computed_from_the_ledger(book: Book) -> None:
    for day, seconds, approved in ((0, 100.0, True), (100, 200.0, False), (200, 300.0, True), (300, 400.0, True)):
        search(book, day, seconds=seconds, peak_memory_mib=seconds + 1)
        metrics = {"improvement": 0.04, "improvement_low": 0.01, "improvement_high": 0.07, "n": 250}
        book.add("gate", day, approved=approved, metrics=metrics)
        if approved:
            book.add("promotion", day, action="promote")
    book.add("rollback", 301, action="rollback", target="settings")
    found = book.judge(310)

    def value(rule: str) -> float:
        return found[rule, "recommended"].effect

    assert value("search_frequency") == 4
    assert (value("validation_success"), found["validation_success", "recommended"].n) == (0.75, 4)
    low, high = (getattr(found["validation_success", "recommended"], f"effect_{end}") for end in ("low", "high"))
    assert low == pytest.approx(0.1941, abs=1e-4)  # Clopper-Pearson of 3 in 4
    assert high == pytest.approx(0.9937, abs=1e-4)
    assert value("deployment_success") == 1.0
    assert (value("search_time"), value("search_time_max"), value("search_memory")) == (250.0, 400.0, 401.0)
    assert (value("rmse_before"), value("rmse_after")) == (10.0, 9.0)
    assert value("rmse_improvement") == pytest.approx(0.1)
    gain = found["crps_improvement", "recommended"]
    assert (gain.effect, gain.effect_low, gain.effect_high, gain.n) == (0.04, 0.01, 0.07, 250)
    assert value("stability") == 4  # three promotions and a rollback
    assert value("rollbacks") == 1
    assert {rule for rule, profile in found if profile == "recommended"} == {*METRICS, *ALERTS}
    assert all(found[rule, "recommended"].state == "clear" for rule in METRICS)
    classic = {rule: item.state for (rule, profile), item in found.items() if profile == "classic"}
    assert classic == {
        "search_frequency": "fired",  # four a year, weekly was wanted
        "validation_success": "clear",
        "deployment_success": "clear",
        "search_time": "clear",
        "rmse_improvement": "clear",
        "rollbacks": "fired",
    }


@pytest.mark.capability("A25")
def test_what_happened_over_a_year_ago_or_later_than_now_does_not_count(book: Book) -> None:
    search(book, -400)
    search(book, 0)
    search(book, 50)
    assert book.judge(10)["search_frequency", "recommended"].n == 1


@pytest.mark.capability("A25", "A26")
def test_an_empty_ledger_is_unknown_and_never_fine(book: Book) -> None:
    found = book.judge(0)
    unknown = {rule for (rule, profile), item in found.items() if item.state == "unknown" and profile == "recommended"}
    assert unknown >= {"validation_success", "search_time", "validation_fails", "search_heartbeat", "trigger_heartbeat"}
    assert all(item.severity != "info" for item in found.values() if item.state == "unknown")
    text = exposition(tuple(found.values()))
    assert 'forex_loop_rule_state{pair="usdclp",horizon="7d",rule="search_heartbeat",severity="low"} 2' in text
    assert "forex_loop_search_age_days{" not in text


@pytest.mark.capability("A26")
def test_validation_fires_at_the_third_no_in_a_row(book: Book) -> None:
    for day, approved in enumerate((False, True, False, False)):
        book.add("gate", day, approved=approved)
    assert book.judge(5)["validation_fails", "recommended"].state == "clear"
    book.add("gate", 6, approved=False)
    item = book.judge(7)["validation_fails", "recommended"]
    assert (item.state, item.severity, item.effect) == ("fired", "medium", 3)
    assert "gate of day 6" in item.reasons[0]
    book.add("gate", 8, approved=True)
    assert book.judge(9)["validation_fails", "recommended"].state == "clear"


@pytest.mark.capability("A26")
def test_a_refused_deployment_fires_until_one_succeeds_and_a_dry_run_does_not(book: Book) -> None:
    book.add("promotion", 0, action="promote")
    dry = Decision(
        "promotion", SUBJECT, {"action": "refuse"}, ["dry run"], inputs={"guard_facts": {"dry_run": True}}, as_of=AS_OF
    )
    book.ledger.append(dry, now=NOW + DAY)
    assert book.judge(2)["deployment_fails", "recommended"].state == "clear"
    book.add("promotion", 3, action="refuse")
    found = book.judge(4)
    assert (found["deployment_fails", "recommended"].state, found["deployment_fails", "recommended"].severity) == (
        "fired",
        "high",
    )
    assert found["deployment_success", "recommended"].effect == 0.5
    book.add("staging", 5, action="stage")
    assert book.judge(6)["deployment_fails", "recommended"].state == "clear"


@pytest.mark.capability("A26")
def test_a_rollback_fires_for_a_week_and_for_as_long_as_its_incident_is_open(book: Book) -> None:
    book.add("rollback", 0, action="rollback", target="settings")
    assert book.judge(6)["rollback_executed", "recommended"].state == "fired"
    assert book.judge(8)["rollback_executed", "recommended"].state == "clear"
    item = book.judge(60, incident=True)["rollback_executed", "recommended"]
    assert (item.state, item.severity) == ("fired", "high")
    assert "incident is open" in item.reasons[0]


@pytest.mark.capability("A26")
@pytest.mark.parametrize(
    ("outcome", "state"),
    [({"seconds": 600.0}, "clear"), ({"seconds": 601.0}, "fired"), ({"seconds": 5.0, "timed_out": True}, "fired")],
)
def test_a_slow_search_fires(book: Book, outcome: dict[str, Any], state: str) -> None:
    search(book, 0, **outcome)
    assert book.judge(1)["search_slow", "recommended"].state == state


@pytest.mark.capability("A26", "K28")
def test_silence_fires_for_search_trigger_and_probation_each_at_its_own_limit(book: Book) -> None:
    book.add("trigger", 0, should_optimize=False)
    rules = ("search_heartbeat", "trigger_heartbeat", "probation_heartbeat")

    def states(day: float, **facts: Any) -> list[str]:
        found = book.judge(day, **facts)
        return [found[rule, "recommended"].state for rule in rules]

    assert states(9, judged_at=NOW) == ["clear", "clear", "clear"]
    assert states(11, judged_at=NOW) == ["clear", "fired", "clear"]
    assert states(119, judged_at=NOW + 118 * DAY) == ["clear", "clear", "clear"]
    assert states(121, judged_at=NOW + 120 * DAY) == ["fired", "clear", "clear"]  # never searched at all
    search(book, 121)
    assert states(240, judged_at=NOW + 239 * DAY) == ["clear", "clear", "clear"]
    assert states(242, judged_at=NOW + 241 * DAY) == ["fired", "clear", "clear"]
    ten_minutes = 10 / 1440
    now, checked = 122.0, NOW + 122 * DAY
    on = {"judged_at": NOW + 121 * DAY, "on_probation": True}
    assert states(now + ten_minutes, checked_at=checked, **on)[2] == "clear"
    assert states(now + 1.1 * ten_minutes, checked_at=checked, **on)[2] == "fired"
    assert states(now, **on)[2] == "unknown"


@pytest.mark.capability("K28")
@pytest.mark.parametrize(
    ("room", "changes", "rule"),
    [
        ("search", {"warn_s": 600.0}, r"warn_s \(600.0\) must be below stop_s"),
        ("search", {"alert_s": 900.0}, r"alert_s \(900.0\) is above stop_s \(600.0\)"),  # the classic 15 min after 10
        ("search", {"alert_s": 200.0}, r"alert_s \(200.0\) is below warn_s"),
        ("search", {"heartbeat_days": 60}, r"heartbeat_days \(60\) is below trigger.max_days_between"),
        ("watch", {"trigger_heartbeat_days": 7}, "not above 7"),
        ("watch", {"trigger_heartbeat_days": 120}, r"must be below search.heartbeat_days"),
        ("watch", {"rollback_days": 400}, "must not be above window_days"),
    ],
)
def test_times_that_contradict_each_other_are_refused_at_load(room: str, changes: dict[str, Any], rule: str) -> None:
    body = read_yaml(packaged_config_dir() / "optimization.yaml")
    OptimizationSettings.model_validate(body)
    body[room] = body[room] | changes
    with pytest.raises(ValueError, match=rule):
        OptimizationSettings.model_validate(body)


@pytest.mark.capability("A25")
def test_a_scraper_reads_one_gauge_a_metric_with_help_and_labels(book: Book) -> None:
    search(book, 0)
    text = exposition(tuple(book.judge(1, judged_at=NOW).values()))
    assert "# TYPE forex_loop_search_seconds_mean gauge" in text
    assert 'forex_loop_search_seconds_mean{pair="usdclp",horizon="7d"} 100\n' in text
    assert 'forex_loop_rule_state{pair="usdclp",horizon="7d",rule="search_slow",severity="medium"} 0' in text
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or math.isfinite(float(line.rsplit(" ", 1)[1]))


@pytest.mark.capability("A25", "A26")
def test_real_promotions_and_rollbacks_are_counted(home: Path) -> None:
    from forex_assets.optimization.loop_health import loop_findings
    from forex_assets.pipeline import Pipeline

    promote(home, 1)
    promote(home, 2, days=1)
    rollback(home, days=2, actor="automation")
    found = loop_findings(Pipeline(load_settings()), "usdclp", "7d", now=NOW + 3 * DAY)
    by_rule = {item.rule: item for item in found if item.profile == "recommended"}
    assert by_rule["stability"].effect == 3
    assert by_rule["deployment_success"].effect == 1.0
    assert by_rule["rollback_executed"].state == "fired"
    assert "incident is open" in by_rule["rollback_executed"].reasons[0]
