"""What was known when, and what changed since: read from the stored observations, where every change is a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.clock import AsOf

_VERSION = ["series", "event_time"]
REVISION_COLUMNS = (
    "series", "event_date", "kind", "old_value", "new_value", "change", "change_percent", "old_source", "new_source",
    "old_known_at", "new_known_at", "reason",
)  # fmt: skip
DIFF_COLUMNS = ("series", "event_date", "kind", "first_value", "second_value", "change", "change_percent", "source")
#: What read_as_of needs of table ``observations``.
AS_OF_COLUMNS = ("series", "event_time", "available_at", "value", "source", "withdrawn_at")


def known_as_of(observations: pd.DataFrame, as_of: AsOf) -> pd.DataFrame:
    """Return what was known at an instant: of every series and date the newest version good then.

    Parameters
    ----------
    observations:
        Columns :data:`AS_OF_COLUMNS` of table ``observations``.
    as_of:
        The instant.

    Returns
    -------
    ``series``, ``event_date``, ``value``, ``source``, ``available_at``; ordered by series and date.
    """
    available, withdrawn = _us(observations["available_at"]), _us(observations["withdrawn_at"])
    known = np.flatnonzero((available <= as_of.instant_us) & ~(withdrawn <= as_of.instant_us))
    codes, _ = pd.factorize(observations["series"], sort=True)
    event = _us(observations["event_time"])
    order = known[np.lexsort((available[known], event[known], codes[known]))]
    if len(order):
        last = np.append((codes[order][1:] != codes[order][:-1]) | (event[order][1:] != event[order][:-1]), True)
        order = order[last]
    rows = observations.iloc[order]
    return pd.DataFrame(
        {
            "series": rows["series"].to_numpy(object),
            "event_date": event[order].astype("datetime64[D]").astype("datetime64[ns]"),
            "value": rows["value"].to_numpy(float),
            "source": rows["source"].to_numpy(object),
            "available_at": rows["available_at"].array,
        }
    )


def revisions(
    observations: pd.DataFrame,
    *,
    series: Sequence[str] | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> pd.DataFrame:
    """Return every change of a value that had been known, newest first: what, when, how much.

    Kinds: ``revised`` (the same source says something else), ``replaced`` (a source of higher precedence does),
    ``withdrawn`` (a quality rule took it away after it had been believed), ``released`` (a person put it back).

    Parameters
    ----------
    observations:
        Table ``observations`` of one pair.
    series:
        Only these.
    since, until:
        Only changes known in this span of instants.
    """
    rows = observations if series is None else observations[observations["series"].isin(list(series))]
    rows = rows.sort_values([*_VERSION, "available_at", "retrieved_at"], kind="stable").reset_index(drop=True)
    available, withdrawn = _us(rows["available_at"]), _us(rows["withdrawn_at"])
    born_bad = withdrawn <= available
    earlier = rows.shift(1)
    chained = (rows[_VERSION] == earlier[_VERSION]).all(axis=1).to_numpy(bool)
    records: list[dict[str, Any]] = []
    for at in np.flatnonzero(chained & ~born_bad):
        before = rows.iloc[at - 1]
        kind = "revised" if before["source"] == rows["source"].iloc[at] else "replaced"
        if withdrawn[at - 1] < available[at]:
            kind = "released" if before["value"] == rows["value"].iloc[at] else kind
        records.append(_record(kind, before, rows.iloc[at], rows["available_at"].iloc[at], before["reason"]))
    taken = rows["rule"].notna().to_numpy(bool) & (rows["rule"] != "revision").to_numpy(bool) & ~born_bad
    for at in np.flatnonzero(taken & ~np.isnat(withdrawn)):
        row = rows.iloc[at]
        records.append(_record("withdrawn", row, None, row["withdrawn_at"], f"{row['rule']}: {row['reason']}"))
    frame = pd.DataFrame(records, columns=list(REVISION_COLUMNS))
    for bound, keep in ((since, "ge"), (until, "le")):
        if bound is not None and len(frame):
            frame = frame[getattr(frame["new_known_at"], keep)(pd.Timestamp(bound))]
    return frame.sort_values(["new_known_at", "series", "event_date"], ascending=[False, True, True]).reset_index(
        drop=True
    )


def diff(observations: pd.DataFrame, first: AsOf, second: AsOf, *, series: Sequence[str] | None = None) -> pd.DataFrame:
    """Return how what was known at a second instant differs from what was known at a first.

    Kinds: ``new`` (a date not known before), ``changed``, ``gone`` (withdrawn since).
    """
    rows = observations if series is None else observations[observations["series"].isin(list(series))]
    old, new = known_as_of(rows, first), known_as_of(rows, second)
    both = old.merge(new, on=["series", "event_date"], how="outer", suffixes=("_first", "_second"), indicator=True)
    kind = both["_merge"].astype(str).map({"left_only": "gone", "right_only": "new", "both": "changed"})
    same = (both["_merge"] == "both") & (both["value_first"] == both["value_second"])
    frame = pd.DataFrame(
        {
            "series": both["series"],
            "event_date": both["event_date"],
            "kind": kind,
            "first_value": both["value_first"],
            "second_value": both["value_second"],
            "change": both["value_second"] - both["value_first"],
            "change_percent": _percent(both["value_first"].to_numpy(float), both["value_second"].to_numpy(float)),
            "source": both["source_second"].where(both["source_second"].notna(), both["source_first"]),
        }
    )[~same]
    return frame.sort_values(["series", "event_date"]).reset_index(drop=True)


def _record(kind: str, before: Any, after: Any, known_at: Any, reason: Any) -> dict[str, Any]:
    old, new = float(before["value"]), float("nan") if after is None else float(after["value"])
    return {
        "series": before["series"],
        "event_date": before["event_time"].tz_localize(None),
        "kind": kind,
        "old_value": old,
        "new_value": new,
        "change": new - old,
        "change_percent": float(_percent(np.array([old]), np.array([new]))[0]),
        "old_source": before["source"],
        "new_source": None if after is None else after["source"],
        "old_known_at": before["available_at"],
        "new_known_at": known_at,
        "reason": None if pd.isna(reason) else reason,
    }


def _percent(old: npt.NDArray[np.float64], new: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out = np.full(len(old), np.nan)
    np.divide(100.0 * (new - old), np.abs(old), out=out, where=old != 0)
    return out


def _us(instants: pd.Series[Any]) -> npt.NDArray[np.datetime64]:
    return np.asarray(instants.dt.tz_convert(None), dtype="datetime64[us]")
