"""What drift is looked for in: returns, volatility, features, residuals and PIT, each as a series that only grows.

Element i of a sample depends on the observations up to i alone, so a day reads a prefix of what a replay computes once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.monitoring.degradation import normal_scores
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Known
from forex_assets.settings.monitoring import DriftPolicy

Test = Literal["location", "scale", "distribution", "persistence", "link"]
#: Series whose moves are differences, in their own unit; all others move in logs.
DIFFERENCES = ("fed_funds", "tpm", "us_2y", "us_10y", "ipc_yoy", "imacec_yoy", "wti")
#: The driver whose link to the pair is watched.
LINK = ("copper_comex", "copper_lme")


@dataclass(frozen=True, eq=False)
class Sample:
    """One series to be compared with its own past.

    Attributes
    ----------
    subject:
        For example ``returns``, ``copper_comex``, ``residual_7d``.
    dates:
        Day each value became usable on (maturity for scores, its own date otherwise), shape (n,).
    values:
        Shape (n,); NaN is missing.
    tests:
        Which tests make sense of it.
    steps:
        Consecutive values that share steps (1: none).
    partner:
        The other series of a link, on the same dates.
    """

    subject: str
    dates: Dates
    values: Floats
    tests: tuple[Test, ...]
    steps: float = 1.0
    partner: Floats | None = None


def samples_at(frames: Frames, target: Known, drivers: Mapping[str, Known], policy: DriftPolicy) -> list[Sample]:
    """Return every sample that can be made from what was known of prices and drivers, and from all scores."""
    out: list[Sample] = []
    dates, moves = moves_of(target)
    standard = standardised(moves, policy)
    out.append(Sample("returns", dates, standard, ("location", "distribution", "persistence")))
    out.append(Sample("volatility", dates, clipped(moves, policy), ("scale",)))
    for name in policy.features:
        if name not in drivers:
            continue
        days, values = moves_of(drivers[name])
        own = standardised(values, policy)
        out.append(Sample(name, days, own, ("location", "scale", "distribution", "persistence")))
        if name == next((link for link in LINK if link in drivers), None):
            both, left, right = np.intersect1d(dates, days, return_indices=True)
            out.append(Sample(f"link_{name}", both, standard[left], ("link",), partner=own[right]))
    for name, scored in frames.scored.items():
        if 2 * scored.steps > policy.recent_obs:
            continue  # the recent window would hold one or two independent errors; the performance monitor waits longer
        scores = np.where(np.isfinite(scored.pit), normal_scores(scored.pit), np.nan)
        residual = np.clip(scored.error_sigma, -policy.clip_sigma, policy.clip_sigma)
        out.append(Sample(f"residual_{name}", scored.matured_on, residual, ("location", "scale"), scored.steps))
        out.append(Sample(f"pit_{name}", scored.matured_on, scores, ("distribution",), scored.steps))
    return out


def moves_of(known: Known) -> tuple[Dates, Floats]:
    """Return the date and size of each move: log changes, or differences for rates; NaN where there is none."""
    if len(known) < 2:
        return known.dates[:0], np.empty(0)
    if known.name in DIFFERENCES:
        return known.dates[1:], np.diff(known.values)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.diff(np.log(known.values))
    return known.dates[1:], np.where(np.isfinite(moves), moves, np.nan)


def standardised(moves: Floats, policy: DriftPolicy) -> Floats:
    """Return each move over the volatility known before it, cut at ``clip_sigma``.

    Clustering of volatility is taken out, so that a storm is no drift of the returns. A move without any volatility
    before it (a rate that never changed) is 0 when it is 0 itself, else cut.
    """
    weight = 1.0 - 0.5 ** (1.0 / policy.standardise_half_life_obs)
    squares = np.nan_to_num(moves * moves, nan=0.0).tolist()
    level = float(np.mean(squares[: policy.recent_obs])) if squares else 0.0
    before: list[float] = []
    for square in squares:
        before.append(level)
        level += weight * (square - level)
    sigma = np.sqrt(np.asarray(before, dtype=np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(sigma > 0, moves / sigma, np.sign(moves) * np.inf)
    z = np.where(moves == 0, 0.0, z)
    return np.asarray(np.clip(z, -policy.clip_sigma, policy.clip_sigma), dtype=np.float64)


def clipped(moves: Floats, policy: DriftPolicy) -> Floats:
    """Return moves cut at ``clip_sigma`` of a slow scale, so that one jump is no change of volatility."""
    weight = 1.0 - 0.5 ** (1.0 / policy.baseline_obs)
    sizes = np.nan_to_num(np.abs(moves), nan=0.0).tolist()
    level = float(np.mean(sizes[: policy.baseline_obs])) if sizes else 0.0
    out: list[float] = []
    for size in sizes:
        limit = 1.25 * policy.clip_sigma * level
        cut = min(size, limit) if level > 0 else size
        out.append(cut)
        level += weight * (cut - level)
    return np.where(np.isnan(moves), np.nan, np.sign(moves) * np.asarray(out, dtype=np.float64))
