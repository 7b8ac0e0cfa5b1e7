"""The classic drift rule, exactly (SPEC 2.2, A05): five tests of the price level, 30 observations against 90 before.

It fires on nine quiet windows of ten, since a price is near a random walk (K01). It is kept for comparison.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats, Ints
from forex_assets.monitoring.windows import (
    ks_distance,
    ks_exact_p,
    levene_p,
    ljung_box_p,
    welch_p,
    window_pairs,
)
from forex_assets.settings.monitoring import ClassicDriftPolicy

Severity = Literal["NONE", "LOW", "MEDIUM", "HIGH"]
LEVELS: tuple[Severity, ...] = ("NONE", "LOW", "MEDIUM", "HIGH")
Trend = Literal["STABLE", "WORSENING", "IMPROVING", "UNKNOWN"]


class ClassicDrift(NamedTuple):
    """Statistics of the five tests, shape (w,) each; NaN where there are fewer observations than both windows hold."""

    ks_statistic: Floats
    ks_p: Floats
    t_p: Floats
    levene_p: Floats
    ljung_box_recent_p: Floats
    ljung_box_baseline_p: Floats
    volatility_ratio: Floats
    baseline_mean: Floats
    baseline_std: Floats
    recent_mean: Floats
    recent_std: Floats

    def fired(self, policy: ClassicDriftPolicy) -> npt.NDArray[np.bool_]:
        """Return which of the five tests fire, shape (5, w): KS, t, Levene, Ljung-Box, volatility ratio."""
        alpha, ratio = policy.alpha, policy.volatility_ratio
        with np.errstate(invalid="ignore"):
            return np.array(
                [
                    self.ks_p < alpha,
                    self.t_p < alpha,
                    self.levene_p < alpha,
                    (self.ljung_box_recent_p < alpha) != (self.ljung_box_baseline_p < alpha),
                    (self.volatility_ratio > ratio) | (self.volatility_ratio < 1 / ratio),
                ]
            )

    def min_p(self) -> Floats:
        """Return the smallest p-value of KS, t, Levene and the recent Ljung-Box."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.fmin.reduce([self.ks_p, self.t_p, self.levene_p, self.ljung_box_recent_p]))

    def severity(self, policy: ClassicDriftPolicy) -> Ints:
        """Return the aggregate severity as a position in :data:`LEVELS`, shape (w,); none without enough data."""
        count, smallest = self.fired(policy).sum(axis=0), self.min_p()
        with np.errstate(invalid="ignore"):
            return np.select(
                [
                    ~np.isfinite(self.ks_statistic),
                    (count >= 3) | (smallest < policy.high_p),
                    (count == 2) | (smallest < policy.medium_p),
                    count == 1,
                ],
                [0, 3, 2, 1],
                default=0,
            ).astype(np.int64)

    def score(self) -> Floats:
        """Return the drift score, 0 to 100: 40% KS distance, 25% t, 20% Levene, 15% Ljung-Box."""
        return drift_score(self.ks_statistic, self.t_p, self.levene_p, self.ljung_box_recent_p)


