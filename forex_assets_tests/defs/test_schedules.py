"""Schedules: when they tick in Santiago, what they ask for, and that they ask for nothing on closed days."""

from __future__ import annotations

import datetime as dt
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from forex_assets import schemas
from forex_assets.ops.schedule_export import SCHEDULED_COMMANDS
from forex_assets.settings import load_settings
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World

SANTIAGO = ZoneInfo("America/Santiago")
NAMES = ("daily_run", "dashboard", "weekly_validation", "weekly_report", "daily_check")
OF_ROOMS = ("daily_monitoring", "weekly_report", "weekly_optimization", "loop_health", "market_calibration")


def _schedule(world: World, name: str) -> dg.ScheduleDefinition:
    return world.definitions.resolve_schedule_def(f"{PAIR}_{name}")


def _evaluate(world: World, name: str, when: dt.datetime) -> tuple[list[dg.RunRequest], str | None]:
    context = dg.build_schedule_context(
        instance=world.instance,
        scheduled_execution_time=when,
        repository_def=world.definitions.get_repository_def(),
    )
    data = _schedule(world, name).evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message


def _local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=SANTIAGO)


def _ticks(world: World, name: str, start: str, count: int) -> list[dt.datetime]:
    from dagster._utils.schedules import schedule_execution_time_iterator

    times = schedule_execution_time_iterator(
        _local(start).timestamp(), str(_schedule(world, name).cron_schedule), "America/Santiago"
    )
    return [moment.astimezone(SANTIAGO) for moment in islice(times, count)]


@pytest.mark.capability("B13", "B14", "B15")
def test_every_schedule_takes_its_expression_and_zone_from_the_settings_and_its_job_exists(world: World) -> None:
    crons = world.settings.platform.schedules
    names = {job.name for job in world.definitions.resolve_all_job_defs()}
    found = {schedule.name: schedule for schedule in world.definitions.get_repository_def().schedule_defs}
    others = {"panel_month", "restore_drill", *(f"{PAIR}_{name}" for name in OF_ROOMS)}
    assert set(found) == {f"{PAIR}_{name}" for name in NAMES} | others
    assert {schedule.execution_timezone for schedule in found.values()} == {"America/Santiago"}
    assert found[f"{PAIR}_weekly_optimization"].cron_schedule == crons.weekly_optimization == "0 2 * * 0"
    for name in NAMES:
        schedule = found[f"{PAIR}_{name}"]
        assert schedule.cron_schedule == getattr(crons, name)
        assert schedule.execution_timezone == crons.timezone == "America/Santiago"
        assert schedule.job_name in names


@pytest.mark.capability("B13", "B14", "B15", "L06")
def test_the_desks_times_are_the_ones_asked_for_and_the_exported_files_hold_the_same_schedules() -> None:
    crons = load_settings(environ={}).platform.schedules
    assert crons.weekly_validation == "0 9 * * 1"
    assert crons.dashboard == "0 8 * * *"
    assert crons.daily_check == "0 10 * * *"
    assert crons.daily_run == "30 18 * * 1-5"
    assert set(SCHEDULED_COMMANDS) == set(NAMES)


CLOCK_CHANGES = {
    # Santiago: on 6 April 2025 clocks went back at midnight, on 7 September they went forward.
    "2025-04-04T12:00": {"daily_run": ["2025-04-04T18:30", "2025-04-07T18:30"]},
    "2025-09-05T12:00": {"daily_run": ["2025-09-05T18:30", "2025-09-08T18:30"]},
    "2025-04-05T12:00": {
        "dashboard": ["2025-04-06T08:00", "2025-04-07T08:00"],
        "daily_check": ["2025-04-06T10:00", "2025-04-07T10:00"],
        "weekly_validation": ["2025-04-07T09:00", "2025-04-14T09:00"],
    },
    "2025-09-06T12:00": {
        "dashboard": ["2025-09-07T08:00", "2025-09-08T08:00"],
        "daily_check": ["2025-09-07T10:00", "2025-09-08T10:00"],
        "weekly_validation": ["2025-09-08T09:00", "2025-09-15T09:00"],
    },
}


