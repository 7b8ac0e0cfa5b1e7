"""The forecast engine as a desk uses it: a whole backtest of one pair, many pairs, one day's forecast. JSON beside.

Real prices (ECB crosses and USD/CLP), every model from a fresh history, so that nothing is cached but the pooled fits
the package ships and what numba compiled. ``statistical``: every model without a network or trees, those of statsmodels
among them. Pairs are timed one after the other in one process: the seconds after 6, 12 and 24 of them.

    python benchmarks/bench_engine.py [--pairs 24] [--every 1] [--out benchmarks/results/engine.json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from bench_challengers import GLOBAL, driver

from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.panel.prices import ecb_price_history, panel_histories, rate_drivers
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import bulk_model_names

HORIZONS = (7, 15, 30, 90)
LAST_DAY = dt.date(2025, 6, 13)
START, TEN_YEARS = "2015-01-02", 2500
REFITTED = ["theta", "ets", "auto_arima", "var"]
DEPLOYED = ["random_walk", "rw_blend", "rw_empirical", "champion_zero", "gjr_t", "loghar", "ensemble"]


def fresh(history: PriceHistory) -> PriceHistory:
    """Return the same history with nothing computed yet."""
    return history.with_drivers(history.drivers)


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what a call gives, and its seconds by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def backtest(history: PriceHistory, models: list[str], every: int) -> int:
    """Return the rows of a backtest of ten years, four tenors."""
    rows = 0
    for horizon in HORIZONS:
        made = run_backtest(history, horizon_days=horizon, models=models, start=START, every=every, as_of=LAST_DAY)
        rows += len(made)
    return rows


def forecast(history: PriceHistory, day: np.datetime64, models: list[str]) -> None:
    """Forecast four tenors of one day."""
    for horizon in HORIZONS:
        make_forecast(history, [day], horizon, models, models[-1])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=24, help="pairs of the scaling part")
    parser.add_argument("--every", type=int, default=1, help="take every n-th business day")
    parser.add_argument("--without-refitted", action="store_true", help="leave the models of statsmodels out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "engine.json")
    options = parser.parse_args()
    bulk = bulk_model_names()
    statistical = [*bulk, *([] if options.without_refitted else REFITTED)]
    drivers = {name: made for name in GLOBAL if (made := driver(name)) is not None} | rate_drivers(LAST_DAY)
    if not any(name.startswith("copper") for name in drivers):
        statistical = [name for name in statistical if name != "var"]  # it refuses to run without copper or the dollar
    panel = {**panel_histories(LAST_DAY), "usdtry": ecb_price_history("TRY", LAST_DAY)}
    panel = {name: history.with_drivers(drivers) for name, history in panel.items()}
    clp = panel["usdclp"]
    forecast(fresh(clp), clp.event_date[-1], DEPLOYED)  # compiled kernels and shipped fits are read once
    result: dict[str, Any] = {"every": options.every, "start": START, "models": statistical}

    rows, result["one_pair"] = timed(lambda: backtest(fresh(clp), statistical, options.every))
    result["one_pair"] |= {"rows": rows, "goal_s": 60.0}
    by_model = {}
    for name in statistical:
        _, by_model[name] = timed(lambda name=name: backtest(fresh(clp), [name], options.every))  # type: ignore[misc]
    result["by_model"] = by_model

    marks: dict[str, Any] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    for count, history in enumerate(list(panel.values())[: options.pairs], start=1):
        backtest(fresh(history), bulk, options.every)
        if count in (6, 12, 24) or count == options.pairs:
            marks[str(count)] = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    result["pairs"] = marks

    days = clp.event_date[-6:]
    warm = fresh(clp)
    forecast(warm, days[0], DEPLOYED)
    each = [timed(lambda day=day: forecast(warm, day, DEPLOYED))[1] for day in days[1:]]  # type: ignore[misc]
    result["one_forecast"] = {
        "wall_s": float(np.median([one["wall_s"] for one in each])),
        "cpu_s": float(np.median([one["cpu_s"] for one in each])),
        "goal_s": 0.5,
    }

    print("| What | Goal | wall s | cpu s |\n|---|---|---|---|")
    origins = TEN_YEARS // options.every
    print(
        f"| {len(statistical)} statistical models, one pair, ten years, about {origins:,} origins, four tenors "
        f"({rows:,} rows) | 60 | {result['one_pair']['wall_s']:.1f} | {result['one_pair']['cpu_s']:.1f} |"
    )
    for count, taken in marks.items():
        share = taken["cpu_s"] / int(count)
        print(
            f"| {len(bulk)} bulk models, {count} pairs | linear | {taken['wall_s']:.1f} | {taken['cpu_s']:.1f} "
            f"({share:.2f} a pair) |"
        )
    one = result["one_forecast"]
    print(f"| One day's forecast, four tenors, the ensemble, warm | 0.5 | {one['wall_s']:.3f} | {one['cpu_s']:.3f} |")
    print("\nBy model (cpu s): " + ", ".join(f"{name} {taken['cpu_s']:.1f}" for name, taken in by_model.items()))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
