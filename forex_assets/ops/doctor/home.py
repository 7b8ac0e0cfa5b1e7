"""Where state is kept: the home folder, its disk, and Dagster's folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from forex_assets.errors import DataError
from forex_assets.home import dagster_home
from forex_assets.ops.doctor.findings import Finding
from forex_assets.settings import Settings

_FREE_WARN_BYTES = 1 << 30
_FREE_FAIL_BYTES = 200 << 20


def home_folder(home: Path) -> Finding:
    """Return whether the home folder can be written."""
    existing = _existing(home)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as error:
        return Finding(
            "home",
            "folder",
            "fail",
            f"{home} cannot be written: {error.strerror or error}",
            "give write permission there, or set FOREX_HOME to a folder of your own.",
        )
    if existing != home:
        return Finding("home", "folder", "ok", f"{home} does not exist yet and can be made")
    return Finding("home", "folder", "ok", f"{home} can be written")


def disk(home: Path) -> Finding:
    """Return how much space the home folder's disk has left."""
    try:
        free = shutil.disk_usage(_existing(home)).free
    except OSError as error:
        return Finding(
            "home", "disk", "unknown", f"free space cannot be told: {error.strerror or error}", "check the disk."
        )
    detail = f"{free / (1 << 30):.1f} GiB free"
    remedy = "free some space, or set FOREX_HOME to a larger disk."
    if free < _FREE_FAIL_BYTES:
        return Finding("home", "disk", "fail", detail, remedy)
    return Finding("home", "disk", "warn" if free < _FREE_WARN_BYTES else "ok", detail, remedy)


def _existing(path: Path) -> Path:
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def dagster_folder(settings: Settings, env: dict[str, str]) -> list[Finding]:
    """Return where Dagster keeps its state, and whether its settings are the shipped ones."""
    folder = dagster_home(settings, env)
    target = folder / "dagster.yaml"
    if not folder.is_dir():
        return [Finding("dagster", "DAGSTER_HOME", "ok", f"{folder} will be made by the first run")]
    found = [Finding("dagster", "DAGSTER_HOME", "ok", str(folder))]
    if not folder.is_relative_to(settings.home):
        found = [
            Finding(
                "dagster",
                "DAGSTER_HOME",
                "warn",
                f"{folder} is outside the home folder {settings.home}",
                "unset DAGSTER_HOME, so that all state lives under one folder.",
            )
        ]
    try:
        have, want = _yaml_mapping(target), _yaml_mapping(settings.config_dir / "dagster.yaml")
    except DataError as error:
        return [*found, Finding("dagster", "dagster.yaml", "fail", error.message, error.remedy)]
    changed = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    if changed:
        found.append(
            Finding(
                "dagster",
                "dagster.yaml",
                "warn",
                f"differs from the shipped one in: {', '.join(changed)}",
                "delete it to get the shipped one on the next run, or keep it if that is meant.",
            )
        )
    else:
        found.append(Finding("dagster", "dagster.yaml", "ok", "as shipped (telemetry off, queued runs, pools)"))
    return found


def _yaml_mapping(path: Path) -> dict[str, Any]:
    import yaml

    remedy = "delete it: the next run writes the shipped one."
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", remedy="run `forex run`: it writes the shipped one.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read: {error}", remedy=remedy) from error
    if not isinstance(body, dict):
        raise DataError(f"{path} holds {type(body).__name__}, not a mapping", remedy=remedy)
    return body