def classic_drift(values: Floats, ends: Ints, policy: ClassicDriftPolicy) -> ClassicDrift:
    """Return the five tests for the values known at each end."""
    b, r = policy.baseline_obs, policy.recent_obs
    enough = np.flatnonzero(ends >= b + r)
    out = ClassicDrift(*(np.full(len(ends), np.nan) for _ in ClassicDrift._fields))
    for part in np.array_split(enough, max(1, len(enough) // 4000)):
        if not len(part):
            continue
        base, recent = window_pairs(values, b, r, ends[part])
        distance = ks_distance(recent, base)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = recent.std(axis=1, ddof=1) / base.std(axis=1, ddof=1)
        found = (
            distance,
            ks_exact_p(distance, r, b),
            welch_p(recent, base),
            levene_p(recent, base),
            ljung_box_p(np.diff(recent, axis=1), policy.ljung_box_lags),
            ljung_box_p(np.diff(base, axis=1), policy.ljung_box_lags),
            ratio,
            base.mean(axis=1),
            base.std(axis=1, ddof=1),
            recent.mean(axis=1),
            recent.std(axis=1, ddof=1),
        )
        for column, numbers in zip(out, found, strict=True):
            column[part] = numbers
    return out


def ks_severity(p: float, distance: float, policy: ClassicDriftPolicy) -> Severity:
    """Return the severity by the KS test alone (A05)."""
    if not (math.isfinite(p) and p < policy.alpha):
        return "NONE"
    if p < policy.ks_high_p and distance > policy.ks_high_distance:
        return "HIGH"
    return "MEDIUM" if distance > policy.ks_medium_distance else "LOW"


def drift_score(distance: Floats, t_p: Floats, levene: Floats, ljung_box: Floats) -> Floats:
    """Return 0.40·min(100·D, 100) + 0.25·100(1-p_t) + 0.20·100(1-p_Levene) + 0.15·100(1-p_LB)."""
    return np.asarray(
        0.40 * np.minimum(100.0 * distance, 100.0)
        + 25.0 * (1.0 - t_p)
        + 20.0 * (1.0 - levene)
        + 15.0 * (1.0 - ljung_box),
        dtype=np.float64,
    )


class DriftTrend(NamedTuple):
    """Where the drift score is going, from its stored history (SPEC 2.2)."""

    trend: Trend
    slope_per_day: float
    slope_low: float
    slope_high: float
    r_squared: float
    mean_30: float
    mean_90: float
    consecutive_high: int
    last_none: dt.date | None
    action_needed: bool
    advice: str


def drift_trend(history: Sequence[tuple[dt.date, float, Severity]]) -> DriftTrend:
    """Return the trend of a stored history of (day, score, severity), oldest first.

    Below three records nothing is said. The slope carries a 95% interval widened by the autocorrelation of the
    residuals; where that interval holds zero the future is *not predictable* and the advice says so (A38).
    """
    rows = [row for row in sorted(history, key=lambda row: row[0]) if math.isfinite(row[1])]
    run = 0
    for _, _, severity in reversed(rows):
        if severity != "HIGH":
            break
        run += 1
    none = next((day for day, _, severity in reversed(rows) if severity == "NONE"), None)
    if len(rows) < 3:
        nan = math.nan
        return DriftTrend("UNKNOWN", nan, nan, nan, nan, nan, nan, run, none, run >= 3, "Too little history.")
    day0 = rows[0][0]
    x = np.array([(day - day0).days for day, _, _ in rows], dtype=np.float64)
    y = np.array([score for _, score, _ in rows])
    slope, low, high, r2 = _slope(x, y)
    newest = x[-1]
    mean_30, mean_90 = (float(y[x > newest - span].mean()) for span in (30, 90))
    score = float(y[-1])
    trend: Trend
    if r2 < 0.3:
        trend = "STABLE" if score < 25 else "UNKNOWN"
    elif abs(slope) < 0.5:
        trend = "STABLE"
    else:
        trend = "WORSENING" if slope > 0 else "IMPROVING"
    action = trend == "WORSENING" or run >= 3 or score >= 75
    advice = drift_advice(trend, score, mean_30, run)
    if low <= 0.0 <= high:
        advice += " The next days are not predictable from it."
    return DriftTrend(trend, slope, low, high, r2, mean_30, mean_90, run, none, action, advice)


def drift_advice(trend: Trend, score: float, mean_30: float, consecutive_high: int) -> str:
    """Return the advice of SPEC 2.2, most urgent first."""
    if (trend == "WORSENING" and score >= 75) or consecutive_high >= 5:
        return "Critical: retrain now."
    if trend == "WORSENING" and mean_30 >= 50:
        return "Plan a retraining in 7 to 14 days."
    if score >= 60:
        return "Advisory: drift is high, watch it."
    return "No action."


def _slope(x: Floats, y: Floats) -> tuple[float, float, float, float]:
    """Return slope a day, its 95% interval, and R² of a straight line."""
    from scipy.stats import t as student

    n = len(x)
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread <= 0:
        return 0.0, -math.inf, math.inf, 0.0
    slope = float(centred @ y) / spread
    residual = y - y.mean() - slope * centred
    total = float(((y - y.mean()) ** 2).sum())
    left = float(residual @ residual)
    r2 = 1.0 - left / total if total > 0 else 0.0
    rho = float(residual[1:] @ residual[:-1]) / left if left > 0 else 0.0
    inflate = max(1.0, (1 + rho) / (1 - rho)) if rho < 0.99 else 200.0
    half = float(student.ppf(0.975, n - 2)) * math.sqrt(left / (n - 2) / spread * inflate)
    return slope, slope - half, slope + half, r2
