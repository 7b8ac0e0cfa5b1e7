"""Run several models on the same origins, each base once; what composed models made theirs of is kept beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError
from forex_assets.forecasting.contract import EnsembleModel, Model, OriginRandom, QuantilePaths, check_paths
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters


@dataclass(frozen=True)
class Composition:
    """Which members carry a composed forecast at each origin, and why others do not.

    Attributes
    ----------
    members:
        Models in the mean where they may be.
    weights:
        Their shares in the forecast of the target date, shape (m, k); each row adds up to 1.
    degraded:
        True where a member that should carry weight failed, shape (m,).
    left_out:
        Position of an origin → model or driver → why it is left out there; worked out when asked for.
    """

    members: tuple[str, ...]
    weights: Floats
    degraded: npt.NDArray[np.bool_]
    left_out: Callable[[int], Mapping[str, str]]


@runtime_checkable
class ComposedModel(Model, Protocol):
    """A model made of others whose shares differ from origin to origin."""

    def compose(self, predictor: Predictor, params: Mapping[str, Any]) -> tuple[QuantilePaths, Composition]:
        """Return the paths for the predictor's origins and steps, and what they are made of."""
        ...


@dataclass
class Predictor:
    """Predictions of models for one set of origins and steps; what one needs of another is computed once."""

    history: PriceHistory
    origins: Origins
    steps: Ints
    seed: int = 0

    def __post_init__(self) -> None:
        self._plain: dict[str, QuantilePaths] = {}
        self._made_of: dict[str, Composition | None] = {}
        self.compositions: dict[str, Composition] = {}
        """Name of a model choice → what its forecasts are made of, for composed models that have run."""

    def paths(self, choice: ModelChoice) -> QuantilePaths:
        """Return the uncalibrated paths of a model, shape (m, k) and (m, k, 13)."""
        if choice.parameters:
            return self._run(choice)
        if choice.model not in self._plain:
            self._plain[choice.model] = self._run(choice)
            self._made_of[choice.model] = self.compositions.get(choice.name)
        made_of = self._made_of[choice.model]
        if made_of is not None:
            self.compositions[choice.name] = made_of
        return self._plain[choice.model]

    def subset(self, positions: Ints) -> Predictor:
        """Return a predictor for some of the origins; it shares nothing with this one."""
        return Predictor(self.history, self.origins.subset(positions), self.steps[positions], self.seed)

    def _run(self, choice: ModelChoice) -> QuantilePaths:
        model = get_model(choice.model)
        shape = (int(self.steps.shape[0]), int(self.steps.shape[1]))
        longest, most = int(self.steps.max(initial=0)), model.capabilities.max_steps
        if longest > most:
            raise DataError(
                f"Model '{choice.model}' was asked for {longest} observations ahead of {self.origins.pair} "
                f"({self.origins.horizon_days}d); it is made for {most}.",
                remedy="use a shorter horizon, or a model with a higher limit (max_steps of its capabilities).",
            )
        if isinstance(model, ComposedModel):
            paths, made_of = model.compose(self, resolve_parameters(model, choice.parameters))
            self.compositions[choice.name] = made_of
        elif model.capabilities.bases:
            paths = _ensemble(model).combine([self.paths(ModelChoice(base)) for base in model.capabilities.bases])
        else:
            rng = OriginRandom(self.origins.pair, self.origins.horizon_days, choice.model, self.seed)
            paths = model.predict(
                self.history, self.origins, self.steps, resolve_parameters(model, choice.parameters), rng
            )
        return check_paths(choice.model, paths, shape)


def _ensemble(model: Model) -> EnsembleModel:
    if not isinstance(model, EnsembleModel):
        raise DataError(
            f"Model '{model.name}' names bases {model.capabilities.bases} but cannot combine them.",
            remedy="implement combine (docs/add-a-model.md).",
        )
    return model


def min_history(choices: Sequence[ModelChoice]) -> int:
    """Return the known values an origin needs for all of the models."""
    return max(needed_history(get_model(choice.model)) for choice in choices)


def needed_history(model: Model) -> int:
    """Return the known values an origin needs for a model and its bases."""
    bases = model.capabilities.bases
    return max([model.capabilities.min_history, *(needed_history(get_model(base)) for base in bases)])
