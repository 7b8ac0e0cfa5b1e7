"""False alarms and power of every rule, and what watching costs. Tables, JSON, and the packaged alarm rates.

    python benchmarks/bench_monitoring.py [--parts rates,volatility,scores,prices,feeds,speed] [--write-rates]

Rates are measured on the paths of the profile's ``alarm_table.reporting_seed``, power on those after it; the limits
were chosen on others by ``bench_monitoring_limits.py``, whose nominal rates stand beside. Parts not asked for keep what
the JSON has of them. Work runs in ``--workers`` processes; times given are processor time unless they say wall.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from forex_assets.monitoring import alarm_table
from forex_assets.monitoring.alarm_table import Power
from forex_assets.monitoring.alarms import Rate, watched_worlds
from forex_assets.monitoring.false_alarms import RateKey, write_rates
from forex_assets.settings import Settings, load_settings
from forex_assets.simulation.nulls import NULLS

ROOT = Path(__file__).resolve().parents[1]
RATES = ROOT / "forex_assets" / "monitoring" / "alarm_rates.csv"
LIMITS = ROOT / "benchmarks" / "results" / "monitoring_limits.json"
PARTS = ("rates", "volatility", "scores", "prices", "feeds", "speed")
#: Matured business days in which a fault must be found, by horizon: as many as the table of goals gives 7d.
WITHIN = {"7d": 60, "15d": 120, "30d": 120, "90d": 130}
#: Days watched in the measurement of speed: ten years, and one.
REPLAY_DAYS = 2520


def rates_of(settings: Settings, null: str, years: int, paths: int, seed: int) -> tuple[list[Rate], float, float]:
    """Return the rates in one world, and the seconds of forecasts and of watching."""
    start = time.process_time()
    worlds = list(watched_worlds(null, settings, years=years, paths=paths, seed=seed))
    middle = time.process_time()
    found = alarm_table.false_alarms_in(null, worlds, settings, ["recommended", "classic"])
    return found, middle - start, time.process_time() - middle


def scores_power(settings: Settings, null: str, horizon: str, profile: str, paths: int, seed: int) -> list[Power]:
    """Return the power against faults of one horizon's forecasts."""
    within = {horizon: WITHIN[horizon]}
    return alarm_table.score_power(null, settings, profile, within, paths=paths, seed=seed)  # type: ignore[arg-type]


def prices_power(settings: Settings, null: str, paths: int, seed: int) -> list[Power]:
    """Return the power against faults of prices and drivers."""
    return alarm_table.path_power(null, settings, "recommended", paths=paths, seed=seed)


def volatility_power(settings: Settings, null: str, paths: int, seed: int) -> list[Power]:
    """Return the power of the volatility alarm alone, with the limit of either world; it needs no forecasts."""
    return alarm_table.volatility_power(null, settings, paths=5 * paths, seed=seed)


def feeds_power(settings: Settings, paths: int, seed: int) -> list[Power]:
    """Return the power against broken feeds."""
    return alarm_table.feed_power(settings, "recommended", paths=paths, seed=seed)


def speed(settings: Settings) -> dict[str, float]:
    """Return the wall seconds of all monitors on one warm day and over ten years, with the most drivers there are."""
    from forex_assets.monitoring.registry import judge_day
    from forex_assets.monitoring.replay import replay

    (world,) = watched_worlds(
        "garch_t", settings, years=15, paths=1, seed=settings.recommended.alarm_table.reporting_seed
    )
    names = ("copper_comex", "dxy", "vix", "copper_lme", "sp500", "brent", "wti", "fed_funds", "eem", "us_10y")
    rng, usual = np.random.default_rng(0), world.frames.drivers["dxy"]
    more = {
        name: replace(
            usual,
            name=name,
            unit=settings.series[name].unit,
            values=50.0 * np.exp(np.cumsum(rng.normal(0, 0.002, len(usual.values)))),
        )
        for name in names
        if name not in world.frames.drivers
    }
    frames = replace(world.frames, drivers={**world.frames.drivers, **more})
    days = world.path.dates
    seconds = []
    for day in days[-6:]:
        start = time.perf_counter()
        judge_day(frames, day.item(), settings, "recommended")
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    replay(frames, days[-REPLAY_DAYS].item(), days[-1].item(), settings, "recommended")
    ten_years = time.perf_counter() - start
    return {
        "one_day_wall_s": float(np.median(seconds[1:])),
        "ten_years_wall_s": ten_years,
        "drivers": len(frames.drivers),
    }


def nominal_rates() -> dict[RateKey, float]:
    """Return the rates on the paths that chose the limits."""
    rows = json.loads(LIMITS.read_text(encoding="utf-8"))["nominal"]
    return {
        (row["profile"], row["null"], row["monitor"], row["rule"], row["subject"]): float(row["per_year"])
        for row in rows
    }


