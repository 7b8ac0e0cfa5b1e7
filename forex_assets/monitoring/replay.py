"""Any monitor over any past period, point-in-time: what would have fired, when, and for how long."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forex_assets.errors import ValidationError
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.registry import Profile, monitors

if TYPE_CHECKING:
    from forex_assets.settings import Settings

SPELL_COLUMNS = ("monitor", "rule", "subject", "describes", "start", "end", "business_days", "peak", "severity")
_ORDER = ("info", "low", "medium", "high", "critical")


def replay(
    frames: Frames,
    first: dt.date,
    last: dt.date,
    settings: Settings,
    profile: Profile,
    names: tuple[str, ...] | None = None,
) -> pd.DataFrame:
    """Return state and effect of every rule on every business day of a period.

    Each day is judged from what was known at its end.

    Raises
    ------
    ValidationError
        When the period holds no business day.
    """
    days = frames.calendar.sessions(np.datetime64(first, "D"), np.datetime64(last, "D"))
    if last < first or not len(days):
        raise ValidationError(
            f"There is no business day of {frames.pair} from {first} to {last}.", remedy="choose --from before --to."
        )
    parts = [
        monitor.scan(frames, days, settings, profile).assign(describes=monitor.describes)
        for monitor in monitors(names)
        if profile in monitor.profiles
    ]
    return pd.concat(parts, ignore_index=True)


def spells(scanned: pd.DataFrame, quiet_business_days: int) -> pd.DataFrame:
    """Return the periods in which a rule fired, with gaps of up to ``quiet_business_days`` closed.

    Parameters
    ----------
    scanned:
        What :func:`replay` returned.
    quiet_business_days:
        Days without firing that end a spell.

    Returns
    -------
    DataFrame
        One row per spell in order of its start: first and last day, business days fired, largest effect, severity.
    """
    rows = []
    for (monitor, rule, subject), part in scanned.groupby(["monitor", "rule", "subject"], sort=False):
        ordered = part.sort_values("as_of")
        at = np.flatnonzero((ordered["state"] == "fired").to_numpy())
        if not len(at):
            continue
        days = ordered["as_of"].to_numpy()
        effect = ordered["effect"].to_numpy(dtype=np.float64)
        severity = ordered["severity"].to_numpy()
        for group in np.split(at, np.flatnonzero(np.diff(at) > quiet_business_days) + 1):
            worst = max(range(len(group)), key=lambda i: _ORDER.index(severity[group[i]]))
            sizes = np.nan_to_num(np.abs(effect[group]), nan=0.0)
            rows.append(
                (
                    *(monitor, rule, subject, bool(ordered["describes"].iloc[0]), days[group[0]], days[group[-1]]),
                    *(len(group), float(effect[group[int(np.argmax(sizes))]]), severity[group[worst]]),
                )
            )
    frame = pd.DataFrame(rows, columns=list(SPELL_COLUMNS))
    return frame.sort_values(["start", "monitor", "rule", "subject"], kind="stable").reset_index(drop=True)
