"""How every series of a pair stands, and whether what is kept of it is whole."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from forex_assets.clock import AsOf, calendar_for
from forex_assets.market.vintages.archive import SHIPPED, RawArchive
from forex_assets.market.vintages.revisions import known_as_of
from forex_assets.settings import PairSpec, Settings

State = Literal["fresh", "stale", "missing"]


@dataclass(frozen=True, slots=True)
class SeriesStatus:
    """One series as it stands.

    Parameters
    ----------
    series, label, unit:
        What it is.
    state:
        ``fresh``, ``stale`` (older than the catalogue allows) or ``missing``.
    value, event_date, source, known_at:
        The newest good value: its date, who gave it, when it became known.
    age_sessions:
        Sessions of its calendar since.
    values:
        Dates with a good value.
    revised, quarantined, released:
        Rows replaced by a newer version, withdrawn by a rule, and put back by a person.
    retrievals:
        Retrievals kept in the archive.
    """

    series: str
    label: str
    unit: str
    state: State
    value: float | None
    event_date: dt.date | None
    source: str | None
    known_at: dt.datetime | None
    age_sessions: int | None
    values: int
    revised: int
    quarantined: int
    released: int
    retrievals: int


def series_status(
    observations: pd.DataFrame,
    settings: Settings,
    pair: PairSpec,
    *,
    now: dt.datetime,
    archive: RawArchive,
    releases: pd.DataFrame | None = None,
) -> list[SeriesStatus]:
    """Return the status of every series of a pair at ``now``, the target first."""
    as_of = AsOf(now)
    known = known_as_of(observations, as_of)
    put_back = set() if releases is None else set(releases["series"])
    out = []
    for name in pair.all_series:
        spec = settings.series[name]
        good = known[known["series"] == name]
        mine = observations[observations["series"] == name]
        replaced = int((mine["rule"] == "revision").sum())
        released = int((releases["series"] == name).sum()) if releases is not None and name in put_back else 0
        quarantined = int(mine["withdrawn_at"].notna().sum()) - replaced
        kept = sum(len(archive.retrievals(source, name)) for source in pair.chains[name] if source not in SHIPPED)
        newest = good.iloc[-1] if len(good) else None
        day = None if newest is None else newest["event_date"].date()
        age = None
        if day is not None:
            span = np.array([day, as_of.date], dtype="datetime64[D]")
            age = max(0, int(calendar_for(spec.calendar).count(span[:1], span[1:])[0]))
        state: State = "missing" if age is None else "stale" if age > spec.max_age_business_days else "fresh"
        out.append(
            SeriesStatus(
                name,
                spec.label,
                spec.unit,
                state,
                None if newest is None else float(newest["value"]),
                day,
                None if newest is None else str(newest["source"]),
                None if newest is None else newest["available_at"].to_pydatetime(),
                age,
                len(good),
                replaced,
                quarantined,
                released,
                kept,
            )
        )
    return out


def unarchived(observations: pd.DataFrame, archive: RawArchive) -> list[str]:
    """Return, by name, the live rows whose payload is not in the archive (rows stored before there was one)."""
    found = []
    live = observations[~observations["source"].isin(SHIPPED)]
    for (source, series), rows in live.groupby(["source", "series"], sort=True):
        contents = archive.contents(str(source), str(series))
        known = {item.result_hash for item in contents.retrievals} | set(contents.by_hash)
        lost = int((~rows["payload_hash"].isin(known)).sum())
        if lost:
            found.append(f"{series} from {source}: the payload of {lost} of {len(rows)} rows is not in the archive")
    return found
