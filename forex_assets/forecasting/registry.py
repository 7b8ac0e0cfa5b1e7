"""Names of models and where they come from: this table, and the entry points group ``forex_assets.models``."""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from forex_assets.errors import ConfigError, ValidationError
from forex_assets.forecasting.contract import Model

ENTRY_POINT_GROUP = "forex_assets.models"
YARDSTICK = "random_walk"

_BUILTIN: dict[str, str] = {
    "random_walk": "forex_assets.forecasting.models.random_walk:RandomWalk",
    "rw_drift": "forex_assets.forecasting.models.rw_drift:RandomWalkDrift",
    "rw_ewma": "forex_assets.forecasting.models.rw_ewma:RandomWalkEwma",
    "rw_aci": "forex_assets.forecasting.models.rw_aci:RandomWalkAci",
    "rw_blend": "forex_assets.forecasting.models.rw_blend:RandomWalkBlend",
    "rw_empirical": "forex_assets.forecasting.models.rw_empirical:RandomWalkEmpirical",
    "champion_zero": "forex_assets.forecasting.models.champion_zero:ChampionZero",
    "garch_t": "forex_assets.forecasting.models.garch:GarchT",
    "gjr_t": "forex_assets.forecasting.models.garch:GjrT",
    "egarch_t": "forex_assets.forecasting.models.garch:EgarchT",
    "loghar": "forex_assets.forecasting.models.loghar:LogHar",
    "blend": "forex_assets.forecasting.models.blend:Blend",
    "ensemble": "forex_assets.forecasting.models.ensemble:Ensemble",
    "theta": "forex_assets.forecasting.models.theta:Theta",
    "ets": "forex_assets.forecasting.models.ets:Ets",
    "auto_arima": "forex_assets.forecasting.models.arima:AutoArima",
    "var": "forex_assets.forecasting.models.var:Var",
    "gbm_quantile": "forex_assets.forecasting.models.gbm:GbmQuantile",
    "classic_ensemble": "forex_assets.forecasting.models.classic_ensemble:ClassicEnsemble",
    "chronos_t5": "forex_assets.forecasting.models.chronos:ChronosT5",
    "chronos_bolt": "forex_assets.forecasting.models.chronos:ChronosBolt",
    "chronos_2": "forex_assets.forecasting.models.chronos:Chronos2",
}


@dataclass(frozen=True)
class ModelChoice:
    """A model with parameters, under the name its rows carry (by default the model's own)."""

    model: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    label: str | None = None

    @property
    def name(self) -> str:
        """Name in the ``model`` column."""
        return self.label or self.model


def model_names() -> list[str]:
    """Return every model that can be used: the built-in ones, then those of installed packages."""
    return [*_BUILTIN, *(name for name in sorted(_plugins()) if name not in _BUILTIN)]


def bulk_model_names() -> list[str]:
    """Return the models that pass thousands of origins at once and need nothing but prices."""
    return [
        name for name in model_names() if (capabilities := get_model(name).capabilities).bulk and not capabilities.needs
    ]


@functools.cache
def get_model(name: str) -> Model:
    """Return a model by name.

    Raises
    ------
    ValidationError
        When no such model is registered.
    ConfigError
        When a registered model cannot be imported or is not a model.
    """
    address = _BUILTIN.get(name) or _plugins().get(name)
    if address is None:
        close = difflib.get_close_matches(str(name), model_names(), n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ValidationError(
            f"Model {name!r} is not registered; registered: {', '.join(model_names())}.",
            remedy=f"{hint}use one of those, or register it (docs/add-a-model.md).",
        )
    module_name, _, attribute = address.partition(":")
    try:
        made = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"Model '{name}' is registered as '{address}', which cannot be imported: {error}.",
            remedy="correct the entry point, or install what the module needs.",
        ) from error
    model = made() if isinstance(made, type) else made
    if not isinstance(model, Model):
        raise ConfigError(
            f"Model '{name}' at '{address}' lacks name, capabilities or predict.",
            remedy="implement forex_assets.forecasting.contract.Model (docs/add-a-model.md).",
        )
    if model.name != name:
        raise ConfigError(
            f"The model registered as '{name}' calls itself '{model.name}'; rows would carry two names.",
            remedy="give both the same name.",
        )
    return model


@functools.cache
def _plugins() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def resolve_parameters(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of a model: the given values, checked, and the defaults of the rest.

    Raises
    ------
    ValidationError
        When a parameter does not exist for this model or its value breaks the rule.
    """
    rules = model.capabilities.parameters
    for name in given:
        if name not in rules:
            known = ", ".join(rules) or "none"
            raise ValidationError(
                f"Model '{model.name}' has no parameter '{name}'; it has: {known}.",
                remedy="remove it, or use a model that has it (parameters are typed by capability).",
            )
    return {name: rule.check(model.name, name, given.get(name, rule.default)) for name, rule in rules.items()}


def choices(models: Iterable[str | ModelChoice]) -> list[ModelChoice]:
    """Return model choices in order, checked.

    Raises
    ------
    ValidationError
        When the list is empty, a name repeats, a model is unknown, or a parameter is wrong.
    """
    chosen = [item if isinstance(item, ModelChoice) else ModelChoice(item) for item in models]
    if not chosen:
        raise ValidationError("No model was asked for.", remedy=f"name at least one of: {', '.join(model_names())}.")
    names = [choice.name for choice in chosen]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValidationError(
            f"Models {repeated} are asked for more than once; rows are unique by model name.",
            remedy="drop the repeat, or give a variant its own label.",
        )
    for choice in chosen:
        resolve_parameters(get_model(choice.model), choice.parameters)
    return chosen
