"""Scoring a whole search grid of a Chronos-T5 at once: what configurations share is computed once.

Configurations that differ in ``num_samples`` share the samples (fewer samples are the first of more), those that differ
in ``temperature`` share the encoder's pass and the random numbers, and all origins pass together. With common random
numbers a difference between two configurations is theirs, not the draw's (spec K20): still, ``num_samples`` only sets
Monte-Carlo noise, so a search should not rank by it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError, ValidationError
from forex_assets.evaluation.scores import crps_from_quantiles
from forex_assets.forecasting.chronos.checkpoint import Checkpoint
from forex_assets.forecasting.chronos.decoder import Sampling, T5Sampler, pad_left
from forex_assets.forecasting.contract import OriginRandom
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.levels import QUANTILE_LEVELS

if TYPE_CHECKING:
    import pandas as pd

CLASSIC_CONTEXTS = (90, 180, 365)
CLASSIC_SAMPLES = (50, 100, 200)
CLASSIC_TEMPERATURES = (0.8, 1.0, 1.2)
_ROWS = 4096
"""Samples decoded together: more no longer fit the processor's caches."""


@dataclass(frozen=True)
class GridPoint:
    """One configuration of a sampling Chronos."""

    context_length: int
    num_samples: int
    temperature: float

    def __post_init__(self) -> None:
        """Refuse values that cannot be."""
        if self.context_length < 2 or self.num_samples < 2 or not self.temperature > 0:
            raise ValidationError(
                f"{self}: context_length and num_samples must be at least 2 and temperature positive.",
                remedy="for example GridPoint(180, 100, 1.0).",
            )


def classic_grid() -> list[GridPoint]:
    """Return the 27 configurations of the classic search (spec A09)."""
    return [GridPoint(*point) for point in itertools.product(CLASSIC_CONTEXTS, CLASSIC_SAMPLES, CLASSIC_TEMPERATURES)]


def evaluate_grid(
    history: PriceHistory,
    origins: Origins,
    steps: Ints,
    grid: Sequence[GridPoint],
    checkpoint: Checkpoint,
    *,
    training_cutoff: str = "",
    seed: int = 0,
    top_k: int = 0,
    tick: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Score every configuration on the same origins.

    Parameters
    ----------
    history:
        Gives the outcomes: the value dated the target date.
    origins:
        m origins whose outcome is known.
    steps:
        Values from each origin's last to its target, shape (m,); usually ``origins.steps``.
    grid:
        Configurations.
    checkpoint:
        A loaded Chronos-T5; at precision float32 or bfloat16 it is fastest.
    training_cutoff:
        Of a checkpoint without a card.
    seed:
        Platform seed; an origin's draws derive from it, the pair, the day and the horizon, so they are the same for
        every configuration.
    top_k:
        0 draws from every token.

    Returns
    -------
    pandas.DataFrame
        Per configuration, in the order of ``grid``: context_length, num_samples, temperature, rmse and mape of the
        mean, crps, coverage_95, n. In price units, mape in percent.

    Raises
    ------
    ValidationError
        When the checkpoint has no such parameters (Bolt, Chronos-2), or the grid is empty.
    DataError
        When an origin's outcome is unknown, lies before the checkpoint's cutoff, or is too far.
    """
    import pandas as pd

    if checkpoint.family != "t5":
        raise ValidationError(
            f"Checkpoint {checkpoint.location} is of family '{checkpoint.family}': num_samples and temperature do not "
            "exist for it.",
            remedy="search a Chronos-T5, or compare quantile models with forex backtest.",
        )
    if not grid or not len(origins):
        raise ValidationError(
            f"A grid of {len(grid)} configurations on {len(origins)} origins scores nothing.", remedy="give both."
        )
    checkpoint.refuse_before_cutoff(origins.as_of, training_cutoff)
    actual, _ = history.outcomes(origins.target_date)
    if not np.isfinite(actual).all():
        missing = int(np.flatnonzero(~np.isfinite(actual))[0])
        raise DataError(
            f"The outcome of {history.pair} for {origins.target_date[missing]} is not known.",
            remedy="score origins whose target has matured.",
        )
    longest, most = int(np.max(steps)), 2 * int(checkpoint.pipeline.model_prediction_length)
    if longest > most:
        raise DataError(f"{longest} steps were asked for; the checkpoint is used to {most}.", remedy="use fewer steps.")
    rng = OriginRandom(history.pair, origins.horizon_days, "chronos_t5", seed)
    rows: dict[GridPoint, dict[str, Any]] = {}
    for context_length in dict.fromkeys(point.context_length for point in grid):
        points = [point for point in grid if point.context_length == context_length]
        heats = list(dict.fromkeys(point.temperature for point in points))
        samples = max(point.num_samples for point in points)
        moved = terminal_returns(checkpoint, history, origins, steps, context_length, heats, samples, rng, top_k, tick)
        for point in points:
            drawn = moved[:, heats.index(point.temperature), : point.num_samples]
            rows[point] = _losses(origins.last_value, drawn, actual)
    return pd.DataFrame(
        [
            {
                "context_length": point.context_length,
                "num_samples": point.num_samples,
                "temperature": point.temperature,
                **rows[point],
                "n": len(origins),
            }
            for point in grid
        ]
    )


def terminal_returns(
    checkpoint: Checkpoint,
    history: PriceHistory,
    origins: Origins,
    steps: Ints,
    context_length: int,
    temperatures: Sequence[float],
    samples: int,
    rng: OriginRandom,
    top_k: int = 0,
    tick: Callable[[], None] | None = None,
) -> Floats:
    """Return sampled log returns to each target, shape (m, temperatures, samples), one encoder pass per origin."""
    sampler = T5Sampler(checkpoint.pipeline)
    contexts: list[Floats] = [np.zeros(0)] * len(origins)
    for group in origins.groups:
        for at, end in zip(group.positions, group.ends, strict=True):
            contexts[at] = group.series.log_return[max(0, end - 1 - context_length) : end - 1]
    heat = np.repeat(np.asarray(temperatures, dtype=np.float64), samples)
    out = np.empty((len(origins), len(temperatures), samples))
    longest = int(np.max(steps))
    at_once = max(1, _ROWS // len(heat))
    for start in range(0, len(origins), at_once):
        at = np.arange(start, min(len(origins), start + at_once))
        draws = np.full((len(at), longest, samples), 0.5)
        for row, i in enumerate(at):
            own = int(steps[i])  # sample by sample, so that fewer samples are the first of more
            draws[row, :own] = rng.generator(origins.as_of[i]).random((samples, own)).T
        memory = sampler.encode(pad_left([contexts[i] for i in at]))
        paths = sampler.sample(memory, np.tile(draws, (1, 1, len(temperatures))), heat, Sampling(top_k), tick)
        moved = np.cumsum(paths, axis=2)
        for row, i in enumerate(at):
            out[i] = moved[row, :, int(steps[i]) - 1].reshape(len(temperatures), samples)
    return out


def _losses(last: Floats, moved: Floats, actual: Floats) -> dict[str, float]:
    prices = last[:, None] * np.exp(moved)
    mean = prices.mean(axis=1)
    quantiles = np.quantile(prices, QUANTILE_LEVELS, axis=1, method="weibull").T
    low, high = quantiles[:, 0], quantiles[:, -1]
    return {
        "rmse": float(np.sqrt(np.mean((mean - actual) ** 2))),
        "mape": float(100 * np.mean(np.abs(mean - actual) / actual)),
        "crps": float(np.mean(crps_from_quantiles(actual, quantiles))),
        "coverage_95": float(np.mean((actual >= low) & (actual <= high))),
    }
