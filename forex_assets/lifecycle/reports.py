"""What each step of the life cycle hands to the next: frozen reports, with their rows and their way back from them."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from forex_assets.errors import DataError, ValidationError
from forex_assets.lifecycle.canonical import plain
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import ConfigVersion
from forex_assets.monitoring.finding import STATES, State

if TYPE_CHECKING:
    import pandas as pd

CriterionState = Literal["met", "failed", "unknown"]
CRITERION_STATES: tuple[CriterionState, ...] = ("met", "failed", "unknown")


@dataclass(frozen=True, slots=True)
class RuleState:
    """One rule of a trigger: fired, clear or unknown, and why."""

    rule: str
    state: State
    reason: str

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValidationError(f"Rule state {self.state!r} is none of {', '.join(STATES)}.", remedy="use one.")


@dataclass(frozen=True, slots=True)
class TriggerReport:
    """Whether to optimise, by which rules, and why (A03)."""

    subject: Subject
    as_of: dt.date
    profile: str
    should_optimize: bool
    reasons: tuple[str, ...]
    states: tuple[RuleState, ...]
    entry: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per rule, without provenance."""
        return [
            {
                "subject": self.subject.key,
                "as_of": pd_date(self.as_of),
                "profile": self.profile,
                "rule": item.rule,
                "state": item.state,
                "reason": item.reason,
                "should_optimize": self.should_optimize,
                "reasons": "\n".join(self.reasons),
                "entry": self.entry,
            }
            for item in self.states
        ]


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """What a search found (A08): a candidate, or none and why.

    ``objective`` is the mean loss of the winner on the search period, ``incumbent_objective`` that of the version in
    use on the same origins; NaN where there is none.
    """

    subject: Subject
    as_of: dt.date
    engine: str
    candidate: ConfigVersion | None
    reasons: tuple[str, ...]
    trials: int = 0
    failed_trials: int = 0
    objective: float = math.nan
    incumbent_objective: float = math.nan
    seconds: float = math.nan
    peak_memory_mib: float = math.nan
    timed_out: bool = False
    fallback: str = ""
    entry: str = ""
    table: tuple[Mapping[str, Any], ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return one row, without provenance."""
        return [
            {
                "subject": self.subject.key,
                "as_of": pd_date(self.as_of),
                "engine": self.engine,
                "candidate": self.candidate.hash if self.candidate else "",
                "model": self.candidate.model if self.candidate else "",
                "parameters": json.dumps(self.candidate.parameter_values if self.candidate else {}, sort_keys=True),
                "version": json.dumps(self.candidate.as_dict()) if self.candidate else "",
                "trials": self.trials,
                "failed_trials": self.failed_trials,
                "objective": self.objective,
                "incumbent_objective": self.incumbent_objective,
                "seconds": self.seconds,
                "peak_memory_mib": self.peak_memory_mib,
                "timed_out": self.timed_out,
                "fallback": self.fallback,
                "trial_table": json.dumps(plain(list(self.table)), allow_nan=False),
                "reasons": "\n".join(self.reasons),
                "entry": self.entry,
            }
        ]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> CandidateReport:
        """Return the report of stored rows.

        Raises
        ------
        DataError
            When the rows are not those of one report.
        """
        row = _one_row(frame, "candidate_config")
        return cls(
            subject=Subject.parse(row["subject"]),
            as_of=row["as_of"].date(),
            engine=row["engine"],
            candidate=ConfigVersion.from_dict(json.loads(row["version"])) if row["version"] else None,
            reasons=tuple(row["reasons"].split("\n")),
            **{name: row[name] for name in ("trials", "failed_trials", "objective", "incumbent_objective", "seconds")},
            **{name: row[name] for name in ("peak_memory_mib", "timed_out", "fallback", "entry")},
            table=tuple(json.loads(row["trial_table"])),
        )


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of the gate: expected beside actual."""

    name: str
    state: CriterionState
    expected: str
    actual: str
    reason: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    threshold: float = math.nan
    unit: str = ""
    n: int = 0
    n_effective: float = 0.0

    def __post_init__(self) -> None:
        if self.state not in CRITERION_STATES:
            raise ValidationError(
                f"Criterion state {self.state!r} is none of {', '.join(CRITERION_STATES)}.", remedy="use one of those."
            )


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Whether a candidate may be promoted, by which criteria, and why (A13).

    ``approved`` may only be true when every criterion is met; a criterion that is unknown does not approve.
    """

    subject: Subject
    as_of: dt.date
    profile: str
    candidate: str
    incumbent: str
    approved: bool
    metrics: Mapping[str, float]
    criteria: tuple[Criterion, ...]
    reasons: tuple[str, ...]
    opening: int = 0
    first_of_subject: bool = False
    forced: bool = False
    entry: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unmet = [item.name for item in self.criteria if item.state != "met"]
        if self.approved and (unmet or not self.criteria):
            raise ValidationError(
                f"A report that approves {self.candidate} has criteria not met: {', '.join(unmet) or 'none judged'}.",
                remedy="approve only what meets every criterion.",
            )
        if not self.reasons:
            raise ValidationError("A validation report gives no reason.", remedy="say why it approves or not.")

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per criterion, without provenance."""
        return [
            {
                "subject": self.subject.key,
                "as_of": pd_date(self.as_of),
                "profile": self.profile,
                "candidate": self.candidate,
                "incumbent": self.incumbent,
                "approved": self.approved,
                "criterion": item.name,
                "state": item.state,
                "expected": item.expected,
                "actual": item.actual,
                "value": item.value,
                "low": item.low,
                "high": item.high,
                "threshold": item.threshold,
                "unit": item.unit,
                "n": item.n,
                "n_effective": item.n_effective,
                "reason": item.reason,
                "opening": self.opening,
                "first_of_subject": self.first_of_subject,
                "forced": self.forced,
                "metrics": json.dumps(plain(dict(self.metrics)), sort_keys=True, allow_nan=False),
                "details": json.dumps(plain(dict(self.details)), sort_keys=True, allow_nan=False),
                "reasons": "\n".join(self.reasons),
                "entry": self.entry,
            }
            for item in self.criteria
        ]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> ValidationReport:
        """Return the report of stored rows.

        Raises
        ------
        DataError
            When the rows are not those of one report.
        ValidationError
            When they approve although a criterion is not met.
        """
        shared = ["subject", "as_of", "profile", "candidate", "incumbent", "approved", "opening", "entry"]
        if frame.empty or len(frame[shared].drop_duplicates()) != 1:
            raise DataError(
                f"The rows of validation_report hold {len(frame[shared].drop_duplicates())} reports, not one.",
                remedy="materialise validation_report of this horizon again.",
            )
        row = frame.iloc[0]
        texts = ("state", "expected", "actual", "reason", "unit")
        figures = ("value", "low", "high", "threshold", "n_effective")

        def fields(item: Mapping[Any, Any]) -> dict[str, Any]:
            return {name: item[name] for name in texts} | {name: float(item[name]) for name in figures}

        criteria = tuple(
            Criterion(
                name=item["criterion"],
                n=int(item["n"]),
                **fields(item),
            )
            for item in frame.to_dict("records")
        )
        return cls(
            subject=Subject.parse(row["subject"]),
            as_of=row["as_of"].date(),
            profile=row["profile"],
            candidate=row["candidate"],
            incumbent=row["incumbent"],
            approved=bool(row["approved"]),
            metrics={name: float(value) for name, value in json.loads(row["metrics"]).items()},
            criteria=criteria,
            reasons=tuple(row["reasons"].split("\n")),
            opening=int(row["opening"]),
            first_of_subject=bool(row["first_of_subject"]),
            forced=bool(row["forced"]),
            entry=row["entry"],
            details=json.loads(row["details"]),
        )


def frame_of(report: TriggerReport | CandidateReport | ValidationReport) -> pd.DataFrame:
    """Return the rows of a report as a frame, without provenance."""
    import pandas as pd

    return pd.DataFrame(report.rows())


def pd_date(day: dt.date) -> Any:
    """Return a day as the nanosecond timestamp that stored tables hold."""
    import pandas as pd

    return pd.Timestamp(day).as_unit("ns")


def _one_row(frame: pd.DataFrame, table: str) -> Any:
    if len(frame) != 1:
        raise DataError(
            f"{table} holds {len(frame)} rows where one report is one row.",
            remedy=f"materialise {table} of this horizon again.",
        )
    return frame.iloc[0]
