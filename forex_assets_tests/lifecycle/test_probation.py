"""Watching a new version: three failures in a row, evidence that may be looked at every day, state that survives."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError, ValidationError
from forex_assets.lifecycle.health import Losses, due, read_watch, step, watch_path
from forex_assets.lifecycle.probation import (
    decide_statistical,
    decide_technical,
    judge_canary,
)
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets_tests.lifecycle.factory import AS_OF, NOW, SUBJECT, deployer, policy, promote, rollback, version

pytestmark = pytest.mark.usefixtures("unflushed")
TECHNICAL = policy().probation.technical.model_dump(mode="json")
STATISTICAL = policy().probation.statistical.model_dump(mode="json")
SANE = {
    "problem": "",
    "damage": [],
    "finite": True,
    "monotone": True,
    "seconds": 0.1,
    "last_value": 900.0,
    "median": 905.0,
    "width": 60.0,
    "reference_width": 55.0,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problem": "no bars"}, "no forecast could be made"),
        ({"damage": ["version x cannot be read"]}, "version x cannot be read"),
        ({"finite": False}, "not finite"),
        ({"monotone": False}, "quantiles cross"),
        ({"median": 1000.0}, "the median moves 11.1%"),
        ({"width": 500.0}, "9.09 times"),
        ({"width": 5.0}, "0.09 times"),
        ({"seconds": 300.0}, "took 300.0 s"),
    ],
)
@pytest.mark.capability("L07")
def test_a_trial_forecast_that_is_not_sane_fails_and_says_why(change: dict[str, Any], words: str) -> None:
    assert judge_canary(SANE, TECHNICAL)["passed"] is True
    judged = judge_canary({**SANE, **change}, TECHNICAL)
    assert judged["passed"] is False
    assert words in judged["reasons"][0]


def _due(home: Path, now: dt.datetime) -> str:
    made = deployer(home)
    watch = read_watch(made.store.root, SUBJECT, made.store.of(SUBJECT))
    return due(watch, now, made.policy.probation.technical)


def _watch(home: Path, checks: list[bool | Exception], *, start: int = 0, losses: Losses | None = None) -> list[str]:
    """Make one check a minute and return the phases."""
    phases = []
    for minute, seen in enumerate(checks, start=start):

        def canary(seen: bool | Exception = seen) -> dict[str, Any]:
            if isinstance(seen, Exception):
                raise seen
            return {"passed": seen, "reasons": ["seen"]}

        health = step(
            deployer(home),
            SUBJECT,
            canary=canary,
            losses=lambda: losses or Losses([], 1, 7),
            now=NOW + dt.timedelta(minutes=minute),
            as_of=AS_OF,
        )
        phases.append(health.phase)
    return phases


@pytest.mark.capability("A30", "L07")
def test_three_unhealthy_checks_in_a_row_roll_back_and_one_healthy_one_resets_the_count(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    assert _watch(tmp_path, [False, False, True, False, False, True]) == ["technical"] * 6
    assert LifecycleStore(tmp_path).of(SUBJECT).current == version(1).hash
    assert _watch(tmp_path, [False, False, False], start=6) == ["technical", "technical", "rolled_back"]
    store = LifecycleStore(tmp_path)
    assert store.of(SUBJECT).current == SETTINGS
    assert store.of(SUBJECT).incident is not None
    assert "3 checks in a row failed" in store.ledger.entries(kinds=["rollback"])[0].reasons[0]
    assert _watch(tmp_path, [False], start=9) == ["rolled_back"]


@pytest.mark.capability("A30", "L18")
def test_a_check_that_cannot_be_made_counts_as_failed(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    fault = DataError("no prices", remedy="wait")
    assert _watch(tmp_path, [fault, fault, fault])[-1] == "rolled_back"


@pytest.mark.capability("A30")
def test_an_hour_of_healthy_checks_ends_the_technical_phase(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    phases = _watch(tmp_path, [True] * 61)
    assert phases[:60] == ["technical"] * 60
    assert phases[60] == "statistical"
    assert _due(tmp_path, NOW + dt.timedelta(days=1)) == ""


@given(checks=st.lists(st.booleans(), max_size=80))
@settings(max_examples=60, deadline=None)
@pytest.mark.capability("A30", "L07")
def test_the_stored_counts_are_those_of_one_uninterrupted_watcher(checks: list[bool]) -> None:
    known: dict[str, Any] = {"started_at": NOW.isoformat(), "checks": 0, "healthy": 0, "failed_in_a_row": 0}
    last, run, state = None, 0, "running"
    for minute, passed in enumerate(checks):
        if state != "running":
            break
        now = (NOW + dt.timedelta(minutes=minute)).isoformat()
        outcome = decide_technical(
            {**known, "last_check_at": last, "now": now, "passed": passed, "reasons": ["r"]}, TECHNICAL
        )
        run = 0 if passed else run + 1
        assert outcome["failed_in_a_row"] == run
        assert (outcome["state"] == "failed") == (run == 3)
        known |= {name: outcome[name] for name in ("checks", "healthy", "failed_in_a_row")}
        last, state = now, outcome["state"]


@pytest.mark.capability("L07", "K28")
def test_a_restart_a_damaged_memory_and_a_clock_gone_back_lose_no_verdict(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    _watch(tmp_path, [False, False])
    made = deployer(tmp_path)
    pointers = made.store.of(SUBJECT)
    assert read_watch(made.store.root, SUBJECT, pointers).failed_in_a_row == 2
    assert _due(tmp_path, NOW + dt.timedelta(minutes=1, seconds=30)) == ""
    assert _due(tmp_path, NOW - dt.timedelta(days=2)) == "a technical check is due"
    watch_path(made.store.root, SUBJECT).write_bytes(b"{")
    assert read_watch(made.store.root, SUBJECT, pointers).checks == 0
    assert _watch(tmp_path, [False, False, False], start=5)[-1] == "rolled_back"


@pytest.mark.capability("L09")
def test_a_rollback_cut_short_is_made_by_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forex_assets.lifecycle.promotion import Deployer

    promote(tmp_path, 1)
    _watch(tmp_path, [False, False])
    with monkeypatch.context() as patch:

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Deployer, "rollback", die)
        with pytest.raises(KeyboardInterrupt):
            _watch(tmp_path, [False], start=2)
    assert LifecycleStore(tmp_path).of(SUBJECT).current == version(1).hash
    assert _due(tmp_path, NOW) == "a rollback is due"
    assert _watch(tmp_path, [True], start=3) == ["rolled_back"]
    assert LifecycleStore(tmp_path).of(SUBJECT).current == SETTINGS


@pytest.mark.capability("L08")
def test_a_kill_file_holds_the_automatic_rollback_until_it_is_gone(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    _watch(tmp_path, [False, False])
    options: dict[str, Any] = {
        "canary": lambda: {"passed": False, "reasons": ["r"]},
        "losses": lambda: Losses([], 1, 7),
        "as_of": AS_OF,
    }
    with pytest.raises(ValidationError, match="kill file"):
        step(deployer(tmp_path), SUBJECT, now=NOW + dt.timedelta(minutes=2), kill_file=True, **options)
    assert LifecycleStore(tmp_path).of(SUBJECT).current == version(1).hash
    health = step(deployer(tmp_path), SUBJECT, now=NOW + dt.timedelta(minutes=3), **options)
    assert (health.phase, health.acted) == ("rolled_back", "rolled back to settings")


def test_what_was_seen_of_a_version_rolled_back_by_hand_is_not_held_against_the_next(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    _watch(tmp_path, [False, False])
    rollback(tmp_path)
    promote(tmp_path, 2, days=1)
    assert _watch(tmp_path, [False], start=2000) == ["technical"]


# ---- statistics -------------------------------------------------------------------------------------------------


def _losses(ratio: float, n: int, *, seed: int = 1, overlap: int = 1, misses: float = 0.05) -> Losses:
    rng = np.random.default_rng(seed)
    old = rng.lognormal(2.0, 0.5, n)
    new = old * ratio * rng.lognormal(0.0, 0.1, n)
    days = [AS_OF + dt.timedelta(days=i) for i in range(n)]
    missed = rng.random((n, 2)) < [misses, 0.05]
    rows = [
        [day.isoformat(), float(a), float(b), bool(c), bool(d)]
        for day, a, b, (c, d) in zip(days, new, old, missed, strict=True)
    ]
    return Losses(rows, overlap, 7)


def _decide(losses: Losses, days: int = 30) -> dict[str, Any]:
    known = {"losses": losses.rows, "overlap": losses.overlap, "maturity_days": 7, "days": days}
    return decide_statistical(known, STATISTICAL)


@pytest.mark.capability("L07", "A38")
def test_planted_harm_is_found_and_planted_equality_is_not() -> None:
    assert _decide(_losses(1.5, 60))["state"] == "failed"
    better = _decide(_losses(0.8, 60))
    assert better["state"] == "passed"
    assert "ruled out" in better["reasons"][0]
    narrow = _decide(_losses(1.0, 60, misses=0.4))
    assert (narrow["state"], narrow["missed_more"] > 10) == ("failed", True)
    equal = _decide(_losses(1.0, 15))
    assert equal["state"] == "undecided"
    assert 0 < equal["decidable_in_days"] < 365


@pytest.mark.capability("L07", "L18")
def test_time_alone_passes_only_with_enough_targets_and_says_what_is_not_shown() -> None:
    late = _decide(_losses(1.0, 15), days=200)
    assert late["state"] == "passed"
    assert "not shown to be worse" in late["reasons"][0]
    bare = _decide(_losses(1.0, 3), days=200)
    assert bare["state"] == "undecided"
    assert bare["reasons"][0].startswith("overdue")
    none = _decide(Losses([], 1, 7))
    assert (none["state"], none["n"], math.isnan(none["loss_ratio"])) == ("undecided", 0, True)


def test_time_that_is_too_short_for_a_verdict_is_said_not_hidden() -> None:
    few = _decide(_losses(1.0, 12, overlap=21), days=60)
    assert few["state"] == "undecided"
    assert few["decidable_in_days"] > STATISTICAL["max_days"]
    assert "and the comparison ends in 120" in few["reasons"][1]


@pytest.mark.capability("L07", "K07")
def test_an_interval_half_as_wide_is_never_passed_early_though_its_median_loss_is_lower() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=4000)

    def crps(scale: float) -> Any:
        from scipy.stats import norm

        u = z / scale
        return scale * (u * (2 * norm.cdf(u) - 1) + 2 * norm.pdf(u) - 1 / math.sqrt(math.pi))

    new, old = crps(0.5), crps(1.0)
    assert np.mean((new - old) / (new + old)) < 0 < np.mean(new - old)  # what the first rule was taken in by
    rows = [
        [str(i), float(a), float(b), bool(c), bool(d)]
        for i, (a, b, c, d) in enumerate(zip(new, old, abs(z) > 0.98, abs(z) > 1.96, strict=True))
    ]
    for start in range(0, 4000, 200):
        assert _decide(Losses(rows[start : start + 200], 1, 7))["state"] == "failed"


@pytest.mark.capability("L07", "K06")
def test_the_panel_decides_what_one_pair_cannot() -> None:
    own = _losses(1.2, 60, overlap=21)
    rng = np.random.default_rng(5)
    panel = [[row[0], 20, 0.2 + 0.05 * rng.normal(), 0.0] for row in own.rows]
    assert _decide(own)["state"] == "undecided"
    known = {"losses": own.rows, "overlap": 21, "maturity_days": 30, "days": 60, "panel": panel, "panel_overlap": 21}
    together = decide_statistical(known, STATISTICAL)
    assert together["pairs"] == 20
    assert together["evidence_worse"] > 2 * _decide(own)["evidence_worse"]
    assert 0 < together["decidable_in_days"] < 120
    longer = [[str(i), 20, 0.2 + 0.05 * rng.normal(), 0.0] for i in range(110)]
    failed = decide_statistical({**known, "panel": longer}, STATISTICAL)
    assert (failed["state"], "on 20 pairs" in failed["reasons"][0]) == ("failed", True)
    fine = [[row[0], 20, -0.05 + 0.02 * rng.normal(), 0.0] for row in longer]
    assert decide_statistical({**known, "losses": [], "panel": fine}, STATISTICAL)["state"] == "passed"


def test_decisions_of_the_first_rule_replay_through_it() -> None:
    from forex_assets.lifecycle.decisions import decide

    worse, better = _losses(1.5, 200), _losses(0.8, 60)
    policy = {**STATISTICAL}
    del policy["tolerated_misses_share"]  # it knew none
    known = {"overlap": 1, "maturity_days": 7, "days": 30}

    def first_rule(rows: Any, **changes: int) -> dict[str, Any]:
        return dict(decide("statistical-probation/1", {**known, "losses": rows, **changes}, policy))

    few = better.rows[:5]
    for rows, state in ((worse.rows, "failed"), (better.rows, "passed"), (few, "undecided"), ([], "undecided")):
        assert first_rule(rows)["state"] == state
    assert first_rule(better.rows[:12], days=999)["state"] == "passed"
    assert "overdue" in first_rule([], days=999)["reasons"][0]


def test_the_verdict_confirms_or_rolls_back_and_replays(tmp_path: Path) -> None:
    from forex_assets.lifecycle.decisions import replay

    for ratio, number, phase in ((0.8, 1, "passed"), (1.6, 2, "rolled_back")):
        promote(tmp_path, number, days=number)
        offset = number * 1440
        _watch(tmp_path, [True] * 62, start=offset)
        assert _watch(tmp_path, [True], start=offset + 62, losses=_losses(ratio, 80)) == [phase]
    store = LifecycleStore(tmp_path)
    assert store.of(SUBJECT).current == store.of(SUBJECT).last_known_good == version(1).hash
    assert {replay(store.ledger, entry.id).result for entry in store.ledger.entries()} == {"same"}


def test_losses_that_cannot_be_read_leave_the_verdict_open(tmp_path: Path) -> None:
    promote(tmp_path, 1)
    _watch(tmp_path, [True] * 62)

    def broken() -> Losses:
        raise DataError("no evaluation", remedy="wait")

    health = step(
        deployer(tmp_path),
        SUBJECT,
        canary=lambda: {"passed": True, "reasons": ["r"]},
        losses=broken,
        now=NOW + dt.timedelta(days=2),
        as_of=AS_OF,
    )
    assert (health.phase, health.verdict) == ("statistical", "undecided")
    assert "cannot be compared" in health.reasons[0]
