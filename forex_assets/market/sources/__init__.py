"""The sources a series can come from: one module per adapter, built together by :func:`build_sources`."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping

from forex_assets.market.contract import Source
from forex_assets.market.http import HttpGateway
from forex_assets.market.sources.ecb import EcbSource
from forex_assets.market.sources.embedded import EmbeddedSource
from forex_assets.market.sources.folder import FolderSource
from forex_assets.market.sources.mindicador import MindicadorSource
from forex_assets.market.sources.siete import SieteSource, read_credentials
from forex_assets.settings import Settings

__all__ = ["EcbSource", "EmbeddedSource", "FolderSource", "MindicadorSource", "SieteSource", "build_sources"]


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
        Where ``BCCH_USER``, ``BCCH_PASS`` and their ``_FILE`` forms are read; default: the process's environment.
    """
    env = os.environ if environ is None else environ
    providers = settings.platform.providers
    user, password = (None, None) if settings.offline else read_credentials(env)
    sources: list[Source] = [
        EmbeddedSource(now=now),
        FolderSource(settings.data_dir, now=now),
        EcbSource(now=now),
        MindicadorSource(
            providers.mindicador.base_url,
            gateway=gateway,
            now=now,
            cache_hours_open_year=providers.http.cache_hours_open_year,
            offline=settings.offline,
        ),
        SieteSource(
            providers.siete.base_url,
            gateway=gateway,
            now=now,
            max_requests_per_s=providers.siete.max_requests_per_s,
            user=user,
            password=password,
            offline=settings.offline,
        ),
    ]
    return {source.name: source for source in sources}
