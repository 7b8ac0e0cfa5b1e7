"""A grid of one Chronos-T5 at once: origins, encoder passes and samples are shared, as the classic grid allows.

With common random numbers a difference between two configurations is theirs and not the draw's (K20). Single
precision: its rounding is far below the Monte-Carlo error of 200 samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.forecasting.contract import OriginRandom
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.levels import QUANTILE_LEVELS
from forex_assets.lifecycle.search.objective import Losses, score_losses
from forex_assets.lifecycle.search.space import CLASSIC_MODEL

if TYPE_CHECKING:
    from forex_assets.lifecycle.search.objective import Evaluator

SHARED = frozenset({"context_length", "num_samples", "temperature"})


def t5_losses(
    evaluator: Evaluator, choices: Sequence[ModelChoice], tick: Callable[[], None]
) -> Iterator[tuple[ModelChoice, Losses]]:
    """Yield the losses of those choices that are points of one Chronos-T5's grid; nothing for fewer than two.

    Raises
    ------
    ForexError
        When the checkpoint is missing, foreign or too young for the origins.
    """
    from forex_assets.forecasting.chronos.checkpoint import declared_cutoff, resolve
    from forex_assets.forecasting.chronos.grid import terminal_returns

    points = [choice for choice in choices if choice.model == CLASSIC_MODEL and set(choice.parameters) <= SHARED]
    if len(points) < 2:
        return
    model = get_model(CLASSIC_MODEL)
    checkpoint = resolve("t5", "", "float32")
    origins = make_origins(
        evaluator.history,
        evaluator.days,
        evaluator.horizon_days,
        evaluator.max_age,
        min_values=model.capabilities.min_history,
        unusable="drop",
    )
    actual, matured = evaluator.history.outcomes(origins.target_date, evaluator.as_of)
    known = ~np.isnat(matured)
    checkpoint.refuse_before_cutoff(origins.as_of, "" if checkpoint.card else declared_cutoff())
    rng = OriginRandom(origins.pair, origins.horizon_days, CLASSIC_MODEL, evaluator.seed)
    resolved = [resolve_parameters(model, choice.parameters) for choice in points]
    longest = int(checkpoint.pipeline.model_context_length)
    lengths = [min(int(item["context_length"]), longest) for item in resolved]
    for length in dict.fromkeys(lengths):
        own = [i for i, width in enumerate(lengths) if width == length]
        heats = list(dict.fromkeys(float(resolved[i]["temperature"]) for i in own))
        samples = max(int(resolved[i]["num_samples"]) for i in own)
        moved = terminal_returns(
            checkpoint, evaluator.history, origins, origins.steps, length, heats, samples, rng, tick=tick
        )
        for i in own:
            drawn = moved[:, heats.index(float(resolved[i]["temperature"])), : int(resolved[i]["num_samples"])]
            prices = origins.last_value[:, None] * np.exp(drawn)
            quantiles = np.quantile(prices, QUANTILE_LEVELS, axis=1, method="weibull").T
            yield (
                points[i],
                score_losses(
                    origins.as_of[known],
                    matured[known],
                    prices.mean(axis=1)[known],
                    quantiles[known],
                    actual[known],
                    origins.last_value[known],
                    int(origins.steps.max()),
                ),
            )
