"""Series and pairs: what is forecast, from which sources, published when."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from forex_assets.settings.addresses import check_addresses
from forex_assets.settings.fields import PAIR_ID, PositiveInt, Strict, Zone


class PublicationRule(Strict):
    """When a value dated ``t`` can first be known (see :mod:`forex_assets.market.publication`)."""

    rule: Literal["previous_business_day", "same_day", "business_days_after", "uf", "month_after"]
    time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    zone: Zone
    days: int = 0
    months: int = 0
    day: int = 1


class ReferenceSeries(Strict):
    """Another series that describes the same thing, ``shift_business_days`` later."""

    series: str
    shift_business_days: int = 0


class SeriesQuality(Strict):
    """Which quality rules apply to a series (see :mod:`forex_assets.market.quality`)."""

    jump: bool = True
    outlier: bool | None = None
    stale: bool = True
    high_low: bool = True
    calendar: Literal["sessions", "weekdays", "any"] = "sessions"

    @property
    def outliers(self) -> bool:
        """Whether values far out between neighbours that agree are looked for; where not declared, as for jumps."""
        return self.jump if self.outlier is None else self.outlier


class SeriesSpec(Strict):
    """One series of the catalogue: its meaning, unit, publication and addresses."""

    id: str
    label: str
    unit: str
    calendar: str
    frequency: Literal["daily", "monthly"] = "daily"
    publication: PublicationRule
    range: tuple[float, float]
    max_age_business_days: PositiveInt
    basis: Literal["close", "fixing", "value"] = "value"
    change: Literal["log", "diff"] = "log"
    quality: SeriesQuality = SeriesQuality()
    reference: ReferenceSeries | None = None
    addresses: dict[str, dict[str, Any]] = {}

    @field_validator("addresses")
    @classmethod
    def _known_addresses(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        check_addresses(value)
        return value

    @model_validator(mode="after")
    def _ordered_range(self) -> Self:
        if not self.range[0] < self.range[1]:
            raise ValueError(f"series {self.id}: range must be [low, high] with low < high, got {list(self.range)}")
        return self


class Target(Strict):
    """What a pair's forecasts are about: one series, declared as a fixing or a close."""

    series: str
    kind: Literal["fixing", "close"]


class PairSpec(Strict):
    """One pair: target, calendar, source chains and drivers."""

    id: str
    label: str
    base: str = Field(pattern=r"^[A-Z]{3}$")
    quote: str = Field(pattern=r"^[A-Z]{3}$")
    target: Target
    calendars: list[str] = Field(min_length=1)
    history_start: dt.date
    chains: dict[str, list[str]]
    drivers: list[str] = []
    owners: list[str] = []
    enabled: bool = True
    series: dict[str, dict[str, Any]] = {}
    active_model: str | None = None

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not PAIR_ID.match(value):
            raise ValueError(f"pair id {value!r} must match {PAIR_ID.pattern}")
        return value

    @property
    def unit(self) -> str:
        """Unit of the target, for example ``CLP per USD``."""
        return f"{self.quote} per {self.base}"

    @property
    def all_series(self) -> list[str]:
        """The target series first, then the drivers, each once."""
        reference = [name for name in self.chains if name not in (self.target.series, *self.drivers)]
        return list(dict.fromkeys([self.target.series, *self.drivers, *reference]))
