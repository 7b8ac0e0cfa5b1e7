"""Promises of the tests that compare models, what they find, and how quick they are.

Null: two forecasts of a driftless walk that are equally good, one 15% too wide and one too narrow by as much as makes
their CRPS equal. Planted: a forecast of 1.3 times the right width against the right one. Daily origins, errors of h
steps that overlap. Rejections at 5%, by one test at the end and by looking every month: Diebold-Mariano, the confidence
sequence, the e-values of both directions. Speed: the confidence set against ``arch`` with as many draws.

    python benchmarks/bench_comparison.py [--worlds 400] [--out benchmarks/results/comparison.json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.evaluation.ability import bootstrap_means, diebold_mariano, model_confidence_set
from forex_assets.evaluation.anytime import E_THRESHOLD, confidence_sequence, e_value, largest_difference
from forex_assets.evaluation.compare import compare_models, reliability
from forex_assets.evaluation.grid import score_grid
from forex_assets.evaluation.scores import crps_from_quantiles
from forex_assets.evaluation.slices import calendar_labels, performance_slices
from forex_assets.levels import QUANTILE_LEVELS

CELLS = ((500, 5), (500, 21), (2_000, 5), (2_000, 21), (2_000, 62))
DAYS = np.busday_offset("2000-01-03", np.arange(3_000))
Z = np.array([statistics.NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])


def errors(n: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return overlapping errors of a driftless walk in units of their sigma."""
    path = np.concatenate([[0.0], np.cumsum(rng.normal(size=n + steps))])
    return np.asarray((path[steps : steps + n] - path[:n]) / math.sqrt(steps))


def equal_width() -> float:
    """Return the width below one whose expected CRPS is that of width 1.15."""
    many = np.random.default_rng(1).normal(size=400_000)

    def crps(width: float) -> float:
        return float(crps_from_quantiles(many, np.tile(width * Z, (len(many), 1))).mean())

    goal, low, high = crps(1.15), 0.6, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if crps(middle) > goal else (low, middle)
    return (low + high) / 2


def promises(worlds: int) -> list[dict[str, Any]]:
    """Return rejections per cell, in per cent of the worlds."""
    narrow = equal_width()
    rows = []
    for name, first, second in (("null", narrow, 1.15), ("planted", 1.3, 1.0)):
        for n, steps in CELLS:
            rng = np.random.default_rng(20250613 + n + steps)
            counts = dict.fromkeys(("dm", "dm_naive", "dm_every_look", "sequence_every_look", "e_every_look"), 0)
            for _ in range(worlds):
                error = errors(n, steps, rng)
                own, other = (crps_from_quantiles(error, np.tile(w * Z, (n, 1))) for w in (first, second))
                bound = largest_difference(np.tile(first * Z, (n, 1)), np.tile(second * Z, (n, 1)))
                counts["dm"] += diebold_mariano(own, other, DAYS[:n], steps).p_value < 0.05
                gap = own - other
                counts["dm_naive"] += abs(gap.mean()) > 1.96 * gap.std(ddof=1) / math.sqrt(n)
                ever = dict.fromkeys(("dm", "sequence", "e"), False)
                for look in range(n % 21 + 84, n + 1, 21):
                    part, days = slice(0, look), DAYS[:look]
                    ever["dm"] |= bool(diebold_mariano(own[part], other[part], days, steps).p_value < 0.05)
                    low, high = confidence_sequence(gap[part], days, steps)
                    ever["sequence"] |= bool(low > 0 or high < 0)
                    if not ever["e"] and look % 5 == 0:
                        matured = DAYS[steps : steps + look]
                        found = max(e_value(sign * gap[part], bound[part], days, matured) for sign in (1, -1))
                        ever["e"] |= found >= E_THRESHOLD
                for key, value in ever.items():
                    counts[f"{key}_every_look"] += value
            rows.append(
                {"world": name, "n": n, "steps": steps} | {key: 100 * value / worlds for key, value in counts.items()}
            )
    return rows


def backtest_rows(count: int, models: int, steps_days: int) -> pd.DataFrame:
    """Return BACKTEST rows of one horizon with ``count`` daily origins."""
    from forex_assets.clock import calendar_for, target_dates
    from forex_assets.levels import QUANTILE_COLUMNS

    calendar = calendar_for("CL")
    dates = calendar.sessions(np.datetime64("2000-01-03"), np.datetime64("2024-12-31"))[: count + 90]
    values = 900 + np.cumsum(np.random.default_rng(1).normal(0, 5.4, len(dates)))
    targets = target_dates(dates[:count], steps_days, calendar)
    place = np.searchsorted(dates, targets)
    spread = 5.4 * np.sqrt(place - np.arange(count))
    frames = []
    for i in range(models):
        frame = pd.DataFrame(
            {
                "pair": "usdclp",
                "horizon": steps_days,
                "as_of": dates[:count].astype("datetime64[ns]"),
                "target_date": targets.astype("datetime64[ns]"),
                "model": "random_walk" if i == 0 else f"model_{i}",
                "last_value": values[:count],
                "last_event_date": dates[:count].astype("datetime64[ns]"),
                "mean": values[:count],
                "actual": values[place],
                "matured_on": targets.astype("datetime64[ns]"),
            }
        )
        frame[list(QUANTILE_COLUMNS)] = values[:count, None] + (0.8 + 0.05 * i) * spread[:, None] * Z
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def speed() -> dict[str, Any]:
    """Return seconds of the evidence of one horizon, and of the confidence set against ``arch``."""
    from arch.bootstrap import MCS

    rows = backtest_rows(5_000, 8, 30)
    day = rows["matured_on"].max().to_datetime64().astype("datetime64[D]")
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        grid = score_grid(rows)
        compare_models(grid, as_of=day, active_model="model_1")
        reliability(grid, as_of=day, active_model="model_1")
        performance_slices(grid, calendar_labels(grid), as_of=day, active_model="model_1")
        taken.append(time.perf_counter() - started)
    losses = np.ascontiguousarray(score_grid(rows).scores["crps"])
    ours, theirs = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            started = time.perf_counter()
            days = np.busday_offset("2000-01-03", np.arange(len(losses)))
            model_confidence_set(losses, bootstrap_means(losses, days, 21))
            ours.append(time.perf_counter() - started)
            started = time.perf_counter()
            reference = MCS(losses, size=0.1, reps=1_000, block_size=42, seed=1)
            reference.compute()
            theirs.append(time.perf_counter() - started)
    return {
        "origins": 5_000,
        "models": 8,
        "evidence_of_one_horizon_s": min(taken[1:]),
        "confidence_set_s": min(ours),
        "confidence_set_arch_s": min(theirs),
        "confidence_set_ratio": min(theirs) / min(ours),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "comparison.json")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"worlds": arguments.worlds, "speed": speed()}
    print({key: round(value, 4) for key, value in result["speed"].items()})
    result["promises"] = promises(arguments.worlds)
    print(pd.DataFrame(result["promises"]).round(1).to_string(index=False))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
