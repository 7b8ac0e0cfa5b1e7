"""The first rule of statistical probation, kept so that what it decided replays; nothing new is decided by it.

It compared the relative gaps *(new - old)/(new + old)*, which favour intervals that are too narrow: half the width has
8% more CRPS and a mean gap below 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forex_assets.lifecycle.evidence import bounded_evidence

_SCREEN = 401


def decide_statistical(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of statistical probation: ``undecided``, ``passed`` or ``failed``, with its evidence.

    Parameters
    ----------
    known:
        ``losses``: per matured target, by as_of: (as_of, CRPS of the version, CRPS of the one before it, whether the
        95% interval of the version missed, whether that of the one before it missed);
        ``overlap``: number of consecutive targets whose periods overlap; ``days``: days since the promotion;
        ``maturity_days``: days until a forecast matures.
    policy:
        ``probation.statistical`` of the settings.
    """
    losses = known["losses"]
    overlap = max(1, int(known["overlap"]))
    new = np.array([float(row[1]) for row in losses])
    old = np.array([float(row[2]) for row in losses])
    total = new + old
    gaps = np.divide(new - old, total, out=np.zeros_like(total), where=total > 0)
    n = len(gaps)
    limit, tolerated = 1 / policy["alpha"], policy["tolerated_loss_share"]
    margin = tolerated / (2 + tolerated)
    # Harm shows in the losses, or, sooner where intervals are too narrow, in what they miss beyond the other's misses.
    missed = np.array([float(row[3]) - float(row[4]) for row in losses])
    worse = (bounded_evidence(gaps, 0.0, overlap) + bounded_evidence(missed, 0.0, overlap)) / 2
    fine = bounded_evidence(-gaps, -margin, overlap)
    low, high = _interval(gaps, overlap, policy["alpha"])
    out: dict[str, Any] = {
        "n": n,
        "n_effective": 1 + (n - 1) / overlap if n else 0.0,
        "loss_ratio": float(new.sum() / old.sum()) if n and old.sum() > 0 else math.nan,
        "loss_ratio_low": _ratio(low),
        "loss_ratio_high": _ratio(high),
        "evidence_worse": worse,
        "missed_more": int(missed.sum()),
        "evidence_not_worse": fine,
    }
    enough = n >= policy["min_targets"]
    if enough and worse >= limit:
        state, why = "failed", f"evidence {worse:.1f} of {limit:.0f} that it is worse than the version before it"
    elif enough and fine >= limit:
        state, why = "passed", f"a mean loss {tolerated:.0%} above the version before it is ruled out"
    elif enough and known["days"] >= policy["max_days"]:
        state, why = "passed", f"not shown to be worse in {known['days']} days (nor shown to be as good)"
    elif known["days"] >= policy["max_days"]:
        state = "undecided"
        why = f"overdue: only {n} of {policy['min_targets']} targets matured in {known['days']} days"
    else:
        state, why = "undecided", f"evidence of harm {worse:.1f} of {limit:.0f} on {n} matured targets"
    days = 0.0 if state != "undecided" else _decidable_in(gaps, margin, overlap, known, policy)
    return {**out, "state": state, "decidable_in_days": days, "reasons": [why]}


def _interval(values: NDArray[np.float64], overlap: int, alpha: float) -> tuple[float, float]:
    """Return the anytime-valid interval of the mean of ``values``: the bounds not ruled out from either side."""
    if not len(values):
        return -1.0, 1.0
    bounds = np.linspace(-0.995, 0.995, _SCREEN)
    kept = [
        bound
        for bound in bounds
        if bounded_evidence(values, bound, overlap) < 2 / alpha
        and bounded_evidence(-values, -bound, overlap) < 2 / alpha
    ]
    return (float(kept[0]), float(kept[-1])) if kept else (float(values.mean()), float(values.mean()))


def _ratio(gap: float) -> float:
    return (1 + gap) / (1 - gap) if gap < 1 else math.inf


def _decidable_in(
    gaps: NDArray[np.float64], margin: float, overlap: int, known: Mapping[str, Any], policy: Mapping[str, Any]
) -> float:
    """Return about how many days are left: when the evidence grows as it can be expected to, at most ``max_days``."""
    left = float(max(policy["max_days"] - known["days"], 0))
    spread = float(gaps.std()) if len(gaps) > 2 else 0.15
    mean = float(gaps.mean()) if len(gaps) > 2 else 0.0
    # Whichever bound the mean is farther from is ruled out first.
    distance = max(mean, margin - mean, margin / 2)
    growth = distance**2 / (2 * (spread**2 + distance**2))
    needed = math.log(1 / policy["alpha"]) / growth * overlap
    waiting = max(known["maturity_days"] - known["days"], 0)
    return float(min(left, waiting + max(needed - len(gaps), policy["min_targets"] - len(gaps), 1) * 7 / 5))
