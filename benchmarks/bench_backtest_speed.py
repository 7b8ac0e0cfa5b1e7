"""How fast are backtest and forecast, and do they grow linearly? A table on stdout, JSON beside.

Everything is measured from a fresh history (no statistic cached), rows built as the tables ``backtest`` and
``forecast``, on a planted GARCH-t world. An origin-horizon is one model's forecast from one origin for one tenor.

    python benchmarks/bench_backtest_speed.py [--repeats 9] [--out benchmarks/results/backtest_speed.json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.simulation.worlds import garch_t_world

HORIZONS = (7, 15, 30, 90)
ORIGINS = (250, 500, 1000, 2000, 4000)
TEN_YEARS = 2500
SETS = {
    "parametric": ["random_walk", "rw_blend"],
    "empirical": ["rw_empirical"],
    "all four": ["random_walk", "rw_blend", "rw_empirical", "champion_zero"],
}
GOALS = {"parametric": 200_000, "empirical": 20_000}


def fresh(history: PriceHistory) -> PriceHistory:
    """Return the same history with nothing computed yet."""
    return PriceHistory(
        history.pair, history.calendar, history.event_date, history.available_at, history.value, history.withdrawn_at
    )


def with_withdrawals(history: PriceHistory, count: int) -> PriceHistory:
    """Return the history with ``count`` values withdrawn the day after, each a knowledge epoch of its own."""
    withdrawn = history.withdrawn_at.copy()
    at = np.linspace(len(history) // 2, len(history) - 100, count).astype(int)
    withdrawn[at] = history.available_at[at + 1]
    return PriceHistory(
        history.pair, history.calendar, history.event_date, history.available_at, history.value, withdrawn
    )


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Return the shortest wall time of a call: other work on the machine can only add to it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def backtest_all(history: PriceHistory, models: list[str], origins: int) -> int:
    """Backtest every horizon from the last ``origins`` sessions; return the rows made."""
    source = fresh(history)
    start, last = history.event_date[-origins], history.event_date[-1]
    return sum(len(run_backtest(source, horizon_days=h, models=models, start=start, as_of=last)) for h in HORIZONS)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "backtest_speed.json")
    options = parser.parse_args()
    world = garch_t_world(7, 4600, first_day="2002-01-02")
    history = PriceHistory.from_bars(world.bars, world.calendar)
    backtest_all(history, SETS["all four"], 250)  # imports and first touches
    results: dict[str, Any] = {"horizons_days": HORIZONS, "scaling": [], "goals_origin_horizons_per_s": GOALS}

    print(f"{'models':<12}{'origins':>9}{'rows':>9}{'seconds':>10}{'origin-horizons/s':>20}{'goal':>10}")
    for label, models in SETS.items():
        for origins in ORIGINS:
            rows = backtest_all(history, models, origins)
            took = seconds(lambda m=models, n=origins: backtest_all(history, m, n), options.repeats)
            rate = rows / took
            goal = GOALS.get(label, 0)
            results["scaling"].append(
                {"models": label, "origins": origins, "rows": rows, "seconds": took, "origin_horizons_per_s": rate}
            )
            print(f"{label:<12}{origins:>9,}{rows:>9,}{took:>10.4f}{rate:>20,.0f}{goal or '':>10}")

    print("\nTen years of daily origins, four horizons")
    results["ten_years"] = {}
    for label, models in SETS.items():
        rows = backtest_all(history, models, TEN_YEARS)
        rate = rows / seconds(lambda m=models: backtest_all(history, m, TEN_YEARS), options.repeats)
        results["ten_years"][label] = rate
        print(f"{label:<12}{rate:>20,.0f} origin-horizons/s")
    withdrawn = with_withdrawals(history, 50)
    rows = backtest_all(withdrawn, SETS["all four"], TEN_YEARS)
    rate = rows / seconds(lambda: backtest_all(withdrawn, SETS["all four"], TEN_YEARS), options.repeats)
    results["ten_years"]["all four, 50 values withdrawn later"] = rate
    print(f"{'all four, 50 values withdrawn later':<12}{rate:>20,.0f} origin-horizons/s")

    print("\nForecast paths, four models, four horizons")
    results["forecast_s_per_day"] = {}
    for days in (1, 60, 250, 1000):
        as_ofs = history.event_date[-days - 100 : -100]

        def forecast(as_ofs: Any = as_ofs) -> None:
            source = fresh(history)
            for h in HORIZONS:
                make_forecast(source, as_ofs, h, SETS["all four"], "champion_zero")

        took = seconds(forecast, options.repeats)
        results["forecast_s_per_day"][str(days)] = took / days
        print(f"{days:>6,} days {took:>9.4f} s {1000 * took / days / len(HORIZONS):>9.3f} ms per day and horizon")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
