"""Pooled fits from the matured past of many pairs: pure functions from price histories to tables by month.

One regression per tenor for all pairs says how the realised variance of the next h observations differs from the GJR
forecast; it is made again each January. Errors are what it got wrong *as it stood then*, in units of its own forecast:
their quantiles within each origin year, averaged over years, are the shape, so that a year of crisis is one year among
many. Every row is learned from what had matured before it becomes valid, on the values as they were known at that time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Day, Floats, Ints, as_day
from forex_assets.clock import as_of_instants, santiago_dates
from forex_assets.errors import DataError
from forex_assets.forecasting.panel.artefacts import (
    COEFFICIENTS,
    FACTORS,
    INTERCEPT,
    PAIR_PREFIX,
    PLAIN,
    SHAPES,
    VARIANTS,
    VIX,
    PanelFit,
    feature_names,
)
from forex_assets.forecasting.panel.features import (
    MIN_VALUES,
    NOMINAL_STEPS,
    Driver,
    Market,
    averaging_factor,
    base_variances,
    own_features,
    realised_variance,
)
from forex_assets.forecasting.panel.index import index_drivers
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.levels import MEDIAN_INDEX, QUANTILE_COLUMNS, QUANTILE_LEVELS


@dataclass(frozen=True)
class PanelConfig:
    """Choices of the pooled fits, made on data to 2017 (docs/models.md)."""

    ridge: float = 0.002
    """Penalty on standardised slopes, in units of a feature's variance."""
    pair_ridge: float = 0.2
    """Penalty on the pairs' own levels."""
    first_refit: str = "2003-01-01"
    min_rows: int = 2_000
    target_clip: float = 4.0
    """Bound on the log ratio of realised variance to base."""
    factor_years: int = 20
    factor_tenors: float = 500.0
    """Non-overlapping tenors at which a pair's own width counts half."""
    shape_years: int = 20
    min_shape_years: float = 1.0
    full_year_rows: int = 200
    """Origins of one pair that make a whole year in the average."""


@dataclass(frozen=True)
class _Samples:
    """All origins of all pairs for one tenor; ``matured`` is the last day of the calendar where it has not matured."""

    pair: Ints
    day: Dates
    matured: Dates
    own: Floats
    market: Floats
    target: Floats
    log_base: Floats
    move: Floats


NEVER = np.datetime64("9999-12-31", "D")


def fit_panel(
    histories: Mapping[str, PriceHistory],
    vix: Driver | None = None,
    *,
    through: Day,
    config: PanelConfig | None = None,
) -> PanelFit:
    """Learn every month's fits.

    Parameters
    ----------
    histories:
        Price history of each pair of the panel.
    vix:
        Values of the VIX; without them only the variant ``plain`` is made.
    through:
        Last day a fit may become valid on.
    config:
        Choices; default: those made on data to 2017.

    Raises
    ------
    DataError
        When there is no pair, or no fit can be made yet.
    """
    config = config or PanelConfig()
    if not histories:
        raise DataError("A pooled fit needs at least one price history.", remedy="pass the panel's histories.")
    months = _month_starts(as_day(config.first_refit), as_day(through))
    coefficients: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    factors: list[dict[str, Any]] = []
    for run in _runs(histories, months):
        known = _known_series(histories, run[-1])
        market = Market(vix, index_drivers(known)) if vix is not None else None
        for steps in NOMINAL_STEPS:
            samples = _samples(known, market, steps, run[-1])
            if samples is None:
                continue
            for variant in VARIANTS if market is not None else (PLAIN,):
                fitted = _fit_tenor(samples, tuple(histories), variant, steps, run, config)
                coefficients += fitted[0]
                shapes += fitted[1]
                factors += fitted[2]
    if not coefficients:
        raise DataError(
            f"No pooled fit can be made by {as_day(through)}: fewer than {config.min_rows} origins have matured.",
            remedy="use longer histories, more pairs, or a later day.",
        )
    import pandas as pd

    frames = [
        pd.DataFrame(rows, columns=list(table.column_names)) if rows else table.empty()
        for table, rows in ((COEFFICIENTS, coefficients), (SHAPES, shapes), (FACTORS, factors))
    ]
    return PanelFit(frames[0], frames[1], frames[2])


def _month_starts(first: np.datetime64, last: np.datetime64) -> Dates:
    months = np.arange(first.astype("datetime64[M]"), last.astype("datetime64[M]") + 1)
    return months.astype("datetime64[D]")


def _evenings_before(days: Dates) -> Any:
    """Return the last instant at which a fit valid from each day may learn."""
    return as_of_instants(days - np.timedelta64(1, "D"))


def _runs(histories: Mapping[str, PriceHistory], months: Dates) -> list[Dates]:
    """Split the months where what is known of some pair changed other than by growing."""
    marks = np.zeros((len(months), len(histories)), dtype=np.int64)
    for column, history in enumerate(histories.values()):
        for number, group in enumerate(history.groups(_evenings_before(months))):
            marks[group.positions, column] = number
    breaks = np.flatnonzero((marks[1:] != marks[:-1]).any(axis=1)) + 1
    return [run for run in np.split(months, breaks) if len(run)]


