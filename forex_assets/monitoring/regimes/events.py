"""What the central bank's calendar says of a day: a meeting near, a programme running; from what was public then."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates
from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.clock.bcch import interventions, meetings

Codes = npt.NDArray[np.int8]
ON, OFF, UNKNOWN = 1, 0, -1


class Meetings(NamedTuple):
    """Per day: state, the meeting that counts or the next one known, and calendar days to it (negative: after it)."""

    state: Codes
    announcement: Dates
    days_to: npt.NDArray[np.float64]


class Programmes(NamedTuple):
    """Per day: state, and the announcement of the programme running."""

    state: Codes
    announcement: Dates


def meetings_on(days: Dates, *, lead: int, reach_days: int) -> Meetings:
    """Return how the policy meetings stand on each day.

    A meeting counts from ``lead`` Chilean business days before its announcement (at 18:00, after the close) until its
    reaction date, the next business day, is over. Where no meeting to come is public within ``reach_days`` the table
    is too old to tell: unknown.
    """
    days = days.astype("datetime64[D]")
    table = meetings()
    announced = table["announcement_date"].to_numpy().astype("datetime64[D]")
    reaction = table["reaction_date"].to_numpy().astype("datetime64[D]")
    known_from = _utc(table["known_from"])
    opens = calendar_for("CL").add(announced, -lead)
    instants = as_of_instants(days)
    public = known_from[None, :] <= instants[:, None]
    near = public & (opens[None, :] <= days[:, None]) & (days[:, None] <= reaction[None, :])
    ahead = public & (announced[None, :] >= days[:, None])
    reachable = ahead & ((announced[None, :] - days[:, None]) <= np.timedelta64(reach_days, "D"))
    state = np.where(near.any(axis=1), ON, np.where(reachable.any(axis=1), OFF, UNKNOWN)).astype(np.int8)
    chosen = np.where(near.any(axis=1), near.argmax(axis=1), np.where(ahead.any(axis=1), ahead.argmax(axis=1), -1))
    none = np.datetime64("NaT", "D")
    date = np.where(chosen >= 0, announced[np.maximum(chosen, 0)], none).astype("datetime64[D]")
    distance = np.where(chosen >= 0, (announced[np.maximum(chosen, 0)] - days).astype(np.int64), np.nan)
    return Meetings(state, date, distance.astype(np.float64))


def programmes_on(days: Dates) -> Programmes:
    """Return whether the Bank was selling dollars under an announced programme, as known at the end of each day.

    On from the announcement until the programme ends or a pause of sales is announced. Buying reserves on a published
    schedule is no intervention in this sense, and neither is a policy meeting.
    """
    days = days.astype("datetime64[D]")
    instants = as_of_instants(days)
    table = interventions()
    state = np.zeros(len(days), dtype=np.int8)
    announcement = np.full(len(days), np.datetime64("NaT", "D"))
    dates = table["announcement_date"].to_numpy().astype("datetime64[D]")
    known_from, kinds = _utc(table["known_from"]), table["kind"].to_numpy()
    ends = table["end"].to_numpy().astype("datetime64[D]")
    for i in np.flatnonzero(kinds == "sell_usd"):
        on = (known_from[i] <= instants) & (np.isnat(ends[i]) | (days <= ends[i]))
        later = (dates > dates[i]) & (np.isnat(ends[i]) | (dates <= ends[i]))
        for j in np.flatnonzero((kinds == "pause") & later):
            on &= ~(known_from[j] <= instants)
        state[on], announcement[on] = ON, dates[i]
    return Programmes(state, announcement)


def _utc(column: object) -> Dates:
    import pandas as pd

    return np.asarray(pd.DatetimeIndex(column).tz_convert("UTC").tz_localize(None), dtype="datetime64[us]")  # type: ignore[arg-type]
