"""How a new version is judged after its promotion: pure rules, in two stages.

Technical, for the first hour: does it forecast, and sanely? Statistical, as targets mature: is it worse than the
version before it on the same targets? The evidence there is an e-value, which may be looked at every day (Ville's
inequality); targets whose periods overlap are kept in separate sequences whose e-values are averaged (Vovk and Wang
2021; Choe and Ramdas 2023; Arnold, Henzi and Ziegel 2023).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Function names under which these decisions are recorded and replayed.
TECHNICAL = "technical-probation/1"
STATISTICAL = "statistical-probation/1"
_BETS = tuple(0.1 * i for i in range(1, 10))
_SCREEN = 401


def judge_canary(facts: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether a trial forecast of the version in use is sane, and why not.

    Parameters
    ----------
    facts:
        ``problem`` (text when no forecast could be made), ``damage`` (what is damaged in the version store), and of
        the forecast: ``finite``, ``monotone``, ``seconds``, ``last_value``, ``median``, ``width`` and
        ``reference_width`` (95% intervals at the target date, of the version and of the random walk).
    policy:
        ``probation.technical`` of the settings.
    """
    against = list(facts["damage"])
    if facts["problem"]:
        against.append(f"no forecast could be made: {facts['problem']}")
    else:
        if not facts["finite"]:
            against.append("the forecast holds a value that is not finite")
        if not facts["monotone"]:
            against.append("the forecast's quantiles cross")
        move = abs(facts["median"] / facts["last_value"] - 1) if facts["finite"] else math.inf
        if facts["finite"] and move > policy["max_median_move_share"]:
            limit = policy["max_median_move_share"]
            against.append(f"the median moves {move:.1%} from the last value, more than {limit:.0%}")
        ratio = facts["width"] / facts["reference_width"] if facts["finite"] else math.nan
        if facts["finite"] and not 1 / policy["max_width_ratio"] <= ratio <= policy["max_width_ratio"]:
            against.append(
                f"its 95% interval is {ratio:.2f} times the random walk's, outside "
                f"{1 / policy['max_width_ratio']:.2f} to {policy['max_width_ratio']:.2f}"
            )
        if facts["seconds"] > policy["max_forecast_s"]:
            against.append(f"the forecast took {facts['seconds']:.1f} s, more than {policy['max_forecast_s']:.0f} s")
    return {"passed": not against, "reasons": against or ["the trial forecast is sane"]}


def decide_technical(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of technical probation after one more check: ``running``, ``passed`` or ``failed``.

    A check that could not be made counts as failed; one healthy check resets the count of failures (A30).

    Parameters
    ----------
    known:
        ``started_at``, ``checks``, ``healthy``, ``failed_in_a_row``, ``last_check_at`` (or None), ``now``, and the new
        check's ``passed`` and ``reasons``.
    policy:
        ``probation.technical`` of the settings.
    """
    passed = known["passed"] is True
    failed_in_a_row = 0 if passed else known["failed_in_a_row"] + 1
    counts = {
        "checks": known["checks"] + 1,
        "healthy": known["healthy"] + passed,
        "failed_in_a_row": failed_in_a_row,
    }
    now = max(item for item in (known["now"], known["last_check_at"]) if item)
    elapsed = (dt.datetime.fromisoformat(now) - dt.datetime.fromisoformat(known["started_at"])).total_seconds()
    limit, minutes = policy["failures_in_a_row"], policy["duration_min"]
    if failed_in_a_row >= limit:
        return {
            **counts,
            "state": "failed",
            "reasons": [f"{failed_in_a_row} checks in a row failed", *known["reasons"]],
        }
    if elapsed >= minutes * 60 and passed and counts["healthy"] >= limit:
        return {**counts, "state": "passed", "reasons": [f"{counts['healthy']} healthy checks in {minutes} min"]}
    return {**counts, "state": "running", "reasons": list(known["reasons"])}


def check_due(last_check_at: str | None, now: dt.datetime, policy: Mapping[str, Any]) -> bool:
    """Tell whether the next technical check is due; a clock that jumped back makes it due."""
    if last_check_at is None:
        return True
    passed = (now - dt.datetime.fromisoformat(last_check_at)).total_seconds()
    return passed < 0 or passed >= policy["check_every_s"]


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
    import numpy as np

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
    worse = (evidence_above(gaps, 0.0, overlap) + evidence_above(missed, 0.0, overlap)) / 2
    fine = evidence_above(-gaps, -margin, overlap)
    low, high = interval(gaps, overlap, policy["alpha"])
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


def evidence_above(values: NDArray[np.float64], bound: float, overlap: int) -> float:
    """Return the e-value against "the mean of ``values`` is at most ``bound``" (values in [-1, 1], bound in (-1, 1)).

    A mixture of bets on each sequence of values that do not overlap; the sequences' e-values are averaged.
    """
    import numpy as np

    if not len(values):
        return 1.0
    steps = (values - bound) / (1 + bound)
    sums = np.zeros((overlap, len(_BETS)))
    np.add.at(sums, np.arange(len(values)) % overlap, np.log1p(np.outer(steps, _BETS)))
    with np.errstate(over="ignore"):
        return float(min(np.exp(sums).mean(), 1e300))


def interval(values: NDArray[np.float64], overlap: int, alpha: float) -> tuple[float, float]:
    """Return the anytime-valid interval of the mean of ``values``: the bounds not ruled out from either side."""
    import numpy as np

    if not len(values):
        return -1.0, 1.0
    bounds = np.linspace(-0.995, 0.995, _SCREEN)
    kept = [
        bound
        for bound in bounds
        if evidence_above(values, bound, overlap) < 2 / alpha and evidence_above(-values, -bound, overlap) < 2 / alpha
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
