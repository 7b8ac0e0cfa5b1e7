"""The daily forecast: the path of every model from the last known value to the target date, for many days at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forex_assets.arrays import Dates, Ints
from forex_assets.errors import ValidationError
from forex_assets.forecasting.calibration import apply, factors_from_frame
from forex_assets.forecasting.origins import Origins, make_origins
from forex_assets.forecasting.prediction import Composition, Predictor, min_history
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.regime_factors import RegimeFactors
from forex_assets.forecasting.registry import ModelChoice, choices, get_model
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import FORECAST

if TYPE_CHECKING:
    import pandas as pd


def make_forecast(
    history: PriceHistory,
    as_ofs: Any,
    horizon_days: int,
    models: Iterable[str | ModelChoice],
    active_model: str,
    calibration: pd.DataFrame | None = None,
    *,
    regime_factors: RegimeFactors | None = None,
    max_age: int = 10,
    seed: int = 0,
    reconstructed: bool = False,
    unusable: Literal["raise", "drop"] = "raise",
    monthly: bool = False,
) -> pd.DataFrame:
    """Forecast every step up to the target date, at the end of every given day.

    The last step of a path is the row the backtest has for that day, exactly.

    Parameters
    ----------
    history:
        What was known when.
    as_ofs:
        Forecast days, one or many.
    horizon_days:
        Tenor in calendar days.
    models:
        Names, or choices with parameters and labels.
    active_model:
        The one that is deployed; must be among ``models``.
    calibration:
        Rows of ``interval_calibration``. Each day uses the newest row valid by then; without one a calibrated model
        stays uncalibrated and ``calibrated_from`` stays empty.
    regime_factors:
        Width factors by regime and the regime of each day, applied after everything else; default: no change.
    max_age:
        Largest number of business days from the last value to a forecast day.
    seed:
        Platform seed of sampling models.
    reconstructed:
        True marks a what-if made with a later configuration.
    unusable:
        ``raise`` refuses the first day that is no usable origin; ``drop`` leaves such days out and counts them by
        reason in ``attrs["dropped"]``.
    monthly:
        True steps from month to month (a horizon such as 12m) instead of from day to day; the last step is the target.

    Returns
    -------
    pandas.DataFrame
        Rows of ``forecast`` without provenance, by day, model and step.

    Raises
    ------
    ValidationError
        When a model, parameter or horizon breaks its rule, or the active model does not run.
    DataError
        When a day is no usable origin (unless dropped); names the day and why.
    """
    chosen = choices(models)
    if active_model not in [choice.name for choice in chosen]:
        raise ValidationError(
            f"The active model '{active_model}' is not among the models run: {[choice.name for choice in chosen]}.",
            remedy="add it to forecast.models in platform.yaml, or deploy one of those.",
        )
    days = np.unique(np.atleast_1d(np.asarray(as_ofs, dtype="datetime64[D]")))
    origins = make_origins(history, days, horizon_days, max_age, min_values=min_history(chosen), unusable=unusable)
    m = len(origins)
    longest = int(origins.steps.max()) if m else 0
    if monthly:
        steps = _month_steps(origins, history)
        kept = np.concatenate([np.ones((m, 1), dtype=bool), steps[:, 1:] > steps[:, :-1]], axis=1)
    else:
        # Shorter paths repeat their last step; the repeats are dropped below.
        steps = np.minimum(np.arange(1, longest + 1)[None, :], origins.steps[:, None])
        kept = np.arange(1, longest + 1)[None, :] <= origins.steps[:, None]
    predictor = Predictor(history, origins, steps, seed)
    row, column = np.nonzero(kept)
    parts = []
    for rank, choice in enumerate(chosen):
        paths = predictor.paths(choice)
        quantiles = paths.quantiles
        since: Dates = np.full(m, np.datetime64("NaT", "D"))
        if get_model(choice.model).capabilities.calibrated and calibration is not None:
            lower, upper, since = factors_from_frame(calibration, choice.name, origins.horizon_days).at(origins.as_of)
            quantiles = apply(quantiles, lower[:, None], upper[:, None])
        regime = (regime_factors or RegimeFactors()).on(choice.name, origins.horizon_days, origins.as_of)
        if regime.changes:
            quantiles = apply(quantiles, regime.lower[:, None], regime.upper[:, None])
        told = composition_columns(predictor.compositions.get(choice.name), m)
        conditioned = (regime.names[row], regime.lower[row], regime.upper[row])
        parts.append(
            (rank, choice.name, paths.mean[kept], quantiles[kept], since[row], conditioned, *(x[row] for x in told))
        )
    step = steps[row, column]
    step_date = history.calendar.add(origins.last_event_date[row], step)
    frame = _frame(origins, row, step, step_date, parts, active_model, reconstructed)
    if unusable == "drop":
        frame.attrs["dropped"] = dict(origins.dropped)
    return frame


def composition_columns(made_of: Composition | None, m: int) -> tuple[Any, Any, Any]:
    """Return the columns ``carried_by``, ``left_out`` and ``degraded`` of m origins; empty for a model of its own."""
    carried, left_out = np.full(m, None, dtype=object), np.full(m, None, dtype=object)
    if made_of is None:
        return carried, left_out, np.zeros(m, dtype=bool)
    for i in range(m):
        shares = {
            name: round(float(share), 4)
            for name, share in zip(made_of.members, made_of.weights[i], strict=True)
            if share > 0
        }
        carried[i] = json.dumps(shares)
        left_out[i] = json.dumps(dict(sorted(made_of.left_out(i).items())), ensure_ascii=False)
    return carried, left_out, made_of.degraded


def _month_steps(origins: Origins, history: PriceHistory) -> Ints:
    """Return the business days to each month's end of the path and to the target, shape (m, k), growing by row.

    A path of less than a month has its target alone; shorter paths repeat their target.
    """
    m = len(origins)
    days = (origins.target_date - origins.last_event_date).astype(np.int64) if m else np.zeros(0, dtype=np.int64)
    months = int(days.max() // 28) if m else 0
    start = origins.last_event_date
    first_of = start.astype("datetime64[M]")
    offset = (start - first_of.astype("datetime64[D]")).astype(np.int64)
    columns = []
    for k in range(1, months + 1):
        month = first_of + np.timedelta64(k, "M")
        last = (month + np.timedelta64(1, "M")).astype("datetime64[D]") - np.timedelta64(1, "D")
        day = np.minimum(month.astype("datetime64[D]") + offset.astype("timedelta64[D]"), last)
        reached = history.calendar.count(start, np.minimum(history.calendar.roll_forward(day), origins.target_date))
        columns.append(np.minimum(reached, origins.steps))
    return np.stack([*columns, origins.steps], axis=1).astype(np.int64)


def _frame(
    origins: Any,
    row: Any,
    step: Any,
    step_date: Dates,
    parts: list[tuple[Any, ...]],
    active_model: str,
    reconstructed: bool,
) -> pd.DataFrame:
    import pandas as pd

    n = len(row)
    frames = []
    for rank, name, mean, quantiles, since, (regime, lower, upper), carried_by, left_out, degraded in parts:
        frames.append(
            pd.DataFrame(
                {
                    "pair": np.full(n, origins.pair, dtype=object),
                    "horizon": np.full(n, origins.horizon_days, dtype=np.int64),
                    "as_of": origins.as_of[row].astype("datetime64[ns]"),
                    "model": np.full(n, name, dtype=object),
                    "step": step.astype(np.int64),
                    "step_date": step_date.astype("datetime64[ns]"),
                    "target_date": origins.target_date[row].astype("datetime64[ns]"),
                    "is_target": step == origins.steps[row],
                    "last_value": origins.last_value[row],
                    "last_event_date": origins.last_event_date[row].astype("datetime64[ns]"),
                    "mean": mean,
                    **{column: quantiles[:, i] for i, column in enumerate(QUANTILE_COLUMNS)},
                    "is_active": np.full(n, name == active_model),
                    "calibrated_from": since.astype("datetime64[ns]"),
                    "regime": regime,
                    "regime_lower": lower,
                    "regime_upper": upper,
                    "reconstructed": np.full(n, reconstructed),
                    "carried_by": carried_by,
                    "left_out": left_out,
                    "degraded": degraded,
                    "_rank": rank,
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.sort_values(["as_of", "_rank", "step"], kind="stable", ignore_index=True)
    return frame[[name for name in FORECAST.column_names if name in frame.columns]]
