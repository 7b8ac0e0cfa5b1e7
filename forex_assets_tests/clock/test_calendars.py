"""Calendars: arithmetic that is consistent, tables that agree with the libraries and with the real fixings."""

from __future__ import annotations

import csv
import datetime as dt
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forex_assets.clock import BusinessCalendar, build, calendar_for, target_dates
from forex_assets.clock.calendars import NAMES, TABLES, read_closures
from forex_assets.errors import ConfigError, DataError, ValidationError
from forex_assets.settings import calendars_dir

FIRST, LAST = dt.date(1999, 6, 1), dt.date(2031, 12, 31)
DAYS = st.dates(FIRST, LAST)
BATCHES = st.lists(DAYS, min_size=1, max_size=30)
CALENDARS = st.sampled_from([("CL",), ("US",), ("TARGET",), ("FX",), ("ALL",), ("CL", "US"), ("TARGET", "US", "FX")])
DAY = np.timedelta64(1, "D")


def dates(values: list[dt.date] | list[str]) -> np.ndarray:
    return np.array(values, dtype="datetime64[D]")


def fixing_dates(folder: Path, name: str) -> np.ndarray:
    with (folder / name).open(encoding="utf-8") as handle:
        return dates([row["date"] for row in csv.DictReader(handle)])


@pytest.mark.capability("K17")
def test_the_fixing_was_published_on_every_chilean_business_day_and_on_no_other(market_data_dir: Path) -> None:
    published = fixing_dates(market_data_dir, "usdclp_observado_daily.csv")
    sessions = calendar_for("CL").sessions("2000-01-01", published[-1])
    assert np.array_equal(published, sessions)


@pytest.mark.capability("K17")
def test_euro_reference_rates_were_published_on_every_target_day_and_on_no_other(market_data_dir: Path) -> None:
    published = fixing_dates(market_data_dir, "fx_eurusd_ecb_daily.csv")
    assert np.array_equal(published, calendar_for("TARGET").sessions(published[0], published[-1]))


def test_the_us_stock_exchange_traded_on_every_us_business_day(market_data_dir: Path) -> None:
    traded = fixing_dates(market_data_dir, "sp500_daily.csv")
    assert not set(calendar_for("US").sessions(traded[0], traded[-1])) - set(traded)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_shipped_table_is_what_the_libraries_and_corrections_give(name: str) -> None:
    assert read_closures(calendars_dir() / TABLES[name]) == build.closures(name)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_tables_hold_weekdays_once_and_in_order(name: str) -> None:
    days = [day for day, _, _ in read_closures(calendars_dir() / TABLES[name])]
    assert days == sorted(set(days))
    assert all(day.weekday() < 5 for day in days)
    assert (days[0].year, days[-1].year) == build.YEARS[name]


def test_chilean_table_and_exchange_calendar_differ_exactly_where_the_corrections_say() -> None:
    exchange = build._exchange_closures("XSGO", 2000, 2032)
    ours = {day for day, _, _ in build.closures("CL") if day.year >= 2000}
    assert exchange - ours == build.CL_OPEN_ALTHOUGH_XSGO_CLOSED
    assert ours - exchange == set(build.CL_CLOSED_ALTHOUGH_XSGO_OPEN)


def test_the_generator_writes_the_tables_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "new" / name) for name in TABLES.values()]
    for file_name in TABLES.values():
        assert (tmp_path / "new" / file_name).read_bytes() == (calendars_dir() / file_name).read_bytes()


def test_known_closures_and_known_sessions() -> None:
    chile, states, target = (calendar_for(name) for name in ("CL", "US", "TARGET"))
    closed = ["2025-06-20", "2025-09-18", "2025-12-31", "2022-09-16", "2027-09-17"]
    assert not chile.is_open(closed).any()
    assert chile.is_open(["2007-06-04", "2018-01-16", "2025-07-04", "2025-11-27"]).all()
    assert not states.is_open(["2025-07-04", "2025-11-27", "2025-04-18", "2025-10-13", "2001-09-12"]).any()
    assert states.is_open(["2025-06-20", "2021-06-18", "2010-12-31"]).all()
    assert not target.is_open(["2025-04-18", "2025-04-21", "2025-05-01", "2025-12-26"]).any()
    assert target.is_open(["2025-07-04", "1999-04-02"]).all()


def test_the_fx_week_closes_on_two_days_a_year() -> None:
    week = calendar_for("FX")
    assert week.closures("2025-01-01", "2025-12-31").tolist() == [dt.date(2025, 1, 1), dt.date(2025, 12, 25)]
    assert not week.is_open(["2025-06-14", "2025-06-15"]).any()


def test_all_has_every_day_and_changes_nothing_in_a_joint_calendar() -> None:
    assert calendar_for("ALL").is_open(["2025-06-14", "2025-01-01"]).all()
    assert calendar_for(["ALL", "CL"]) == calendar_for("CL")


