"""Fixtures of the graph's tests: a home made once by the main job, and copies of it for tests that change one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from forex_assets.defs.run import run_pairs
from forex_assets.home import prepare_home
from forex_assets_tests.defs.world import DAYS, LAST_AS_OF, PAIR, World, settings_of, small_config


@pytest.fixture(scope="session")
def config_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small configuration, read only."""
    return small_config(tmp_path_factory.mktemp("small") / "configs")


@pytest.fixture(scope="session")
def built_home(config_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the main job of ``forex run`` has run once, through Dagster on a real instance."""
    home = tmp_path_factory.mktemp("built") / "home"
    settings = settings_of(config_dir, home)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "FOREX_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
            patch.delenv(name, raising=False)
        environ = {"DAGSTER_HOME": str(home / "dagster")}
        prepare_home(settings, environ)
        patch.setenv("DAGSTER_HOME", environ["DAGSTER_HOME"])
        outcomes = run_pairs(settings, [PAIR], as_of=LAST_AS_OF, days=DAYS)
    assert outcomes[0].error is None
    return home


@pytest.fixture(scope="session")
def built(built_home: Path, config_dir: Path) -> Iterator[World]:
    """The built home, for tests that only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(built_home / "dagster"))
        with dg.DagsterInstance.get() as instance:
            yield World(settings_of(config_dir, built_home), instance)


@pytest.fixture
def copy_world(built_home: Path, config_dir: Path, tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Make copies of the built home's store, each with an empty instance of its own."""
    instances: list[dg.DagsterInstance] = []

    def copy() -> World:
        home = tmp_path / f"copy{len(instances)}"
        shutil.copytree(built_home / "store", home / "store")
        instances.append(dg.DagsterInstance.ephemeral())
        return World(settings_of(config_dir, home), instances[-1])

    yield copy
    for instance in instances:
        instance.dispose()


@pytest.fixture
def world(copy_world: Callable[[], World]) -> World:
    """A copy of the built home that the test may change."""
    return copy_world()
