"""The one contract of all models: what a model declares, what it is asked, and the quantile paths it answers.

A :class:`Model` maps many origins at once to quantiles in price units; one origin gives exactly what it gives among
thousands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from forex_assets.arrays import Floats, Ints, as_day
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.origins import MIN_VALUES, Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.levels import QUANTILE_LEVELS


@dataclass(frozen=True)
class QuantilePaths:
    """Predictive distributions in price units.

    Attributes
    ----------
    mean:
        Shape (m, k), quote per base.
    quantiles:
        Shape (m, k, 13), strictly increasing along the last axis, positive; levels of :mod:`forex_assets.levels`.
    """

    mean: Floats
    quantiles: Floats


@dataclass(frozen=True)
class Parameter:
    """One parameter a model understands: its default and its rule (named choices, a closed range, or a text)."""

    default: Any
    doc: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    text: bool = False

    def check(self, model: str, name: str, value: Any) -> Any:
        """Return the value, or raise ValidationError naming value, rule and remedy."""
        if self.choices:
            if not any(type(value) is type(choice) and value == choice for choice in self.choices):
                raise ValidationError(
                    f"Parameter '{name}' of model '{model}' is {value!r}; allowed: {list(self.choices)}.",
                    remedy="use one of the allowed values.",
                )
            return value
        if self.text:
            if not isinstance(value, str):
                raise ValidationError(
                    f"Parameter '{name}' of model '{model}' is {value!r}; it must be a text.",
                    remedy=f"write it as a text; the default is {self.default!r}.",
                )
            return value
        kinds = (int, np.integer) if self.whole else (int, float, np.integer, np.floating)
        inside = (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and bool(np.isfinite(value))
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )
        if not inside:
            kind = "a whole number" if self.whole else "a number"
            raise ValidationError(
                f"Parameter '{name}' of model '{model}' is {value!r}; it must be {kind} in [{self.low}, {self.high}].",
                remedy=f"use a value in that range; the default is {self.default!r}.",
            )
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class Capabilities:
    """What a model is and which parameters it has.

    Attributes
    ----------
    family:
        ``parametric``, ``empirical``, ``ensemble``, ``sampling`` or ``quantile``.
    transform:
        What the model is shown: ``log_return`` for every model that works on changes.
    covariates:
        Series ids of drivers it uses besides the price.
    parameters:
        Name → rule. A parameter that is not here does not exist for this model.
    min_history:
        Known values an origin needs.
    bases:
        Models whose quantiles an ensemble combines.
    calibrated:
        True when the learned width factors are applied to its quantiles.
    bulk:
        True when thousands of origins pass at once. False for challengers that refit or run a network at every origin:
        their backtests take fewer origins.
    needs:
        What it cannot run without besides prices: ``checkpoint``.
    centre:
        ``last`` when its point forecast is the last value by construction: an ensemble puts it on the pair's carry
        where there is one. ``own``: it says itself where the centre is.
    max_steps:
        Observations ahead it may be asked for. Two years by default: no model was ever judged beyond one.
    """

    family: Literal["parametric", "empirical", "ensemble", "sampling", "quantile"]
    transform: Literal["log_return", "level"] = "log_return"
    covariates: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: MappingProxyType({}))
    min_history: int = MIN_VALUES
    bases: tuple[str, ...] = ()
    calibrated: bool = False
    bulk: bool = True
    needs: tuple[str, ...] = ()
    centre: Literal["last", "own"] = "own"
    max_steps: int = 520


@dataclass(frozen=True)
class OriginRandom:
    """Random generators of a sampling model: one per origin, so that a batch changes nothing.

    The seed of an origin derives from (pair, as_of, horizon, model) and the platform's seed.
    """

    pair: str
    horizon_days: int
    model: str
    seed: int = 0

    def seed_of(self, as_of: np.datetime64) -> int:
        """Return the 64-bit seed of one origin."""
        text = f"{self.seed}|{self.pair}|{as_day(as_of)}|{self.horizon_days}|{self.model}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def generator(self, as_of: np.datetime64) -> np.random.Generator:
        """Return a fresh generator for one origin."""
        return np.random.default_rng(self.seed_of(as_of))


@runtime_checkable
class Model(Protocol):
    """A forecasting model: many origins at once, quantiles in price units out."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the model is and can."""
        ...

    def predict(
        self,
        history: PriceHistory,
        origins: Origins,
        steps: Ints,
        params: Mapping[str, Any],
        rng: OriginRandom,
    ) -> QuantilePaths:
        """Predict every requested step of every origin.

        Parameters
        ----------
        history:
            The whole history; a model may look only at what ``origins`` says was known.
        origins:
            m origins.
        steps:
            Business days after each origin's last value, shape (m, k), each at least 1, in any order, repeats allowed.
        params:
            Every parameter of ``capabilities.parameters``, checked.
        rng:
            Seeds by origin, for models that sample.
        """
        ...


@runtime_checkable
class EnsembleModel(Model, Protocol):
    """A model that combines the quantiles of ``capabilities.bases``."""

    def combine(self, bases: Sequence[QuantilePaths]) -> QuantilePaths:
        """Return the combination of the bases' predictions for the same origins and steps."""
        ...


def check_paths(model: str, paths: QuantilePaths, shape: tuple[int, int]) -> QuantilePaths:
    """Return the paths, or raise DataError when shape, order, sign or finiteness of the quantiles is wrong."""
    wanted = (*shape, len(QUANTILE_LEVELS))
    if paths.mean.shape != shape or paths.quantiles.shape != wanted:
        raise DataError(
            f"Model '{model}' answered shapes {paths.mean.shape}, {paths.quantiles.shape}; due are {shape}, {wanted}.",
            remedy="return one mean and 13 quantiles for every origin and step asked for.",
        )
    q = paths.quantiles
    fine = np.isfinite(q).all() and np.isfinite(paths.mean).all() and (q[..., 0] > 0).all()
    if not (fine and (paths.mean > 0).all() and (q[..., 1:] > q[..., :-1]).all()):
        raise DataError(
            f"Model '{model}' answered quantiles that are not positive, finite and strictly increasing.",
            remedy="repair the model; map quantiles of the log return to prices by exp and keep them ordered.",
        )
    return paths
