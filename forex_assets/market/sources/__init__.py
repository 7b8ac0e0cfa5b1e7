"""The sources a series can come from: one module per adapter, built together by :func:`build_sources`."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from forex_assets.market.contract import Source
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources import alphavantage, fred, xe
from forex_assets.market.sources.alphavantage import AlphaVantageSource
from forex_assets.market.sources.bis import BisSource
from forex_assets.market.sources.ecb import EcbSource
from forex_assets.market.sources.ecb_live import EcbLiveSource
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.market.sources.findic import FindicSource
from forex_assets.market.sources.folder import FolderSource
from forex_assets.market.sources.fred import FredSource
from forex_assets.market.sources.mindicador import MindicadorSource
from forex_assets.market.sources.siete import SieteSource, read_credentials
from forex_assets.market.sources.stooq import StooqSource
from forex_assets.market.sources.xe import XeSource
from forex_assets.market.sources.yahoo import YahooSource
from forex_assets.ops.secrets import secret
from forex_assets.settings import LiveProvider, Settings
from forex_assets.settings.added import SOURCE, added_dir

__all__ = [
    "AlphaVantageSource",
    "BisSource",
    "EcbLiveSource",
    "EcbSource",
    "EmbeddedSource",
    "FindicSource",
    "FolderSource",
    "FredSource",
    "MindicadorSource",
    "OverHttp",
    "SieteSource",
    "StooqSource",
    "XeSource",
    "YahooSource",
    "build_sources",
]


@runtime_checkable
class OverHttp(Protocol):
    """A source that asks over HTTP, and the addresses it may ask."""

    @property
    def gateway(self) -> HttpGateway:
        """The client it asks through."""
        ...

    def urls(self) -> tuple[str, ...]:
        """Return the addresses it may ask."""
        ...


def build_sources(
    settings: Settings, *, now: dt.datetime, gateway: HttpGateway, environ: Mapping[str, str] | None = None
) -> dict[str, Source]:
    """Return every source by name, configured from settings; credentials come from ``environ`` only.

    Parameters
    ----------
    settings:
        Base URLs, data folder, and whether live providers may be asked.
    now:
        The moment of this ingestion; stamped as ``retrieved_at``.
    gateway:
        The HTTP client all live sources of one ingestion share, so that an unreachable host is asked once.
    environ:
        Where credentials and their ``_FILE`` forms are read; default: the process's environment.
    """
    env = os.environ if environ is None else environ
    providers = settings.platform.providers
    user, password = (None, None) if settings.offline else read_credentials(env)

    def key(name: str) -> str | None:
        return None if settings.offline else secret(name, env)

    def common(provider: LiveProvider) -> dict[str, Any]:
        return {
            "base_url": provider.base_url,
            "gateway": gateway,
            "now": now,
            "cache_hours": providers.http.cache_hours_open_year,
            "max_requests_per_s": provider.max_requests_per_s,
            "read_timeout_s": provider.read_timeout_s,
            "offline": settings.offline,
            "enabled": provider.enabled,
        }

    def mirror(provider: LiveProvider) -> dict[str, Any]:
        return {
            "base_url": provider.base_url,
            "gateway": gateway,
            "now": now,
            "cache_hours_open_year": providers.http.cache_hours_open_year,
            "max_requests_per_s": provider.max_requests_per_s,
            "offline": settings.offline,
            "enabled": provider.enabled,
        }

    sources: list[Source] = [
        EmbeddedSource(now=now),
        FolderSource(settings.data_dir, now=now),
        FolderSource(added_dir(settings.home) / "files", now=now, name=SOURCE),
        EcbSource(now=now),
        MindicadorSource(**mirror(providers.mindicador)),
        FindicSource(**mirror(providers.findic)),
        SieteSource(
            providers.siete.base_url,
            gateway=gateway,
            now=now,
            max_requests_per_s=providers.siete.max_requests_per_s,
            user=user,
            password=password,
            offline=settings.offline,
        ),
        FredSource(**common(providers.fred), api_url=providers.fred.api_url, api_key=key(fred.KEY)),
        EcbLiveSource(**common(providers.ecb_live), archive_url=providers.ecb_live.archive_url),
        BisSource(**common(providers.bis)),
        YahooSource(
            **common(providers.yahoo),
            other_urls=tuple(providers.yahoo.other_urls),
            user_agent=providers.yahoo.user_agent,
        ),
        StooqSource(**common(providers.stooq)),
        AlphaVantageSource(**common(providers.alphavantage), api_key=key(alphavantage.KEY)),
        XeSource(**common(providers.xe), account=key(xe.ACCOUNT), api_key=key(xe.KEY)),
    ]
    return {source.name: source for source in sources}
