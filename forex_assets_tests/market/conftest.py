"""Fixtures of the market room's tests: the declared series and the limits of the quality rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forex_assets.settings import QualitySettings, SeriesSpec, Settings, load_settings
from forex_assets_tests.market.provider_server import Provider, serve


@pytest.fixture(scope="session")
def configured() -> Settings:
    """The packaged configuration, untouched by the environment."""
    return load_settings(environ={})


@pytest.fixture(scope="session")
def series(configured: Settings) -> dict[str, SeriesSpec]:
    """Series id → declaration."""
    return configured.series


@pytest.fixture(scope="session")
def limits(configured: Settings) -> QualitySettings:
    """The packaged limits of the quality rules."""
    return configured.platform.quality


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A live provider on loopback that answers as the test says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    live, server = serve()
    yield live
    live.released.set()
    server.shutdown()
    server.server_close()
