"""False alarms and power of every rule, and what watching costs. Tables, JSON, and the packaged alarm rates.

    python benchmarks/bench_monitoring.py [--years 25] [--paths 23] [--write-rates] [--skip-power] [--out PATH]

Null worlds run side by side in two processes; the time is theirs together, forecasts included.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from forex_assets.monitoring import alarm_table
from forex_assets.monitoring.alarms import BURN_IN_DAYS
from forex_assets.monitoring.false_alarms import write_rates
from forex_assets.settings import load_settings
from forex_assets.simulation.nulls import BUSINESS_DAYS_A_YEAR, NULLS

ROOT = Path(__file__).resolve().parents[1]
#: Monitors a fault of prices or drivers can concern; the others look at feeds and runs.
WATCHING_PRICES = ("performance", "drift", "regime", "shock")
RATES = ROOT / "forex_assets" / "monitoring" / "alarm_rates.csv"


def _false_alarms(null: str, profile: str, years: int, paths: int, seed: int) -> Any:
    return alarm_table.false_alarms(null, load_settings(), [profile], years=years, paths=paths, seed=seed)  # type: ignore[list-item]


def _scores(null: str, years: int, paths: int, seed: int) -> Any:
    settings = load_settings()
    seven = alarm_table.score_power(
        null, settings, "recommended", ["7d"], within=60, years=years, paths=paths, seed=seed
    )
    long = alarm_table.score_power(
        null, settings, "recommended", ["15d", "30d", "90d"], within=120, years=years, paths=paths, seed=seed
    )
    return [*seven, *long]


def _classic(null: str, years: int, paths: int, seed: int) -> Any:
    return alarm_table.score_power(
        null, load_settings(), "classic", ["7d", "90d"], within=120, years=years, paths=paths, seed=seed
    )


def _prices(null: str, years: int, paths: int, seed: int) -> Any:
    return alarm_table.path_power(
        null, load_settings(), "recommended", within=30, years=years, paths=paths, seed=seed, names=WATCHING_PRICES
    )


def _feeds(years: int, paths: int, seed: int) -> Any:
    return alarm_table.feed_power(load_settings(), "recommended", within=30, years=8, paths=paths, seed=seed)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=25)
    parser.add_argument("--paths", type=int, default=23)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--skip-power", action="store_true")
    parser.add_argument("--write-rates", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "monitoring.json")
    args = parser.parse_args()
    size = {"years": args.years, "paths": args.paths, "seed": args.seed}
    with ProcessPoolExecutor(args.workers) as pool:
        start = time.perf_counter()
        found = [r for part in pool.map(_false_alarms, NULLS, ["recommended"] * 4, *_same(size, 4)) for r in part]
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        classic = [r for part in pool.map(_false_alarms, NULLS, ["classic"] * 4, *_same(size, 4)) for r in part]
        classic_seconds = time.perf_counter() - start
        if args.write_rates:
            write_rates([*found, *classic], str(RATES))
        powers: list[Any] = []
        if not args.skip_power:
            half = {**size, "paths": max(1, args.paths // 2)}
            jobs: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
                *((_scores, (null, *half.values())) for null in ("walk_t5", "garch_t")),
                *((_prices, (null, *half.values())) for null in ("walk_t5", "garch_t")),
                (_classic, ("walk_t5", *half.values())),
                (_feeds, tuple(half.values())),
            ]
            for job in [pool.submit(function, *arguments) for function, arguments in jobs]:
                powers.extend(job.result())
    rates, table = alarm_table.rates_frame([*found, *classic]), alarm_table.powers_frame(powers)
    years = (args.years - BURN_IN_DAYS / BUSINESS_DAYS_A_YEAR) * args.paths
    _print(rates, table, seconds, years)
    result = {
        "simulated_years_per_null": years,
        "seconds_recommended": seconds,
        "seconds_classic": classic_seconds,
        "rates": rates.to_dict("records"),
        "power": table.to_dict("records"),
    }
    args.out.write_text(json.dumps(result, indent=1, default=float) + "\n", encoding="utf-8")


def _same(size: dict[str, int], n: int) -> list[list[int]]:
    return [[value] * n for value in size.values()]


def _print(rates: Any, table: Any, seconds: float, years: float) -> None:
    print(f"{years:.0f} simulated years a null, all four in {seconds:.0f} s\n")
    for profile, part in rates.groupby("profile", sort=False):
        shown = part.assign(rate=[f"{r.per_year:.2f} [{r.low:.2f}, {r.high:.2f}]" for r in part.itertuples()])
        wide = shown.pivot_table(
            index=["describes", "monitor", "rule", "subject"],
            columns="null",
            values="rate",
            aggfunc="first",
            sort=False,
        )
        print(f"Profile {profile}: alarms a year of daily watching\n{wide.to_string()}\n")
    if len(table):
        print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
