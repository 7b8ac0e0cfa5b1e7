"""How often probation takes back a version that is worse, one that is as good, and how long either takes.

    python benchmarks/bench_probation.py [--worlds 400] [--out benchmarks/results/probation.json]

Planted worlds: outcomes are sums of Student t(5) daily moves over the tenor, of 21 pairs that share 35% of their
variance; a forecast each business day. Both versions forecast the true distribution around a slowly moving error of
their own (half-life 20 days), as in ``forex optimize simulate``; the new one's is larger, so that its CRPS is worse by
a known share, or its width is off. The evidence is looked at after each matured target, for the days of the policy.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forex_assets.evaluation.inference import clopper_pearson
from forex_assets.lifecycle.evidence import BETS, t_evidence
from forex_assets.lifecycle.probation import PANEL_WEIGHTS, WEIGHTS, decide_statistical
from forex_assets.lifecycle.simulate import BASE_BLUR, BLUR_HALF_LIFE_DAYS, FACTOR_SHARE, STEPS
from forex_assets.settings import load_settings

Floats = NDArray[np.float64]
PAIRS = 21
Z95 = 1.959964


@dataclass(frozen=True)
class Planted:
    """What is wrong with the new version: its CRPS by a share, its width and that of the one before it by factors."""

    name: str
    worse: float = 0.0
    width: float = 1.0
    width_before: float = 1.0


CASES = (
    Planted("as good"),
    Planted("as good: too wide for too narrow", width=1.15, width_before=0.86),
    Planted("as good: too narrow for too wide", width=0.86, width_before=1.15),
    Planted("10% better", worse=-0.10 / 1.10),
    Planted("width x 1.15", width=1.15),
    Planted("width x 0.9", width=0.9),
    Planted("10% worse", worse=0.10),
    Planted("20% worse", worse=0.20),
    Planted("40% worse", worse=0.40),
    Planted("half the width", width=0.5),
    Planted("twice the width", width=2.0),
)


def crps(z: Floats, scale: float) -> Floats:
    """Return the CRPS of a normal forecast at standardised errors."""
    from scipy.special import ndtr

    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(scale * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi)))


def simulate(case: Planted, horizon: int, worlds: int, days: int, seed: int) -> tuple[Floats, Floats, Floats, int]:
    """Return CRPS of the new version and of the one before it, and extra misses, each (worlds, pairs, targets)."""
    from scipy.signal import lfilter

    steps = STEPS[horizon]
    n = max(int((days - horizon) * 5 / 7), 1)
    rng = np.random.default_rng([seed, horizon])
    shape = (worlds, PAIRS, n + steps)
    shared = rng.standard_t(5, (worlds, 1, n + steps))
    moves = math.sqrt(FACTOR_SHARE) * shared + math.sqrt(1 - FACTOR_SHARE) * rng.standard_t(5, shape)
    total = np.concatenate([np.zeros((worlds, PAIRS, 1)), np.cumsum(moves / math.sqrt(5 / 3), -1)], -1)
    outcome = (total[..., steps : n + steps] - total[..., :n]) / math.sqrt(steps)
    decay = 0.5 ** (1.0 / BLUR_HALF_LIFE_DAYS)

    def errors(blur: float, width: float) -> tuple[Floats, float]:
        shocks = rng.standard_normal(outcome.shape) * math.sqrt(1 - decay**2)
        shocks[..., 0] /= math.sqrt(1 - decay**2)
        mean = math.sqrt(blur) * lfilter([1.0], [1.0, -decay], shocks, axis=-1)
        scale = math.sqrt(1 + blur) * width
        return (outcome - mean) / scale, scale

    # A version that is better replaces one whose own error is larger.
    worst = (1 + BASE_BLUR) * (1 + abs(case.worse) / (1 + min(case.worse, 0.0))) ** 2 - 1
    z_new, scale_new = errors(worst if case.worse > 0 else BASE_BLUR, case.width)
    z_old, scale_old = errors(worst if case.worse < 0 else BASE_BLUR, case.width_before)
    missed = (np.abs(z_new) > Z95).astype(float) - (np.abs(z_old) > Z95)
    return crps(z_new, scale_new), crps(z_old, scale_old), missed, steps


def t_path(values: Floats, overlap: int) -> Floats:
    """Return the t-evidence after every target, shape (worlds, n)."""
    worlds, n = values.shape
    sums, squares, now = np.zeros((worlds, overlap)), np.zeros((worlds, overlap)), np.ones((worlds, overlap))
    out = np.empty((worlds, n))
    for i in range(n):
        place, count = i % overlap, np.full(worlds, i // overlap + 1)
        sums[:, place] += values[:, i]
        squares[:, place] += values[:, i] ** 2
        now[:, place] = t_evidence(sums[:, place], squares[:, place], count)
        out[:, i] = now.mean(axis=1)
    return out


def bounded_path(values: Floats, bound: float, overlap: int) -> Floats:
    """Return the evidence of bounded bets after every target, shape (worlds, n)."""
    worlds, n = values.shape
    sums, out = np.zeros((worlds, overlap, len(BETS))), np.empty((worlds, n))
    for i in range(n):
        sums[:, i % overlap] += np.log1p(np.outer((values[:, i] - bound) / (1 + bound), BETS))
        out[:, i] = np.exp(sums).mean(axis=(1, 2))
    return out


def judge(case: Planted, horizon: int, worlds: int, policy: dict[str, Any], *, pooled: bool) -> dict[str, Any]:
    """Return how often a planted version is rolled back or passed early, and after how many days."""
    days, tolerated, misses = policy["max_days"], policy["tolerated_loss_share"], policy["tolerated_misses_share"]
    new, old, missed, steps = simulate(case, horizon, worlds, days, seed=20250613)
    # The product scales by the mean over all matured targets so far; over all of them is the same to a few percent.
    excess = (new - old) / old.mean(axis=-1, keepdims=True)
    own, own_missed = excess[:, 0], missed[:, 0]
    harm = [t_path(own, steps), bounded_path(own_missed, misses, steps)]
    judged, judged_missed = own, own_missed
    if pooled:
        judged, judged_missed = excess[:, 1:].mean(axis=1), missed[:, 1:].mean(axis=1)
        harm += [t_path(judged, steps), t_path(judged_missed - misses, steps)]
    calm = np.cumsum(judged_missed, axis=1) / np.arange(1, judged.shape[1] + 1) <= misses
    fine = np.where(calm, t_path(tolerated - judged, steps), 0.0)
    weights = PANEL_WEIGHTS if pooled else WEIGHTS
    worse = np.asarray(sum(weight * item for weight, item in zip(weights, harm, strict=True)))
    first = policy["min_targets"] - 1
    back = _first(worse[:, first:] >= 1 / policy["alpha"])
    early = _first(fine[:, first:] >= 1 / policy["alpha"])
    rolled, passed = back < np.minimum(early + 1, math.inf), early < back
    low, high = clopper_pearson(float(rolled.mean()), worlds)
    at = (back[rolled] + first) * 7 / 5 + horizon
    _check_the_product(new, old, missed, steps, policy, worse, horizon, pooled=pooled)
    return {
        "horizon": f"{horizon}d",
        "planted": case.name,
        "crps_ratio": float(new.mean() / old.mean()),
        "missed_more": float(missed.mean()),
        "judged_on": "panel" if pooled else "one pair",
        "rolled_back": float(rolled.mean()),
        "low": float(low),
        "high": float(high),
        "median_days": float(np.median(at)) if rolled.any() else None,
        "passed_early": float(passed.mean()),
        "targets": new.shape[-1],
        "worlds": worlds,
    }


def _first(hits: NDArray[np.bool_]) -> Floats:
    """Return the first place of True in each row; infinite without any."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1), math.inf)


