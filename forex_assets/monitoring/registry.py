"""The list of monitors. The findings asset, the replay and the alarm table go through it; nothing else names them.

A monitor is two functions that must agree: ``judge`` (one day, with evidence and sentences) and ``scan`` (many days at
once, states and effects only). A property test holds ``scan(frames, [day])`` equal to ``judge(frames, day)``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

import numpy as np

from forex_assets.arrays import Dates
from forex_assets.errors import DataError, ForexError, ValidationError
from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.finding import Finding, unknown

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings

Profile = Literal["recommended", "classic"]
PROFILES: tuple[Profile, ...] = ("recommended", "classic")
Judge = Callable[["Frames", dt.date, "Settings", Profile], tuple[Finding, ...]]
Scan = Callable[["Frames", Dates, "Settings", Profile], "pd.DataFrame"]

#: Columns of what ``scan`` returns, one row per day, rule and subject.
SCAN_COLUMNS = ("as_of", "monitor", "rule", "subject", "state", "severity", "effect", "threshold")


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor.

    Parameters
    ----------
    name, doc:
        Name in findings, and what it watches, in a sentence.
    judge:
        ``(frames, as_of, settings, profile) -> findings``; pure, uses what was known at the end of ``as_of``.
    scan:
        ``(frames, as_ofs, settings, profile) -> DataFrame`` with :data:`SCAN_COLUMNS`; ``as_ofs`` grow.
    profiles:
        Profiles it has rules for.
    describes:
        True where firing describes the market (a shock, a regime) instead of accusing model or data: such findings
        inform and are counted apart from alarms.
    """

    name: str
    doc: str
    judge: Judge
    scan: Scan
    profiles: tuple[Profile, ...] = PROFILES
    describes: bool = False


#: Where each monitor lives: a module with a ``MONITOR``.
MODULES: Mapping[str, str] = {
    "performance": "forex_assets.monitoring.performance",
    "drift": "forex_assets.monitoring.drift",
    "regime": "forex_assets.monitoring.regime",
    "shock": "forex_assets.monitoring.shock",
    "data_quality": "forex_assets.monitoring.data_quality",
}


def monitors(names: tuple[str, ...] | None = None) -> Iterator[Monitor]:
    """Yield the monitors named, or all, in the order of the registry.

    Raises
    ------
    ValidationError
        When a name is none of them.
    """
    for name in names if names is not None else MODULES:
        if name not in MODULES:
            raise ValidationError(f"There is no monitor {name!r}.", remedy=f"use one of {', '.join(MODULES)}.")
        yield import_module(MODULES[name]).MONITOR


def check_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises
    ------
    ValidationError
        When there is none of that name.
    """
    for profile in PROFILES:
        if name == profile:
            return profile
    raise ValidationError(f"There is no profile {name!r}.", remedy=f"use one of {', '.join(PROFILES)}.")


def judge_day(
    frames: Frames, as_of: dt.date, settings: Settings, profile: Profile, names: tuple[str, ...] | None = None
) -> tuple[Finding, ...]:
    """Return every monitor's findings of one day.

    A monitor that cannot work on what it was given is unknown with the reason, and the others go on (spec A07, J02,
    J11): a typed error becomes a finding of its own, a mistake in the code is raised.
    """
    found: list[Finding] = []
    for monitor in monitors(names):
        if profile not in monitor.profiles:
            continue
        try:
            found.extend(monitor.judge(frames, as_of, settings, profile))
        except (ForexError, KeyError, np.linalg.LinAlgError) as error:
            reason = error.message if isinstance(error, ForexError) else f"{type(error).__name__}: {error}"
            found.append(
                unknown(
                    monitor.name,
                    "monitor_failed",
                    profile,
                    frames.pair,
                    "all",
                    as_of,
                    CannotTell("monitor_failed", error=reason.rstrip(".")),
                )
            )
    keys = [finding.key for finding in found]
    repeated = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    if repeated:
        raise DataError(
            f"Two findings share the key {min(repeated)}.",
            remedy="give each rule and subject of a monitor one finding.",
        )
    return tuple(found)
