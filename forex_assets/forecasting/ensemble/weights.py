"""Weights of the mean: the combination of quantiles that had the lowest pooled CRPS, shrunk towards prior shares.

The pinball loss of a weighted mean of quantiles is convex in the weights, so the best mean is found jointly: two models
that err together share one vote. Non-overlapping tenors count as evidence; pairs of one date are one observation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.levels import QUANTILE_LEVELS

LEVELS: Floats = np.array(QUANTILE_LEVELS)


@dataclass(frozen=True)
class WeightConfig:
    """How weights are learned."""

    prior_tenors: float = 500.0
    """Non-overlapping tenors at which the data weigh as much as the prior (on data to 2017 more is better)."""
    rounds: int = 40
    rate: float = 10.0
    """Step of the exponentiated gradient, on losses in units of the random walk's sigma."""
    max_rows: int = 6_000
    """Rows the gradient looks at; of more, evenly spaced ones are taken."""


def crps(outcome: Floats, quantiles: Floats) -> Floats:
    """Return twice the mean pinball loss over the stored levels, shape (n,), from (n,) and (n, 13)."""
    miss = outcome[:, None] - quantiles
    return np.asarray(2.0 * np.maximum(LEVELS * miss, (LEVELS - 1.0) * miss).mean(axis=1))


def best_mean(quantiles: Floats, outcome: Floats, prior: Floats, config: WeightConfig) -> Floats:
    """Return the weights, shape (k,), that lower the CRPS of the mean of quantiles (n, k, 13) most.

    Exponentiated gradient from the prior, a fixed number of rounds: the weights stay positive and add up to 1.
    """
    n, k = quantiles.shape[:2]
    thin = slice(None, None, n // config.max_rows + 1)
    quantiles, outcome = quantiles[thin], outcome[thin]
    weights: Floats = prior / prior.sum()
    flat = quantiles.transpose(1, 0, 2).reshape(k, -1)
    levels = np.broadcast_to(LEVELS, (len(outcome), len(LEVELS)))
    for _ in range(config.rounds):
        mean = (weights @ flat).reshape(levels.shape)
        slope = np.where(outcome[:, None] < mean, 1.0 - levels, -levels) * (2.0 / len(LEVELS))
        gradient = flat @ slope.ravel() / len(outcome)
        weights = weights * np.exp(-config.rate * (gradient - weights @ gradient))
        weights /= weights.sum()
    return weights


def shrunk(weights: Floats, tenors: float, prior: Floats, config: WeightConfig) -> Floats:
    """Return weights pulled towards prior shares, the less evidence there is the more."""
    trust = tenors / (tenors + config.prior_tenors)
    return np.asarray(trust * weights + (1.0 - trust) * prior / prior.sum())


def admitted(weights: Floats, in_mean: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    """Return weights with those of models outside the mean set to 0 and the rest made to add up to 1.

    All 0 where no model is in the mean.
    """
    kept = np.where(in_mean, weights, 0.0)
    total = kept.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(kept, total, out=np.zeros_like(kept), where=total > 0))
