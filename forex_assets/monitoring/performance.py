"""The performance monitor: is the deployed model as good as it was, by horizon and by day of maturity.

Skill, calibration, bias and volatility are separate alarms, since they ask for different answers. The report of a
horizon folds them into one status and a recommendation in words. Profile ``classic`` answers as the classic rule did.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.clock import as_of_instants
from forex_assets.monitoring.cannot_tell import CannotTell, reasons
from forex_assets.monitoring.classic_performance import ClassicVerdict, Status, classic_verdicts
from forex_assets.monitoring.degradation import Alarms, alarms, overlap_variance
from forex_assets.monitoring.finding import Finding, Severity
from forex_assets.monitoring.frames import Frames, Scored
from forex_assets.monitoring.readings import Reading, tabulate
from forex_assets.monitoring.registry import Monitor, Profile
from forex_assets.monitoring.volatility import surprise

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.clock import BusinessCalendar
    from forex_assets.settings import Settings
    from forex_assets.settings.monitoring import PerformancePolicy

NAME = "performance"
INFINITE = math.inf
#: Rule, field of the statistics, unit.
HORIZON_RULES = (
    ("skill", "share of CRPS"),
    ("evidence", "log e-value"),
    ("calibration", "log variance"),
    ("bias", "sigma"),
)


@dataclass(frozen=True, slots=True)
class DegradationReport:
    """One horizon's verdict in a word, a truth value and a sentence."""

    horizon: str
    status: Status
    degradation_detected: bool
    recommendation: str
    skill_excess_share: float
    n: int


def readings(frames: Frames, days: Dates, settings: Settings, profile: Profile) -> list[Reading]:
    """Return every rule's reading over days."""
    out: list[Reading] = []
    for name in frames.horizons:
        out.extend(score_readings(name, frames.scored.get(name), frames.calendar, days, settings, profile))
    if profile == "classic":
        return out
    return [*out, _volatility_reading(frames, days, settings.recommended.performance)]


def score_readings(
    name: str, scored: Scored | None, calendar: BusinessCalendar, days: Dates, settings: Settings, profile: Profile
) -> list[Reading]:
    """Return the readings of one horizon's matured forecasts over days."""
    if profile == "classic":
        return [_classic_reading(name, scored, days, settings)]
    return _horizon_readings(name, scored, calendar, days, settings.recommended.performance)


def judge(frames: Frames, as_of: dt.date, settings: Settings, profile: Profile) -> tuple[Finding, ...]:
    """Return the findings of one day."""
    from forex_assets.monitoring.performance_words import explain

    day = np.array([as_of], dtype="datetime64[D]")
    return tuple(
        explain(frames, reading, as_of, settings, profile) for reading in readings(frames, day, settings, profile)
    )


def scan(frames: Frames, as_ofs: Dates, settings: Settings, profile: Profile) -> pd.DataFrame:
    """Return state and effect of every rule over many days."""
    days = np.asarray(as_ofs, dtype="datetime64[D]")
    return tabulate(NAME, days, readings(frames, days, settings, profile))


def statistics(scored: Scored, policy: PerformancePolicy) -> Alarms:
    """Return the statistics after each matured forecast of a horizon."""
    return alarms(scored, policy.horizons[scored.horizon], policy)


def _horizon_readings(
    name: str, scored: Scored | None, calendar: BusinessCalendar, days: Dates, policy: PerformancePolicy
) -> list[Reading]:
    limits = policy.horizons.get(name)
    if limits is None or scored is None:
        why = reasons(len(days), CannotTell("no_limits" if limits is None else "none_matured", horizon=name))
        nothing = np.full(len(days), np.nan)
        return [Reading(rule, name, unit, nothing, INFINITE, -INFINITE, why) for rule, unit in HORIZON_RULES]
    found = statistics(scored, policy)
    last = np.searchsorted(scored.matured_on, days, side="right") - 1
    why = _why_unknown(calendar, scored, last, days, found.missing, limits.window_forecasts, policy)
    place = np.maximum(last, 0)
    bias_limit = limits.bias_standard_errors * math.sqrt(overlap_variance(limits.window_forecasts, scored.steps))
    sides = {
        "skill": (limits.skill_excess_share, -INFINITE),
        "evidence": (math.log(policy.evidence.e_threshold), -INFINITE),
        "calibration": (limits.narrow_log_variance, -limits.wide_log_variance),
        "bias": (bias_limit, -bias_limit),
    }
    return [
        Reading(rule, name, unit, np.where(last >= 0, getattr(found, rule)[place], np.nan), *sides[rule], why)
        for rule, unit in HORIZON_RULES
    ]


