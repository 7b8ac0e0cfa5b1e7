"""When each series can be known: every rule, across holidays, month ends and clock changes."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.market.publication import available_at, publication_dates
from forex_assets.settings import PublicationRule, SeriesSpec


def spec(calendar: str = "CL", time: str = "18:00", zone: str = "America/Santiago", **rule: object) -> SeriesSpec:
    return SeriesSpec(
        id="s",
        label="s",
        unit="u",
        calendar=calendar,
        publication=PublicationRule.model_validate({"time": time, "zone": zone, **rule}),
        range=(0, 1),
        max_age_business_days=1,
    )


def days(*text: str) -> np.ndarray:
    return np.array(text, dtype="datetime64[D]")


@pytest.mark.capability("K17")
def test_fixing_dated_t_is_known_at_18_santiago_on_the_business_day_before() -> None:
    fixing = spec(rule="previous_business_day")
    known = available_at(fixing, days("2025-06-13", "2025-06-16", "2025-06-23"))
    # Friday's on Thursday, Monday's on Friday, Monday after the holiday of Friday 20 June on Thursday.
    assert [str(item) for item in known] == [
        "2025-06-12T22:00:00.000000",
        "2025-06-13T22:00:00.000000",
        "2025-06-19T22:00:00.000000",
    ]


@pytest.mark.parametrize(
    ("date", "utc"),
    [
        ("2025-04-04", "2025-04-04T21:00"),  # summer time, UTC-3
        ("2025-04-07", "2025-04-07T22:00"),  # clocks went back on the 5th
        ("2025-09-05", "2025-09-05T22:00"),
        ("2025-09-08", "2025-09-08T21:00"),  # clocks went forward on the 6th
    ],
)
def test_same_day_follows_santiagos_clock_changes(date: str, utc: str) -> None:
    assert available_at(spec(rule="same_day"), days(date))[0] == np.datetime64(utc, "us")


def test_same_day_follows_new_yorks_and_frankfurts_clock_changes() -> None:
    close = spec("US", "18:00", "America/New_York", rule="same_day")
    assert [str(item)[11:16] for item in available_at(close, days("2025-03-07", "2025-03-10"))] == ["23:00", "22:00"]
    ecb = spec("TARGET", "16:00", "Europe/Berlin", rule="same_day")
    assert [str(item)[11:16] for item in available_at(ecb, days("2025-03-28", "2025-03-31"))] == ["15:00", "14:00"]


def test_business_days_after_skips_weekends_and_holidays() -> None:
    oil = spec("US", "18:00", "America/New_York", rule="business_days_after", days=5)
    # 4 July 2025 is closed, so five business days after Monday 30 June end on Tuesday 8 July.
    assert publication_dates(oil, days("2025-06-30"))[0] == np.datetime64("2025-07-08")


def test_business_days_after_counts_from_a_closed_day_as_from_the_one_before() -> None:
    funds = spec("US", "10:00", "America/New_York", rule="business_days_after", days=1)
    published = publication_dates(funds, days("2025-06-13", "2025-06-14", "2025-06-15"))
    assert set(published.astype(str)) == {"2025-06-16"}


@pytest.mark.parametrize(
    ("date", "published"),
    [
        ("2025-06-09", "2025-05-09"),
        ("2025-06-10", "2025-06-09"),
        ("2025-07-09", "2025-06-09"),
        ("2025-01-05", "2024-12-09"),
        ("2024-12-31", "2024-12-09"),
    ],
)
def test_uf_is_published_on_the_9th_for_the_10th_to_the_next_9th(date: str, published: str) -> None:
    assert publication_dates(spec("ALL", rule="uf"), days(date))[0] == np.datetime64(published)


@pytest.mark.capability("K17")
@pytest.mark.parametrize(
    ("months", "day", "reference", "published"),
    [
        (1, 8, "2025-05-01", "2025-06-09"),  # 8 June 2025 is a Sunday
        (1, 8, "2025-04-01", "2025-05-08"),
        (2, 1, "2025-03-01", "2025-05-02"),  # 1 May is a holiday
        (1, 31, "2025-01-01", "2025-02-28"),  # February has no 31st
    ],
)
def test_monthly_value_is_known_only_from_its_publication_rolled_forward(
    months: int, day: int, reference: str, published: str
) -> None:
    monthly = spec(rule="month_after", months=months, day=day)
    assert publication_dates(monthly, days(reference))[0] == np.datetime64(published)


def test_no_dates_give_no_instants(series: dict[str, SeriesSpec]) -> None:
    known = available_at(series["usdclp_fixing"], np.empty(0, dtype="datetime64[D]"))
    assert known.dtype == np.dtype("datetime64[us]")
    assert len(known) == 0


@pytest.mark.capability("K17")
@given(
    date=st.dates(dt.date(1999, 2, 1), dt.date(2031, 12, 1)),
    name=st.sampled_from(
        ["usdclp_fixing", "usdclp_close", "tpm", "uf", "ipc_yoy", "imacec_yoy", "copper_lme", "wti", "eurusd_ecb"]
    ),
)
def test_each_date_gets_alone_the_answer_it_gets_among_others(
    series: dict[str, SeriesSpec], name: str, date: dt.date
) -> None:
    declared = series[name]
    day = np.datetime64(date, "D")
    if declared.frequency == "monthly":
        day = day.astype("datetime64[M]").astype("datetime64[D]")
    many = available_at(declared, day + np.arange(-3, 4) if declared.frequency == "daily" else np.array([day] * 7))
    assert many[3] == available_at(declared, np.array([day]))[0]
    if declared.publication.rule not in ("uf", "previous_business_day"):
        assert many[3] >= day.astype("datetime64[us]")
    else:
        assert many[3] < (day + 1).astype("datetime64[us]")
    assert (np.diff(many.astype(np.int64)) >= 0).all()


def test_publication_of_a_business_day_is_a_business_day(series: dict[str, SeriesSpec]) -> None:
    for name in ("usdclp_fixing", "copper_lme", "wti", "ipc_yoy"):
        calendar = calendar_for(series[name].calendar)
        sessions = calendar.sessions("2015-01-05", "2025-06-13")
        assert calendar.is_open(publication_dates(series[name], sessions)).all()
