"""Sampling from a Chronos-T5: one encoder pass per context, all samples and temperatures of it decoded together.

``transformers.generate`` repeats the encoder's states for every sample and projects their keys and values again for
each; it draws from torch's global generator, so that a batch decides what a series gets. Here keys and values are
projected once per context, samples attend to them side by side, and every draw is the inverse of the cumulated
probabilities at a uniform number that the caller gives: the same uniforms at two temperatures are common random
numbers, and a context gets the same draws alone or among a thousand. A test holds the logits equal to transformers'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import DataError


@dataclass
class Memory:
    """Encoded contexts as the decoder needs them: keys and values by layer (b, heads, t, d), scales, mask if padded."""

    keys: list[Any]
    values: list[Any]
    mask: Any
    scale: Any

    def take(self, rows: Any) -> Memory:
        """Return the memory of some contexts."""
        mask = None if self.mask is None else self.mask[rows]
        return Memory([k[rows] for k in self.keys], [v[rows] for v in self.values], mask, self.scale[rows])


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from the logits; ``top_k`` 0 means every token of the vocabulary."""

    top_k: int = 0
    top_p: float = 1.0


class T5Sampler:
    """Encoder and decoder of one checkpoint.

    Parameters
    ----------
    pipeline:
        A loaded ``ChronosPipeline`` of type seq2seq, at the precision wanted.

    Raises
    ------
    DataError
        When the checkpoint is a causal one.
    """

    def __init__(self, pipeline: Any) -> None:
        import torch

        self.torch = torch
        self.pipeline = pipeline
        self.model = pipeline.inner_model
        self.config = pipeline.model.config
        if self.config.model_type != "seq2seq":
            raise DataError(
                f"The checkpoint decodes without an encoder (model_type {self.config.model_type!r}).",
                remedy="use a Chronos-T5 checkpoint (seq2seq).",
            )
        self.dtype = self.model.shared.weight.dtype  # a quantised head has none
        self.blocks = list(self.model.decoder.block)
        attention = self.blocks[0].layer[0].SelfAttention
        self.heads, self.size = int(attention.n_heads), int(attention.key_value_proj_dim)
        self.scaled = bool(getattr(self.model.config, "scale_decoder_outputs", False))

    def encode(self, contexts: Floats) -> Memory:
        """Encode contexts of returns, shape (b, t), NaN on the left where one is shorter."""
        torch = self.torch
        with torch.inference_mode():
            # In float64 the scale of a context cannot depend on how far it is padded.
            context = torch.as_tensor(np.asarray(contexts, dtype=np.float64))[:, -int(self.config.context_length) :]
            scale = torch.as_tensor(_scales(context.numpy()))
            tokens, mask, _ = self.pipeline.tokenizer._input_transform(
                context=context / scale[:, None], scale=torch.ones(len(context))
            )
            if self.config.use_eos_token:
                tokens, mask = self.pipeline.tokenizer._append_eos_token(token_ids=tokens, attention_mask=mask)
            hidden = self.model.encoder(input_ids=tokens, attention_mask=mask.to(torch.long)).last_hidden_state
            keys, values = [], []
            for block in self.blocks:
                cross = block.layer[1].EncDecAttention
                keys.append(self._split(cross.k(hidden)))
                values.append(self._split(cross.v(hidden)))
            bias = torch.zeros(mask.shape, dtype=torch.float32).masked_fill(~mask, float("-inf"))
            return Memory(keys, values, None if bool(mask.all()) else bias[:, None, None, :], scale)

    def _split(self, x: Any) -> Any:
        b, t, _ = x.shape
        return x.view(b, t, self.heads, self.size).transpose(1, 2).contiguous()

    def sample(
        self,
        memory: Memory,
        uniforms: Floats,
        temperatures: Floats,
        sampling: Sampling = Sampling(),
        tick: Callable[[], None] | None = None,
    ) -> Floats:
        """Return sampled returns, shape (b, s, length).

        Parameters
        ----------
        memory:
            b encoded contexts.
        uniforms:
            In [0, 1), shape (b, length, s) to draw tokens, or (b, length, 2, s) to place a return inside its bin too.
        temperatures:
            Of each sample, shape (s,).
        sampling:
            Restrictions of the vocabulary.
        tick:
            Called before every step; may raise to stop.
        """
        torch = self.torch
        draws = torch.as_tensor(np.asarray(uniforms, dtype=np.float64))
        inside = draws[:, :, 1] if draws.ndim == 4 else None
        draws = draws[:, :, 0] if draws.ndim == 4 else draws
        b, length, s = draws.shape
        heat = torch.as_tensor(np.asarray(temperatures, dtype=np.float64)).view(1, s, 1)
        tokens = torch.empty((b, s, length), dtype=torch.long)
        with torch.inference_mode():
            state = self._start(b, s, length)
            current = torch.full((b, 1), int(self.model.config.decoder_start_token_id), dtype=torch.long)
            for t in range(length):
                if tick is not None:
                    tick()
                logits = self._step(current, memory, state, t)
                current = self._draw(logits, draws[:, t], heat, sampling)
                tokens[:, :, t] = current
            return self._returns(tokens, memory.scale, inside)

    def logits(self, memory: Memory, tokens: Any) -> Any:
        """Return the logits after each prefix of given tokens, shape (b, length, vocabulary); for the parity test."""
        torch = self.torch
        b, length = tokens.shape
        with torch.inference_mode():
            state = self._start(b, 1, length)
            return torch.stack([self._step(tokens[:, t : t + 1], memory, state, t)[:, 0] for t in range(length)], dim=1)

    def _start(self, b: int, s: int, length: int) -> dict[str, Any]:
        torch = self.torch
        shape = (b, s, self.heads, length, self.size)
        first = self.blocks[0].layer[0].SelfAttention
        return {
            "k": [torch.empty(shape, dtype=self.dtype) for _ in self.blocks],
            "v": [torch.empty(shape, dtype=self.dtype) for _ in self.blocks],
            "bias": first.compute_bias(length, length)[0].float(),  # (heads, length, length)
        }

    def _step(self, current: Any, memory: Memory, state: dict[str, Any], t: int) -> Any:
        """Return logits after the newest token of each sample, (b, s or 1, vocabulary); fills the caches at ``t``."""
        torch = self.torch
        x = self.model.decoder.embed_tokens(current)  # (b, s, d); all samples share the first step: (b, 1, d)
        b, s, _ = x.shape
        for i, block in enumerate(self.blocks):
            own = block.layer[0].SelfAttention
            h = block.layer[0].layer_norm(x)
            q, k, v = (part(h).view(b, s, self.heads, self.size) for part in (own.q, own.k, own.v))
            state["k"][i][:, :, :, t] = k
            state["v"][i][:, :, :, t] = v
            keys, values = state["k"][i][:, :s, :, : t + 1], state["v"][i][:, :s, :, : t + 1]
            scores = (keys @ q.unsqueeze(-1)).squeeze(-1).to(self._wide) + state["bias"][:, t, : t + 1].to(self._wide)
            weights = torch.softmax(scores, dim=-1).to(self.dtype)
            x = x + own.o((weights.unsqueeze(-2) @ values).reshape(b, s, -1))
            cross = block.layer[1].EncDecAttention
            q = cross.q(block.layer[1].layer_norm(x)).view(b, s, self.heads, self.size).transpose(1, 2)
            scores = (q @ memory.keys[i].transpose(2, 3)).to(self._wide)
            if memory.mask is not None:
                scores = scores + memory.mask.to(self._wide)
            seen = torch.softmax(scores, dim=-1).to(self.dtype) @ memory.values[i]
            x = x + cross.o(seen.transpose(1, 2).reshape(b, s, -1))
            x = block.layer[2](x)
        x = self.model.decoder.final_layer_norm(x)
        if self.scaled:
            x = x * self.model.model_dim**-0.5
        return self.model.lm_head(x)

    @property
    def _wide(self) -> Any:
        return self.torch.float64 if self.dtype == self.torch.float64 else self.torch.float32

    def _draw(self, logits: Any, uniform: Any, heat: Any, sampling: Sampling) -> Any:
        torch = self.torch
        # Neither padding nor the end of the series is a return.
        z = logits[..., self.config.n_special_tokens :].to(self._wide) / heat.to(self._wide)
        if 0 < sampling.top_k < z.shape[-1]:
            least = torch.topk(z, sampling.top_k, dim=-1).values[..., -1:]
            z = z.masked_fill(z < least, float("-inf"))
        if sampling.top_p < 1.0:
            ordered, order = torch.sort(z, dim=-1, descending=True)
            before = torch.cumsum(torch.softmax(ordered, dim=-1), dim=-1) - torch.softmax(ordered, dim=-1)
            cut = torch.zeros_like(z, dtype=torch.bool).scatter(-1, order, before >= sampling.top_p)
            z = z.masked_fill(cut, float("-inf"))
        cumulated = torch.cumsum(torch.softmax(z, dim=-1), dim=-1)
        wanted = uniform.to(self._wide).unsqueeze(-1) * cumulated[..., -1:]
        if wanted.shape[:-1] != cumulated.shape[:-1]:
            cumulated = cumulated.expand(*wanted.shape[:-1], cumulated.shape[-1])
        found = torch.searchsorted(cumulated.contiguous(), wanted.contiguous(), right=True).squeeze(-1)
        return found.clamp_(max=cumulated.shape[-1] - 1) + self.config.n_special_tokens

    def _returns(self, tokens: Any, scale: Any, inside: Any) -> Floats:
        torch = self.torch
        centers = self.pipeline.tokenizer.centers.to(torch.float64)
        index = (tokens - self.config.n_special_tokens - 1).clamp(0, len(centers) - 1)
        out = centers[index]
        if inside is not None:
            out = out + (inside.transpose(1, 2) - 0.5) * (centers[1] - centers[0])
        return np.asarray((out * scale.to(torch.float64).view(-1, 1, 1)).numpy())


def _scales(context: Floats) -> Floats:
    """Return the mean absolute value of each context, 1 where it is not positive: the scale of MeanScaleUniformBins."""
    held = ~np.isnan(context)
    # Summed one by one from the right, so that padding on the left changes no rounding.
    total = np.cumsum(np.where(held, np.abs(context), 0.0)[:, ::-1], axis=1)[:, -1]
    scale = total / np.maximum(held.sum(axis=1), 1)
    return np.where(scale > 0, scale, 1.0)


def pad_left(rows: list[Floats], width: int | None = None) -> Floats:
    """Return rows of unequal length as one array, NaN on the left."""
    width = width or max(len(row) for row in rows)
    out = np.full((len(rows), width), np.nan)
    for i, row in enumerate(rows):
        out[i, width - len(row) :] = row
    return out
