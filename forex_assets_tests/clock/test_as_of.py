"""as_of: what a date stands for, what is refused, and that clock changes are respected."""

from __future__ import annotations

import datetime as dt
import pickle
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import NEW_YORK, SANTIAGO, AsOf, as_of_instants, local_dates, santiago_dates, to_utc
from forex_assets.clock.zones import as_dates, as_instants
from forex_assets.errors import ValidationError

DAYS = st.dates(dt.date(1970, 1, 2), dt.date(2037, 12, 30))
STAMPS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2037, 12, 30))
MICROSECOND = np.timedelta64(1, "us")
DAY = np.timedelta64(1, "D")

# Santiago: (the Saturday whose midnight comes twice, the Saturday whose midnight is skipped), as its decrees had it.
CLOCK_CHANGES = [(2010, "04-03", "10-09"), (2018, "05-12", "08-11"), (2022, "04-02", "09-10"), (2025, "04-05", "09-06")]


def test_a_plain_date_is_the_end_of_that_day_in_santiago() -> None:
    assert AsOf.parse("2025-06-13").instant == dt.datetime(2025, 6, 14, 3, 59, 59, 999999, tzinfo=dt.UTC)
    assert AsOf.parse("2025-01-13").instant == dt.datetime(2025, 1, 14, 2, 59, 59, 999999, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "value", ["2025-06-13", " 2025-06-13 ", dt.date(2025, 6, 13), np.datetime64("2025-06-13"), AsOf.parse("2025-06-13")]
)
def test_every_way_to_say_a_date_means_the_same(value: object) -> None:
    parsed = AsOf.parse(value)  # type: ignore[arg-type]
    assert parsed == AsOf.parse("2025-06-13")
    assert parsed.is_end_of_day
    assert str(parsed) == "2025-06-13"


def test_an_instant_keeps_its_time_and_knows_its_santiago_date() -> None:
    moment = AsOf.parse("2025-06-14T02:30:00+00:00")
    assert moment.date == dt.date(2025, 6, 13)
    assert moment.instant_us == np.datetime64("2025-06-14T02:30:00", "us")
    assert not moment.is_end_of_day
    assert str(moment) == "2025-06-14T02:30:00+00:00"
    assert moment < AsOf.parse("2025-06-13")


@pytest.mark.parametrize(
    "value",
    [
        "2025-06-13T18:30:00",
        dt.datetime(2025, 6, 13, 18, 30),
        pd.Timestamp("2025-06-13"),
        "13-06-2025",
        "yesterday",
        "",
        20250613,
        None,
        np.datetime64("NaT"),
        np.datetime64("2025-06-13T00:00"),
    ],
)
@pytest.mark.capability("K14")
def test_an_as_of_without_a_zone_or_a_meaning_is_refused_with_a_remedy(value: object) -> None:
    with pytest.raises(ValidationError, match="Remedy: "):
        AsOf.parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("year", "twice", "skipped"), CLOCK_CHANGES)
def test_the_day_ends_with_its_second_midnight_when_clocks_go_back(year: int, twice: str, skipped: str) -> None:
    days = as_dates([f"{year}-{twice}", f"{year}-{skipped}"])
    lengths = as_of_instants(days) - as_of_instants(days - DAY)
    next_lengths = as_of_instants(days + DAY) - as_of_instants(days)
    assert lengths[0] == np.timedelta64(25, "h")
    assert next_lengths[1] == np.timedelta64(23, "h")


def test_historic_rules_of_santiago_are_used() -> None:
    # In 2015 Chile stayed on summer time all year; until 2014 winter time began in late April.
    ends = as_of_instants(["2015-07-01", "2014-07-01", "1998-03-10"])
    assert [str(end)[11:13] for end in ends] == ["02", "03", "02"]


@given(st.lists(DAYS, min_size=1, max_size=40))
def test_the_last_microsecond_of_a_day_is_that_day_and_the_next_one_is_not(days: list[dt.date]) -> None:
    dates = as_dates(days)
    ends = as_of_instants(dates)
    assert (santiago_dates(ends) == dates).all()
    assert (santiago_dates(ends + MICROSECOND) == dates + DAY).all()


