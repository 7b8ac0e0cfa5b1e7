"""Typed settings, loaded from ``configs/*.yaml`` and the environment. Nothing else reads either.

Environment
-----------
``FOREX_HOME``
    The one folder everything is written under (default ``./.forex``).
``FOREX_CONFIG_DIR``
    A configuration folder instead of the packaged one.
``FOREX_DATA_DIR``
    A folder of market data (see docs/data-sources.md).
``FOREX_PAIRS``
    Comma-separated pair ids to load; default: every pair configured.
``FOREX_OFFLINE``
    ``1`` asks no live provider.
``FOREX_DRY_RUN``
    ``1`` promotes nothing: the life cycle decides and records, and leaves what is deployed as it is.
``FOREX_CHRONOS_PATH``
    Folders of Chronos checkpoints (or ids of the hub), joined by the system's path separator (docs/chronos.md).
``FOREX_STORE_ROOT``
    Root of the slice store when it is not ``<home>/store`` (any universal_pathlib URL).
"""

from __future__ import annotations

from forex_assets.settings.catalogue import (
    PairSpec,
    PublicationRule,
    ReferenceSeries,
    SeriesQuality,
    SeriesSpec,
    Target,
)
from forex_assets.settings.chronos import ChronosSettings
from forex_assets.settings.deployment import DeploymentSettings
from forex_assets.settings.fields import CALENDARS, PAIR_ID
from forex_assets.settings.loading import calendars_dir, home_dir, load_settings, packaged_config_dir
from forex_assets.settings.platform import (
    AlertSettings,
    BacktestSettings,
    ForecastSettings,
    PlatformSettings,
    QualitySettings,
    RunSettings,
    ScheduleSettings,
)
from forex_assets.settings.profiles import BiasBand, ClassicProfile, CoverageBand, RecommendedProfile
from forex_assets.settings.providers import HttpSettings, LiveProvider, ProviderSettings
from forex_assets.settings.resolved import Settings

__all__ = [
    "CALENDARS",
    "PAIR_ID",
    "AlertSettings",
    "BacktestSettings",
    "BiasBand",
    "ChronosSettings",
    "ClassicProfile",
    "CoverageBand",
    "DeploymentSettings",
    "ForecastSettings",
    "HttpSettings",
    "LiveProvider",
    "PairSpec",
    "PlatformSettings",
    "ProviderSettings",
    "PublicationRule",
    "QualitySettings",
    "RecommendedProfile",
    "ReferenceSeries",
    "RunSettings",
    "ScheduleSettings",
    "SeriesQuality",
    "SeriesSpec",
    "Settings",
    "Target",
    "calendars_dir",
    "home_dir",
    "load_settings",
    "packaged_config_dir",
]
