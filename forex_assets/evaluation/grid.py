"""Scores of one pair and horizon as arrays, origin by model: what every comparison of models starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError
from forex_assets.evaluation.direction import NEUTRAL_BAND_SHARE, brier, hits, outcome_classes, probabilities
from forex_assets.evaluation.outcomes import as_dates
from forex_assets.evaluation.scores import pinball, score_rows
from forex_assets.levels import QUANTILE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

BENCHMARK = "random_walk"
LOSSES = ("crps", "interval_score_95", "interval_score_80", "absolute_error", "squared_error", "brier")


@dataclass(frozen=True, eq=False)
class ScoreGrid:
    """Matured forecasts of one pair and horizon: m origins in date order, k models, the random walk first.

    Attributes
    ----------
    origins, targets, matured_on:
        Shape (m,).
    last_value, actual:
        Shape (m,), price units.
    last_event_date:
        Date of the last known value, shape (m,).
    steps:
        Business days one error spans at most.
    present:
        Which model has a forecast at which origin, (m, k).
    quantiles, pinball:
        Shape (m, k, 13); NaN where absent.
    scores:
        Name → (m, k): every loss of ``LOSSES``, and ``error``, ``covered_80``, ``covered_95``, ``below_95``,
        ``above_95``, ``width_95``, ``pit``, ``direction_hit``; NaN where absent.
    """

    pair: str
    horizon: int
    models: tuple[str, ...]
    origins: Dates
    targets: Dates
    matured_on: Dates
    last_value: Floats
    last_event_date: Dates
    actual: Floats
    steps: int
    present: npt.NDArray[np.bool_]
    quantiles: Floats
    pinball: Floats
    scores: dict[str, Floats]

    def common(self, *models: int) -> npt.NDArray[np.intp]:
        """Return the positions of the origins that all of some models have."""
        return np.flatnonzero(self.present[:, list(models)].all(axis=1))

    @property
    def benchmark(self) -> int | None:
        """Column of the random walk, None where it did not run."""
        return self.models.index(BENCHMARK) if BENCHMARK in self.models else None


def score_grid(
    backtest: pd.DataFrame, *, as_of: np.datetime64 | None = None, band: float = NEUTRAL_BAND_SHARE
) -> ScoreGrid:
    """Score the matured rows of one pair and horizon.

    Parameters
    ----------
    backtest:
        BACKTEST rows of one pair and horizon, any number of models.
    as_of:
        Rows that matured after this day are left out; default: every matured row.
    band:
        Neutral band of the directional view, as a share of the last value.

    Raises
    ------
    DataError
        When rows of several pairs or horizons are mixed, a forecast repeats, or nothing has matured.
    """
    known = backtest["actual"].notna()
    if as_of is not None:
        known &= as_dates(backtest["matured_on"]) <= as_of
    rows = backtest.loc[known]
    if rows.empty:
        raise DataError(
            f"None of the {len(backtest)} backtest rows has matured.",
            remedy="choose an earlier start, or an end further back.",
        )
    subjects = rows[["pair", "horizon"]].drop_duplicates()
    if len(subjects) > 1:
        raise DataError(
            f"Rows of {len(subjects)} pairs or horizons are mixed: {subjects.head(3).to_numpy().tolist()}.",
            remedy="compare models pair by pair and horizon by horizon.",
        )
    names = sorted(set(rows["model"]), key=lambda name: (name != BENCHMARK, name))
    origins, row = np.unique(as_dates(rows["as_of"]), return_inverse=True)
    row = row.ravel()
    column = np.searchsorted(sorted(names), rows["model"].to_numpy(dtype=str))
    column = np.array([names.index(name) for name in sorted(names)])[column]
    m, k = len(origins), len(names)
    flat = row * k + column
    if len(np.unique(flat)) != len(flat):
        raise DataError(
            f"{len(flat) - len(np.unique(flat))} forecasts of {subjects['pair'].iloc[0]} stand twice.",
            remedy="keep one row per origin and model.",
        )
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64)
    mean, actual = (rows[name].to_numpy(dtype=np.float64) for name in ("mean", "actual"))
    last = rows["last_value"].to_numpy(dtype=np.float64)
    scored = score_rows(mean, quantiles, actual)
    probability, outcome = probabilities(quantiles, last, band), outcome_classes(actual, last, band)
    found: dict[str, npt.NDArray[np.generic]] = {
        **scored,
        "absolute_error": np.abs(mean - actual),
        "squared_error": (mean - actual) ** 2,
        "brier": brier(probability, outcome),
        "direction_hit": hits(probability, outcome),
    }
    first = np.zeros(m, dtype=np.int64)
    first[row] = np.arange(len(rows))
    targets = as_dates(rows["target_date"])[first]

    def spread(values: npt.NDArray[np.generic]) -> Floats:
        out = np.full((m * k, *values.shape[1:]), np.nan)
        out[flat] = values
        return out.reshape(m, k, *values.shape[1:])

    present = np.zeros(m * k, dtype=bool)
    present[flat] = True
    return ScoreGrid(
        pair=str(subjects["pair"].iloc[0]),
        horizon=int(subjects["horizon"].iloc[0]),
        models=tuple(names),
        origins=origins,
        targets=targets,
        matured_on=as_dates(rows["matured_on"])[first],
        last_value=last[first],
        last_event_date=as_dates(rows["last_event_date"])[first],
        actual=actual[first],
        steps=int(max(1, np.busday_count(origins, targets).max())),
        present=present.reshape(m, k),
        quantiles=spread(quantiles),
        pinball=spread(pinball(actual, quantiles)),
        scores={name: spread(np.asarray(values, dtype=np.float64)) for name, values in found.items()},
    )
