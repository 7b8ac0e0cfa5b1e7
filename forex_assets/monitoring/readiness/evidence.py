"""The recommended readiness: six checks per horizon, each on evidence, each able to fail (K27).

A critical check that fails *or cannot tell* means NOT_READY: unknown never reads as fine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forex_assets.settings.watching import ReadinessSettings

Level = Literal["NOT_READY", "CAUTIOUS", "READY", "OPTIMAL"]
CheckState = Literal["pass", "warn", "fail", "unknown"]
#: From worst to best.
LEVELS: tuple[Level, ...] = ("NOT_READY", "CAUTIOUS", "READY", "OPTIMAL")
EXIT_CODES: Mapping[Level, int] = {"NOT_READY": 1, "CAUTIOUS": 3, "READY": 0, "OPTIMAL": 0}
SCORES: Mapping[CheckState, float] = {"pass": 100.0, "warn": 50.0, "unknown": 25.0, "fail": 0.0}  # nosec B105


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its state, what was seen, what was asked for, and why."""

    name: str
    critical: bool
    state: CheckState
    score: float
    value: float
    threshold: float
    unit: str
    n: int
    message: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """A horizon's level, the mean of its checks' scores, and the checks."""

    profile: str
    horizon: str
    level: Level
    score: float
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class HorizonEvidence:
    """What is known of one horizon at a day; None where there is nothing.

    Parameters
    ----------
    horizon:
        Name, for example ``7d``.
    heartbeat_age_business_days:
        Since every monitor last gave its findings.
    self_test:
        Planted fault → whether it was noticed (None: it could not be tried).
    backtest, live:
        The rows of table ``performance_report`` of the deployed model, windows ``backtest_5y`` and ``live_60``.
    data_age_business_days, max_data_age_business_days:
        Age of the newest value, and its limit.
    """

    horizon: str
    heartbeat_age_business_days: int | None
    self_test: Mapping[str, bool | None]
    backtest: Mapping[str, Any] | None
    live: Mapping[str, Any] | None
    data_age_business_days: int | None
    max_data_age_business_days: int


def judge_readiness(evidence: HorizonEvidence, policy: ReadinessSettings) -> Readiness:
    """Return the readiness of one horizon."""
    checks = (
        _freshness(evidence),
        _heartbeat(evidence, policy),
        _self_test(evidence),
        _matured(evidence, policy),
        _coverage(evidence),
        _skill(evidence, policy),
    )
    return Readiness("recommended", evidence.horizon, _level(checks, evidence, policy), _mean(checks), checks)


def worst(levels: Sequence[Level]) -> Level:
    """Return the worst level, NOT_READY where there is none."""
    return min(levels, key=LEVELS.index) if levels else "NOT_READY"


def _level(checks: Sequence[Check], evidence: HorizonEvidence, policy: ReadinessSettings) -> Level:
    if any(check.critical and check.state in ("fail", "unknown") for check in checks):
        return "NOT_READY"
    if any(check.state != "pass" for check in checks):
        return "CAUTIOUS"
    live = evidence.live or {}
    skill = (evidence.backtest or {}).get("crps_ratio_high", math.nan)
    proven = float(live.get("n_effective") or 0.0) >= policy.optimal_live_effective_n and skill < 1.0
    return "OPTIMAL" if proven and live.get("coverage_state") == "good" else "READY"


def _freshness(evidence: HorizonEvidence) -> Check:
    age, limit = evidence.data_age_business_days, evidence.max_data_age_business_days
    if age is None:
        return _check("data_freshness", True, "unknown", math.nan, limit, "business days", 0, "No value is known.")
    state: CheckState = "pass" if age <= limit else "fail"
    text = f"The newest value is {age} business days old; the limit is {limit}."
    return _check("data_freshness", True, state, age, limit, "business days", 1, text)


def _heartbeat(evidence: HorizonEvidence, policy: ReadinessSettings) -> Check:
    age, limit = evidence.heartbeat_age_business_days, policy.heartbeat_business_days
    if age is None:
        return _check("monitor_heartbeat", True, "unknown", math.nan, limit, "business days", 0,
                      "No monitor has given a finding yet.")  # fmt: skip
    state: CheckState = "pass" if age <= limit else "fail"
    text = f"The monitors last spoke {age} business days ago; the limit is {limit}."
    return _check("monitor_heartbeat", True, state, age, limit, "business days", 1, text)


