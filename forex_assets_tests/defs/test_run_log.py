"""Runs as Dagster recorded them: times, outcome, work done and resources; what was not recorded is unknown."""

from __future__ import annotations

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forex_assets.defs.run_log import read_runs, usage, usage_tags
from forex_assets.monitoring.operations import RUN_COLUMNS, judge_runs
from forex_assets_tests.monitoring.markets import settings


@dg.asset
def made() -> int:
    """An asset that is made."""
    return 1


@dg.asset
def broken() -> int:
    """An asset that fails."""
    raise ValueError("on purpose")


@pytest.mark.capability("E10")
def test_finished_runs_come_back_with_what_they_used() -> None:
    with dg.instance_for_test() as instance:
        tags = {"pair": "usdclp", "family": "forecast"}
        good = dg.materialize([made], instance=instance, tags=tags)
        instance.add_run_tags(good.run_id, usage_tags(usage()[1]))
        dg.materialize([broken], instance=instance, tags=tags, raise_on_error=False)
        runs = read_runs(instance).sort_values("started_at")
        assert list(runs.columns) == list(RUN_COLUMNS)
        assert runs["status"].tolist() == ["SUCCESS", "FAILURE"]
        assert runs["partitions"].tolist() == [1, 0]
        assert runs["peak_memory_mb"].iloc[0] > 10
        assert np.isnan(runs["peak_memory_mb"].iloc[1])
        assert (runs["ended_at"] >= runs["started_at"]).all()
        now = runs["ended_at"].max() + pd.Timedelta(minutes=1)
        found = {
            item.rule: item.state for item in judge_runs(runs, "usdclp", now, settings().platform.watching.operations)
        }
        assert found == {
            "silence": "clear",
            "errors": "unknown",
            "latency": "unknown",
            "throughput": "unknown",
            "memory": "clear",
        }


@pytest.mark.capability("E10")
def test_without_runs_there_is_an_empty_frame_of_the_same_columns() -> None:
    with dg.instance_for_test() as instance:
        assert list(read_runs(instance).columns) == list(RUN_COLUMNS)
