"""What must hold before anything is promoted. A guard that cannot be judged stops the promotion like one that fails."""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from forex_assets.errors import StoreError
from forex_assets.lifecycle.canonical import instant_text
from forex_assets.settings.deployment import GuardSettings

#: The function name under which guard decisions are recorded and replayed.
FUNCTION = "guards/1"


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """What the guards look at; None means that it could not be found out.

    Parameters
    ----------
    kill_files:
        Kill files that exist.
    dry_run:
        Whether the platform runs dry.
    now:
        The instant judged.
    running_forecasts:
        Forecast runs of the pair that are queued or running.
    free_mib:
        Free space where the life cycle is stored.
    readiness:
        Readiness level of the pair.
    models:
        Models to be promoted.
    """

    kill_files: tuple[str, ...] | None
    dry_run: bool | None
    now: dt.datetime
    running_forecasts: int | None
    free_mib: float | None
    readiness: str | None
    models: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {**asdict(self), "now": instant_text(self.now)}


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: ``clear``, ``stops`` or ``unknown``, and why."""

    name: str
    state: str
    reason: str


def decide_guards(facts: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether promotion is allowed and the state of each guard (``facts`` and ``policy`` as plain values)."""
    judged = [
        _kill(facts["kill_files"]),
        _dry_run(facts["dry_run"], policy["dry_run"]),
        _frozen(facts["now"], policy["frozen_windows"], policy["timezone"]),
        _running(facts["running_forecasts"]),
        _disk(facts["free_mib"], policy["min_free_mib"]),
        _readiness(facts["readiness"], facts["models"], policy["readiness_levels"], policy["readiness_models"]),
    ]
    stopping = [guard for guard in judged if guard.state != "clear"]
    return {
        "allowed": not stopping,
        "guards": [asdict(guard) for guard in judged],
        "reasons": [guard.reason for guard in stopping] or ["every guard is clear"],
    }


def _kill(found: Sequence[str] | None) -> Guard:
    if found is None:
        return Guard("kill_file", "unknown", "whether a kill file is there cannot be found out")
    if found:
        return Guard("kill_file", "stops", f"the kill file {', '.join(found)} is there; remove it to go on")
    return Guard("kill_file", "clear", "no kill file")


def _dry_run(fact: bool | None, policy: bool) -> Guard:
    if fact is None:
        return Guard("dry_run", "unknown", "whether this is a dry run is not said")
    if fact or policy:
        return Guard("dry_run", "stops", "this is a dry run: nothing is promoted")
    return Guard("dry_run", "clear", "no dry run")


def _frozen(now: str, windows: Sequence[Mapping[str, str]], zone: str) -> Guard:
    day = dt.datetime.fromisoformat(now).astimezone(ZoneInfo(zone)).strftime("%m-%d")
    for window in windows:
        first, last = window["first"], window["last"]
        inside = first <= day <= last if first <= last else (day >= first or day <= last)
        if inside:
            return Guard("frozen_window", "stops", f"{window['name']} ({first} to {last}) is a frozen window")
    return Guard("frozen_window", "clear", "no frozen window")


def _running(count: int | None) -> Guard:
    if count is None:
        return Guard("running_forecast", "unknown", "whether a forecast is running cannot be found out")
    if count:
        return Guard("running_forecast", "stops", f"{count} forecast run(s) queued or running; try again when done")
    return Guard("running_forecast", "clear", "no forecast is running")


def _disk(free: float | None, needed: float) -> Guard:
    if free is None:
        return Guard("disk_space", "unknown", "the free disk space cannot be found out")
    if free < needed:
        return Guard("disk_space", "stops", f"{free:.0f} MiB are free, {needed:.0f} MiB are needed")
    return Guard("disk_space", "clear", f"at least {needed:.0f} MiB are free")


def _readiness(level: str | None, models: Sequence[str], accepted: Sequence[str], guarded: Sequence[str]) -> Guard:
    behind = [name for name in models if any(fnmatch.fnmatchcase(name, pattern) for pattern in guarded)]
    if not behind:
        return Guard("readiness", "clear", "the models to be promoted need no readiness level")
    if level is None:
        return Guard("readiness", "unknown", f"{', '.join(behind)} needs a readiness level, and there is none")
    if level not in accepted:
        return Guard("readiness", "stops", f"readiness is {level}; {', '.join(behind)} needs {' or '.join(accepted)}")
    return Guard("readiness", "clear", f"readiness is {level}")


def collect_facts(
    home: Path,
    policy: GuardSettings,
    *,
    now: dt.datetime,
    dry_run: bool | None,
    running_forecasts: int | None,
    readiness: str | None,
    models: Sequence[str],
) -> GuardFacts:
    """Return what the guards look at; the file system is asked, the rest is given."""
    return GuardFacts(
        kill_files=_kill_files(home, policy.kill_files),
        dry_run=dry_run,
        now=now,
        running_forecasts=running_forecasts,
        free_mib=_free_mib(home),
        readiness=readiness,
        models=tuple(models),
    )


def _kill_files(home: Path, names: Sequence[str]) -> tuple[str, ...] | None:
    found = []
    for name in names:
        try:
            os.lstat(home / name)  # a dangling link stops as well
        except FileNotFoundError:
            continue
        except OSError:
            return None
        found.append(name)
    return tuple(found)


def _free_mib(home: Path) -> float | None:
    folder = home
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free / 2**20
    except OSError:
        return None


def require_no_kill_file(home: Path, policy: GuardSettings) -> None:
    """Raise when a kill file is there or cannot be ruled out.

    Raises
    ------
    StoreError
        With the file and what to do.
    """
    found = _kill_files(home, policy.kill_files)
    if found is None or found:
        raise StoreError(
            f"The kill file {', '.join(found or policy.kill_files)} stops the life cycle"
            + ("." if found else ", because it cannot be ruled out."),
            remedy=f"remove it from {home} when it is safe to go on.",
        )
