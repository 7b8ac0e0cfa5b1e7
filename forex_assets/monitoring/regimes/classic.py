"""The classic regime detector, number by number (SPEC 2.3): six signals, their order of decision, its multipliers.

What the specification leaves open is decided here and written down: the standard deviations have n - 1; the percentile
is the share of the 61 rolling ones strictly below the newest, in percent; the wall clock of the original is ``as_of``;
the confidence of NORMAL, given only as 50-100, is ``100 - 20 |z|`` kept inside that range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.clock import as_of_instants
from forex_assets.clock.classic import third_tuesdays
from forex_assets.monitoring.observed import Known, Observed
from forex_assets.settings.regimes import ClassicRegimePolicy

if TYPE_CHECKING:
    import pandas as pd


NORMAL, HIGH_VOL, COPPER_SHOCK, BCCH, UNKNOWN = "NORMAL", "HIGH_VOL", "COPPER_SHOCK", "BCCH_INTERVENTION", "UNKNOWN"
MULTIPLIER_UNKNOWN, MULTIPLIER_COPPER, MULTIPLIER_BCCH = 1.5, 1.5, 2.0
HIGH_VOL_SLOPE, HIGH_VOL_CAP = 0.25, 2.5


def multiplier(regime: str, zscore: float) -> float:
    """Return the classic width multiplier (B08): HIGH_VOL is ``min(1 + 0.25 z, 2.5)``."""
    if regime == HIGH_VOL:
        return min(1.0 + HIGH_VOL_SLOPE * zscore, HIGH_VOL_CAP)
    return {NORMAL: 1.0, COPPER_SHOCK: MULTIPLIER_COPPER, BCCH: MULTIPLIER_BCCH}.get(regime, MULTIPLIER_UNKNOWN)


def decide(
    zscore: float, percentile: float, copper_change: float, broken: bool, proximity: float, policy: ClassicRegimePolicy
) -> tuple[str, float]:
    """Return regime and confidence (percent) from the signals, in the classic order."""
    if not (np.isfinite(zscore) and np.isfinite(percentile)):
        return UNKNOWN, 0.0
    if abs(proximity) <= policy.bcch_days and zscore > policy.bcch_zscore:
        return BCCH, min(80.0 + 5.0 * zscore, 95.0)
    if np.isfinite(copper_change) and abs(copper_change) > policy.copper_shock_threshold and broken:
        return COPPER_SHOCK, min(70.0 + abs(copper_change) * 100.0, 90.0)
    if zscore > policy.high_vol_zscore and percentile > policy.high_vol_percentile:
        return HIGH_VOL, min(60.0 + percentile / 5.0, 85.0)
    return NORMAL, float(np.clip(100.0 - 20.0 * abs(zscore), 50.0, 100.0))


def volatility_signals(values: Floats, policy: ClassicRegimePolicy) -> tuple[Floats, Floats]:
    """Return z-score and percentile after each value; NaN where fewer than ``lookback_obs`` returns are known."""
    n, long, short = len(values), policy.lookback_obs, policy.recent_obs
    z, percentile = np.full(n, np.nan), np.full(n, np.nan)
    returns = np.diff(np.log(values))
    if len(returns) < long:
        return z, percentile
    rolling = _windows(returns, short).std(axis=1, ddof=1)
    whole = _windows(returns, long).std(axis=1, ddof=1)
    inside = _windows(rolling, long - short + 1)
    newest = inside[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        z[long:] = (newest - whole) / inside.std(axis=1, ddof=1)
    percentile[long:] = 100.0 * (inside < newest[:, None]).mean(axis=1)
    return z, percentile


def correlation_signals(price: Known, copper: Known, policy: ClassicRegimePolicy) -> tuple[Dates, Floats, Floats]:
    """Return the common dates, and after each of them the correlation of the newest 90 and of the newest 30 returns."""
    common, here, there = np.intersect1d(price.dates, copper.dates, assume_unique=True, return_indices=True)
    x, y = np.diff(np.log(price.values[here])), np.diff(np.log(copper.values[there]))
    long, short = np.full(len(common), np.nan), np.full(len(common), np.nan)
    for window, out in ((policy.lookback_obs, long), (policy.recent_obs, short)):
        if len(x) >= window:
            out[window:] = _correlation(_windows(x, window), _windows(y, window))
    # With 60 to 89 common returns the long window is what there is.
    for end in range(policy.correlation_min_obs, min(policy.lookback_obs, len(common))):
        long[end] = _correlation(x[None, :end], y[None, :end])[0]
    return common, long, short


def scan_classic(
    target: Observed,
    drivers: Mapping[str, Observed],
    days: Dates,
    policy: ClassicRegimePolicy,
    *,
    copper: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the classic regime at the end of each day, with its signals, multiplier and risk gauge."""
    import pandas as pd

    days = np.asarray(days, dtype="datetime64[D]")
    instants = as_of_instants(days)
    names = [name for name in copper if name in drivers]
    used = {"": target} | {name: drivers[name] for name in (*names[:1], *policy.risk_signs) if name in drivers}
    lengths = {name: series.prefixes(instants) for name, series in used.items()}
    whole = np.all([values >= 0 for values in lengths.values()], axis=0) if len(days) else np.zeros(0, dtype=bool)
    parts = []
    if whole.any():
        newest = {name: series.at(instants[-1]) for name, series in used.items()}
        parts.append(_rows(newest, {k: v[whole] for k, v in lengths.items()}, days[whole], policy, names[:1]))
    for i in np.flatnonzero(~whole):
        own = {name: series.at(instants[i]) for name, series in used.items()}
        counts = {name: np.array([len(known)]) for name, known in own.items()}
        parts.append(_rows(own, counts, days[i : i + 1], policy, names[:1]))
    if not parts:
        return pd.DataFrame(columns=["as_of", "regime"])
    return pd.concat(parts, ignore_index=True).sort_values("as_of", kind="stable", ignore_index=True)


