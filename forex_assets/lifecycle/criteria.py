"""Criteria that gates share, as plain values: each with what was expected beside what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from forex_assets.lifecycle.reports import Criterion


def criteria_of(outcome: Mapping[str, Any]) -> tuple[Criterion, ...]:
    """Return the criteria of a decision as they go into a report."""
    figures = ("value", "low", "high", "threshold")
    return tuple(
        Criterion(**{**item, **{name: math.nan if item[name] is None else item[name] for name in figures}})
        for item in outcome["criteria"]
    )


def improvement(
    sample: Mapping[str, Any], alpha: float, policy: Mapping[str, Any], what: str = "CRPS"
) -> dict[str, Any]:
    """Judge whether the loss is lower by enough, beyond noise at a level."""
    wanted = policy["min_improvement_share"]
    expected = f"{what} lower by at least {wanted:.1%}, one-sided p at most {alpha:g}"
    enough = sample["n_effective"] >= policy["min_effective_n"]
    if not enough or sample["p_better"] is None:
        why = (
            "the losses cannot be told apart"
            if enough
            else f"{sample['n_effective']:.1f} independent targets, {policy['min_effective_n']:g} are needed"
        )
        return with_figures(unknown("improvement", expected, why), sample, "improvement", wanted, "share")
    good = sample["improvement"] >= wanted and sample["p_better"] <= alpha
    actual = f"{sample['improvement']:+.2%} (p = {sample['p_better']:.3f})"
    why = "better beyond noise" if good else "not better beyond what chance gives"
    return with_figures(judged("improvement", good, expected, actual, why), sample, "improvement", wanted, "share")


def stability(sample: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Judge whether large losses grow."""
    ratio, limit = sample["loss_spread_ratio"], policy["max_loss_spread_ratio"]
    item = judged(
        "stability", ratio <= limit, f"95th percentile of losses over the incumbent's at most {limit:g}", f"{ratio:.3f}"
    )
    return with_figures(item, sample, "loss_spread_ratio", limit, "ratio")


def latency(latency: Mapping[str, float], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Judge warm seconds against the budget, or the incumbent's."""
    mine, theirs = latency["candidate"], latency["incumbent"]
    ratio = mine / max(theirs, 1e-9)
    good = mine <= policy["max_latency_s"] or ratio <= policy["max_latency_ratio"]
    item = judged(
        "latency",
        good,
        f"one daily forecast within {policy['max_latency_s']:g} s warm, or {policy['max_latency_ratio']:g} times the "
        "incumbent's",
        f"{mine:.3f} s, {ratio:.2f} times",
    )
    return {**item, "value": mine, "threshold": policy["max_latency_s"], "unit": "s"}


def outcome(criteria: Sequence[Mapping[str, Any]], known: Mapping[str, Any], judged_on: str) -> dict[str, Any]:
    """Return the decision of a gate from its criteria: approved when every one is met."""
    unmet = [item for item in criteria if item["state"] != "met"]
    reasons = [f"{item['name']}: expected {item['expected']}; found {item['actual']}" for item in unmet]
    metrics = {
        name: value
        for name, value in (known.get("panel" if judged_on == "panel" else "own") or {}).items()
        if isinstance(value, int | float)
    }
    return {
        "approved": not unmet,
        "candidate": known.get("version", ""),
        "incumbent": known.get("against", ""),
        "opening": known.get("opening", 0),
        "criteria": [dict(item) for item in criteria],
        "metrics": metrics,
        "judged_on": judged_on,
        "reasons": reasons or [f"all {len(criteria)} criteria are met (judged on: {judged_on})"],
    }


def judged(name: str, good: bool, expected: str, actual: str, reason: str = "", **figures: Any) -> dict[str, Any]:
    """Return a criterion that could be judged, as plain values."""
    return {
        "name": name,
        "state": "met" if good else "failed",
        "expected": expected,
        "actual": actual,
        "reason": reason or ("holds" if good else "does not hold"),
        "value": None,
        "low": None,
        "high": None,
        "threshold": None,
        "unit": "",
        "n": 0,
        "n_effective": 0.0,
        **{key: _finite(value) for key, value in figures.items()},
    }


def met(name: str, expected: str, actual: str, reason: str) -> dict[str, Any]:
    """Return a criterion that is met."""
    return judged(name, True, expected, actual, reason)


def failed(name: str, expected: str, actual: str, reason: str) -> dict[str, Any]:
    """Return a criterion that is not met."""
    return judged(name, False, expected, actual, reason)


def unknown(name: str, expected: str, reason: str) -> dict[str, Any]:
    """Return a criterion that could not be judged."""
    return {**judged(name, False, expected, "could not be judged", reason), "state": "unknown"}


def with_figures(
    item: Mapping[str, Any], sample: Mapping[str, Any], name: str, threshold: float, unit: str
) -> dict[str, Any]:
    """Return a criterion with the figures it was judged by."""
    return {
        **item,
        "value": sample[name],
        "low": sample.get(f"{name}_low"),
        "high": sample.get(f"{name}_high"),
        "threshold": threshold,
        "unit": unit,
        "n": sample["n"],
        "n_effective": sample["n_effective"],
    }


def _finite(value: Any) -> Any:
    """Return the value, None in place of a number that is none: recorded values are plain JSON."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
