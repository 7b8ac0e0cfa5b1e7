"""Outcome and scores of forecasts whose target value is known; a forecast that has not matured is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forex_assets.errors import DataError
from forex_assets.evaluation.scores import score_rows
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import EVALUATION, PROVENANCE

#: The columns :func:`evaluate` returns: EVALUATION without those the caller stamps.
EVALUATION_COLUMNS = [name for name in EVALUATION.column_names if name not in PROVENANCE]


def evaluate(forecast_rows: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Score forecasts against the values dated their target dates.

    Parameters
    ----------
    forecast_rows:
        FORECAST rows; only those with ``is_target`` are scored.
    outcomes:
        What :func:`forex_assets.evaluation.outcomes.outcomes` returned for their target dates.

    Returns
    -------
    DataFrame
        EVALUATION rows without the provenance columns, in the order of the forecasts.

    Raises
    ------
    DataError
        When a target value is not known yet (there is no nearest-date substitute), or a row cannot be scored.
    """
    rows = forecast_rows.loc[forecast_rows["is_target"].astype(bool)].reset_index(drop=True)
    known = outcomes.set_index("target_date")
    unknown = ~rows["target_date"].isin(known.index)
    if unknown.any():
        _refuse(rows.loc[unknown])
    found = known.reindex(rows["target_date"])
    actual = found["actual"].to_numpy(dtype=np.float64)
    scores = score_rows(
        rows["mean"].to_numpy(dtype=np.float64), rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64), actual
    )
    frame = rows.assign(actual=actual, matured_on=found["matured_on"].to_numpy(dtype="datetime64[ns]"), **scores)
    return frame[EVALUATION_COLUMNS]


def _refuse(rows: pd.DataFrame) -> None:
    first = rows.sort_values("target_date", kind="stable").iloc[0]
    count = len(rows[["horizon", "as_of"]].drop_duplicates())
    raise DataError(
        f"{count} forecast(s) have not matured: the {first['horizon']}d forecast of {first['pair']} as of "
        f"{first['as_of']:%Y-%m-%d} is about {first['target_date']:%Y-%m-%d}, and no value dated that day is known. "
        f"It matures when the value dated {first['target_date']:%Y-%m-%d} is published.",
        remedy=f"evaluate at an as_of on or after {first['target_date']:%Y-%m-%d}, once that value has arrived; "
        "values of other dates are never used in its place.",
    )
