"""Ten thousand ticks of the probation sensor on the real store: no planted failure and no healthy version is lost."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest

from forex_assets.defs import sensors
from forex_assets.defs.sensors import attempts

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_lifecycle.py"
TICKS = 10_000


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark, whose simulation this is."""
    spec = importlib.util.spec_from_file_location("bench_lifecycle", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.capability("A30", "L07", "L09")
def test_ten_thousand_ticks_with_restarts_lose_no_planted_failure(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # processes die here, the machine's power does not
    found = benchmark.simulate_ticks(tmp_path, TICKS)
    assert (found["ticks"], found["lost"], found["what"]) == (TICKS, 0, [])
    assert found["planted"] >= 10
    assert min(found["restarts"], found["died"], found["missed_ticks"]) > 100


@pytest.mark.capability("A24", "L07")
def test_a_run_killed_without_a_word_counts_as_a_try_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS):
            instance.add_run(dg.DagsterRun(job_name="job", status=status, tags={"decision": "000001"}))
        found = attempts(instance, "job", decision="000001")
        assert (found.under_way, found.over) == (True, 1)
        monkeypatch.setattr("forex_assets.lifecycle.asking.DEAD_AFTER", -sensors.DEAD_AFTER)  # as if it were tomorrow
        found = attempts(instance, "job", decision="000001")
        assert (found.under_way, found.over) == (False, 2)
        assert attempts(instance, "job", decision="000002").over == 0
