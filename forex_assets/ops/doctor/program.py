"""What is installed: the interpreter, the code, its packages, and a browser."""

from __future__ import annotations

import platform
import shutil
from importlib import metadata

from forex_assets.ops.doctor.findings import Finding
from forex_assets.provenance import code_version

_DISTRIBUTION = "forex_assets"
_PYTHON = ">=3.11,<3.13"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def python() -> Finding:
    """Return whether the interpreter is one the platform runs on."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    where = f"Python {version} ({platform.python_implementation()}) on {platform.system()} {platform.machine()}"
    if version not in SpecifierSet(_PYTHON, prereleases=True):
        return Finding("program", "python", "fail", where, f"use a Python {_PYTHON}.")
    return Finding("program", "python", "ok", where)


def program() -> Finding:
    """Return which version of the code this is."""
    return Finding("program", "forex_assets", "ok", f"version {code_version()}")


def packages() -> list[Finding]:
    """Return the required packages that are missing or of a wrong version, or that all are there."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [
            Finding(
                "program",
                "packages",
                "unknown",
                "forex_assets is not installed in this environment, so its requirements cannot be read",
                "pip install -c constraints.txt . (or `make run`).",
            )
        ]
    wrong: list[Finding] = []
    checked = 0
    for text in declared:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        checked += 1
        try:
            have = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            have = None
        if have is None or not need.specifier.contains(have, prereleases=True):
            seen = "not installed" if have is None else f"version {have}"
            rule = f"{need.name}{need.specifier}"
            wrong.append(
                Finding(
                    "program", need.name, "fail", f"{seen}; needed: {rule}", f"pip install -c constraints.txt '{rule}'"
                )
            )
    return wrong or [Finding("program", "packages", "ok", f"{checked} required packages at the versions needed")]


def browser() -> Finding:
    """Return whether a browser for screenshots is there."""
    for name in _BROWSERS:
        if shutil.which(name):
            return Finding("optional", "browser", "ok", f"{name} found (screenshots and browser tests)")
    return Finding(
        "optional", "browser", "warn", "no Chromium found; browser tests skip", "optional: install chromium."
    )
