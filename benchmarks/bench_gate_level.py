r"""How often the gate promotes at which level: the levels of `alpha_by_opening` are chosen from this table.

    python benchmarks/bench_gate_level.py [--worlds 1000] [--better-worlds 200] \
        [--out benchmarks/results/gate_level.json]

The worlds of ``forex optimize simulate`` (real search, real gate): a world with nothing to find, and one in which every
challenger is 10% better, for each tenor. Both openings of a world are judged, whatever the first one says, and the
p-value of each is kept, so that one run shows every level.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from forex_assets.evaluation.inference import clopper_pearson
from forex_assets.lifecycle import gate
from forex_assets.lifecycle.simulate import SECOND_OPENING_DAYS, STEPS, _World
from forex_assets.settings import load_settings
from forex_assets.settings.optimization import OptimizationSettings

LEVELS = (0.02, 0.025, 0.03, 0.035, 0.04, 0.05)
SEED = 20250613
NEVER = 2.0


def openings(settings: OptimizationSettings, days: int, share: float, worlds: int) -> list[tuple[int, float]]:
    """Return world and p-value of every opening; a p-value above 1 where another criterion says no."""
    seen: dict[str, Any] = {}
    decide = gate.decide_gate

    def watched(known: Any, policy: Any) -> dict[str, Any]:
        outcome = decide(known, {**policy, "alpha_by_opening": [1.0] * len(policy["alpha_by_opening"])})
        sample = known["own"] if known["panel"] is None else known["panel"]
        seen["p"] = sample["p_better"] if outcome["approved"] else NEVER
        return outcome

    found = []
    gate.decide_gate = watched
    try:
        for number in range(worlds):
            world = _World(settings, days, share, np.random.default_rng([SEED, days, number]))
            for opening, shift in enumerate((0, SECOND_OPENING_DAYS), start=1):
                winner = world.search(shift)
                if winner is not None:
                    world.judge(winner, shift, opening)
                    found.append((number, float(seen["p"])))
    finally:
        gate.decide_gate = decide
    return found


def rows_of(name: str, share: float, worlds: int, found: list[tuple[int, float]]) -> list[dict[str, Any]]:
    """Return one row per level: promotions per opening, and worlds promoted within two, each with its 95% interval."""
    rows = []
    for level in LEVELS:
        hits = [world for world, p in found if p <= level]
        row: dict[str, Any] = {"horizon": name, "improvement": share, "level": level, "worlds": worlds}
        for key, count, n in (("per_opening", len(hits), len(found)), ("within_two", len(set(hits)), worlds)):
            low, high = clopper_pearson(count / n, n) if n else (0.0, 1.0)
            row[key] = {"share": count / n if n else 0.0, "low": float(low), "high": float(high), "n": n}
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=1000, help="worlds with nothing to find, per tenor")
    parser.add_argument("--better-worlds", type=int, default=200, help="worlds with something 10%% better, per tenor")
    parser.add_argument("--horizons", default=",".join(map(str, STEPS)), help="tenors in days, comma-separated")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gate_level.json")
    options = parser.parse_args()
    settings = load_settings(environ={"FOREX_OFFLINE": "1"}).optimization
    rows: list[dict[str, Any]] = []
    for days in map(int, options.horizons.split(",")):
        for share, worlds in ((0.0, options.worlds), (0.10, options.better_worlds)):
            made = rows_of(f"{days}d", share, worlds, openings(settings, days, share, worlds)) if worlds else []
            rows += made
            for row in made:
                rates = (row["per_opening"], row["within_two"])
                text = "   ".join(f"{r['share']:6.1%} [{r['low']:.1%}, {r['high']:.1%}] n={r['n']}" for r in rates)
                print(f"{row['horizon']:>4} {share:4.0%} better, level {row['level']:<5g} {text}", flush=True)
    options.out.write_text(json.dumps({"levels": LEVELS, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
