"""Are the intervals and verdicts of evaluation valid, and is the report quick? Tables on stdout, JSON beside.

Validity: worlds with a planted truth, daily origins, errors of h steps that overlap. A nominal 95% interval should hold
the truth in 90 to 98% of them. Two worlds: a Gaussian walk, and a walk whose volatility clusters (GARCH(1,1)-t(7) with
persistence 0.97), where no interval that knows the overlap alone can be right.

    python benchmarks/bench_evaluation.py [--worlds 200] [--out benchmarks/results/evaluation.json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for, target_dates
from forex_assets.evaluation import (
    bias_state,
    classic_bias_state,
    classic_coverage_state,
    coverage_state,
    effective_n,
    mean_interval,
    performance_report,
    ratio_intervals,
    share_interval,
)
from forex_assets.evaluation.scores import crps_from_quantiles, interval_score
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.schemas import EVALUATION
from forex_assets.settings import load_settings

CELLS = ((60, 5), (60, 11), (60, 62), (250, 5), (250, 21), (250, 62), (1250, 5), (1250, 21), (1250, 62), (5000, 62))
VERDICT_CELLS = ((60, 5), (60, 62), (250, 5), (250, 62), (1250, 5), (1250, 62), (5000, 5), (5000, 62))
MODELS = {
    "exact": (1.0, 0.0),
    "80% of the width": (0.8, 0.0),
    "60% of the width": (0.6, 0.0),
    "bias 0.5 sigma": (1.0, 0.5),
    "bias 1 sigma": (1.0, 1.0),
}
DAYS = np.busday_offset("2000-01-03", np.arange(5_200))
SIGMA_CLP = 5.4
Z = np.array([statistics.NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])


def errors(world: str, n: int, steps: int, worlds: int, rng: np.random.Generator) -> np.ndarray:
    """Return (worlds, n) errors of a forecast of no change, in units of their long-run sigma."""
    if world == "walk":
        moves = rng.normal(size=(worlds, n + steps))
    else:
        shocks = rng.standard_t(7, size=(worlds, n + steps + 300)) / math.sqrt(7 / 5)
        variance, moves = np.ones(worlds), np.empty_like(shocks)
        for t in range(shocks.shape[1]):
            moves[:, t] = np.sqrt(variance) * shocks[:, t]
            variance = 0.03 + 0.07 * moves[:, t] ** 2 + 0.90 * variance
        moves = moves[:, 300:]
    path = np.concatenate([np.zeros((worlds, 1)), np.cumsum(moves, axis=1)], axis=1)
    return (path[:, steps : steps + n] - path[:, :n]) / math.sqrt(steps)


def losses(error: np.ndarray, width: float) -> np.ndarray:
    """Return (n, 2) losses of a normal forecast of ``width`` sigma: CRPS and 95% interval score."""
    edge = np.full(len(error), Z[-1] * width)
    crps = crps_from_quantiles(error, np.tile(Z * width, (len(error), 1)))
    return np.stack([crps, interval_score(error, -edge, edge, 95)], axis=1)


def validity(worlds: int) -> list[dict[str, Any]]:
    """Return, per world and sample, how often each 95% interval holds the truth."""
    rng = np.random.default_rng(20250613)
    rows = []
    for world in ("walk", "clustered"):
        for n, steps in CELLS:
            many = errors(world, 2_000, steps, 300, rng)[:, :: max(1, steps // 4)].ravel()
            truth_share = float(np.mean(np.abs(many) < Z[-1]))
            truth_ratio = losses(many, 1.25).mean(axis=0) / losses(many, 1.0).mean(axis=0)
            count = dict.fromkeys(("mean", "mean_naive", "coverage", "coverage_naive", "crps", "interval"), 0)
            for error in errors(world, n, steps, worlds, rng):
                found = mean_interval(error, DAYS[:n], steps)
                count["mean"] += found.low <= 0 <= found.high
                count["mean_naive"] += abs(error.mean()) < 1.96 * error.std(ddof=1) / math.sqrt(n)
                hits = np.abs(error) < Z[-1]
                for name, share in (
                    ("coverage", share_interval(hits, steps, DAYS[:n])),
                    ("coverage_naive", share_interval(hits, 1)),
                ):
                    count[name] += share.low <= truth_share <= share.high
                ratios = ratio_intervals(losses(error, 1.25), losses(error, 1.0), DAYS[:n], steps)
                for name, ratio, truth in zip(("crps", "interval"), ratios, truth_ratio, strict=True):
                    count[name] += ratio.low <= truth <= ratio.high
            n_effective = effective_n(n, steps)
            shares: dict[str, float | None] = {name: 100 * float(value) / worlds for name, value in count.items()}
            # The report gives a ratio no interval below these sizes.
            shares["crps"] = shares["crps"] if n_effective >= 5 else None
            shares["interval"] = shares["interval"] if n_effective >= 20 else None
            rows.append({"world": world, "n": n, "steps": steps, "n_effective": round(n_effective, 1)} | shares)
    return rows


def verdicts(worlds: int) -> list[dict[str, Any]]:
    """Return, per sample and model in the walk, how often each verdict is given (per cent)."""
    settings = load_settings(environ={})
    recommended, classic = settings.recommended, settings.classic
    rng = np.random.default_rng(7)
    rows = []
    for n, steps in VERDICT_CELLS:
        sample = errors("walk", n, steps, worlds, rng)
        n_effective = effective_n(n, steps)
        for model, (width, shift) in MODELS.items():
            states: dict[str, list[str]] = {"coverage": [], "bias": [], "coverage_classic": [], "bias_classic": []}
            for outcome in sample:
                error = shift - outcome
                share = share_interval(np.abs(error) < Z[-1] * width, steps, DAYS[:n])
                bias = mean_interval(error / width, DAYS[:n], steps)
                least = recommended.min_effective_n
                states["coverage"].append(coverage_state(share, n_effective, recommended.coverage, least))
                states["bias"].append(bias_state(bias, n_effective, recommended.bias, least))
                states["coverage_classic"].append(classic_coverage_state(share.value, classic))
                in_clp = float(error.mean()) * SIGMA_CLP * math.sqrt(steps)
                states["bias_classic"].append(classic_bias_state(in_clp, classic))
            row: dict[str, Any] = {"n": n, "steps": steps, "n_effective": round(n_effective, 1), "model": model}
            for name, given in states.items():
                for state in ("good", "bad") if name.endswith("classic") else ("good", "bad", "unknown"):
                    row[f"{name}_{state}"] = 100 * given.count(state) / worlds
            rows.append(row)
    return rows


def backtest_rows(count: int) -> pd.DataFrame:
    """Return BACKTEST rows of four horizons and four models with ``count`` daily origins each."""
    calendar = calendar_for("CL")
    dates = calendar.sessions(np.datetime64("2000-01-03"), np.datetime64("2024-12-31"))[: count + 70]
    values = 900 + np.cumsum(np.random.default_rng(1).normal(0, SIGMA_CLP, len(dates)))
    frames = []
    for horizon in (7, 15, 30, 90):
        origins = np.arange(count)
        targets = target_dates(dates[:count], horizon, calendar)
        place = np.searchsorted(dates, targets)
        spread = SIGMA_CLP * np.sqrt(place - origins)
        for model, width in {"random_walk": 1.0, "a": 0.9, "b": 1.1, "c": 1.2}.items():
            frame = pd.DataFrame(
                {
                    "pair": "usdclp",
                    "horizon": horizon,
                    "as_of": dates[:count].astype("datetime64[ns]"),
                    "target_date": targets.astype("datetime64[ns]"),
                    "model": model,
                    "steps": place - origins,
                    "mean": values[:count],
                    "actual": values[place],
                    "matured_on": targets.astype("datetime64[ns]"),
                }
            )
            frame[list(QUANTILE_COLUMNS)] = values[:count, None] + width * spread[:, None] * Z
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def speed() -> dict[str, Any]:
    """Return seconds of one report over 4 horizons, 4 models and 5,000 origins: first and median of five more."""
    settings = load_settings(environ={})
    rows = backtest_rows(5_000)
    wall, cpu = [], []
    for _ in range(6):
        started, used = time.perf_counter(), time.process_time()
        performance_report(
            EVALUATION.empty(),
            rows,
            as_of=str(rows["matured_on"].max().date()),
            recommended=settings.recommended,
            classic=settings.classic,
            active_model="a",
        )
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return {
        "rows": len(rows),
        "first_s": wall[0],
        "median_s": statistics.median(wall[1:]),
        "median_cpu_s": statistics.median(cpu[1:]),
        "goal_s": 1.5,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "evaluation.json")
    arguments = parser.parse_args()
    result = {"worlds": arguments.worlds, "speed": speed()}
    print("performance_report:", {key: round(value, 3) for key, value in result["speed"].items()})
    result["validity"] = validity(arguments.worlds)
    result["verdicts"] = verdicts(arguments.worlds)
    with pd.option_context("display.width", 220, "display.max_columns", 40, "display.float_format", "{:.1f}".format):
        for name in ("validity", "verdicts"):
            print(f"\n{name}, % of {arguments.worlds} worlds")
            print(pd.DataFrame(result[name]).to_string(index=False))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
