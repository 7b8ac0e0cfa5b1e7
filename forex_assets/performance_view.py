"""The performance monitor's word on every model of a performance report: status, truth value and recommendation.

A status rests on the newest matured forecasts, live ones first, whatever window the row beside it is about. That of
the deployed model is the one ``forex check`` shows.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forex_assets.watching import matured_scores, scored_backtest

if TYPE_CHECKING:
    from forex_assets.monitoring.performance import DegradationReport
    from forex_assets.pipeline import Pipeline


def with_status(
    pipeline: Pipeline,
    pair_id: str,
    horizon: str,
    report: pd.DataFrame,
    evaluation: pd.DataFrame,
    backtest: pd.DataFrame,
    as_of: dt.date,
) -> pd.DataFrame:
    """Return a performance report of one horizon with each model's status, by both profiles, and what to do.

    Rows that mature after ``as_of`` count for nothing: the monitor cuts for itself.
    """
    past = scored_backtest(backtest) if len(backtest) else backtest
    active = pipeline.active(pair_id, horizon, as_of).model
    out = report.copy()
    for model in out["model"].unique():
        scores = matured_scores(evaluation, past, str(model), deployed=str(model) == active)
        found, classic = model_reports(pipeline, pair_id, horizon, scores, as_of)
        rows = out["model"] == model
        out.loc[rows, "status"] = found.status
        out.loc[rows, "status_classic"] = classic.status
        out.loc[rows, "degradation_detected"] = found.degradation_detected
        out.loc[rows, "recommendation"] = found.recommendation
    return out


def model_reports(
    pipeline: Pipeline, pair_id: str, horizon: str, scores: pd.DataFrame, as_of: dt.date
) -> tuple[DegradationReport, DegradationReport]:
    """Return the reports of one model's matured forecasts by the recommended and the classic profile."""
    from forex_assets.monitoring.frames import Frames
    from forex_assets.monitoring.observed import Observed
    from forex_assets.monitoring.performance import degradation_reports

    dates, instants = np.empty(0, "datetime64[D]"), np.empty(0, "datetime64[us]")
    frames = Frames(
        pair=pair_id,
        horizons={horizon: pipeline.settings.horizons[horizon]},
        calendar=pipeline.calendar(pair_id),
        # Forecasts alone are judged here: the market's own volatility is an alarm of the findings.
        target=Observed("none", "", dates, np.empty(0), instants, instants),
        drivers={},
        scores=scores,
    )
    (recommended,) = degradation_reports(frames, as_of, pipeline.settings)
    (classic,) = degradation_reports(frames, as_of, pipeline.settings, "classic")
    return recommended, classic
