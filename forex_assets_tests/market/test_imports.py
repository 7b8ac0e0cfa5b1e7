"""Every module of the market room imports on its own, and its entry points are what they claim."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import forex_assets.market

MODULES = ["forex_assets.market"] + [
    item.name for item in pkgutil.walk_packages(forex_assets.market.__path__, "forex_assets.market.")
]
ENTRY_POINTS = [
    ("forex_assets.market.ingest", "ingest"),
    ("forex_assets.market.ingest", "open_gateway"),
    ("forex_assets.market.asof", "bars_as_of"),
    ("forex_assets.market.asof", "bars_for"),
    ("forex_assets.market.asof", "drivers_as_of"),
    ("forex_assets.market.asof", "data_hash"),
    ("forex_assets.market.asof", "chain_hashes"),
    ("forex_assets.market.asof", "quarantine"),
    ("forex_assets.market.asof", "newest_usable_date"),
    ("forex_assets.market.publication", "available_at"),
    ("forex_assets.market.chain", "resolve"),
    ("forex_assets.market.sources", "build_sources"),
    ("forex_assets.market.quality", "apply_quality"),
]


@pytest.mark.capability("J03")
@pytest.mark.parametrize("module", MODULES)
def test_module_imports(module: str) -> None:
    assert importlib.import_module(module).__doc__


@pytest.mark.capability("J03")
@pytest.mark.parametrize(("module", "name"), ENTRY_POINTS)
def test_entry_point_is_defined(module: str, name: str) -> None:
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.capability("J03")
def test_a_fresh_interpreter_imports_the_room_without_dagster_or_heavy_libraries() -> None:
    code = (
        f"import importlib, sys\nfor name in {MODULES!r}: importlib.import_module(name)\n"
        "heavy = {'dagster', 'torch', 'scipy', 'matplotlib', 'pandera', 'duckdb', 'holidays', 'exchange_calendars', "
        "'currency_converter'}\nprint(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
