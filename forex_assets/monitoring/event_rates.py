"""Event alerts over many days at once: how far forecasts moved, and which days are worth a message.

The same rules as :func:`forex_assets.monitoring.shock.forecast_change` and ``worth_sending`` judge a day by, for the
measurement of how often they fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates
from forex_assets.monitoring.registry import SCAN_COLUMNS, Profile
from forex_assets.monitoring.shock import NAME, policy_of

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings

#: The finding that says whether a message goes out, and the one on how far a forecast moved.
EVENT_RULE, CHANGE_RULE = "event_alert", "forecast_change"
#: Business days within which an earlier forecast is the one before.
MAX_GAP = 3


def with_events(
    scanned: pd.DataFrame, frames: Frames, days: Dates, settings: Settings, profile: Profile
) -> pd.DataFrame:
    """Return what all monitors found over days, with the changes of the forecasts and the days worth a message."""
    import pandas as pd

    changes = [_changes(frames, name, days, settings, profile) for name in frames.horizons]
    whole = pd.concat([scanned, *changes], ignore_index=True)
    return pd.concat([whole, _messages(whole, days)], ignore_index=True)


def _changes(frames: Frames, horizon: str, days: Dates, settings: Settings, profile: Profile) -> pd.DataFrame:
    """Return how far the deployed forecast of one horizon moved since the one before it."""
    policy = policy_of(settings, profile)
    rows = frames.scores
    mine = rows.loc[(rows["horizon"] == frames.horizons[horizon]) & rows["is_active"].astype(bool)]
    mine = mine.sort_values("as_of", kind="stable")
    made, mean = mine["as_of"].to_numpy().astype("datetime64[D]"), mine["mean"].to_numpy(dtype=np.float64)
    change = np.full(len(days), np.nan)
    if len(made) > 1:
        moved = np.concatenate([[np.nan], mean[1:] / mean[:-1] - 1.0])
        moved[1:][frames.calendar.count(made[:-1], made[1:]) > MAX_GAP] = np.nan
        place = np.minimum(np.searchsorted(made, days), len(made) - 1)
        change = np.where(made[place] == days, moved[place], np.nan)
    size = np.abs(change)
    fired = size >= policy.forecast_change_medium
    state = np.where(np.isfinite(change), np.where(fired, "fired", "clear"), "unknown")
    severity = np.where(size >= policy.forecast_change_high, "high", np.where(fired, "medium", "info"))
    return _table(days, CHANGE_RULE, horizon, state, severity, change, policy.forecast_change_medium)


def _messages(scanned: pd.DataFrame, days: Dates) -> pd.DataFrame:
    """Return on which days one high or critical finding, or two of medium severity, send a message."""
    fired = scanned.loc[scanned["state"] == "fired", ["as_of", "severity"]]
    place = np.searchsorted(days, fired["as_of"].to_numpy().astype("datetime64[D]"))
    severity = fired["severity"].to_numpy(dtype=object)
    loud = np.bincount(place[np.isin(severity, ["high", "critical"])], minlength=len(days))
    medium = np.bincount(place[severity == "medium"], minlength=len(days))
    sent = (loud > 0) | (medium >= 2)
    grade = np.where(loud > 0, "high", "medium")
    count = np.bincount(place, minlength=len(days)).astype(np.float64)
    return _table(days, EVENT_RULE, "all", np.where(sent, "fired", "clear"), grade, count, np.nan)


def _table(
    days: Dates,
    rule: str,
    subject: str,
    state: npt.NDArray[np.str_],
    severity: npt.NDArray[np.str_],
    effect: npt.NDArray[np.float64],
    threshold: float,
) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "as_of": days.astype("datetime64[ns]"),
            "monitor": NAME,
            "rule": rule,
            "subject": subject,
            "state": state.astype(object),
            "severity": severity.astype(object),
            "effect": effect,
            "threshold": threshold,
        }
    )[list(SCAN_COLUMNS)]
    return frame.assign(describes=True)
