"""The classic performance rule, exactly (SPEC 2.4, A04, B10, B11): RMSE ratio and Mann-Whitney over two windows.

Windows hold forecasts *issued* in them that have matured. So the newest 14 days hold no matured forecast of 15 days or
more, too few rows read as GOOD, and the rule is blind there (J04, K03). It is kept for comparison; the false alarms and
misses measured for it stand in docs/monitoring.md.
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.monitoring.frames import Scored
from forex_assets.settings.monitoring import ClassicPerformancePolicy

Status = Literal["EXCELLENT", "GOOD", "DEGRADED", "CRITICAL", "UNKNOWN"]
METRICS = ("rmse", "mae", "mape")
#: Comparisons of single errors held in memory at once.
_CHUNK = 4_000_000


class ClassicVerdict(NamedTuple):
    """Status and the changes it rests on, as shares (0.15 is 15% worse); NaN where a window is too small."""

    status: Status
    rmse: float
    mae: float
    mape: float
    p_value: float
    n_baseline: int
    n_recent: int


def classic_verdicts(scored: Scored, days: Dates, policy: ClassicPerformancePolicy) -> list[ClassicVerdict]:
    """Return the classic verdict of one horizon for each day."""
    order = np.argsort(scored.origin, kind="stable")
    origin, matured = scored.origin[order], scored.matured_on[order]
    error, actual = scored.error[order], scored.actual[order]
    recent_from = days - np.timedelta64(policy.recent_days, "D")
    baseline_from = recent_from - np.timedelta64(policy.baseline_days, "D")
    a, b = (np.searchsorted(origin, start, side="right") for start in (baseline_from, recent_from))
    issued = np.searchsorted(origin, days, side="right")
    # Forecasts mature in the order they were issued, but for a late value; those are sorted out one by one.
    done = np.array(
        [int(np.sum(matured[low:high] <= day)) for low, high, day in zip(b, issued, days, strict=True)], dtype=np.int64
    )
    nan = np.nan
    verdicts = [
        ClassicVerdict("GOOD", nan, nan, nan, nan, int(n1), int(n2)) for n1, n2 in zip(b - a, done, strict=True)
    ]
    enough = (b - a >= policy.min_baseline_rows) & (done >= policy.min_recent_rows)
    shapes = np.stack([b - a, done], axis=1)
    for n_baseline, n_recent in np.unique(shapes[enough], axis=0):
        some = np.flatnonzero(enough & (shapes == (n_baseline, n_recent)).all(axis=1))
        for part in np.array_split(some, max(1, len(some) * n_baseline * n_recent // _CHUNK)):
            baseline = a[part][:, None] + np.arange(n_baseline)
            recent = np.array([np.flatnonzero(matured[b[i] : issued[i]] <= days[i]) + b[i] for i in part])
            _judge(verdicts, part, error, actual, baseline, recent, policy)
    return verdicts


def _judge(
    verdicts: list[ClassicVerdict],
    places: npt.NDArray[np.int64],
    error: Floats,
    actual: Floats,
    baseline: npt.NDArray[np.int64],
    recent: npt.NDArray[np.int64],
    policy: ClassicPerformancePolicy,
) -> None:
    size, share = np.abs(error), np.abs(error / actual)
    with np.errstate(invalid="ignore", divide="ignore"):
        rmse = np.sqrt((error[recent] ** 2).mean(axis=1) / (error[baseline] ** 2).mean(axis=1)) - 1.0
        mae = size[recent].mean(axis=1) / size[baseline].mean(axis=1) - 1.0
        mape = share[recent].mean(axis=1) / share[baseline].mean(axis=1) - 1.0
    p = mann_whitney_greater(size[recent], size[baseline])
    for i, place in enumerate(places):
        changes = (float(rmse[i]), float(mae[i]), float(mape[i]))
        verdicts[place] = ClassicVerdict(
            classic_status(changes, float(p[i]), policy), *changes, float(p[i]), baseline.shape[1], recent.shape[1]
        )


def classic_status(changes: tuple[float, ...], p_value: float, policy: ClassicPerformancePolicy) -> Status:
    """Return the status of B11 from the changes of RMSE, MAE and MAPE (shares) and the p-value."""
    if not np.isfinite([*changes, p_value]).all():
        return "UNKNOWN"
    worst = max(changes)
    if worst > policy.critical_share and p_value < policy.critical_p:
        return "CRITICAL"
    if worst > policy.degraded_share and p_value < policy.degraded_p:
        return "DEGRADED"
    if changes[0] < policy.excellent_share and max(changes) < 0:
        return "EXCELLENT"
    return "GOOD"


def mann_whitney_greater(x: Floats, y: Floats) -> Floats:
    """Return the one-sided p-value, row by row, that ``x`` tends to be greater than ``y``.

    As ``scipy.stats.mannwhitneyu(x, y, alternative="greater")``: exact for up to eight values on a side without ties,
    else normal with the correction for ties and continuity.

    Parameters
    ----------
    x, y:
        Shapes (m, n1) and (m, n2).
    """
    from scipy.special import ndtr

    n1, n2 = x.shape[1], y.shape[1]
    greater = (x[:, :, None] > y[:, None, :]).sum(axis=(1, 2))
    equal = (x[:, :, None] == y[:, None, :]).sum(axis=(1, 2))
    u = greater + 0.5 * equal
    ordered = np.sort(np.concatenate([x, y], axis=1), axis=1)
    n = n1 + n2
    tied = np.array([float(np.sum((c := np.unique(row, return_counts=True)[1]) ** 3 - c)) for row in ordered])
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(n1 * n2 / 12 * ((n + 1) - tied / (n * (n - 1))))
        p = 1.0 - ndtr((u - n1 * n2 / 2 - 0.5) / spread)
    if min(n1, n2) <= 8:
        tail = _exact_tail(n1, n2)
        exact = tied == 0
        p[exact] = tail[np.ceil(u[exact]).astype(np.int64)]
    missing = np.isnan(x).any(axis=1) | np.isnan(y).any(axis=1)
    return np.where(missing, np.nan, np.clip(p, 0.0, 1.0))


@functools.lru_cache(maxsize=256)
def _exact_tail(n1: int, n2: int) -> Floats:
    """Return P(U >= u) under the null, for u = 0 … n1·n2 (and zero beyond)."""
    counts = np.zeros((n1 + 1, n1 * n2 + 1))
    counts[0, 0] = 1.0
    # Ways to choose k ranks with a given sum: one value after another takes its place among the n1 + n2.
    for place in range(n1 + n2):
        for k in range(min(place + 1, n1), 0, -1):
            above = place - (k - 1)  # values of y below the k-th x when it takes this place
            if above <= n2:
                counts[k, above:] += counts[k - 1, : counts.shape[1] - above]
    share = counts[n1] / counts[n1].sum()
    return np.append(np.cumsum(share[::-1])[::-1], 0.0)
