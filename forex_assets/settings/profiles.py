"""Profiles are data: the thresholds of ``profiles/recommended.yaml`` and ``profiles/classic.yaml``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import Positive, Strict
from forex_assets.settings.monitoring import (
    AlarmTable,
    ClassicDriftPolicy,
    ClassicPerformancePolicy,
    DriftPolicy,
    PerformancePolicy,
)
from forex_assets.settings.platform import BacktestSettings
from forex_assets.settings.regimes import ClassicRegimePolicy, RegimePolicy
from forex_assets.settings.shocks import ShockPolicy
from forex_assets.settings.walk_forward import WalkForwardRules


class CoverageBand(Strict):
    """Tolerance of the 95% interval's coverage."""

    level_nominal_share: Annotated[float, Field(gt=0, lt=1)]
    band_low_share: Annotated[float, Field(gt=0, lt=1)]
    band_high_share: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.band_low_share < self.level_nominal_share < self.band_high_share:
            raise ValueError(
                "coverage needs band_low_share < level_nominal_share < band_high_share, got "
                f"{self.band_low_share}, {self.level_nominal_share}, {self.band_high_share}"
            )
        return self


class BiasBand(Strict):
    """Tolerance of the mean error in the model's own standard deviations."""

    band_abs_sigma: Positive


class RecommendedProfile(Strict):
    """``profiles/recommended.yaml``."""

    name: Literal["recommended"]
    coverage: CoverageBand
    bias: BiasBand
    min_effective_n: Positive
    alarm_table: AlarmTable
    performance: PerformancePolicy
    drift: DriftPolicy
    regimes: RegimePolicy
    shocks: ShockPolicy


class ClassicCoverage(Strict):
    """A17."""

    min_share: Annotated[float, Field(gt=0, lt=1)]


class ClassicBias(Strict):
    """A18."""

    max_abs_quote_units: Positive


class ClassicForecast(Strict):
    """What ``forecast.profile: classic`` puts in the place of the platform's models and of its backtest's origins."""

    active_model: str
    models: list[str] = Field(min_length=1)
    parameters: dict[str, dict[str, bool | int | float | str]] = Field(default_factory=dict)
    backtest: BacktestSettings


class ClassicProfile(Strict):
    """``profiles/classic.yaml``."""

    name: Literal["classic"]
    forecast: ClassicForecast
    coverage: ClassicCoverage
    bias: ClassicBias
    walk_forward: WalkForwardRules = WalkForwardRules()
    performance: ClassicPerformancePolicy
    drift: ClassicDriftPolicy
    regimes: ClassicRegimePolicy
    shocks: ShockPolicy
