"""``deployment`` of ``platform.yaml``: who may promote, what stops it, how a new version is watched, what is told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from forex_assets.settings.fields import Positive, PositiveInt, Strict, Zone

Policy = Literal["auto", "two-person", "shadow-then-auto"]
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]


def _inside_home(value: str) -> str:
    path = Path(value)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{value!r} must be a path inside the home folder")
    return value


class PolicyByRisk(Strict):
    """Which policy holds for which risk class (L11)."""

    low: Policy
    medium: Policy
    high: Policy


class FrozenWindow(Strict):
    """Days of the year, both ends included, in which nothing is promoted (``MM-DD``; may wrap around New Year)."""

    name: str
    first: str
    last: str

    @field_validator("first", "last")
    @classmethod
    def _day(cls, value: str) -> str:
        try:
            dt.date.fromisoformat(f"2024-{value}")
        except ValueError as error:
            raise ValueError(f"{value!r} is not a day MM-DD") from error
        return value


class GuardSettings(Strict):
    """What stops a promotion; each guard that cannot be judged stops it too (L08)."""

    kill_files: list[str] = Field(min_length=1)
    dry_run: bool
    frozen_windows: list[FrozenWindow]
    timezone: Zone
    min_free_mib: Positive
    readiness_levels: list[Literal["CAUTIOUS", "READY", "OPTIMAL"]] = Field(min_length=1)
    readiness_models: list[str]

    @field_validator("kill_files")
    @classmethod
    def _inside(cls, value: list[str]) -> list[str]:
        return [_inside_home(item) for item in value]


class TechnicalProbation(Strict):
    """The canary after a promotion (A30)."""

    check_every_s: PositiveInt
    duration_min: PositiveInt
    failures_in_a_row: PositiveInt
    max_median_move_share: Share
    max_width_ratio: Annotated[float, Field(gt=1, strict=True)]
    max_forecast_s: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.check_every_s * self.failures_in_a_row < self.duration_min * 60:
            raise ValueError(
                f"probation.technical: {self.failures_in_a_row} checks {self.check_every_s} s apart do not fit into "
                f"{self.duration_min} min"
            )
        return self


class StatisticalProbation(Strict):
    """The comparison with the version before on the same matured targets."""

    alpha: Share
    tolerated_loss_share: Share
    tolerated_misses_share: Share
    min_targets: PositiveInt
    max_days: PositiveInt


class ProbationSettings(Strict):
    """Both stages of probation."""

    technical: TechnicalProbation
    statistical: StatisticalProbation


class RollbackSettings(Strict):
    """When automation stops by itself."""

    halt_after: PositiveInt
    within_days: PositiveInt


class MailSettings(Strict):
    """Where the note about a deployment goes: nowhere, a folder under the home, or an SMTP server."""

    mode: Literal["off", "file", "smtp"]
    folder: str
    sender: str
    recipients: list[str]
    host: str
    port: Annotated[int, Field(ge=1, le=65535, strict=True)]
    starttls: bool
    timeout_s: Positive

    @field_validator("folder")
    @classmethod
    def _inside(cls, value: str) -> str:
        return _inside_home(value)

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if self.mode != "off" and not self.recipients:
            raise ValueError(f"mail.mode {self.mode!r} needs recipients")
        return self


class SinkSettings(Strict):
    """What is told about a deployment; never its truth (L01)."""

    classic_folder: str | None
    git_repository: str | None
    git_sign: bool
    git_protected_branches: list[str]
    git_timeout_s: Positive
    mail: MailSettings

    @field_validator("classic_folder")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        return None if value is None else _inside_home(value)


class DrillSettings(Strict):
    """The restore drill."""

    cron: str
    max_restore_s: Positive


class DeploymentSettings(Strict):
    """``deployment`` of ``platform.yaml``."""

    promotion_unit: Literal["subject", "set"]
    policies: PolicyByRisk
    approvals_needed: Annotated[int, Field(ge=2, strict=True)]
    high_risk_models: list[str]
    shadow_min_targets: PositiveInt
    shadow_min_days: PositiveInt
    guards: GuardSettings
    probation: ProbationSettings
    rollback: RollbackSettings
    sinks: SinkSettings
    drill: DrillSettings

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.promotion_unit == "set" and self.policies.low != self.policies.medium:
            raise ValueError(
                "promotion_unit 'set' promotes all horizons together, so policies.low "
                f"({self.policies.low}) and policies.medium ({self.policies.medium}) must be the same"
            )
        return self
