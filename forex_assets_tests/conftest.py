"""Fixtures every room shares: a home of its own, the market-data folder when there is one, no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from forex_assets.ops.secrets import KNOWN_SECRETS
from forex_assets_tests.evidence import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]

# What a property says must not depend on how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh FOREX_HOME; live providers are off."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("FOREX_DATA_DIR", "FOREX_CONFIG_DIR", "FOREX_PAIRS", "FOREX_STORE_ROOT", *KNOWN_SECRETS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FOREX_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "dagster"))
    monkeypatch.setenv("FOREX_OFFLINE", "1")
    return folder


@pytest.fixture(scope="session")
def market_data_dir() -> Path:
    """The folder of real market data; tests that need it skip with a reason where there is none."""
    configured = os.environ.get("FOREX_TEST_DATA_DIR") or os.environ.get("FOREX_DATA_DIR")
    folder = Path(configured) if configured else REPO.parent / "shared" / "data"
    if not (folder / "usdclp_observado_daily.csv").is_file():
        pytest.skip(f"no market data at {folder}; set FOREX_DATA_DIR to run this test")
    return folder
