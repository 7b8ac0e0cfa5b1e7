"""A pair's market calibration, in the shape of SPEC 1.2.1 with unit, count and interval on every number.

Checked when loaded: units, order of thresholds, shares that are shares. What it may change in the settings is listed in
:func:`calibrated`; everything else in it informs.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import PAIR_ID, PositiveInt, Strict
from forex_assets.settings.resolved import Settings

Month = Annotated[int, Field(ge=1, le=12, strict=True)]
#: Units a number of the file may have, and the largest value that makes sense in each.
UNITS: dict[str, float] = {
    "log": 1.0,
    "share": 1.0,
    "correlation": 1.0,
    "sigma": 50.0,
    "ratio": 50.0,
    "score": 100.0,
    "probability": 1.0,
    "degrees of freedom": 1_000.0,
    "observations": 1e7,
}


class Quantity(Strict):
    """A number with its unit, its 95% interval and what it rests on; ``n`` of 0: set by a profile, not measured."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: Annotated[int, Field(ge=0, strict=True)] = 0
    n_effective: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is none of {', '.join(UNITS)}")
        if not math.isfinite(self.value) or abs(self.value) > UNITS[self.unit]:
            raise ValueError(
                f"{self.value:g} is no {self.unit}: it must not exceed {UNITS[self.unit]:g} (0.05 is 5%, not 5)"
            )
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value:g} lies outside its own interval [{self.low:g}, {self.high:g}]")
        if self.n_effective > self.n:
            raise ValueError(f"n_effective ({self.n_effective:g}) is more than n ({self.n})")
        return self


class Metadata(Strict):
    """Where a calibration comes from."""

    calibration_date: dt.date
    pair: Annotated[str, Field(pattern=PAIR_ID.pattern)]
    currency_pair: str
    data_source: list[str]
    series: str
    first_date: dt.date
    last_date: dt.date
    n: PositiveInt
    input_hash: Annotated[str, Field(min_length=8)]
    code_version: str
    notes: list[str] = []

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.first_date < self.last_date <= self.calibration_date:
            raise ValueError(
                f"dates must run first_date < last_date <= calibration_date, got {self.first_date}, {self.last_date}, "
                f"{self.calibration_date}"
            )
        return self


class MonthTest(Strict):
    """One month's volatility against the year around it: log ratio, its p-value, and that corrected for 12 tests."""

    month: Month
    log_ratio: float
    years: Annotated[int, Field(ge=0)]
    p_value: Annotated[float, Field(ge=0, le=1)]
    p_corrected: Annotated[float, Field(ge=0, le=1)]


class Volatility(Strict):
    """Standard deviations by span, and which months stand out after correction for looking at twelve."""

    daily_std: Quantity
    weekly_std: Quantity
    monthly_std: Quantity
    quarterly_std: Quantity
    high_vol_months: list[Month]
    low_vol_months: list[Month]
    ranked_months: list[Month]
    month_tests: list[MonthTest]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        values = [self.daily_std.value, self.weekly_std.value, self.monthly_std.value, self.quarterly_std.value]
        if values != sorted(values) or min(values) <= 0:
            raise ValueError(f"standard deviations must be positive and grow from day to quarter, got {values}")
        if set(self.high_vol_months) & set(self.low_vol_months):
            raise ValueError("a month is both of high and of low volatility")
        return self


class CopperCorrelation(Strict):
    """The link to copper: expected value with interval, its spread over windows, and what counts as a break."""

    series: str
    expected: Quantity
    std: Quantity
    break_threshold: Quantity
    p_value_negative: Annotated[float, Field(ge=0, le=1)]


class DriftDetection(Strict):
    """SPEC 1.2.1's drift thresholds; here the milder score comes first."""

    ks_test_pvalue: Quantity
    medium_drift_score_threshold: Quantity
    high_drift_score_threshold: Quantity
    check_window_days: PositiveInt
    baseline_window_days: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.medium_drift_score_threshold.value < self.high_drift_score_threshold.value:
            raise ValueError(
                f"medium_drift_score_threshold ({self.medium_drift_score_threshold.value:g}) must be below "
                f"high_drift_score_threshold ({self.high_drift_score_threshold.value:g})"
            )
        if not self.check_window_days < self.baseline_window_days:
            raise ValueError("check_window_days must be below baseline_window_days")
        return self


