"""Declared tables: the one place that says which columns a stored frame has, of which kind, in which unit.

The same declaration gives the Arrow schema on disk, the pandera check on write and read, the column documentation in
the Dagster UI, and the comments in the warehouse. Frames between rooms follow these tables; nothing else is shared.
Kinds: ``date`` is a calendar date (``datetime64[ns]`` without zone in pandas, ``date32`` on disk), ``instant`` a moment
in UTC (microseconds on disk), the others what they say.
"""

from __future__ import annotations

from forex_assets.schemas.columns import PROVENANCE
from forex_assets.schemas.evaluation import EVALUATION, PERFORMANCE_REPORT, REPORT_INDEX
from forex_assets.schemas.evidence import MODEL_COMPARISON, PERFORMANCE_SLICES, RELIABILITY
from forex_assets.schemas.forecasts import BACKTEST, FORECAST, INTERVAL_CALIBRATION
from forex_assets.schemas.lifecycle import (
    CANDIDATE_CONFIG,
    DEPLOYED_CONFIG,
    LOOP_FINDINGS,
    POST_DEPLOYMENT_HEALTH,
    TRIGGER_REPORT,
    VALIDATION_REPORT,
)
from forex_assets.schemas.market import BARS, DRIVERS, OBSERVATIONS, QUARANTINE, SOURCE_STATUS
from forex_assets.schemas.monitoring import DRIFT_REPORT, FINDINGS
from forex_assets.schemas.panel import PANEL_TABLES
from forex_assets.schemas.table import Column, Kind, Table
from forex_assets.schemas.vintages import QUARANTINE_RELEASE
from forex_assets.schemas.watching import CALIBRATION, READINESS, REGIME_REPORT, WEEKLY_VALIDATION

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        OBSERVATIONS,
        QUARANTINE,
        QUARANTINE_RELEASE,
        SOURCE_STATUS,
        BARS,
        DRIVERS,
        FORECAST,
        BACKTEST,
        EVALUATION,
        INTERVAL_CALIBRATION,
        PERFORMANCE_REPORT,
        MODEL_COMPARISON,
        RELIABILITY,
        PERFORMANCE_SLICES,
        DRIFT_REPORT,
        FINDINGS,
        REGIME_REPORT,
        READINESS,
        CALIBRATION,
        WEEKLY_VALIDATION,
        TRIGGER_REPORT,
        CANDIDATE_CONFIG,
        VALIDATION_REPORT,
        DEPLOYED_CONFIG,
        POST_DEPLOYMENT_HEALTH,
        LOOP_FINDINGS,
        *PANEL_TABLES,
        REPORT_INDEX,
    )
}

__all__ = [
    "BACKTEST",
    "BARS",
    "CALIBRATION",
    "CANDIDATE_CONFIG",
    "DEPLOYED_CONFIG",
    "DRIFT_REPORT",
    "DRIVERS",
    "EVALUATION",
    "FINDINGS",
    "FORECAST",
    "INTERVAL_CALIBRATION",
    "LOOP_FINDINGS",
    "MODEL_COMPARISON",
    "OBSERVATIONS",
    "PERFORMANCE_REPORT",
    "PERFORMANCE_SLICES",
    "POST_DEPLOYMENT_HEALTH",
    "PROVENANCE",
    "QUARANTINE",
    "QUARANTINE_RELEASE",
    "READINESS",
    "REGIME_REPORT",
    "RELIABILITY",
    "REPORT_INDEX",
    "SOURCE_STATUS",
    "TABLES",
    "TRIGGER_REPORT",
    "VALIDATION_REPORT",
    "WEEKLY_VALIDATION",
    "Column",
    "Kind",
    "Table",
]
