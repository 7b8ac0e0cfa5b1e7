"""Width factors learned from matured errors: slow, asymmetric, point-in-time.

A factor multiplies the distance, in log price, from a model's median to its quantiles, separately below and above. The
row with ``valid_from`` = m is learned only from errors with ``matured_on`` < m, so it can be applied to every forecast
made from m on. The estimate minimises the pinball loss of the outer levels over a long window, every error in units of
its own forecast's width, and is shrunk towards 1 by the number of non-overlapping tenors behind it; where these are too
few the factor is 1 and ``n_effective`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Day, Floats, as_day
from forex_assets.errors import DataError
from forex_assets.forecasting.contract import EnsembleModel, QuantilePaths
from forex_assets.forecasting.registry import get_model
from forex_assets.levels import MEDIAN_INDEX, QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.schemas import INTERVAL_CALIBRATION

if TYPE_CHECKING:
    import pandas as pd

WINDOW_YEARS = 10
"""Errors older than this are forgotten."""
SHRINKAGE_TENORS = 500.0
"""Non-overlapping tenors at which the data weigh as much as the prior factor 1 (chosen on data to 2017)."""
MIN_TENORS = 8.0
"""Fewer non-overlapping tenors leave the factor at 1."""
FACTOR_GRID: Floats = np.round(np.arange(0.60, 1.801, 0.01), 2)
_OUTER = 3  # levels of each side the factor is fitted to: 2.5%, 5%, 10% and their mirror images
_LOW_80, _HIGH_80 = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
_WIDTH_80_SIGMA = 2.5631031310892007  # width of the central 80% of a standard normal


@dataclass(frozen=True)
class Factors:
    """Factors by start of validity, in growing order.

    Attributes
    ----------
    valid_from, learned_through:
        ``datetime64[D]``, shape (r,).
    n, n_effective, lower, upper:
        Shape (r,).
    shares:
        Column of the table → shape (r,): coverage and tails before and after on the window used.
    """

    valid_from: Dates
    learned_through: Dates
    n: npt.NDArray[np.int64]
    n_effective: Floats
    lower: Floats
    upper: Floats
    shares: Mapping[str, Floats]

    def at(self, as_of: Dates) -> tuple[Floats, Floats, Dates]:
        """Return lower and upper factor and valid_from for each day (1, 1 and NaT where none is valid yet)."""
        row = np.searchsorted(self.valid_from, np.asarray(as_of, dtype="datetime64[D]"), side="right") - 1
        lower, upper = np.ones(len(row)), np.ones(len(row))
        since = np.full(len(row), np.datetime64("NaT", "D"))
        some = row >= 0
        lower[some], upper[some] = self.lower[row[some]], self.upper[row[some]]
        since[some] = self.valid_from[row[some]]
        return lower, upper, since


def apply(quantiles: Floats, lower: Floats | float, upper: Floats | float) -> Floats:
    """Return quantiles with their log distance from the median multiplied.

    Parameters
    ----------
    quantiles:
        Shape (..., 13), positive, increasing.
    lower, upper:
        Positive factors, scalar or shape (...).
    """
    q = np.asarray(quantiles, dtype=np.float64)
    median = q[..., MEDIAN_INDEX : MEDIAN_INDEX + 1]
    side = np.arange(q.shape[-1]) < MEDIAN_INDEX
    factor = np.where(side, np.asarray(lower)[..., None], np.asarray(upper)[..., None])
    return np.where(factor == 1.0, q, median * np.exp(factor * np.log(q / median)))


def learn_factors(
    horizon_days: int,
    target_date: Dates,
    matured_on: Dates,
    actual: Floats,
    quantiles: Floats,
    through: Day,
) -> Factors:
    """Learn monthly factors of one model and horizon from uncalibrated quantiles.

    Parameters
    ----------
    horizon_days:
        Tenor in calendar days.
    target_date, matured_on:
        Shape (n,); rows without maturity are ignored.
    actual:
        Outcomes, shape (n,).
    quantiles:
        Uncalibrated, shape (n, 13).
    through:
        Last day factors are wanted for; the newest row starts on or before it.
    """
    done = np.flatnonzero(~np.isnat(matured_on) & np.isfinite(actual))
    done = done[np.lexsort((target_date[done], matured_on[done]))]
    matured, target = matured_on[done], target_date[done]
    moves, spread = standardise(actual[done], quantiles[done])
    starts = _month_starts(matured, as_day(through))
    r = len(starts)
    last = np.searchsorted(matured, starts, side="left")
    first = np.searchsorted(matured, _years_before(starts, WINDOW_YEARS), side="left")
    grid = grid_factors(moves, spread)
    n = last - first
    n_effective = np.zeros(r)
    learned = np.full(r, np.datetime64("NaT", "D"))
    for i in np.flatnonzero(n > 0):
        span = (target[last[i] - 1] - target[first[i]]).astype(int)
        n_effective[i] = min(float(n[i]), 1.0 + max(float(span), 0.0) / horizon_days)
        learned[i] = matured[last[i] - 1]
    weight = np.where(n_effective >= MIN_TENORS, n_effective / (n_effective + SHRINKAGE_TENORS), 0.0)
    lower = 1.0 + weight * (_best(grid.lower, first, last) - 1.0)
    upper = 1.0 + weight * (_best(grid.upper, first, last) - 1.0)
    kept = n > 0
    shares: dict[str, list[float]] = {name: [] for name in _SHARES}
    for i in np.flatnonzero(kept):
        window = slice(first[i], last[i])
        for suffix, low, high in (("before", 1.0, 1.0), ("after", lower[i], upper[i])):
            x, d = moves[window], spread[window]
            below, above = x < low * d[:, 0], x > high * d[:, -1]
            inside_80 = (x >= low * d[:, _LOW_80]) & (x <= high * d[:, _HIGH_80])
            shares[f"coverage_80_{suffix}"].append(float(inside_80.mean()))
            shares[f"coverage_95_{suffix}"].append(float(1.0 - (below | above).mean()))
            shares[f"tail_low_{suffix}"].append(float(below.mean()))
            shares[f"tail_high_{suffix}"].append(float(above.mean()))
    return Factors(
        valid_from=starts[kept],
        learned_through=learned[kept],
        n=n[kept].astype(np.int64),
        n_effective=n_effective[kept],
        lower=lower[kept],
        upper=upper[kept],
        shares={name: np.array(values) for name, values in shares.items()},
    )


_SHARES = tuple(
    f"{name}_{suffix}"
    for name in ("coverage_80", "coverage_95", "tail_low", "tail_high")
    for suffix in ("before", "after")
)


def standardise(actual: Floats, quantiles: Floats) -> tuple[Floats, Floats]:
    """Return log distances of outcome and quantiles from the median, in each forecast's own sigma."""
    log_q = np.log(quantiles)
    median = log_q[:, MEDIAN_INDEX]
    unit = (log_q[:, _HIGH_80] - log_q[:, _LOW_80]) / _WIDTH_80_SIGMA
    return (np.log(actual) - median) / unit, (log_q - median[:, None]) / unit[:, None]


