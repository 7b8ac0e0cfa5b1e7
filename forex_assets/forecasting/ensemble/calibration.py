"""Pooled calibration of the ensemble, and the rule of evidence under which any correction is used at all.

Two factors, below and above the median, are learned from the matured errors of all pairs, slowly. A correction that
holds only under a condition (a regime, a meeting inside the tenor) has two factors of its own, shrunk to those of all.
Each is *used* only from the day on which, walked forward, it has lowered the interval score beyond noise; until then
the table shows what it would be and what it did.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.forecasting.calibration import grid_factors, standardise
from forex_assets.levels import QUANTILE_LEVELS

ALL = "all"
LOW_80, HIGH_80 = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
PENALTY = 2.0 / 0.05


@dataclass(frozen=True)
class CalibrationConfig:
    """How slow, and how much evidence."""

    window_years: int = 10
    prior_tenors: float = 500.0
    """Non-overlapping tenors at which the factors learned count half."""
    min_tenors: float = 8.0
    accept_z: float = 1.645
    """Standard errors by which the interval score must have fallen, walked forward, before a correction is used."""
    min_scored_tenors: float = 24.0


@dataclass(frozen=True)
class Errors:
    """Matured errors of one tenor, by maturity.

    Attributes
    ----------
    day, matured:
        Origin and maturity, shape (n,); ``matured`` grows.
    move, spread:
        Log distance of outcome and quantiles from the median in each forecast's own sigma, (n,) and (n, 13).
    conditions:
        Name → rows it holds in, shape (n,).
    """

    day: Dates
    matured: Dates
    move: Floats
    spread: Floats
    conditions: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]

    @classmethod
    def of(
        cls,
        day: Dates,
        matured: Dates,
        actual: Floats,
        quantiles: Floats,
        conditions: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]],
    ) -> Errors:
        """Return errors from outcomes and quantiles in any order."""
        order = np.lexsort((day, matured))
        move, spread = standardise(actual[order], quantiles[order])
        held = {name: rows[order] for name, rows in conditions.items()}
        return cls(day[order], matured[order], move, spread, held)


@dataclass(frozen=True)
class Correction:
    """Factors of one condition from one day on, the evidence for them, and whether they are used."""

    valid_from: np.datetime64
    learned_through: np.datetime64
    condition: str
    lower: float
    upper: float
    used: bool
    reason: str
    n: int
    n_effective: float
    score_ratio: float
    score_z: float
    shares: Mapping[str, float]


def learn_corrections(
    errors: Errors,
    starts: Dates,
    horizon_days: int,
    config: CalibrationConfig | None = None,
    *,
    shrink_to_all: bool = True,
) -> list[Correction]:
    """Return the corrections of every condition (first ``all``) at every start, each learned from what matured before.

    Parameters
    ----------
    errors:
        Of all pairs.
    starts:
        First days of validity, growing.
    horizon_days:
        Tenor in calendar days.
    shrink_to_all:
        Whether a condition's factors are shrunk to those of all errors; else to 1, and those of all are not learned.
    """
    config = config or CalibrationConfig()
    every = np.ones(len(errors.move), dtype=bool)
    found: list[Correction] = []
    parents: dict[np.datetime64, tuple[float, float]] = {}
    for condition, rows in {**({ALL: every} if shrink_to_all else {}), **errors.conditions}.items():
        place = np.flatnonzero(rows)
        part = _Part(errors, place, horizon_days, config)
        for start, end in itertools.pairwise([*starts, np.datetime64("9999-12-31")]):
            correction = part.at(start, end, condition, parents.get(start, (1.0, 1.0)))
            if correction is None:
                continue
            if condition == ALL:
                parents[start] = (correction.lower, correction.upper) if correction.used else (1.0, 1.0)
            found.append(correction)
    return found


class _Part:
    """Errors under one condition, with what every start's factors made of the errors that followed."""

    def __init__(self, errors: Errors, place: Ints, horizon: int, config: CalibrationConfig) -> None:
        self.config = config
        self.horizon = horizon
        self.day, self.matured = errors.day[place], errors.matured[place]
        self.move, self.spread = errors.move[place], errors.spread[place]
        self.grid = grid_factors(self.move, self.spread)
        self.plain = interval_loss(self.move, self.spread, 1.0, 1.0)
        self.corrected = self.plain.copy()
        self.scored = np.zeros(len(self.day), dtype=bool)

    def at(
        self, start: np.datetime64, end: np.datetime64, condition: str, parent: tuple[float, float]
    ) -> Correction | None:
        """Return the correction from ``start`` on, and apply it to the errors of origins before ``end``."""
        config = self.config
        last = int(np.searchsorted(self.matured, start, side="left"))
        since = (start.astype("datetime64[M]") - 12 * config.window_years).astype("datetime64[D]")
        first = int(np.searchsorted(self.matured, since, side="left"))
        if last <= first:
            return None
        tenors = tenors_between(self.day[first:last], self.horizon)
        weight = tenors / (tenors + config.prior_tenors) if tenors >= config.min_tenors else 0.0
        low, high = self.grid.best(first, last)
        lower, upper = (mean + weight * (best - mean) for mean, best in zip(parent, (low, high), strict=True))
        ratio, z, scored = self._evidence(last)
        enough = scored >= config.min_scored_tenors
        used = enough and z < -config.accept_z
        reason = (
            f"interval score ratio {ratio:.4f} ({z:+.1f} standard errors) over {scored:.0f} tenors walked forward"
            if enough
            else f"{scored:.0f} of {config.min_scored_tenors:.0f} tenors of evidence"
        )
        later = (self.day >= start) & (self.day < end)
        self.corrected[later] = interval_loss(self.move[later], self.spread[later], lower, upper)
        self.plain[later] = interval_loss(self.move[later], self.spread[later], *parent)
        self.scored[later] = tenors >= config.min_tenors
        return Correction(
            valid_from=start,
            learned_through=self.matured[last - 1],
            condition=condition,
            lower=float(lower),
            upper=float(upper),
            used=bool(used),
            reason=("used: " if used else "not used: ") + reason,
            n=last - first,
            n_effective=tenors,
            score_ratio=ratio,
            score_z=z,
            shares=coverage(self.move[first:last], self.spread[first:last], parent, (lower, upper)),
        )

    def _evidence(self, last: int) -> tuple[float, float, float]:
        """Return ratio of interval scores, standard errors from no change, and tenors, of what matured so far."""
        rows = np.flatnonzero(self.scored[:last])
        if not len(rows):
            return 1.0, 0.0, 0.0
        gain, base = self.corrected[rows] - self.plain[rows], self.plain[rows]
        ratio, z = ratio_and_z(gain, base, self.day[rows], self.horizon)
        return ratio, z, tenors_between(self.day[rows], self.horizon)


