"""Training a small Chronos-T5, Bolt or Chronos-2 on past returns: CPU, resumable, stopped by validation on later dates.

The folder it writes has the standard format (``BaseChronosPipeline.from_pretrained`` loads it) plus a card. A run that
was killed goes on from its last evaluation when it is started again with the same options and data, and ends with the
same weights as one that was not.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from forex_assets.errors import ConfigError, DataError, ValidationError
from forex_assets.forecasting.chronos.card import Card
from forex_assets.forecasting.chronos.data import TrainingData
from forex_assets.forecasting.chronos.windows import Window, Windows
from forex_assets.provenance import content_hash

FAMILIES = ("t5", "bolt", "chronos2")
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 32, "d_kv": 16, "d_ff": 64, "layers": 1, "heads": 2, "tokens": 512},
    "mini": {"d_model": 64, "d_kv": 16, "d_ff": 256, "layers": 2, "heads": 4, "tokens": 1024},
    "small": {"d_model": 128, "d_kv": 32, "d_ff": 512, "layers": 3, "heads": 4, "tokens": 2048},
}
TOKEN_LIMIT = 15.0
"""Largest return with a token of its own, in mean absolute returns of the context."""
BOLT_LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
CHRONOS2_LEVELS = [0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.99]
BLOCK_PATCH = 4
BLOCK_LENGTH = 8
WARMUP_SHARE = 0.05
IMPROVEMENT = 1e-4
"""Share of the validation loss an evaluation must gain to count."""


@dataclass(frozen=True)
class TrainOptions:
    """What decides the weights; everything but the budgets enters the signature a resumed run must share."""

    family: Literal["t5", "bolt", "chronos2"] = "t5"
    size: str = "mini"
    context_length: int = 256
    prediction_length: int = 75
    validation_days: int = 730
    batch_size: int = 32
    learning_rate: float = 5e-3
    steps: int | None = None
    time_budget_s: float | None = None
    evaluate_every: int = 50
    patience: int = 8
    seed: int = 20250613

    def __post_init__(self) -> None:
        """Refuse options that cannot be."""
        rules: tuple[tuple[bool, str, str], ...] = (
            (self.family in FAMILIES, f"family {self.family!r}", f"one of {', '.join(FAMILIES)}"),
            (self.size in SIZES, f"size {self.size!r}", f"one of {', '.join(SIZES)}"),
            (32 <= self.context_length <= 2048, f"context_length {self.context_length}", "in [32, 2048]"),
            (1 <= self.prediction_length <= 256, f"prediction_length {self.prediction_length}", "in [1, 256]"),
            (self.validation_days >= 30, f"validation_days {self.validation_days}", "at least 30"),
            (1 <= self.batch_size <= 1024, f"batch_size {self.batch_size}", "in [1, 1024]"),
            (0 < self.learning_rate < 1, f"learning_rate {self.learning_rate}", "between 0 and 1"),
            (self.steps is None or self.steps >= 1, f"steps {self.steps}", "at least 1"),
            (self.time_budget_s is None or self.time_budget_s > 0, f"time_budget_s {self.time_budget_s}", "positive"),
            (self.steps is not None or self.time_budget_s is not None, "no budget", "given as steps, time, or both"),
            (self.evaluate_every >= 1, f"evaluate_every {self.evaluate_every}", "at least 1"),
            (self.patience >= 1, f"patience {self.patience}", "at least 1"),
        )
        for fine, value, rule in rules:
            if not fine:
                raise ValidationError(
                    f"Training option: {value}; it must be {rule}.", remedy="see forex chronos train --help."
                )

    @property
    def horizon(self) -> int:
        """Values a window's target holds."""
        return self.prediction_length if self.family == "t5" else BLOCK_LENGTH

    def signature(self, data_hash: str) -> str:
        """Return what a resumed run must share."""
        body = {name: value for name, value in asdict(self).items() if name != "time_budget_s"}
        return content_hash([body, data_hash])


