"""How long the platform takes, from the outside: load, a whole run, one partition, a backfill. Table and JSON.

Every row is a process of its own on a fresh home, offline, on embedded and ECB data: the figures are what a user sees.

    python benchmarks/bench_platform.py [--repeats 5] [--sizes 250,1000,4000] [--out benchmarks/results/platform.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PAIRS = "usdclp,eurusd,usdzar"
FORBIDDEN = ("torch", "chronos", "arch", "statsmodels", "matplotlib")

LOAD = f"""
import json, sys, time
start = time.perf_counter()
import forex_assets.definitions as module
module.defs.get_repository_def()
seconds = time.perf_counter() - start
print(json.dumps({{"seconds": seconds, "heavy": [m for m in {FORBIDDEN!r} if m in sys.modules]}}))
"""

EMPTY = """
import dagster as dg
@dg.asset
def nothing() -> None: ...
defs = dg.Definitions(assets=[nothing], executor=dg.in_process_executor)
"""

BACKFILL = """
import datetime as dt, json, sys, time
import dagster as dg, numpy as np
from forex_assets.defs import jobs
from forex_assets.defs.run import Runner
from forex_assets.home import prepare_home
from forex_assets.settings import load_settings

sizes = [int(size) for size in sys.argv[1].split(",")]
settings = load_settings()
prepare_home(settings)
rows = []
with dg.DagsterInstance.get() as instance:
    runner = Runner(settings, instance)
    calendar = runner.pipeline.calendar("usdclp")
    runner.execute(jobs.job_name("usdclp", jobs.INGEST))
    horizons = list(settings.horizons)
    last = np.datetime64("2025-06-13")
    days = max(1, max(size // len(horizons) if size > 1000 else size for size in sizes))
    sessions = calendar.sessions(last - np.timedelta64(days * 2, "D"), last)[-days:]
    first = str(sessions[0])
    start = time.perf_counter()
    runner.execute(jobs.job_name("usdclp", jobs.SNAPSHOT), first=first, last=str(last))
    snapshot = time.perf_counter() - start
    config = {"ops": {"usdclp__backtest": {"config": {"as_of": str(last)}}}}
    runner.execute(jobs.job_name("usdclp", jobs.BACKTEST), first=horizons[0], last=horizons[-1], config=config)
    for size in sizes:
        wide = size > 1000
        count = size // len(horizons) if wide else size
        begin = str(sessions[-count])
        start = time.perf_counter()
        runner.execute(
            jobs.job_name("usdclp", jobs.FORECAST),
            first=f"{begin}|{horizons[0]}",
            last=f"{last}|{horizons[-1] if wide else horizons[0]}",
        )
        seconds = time.perf_counter() - start
        rows.append({"partitions": count * (len(horizons) if wide else 1), "seconds": seconds})
print(json.dumps({"snapshot_ms_each": 1000 * snapshot / (2 * len(sessions)), "rows": rows}))
"""


def environment(home: Path) -> dict[str, str]:
    """Return an environment with its own home and no network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOREX_", "DAGSTER_"))}
    return {**kept, "FOREX_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), "FOREX_OFFLINE": "1"}


def run(arguments: list[str], home: Path) -> tuple[float, float, str]:
    """Run a process; return wall seconds, peak resident MiB and its standard output."""
    start = time.perf_counter()
    process = subprocess.Popen(
        arguments, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home.parent
    )
    out, err = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)[:200]} failed with {process.returncode}:\n{err[-3000:]}")
    return seconds, 0.0, out


def run_measured(arguments: list[str], home: Path) -> tuple[float, float, str]:
    """Run a process through ``os.wait4`` so that its peak memory is its own."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(arguments, env=environment(home), stdout=out, stderr=err, text=True, cwd=home.parent)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(arguments)[:200]} failed:\n{err.read()[-3000:]}")
        return seconds, usage.ru_maxrss / 1024, out.read()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", default="250,1000,4000")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "platform.json")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def row(what: str, value: float, unit: str, goal: float | None, note: str = "") -> None:
        rows.append({"what": what, "value": round(value, 3), "unit": unit, "goal": goal, "note": note})
        limit = f"goal {goal:g}" if goal is not None else ""
        print(f"{what:58} {value:10.2f} {unit:4} {limit:10} {note}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        python, forex = sys.executable, str(Path(sys.executable).with_name("forex"))
        loads = [json.loads(run([python, "-c", LOAD], home)[2]) for _ in range(options.repeats)]
        row(
            "code location load, 4 pairs",
            min(load["seconds"] for load in loads),
            "s",
            2.0,
            f"heavy: {loads[0]['heavy']}",
        )

        seconds, peak, out = run_measured([forex, "run", "--pair", PAIRS, "--json"], home)
        partitions = sum(pair["partitions"] for pair in json.loads(out)["pairs"])
        row(f"forex run, fresh home, {PAIRS}", seconds, "s", 90.0, f"{partitions} partitions")
        row("  peak memory", peak, "MiB", 1024.0)
        seconds, _, _ = run_measured([forex, "run", "--pair", PAIRS, "--json"], home)
        row("forex run again, warm", seconds, "s", None)

        module = Path(folder) / "empty_location.py"
        module.write_text(EMPTY, encoding="utf-8")
        dagster = str(Path(sys.executable).with_name("dagster"))
        materialize = [dagster, "asset", "materialize"]
        empty = [*materialize, "-f", str(module), "--select", "nothing"]
        forecast = ["-m", "forex_assets.definitions", "--select", "usdclp/forecast", "--partition", "2025-06-13|7d"]
        pairs = [(run(empty, home)[0], run([*materialize, *forecast], home)[0]) for _ in range(options.repeats)]
        row(
            "an empty asset, dagster asset materialize",
            min(pair[0] for pair in pairs),
            "s",
            None,
            "the floor, same minute",
        )
        row("one warm forecast partition, the same way", min(pair[1] for pair in pairs), "s", 3.0)

        other = Path(folder) / "backfill"
        other.mkdir()
        seconds, peak, out = run_measured([python, "-c", BACKFILL, options.sizes], other)
        done = json.loads(out.strip().splitlines()[-1])
        row("bars and drivers snapshots, each", done["snapshot_ms_each"], "ms", None)
        for entry in done["rows"]:
            each = 1000 * entry["seconds"] / entry["partitions"]
            row(f"single-run backfill of forecast, {entry['partitions']} partitions, each", each, "ms", 20.0)
        row("  peak memory of the backfills", peak, "MiB", None)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
