"""Quality of observations: rules that withdraw rows, each from the instant at which it could be known to be bad.

A verdict never removes a row: it dates its withdrawal (``withdrawn_at``, ``rule``, ``reason``), so that an origin
before that instant still sees what was seen then. The limits are ``quality:`` in ``platform.yaml``; which rules a
series has, its range, calendar and reference are in ``series.yaml``. Entry point: :func:`apply_quality`. Fetching and
as-of views live elsewhere.
"""

from __future__ import annotations

from forex_assets.market.quality.apply import apply_quality
from forex_assets.market.quality.feed import FeedFinding
from forex_assets.market.quality.feeds import FEED_RULES, judge_feeds, with_witnesses
from forex_assets.market.quality.report import gap_report, quality_summary
from forex_assets.market.quality.rules import RULES
from forex_assets.market.quality.schema import observation_schema
from forex_assets.market.quality.shift import ShiftReport, detect_date_shift

__all__ = [
    "FEED_RULES",
    "RULES",
    "FeedFinding",
    "ShiftReport",
    "apply_quality",
    "detect_date_shift",
    "gap_report",
    "judge_feeds",
    "observation_schema",
    "quality_summary",
    "with_witnesses",
]
