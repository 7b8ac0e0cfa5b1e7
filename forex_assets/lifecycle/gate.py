"""Whether a candidate may be deployed, from a period no search has seen.

Measuring and deciding are apart: :func:`measure` turns paired losses into figures with intervals, :func:`decide_gate`
holds them against the policy. Only the figures are recorded, and the decision is recomputed from them.

The improvement is tested on loss differentials of the same targets (Diebold and Mariano, 1995) with a variance that
allows for overlapping tenors; opening the gate is paid for: the level falls with every opening of a year (alpha
spending). Calibration is compared two-sided and per tail, latency by warm medians and an absolute budget, bias in the
forecast's own sigma. From ``pool_from_horizon_days`` on, and for the first version ever, all pairs of the panel judge.

The classic criteria (A14 to A19) are kept in :mod:`forex_assets.lifecycle.gate_classic`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError
from forex_assets.evaluation.ability import diebold_mariano
from forex_assets.evaluation.inference import mean_interval, ratio_intervals, share_interval
from forex_assets.evaluation.overlap import effective_n, origin_spacing
from forex_assets.lifecycle import criteria
from forex_assets.lifecycle.search.objective import Losses, paired

FUNCTION = "gate/1"
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
        ``candidate`` and ``incumbent``; ``version`` and ``against``, the hashes of both; ``seen``, the engine of a
        search that ranked on days of the gate's period, then ``forced`` says whether a person lets it through.
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
        missing = criteria.unknown(
            "panel", "a panel of pairs", "the panel could not be evaluated, and one pair cannot decide"
        )
        return criteria.outcome([missing], known, judged_on)
    alphas = policy["alpha_by_opening"]
    opening = known["opening"]
    if opening > len(alphas):
        spent = criteria.failed(
            "openings", f"at most {len(alphas)} a year", f"{opening}", "the level of this year is spent on earlier ones"
        )
        return criteria.outcome([spent], known, judged_on)
    found = [] if known.get("seen") is None else [_seen(known["seen"], known.get("forced", False))]
    found.append(criteria.improvement(sample, alphas[opening - 1], policy))
    if pooled:
        found.append(_not_worse_here(known["own"]))
    found.append(_interval_score(sample, known["first"]))
    for name, nominal, tolerance in (
        ("coverage_80", 0.80, policy["coverage_80_tolerance_share"]),
        ("coverage_95", 0.95, policy["coverage_95_tolerance_share"]),
        ("tail_low", 0.025, policy["tail_tolerance_share"]),
        ("tail_high", 0.025, policy["tail_tolerance_share"]),
    ):
        found.append(_calibration(sample, name, nominal, tolerance))
    found += [
        criteria.stability(sample, policy),
        _bias(sample, policy),
        criteria.latency(known["latency_s"], policy),
    ]
    return criteria.outcome(found, known, judged_on)


# ---- criteria --------------------------------------------------------------------------------------------------


def _seen(engine: str, forced: bool) -> dict[str, Any]:
    """Judge a candidate whose search ranked on days of the gate's own period: only a person may let it through."""
    expected, actual = (
        "a search that has not seen the gate's period, or forced",
        f"{engine}: ranked on the last 30 days",
    )
    why = "the best of 27 on one window looks better in five of six cases although nothing is"
    if forced:
        return criteria.met("unseen_period", expected, f"{actual}; forced by hand", "forced by hand")
    return criteria.failed("unseen_period", expected, actual, why)


def _not_worse_here(own: Mapping[str, Any]) -> dict[str, Any]:
    expected = "on this pair alone not worse beyond noise (one-sided p above 0.05)"
    if own["p_worse"] is None:
        gain = own["improvement"]
        good = gain is not None and gain >= -0.05
        actual = "too few targets for a test" if gain is None else f"{gain:+.2%}, too few targets for a test"
        return criteria.with_figures(
            criteria.judged("own_pair", good, expected, actual), own, "improvement", 0.0, "share"
        )
    actual = f"{own['improvement']:+.2%} (p worse = {own['p_worse']:.3f})"
    return criteria.with_figures(
        criteria.judged("own_pair", own["p_worse"] > 0.05, expected, actual), own, "improvement", 0.0, "share"
    )


def _interval_score(sample: Mapping[str, Any], first: bool) -> dict[str, Any]:
    """Judge the 95% interval score: a first version must be better, a later one not worse beyond noise."""
    ratio, low = sample["interval_score_ratio"], sample["interval_score_ratio_low"]
    if first:
        good, expected = ratio < 1.0, "95% interval score below the incumbent's"
    else:
        good = ratio <= MAX_INTERVAL_SCORE_RATIO or (low is not None and low <= 1.0)
        expected = f"95% interval score at most {MAX_INTERVAL_SCORE_RATIO:g} of the incumbent's, or not told from it"
    item = criteria.judged("interval_score", good, expected, f"{ratio:.4f}")
    return criteria.with_figures(
        item, sample, "interval_score_ratio", 1.0 if first else MAX_INTERVAL_SCORE_RATIO, "ratio"
    )


def _calibration(sample: Mapping[str, Any], name: str, nominal: float, tolerance: float) -> dict[str, Any]:
    mine, theirs = abs(sample[name] - nominal), abs(sample[f"{name}_incumbent"] - nominal)
    expected = f"distance from {nominal:.1%} at most {tolerance:.1%} above the incumbent's {theirs:.1%}"
    actual = f"{sample[name]:.1%}, distance {mine:.1%}"
    item = criteria.judged(name, mine <= theirs + tolerance, expected, actual)
    return criteria.with_figures(item, sample, name, nominal, "share")


def _bias(sample: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    value, low, high = sample["bias_sigma"], sample["bias_sigma_low"], sample["bias_sigma_high"]
    limit = policy["max_bias_sigma"]
    inside = low is None or (low <= 0.0 <= high)
    no_worse = abs(value) <= abs(sample["bias_sigma_incumbent"])
    ends = "no interval" if low is None else f"[{low:+.2f}, {high:+.2f}]"
    item = criteria.judged(
        "bias",
        abs(value) <= limit or inside or no_worse,
        f"mean error within {limit:g} sigma, or not told from 0, or no larger than the incumbent's",
        f"{value:+.3f} {ends}",
    )
    return criteria.with_figures(item, sample, "bias_sigma", limit, "sigma")


# ---- plumbing --------------------------------------------------------------------------------------------------


def _by_day(dates: Dates, values: Floats) -> tuple[Dates, Floats]:
    """Return the days in order and the mean of each column over the rows of a day."""
    days, place, counts = np.unique(dates, return_inverse=True, return_counts=True)
    sums = np.zeros((len(days), values.shape[1]))
    np.add.at(sums, place, values)
    return days, sums / counts[:, None]


def _both(mine: Losses, theirs: Losses) -> tuple[Losses, Losses]:
    first, second = paired([mine, theirs])
    return first, second


def _one_sided(statistic: float, p_value: float, *, better: bool) -> float:
    if math.isnan(p_value):
        return math.nan
    agrees = statistic < 0 if better else statistic > 0
    return p_value / 2.0 if agrees else 1.0 - p_value / 2.0