def _why_unknown(
    calendar: BusinessCalendar,
    scored: Scored,
    last: npt.NDArray[np.int64],
    days: Dates,
    missing: Floats,
    window: int,
    policy: PerformancePolicy,
) -> npt.NDArray[np.object_]:
    """Return why a day cannot be judged: too few have matured, maturing stopped, or scores are missing."""
    why = reasons(len(days))
    have = last + 1
    place = np.maximum(last, 0)
    age = calendar.count(np.minimum(scored.matured_on[place], days), days)
    few = have < window
    old = ~few & (age > policy.max_age_business_days)
    gaps = ~few & ~old & (missing[place] > policy.max_missing_share)
    for i in np.flatnonzero(few):
        why[i] = CannotTell("few_matured", have=int(have[i]), need=window)
    for i in np.flatnonzero(old):
        why[i] = CannotTell("maturing_stopped", days=int(age[i]), newest=scored.matured_on[last[i]].item())
    for i in np.flatnonzero(gaps):
        why[i] = CannotTell("scores_missing", share=float(missing[last[i]]))
    return why


def _volatility_reading(frames: Frames, days: Dates, policy: PerformancePolicy) -> Reading:
    rule, unit = "volatility", "log evidence"
    effect, why = np.full(len(days), np.nan), reasons(len(days))
    for places, known, lengths in frames.target.groups(as_of_instants(days)):
        found = np.concatenate([[np.nan], volatility_statistics(known.values, policy)])  # one a price
        some = lengths > 0
        why[places[~some]] = CannotTell("no_price")
        places, lengths = places[some], lengths[some]
        newest = np.minimum(known.dates[lengths - 1], days[places])
        age = frames.calendar.count(newest, days[places])
        for i, days_old in zip(places, age, strict=True):
            if days_old > policy.max_age_business_days:
                why[i] = CannotTell("price_old", days=int(days_old))
        effect[places] = found[lengths - 1]
        for i in np.flatnonzero(~np.isfinite(effect[places]) & (why[places] == "")):
            why[places[i]] = CannotTell("prices_few_or_still", have=int(lengths[i]))
    effect[why != ""] = np.nan
    return Reading(rule, frames.target.name, unit, effect, policy.volatility.surprise_log_evidence, -INFINITE, why)


def volatility_statistics(prices: Floats, policy: PerformancePolicy) -> Floats:
    """Return the surprise after each return; NaN where the last window of returns does not move at all."""
    with np.errstate(invalid="ignore", divide="ignore"):
        returns = np.diff(np.log(prices))
    returns = np.where(np.isfinite(returns), returns, 0.0)
    out = surprise(returns, policy.volatility)
    moved = np.cumsum(returns != 0.0)
    window = policy.volatility.still_obs
    still = np.zeros(len(returns), dtype=bool)
    still[window:] = moved[window:] == moved[:-window]
    return np.where(still, np.nan, out)


def _classic_reading(name: str, scored: Scored | None, days: Dates, settings: Settings) -> Reading:
    """Fire where the classic status is DEGRADED or CRITICAL; its effect is the worst of the three changes."""
    limit = settings.classic.performance.degraded_share
    why, effect = reasons(len(days)), np.full(len(days), np.nan)
    if scored is None:
        why = reasons(len(days), CannotTell("none_matured", horizon=name))
        return Reading("classic_degradation", name, "share of RMSE", effect, limit, -INFINITE, why)
    for i, verdict in enumerate(classic_verdicts(scored, days, settings.classic.performance)):
        if verdict.status == "UNKNOWN":
            why[i] = CannotTell("error_not_finite")
        # GOOD whatever the change: the rule answers so with too few rows, and below its significance.
        elif verdict.status in ("DEGRADED", "CRITICAL"):
            effect[i] = max(verdict.rmse, verdict.mae, verdict.mape)
        else:
            effect[i] = min(0.0, verdict.rmse) if math.isfinite(verdict.rmse) else 0.0
    return Reading("classic_degradation", name, "share of RMSE", effect, limit, -INFINITE, why)


