"""Build the whole graph from settings: a function, so that a test or another environment builds its own."""

from __future__ import annotations

import warnings

import dagster as dg
from dagster_duckdb import DuckDBResource

from forex_assets.defs import (
    checks,
    deployment,
    evaluation,
    findings,
    forecasts,
    jobs,
    market_data,
    quality_checks,
    reports,
    schedules,
    sensors,
)
from forex_assets.defs.assets import SLICE_IO
from forex_assets.defs.io_manager import SliceIOManager
from forex_assets.pipeline import Pipeline
from forex_assets.settings import Settings
from forex_assets.store.slices import SliceStore


def build_definitions(settings: Settings, *, store: SliceStore | None = None) -> dg.Definitions:
    """Return the definitions of every configured pair.

    Parameters
    ----------
    settings:
        Resolved settings; nothing here reads the environment or a file besides.
    store:
        A store other than the one the settings name, for tests.
    """
    pipeline = Pipeline(settings, store)
    with warnings.catch_warnings():
        # Single-run backfills and pools are still marked beta or preview upstream; their use is deliberate.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        pairs = list(settings.pairs.values())
        return dg.Definitions(
            assets=[
                asset
                for pair in pairs
                for room in (market_data, forecasts, evaluation, findings, deployment, reports)
                for asset in room.build(pipeline, pair)
            ]
            + [reports.build_warehouse(pipeline)],
            asset_checks=[
                check
                for pair in pairs
                for check in (
                    *checks.build(pipeline, pair),
                    quality_checks.build(pipeline, pair),
                    *findings.build_checks(pipeline, pair),
                )
            ],
            jobs=[job for pair in pairs for job in jobs.build(settings, pair)] + [jobs.build_warehouse()],
            schedules=[
                schedule
                for pair in pairs
                for schedule in (*schedules.build(pipeline, pair), findings.build_schedule(pipeline, pair))
            ],
            sensors=[
                sensor
                for pair in pairs
                for sensor in (*sensors.build(pipeline, pair), deployment.build_sensor(pipeline, pair))
            ]
            + [sensors.build_failure_sensor(settings)],
            resources={
                SLICE_IO: SliceIOManager(pipeline.store),
                "duckdb": DuckDBResource(database=str(settings.home / "warehouse.duckdb")),
            },
            executor=dg.in_process_executor,
        )
