"""How a new version is judged after its promotion: pure rules, in two stages.

Technical, for the first hour: does it forecast, and sanely? Statistical, as targets mature: is it worse than the
version before it on the same targets, on this pair and, where the gate was judged on the panel, on all of its pairs?
The evidence there may be looked at every day (:mod:`forex_assets.lifecycle.evidence`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forex_assets.arrays import Floats

#: Function names under which these decisions are recorded and replayed.
TECHNICAL = "technical-probation/1"
STATISTICAL = "statistical-probation/2"
#: How much of the evidence of harm stands on losses and misses of the pair itself, and then of the panel.
WEIGHTS: tuple[float, ...] = (0.5, 0.5)
PANEL_WEIGHTS: tuple[float, ...] = (0.125, 0.125, 0.375, 0.375)


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
        ``maturity_days``: days until a forecast matures; ``panel`` and ``panel_overlap``: the same of all pairs
        together (:func:`forex_assets.lifecycle.comparison.panel_rows`), empty where one pair judges.
    policy:
        ``probation.statistical`` of the settings.
    """
    import numpy as np

    from forex_assets.lifecycle.evidence import bounded_evidence, mean_evidence, mean_interval

    losses, panel = known["losses"], known.get("panel") or []
    overlap = max(1, int(known["overlap"]))
    new = np.array([float(row[1]) for row in losses])
    old = np.array([float(row[2]) for row in losses])
    n, usual = len(new), float(old.mean()) if len(old) else math.nan
    # Differences of a proper score, in units of the usual loss: relative to each target's they would favour intervals
    # that are too narrow.
    excess = (new - old) / usual if n and usual > 0 else np.zeros(n)
    missed = np.array([float(row[3]) - float(row[4]) for row in losses])
    limit, tolerated, misses = 1 / policy["alpha"], policy["tolerated_loss_share"], policy["tolerated_misses_share"]
    harm = [mean_evidence(excess, overlap), bounded_evidence(missed, misses, overlap)]
    judged, judged_missed, judged_overlap, pairs, weights = excess, missed, overlap, 1, WEIGHTS
    if panel:
        judged_overlap, pairs = max(1, int(known["panel_overlap"])), max(int(row[1]) for row in panel)
        judged, judged_missed = (np.array([float(row[place]) for row in panel]) for place in (2, 3))
        harm += [mean_evidence(judged, judged_overlap), mean_evidence(judged_missed - misses, judged_overlap)]
        weights = PANEL_WEIGHTS
    worse = sum(weight * item for weight, item in zip(weights, harm, strict=True))
    fine = mean_evidence(tolerated - judged, judged_overlap)
    # Misses are too rare for such evidence; more of them than tolerated keep a version from passing early.
    calm = not len(judged) or float(judged_missed.mean()) <= misses
    low, high = mean_interval(excess, overlap, policy["alpha"])
    targets = max(n, len(panel))
    out: dict[str, Any] = {
        "n": n,
        "n_effective": 1 + (n - 1) / overlap if n else 0.0,
        "pairs": pairs,
        "loss_ratio": float(new.sum() / old.sum()) if n and old.sum() > 0 else math.nan,
        "loss_ratio_low": 1 + low if math.isfinite(low) else math.nan,
        "loss_ratio_high": 1 + high if math.isfinite(high) else math.nan,
        "panel_loss_ratio": 1 + float(judged.mean()) if panel else math.nan,
        "evidence_worse": worse,
        "missed_more": int(missed.sum()),
        "evidence_not_worse": fine,
    }
    enough, on = targets >= policy["min_targets"], f" on {pairs} pairs" if panel else ""
    if enough and worse >= limit:
        state, why = "failed", f"evidence {worse:.1f} of {limit:.0f}{on} that it is worse than the version before it"
    elif enough and calm and fine >= limit:
        state, why = "passed", f"a mean loss {tolerated:.0%} above the version before it is ruled out{on}"
    elif enough and known["days"] >= policy["max_days"]:
        state, why = "passed", f"not shown to be worse in {known['days']} days (nor shown to be as good)"
    elif known["days"] >= policy["max_days"]:
        state = "undecided"
        why = f"overdue: only {targets} of {policy['min_targets']} targets matured in {known['days']} days"
    else:
        state, why = "undecided", f"evidence of harm {worse:.1f} of {limit:.0f} on {targets} matured targets{on}"
    reasons, left = [why], policy["max_days"] - known["days"]
    days = 0.0 if state != "undecided" else _decidable_in(judged, judged_overlap, pairs, max(weights), known, policy)
    if state == "undecided" and 0 < left < days:
        reasons.append(f"a verdict takes about {days:.0f} more days, and the comparison ends in {left}")
    return {**out, "state": state, "decidable_in_days": days, "reasons": reasons}


def _decidable_in(
    values: Floats, overlap: int, pairs: int, weight: float, known: Mapping[str, Any], policy: Mapping[str, Any]
) -> float:
    """Return in about how many days the evidence suffices for either verdict if it grows as it can be expected to."""
    from forex_assets.lifecycle.evidence import EFFECTS

    margin = policy["tolerated_loss_share"]
    seen = len(values) > max(2 * overlap, policy["min_targets"])
    # Before there is much to go by: differences of two good forecasts, as simulated (benchmarks/bench_lifecycle.py).
    spread = float(values.std()) if seen else (_SPREAD if pairs == 1 else _SPREAD_PANEL)
    mean = float(values.mean()) if seen else 0.0
    # Whichever bound the mean is farther from is ruled out first.
    effect = max(mean, margin - mean, margin / 2) / max(spread, 1e-12)
    needed = math.log(len(EFFECTS) / weight / policy["alpha"]) / (math.log1p(effect**2) / 2)
    # Targets that do not overlap follow one another by their own tenor.
    return float(max(max(needed, 1 + policy["min_targets"] / overlap) * known["maturity_days"] - known["days"], 1.0))


#: Standard deviation of a target's loss difference in units of the usual loss, for one pair and for a panel's mean.
_SPREAD, _SPREAD_PANEL = 0.30, 0.10
