"""``optimization`` of ``platform.yaml``: when to search, how, and what a candidate must show to be deployed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import Positive, PositiveInt, Strict

Engine = Literal["classic", "classic-per-horizon", "random", "adaptive"]
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
#: The weekly schedule is the slowest that judges triggers.
DAYS_BETWEEN_TRIGGERS = 7
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class TriggerSettings(Strict):
    """When a subject is to be optimised (A03 to A07, J16)."""

    profile: Literal["recommended", "classic"]
    confirm_days: PositiveInt
    min_days_between: PositiveInt
    max_days_between: PositiveInt
    openings_per_year: PositiveInt
    min_severity: Literal["low", "medium", "high", "critical"]
    findings_max_age_days: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min_days_between <= self.max_days_between:
            raise ValueError(
                f"trigger.min_days_between ({self.min_days_between}) must not be above max_days_between "
                f"({self.max_days_between})"
            )
        if self.min_days_between * self.openings_per_year > 366:
            raise ValueError(
                f"trigger: {self.openings_per_year} openings a year {self.min_days_between} days apart do not fit into "
                "a year"
            )
        return self


class DaskSettings(Strict):
    """Where configurations are evaluated when ``distributed`` is ``dask`` (A39)."""

    scheduler: str
    workers: PositiveInt
    connect_timeout_s: Positive


class SearchSettings(Strict):
    """How a configuration is searched for (A08 to A12, K06, K20, K28)."""

    engine: Engine
    models: list[str] = Field(min_length=1)
    trials: PositiveInt
    fallback_trials: PositiveInt
    seed: int
    origin_every_business_days: PositiveInt
    min_origins: Annotated[int, Field(ge=50, strict=True)]
    history_years: PositiveInt
    selection_days: PositiveInt
    finalists: PositiveInt
    calibration_penalty: NonNegative
    latency_penalty_per_s: NonNegative
    warn_s: Positive
    stop_s: Positive
    alert_s: Positive
    heartbeat_days: PositiveInt
    memory_mib: PositiveInt
    proposals_together: PositiveInt
    distributed: Literal["none", "dask"]
    dask: DaskSettings

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.warn_s < self.stop_s:
            raise ValueError(f"search.warn_s ({self.warn_s}) must be below stop_s ({self.stop_s})")
        if not self.warn_s <= self.alert_s:
            raise ValueError(f"search.alert_s ({self.alert_s}) is below warn_s ({self.warn_s}): warn first, then alert")
        if not self.alert_s <= self.stop_s:
            raise ValueError(
                f"search.alert_s ({self.alert_s}) is above stop_s ({self.stop_s}): a search is stopped before such an "
                "alert could ever fire (K28)"
            )
        if self.distributed == "dask" and self.engine == "adaptive" and self.proposals_together < self.dask.workers:
            raise ValueError(
                f"search.proposals_together ({self.proposals_together}) is below dask.workers ({self.dask.workers}): "
                "an adaptive search would leave workers without a configuration"
            )
        return self


class GateSettings(Strict):
    """What a candidate must show on a period no search has seen (A13 to A19, K06 to K09, K19)."""

    profile: Literal["recommended", "classic"]
    period_days: PositiveInt
    min_effective_n: Positive
    alpha_by_opening: list[Share] = Field(min_length=1)
    min_improvement_share: NonNegative
    coverage_95_tolerance_share: Share
    coverage_80_tolerance_share: Share
    tail_tolerance_share: Share
    max_loss_spread_ratio: Positive
    max_bias_sigma: Positive
    max_latency_ratio: Positive
    max_latency_s: Positive
    pool_from_horizon_days: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.alpha_by_opening != sorted(self.alpha_by_opening, reverse=True):
            raise ValueError(f"gate.alpha_by_opening must not grow, got {self.alpha_by_opening}")
        if self.alpha_by_opening[0] > 0.05:
            raise ValueError(f"gate.alpha_by_opening starts at {self.alpha_by_opening[0]}; it must not be above 0.05")
        return self


class LoopWatchSettings(Strict):
    """When the loop itself is found wanting (A25, A26): too often no, too long silent (K28)."""

    cron: str
    window_days: PositiveInt
    validation_failures_in_a_row: PositiveInt
    rollback_days: PositiveInt
    trigger_heartbeat_days: PositiveInt
    probation_missed_checks: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.trigger_heartbeat_days <= DAYS_BETWEEN_TRIGGERS:
            raise ValueError(
                f"watch.trigger_heartbeat_days ({self.trigger_heartbeat_days}) is not above {DAYS_BETWEEN_TRIGGERS}: "
                "triggers are judged at least once a week, and an alert about absence would fire between two (K28)"
            )
        if self.rollback_days > self.window_days:
            raise ValueError(
                f"watch.rollback_days ({self.rollback_days}) must not be above window_days ({self.window_days})"
            )
        return self


class OptimizationSettings(Strict):
    """The life cycle up to the gate; what follows is ``deployment``."""

    trigger: TriggerSettings
    search: SearchSettings
    gate: GateSettings
    watch: LoopWatchSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.trigger.max_days_between <= self.search.heartbeat_days:
            raise ValueError(
                f"search.heartbeat_days ({self.search.heartbeat_days}) is below trigger.max_days_between "
                f"({self.trigger.max_days_between}): an alert about absence would fire while all is well (K28)"
            )
        if not self.watch.trigger_heartbeat_days < self.search.heartbeat_days:
            raise ValueError(
                f"watch.trigger_heartbeat_days ({self.watch.trigger_heartbeat_days}) must be below "
                f"search.heartbeat_days ({self.search.heartbeat_days}): that nothing judges is to be known before that "
                "nothing is searched (K28)"
            )
        return self
