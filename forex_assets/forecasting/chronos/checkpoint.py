"""Finding, loading and describing checkpoints. The family is read from the loaded pipeline, never from a name.

A location is a local folder in the standard format or, where the network may be used, an id of the hub. The location
comes from a model's parameter, else from :func:`using`, else from the settings (``FOREX_CHRONOS_PATH``, or
``chronos.checkpoint`` of platform.yaml). Several may be given, and a folder may hold several: a model takes the first
of its family.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import functools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from forex_assets.arrays import Dates
from forex_assets.errors import ConfigError, DataError, ForexError, SourceError, ValidationError
from forex_assets.forecasting.chronos.card import Card, weights_hash

Family = Literal["t5", "bolt", "chronos2"]
Precision = Literal["float64", "float32", "bfloat16"]
MODEL_OF: dict[str, str] = {"t5": "chronos_t5", "bolt": "chronos_bolt", "chronos2": "chronos_2"}
_FAMILY_OF = {"ChronosPipeline": "t5", "ChronosBoltPipeline": "bolt", "Chronos2Pipeline": "chronos2"}
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2}
_MEMORY_FACTOR = 2.0
"""Loading holds the file and the model at once."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes
    ----------
    location:
        Folder or hub id it came from.
    family:
        ``t5`` samples tokens; ``bolt`` and ``chronos2`` answer quantiles.
    pipeline:
        The loaded ``BaseChronosPipeline``.
    card:
        Of our own training, else None.
    weights_hash:
        Of a local folder; empty for the hub.
    """

    location: str
    family: Family
    pipeline: Any
    card: Card | None
    weights_hash: str

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(int(weight.numel()) for weight in self.pipeline.inner_model.parameters())

    def describe(self) -> dict[str, Any]:
        """Return what ``forex chronos info`` shows."""
        pipeline = self.pipeline
        body: dict[str, Any] = {
            "location": self.location,
            "family": self.family,
            "model": MODEL_OF[self.family],
            "pipeline_class": type(pipeline).__name__,
            "parameters": self.parameters,
            "context_length": int(pipeline.model_context_length),
            "prediction_length": int(pipeline.model_prediction_length),
            "weights_hash": self.weights_hash,
            "quantile_levels": [] if self.family == "t5" else [float(level) for level in pipeline.quantiles],
            "tokens": int(pipeline.model.config.n_tokens) if self.family == "t5" else None,
            "training_cutoff": str(self.card.data_through) if self.card else None,
            "trained_on": len(self.card.series) if self.card else None,
            "data_hash": self.card.data_hash if self.card else None,
            "validation_loss": self.card.validation_loss if self.card else None,
        }
        return body

    def refuse_before_cutoff(self, as_of: Dates, declared: str = "") -> None:
        """Refuse origins that the training data reach past, and checkpoints that do not say what they learned from.

        Parameters
        ----------
        as_of:
            Origins.
        declared:
            Training cutoff (YYYY-MM-DD) of a checkpoint without a card, as its user states it.

        Raises
        ------
        DataError
            When the cutoff is unknown, or later than an origin.
        ValidationError
            When ``declared`` is not a day.
        """
        if self.card is not None:
            cutoff = self.card.data_through
        elif declared:
            try:
                cutoff = dt.date.fromisoformat(declared)
            except ValueError as error:
                raise ValidationError(
                    f"training_cutoff {declared!r} is not a day YYYY-MM-DD.", remedy="write for example 2024-02-29."
                ) from error
        else:
            raise DataError(
                f"Checkpoint {self.location} does not say until when its training data reach; its forecasts of the "
                "past could know the future.",
                remedy="state it: parameter training_cutoff, or chronos.training_cutoff in platform.yaml (a day).",
            )
        early = as_of[as_of < np.datetime64(cutoff, "D")]
        if len(early):
            raise DataError(
                f"Checkpoint {self.location} learned from data through {cutoff}; {len(early)} origin(s), the first on "
                f"{early.min()}, lie before that.",
                remedy=f"choose origins from {cutoff} on, or train one with --through {early.min()} or earlier.",
            )


_current: contextvars.ContextVar[tuple[str, ...] | None] = contextvars.ContextVar("chronos_checkpoints", default=None)


@contextlib.contextmanager
def using(*locations: str | Path) -> Iterator[None]:
    """Put checkpoints in force for a block of code."""
    token = _current.set(tuple(str(item) for item in locations))
    try:
        yield
    finally:
        _current.reset(token)


_loaded: contextvars.ContextVar[Checkpoint | None] = contextvars.ContextVar("chronos_loaded", default=None)


@contextlib.contextmanager
def using_loaded(checkpoint: Checkpoint) -> Iterator[None]:
    """Put a checkpoint already in memory in force for a block of code, for example an optimised copy."""
    token = _loaded.set(checkpoint)
    try:
        yield
    finally:
        _loaded.reset(token)


def configured() -> tuple[str, ...]:
    """Return the locations in force: those of :func:`using`, else those of the settings."""
    held = _current.get()
    if held is not None:
        return held
    from forex_assets.settings import load_settings

    return load_settings().platform.chronos.locations


def declared_cutoff() -> str:
    """Return the training cutoff the settings state for checkpoints without a card, or an empty text."""
    from forex_assets.settings import load_settings

    cutoff = load_settings().platform.chronos.training_cutoff
    return str(cutoff) if cutoff else ""


def resolve(family: Family, given: str = "", precision: Precision = "float64") -> Checkpoint:
    """Return the checkpoint a model of a family uses.

    Raises
    ------
    ConfigError
        When none is configured, or none of the configured ones is of the family.
    ValidationError
        When the one given is of another family.
    """
    held = _loaded.get()
    if held is not None and held.family == family:
        return held
    if given:
        found = [load(item, precision) for item in expand([given])]
    else:
        locations = expand(configured())
        if not locations:
            raise ConfigError(
                f"Model '{MODEL_OF[family]}' needs a checkpoint and none is configured.",
                remedy="train one (forex chronos train) and set FOREX_CHRONOS_PATH to its folder.",
            )
        found = [load(item, precision) for item in locations]
    for item in found:
        if item.family == family:
            return item
    seen = ", ".join(f"{item.location} is {item.family}" for item in found)
    kind = ValidationError if given else ConfigError
    raise kind(
        f"Model '{MODEL_OF[family]}' needs a checkpoint of family '{family}', read from the loaded pipeline; {seen}.",
        remedy=f"use model '{MODEL_OF[found[0].family]}' for it, or name a checkpoint of family '{family}'.",
    )


def expand(locations: Sequence[str]) -> list[str]:
    """Return single checkpoints: a folder without config.json stands for the checkpoints in it, in order of name."""
    out: list[str] = []
    for item in locations:
        folder = Path(item).expanduser()
        if folder.is_dir() and not (folder / "config.json").is_file():
            inner = sorted(path.parent for path in folder.glob("*/config.json"))
            if not inner:
                raise ConfigError(
                    f"{folder} holds no checkpoint: neither config.json nor a folder that has one.",
                    remedy="name the folder forex chronos train wrote, or one in the standard Chronos format.",
                )
            out += [str(path) for path in inner]
        else:
            out.append(str(folder) if folder.exists() else item)
    return out


def load(location: str | Path, precision: Precision = "float64") -> Checkpoint:
    """Load a checkpoint; the same folder is loaded once while its files stay as they are.

    Raises
    ------
    ConfigError
        When the location is neither a folder nor an id the network may be asked for.
    DataError
        When the folder is corrupt, foreign, incomplete, or larger than the memory there is.
    SourceError
        When the hub cannot be reached or refuses.
    """
    text = str(location)
    folder = Path(text).expanduser()
    if folder.is_dir():
        stamp = tuple(sorted((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir()))
        return _load_folder(str(folder.resolve()), precision, stamp)
    if not _HUB_ID.match(text) or folder.exists():
        raise ConfigError(
            f"Checkpoint {text!r} is neither a folder nor an id of the hub (owner/name).",
            remedy="name an existing folder, for example one that forex chronos train wrote.",
        )
    if os.environ.get("FOREX_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on"):
        raise ConfigError(
            f"Checkpoint {text!r} is no local folder and the network is off (FOREX_OFFLINE).",
            remedy="download it elsewhere and name its folder, or train one (forex chronos train).",
        )
    return _load_hub(text, precision)


@functools.lru_cache(maxsize=8)
def _load_folder(folder: str, precision: Precision, stamp: tuple[Any, ...]) -> Checkpoint:
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise DataError(
            f"{folder} is no checkpoint: config.json is missing.",
            remedy="name the folder that holds config.json and model.safetensors.",
        )
    _check_memory(path, precision)
    pipeline = _from_pretrained(folder, precision)
    _check_weights(path, pipeline)
    return Checkpoint(folder, _family(folder, pipeline), pipeline, Card.read(path), weights_hash(path))


@functools.lru_cache(maxsize=4)
def _load_hub(name: str, precision: Precision) -> Checkpoint:
    pipeline = _from_pretrained(name, precision)
    return Checkpoint(name, _family(name, pipeline), pipeline, None, "")


def _family(location: str, pipeline: Any) -> Family:
    for kind in type(pipeline).__mro__:
        if kind.__name__ in _FAMILY_OF:
            family: Any = _FAMILY_OF[kind.__name__]
            return family  # type: ignore[no-any-return]
    raise DataError(
        f"{location} loads as {type(pipeline).__name__}, a family this platform does not know.",
        remedy=f"use one of the families {', '.join(_FAMILY_OF)}.",
    )


def _from_pretrained(location: str, precision: Precision) -> Any:
    import torch
    from safetensors import SafetensorError

    with quiet():
        from chronos import BaseChronosPipeline

        try:
            pipeline = BaseChronosPipeline.from_pretrained(location, dtype="float32")
        except ForexError:
            raise
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise out_of_memory(f"loading {location}", error) from error
        except (
            OSError, ValueError, TypeError, KeyError, AttributeError, AssertionError, IndexError, RuntimeError,
            SafetensorError,
        ) as error:  # fmt: skip
            if not Path(location).is_dir():
                raise SourceError(
                    f"The hub did not give checkpoint {location}: {_first_line(error)}.",
                    remedy="check the id and the network, or name a local folder (FOREX_CHRONOS_PATH).",
                ) from error
            raise DataError(
                f"Checkpoint {location} cannot be loaded: {type(error).__name__}: {_first_line(error)}.",
                remedy="it is corrupt or no Chronos checkpoint; train one (forex chronos train) or fetch it again.",
            ) from error
    model = pipeline.inner_model.to({"float64": torch.float64, "float32": torch.float32}.get(precision, torch.bfloat16))
    model.eval()
    return pipeline


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries' progress bars and advice off the terminal while a checkpoint is loaded."""
    import logging

    held = {name: logging.getLogger(name).level for name in ("transformers", "chronos", "huggingface_hub")}
    for name in held:
        logging.getLogger(name).setLevel(logging.ERROR)
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        for name, level in held.items():
            logging.getLogger(name).setLevel(level)


