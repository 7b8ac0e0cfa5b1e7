"""How long deployment, rollback, ledger and sensors take, and what restarts lose.

    python benchmarks/bench_lifecycle.py [--lines 100000] [--ticks 10000] [--out benchmarks/results/lifecycle.json]

Times are medians with the 95th percentile and the processor time, on a temporary folder, beside the flush of one
kilobyte on the same disk in the same minute. Nothing is read from the network.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from forex_assets import deployment
from forex_assets.defs.deployment import build_sensor, due_horizons
from forex_assets.lifecycle.guards import GuardFacts
from forex_assets.lifecycle.health import Losses, read_watch, step
from forex_assets.lifecycle.ledger import Decision, Ledger
from forex_assets.lifecycle.promotion import Deployer, Proposal
from forex_assets.lifecycle.reports import CandidateReport, Criterion, ValidationReport, frame_of
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import ConfigVersion, Quantity
from forex_assets.pipeline import Pipeline
from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG, VALIDATION_REPORT
from forex_assets.settings import Settings, load_settings

NOW = dt.datetime(2025, 6, 16, 6, 0, tzinfo=dt.UTC)
AS_OF = dt.date(2025, 6, 13)
PAIR = "usdclp"
SUBJECT = Subject.forecast(PAIR, "7d")


Seconds = tuple[float, float]


def quantiles(seconds: list[Seconds]) -> dict[str, float]:
    """Return median and 95th percentile of the wall clock and median of the processor time, in milliseconds."""
    wall, processor = zip(*seconds, strict=True)
    return {
        "median_ms": 1e3 * statistics.median(wall),
        "p95_ms": 1e3 * float(np.quantile(wall, 0.95)),
        "processor_ms": 1e3 * statistics.median(processor),
        "n": len(seconds),
    }


def timed(work: Callable[[], object]) -> Seconds:
    """Return the seconds one call takes: by the wall clock, and of this process's processor time."""
    started, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - used


@functools.cache
def packaged() -> Settings:
    """Return the packaged settings, offline."""
    return load_settings(environ={"FOREX_OFFLINE": "1"})


def settings_for(home: Path, **sinks: Any) -> Settings:
    """Return offline settings on a home, with sinks."""
    settings = packaged().model_copy(update={"home": home, "store_root": str(home / "store")})
    changed = settings.deployment.sinks.model_copy(update=sinks)
    return settings.model_copy(update={"deployment": settings.deployment.model_copy(update={"sinks": changed})})


def version(number: int, subject: Subject = SUBJECT) -> ConfigVersion:
    """Return a version that differs by its number."""
    return ConfigVersion(
        subject,
        "rw_blend",
        {},
        "d" * 16,
        dt.date(2025, 5, 30),
        "bench",
        f"bench-{number}",
        (),
        {"validation_rmse": Quantity(8.0 + number / 100, "CLP per USD")},
        {"iterations": 27, "seconds": 100.0},
        NOW,
        "policy:auto",
    )


def offer(pipeline: Pipeline, candidate: ConfigVersion) -> None:
    """Store a candidate and an approving report, as search and gate do."""
    subject, incumbent = candidate.subject, pipeline.lifecycle.of(candidate.subject).current
    criterion = Criterion("improvement", "met", "lower", "-10%", "lower by 10%")
    report = ValidationReport(
        subject, AS_OF, "recommended", candidate.hash, incumbent, True, {}, (criterion,), ("approved",)
    )
    found = CandidateReport(subject, AS_OF, "bench", candidate, ("found",))
    for table, item in ((CANDIDATE_CONFIG, found), (VALIDATION_REPORT, report)):
        frame = pipeline.stamp(frame_of(item), config_hash="c" * 16, data_hash="d" * 16)
        pipeline.store.write(table, subject.pair, (subject.horizon,), frame)


def fill_ledger(ledger: Ledger, lines: int) -> None:
    """Bring a ledger to this many lines at once (one flush), each as append would write it."""
    from forex_assets.lifecycle.canonical import digest, sha256
    from forex_assets.lifecycle.ledger import _TAIL, GENESIS
    from forex_assets.provenance import code_version

    ledger.path.parent.mkdir(parents=True, exist_ok=True)
    before, out = GENESIS, []
    inputs = {"state": {"rmse": 8.4, "days": 14}, "findings": ["performance", "drift"] * 4}
    for number in range(1, lines + 1):
        body = {
            "prev": before,
            "number": number,
            "at": "2025-01-01T00:00:00.000000+00:00",
            "kind": "trigger",
            "subject": SUBJECT.key,
            "actor": "automation",
            "as_of": "2025-01-01",
            "outcome": {"should_optimize": False, "number": number},
            "reasons": ["no rule fired: performance clear, drift clear, 9 days since the last search"],
            "function": "trigger/1",
            "input_hash": digest(inputs),
            "policy_hash": digest({}),
            "inputs": inputs,
            "policy": {},
            "code_version": code_version(),
        }
        text = json.dumps(body, separators=(",", ":")).encode()[:-1]
        before = sha256(text)
        out.append(text + _TAIL + before.encode() + b'"}\n')
    ledger.path.write_bytes(b"".join(out))
    ledger.anchor.write_text(before + "\n")


