"""What a search may propose: points of a grid, random draws, or a typed space, always parameters the model has (K20).

``classic`` is A09: 3 context lengths × 3 sample counts × 3 temperatures for a sampling model, 27 points.
``classic-per-horizon`` has the context lengths of SPEC 2.5; ``random`` draws 20 of its 27 points. ``adaptive`` derives
a space from the parameters each model declares. How many samples are drawn only sets Monte-Carlo noise, so an
adaptive search never ranks it, nor temperature, which is a dial of width that calibration has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from forex_assets.errors import ValidationError
from forex_assets.forecasting.contract import Capabilities, Parameter
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.lifecycle.canonical import digest

CLASSIC_MODEL = "chronos_t5"
CLASSIC_CONTEXT = (90, 180, 365)
CLASSIC_CONTEXT_BY_HORIZON: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {7: (90, 180, 270), 15: (90, 180, 365), 30: (180, 365, 540), 90: (365, 540, 730)}
)
CLASSIC_SAMPLES = (50, 100, 200)
CLASSIC_TEMPERATURE = (0.8, 1.0, 1.2)
CLASSIC_RANDOM_DRAWS = 20
#: Parameters whose effect on a score is noise or arithmetic, or which calibration covers; never searched adaptively.
NOT_RANKED = ("num_samples", "samples", "temperature", "top_k", "top_p", "precision", "checkpoint", "engine")
_LOG_SCALE_FROM = 100.0


@dataclass(frozen=True)
class Dimension:
    """One searched parameter: named choices, or a range (whole numbers, or on a logarithmic scale)."""

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    whole: bool = False
    log: bool = False

    def draw(self, rng: np.random.Generator) -> Any:
        """Return a value drawn at random."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.log:
            value = float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        else:
            value = float(rng.uniform(self.low, self.high))
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Space:
    """Models and what of each is searched; a finite space lists its points.

    Attributes
    ----------
    engine:
        Name of the engine it is for.
    models:
        Model → parameter → dimension.
    points:
        Every point of a finite space, in order; empty where the space is continuous.
    """

    engine: str
    models: Mapping[str, Mapping[str, Dimension]]
    points: tuple[ModelChoice, ...] = field(default=())

    @property
    def hash(self) -> str:
        """Hash of what may be proposed."""
        body = {
            model: {name: repr(dimension) for name, dimension in dimensions.items()}
            for model, dimensions in self.models.items()
        }
        return digest({"engine": self.engine, "models": body, "points": [key_of(point) for point in self.points]})

    def draws(self, count: int, seed: int) -> list[ModelChoice]:
        """Return random points: of a finite space without repeating, of a continuous one the defaults first."""
        rng = np.random.default_rng(seed)
        if self.points:
            order = rng.permutation(len(self.points))[: min(count, len(self.points))]
            return [self.points[int(i)] for i in order]
        names = list(self.models)
        out = [ModelChoice(name) for name in names][:count]
        while len(out) < count:
            name = names[int(rng.integers(len(names)))]
            drawn = {key: dimension.draw(rng) for key, dimension in self.models[name].items()}
            out.append(ModelChoice(name, MappingProxyType(drawn)))
        return out


def space_of(engine: str, *, horizon_days: int, models: Sequence[str] = ()) -> Space:
    """Return the space of an engine for a horizon.

    Parameters
    ----------
    engine:
        ``classic``, ``classic-per-horizon``, ``random`` or ``adaptive``.
    horizon_days:
        Tenor in calendar days.
    models:
        Models an adaptive search may propose.

    Raises
    ------
    ValidationError
        When the engine is unknown, or a model is not registered.
    """
    makers: Mapping[str, Callable[[], Space]] = {
        "classic": lambda: _classic("classic", CLASSIC_CONTEXT),
        "classic-per-horizon": lambda: _classic("classic-per-horizon", _context_of(horizon_days)),
        "random": lambda: _classic("random", _context_of(horizon_days)),
        "adaptive": lambda: Space(
            "adaptive", MappingProxyType({name: dimensions_of(get_model(name).capabilities) for name in models})
        ),
    }
    if engine not in makers:
        raise ValidationError(
            f"Search engine {engine!r} is not one of {', '.join(makers)}.", remedy="use one of those."
        )
    space = makers[engine]()
    for point in space.points or [ModelChoice(name) for name in space.models]:
        resolve_parameters(get_model(point.model), point.parameters)
    return space


def dimensions_of(capabilities: Capabilities) -> Mapping[str, Dimension]:
    """Return what of a model's declared parameters is searched."""
    return MappingProxyType(
        {
            name: _dimension(rule)
            for name, rule in capabilities.parameters.items()
            if name not in NOT_RANKED and not rule.text and (rule.choices or None not in (rule.low, rule.high))
        }
    )


def key_of(choice: ModelChoice) -> str:
    """Return a text that names a point: model and the values given."""
    values = ",".join(f"{name}={value!r}" for name, value in sorted(choice.parameters.items()))
    return f"{choice.model}({values})"


def _dimension(rule: Parameter) -> Dimension:
    if rule.choices:
        return Dimension(choices=rule.choices)
    low, high = float(rule.low or 0.0), float(rule.high or 0.0)
    return Dimension(low=low, high=high, whole=rule.whole, log=low > 0 and high / low >= _LOG_SCALE_FROM)


def _context_of(horizon_days: int) -> tuple[int, ...]:
    nearest = min(CLASSIC_CONTEXT_BY_HORIZON, key=lambda days: abs(days - horizon_days))
    return CLASSIC_CONTEXT_BY_HORIZON[nearest]


def _classic(engine: str, contexts: Sequence[int]) -> Space:
    points = tuple(
        ModelChoice(
            CLASSIC_MODEL,
            MappingProxyType({"context_length": context, "num_samples": samples, "temperature": temperature}),
        )
        for context, samples, temperature in itertools.product(contexts, CLASSIC_SAMPLES, CLASSIC_TEMPERATURE)
    )
    dimensions = MappingProxyType(
        {
            "context_length": Dimension(choices=tuple(contexts)),
            "num_samples": Dimension(choices=CLASSIC_SAMPLES),
            "temperature": Dimension(choices=CLASSIC_TEMPERATURE),
        }
    )
    return Space(engine, MappingProxyType({CLASSIC_MODEL: dimensions}), points)
