"""Quantile families (Bolt, Chronos-2): the return of the tenor itself, one block ahead, and the tails they do not have.

A tenor of k steps is forecast from the past returns over k steps, cut into blocks that do not overlap and end at the
origin: a stationary series, one value ahead, so the answer *is* the distribution of the tenor's return. Bolt knows
levels 0.1 to 0.9 only; its outer quantiles are completed with the tail shape of the pair's own past standardised moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import DataError
from forex_assets.forecasting.chronos.decoder import pad_left
from forex_assets.levels import MEDIAN_INDEX, QUANTILE_LEVELS

MIN_BLOCKS = 8
"""Fewer past returns of a tenor are no context."""
BATCH = 64
DIGITS = 9
"""Answers are rounded to this many digits of the context's standard deviation: a batch decides what lies below."""


def block_returns(log_value: Floats, step: int, blocks: int) -> Floats:
    """Return the newest ``blocks`` returns over ``step`` values that do not overlap and end at the last value.

    Raises
    ------
    DataError
        When there are fewer than ``MIN_BLOCKS``.
    """
    count = min(blocks, (len(log_value) - 1) // step)
    if count < MIN_BLOCKS:
        raise DataError(
            f"{len(log_value)} values hold {count} returns over {step} values; a context needs {MIN_BLOCKS}.",
            remedy=f"use a history of at least {MIN_BLOCKS * step + 1} values, or a shorter horizon.",
        )
    ends = log_value[::-1][: count * step + 1 : step][::-1]
    return np.diff(ends)


def bolt_quantiles(
    pipeline: Any, contexts: Sequence[Floats], width: int, tick: Callable[[], None] | None = None
) -> Floats:
    """Return Bolt's quantiles of the next value of each context, shape (n, levels).

    The contexts are standardised here in float64 and every pass shows ``width`` values (padded on the left), so that no
    neighbour changes an answer; a test holds it equal to the pipeline's own.
    """
    import torch

    model = pipeline.model
    patch = int(model.chronos_config.input_patch_size)
    width = -(-width // patch) * patch
    out = []
    for start in range(0, len(contexts), BATCH):
        if tick is not None:
            tick()
        rows = [np.asarray(c, dtype=np.float64)[-width:] for c in contexts[start : start + BATCH]]
        loc = np.array([row.mean() for row in rows])
        scale = np.array([row.std() for row in rows])
        scale = np.where(scale > 0, scale, 1e-5)
        shown = [(row - a) / b for row, a, b in zip(rows, loc, scale, strict=True)]
        with torch.inference_mode():
            answer = _bolt_forward(model, torch.as_tensor(pad_left(shown, width)))
        unit = np.round(answer[:, :, 0].to(torch.float64).numpy(), DIGITS)
        out.append(loc[:, None] + scale[:, None] * unit)
    return np.concatenate(out)


def _bolt_forward(model: Any, context: Any) -> Any:
    """Return standardised quantiles, (b, levels, prediction length).

    ``ChronosBoltModelForForecasting.forward`` without its normalisation, which rounds to float32.
    """
    import torch

    mask = torch.isnan(context).logical_not().to(model.dtype)
    patched = model.patch(context.to(model.dtype))
    held = torch.nan_to_num(model.patch(mask), nan=0.0)
    patched = torch.cat([torch.where(held > 0.0, patched, 0.0), held], dim=-1)
    attention = held.sum(dim=-1) > 0
    embedded = model.input_patch_embedding(patched)
    if model.chronos_config.use_reg_token:
        ids = torch.full((len(context), 1), model.config.reg_token_id)
        embedded = torch.cat([embedded, model.shared(ids)], dim=-2)
        attention = torch.cat([attention.to(model.dtype), torch.ones_like(ids).to(model.dtype)], dim=-1)
    hidden = model.encoder(attention_mask=attention, inputs_embeds=embedded)[0]
    answer = model.output_patch_embedding(model.decode(embedded, attention, hidden))
    return answer.view(len(context), model.num_quantiles, model.chronos_config.prediction_length)


def chronos2_quantiles(
    pipeline: Any,
    contexts: Sequence[Floats],
    covariates: Sequence[Mapping[str, Floats]],
    tick: Callable[[], None] | None = None,
) -> Floats:
    """Return Chronos-2's quantiles of the next value of each context, shape (n, levels).

    One context per pass, with its covariates as one group: rounding inside the network depends on the shape of a
    batch, and an answer must not depend on its neighbours.

    Parameters
    ----------
    covariates:
        Of each context: name → past values, as many as the context has.
    """
    import torch

    levels = [float(level) for level in pipeline.quantiles]
    out = np.empty((len(contexts), len(levels)))
    for i, (context, beside) in enumerate(zip(contexts, covariates, strict=True)):
        if tick is not None:
            tick()
        scale = float(np.std(context)) or 1e-5
        row: dict[str, Any] = {"target": torch.as_tensor(context / scale, dtype=torch.float32)}
        if beside:
            row["past_covariates"] = {
                name: torch.as_tensor(values, dtype=torch.float32) for name, values in beside.items()
            }
        with torch.inference_mode():
            answer, _ = pipeline.predict_quantiles([row], prediction_length=1, quantile_levels=levels)
        out[i] = answer[0][0, 0].to(torch.float64).numpy() * scale
    return out


def at_stored_levels(levels: Sequence[float], quantiles: Floats, tail_shape: Floats) -> Floats:
    """Return quantiles at the platform's 13 levels from those at a family's own.

    Inside the family's range: linear in the normal score of the level. Beyond its outermost levels: the distance of
    the outermost quantile from the median, stretched as the tail shape is.

    Parameters
    ----------
    levels:
        The family's, growing, 0.5 among them.
    quantiles:
        Shape (n, len(levels)); crossing ones are sorted.
    tail_shape:
        Quantiles at the 13 levels of past standardised moves, shape (n, 13); only ratios of distances from their
        median are used.
    """
    score = np.array([NormalDist().inv_cdf(level) for level in levels])
    wanted = np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])
    ordered = np.sort(quantiles, axis=1)
    shape = tail_shape - tail_shape[:, MEDIAN_INDEX : MEDIAN_INDEX + 1]
    median = ordered[:, list(levels).index(0.5)]
    out = np.empty((len(ordered), len(wanted)))
    for i in range(len(ordered)):
        inner = np.interp(wanted, score, ordered[i])
        for edge, beyond in ((0, wanted < score[0] - 1e-12), (-1, wanted > score[-1] + 1e-12)):
            reached = float(np.interp(score[edge], wanted, shape[i]))
            stretch = shape[i, beyond] / reached if reached != 0 else wanted[beyond] / score[edge]
            inner[beyond] = median[i] + np.maximum(stretch, 1.0) * (ordered[i, edge] - median[i])
        out[i] = inner
    return strictly_increasing(out)


def strictly_increasing(log_quantiles: Floats) -> Floats:
    """Return quantiles that grow by at least a ten-millionth of a percent from level to level."""
    steps = np.arange(log_quantiles.shape[-1]) * 1e-9
    return np.asarray(np.maximum.accumulate(log_quantiles, axis=-1) + steps - steps[MEDIAN_INDEX])
