"""Build the whole graph from settings: a function, so that a test or another environment builds its own."""

from __future__ import annotations

import warnings

import dagster as dg

from forex_assets.defs import (
    checks,
    deployment,
    evaluation,
    findings,
    forecasts,
    jobs,
    loop_health,
    market_data,
    optimization,
    panel,
    quality_checks,
    reports,
    schedules,
    sensors,
    watching,
)
from forex_assets.defs.assets import SLICE_IO
from forex_assets.defs.io_manager import SliceIOManager
from forex_assets.pipeline import Pipeline
from forex_assets.settings import Settings


def build_definitions(settings: Settings, pipeline: Pipeline | None = None) -> dg.Definitions:
    """Return the definitions of every configured pair.

    Parameters
    ----------
    settings:
        Resolved settings; nothing here reads the environment or a file besides.
    pipeline:
        The steps behind the assets, to share what they keep in memory; default: one of their own.
    """
    pipeline = Pipeline(settings) if pipeline is None else pipeline
    with warnings.catch_warnings():
        # Single-run backfills and pools are still marked beta or preview upstream; their use is deliberate.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        pairs = list(settings.pairs.values())
        drill_job, drill_schedule = deployment.build_drill(pipeline)
        return dg.Definitions(
            assets=[
                asset
                for pair in pairs
                for room in (market_data, forecasts, evaluation, findings, watching, optimization, reports)
                for asset in room.build(pipeline, pair)
            ]
            + [asset for pair in pairs for asset in deployment.build(pipeline, pair, after=("validation_report",))]
            + [asset for pair in pairs for asset in loop_health.build(pipeline, pair)]
            + panel.build(pipeline)
            + [reports.build_warehouse(pipeline)],
            asset_checks=[
                check
                for pair in pairs
                for check in (
                    *checks.build(pipeline, pair),
                    quality_checks.build(pipeline, pair),
                    *findings.build_checks(pipeline, pair),
                    *optimization.build_checks(pipeline, pair),
                )
            ]
            + panel.build_checks(pipeline),
            jobs=[job for pair in pairs for job in jobs.build(settings, pair)]
            + panel.build_jobs()
            + [jobs.build_warehouse(), drill_job],
            schedules=[
                schedule
                for pair in pairs
                for schedule in (
                    *schedules.build(pipeline, pair),
                    findings.build_schedule(pipeline, pair),
                    optimization.build_schedule(pipeline, pair),
                    loop_health.build_schedule(pipeline, pair),
                    watching.build_schedule(pipeline, pair),
                    watching.build_calibration_schedule(pipeline, pair),
                )
            ]
            + [panel.build_schedule(pipeline), drill_schedule],
            sensors=[
                sensor
                for pair in pairs
                for sensor in (
                    *sensors.build(pipeline, pair),
                    *optimization.build_sensors(pipeline, pair),
                    deployment.build_sensor(pipeline, pair),
                )
            ]
            + [sensors.build_failure_sensor(settings)],
            resources={
                SLICE_IO: SliceIOManager(pipeline.store),
                "duckdb": reports.duckdb_resource(str(settings.home / "warehouse.duckdb")),
            },
            executor=dg.in_process_executor,
        )
