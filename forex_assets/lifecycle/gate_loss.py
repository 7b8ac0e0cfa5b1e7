"""The gate of a subject whose configurations are judged by one positive loss per day, such as a strategy's session.

The same criteria as for a forecast where they apply (improvement beyond noise, large losses no larger, latency within
its budget), paid for by the same levels per opening; intervals, tails and bias are a forecast's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError, ValidationError
from forex_assets.evaluation.ability import diebold_mariano
from forex_assets.evaluation.inference import ratio_intervals
from forex_assets.evaluation.overlap import effective_n, origin_spacing
from forex_assets.lifecycle import criteria

FUNCTION = "gate-loss/1"


@dataclass(frozen=True, eq=False)
class LossSeries:
    """Losses of one configuration: day, loss of that day (positive, lower is better), days one loss reaches ahead.

    Raises
    ------
    ValidationError
        When a loss is not positive, or the two have different lengths.
    """

    days: Dates
    values: Floats
    steps: int = 1

    def __post_init__(self) -> None:
        if len(self.days) != len(self.values):
            raise ValidationError(
                f"{len(self.days)} days and {len(self.values)} losses.", remedy="give one loss for each day."
            )
        if len(self.values) and not bool((np.isfinite(self.values) & (self.values > 0)).all()):
            raise ValidationError(
                f"A loss is {float(np.min(self.values)):g}; losses must be positive and finite.",
                remedy="pass a loss such as a pinball loss or the regret against the best outcome, not a profit.",
            )


def measure_loss(candidate: LossSeries, incumbent: LossSeries) -> dict[str, Any]:
    """Return how two configurations compare on the days both have; plain values.

    Raises
    ------
    DataError
        When they share no day.
    """
    days, mine_at, theirs_at = np.intersect1d(candidate.days, incumbent.days, return_indices=True)
    if not len(days):
        raise DataError("Candidate and incumbent share no day.", remedy="judge both on the same period.")
    mine, theirs = candidate.values[mine_at], incumbent.values[theirs_at]
    steps = max(candidate.steps, incumbent.steps)
    test = diebold_mariano(mine, theirs, days, steps)
    ratio = ratio_intervals(mine[:, None], theirs[:, None], days, steps)[0]
    better = test.p_value / 2.0 if test.statistic < 0 else 1.0 - test.p_value / 2.0
    figures = {
        "n": len(days),
        "n_effective": float(effective_n(len(days), max(1.0, steps / origin_spacing(days)))),
        "first_day": str(days[0]),
        "last_day": str(days[-1]),
        "improvement": 1.0 - ratio.value,
        "improvement_low": 1.0 - ratio.high,
        "improvement_high": 1.0 - ratio.low,
        "p_better": better,
        "loss_spread_ratio": float(np.quantile(mine, 0.95) / np.quantile(theirs, 0.95)),
    }
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }


def decide_gate_loss(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the candidate may be deployed, with every criterion; see :func:`gate.decide_gate`.

    Parameters
    ----------
    known:
        ``own`` (:func:`measure_loss`), ``opening``, ``latency_s`` of ``candidate`` and ``incumbent``, ``version`` and
        ``against``.
    policy:
        The ``optimization.gate`` settings.
    """
    alphas, opening, own = policy["alpha_by_opening"], known["opening"], known["own"]
    if opening > len(alphas):
        why = "the level of this year is spent on earlier ones"
        return criteria.outcome(
            [criteria.failed("openings", f"at most {len(alphas)} a year", str(opening), why)], known, "own"
        )
    found = [
        criteria.improvement(own, alphas[opening - 1], policy, what="loss"),
        criteria.stability(own, policy),
        criteria.latency(known["latency_s"], policy),
    ]
    return criteria.outcome(found, known, "own")
