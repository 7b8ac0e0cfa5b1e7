"""Scores by state of the market, policy meeting, copper shock, weekday and time.

Labels of an origin use what was known there: the volatility state is the place of the last month's volatility among
those of the five years before, a shock is the copper price's last five days, and meeting dates are announced the year
before. Year and quarter are those of the target date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.arrays import Dates, Floats
from forex_assets.evaluation.grid import ScoreGrid
from forex_assets.evaluation.inference import clopper_pearson
from forex_assets.evaluation.overlap import effective_n, hits_effective_n, overlap_rows
from forex_assets.schemas import PROVENANCE
from forex_assets.schemas.evidence import PERFORMANCE_SLICES

Labels = npt.NDArray[np.str_]

SLICES = ("regime", "meeting", "shock", "weekday", "year", "quarter")
REGIMES = ("calm", "normal", "turbulent", "unknown")
VOLATILITY_ROWS = 20
VOLATILITY_MEMORY_ROWS = 1_250
_VOLATILITY_MIN_ROWS = 250
SHOCK_ROWS = 5
SHOCK_LOG = 0.05
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_AVERAGED = (
    *("covered_95", "covered_80", "below_95", "above_95", "width_95", "width_share"),
    *("interval_score_95", "crps", "squared_error"),
)
SLICE_COLUMNS = [name for name in PERFORMANCE_SLICES.column_names if name not in PROVENANCE]


@dataclass(frozen=True, eq=False)
class KnownSeries:
    """Values of one series with when each could first be known, dates growing."""

    event_date: Dates
    available_at: npt.NDArray[np.datetime64]
    value: Floats

    def known_rows(self, instants: npt.NDArray[np.datetime64]) -> npt.NDArray[np.intp]:
        """Return how many values were known at each instant."""
        return np.searchsorted(np.maximum.accumulate(self.available_at), instants, side="right")


def volatility_regimes(prices: KnownSeries, instants: npt.NDArray[np.datetime64]) -> Labels:
    """Return calm, normal, turbulent or unknown for each instant, shape (m,).

    The thirds of the volatilities of the last 20 daily log returns over the 1,250 values before; unknown with fewer
    than 250 of them.
    """
    out = np.full(len(instants), "unknown", dtype="<U9")
    moves = np.diff(np.log(prices.value))
    if len(moves) < VOLATILITY_ROWS + _VOLATILITY_MIN_ROWS:
        return out
    squares = np.concatenate([[0.0], np.cumsum(moves**2)])
    # volatility[i]: of the moves that end at value i + VOLATILITY_ROWS.
    volatility = squares[VOLATILITY_ROWS:] - squares[:-VOLATILITY_ROWS]
    place = prices.known_rows(instants) - 1 - VOLATILITY_ROWS
    wanted, back = np.unique(place, return_inverse=True)
    rank = np.full(len(wanted), np.nan)
    for i, at in enumerate(wanted):
        if at >= _VOLATILITY_MIN_ROWS:
            before = volatility[max(0, at - VOLATILITY_MEMORY_ROWS) : at]
            rank[i] = (before < volatility[at]).mean()
    rank = rank[back.ravel()]
    out[rank < 1 / 3] = "calm"
    out[(rank >= 1 / 3) & (rank <= 2 / 3)] = "normal"
    out[rank > 2 / 3] = "turbulent"
    return out


def meeting_labels(last_event_date: Dates, targets: Dates, reaction_dates: Dates) -> Labels:
    """Return in_life, none, or unknown (outside the meetings known), for each forecast.

    ``in_life``: the market answers a meeting after the last value the forecast knew and up to its target date.
    """
    reactions = np.sort(np.asarray(reaction_dates, dtype="datetime64[D]"))
    if not len(reactions):
        return np.full(len(targets), "unknown", dtype="<U7")
    first = np.searchsorted(reactions, last_event_date, side="right")
    last = np.searchsorted(reactions, targets, side="right")
    out = np.where(last > first, "in_life", "none").astype("<U7")
    out[(last_event_date < reactions[0]) | (targets > reactions[-1])] = "unknown"
    return out


def shock_labels(driver: KnownSeries, instants: npt.NDArray[np.datetime64]) -> Labels:
    """Return up, down or none for each instant: the driver's last five known moves together, beyond 5% either way."""
    out = np.full(len(instants), "unknown", dtype="<U7")
    last = driver.known_rows(instants) - 1
    some = last >= SHOCK_ROWS
    move = np.log(driver.value[last[some]] / driver.value[last[some] - SHOCK_ROWS])
    out[some] = np.where(move > SHOCK_LOG, "up", np.where(move < -SHOCK_LOG, "down", "none"))
    return out


