"""Whether a model may be switched on for a pair's horizons, from their readiness (B22, B27): a decision to record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FUNCTION = "model-switch/1"


def decide_switch(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the model may be switched on, and why.

    Parameters
    ----------
    known:
        ``model``, ``levels`` (horizon → readiness level), ``as_of``.
    policy:
        ``accepted``: the levels that allow it.
    """
    levels, accepted = dict(known["levels"]), list(policy["accepted"])
    behind = {horizon: level for horizon, level in levels.items() if level not in accepted}
    reasons = [f"{horizon} is {level}; {' or '.join(accepted)} is needed" for horizon, level in behind.items()]
    if not levels:
        reasons = ["no horizon's readiness is known"]
    allowed = bool(levels) and not behind
    return {
        "allowed": allowed,
        "model": str(known["model"]),
        "reasons": reasons or [f"every horizon is {' or '.join(accepted)}"],
    }