def degradation_reports(
    frames: Frames, as_of: dt.date, settings: Settings, profile: Profile = "recommended"
) -> tuple[DegradationReport, ...]:
    """Return each horizon's status and what to do about it."""
    day = np.array([as_of], dtype="datetime64[D]")
    if profile == "classic":
        out = []
        for name in frames.horizons:
            scored = frames.scored.get(name)
            verdict = classic_verdicts(scored, day, settings.classic.performance)[0] if scored is not None else None
            out.append(_classic_report(name, verdict))
        return tuple(out)
    found = readings(frames, day, settings, profile)
    return tuple(
        _report(name, [reading for reading in found if reading.subject == name], frames.scored.get(name), day, settings)
        for name in frames.horizons
    )


def _report(
    name: str, found: Sequence[Reading], scored: Scored | None, day: Dates, settings: Settings
) -> DegradationReport:
    policy = settings.recommended.performance
    skill = next(reading for reading in found if reading.rule == "skill")
    excess = float(skill.effect[0])
    n = scored.until(day[0]) if scored is not None else 0
    if skill.is_unknown[0]:
        why = skill.why_unknown[0] or "the scores cannot be compared"
        return DegradationReport(name, "UNKNOWN", False, f"No verdict: {why}.", math.nan, n)
    fired = [reading for reading in found if reading.fired[0]]
    worst: list[Severity] = [reading.severity_on(0) for reading in fired]
    if "critical" in worst or (fired and excess >= policy.status.critical_share):
        status: Status = "CRITICAL"
    elif fired:
        status = "DEGRADED"
    elif excess <= policy.status.excellent_share:
        status = "EXCELLENT"
    else:
        status = "GOOD"
    return DegradationReport(name, status, bool(fired), _advice([r.rule for r in fired], found), excess, n)


def _advice(fired: Sequence[str], found: Sequence[Reading]) -> str:
    """Return what to do, in one paragraph."""
    if not fired:
        return "Nothing to do: no alarm fires on the forecasts that have matured."
    parts = []
    if "skill" in fired or "evidence" in fired:
        parts.append(
            "the forecasts lose to the random walk on the same targets: compare with champion_zero and retrain"
        )
    calibration = next(reading for reading in found if reading.rule == "calibration")
    if "calibration" in fired:
        narrow = float(calibration.effect[0]) > 0
        parts.append(
            f"the intervals are too {'narrow' if narrow else 'wide'}, by more than the market explains: learn the "
            "width factors anew"
        )
    if "bias" in fired:
        parts.append("outcomes lie to one side of the forecasts: see the drivers and the centre of the model")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _classic_report(name: str, verdict: ClassicVerdict | None) -> DegradationReport:
    if verdict is None:
        return DegradationReport(name, "GOOD", False, "Too few matured forecasts; the classic rule says GOOD.", 0.0, 0)
    text = {
        "EXCELLENT": "Performance improved; keep the model.",
        "GOOD": "Performance within limits; no action.",
        "DEGRADED": "Performance fell by more than 15%; consider retraining.",
        "CRITICAL": "Performance fell by more than 30%; retrain now.",
        "UNKNOWN": "An error is not a finite number; see the scores.",
    }[verdict.status]
    detected = verdict.status in ("DEGRADED", "CRITICAL")
    return DegradationReport(name, verdict.status, detected, text, verdict.rmse, verdict.n_baseline + verdict.n_recent)


MONITOR = Monitor(
    name=NAME,
    doc="Skill, calibration, bias and volatility of matured forecasts, beside the random walk on the same targets.",
    judge=judge,
    scan=scan,
)
