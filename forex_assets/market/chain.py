"""Fallback chains: which source serves which date of a series, and what became of every source in the chain.

Precedence is per date, in the declared order. Local sources (shipped files, a folder, a package's history) cost nothing
and are read first, to establish what is covered; live ones are then asked only for what is missing, plus an overlap in
which a revision would show.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from forex_assets.arrays import Dates
from forex_assets.clock import calendar_for
from forex_assets.errors import SourceError
from forex_assets.market.contract import AVAILABLE_AT, FRAME_COLUMNS, FetchRequest, FetchResult, References, Source
from forex_assets.market.publication import PUBLISHED_AHEAD, available_at
from forex_assets.market.tabular import empty_frame
from forex_assets.market.vintages.archive import Asked
from forex_assets.market.vintages.recording import recording
from forex_assets.settings import SeriesSpec

State = Literal["answered", "not_needed", "not_configured", "failed", "empty"]
SERVED_COLUMNS = (*FRAME_COLUMNS, "source", "payload_hash", "retrieved_at", AVAILABLE_AT)

#: Live sources are asked this much more than what is missing, so that revisions show.
OVERLAP_DAYS = 30
#: Fewer missing dates in a row than this, inside the history, are holidays of the source rather than a gap to fill.
SHORTEST_GAP = 5
_AHEAD_DAYS = {"uf": 40, "previous_business_day": 10}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source of a chain."""

    source: str
    rank: int
    state: State
    rows: int = 0
    first_event: dt.date | None = None
    last_event: dt.date | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Resolved:
    """A series as its chain answered.

    Parameters
    ----------
    frame:
        One row per date (:data:`SERVED_COLUMNS`).
    outcomes:
        What became of every source.
    earlier:
        Versions of those dates that their source has since replaced, where it tells (the same columns).
    asked:
        The payloads taken in from every source that was asked, whatever became of them.
    """

    frame: pd.DataFrame
    outcomes: tuple[Outcome, ...]
    earlier: pd.DataFrame | None = None
    asked: tuple[Asked, ...] = ()


@dataclass(frozen=True)
class Window:
    """The dates of interest of one ingestion.

    Parameters
    ----------
    start:
        First event date taken from local sources.
    live_start:
        First event date live sources are asked for.
    now:
        The moment of the ingestion (UTC).
    """

    start: dt.date
    live_start: dt.date
    now: dt.datetime

    def end(self, spec: SeriesSpec) -> dt.date:
        """Return the last event date that can be known now: later than today for series published ahead."""
        return self.now.date() + dt.timedelta(days=_AHEAD_DAYS.get(spec.publication.rule, 1))


def resolve(
    spec: SeriesSpec,
    chain: Sequence[str],
    sources: Mapping[str, Source],
    window: Window,
    held: Dates,
    references: References | None = None,
) -> Resolved:
    """Ask a series' sources and choose, for every date, the first in the chain that has it.

    Parameters
    ----------
    spec:
        The series.
    chain:
        Source names, highest precedence first.
    sources:
        The sources by name.
    window:
        The dates of interest.
    held:
        Event dates already stored; they count as covered.
    references:
        Where sources find the rows of another series, to check their dates against.
    """
    answers: dict[str, FetchResult] = {}
    outcomes: dict[str, Outcome] = {}
    asked: list[Asked] = []
    rank = {name: place for place, name in enumerate(chain, start=1)}
    covered = np.asarray(held, dtype="datetime64[D]")
    for name in sorted(chain, key=lambda item: (not sources[item].is_local, rank[item])):
        source = sources[name]
        why = source.not_configured(spec)
        if why is not None:
            outcomes[name] = Outcome(name, rank[name], "not_configured", reason=why)
            continue
        if source.is_local:
            windows = [(max(window.start, first_event_date(spec)), window.end(spec))]
        else:
            windows = missing_windows(spec, window, covered)
        if not windows:
            reach = covered.max() if covered.size else None
            outcomes[name] = Outcome(
                name, rank[name], "not_needed", reason=f"everything published so far is held already, up to {reach}"
            )
            continue
        with recording() as taken:
            try:
                answer = _fetch_all(source, spec, windows, references)
            except SourceError as error:
                outcomes[name] = Outcome(name, rank[name], "failed", reason=error.message)
                asked.append(Asked(name, spec.id, window.now, tuple(taken), None))
                continue
        asked.append(Asked(name, spec.id, window.now, tuple(taken), answer.payload_hash))
        answers[name] = answer
        covered = np.union1d(covered, answer.frame["event_date"].to_numpy("datetime64[D]"))
    frame = _choose(chain, answers)
    for name, answer in answers.items():
        outcomes[name] = _outcome(name, rank[name], answer, frame)
    told = tuple(outcomes[name] for name in chain)
    return Resolved(frame, told, _earlier_versions(frame, answers), tuple(asked))


def first_event_date(spec: SeriesSpec) -> dt.date:
    """Return the first event date of a series whose publication the calendar can date (1999 for most)."""
    calendar = calendar_for(spec.calendar)
    start = max(calendar.first, dt.date(1999, 1, 1))
    sessions = calendar.sessions(start, start + dt.timedelta(days=31))
    day: dt.date = sessions[1 if spec.publication.rule == "previous_business_day" else 0].item()
    return start if spec.frequency == "monthly" else day


