"""How much faster is the bulk GARCH engine than ``arch``, and do they agree? A table on stdout, JSON beside.

The same walk-forward backtest of USD/EUR (ECB reference rates, origins on each of the last 2,500 business days, 30-day
tenor, every origin with its own refit on the 2,500 returns before it) runs with both engines in one process; only the
fit differs. Below it: the default monthly refit, the other recursions, and simulation. Compiling is not counted (it is
done once per machine and cached); the wall time of compiling in this process is shown.

    python benchmarks/bench_garch.py [--origins 2500] [--out benchmarks/results/garch.json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.garch.engine import GarchEngine
from forex_assets.forecasting.panel.prices import ecb_price_history
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters

HORIZON = 30
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("garch_t", {"refit": "value"}),
    ("gjr_t", {"refit": "value"}),
    ("garch_t", {}),
    ("gjr_t", {}),
    ("egarch_t", {}),
    ("gjr_t", {"terminal": "simulated"}),
]


def fresh(history: PriceHistory) -> PriceHistory:
    """Return the same history with nothing computed yet."""
    return PriceHistory(
        history.pair, history.calendar, history.event_date, history.available_at, history.value, history.withdrawn_at
    )


def timed(history: PriceHistory, origins: int, model: str, parameters: dict[str, Any]) -> tuple[float, float, int]:
    """Return wall and processor seconds of one backtest, and its rows."""
    days = history.event_date
    wall, cpu = time.perf_counter(), time.process_time()
    rows = run_backtest(
        history,
        horizon_days=HORIZON,
        models=[ModelChoice(model, parameters)],
        start=days[-origins],
        as_of=days[-1],
    )
    return time.perf_counter() - wall, time.process_time() - cpu, len(rows)


def sigmas(history: PriceHistory, origins: int, model: str, parameters: dict[str, Any]) -> np.ndarray:
    """Return the one-day sigma at the last ends, from what the backtest has fitted."""
    series = history.groups(history.available_at[-1:])[0].series
    full = resolve_parameters(get_model(model), parameters)
    return GarchEngine.of(series, get_model(model).kind, full).sigma(np.arange(len(series) - origins, len(series)))


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--origins", type=int, default=2500)
    parser.add_argument("--repeats", type=int, default=3, help="runs of the bulk engine; the shortest counts")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "garch.json")
    options = parser.parse_args()
    history = ecb_price_history("EUR", dt.date(2025, 6, 13))
    started = time.perf_counter()
    for model in ("garch_t", "egarch_t"):
        for terminal in ("shape", "simulated"):
            timed(fresh(history), 5, model, {"terminal": terminal})
    compiling = time.perf_counter() - started

    slow = fresh(history)
    wall, cpu, rows = timed(slow, options.origins, "garch_t", {"refit": "value", "engine": "arch"})
    reference = {"wall_s": wall, "cpu_s": cpu, "origins": rows}
    print(f"compiling or loading: {compiling:.1f} s\n")
    print("| Engine | Model | Refit | Distribution | origins | wall s | cpu s | times faster (wall) | (cpu) |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(f"| arch | garch_t | every origin | shape | {rows:,} | {wall:.1f} | {cpu:.1f} | 1 | 1 |")
    results = []
    agreement = {}
    for model, parameters in RUNS:
        trials = []
        for _ in range(options.repeats):
            made = fresh(history)
            trials.append(timed(made, options.origins, model, parameters))
        wall, cpu, rows = min(trials)
        item = {
            "model": model,
            "parameters": parameters,
            "origins": rows,
            "wall_s": wall,
            "cpu_s": cpu,
            "times_faster_wall": reference["wall_s"] / wall,
            "times_faster_cpu": reference["cpu_s"] / cpu,
        }
        results.append(item)
        if (model, parameters) == RUNS[0]:
            ratio = sigmas(made, options.origins, model, parameters) / sigmas(
                slow, options.origins, model, {"refit": "value", "engine": "arch"}
            )
            error = np.abs(ratio - 1)
            agreement = {"mean": float(error.mean()), "p99": float(np.quantile(error, 0.99)), "max": float(error.max())}
        refit = "every origin" if parameters.get("refit") == "value" else "month"
        print(
            f"| bulk | {model} | {refit} | {parameters.get('terminal', 'shape')} | {rows:,} | {wall:.3f} | {cpu:.3f} | "
            f"{item['times_faster_wall']:.0f} | {item['times_faster_cpu']:.0f} |"
        )
    print(
        f"\nsigma against arch, every origin: mean |ratio - 1| {agreement['mean']:.2%}, 99% {agreement['p99']:.2%}, "
        f"largest {agreement['max']:.2%}"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "horizon_days": HORIZON,
        "compiling_s": compiling,
        "arch": reference,
        "sigma_agreement": agreement,
        "bulk": results,
    }
    options.out.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
