"""Drift statistics of many windows: this package's against Evidently's, side by side in one run. Table and JSON.

    python benchmarks/bench_drift.py [--windows 2500] [--features 10] [--evidently-windows 20] [--out PATH]

Both compare 30 observations with the 90 before them by the two-sample Kolmogorov-Smirnov test (Evidently's own choice
at this size); ours adds Welch, Levene, Ljung-Box and the volatility ratio. Evidently is timed on fewer windows, since
its time per window does not depend on how many there are, and skipped where it is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

import numpy as np
import pandas as pd

from forex_assets.monitoring.classic_drift import classic_drift
from forex_assets.settings import load_settings


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=2500)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--evidently-windows", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "drift.json")
    args = parser.parse_args()
    policy = load_settings().classic.drift
    need = policy.baseline_obs + policy.recent_obs
    values = np.random.default_rng(0).normal(size=(args.windows + need - 1, args.features))
    ends = np.arange(need, need + args.windows)
    classic_drift(values[:, 0].copy(), ends[:10], policy)  # tables of exact p-values are filled once
    start = time.process_time()
    ours = [classic_drift(values[:, k].copy(), ends, policy) for k in range(args.features)]
    seconds = time.process_time() - start
    result: dict[str, Any] = {"windows": args.windows, "features": args.features, "ours_s": seconds}
    print(f"ours: {seconds:.2f} s for {args.windows:,} windows x {args.features} features, five tests each")
    try:
        result |= _evidently(values, ends, policy, args, [found.ks_p for found in ours])
        ratio = result["evidently_s"] / seconds
        result["ratio"] = ratio
        print(f"Evidently: {result['evidently_s']:.0f} s for as many; {ratio:,.0f} times ours")
        print(f"largest difference of KS p-values: {result['largest_p_difference']:.1e}")
    except ImportError:
        print("Evidently is not installed: pip install 'forex_assets[evidently]'")
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _evidently(values: Any, ends: Any, policy: Any, args: Any, p_values: list[Any]) -> dict[str, Any]:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    frame = pd.DataFrame(values, columns=[f"f{k}" for k in range(args.features)])
    need, recent = policy.baseline_obs + policy.recent_obs, policy.recent_obs
    spent, gap = 0.0, 0.0
    for i, end in enumerate(ends[: args.evidently_windows + 1]):
        start = time.process_time()
        found = Report([DataDriftPreset()]).run(frame[end - recent : end], frame[end - need : end - recent]).dict()
        if i:  # the first pays for imports
            spent += time.process_time() - start
        for metric in found["metrics"]:
            name = metric.get("config", {}).get("column")
            if name and isinstance(metric.get("value"), int | float | np.floating):
                gap = max(gap, abs(float(metric["value"]) - float(p_values[int(name[1:])][i])))
    return {"evidently_s": spent / args.evidently_windows * args.windows, "largest_p_difference": gap}


if __name__ == "__main__":
    main()