def _month_starts(matured: Dates, through: np.datetime64) -> Dates:
    """Return the first day of every month after the first maturity, up to ``through``."""
    if not len(matured):
        return np.array([], dtype="datetime64[D]")
    first = matured[0].astype("datetime64[M]") + 1
    last = through.astype("datetime64[M]")
    return np.arange(first, last + 1).astype("datetime64[D]")


def _years_before(days: Dates, years: int) -> Dates:
    return (days.astype("datetime64[M]") - 12 * years).astype("datetime64[D]")


def _grid_losses(moves: Floats, spread: Floats, columns: Sequence[int]) -> Floats:
    """Return cumulated pinball losses of the columns by number of errors and grid factor, shape (n + 1, g)."""
    out = np.zeros((len(moves) + 1, len(FACTOR_GRID)))
    for column in columns:
        level = QUANTILE_LEVELS[column]
        miss = moves[:, None] - FACTOR_GRID * spread[:, column : column + 1]
        out[1:] += np.maximum(level * miss, (level - 1.0) * miss)
    np.cumsum(out, axis=0, out=out)
    return out


@dataclass(frozen=True)
class GridLosses:
    """Cumulated losses of both sides by grid factor, for errors in a fixed order."""

    lower: Floats
    upper: Floats

    def best(self, first: int, last: int) -> tuple[float, float]:
        """Return the factors below and above that lost least on errors ``first`` to ``last``."""
        at = np.array([first]), np.array([last])
        return float(_best(self.lower, *at)[0]), float(_best(self.upper, *at)[0])


def grid_factors(moves: Floats, spread: Floats) -> GridLosses:
    """Return what every factor of the grid loses on the outer levels of each side, cumulated over the errors."""
    count = len(QUANTILE_LEVELS)
    return GridLosses(
        _grid_losses(moves, spread, range(_OUTER)), _grid_losses(moves, spread, range(count - _OUTER, count))
    )


