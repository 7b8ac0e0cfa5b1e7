"""Run several models on the same origins, each base once, with calibrated factors where a model has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forex_assets.errors import DataError
from forex_assets.forecasting.contract import (
    EnsembleModel,
    Ints,
    Model,
    OriginRandom,
    Origins,
    PriceHistory,
    QuantilePaths,
    check_paths,
)
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters


@dataclass
class Predictor:
    """Predictions of models for one set of origins and steps; what one needs of another is computed once."""

    history: PriceHistory
    origins: Origins
    steps: Ints
    seed: int = 0

    def __post_init__(self) -> None:
        self._plain: dict[str, QuantilePaths] = {}

    def paths(self, choice: ModelChoice) -> QuantilePaths:
        """Return the uncalibrated paths of a model, shape (m, k) and (m, k, 13)."""
        if choice.parameters:
            return self._run(choice)
        if choice.model not in self._plain:
            self._plain[choice.model] = self._run(choice)
        return self._plain[choice.model]

    def _run(self, choice: ModelChoice) -> QuantilePaths:
        model = get_model(choice.model)
        shape = (int(self.steps.shape[0]), int(self.steps.shape[1]))
        if model.capabilities.bases:
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
    return max(_needed(get_model(choice.model)) for choice in choices)


def _needed(model: Model) -> int:
    return max([model.capabilities.min_history, *(_needed(get_model(base)) for base in model.capabilities.bases)])