@dataclass(frozen=True)
class Progress:
    """Where a training run stands."""

    step: int
    share_done: float
    training_loss: float
    validation_loss: float
    best_loss: float
    resumed_from: int


def train(
    data: TrainingData,
    options: TrainOptions,
    out: Path,
    *,
    restart: bool = False,
    on_step: Callable[[Progress], None] | None = None,
) -> Card:
    """Train a checkpoint and write it to ``out``.

    Parameters
    ----------
    data:
        Series up to the training cutoff; the last ``validation_days`` are for early stopping only.
    options:
        Network, budgets and seed.
    out:
        Folder that must not exist yet; ``.<name>.training`` beside it keeps the state of an unfinished run.
    restart:
        Forget an unfinished run instead of going on with it.
    on_step:
        Called after every step; may raise to stop, and the run can be resumed.

    Raises
    ------
    ValidationError
        When ``out`` exists.
    ConfigError
        When an unfinished run of other options or data is in the way.
    DataError
        When the state of the unfinished run cannot be read, or the loss is no longer a number.
    """
    import torch

    if out.exists():
        raise ValidationError(f"{out} exists; nothing is overwritten.", remedy="name a folder that does not exist yet.")
    state_dir = out.parent / f".{out.name}.training"
    if restart and state_dir.exists():
        shutil.rmtree(state_dir)
    through = np.datetime64(data.through, "D")
    cut = through - np.timedelta64(options.validation_days, "D")
    blocks = options.family != "t5"
    shape = (options.context_length, options.horizon, blocks)
    training, validation = Windows(data, None, cut, *shape), Windows(data, cut, through, *shape)
    held_out = [validation.draw((options.seed, 2, i), 64) for i in range(4)]
    signature = options.signature(data.hash)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        learner = _Learner(options)
        state = _load_state(state_dir, signature, learner)
        started = time.monotonic() - state["seconds"]
        resumed = int(state["step"])
        if not resumed:
            state["first"] = state["best"] = learner.loss_of(held_out)
            state["weights"] = learner.weights()
        stopped = str(state["stopped"])
        while not stopped:
            step = int(state["step"])
            done = _share_done(options, step, time.monotonic() - started)
            loss = learner.step(training.draw((options.seed, 1, step), options.batch_size), done)
            state["step"] = step + 1
            share = _share_done(options, step + 1, time.monotonic() - started)
            if (step + 1) % options.evaluate_every == 0 or share >= 1:
                _evaluate(state, learner, held_out, options)
                state["seconds"] = time.monotonic() - started
                if share >= 1:
                    over = options.steps is not None and step + 1 >= options.steps
                    stopped = "the step budget" if over else "the time budget"
                elif state["waited"] >= options.patience:
                    stopped = f"{options.patience} evaluations without improvement"
                state["stopped"] = stopped
                _save_state(state_dir, signature, state, learner)
            if on_step is not None:
                on_step(Progress(step + 1, min(share, 1.0), loss, state["last"], state["best"], resumed))
        learner.restore(state["weights"])
        card = _card(data, options, cut.item(), state, stopped, learner)
        _publish(learner, card, out, state_dir)
    return card


def _share_done(options: TrainOptions, step: int, seconds: float) -> float:
    shares = []
    if options.steps is not None:
        shares.append(step / options.steps)
    if options.time_budget_s is not None:
        shares.append(seconds / options.time_budget_s)
    return max(shares)


def _evaluate(state: dict[str, Any], learner: _Learner, held_out: list[Window], options: TrainOptions) -> None:
    now = learner.loss_of(held_out)
    if not np.isfinite(now):
        raise DataError(
            f"The validation loss is {now} after {state['step']} steps; training has diverged.",
            remedy=f"use a smaller --learning-rate than {options.learning_rate:g}, and --restart.",
        )
    state["last"] = now
    if now < state["best"] - IMPROVEMENT * abs(state["best"]):
        state.update(best=now, weights=learner.weights(), waited=0)
    else:
        state["waited"] += 1


