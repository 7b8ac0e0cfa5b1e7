"""A comparison with the random walk that may be looked at after every forecast, as often as one likes.

A p-value is worth its number for one look planned ahead; a desk looks every day. Two answers hold however often one
looks. The *confidence sequence* of the mean difference is Waudby-Smith and others' asymptotic one, with a long-run
variance that allows for overlap: about three standard errors wide instead of two, and what verdicts rest on. The
*e-value* holds in any sample, without asymptotics: under "on average no better" its expectation is at most one, so that
20 is as rare as p = 0.05; it finds far less.

The difference of two pinball losses is bounded by the distance of the two quantiles, which is known when the forecasts
are made. So the CRPS difference, divided by the largest it could become, is a bounded variable whatever the market
does, and Choe and Ramdas' empirical-Bernstein e-process applies. Forecasts whose lives overlap are dealt with as Henzi
and Ziegel do: origins are split into streams in which each forecast is settled before the next is made, every stream
has its own e-process, and the average of e-values is one. It holds for whoever stops and then waits for the forecasts
already issued; since a desk judges before they are settled, each stream counts one more forecast, as bad as can be.

References
----------
Henzi and Ziegel (2022), Valid sequential inference on probability forecast performance, Biometrika 109(3); Choe and
Ramdas (2023), Comparing sequential forecasters, Operations Research 72(4); Howard, Ramdas, McAuliffe and Sekhon (2021),
Annals of Statistics 49(2), for the process; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform
central limit theory and asymptotic confidence sequences, Annals of Statistics 52(6).
"""

from __future__ import annotations

import math

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.evaluation.inference import CONFIDENCE
from forex_assets.evaluation.overlap import effective_n, newey_west, newey_west_lags, origin_spacing
from forex_assets.levels import QUANTILE_LEVELS

#: An e-value from here on speaks: as rare as p = 0.05 under the hypothesis, at any time.
E_THRESHOLD = 20.0
#: Largest distance of a standardised difference from its prediction: both lie in [-1, 1].
_RANGE = 2.0
_BETS = np.array([0.01, 0.02, 0.04, 0.08, 0.16, 0.32])


#: The sequence is tightest after this many business days of origins (five years).
_TUNED_FOR_BUSINESS_DAYS = 1_250
#: Fewer independent differences than this give no long-run variance to rest on.
MIN_EFFECTIVE = 20.0


def confidence_sequence(differences: Floats, origins: Dates, steps: float) -> tuple[float, float]:
    """Return the ends of the 95% confidence sequence of a mean, now: valid together with all those before and after.

    Parameters
    ----------
    differences:
        Loss of the model minus that of the benchmark, shape (n,), in origin order.
    origins:
        Origin dates, shape (n,).
    steps:
        Business days one error spans.

    Returns
    -------
    tuple
        Both NaN below 20 independent differences, and where all are the same.
    """
    n = len(differences)
    spacing = origin_spacing(np.asarray(origins, dtype="datetime64[D]")) if n else 1.0
    overlap = max(1.0, steps / spacing)
    if n == 0 or effective_n(n, overlap) < MIN_EFFECTIVE or np.ptp(differences) == 0.0:
        return math.nan, math.nan
    from scipy.special import ndtri, stdtrit

    mean = float(differences.mean())
    error, freedom = newey_west(differences - mean, newey_west_lags(n, overlap, spacing))
    alpha = 1.0 - CONFIDENCE
    tuned = max(1.0, _TUNED_FOR_BUSINESS_DAYS / spacing)
    rho = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / tuned
    inside = n * rho + 1.0
    reach = math.sqrt(2.0 * inside / (n * rho) * math.log(math.sqrt(inside) / alpha))
    # The variance is estimated: the same tail of Student's t instead of the normal's.
    reach *= float(stdtrit(freedom, 1.0 - alpha / 2.0) / ndtri(1.0 - alpha / 2.0))
    return mean - reach * error, mean + reach * error


def largest_difference(first: Floats, second: Floats) -> Floats:
    """Return the largest CRPS difference two forecasts can come to, shape (n,), known before the outcome."""
    tau = np.asarray(QUANTILE_LEVELS)
    return np.asarray(2.0 * (np.maximum(tau, 1.0 - tau) * np.abs(first - second)).mean(axis=1), dtype=np.float64)


def e_value(gain: Floats, bound: Floats, origins: Dates, matured_on: Dates) -> float:
    """Return the evidence against "on average no gain", valid at any time one looks.

    Parameters
    ----------
    gain:
        Loss of the benchmark minus that of the model, shape (n,), in origin order.
    bound:
        The largest absolute gain possible, known at the origin, shape (n,). Rows without one (the forecasts are the
        same) tell nothing and are left out.
    origins, matured_on:
        When each forecast was made and when its outcome became known, shape (n,), growing.
    """
    telling = bound > 0.0
    gain, bound, origins, matured_on = gain[telling], bound[telling], origins[telling], matured_on[telling]
    n = len(gain)
    if n == 0:
        return 1.0
    z = np.clip(gain / bound, -1.0, 1.0)
    settled = np.searchsorted(np.maximum.accumulate(matured_on), origins, side="right")
    settled = np.minimum(settled, np.arange(n))
    # The best guess of the next one from those settled by then, shrunk to nothing.
    expected = np.concatenate([[0.0], np.cumsum(z)])[settled] / (settled + 1.0)
    streams = _streams(origins, matured_on)
    rounds = -(-n // streams)
    padded = np.zeros((2, rounds * streams))
    padded[0, :n], padded[1, :n] = z, (z - expected) ** 2
    total, squares = padded.reshape(2, rounds, streams).sum(axis=1)
    psi = (-np.log1p(-_RANGE * _BETS) - _RANGE * _BETS) / _RANGE**2
    # One more forecast per stream is out, and may turn out as bad as can be.
    totals, spent = total - 1.0, squares + _RANGE**2
    exponent = _BETS[:, None] * totals - psi[:, None] * spent
    top = exponent.max()
    with np.errstate(over="ignore"):
        return float(np.exp(top) * np.exp(exponent - top).mean())


def _streams(origins: Dates, matured_on: Dates) -> int:
    """Return the smallest s such that every forecast is settled when the s-th next one is made."""
    reached = np.searchsorted(origins, np.maximum.accumulate(matured_on), side="left")
    return int(max(1, (reached - np.arange(len(origins))).max()))
