"""From regimes to intervals: what the watching side knows of a day's regime, handed to the width factors.

``interval_calibration`` holds the factors of the deployed model by regime, used or refused, with their numbers; a
forecast asks for the regime of its own day only where one of them is in use.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.forecasting.regime_factors import RegimeFactors, in_use, learn_by_regime
from forex_assets.last_made import Same
from forex_assets.pipeline import Pipeline

if TYPE_CHECKING:
    from forex_assets.forecasting.ensemble.calibration import CalibrationConfig
    from forex_assets.settings import Settings


def regime_labels(pipeline: Pipeline, pair_id: str, days: Iterable[Any]) -> dict[np.datetime64, str]:
    """Return the recommended regime at the end of each day, as known then; empty where no observations are known.

    Each day is judged with the calibration that was known at its end, as ``regime_report`` does. What was judged is
    kept: the same origins are asked for horizon after horizon.
    """
    from forex_assets.regime_view import by_calibration, origin_regimes
    from forex_assets.watching import frames_from

    observations = pipeline.data.known_observations(pair_id)
    if observations is None or observations.empty:
        return {}
    labels: dict[np.datetime64, str] = pipeline.memory.kept("regimes", (pair_id, Same(observations)), dict)
    wanted = np.unique(np.array(list(days), dtype="datetime64[D]"))
    missing = [day.astype(object) for day in wanted if day not in labels]
    if missing:
        frames = frames_from(pipeline, pair_id, observations, schemas.EVALUATION.empty())
        for settings, group in by_calibration(pipeline, pair_id, missing):
            labels.update(origin_regimes(frames, group, settings))
    return {day: labels[day] for day in wanted if day in labels}


def with_regimes(
    pipeline: Pipeline, pair_id: str, horizon: str, calibration: pd.DataFrame, backtest: pd.DataFrame
) -> pd.DataFrame:
    """Return width factors with those of the deployed model by regime beside them, used or refused."""
    model = pipeline.active(pair_id, horizon).model
    rows = backtest.loc[backtest["model"] == model]
    labels = regime_labels(pipeline, pair_id, rows["as_of"].to_numpy("datetime64[D]")) if len(rows) else {}
    learned = learn_by_regime(rows, labels, model=model, config=evidence_policy(pipeline.settings))
    if learned.empty:
        return calibration
    kept = calibration[[name for name in learned.columns if name in calibration.columns]]
    return pd.concat([kept, learned], ignore_index=True) if len(kept) else learned


def evidence_policy(settings: Settings) -> CalibrationConfig:
    """Return how the factors of a regime are shrunk and from how many tenors on they are learned at all."""
    from forex_assets.forecasting.ensemble.calibration import CalibrationConfig

    policy = settings.recommended.regimes.factors
    return CalibrationConfig(prior_tenors=policy.shrinkage_effective_n, min_tenors=policy.min_effective_n)


def factors_for(
    pipeline: Pipeline, pair_id: str, calibration: pd.DataFrame | None, days: Iterable[dt.date]
) -> RegimeFactors:
    """Return the factors by regime of some days' forecasts; where none is in use, no regime is looked at."""
    rows = in_use(calibration)
    if rows is None:
        return RegimeFactors()
    return RegimeFactors(regime_labels(pipeline, pair_id, days), rows)
