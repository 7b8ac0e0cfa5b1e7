"""Faults planted into forecasts that have matured: intervals of the wrong width, a centre that is off.

Shared by the alarm table and by later rehearsals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.evaluation.scores import implied_sigma, score_rows
from forex_assets.levels import QUANTILE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

MEDIAN = QUANTILE_COLUMNS.index("q500")
Plant = Callable[[Floats, Floats], tuple[Floats, Floats]]


def width_times(factor: float) -> Plant:
    """Return a plant that makes intervals ``factor`` times as wide about their median."""

    def plant(mean: Floats, quantiles: Floats) -> tuple[Floats, Floats]:
        centre = quantiles[:, [MEDIAN]]
        return mean, centre + factor * (quantiles - centre)

    return plant


def bias_of(sigma: float) -> Plant:
    """Return a plant that moves the whole forecast by ``sigma`` of its own standard deviations."""

    def plant(mean: Floats, quantiles: Floats) -> tuple[Floats, Floats]:
        move = sigma * implied_sigma(quantiles)
        return mean + move, quantiles + move[:, None]

    return plant


def crps_up(excess: float) -> float:
    """Return the bias in sigma that raises the CRPS of a right normal forecast by ``excess`` (0.4 is 40%)."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    levels = np.asarray([int(name[1:]) / 1000 for name in QUANTILE_COLUMNS])
    quantiles = norm.ppf(levels)
    grid = norm.ppf((np.arange(4000) + 0.5) / 4000)

    def loss(bias: float) -> float:
        gap = grid[:, None] - quantiles - bias
        return float(np.maximum(levels * gap, (levels - 1) * gap).mean())

    return float(brentq(lambda bias: loss(bias) / loss(0.0) - 1.0 - excess, 0.0, 4.0))


def planted_scores(rows: pd.DataFrame, plant: Plant, where: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return scored rows with a fault planted into the forecasts chosen, and their scores made anew.

    Parameters
    ----------
    rows:
        Forecasts with ``mean``, every quantile and ``actual``, in the order they matured.
    plant:
        What to do with them.
    where:
        Which rows, shape (n,).
    """
    at = np.flatnonzero(where)
    chosen = rows.iloc[at]
    mean, quantiles = plant(
        chosen["mean"].to_numpy(dtype=np.float64).copy(), chosen[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64)
    )
    new = dict(zip(QUANTILE_COLUMNS, quantiles.T, strict=True)) | {"mean": mean}
    new |= score_rows(mean, quantiles, chosen["actual"].to_numpy(dtype=np.float64))
    made = {}
    for name, values in new.items():
        if name in rows.columns:
            column = rows[name].to_numpy(dtype=np.float64).copy()
            column[at] = values
            made[name] = column
    return rows.assign(**made)
