"""What the rules found, counted, and which sessions have no usable value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

from forex_assets.clock import BusinessCalendar
from forex_assets.market.quality.rules import RULES
from forex_assets.settings import SeriesSpec

ACCEPTED = "accepted"


def gap_report(
    observations: pd.DataFrame, spec: SeriesSpec, calendar: BusinessCalendar, start: dt.date, end: dt.date
) -> pd.DataFrame:
    """Return the runs of expected dates from ``start`` to ``end`` (both included) without a usable value.

    Expected are the sessions of ``calendar``, or the first of each month for a monthly series. Columns: ``series``,
    ``first_missing``, ``last_missing``, ``missing`` (expected dates in the run) and ``withdrawn`` (those of them for
    which rows exist but are all withdrawn).
    """
    if spec.frequency == "monthly":
        first = np.datetime64(start, "M")
        first += int(first.astype("datetime64[D]") < np.datetime64(start, "D"))
        expected = np.arange(first, np.datetime64(end, "M") + 1).astype("datetime64[D]")
    else:
        expected = calendar.sessions(np.datetime64(start, "D"), np.datetime64(end, "D"))
    own = observations[observations["series"] == spec.id]
    dates = own["event_time"].dt.tz_convert(None).to_numpy().astype("datetime64[D]")
    good = own["withdrawn_at"].isna().to_numpy() if "withdrawn_at" in own.columns else np.ones(len(own), dtype=bool)
    place = np.flatnonzero(~np.isin(expected, dates[good]))
    if not len(place):
        return pd.DataFrame(
            {
                "series": pd.Series([], dtype=object),
                "first_missing": pd.Series([], dtype="datetime64[ns]"),
                "last_missing": pd.Series([], dtype="datetime64[ns]"),
                "missing": pd.Series([], dtype="int64"),
                "withdrawn": pd.Series([], dtype="int64"),
            }
        )
    starts = np.flatnonzero(np.concatenate([[True], np.diff(place) > 1]))
    ends = np.concatenate([starts[1:] - 1, [len(place) - 1]])
    withdrawn = np.isin(expected[place], dates[~good]).astype(np.int64)
    return pd.DataFrame(
        {
            "series": spec.id,
            "first_missing": expected[place[starts]].astype("datetime64[ns]"),
            "last_missing": expected[place[ends]].astype("datetime64[ns]"),
            "missing": (ends - starts + 1).astype(np.int64),
            "withdrawn": np.add.reduceat(withdrawn, starts),
        }
    )


def quality_summary(observations: pd.DataFrame, specs: Mapping[str, SeriesSpec] | None = None) -> pd.DataFrame:
    """Return how many rows of each series each rule withdrew, and how many stand (rule ``accepted``).

    Columns: ``series``, ``rule``, ``state``, ``rows``, ``share`` of the series' rows, ``first_event``, ``last_event``.
    With ``specs`` every rule has a row, and its state says *found*, *clear*, *off* (not declared for the series) or
    *unknown* (the reference it needs is not there): a rule that could not look never reads as clear.
    """
    series = observations["series"].astype(object)
    rule = observations["rule"].astype(object).where(observations["withdrawn_at"].notna(), ACCEPTED)
    dates = observations["event_time"].dt.tz_localize(None)
    counted = (
        pd.DataFrame({"series": series, "rule": rule, "date": dates})
        .groupby(["series", "rule"], sort=False)["date"]
        .agg(rows="size", first_event="min", last_event="max")
    )
    order = [ACCEPTED, *RULES]
    present = sorted(set(series))
    wanted = [(name, each) for name in present for each in order if specs is not None or (name, each) in counted.index]
    out = counted.reindex(pd.MultiIndex.from_tuples(wanted, names=["series", "rule"])).reset_index()
    out["rows"] = out["rows"].fillna(0).astype("int64")
    out["share"] = out["rows"] / out["series"].map(series.value_counts()).to_numpy(dtype=np.float64)
    states = [
        ACCEPTED if each == ACCEPTED else _state(each, count, None if specs is None else specs[name], present)
        for name, each, count in zip(out["series"], out["rule"], out["rows"], strict=True)
    ]
    out.insert(2, "state", pd.Series(states, dtype=object))
    return out[["series", "rule", "state", "rows", "share", "first_event", "last_event"]]


def _state(rule: str, count: int, spec: SeriesSpec | None, present: list[str]) -> str:
    if count:
        return "found"
    if spec is not None:
        declared = {
            "jump": spec.quality.jump,
            "spike": spec.quality.jump,
            "outlier": spec.quality.outliers,
            "stale": spec.quality.stale,
            "high_low": spec.quality.high_low,
            "calendar": spec.quality.calendar != "any" or spec.frequency == "monthly",
            "cross_source": spec.reference is not None,
        }
        if not declared.get(rule, True):
            return "off"
        if rule == "cross_source" and spec.reference is not None and spec.reference.series not in present:
            return "unknown"
    return "clear"
