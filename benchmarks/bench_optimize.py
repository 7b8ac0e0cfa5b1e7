"""How often is the loop wrong, and how long does it take? Tables on stdout, JSON beside.

Error rates: worlds with planted truth through the real search and gate (forex_assets.lifecycle.simulate).
Speed: trigger, search and gate on real USD/CLP from the package, in a home of its own.

    python benchmarks/bench_optimize.py [--worlds 300] [--out benchmarks/results/optimize.json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

SHARES = (0.0, 0.02, 0.05, 0.10)


def rates(worlds: int) -> list[dict[str, Any]]:
    """Return the simulated error rates of every horizon and planted improvement."""
    from forex_assets.lifecycle.simulate import simulate_loop
    from forex_assets.settings import load_settings

    settings = load_settings()
    rows = []
    for name, days in settings.horizons.items():
        for share in SHARES:
            done = simulate_loop(
                settings.optimization, horizon_days=days, improvement=share, worlds=worlds, seed=20250613
            ).row()
            rows.append({"horizon": name, **done})
            print(
                f"{name:>4} {share:5.0%}  per opening {_text(done['per_opening'])}  within two "
                f"{_text(done['within_two'])}  classic {_text(done['classic'])}",
                flush=True,
            )
    return rows


def _text(rate: dict[str, float]) -> str:
    return f"{rate['share']:6.1%} [{rate['low']:.1%}, {rate['high']:.1%}] n={rate['n']:.0f}"


def speed() -> dict[str, Any]:
    """Return seconds of trigger, search and gate on real data in a fresh home."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"FOREX_HOME": folder, "FOREX_OFFLINE": "1"}
        os.environ.pop("FOREX_DATA_DIR", None)
        from forex_assets import schemas
        from forex_assets.optimization.gate import validate
        from forex_assets.optimization.search import run_job, search
        from forex_assets.optimization.trigger import judge_trigger
        from forex_assets.pipeline import Pipeline
        from forex_assets.settings import load_settings
        from forex_assets.verdicts import judge_slice

        pipeline = Pipeline(load_settings())
        now = dt.datetime.now(tz=dt.UTC)
        pairs = ("usdclp", "eurusd", "usdzar")
        last: dict[str, dt.date] = {}
        for pair in pairs:
            day = pipeline.default_as_of(pair, now=_timestamp(now))
            (frame,) = pipeline.bars(pair, [day]).values()
            table = schemas.BARS
            meta = {"data_hash": str(frame["data_hash"].iloc[0])}
            pipeline.store.write(table, pair, (day.isoformat(),), frame, verdict=judge_slice(table, frame), meta=meta)
            last[pair] = day
        horizons = list(pipeline.settings.horizons)

        def triggers() -> float:
            start = time.perf_counter()
            for pair in pairs:
                for horizon in horizons:
                    judge_trigger(pipeline, pair, horizon, as_of=last[pair], now=now)
            return time.perf_counter() - start

        triggers()
        trigger_s = statistics.median(triggers() for _ in range(5))
        job = {"pair": "usdclp", "horizon": "7d", "as_of": last["usdclp"].isoformat(), "engine": "adaptive"}
        start = time.perf_counter()
        found = run_job(pipeline, {**job, "trials": 100}, lambda line: None)
        search_s = time.perf_counter() - start
        start = time.perf_counter()
        report = search(pipeline, "usdclp", "30d", as_of=last["usdclp"], now=now)
        isolated_s = time.perf_counter() - start
        version = report.candidate or _stand_in(pipeline, last["usdclp"], now)
        start = time.perf_counter()
        verdict = validate(pipeline, version, as_of=last["usdclp"], now=now)
        gate_s = time.perf_counter() - start
    print(f"triggers of 3 pairs x 4 horizons, warm: {trigger_s:.2f} s")
    print(f"adaptive search, 100 trials ({len(found['table'])} different), 7d, here: {search_s:.1f} s")
    print(f"the same for 30d in a process of its own: {isolated_s:.1f} s, {report.peak_memory_mib:.0f} MiB")
    print(f"gate on the panel ({verdict.criteria[0].n} targets): {gate_s:.1f} s")
    return {
        "trigger_12_subjects_s": trigger_s,
        "adaptive_100_trials_s": search_s,
        "search_in_child_s": isolated_s,
        "search_peak_memory_mib": report.peak_memory_mib,
        "gate_panel_s": gate_s,
    }


def _timestamp(now: dt.datetime) -> Any:
    import pandas as pd

    return pd.Timestamp(now)


def _stand_in(pipeline: Any, day: dt.date, now: dt.datetime) -> Any:
    """Return a candidate to time the gate with when the search found none."""
    from forex_assets.lifecycle.subject import Subject
    from forex_assets.lifecycle.versions import ConfigVersion

    subject = Subject.forecast("usdclp", "30d")
    return ConfigVersion(subject, "loghar", {}, "d" * 16, day, "1", "loghar", (), {}, {}, now, "benchmark")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "optimize.json")
    arguments = parser.parse_args()
    result = {"speed": speed(), "worlds": arguments.worlds, "rates": rates(arguments.worlds)}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
