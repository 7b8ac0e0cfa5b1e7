"""The table of ``forex check``: each horizon's status under both profiles, with changes and samples (B11, B12)."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.monitoring.classic_performance import classic_verdicts
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.performance import degradation_reports

if TYPE_CHECKING:
    from forex_assets.settings import Settings


def check_rows(frames: Frames, as_of: dt.date, settings: Settings) -> list[dict[str, Any]]:
    """Return one row per horizon: the recommended status beside the classic one."""
    day = np.array([as_of], dtype="datetime64[D]")
    rows = []
    for report in degradation_reports(frames, as_of, settings):
        scored = frames.scored.get(report.horizon)
        classic = classic_verdicts(scored, day, settings.classic.performance)[0] if scored is not None else None
        rows.append(
            {
                "pair": frames.pair,
                "as_of": as_of.isoformat(),
                "horizon": report.horizon,
                "status": report.status,
                "degradation_detected": report.degradation_detected,
                "crps_change": report.skill_excess_share,
                "recommendation": report.recommendation,
                "matured": report.n,
                "classic_status": classic.status if classic else "GOOD",
                "rmse_change": classic.rmse if classic else math.nan,
                "mape_change": classic.mape if classic else math.nan,
                "samples": (classic.n_baseline + classic.n_recent) if classic else 0,
            }
        )
    return rows