class _Learner:
    """A network of one family with its optimiser."""

    def __init__(self, options: TrainOptions) -> None:
        import torch

        self.options = options
        self.model, self.tokenizer = _network(options)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=options.learning_rate, weight_decay=0.01)

    def step(self, window: Window, share_done: float) -> float:
        import torch

        for group in self.optimiser.param_groups:
            warm = min(1.0, (share_done + 1e-3) / WARMUP_SHARE)
            group["lr"] = float(self.options.learning_rate * warm * (0.525 + 0.475 * np.cos(np.pi * share_done)))
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(window)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def loss_of(self, windows: list[Window]) -> float:
        import torch

        self.model.eval()
        with torch.inference_mode():
            return float(np.mean([float(self._loss(window)) for window in windows]))

    def _loss(self, window: Window) -> Any:
        import torch

        context = torch.as_tensor(window.context, dtype=torch.float32)
        target = torch.as_tensor(window.target, dtype=torch.float32)
        if self.options.family == "bolt":
            return self.model(context=context, target=target).loss
        if self.options.family == "chronos2":
            patches = -(-self.options.horizon // BLOCK_PATCH)
            return self.model(context=context, future_target=target, num_output_patches=patches).loss
        ids, mask, scale = self.tokenizer.context_input_transform(context)
        labels, held = self.tokenizer.label_input_transform(target, scale)
        labels = labels.masked_fill(~held, -100)
        return self.model(input_ids=ids, attention_mask=mask.to(torch.long), labels=labels).loss

    def weights(self) -> dict[str, Any]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def restore(self, weights: dict[str, Any]) -> None:
        self.model.load_state_dict(weights)


def _network(options: TrainOptions) -> tuple[Any, Any]:
    """Return an untrained network with the configuration of the standard format, and the tokenizer of a T5."""
    from forex_assets.forecasting.chronos.checkpoint import quiet

    size = SIZES[options.size]
    if options.family == "chronos2":
        return _chronos2(options, size), None
    with quiet():
        from chronos import ChronosConfig
        from chronos.chronos_bolt import ChronosBoltModelForForecasting
        from transformers import T5Config, T5ForConditionalGeneration
    common: dict[str, Any] = {
        "d_model": size["d_model"],
        "d_kv": size["d_kv"],
        "d_ff": size["d_ff"],
        "num_layers": size["layers"],
        "num_decoder_layers": size["layers"],
        "num_heads": size["heads"],
        "dropout_rate": 0.0,
        "feed_forward_proj": "relu",
        "pad_token_id": 0,  # nosec B105
        "eos_token_id": 1,  # nosec B105
        "decoder_start_token_id": 0,  # nosec B105
        "initializer_factor": 0.05 if options.family == "t5" else 1.0,
    }
    if options.family == "bolt":
        config = T5Config(vocab_size=2, **common)
        config.chronos_config = {
            "context_length": options.context_length,
            "prediction_length": BLOCK_LENGTH,
            "input_patch_size": BLOCK_PATCH,
            "input_patch_stride": BLOCK_PATCH,
            "quantiles": BOLT_LEVELS,
            "use_reg_token": True,  # nosec B105
        }
        config.chronos_pipeline_class = "ChronosBoltPipeline"
        return ChronosBoltModelForForecasting(config), None
    config = T5Config(vocab_size=size["tokens"], tie_word_embeddings=False, **common)
    config.chronos_config = {
        "tokenizer_class": "MeanScaleUniformBins",
        "tokenizer_kwargs": {"low_limit": -TOKEN_LIMIT, "high_limit": TOKEN_LIMIT},
        "context_length": options.context_length,
        "prediction_length": options.prediction_length,
        "n_tokens": size["tokens"],
        "n_special_tokens": 2,
        "pad_token_id": 0,  # nosec B105
        "eos_token_id": 1,  # nosec B105
        "use_eos_token": True,  # nosec B105
        "model_type": "seq2seq",
        "num_samples": 256,
        "temperature": 1.0,
        "top_k": size["tokens"],
        "top_p": 1.0,
    }
    config.chronos_pipeline_class = "ChronosPipeline"
    return T5ForConditionalGeneration(config), ChronosConfig(**config.chronos_config).create_tokenizer()


def _chronos2(options: TrainOptions, size: dict[str, int]) -> Any:
    """Return an untrained Chronos-2 of a size; its context is standardised, group attention sees one series."""
    from forex_assets.forecasting.chronos.checkpoint import quiet

    with quiet():
        from chronos.chronos2 import Chronos2Model
        from chronos.chronos2.config import Chronos2CoreConfig
    config = Chronos2CoreConfig(
        d_model=size["d_model"],
        d_kv=size["d_kv"],
        d_ff=size["d_ff"],
        num_layers=size["layers"],
        num_heads=size["heads"],
        dropout_rate=0.0,
        chronos_config={
            "context_length": options.context_length,
            "output_patch_size": BLOCK_PATCH,
            "input_patch_size": BLOCK_PATCH,
            "input_patch_stride": BLOCK_PATCH,
            "quantiles": CHRONOS2_LEVELS,
            "use_reg_token": True,  # nosec B105
            "use_arcsinh": True,
            "max_output_patches": 4,
        },
        chronos_pipeline_class="Chronos2Pipeline",
        architectures=["Chronos2Model"],
    )
    return Chronos2Model(config)


def _load_state(folder: Path, signature: str, learner: _Learner) -> dict[str, Any]:
    import pickle  # nosec B403

    import torch

    path = folder / "state.pt"
    if not path.exists():
        return {
            "step": 0,
            "seconds": 0.0,
            "best": np.inf,
            "last": np.nan,
            "first": np.nan,
            "waited": 0,
            "stopped": "",
            "weights": {},
        }
    try:
        body: dict[str, Any] = torch.load(path, weights_only=True)
        if body["signature"] == signature:
            learner.restore(body["model"])
            learner.optimiser.load_state_dict(body["optimiser"])
            return dict(body["state"])
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"The unfinished training in {folder} cannot be read: {type(error).__name__}.",
            remedy="start it again with --restart.",
        ) from error
    raise ConfigError(
        f"{folder} holds an unfinished training of other options or data.",
        remedy="repeat it with its options to go on, name another --out, or forget it with --restart.",
    )