def measure_floor(folder: Path) -> dict[str, float]:
    """Return the time of writing and flushing one kilobyte."""

    def flush() -> None:
        with (folder / "floor").open("wb") as file:
            file.write(b"x" * 1024)
            file.flush()
            os.fsync(file.fileno())

    return quantiles([timed(flush) for _ in range(100)])


def measure_operations(folder: Path, lines: int, repeats: int) -> dict[str, Any]:
    """Return times of deployment and rollback with all sinks, on a ledger of this many lines."""
    repository = folder / "repository"
    repository.mkdir(parents=True)
    subprocess.run(["git", "-C", str(repository), "init", "--quiet", "--initial-branch=deployed"], check=True)
    settings = settings_for(folder / "home")
    mail = settings.deployment.sinks.mail.model_copy(update={"mode": "file", "recipients": ["desk@example.org"]})
    bare = Pipeline(settings_for(folder / "home", classic_folder=None))
    full = Pipeline(settings_for(folder / "home", git_repository=str(repository), mail=mail))
    if lines:
        fill_ledger(bare.lifecycle.ledger, lines)
    out: dict[str, Any] = {"ledger_lines": lines}
    number = 0
    for name, pipeline in (("without sinks", bare), ("with classic files, git and a mail file", full)):
        deploys, rollbacks = [], []
        deployment.sinks_of(pipeline).tell(SUBJECT.scope, now=NOW)
        for _ in range(repeats):
            number += 1
            offer(pipeline, version(number))
            started, used = time.perf_counter(), time.process_time()
            done = deployment.deploy(pipeline, PAIR, ["7d"], now=NOW, running_forecasts=0)
            deploys.append((time.perf_counter() - started, time.process_time() - used))
            if [move.action for move in done.moves] != ["promoted"]:
                raise SystemExit(f"not promoted: {done.moves}")
            if any(item.state != "told" for item in done.told):
                raise SystemExit(f"a sink failed: {done.told}")

            def back(pipeline: Pipeline = pipeline) -> None:
                deployment.deployer_of(pipeline).rollback(SUBJECT, why=["bench"], as_of=AS_OF, now=NOW, actor="bench")
                deployment.sinks_of(pipeline).tell(SUBJECT.scope, now=NOW)

            rollbacks.append(timed(back))
        out[name] = {"deployment": quantiles(deploys), "rollback": quantiles(rollbacks)}
    out["resolve"] = quantiles([timed(lambda: Pipeline(settings).active(PAIR, "7d")) for _ in range(100)])
    return out


