"""Which configuration a forecast uses: the single place that answers, by pair, horizon and as_of (spec J01, L04)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from forex_assets.errors import ConfigError
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import ConfigVersion
from forex_assets.provenance import content_hash
from forex_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Variant:
    """A model with parameters under a name of its own, as a promoted version runs it."""

    label: str
    model: str
    parameters: Mapping[str, Any]
    version: str

    @classmethod
    def of(cls, version: ConfigVersion) -> Variant:
        """Return the variant a version stands for."""
        return cls(version.label, version.model, MappingProxyType(version.parameter_values), version.hash)


@dataclass(frozen=True, slots=True)
class ActiveConfig:
    """A resolved configuration; ``config_hash`` goes into every row a run writes.

    Parameters
    ----------
    pair, horizon:
        The subject, for example ``usdclp`` and ``7d``.
    model:
        Name the deployed model's rows carry: its name in the registry, or the label of a promoted version.
    models:
        Every model of the settings, computed beside it, the random walk always among them.
    subject_hash:
        Hash of the pair's target, sources, series facts, quality limits and model settings.
    origin:
        Where the configuration comes from: ``settings``, or the hash of the promoted version.
    deployed:
        The promoted version, or None when the settings' model is in use.
    shadows:
        Versions computed beside it to be compared: the one before it on probation, a staged one. They change no
        number of the deployed model and are not part of the hash.
    notes:
        What was damaged in the version store and how it was got around; empty when all is well.
    parameters:
        Of the settings' models, where they differ from the defaults; ``subject_hash`` covers them.
    """

    pair: str
    horizon: str
    model: str
    models: tuple[str, ...]
    subject_hash: str
    origin: str
    deployed: Variant | None = None
    shadows: tuple[Variant, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    @property
    def config_hash(self) -> str:
        """Return the content hash of this configuration."""
        return content_hash(self._content())

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The promoted version and its shadows: what runs besides the settings' models."""
        return (*([self.deployed] if self.deployed else []), *self.shadows)

    def _content(self) -> dict[str, Any]:
        names = ("pair", "horizon", "model", "models", "subject_hash", "origin")
        content: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.deployed:
            content["deployed"] = _plain(self.deployed)
        return content

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration and its hash as plain values."""
        return {**self._content(), "models": list(self.models), "config_hash": self.config_hash}


def resolve(
    settings: Settings,
    pair_id: str,
    horizon: str,
    as_of: dt.date | None = None,
    *,
    store: LifecycleStore | None = None,
) -> ActiveConfig:
    """Return the configuration that was current for a pair and horizon at ``as_of`` (None: the newest).

    The version store says what was promoted when; before the first promotion the settings' model is current.

    Raises
    ------
    ConfigError
        When the pair or the horizon is not configured.
    """
    pair = settings.pair(pair_id)
    if horizon not in settings.horizons:
        raise ConfigError(
            f"Horizon {horizon!r} is not configured; configured: {', '.join(settings.horizons)}.",
            remedy="use one of those, or add it to platform.yaml.",
        )
    store = store or LifecycleStore(settings.home)
    found = store.resolve(Subject.forecast(pair.id, horizon), as_of)
    deployed = Variant.of(found.version) if found.version else None
    return ActiveConfig(
        pair=pair.id,
        horizon=horizon,
        model=deployed.label if deployed else settings.active_model(pair.id),
        models=tuple(settings.platform.forecast.models),
        subject_hash=settings.config_hash(pair.id),
        origin=deployed.version if deployed else "settings",
        deployed=deployed,
        shadows=tuple(Variant.of(version) for version in found.shadows),
        notes=found.notes,
        parameters=settings.platform.forecast.parameters,
    )


def _plain(variant: Variant) -> dict[str, Any]:
    names = ("label", "model", "version")
    return {"parameters": dict(variant.parameters)} | {name: getattr(variant, name) for name in names}
