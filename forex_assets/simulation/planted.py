"""Planted faults in the scores of matured forecasts, and in the prices they are made from.

A fault is planted again and again along one long path: ``active`` matured forecasts with it, ``rest`` without. So one
pass of a monitor over the path gives many independent trials. Shared by the alarm table and by later rehearsals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.errors import ValidationError
from forex_assets.evaluation.scores import implied_sigma, score_rows
from forex_assets.levels import QUANTILE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MEDIAN = QUANTILE_COLUMNS.index("q500")
Plant = Callable[[Floats, Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class Episodes:
    """Where a fault is switched on: positions ``start[i]`` up to, not including, ``start[i] + length``."""

    start: Ints
    length: int

    def mask(self, n: int) -> npt.NDArray[np.bool_]:
        """Return which of n positions have the fault."""
        out = np.zeros(n, dtype=bool)
        for start in self.start:
            out[start : start + self.length] = True
        return out


def episodes(n: int, *, burn_in: int, active: int, rest: int) -> Episodes:
    """Return as many episodes as fit into n positions: after ``burn_in``, each followed by ``rest`` without fault.

    Raises
    ------
    ValidationError
        When not one fits.
    """
    start = np.arange(burn_in, n - active, active + rest, dtype=np.int64)
    if not len(start):
        raise ValidationError(
            f"No episode of {active} after {burn_in} fits into {n} positions.", remedy="simulate a longer path."
        )
    return Episodes(start, active)


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
    mean = rows["mean"].to_numpy(dtype=np.float64).copy()
    quantiles = rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64).copy()
    mean[where], quantiles[where] = plant(mean[where], quantiles[where])
    scores = score_rows(mean, quantiles, rows["actual"].to_numpy(dtype=np.float64))
    out = rows.assign(mean=mean, **{name: quantiles[:, i] for i, name in enumerate(QUANTILE_COLUMNS)})
    return out.assign(**{name: values for name, values in scores.items() if name in rows.columns})


def trials(fired: npt.NDArray[np.bool_], where: Episodes, within: int) -> Iterator[float]:
    """Yield, for each episode, how many positions after its start it was found; NaN when not found in time.

    Episodes that begin while the alarm is up already tell nothing and are left out.
    """
    for start in where.start:
        if start and fired[start - 1]:
            continue
        hit = np.flatnonzero(fired[start : start + within])
        yield float(hit[0]) if len(hit) else float("nan")
