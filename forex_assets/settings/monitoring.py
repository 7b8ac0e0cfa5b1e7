"""Settings of the performance and drift monitors, by profile; every limit says its unit, orders are checked at load."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import Positive, PositiveInt, Strict

Probability = Annotated[float, Field(gt=0, lt=1, strict=True)]
#: A change as a share; 15 where 0.15 is meant is refused.
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]


class HorizonAlarms(Strict):
    """Limits of one horizon's alarms.

    ``window_forecasts`` is how many of the newest matured forecasts are judged. ``skill_excess_share`` is how much the
    CRPS may exceed the random walk's. ``narrow_log_variance`` and ``wide_log_variance`` bound the calibration
    statistic, a log ratio of variances. ``bias_standard_errors`` bounds the mean normal score.
    """

    window_forecasts: Annotated[int, Field(ge=20, strict=True)]
    skill_excess_share: Share
    narrow_log_variance: Positive
    wide_log_variance: Positive
    bias_standard_errors: Annotated[float, Field(ge=1.5, le=10, strict=True)]


class EvidencePolicy(Strict):
    """The alarm that may be watched continuously: evidence that the model is worse than the random walk."""

    bets: Annotated[list[Probability], Field(min_length=1)]
    e_threshold: Annotated[float, Field(gt=1, strict=True)]


class VolatilityAlarm(Strict):
    """The volatility alarm: returns louder than a filter of clustering volatility expects.

    The evidence is a log sum of likelihood ratios over starts within the last ``lookback_obs`` returns, each against
    returns ``louder_factor`` times as large; ``freedom`` is that of Student's t. ``surprise_log_evidence`` is the limit
    in force, chosen in the world of clustering volatility; ``walk_log_evidence`` has the same rate of false alarms in a
    walk of constant volatility, and would cry wolf on any real market. A price that has not moved for ``still_obs``
    returns is unknown.
    """

    reaction: Probability
    persistence: Probability
    long_run_half_life_obs: Positive
    louder_factor: Annotated[float, Field(gt=1, le=10, strict=True)]
    freedom: Annotated[float, Field(gt=2, strict=True)]
    lookback_obs: Annotated[int, Field(ge=5, le=250, strict=True)]
    surprise_log_evidence: Positive
    walk_log_evidence: Positive
    still_obs: Annotated[int, Field(ge=5, strict=True)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.reaction + self.persistence < 1:
            raise ValueError(
                f"reaction ({self.reaction}) + persistence ({self.persistence}) must be below 1, or there is no "
                "long-run volatility"
            )
        if not self.walk_log_evidence < self.surprise_log_evidence:
            raise ValueError(
                f"walk_log_evidence ({self.walk_log_evidence}) must be below surprise_log_evidence "
                f"({self.surprise_log_evidence}): clustering volatility looks louder than a walk"
            )
        return self


class StatusLimits(Strict):
    """Where a horizon's status changes: excess of CRPS over the random walk's, as a share."""

    excellent_share: Annotated[float, Field(gt=-1, lt=0, strict=True)]
    critical_share: Share


class PerformancePolicy(Strict):
    """The recommended performance monitor."""

    horizons: Annotated[dict[str, HorizonAlarms], Field(min_length=1)]
    benchmark_weight_share: Annotated[float, Field(ge=0, le=1, strict=True)]
    usual_log_variance: float
    squared_error_cap: Annotated[float, Field(ge=4, strict=True)]
    evidence: EvidencePolicy
    volatility: VolatilityAlarm
    status: StatusLimits
    max_missing_share: Share
    max_age_business_days: PositiveInt
    quiet_business_days: PositiveInt
    unknown_allowance_business_days: PositiveInt


class AlarmTable(Strict):
    """How the profile's limits were chosen and their rates measured: seeds, length and number of simulated paths."""

    calibration_seed: Annotated[int, Field(ge=0, strict=True)]
    reporting_seed: Annotated[int, Field(ge=0, strict=True)]
    years: Annotated[int, Field(ge=5, le=60, strict=True)]
    paths: Annotated[int, Field(ge=1, strict=True)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.calibration_seed == self.reporting_seed:
            raise ValueError(
                f"reporting_seed ({self.reporting_seed}) must differ from calibration_seed: rates measured on the "
                "paths that chose the limits are too good"
            )
        return self


class ClassicPerformancePolicy(Strict):
    """SPEC 2.4, B10, B11, A04: RMSE ratio and Mann-Whitney on the errors of two windows of days."""

    baseline_days: PositiveInt
    recent_days: PositiveInt
    degraded_share: Share
    critical_share: Share
    excellent_share: Annotated[float, Field(gt=-1, lt=0, strict=True)]
    degraded_p: Probability
    critical_p: Probability
    min_baseline_rows: PositiveInt
    min_recent_rows: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.degraded_share < self.critical_share:
            raise ValueError(
                f"degraded_share ({self.degraded_share}) must be below critical_share ({self.critical_share})"
            )
        if not self.critical_p < self.degraded_p:
            raise ValueError(f"critical_p ({self.critical_p}) must be below degraded_p ({self.degraded_p})")
        if not self.recent_days < self.baseline_days:
            raise ValueError(f"recent_days ({self.recent_days}) must be below baseline_days ({self.baseline_days})")
        return self


class DriftFloors(Strict):
    """Effects smaller than these are no drift, however sure one is of them."""

    location_sigma: Positive
    scale_log: Annotated[float, Field(gt=0, lt=3, strict=True)]
    volatility_log: Annotated[float, Field(gt=0, lt=3, strict=True)]
    distribution_distance: Share
    persistence_correlation: Share
    link_correlation: Share


class DriftScoreBands(Strict):
    """SPEC 2.2: severities of the drift score, 0 to 100; more is worse."""

    advisory: Annotated[float, Field(ge=0, le=100, strict=True)]
    critical: Annotated[float, Field(ge=0, le=100, strict=True)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.advisory < self.critical:
            raise ValueError(
                f"advisory ({self.advisory}) must be below critical ({self.critical}): the score grows with drift"
            )
        return self


class DriftPolicy(Strict):
    """The recommended drift monitor."""

    baseline_obs: Annotated[int, Field(ge=60, strict=True)]
    recent_obs: Annotated[int, Field(ge=20, strict=True)]
    standardise_half_life_obs: Positive
    clip_sigma: Positive
    false_discovery_share: Probability
    floors: DriftFloors
    features: list[str]
    max_missing_share: Share
    max_age_business_days: PositiveInt
    every_business_days: PositiveInt
    score: DriftScoreBands

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.recent_obs < self.baseline_obs:
            raise ValueError(f"recent_obs ({self.recent_obs}) must be below baseline_obs ({self.baseline_obs})")
        return self


class ClassicDriftPolicy(Strict):
    """SPEC 2.2, A05: five tests on the price level."""

    baseline_obs: PositiveInt
    recent_obs: PositiveInt
    alpha: Probability
    ljung_box_lags: PositiveInt
    volatility_ratio: Annotated[float, Field(gt=1, strict=True)]
    high_p: Probability
    medium_p: Probability
    ks_high_p: Probability
    ks_high_distance: Share
    ks_medium_distance: Share

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.high_p < self.medium_p <= self.alpha:
            raise ValueError(f"needs high_p < medium_p <= alpha, got {self.high_p}, {self.medium_p}, {self.alpha}")
        if not self.ks_medium_distance < self.ks_high_distance:
            raise ValueError(
                f"ks_medium_distance ({self.ks_medium_distance}) must be below ks_high_distance "
                f"({self.ks_high_distance})"
            )
        return self