def _self_test(evidence: HorizonEvidence) -> Check:
    tried = {name: seen for name, seen in evidence.self_test.items() if seen is not None}
    missed = sorted(name for name, seen in tried.items() if not seen)
    untried = sorted(set(evidence.self_test) - set(tried))
    share = sum(tried.values()) / len(tried) if tried else math.nan
    state: CheckState = "unknown" if not tried else "fail" if missed else "warn" if untried else "pass"
    text = f"{sum(bool(seen) for seen in tried.values())} of {len(tried)} planted faults were noticed"
    text += f"; missed: {', '.join(missed)}" if missed else ""
    text += f"; could not be tried: {', '.join(untried)}" if untried else ""
    return _check("fault_self_test", True, state, share, 1.0, "share", len(tried), f"{text}.")


def _matured(evidence: HorizonEvidence, policy: ReadinessSettings) -> Check:
    backtest, live = evidence.backtest or {}, evidence.live or {}
    effective, n = float(backtest.get("n_effective") or 0.0), int(live.get("n") or 0)
    enough = effective >= policy.min_backtest_effective_n
    state: CheckState = "fail" if not enough else "pass" if n >= policy.min_live_n else "warn"
    text = (
        f"{effective:.0f} independent outcomes in the backtest of five years (at least "
        f"{policy.min_backtest_effective_n:g}), {n} matured live forecasts (at least {policy.min_live_n})."
    )
    return _check("matured_forecasts", True, state, effective, policy.min_backtest_effective_n, "forecasts", n, text)


def _coverage(evidence: HorizonEvidence) -> Check:
    rows = {name: row for name, row in (("backtest", evidence.backtest), ("live", evidence.live)) if row}
    if not rows:
        return _check("coverage", True, "unknown", math.nan, math.nan, "share", 0, "No outcome has matured.")
    states = {name: str(row.get("coverage_state")) for name, row in rows.items()}
    state: CheckState = "fail" if "bad" in states.values() else "pass" if states.get("backtest") == "good" else "warn"
    row = rows.get("backtest") or rows["live"]
    text = "; ".join(
        f"{name}: {_number(item, 'coverage_95')} [{_number(item, 'coverage_95_low')}, "
        f"{_number(item, 'coverage_95_high')}], n {int(item.get('n') or 0)}, {states[name]}"
        for name, item in rows.items()
    )
    return _check("coverage", True, state, row.get("coverage_95"), math.nan, "share", int(row.get("n") or 0),
                  f"95% interval held {text}.")  # fmt: skip


def _skill(evidence: HorizonEvidence, policy: ReadinessSettings) -> Check:
    row = evidence.backtest or {}
    ratio, low, high = (_float(row.get(name)) for name in ("crps_ratio", "crps_ratio_low", "crps_ratio_high"))
    limit = policy.max_skill_ratio_high
    if not all(math.isfinite(item) for item in (ratio, low, high)):
        return _check("skill", False, "unknown", ratio, limit, "ratio", int(row.get("n") or 0),
                      "The CRPS ratio to the random walk has no interval yet.")  # fmt: skip
    state: CheckState = "fail" if low > 1.0 else "pass" if high <= limit else "warn"
    text = f"CRPS is {ratio:.3f} [{low:.3f}, {high:.3f}] times the random walk's; up to {limit:g} is acceptable."
    # Proven worse than a random walk is reason enough not to use it, whatever else holds.
    return _check("skill", low > 1.0, state, ratio, limit, "ratio", int(row.get("n") or 0), text)


def _check(
    name: str, critical: bool, state: CheckState, value: Any, threshold: Any, unit: str, n: int, message: str
) -> Check:
    return Check(name, critical, state, SCORES[state], _float(value), _float(threshold), unit, n, message)


def _mean(checks: Sequence[Check]) -> float:
    return sum(check.score for check in checks) / len(checks)


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _number(row: Mapping[str, Any], name: str) -> str:
    value = _float(row.get(name))
    return f"{value:.3f}" if math.isfinite(value) else "?"