def measure_ledger(folder: Path, lines: int) -> dict[str, Any]:
    """Return times of append and verify on a ledger of this many lines."""
    ledger = Ledger(folder)
    fill_ledger(ledger, lines)
    decision = Decision(
        "trigger", SUBJECT, {"should_optimize": False}, ["no rule fired"], inputs={"x": list(range(99))}
    )
    verify = [timed(ledger.verify) for _ in range(5)]
    appends = [timed(lambda: ledger.append(decision, now=NOW)) for _ in range(300)]
    found = ledger.verify()
    if not found.intact or found.lines != lines + 300:
        raise SystemExit(f"the ledger does not verify: {found.faults[:3]}")
    data = ledger.path.read_bytes()
    middle = data.index(b'"number":%d,' % (lines // 2))
    ledger.path.write_bytes(data[:middle] + data[middle:].replace(b"clear", b"fired", 1))
    located = ledger.verify().faults[0].line
    return {
        "lines": lines,
        "mib": len(data) / 2**20,
        "append": quantiles(appends),
        "verify": quantiles(verify),
        "edited_line": lines // 2,
        "located_line": located,
    }


def measure_tick(folder: Path, pairs: int) -> dict[str, Any]:
    """Return the time of one tick of the probation sensors of many pairs, four horizons each on probation."""
    settings = settings_for(folder, classic_folder=None)
    names = [f"pair{number:02}" for number in range(pairs)]
    specs = [settings.pair(PAIR).model_copy(update={"id": name}) for name in names]
    pipeline = Pipeline(settings.model_copy(update={"pairs": dict(zip(names, specs, strict=True))}))
    for name in names:
        for number, horizon in enumerate(settings.horizons):
            promote(pipeline.lifecycle, settings, version(number, Subject.forecast(name, horizon)), NOW)
    sensors = [build_sensor(pipeline, spec) for spec in specs]
    ticks = {}
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        for kind, fresh in (("first tick", True), ("later ticks", False)):
            times = []
            for _ in range(1 if fresh else 20):
                started, used = time.perf_counter(), time.process_time()
                for sensor in sensors:
                    with dg.build_sensor_context(instance=instance) as context:
                        result = sensor(context)
                    if not isinstance(result, dg.SensorResult) or len(result.run_requests or []) != 4:
                        raise SystemExit(f"not every horizon was due: {result}")
                times.append((time.perf_counter() - started, time.process_time() - used))
            ticks[kind] = quantiles(times)
    return {"pairs": pairs, "horizons": len(settings.horizons), **ticks}


def promote(store: LifecycleStore, settings: Settings, candidate: ConfigVersion, now: dt.datetime) -> None:
    """Promote a version."""
    current = store.of(candidate.subject).current
    criterion = Criterion("improvement", "met", "lower", "-10%", "lower by 10%")
    report = ValidationReport(
        candidate.subject, AS_OF, "recommended", candidate.hash, current, True, {}, (criterion,), ("approved",)
    )
    facts = GuardFacts((), False, now, 0, 10_000.0, "READY", ())
    deployer = Deployer(store, settings.deployment)
    move = deployer.propose([Proposal(candidate, report, {"bench": True})], facts, as_of=AS_OF, now=now)[0]
    if move.action != "promoted":
        raise SystemExit(f"not promoted: {move}")


def simulate_ticks(folder: Path, ticks: int, *, seed: int = 1) -> dict[str, Any]:
    """Run the probation sensor's decisions through simulated minutes in which everything is restarted at random.

    Every 400 ticks a version is promoted; every second one is planted to stop forecasting within its first hour. Each
    tick, with probability 0.2 the daemon is restarted (all objects made anew), with 0.15 the run dies before its step,
    with 0.02 the ticks stop for up to 30 minutes. Lost is a planted failure that is not rolled back by the third check
    that meets it, a healthy version that is rolled back, and a version that is never judged.
    """
    rng = np.random.default_rng(seed)
    settings = settings_for(folder, classic_folder=None)
    pipeline = Pipeline(settings)
    now, outage = NOW, 0
    counts = {"ticks": ticks, "promotions": 0, "planted": 0, "checks": 0, "restarts": 0, "died": 0, "missed_ticks": 0}
    lost: list[str] = []
    fails_at, met, expect = now, 0, ""
    harm = False
    for tick in range(ticks):
        now += dt.timedelta(seconds=60)
        if tick % 400 == 0:
            if expect and expect not in _fate(pipeline):
                lost.append(f"tick {tick}: {expect} expected, found {_fate(pipeline)}")
            pointers = pipeline.lifecycle.of(SUBJECT)
            deployer = deployment.deployer_of(pipeline)
            if pointers.incident:
                deployer.acknowledge(SUBJECT, by="bench", why="planted", now=now)
            promote(pipeline.lifecycle, settings, version(10_000 + tick), now)
            counts["promotions"] += 1
            harm = counts["promotions"] % 2 == 0
            counts["planted"] += harm
            fails_at, met = now + dt.timedelta(minutes=int(rng.integers(0, 59))), 0
            expect = "rolled back" if harm else "passed"
        if outage or rng.random() < 0.02:
            outage = outage - 1 if outage else int(rng.integers(1, 31))
            counts["missed_ticks"] += 1
            continue
        if rng.random() < 0.2:
            pipeline = Pipeline(settings)
            counts["restarts"] += 1
        wanted = due_horizons(pipeline, PAIR, ["7d"], now)
        if not wanted or ("check" not in wanted["7d"][0] and "rollback" not in wanted["7d"][0]):
            continue
        if rng.random() < 0.15:
            counts["died"] += 1
            continue
        bad = harm and now >= fails_at
        met += bad
        counts["checks"] += 1
        health = step(
            deployment.deployer_of(pipeline),
            SUBJECT,
            canary=lambda bad=bad: {"passed": not bad, "reasons": ["planted" if bad else "sane"]},
            losses=lambda: Losses([], 1, 7),
            now=now,
            as_of=AS_OF,
        )
        if (health.phase == "rolled_back") != (met == 3):
            lost.append(f"tick {tick}: {health.phase} after {met} failed checks, planted: {harm}")
    if not pipeline.lifecycle.ledger.verify().intact:
        lost.append("the ledger does not verify")
    return {**counts, "lost": len(lost), "what": lost[:5]}


def _fate(pipeline: Pipeline) -> str:
    pointers = pipeline.lifecycle.of(SUBJECT)
    if "rollback" in pointers.history[-1].cause:
        return "rolled back"
    return f"technical phase {read_watch(pipeline.lifecycle.root, SUBJECT, pointers).technical}"


def main() -> None:
    """Measure everything, print it, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "lifecycle.json")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, work in (
            ("flush_1_kib", lambda: measure_floor(folder)),
            ("operations", lambda: measure_operations(folder / "a", 0, options.repeats)),
            ("operations_long_ledger", lambda: measure_operations(folder / "b", options.lines, options.repeats)),
            ("ledger", lambda: measure_ledger(folder / "c", options.lines)),
            ("sensor_tick", lambda: measure_tick(folder / "d", 20)),
            ("simulated_ticks", lambda: simulate_ticks(folder / "e", options.ticks)),
            ("flush_1_kib_after", lambda: measure_floor(folder)),
        ):
            result[key] = work()
            print(f"{key}: {json.dumps(result[key], indent=1)}", flush=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