@given(DAYS)
def test_a_joint_calendar_is_open_when_all_its_members_are(day: dt.date) -> None:
    joint = calendar_for(["US", "CL"])
    assert joint.name == "CL+US"
    assert joint.is_open(day) == (calendar_for("CL").is_open(day) and calendar_for("US").is_open(day))


def test_a_calendar_is_cached_whatever_the_order_of_its_names() -> None:
    assert calendar_for(["US", "CL"]) is calendar_for(("CL", "US"))


@given(CALENDARS, BATCHES)
def test_rolling_lands_on_the_nearest_session_on_its_side(names: tuple[str, ...], batch: list[dt.date]) -> None:
    calendar, days = calendar_for(names), dates(batch)
    forward, back = calendar.roll_forward(days), calendar.roll_back(days)
    assert calendar.is_open(forward).all()
    assert calendar.is_open(back).all()
    assert (back <= days).all()
    assert (days <= forward).all()
    is_open = calendar.is_open(days)
    assert np.array_equal(forward == days, is_open)
    assert np.array_equal(back == days, is_open)
    assert (calendar.count(days[~is_open], forward[~is_open]) == 1).all()
    assert (calendar.count(back, days) == 0).all()


@given(CALENDARS, BATCHES, st.integers(1, 60))
def test_adding_and_counting_undo_each_other(names: tuple[str, ...], batch: list[dt.date], n: int) -> None:
    calendar, days = calendar_for(names), dates(batch)
    days = days[(days > calendar.first + dt.timedelta(200)) & (days < calendar.last - dt.timedelta(200))]
    later, earlier = calendar.add(days, n), calendar.add(days, -n)
    assert (later > days).all()
    assert (earlier < days).all()
    assert (calendar.count(days, later) == n).all()
    sessions = calendar.roll_forward(days)
    assert (calendar.count(calendar.add(sessions, -n), sessions) == n).all()
    assert np.array_equal(calendar.add(calendar.add(sessions, n), -n), sessions)
    assert np.array_equal(calendar.add(sessions, 0), sessions)


@given(CALENDARS, DAYS, DAYS, DAYS)
def test_counts_add_up_and_change_sign(names: tuple[str, ...], a: dt.date, b: dt.date, c: dt.date) -> None:
    calendar = calendar_for(names)
    assert calendar.count(a, b) == -calendar.count(b, a)
    assert calendar.count(a, b) + calendar.count(b, c) == calendar.count(a, c)
    assert calendar.count(a, a) == 0


@given(CALENDARS, DAYS, st.integers(0, 90))
def test_counting_equals_the_plain_enumeration(names: tuple[str, ...], start: dt.date, length: int) -> None:
    end = start + dt.timedelta(days=length)
    calendar = calendar_for(names)
    plain = [day for n in range(length + 1) if calendar.is_open(day := start + dt.timedelta(days=n))]
    assert calendar.sessions(start, end).tolist() == plain
    assert calendar.count(start, end) == len([day for day in plain if day > start])
    weekdays = [day for n in range(length + 1) if (day := start + dt.timedelta(days=n)).weekday() < 5]
    if "ALL" not in names:
        assert calendar.closures(start, end).tolist() == [day for day in weekdays if day not in plain]


@given(CALENDARS, BATCHES, st.integers(1, 120))
@pytest.mark.capability("K18")
def test_a_target_is_the_first_session_at_or_after_as_of_plus_horizon(
    names: tuple[str, ...], batch: list[dt.date], horizon: int
) -> None:
    calendar, days = calendar_for(names), dates(batch)
    targets = target_dates(days, horizon, calendar)
    assert (targets >= days + horizon * DAY).all()
    assert calendar.is_open(targets).all()
    assert (calendar.count(days + (horizon - 1) * DAY, targets) == 1).all()


@given(CALENDARS, BATCHES, st.integers(1, 90), st.integers(-20, 20))
def test_every_answer_is_the_same_alone_and_in_a_batch(
    names: tuple[str, ...], batch: list[dt.date], horizon: int, n: int
) -> None:
    calendar, days = calendar_for(names), dates(batch)
    assume(n != 0)
    together = (
        calendar.is_open(days),
        calendar.roll_forward(days),
        calendar.roll_back(days),
        calendar.add(days, n),
        calendar.count(days, FIRST),
        target_dates(days, horizon, calendar),
    )
    for place, day in enumerate(batch):
        alone = (
            calendar.is_open(day),
            calendar.roll_forward(day),
            calendar.roll_back(day),
            calendar.add(day, n),
            calendar.count(day, FIRST),
            target_dates(day, horizon, calendar),
        )
        assert [result[place] for result in together] == list(alone)


@pytest.mark.capability("K18")
def test_a_seven_day_target_on_a_holiday_moves_forward_never_back() -> None:
    # 2025-06-20 and the weekend after it are closed in Chile.
    assert target_dates("2025-06-13", 7, calendar_for("CL")) == np.datetime64("2025-06-23")
    assert target_dates("2025-06-13", 7, calendar_for("TARGET")) == np.datetime64("2025-06-20")