def _known_series(histories: Mapping[str, PriceHistory], month: np.datetime64) -> list[tuple[KnownSeries, int]]:
    evening = _evenings_before(np.array([month]))
    groups = [history.groups(evening)[0] for history in histories.values()]
    return [(group.series, int(group.ends[0])) for group in groups]


def _samples(
    known: Sequence[tuple[KnownSeries, int]], market: Market | None, steps: int, last: np.datetime64
) -> _Samples | None:
    parts: list[tuple[Any, ...]] = []
    for number, (series, count) in enumerate(known):
        if count < MIN_VALUES + steps:
            continue
        ends = np.arange(MIN_VALUES, count + 1)
        usable = (series.moved[ends] - series.moved[np.maximum(ends - 60, 0)] > 0) & (series.gross_moves[ends] == 0)
        ends = ends[usable]
        tenor = np.full((len(ends), 1), steps)
        base = base_variances(series, ends, tenor)[:, 0]
        days = _known_on(series)
        matured = np.full(len(ends), NEVER)
        done = ends + steps <= count
        matured[done] = days[ends[done] + steps - 1]
        realised = realised_variance(series, ends, steps)
        with np.errstate(divide="ignore", invalid="ignore"):
            target = np.log(realised + 1e-3 * base) - np.log(base)
        move = np.full(len(ends), np.nan)
        at = ends[done]
        elapsed = np.concatenate([[0.0], np.cumsum(series.sessions)])
        spans = (elapsed[at + steps - 1] - elapsed[at - 1]) / steps
        averaging = averaging_factor(series, ends, tenor)[:, 0]
        move[done] = (series.log_value[at + steps - 1] - series.log_value[at - 1]) / np.sqrt(spans * averaging[done])
        day = days[ends - 1]
        parts.append(
            (
                np.full(len(ends), number),
                day,
                matured,
                own_features(series, ends, base / steps),
                market.features(day) if market is not None else np.zeros((len(ends), 0)),
                target,
                np.log(base),
                move,
            )
        )
    if not parts:
        return None
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(joined[2], kind="stable")
    order = order[joined[2][order] <= last]
    return _Samples(*(column[order] for column in joined))


def _known_on(series: KnownSeries) -> Dates:
    """Return the day each value was known with all before it."""
    key = "known_on"
    if key not in series.cache:
        known = np.maximum.accumulate(series.available_at)
        series.cache[key] = santiago_dates(known).astype("datetime64[D]")
    days: Dates = series.cache[key]
    return days


