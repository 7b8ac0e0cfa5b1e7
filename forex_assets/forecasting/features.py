"""Point-in-time features of the classic models (spec 2.5), declared one by one and built past-only.

Each feature names what it looks at; row e of the built table follows from what was known when value e became known
(drivers are aligned by when they were available). A driver the history does not carry gives an empty column, never a
filled one. Prices enter as log ratios to the newest value, so that no level of any year is memorised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.drivers import aligned_driver
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import SIGMA_FLOOR

PRICE = "price"
PRICE_LAGS = (1, 2, 3, 5, 7, 14, 21, 30)
UNAVAILABLE = ("china_pmi", "afp_flows", "lme_inventory", "trade_balance")
"""Features of the classic list that no source of the catalogue serves; they are not imitated."""


@dataclass(frozen=True)
class Feature:
    """One column: its name, the series it looks at, the values it looks back on, and how it is made.

    ``make`` maps values (n,) to a column (n,) whose row i depends on values up to i alone.
    """

    name: str
    source: str
    reach: int
    make: Callable[[Floats], Floats]
    max_age_days: int = 10


def lagged(values: Floats, lag: int) -> Floats:
    """Return the values ``lag`` rows earlier, NaN before there are any."""
    out = np.full(len(values), np.nan)
    out[lag:] = values[: len(values) - lag] if lag else values
    return out


def log_change(lag: int) -> Callable[[Floats], Floats]:
    """Return the log of the value over that ``lag`` rows earlier."""
    return lambda values: np.log(values) - lagged(np.log(values), lag)


def difference(lag: int) -> Callable[[Floats], Floats]:
    """Return the value minus that ``lag`` rows earlier."""
    return lambda values: values - lagged(values, lag)


def rolling_mean(values: Floats, window: int) -> Floats:
    """Return the mean of the newest ``window`` values, NaN where one of them is missing."""
    out = np.full(len(values), np.nan)
    if len(values) >= window:
        out[window - 1 :] = np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=1)
    return out


def rolling_deviation(values: Floats, window: int) -> Floats:
    """Return the sample deviation of the newest ``window`` values, NaN where one of them is missing."""
    out = np.full(len(values), np.nan)
    if len(values) >= window:
        out[window - 1 :] = np.lib.stride_tricks.sliding_window_view(values, window).std(axis=1, ddof=1)
    return out


def over_mean(window: int) -> Callable[[Floats], Floats]:
    """Return the log of the value over its simple moving average."""
    return lambda values: np.log(values) - np.log(rolling_mean(values, window))


def over_ema(span: int) -> Callable[[Floats], Floats]:
    """Return the log of the value over its exponential moving average, started at the first value."""

    def make(values: Floats) -> Floats:
        from scipy.signal import lfilter

        alpha = 2.0 / (span + 1.0)
        smooth, _ = lfilter([alpha], [1.0, alpha - 1.0], values, zi=np.array([(1.0 - alpha) * values[0]]))
        return np.asarray(np.log(values) - np.log(smooth))

    return make


def relative_strength(window: int) -> Callable[[Floats], Floats]:
    """Return Wilder's RSI in [0, 1]; 0.5 where nothing moved."""

    def make(values: Floats) -> Floats:
        from scipy.signal import lfilter

        move = np.diff(values, prepend=values[:1])
        keep = (window - 1.0) / window
        up, down = (
            np.asarray(lfilter([1.0 - keep], [1.0, -keep], np.maximum(sign * move, 0.0))) for sign in (1.0, -1.0)
        )
        total = up + down
        return np.where(total > 0, up / np.where(total > 0, total, 1.0), 0.5)

    return make


def bollinger(window: int) -> Callable[[Floats], Floats]:
    """Return how many deviations the value stands from its moving average."""
    return lambda values: (
        (values - rolling_mean(values, window))
        / np.maximum(rolling_deviation(values, window), SIGMA_FLOOR * np.abs(values))
    )


def mean_range(window: int) -> Callable[[Floats], Floats]:
    """Return the mean absolute log move: the true range of a series that has one value a day."""
    return lambda values: rolling_mean(np.abs(np.diff(np.log(values), prepend=np.nan)), window)


def volatility(window: int) -> Callable[[Floats], Floats]:
    """Return the log deviation of the newest log returns."""
    return lambda values: np.log(
        np.maximum(rolling_deviation(np.diff(np.log(values), prepend=np.nan), window), SIGMA_FLOOR)
    )


def trend(window: int) -> Callable[[Floats], Floats]:
    """Return the slope of a line through the newest log values, per row."""

    def make(values: Floats) -> Floats:
        out = np.full(len(values), np.nan)
        x = np.arange(window) - (window - 1) / 2.0
        if len(values) >= window:
            out[window - 1 :] = np.lib.stride_tricks.sliding_window_view(np.log(values), window) @ x / (x @ x)
        return out

    return make


def level(values: Floats) -> Floats:
    """Return the value itself."""
    return values


FEATURES: tuple[Feature, ...] = (
    *(Feature(f"price_log_change_{lag}", PRICE, lag, log_change(lag)) for lag in PRICE_LAGS),
    *(Feature(f"price_over_sma_{window}", PRICE, window - 1, over_mean(window)) for window in (5, 10, 20, 50)),
    *(Feature(f"price_over_ema_{span}", PRICE, 10**9, over_ema(span)) for span in (12, 26)),
    Feature("rsi_14", PRICE, 10**9, relative_strength(14)),
    Feature("bollinger_20", PRICE, 19, bollinger(20)),
    Feature("mean_abs_move_14", PRICE, 14, mean_range(14)),
    Feature("log_volatility_7", PRICE, 7, volatility(7)),
    Feature("log_volatility_30", PRICE, 30, volatility(30)),
    Feature("trend_30", PRICE, 29, trend(30)),
    *(Feature(f"copper_log_change_{lag}", "copper_comex", lag, log_change(lag)) for lag in (1, 3, 7, 14)),
    *(Feature(f"copper_lme_log_change_{lag}", "copper_lme", lag, log_change(lag)) for lag in (1, 3, 7, 14)),
    *(Feature(f"dxy_log_change_{lag}", "dxy", lag, log_change(lag)) for lag in (1, 3, 7)),
    *(Feature(f"vix_log_change_{lag}", "vix", lag, log_change(lag)) for lag in (1, 3)),
    Feature("log_vix", "vix", 0, np.log),
    Feature("tpm", "tpm", 0, level),
    Feature("tpm_change_63", "tpm", 63, difference(63)),
    Feature("fed_funds", "fed_funds", 0, level),
    Feature("imacec_yoy", "imacec_yoy", 0, level, 120),
    Feature("ipc_yoy", "ipc_yoy", 0, level, 90),
)


def build_features(
    history: PriceHistory, series: KnownSeries, ends: Ints, features: Sequence[Feature] = FEATURES
) -> Floats:
    """Return the features at each end, shape (m, len(features)), NaN where a driver is missing.

    Parameters
    ----------
    history:
        Carries the drivers.
    series:
        The price.
    ends:
        Numbers of known values, shape (m,), each at least 1.
    features:
        Columns.
    """
    out = np.full((len(ends), len(features)), np.nan)
    for column, feature in enumerate(features):
        if feature.source != PRICE and feature.source not in history.drivers:
            continue
        key = ("feature", feature.name)
        if key not in series.cache:
            values = (
                series.value
                if feature.source == PRICE
                else aligned_driver(history, series, feature.source, feature.max_age_days)
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                series.cache[key] = feature.make(values)
        out[:, column] = series.cache[key][ends - 1]
    return out
