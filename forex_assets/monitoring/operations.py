"""How the platform itself runs (E10): errors, latency, throughput, resources and silence of its runs.

The frame of runs comes from Dagster's own records (:mod:`forex_assets.defs.run_log`); nothing here asks a clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.finding import Finding, Severity, State, unknown
from forex_assets.settings.watching import OperationsSettings

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

NAME = "operations"
#: Columns of the frame of runs, one row per finished run.
RUN_COLUMNS = (
    *("run_id", "job", "pair", "family", "status", "started_at", "ended_at"),
    *("partitions", "peak_memory_mb", "cpu_s"),
)
SUCCESS, FAILURE = "SUCCESS", "FAILURE"


def judge_runs(runs: pd.DataFrame, pair: str, now: pd.Timestamp, policy: OperationsSettings) -> tuple[Finding, ...]:
    """Return how the runs of a pair did up to an instant.

    Parameters
    ----------
    runs:
        Columns of :data:`RUN_COLUMNS`; rows after ``now``, of other pairs, and unfinished ones are left out.
    pair:
        Pair id.
    now:
        The instant, UTC.
    policy:
        Limits.
    """
    day = now.tz_convert("America/Santiago").date()
    known = runs.loc[(runs["pair"] == pair) & (runs["ended_at"] <= now) & runs["status"].isin([SUCCESS, FAILURE])]
    recent = known.loc[known["ended_at"] > now - np.timedelta64(policy.window_days, "D")]
    return (
        _silence(known, pair, day, now, policy),
        _errors(recent, pair, day, policy),
        _latency(known, recent, pair, day, policy),
        _throughput(known, recent, pair, day, policy),
        _memory(recent, pair, day, policy),
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95% Wilson interval of a share."""
    z = 1.959964
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _silence(known: pd.DataFrame, pair: str, day: dt.date, now: pd.Timestamp, policy: OperationsSettings) -> Finding:
    good = known.loc[known["status"] == SUCCESS]
    if good.empty:
        return unknown(NAME, "silence", "recommended", pair, "runs", day, CannotTell("no_good_run"))
    last = good["ended_at"].max()
    age = (now - last).total_seconds() / 86_400
    return _finding("silence", pair, day, age > policy.max_silence_days, "high", age, "days", policy.max_silence_days,
                    len(good), f"The last good run ended {age:.1f} days ago, at {last:%Y-%m-%d %H:%M}.")  # fmt: skip


def _errors(recent: pd.DataFrame, pair: str, day: dt.date, policy: OperationsSettings) -> Finding:
    n = len(recent)
    if n < policy.min_runs:
        return _too_few("errors", pair, day, n, policy)
    failed = int((recent["status"] == FAILURE).sum())
    low, high = wilson(failed, n)
    text = f"{failed} of {n} runs in {policy.window_days} days failed ({failed / n:.0%} [{low:.0%}, {high:.0%}])."
    return _finding("errors", pair, day, low > policy.max_error_share, "high", failed / n, "share",
                    policy.max_error_share, n, text, low, high)  # fmt: skip


def _latency(known: pd.DataFrame, recent: pd.DataFrame, pair: str, day: dt.date, policy: OperationsSettings) -> Finding:
    """Seconds a partition took, the recent median over the earlier one, worst family."""
    found = _ratios(known, recent, policy, lambda rows: _seconds(rows) / np.maximum(rows["partitions"], 1))
    if not found:
        return _too_few("latency", pair, day, len(recent), policy)
    family, ratio, n = max(found, key=lambda item: item[1])
    text = f"Runs of {family} take {ratio:.2f} times as long per partition as before (median of {n} runs)."
    return _finding("latency", pair, day, ratio > policy.slow_factor, "medium", ratio, "ratio", policy.slow_factor, n,
                    text)  # fmt: skip


def _throughput(
    known: pd.DataFrame, recent: pd.DataFrame, pair: str, day: dt.date, policy: OperationsSettings
) -> Finding:
    """Partitions a run makes, the recent median over the earlier one, worst family: fewer is work left undone."""
    found = _ratios(known, recent, policy, lambda rows: rows["partitions"].astype(float))
    if not found:
        return _too_few("throughput", pair, day, len(recent), policy)
    family, ratio, n = min(found, key=lambda item: item[1])
    limit = 1.0 / policy.slow_factor
    text = f"Runs of {family} make {ratio:.2f} times as many partitions as before (median of {n} runs)."
    return _finding("throughput", pair, day, ratio < limit, "medium", ratio, "ratio", limit, n, text)


def _memory(recent: pd.DataFrame, pair: str, day: dt.date, policy: OperationsSettings) -> Finding:
    measured = recent.loc[recent["peak_memory_mb"].notna()]
    if measured.empty:
        return unknown(NAME, "memory", "recommended", pair, "runs", day, CannotTell("no_memory"))
    worst = measured.loc[measured["peak_memory_mb"].idxmax()]
    peak = float(worst["peak_memory_mb"])
    cpu = float(measured["cpu_s"].sum())
    text = (
        f"The largest of {len(measured)} runs ({worst['job']}) took {peak:.0f} MB; together {cpu:.0f} s of processor."
    )
    return _finding("memory", pair, day, peak > policy.max_memory_mb, "medium", peak, "MB", policy.max_memory_mb,
                    len(measured), text)  # fmt: skip


def _ratios(
    known: pd.DataFrame, recent: pd.DataFrame, policy: OperationsSettings, measure: Any
) -> list[tuple[str, float, int]]:
    out = []
    earlier = known.loc[~known.index.isin(recent.index)]
    for family, rows in recent.loc[recent["status"] == SUCCESS].groupby("family"):
        before = earlier.loc[(earlier["family"] == family) & (earlier["status"] == SUCCESS)]
        if min(len(rows), len(before)) >= policy.min_runs:
            base = float(np.median(measure(before)))
            if base > 0:
                out.append((str(family), float(np.median(measure(rows))) / base, len(rows)))
    return out


def _seconds(rows: pd.DataFrame) -> Any:
    return (rows["ended_at"] - rows["started_at"]).dt.total_seconds()


def _too_few(rule: str, pair: str, day: dt.date, n: int, policy: OperationsSettings) -> Finding:
    why = CannotTell("few_runs", have=n, days=policy.window_days, need=policy.min_runs)
    return unknown(NAME, rule, "recommended", pair, "runs", day, why)


def _finding(
    rule: str,
    pair: str,
    day: dt.date,
    fires: bool,
    severity: Severity,
    effect: float,
    unit: str,
    threshold: float,
    n: int,
    reason: str,
    low: float = math.nan,
    high: float = math.nan,
) -> Finding:
    state: State = "fired" if fires else "clear"
    return Finding(
        monitor=NAME,
        rule=rule,
        profile="recommended",
        pair=pair,
        subject="runs",
        as_of=day,
        state=state,
        severity=severity if fires else "info",
        reasons=(reason,),
        effect=effect,
        effect_low=low,
        effect_high=high,
        unit=unit,
        threshold=threshold,
        n=n,
        n_effective=float(n),
    )
