"""Putting a quarantined value back: a person's decision, recorded, that survives every later ingestion.

The withdrawn row stays as it is: what was not known then stays unknown then. The release is a new row with the same
value, available from the moment of the release, which no rule withdraws again.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from forex_assets.errors import DataError, ValidationError

_SAME = ["series", "event_time", "source"]
_REVISION = "revision"
_SHORTEST_REASON = 5


def release(
    observations: pd.DataFrame, *, series: str, day: dt.date, who: str, why: str, now: dt.datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the observations with a quarantined value standing again, and the row that records it.

    Parameters
    ----------
    observations:
        Table ``observations`` of one pair.
    series, day:
        The value: its series and the date it carries. Of several withdrawn rows the newest one is released.
    who, why:
        Who decides, and the reason; both are kept.
    now:
        The moment of the release, zone-aware.

    Raises
    ------
    ValidationError
        When nobody or no reason is named.
    DataError
        When no such value is quarantined, or one of that date stands.
    """
    if not who.strip() or len(why.strip()) < _SHORTEST_REASON:
        raise ValidationError(
            f"A release needs a name and a reason of at least {_SHORTEST_REASON} characters, not {who!r} and {why!r}.",
            remedy="say who decides (--by) and what shows that the value is right (--why).",
        )
    instant = pd.Timestamp(now).tz_convert("UTC")
    rows = observations[
        (observations["series"] == series) & (observations["event_time"] == pd.Timestamp(day).tz_localize("UTC"))
    ]
    standing = rows[rows["withdrawn_at"].isna()]
    if len(standing):
        raise DataError(
            f"The value of {series} dated {day} stands ({standing['value'].iloc[-1]:.10g} from "
            f"{standing['source'].iloc[-1]}); there is nothing to release.",
            remedy="see `forex data quarantine show`.",
        )
    held = rows[rows["rule"].notna() & (rows["rule"] != _REVISION)]
    if not len(held):
        raise DataError(
            f"No value of {series} dated {day} is in quarantine.", remedy="see `forex data quarantine show`."
        )
    old = held.sort_values(["available_at", "retrieved_at"], kind="stable").iloc[[-1]]
    if not (old["available_at"] < instant).all():
        raise ValidationError(
            f"The value becomes available at {old['available_at'].iloc[0]}, after {instant}.",
            remedy="release it once it is available.",
        )
    record = old[["pair", "series", "event_time", "available_at", "source", "value", "rule"]].assign(
        released_at=instant, released_by=who.strip(), why=why.strip()
    )
    return _with_standing(observations, old, instant), record.reset_index(drop=True)


def release_again(observations: pd.DataFrame, releases: pd.DataFrame) -> pd.DataFrame:
    """Return observations that were made anew, with the values standing again that a person had put back.

    A value that no rule withdraws any more needs no release.
    """
    for record in releases.sort_values("released_at", kind="stable").itertuples():
        same = (observations[_SAME] == [getattr(record, name) for name in _SAME]).all(axis=1)
        rows = observations[same]
        held = rows[rows["rule"].notna() & (rows["rule"] != _REVISION)]
        if len(held) and not rows["withdrawn_at"].isna().any():
            newest = held.sort_values(["available_at", "retrieved_at"], kind="stable").iloc[[-1]]
            observations = _with_standing(observations, newest, pd.Timestamp(str(record.released_at)))
    return observations


def _with_standing(observations: pd.DataFrame, withdrawn: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    """Return observations with a withdrawn row once more, standing and available from an instant on."""
    row = withdrawn.assign(available_at=instant, rule=None, reason=None)
    row["withdrawn_at"] = pd.Series(pd.NaT, index=row.index, dtype=observations["withdrawn_at"].dtype)
    return pd.concat([observations, row], ignore_index=True).astype(observations.dtypes.to_dict())


def stand_released(judged: pd.DataFrame, releases: pd.DataFrame | None) -> pd.DataFrame:
    """Return judged observations in which the rows that were released carry no verdict of a rule."""
    if releases is None or not len(releases) or not len(judged):
        return judged
    known: set[tuple[Any, ...]] = set(releases[[*_SAME, "released_at"]].itertuples(index=False, name=None))
    keys = judged[[*_SAME, "available_at"]].itertuples(index=False, name=None)
    mine = pd.Series([key in known for key in keys], index=judged.index)
    if not mine.any():
        return judged
    out = judged.copy()
    out.loc[mine, "withdrawn_at"] = pd.NaT
    out.loc[mine, ["rule", "reason"]] = None
    return out
