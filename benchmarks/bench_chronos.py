"""How much faster is the shared Chronos grid than one call per configuration and origin? One run, same checkpoint.

The classic grid (27 configurations) on the last 30 matured origins of USD/EUR, tenor 30 days, by (1) the library:
``ChronosPipeline.predict`` once per configuration and origin, its own sampler with every token allowed, (2)
``evaluate_grid``, and (3) the platform's search with the engine ``classic``, which also scores each configuration,
ranks them, and evaluates the one in use. The checkpoint is a tiny T5 trained here on the ECB panel to the end of 2017.
Scores of (1) and (2) are compared in units of their Monte-Carlo error, estimated by repeating the shared grid with
other seeds. The daily forecast of four tenors with that checkpoint and a Bolt is timed too.

    python benchmarks/bench_chronos.py [--checkpoint DIR] [--origins 30] [--naive-origins 30]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pandas as pd

from forex_assets.forecasting.chronos.checkpoint import Checkpoint, load, using
from forex_assets.forecasting.chronos.data import panel_data
from forex_assets.forecasting.chronos.grid import GridPoint, classic_grid, evaluate_grid
from forex_assets.forecasting.chronos.train import TrainOptions, train
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.origins import Origins, make_origins
from forex_assets.forecasting.panel.prices import ecb_price_history
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.search.engines import Problem, run_engine
from forex_assets.lifecycle.search.objective import Evaluator, Objective
from forex_assets.lifecycle.search.periods import lay_periods
from forex_assets.lifecycle.search.space import space_of

HORIZON = 30
HORIZONS = (7, 15, 30, 90)
THROUGH = dt.date(2017, 12, 29)
LAST_DAY = dt.date(2025, 6, 13)


def naive_grid(
    checkpoint: Checkpoint, history: PriceHistory, origins: Origins, grid: list[GridPoint]
) -> tuple[pd.DataFrame, float]:
    """Return the losses by one library call per configuration and origin, and the seconds it took."""
    import torch

    actual, _ = history.outcomes(origins.target_date)
    vocabulary = int(checkpoint.pipeline.model.config.n_tokens)
    rows = []
    torch.manual_seed(1)
    started = time.perf_counter()
    for point in grid:
        means, drawn = [], []
        for i in range(len(origins)):
            _, value = origins.known(i)
            context = torch.as_tensor(np.diff(np.log(value))[-point.context_length :], dtype=torch.float32)
            paths = checkpoint.pipeline.predict(
                context,
                prediction_length=int(origins.steps[i]),
                num_samples=point.num_samples,
                temperature=point.temperature,
                top_k=vocabulary,
                top_p=1.0,
            )
            prices = value[-1] * np.exp(paths[0].numpy().astype(np.float64).sum(axis=1))
            means.append(prices.mean())
            drawn.append(prices)
        error = np.array(means) - actual
        rows.append({**point.__dict__, "rmse": float(np.sqrt(np.mean(error**2)))})
    return pd.DataFrame(rows), time.perf_counter() - started


def checkpoint_folder(given: Path | None, family: str, scratch: Path) -> Path:
    """Return the folder given, or train a tiny checkpoint."""
    if given is not None:
        return given
    options = TrainOptions(family=family, size="tiny", steps=600, time_budget_s=120)  # type: ignore[arg-type]
    train(panel_data(THROUGH), options, scratch / family)
    return scratch / family


def daily(folder: Path, model: str, history: PriceHistory) -> float:
    """Return the seconds of one warm forecast of four tenors with a model beside the statistical ones."""
    day = np.array([np.datetime64(LAST_DAY) - np.timedelta64(2, "D")])
    models = ["random_walk", "rw_blend", "rw_empirical", "champion_zero", "gjr_t", "loghar", model]
    best = np.inf
    with using(folder):
        for _ in range(4):
            fresh = PriceHistory(
                history.pair, history.calendar, history.event_date, history.available_at, history.value
            )
            started = time.perf_counter()
            for horizon in HORIZONS:
                make_forecast(fresh, day, horizon, models, "champion_zero")
            best = min(best, time.perf_counter() - started)
    return best


def engine(folder: Path, history: PriceHistory, origins: Origins) -> tuple[list[float], float]:
    """Return the RMSE of each point by the platform's own search (engine ``classic``), and the seconds it took."""
    days = origins.as_of
    periods = lay_periods(
        np.datetime64(LAST_DAY),
        first_day=history.event_date[0],
        horizon_days=HORIZON,
        gate_days=1826,
        selection_days=365,
        history_years=8,
    )
    seconds, rmse = [], []
    with using(folder):
        for _ in range(3):
            evaluator = Evaluator(history, horizon_days=HORIZON, days=days, as_of=np.datetime64(LAST_DAY))
            problem = Problem(evaluator, periods, Objective(0.0), ModelChoice("random_walk"), rank="rmse")
            space = space_of("classic", horizon_days=HORIZON, models=())
            started = time.perf_counter()
            run_engine(problem, space, trials=len(space.points), seed=0, finalists=1)
            seconds.append(time.perf_counter() - started)
            rmse = [float(np.sqrt((evaluator.losses(point).error ** 2).mean())) for point in space.points]
    return rmse, float(np.median(seconds))


