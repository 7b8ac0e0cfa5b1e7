"""A random walk with the empirical quantiles of past moves over the same number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.forecasting.contract import Capabilities, OriginRandom, QuantilePaths
from forex_assets.forecasting.models._common import LEVELS, predict_from_log_quantiles
from forex_assets.forecasting.models.rw_blend import blend_log_quantiles
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.forecasting.volatility import YARDSTICK_WINDOW, blended_sigma
from forex_assets.levels import MEDIAN_INDEX

WINDOW = 2500
"""Past moves looked at; on data to 2017 about ten years beat 1,500 days at every tenor."""
MIN_MOVES = 120
SHRINKAGE_TENORS = 60.0
"""Non-overlapping tenors at which the sample weighs as much as the parametric shape."""
MOVE_CLIP = 5.0
"""A move out of a frozen rate is many sigmas of nearly nothing; it must not set the tails for ten years."""
_CHUNK = 32


class RandomWalkEmpirical:
    """Centre: the last value. Quantiles: those of past overlapping k-step log returns, in today's volatility.

    Each past move is divided by the volatility known before it, and the quantiles are multiplied by today's, so skew
    and heavy tails of the series stay (K11) while the width follows the market. The moves' median is removed: past
    drift is no forecast. Where the window holds few non-overlapping tenors, quantiles lean on the parametric shape.
    """

    name = "rw_empirical"
    capabilities = Capabilities(family="empirical", min_history=2 * (YARDSTICK_WINDOW + 1) + MIN_MOVES, centre="last")

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        return predict_from_log_quantiles(origins, steps, empirical_log_quantiles)


def empirical_log_quantiles(series: KnownSeries, ends: Ints, steps: Ints) -> Floats:
    """Return quantiles of the log return, shape (m, k, 13)."""
    quantiles = blend_log_quantiles(series, ends, steps)
    scale = blended_sigma(series)[ends]
    flat = quantiles.reshape(-1, len(LEVELS))
    m, k = steps.shape
    rows = np.arange(m * k)
    for step in np.unique(steps):
        at = rows[steps.ravel() == step]
        end = ends[at // k]
        unit, weight = _unit_quantiles(series, int(step), end)
        move = unit * (scale[at // k] * np.sqrt(step))[:, None]
        flat[at] = weight[:, None] * move + (1.0 - weight[:, None]) * flat[at]
    return quantiles


def _unit_quantiles(series: KnownSeries, step: int, ends: Ints) -> tuple[Floats, Floats]:
    """Return quantiles of standardised moves, shape (m, 13), and the weight they deserve, shape (m,)."""
    moves = standardised_moves(series, step)
    # The move that starts at value j (j >= first) ends at value j + step, known when j + step < end.
    count = np.clip(ends - step - YARDSTICK_WINDOW - 1, 0, len(moves))
    held = np.minimum(count, WINDOW)
    weight = np.where(held >= MIN_MOVES, held / step / (held / step + SHRINKAGE_TENORS), 0.0)
    quantiles = np.zeros((len(ends), len(LEVELS)))
    used = np.flatnonzero(weight > 0)
    if not len(used):
        return quantiles, weight
    padded = np.concatenate([np.full(WINDOW, np.inf), moves])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    for start in range(0, len(used), _CHUNK):
        at = used[start : start + _CHUNK]
        block = np.sort(windows[count[at]], axis=1)
        quantiles[at] = _sorted_quantiles(block, held[at])
    return quantiles - quantiles[:, MEDIAN_INDEX : MEDIAN_INDEX + 1], weight


def _sorted_quantiles(block: Floats, count: Ints) -> Floats:
    """Return quantiles at p (n + 1) of rows whose first ``count`` entries are the sorted sample."""
    position = np.clip(LEVELS * (count[:, None] + 1.0) - 1.0, 0.0, count[:, None] - 1.0)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, count[:, None] - 1)
    rows = np.arange(len(block))[:, None]
    below, above = block[rows, low], block[rows, high]
    return below + (position - low) * (above - below)


def standardised_moves(series: KnownSeries, step: int) -> Floats:
    """Return every ``step``-observation move over the volatility known at its start, from the 61st value, clipped."""
    first = YARDSTICK_WINDOW
    x = series.log_value
    if len(x) <= first + step:
        return np.zeros(0)
    elapsed = np.concatenate([[0.0], np.cumsum(series.sessions)])
    spans = elapsed[first + step :] - elapsed[first:-step]
    sigma = blended_sigma(series)[first + 1 : len(x) - step + 1]
    moves: Floats = (x[first + step :] - x[first:-step]) / (sigma * np.sqrt(spans))
    return np.asarray(np.clip(moves, -MOVE_CLIP, MOVE_CLIP))
