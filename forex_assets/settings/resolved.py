"""Everything the platform is configured with, resolved once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from forex_assets.errors import ConfigError
from forex_assets.provenance import content_hash
from forex_assets.settings.catalogue import PairSpec, SeriesSpec
from forex_assets.settings.deployment import DeploymentSettings
from forex_assets.settings.fields import PAIR_ID, Strict
from forex_assets.settings.optimization import OptimizationSettings
from forex_assets.settings.platform import PlatformSettings
from forex_assets.settings.profiles import ClassicProfile, RecommendedProfile


class Settings(Strict):
    """Everything the platform is configured with, resolved once."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, ignored_types=(cached_property,)
    )

    config_dir: Path
    home: Path
    store_root: str
    data_dir: Path | None
    offline: bool
    dry_run: bool = False
    platform: PlatformSettings
    deployment: DeploymentSettings
    optimization: OptimizationSettings
    recommended: RecommendedProfile
    classic: ClassicProfile
    series: dict[str, SeriesSpec]
    pairs: dict[str, PairSpec]

    @property
    def horizons(self) -> dict[str, int]:
        """Horizon name → calendar days, in growing order."""
        return self.platform.horizons

    def pair(self, pair_id: str) -> PairSpec:
        """Return a pair by id.

        Raises
        ------
        ConfigError
            When no such pair is configured.
        """
        try:
            return self.pairs[pair_id]
        except KeyError:
            if not PAIR_ID.match(pair_id):
                raise ConfigError(
                    f"Pair {pair_id!r} is no pair id: {PAIR_ID.pattern}.",
                    remedy=f"use one of {', '.join(self.pairs)}.",
                ) from None
            raise ConfigError(
                f"Pair {pair_id!r} is not configured; configured: {', '.join(self.pairs) or 'none'}.",
                remedy=f"use one of those, or add {self.config_dir / 'pairs'}/{pair_id}.yaml (docs/add-a-pair.md).",
            ) from None

    def active_model(self, pair_id: str) -> str:
        """Return the model a pair deploys until a configuration earns its place."""
        return self.pair(pair_id).active_model or self.platform.forecast.active_model

    def config_hash(self, pair_id: str) -> str:
        """Return the hash of everything that decides a pair's numbers: pair, target, series, models, quality."""
        return content_hash(self.config_content(pair_id))

    def config_content(self, pair_id: str) -> dict[str, Any]:
        """Return what :meth:`config_hash` is the hash of, as plain values."""
        pair = self.pair(pair_id)
        return {
            "pair": pair.model_dump(mode="json", exclude={"owners", "label", "enabled"}),
            "series": {name: self.series[name].model_dump(mode="json") for name in sorted(pair.all_series)},
            "forecast": self.platform.forecast.model_dump(mode="json"),
            **self._checkpoints(),
            "active_model": self.active_model(pair_id),
            "backtest": self.platform.backtest.model_dump(mode="json"),
            "quality": self.platform.quality.model_dump(mode="json"),
            "horizons": self.platform.horizons,
        }

    def _checkpoints(self) -> dict[str, Any]:
        """Return the checkpoints where a model that needs one runs; they decide its numbers."""
        if not any(name.startswith("chronos") for name in self.platform.forecast.models):
            return {}
        return {"chronos": self.platform.chronos.model_dump(mode="json")}