def main() -> None:
    """Train, run both grids, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=None, help="folder of a Chronos-T5")
    parser.add_argument("--origins", type=int, default=30)
    parser.add_argument("--naive-origins", type=int, default=30, help="origins of the naive loop (scaled up if fewer)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "chronos.json")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        folder = checkpoint_folder(options.checkpoint, "t5", Path(scratch))
        results["train_t5_s"] = time.perf_counter() - started
        started = time.perf_counter()
        bolt = checkpoint_folder(None, "bolt", Path(scratch))
        results["train_bolt_s"] = time.perf_counter() - started
        history = ecb_price_history("EUR", LAST_DAY)
        newest = history.calendar.sessions(np.datetime64("2025-01-02"), np.datetime64("2025-05-12"))
        origins = make_origins(history, newest[-options.origins :], HORIZON)
        few = make_origins(history, newest[-options.naive_origins :], HORIZON)
        grid = classic_grid()
        results["checkpoint"] = load(folder, "float32").describe()
        results["checkpoint"]["location"] = folder.name
        for precision in ("float32", "bfloat16"):
            checkpoint = load(folder, precision)  # type: ignore[arg-type]
            evaluate_grid(history, few, few.steps, grid[:1], checkpoint)
            started = time.perf_counter()
            results[f"rmse_{precision}"] = evaluate_grid(history, origins, origins.steps, grid, checkpoint)[
                "rmse"
            ].tolist()
            results[f"shared_{precision}_s"] = time.perf_counter() - started
        results["rmse_engine"], results["engine_s"] = engine(folder, history, origins)
        naive, seconds = naive_grid(load(folder, "float32"), history, few, grid)
        results["naive_s"] = seconds * len(origins) / len(few)
        results["naive_origins"] = len(few)
        others = np.array(
            [
                evaluate_grid(history, few, few.steps, grid, load(folder, "float32"), seed=seed)["rmse"].to_numpy()
                for seed in range(1, 9)
            ]
        )
        error = others.std(axis=0, ddof=1)
        z = (naive["rmse"].to_numpy() - others.mean(axis=0)) / (error * np.sqrt(1 + 1 / len(others)))
        results["largest_difference_in_monte_carlo_errors"] = float(np.abs(z).max())
        results["mean_monte_carlo_error_rmse"] = float(error.mean())
        results["mean_rmse"] = float(others.mean())
        results["daily_with_t5_s"] = daily(folder, "chronos_t5", history)
        results["daily_with_bolt_s"] = daily(bolt, "chronos_bolt", history)
    shown = results["checkpoint"]
    print(
        f"T5 of {shown['parameters']:,} weights, {shown['tokens']} tokens; 27 configurations x {len(origins)} origins\n"
    )
    print("| | seconds | times faster |\n|---|---|---|")
    print(f"| `ChronosPipeline.predict`, one call each | {results['naive_s']:.1f} | 1 |")
    for precision in ("float32", "bfloat16"):
        own = results[f"shared_{precision}_s"]
        print(f"| `evaluate_grid`, {precision} | {own:.2f} | {results['naive_s'] / own:.1f} |")
    print(
        f"| `run_engine`, engine classic | {results['engine_s']:.2f} | {results['naive_s'] / results['engine_s']:.1f} |"
    )
    print(
        f"\nlargest RMSE difference: {results['largest_difference_in_monte_carlo_errors']:.2f} Monte-Carlo errors\n"
        f"one daily forecast, four tenors, seven models, warm: with T5 {results['daily_with_t5_s']:.2f} s, "
        f"with Bolt {results['daily_with_bolt_s']:.2f} s\ntraining: T5 {results['train_t5_s']:.0f} s, Bolt "
        f"{results['train_bolt_s']:.0f} s"
    )
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
