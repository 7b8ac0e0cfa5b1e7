"""Which configuration a forecast uses: the single place that answers, by pair, horizon and as_of (spec J01, L04)."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from forex_assets.errors import ConfigError
from forex_assets.provenance import content_hash
from forex_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class ActiveConfig:
    """A resolved configuration; ``config_hash`` goes into every row a run writes.

    Parameters
    ----------
    pair, horizon:
        The subject, for example ``usdclp`` and ``7d``.
    model:
        Name of the deployed model in the registry.
    models:
        Every model computed beside it, the random walk always among them.
    subject_hash:
        Hash of the pair's target, sources, series facts, quality limits and model settings.
    origin:
        Where the configuration comes from; ``settings`` until a search has deployed one.
    """

    pair: str
    horizon: str
    model: str
    models: tuple[str, ...]
    subject_hash: str
    origin: str

    @property
    def config_hash(self) -> str:
        """Return the content hash of this configuration."""
        return content_hash(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration and its hash as plain values."""
        return {**asdict(self), "models": list(self.models), "config_hash": self.config_hash}


def resolve(settings: Settings, pair_id: str, horizon: str, as_of: dt.date | None = None) -> ActiveConfig:
    """Return the configuration that was current for a pair and horizon at ``as_of``.

    The settings are the only origin so far, and they do not change with ``as_of``: they were fixed before any search.

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
    return ActiveConfig(
        pair=pair.id,
        horizon=horizon,
        model=settings.active_model(pair.id),
        models=tuple(settings.platform.forecast.models),
        subject_hash=settings.config_hash(pair.id),
        origin="settings",
    )