def _save_state(folder: Path, signature: str, state: dict[str, Any], learner: _Learner) -> None:
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    body = {
        "signature": signature,
        "state": state,
        "model": learner.weights(),
        "optimiser": learner.optimiser.state_dict(),
    }
    with (folder / "state.tmp").open("wb") as handle:
        torch.save(body, handle)
        handle.flush()
        os.fsync(handle.fileno())
    (folder / "state.tmp").replace(folder / "state.pt")


def _card(
    data: TrainingData, options: TrainOptions, cut: dt.date, state: dict[str, Any], stopped: str, learner: _Learner
) -> Card:
    from importlib.metadata import version

    return Card(
        family=options.family,
        data_through=data.through,
        trained_through=cut,
        data_hash=data.hash,
        series={item.name: len(item.log_value) - 1 for item in data.series},
        first_day=data.first,
        seed=options.seed,
        steps=int(state["step"]),
        seconds=float(state["seconds"]),
        stopped_by=stopped,
        validation_loss=float(state["best"]),
        first_validation_loss=float(state["first"]),
        options={name: value for name, value in asdict(options).items() if name not in ("seed", "family")},
        versions={name: version(name) for name in ("torch", "transformers", "chronos-forecasting")},
        parameters=sum(int(weight.numel()) for weight in learner.model.parameters()),
    )


def _publish(learner: _Learner, card: Card, out: Path, state_dir: Path) -> None:
    """Write the folder beside its place and move it there whole."""
    from forex_assets.forecasting.chronos.checkpoint import quiet

    partial = state_dir / "finished"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    with quiet():
        learner.model.save_pretrained(partial)
    card.write(partial)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(out)
    shutil.rmtree(state_dir)
