"""Does a series still move on the same dates as others do? A running test that notices when it starts to run off.

What a series' change of a session is expected to be, given the changes of the others on the sessions around it and its
own before, is learned from the past (:class:`Profile`). From then on every session is held against two explanations:
dates moved by one session, and no move: dates as before, or, as likely, a session on which the series has nothing to do
with the others (so markets that part company are no move). The sum of the log-likelihood ratios since the last moment
at which "no move" was ahead (CUSUM, Page 1954) says how much more likely the move is. It uses what came before and at
a session and two sessions after it, never more.

No day decides: what one session may add is bounded. A value that repeats the one before it exactly is where dates that
start to run late must begin; it counts for as much as such repeats are rare.

Dates that were wrong from the first row on are for :func:`~forex_assets.market.quality.shift.detect_date_shift`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats

REACH = 2
"""Sessions before and after from which a change may be explained: three in a row of each partner."""
_CENTRES = (0, -1, 1)
OWN = 3
"""Sessions of its own before."""
LEARN_MIN = 150
SIGMA_ROWS = 60
"""Sessions that the first robust sigma of a sample may take."""
MOVES = (1, -1)
"""A session late, a session early."""
_RIDGE = 0.02
_TAIL = 5.0
_WINSOR = 4.0
_BOUND = 3.0
"""What one session may add to the evidence, or take from it."""
_HELD_SHARE = 0.97
_PENALTY = 2.0
_OFF_CENTRE = 12.0
"""What it must be worth to take a series for running a session off the sessions it is dated."""
_CLOSED_AT_MOST = 5


@dataclass(frozen=True)
class Profile:
    """What a change of the series is expected to be, given the others' changes nearby and its own, and how sure it is.

    Parameters
    ----------
    partners:
        The series that explain it, the one that explains most first.
    centres:
        For each, sessions by which the middle one of the three that explain runs late (early where negative).
    weights, own:
        Of the partners' changes on three sessions each, and of the series' own before.
    scale, alone:
        Of what is left, as errors on sessions that the weights were not learned from; and of what the series' own
        changes leave.
    share:
        Part of the variance of the changes that is explained.
    gain:
        Evidence that one session is expected to add if the dates were moved; the smaller of the two :data:`MOVES`.
    repeat:
        Evidence in an exact repeat: how much rarer it is than at the start of dates that run late.
    n:
        Sessions it was learned from.
    """

    partners: tuple[str, ...]
    centres: tuple[int, ...]
    weights: Floats
    own: Floats
    scale: float
    alone: float
    share: float
    gain: float
    repeat: float
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
    return _differences(_on(grid, dates, level))


def bridged_changes_on(grid: Dates, dates: Dates, level: Floats) -> Floats:
    """Return changes of a level on a grid that has other closed days: those of a gap are equal parts of the change."""
    on = _on(grid, dates, level)
    held = np.flatnonzero(np.isfinite(on))
    if len(held) < 2:
        return np.full(len(grid), np.nan)
    places = np.arange(len(grid))
    filled = np.interp(places, held, on[held], left=np.nan, right=np.nan)
    after = held[np.minimum(np.searchsorted(held, places), len(held) - 1)]
    before = held[np.maximum(np.searchsorted(held, places, side="right") - 1, 0)]
    filled[after - before > _CLOSED_AT_MOST] = np.nan
    return _differences(filled)


def standard(changes: Floats) -> Floats:
    """Return changes in past-only robust sigmas (the larger of that of 60 and of 10), cut at a few of them."""
    import pandas as pd

    sizes = pd.Series(np.abs(changes))
    slow = sizes.rolling(SIGMA_ROWS, min_periods=20).median()
    fast = sizes.rolling(10, min_periods=8).median()
    sigma = np.fmax(slow.to_numpy(), np.where(slow.notna(), fast.to_numpy(), np.nan)) / 0.6745
    sigma = np.concatenate([[np.nan], sigma[:-1]])
    sigma[~(sigma > 0)] = np.nan
    out: Floats = np.clip(changes / sigma, -_WINSOR, _WINSOR)
    return out


def learn(changes: Floats, others: Mapping[str, Floats], most: int) -> Profile | None:
    """Learn the profile of a series; None where too little can be compared or nothing explains it.

    Parameters
    ----------
    changes:
        Of the series, as :func:`changes_on` gives them.
    others:
        Changes of the series that may explain it, on the same grid, as :func:`standard` gives them.
    most:
        How many of them may be taken.
    """
    if len(changes) < LEARN_MIN:
        return None
    target = standard(changes)
    own = _own(target)
    able = [name for name, each in others.items() if np.isfinite(each[SIGMA_ROWS:]).mean() >= _HELD_SHARE]
    chosen = _chosen(target, own, {name: others[name] for name in able}, most)
    if not chosen:
        return None
    near = _around(others, chosen)
    whole = np.column_stack([near, own])
    good = _finite(target, whole)
    n = int(good.sum())
    if n < LEARN_MIN:
        return None
    x, y = whole[good], target[good]
    inverse = np.linalg.inv(x.T @ x + _RIDGE * n * np.eye(x.shape[1]))
    weights = inverse @ (x.T @ y)
    # What is left where a session is not among those the weights were learned from.
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    rest = (y - x @ weights) / (1 - np.minimum(leverage, 0.9))
    scale = _t_scale(rest)
    by_others, by_own = weights[: near.shape[1]], weights[near.shape[1] :]
    expected, before = near @ by_others, target - own @ by_own
    alone = _t_scale(before[good])
    as_is = np.full(len(target), np.nan)
    as_is[good] = _log_density(rest, scale)
    # If dates moved, what is now expected of a session would be what belongs to its neighbour.
    gains = [
        _gain(as_is, _log_density(before - _moved(expected, -move), scale), _log_density(before, alone))
        for move in MOVES
    ]
    repeats = int((changes[np.isfinite(changes)] == 0).sum())
    return Profile(
        partners=tuple(name for name, _ in chosen),
        centres=tuple(centre for _, centre in chosen),
        weights=by_others,
        own=by_own,
        scale=scale,
        alone=alone,
        share=float(np.clip(1 - rest.var() / max(y.var(), 1e-12), 0.0, 1.0)),
        gain=min(float(np.nanmean(gain)) for gain in gains),
        repeat=-math.log((repeats + 1) / (int(np.isfinite(changes).sum()) + 2)),
        n=n,
    )


def follow(grid: Dates, changes: Floats, others: Mapping[str, Floats], profile: Profile) -> Lockstep:
    """Run the test over changes on one grid, with a profile learned before; arguments as for :func:`learn`."""
    target = standard(changes)
    expected = _around(others, list(zip(profile.partners, profile.centres, strict=True))) @ profile.weights
    left = target - _own(target) @ profile.own
    as_before, unrelated = _log_density(left - expected, profile.scale), _log_density(left, profile.alone)
    repeated = changes == 0
    evidence = np.zeros((len(grid), len(MOVES)))
    since = np.zeros((len(grid), len(MOVES)), dtype=np.int64)
    for column, move in enumerate(MOVES):
        gain = _gain(_log_density(left - _moved(expected, move), profile.scale), as_before, unrelated)
        gain = np.nan_to_num(gain, nan=0.0)
        total, start = 0.0, 0
        for at, more in enumerate(gain):
            total += float(more)
            if total <= 0:
                total, start = 0.0, at + 1
            if move > 0 and repeated[at] and profile.repeat > total:
                total, start = profile.repeat, at
            evidence[at, column], since[at, column] = total, start
    return Lockstep(grid, evidence, since, profile)


def _chosen(target: Floats, own: Floats, others: Mapping[str, Floats], most: int) -> list[tuple[str, int]]:
    """Return the series, with their centres, that together explain the target.

    They are taken one by one while each is worth its weights (AIC).
    """
    blocks = [(name, centre) for name in others for centre in _CENTRES]
    if not blocks:
        return []
    near = _around({name: np.nan_to_num(each) for name, each in others.items()}, blocks)
    whole = np.column_stack([near, own])
    good = _finite(target, whole)
    n = int(good.sum())
    if n < LEARN_MIN:
        return []
    x, y = whole[good], target[good]
    gram, cross, total = x.T @ x, x.T @ y, float(y @ y)
    places = np.arange(near.shape[1]).reshape(len(blocks), -1)
    always = np.arange(near.shape[1], x.shape[1])

    def worth(sets: npt.NDArray[np.int64]) -> Floats:
        part, right = gram[sets[:, :, None], sets[:, None, :]], cross[sets][:, :, None]
        weights = np.linalg.solve(part + _RIDGE * n * np.eye(sets.shape[1]), right)
        fit = (weights * (2 * right - part @ weights)).sum(axis=(1, 2))
        value: Floats = n * np.log(np.maximum(total - fit, 1e-9)) + _PENALTY * sets.shape[1]
        return value

    taken = always
    best = float(worth(taken[None, :])[0])
    chosen: list[tuple[str, int]] = []
    while len(chosen) < most:
        left = [each for each, (name, _) in enumerate(blocks) if name not in dict(chosen)]
        if not left:
            break
        off = np.array([_OFF_CENTRE * (blocks[each][1] != 0) for each in left])
        values = worth(np.column_stack([places[left], np.tile(taken, (len(left), 1))])) + off
        first = int(np.argmin(values))
        if values[first] >= best:
            break
        best = float(values[first])
        chosen.append(blocks[left[first]])
        taken = np.concatenate([taken, places[left[first]]])
    return chosen


def _t_scale(rest: Floats) -> float:
    """Return the most likely scale of Student's t."""
    scale = max(float(np.median(np.abs(rest)) / 0.6745), 1e-6)
    for _ in range(30):
        weight = (_TAIL + 1) / (_TAIL + (rest / scale) ** 2)
        scale = max(float(np.sqrt((weight * rest**2).mean())), 1e-6)
    return scale