@given(
    st.lists(STAMPS, min_size=1, max_size=40), st.sampled_from([SANTIAGO, NEW_YORK, "Europe/Berlin", "Asia/Kolkata"])
)
def test_vectorised_dates_equal_the_plain_conversion(stamps: list[dt.datetime], zone: str) -> None:
    plain = [stamp.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).date() for stamp in stamps]
    assert local_dates(np.array(stamps, dtype="datetime64[us]"), zone).tolist() == plain


@given(DAYS, st.times(), st.sampled_from([SANTIAGO, NEW_YORK]))
def test_a_wall_time_is_read_as_its_latest_instant(day: dt.date, time: dt.time, zone: str) -> None:
    wall = dt.datetime.combine(day, time, tzinfo=ZoneInfo(zone))
    latest = max(wall.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    assert to_utc(day, time, zone).item().replace(tzinfo=dt.UTC) == latest


@given(st.lists(DAYS, min_size=2, max_size=20))
def test_a_date_gets_the_same_instant_alone_and_in_a_batch(days: list[dt.date]) -> None:
    together = as_of_instants(as_dates(days))
    assert [as_of_instants(day).item() for day in days] == together.tolist()
    assert [AsOf.parse(day).instant_us for day in days] == together.tolist()


def test_shapes_are_kept_and_missing_dates_stay_missing() -> None:
    dates = np.array([["2025-06-13", "NaT"], ["2025-06-14", "2025-06-15"]], dtype="datetime64[D]")
    ends = as_of_instants(dates)
    assert ends.shape == (2, 2)
    assert np.isnat(ends[0, 1])
    back = santiago_dates(ends)
    assert np.isnat(back[0, 1])
    assert back[1, 1] == np.datetime64("2025-06-15")
    assert as_of_instants([]).shape == (0,)
    assert as_dates(np.datetime64("2025-06-13")).shape == ()


def test_pandas_dates_and_instants_are_understood() -> None:
    naive = pd.DatetimeIndex(["2025-06-13", "2025-06-16"])
    aware = pd.DatetimeIndex(["2025-06-14T02:00", "2025-06-14T05:00"], tz="UTC")
    assert as_dates(naive).tolist() == as_dates(pd.Series(naive)).tolist() == as_dates(list(naive.date)).tolist()
    for values in (aware, pd.Series(aware), aware.tz_convert(NEW_YORK)):
        assert santiago_dates(values).tolist() == [dt.date(2025, 6, 13), dt.date(2025, 6, 14)]
    assert santiago_dates(dt.datetime(2025, 6, 14, 2, tzinfo=dt.UTC)).item() == dt.date(2025, 6, 13)


@pytest.mark.parametrize(
    "value",
    [
        pd.DatetimeIndex(["2025-06-13"], tz="UTC"),
        pd.Series(pd.DatetimeIndex(["2025-06-13"], tz="UTC")),
        [dt.datetime(2025, 6, 13, tzinfo=dt.UTC)],
        dt.datetime(2025, 6, 13, tzinfo=dt.UTC),
        np.array(["2025-06-13T12:00"], dtype="datetime64[us]"),
        dt.datetime(2025, 6, 13, 12),
        [20250613],
        ["13/06/2025"],
        [object()],
    ],
)
def test_what_is_not_a_date_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="Remedy: "):
        as_dates(value)


@pytest.mark.parametrize("value", [dt.datetime(2025, 6, 13), ["2025-06-13"], [1.0]])
def test_what_is_not_an_instant_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="Remedy: "):
        as_instants(value)


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ValidationError, match="'Santiago' is not a time zone"):
        to_utc("2025-06-13", dt.time(18), "Santiago")


def test_an_as_of_travels_between_processes() -> None:
    moment = AsOf.parse("2025-06-13")
    assert pickle.loads(pickle.dumps(moment)) == moment
