"""Events: known as of any moment, rules told from facts, imports known from their import on."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pandas as pd
import pytest

from forex_assets.clock import AsOf, calendar_for
from forex_assets.clock.events import EVENT_COLUMNS, dated_days, events_known
from forex_assets.clock.imports import read_events
from forex_assets.errors import ConfigError, ValidationError
from forex_assets.settings import packaged_config_dir
from forex_assets_tests.market.shipped import read_embedded


def dates(rows: pd.DataFrame, event: str) -> list[str]:
    return rows.loc[rows["event"] == event, "date"].dt.strftime("%Y-%m-%d").tolist()


@pytest.mark.capability("K26")
def test_every_move_of_the_fed_follows_a_meeting_of_the_table() -> None:
    meetings = events_known("2025-06-13", start=dt.date(2015, 1, 1)).query("event == 'fomc'")["date"]
    rate = read_embedded("fed_funds").set_index("date")["value"]
    moves = rate.diff()
    moved = moves[(moves.abs() >= 0.2) & (moves.index >= "2015-12-01")].index
    assert len(moved) > 20
    gaps = [min((day - meeting).days for meeting in meetings if meeting < day) for day in moved]
    assert max(gaps) <= 4


@pytest.mark.capability("K26", "K13")
def test_a_meeting_given_up_for_another_was_known_before_and_is_gone_after() -> None:
    span = {"start": dt.date(2020, 3, 1), "end": dt.date(2020, 3, 31)}
    assert dates(events_known("2020-03-02", **span), "fomc") == ["2020-03-18"]
    assert dates(events_known("2020-03-04", **span), "fomc") == ["2020-03-03", "2020-03-18"]
    assert dates(events_known("2020-03-16", **span), "fomc") == ["2020-03-03", "2020-03-15"]
    moved = {"start": dt.date(2025, 10, 1), "end": dt.date(2025, 10, 31)}
    assert dates(events_known("2025-10-01", **moved), "us_cpi") == ["2025-10-15"]
    assert dates(events_known("2025-10-11", **moved), "us_cpi") == ["2025-10-24"]


def test_nothing_is_known_before_it_was_public() -> None:
    assert dates(events_known("2024-08-08", start=dt.date(2026, 1, 1), end=dt.date(2026, 12, 31)), "fomc") == []
    known = events_known("2024-08-10", start=dt.date(2026, 1, 1), end=dt.date(2026, 12, 31))
    assert len(dates(known, "fomc")) == 8
    later = events_known("2025-03-01")
    assert (later["known_from"] <= AsOf.parse("2025-03-01").instant).all()
    assert tuple(later.columns) == EVENT_COLUMNS
    assert (later["at"].dropna().diff().dropna() >= pd.Timedelta(0)).all()


def test_rules_are_labelled_and_give_way_to_dates() -> None:
    rows = events_known("2025-06-13", start=dt.date(2025, 1, 1), end=dt.date(2026, 3, 31))
    nfp = rows[rows["event"] == "us_nfp"].set_index("period")
    assert nfp.loc["2024-12", "basis"] == "table"
    assert f"{nfp.loc['2024-12', 'date']:%Y-%m-%d}" == "2025-01-10", "the rule would have said the third"
    assert nfp.loc["2025-10", "basis"] == "rule"
    assert (nfp[nfp["basis"] == "rule"]["date"].dt.weekday == 4).all()
    assert not nfp.index.duplicated().any()
    ipc = rows[rows["event"] == "cl_ipc"]
    assert set(ipc["basis"]) == {"rule"}
    assert calendar_for("CL").is_open(ipc["date"].to_numpy("datetime64[D]")).all()
    assert rows.loc[rows["event"] == "us_nfp", "at"].dt.tz_convert("America/New_York").dt.hour.eq(8).all()


def test_a_table_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(packaged_config_dir() / "calendars", tmp_path / "calendars")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(tmp_path))
    path = tmp_path / "calendars" / "us_releases.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("us_cpi", "us_cpu", 1), encoding="utf-8")
    with pytest.raises(ConfigError, match="us_cpu"):
        events_known("2025-06-13")
    path.write_text("a,b\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="must have the columns"):
        events_known("2025-06-13")


FEED = b"""Title,Country,Date,Time,Impact,Forecast,Previous
Non-Farm Employment Change,USD,12-05-2025,1:30pm,High,50K,119K
Overnight Rate,CLP,12-16-2025,All Day,High,,
"""
ICS = b"""BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:1
DTSTART;TZID=America/New_York:20251210T140000
SUMMARY:FOMC statement\\, with
  projections
