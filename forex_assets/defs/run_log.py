"""Runs as Dagster recorded them, as a plain frame for :mod:`forex_assets.monitoring.operations` (E10)."""

import resource
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from forex_assets.monitoring.operations import RUN_COLUMNS

#: Tags under which a run's use of resources is kept in Dagster's run storage.
PEAK_MEMORY_TAG, CPU_TAG = "forex/peak_memory_mb", "forex/cpu_s"
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def read_runs(instance: dg.DagsterInstance, *, limit: int = 200) -> pd.DataFrame:
    """Return the newest finished runs: columns of ``RUN_COLUMNS``."""
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=list(_FINISHED)), limit=limit)
    counts = _materialised(instance, [record.dagster_run.run_id for record in records])
    rows = []
    for record in records:
        run = record.dagster_run
        if record.start_time is None or record.end_time is None:
            continue
        rows.append(
            {
                "run_id": run.run_id,
                "job": run.job_name,
                "pair": run.tags.get("pair", ""),
                "family": run.tags.get("family", ""),
                "status": run.status.value,
                "started_at": pd.Timestamp(record.start_time, unit="s", tz="UTC"),
                "ended_at": pd.Timestamp(record.end_time, unit="s", tz="UTC"),
                "partitions": counts.get(run.run_id, 0),
                "peak_memory_mb": _number(run.tags, PEAK_MEMORY_TAG),
                "cpu_s": _number(run.tags, CPU_TAG),
            }
        )
    frame = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    for name in ("started_at", "ended_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def usage() -> tuple[float, float]:
    """Return this process's largest memory so far in megabytes, and its processor seconds, children included."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    scale = 1e6 if sys.platform == "darwin" else 1e3
    peak = max(own.ru_maxrss, children.ru_maxrss) / scale
    return peak, own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def usage_tags(cpu_before: float) -> dict[str, str]:
    """Return the tags that say what a run has used since ``cpu_before``."""
    peak, cpu = usage()
    return {PEAK_MEMORY_TAG: f"{peak:.1f}", CPU_TAG: f"{max(cpu - cpu_before, 0.0):.2f}"}


def _materialised(instance: dg.DagsterInstance, run_ids: list[str]) -> dict[str, int]:
    """Return how many partitions each run was asked to make, from its own tags and stats."""
    out: dict[str, int] = {}
    for run_id in run_ids:
        stats: Any = instance.get_run_stats(run_id)
        out[run_id] = int(getattr(stats, "materializations", 0) or 0)
    return out


def _number(tags: Mapping[str, str], name: str) -> float:
    try:
        return float(tags[name])
    except (KeyError, ValueError):
        # A run launched elsewhere carries no such tag: its use of resources is unknown.
        return float("nan")
