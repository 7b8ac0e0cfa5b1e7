"""The home folder: everything the platform writes lives under it, Dagster's own state included."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from forex_assets.compiled import cache_folder
from forex_assets.errors import StoreError
from forex_assets.settings import Settings

HOME_VARIABLES = (
    "FOREX_HOME",
    "DAGSTER_HOME",
    "DAGSTER_CLI_ASSET_MATERIALIZE_MODULE_NAME",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
)
"""What :func:`prepare_home` sets, so that every tool started afterwards writes under the home folder."""


def dagster_home(settings: Settings, environ: MutableMapping[str, str] = os.environ) -> Path:
    """Return DAGSTER_HOME: the environment's, else ``<home>/dagster``."""
    return Path(environ.get("DAGSTER_HOME") or settings.home / "dagster")


def keep_pictures_in(home: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Point matplotlib's folder under the home; nothing is written until a picture is drawn."""
    environ.setdefault("MPLCONFIGDIR", str(home / "cache" / "matplotlib"))


def prepare_home(settings: Settings, environ: MutableMapping[str, str] = os.environ) -> Path:
    """Create the home folder and Dagster's below it, and point the environment there.

    Returns DAGSTER_HOME. Numba and matplotlib caches go under the home too, so that nothing is written elsewhere;
    numba's machine code is taken from the environment where set-up compiled it (:mod:`forex_assets.compiled`).

    Raises
    ------
    StoreError
        When the home folder cannot be written.
    """
    folder = dagster_home(settings, environ)
    try:
        for path in (settings.home, folder, settings.home / "cache", settings.home / "logs"):
            path.mkdir(parents=True, exist_ok=True)
        target = folder / "dagster.yaml"
        if not target.exists():
            temporary = target.with_name(f".dagster.yaml.{os.getpid()}.tmp")
            shutil.copyfile(settings.config_dir / "dagster.yaml", temporary)
            temporary.replace(target)
        # The folders may be there already and yet take no file: find out before Dagster does.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable.") as probe:
            probe.write(b"0" * 4096)
            probe.flush()
    except OSError as error:
        raise StoreError(
            f"Cannot prepare the home folder {settings.home}: {error.strerror or error}.",
            remedy="give write permission and space there, or set FOREX_HOME to a folder of your own.",
        ) from error
    environ["FOREX_HOME"] = str(settings.home)
    environ["DAGSTER_HOME"] = str(folder)
    environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder(settings.home)))
    keep_pictures_in(settings.home, environ)
    environ.setdefault("DAGSTER_CLI_ASSET_MATERIALIZE_MODULE_NAME", "forex_assets.definitions")
    return folder
