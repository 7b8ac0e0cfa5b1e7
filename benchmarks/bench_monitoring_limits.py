"""Choose the limits of the alarms: simulate, count, print. A person puts what was chosen into the profile.

    python benchmarks/bench_monitoring_limits.py [--years 25] [--paths 23] [--seed N] [--out PATH]

The seed is the profile's ``alarm_table.calibration_seed`` unless given; ``bench_monitoring.py`` measures with another.
With the limits found, the same paths give each rule its nominal rate: what it should raise where nothing is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from forex_assets.monitoring.alarm_limits import CHOOSING, Limit, choose, effects, with_limits
from forex_assets.monitoring.alarm_table import false_alarms_in, rates_frame
from forex_assets.monitoring.alarms import watched_worlds
from forex_assets.settings import load_settings

RESULTS = Path(__file__).parent / "results" / "monitoring_limits.json"
#: Monitors that accuse; the others describe the market and have no limit chosen here.
ACCUSING = ("performance", "drift", "data_quality")


def main() -> None:
    """Choose, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings = load_settings()
    table = settings.recommended.alarm_table
    parser.add_argument("--years", type=int, default=table.years)
    parser.add_argument("--paths", type=int, default=table.paths)
    parser.add_argument("--seed", type=int, default=table.calibration_seed)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    size = {"years": args.years, "paths": args.paths, "seed": args.seed}
    start = time.process_time()
    worlds = {null: list(watched_worlds(null, settings, **size)) for null in CHOOSING}
    limits = choose({null: effects(seen, settings) for null, seen in worlds.items()}, settings)
    chosen = with_limits(settings, limits)
    rates = [
        rate
        for null, seen in worlds.items()
        for rate in false_alarms_in(null, seen, chosen, ["recommended"], names=ACCUSING)
    ]
    _print(limits, rates)
    result = {
        "seed": args.seed,
        "paths": args.paths,
        "years_each": args.years,
        "processor_s": time.process_time() - start,
        "limits": [limit._asdict() for limit in limits],
        "nominal": rates_frame(rates).to_dict("records"),
    }
    args.out.write_text(json.dumps(result, indent=1, default=float) + "\n", encoding="utf-8")


def _print(limits: list[Limit], rates: list[Any]) -> None:
    for limit in limits:
        print(
            f"{limit.name:24s}{limit.subject:6s}{limit.value:7.2f}   {limit.per_year:.3f} a year in {limit.world} "
            f"(budget {limit.budget:g})"
        )
    for rate in rates:
        if rate.rule == "all":
            print(f"{rate.null:12s}{rate.monitor:14s}{rate.per_year:.2f} [{rate.low:.2f}, {rate.high:.2f}] a year")


if __name__ == "__main__":
    main()
