"""Every model of a backtest beside the random walk, with the tests that say whether the difference is real."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.arrays import Floats
from forex_assets.evaluation.ability import (
    bootstrap_means,
    diebold_mariano,
    holm,
    model_confidence_set,
    superior_ability,
)
from forex_assets.evaluation.anytime import confidence_sequence, e_value, largest_difference
from forex_assets.evaluation.grid import ScoreGrid
from forex_assets.evaluation.inference import MIN_EFFECTIVE_FOR_RATIO, clopper_pearson, share_interval
from forex_assets.evaluation.overlap import effective_n, overlap_rows
from forex_assets.schemas import PROVENANCE
from forex_assets.schemas.evidence import MODEL_COMPARISON, RELIABILITY

_COMPARED = ("crps", "interval_score_95")
#: Origins with an outcome that a scale of absolute errors needs.
_MIN_SCALE_ROWS = 20
COMPARISON_COLUMNS = [name for name in MODEL_COMPARISON.column_names if name not in PROVENANCE]
RELIABILITY_COLUMNS = [name for name in RELIABILITY.column_names if name not in PROVENANCE]


def compare_models(grid: ScoreGrid, *, as_of: np.datetime64, active_model: str, tried: int = 0) -> pd.DataFrame:
    """Return one MODEL_COMPARISON row per model, without the provenance columns.

    ``tried`` is how many configurations were ever scored on these origins; corrected p-values allow for them where
    they are more than the models at hand.

    Every figure against the random walk is over the origins both have. The model confidence set and the test of
    superior ability are over the origins all models have; with the random walk missing they stay empty.
    """
    rows = [_plain(grid, column) for column in range(len(grid.models))]
    benchmark = grid.benchmark
    trials = max(tried, sum(name != "random_walk" for name in grid.models))
    scale = naive_scale(grid)
    for column, row in enumerate(rows):
        row["mase"] = _mase(grid, column, scale)
        row.update(_against(grid, column, benchmark) if benchmark is not None else {})
    _correct(rows, trials)
    _best_set(grid, rows)
    frame = pd.DataFrame(rows).assign(
        pair=grid.pair, horizon=grid.horizon, as_of=pd.Timestamp(as_of), trials=trials, model=list(grid.models)
    )
    frame["is_active"] = frame["model"] == active_model
    return frame.reindex(columns=COMPARISON_COLUMNS)


def naive_scale(grid: ScoreGrid) -> Floats:
    """Return, per origin, the mean absolute error of "no change" over the outcomes known then, NaN for few; (m,)."""
    naive = np.abs(grid.actual - grid.last_value)
    known = np.searchsorted(np.maximum.accumulate(grid.matured_on), grid.origins, side="right")
    sums = np.concatenate([[0.0], np.cumsum(naive)])[known]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((known >= _MIN_SCALE_ROWS) & (sums > 0), sums / known, np.nan), dtype=np.float64)


def reliability(grid: ScoreGrid, *, as_of: np.datetime64, active_model: str) -> pd.DataFrame:
    """Return one RELIABILITY row per model and level, without the provenance columns.

    An interval is Clopper-Pearson at the effective number of independent forecasts: wide rather than narrow, since
    whether an outcome lies below a quantile depends less on its neighbours than the error itself.
    """
    from forex_assets.levels import QUANTILE_LEVELS

    levels = np.asarray(QUANTILE_LEVELS)
    frames = []
    for column, model in enumerate(grid.models):
        at = grid.common(column)
        effective = effective_n(len(at), overlap_rows(grid.origins[at], grid.steps)) if len(at) else 0.0
        below = (grid.actual[at, None] <= grid.quantiles[at, column]).mean(axis=0) if len(at) else levels * np.nan
        low, high = clopper_pearson(below, effective)
        ratio = np.full(len(levels), np.nan)
        if grid.benchmark is not None and len(both := grid.common(column, grid.benchmark)):
            ratio = grid.pinball[both, column].mean(axis=0) / grid.pinball[both, grid.benchmark].mean(axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "model": model,
                    "level": levels,
                    "n": len(at),
                    "n_effective": effective,
                    "share_below": below,
                    "share_below_low": low,
                    "share_below_high": high,
                    "pinball": grid.pinball[at, column].mean(axis=0) if len(at) else np.nan,
                    "pinball_ratio": ratio,
                    "is_active": model == active_model,
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(pair=grid.pair, horizon=grid.horizon, as_of=pd.Timestamp(as_of))[RELIABILITY_COLUMNS]


def _plain(grid: ScoreGrid, column: int) -> dict[str, Any]:
    at = grid.common(column)
    score = {name: values[at, column] for name, values in grid.scores.items()}
    hit = share_interval(score["direction_hit"], grid.steps, grid.origins[at])
    return {
        "n": len(at),
        "n_effective": hit_effective(grid, at),
        "first_origin": pd.Timestamp(grid.origins[at[0]]),
        "last_origin": pd.Timestamp(grid.origins[at[-1]]),
        "crps": float(score["crps"].mean()),
        "interval_score_80": float(score["interval_score_80"].mean()),
        "interval_score_95": float(score["interval_score_95"].mean()),
        "coverage_error": (abs(score["covered_80"].mean() - 0.80) + abs(score["covered_95"].mean() - 0.95)) / 2,
        "brier": float(score["brier"].mean()),
        "direction_hit": hit.value,
        "direction_hit_low": hit.low,
        "direction_hit_high": hit.high,
        "verdict": "undecided",
    }


def hit_effective(grid: ScoreGrid, at: np.ndarray[Any, np.dtype[np.intp]]) -> float:
    """Return how many independent forecasts those at some origins are worth."""
    return effective_n(len(at), overlap_rows(grid.origins[at], grid.steps)) if len(at) else 0.0


def _mase(grid: ScoreGrid, column: int, scale: Floats) -> float:
    at = grid.common(column)
    at = at[np.isfinite(scale[at])]
    return float((grid.scores["absolute_error"][at, column] / scale[at]).mean()) if len(at) else math.nan


def _against(grid: ScoreGrid, column: int, benchmark: int) -> dict[str, Any]:
    both = grid.common(column, benchmark)
    if not len(both):
        return {}
    own = {name: values[both, column] for name, values in grid.scores.items()}
    walk = {name: values[both, benchmark] for name, values in grid.scores.items()}

    def ratio(name: str) -> float:
        reference = float(walk[name].mean())
        return float(own[name].mean()) / reference if reference > 0 else math.nan

    found: dict[str, Any] = {
        "crps_ratio": ratio("crps"),
        "interval_score_80_ratio": ratio("interval_score_80"),
        "interval_score_95_ratio": ratio("interval_score_95"),
        "brier_ratio": ratio("brier"),
        "theil_u": math.sqrt(ratio("squared_error")),
    }
    if column == benchmark:
        return found | {"e_better": 1.0, "e_worse": 1.0}
    origins = grid.origins[both]
    for name, label in (("crps", "dm_crps"), ("interval_score_95", "dm_interval_score")):
        test = diebold_mariano(own[name], walk[name], origins, grid.steps)
        found |= {label: test.statistic, f"{label}_p": test.p_value}
    gain = walk["crps"] - own["crps"]
    bound = largest_difference(grid.quantiles[both, column], grid.quantiles[both, benchmark])
    better = e_value(gain, bound, origins, grid.matured_on[both])
    worse = e_value(-gain, bound, origins, grid.matured_on[both])
    low, high = confidence_sequence(-gain, origins, grid.steps)
    reference = float(walk["crps"].mean())
    return found | {
        "e_better": better,
        "e_worse": worse,
        "crps_change": float(-gain.mean()) / reference,
        "crps_change_low": low / reference,
        "crps_change_high": high / reference,
        "verdict": "better" if high < 0.0 else "worse" if low > 0.0 else "undecided",
    }


def _correct(rows: list[dict[str, Any]], trials: int) -> None:
    for label in ("dm_crps", "dm_interval_score"):
        adjusted = holm([row.get(f"{label}_p", math.nan) for row in rows], trials)
        for row, value in zip(rows, adjusted, strict=True):
            row[f"{label}_p_adjusted"] = float(value)


def _best_set(grid: ScoreGrid, rows: list[dict[str, Any]]) -> None:
    """Add the model confidence set and the test of superior ability: one set of draws for both losses."""
    k = len(grid.models)
    everywhere = grid.common(*range(k))
    if k < 2 or hit_effective(grid, everywhere) < MIN_EFFECTIVE_FOR_RATIO:
        return
    losses = np.concatenate([grid.scores[name][everywhere] for name in _COMPARED], axis=1)
    means = bootstrap_means(losses, grid.origins[everywhere], grid.steps)
    for place, label in enumerate(("mcs_crps_p", "mcs_interval_score_p")):
        part = slice(place * k, (place + 1) * k)
        for row, value in zip(rows, model_confidence_set(losses[:, part], means[:, part]), strict=True):
            row[label] = float(value)
    benchmark = grid.benchmark
    if benchmark is not None:
        others = [column for column in range(k) if column != benchmark]
        p_value = superior_ability(losses[:, others], losses[:, benchmark], means[:, others], means[:, benchmark])
        for row in rows:
            row["spa_crps_p"] = p_value
