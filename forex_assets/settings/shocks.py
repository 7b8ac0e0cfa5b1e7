"""Market shocks (SPEC 2.7) as data: what is measured, on which series, from which size on, how severe."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import PositiveInt, Strict

Measure = Literal["change", "change_sigma", "level", "difference", "volatility_to_mean", "volatility_ratio", "range"]
Level = Annotated[float, Field(allow_inf_nan=False, strict=True)]
#: Unit of each measure; a limit of a share above 1 is a percentage by mistake.
UNITS: dict[str, str] = {
    "change": "share",
    "change_sigma": "sigma",
    "level": "series unit",
    "difference": "series unit",
    "volatility_to_mean": "ratio",
    "volatility_ratio": "ratio",
    "range": "share",
}
SHARES = ("change", "range")


class ShockRule(Strict):
    """One rule.

    Parameters
    ----------
    series:
        ``target`` (the pair's price), or a driver's id; several are alternatives, the first with data counts.
    measure:
        ``change`` (share over ``obs`` values), ``change_sigma`` (the same in long-run sigmas known before it),
        ``level``, ``difference`` (in the series' unit over ``obs`` values), ``volatility_to_mean`` (standard deviation
        of ``obs`` returns over its mean of the last ``long_obs`` days), ``volatility_ratio`` (over the standard
        deviation of ``long_obs`` returns), ``range`` (high minus low over close).
    side:
        ``both`` (absolute value), ``up`` or ``down``.
    low, medium, high, critical:
        From which size on the finding has that severity; at least one, growing (falling for ``down``).
    """

    series: Annotated[list[str], Field(min_length=1)]
    measure: Measure
    obs: PositiveInt = 1
    long_obs: PositiveInt | None = None
    side: Literal["both", "up", "down"] = "both"
    low: Level | None = None
    medium: Level | None = None
    high: Level | None = None
    critical: Level | None = None

    @property
    def limits(self) -> list[tuple[str, float]]:
        """The severities with their limits, mildest first."""
        named = (("low", self.low), ("medium", self.medium), ("high", self.high), ("critical", self.critical))
        return [(name, value) for name, value in named if value is not None]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        values = [value for _, value in self.limits]
        if not values:
            raise ValueError("a rule needs at least one of low, medium, high, critical")
        ordered = sorted(values, reverse=self.side == "down")
        if values != ordered or len(set(values)) != len(values):
            way = "fall" if self.side == "down" else "grow"
            raise ValueError(f"limits must {way} with severity, got {dict(self.limits)}")
        if self.measure in SHARES and any(abs(value) >= 1 for value in values):
            raise ValueError(f"limits of a {self.measure} are shares (0.05 is 5%), got {dict(self.limits)}")
        if self.measure.startswith("volatility") and (self.long_obs is None or self.long_obs <= self.obs):
            raise ValueError(f"{self.measure} needs long_obs above obs ({self.obs}), got {self.long_obs}")
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"limits must be finite, got {dict(self.limits)}")
        return self


class ShockPolicy(Strict):
    """The rules of one profile, and what they share."""

    rules: dict[str, ShockRule]
    fresh_business_days: Annotated[int, Field(ge=0, le=5, strict=True)]
    max_age_business_days: PositiveInt
    half_life_obs: Annotated[float, Field(gt=0)]
    warmup_obs: Annotated[int, Field(ge=20, strict=True)]
    clip_sigma: Annotated[float, Field(gt=0)]
    forecast_change_medium: Annotated[float, Field(gt=0, lt=1)]
    forecast_change_high: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.forecast_change_medium < self.forecast_change_high:
            raise ValueError(
                f"forecast_change_medium ({self.forecast_change_medium}) must be below forecast_change_high "
                f"({self.forecast_change_high})"
            )
        return self