def interval_loss(move: Floats, spread: Floats, lower: float, upper: float) -> Floats:
    """Return the interval score of the 95% interval in units of each forecast's sigma, shape (n,)."""
    low, high = lower * spread[:, 0], upper * spread[:, -1]
    return np.asarray(high - low + PENALTY * (np.maximum(low - move, 0.0) + np.maximum(move - high, 0.0)))


def tenors_between(day: Dates, horizon_days: int) -> float:
    """Return the non-overlapping tenors that origins span; gaps (a condition that rarely holds) do not count."""
    if not len(day):
        return 0.0
    days = np.unique(day)
    gaps = np.minimum(np.diff(days).astype(np.int64), horizon_days)
    return float(min(len(days), 1.0 + gaps.sum() / horizon_days))


def ratio_and_z(excess: Floats, base: Floats, day: Dates, horizon_days: int) -> tuple[float, float]:
    """Return (base + excess) / base and how many standard errors the excess is above 0.

    All pairs of a date are one observation; overlap of dates is allowed for by a Bartlett window of the tenor and a
    quarter beside it.
    """
    dates, place = np.unique(day, return_inverse=True)
    total = np.bincount(place, excess)
    level = float(base.sum())
    if level <= 0.0:
        return 1.0, 0.0
    mean = float(total.mean())
    ratio = 1.0 + float(excess.sum()) / level
    centred = total - mean
    if len(dates) < 3 or not np.any(centred):
        return ratio, 0.0 if mean == 0.0 else float(np.sign(mean)) * np.inf
    spacing = max(float(np.median(np.diff(dates).astype(np.int64))), 1.0)
    lags = min(int(np.ceil((horizon_days + 91) / spacing)), len(dates) - 1)
    variance = float(centred @ centred)
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    error = np.sqrt(max(variance, 1e-300)) / len(dates)
    return ratio, mean / float(error)


def coverage(move: Floats, spread: Floats, before: tuple[float, float], after: tuple[float, float]) -> dict[str, float]:
    """Return coverage of the 80% and 95% intervals and both 95% tails, before and after the factors."""
    out: dict[str, float] = {}
    for suffix, (low, high) in (("before", before), ("after", after)):
        below, above = move < low * spread[:, 0], move > high * spread[:, -1]
        inside = (move >= low * spread[:, LOW_80]) & (move <= high * spread[:, HIGH_80])
        out[f"coverage_80_{suffix}"] = float(inside.mean())
        out[f"coverage_95_{suffix}"] = float(1.0 - (below | above).mean())
        out[f"tail_low_{suffix}"], out[f"tail_high_{suffix}"] = float(below.mean()), float(above.mean())
    return out
