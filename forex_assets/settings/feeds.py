"""Limits of the feed rules: what is judged of a source over weeks, not of one row."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from forex_assets.settings.fields import Positive, Strict


class PremiumLink(Strict):
    """Two series whose ratio is watched: what the first costs over the second."""

    series: str
    over: str


class FeedSettings(Strict):
    """Limits of :mod:`forex_assets.market.quality.feeds` (logs are natural logarithms of price ratios)."""

    recent_sessions: Annotated[int, Field(ge=20)]
    learn_sessions: Annotated[int, Field(ge=120)]
    lockstep_evidence: Positive
    lockstep_partners: Annotated[int, Field(ge=1)]
    disagreement_sessions: Annotated[int, Field(ge=5)]
    disagreement_share: Annotated[float, Field(gt=0, lt=1)]
    disagreement_bias_log: Positive
    level_break_log: Positive
    level_break_robust_sigma: Positive
    unit_factor_tolerance_log: Annotated[float, Field(gt=0, lt=0.05)]
    unit_drift_log: Positive
    missing_sessions: Annotated[int, Field(ge=1)]
    missing_times_usual: Annotated[float, Field(ge=1)]
    premium_log: Positive
    premium_robust_sigma: Positive
    premiums: list[PremiumLink] = []

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.disagreement_sessions <= self.recent_sessions < self.learn_sessions:
            raise ValueError(
                f"feeds: disagreement_sessions ({self.disagreement_sessions}) must be at most recent_sessions "
                f"({self.recent_sessions}), and that below learn_sessions ({self.learn_sessions})"
            )
        return self
