"""How long does the ingestion of a day take inside a run? All series of all pairs; providers take 200 ms an answer.

Three ways, each over several days on a home of its own: the run of all pairs as `forex run` does it (its ingest jobs
through Dagster, asset checks included), the same with the panel's prices of 22 currencies beside, and a run a pair in
a process of its own, two at a time, as the schedules start them. `--apart` asks pair by pair instead.

    python benchmarks/bench_ingest.py [--days 4] [--apart] [--out benchmarks/results/ingest.json]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pandas as pd
from bench_data import NOW, providers, publish

from forex_assets.defs import jobs, market_data, panel, quality_checks, run
from forex_assets.home import prepare_home
from forex_assets.settings import Settings

GOALS = {"ingest_s": 3.0, "requests_of_a_question": 1}
#: Past the shipped and packaged histories, so that every provider is asked, the ECB for the panel too.
LATE = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
PROCESS = """
import json, sys
from unittest import mock
import dagster as dg
import pandas as pd
from forex_assets.defs import jobs, market_data
from forex_assets.defs.run import Runner
from forex_assets.settings import load_settings

pair, moment = sys.argv[1], pd.Timestamp(sys.argv[2])
with dg.DagsterInstance.get() as instance, mock.patch.object(market_data, "utc_now", lambda: moment):
    runner = Runner(load_settings(), instance)
    definition = runner.repository.resolve_job_def(jobs.job_name(pair, jobs.INGEST))
    result = definition.execute_in_process(instance=instance)
    assert result.success
    steps = [event for event in result.all_events if event.event_type_value == "STEP_SUCCESS"]
    print(json.dumps({event.step_key: event.event_specific_data.duration_ms / 1000 for event in steps}))
"""


@contextlib.contextmanager
def at(moment: pd.Timestamp) -> Iterator[None]:
    """Make it some moment for what a run looks at the clock for."""
    with contextlib.ExitStack() as stack:
        for module in (market_data, panel, quality_checks, run):
            stack.enter_context(mock.patch.object(module, "utc_now", return_value=moment))
        yield


def one_day(runner: run.Runner, moment: pd.Timestamp, *, is_apart: bool, has_panel: bool) -> tuple[float, float]:
    """Ingest a day as a run does; return the seconds, by the clock and of the processor."""
    pairs = list(runner.settings.pairs)
    started, worked = time.perf_counter(), time.process_time()
    with at(moment), contextlib.ExitStack() as stack:
        if not is_apart:
            stack.enter_context(runner.pipeline.data.asking_together(pairs, now=moment))
        if has_panel:
            job = runner.repository.resolve_job_def(panel.PRICES_JOB)  # the index made from them asks nobody
            job.execute_in_process(instance=runner.instance, asset_selection=[panel.BARS])
        for pair in pairs:
            runner.execute(jobs.job_name(pair, jobs.INGEST), tags={"pair": pair})
    return time.perf_counter() - started, time.process_time() - worked


def ingest_steps(runner: run.Runner) -> float:
    """Return the seconds of the newest day's ingest steps, without the checks and Dagster's bookkeeping."""
    seconds = 0.0
    newest = runner.instance.get_run_records(limit=len(runner.settings.pairs) + 1)
    families = {record.dagster_run.job_name: record.dagster_run.run_id for record in reversed(newest)}
    wanted = {f"{pair}_observations" for pair in runner.settings.pairs} | {"panel__bars"}
    for run_id in families.values():
        for step in runner.instance.get_run_step_stats(run_id):
            if step.step_key in wanted:
                seconds += (step.end_time or 0.0) - (step.start_time or 0.0)
    return seconds


def in_one_process(days: int, *, is_apart: bool, has_panel: bool) -> dict[str, Any]:
    """Ingest some days in a row; the first, which fetches the history, apart."""
    with providers() as (settings, pipe):
        os.environ["DAGSTER_HOME"] = str(settings.home / "dagster")
        prepare_home(settings)
        with dg.DagsterInstance.get() as instance:
            runner = run.Runner(settings, instance)
            seconds, worked, steps, asked = [], [], [], []
            for day in range(days + 1):
                moment = (LATE if has_panel else NOW) - dt.timedelta(days=days - day)
                publish(pipe, moment)
                took = one_day(runner, pd.Timestamp(moment), is_apart=is_apart, has_panel=has_panel)
                seconds.append(took[0])
                worked.append(took[1])
                steps.append(ingest_steps(runner))
                asked.append(publish(pipe, moment))
        return {
            **figures(seconds, asked),
            "steps_s": statistics.median(steps[1:]),
            "processor_s": statistics.median(worked[1:]),
        }


def in_processes(days: int) -> dict[str, Any]:
    """Ingest some days, every pair in a process of its own, two at a time."""
    with providers() as (settings, pipe):
        os.environ["DAGSTER_HOME"] = str(settings.home / "dagster")
        prepare_home(settings)
        with dg.DagsterInstance.get() as instance:
            instance.get_runs_count()  # makes Dagster's tables, which two processes must not do at once
        slowest, asked = [], []
        for day in range(days + 1):
            moment = NOW - dt.timedelta(days=days - day)
            publish(pipe, moment)
            with ThreadPoolExecutor(max_workers=2) as pool:
                steps = list(pool.map(lambda pair, when=moment: process(settings, pair, when), settings.pairs))
            slowest.append(max(each[name] for each in steps for name in each if name.endswith("_observations")))
            asked.append(publish(pipe, moment))
        return figures(slowest, asked)


def process(settings: Settings, pair: str, moment: dt.datetime) -> dict[str, float]:
    """Run a pair's ingest job in a process; return the seconds of its steps."""
    environ = {
        **os.environ,
        "FOREX_HOME": str(settings.home),
        "FOREX_CONFIG_DIR": str(settings.config_dir),
        "FOREX_DATA_DIR": str(settings.data_dir),
        "FOREX_OFFLINE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, pair, moment.isoformat()],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the run of {pair} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def figures(seconds: list[float], asked: list[list[str]]) -> dict[str, Any]:
    """Return the figures of some days, the first of which is told apart."""
    return {
        "history_s": seconds[0],
        "s": statistics.median(seconds[1:]),
        "each_s": seconds[1:],
        "requests_a_day": [len(each) for each in asked[1:]],
        "most_times_one_question": max(each.count(path) for each in asked for path in set(each)),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--apart", action="store_true", help="ask pair by pair, as before asking together")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "ingest.json")
    arguments = parser.parse_args()
    for name in ("FOREX_HOME", "FOREX_DATA_DIR", "FOREX_CONFIG_DIR", "FOREX_PAIRS", "DAGSTER_HOME"):
        os.environ.pop(name, None)
    found: dict[str, Any] = {"goals": GOALS, "is_apart": arguments.apart}
    found["run"] = in_one_process(arguments.days, is_apart=arguments.apart, has_panel=False)
    found["run_with_panel"] = in_one_process(arguments.days, is_apart=arguments.apart, has_panel=True)
    found["processes"] = in_processes(arguments.days)
    told = {
        "run": "ingest jobs of all pairs in one run",
        "run_with_panel": "the same and the panel's prices",
        "processes": "slowest ingest step, a process a pair",
    }
    for name, what in told.items():
        each = found[name]
        parts = f"steps {each['steps_s']:.2f} s, processor {each['processor_s']:.2f} s; " if "steps_s" in each else ""
        print(
            f"{what:40} {each['s']:6.2f} s ({parts}first day, with the history, {each['history_s']:.1f} s), "
            f"requests a day {each['requests_a_day']}, one question at most {each['most_times_one_question']} times"
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