class RegimeDetection(Strict):
    """Sizes that happen as often as the settings ask for, on this pair's own history."""

    copper_shock_threshold: Quantity | None
    copper_shock_sigma: Quantity | None
    high_vol_zscore: Quantity
    extreme_vol_zscore: Quantity
    lookback_days: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.high_vol_zscore.value < self.extreme_vol_zscore.value:
            raise ValueError(
                f"high_vol_zscore ({self.high_vol_zscore.value:g}) must be below extreme_vol_zscore "
                f"({self.extreme_vol_zscore.value:g})"
            )
        return self


class PriceShocks(Strict):
    """Daily and three-day moves, in long-run sigmas, that happen as often as the settings ask for."""

    price_day_medium: Quantity
    price_day_critical: Quantity
    price_3day_medium: Quantity

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.price_day_medium.value < self.price_day_critical.value:
            raise ValueError(
                f"price_day_medium ({self.price_day_medium.value:g}) must be below price_day_critical "
                f"({self.price_day_critical.value:g})"
            )
        return self


class PerformanceMonitoring(Strict):
    """How much a random walk's own RMSE moves from window to window: less than this is no degradation."""

    rmse_degradation_threshold: Quantity
    mape_degradation_threshold: Quantity
    baseline_days: PositiveInt
    recent_days: PositiveInt
    significance_level: Quantity

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.recent_days < self.baseline_days:
            raise ValueError(f"recent_days ({self.recent_days}) must be below baseline_days ({self.baseline_days})")
        return self


class Forecasting(Strict):
    """Coverage aims and the tail of daily returns."""

    ci80_target_coverage: Quantity
    ci95_target_coverage: Quantity
    t_distribution_df: Quantity
    min_validation_samples: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.ci80_target_coverage.value < self.ci95_target_coverage.value:
            raise ValueError("ci80_target_coverage must be below ci95_target_coverage")
        return self


class MeetingEffect(Strict):
    """Size of the price's move on the day the market answers a policy meeting, over that of other days."""

    reaction_ratio: Quantity
    announcement_ratio: Quantity
    p_value: Annotated[float, Field(ge=0, le=1)]


class Calibration(Strict):
    """The whole file."""

    schema_version: Literal[1]
    metadata: Metadata
    volatility: Volatility
    copper_correlation: CopperCorrelation | None
    drift_detection: DriftDetection
    regime_detection: RegimeDetection
    price_shocks: PriceShocks
    performance_monitoring: PerformanceMonitoring
    forecasting: Forecasting
    bcch_meetings: MeetingEffect | None


def calibrated(settings: Settings, calibration: Calibration | None) -> Settings:
    """Return the settings with a pair's calibrated thresholds in the recommended profile; the classic one stays.

    Changed: the copper move that counts as a shock, in sigmas, and the daily and three-day price shocks.
    """
    if calibration is None:
        return settings
    profile = settings.recommended
    regimes, shocks = profile.regimes, profile.shocks
    if calibration.regime_detection.copper_shock_sigma is not None:
        size = calibration.regime_detection.copper_shock_sigma.value
        copper = _again(regimes.copper, on_sigma=size, off_sigma=min(regimes.copper.off_sigma, size / 2))
        regimes = _again(regimes, copper=copper)
    rules = dict(shocks.rules)
    limits = calibration.price_shocks
    for name, changes in (
        ("price_day", {"medium": limits.price_day_medium.value, "critical": limits.price_day_critical.value}),
        ("price_3day", {"medium": limits.price_3day_medium.value}),
    ):
        if name in rules:
            rule = rules[name]
            if rule.critical is not None and changes["medium"] >= changes.get("critical", rule.critical):
                changes["critical"] = changes["medium"] * 1.5
            rules[name] = _again(rule, **changes)
    changed = _again(profile, regimes=regimes, shocks=_again(shocks, rules=rules))
    return settings.model_copy(update={"recommended": changed})


def _again(model: Any, **changes: Any) -> Any:
    """Return a copy with changes, checked like a file."""
    return type(model).model_validate({**{name: getattr(model, name) for name in type(model).model_fields}, **changes})
