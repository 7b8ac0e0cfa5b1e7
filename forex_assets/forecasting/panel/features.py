"""What the pooled volatility regression looks at: past-only numbers of one series at any end, and market drivers.

A series' own numbers are log ratios to the GJR forecast of the tenor's variance per session, so that pairs of any
volatility share one regression; what element e says follows from the first e values alone. Drivers are the VIX and the
panel's own volatility (:mod:`.index`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.clock import as_of_instants
from forex_assets.forecasting.drivers import DriverHistory
from forex_assets.forecasting.garch import GJR
from forex_assets.forecasting.garch.engine import MIN_VALUES_TO_FIT, GarchEngine
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import horizon_variance_factor, ratio_of_five

NOMINAL_STEPS = (5, 11, 21, 63)
"""Observations in a tenor of 7, 15, 30 and 90 calendar days: the horizons the pooled fits are made for."""
RAW_WINDOWS = (5, 22, 60, 250, 1000)
CLIPPED_WINDOWS = (5, 22, 60, 250)
CLIP_SIGMA = 2.5
CLIP_DECAY = 0.94
JUMP_WINDOW = 22
ALL = 10**9
FLOOR_SHARE = 0.2
"""A mean square counts with this share of the base beside it: the logarithm of two quiet days says little."""
VIX_SERIES = "vix"
VIX_MEAN_WINDOW = 22
VIX_FEATURES = ("log_vix", "log_vix_change_5", "log_vix_mean_22")
INDEX_FEATURES = ("panel_log_mean_square_5", "panel_log_mean_square_60")
"""Series ids of the panel's volatility index, and the names of its features."""
INDEX_STEPS = 5
MARKET_FEATURES = (*VIX_FEATURES, *INDEX_FEATURES)
MAX_AGE_DAYS = 10
"""An older driver is missing."""
OWN_FEATURES = (
    *(f"log_mean_square_{window}" for window in RAW_WINDOWS),
    "log_mean_square_all",
    *(f"log_clipped_mean_square_{window}" for window in CLIPPED_WINDOWS),
    "log_jump_ratio",
    "log_variance_ratio_5",
)
INDEX_COLUMNS = tuple(OWN_FEATURES.index(name.removeprefix("panel_")) for name in INDEX_FEATURES)
GJR_PARAMETERS = {"engine": "bulk", "refit": "month", "window": 2500}
MIN_VALUES = MIN_VALUES_TO_FIT


@dataclass(frozen=True)
class Driver:
    """A driver's values with when each was first known, in date order.

    Attributes
    ----------
    event_date, available_at, value:
        Shape (n,).
    """

    event_date: Dates
    available_at: npt.NDArray[np.datetime64]
    value: Floats

    @classmethod
    def of(cls, history: PriceHistory) -> Driver:
        """Return the driver held in a point-in-time history (values later withdrawn are left out)."""
        good = np.isnat(history.withdrawn_at)
        return cls(history.event_date[good], history.available_at[good], history.value[good])

    def before(self, days: Dates) -> Ints:
        """Return, for the end of each day, how many values dated before it are known, shape (m,)."""
        known = np.searchsorted(np.maximum.accumulate(self.available_at), as_of_instants(days), side="right")
        return np.asarray(np.minimum(known, np.searchsorted(self.event_date, days, side="left")), dtype=np.int64)

    def newest(self, days: Dates) -> Floats:
        """Return the newest value known at the end of each day, shape (m,); NaN where there is none or it is stale."""
        known = np.searchsorted(np.maximum.accumulate(self.available_at), as_of_instants(days), side="right")
        out = np.full(len(days), np.nan)
        some = np.flatnonzero(known > 0)
        last = known[some] - 1
        fresh = (days[some] - self.event_date[last]).astype(np.int64) <= MAX_AGE_DAYS
        out[some[fresh]] = self.value[last[fresh]]
        return out