@pytest.mark.capability("B13", "B14", "B15", "L06")
@pytest.mark.parametrize("start", CLOCK_CHANGES)
def test_local_times_stay_what_they_are_through_both_clock_changes(world: World, start: str) -> None:
    for name, wanted in CLOCK_CHANGES[start].items():
        ticks = _ticks(world, name, start, 2)
        assert [tick.replace(tzinfo=None) for tick in ticks] == [dt.datetime.fromisoformat(text) for text in wanted]
        offsets = {tick.utcoffset() for tick in ticks} | {_local(start).utcoffset()}
        assert offsets <= {dt.timedelta(hours=-3), dt.timedelta(hours=-4)}
    if "dashboard" in CLOCK_CHANGES[start]:
        before, after = _local(start).utcoffset(), _ticks(world, "dashboard", start, 2)[1].utcoffset()
        assert before != after, "no clock change lies in this window"


@pytest.mark.parametrize(
    ("when", "partition"),
    [
        ("2025-04-04T18:30", "2025-04-04"),
        ("2025-04-07T18:30", "2025-04-07"),  # the first session on winter time
        ("2025-09-05T18:30", "2025-09-05"),
        ("2025-09-08T18:30", "2025-09-08"),  # the first on summer time
        ("2025-06-13T18:30", "2025-06-13"),
    ],
)
def test_the_daily_run_asks_for_the_partition_of_its_own_day(world: World, when: str, partition: str) -> None:
    requests, _ = _evaluate(world, "daily_run", _local(when))
    assert [request.partition_key for request in requests] == [partition]
    # The daemon hands over UTC: the day is still Santiago's.
    again, _ = _evaluate(world, "daily_run", _local(when).astimezone(dt.UTC))
    assert again[0].run_key == requests[0].run_key == f"{PAIR}-{partition}"


@pytest.mark.capability("K17")
@pytest.mark.parametrize("closed", ["2025-09-18", "2025-09-19", "2025-05-01", "2024-12-25", "2025-06-20", "2025-06-14"])
def test_the_daily_run_skips_a_day_without_a_session_and_says_why(world: World, closed: str) -> None:
    requests, why = _evaluate(world, "daily_run", _local(f"{closed}T18:30"))
    assert requests == []
    assert why == f"{closed} is not a business day of {PAIR}."


@pytest.mark.capability("B14")
def test_the_dashboard_asks_for_the_newest_day_with_a_forecast_every_day(world: World) -> None:
    for when in ("2025-06-16T08:00", "2025-09-18T08:00"):  # a holiday too: the dashboard still goes out
        requests, _ = _evaluate(world, "dashboard", _local(when))
        assert [request.partition_key for request in requests] == [LAST_AS_OF.isoformat()]
        assert requests[0].run_key == f"{PAIR}-{when[:10]}"


@pytest.mark.capability("B13", "B15")
@pytest.mark.parametrize("name", ["weekly_validation", "daily_check"])
def test_validation_and_check_ask_for_every_horizon_in_one_run(world: World, name: str) -> None:
    requests, _ = _evaluate(world, name, _local("2025-06-16T09:00"))
    horizons = list(world.settings.horizons)
    tags = requests[0].tags
    assert tags["dagster/asset_partition_range_start"] == horizons[0]
    assert tags["dagster/asset_partition_range_end"] == horizons[-1]


@pytest.mark.parametrize("name", ["dashboard", "weekly_validation", "daily_check"])
def test_with_nothing_stored_a_schedule_says_so_instead_of_failing(world: World, name: str) -> None:
    empty = World(world.settings.model_copy(update={"store_root": f"memory://empty-{name}"}), world.instance)
    requests, why = _evaluate(empty, name, _local("2025-06-16T09:00"))
    assert requests == []
    assert why is not None
    assert "stored yet" in why


@pytest.mark.capability("J07")
@pytest.mark.parametrize("name", NAMES)
def test_what_a_schedule_asks_for_really_runs(world: World, name: str) -> None:
    """The request of each schedule, given to its job as the daemon does, succeeds on the built store."""
    when = "2025-06-16T18:30" if name == "daily_run" else "2025-06-16T09:00"
    requests, _ = _evaluate(world, name, _local(when))
    job = world.definitions.resolve_job_def(_schedule(world, name).job_name)
    options: dict[str, Any] = {"tags": requests[0].tags, "run_config": requests[0].run_config}
    result = job.execute_in_process(
        instance=world.instance, partition_key=requests[0].partition_key, raise_on_error=True, **options
    )
    assert result.success
    if name == "daily_run":
        assert world.pipeline.store.exists(schemas.BARS, PAIR, ("2025-06-16",))
