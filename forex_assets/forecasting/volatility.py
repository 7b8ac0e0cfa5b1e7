"""Past-only volatility of a series at every end: element e describes what the first e values tell."""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.price_history import KnownSeries

YARDSTICK_WINDOW = 60
BLEND_WINDOWS = (20, 60, 250, 1000)
BLEND_WEIGHTS = (0.4, 0.2, 0.2, 0.2)
SIGMA_FLOOR = 1e-7


def _prefix(values: Floats, n: int) -> Floats:
    """Cumulated sums indexed by end: element e sums the returns among the first e values, shape (n + 1,)."""
    out = np.zeros(n + 1)
    if n > 1:
        np.cumsum(values, out=out[2:])
    return out


def _lag(values: Floats, window: int) -> Floats:
    """Return ``values[e - window]``, or the first where there are fewer."""
    out = np.zeros_like(values)
    out[window:] = values[: len(values) - window] if window < len(values) else values[:0]
    return out


def rolling_std(series: KnownSeries, window: int = YARDSTICK_WINDOW) -> Floats:
    """Return the sample standard deviation of the last ``window`` log returns by end, shape (n + 1,), NaN before."""
    key = ("std", window)
    if key not in series.cache:
        n = len(series)
        total = _prefix(series.log_return, n)
        square = _prefix(series.log_return**2, n)
        s1 = total - _lag(total, window)
        s2 = square - _lag(square, window)
        variance = np.maximum(s2 - s1 * s1 / window, 0.0) / (window - 1)
        variance[: min(window + 1, n + 1)] = np.nan
        series.cache[key] = np.maximum(np.sqrt(variance), SIGMA_FLOOR)
    return np.asarray(series.cache[key])


def session_variance(series: KnownSeries, window: int) -> Floats:
    """Return the mean square of one session over the last ``window`` returns (fewer at the start), shape (n + 1,).

    A return across a gap counts with the sessions it spans, so missing days do not raise the variance.
    """
    key = ("session_variance", window)
    if key not in series.cache:
        n = len(series)
        square = _prefix(series.log_return**2, n)
        spans = _prefix(series.sessions, n)
        s2 = square - _lag(square, window)
        count = spans - _lag(spans, window)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = s2 / count
        series.cache[key] = np.maximum(variance, SIGMA_FLOOR**2)
    return np.asarray(series.cache[key])


def ewma_variance(series: KnownSeries, decay: float) -> Floats:
    """Return the exponentially weighted mean square of one session by end, shape (n + 1,).

    The recursion starts from the mean square of the first 60 returns, so nothing before the 61st value uses it.
    """
    key = ("ewma_variance", decay)
    if key not in series.cache:
        from scipy.signal import lfilter

        n = len(series)
        out = np.full(n + 1, np.nan)
        square = series.log_return**2 / series.sessions
        if n > YARDSTICK_WINDOW:
            start = float(square[:YARDSTICK_WINDOW].mean())
            later = square[YARDSTICK_WINDOW:]
            smoothed, _ = lfilter([1.0 - decay], [1.0, -decay], later, zi=np.array([decay * start]))
            out[YARDSTICK_WINDOW + 1] = start
            out[YARDSTICK_WINDOW + 2 :] = smoothed
        series.cache[key] = np.maximum(out, SIGMA_FLOOR**2)
    return np.asarray(series.cache[key])


def blended_sigma(series: KnownSeries) -> Floats:
    """Return the blend of 20-, 60-, 250- and 1000-day volatilities per session by end, shape (n + 1,)."""
    key = "blended_sigma"
    if key not in series.cache:
        parts = [
            weight * np.sqrt(session_variance(series, window))
            for weight, window in zip(BLEND_WEIGHTS, BLEND_WINDOWS, strict=True)
        ]
        series.cache[key] = np.sum(parts, axis=0)
    return np.asarray(series.cache[key])


STANDARDISED_CLIP = 4.0
VARIANCE_RATIO_STEPS = 5
VARIANCE_RATIO_PRIOR = 250.0
VARIANCE_RATIO_RANGE = (1.0, 1.5)


def ratio_of_five(series: KnownSeries) -> Floats:
    """Return the past-only variance of 5-step over five 1-step moves by end, shape (n + 1,).

    Moves are divided by the volatility known before them and clipped at 4, so that one storm does not decide. The
    estimate is shrunk towards 1 by ``VARIANCE_RATIO_PRIOR`` pseudo-observations.
    """
    key = "ratio_of_five"
    if key not in series.cache:
        n, q = len(series), VARIANCE_RATIO_STEPS
        ratio = np.ones(n + 1)
        first = YARDSTICK_WINDOW
        if n > first + q + 1:
            before = blended_sigma(series)[1:-1]  # known before the return that starts at value i
            z = series.log_return / (before * np.sqrt(series.sessions))
            z = np.clip(z[first:], -STANDARDISED_CLIP, STANDARDISED_CLIP)
            one = np.cumsum(z * z)
            sums = np.cumsum(z)
            moves = sums[q - 1 :].copy()
            moves[1:] -= sums[:-q]
            many = np.cumsum(moves * moves) / q
            # Return i ends at value i + 1, so the value count after it is i + 2.
            count = np.arange(q, len(z) + 1, dtype=np.float64)
            prior = VARIANCE_RATIO_PRIOR
            level = np.maximum(one[q - 1 :] / count, 1e-12)  # a rate frozen from the start has no moves
            ratio[first + q + 1 :] = (many / np.maximum(count - q + 1, 1.0) * count + prior * level) / (
                level * (count + prior)
            )
        series.cache[key] = np.clip(ratio, *VARIANCE_RATIO_RANGE)
    return np.asarray(series.cache[key])


def horizon_variance_factor(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
    """Return the variance of k-step moves over k one-step variances, shape (m, k).

    An averaged price (a fixing) moves like a first-order moving average: V(k) = 1 + 2ρ(k-1)/k, with ρ from V(5). So one
    step keeps its variance and long tenors get the whole correction.
    """
    rho = (ratio_of_five(series)[ends] - 1.0) / (2.0 * (VARIANCE_RATIO_STEPS - 1) / VARIANCE_RATIO_STEPS)
    return 1.0 + 2.0 * rho[:, None] * (steps - 1) / steps
