"""Settings of the watching side that hold for every profile: calibration, readiness, data, operations, subgroups."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import Positive, PositiveInt, Strict

Share = Annotated[float, Field(gt=0, lt=1, strict=True)]


class CalibrationSettings(Strict):
    """How often the events that thresholds are set for should happen, and what a calibration needs."""

    medium_per_year: Positive
    critical_per_year: Positive
    copper_shock_per_year: Positive
    min_observations: Annotated[int, Field(ge=250, strict=True)]
    min_copper_observations: Annotated[int, Field(ge=250, strict=True)]
    min_years_per_month: Annotated[int, Field(ge=3, strict=True)]
    seasonal_alpha: Annotated[float, Field(gt=0, lt=0.5, strict=True)]
    bootstrap_draws: Annotated[int, Field(ge=100, strict=True)]
    seed: int
    synthetic_sources: list[str]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.critical_per_year < self.medium_per_year:
            raise ValueError(
                f"critical_per_year ({self.critical_per_year}) must be below medium_per_year ({self.medium_per_year})"
            )
        return self


class ReadinessSettings(Strict):
    """What evidence a horizon must show (K27); ratios are CRPS over the random walk's."""

    heartbeat_business_days: PositiveInt
    min_backtest_effective_n: Positive
    min_live_n: PositiveInt
    optimal_live_effective_n: Positive
    max_skill_ratio_high: Annotated[float, Field(gt=1, lt=2, strict=True)]
    self_test_vol_factor: Annotated[float, Field(gt=1, strict=True)]
    self_test_sessions: Annotated[int, Field(ge=10, strict=True)]


class ClassicReadiness(Strict):
    """SPEC 2.1, number by number."""

    min_predictions: PositiveInt
    min_days: PositiveInt
    recent_days: PositiveInt
    max_log_mb: Positive
    min_actuals: PositiveInt
    optimal_score: Annotated[float, Field(gt=0, le=100)]
    ready_score: Annotated[float, Field(gt=0, le=100)]
    cautious_score: Annotated[float, Field(gt=0, le=100)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.cautious_score < self.ready_score < self.optimal_score:
            raise ValueError(
                f"scores must grow from cautious ({self.cautious_score}) over ready ({self.ready_score}) to optimal "
                f"({self.optimal_score})"
            )
        return self


class DataMonitorSettings(Strict):
    """Completeness, ranges, correlations and importances of the series (E11)."""

    window_sessions: Annotated[int, Field(ge=20, strict=True)]
    max_missing_share: Share
    recent_obs: Annotated[int, Field(ge=40, strict=True)]
    baseline_obs: Annotated[int, Field(ge=100, strict=True)]
    correlation_p_value: Share
    min_correlation_change: Share
    importance_distance: Share
    lags: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.recent_obs < self.baseline_obs:
            raise ValueError(f"recent_obs ({self.recent_obs}) must be below baseline_obs ({self.baseline_obs})")
        return self


class OperationsSettings(Strict):
    """Runs of the platform itself (E10), as Dagster recorded them."""

    window_days: PositiveInt
    max_error_share: Share
    min_runs: PositiveInt
    slow_factor: Annotated[float, Field(gt=1, strict=True)]
    max_silence_days: Positive
    max_memory_mb: Positive


class SubgroupSettings(Strict):
    """Robustness by regime, weekday, session and horizon (E07, L15)."""

    min_effective_n: Positive
    false_discovery_share: Share
    min_coverage_gap: Share
    min_crps_excess: Share


class WatchingSettings(Strict):
    """``watching:`` of ``platform.yaml``."""

    calibration: CalibrationSettings
    readiness: ReadinessSettings
    classic_readiness: ClassicReadiness
    data: DataMonitorSettings
    operations: OperationsSettings
    subgroups: SubgroupSettings