def due_dates(spec: SeriesSpec, start: dt.date, now: dt.datetime) -> Dates:
    """Return the event dates from ``start`` on that the publication rule says are known now."""
    today = np.datetime64(now.date(), "D")
    ahead = np.timedelta64(_AHEAD_DAYS.get(spec.publication.rule, 1), "D")
    if spec.frequency == "monthly":
        dates = np.arange(np.datetime64(start, "M"), today.astype("datetime64[M]") + 1).astype("datetime64[D]")
    else:
        dates = calendar_for(spec.calendar).sessions(start, today + ahead)
    known = available_at(spec, dates) <= np.datetime64(now.astimezone(dt.UTC).replace(tzinfo=None), "us")
    return dates[known]


def missing_windows(spec: SeriesSpec, window: Window, covered: Dates) -> list[tuple[dt.date, dt.date]]:
    """Return the windows live sources are asked for: what is due and not covered, plus an overlap.

    Inside the history only gaps of at least :data:`SHORTEST_GAP` dates count (two, for a monthly series); at the end
    every missing date does.
    """
    due = due_dates(spec, max(window.live_start, first_event_date(spec)), window.now)
    absent = np.flatnonzero(~np.isin(due, covered))
    if not absent.size:
        return []
    runs = np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1)
    shortest = 2 if spec.frequency == "monthly" else SHORTEST_GAP
    overlap = dt.timedelta(days=OVERLAP_DAYS)
    first, last = max(window.live_start, first_event_date(spec)), window.end(spec)
    windows: list[tuple[dt.date, dt.date]] = []
    for run in runs:
        at_end = run[-1] == len(due) - 1
        if len(run) < shortest and not at_end:
            continue
        low = max(first, due[run[0]].item() - overlap)
        high = last if at_end else min(last, due[run[-1]].item() + overlap)
        if windows and low <= windows[-1][1]:
            windows[-1] = (windows[-1][0], high)
        else:
            windows.append((low, high))
    return windows


def _fetch_all(
    source: Source, spec: SeriesSpec, windows: Sequence[tuple[dt.date, dt.date]], references: References | None
) -> FetchResult:
    results = [source.fetch(FetchRequest(spec, low, high, references)) for low, high in windows]
    if len(results) == 1:
        return results[0]
    frame = pd.concat([result.frame for result in results], ignore_index=True)
    notes = dict.fromkeys(result.note for result in results if result.note)
    frame = frame.drop_duplicates("event_date", keep="last").sort_values("event_date").reset_index(drop=True)
    versions = [result.earlier for result in results if result.earlier is not None]
    earlier = pd.concat(versions, ignore_index=True).drop_duplicates() if versions else None
    return FetchResult(
        frame, results[-1].payload_hash, results[-1].retrieved_at, "; ".join(notes) or None, earlier=earlier
    )


def _choose(chain: Sequence[str], answers: Mapping[str, FetchResult]) -> pd.DataFrame:
    parts = [
        _stamped(name, answers[name], answers[name].frame)
        for name in chain
        if name in answers and len(answers[name].frame)
    ]
    if not parts:
        empty = empty_frame().assign(source=pd.Series(dtype=object), payload_hash=pd.Series(dtype=object))
        instants = dict.fromkeys(("retrieved_at", AVAILABLE_AT), pd.Series(dtype="datetime64[ns, UTC]"))
        return empty.assign(**instants)
    together = pd.concat(parts, ignore_index=True).drop_duplicates("event_date", keep="first")
    return together.sort_values("event_date", kind="stable").reset_index(drop=True)


def _stamped(name: str, answer: FetchResult, rows: pd.DataFrame) -> pd.DataFrame:
    told = rows[AVAILABLE_AT] if AVAILABLE_AT in rows.columns else pd.Series(pd.NaT, index=rows.index)
    frame = rows.assign(
        source=name,
        payload_hash=answer.payload_hash,
        retrieved_at=pd.Timestamp(answer.retrieved_at).tz_convert("UTC"),
        **{AVAILABLE_AT: pd.to_datetime(told, utc=True).astype("datetime64[ns, UTC]")},
    )
    return frame[list(SERVED_COLUMNS)]


def _earlier_versions(frame: pd.DataFrame, answers: Mapping[str, FetchResult]) -> pd.DataFrame | None:
    """Return earlier versions of the dates each source serves."""
    parts = []
    for name, answer in answers.items():
        if answer.earlier is not None and len(answer.earlier):
            served = frame.loc[frame["source"] == name, "event_date"]
            parts.append(_stamped(name, answer, answer.earlier[answer.earlier["event_date"].isin(served)]))
    return pd.concat(parts, ignore_index=True) if parts else None


def _outcome(name: str, rank: int, answer: FetchResult, frame: pd.DataFrame) -> Outcome:
    if not len(answer.frame):
        return Outcome(name, rank, "empty", reason=answer.note or "it answered without any row for the dates asked")
    dates = frame.loc[frame["source"] == name, "event_date"]
    if not len(dates):
        others = ", ".join(frame["source"].unique())
        return Outcome(name, rank, "not_needed", reason=f"all its {len(answer.frame)} dates were served by {others}")
    return Outcome(name, rank, "answered", len(dates), dates.min().date(), dates.max().date(), answer.note)


def is_published_ahead(spec: SeriesSpec) -> bool:
    """Return whether a series' values carry dates after the day they become known."""
    return spec.publication.rule in PUBLISHED_AHEAD