def calendar_labels(grid: ScoreGrid) -> dict[str, Labels]:
    """Return the labels that need no data: weekday of the origin, year and quarter of the target."""
    weekday = (grid.origins.astype("datetime64[D]").astype(np.int64) + 3) % 7
    year = grid.targets.astype("datetime64[Y]").astype(np.int64) + 1970
    quarter = grid.targets.astype("datetime64[M]").astype(np.int64) % 12 // 3 + 1
    years = year.astype(str)
    return {
        "weekday": np.array(_WEEKDAYS)[weekday],
        "year": years,
        "quarter": np.char.add(np.char.add(years, "Q"), quarter.astype(str)),
    }


def performance_slices(
    grid: ScoreGrid, labels: Mapping[str, Labels], *, as_of: np.datetime64, active_model: str
) -> pd.DataFrame:
    """Return one PERFORMANCE_SLICES row per slice, value and model, without the provenance columns.

    Parameters
    ----------
    labels:
        Slice → label of every origin, shape (m,).
    """
    score = grid.scores
    columns = {**score, "width_share": score["width_95"] / grid.last_value[:, None]}
    stack = np.stack([columns[name] for name in _AVERAGED], axis=-1)  # (m, k, 9), the losses last
    benchmark = grid.benchmark
    frames = []
    for name in SLICES:
        if name not in labels:
            continue
        values, code = np.unique(labels[name], return_inverse=True)
        code = code.ravel()
        for at, value in enumerate(values):
            rows = np.flatnonzero(code == at)
            frames.append(_slice_rows(grid, stack[rows], rows, benchmark).assign(slice=name, value=str(value)))
    if not frames:
        return PERFORMANCE_SLICES.empty()[SLICE_COLUMNS]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.assign(
        pair=grid.pair,
        horizon=grid.horizon,
        as_of=pd.Timestamp(as_of),
        is_active=frame["model"] == active_model,
    )
    return frame[SLICE_COLUMNS]


def _slice_rows(grid: ScoreGrid, stack: Floats, rows: npt.NDArray[np.intp], benchmark: int | None) -> pd.DataFrame:
    present = grid.present[rows]
    n = present.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(n[:, None] > 0, np.nansum(stack, axis=0) / n[:, None], np.nan)
        ratio = np.full((len(n), 3), np.nan)
        if benchmark is not None:
            both = present & present[:, [benchmark]]
            own = np.where(both[:, :, None], stack[:, :, 6:], 0.0).sum(axis=0)
            walk = np.where(both[:, :, None], stack[:, [benchmark], 6:], 0.0).sum(axis=0)
            ratio = np.where(walk > 0, own / walk, np.nan)
    overlap = overlap_rows(grid.origins[rows], grid.steps)
    effective = np.array([effective_n(int(count), overlap) for count in n])
    trials = np.array([hits_effective_n(int(count), overlap, 0.95) for count in n])
    low, high = clopper_pearson(mean[:, 0], trials)
    frame = pd.DataFrame(
        {
            "model": list(grid.models),
            "n": n,
            "n_effective": effective,
            "coverage_95": mean[:, 0],
            "coverage_95_low": low,
            "coverage_95_high": high,
            "coverage_80": mean[:, 1],
            "tail_low_95": mean[:, 2],
            "tail_high_95": mean[:, 3],
            "width_95": mean[:, 4],
            "width_95_share": mean[:, 5],
            "interval_score_95": mean[:, 6],
            "interval_score_ratio": ratio[:, 0],
            "crps_ratio": ratio[:, 1],
            "theil_u": np.sqrt(ratio[:, 2]),
        }
    )
    kept: pd.DataFrame = frame.loc[n > 0]
    return kept
