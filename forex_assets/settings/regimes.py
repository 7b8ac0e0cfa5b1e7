"""Settings of the regime monitors, by profile. Moves are shares (0.05 is 5%), sigmas are standard deviations."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import Positive, PositiveInt, Strict

Probability = Annotated[float, Field(gt=0, lt=1, strict=True)]
#: A move as a share of the price; 5 where 0.05 is meant is refused.
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]


class VolatilityStatePolicy(Strict):
    """Two volatility states of daily returns, in units of the long-run volatility known before each return."""

    half_life_obs: Positive
    warmup_obs: Annotated[int, Field(ge=20, strict=True)]
    clip_sigma: Positive
    calm_scale: Positive
    loud_scale: Positive
    freedom: Annotated[float, Field(gt=2, strict=True)]
    enter_per_day: Probability
    leave_per_day: Probability
    on_probability: Probability
    off_probability: Probability
    dwell_obs: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.calm_scale < self.loud_scale:
            raise ValueError(f"calm_scale ({self.calm_scale}) must be below loud_scale ({self.loud_scale})")
        if not self.off_probability < self.on_probability:
            raise ValueError(
                f"off_probability ({self.off_probability}) must be below on_probability ({self.on_probability})"
            )
        return self


class CopperPolicy(Strict):
    """When a copper move is a shock to the peso: large for copper, through a proven link, and felt."""

    series: Annotated[list[str], Field(min_length=1)]
    move_obs: PositiveInt
    half_life_obs: Positive
    warmup_obs: Annotated[int, Field(ge=20, strict=True)]
    clip_sigma: Positive
    on_sigma: Positive
    off_sigma: Positive
    dwell_obs: PositiveInt
    shock_share: Probability
    calm_scale: Positive
    loud_scale: Positive
    freedom: Annotated[float, Field(gt=2, strict=True)]
    link_obs: Annotated[int, Field(ge=60, strict=True)]
    link_lags: Annotated[int, Field(ge=0, strict=True)]
    link_p_value: Probability
    min_implied_sigma: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.off_sigma < self.on_sigma:
            raise ValueError(f"off_sigma ({self.off_sigma}) must be below on_sigma ({self.on_sigma})")
        if not self.calm_scale < self.loud_scale:
            raise ValueError(f"calm_scale ({self.calm_scale}) must be below loud_scale ({self.loud_scale})")
        return self


class EventPolicy(Strict):
    """The central bank's calendar: days before a meeting that count, and how far ahead its dates must be known."""

    meeting_lead_business_days: Annotated[int, Field(ge=0, le=10, strict=True)]
    calendar_reach_days: PositiveInt


class RiskGaugePolicy(Strict):
    """Mean of standardised moves of risk assets; the sign says which way is risk-on."""

    signs: dict[str, Annotated[int, Field(ge=-1, le=1)]]
    move_obs: PositiveInt
    scale_obs: Annotated[int, Field(ge=60, strict=True)]
    min_inputs: PositiveInt
    threshold_sigma: Positive

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if any(sign == 0 for sign in self.signs.values()):
            raise ValueError("signs must be 1 (up is risk-on) or -1 (up is risk-off)")
        if self.min_inputs > len(self.signs):
            raise ValueError(f"min_inputs ({self.min_inputs}) is more than the {len(self.signs)} series listed")
        return self


class FactorPolicy(Strict):
    """How interval factors by regime are learned from past errors."""

    shrinkage_effective_n: Positive
    min_effective_n: Positive
    max_factor: Annotated[float, Field(gt=1, strict=True)]


class RegimePolicy(Strict):
    """Regimes of the recommended profile."""

    volatility: VolatilityStatePolicy
    copper: CopperPolicy
    events: EventPolicy
    risk: RiskGaugePolicy
    factors: FactorPolicy
    max_age_business_days: PositiveInt


class ClassicRegimePolicy(Strict):
    """SPEC 2.3, number by number."""

    lookback_obs: PositiveInt
    recent_obs: PositiveInt
    high_vol_zscore: Positive
    high_vol_percentile: Annotated[float, Field(gt=0, lt=100)]
    copper_series: Annotated[list[str], Field(min_length=1)]
    copper_shock_threshold: Share
    move_obs: PositiveInt
    correlation_break: Share
    correlation_min_obs: PositiveInt
    bcch_days: PositiveInt
    bcch_zscore: Positive
    risk_signs: dict[str, Annotated[int, Field(ge=-1, le=1)]]
    risk_score: PositiveInt

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.recent_obs < self.lookback_obs:
            raise ValueError(f"recent_obs ({self.recent_obs}) must be below lookback_obs ({self.lookback_obs})")
        if not self.bcch_zscore <= self.high_vol_zscore:
            raise ValueError(
                f"bcch_zscore ({self.bcch_zscore}) must not be above high_vol_zscore ({self.high_vol_zscore})"
            )
        return self