def main() -> None:
    """Measure, print, write."""
    settings = load_settings()  # once: what is measured must not change under way
    table = settings.recommended.alarm_table
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated")
    parser.add_argument("--years", type=int, default=table.years)
    parser.add_argument("--paths", type=int, default=table.paths)
    parser.add_argument("--power-paths", type=int, default=220)
    parser.add_argument("--seed", type=int, default=table.reporting_seed)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write-rates", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "monitoring.json")
    args = parser.parse_args()
    parts = args.parts.split(",")
    result: dict[str, Any] = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    with ProcessPoolExecutor(args.workers) as pool:
        if "rates" in parts:
            _rates(result, pool, settings, args)
        powers = _powers(pool, settings, args, parts)
    _merge(result, powers)
    if "speed" in parts:
        result["speed"] = speed(settings)
        print(result["speed"])
    result["power_seed"] = args.seed + 1
    args.out.write_text(json.dumps(result, indent=1, default=float) + "\n", encoding="utf-8")


def _rates(result: dict[str, Any], pool: ProcessPoolExecutor, settings: Settings, args: Any) -> None:
    start = time.perf_counter()
    jobs = {null: pool.submit(rates_of, settings, null, args.years, args.paths, args.seed) for null in NULLS}
    found = {null: job.result() for null, job in jobs.items()}
    wall = time.perf_counter() - start
    rates = [rate for each, *_ in found.values() for rate in each]
    seconds = {null: {"forecasts": forecasts, "watching": watching} for null, (_, forecasts, watching) in found.items()}
    frame = alarm_table.rates_frame(rates)
    years = frame.groupby("null")["years"].max().to_dict()
    expected = nominal_rates()
    if args.write_rates:
        write_rates(rates, str(RATES), seed=args.seed, nominal=expected)
    rows = frame.to_dict("records")
    for row in rows:
        key = (row["profile"], row["null"], row["monitor"], row["rule"], row["subject"])
        row["nominal_per_year"] = expected.get(key)
    result |= {
        "seed": args.seed,
        "years": years,
        "false_alarms_wall_s": wall,
        "workers": args.workers,
        "processor_s": seconds,
        "rates": rows,
    }
    print(f"years watched {years}, {wall:.0f} s by the clock, processor seconds {seconds}\n")
    for profile, part in frame.groupby("profile", sort=False):
        shown = part.assign(rate=[f"{r.per_year:.2f} [{r.low:.2f}, {r.high:.2f}]" for r in part.itertuples()])
        index = ["describes", "monitor", "rule", "subject"]
        wide = shown.pivot_table(index=index, columns="null", values="rate", aggfunc="first", sort=False)
        print(f"Profile {profile}: alarms a year of daily watching\n{wide.to_string()}\n")
    _print_nominal(pd.DataFrame(rows))


def _print_nominal(rows: pd.DataFrame) -> None:
    """Say of how many rules the nominal rate lies in the measured interval."""
    known = rows.loc[(rows["profile"] == "recommended") & ~rows["describes"] & rows["nominal_per_year"].notna()]
    inside = known["nominal_per_year"].between(known["low"], known["high"])
    whole = known["rule"] == "all"
    print(
        f"Nominal rate inside the measured interval: {inside[~whole].sum()} of {(~whole).sum()} rules and worlds, "
        f"{inside[whole].sum()} of {whole.sum()} monitors and worlds"
    )
    print(known.loc[~inside, ["null", "monitor", "rule", "subject", "nominal_per_year", "low", "high"]].to_string())


def _powers(pool: ProcessPoolExecutor, settings: Settings, args: Any, parts: list[str]) -> list[Power]:
    n, seed = args.power_paths, args.seed + 1
    work: list[tuple[Callable[..., list[Power]], tuple[Any, ...]]] = []
    if "prices" in parts:
        work += [(prices_power, (settings, null, n, seed)) for null in ("garch_t", "walk_t5")]
    if "volatility" in parts:
        work += [(volatility_power, (settings, null, n, seed)) for null in ("garch_t", "walk_t5")]
    if "scores" in parts:
        work += [
            (scores_power, (settings, null, horizon, "recommended", n, seed))
            for horizon in WITHIN
            for null in ("walk_t5", "garch_t")
        ]
        work += [(scores_power, (settings, "walk_t5", horizon, "classic", n, seed)) for horizon in ("7d", "90d")]
    if "feeds" in parts:
        work.append((feeds_power, (settings, n, seed)))
    jobs = [pool.submit(function, *arguments) for function, arguments in work]
    powers = [power for job in jobs for power in job.result()]
    if powers:
        print(alarm_table.powers_frame(powers).round(2).to_string(index=False))
    return powers


def _merge(result: dict[str, Any], powers: list[Power]) -> None:
    """Put new figures of power in the place of older ones of the same fault, world, profile and subject."""
    index = ("profile", "world", "fault", "subject", "rule")
    new = alarm_table.powers_frame(powers).to_dict("records")
    done = {tuple(row[name] for name in index) for row in new}
    old = [row for row in result.get("power", []) if tuple(row[name] for name in index) not in done]
    result["power"] = old + new


if __name__ == "__main__":
    main()
