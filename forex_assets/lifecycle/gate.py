"""Whether a candidate may be deployed, from a period no search has seen.

Measuring and deciding are apart: :func:`measure` turns paired losses into figures with intervals, :func:`decide_gate`
holds them against the policy. Only the figures are recorded, and the decision is recomputed from them.

The improvement is tested on loss differentials of the same targets (Diebold and Mariano, 1995) with a variance that
allows for overlapping tenors; opening the gate is paid for: the level falls with every opening of a year (alpha
spending). Calibration is compared two-sided and per tail, latency by warm medians and an absolute budget, bias in the
forecast's own sigma. From ``pool_from_horizon_days`` on, and for the first version ever, all pairs of the panel judge.

The classic criteria (A14 to A19) are kept exactly, as profile ``classic``: one window of 30 days, the one the search
ranked on. Such a gate approves only when it is forced (K06).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forex_assets.errors import DataError
from forex_assets.evaluation.ability import diebold_mariano
from forex_assets.evaluation.inference import (
    Dates,
    Floats,
    effective_n,
    mean_interval,
    origin_spacing,
    ratio_intervals,
    share_interval,
)
from forex_assets.lifecycle.reports import Criterion
from forex_assets.lifecycle.search.objective import Losses, paired

FUNCTION = "gate/1"
CLASSIC_FUNCTION = "gate-classic/1"
CLASSIC_MIN_RMSE_GAIN = 0.05
CLASSIC_MIN_MAPE_GAIN = 0.03
CLASSIC_MAX_STD_RATIO = 1.10
CLASSIC_MAX_TIME_RATIO = 1.50
CLASSIC_MIN_COVERAGE = 0.90
CLASSIC_MAX_BIAS = 5.0
MAX_INTERVAL_SCORE_RATIO = 1.01

Pairing = tuple[str, Losses, Losses]


def measure(pairings: Sequence[Pairing]) -> dict[str, Any]:
    """Return how a candidate compares with the incumbent on the targets both have, all pairs of a date together.

    Parameters
    ----------
    pairings:
        Pair id, losses of the candidate, losses of the incumbent. Losses of each pair count relative to the
        incumbent's mean, so that no pair weighs more for being wilder.

    Returns
    -------
    dict
        Plain values: ``n``, ``n_effective``, ``pairs``; ``improvement`` (share of the incumbent's CRPS, with ``_low``
        and ``_high``) and ``p_better``, ``p_worse`` (one-sided); ``interval_score_ratio`` with ends; for each of
        ``coverage_80``, ``coverage_95``, ``tail_low``, ``tail_high`` the candidate's share with ends and the
        incumbent's; ``loss_spread_ratio``; ``bias_sigma`` with ends and the incumbent's.

    Raises
    ------
    DataError
        When the two share no matured target.
    """
    both = [(mine, theirs) for mine, theirs in (_both(*pairing[1:]) for pairing in pairings) if len(mine)]
    if not both:
        raise DataError(
            "Candidate and incumbent share no matured target in the gate's period.",
            remedy="use a longer history, or a longer optimization.gate.period_days.",
        )
    scaled = [1.0 / theirs.crps.mean() for _, theirs in both]
    scaled_is = [1.0 / theirs.interval_score.mean() for _, theirs in both]
    dates = np.concatenate([mine.origins for mine, _ in both])
    steps = max(mine.steps for mine, _ in both)

    def stack(name: str, who: int, scale: Sequence[float] | None = None) -> Floats:
        parts = [getattr(item[who], name) * (1.0 if scale is None else scale[i]) for i, item in enumerate(both)]
        return np.asarray(np.concatenate(parts), dtype=np.float64)

    mine, theirs = stack("crps", 0, scaled), stack("crps", 1, scaled)
    mine_is, theirs_is = stack("interval_score", 0, scaled_is), stack("interval_score", 1, scaled_is)
    days, per_day = _by_day(dates, np.stack([mine, theirs], axis=1))
    test = diebold_mariano(per_day[:, 0], per_day[:, 1], days, steps)
    ratios = ratio_intervals(np.stack([mine, mine_is], 1), np.stack([theirs, theirs_is], 1), dates, steps)
    overlap = max(1.0, steps / origin_spacing(days))
    out: dict[str, Any] = {
        "pairs": len(both),
        "n": len(mine),
        "n_effective": float(effective_n(len(days), overlap)),
        "steps": int(steps),
        "first_origin": str(days[0]),
        "last_origin": str(days[-1]),
        "crps": float(np.mean(mine)),
        "improvement": 1.0 - ratios[0].value,
        "improvement_low": 1.0 - ratios[0].high,
        "improvement_high": 1.0 - ratios[0].low,
        "p_better": _one_sided(test.statistic, test.p_value, better=True),
        "p_worse": _one_sided(test.statistic, test.p_value, better=False),
        "interval_score_ratio": ratios[1].value,
        "interval_score_ratio_low": ratios[1].low,
        "interval_score_ratio_high": ratios[1].high,
        "loss_spread_ratio": float(np.quantile(mine, 0.95) / np.quantile(theirs, 0.95)),
    }
    for name, column in (
        ("coverage_80", "covered_80"),
        ("coverage_95", "covered_95"),
        ("tail_low", "below_95"),
        ("tail_high", "above_95"),
    ):
        hits = stack(column, 0)
        share = share_interval(hits, float(steps), dates)
        out |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
        out[f"{name}_incumbent"] = float(stack(column, 1).mean())
    bias = mean_interval(stack("error_sigma", 0), dates, float(steps))
    out |= {"bias_sigma": bias.value, "bias_sigma_low": bias.low, "bias_sigma_high": bias.high}
    out["bias_sigma_incumbent"] = float(stack("error_sigma", 1).mean())
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in out.items()
    }


def decide_gate(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether the candidate may be deployed, with every criterion.

    Parameters
    ----------
    known:
        ``own`` and ``panel`` (:func:`measure`; ``panel`` None when it was not asked), ``horizon_days``, ``opening``
        (1 for the first of the year), ``first`` (nothing was ever deployed for the subject), ``latency_s`` of
        ``candidate`` and ``incumbent``; ``version`` and ``against``, the hashes of both.
    policy:
        The ``optimization.gate`` settings.

    Returns
    -------
    dict
        ``approved``, ``criteria`` (plain values of :class:`Criterion`), ``metrics``, ``reasons``, ``judged_on``.
    """
    pooled = known["horizon_days"] >= policy["pool_from_horizon_days"] or known["first"]
    sample = known["panel"] if pooled else known["own"]
    judged_on = "panel" if pooled else "own"
    if pooled and sample is None:
        missing = _unknown("panel", "a panel of pairs", "the panel could not be evaluated, and one pair cannot decide")
        return _outcome([missing], known, judged_on)
    alphas = policy["alpha_by_opening"]
    opening = known["opening"]
    if opening > len(alphas):
        spent = _failed(
            "openings", f"at most {len(alphas)} a year", f"{opening}", "the level of this year is spent on earlier ones"
        )
        return _outcome([spent], known, judged_on)
    criteria = [_improvement(sample, alphas[opening - 1], policy)]
    if pooled:
        criteria.append(_not_worse_here(known["own"]))
    criteria.append(_interval_score(sample, known["first"]))
    for name, nominal, tolerance in (
        ("coverage_80", 0.80, policy["coverage_80_tolerance_share"]),
        ("coverage_95", 0.95, policy["coverage_95_tolerance_share"]),
        ("tail_low", 0.025, policy["tail_tolerance_share"]),
        ("tail_high", 0.025, policy["tail_tolerance_share"]),
    ):
        criteria.append(_calibration(sample, name, nominal, tolerance))
    criteria += [_stability(sample, policy), _bias(sample, policy), _latency(known["latency_s"], policy)]
    return _outcome(criteria, known, judged_on)


