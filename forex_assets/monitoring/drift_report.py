"""The drift report of a day: one row per subject with score, trend, advice and when the change began."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets.arrays import Floats
from forex_assets.clock import as_of_instants
from forex_assets.monitoring.classic_drift import LEVELS, Severity, classic_drift, drift_score, drift_trend
from forex_assets.monitoring.drift import measured_over, readings
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.onset import onset
from forex_assets.monitoring.readings import Reading
from forex_assets.monitoring.windows import ks_distance, levene_p, ljung_box_p, welch_p
from forex_assets.schemas import PROVENANCE
from forex_assets.schemas.monitoring import DRIFT_REPORT

if TYPE_CHECKING:
    from forex_assets.settings import Settings

COLUMNS = [name for name in DRIFT_REPORT.column_names if name not in PROVENANCE]
CLASSIC_SUBJECT = "price level"
_TEST_COLUMN = {
    "distribution": "shape_fired",
    "location": "mean_fired",
    "scale": "variance_fired",
    "persistence": "autocorrelation_fired",
    "link": "autocorrelation_fired",
}
_SEVERITY: dict[str, Severity] = {
    "info": "NONE", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "critical": "HIGH"
}  # fmt: skip
_FLAGS = ("shape_fired", "mean_fired", "variance_fired", "autocorrelation_fired")


def drift_report(frames: Frames, as_of: dt.date, settings: Settings, history: pd.DataFrame) -> pd.DataFrame:
    """Return the report of a day.

    Parameters
    ----------
    frames, as_of, settings:
        What was known, the day, the profiles.
    history:
        DRIFT_REPORT rows of earlier days; may be empty. Rows of ``as_of`` or later are not looked at.

    Returns
    -------
    DataFrame
        DRIFT_REPORT rows without the provenance columns.
    """
    rows = [_classic_row(frames, as_of, settings), *_recommended_rows(frames, as_of, settings)]
    past = history.loc[history["as_of"] < pd.Timestamp(as_of)] if len(history) else history
    for row in rows:
        row.update({"pair": frames.pair, "as_of": pd.Timestamp(as_of)})
        row.update(_trend_of(row, past))
    return pd.DataFrame(rows, columns=COLUMNS)


def _trend_of(row: dict[str, Any], past: pd.DataFrame) -> dict[str, Any]:
    earlier: list[tuple[dt.date, float, Severity]] = []
    if len(past):
        own = past.loc[(past["profile"] == row["profile"]) & (past["subject"] == row["subject"])]
        earlier = [
            (pd.Timestamp(day).date(), float(score), severity)
            for day, score, severity in zip(own["as_of"], own["drift_score"], own["severity"], strict=True)
        ]
    trend = drift_trend([*earlier, (row["as_of"].date(), float(row["drift_score"]), row["severity"])])
    return {
        "trend": trend.trend,
        "slope_per_day": trend.slope_per_day,
        "slope_low": trend.slope_low if math.isfinite(trend.slope_low) else math.nan,
        "slope_high": trend.slope_high if math.isfinite(trend.slope_high) else math.nan,
        "action_needed": trend.action_needed,
        "advice": trend.advice,
    }


def _classic_row(frames: Frames, as_of: dt.date, settings: Settings) -> dict[str, Any]:
    policy = settings.classic.drift
    known = frames.target.at(as_of_instants(np.array([as_of], dtype="datetime64[D]"))[0])
    found = classic_drift(known.values, np.array([len(known)]), policy)
    fired = found.fired(policy)[:, 0]
    level = int(found.severity(policy)[0])
    need = policy.baseline_obs + policy.recent_obs
    names = ("KS", "Welch t", "Levene", "Ljung-Box", "volatility ratio")
    enough = len(known) >= need
    which = ", ".join(name for name, on in zip(names, fired, strict=True) if on) or "no test"
    reason = (
        f"{LEVELS[level]}: {which} on the price level"
        if enough
        else f"insufficient data: {len(known)} of {need} observations"
    )
    return {
        "profile": "classic", "subject": CLASSIC_SUBJECT,
        "state": ("fired" if level >= LEVELS.index("MEDIUM") else "clear") if enough else "unknown",
        "severity": LEVELS[level], "drift_detected": level > 0,
        "drift_score": float(found.score()[0]), "p_value": float(found.min_p()[0]),
        "ks_statistic": float(found.ks_statistic[0]),
        "baseline_mean": float(found.baseline_mean[0]), "baseline_std": float(found.baseline_std[0]),
        "recent_mean": float(found.recent_mean[0]), "recent_std": float(found.recent_std[0]),
        "shape_fired": bool(fired[0]), "mean_fired": bool(fired[1]), "variance_fired": bool(fired[2] or fired[4]),
        "autocorrelation_fired": bool(fired[3]), "began_on": pd.NaT,
        "n_baseline": policy.baseline_obs if enough else 0, "n_recent": policy.recent_obs if enough else 0,
        "reason": reason,
    }  # fmt: skip


def _recommended_rows(frames: Frames, as_of: dt.date, settings: Settings) -> list[dict[str, Any]]:
    policy = settings.recommended.drift
    day = np.array([as_of], dtype="datetime64[D]")
    found = readings(frames, day, settings, "recommended")
    out = []
    by_subject: dict[str, list[Reading]] = {}
    for reading in found:
        by_subject.setdefault(reading.subject, []).append(reading)
    tests = measured_over(frames, day, policy, None)
    measured = {item.sample.subject: item for item in tests}
    p_values: dict[str, list[float]] = {}
    for item in tests:
        p_values.setdefault(item.sample.subject, []).append(float(item.measured.p_value[0]))
    for subject, group in by_subject.items():
        item = measured[subject]
        end = int(item.ends[0])
        recent = item.sample.values[max(0, end - policy.recent_obs) : end]
        base = item.sample.values[
            max(0, end - policy.recent_obs - policy.baseline_obs) : max(0, end - policy.recent_obs)
        ]
        fired = [reading for reading in group if reading.fired[0]]
        unknown = all(reading.is_unknown[0] for reading in group)
        state = "fired" if fired else ("unknown" if unknown else "clear")
        began = (
            onset(
                item.sample.dates[max(0, end - policy.recent_obs - policy.baseline_obs) : end],
                np.concatenate([base, recent]),
                of_size=any(reading.rule in ("scale", "distribution") for reading in fired),
            ).began_on
            if fired
            else None
        )
        smallest = [p for p in p_values[subject] if math.isfinite(p)]
        worst = max(fired, key=lambda r: abs(float(r.effect[0] / r.threshold[0]))) if fired else None
        row: dict[str, Any] = {
            "profile": "recommended", "subject": subject, "state": state,
            "severity": "UNKNOWN" if unknown else _SEVERITY[worst.severity_on(0)] if worst else "NONE",
            "drift_detected": bool(fired), "p_value": min(smallest) if smallest else math.nan,
            **_describe(base, recent), **dict.fromkeys(_FLAGS, False),
            "began_on": pd.Timestamp(began) if began else pd.NaT,
            "n_baseline": len(base), "n_recent": len(recent), "reason": _reason(group, fired, unknown),
        }  # fmt: skip
        row.update({_TEST_COLUMN[reading.rule]: True for reading in fired})
        out.append(row)
    return out


def _reason(group: Sequence[Reading], fired: Sequence[Reading], unknown: bool) -> str:
    if fired:
        return "; ".join(f"{r.rule} {float(r.effect[0]):+.2f} {r.unit}" for r in fired)
    if unknown:
        return f"cannot tell: {group[0].cannot_tell(0)}"
    return "no test is both large and beyond chance"


def _describe(base: Floats, recent: Floats) -> dict[str, float]:
    """Return means, deviations, KS distance and drift score of two windows."""
    base, recent = base[np.isfinite(base)], recent[np.isfinite(recent)]
    names = ("ks_statistic", "baseline_mean", "baseline_std", "recent_mean", "recent_std", "drift_score")
    if min(len(base), len(recent)) < 20 or np.ptp(base) == 0 or np.ptp(recent) == 0:
        return dict.fromkeys(names, math.nan)
    x, y = recent[None, :], base[None, :]
    distance = ks_distance(x, y)
    score = drift_score(distance, welch_p(x, y), levene_p(x, y), ljung_box_p(x, 10))
    numbers = (distance[0], base.mean(), base.std(ddof=1), recent.mean(), recent.std(ddof=1), score[0])
    return {name: float(number) for name, number in zip(names, numbers, strict=True)}
