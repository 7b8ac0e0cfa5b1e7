"""Runs of the platform: errors, slowness, missing work, memory and silence; too few runs are unknown."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.operations import RUN_COLUMNS, judge_runs, wilson
from forex_assets_tests.monitoring.markets import settings

POLICY = settings().platform.watching.operations
NOW = pd.Timestamp("2025-06-13T20:00:00Z")


def _runs(n: int = 12, *, days_ago: float = 1.0, **changes: Any) -> pd.DataFrame:
    rows = []
    for i in range(n):
        end = NOW - pd.Timedelta(days=days_ago + i * 0.5)
        row = {
            "run_id": f"r{days_ago}-{i}", "job": "usdclp_forecast_job", "pair": "usdclp", "family": "forecast",
            "status": "SUCCESS", "started_at": end - pd.Timedelta(seconds=60), "ended_at": end, "partitions": 60,
            "peak_memory_mb": 800.0, "cpu_s": 40.0,
        }  # fmt: skip
        rows.append({**row, **{k: v[i] if isinstance(v, list) else v for k, v in changes.items()}})
    return pd.DataFrame(rows)[list(RUN_COLUMNS)]


def _judged(*frames: pd.DataFrame) -> dict[str, Finding]:
    return {item.rule: item for item in judge_runs(pd.concat(frames, ignore_index=True), "usdclp", NOW, POLICY)}


@pytest.mark.capability("E10")
def test_good_runs_are_clear() -> None:
    found = _judged(_runs(), _runs(days_ago=40))
    assert {name: item.state for name, item in found.items()} == dict.fromkeys(
        ("silence", "errors", "latency", "throughput", "memory"), "clear"
    )


@pytest.mark.capability("E10")
@pytest.mark.parametrize(
    ("recent", "rule"),
    [
        ({"status": ["FAILURE", "FAILURE", "FAILURE", "FAILURE", "FAILURE", *["SUCCESS"] * 7]}, "errors"),
        ({"started_at": NOW - pd.Timedelta(days=30)}, "latency"),
        ({"partitions": 5, "started_at": NOW - pd.Timedelta(days=1, seconds=5)}, "throughput"),
        ({"peak_memory_mb": 9000.0}, "memory"),
    ],
)
def test_each_rule_sees_its_fault(recent: dict[str, Any], rule: str) -> None:
    found = _judged(_runs(**recent), _runs(days_ago=40))
    assert found[rule].state == "fired"
    assert found[rule].reasons[0].endswith(".")


@pytest.mark.capability("E10", "K28")
def test_silence_alarms_whatever_the_schedule_says() -> None:
    assert _judged(_runs(days_ago=6.0))["silence"].state == "fired"
    assert _judged(_runs(days_ago=6.0))["silence"].effect == pytest.approx(6.0)


@pytest.mark.capability("E10", "L18")
def test_too_few_runs_are_unknown_and_others_and_the_future_do_not_count() -> None:
    late = _runs(3).assign(ended_at=NOW + pd.Timedelta(hours=1))
    found = _judged(_runs(3), _runs(30).assign(pair="eurusd"), late, _runs(9).assign(status="STARTED"))
    assert {found[name].state for name in ("errors", "latency", "throughput")} == {"unknown"}
    assert found["silence"].n == 3
    empty = _judged(_runs(1).iloc[:0])
    assert {item.state for item in empty.values()} == {"unknown"}
    assert _judged(_runs(peak_memory_mb=float("nan")))["memory"].state == "unknown"


def test_the_interval_of_a_share_worked_by_hand() -> None:
    low, high = wilson(2, 20)
    assert (low, high) == (pytest.approx(0.0279, abs=5e-4), pytest.approx(0.3010, abs=5e-4))
