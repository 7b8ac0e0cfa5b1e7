"""Fallback chains: who serves which date, who is asked at all, and what is recorded of the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.errors import SourceError
from forex_assets.market.chain import Resolved, Window, due_dates, missing_windows, resolve
from forex_assets.market.contract import FRAME_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.sources.folder import within
from forex_assets.settings import SeriesSpec

# Friday noon in Santiago: Friday's fixing is known, Monday's is not.
NOW = dt.datetime(2025, 6, 13, 16, tzinfo=dt.UTC)
WINDOW = Window(start=dt.date(1999, 1, 1), live_start=dt.date(2024, 1, 2), now=NOW)
NOTHING = np.empty(0, dtype="datetime64[D]")


@dataclass
class Scripted:
    """A source that holds the given values, and remembers what it was asked."""

    name: str
    values: Mapping[str, float] = field(default_factory=dict)
    is_local: bool = True
    off: str | None = None
    broken: str | None = None
    now: dt.datetime = NOW
    asked: list[tuple[str, str]] = field(default_factory=list)

    def not_configured(self, series: SeriesSpec) -> str | None:
        return self.off

    def fetch(self, request: FetchRequest) -> FetchResult:
        self.asked.append((request.start.isoformat(), request.end.isoformat()))
        if self.broken:
            raise SourceError(self.broken, remedy="wait.")
        frame = pd.DataFrame(
            {
                "event_date": pd.to_datetime(list(self.values)).astype("datetime64[ns]"),
                "value": list(self.values.values()),
            }
        ).sort_values("event_date")
        for column in ("open", "high", "low"):
            frame[column] = np.nan
        return FetchResult(within(frame[list(FRAME_COLUMNS)], request), "0" * 64, self.now)


def sessions(start: str, end: str, value: float = 900.0) -> dict[str, float]:
    return {str(day): value for day in calendar_for("CL").sessions(start, end)}


def run(spec: SeriesSpec, *sources: Scripted, held: np.ndarray = NOTHING, window: Window = WINDOW) -> Resolved:
    return resolve(spec, [source.name for source in sources], {source.name: source for source in sources}, window, held)


def test_the_first_source_in_the_chain_that_has_a_date_serves_it(series: dict[str, SeriesSpec]) -> None:
    first = Scripted("folder", sessions("2024-06-03", "2025-06-13", 1.0))
    second = Scripted("embedded", sessions("2024-01-02", "2025-01-31", 2.0))
    frame = run(series["usdclp_fixing"], first, second).frame
    assert set(frame.loc[frame["event_date"] >= "2024-06-03", "source"]) == {"folder"}
    assert set(frame.loc[frame["event_date"] < "2024-06-03", "source"]) == {"embedded"}
    assert frame["event_date"].is_monotonic_increasing
    assert frame["event_date"].is_unique


def test_every_source_has_an_outcome_in_the_declared_order(series: dict[str, SeriesSpec]) -> None:
    outcomes = run(
        series["usdclp_fixing"],
        Scripted("siete", is_local=False, off="BCCH_USER and BCCH_PASS are not set"),
        Scripted("mindicador", is_local=False, broken="mindicador.cl cannot be reached"),
        Scripted("other", is_local=False),
        Scripted("folder", sessions("2024-01-02", "2025-05-30")),
        Scripted("embedded", sessions("2024-01-02", "2025-05-30")),
    ).outcomes
    assert [(item.rank, item.source, item.state) for item in outcomes] == [
        (1, "siete", "not_configured"),
        (2, "mindicador", "failed"),
        (3, "other", "empty"),
        (4, "folder", "answered"),
        (5, "embedded", "not_needed"),
    ]
    assert outcomes[0].reason == "BCCH_USER and BCCH_PASS are not set"
    assert outcomes[1].reason == "mindicador.cl cannot be reached"
    assert outcomes[4].reason is not None
    assert "served by folder" in outcomes[4].reason
    assert (outcomes[3].first_event, outcomes[3].last_event) == (dt.date(2024, 1, 2), dt.date(2025, 5, 30))


def test_live_source_is_asked_only_for_what_is_missing_and_thirty_days_more(series: dict[str, SeriesSpec]) -> None:
    live = Scripted("mindicador", sessions("2024-01-02", "2025-06-13", 1.0), is_local=False)
    local = Scripted("embedded", sessions("2024-01-02", "2025-05-30", 2.0))
    resolved = run(series["usdclp_fixing"], live, local)
    # 2 June 2025 is the first date missing.
    assert live.asked == [("2025-05-03", "2025-06-23")]
    assert [item.state for item in resolved.outcomes] == ["answered", "answered"]
    overlap = resolved.frame[resolved.frame["event_date"].between("2025-05-05", "2025-05-30")]
    assert set(overlap["source"]) == {"mindicador"}, "in the overlap the declared order holds"


def test_live_source_is_not_asked_when_nothing_is_missing(series: dict[str, SeriesSpec]) -> None:
    live = Scripted("mindicador", is_local=False)
    resolved = run(series["usdclp_fixing"], live, Scripted("embedded", sessions("2024-01-02", "2025-06-13")))
    assert live.asked == []
    assert resolved.outcomes[0].state == "not_needed"
    assert "2025-06-13" in (resolved.outcomes[0].reason or "")


def test_what_is_stored_counts_as_covered(series: dict[str, SeriesSpec]) -> None:
    live = Scripted("mindicador", sessions("2024-01-02", "2025-06-13"), is_local=False)
    held = calendar_for("CL").sessions("2024-01-02", "2025-06-10")
    run(series["usdclp_fixing"], live, held=held)
    assert live.asked == [("2025-05-12", "2025-06-23")]


def test_second_live_source_is_asked_only_for_what_the_first_left(series: dict[str, SeriesSpec]) -> None:
    first = Scripted("siete", sessions("2024-01-02", "2025-06-13"), is_local=False)
    second = Scripted("mindicador", is_local=False)
    outcomes = run(series["usdclp_fixing"], first, second).outcomes
    assert first.asked == [("2024-01-02", "2025-06-23")]
    assert second.asked == []
    assert [item.state for item in outcomes] == ["answered", "not_needed"]


def test_long_gap_inside_the_history_is_filled_a_short_one_is_not(series: dict[str, SeriesSpec]) -> None:
    spec = series["usdclp_fixing"]
    every = calendar_for("CL").sessions("2024-01-02", "2025-06-13")
    short = every[(every < np.datetime64("2024-05-06")) | (every > np.datetime64("2024-05-09"))]
    assert missing_windows(spec, WINDOW, short) == []
    long = every[(every < np.datetime64("2024-05-06")) | (every > np.datetime64("2024-05-31"))]
    assert missing_windows(spec, WINDOW, long) == [(dt.date(2024, 4, 6), dt.date(2024, 6, 30))]


def test_gaps_whose_overlaps_meet_are_asked_in_one_window(series: dict[str, SeriesSpec]) -> None:
    every = calendar_for("CL").sessions("2024-01-02", "2025-06-13")
    held = every[(every > np.datetime64("2024-02-01")) & (every < np.datetime64("2024-03-01"))]
    assert missing_windows(series["usdclp_fixing"], WINDOW, held) == [(dt.date(2024, 1, 2), dt.date(2025, 6, 23))]


def test_monthly_series_is_due_by_month(series: dict[str, SeriesSpec]) -> None:
    due = due_dates(series["ipc_yoy"], dt.date(2025, 1, 1), NOW)
    assert [str(day) for day in due] == ["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01", "2025-05-01"]


def test_the_fixing_of_monday_is_due_on_friday_evening(series: dict[str, SeriesSpec]) -> None:
    spec = series["usdclp_fixing"]
    noon, evening = NOW, dt.datetime(2025, 6, 13, 22, tzinfo=dt.UTC)
    assert str(due_dates(spec, dt.date(2025, 6, 2), noon)[-1]) == "2025-06-13"
    assert str(due_dates(spec, dt.date(2025, 6, 2), evening)[-1]) == "2025-06-16"


@given(data=st.data())
def test_every_date_is_served_by_its_first_holder_whatever_the_sources_hold(
    series: dict[str, SeriesSpec], data: st.DataObject
) -> None:
    days = [str(day) for day in calendar_for("CL").sessions("2024-01-02", "2024-03-28")]
    holdings = data.draw(st.lists(st.sets(st.sampled_from(days)), min_size=1, max_size=4))
    sources = [Scripted(f"s{place}", dict.fromkeys(sorted(held), float(place))) for place, held in enumerate(holdings)]
    frame = run(series["usdclp_fixing"], *sources).frame
    expected = {day: next(p for p, held in enumerate(holdings) if day in held) for day in set().union(*holdings)}
    assert dict(zip(frame["event_date"].dt.strftime("%Y-%m-%d"), frame["value"], strict=True)) == expected


@pytest.mark.capability("L18")
def test_failure_of_one_source_never_hides_another(series: dict[str, SeriesSpec]) -> None:
    resolved = run(
        series["usdclp_fixing"],
        Scripted("folder", broken="folder file x.csv has no column 'value'"),
        Scripted("embedded", sessions("2024-01-02", "2025-06-13")),
    )
    assert [item.state for item in resolved.outcomes] == ["failed", "answered"]
    assert len(resolved.frame) > 300
