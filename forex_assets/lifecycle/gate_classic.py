"""The five classic criteria (A14 to A19) exactly, for comparison: one window, the one the search ranked on.

Such a gate approves only when it is forced (K06).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.lifecycle import criteria
from forex_assets.lifecycle.search.objective import Losses

FUNCTION = "gate-classic/1"
MIN_RMSE_GAIN = 0.05
MIN_MAPE_GAIN = 0.03
MAX_STD_RATIO = 1.10
MAX_TIME_RATIO = 1.50
MIN_COVERAGE = 0.90
MAX_BIAS = 5.0


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
        criteria.met("validation_scheme", "more than one window, or forced", "forced", "forced by hand")
        if known["forced"]
        else criteria.failed(
            "validation_scheme",
            "more than one window, or forced",
            "one window, the one the search ranked on",
            "with 27 configurations the best looks 5% better in five of six cases although nothing is",
        )
    )
    if mine is None:
        failed = criteria.failed("backtest", "a backtest of the candidate", "none", "the backtest failed")
        return criteria.outcome([failed], known, "classic")
    if not known["has_incumbent"]:
        first = criteria.met("first", "none in use", "none in use", "approved without a comparison (A19)")
        return criteria.outcome([first, scheme], known, "classic")
    if theirs is None:
        failed = criteria.failed("backtest", "a backtest of the version in use", "none", "the backtest failed")
        return criteria.outcome([failed], known, "classic")
    rmse_gain = 1.0 - mine["rmse"] / theirs["rmse"]
    mape_gain = 1.0 - mine["mape"] / theirs["mape"]
    std_ratio = mine["std"] / theirs["std"] if theirs["std"] > 0 else math.inf
    time_ratio = known["latency_s"]["candidate"] / max(known["latency_s"]["incumbent"], 1e-9)
    n = int(mine["n"])

    def judged(name: str, good: bool, expected: str, actual: str, value: float, threshold: float, unit: str) -> Any:
        return criteria.judged(name, good, expected, actual, value=value, threshold=threshold, unit=unit, n=n)

    coverage, bias = mine["coverage"], mine["bias"]
    found = [
        judged(
            "improvement",
            rmse_gain >= MIN_RMSE_GAIN or mape_gain >= MIN_MAPE_GAIN,
            "RMSE at least 5% or MAPE at least 3% better",
            f"RMSE {rmse_gain:+.1%}, MAPE {mape_gain:+.1%}",
            rmse_gain,
            MIN_RMSE_GAIN,
            "share",
        ),
        judged(
            "stability",
            std_ratio <= MAX_STD_RATIO,
            "std ratio at most 1.10",
            f"{std_ratio:.3f}",
            std_ratio,
            MAX_STD_RATIO,
            "ratio",
        ),
        judged(
            "latency",
            time_ratio <= MAX_TIME_RATIO,
            "time ratio at most 1.50",
            f"{time_ratio:.2f}",
            time_ratio,
            MAX_TIME_RATIO,
            "ratio",
        ),
        judged(
            "coverage",
            coverage >= MIN_COVERAGE,
            "95% coverage at least 0.90",
            f"{coverage:.3f}",
            coverage,
            MIN_COVERAGE,
            "share",
        ),
        judged(
            "bias",
            abs(bias) < MAX_BIAS,
            "absolute mean error below 5.0",
            f"{bias:+.3f}",
            bias,
            MAX_BIAS,
            "quote per base",
        ),
        scheme,
    ]
    return criteria.outcome(found, known, "classic")
