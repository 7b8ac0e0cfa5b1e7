"""The report's section on data quality: coverage by month, what is wrong with a feed, what was revised."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from forex_assets.arrays import Dates
from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.market.quality import FeedFinding, judge_feeds, with_witnesses
from forex_assets.settings import PairSpec, QualitySettings, SeriesSpec
from forex_assets.settings.feeds import FeedSettings

MONTHS = 24
NEWEST_REVISIONS = 10
Shade = Literal["full", "most", "part", "none", "outside"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One month of one series: sessions expected, those with a usable value, and those whose value was withdrawn."""

    month: dt.date
    expected: int
    present: int
    withdrawn: int

    @property
    def shade(self) -> Shade:
        """How full the month is; ``outside`` where nothing was expected."""
        if not self.expected:
            return "outside"
        share = self.present / self.expected
        return "full" if share >= 1 else "most" if share >= 0.9 else "part" if share > 0 else "none"


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One series by month, oldest first."""

    series: str
    cells: tuple[Cell, ...]
    present: int
    expected: int


@dataclass(frozen=True)
class DataQuality:
    """What the section shows.

    Parameters
    ----------
    coverage:
        One row per series of the pair.
    feeds:
        What the feed rules found or could not tell, worst first.
    clear:
        Number of answers that were clear.
    revisions, revised:
        The newest changes of values that had been known, and how many there are in all.
    """

    coverage: tuple[CoverageRow, ...] = ()
    feeds: tuple[FeedFinding, ...] = ()
    clear: int = 0
    revisions: pd.DataFrame = field(default_factory=pd.DataFrame)
    revised: int = 0


def data_quality(
    observations: pd.DataFrame,
    pair: PairSpec,
    series: Mapping[str, SeriesSpec],
    feeds: FeedSettings,
    quality: QualitySettings,
    *,
    as_of: dt.date,
    others: Iterable[pd.DataFrame] = (),
) -> DataQuality:
    """Return the section's content from the pair's observations as known at the end of ``as_of``.

    The series that only other pairs hold (``others``: their observations) testify about dates.
    """
    from forex_assets.market.vintages.revisions import revisions

    (end,) = as_of_instants(np.array([as_of], dtype="datetime64[D]"))
    instant = pd.Timestamp(end, tz="UTC")
    specs = {name: series[name] for name in pair.all_series if name in series}
    known = observations.loc[observations["available_at"] <= instant]
    rows, witnesses = with_witnesses(known, specs, others, series)
    judged = judge_feeds(rows, specs, feeds, quality, as_of=instant.to_pydatetime(), witnesses=witnesses)
    changed = revisions(known, until=instant.to_pydatetime())
    order = {"found": 0, "unknown": 1}
    shown = sorted((item for item in judged if item.state in order), key=lambda item: order[item.state])
    return DataQuality(
        coverage=tuple(_coverage(known, spec, instant, as_of) for spec in specs.values()),
        feeds=tuple(shown),
        clear=sum(item.state == "clear" for item in judged),
        revisions=changed.head(NEWEST_REVISIONS),
        revised=len(changed),
    )


def _coverage(known: pd.DataFrame, spec: SeriesSpec, instant: pd.Timestamp, as_of: dt.date) -> CoverageRow:
    rows = known.loc[known["series"] == spec.id]
    dates = rows["event_time"].dt.tz_convert(None).to_numpy().astype("datetime64[D]")
    gone = (rows["withdrawn_at"].notna() & (rows["withdrawn_at"] <= instant)).to_numpy(dtype=bool)
    good = np.unique(dates[~gone])
    bad = np.setdiff1d(dates[gone], good)
    last = np.datetime64(as_of, "M")
    # What is younger than the series' allowed age is not owed yet; before its first value a series owed nothing.
    due = calendar_for(spec.calendar).add(
        calendar_for(spec.calendar).roll_back(np.array([as_of], dtype="datetime64[D]")), -spec.max_age_business_days
    )[0]
    first = good[0] if len(good) else np.datetime64("NaT", "D")
    start = (last - MONTHS + 1).astype("datetime64[D]")
    good, bad = good[good >= start], bad[bad >= start]
    cells = tuple(_cell(spec, month, good, bad, first, due) for month in np.arange(last - MONTHS + 1, last + 1))
    return CoverageRow(spec.id, cells, sum(c.present for c in cells), sum(c.expected for c in cells))


def _cell(
    spec: SeriesSpec, month: np.datetime64, good: Dates, bad: Dates, first: np.datetime64, due: np.datetime64
) -> Cell:
    start, end = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]") - 1
    monthly = spec.frequency == "monthly"
    expected = np.array([start]) if monthly else calendar_for(spec.calendar).sessions(start, end)
    owed = expected[(expected >= first) & ((expected <= due) | np.isin(expected, good))]
    present = int(np.isin(owed, good).sum())
    return Cell(start.item(), len(owed), present, int(((bad >= start) & (bad <= end)).sum()))
