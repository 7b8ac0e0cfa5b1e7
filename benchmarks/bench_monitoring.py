"""False alarms and power of every rule, and what watching costs. Tables, JSON, and the packaged alarm rates.

    python benchmarks/bench_monitoring.py [--years 25] [--paths 23] [--write-rates] [--power-paths 8] [--out PATH]

Null worlds run side by side in two processes; the time is theirs together, forecasts included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")

from forex_assets.monitoring import alarm_table
from forex_assets.monitoring.alarm_table import Power
from forex_assets.monitoring.alarms import BURN_IN_DAYS, Rate
from forex_assets.monitoring.false_alarms import write_rates
from forex_assets.settings import Settings, load_settings
from forex_assets.simulation.nulls import BUSINESS_DAYS_A_YEAR, NULLS

Size: TypeAlias = dict[str, int]
ROOT = Path(__file__).resolve().parents[1]
#: Monitors a fault of prices or drivers can concern; the others look at feeds and runs.
WATCHING_FEEDS = ("data_quality",)
WATCHING_PRICES = ("performance", "drift", "regime", "shock")
RATES = ROOT / "forex_assets" / "monitoring" / "alarm_rates.csv"


def _false_alarms(settings: Settings, null: str, size: Size, names: tuple[str, ...]) -> list[Rate]:
    return alarm_table.false_alarms(null, settings, ["recommended", "classic"], names=names, **size)


def _scores(settings: Settings, null: str, size: Size) -> list[Power]:
    seven = alarm_table.score_power(null, settings, "recommended", ["7d"], within=60, **size)
    return [*seven, *alarm_table.score_power(null, settings, "recommended", ["15d", "30d"], within=120, **size)]


def _long(settings: Settings, null: str, size: Size) -> list[Power]:
    return [
        power
        for profile in ("recommended", "classic")
        for power in alarm_table.score_power(null, settings, profile, ["90d"], within=130, **size)
    ]


def _classic(settings: Settings, null: str, size: Size) -> list[Power]:
    return alarm_table.score_power(null, settings, "classic", ["7d"], within=60, **size)


def _prices(settings: Settings, null: str, size: Size) -> list[Power]:
    return alarm_table.path_power(null, settings, "recommended", within=30, names=WATCHING_PRICES, **size)


def _feeds(settings: Settings, null: str, size: Size) -> list[Power]:
    return alarm_table.feed_power(settings, "recommended", within=30, **{**size, "years": 8})


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=25)
    parser.add_argument("--paths", type=int, default=23)
    parser.add_argument("--power-paths", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write-rates", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "monitoring.json")
    args = parser.parse_args()
    settings = load_settings()  # once: what is measured must not change under way
    size: Size = {"years": args.years, "paths": args.paths, "seed": args.seed}
    few: Size = {**size, "paths": max(1, args.paths // 6)}
    some: Size = {**size, "paths": args.power_paths}
    with ProcessPoolExecutor(args.workers) as pool:
        start = time.perf_counter()
        jobs = [pool.submit(_false_alarms, settings, null, size, WATCHING_PRICES) for null in NULLS]
        found = [rate for job in jobs for rate in job.result()]
        seconds = time.perf_counter() - start
        jobs = [pool.submit(_false_alarms, settings, null, few, WATCHING_FEEDS) for null in NULLS[:3]]
        found += [rate for job in jobs for rate in job.result() if rate.monitor != "all"]
        if args.write_rates:
            write_rates(found, str(RATES))
        work = [(_scores, "walk_t5"), (_scores, "garch_t"), (_prices, "walk_t5"), (_prices, "garch_t")]
        work += [(_long, "walk_t5"), (_classic, "walk_t5"), (_feeds, "walk_t5")]
        tasks = [pool.submit(function, settings, null, some) for function, null in work]
        powers = [power for task in tasks for power in task.result()]
    rates, table = alarm_table.rates_frame(found), alarm_table.powers_frame(powers)
    years = (args.years - BURN_IN_DAYS / BUSINESS_DAYS_A_YEAR) * args.paths
    _print(rates, table, seconds, years)
    result = {
        "simulated_years_per_null": years,
        "false_alarms_wall_s": seconds,
        "workers": args.workers,
        "processor_s_all": resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime,
        "rates": rates.to_dict("records"),
        "power": table.to_dict("records"),
    }
    args.out.write_text(json.dumps(result, indent=1, default=float) + "\n", encoding="utf-8")


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
