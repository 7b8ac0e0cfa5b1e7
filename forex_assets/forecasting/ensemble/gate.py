"""The gate: a model is in the mean only while it is no worse than the random walk, and both ways the gate is sticky.

An open gate shuts when a model's CRPS or Theil's U is worse than the random walk's *beyond noise*. A shut gate opens
only when, on enough matured evidence, neither is worse *at all*. Between the two nothing moves, so a model at the limit
does not flap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["open", "shut"]


@dataclass(frozen=True)
class GateConfig:
    """Limits of the gate."""

    shut_z: float = 1.645
    """Standard errors by which a loss must exceed the random walk's to shut an open gate (5%, one-sided)."""
    u_limit: float = 1.005
    """Theil's U up to here is never a reason to shut: no model beats the random walk's centre reliably."""
    open_ratio: float = 1.0
    """Largest CRPS ratio at which a shut gate opens."""
    min_tenors: float = 24.0
    """Non-overlapping tenors of matured evidence without which no gate moves."""


@dataclass(frozen=True)
class Evidence:
    """Matured out-of-sample losses of one model against the random walk, one tenor, pooled over the panel.

    Attributes
    ----------
    crps_ratio, theils_u:
        Model over random walk; 1 is equal.
    crps_z, u_z:
        How many standard errors the excess loss is above 0 (dates as blocks); 0 where the two are the same.
    tenors:
        Non-overlapping tenors behind them.
    """

    crps_ratio: float
    crps_z: float
    theils_u: float
    u_z: float
    tenors: float


@dataclass(frozen=True)
class Verdict:
    """State of a gate and why."""

    state: State
    reason: str


def decide_gate(before: State, evidence: Evidence | None, config: GateConfig | None = None) -> Verdict:
    """Return the state of a gate after the newest evidence.

    Parameters
    ----------
    before:
        State so far.
    evidence:
        None where nothing has matured.
    """
    config = config or GateConfig()
    if evidence is None or evidence.tenors < config.min_tenors:
        return Verdict(before, f"fewer than {config.min_tenors:.0f} tenors of evidence; stays {before}")
    worse_crps = evidence.crps_ratio > 1.0 and evidence.crps_z > config.shut_z
    worse_u = evidence.theils_u > config.u_limit and evidence.u_z > config.shut_z
    if before == "open":
        if worse_crps or worse_u:
            return Verdict("shut", f"{_losses(worse_crps, worse_u)} worse than the random walk's beyond noise")
        return Verdict("open", "no worse than the random walk beyond noise")
    over_crps, over_u = evidence.crps_ratio > config.open_ratio, evidence.theils_u > config.u_limit
    if not (over_crps or over_u):
        return Verdict("open", "no worse than the random walk")
    return Verdict("shut", f"{_losses(over_crps, over_u)} still worse than the random walk's")


def _losses(crps: bool, u: bool) -> str:
    return " and ".join(name for name, worse in (("CRPS", crps), ("Theil's U", u)) if worse)
