"""How good forecasts were, and how sure one can be of that.

Here live the proper scores (:mod:`.scores`), intervals for means, shares and ratios of overlapping errors
(:mod:`.inference`, on :mod:`.overlap` and :mod:`.bootstrap`), the outcome of a target date (:mod:`.outcomes`), the
scores of one forecast (:func:`.evaluate`) and the report over windows of maturity dates (:func:`.performance_report`).
What does not: making forecasts, learning interval widths from past errors, drawing, storing. Definitions and measured
validity: docs/evaluation.md.
"""

from __future__ import annotations

from forex_assets.evaluation.evaluate import evaluate
from forex_assets.evaluation.inference import mean_interval, ratio_interval, ratio_intervals, share_interval
from forex_assets.evaluation.outcomes import matured, outcomes
from forex_assets.evaluation.overlap import effective_n, hits_effective_n, overlap_rows
from forex_assets.evaluation.performance import (
    bias_state,
    classic_bias_state,
    classic_coverage_state,
    coverage_state,
    performance_report,
)

__all__ = [
    "bias_state",
    "classic_bias_state",
    "classic_coverage_state",
    "coverage_state",
    "effective_n",
    "evaluate",
    "hits_effective_n",
    "matured",
    "mean_interval",
    "outcomes",
    "overlap_rows",
    "performance_report",
    "ratio_interval",
    "ratio_intervals",
    "share_interval",
]