def _best(losses: Floats, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(FACTOR_GRID[np.argmin(losses[last] - losses[first], axis=1)])


def base_quantiles(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the uncalibrated rows of a model, rebuilt from backtest rows.

    An ensemble's own rows carry the factors already; its base is combined anew from the rows of its base models.

    Raises
    ------
    DataError
        When a needed model has no rows.
    """
    made = get_model(model)
    bases = made.capabilities.bases
    if made.capabilities.calibrated and not bases:
        raise DataError(
            f"Model '{model}' stores calibrated quantiles and names no base to rebuild them from.",
            remedy="name its bases in its capabilities.",
        )
    needed = bases if made.capabilities.calibrated else (model,)
    parts = []
    for name in needed:
        part = rows.loc[rows["model"] == name].sort_values(["horizon", "as_of"], kind="stable")
        if part.empty:
            raise DataError(
                f"The factors of '{model}' are learned from rows of {list(needed)}, and '{name}' has none.",
                remedy=f"run the backtest with {list(needed)} among its models.",
            )
        parts.append(part.set_index(["horizon", "as_of"], drop=False))
    common = parts[0].index
    for part in parts[1:]:
        common = common.intersection(part.index, sort=False)
    parts = [part.loc[common] for part in parts]
    result = parts[0].reset_index(drop=True)
    if len(parts) > 1:
        if not isinstance(made, EnsembleModel):
            raise DataError(
                f"Model '{model}' names bases but cannot combine them.",
                remedy="implement combine (docs/add-a-model.md).",
            )
        paths = [
            QuantilePaths(
                mean=part["mean"].to_numpy()[:, None],
                quantiles=part[list(QUANTILE_COLUMNS)].to_numpy()[:, None, :],
            )
            for part in parts
        ]
        combined = made.combine(paths)
        result["mean"] = combined.mean[:, 0]
        result[list(QUANTILE_COLUMNS)] = combined.quantiles[:, 0]
    result["model"] = model
    return result


def learn(backtest_rows: pd.DataFrame, *, model: str = "champion_zero", through: Day | None = None) -> pd.DataFrame:
    """Learn the factors of one model, for every horizon among the rows.

    Parameters
    ----------
    backtest_rows:
        Rows of the ``backtest`` table of one pair; for an ensemble those of its base models are used.
    model:
        Model the factors are for.
    through:
        Last day factors are wanted for; default: the newest as_of among the rows.

    Returns
    -------
    pandas.DataFrame
        Rows of ``interval_calibration`` without provenance; months before the first maturity have no row.

    Raises
    ------
    DataError
        When the rows mix pairs or a needed model has none.
    """
    import pandas as pd

    pairs = sorted(map(str, backtest_rows["pair"].unique()))
    if len(pairs) != 1:
        raise DataError(
            f"Calibration needs the backtest rows of exactly one pair, got {pairs or 'none'}.",
            remedy="select the rows of one pair.",
        )
    rows = base_quantiles(backtest_rows, model)
    frames = []
    for horizon, part in rows.groupby("horizon", sort=True):
        last = as_day(through) if through is not None else _days(part["as_of"]).max()
        factors = learn_factors(
            horizon_days=int(str(horizon)),
            target_date=_days(part["target_date"]),
            matured_on=_days(part["matured_on"]),
            actual=part["actual"].to_numpy(dtype=np.float64),
            quantiles=part[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64),
            through=last,
        )
        frames.append(factors_frame(factors, pairs[0], int(str(horizon)), model))
    return pd.concat(frames, ignore_index=True)


def factors_frame(factors: Factors, pair: str, horizon_days: int, model: str) -> pd.DataFrame:
    """Return factors as rows of ``interval_calibration`` without provenance."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "pair": pd.Series([pair] * len(factors.n), dtype=object),
            "horizon": np.full(len(factors.n), horizon_days, dtype=np.int64),
            "model": pd.Series([model] * len(factors.n), dtype=object),
            "scope": pd.Series(["pair"] * len(factors.n), dtype=object),
            "condition": pd.Series(["all"] * len(factors.n), dtype=object),
            "used": np.ones(len(factors.n), dtype=bool),
            "reason": pd.Series(["always used: shrunk to 1 by its evidence"] * len(factors.n), dtype=object),
            "valid_from": factors.valid_from.astype("datetime64[ns]"),
            "learned_through": factors.learned_through.astype("datetime64[ns]"),
            "n": factors.n,
            "n_effective": factors.n_effective,
            "factor_lower": factors.lower,
            "factor_upper": factors.upper,
            **factors.shares,
        }
    )
    names = [name for name in INTERVAL_CALIBRATION.column_names if name in frame.columns]
    return frame[names]


def factors_from_frame(calibration: pd.DataFrame, model: str, horizon_days: int) -> Factors:
    """Return the factors of one model and horizon held in rows of ``interval_calibration``."""
    rows = calibration.loc[(calibration["model"] == model) & (calibration["horizon"] == horizon_days)]
    if "condition" in rows.columns:  # those of a regime or an event hold besides these, never instead of them
        rows = rows.loc[rows["condition"] == "all"]
    rows = rows.sort_values("valid_from", kind="stable")
    return Factors(
        valid_from=_days(rows["valid_from"]),
        learned_through=_days(rows["learned_through"]),
        n=rows["n"].to_numpy(dtype=np.int64),
        n_effective=rows["n_effective"].to_numpy(dtype=np.float64),
        lower=rows["factor_lower"].to_numpy(dtype=np.float64),
        upper=rows["factor_upper"].to_numpy(dtype=np.float64),
        shares={name: rows[name].to_numpy(dtype=np.float64) for name in _SHARES},
    )


def _days(series: pd.Series[Any]) -> Dates:
    return series.to_numpy().astype("datetime64[D]")