@pytest.mark.capability("K17")
def test_seven_calendar_days_hold_as_many_steps_as_the_business_calendar_has() -> None:
    chile = calendar_for("CL")
    target = target_dates("2025-06-13", 7, chile)
    assert chile.count("2025-06-13", target) == 5
    # The fixing dated the next business day is known at the end of as_of, so one step fewer is left to forecast.
    assert chile.count(chile.add("2025-06-13", 1), target) == 4


def test_steps_may_differ_by_date_and_shapes_are_kept() -> None:
    chile = calendar_for("CL")
    days = dates(["2025-06-13", "2025-06-16"]).reshape(2, 1)
    moved = chile.add(days, np.array([[1, 2, -1]]))
    assert moved.shape == (2, 3)
    assert moved[0].tolist() == [dt.date(2025, 6, 16), dt.date(2025, 6, 17), dt.date(2025, 6, 12)]
    assert isinstance(chile.add("2025-06-13", 1), np.datetime64)
    assert chile.sessions("2025-06-14", "2025-06-15").size == 0
    assert chile.roll_forward([]).shape == (0,)


def test_missing_dates_stay_missing_but_cannot_be_counted() -> None:
    chile = calendar_for("CL")
    rolled = chile.roll_forward(np.array(["2025-06-20", "NaT"], dtype="datetime64[D]"))
    assert rolled[0] == np.datetime64("2025-06-23")
    assert np.isnat(rolled[1])
    with pytest.raises(DataError, match="missing date"):
        chile.count(np.datetime64("NaT"), "2025-06-13")


@pytest.mark.parametrize(
    "ask",
    [
        lambda cl: cl.is_open("1998-12-31"),
        lambda cl: cl.is_open(["2025-06-13", "2033-01-03"]),
        lambda cl: cl.sessions("2032-12-01", "2033-01-31"),
        lambda cl: cl.add("2032-12-20", 30),
        lambda cl: cl.add("1999-01-05", -30),
        lambda cl: cl.roll_forward("2032-12-31"),
        lambda cl: cl.count("1990-01-01", "2025-06-13"),
        lambda cl: cl.closures("1990-01-01", "2025-06-13"),
        lambda cl: target_dates("2032-12-01", 90, cl),
    ],
)
def test_years_without_a_table_are_refused_with_the_years_there_are(ask: object) -> None:
    with pytest.raises(DataError, match=r"CL calendar is known for \(1999-01-01 to 2032-12-31\)"):
        ask(calendar_for("CL"))  # type: ignore[operator]


@pytest.mark.parametrize("horizon", [0, -7, 7.0, True, "7d"])
def test_a_horizon_is_a_whole_number_of_days(horizon: object) -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        target_dates("2025-06-13", horizon, calendar_for("CL"))  # type: ignore[arg-type]


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValidationError, match="no calendar 'GB'"):
        calendar_for(["CL", "GB"])
    with pytest.raises(ValidationError, match="no calendar"):
        calendar_for([])
    with pytest.raises(ValidationError, match="whole number of sessions"):
        calendar_for("CL").add("2025-06-13", 1.5)
    with pytest.raises(ValidationError, match="2025-06-20 is no session"):
        calendar_for("CL").add("2025-06-20", 0)
    with pytest.raises(ValidationError, match="no year is common"):
        BusinessCalendar("X", dates([]), dt.date(2025, 1, 1), dt.date(2024, 1, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_calendar_travels_between_processes(name: str) -> None:
    calendar = calendar_for(name)
    copy = pickle.loads(pickle.dumps(calendar))
    assert copy == calendar
    assert hash(copy) == hash(calendar)
    assert repr(copy) == repr(calendar)


def test_tables_of_a_configuration_folder_take_the_place_of_the_packaged_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "cl.csv").write_text("date,name,source\n2025-06-17,Strike,desk\n", encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(tmp_path))
    assert not calendar_for("CL").is_open("2025-06-17")
    assert calendar_for("CL").last == dt.date(2025, 12, 31)
    with pytest.raises(ConfigError, match=r"Cannot read the calendar table .*us\.csv"):
        calendar_for("US")
    monkeypatch.delenv("FOREX_CONFIG_DIR")
    assert calendar_for("CL").is_open("2025-06-17")


def test_a_configuration_folder_without_calendars_uses_the_packaged_ones(tmp_path: Path) -> None:
    assert calendars_dir({"FOREX_CONFIG_DIR": str(tmp_path)}) == calendars_dir({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("day,name\n2025-01-01,x\n", "must have the columns date,name,source"),
        ("date,name,source\n", "at least one row"),
        ("date,name,source\n01/01/2025,New Year,desk\n", "line 2: '01/01/2025' is no date"),
    ],
)
def test_a_malformed_table_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cl.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_closures(path)