def _check_memory(folder: Path, precision: Precision) -> None:
    import psutil

    size = sum(path.stat().st_size for path in [*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    needed = int(size / 4 * _BYTES[precision] * _MEMORY_FACTOR)
    available = int(psutil.virtual_memory().available)
    if needed > available:
        raise DataError(
            f"Checkpoint {folder} needs {needed / 1e6:,.0f} MB in {precision}; {available / 1e6:,.0f} MB are free.",
            remedy="free memory, use precision float32, or a smaller checkpoint.",
        )


def _check_weights(folder: Path, pipeline: Any) -> None:
    """Refuse weights that lack a part: transformers would fill it with random numbers and only warn."""
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return
    held: set[str] = set()
    for path in files:
        with safe_open(str(path), framework="pt") as handle:
            held |= set(handle.keys())
    missing = sorted({name for name, _ in pipeline.inner_model.named_parameters()} - held)
    tied = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "shared.weight", "lm_head.weight"}
    absent = [name for name in missing if not (name in tied and held & tied)]
    if absent:
        raise DataError(
            f"Checkpoint {folder} lacks {len(absent)} weights, the first '{absent[0]}'.",
            remedy="its weights belong to another model or are incomplete; fetch or train it again.",
        )


def out_of_memory(doing: str, error: BaseException) -> DataError:
    """Return the typed error for memory that ran out."""
    return DataError(
        f"Memory ran out while {doing}: {_first_line(error)}.",
        remedy="use fewer samples, a shorter context, precision float32, or a smaller checkpoint.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
