"""The classic readiness, exactly (SPEC 2.1): five proxy checks, their plain mean, two of them critical."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forex_assets.monitoring.readiness.evidence import Check, CheckState, Level, Readiness
from forex_assets.settings.watching import ClassicReadiness


@dataclass(frozen=True, slots=True)
class ClassicEvidence:
    """What the five checks look at.

    Parameters
    ----------
    predictions, with_actuals:
        Horizon → stored forecasts, and those whose outcome is known.
    days_operating:
        Days since the first forecast; None: there is none.
    days_since_prediction:
        Days since the newest; None: there is none.
    has_file:
        Whether forecasts are stored at all.
    log_mb:
        Size of the logs; None: no log. A negative size: it could not be read.
    """

    predictions: Mapping[str, int]
    with_actuals: Mapping[str, int]
    days_operating: int | None
    days_since_prediction: int | None
    has_file: bool
    log_mb: float | None


def judge_classic(evidence: ClassicEvidence, policy: ClassicReadiness) -> Readiness:
    """Return the classic readiness, one level for all horizons."""
    checks = (
        _tracking(evidence, policy),
        _operation(evidence, policy),
        _drift(evidence, policy),
        _stability(evidence, policy),
        _baseline(evidence, policy),
    )
    score = sum(check.score for check in checks) / len(checks)
    level: Level
    if any(check.critical and check.state != "pass" for check in checks):
        level = "NOT_READY"
    elif score >= policy.optimal_score:
        level = "OPTIMAL"
    elif score >= policy.ready_score:
        level = "READY"
    else:
        level = "CAUTIOUS" if score >= policy.cautious_score else "NOT_READY"
    return Readiness("classic", "all", level, score, checks)


def _tracking(evidence: ClassicEvidence, policy: ClassicReadiness) -> Check:
    least, wanted = min(evidence.predictions.values(), default=0), policy.min_predictions
    score = min(100.0, least / wanted * 100.0)
    return Check("prediction_tracking", True, _passed(least >= wanted), score, least, wanted, "forecasts", least,
                 f"At least {least} forecasts per horizon; {wanted} are asked for.")  # fmt: skip


def _operation(evidence: ClassicEvidence, policy: ClassicReadiness) -> Check:
    days, wanted = evidence.days_operating or 0, policy.min_days
    score = min(100.0, days / wanted * 100.0)
    return Check("operation_time", True, _passed(days >= wanted), score, days, wanted, "days", days,
                 f"{days} days since the first forecast; {wanted} are asked for.")  # fmt: skip


def _drift(evidence: ClassicEvidence, policy: ClassicReadiness) -> Check:
    age = evidence.days_since_prediction
    recent = age is not None and age <= policy.recent_days
    score = 100.0 if recent else 30.0 if evidence.has_file else 0.0
    text = f"{'A' if recent else 'No'} forecast in the last {policy.recent_days} days (says nothing about drift)."
    return Check("drift_detection", False, _passed(recent), score, -1.0 if age is None else age, policy.recent_days,
                 "days", 0, text)  # fmt: skip


def _stability(evidence: ClassicEvidence, policy: ClassicReadiness) -> Check:
    size = evidence.log_mb
    if size is None:
        score, text = 90.0, "There is no log."
    elif size < 0:
        score, text = 70.0, "The log cannot be read."
    else:
        score = 100.0 if size <= policy.max_log_mb else 40.0
        text = f"The logs hold {size:.1f} MB; {policy.max_log_mb:g} are allowed (says nothing about errors)."
    return Check("system_stability", False, _passed(score >= 90.0), score, 0.0 if size is None else size,
                 policy.max_log_mb, "MB", 0, text)  # fmt: skip


def _baseline(evidence: ClassicEvidence, policy: ClassicReadiness) -> Check:
    least, wanted = min(evidence.with_actuals.values(), default=0), policy.min_actuals
    score = min(100.0, least / wanted * 100.0) if least else 50.0
    return Check("performance_baseline", False, _passed(least >= wanted), score, least, wanted, "forecasts", least,
                 f"At least {least} forecasts per horizon have an outcome; {wanted} are asked for.")  # fmt: skip


def _passed(ok: bool) -> CheckState:
    return "pass" if ok else "fail"