def base_variances(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
    """Return the GJR forecast of the variance of the log return over each number of sessions, shape (m, k)."""
    return GarchEngine.of(series, GJR, GJR_PARAMETERS).variances(ends, steps)


def own_features(series: KnownSeries, ends: Ints, per_session: Floats) -> Floats:
    """Return the features of a series at each end, shape (m, len(OWN_FEATURES)).

    Parameters
    ----------
    series:
        The values.
    ends:
        Numbers of known values, shape (m,), each at least ``MIN_VALUES``.
    per_session:
        The base: forecast variance per session, shape (m,).
    """
    raw, clipped = _squares(series)
    floor = FLOOR_SHARE * per_session
    columns = [_log_mean(raw, ends, window, floor) for window in RAW_WINDOWS]
    columns.append(_log_mean(raw, ends, ALL, floor))
    columns += [_log_mean(clipped, ends, window, floor) for window in CLIPPED_WINDOWS]
    base = np.log(per_session)
    columns = [column - base for column in columns]
    jump = _log_mean(clipped, ends, JUMP_WINDOW, floor) - _log_mean(raw, ends, JUMP_WINDOW, floor)
    return np.column_stack([*columns, jump, np.log(ratio_of_five(series)[ends])])


@dataclass(frozen=True)
class Market:
    """The drivers of variant ``vix``: the VIX and the panel's volatility index, in the order of ``INDEX_FEATURES``."""

    vix: Driver
    index: tuple[Driver, ...]

    @classmethod
    def of(cls, drivers: Mapping[str, DriverHistory]) -> Market | None:
        """Return the drivers a price history carries, or None where one is missing."""
        if not {VIX_SERIES, *INDEX_FEATURES} <= set(drivers):
            return None
        return cls(Driver.of(drivers[VIX_SERIES]), tuple(Driver.of(drivers[name]) for name in INDEX_FEATURES))

    def features(self, days: Dates) -> Floats:
        """Return ``MARKET_FEATURES`` at each day, shape (m, 5); NaN where a driver is missing or stale.

        Of the VIX values dated before the day: log level, change over five values, mean over 22. Of the panel's
        volatility index the newest values known at the day's end.
        """
        return np.column_stack([_vix_features(self.vix, days), *(item.newest(days) for item in self.index)])


def _vix_features(vix: Driver, days: Dates) -> Floats:
    count = vix.before(days)
    out = np.full((len(days), len(VIX_FEATURES)), np.nan)
    some = np.flatnonzero(count >= VIX_MEAN_WINDOW)
    if len(some):
        last = count[some] - 1
        level = np.log(vix.value)
        total = np.concatenate([[0.0], np.cumsum(level)])
        out[some, 0] = level[last]
        out[some, 1] = level[last] - level[last - 5]
        out[some, 2] = (total[last + 1] - total[last + 1 - VIX_MEAN_WINDOW]) / VIX_MEAN_WINDOW
        stale = (days[some] - vix.event_date[last]).astype(np.int64) > MAX_AGE_DAYS
        out[some[stale]] = np.nan
    return out


def averaging_factor(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
    """Return the variance of k-session moves over k one-session variances, shape (m, k)."""
    return horizon_variance_factor(series, ends, steps)


def _log_mean(prefix: Floats, ends: Ints, window: int, floor: Floats) -> Floats:
    returns = ends - 1
    first = np.maximum(returns - window, 0)
    return np.asarray(np.log((prefix[returns] - prefix[first]) / (returns - first) + floor))


def _squares(series: KnownSeries) -> tuple[Floats, Floats]:
    """Return cumulated squares of returns per root session, raw and clipped; element r sums the first r returns."""
    key = "loghar_squares"
    if key not in series.cache:
        from forex_assets.forecasting.garch.engine import CLIP_FLOOR_PERCENT, PERCENT, clipped, scaled_returns

        raw = scaled_returns(series) / PERCENT
        cut = clipped(raw, CLIP_DECAY, CLIP_SIGMA, CLIP_FLOOR_PERCENT / PERCENT)
        series.cache[key] = tuple(np.concatenate([[0.0], np.cumsum(r * r)]) for r in (raw, cut))
    raw_sum, cut_sum = series.cache[key]
    return raw_sum, cut_sum


def realised_variance(series: KnownSeries, ends: Ints, step: int) -> Floats:
    """Return the sum of squared returns per root session over the ``step`` values after each end, NaN if not there."""
    total = _squares(series)[0]
    out = np.full(len(ends), np.nan)
    there = ends + step <= len(series)
    out[there] = total[ends[there] + step - 1] - total[ends[there] - 1]
    return out
