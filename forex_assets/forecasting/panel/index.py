"""The panel's own volatility, day by day: how far recent moves of all pairs stand above what GJR expected of each.

A storm in the dollar is seen in all pairs before it is seen in one. The index is a driver like the VIX: dated by the
day its values were known, with revisions as rows of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from forex_assets.arrays import Dates, Floats, Instants
from forex_assets.clock import as_of_instants, calendar_for, santiago_dates
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.panel.features import (
    INDEX_COLUMNS,
    INDEX_FEATURES,
    INDEX_STEPS,
    MIN_VALUES,
    Driver,
    base_variances,
    own_features,
)
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory

MIN_PAIRS = 3
"""Fewer pairs that speak on a day are no panel."""

Known = Sequence[tuple[KnownSeries, int]]


def index_drivers(known: Known) -> tuple[Driver, ...]:
    """Return the index from series of which so many values are known, as drivers in the order of ``INDEX_FEATURES``."""
    days, values = _index(known)
    return tuple(Driver(days, as_of_instants(days), values[:, i]) for i in range(len(INDEX_FEATURES)))


def panel_index(histories: Mapping[str, PriceHistory]) -> dict[str, DriverHistory]:
    """Return the index of a panel with every revision, by series id; empty where no day has enough pairs."""
    breaks = np.unique(
        np.concatenate([history.revised_at for history in histories.values()] or [np.array([], "M8[us]")])
    )
    far = np.datetime64("9999-01-01", "us")
    rows: list[tuple[Dates, Instants, Floats]] = []
    held_days, held = np.array([], dtype="datetime64[D]"), np.zeros((0, len(INDEX_FEATURES)))
    for start, end in zip([np.datetime64("0001-01-01", "us"), *breaks], [*breaks, far], strict=True):
        instant = np.array([end - np.timedelta64(1, "us")])
        groups = [history.groups(instant)[0] for history in histories.values()]
        days, values = _index([(group.series, int(group.ends[0])) for group in groups])
        known = as_of_instants(days)
        kept = known < end
        days, values, known = days[kept], values[kept], known[kept]
        at = np.minimum(np.searchsorted(held_days, days), max(len(held_days) - 1, 0))
        same = np.zeros(len(days), dtype=bool)
        if len(held_days):
            same = (held_days[at] == days) & (held[at] == values).all(axis=1)
        rows.append((days[~same], np.maximum(known[~same], start), values[~same]))
        held_days, held = days, values
    day = np.concatenate([item[0] for item in rows])
    if not len(day):
        return {}
    available = np.concatenate([item[1] for item in rows])
    value = np.concatenate([item[2] for item in rows])
    calendar = calendar_for("FX")
    return {name: DriverHistory(name, calendar, day, available, value[:, i]) for i, name in enumerate(INDEX_FEATURES)}


def _index(known: Known) -> tuple[Dates, Floats]:
    """Return the days on which enough pairs became known and the mean of their features, shapes (d,) and (d, 2)."""
    all_days, all_values = [], []
    for series, count in known:
        if count < MIN_VALUES:
            continue
        ends = np.arange(MIN_VALUES, count + 1)
        usable = (series.moved[ends] - series.moved[np.maximum(ends - 60, 0)] > 0) & (series.gross_moves[ends] == 0)
        ends = ends[usable]
        if not len(ends):
            continue
        base = base_variances(series, ends, np.full((len(ends), 1), INDEX_STEPS))[:, 0] / INDEX_STEPS
        day = santiago_dates(np.maximum.accumulate(series.available_at)[ends - 1]).astype("datetime64[D]")
        last = np.append(day[1:] != day[:-1], True)  # of values known together the newest speaks
        all_days.append(day[last])
        all_values.append(own_features(series, ends[last], base[last])[:, INDEX_COLUMNS])
    if not all_days:
        return np.array([], dtype="datetime64[D]"), np.zeros((0, len(INDEX_FEATURES)))
    days, place, pairs = np.unique(np.concatenate(all_days), return_inverse=True, return_counts=True)
    values = np.concatenate(all_values)
    total = np.stack([np.bincount(place, values[:, i]) for i in range(values.shape[1])], axis=1)
    enough = pairs >= MIN_PAIRS
    return days[enough], total[enough] / pairs[enough, None]
