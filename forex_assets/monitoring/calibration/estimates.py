"""The statistics of a calibration: each with its interval, count and effective count.

References
----------
Politis and Romano (1994), The stationary bootstrap, JASA 89(428); Holm (1979), Scandinavian Journal of Statistics 6(2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError
from forex_assets.settings.calibration import MonthTest, Quantity


class Seasonality(NamedTuple):
    """Twelve tests, and the months that stand out after Holm's correction."""

    tests: list[MonthTest]
    high: list[int]
    low: list[int]
    ranked: list[int]


def bootstrap_rows(n: int, block: float, draws: int, seed: int) -> npt.NDArray[np.int64]:
    """Return row numbers of stationary-bootstrap samples, shape (draws, n), blocks of mean length ``block``."""
    rng = np.random.default_rng(seed)
    fresh = rng.random((draws, n)) < 1.0 / max(block, 1.0)
    fresh[:, 0] = True
    start = rng.integers(0, n, (draws, n))
    place = np.arange(n)
    origin = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    rows: npt.NDArray[np.int64] = (np.take_along_axis(start, origin, axis=1) + place - origin) % n
    return rows


def bootstrap_interval(
    columns: Floats, statistic: Callable[[Floats], Floats], *, block: float, draws: int, seed: int
) -> tuple[float, float, float]:
    """Return a statistic of rows (n, c) and its percentile interval; ``statistic`` takes (draws, n, c)."""
    value = float(statistic(columns[None])[0])
    rows = bootstrap_rows(len(columns), block, draws, seed)
    drawn = np.concatenate([statistic(columns[part]) for part in np.array_split(rows, max(1, draws // 50))])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return value, min(float(low), value), max(float(high), value)


def span_std(logs: Floats, span: int, unit: str, *, draws: int, seed: int) -> Quantity:
    """Return the standard deviation of overlapping ``span``-value log changes with a block-bootstrap interval."""
    moves = logs[span:] - logs[:-span]
    block = max(2.0 * span, len(moves) ** (1 / 3))
    value, low, high = bootstrap_interval(
        moves[:, None], lambda x: np.asarray(x[:, :, 0].std(axis=1, ddof=1)), block=block, draws=draws, seed=seed
    )
    return Quantity(value=value, unit=unit, low=low, high=high, n=len(moves), n_effective=max(1.0, len(moves) / span))


def size_exceeded(sizes: Floats, per_year: float, unit: str, *, values_per_year: float = 250.0) -> Quantity:
    """Return the size exceeded ``per_year`` times a year on average, with the interval of its order statistics.

    ``sizes`` that follow one another in a cluster count as they are: the aim is a rate of days, not of episodes.

    Raises
    ------
    DataError
        When the history is too short for an event so rare.
    """
    n = len(sizes)
    share = per_year / values_per_year
    if n * share < 2.0:
        raise DataError(
            f"{n} values hold about {n * share:.1f} events of {per_year:g} a year; at least 2 are needed.",
            remedy="give a longer history, or ask for a less rare event (calibration.critical_per_year).",
        )
    ordered = np.sort(sizes)
    spread = 1.96 * math.sqrt(n * share * (1 - share))
    places = [n * (1 - share) + shift for shift in (-spread, 0.0, spread)]
    low, value, high = (float(ordered[int(np.clip(round(place), 0, n - 1))]) for place in places)
    return Quantity(value=value, unit=unit, low=low, high=high, n=n, n_effective=n * share)


def seasonality(dates: Dates, returns: Floats, *, alpha: float, min_years: int) -> Seasonality:
    """Test each month's volatility against the same year's mean, corrected for looking at twelve months.

    The unit of evidence is a year: log standard deviation of the month minus the year's mean over its months, Student's
    t over years, Holm's correction. A month with fewer than ``min_years`` years is not tested (p = 1).
    """
    from scipy.stats import t as student

    months = dates.astype("datetime64[M]")
    unique, inverse, counts = np.unique(months, return_inverse=True, return_counts=True)
    squares = np.bincount(inverse, returns * returns) / counts
    usable = (counts >= 10) & (squares > 0)
    year = unique.astype("datetime64[Y]").astype(int)
    month = unique.astype(int) % 12
    level = np.where(usable, 0.5 * np.log(np.where(usable, squares, 1.0)), np.nan)
    table = np.full((int(year.max() - year.min()) + 1, 12), np.nan)
    table[year - year.min(), month] = level
    complete = np.isfinite(table).sum(axis=1) >= 9
    relative = table[complete] - np.nanmean(table[complete], axis=1, keepdims=True) if complete.any() else table[:0]
    found = []
    for column in range(12):
        values = relative[:, column][np.isfinite(relative[:, column])]
        n = len(values)
        mean = float(values.mean()) if n else 0.0
        p = 1.0
        if n >= min_years and values.std(ddof=1) > 0:
            statistic = abs(mean) / (values.std(ddof=1) / math.sqrt(n))
            p = float(2 * student.sf(statistic, n - 1))
        found.append((column + 1, mean, n, p))
    corrected = holm([p for *_, p in found])
    tests = [
        MonthTest(month=number, log_ratio=mean, years=n, p_value=p, p_corrected=q)
        for (number, mean, n, p), q in zip(found, corrected, strict=True)
    ]
    return Seasonality(
        tests,
        [t.month for t in tests if t.p_corrected < alpha and t.log_ratio > 0],
        [t.month for t in tests if t.p_corrected < alpha and t.log_ratio < 0],
        [t.month for t in sorted(tests, key=lambda t: -t.log_ratio)],
    )


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number (Holm's step-down)."""
    order = np.argsort(p_values)
    out, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        out[place] = highest
    return out


def correlation(x: Floats, y: Floats, *, draws: int, seed: int, block: float = 20.0) -> tuple[Quantity, float]:
    """Return a correlation with its block-bootstrap interval on Fisher's z, and the p-value that it is not negative."""

    def fisher(rows: Floats) -> Floats:
        a = rows[:, :, 0] - rows[:, :, 0].mean(axis=1, keepdims=True)
        b = rows[:, :, 1] - rows[:, :, 1].mean(axis=1, keepdims=True)
        rho = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        return np.asarray(np.arctanh(np.clip(rho, -0.999999, 0.999999)))

    rows = np.column_stack([x, y])
    z = float(fisher(rows[None])[0])
    drawn = np.concatenate(
        [fisher(rows[part]) for part in np.array_split(bootstrap_rows(len(x), block, draws, seed), max(1, draws // 50))]
    )
    error = float(drawn.std(ddof=1))
    value = math.tanh(z)
    p = 0.5 * math.erfc(-z / error / math.sqrt(2.0)) if error > 0 else float("nan")
    naive = 1.0 / math.sqrt(max(len(x) - 3, 1))
    quantity = Quantity(
        value=value,
        unit="correlation",
        low=math.tanh(z - 1.96 * error),
        high=math.tanh(z + 1.96 * error),
        n=len(x),
        n_effective=min(float(len(x)), len(x) * (naive / error) ** 2 if error > 0 else float(len(x))),
    )
    return quantity, p


def ratio_of_means(inside: Floats, outside: Floats, *, draws: int, seed: int) -> tuple[Quantity, float]:
    """Return the ratio of two groups' mean sizes, its bootstrap interval, and the two-sided p-value that it is one.

    Days of the smaller group lie weeks apart, so they are drawn one by one.
    """
    rng = np.random.default_rng(seed)
    value = float(inside.mean() / outside.mean())
    drawn_in = inside[rng.integers(0, len(inside), (draws, len(inside)))].mean(axis=1)
    spread = outside.std(ddof=1) / math.sqrt(len(outside)) / outside.mean()
    logs = np.log(drawn_in / outside.mean()) + rng.normal(0.0, spread, draws)
    low, high = np.exp(np.percentile(logs, [2.5, 97.5]))
    error = float(logs.std(ddof=1))
    p = math.erfc(abs(math.log(value)) / error / math.sqrt(2.0)) if error > 0 else float("nan")
    return (
        Quantity(
            value=value, unit="ratio", low=min(float(low), value), high=max(float(high), value), n=len(inside),
            n_effective=float(len(inside)),
        ),
        p,
    )  # fmt: skip


def t_freedom(z: Floats) -> Quantity:
    """Return the degrees of freedom of a t distribution of unit variance fitted to standardised returns.

    Maximum likelihood on a grid from 2.2 to 100; the interval is that of a profile likelihood drop of 1.92.
    """
    from forex_assets.monitoring.statespace import log_t_density

    grid = np.geomspace(2.2, 100.0, 120)
    likelihood = np.array([float(log_t_density(z, float(z.std()), float(v)).sum()) for v in grid])
    inside = grid[likelihood >= likelihood.max() - 1.92]
    return Quantity(
        value=float(grid[likelihood.argmax()]),
        unit="degrees of freedom",
        low=float(inside.min()),
        high=float(inside.max()),
        n=len(z),
        n_effective=float(len(z)),
    )


def loss_ratio(logs: Floats, *, steps: int, recent: int, baseline: int, share: float, power: int) -> Quantity:
    """Return how much a random walk's loss over ``recent`` days exceeds that over the ``baseline`` before, by chance.

    The ``share`` quantile of the ratio minus one, over every day of the history; the interval is that of the order
    statistic at the number of windows that do not overlap. ``power`` 2 compares RMSE, 1 the mean absolute error.
    """
    errors = np.abs(logs[steps:] - logs[:-steps]) ** power
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    ends = np.arange(baseline + recent, len(errors) + 1)
    new = (sums[ends] - sums[ends - recent]) / recent
    old = (sums[ends - recent] - sums[ends - recent - baseline]) / baseline
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sort(np.where(old > 0, (new / old) ** (1.0 / power) - 1.0, np.nan))
    ratio = ratio[np.isfinite(ratio)]
    effective = max(2.0, len(ratio) / (recent + baseline))
    spread = 1.96 * math.sqrt(share * (1 - share) / effective)
    value, low, high = (
        float(ratio[int(np.clip(round(len(ratio) * q), 0, len(ratio) - 1))])
        for q in (share, max(share - spread, 0.0), min(share + spread, 1.0))
    )
    return Quantity(value=value, unit="ratio", low=low, high=high, n=len(ratio), n_effective=effective)