END:VEVENT
BEGIN:VEVENT
DTSTART:20251211T133000Z
SUMMARY:PPI
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20251225
SUMMARY:Closed
END:VEVENT
END:VCALENDAR
"""


def test_an_export_and_an_ics_file_become_events() -> None:
    first, second = read_events("week.csv", FEED, zone="UTC")
    assert (first.name, first.country, first.impact) == ("Non-Farm Employment Change", "US", "High")
    assert first.at == dt.datetime(2025, 12, 5, 13, 30, tzinfo=dt.UTC)
    assert (second.country, second.at) == ("CL", None)
    fomc, ppi, closed = read_events("cal.ics", ICS, country="US")
    assert fomc.name == "FOMC statement, with projections"
    assert fomc.at == dt.datetime(2025, 12, 10, 19, 0, tzinfo=dt.UTC)
    assert ppi.at == dt.datetime(2025, 12, 11, 13, 30, tzinfo=dt.UTC)
    assert (closed.date, closed.at) == (dt.date(2025, 12, 25), None)


@pytest.mark.capability("L18")
@pytest.mark.parametrize(
    ("name", "raw", "options", "says"),
    [
        ("week.csv", FEED, {}, "zone"),
        ("week.csv", FEED, {"zone": "Mars/Olympus"}, "is not a time zone"),
        ("week.csv", FEED.replace(b"1:30pm", b"13h30"), {"zone": "UTC"}, "is no time"),
        ("week.csv", FEED.replace(b"1:30pm", b"13:75pm"), {"zone": "UTC"}, "is no time"),
        ("week.csv", FEED.replace(b"12-05", b"13-05"), {"zone": "UTC"}, "is no date"),
        ("week.csv", FEED.replace(b",USD", b","), {"zone": "UTC"}, "country"),
        ("week.csv", b"a,b\n1,2\n", {}, "is no calendar"),
        ("week.csv", b"Title,Date\nCPI\n", {"country": "US"}, "columns"),
        ("cal.ics", ICS, {}, "country"),
        ("cal.ics", ICS.replace(b";TZID=America/New_York", b""), {"country": "US"}, "zone"),
        ("cal.ics", ICS.replace(b"UID:1", b"RRULE:FREQ=WEEKLY"), {"country": "US"}, "repeats"),
        ("cal.ics", ICS.replace(b"20251211T133000Z", b"20251311T133000Z"), {"country": "US"}, "is no stamp"),
        ("cal.ics", ICS.replace(b"20251211T133000Z", b"soon"), {"country": "US"}, "is no stamp"),
        ("cal.ics", ICS.replace(b"SUMMARY:PPI", b"X:1"), {"country": "US"}, "no DTSTART or SUMMARY"),
    ],
)
def test_what_a_calendar_does_not_say_is_asked_for(name: str, raw: bytes, options: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        read_events(name, raw, **options)


def test_iso_dates_need_no_format_and_others_do() -> None:
    (event,) = read_events("own.csv", b"event,date,currency\nCPI,2025-12-10,USD\n")
    assert event.date == dt.date(2025, 12, 10)
    (event,) = read_events(
        "own.csv", b"event;date\n".replace(b";", b",") + b"CPI,10/12/2025\n", country="US", date_format="%d/%m/%Y"
    )
    assert event.date == dt.date(2025, 12, 10)


def test_the_days_of_an_event_are_those_of_the_tables_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dated_days("fomc")
    shutil.copytree(packaged_config_dir() / "calendars", tmp_path / "calendars")
    path = tmp_path / "calendars" / "fomc_meetings.csv"
    kept = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if ",2025-06-18," not in line]
    path.write_text("".join(kept), encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(tmp_path))
    assert set(before.astype(str)) - set(dated_days("fomc").astype(str)) == {"2025-06-18"}
