"""Do two series still move on the same dates? A running test that notices when one starts to run late or early.

How a series' change of a session goes with the changes of another on the sessions around it is learned from the past
(:class:`Profile`). From then on every session is held against two explanations: dates as before, and dates moved by one
session. The sum of the log-likelihood ratios since the last moment at which "as before" was ahead (CUSUM, Page 1954)
says how much more likely the move is. It uses what came before and at a session, never after.

Nothing is assumed of which session is right: a change is found in either series, whatever sources they come from.
Dates that were wrong from the first row on are for :func:`~forex_assets.market.quality.shift.detect_date_shift`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

REACH = 2
"""Sessions before and after from which a change may be explained."""
LEARN_MIN = 120
MOVES = (1, -1)
"""A session late, a session early."""
_TAIL = 4.0
_WINSOR = 4.0


@dataclass(frozen=True)
class Profile:
    """What a change of the series is expected to be, given the other's changes nearby, and how sure that is.

    ``share`` is the part of the variance of the series' changes that the other explains; ``n`` the sessions behind it.
    """

    weights: Floats
    scale: float
    share: float
    n: int


@dataclass(frozen=True)
class Lockstep:
    """The running test over a grid of sessions: for each, the evidence for a move of :data:`MOVES` and its start."""

    dates: Dates
    evidence: Floats
    since: npt.NDArray[np.int64]
    profile: Profile


def changes_on(grid: Dates, dates: Dates, level: Floats) -> Floats:
    """Return changes of a level on a grid of sessions, NaN where this session or the one before has no value."""
    on = np.full(len(grid), np.nan)
    place = np.searchsorted(grid, dates)
    held = (place < len(grid)) & (grid[np.minimum(place, len(grid) - 1)] == dates)
    on[place[held]] = level[held]
    out = np.full(len(grid), np.nan)
    out[1:] = np.diff(on)
    return out


def learn(ours: Floats, theirs: Floats) -> Profile | None:
    """Learn the profile from changes on one grid; None where fewer than :data:`LEARN_MIN` sessions can be compared."""
    design = _around(_standard(theirs))
    target = _standard(ours)
    good = np.isfinite(target) & np.isfinite(design).all(axis=1)
    n = int(good.sum())
    if n < LEARN_MIN:
        return None
    x, y = design[good], target[good]
    weights = np.asarray(np.linalg.solve(x.T @ x + 0.02 * n * np.eye(x.shape[1]), x.T @ y), dtype=np.float64)
    rest = y - x @ weights
    share = float(np.clip(1 - rest.var() / max(y.var(), 1e-12), 0.0, 1.0))
    return Profile(weights, max(float(np.median(np.abs(rest)) / 0.6745), 1e-6), share, n)


def follow(grid: Dates, ours: Floats, theirs: Floats, profile: Profile) -> Lockstep:
    """Run the test over changes on one grid, with a profile learned before."""
    expected = _around(_standard(theirs)) @ profile.weights
    target = _standard(ours)
    as_before = _log_density(target - expected, profile.scale)
    evidence = np.zeros((len(grid), len(MOVES)))
    since = np.zeros((len(grid), len(MOVES)), dtype=np.int64)
    for column, move in enumerate(MOVES):
        moved = _log_density(target - _moved(expected, move), profile.scale)
        gain = np.nan_to_num(moved - as_before, nan=0.0)
        # CUSUM: the running sum over its own running minimum.
        total = np.concatenate([[0.0], np.cumsum(gain)])
        lowest = np.minimum.accumulate(total)
        evidence[:, column] = (total - lowest)[1:]
        place = np.where(total <= lowest, np.arange(len(total)), 0)
        since[:, column] = np.maximum.accumulate(place)[1:]
    return Lockstep(grid, evidence, since, profile)


def _standard(changes: Floats) -> Floats:
    """Return changes in past-only robust sigmas (of the last 60), cut at a few of them."""
    import pandas as pd

    sizes = pd.Series(np.abs(changes))
    sigma = sizes.rolling(60, min_periods=20).median().shift(1).to_numpy(copy=True) / 0.6745
    sigma[~(sigma > 0)] = np.nan
    out: Floats = np.clip(changes / sigma, -_WINSOR, _WINSOR)
    return out


def _around(changes: Floats) -> Floats:
    return np.column_stack([_moved(changes, move) for move in range(-REACH, REACH + 1)])


def _moved(values: Floats, places: int) -> Floats:
    out = np.full(len(values), np.nan)
    if abs(places) >= len(values):
        return out
    if places > 0:
        out[places:] = values[:-places]
    elif places < 0:
        out[:places] = values[-places:]
    else:
        out[:] = values
    return out


def _log_density(residual: Floats, scale: float) -> Floats:
    """Return the log density of Student's t, less a constant: its tails are so wide that one day decides nothing."""
    out: Floats = -(_TAIL + 1) / 2 * np.log1p((residual / scale) ** 2 / _TAIL)
    return out
