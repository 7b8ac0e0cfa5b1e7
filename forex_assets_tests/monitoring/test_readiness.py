"""Readiness: evidence, three exit codes, planted faults that must be noticed; the classic five checks exactly."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from forex_assets.monitoring import regime
from forex_assets.monitoring.readiness.classic import ClassicEvidence, judge_classic
from forex_assets.monitoring.readiness.evidence import EXIT_CODES, HorizonEvidence, judge_readiness, worst
from forex_assets.monitoring.readiness.selftest import for_horizon, run_self_test
from forex_assets_tests.monitoring.markets import day, frames, prices, series, sessions, settings, t_returns

SETTINGS = settings()
POLICY, CLASSIC = SETTINGS.platform.watching.readiness, SETTINGS.platform.watching.classic_readiness
GOOD: dict[str, Any] = {
    "n": 1200, "n_effective": 240.0, "coverage_95": 0.948, "coverage_95_low": 0.93, "coverage_95_high": 0.96,
    "coverage_state": "good", "crps_ratio": 0.98, "crps_ratio_low": 0.96, "crps_ratio_high": 0.995,
}  # fmt: skip
LIVE: dict[str, Any] = {**GOOD, "n": 60, "n_effective": 12.0}


def _evidence(**changes: Any) -> HorizonEvidence:
    base = HorizonEvidence(
        horizon="7d",
        heartbeat_age_business_days=0,
        self_test={"volatility": True, "narrow_intervals:7d": True},
        backtest=GOOD,
        live=LIVE,
        data_age_business_days=1,
        max_data_age_business_days=3,
    )
    return dataclasses.replace(base, **changes)


@pytest.mark.capability("B06", "B22", "K27")
@pytest.mark.parametrize(
    ("changes", "level", "check", "state"),
    [
        ({}, "READY", "skill", "pass"),
        ({"live": {**LIVE, "n_effective": 25.0}}, "OPTIMAL", "coverage", "pass"),
        ({"live": {**LIVE, "n_effective": 25.0, "coverage_state": "unknown"}}, "READY", "coverage", "pass"),
        ({"live": {**LIVE, "coverage_state": "bad"}}, "NOT_READY", "coverage", "fail"),
        ({"backtest": {**GOOD, "coverage_state": "unknown"}}, "CAUTIOUS", "coverage", "warn"),
        ({"backtest": None, "live": None}, "NOT_READY", "coverage", "unknown"),
        ({"live": None}, "CAUTIOUS", "matured_forecasts", "warn"),
        ({"backtest": {**GOOD, "n_effective": 4.0}}, "NOT_READY", "matured_forecasts", "fail"),
        ({"heartbeat_age_business_days": None}, "NOT_READY", "monitor_heartbeat", "unknown"),
        ({"heartbeat_age_business_days": 9}, "NOT_READY", "monitor_heartbeat", "fail"),
        ({"self_test": {"volatility": False}}, "NOT_READY", "fault_self_test", "fail"),
        ({"self_test": {"volatility": True, "x": None}}, "CAUTIOUS", "fault_self_test", "warn"),
        ({"self_test": {}}, "NOT_READY", "fault_self_test", "unknown"),
        ({"data_age_business_days": 8}, "NOT_READY", "data_freshness", "fail"),
        ({"data_age_business_days": None}, "NOT_READY", "data_freshness", "unknown"),
        ({"backtest": {**GOOD, "crps_ratio_high": 1.2}}, "CAUTIOUS", "skill", "warn"),
        ({"backtest": {**GOOD, "crps_ratio_low": 1.01, "crps_ratio_high": 1.2}}, "NOT_READY", "skill", "fail"),
        ({"backtest": {**GOOD, "crps_ratio_low": float("nan")}}, "CAUTIOUS", "skill", "unknown"),
    ],
)
def test_every_check_can_fail_and_unknown_is_not_fine(
    changes: dict[str, Any], level: str, check: str, state: str
) -> None:
    found = judge_readiness(_evidence(**changes), POLICY)
    assert found.level == level
    assert {item.name: item.state for item in found.checks}[check] == state
    assert all(item.message.endswith(".") for item in found.checks)


@pytest.mark.capability("B22")
def test_the_exit_codes_and_the_worst_level() -> None:
    assert [EXIT_CODES[name] for name in ("NOT_READY", "CAUTIOUS", "READY", "OPTIMAL")] == [1, 3, 0, 0]
    assert worst(["OPTIMAL", "CAUTIOUS", "READY"]) == "CAUTIOUS"
    assert worst([]) == "NOT_READY"


HORIZONS = ("7d", "15d", "30d", "90d")


def _classic(**changes: Any) -> ClassicEvidence:
    base = ClassicEvidence(
        predictions=dict.fromkeys(HORIZONS, 60),
        with_actuals=dict.fromkeys(HORIZONS, 12),
        days_operating=30,
        days_since_prediction=1,
        has_file=True,
        log_mb=3.0,
    )
    return dataclasses.replace(base, **changes)


@pytest.mark.capability("B06", "B22", "K27")
@pytest.mark.parametrize(
    ("changes", "level", "score"),
    [
        ({}, "OPTIMAL", 100.0),
        # 25 of 50 predictions: 50 points, and critical
        ({"predictions": {"7d": 60, "90d": 25}}, "NOT_READY", 90.0),
        ({"days_operating": 6}, "NOT_READY", (100 * 4 + 6 / 7 * 100) / 5),
        ({"days_operating": None}, "NOT_READY", 80.0),
        ({"days_since_prediction": 8}, "READY", 86.0),
        ({"days_since_prediction": None, "has_file": False}, "READY", 80.0),
        ({"log_mb": None}, "OPTIMAL", 98.0),
        ({"log_mb": 51.0}, "READY", 88.0),
        ({"log_mb": -1.0}, "OPTIMAL", 94.0),
        # no outcome yet scores more than four of them
        ({"with_actuals": dict.fromkeys(HORIZONS, 0)}, "OPTIMAL", 90.0),
        ({"with_actuals": dict.fromkeys(HORIZONS, 4)}, "READY", 88.0),
        ({"days_since_prediction": None, "has_file": False, "log_mb": 60.0,
          "with_actuals": dict.fromkeys(HORIZONS, 1)}, "NOT_READY", 50.0),
        ({"days_since_prediction": 9, "log_mb": 60.0, "with_actuals": dict.fromkeys(HORIZONS, 5)}, "CAUTIOUS", 64.0),
    ],
)  # fmt: skip
def test_the_classic_score_is_the_plain_mean_of_five(changes: dict[str, Any], level: str, score: float) -> None:
    found = judge_classic(_classic(**changes), CLASSIC)
    assert (found.level, found.score) == (level, pytest.approx(score))


@pytest.mark.capability("K27")
def test_the_classic_checks_are_blind_to_what_they_are_named_after() -> None:
    """A platform whose monitors are all dead and whose coverage is ruined is OPTIMAL to the classic profile."""
    assert judge_classic(_classic(), CLASSIC).level == "OPTIMAL"
    dead = _evidence(heartbeat_age_business_days=None, backtest={**GOOD, "coverage_state": "bad"})
    assert judge_readiness(dead, POLICY).level == "NOT_READY"


@pytest.mark.capability("K27", "J02")
def test_planted_faults_are_noticed_by_working_monitors(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 600
    dates = sessions(n)
    market = frames(series("usdclp_close", dates, prices(t_returns(np.random.default_rng(0), n))))
    last = day(dates[-1])
    found = run_self_test(market, last, SETTINGS)
    assert found == {"volatility": True, "stopped_feed": True}
    assert for_horizon(found, "7d") == {**found, "narrow_intervals:7d": None}
    monkeypatch.setattr(regime, "judge", lambda *_: ())
    assert run_self_test(market, last, SETTINGS) == {"volatility": False, "stopped_feed": False}


def test_faults_that_cannot_be_planted_are_neither_noticed_nor_missed() -> None:
    dates = sessions(100)
    market = frames(series("usdclp_close", dates, prices(t_returns(np.random.default_rng(0), 100))))
    assert run_self_test(market, day(dates[-1]), SETTINGS) == {"volatility": None, "stopped_feed": None}
