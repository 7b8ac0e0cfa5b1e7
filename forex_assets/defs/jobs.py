"""Jobs, one per pair and partition family: a single job cannot mix families."""

from __future__ import annotations

import dagster as dg
from dagster import AssetSelection

from forex_assets.defs.reports import WAREHOUSE_KEY
from forex_assets.settings import PairSpec, Settings

MARKET = "market_data"
INGEST = "ingest"
SNAPSHOT = "snapshots"
BACKTEST = "backtest"
FORECAST = "forecast"
EVALUATION = "evaluation"
PERFORMANCE = "performance"
MONITORING = "monitoring"
CALIBRATION = "calibration"
WEEKLY = "weekly_report"
REPORT = "desk_report"
VALIDATION = "weekly_validation"
OBSERVE = "observe_config"
TRIGGER = "trigger"
OPTIMIZE = "optimize"
DEPLOY = "deployment"
PROBATION = "probation"
LOOP = "loop_health"
WAREHOUSE_JOB = "warehouse"

FAMILIES: dict[str, tuple[str, ...]] = {
    MARKET: ("observations", "source_status", "quarantine", "bars", "drivers"),
    INGEST: ("observations", "source_status", "quarantine"),
    SNAPSHOT: ("bars", "drivers"),
    BACKTEST: ("backtest", "interval_calibration"),
    FORECAST: ("forecast",),
    EVALUATION: ("evaluation",),
    PERFORMANCE: ("performance_report", "model_comparison", "reliability", "performance_slices"),
    VALIDATION: (
        "backtest",
        "interval_calibration",
        "performance_report",
        "model_comparison",
        "reliability",
        "performance_slices",
    ),
    MONITORING: ("drift_report", "findings", "regime_report", "readiness"),
    CALIBRATION: ("calibration",),
    WEEKLY: ("weekly_validation",),
    REPORT: ("desk_report",),
    OBSERVE: ("active_config",),
    TRIGGER: ("trigger_report",),
    OPTIMIZE: ("candidate_config", "validation_report"),
    DEPLOY: ("deployed_config",),
    PROBATION: ("post_deployment_health",),
    LOOP: ("loop_findings",),
}
MEANING = {
    MARKET: "Ask the sources, judge quality, and snapshot what is known per business day.",
    INGEST: "Ask the sources and judge quality.",
    SNAPSHOT: "Snapshot what is known per business day, from stored observations.",
    BACKTEST: "Walk forward through history and learn the width factors, per horizon.",
    FORECAST: "Forecast business day × horizon.",
    EVALUATION: "Score matured forecasts.",
    PERFORMANCE: "Scores by window of maturity, per horizon (the daily check).",
    VALIDATION: "Weekly: backtest, width factors and scores anew, per horizon.",
    MONITORING: "Every monitor on a business day, the drift report, regimes and readiness.",
    CALIBRATION: "What the pair's own history says about ordinary and extraordinary sizes, per horizon.",
    WEEKLY: "The weekly validation report.",
    REPORT: "Write the desk report of a business day.",
    OBSERVE: "Record which configuration each horizon uses.",
    TRIGGER: "Judge whether a horizon is to be optimised.",
    OPTIMIZE: "Search for a better configuration, and judge it on a period the search never saw.",
    DEPLOY: "Deploy validated candidates, after a re-read of gate, checks and guards.",
    PROBATION: "Watch promoted versions, and roll back those that disappoint.",
    LOOP: "Metrics and alert conditions of the retraining loop itself.",
}


def job_name(pair_id: str, family: str) -> str:
    """Return the name of a pair's job: ``usdclp_forecast``."""
    return f"{pair_id}_{family}_job"


def build(settings: Settings, pair: PairSpec) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs of one pair."""
    return [
        dg.define_asset_job(
            job_name(pair.id, family),
            selection=AssetSelection.assets(*[dg.AssetKey([pair.id, name]) for name in names]),
            description=f"{pair.label}: {MEANING[family]}",
            tags={"pair": pair.id, "family": family},
        )
        for family, names in FAMILIES.items()
    ]


def build_warehouse() -> dg.UnresolvedAssetJobDefinition:
    """Return the job that publishes the warehouse."""
    return dg.define_asset_job(
        f"{WAREHOUSE_JOB}_job", selection=AssetSelection.assets(WAREHOUSE_KEY), description="Publish warehouse.duckdb."
    )


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags that make one run cover every partition from ``first`` to ``last``."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