def _rows(
    known: Mapping[str, Known],
    lengths: Mapping[str, npt.NDArray[np.int64]],
    days: Dates,
    policy: ClassicRegimePolicy,
    copper: Sequence[str],
) -> pd.DataFrame:
    import pandas as pd

    price = known[""]
    z, percentile = (_at(column, lengths[""] - 1) for column in volatility_signals(price.values, policy))
    change, long, short = (np.full(len(days), np.nan) for _ in range(3))
    for name in copper:
        change = _at(_change(known[name].values, policy.move_obs), lengths[name] - 1)
        common, ninety, thirty = correlation_signals(price, known[name], policy)
        last = np.minimum(
            price.dates[np.maximum(lengths[""], 1) - 1], known[name].dates[np.maximum(lengths[name], 1) - 1]
        ) if len(price) and len(known[name]) else np.full(len(days), np.datetime64("NaT", "D"))  # fmt: skip
        place = np.where(np.isnat(last), -1, np.searchsorted(common, last, side="right") - 1)
        long, short = _at(ninety, place), _at(thirty, place)
    gap = np.abs(long - short)
    broken = np.nan_to_num(gap, nan=0.0) > policy.correlation_break
    proximity = days_to_third_tuesday(days)
    decided = [
        decide(*item, policy)
        for item in zip(z.tolist(), percentile.tolist(), change.tolist(), broken.tolist(), proximity.tolist(),
                        strict=True)
    ]  # fmt: skip
    regimes = [regime for regime, _ in decided]
    score, seen = np.zeros(len(days)), np.zeros(len(days), dtype=np.int64)
    for name, sign in policy.risk_signs.items():
        if name in known:
            move = _at(_change(known[name].values, policy.move_obs), lengths[name] - 1)
            score = score + np.where(np.isfinite(move), sign * np.sign(move), 0.0)
            seen = seen + np.isfinite(move)
    complete = seen == len(policy.risk_signs)
    limit = policy.risk_score
    risk = np.where(score >= limit, "risk_on", np.where(score <= -limit, "risk_off", "neutral"))
    return pd.DataFrame(
        {
            "as_of": days.astype("datetime64[ns]"),
            "regime": np.array(regimes, dtype=object),
            "confidence": [confidence for _, confidence in decided],
            "multiplier": [multiplier(regime, item) for regime, item in zip(regimes, z.tolist(), strict=True)],
            "vol_zscore": z,
            "vol_percentile": percentile,
            "copper_change": change,
            "price_change": _at(_change(price.values, policy.move_obs), lengths[""] - 1),
            "correlation_long": long,
            "correlation_short": short,
            "correlation_broken": broken,
            "days_to_meeting": proximity,
            "risk": np.where(complete, risk, "unknown").astype(object),
            "risk_score": np.where(complete, score, np.nan),
            "price_n": lengths[""].astype(np.int64),
        }
    )


def days_to_third_tuesday(days: Dates) -> Floats:
    """Return the calendar days from each day to the next third Tuesday, 0 on one (K13: the rule is wrong)."""
    days = days.astype("datetime64[D]")
    if not len(days):
        return np.empty(0)
    tuesdays = third_tuesdays(days.min(), days.max() + np.timedelta64(40, "D"))
    return np.asarray((tuesdays[np.searchsorted(tuesdays, days)] - days).astype(np.float64))


def _change(values: Floats, lag: int) -> Floats:
    out = np.full(len(values), np.nan)
    if len(values) > lag:
        with np.errstate(divide="ignore", invalid="ignore"):
            out[lag:] = values[lag:] / values[:-lag] - 1.0
    return out


def _correlation(x: Floats, y: Floats) -> Floats:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1)))


def _windows(values: Floats, window: int) -> Floats:
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(values, window))


def _at(values: Any, at: npt.NDArray[np.int64]) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return np.full(len(at), np.nan)
    return np.where(at >= 0, numbers[np.maximum(at, 0)], np.nan)
