"""What a report is made from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from forex_assets import schemas
from forex_assets.reporting.changes_section import ChangesView
from forex_assets.reporting.data_quality import DataQuality
from forex_assets.reporting.monitoring_section import MonitoringView
from forex_assets.settings import PairSpec, SeriesSpec


class SliceVerdict(Protocol):
    """The verdict the store keeps beside a slice."""

    @property
    def state(self) -> str:
        """``good``, ``bad`` or ``unknown``."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why."""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Frames of :mod:`forex_assets.schemas` and the facts around them. An empty frame says the piece is missing.

    Parameters
    ----------
    pair:
        The pair the report is about.
    as_of:
        The day at whose end (America/Santiago) everything shown was known. Later rows are left out.
    horizons:
        Horizon name → calendar days, in growing order.
    bars:
        BARS snapshot of ``as_of``.
    forecast:
        FORECAST rows of ``as_of`` and of recent days.
    evaluation:
        EVALUATION rows of recently matured forecasts.
    performance:
        PERFORMANCE_REPORT rows.
    comparison, reliability, slices:
        MODEL_COMPARISON, RELIABILITY and PERFORMANCE_SLICES rows.
    drivers, source_status, quarantine, calibration:
        DRIVERS, SOURCE_STATUS, QUARANTINE and INTERVAL_CALIBRATION rows.
    series:
        Catalogue of series, for labels and allowed ages.
    verdicts:
        Horizon in days → verdict of the stored forecast slice at ``as_of``; a bad one withholds the forecast,
        as does a bad coverage or bias state of the deployed model in ``performance``.
    coverage_band, bias_band_sigma:
        Tolerances of the verdicts, drawn in the charts and quoted in the reasons.
    monitoring:
        The day's findings and the picture of when they fired.
    changes:
        What the life cycle decided in the month up to ``as_of``.
    data_quality:
        Coverage, feed findings and revisions; empty where no observations are stored.
    generated_at:
        Instant the report was made, with a time zone.
    """

    pair: PairSpec
    as_of: dt.date
    horizons: Mapping[str, int]
    generated_at: dt.datetime
    config_hash: str
    data_hash: str
    code_version: str
    series: Mapping[str, SeriesSpec] = field(default_factory=dict)
    verdicts: Mapping[int, SliceVerdict] = field(default_factory=dict)
    coverage_band: tuple[float, float] = (0.90, 0.99)
    bias_band_sigma: float = 0.25
    bars: pd.DataFrame = field(default_factory=schemas.BARS.empty)
    forecast: pd.DataFrame = field(default_factory=schemas.FORECAST.empty)
    evaluation: pd.DataFrame = field(default_factory=schemas.EVALUATION.empty)
    performance: pd.DataFrame = field(default_factory=schemas.PERFORMANCE_REPORT.empty)
    drivers: pd.DataFrame = field(default_factory=schemas.DRIVERS.empty)
    source_status: pd.DataFrame = field(default_factory=schemas.SOURCE_STATUS.empty)
    quarantine: pd.DataFrame = field(default_factory=schemas.QUARANTINE.empty)
    calibration: pd.DataFrame = field(default_factory=schemas.INTERVAL_CALIBRATION.empty)
    comparison: pd.DataFrame = field(default_factory=schemas.MODEL_COMPARISON.empty)
    reliability: pd.DataFrame = field(default_factory=schemas.RELIABILITY.empty)
    slices: pd.DataFrame = field(default_factory=schemas.PERFORMANCE_SLICES.empty)

    data_quality: DataQuality = field(default_factory=DataQuality)
    monitoring: MonitoringView = field(default_factory=MonitoringView)
    changes: ChangesView = field(default_factory=ChangesView)

    def __post_init__(self) -> None:
        if self.generated_at.tzinfo is None:
            raise ValueError(f"generated_at must carry a time zone, got {self.generated_at!r}")
