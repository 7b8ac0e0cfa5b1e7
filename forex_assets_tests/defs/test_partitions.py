"""Partitions: the pair's business days with today, one key on disk and in Dagster, whatever the clocks do."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.defs import jobs
from forex_assets.defs.partitions import business_days, day_by_horizon, horizons, partition_key, store_key
from forex_assets.errors import DataError
from forex_assets.settings import Settings, load_settings
from forex_assets_tests.defs.world import World

SANTIAGO = ZoneInfo("America/Santiago")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(environ={})


def _keys(settings: Settings, pair: str, now: dt.datetime) -> list[str]:
    return list(business_days(settings, settings.pair(pair)).get_partition_keys(current_time=now))


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=SANTIAGO)


@pytest.mark.capability("K17")
def test_partitions_are_exactly_the_sessions_of_the_pairs_calendar(settings: Settings) -> None:
    for name, pair in settings.pairs.items():
        keys = _keys(settings, name, _at("2025-10-01T12:00"))
        sessions = calendar_for(pair.calendars).sessions(
            np.datetime64(pair.history_start, "D"), np.datetime64("2025-10-01", "D")
        )
        assert keys == [str(day) for day in sessions]


@pytest.mark.parametrize("closed", ["2025-09-18", "2025-05-01", "2025-12-25", "2020-01-01", "2024-09-20", "2025-06-14"])
def test_chilean_holidays_and_weekends_have_no_partition(settings: Settings, closed: str) -> None:
    assert closed not in _keys(settings, "usdclp", _at("2026-01-05T12:00"))


def test_a_day_that_is_a_holiday_in_chile_only_stays_a_partition_of_the_european_pair(settings: Settings) -> None:
    assert "2025-09-18" in _keys(settings, "eurusd", _at("2025-10-01T12:00"))


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2025-06-13T00:00", "2025-06-13"),  # from midnight on the day's partition is open
        ("2025-06-12T23:59", "2025-06-12"),
        ("2025-06-13T18:30", "2025-06-13"),
        ("2025-06-15T12:00", "2025-06-13"),  # a Sunday
        ("2025-04-06T12:00", "2025-04-04"),  # the Sunday on which clocks go back
        ("2025-04-07T00:00", "2025-04-07"),
        ("2025-09-07T12:00", "2025-09-05"),  # the Sunday on which clocks go forward
        ("2025-09-08T00:00", "2025-09-08"),
        ("2025-09-07T23:59", "2025-09-05"),
    ],
)
def test_the_newest_partition_is_the_last_business_day_up_to_today_in_santiago(
    settings: Settings, now: str, last: str
) -> None:
    assert _keys(settings, "usdclp", _at(now))[-1] == last


@pytest.mark.parametrize("year", range(2015, 2033))
def test_no_clock_change_adds_or_drops_a_day(settings: Settings, year: int) -> None:
    keys = [key for key in _keys(settings, "usdclp", _at("2033-01-03T12:00")) if key.startswith(str(year))]
    sessions = calendar_for("CL").sessions(np.datetime64(f"{year}-01-01"), np.datetime64(f"{year}-12-31"))
    first = settings.pair("usdclp").history_start.isoformat()
    assert keys == [str(day) for day in sessions if str(day) >= first]


def test_on_a_closed_weekday_dagster_opens_the_next_sessions_partition_and_no_more(settings: Settings) -> None:
    # Dagster counts the partition opened ahead over sessions; bars of a day that has not begun are refused (below).
    assert _keys(settings, "usdclp", _at("2025-09-18T12:00"))[-2:] == ["2025-09-17", "2025-09-22"]


def test_horizons_are_the_configured_tenors_in_growing_order(settings: Settings) -> None:
    assert horizons(settings).get_partition_keys() == ["7d", "15d", "30d", "90d"]


def test_a_range_of_days_and_horizons_is_their_product(settings: Settings) -> None:
    definition = day_by_horizon(settings, settings.pair("usdclp"))
    with dg.DagsterInstance.ephemeral() as instance:
        keys = definition.get_partition_keys_in_range(
            dg.PartitionKeyRange("2025-06-11|7d", "2025-06-13|90d"), dynamic_partitions_store=instance
        )
        one = definition.get_partition_keys_in_range(
            dg.PartitionKeyRange("2025-06-11|30d", "2025-06-13|30d"), dynamic_partitions_store=instance
        )
    assert sorted(keys) == sorted(
        f"{day}|{name}" for day in ("2025-06-11", "2025-06-12", "2025-06-13") for name in settings.horizons
    )
    assert sorted(one) == ["2025-06-11|30d", "2025-06-12|30d", "2025-06-13|30d"]


@pytest.mark.capability("K14")
def test_bars_of_a_day_that_has_not_begun_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    late_on_the_11th = pd.Timestamp("2025-06-12 03:30", tz="UTC")
    monkeypatch.setattr("forex_assets.defs.market_data.utc_now", lambda: late_on_the_11th)
    with pytest.raises(DataError, match=r"as_of 2025-06-12 has not begun in America/Santiago, where it is 2025-06-11"):
        world.run(jobs.SNAPSHOT, first="2025-06-11", last="2025-06-13")
    assert world.run(jobs.SNAPSHOT, first="2025-06-11", last="2025-06-11") == 2


_DAYS = st.dates(dt.date(1999, 1, 1), dt.date(2100, 12, 31)).map(dt.date.isoformat)
_HORIZONS = st.integers(1, 999).map("{}d".format)


@given(key=st.one_of(_DAYS.map(lambda day: (day,)), _HORIZONS.map(lambda h: (h,)), st.tuples(_HORIZONS, _DAYS)))
def test_store_key_and_partition_key_undo_each_other(key: tuple[str, ...]) -> None:
    assert store_key(partition_key(key)) == key


@given(horizon=_HORIZONS, day=_DAYS)
def test_dagsters_own_key_of_two_dimensions_names_the_same_slice_as_its_text(horizon: str, day: str) -> None:
    multi = dg.MultiPartitionKey({"horizon": horizon, "as_of": day})
    assert store_key(multi) == store_key(str(multi)) == (horizon, day)