def _fit_tenor(
    samples: _Samples, pairs: tuple[str, ...], variant: str, steps: int, run: Dates, config: PanelConfig
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    names = feature_names(variant)
    features = np.column_stack([samples.own, samples.market]) if variant == VIX else samples.own
    usable = np.isfinite(features).all(axis=1) & np.isfinite(samples.target) & np.isfinite(samples.move)
    features, pair = features[usable], samples.pair[usable]
    day, matured = samples.day[usable], samples.matured[usable]
    target = np.clip(samples.target[usable], -config.target_clip, config.target_clip)
    januaries = _january_starts(as_day(config.first_refit), run[-1])
    cuts = np.searchsorted(matured, januaries, side="left")
    slopes = _ridge_by_cut(features, pair, len(pairs), target, cuts, config)

    # What each year's regression made of the origins of its year: errors out of sample.
    year_of = np.searchsorted(januaries, day, side="right") - 1
    fitted = np.array([slope is not None for slope in slopes])
    said = np.flatnonzero((year_of >= 0) & fitted[np.maximum(year_of, 0)])
    error = np.full(len(day), np.nan)
    for year in np.unique(year_of[said]):
        at = said[year_of[said] == year]
        intercept, beta, level = slopes[year] or (0.0, np.zeros(0), np.zeros(0))
        ratio = intercept + features[at] @ beta + level[pair[at]]
        error[at] = samples.move[usable][at] / np.exp(0.5 * (samples.log_base[usable][at] + ratio))
    factor, counts = _pair_factors(error, pair, len(pairs), matured, day, januaries, steps, config)
    scaled = error / factor[np.maximum(year_of, 0), pair]

    def validity(since: np.datetime64, cut: int) -> dict[str, Any]:
        learned = matured[cut - 1]
        return {"valid_from": since, "learned_through": learned, "variant": variant, "steps": steps}

    coefficients: list[dict[str, Any]] = []
    factors: list[dict[str, Any]] = []
    for i, since in enumerate(januaries):
        found = slopes[i]
        if since < run[0] or found is None:
            continue
        seen = np.unique(pair[: cuts[i]])
        common = {**validity(since, int(cuts[i])), "n": int(cuts[i]), "pairs": len(seen)}
        values = {INTERCEPT: found[0], **dict(zip(names, found[1], strict=True))}
        values |= {PAIR_PREFIX + pairs[p]: found[2][p] for p in seen}
        coefficients += [{**common, "feature": name, "coefficient": float(value)} for name, value in values.items()]
        for p in np.flatnonzero(counts[i] > 0):
            n = int(counts[i, p])
            own = {"pair": pairs[p], "factor": float(factor[i, p]), "n": n, "n_effective": n / steps}
            factors.append({**validity(since, int(cuts[i])), **own})
    shapes = [
        {**validity(since, cut), "n": n, "years": years, **dict(zip(QUANTILE_COLUMNS, shape, strict=True))}
        for since, cut, n, years, shape in _year_block_shapes(scaled, pair, day, matured, run, config)
    ]
    return coefficients, shapes, factors


def _january_starts(first: np.datetime64, last: np.datetime64) -> Dates:
    years = np.arange(first.astype("datetime64[Y]"), last.astype("datetime64[Y]") + 1).astype("datetime64[D]")
    kept: Dates = years[years >= first]
    return kept


Slopes = tuple[float, Floats, Floats]


def _ridge_by_cut(
    features: Floats, pair: Ints, pairs: int, target: Floats, cuts: npt.NDArray[np.intp], config: PanelConfig
) -> list[Slopes | None]:
    """Return intercept, slopes and pair levels learned from the first ``cut`` rows, for each cut."""
    f = features.shape[1]
    size = f + pairs
    gram, total = np.zeros((size, size)), np.zeros(size)
    cross, sum_target = np.zeros(size), 0.0
    out: list[Slopes | None] = []
    penalty = np.concatenate([np.full(f, config.ridge), np.full(pairs, config.pair_ridge)])
    for first, last in itertools.pairwise([0, *(int(cut) for cut in cuts)]):
        design = np.zeros((last - first, size))
        design[:, :f] = features[first:last]
        design[np.arange(last - first), f + pair[first:last]] = 1.0
        gram += design.T @ design
        total += design.sum(axis=0)
        cross += design.T @ target[first:last]
        sum_target += float(target[first:last].sum())
        if last < config.min_rows:
            out.append(None)
            continue
        mean, mean_target = total / last, sum_target / last
        covariance = gram / last - np.outer(mean, mean)
        scale = np.concatenate([np.sqrt(np.maximum(np.diag(covariance)[:f], 1e-12)), np.ones(pairs)])
        matrix = covariance / np.outer(scale, scale) + np.diag(penalty)
        slope = np.linalg.solve(matrix, (cross / last - mean * mean_target) / scale) / scale
        out.append((float(mean_target - slope @ mean), slope[:f], slope[f:]))
    return out


def _pair_factors(
    error: Floats, pair: Ints, pairs: int, matured: Dates, day: Dates, januaries: Dates, steps: int, config: PanelConfig
) -> tuple[Floats, Ints]:
    """Return each January's width factors and the errors behind them, shape (years, pairs)."""
    factor = np.ones((len(januaries), pairs))
    counts = np.zeros((len(januaries), pairs), dtype=np.int64)
    said = np.isfinite(error)
    for i, january in enumerate(januaries):
        since = (january.astype("datetime64[Y]") - config.factor_years).astype("datetime64[D]")
        rows = said & (matured < january) & (day >= since)
        count = np.bincount(pair[rows], minlength=pairs)
        size = np.bincount(pair[rows], weights=np.abs(error[rows]), minlength=pairs)
        there = count > 0
        if there.any():
            mean = size[there] / count[there]
            tenors = count[there] / steps
            weight = tenors / (tenors + config.factor_tenors)
            factor[i, there] = np.exp(weight * np.log(mean / mean.mean()))
            counts[i] = count
    return factor, counts


def _year_block_shapes(
    error: Floats, pair: Ints, day: Dates, matured: Dates, months: Dates, config: PanelConfig
) -> Iterable[tuple[np.datetime64, int, int, float, Floats]]:
    """Yield (month, rows matured before it, errors used, sum of weights, quantiles) of each month that has a shape."""
    year = day.astype("datetime64[Y]").astype(np.int64) + 1970
    said = np.isfinite(error)
    blocks = {}
    for y in np.unique(year[said]):
        rows = np.flatnonzero(said & (year == y))
        first_seen = np.zeros(len(rows))
        first_seen[np.unique(pair[rows], return_index=True)[1]] = 1.0
        blocks[int(y)] = (matured[rows], error[rows], config.full_year_rows * np.cumsum(first_seen))
    held: dict[int, tuple[int, Floats]] = {}
    for month in months:
        newest = int(month.astype("datetime64[Y]").astype(np.int64)) + 1970
        sums, weights, used = np.zeros(len(QUANTILE_LEVELS)), 0.0, 0
        for y in range(newest - config.shape_years, newest + 1):
            if y not in blocks:
                continue
            days, errors, whole = blocks[y]
            n = int(np.searchsorted(days, month, side="left"))
            if n == 0:
                continue
            if y not in held or held[y][0] != n:
                held[y] = (n, np.quantile(errors[:n], QUANTILE_LEVELS))
            weight = min(1.0, n / whole[n - 1])
            sums += weight * held[y][1]
            weights += weight
            used += n
        if weights >= config.min_shape_years:
            shape = sums / weights
            cut = int(np.searchsorted(matured, month, side="left"))
            yield month, cut, used, weights, shape - shape[MEDIAN_INDEX]
