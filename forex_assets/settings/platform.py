"""``platform.yaml``: horizons, models, quality limits, alerts, schedules."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from forex_assets.settings.chronos import ChronosSettings
from forex_assets.settings.feeds import FeedSettings
from forex_assets.settings.fields import Positive, PositiveInt, Strict, Zone
from forex_assets.settings.providers import ProviderSettings
from forex_assets.settings.watching import WatchingSettings


class QualitySettings(Strict):
    """Limits of the quality rules (log units are natural logarithms of price ratios)."""

    jump_gross_log: Positive
    jump_robust_sigma: Positive
    spike_log: Positive
    spike_reversal_share: Annotated[float, Field(gt=0, le=1)]
    stale_run_length: Annotated[int, Field(ge=2)]
    cross_source_tolerance_log: Positive
    cross_source_robust_sigma: Annotated[float, Field(ge=0)]
    spike_robust_sigma: Positive
    outlier_log: Positive
    outlier_robust_sigma: Positive
    outlier_pair_robust_sigma: Positive
    unit_tolerance_log: Annotated[float, Field(gt=0, lt=1)]
    ohlc_tolerance_log: Annotated[float, Field(ge=0, lt=0.1)]
    volatility_window_rows: Annotated[int, Field(ge=20)]
    volatility_fast_rows: Annotated[int, Field(ge=5)]
    future_tolerance_hours: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.spike_log < self.jump_gross_log:
            raise ValueError(
                f"quality.spike_log ({self.spike_log}) must be below quality.jump_gross_log ({self.jump_gross_log}): "
                "both are log price ratios, so 0.05 is about 5%"
            )
        if not (self.outlier_log < self.spike_log and self.outlier_robust_sigma <= self.outlier_pair_robust_sigma):
            raise ValueError(
                f"quality.outlier_log ({self.outlier_log}) must be below quality.spike_log ({self.spike_log}), and "
                f"quality.outlier_robust_sigma ({self.outlier_robust_sigma}) at most "
                f"quality.outlier_pair_robust_sigma ({self.outlier_pair_robust_sigma}): two rows are less easily wrong"
            )
        if self.jump_gross_log > 1:
            raise ValueError(f"quality.jump_gross_log is a log ratio, {self.jump_gross_log} looks like a percentage")
        if not self.cross_source_tolerance_log < self.spike_log:
            raise ValueError(
                f"quality.cross_source_tolerance_log ({self.cross_source_tolerance_log}) must be below "
                f"quality.spike_log ({self.spike_log}): both are log price ratios, so 0.01 is about 1%"
            )
        return self


class ForecastSettings(Strict):
    """Which models run and which one is deployed.

    ``profile: classic`` puts the models of ``profiles/classic.yaml`` in the place of those named here. ``parameters``
    holds, by model, what differs from its defaults.
    """

    profile: Literal["recommended", "classic"]
    active_model: str
    models: list[str] = Field(min_length=1)
    parameters: dict[str, dict[str, bool | int | float | str]] = Field(default_factory=dict)
    max_last_value_age_business_days: PositiveInt
    seed: int


class BacktestSettings(Strict):
    """Origins of the walk-forward backtest."""

    start: dt.date
    every_business_days: PositiveInt


class RunSettings(Strict):
    """Defaults of ``forex run``."""

    days: Annotated[int, Field(ge=1, le=365, strict=True)]


class AlertSettings(Strict):
    """Where alerts are queued, relative to the home folder, and how long one silences its repeats."""

    outbox: str
    cooldown_hours: Annotated[float, Field(ge=0)]

    @field_validator("outbox")
    @classmethod
    def _inside_home(cls, value: str) -> str:
        path = Path(value)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"outbox {value!r} must be a path inside the home folder")
        return value


class ScheduleSettings(Strict):
    """Cron expressions in the desk's zone."""

    timezone: Zone
    daily_run: str
    dashboard: str
    weekly_validation: str
    weekly_optimization: str
    market_calibration: str
    weekly_report: str
    daily_check: str


def month_days(months: int) -> int:
    """Return the calendar days of a horizon given in months: 365 for twelve."""
    return round(months * 365 / 12)


class PlatformSettings(Strict):
    """``platform.yaml``."""

    schema_version: Literal[1]
    horizons: dict[str, PositiveInt]
    forecast: ForecastSettings
    chronos: ChronosSettings = Field(default_factory=ChronosSettings)
    backtest: BacktestSettings
    run: RunSettings
    quality: QualitySettings
    feeds: FeedSettings
    providers: ProviderSettings
    alerts: AlertSettings
    schedules: ScheduleSettings
    watching: WatchingSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        days = list(self.horizons.values())
        if days != sorted(set(days)):
            raise ValueError(f"horizons must grow and not repeat, got {days}")
        for name, value in self.horizons.items():
            months = re.fullmatch(r"([1-9]\d?)m", name)
            if months is not None and value != month_days(int(months[1])):
                raise ValueError(f"horizon {name!r} must have {month_days(int(months[1]))} days, got {value}")
            if months is None and name != f"{value}d":
                raise ValueError(f"horizon {name!r} must be named '{value}d', or for example 12m with 365 days")
        if self.forecast.active_model not in self.forecast.models:
            raise ValueError(
                f"forecast.active_model {self.forecast.active_model!r} is not among forecast.models "
                f"{self.forecast.models}"
            )
        for name in self.forecast.parameters:
            if name not in self.forecast.models:
                raise ValueError(f"forecast.parameters names {name!r}, which is not among forecast.models")
        if "random_walk" not in self.forecast.models:
            raise ValueError("forecast.models must hold random_walk, the yardstick beside every forecast")
        return self
