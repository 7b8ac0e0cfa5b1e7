"""What every monitor returns: one judgement with its evidence, three-state and self-explaining (SPEC 1.1)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from forex_assets.monitoring.cannot_tell import CannotTell

State = Literal["fired", "clear", "unknown"]
Severity = Literal["info", "low", "medium", "high", "critical"]
STATES: tuple[State, ...] = ("fired", "clear", "unknown")
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement of one monitor about one subject at one moment.

    Parameters
    ----------
    monitor, rule, profile:
        Which monitor (``performance``, ``drift``, ``regime``, ``shock``, …), which rule of it, under which profile.
    subject:
        What was judged: a horizon (``7d``), a series (``usdclp_close``), or ``all``.
    pair, as_of:
        Pair id, and the day at whose end everything used was known.
    state:
        ``fired``, ``clear`` or ``unknown``; unknown never reads as fine.
    severity:
        How bad it is when it holds; ``info`` when clear.
    effect, effect_low, effect_high, unit:
        Effect size with its 95% interval and unit; NaN where there is none.
    threshold:
        What the effect was held against, in the same unit; NaN where the rule has no single one.
    n, n_effective:
        Observations used, and the same counting overlap once.
    window_start, window_end:
        First and last date of the evidence (maturity dates for forecasts).
    reasons:
        Sentences a person reads, most important first.
    input_hashes:
        Name of each input and the hash of its content.
    cannot_tell:
        Why it is unknown, by code; None where it is not, or where nobody but the sentences says.
    """

    monitor: str
    rule: str
    profile: str
    pair: str
    subject: str
    as_of: dt.date
    state: State
    severity: Severity
    reasons: tuple[str, ...]
    effect: float = math.nan
    effect_low: float = math.nan
    effect_high: float = math.nan
    unit: str = ""
    threshold: float = math.nan
    n: int = 0
    n_effective: float = 0.0
    window_start: dt.date | None = None
    window_end: dt.date | None = None
    input_hashes: Mapping[str, str] = field(default_factory=dict)
    cannot_tell: CannotTell | None = None

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state {self.state!r} is none of {', '.join(STATES)}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is none of {', '.join(SEVERITIES)}")
        if not self.reasons:
            raise ValueError(f"finding {self.monitor}/{self.rule} has no reason; every state must say why")
        if self.cannot_tell is not None and self.state != "unknown":
            raise ValueError(f"finding {self.monitor}/{self.rule} is {self.state}, yet says why it cannot tell")

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What identifies a finding among those of one day."""
        return (self.pair, self.monitor, self.rule, self.profile, self.subject)


def unknown(monitor: str, rule: str, profile: str, pair: str, subject: str, as_of: dt.date, why: CannotTell) -> Finding:
    """Return the finding of a monitor that could not judge, and why."""
    return Finding(monitor, rule, profile, pair, subject, as_of, "unknown", "low", (why.sentence,), cannot_tell=why)
