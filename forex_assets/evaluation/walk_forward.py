"""Walk-forward validation in folds, with the acceptable limits of spec 2.4 and the three questions of E07.

The backtest judges every origin of many years; a validation judges a few recent folds against limits, as a gate before
something is used. A fold's forecasts are those made on the days of its test. ``expanding`` shows each of them all that
was known; ``rolling`` only the last ``initial_train_days`` before the test, so that a model is seen on a short history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forex_assets.errors import DataError, ValidationError
from forex_assets.evaluation.grid import ScoreGrid
from forex_assets.evaluation.inference import share_interval
from forex_assets.evaluation.slices import calendar_labels
from forex_assets.settings import CoverageBand
from forex_assets.settings.walk_forward import WalkForwardRules

Kind = Literal["expanding", "rolling"]
KINDS: tuple[Kind, ...] = ("expanding", "rolling")


@dataclass(frozen=True)
class Fold:
    """One fold: what a model may see from, and the first and last day of its test."""

    number: int
    train_start: np.datetime64
    test_start: np.datetime64
    test_end: np.datetime64


@dataclass(frozen=True)
class FoldScore:
    """What one model did in one fold."""

    fold: int
    test_start: str
    test_end: str
    n: int
    rmse: float
    mape: float
    coverage_95: float
    crps_ratio: float


@dataclass(frozen=True)
class Validation:
    """One model's folds, their means against the limits, and the three answers.

    Attributes
    ----------
    acceptable:
        Every mean is within its limit; ``reasons`` says which are not.
    performance:
        The CRPS over all folds does not exceed the random walk's.
    stability:
        No fold's coverage is outside the tolerance beyond what its few independent forecasts can say, and no fold's
        RMSE is above three times the folds' median.
    fairness:
        The same coverage rule for every weekday, and for targets above and below the last value.
    """

    pair: str
    horizon: int
    model: str
    kind: str
    folds: tuple[FoldScore, ...]
    mean_rmse: float
    mean_mape: float
    mean_coverage_95: float
    acceptable: bool
    reasons: tuple[str, ...]
    performance: bool
    stability: bool
    fairness: bool


def lay_folds(
    first: np.datetime64, last: np.datetime64, *, kind: Kind, rules: WalkForwardRules, folds: int | None = None
) -> list[Fold]:
    """Return the folds, oldest first; the last test ends on ``last``.

    Parameters
    ----------
    first:
        Date of the first value.
    last:
        Last forecast day whose outcome is known.

    Raises
    ------
    ValidationError
        When the kind or the number of folds breaks its rule.
    DataError
        When the history before the oldest test is shorter than the rules ask for.
    """
    count = rules.folds if folds is None else folds
    if kind not in KINDS:
        raise ValidationError(f"Walk-forward {kind!r} is not one of {', '.join(KINDS)}.", remedy="use one of those.")
    if count < 1:
        raise ValidationError(f"folds={count} must be at least 1.", remedy="use 5, the default.")
    out = []
    for number in range(count):
        back = (count - 1 - number) * rules.step_days
        end = last - np.timedelta64(back, "D")
        start = end - np.timedelta64(rules.test_days - 1, "D")
        train = first if kind == "expanding" else start - np.timedelta64(rules.initial_train_days, "D")
        out.append(Fold(number + 1, train, start, end))
    known = int((out[0].test_start - first) / np.timedelta64(1, "D"))
    if known < rules.initial_train_days:
        raise DataError(
            f"The oldest of {count} folds starts on {out[0].test_start}, {known} days after the first value ({first}); "
            f"{rules.initial_train_days} are needed.",
            remedy="ask for fewer folds, or use a source with a longer history.",
        )
    return out


def validate_folds(
    grids: Sequence[ScoreGrid | None], folds: Sequence[Fold], *, kind: str, rules: WalkForwardRules, band: CoverageBand
) -> list[Validation]:
    """Return one validation per model from the scores of each fold (None: no forecast of the fold has matured).

    Raises
    ------
    DataError
        When no fold holds a matured forecast.
    """
    present = [(fold, grid) for fold, grid in zip(folds, grids, strict=True) if grid is not None]
    if not present:
        raise DataError(
            f"None of the {len(folds)} folds holds a forecast that has matured.",
            remedy="choose an earlier end, or a source with newer values.",
        )
    names = list(dict.fromkeys(name for _, grid in present for name in grid.models))
    return [_validate(name, present, kind, rules, band) for name in names]


def _validate(
    name: str, present: list[tuple[Fold, ScoreGrid]], kind: str, rules: WalkForwardRules, band: CoverageBand
) -> Validation:
    scores: list[FoldScore] = []
    stable = True
    own_crps = walk_crps = 0.0
    segments: dict[str, list[tuple[np.ndarray, np.ndarray, int]]] = {}
    for fold, grid in present:
        if name not in grid.models:
            continue
        column = grid.models.index(name)
        at = grid.common(column)
        error = np.sqrt(grid.scores["squared_error"][at, column].mean())
        hits = grid.scores["covered_95"][at, column]
        coverage = share_interval(hits, grid.steps, grid.origins[at])
        stable &= not _outside(coverage.low, coverage.high, band)
        ratio = math.nan
        if grid.benchmark is not None and len(both := grid.common(column, grid.benchmark)):
            own, walk = (float(grid.scores["crps"][both, c].sum()) for c in (column, grid.benchmark))
            own_crps, walk_crps, ratio = own_crps + own, walk_crps + walk, own / walk if walk > 0 else math.nan
        labels = {**_weekdays(grid, at), **_directions(grid, at)}
        for label, chosen in labels.items():
            segments.setdefault(label, []).append((hits[chosen], grid.origins[at][chosen], grid.steps))
        scores.append(
            FoldScore(
                fold=fold.number,
                test_start=str(fold.test_start),
                test_end=str(fold.test_end),
                n=len(at),
                rmse=float(error),
                mape=float(100.0 * (grid.scores["absolute_error"][at, column] / grid.actual[at]).mean()),
                coverage_95=coverage.value,
                crps_ratio=ratio,
            )
        )
    rmse, mape, coverage_95 = (
        float(np.mean([getattr(score, part) for score in scores])) for part in ("rmse", "mape", "coverage_95")
    )
    reasons = _reasons(rmse, mape, coverage_95, rules)
    errors = np.array([score.rmse for score in scores])
    stable &= bool((errors <= 3.0 * np.median(errors)).all())
    fair = all(not _segment_outside(parts, band) for parts in segments.values())
    return Validation(
        pair=present[0][1].pair,
        horizon=present[0][1].horizon,
        model=name,
        kind=kind,
        folds=tuple(scores),
        mean_rmse=rmse,
        mean_mape=mape,
        mean_coverage_95=coverage_95,
        acceptable=not reasons,
        reasons=reasons,
        performance=walk_crps > 0 and own_crps <= walk_crps * (1.0 + 1e-12),
        stability=stable,
        fairness=fair,
    )


def _reasons(rmse: float, mape: float, coverage: float, rules: WalkForwardRules) -> tuple[str, ...]:
    checks = (
        (
            rmse > rules.max_mean_rmse_quote_units,
            f"mean RMSE {rmse:.4g} is above {rules.max_mean_rmse_quote_units:g} quote units",
        ),
        (mape > rules.max_mean_mape_percent, f"mean MAPE {mape:.3g}% is above {rules.max_mean_mape_percent:g}%"),
        (
            not coverage >= rules.min_mean_coverage_share,
            f"mean coverage {coverage:.1%} of the 95% interval is below {rules.min_mean_coverage_share:.0%}",
        ),
    )
    return tuple(text for failed, text in checks if failed)


def _outside(low: float, high: float, band: CoverageBand) -> bool:
    return high < band.band_low_share or low > band.band_high_share


def _segment_outside(parts: list[tuple[np.ndarray, np.ndarray, int]], band: CoverageBand) -> bool:
    hits = np.concatenate([part[0] for part in parts])
    if not len(hits):
        return False
    dates = np.concatenate([part[1] for part in parts])
    found = share_interval(hits, max(part[2] for part in parts), dates)
    return _outside(found.low, found.high, band)


def _weekdays(grid: ScoreGrid, at: np.ndarray) -> dict[str, np.ndarray]:
    weekday = calendar_labels(grid)["weekday"][at]
    return {str(name): weekday == name for name in np.unique(weekday)}


def _directions(grid: ScoreGrid, at: np.ndarray) -> dict[str, np.ndarray]:
    rose = grid.actual[at] >= grid.last_value[at]
    return {"rose": rose, "fell": ~rose}