def _check_the_product(
    new: Floats,
    old: Floats,
    missed: Floats,
    steps: int,
    policy: dict[str, Any],
    worse: Floats,
    horizon: int,
    *,
    pooled: bool,
) -> None:
    """Stop when the platform's own decision on the last day of the first world holds other evidence."""
    n = new.shape[-1]
    extra = missed[0, 0]
    rows = [[str(i), new[0, 0, i], old[0, 0, i], extra[i] > 0, extra[i] < 0] for i in range(n)]
    usual = old[0].mean(axis=-1, keepdims=True)
    gaps = ((new[0] - old[0]) / usual)[1:].mean(axis=0)
    panel = [[str(i), PAIRS - 1, gaps[i], missed[0, 1:, i].mean()] for i in range(n)] if pooled else []
    known = {"losses": rows, "overlap": steps, "days": 0, "maturity_days": horizon}
    made = decide_statistical({**known, "panel": panel, "panel_overlap": steps}, policy)
    if not math.isclose(made["evidence_worse"], worse[0, -1], rel_tol=1e-6):
        raise SystemExit(f"the platform's evidence is {made['evidence_worse']}, the simulation's {worse[0, -1]}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "probation.json")
    options = parser.parse_args()
    settings = load_settings(environ={"FOREX_OFFLINE": "1"})
    policy = settings.deployment.probation.statistical.model_dump(mode="json")
    pool_from = settings.optimization.gate.pool_from_horizon_days
    rows = []
    print(f"{'':>4} {'planted':32} {'CRPS':>5} {'judged on':>9} {'rolled back':>21} {'days':>5} {'passed early':>12}")
    for horizon in STEPS:
        for case in CASES:
            row = judge(case, horizon, options.worlds, policy, pooled=horizon >= pool_from)
            rows.append(row)
            days = "" if row["median_days"] is None else f"{row['median_days']:.0f}"
            rate = f"{row['rolled_back']:6.1%} [{row['low']:.1%}, {row['high']:.1%}]"
            head = f"{row['horizon']:>4} {case.name:32} {row['crps_ratio']:5.2f} {row['judged_on']:>9}"
            print(f"{head} {rate:>21} {days:>5} {row['passed_early']:12.1%}", flush=True)
    options.out.write_text(json.dumps({"policy": policy, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