def measure_classic(candidate: Losses, incumbent: Losses | None, latency_s: Mapping[str, float]) -> dict[str, Any]:
    """Return the figures of A14 to A18 on the losses of one window, plain values."""

    def of(losses: Losses) -> dict[str, float]:
        return {
            "rmse": float(np.sqrt((losses.error**2).mean())),
            "mape": float(100.0 * np.abs(losses.error / losses.actual).mean()),
            "std": float(losses.error.std(ddof=1)) if len(losses) > 1 else 0.0,
            "coverage": float(losses.covered_95.mean()),
            "bias": float(losses.error.mean()),
            "n": float(len(losses)),
        }

    return {
        "candidate": of(candidate) if len(candidate) else None,
        "incumbent": of(incumbent) if incumbent is not None and len(incumbent) else None,
        "has_incumbent": incumbent is not None,
        "latency_s": dict(latency_s),
    }


def decide_gate_classic(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the classic rule says (A14 to A19), and refuse it for production unless ``known['forced']`` (K06)."""
    del policy
    mine, theirs = known["candidate"], known["incumbent"]
    scheme = (
        _met("validation_scheme", "more than one window, or forced", "forced", "forced by hand")
        if known["forced"]
        else _failed(
            "validation_scheme",
            "more than one window, or forced",
            "one window, the one the search ranked on",
            "with 27 configurations the best looks 5% better in five of six cases although nothing is",
        )
    )
    if mine is None:
        failed = _failed("backtest", "a backtest of the candidate", "none", "the backtest failed")
        return _outcome([failed], known, "classic")
    if not known["has_incumbent"]:
        first = _met("first", "none in use", "none in use", "approved without a comparison (A19)")
        return _outcome([first, scheme], known, "classic")
    if theirs is None:
        failed = _failed("backtest", "a backtest of the version in use", "none", "the backtest failed")
        return _outcome([failed], known, "classic")
    rmse_gain = 1.0 - mine["rmse"] / theirs["rmse"]
    mape_gain = 1.0 - mine["mape"] / theirs["mape"]
    std_ratio = mine["std"] / theirs["std"] if theirs["std"] > 0 else math.inf
    time_ratio = known["latency_s"]["candidate"] / max(known["latency_s"]["incumbent"], 1e-9)
    n = int(mine["n"])

    def judged(name: str, good: bool, expected: str, actual: str, value: float, threshold: float, unit: str) -> Any:
        return _judged(name, good, expected, actual, value=value, threshold=threshold, unit=unit, n=n)

    coverage, bias = mine["coverage"], mine["bias"]
    criteria = [
        judged(
            "improvement",
            rmse_gain >= CLASSIC_MIN_RMSE_GAIN or mape_gain >= CLASSIC_MIN_MAPE_GAIN,
            "RMSE at least 5% or MAPE at least 3% better",
            f"RMSE {rmse_gain:+.1%}, MAPE {mape_gain:+.1%}",
            rmse_gain,
            CLASSIC_MIN_RMSE_GAIN,
            "share",
        ),
        judged(
            "stability",
            std_ratio <= CLASSIC_MAX_STD_RATIO,
            "std ratio at most 1.10",
            f"{std_ratio:.3f}",
            std_ratio,
            CLASSIC_MAX_STD_RATIO,
            "ratio",
        ),
        judged(
            "latency",
            time_ratio <= CLASSIC_MAX_TIME_RATIO,
            "time ratio at most 1.50",
            f"{time_ratio:.2f}",
            time_ratio,
            CLASSIC_MAX_TIME_RATIO,
            "ratio",
        ),
        judged(
            "coverage",
            coverage >= CLASSIC_MIN_COVERAGE,
            "95% coverage at least 0.90",
            f"{coverage:.3f}",
            coverage,
            CLASSIC_MIN_COVERAGE,
            "share",
        ),
        judged(
            "bias",
            abs(bias) < CLASSIC_MAX_BIAS,
            "absolute mean error below 5.0",
            f"{bias:+.3f}",
            bias,
            CLASSIC_MAX_BIAS,
            "quote per base",
        ),
        scheme,
    ]
    return _outcome(criteria, known, "classic")


def criteria_of(outcome: Mapping[str, Any]) -> tuple[Criterion, ...]:
    """Return the criteria of a decision as they go into a report."""
    figures = ("value", "low", "high", "threshold")
    return tuple(
        Criterion(**{**item, **{name: math.nan if item[name] is None else item[name] for name in figures}})
        for item in outcome["criteria"]
    )


# ---- criteria --------------------------------------------------------------------------------------------------


def _improvement(sample: Mapping[str, Any], alpha: float, policy: Mapping[str, Any]) -> dict[str, Any]:
    wanted = policy["min_improvement_share"]
    expected = f"CRPS lower by at least {wanted:.1%}, one-sided p at most {alpha:g}"
    enough = sample["n_effective"] >= policy["min_effective_n"]
    if not enough or sample["p_better"] is None:
        why = (
            "the losses cannot be told apart"
            if enough
            else f"{sample['n_effective']:.1f} independent targets, {policy['min_effective_n']:g} are needed"
        )
        return _with_figures(_unknown("improvement", expected, why), sample, "improvement", wanted, "share")
    good = sample["improvement"] >= wanted and sample["p_better"] <= alpha
    actual = f"{sample['improvement']:+.2%} (p = {sample['p_better']:.3f})"
    why = "better beyond noise" if good else "not better beyond what chance gives"
    return _with_figures(_judged("improvement", good, expected, actual, why), sample, "improvement", wanted, "share")


def _not_worse_here(own: Mapping[str, Any]) -> dict[str, Any]:
    expected = "on this pair alone not worse beyond noise (one-sided p above 0.05)"
    if own["p_worse"] is None:
        gain = own["improvement"]
        good = gain is not None and gain >= -0.05
        actual = "too few targets for a test" if gain is None else f"{gain:+.2%}, too few targets for a test"
        return _with_figures(_judged("own_pair", good, expected, actual), own, "improvement", 0.0, "share")
    actual = f"{own['improvement']:+.2%} (p worse = {own['p_worse']:.3f})"
    return _with_figures(_judged("own_pair", own["p_worse"] > 0.05, expected, actual), own, "improvement", 0.0, "share")


def _interval_score(sample: Mapping[str, Any], first: bool) -> dict[str, Any]:
    """Judge the 95% interval score: a first version must be better, a later one not worse beyond noise."""
    ratio, low = sample["interval_score_ratio"], sample["interval_score_ratio_low"]
    if first:
        good, expected = ratio < 1.0, "95% interval score below the incumbent's"
    else:
        good = ratio <= MAX_INTERVAL_SCORE_RATIO or (low is not None and low <= 1.0)
        expected = f"95% interval score at most {MAX_INTERVAL_SCORE_RATIO:g} of the incumbent's, or not told from it"
    item = _judged("interval_score", good, expected, f"{ratio:.4f}")
    return _with_figures(item, sample, "interval_score_ratio", 1.0 if first else MAX_INTERVAL_SCORE_RATIO, "ratio")


def _calibration(sample: Mapping[str, Any], name: str, nominal: float, tolerance: float) -> dict[str, Any]:
    mine, theirs = abs(sample[name] - nominal), abs(sample[f"{name}_incumbent"] - nominal)
    expected = f"distance from {nominal:.1%} at most {tolerance:.1%} above the incumbent's {theirs:.1%}"
    actual = f"{sample[name]:.1%}, distance {mine:.1%}"
    item = _judged(name, mine <= theirs + tolerance, expected, actual)
    return _with_figures(item, sample, name, nominal, "share")


def _stability(sample: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    ratio, limit = sample["loss_spread_ratio"], policy["max_loss_spread_ratio"]
    item = _judged(
        "stability", ratio <= limit, f"95th percentile of losses over the incumbent's at most {limit:g}", f"{ratio:.3f}"
    )
    return _with_figures(item, sample, "loss_spread_ratio", limit, "ratio")


def _bias(sample: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    value, low, high = sample["bias_sigma"], sample["bias_sigma_low"], sample["bias_sigma_high"]
    limit = policy["max_bias_sigma"]
    inside = low is None or (low <= 0.0 <= high)
    no_worse = abs(value) <= abs(sample["bias_sigma_incumbent"])
    ends = "no interval" if low is None else f"[{low:+.2f}, {high:+.2f}]"
    item = _judged(
        "bias",
        abs(value) <= limit or inside or no_worse,
        f"mean error within {limit:g} sigma, or not told from 0, or no larger than the incumbent's",
        f"{value:+.3f} {ends}",
    )
    return _with_figures(item, sample, "bias_sigma", limit, "sigma")


def _latency(latency: Mapping[str, float], policy: Mapping[str, Any]) -> dict[str, Any]:
    mine, theirs = latency["candidate"], latency["incumbent"]
    ratio = mine / max(theirs, 1e-9)
    good = mine <= policy["max_latency_s"] or ratio <= policy["max_latency_ratio"]
    item = _judged(
        "latency",
        good,
        f"one daily forecast within {policy['max_latency_s']:g} s warm, or {policy['max_latency_ratio']:g} times the "
        "incumbent's",
        f"{mine:.3f} s, {ratio:.2f} times",
    )
    return {**item, "value": mine, "threshold": policy["max_latency_s"], "unit": "s"}


# ---- plumbing --------------------------------------------------------------------------------------------------


def _outcome(criteria: Sequence[Mapping[str, Any]], known: Mapping[str, Any], judged_on: str) -> dict[str, Any]:
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


def _judged(name: str, good: bool, expected: str, actual: str, reason: str = "", **figures: Any) -> dict[str, Any]:
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


def _met(name: str, expected: str, actual: str, reason: str) -> dict[str, Any]:
    return _judged(name, True, expected, actual, reason)


def _failed(name: str, expected: str, actual: str, reason: str) -> dict[str, Any]:
    return _judged(name, False, expected, actual, reason)


def _unknown(name: str, expected: str, reason: str) -> dict[str, Any]:
    return {**_judged(name, False, expected, "could not be judged", reason), "state": "unknown"}


def _with_figures(
    item: Mapping[str, Any], sample: Mapping[str, Any], name: str, threshold: float, unit: str
) -> dict[str, Any]:
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


def _by_day(dates: Dates, values: Floats) -> tuple[Dates, Floats]:
    """Return the days in order and the mean of each column over the rows of a day."""
    days, place, counts = np.unique(dates, return_inverse=True, return_counts=True)
    sums = np.zeros((len(days), values.shape[1]))
    np.add.at(sums, place, values)
    return days, sums / counts[:, None]


def _finite(value: Any) -> Any:
    """Return the value, None in place of a number that is none: recorded values are plain JSON."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _both(mine: Losses, theirs: Losses) -> tuple[Losses, Losses]:
    first, second = paired([mine, theirs])
    return first, second


def _one_sided(statistic: float, p_value: float, *, better: bool) -> float:
    if math.isnan(p_value):
        return math.nan
    agrees = statistic < 0 if better else statistic > 0
    return p_value / 2.0 if agrees else 1.0 - p_value / 2.0
