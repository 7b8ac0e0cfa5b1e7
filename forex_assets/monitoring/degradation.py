"""Statistics of matured forecasts that tell degradation, for every maturity at once.

Element i of every array is what the first i + 1 matured forecasts tell, so a day reads its own element and a replay of
years reads them all. Windows count matured forecasts, never issued ones (spec J04), and every statistic stands beside
the random walk's on the same targets: when both miss more, the market moved, not the model (K04).

References
----------
Shin, Ramdas and Rinaldo (2023), E-detectors, for evidence that may be watched for ever; Henzi and Ziegel (2022),
Biometrika 109(3), for lagged forecasts in interleaved streams.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.monitoring.frames import Scored
from forex_assets.settings.monitoring import HorizonAlarms, PerformancePolicy

#: Half of a 95% normal interval, in standard deviations.
_HALF_95 = 1.959963984540054
#: Beyond these probabilities a PIT says no more than "far out".
_PIT_CLIP = 1e-4
_TINY = 1e-12


class Alarms(NamedTuple):
    """Statistics after each matured forecast, shape (n,); NaN while the window is not full."""

    skill: Floats
    """CRPS over the random walk's, minus one."""
    calibration: Floats
    """Log variance of standardised errors beyond what the random walk's explain; above 0: too narrow."""
    bias: Floats
    """Mean normal score of the outcomes, in sigma; above 0: outcomes too high."""
    evidence: Floats
    """Log of the e-detector against "on average no worse than the random walk"."""
    missing: Floats
    """Share of the window's forecasts without a usable score."""


def alarms(scored: Scored, limits: HorizonAlarms, policy: PerformancePolicy) -> Alarms:
    """Return every statistic after each matured forecast.

    A forecast with a score that is not finite, or without the random walk on its target, counts as missing and is
    left out of the statistics.
    """
    window, n = limits.window_forecasts, len(scored)
    fields = (scored.error_sigma, scored.pit, scored.crps, scored.crps_benchmark, scored.width_benchmark, scored.error)
    usable = np.all([np.isfinite(values) for values in fields], axis=0) & (scored.width_benchmark > 0)
    # Statistics over the last `window` rows, of which the missing ones count for nothing.
    weight = usable.astype(np.float64)
    count = rolling_sum(weight, window)

    def mean(values: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(rolling_sum(np.where(usable, values, 0.0), window) / count)

    cap = policy.squared_error_cap
    with np.errstate(invalid="ignore", divide="ignore"):
        benchmark_sigma = scored.error / (scored.width_benchmark / (2 * _HALF_95))
        own = np.log(np.maximum(mean(np.minimum(scored.error_sigma**2, cap)), _TINY)) - policy.usual_log_variance
        beside = np.log(np.maximum(mean(np.minimum(benchmark_sigma**2, cap)), _TINY)) - policy.usual_log_variance
        skill = mean(scored.crps) / np.maximum(mean(scored.crps_benchmark), _TINY) - 1.0
    score = normal_scores(np.where(usable, scored.pit, 0.5))
    return Alarms(
        skill=skill,
        calibration=beyond_benchmark(own, beside, policy.benchmark_weight_share),
        bias=mean(score),
        evidence=evidence(scored, usable, policy.evidence.bets),
        missing=1.0 - count / window if n else count,
    )


def normal_scores(pit: Floats) -> Floats:
    """Return the standard normal quantile of each PIT, those far out cut to the same score."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(pit, _PIT_CLIP, 1 - _PIT_CLIP)), dtype=np.float64)


def beyond_benchmark(own: Floats, beside: Floats, weight: float) -> Floats:
    """Return a log variance less the part the random walk shows too, in the same direction.

    A volatile market makes every interval too narrow for a while. What the random walk's own errors show of it is taken
    off, never added: a model that stays right while the random walk errs is not accused of the opposite.
    """
    shared = np.where(own > 0, np.maximum(beside, 0.0), np.minimum(beside, 0.0))
    with np.errstate(invalid="ignore"):
        reduced = own - weight * shared
    return np.where(own > 0, np.maximum(reduced, 0.0), np.minimum(reduced, 0.0)) * np.where(np.isnan(own), np.nan, 1.0)


def evidence(scored: Scored, usable: npt.NDArray[np.bool_], bets: list[float]) -> Floats:
    """Return the log e-detector after each matured forecast.

    The loss difference to the random walk, over half the width of its 95% interval and clipped to [-1, 1], is a game
    nobody can win by betting against the model unless it is worse on average. Overlapping forecasts play in as many
    separate streams as overlap; every stream restarts when it has lost its stake (an e-CUSUM), and the streams and
    bets are averaged.
    """
    n = len(scored)
    streams = max(1, math.ceil(scored.steps))
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = (scored.crps - scored.crps_benchmark) / (scored.width_benchmark / 2.0)
    game = np.clip(np.where(usable, lost, 0.0), -1.0, 1.0)
    rounds = -(-n // streams) if n else 0
    padded = np.zeros(rounds * streams)
    padded[:n] = game
    played = padded.reshape(rounds, streams)
    levels = []
    for bet in bets:
        wealth = np.cumsum(np.log1p(bet * played), axis=0)
        lowest = np.minimum.accumulate(np.vstack([np.zeros((1, streams)), wealth]), axis=0)[:-1] if rounds else wealth
        levels.append(wealth - lowest)
    # After forecast i, every stream stands where its last forecast up to i left it.
    held = np.logaddexp.reduce(np.array(levels), axis=0) - math.log(len(bets)) if rounds else np.zeros((0, streams))
    latest = np.concatenate([np.zeros(streams - 1), held.ravel()])
    windows = np.lib.stride_tricks.sliding_window_view(latest, streams)[:n] if n else np.zeros((0, streams))
    return np.asarray(np.logaddexp.reduce(windows, axis=1) - math.log(streams), dtype=np.float64)


def rolling_sum(values: Floats, window: int) -> Floats:
    """Return the sum of the last ``window`` values at each place; NaN before there are so many."""
    out = np.full(len(values), np.nan)
    if len(values) >= window:
        total = np.cumsum(values)
        out[window - 1 :] = total[window - 1 :]
        out[window:] -= total[:-window]
    return out


def overlap_variance(window: int, steps: float) -> float:
    """Return the variance of the mean of ``window`` consecutive errors of unit variance that share ``steps`` steps."""
    lag = np.arange(1, min(math.ceil(steps), window))
    return float((1.0 + 2.0 * np.sum((1.0 - lag / window) * np.maximum(1.0 - lag / steps, 0.0))) / window)