def _gain(moved: Floats, as_before: Floats, unrelated: Floats) -> Floats:
    """Return the log-likelihood ratio of a move to none, which is either of the two as likely as the other."""
    with np.errstate(invalid="ignore"):  # sessions without a value stay NaN
        out: Floats = np.clip(moved - np.logaddexp(as_before, unrelated) + math.log(2), -_BOUND, _BOUND)
    return out


def _on(grid: Dates, dates: Dates, level: Floats) -> Floats:
    on = np.full(len(grid), np.nan)
    place = np.searchsorted(grid, dates)
    held = (place < len(grid)) & (grid[np.minimum(place, len(grid) - 1)] == dates)
    on[place[held]] = level[held]
    return on


def _differences(on: Floats) -> Floats:
    out = np.full(len(on), np.nan)
    out[1:] = np.diff(on)
    return out


def _finite(target: Floats, design: Floats) -> npt.NDArray[np.bool_]:
    good: npt.NDArray[np.bool_] = np.isfinite(target) & np.isfinite(design).all(axis=1)
    return good


def _around(changes: Mapping[str, Floats], chosen: Sequence[tuple[str, int]]) -> Floats:
    return np.column_stack(
        [_moved(changes[name], centre + move) for name, centre in chosen for move in (-1, 0, 1)],
    )


def _own(target: Floats) -> Floats:
    return np.column_stack([_moved(np.nan_to_num(target), move) for move in range(1, OWN + 1)])


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
    """Return the log density of Student's t, less a constant."""
    out: Floats = -(_TAIL + 1) / 2 * np.log1p((residual / scale) ** 2 / _TAIL) - math.log(scale)
    return out
