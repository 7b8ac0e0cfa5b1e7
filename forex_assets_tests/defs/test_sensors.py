"""Sensors: five small cases each, nothing lost over restarts, and an alert for every failing job."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.sensors import MAX_ATTEMPTS
from forex_assets.ops.alerts import Outbox
from forex_assets.store.slice_file import Key, Verdict
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World

FORECAST_JOB = jobs.job_name(PAIR, jobs.FORECAST)
EVALUATION_JOB = jobs.job_name(PAIR, jobs.EVALUATION)
NEWEST = LAST_AS_OF.isoformat()
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def tick(world: World, name: str) -> tuple[list[dg.RunRequest], str]:
    """Evaluate a sensor once, as the daemon does after a restart: with no cursor and nothing remembered."""
    sensor = world.definitions.resolve_sensor_def(f"{PAIR}_{name}")
    context = dg.build_sensor_context(
        instance=world.instance, repository_def=world.definitions.get_repository_def(), sensor_name=sensor.name
    )
    data = sensor.evaluate_tick(context)
    assert data.cursor is None, "a cursor could advance past work that was never done"
    return list(data.run_requests or []), data.skip_message or ""


def remember(world: World, request: dg.RunRequest, job: str, status: dg.DagsterRunStatus) -> None:
    """Put a run of this request on the instance in some status, as the daemon would have."""
    run = dg.DagsterRun(job_name=job, status=status, tags=dict(request.tags))
    world.instance.add_run(run)


def drop(world: World, table: schemas.Table, keys: list[Key]) -> None:
    """Delete slices from the copied store."""
    for key in keys:
        Path(world.pipeline.store.info(table, PAIR, key).path).unlink()


def keys_of(world: World, table: schemas.Table, horizon: str | None = None) -> list[Key]:
    return [key for key in world.pipeline.store.keys(table, PAIR) if horizon in (None, key[0])]


class TestForecastNewBars:
    def test_nothing_stored_asks_for_nothing(self, world: World) -> None:
        empty = World(world.settings.model_copy(update={"store_root": "memory://no-bars"}), world.instance)
        assert tick(empty, "forecast_new_bars") == (
            [],
            f"Every recent day of {PAIR} with bars has its forecasts.",
        )

    def test_a_day_already_forecast_asks_for_nothing(self, world: World) -> None:
        requests, why = tick(world, "forecast_new_bars")
        assert requests == []
        assert "has its forecasts" in why

    def test_new_bars_ask_for_every_horizon_of_their_day_in_one_run(self, world: World) -> None:
        drop(world, schemas.FORECAST, [("30d", NEWEST)])
        requests, _ = tick(world, "forecast_new_bars")
        assert len(requests) == 1
        assert (requests[0].tags[START], requests[0].tags[END]) == (f"{NEWEST}|7d", f"{NEWEST}|30d")
        assert requests[0].tags["as_of"] == NEWEST

    def test_a_run_in_progress_is_waited_for(self, world: World) -> None:
        drop(world, schemas.FORECAST, [("7d", NEWEST)])
        request = tick(world, "forecast_new_bars")[0][0]
        remember(world, request, FORECAST_JOB, dg.DagsterRunStatus.STARTED)
        assert tick(world, "forecast_new_bars") == ([], f"{NEWEST}: in progress")

    def test_bars_materialised_again_are_a_new_request(self, world: World) -> None:
        store = world.pipeline.store
        drop(world, schemas.FORECAST, [("7d", NEWEST)])
        first = tick(world, "forecast_new_bars")[0][0]
        assert tick(world, "forecast_new_bars")[0][0].run_key == first.run_key, "the same bars are the same request"
        info = store.info(schemas.BARS, PAIR, (NEWEST,))
        store.write(schemas.BARS, PAIR, (NEWEST,), store.read(schemas.BARS, PAIR, [(NEWEST,)]), meta=info.meta)
        assert tick(world, "forecast_new_bars")[0][0].run_key != first.run_key

    @pytest.mark.capability("L18")
    def test_a_failed_forecast_is_tried_again_a_few_times_and_then_named(self, world: World) -> None:
        drop(world, schemas.FORECAST, [("7d", NEWEST)])
        seen = set()
        for _ in range(MAX_ATTEMPTS):
            request = tick(world, "forecast_new_bars")[0][0]
            assert request.run_key not in seen, "Dagster would take it for done"
            seen.add(request.run_key)
            remember(world, request, FORECAST_JOB, dg.DagsterRunStatus.FAILURE)
        requests, why = tick(world, "forecast_new_bars")
        assert requests == []
        assert why == f"{NEWEST}: failed {MAX_ATTEMPTS} times on these bars"

    def test_the_run_storage_is_asked_once_however_many_days_wait(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        days = sorted({day for _, day in world.pipeline.store.keys(schemas.FORECAST, PAIR)})[-2:]
        assert len(days) == 2
        drop(world, schemas.FORECAST, [("7d", day) for day in days])
        asked: list[str] = []
        for name in ("get_run_records", "get_run_ids", "get_runs", "get_runs_count"):
            real = getattr(world.instance, name)
            monkeypatch.setattr(
                world.instance,
                name,
                lambda *args, _real=real, _name=name, **kw: asked.append(_name) or _real(*args, **kw),
            )
        requests, _ = tick(world, "forecast_new_bars")
        assert [request.tags["as_of"] for request in requests] == days
        assert asked == ["get_run_records"]

    def test_a_run_on_earlier_bars_holds_back_while_it_runs_and_does_not_count_when_it_failed(
        self, world: World
    ) -> None:
        drop(world, schemas.FORECAST, [("7d", NEWEST)])
        request = tick(world, "forecast_new_bars")[0][0]
        earlier = request._replace(tags={**request.tags, "bars_written_at": "2001-01-01T00:00:00+00:00"})
        for _ in range(MAX_ATTEMPTS):
            remember(world, earlier, FORECAST_JOB, dg.DagsterRunStatus.FAILURE)
        assert tick(world, "forecast_new_bars")[0][0].run_key == request.run_key
        remember(world, earlier, FORECAST_JOB, dg.DagsterRunStatus.STARTED)
        assert tick(world, "forecast_new_bars") == ([], f"{NEWEST}: in progress")

    @pytest.mark.capability("J07")
    def test_what_it_asks_for_runs_and_then_it_is_content(self, world: World) -> None:
        drop(world, schemas.FORECAST, [("7d", NEWEST), ("30d", NEWEST)])
        request = tick(world, "forecast_new_bars")[0][0]
        job = world.definitions.resolve_job_def(FORECAST_JOB)
        assert job.execute_in_process(instance=world.instance, tags=dict(request.tags)).success
        assert tick(world, "forecast_new_bars")[0] == []


class TestEvaluateMatured:
    def test_nothing_stored_asks_for_nothing(self, world: World) -> None:
        empty = World(world.settings.model_copy(update={"store_root": "memory://no-bars"}), world.instance)
        assert tick(empty, "evaluate_matured") == ([], f"No bars of {PAIR} are stored yet.")

    def test_what_has_been_evaluated_or_has_not_matured_asks_for_nothing(self, world: World) -> None:
        pending = set(keys_of(world, schemas.FORECAST)) - set(keys_of(world, schemas.EVALUATION))
        world_days = {day for horizon, day in pending if horizon == "7d" and day > "2025-06-09"}
        assert world_days, "the newest forecasts have not matured"
        first, _ = tick(world, "evaluate_matured")
        for request in first:
            run_request(world, request)
        requests, why = tick(world, "evaluate_matured")
        assert requests == []
        assert why == f"No matured forecast of {PAIR} waits for its evaluation."

    def test_a_gap_is_asked_for_as_one_range_per_run_of_days(self, world: World) -> None:
        settle(world)
        done = [key[1] for key in keys_of(world, schemas.EVALUATION, "7d")]
        drop(world, schemas.EVALUATION, [("7d", done[0]), ("7d", done[2])])
        requests, _ = tick(world, "evaluate_matured")
        assert [(r.tags[START], r.tags[END]) for r in requests] == [
            (f"{done[0]}|7d", f"{done[0]}|7d"),
            (f"{done[2]}|7d", f"{done[2]}|7d"),
        ]
        assert len({r.run_key for r in requests}) == 2
        assert {r.tags["horizon"] for r in requests} == {"7d"}

    def test_a_horizon_in_progress_is_waited_for_and_the_others_go_on(self, world: World) -> None:
        settle(world)
        for horizon in ("7d", "30d"):
            drop(world, schemas.EVALUATION, keys_of(world, schemas.EVALUATION, horizon)[-1:])
        before, _ = tick(world, "evaluate_matured")
        assert {r.tags["horizon"] for r in before} == {"7d", "30d"}
        remember(
            world,
            next(r for r in before if r.tags["horizon"] == "7d"),
            EVALUATION_JOB,
            dg.DagsterRunStatus.STARTING,
        )
        requests, _ = tick(world, "evaluate_matured")
        assert {r.tags["horizon"] for r in requests} == {"30d"}

    def test_a_request_that_failed_is_made_again_once_newer_bars_are_there(self, world: World) -> None:
        settle(world)
        drop(world, schemas.EVALUATION, keys_of(world, schemas.EVALUATION, "7d")[-1:])
        before = tick(world, "evaluate_matured")[0][0]
        world.run(jobs.SNAPSHOT, first="2025-06-16", last="2025-06-16")
        after = next(r for r in tick(world, "evaluate_matured")[0] if r.tags["horizon"] == "7d")
        assert after.run_key != before.run_key

    @pytest.mark.capability("L18")
    def test_a_forecast_judged_bad_does_not_hold_up_its_neighbours(self, world: World) -> None:
        settle(world)
        store = world.pipeline.store
        keys = keys_of(world, schemas.EVALUATION, "7d")[:3]
        drop(world, schemas.EVALUATION, keys)
        frame = store.read(schemas.FORECAST, PAIR, [keys[1]])
        store.write(schemas.FORECAST, PAIR, keys[1], frame, verdict=Verdict("bad", ("planted",)))
        requests, _ = tick(world, "evaluate_matured")
        assert [r.tags[START] for r in requests] == [f"{keys[0][1]}|7d", f"{keys[2][1]}|7d"]
        for request in requests:
            run_request(world, request)
        requests, why = tick(world, "evaluate_matured")
        assert requests == []
        assert "7d: 1 judged bad, 0 without a value of their target date" in why

    @pytest.mark.capability("K18")
    def test_a_target_date_whose_value_never_came_does_not_hold_up_its_neighbours(self, world: World) -> None:
        settle(world)
        store = world.pipeline.store
        keys = keys_of(world, schemas.EVALUATION, "7d")[:3]
        hole = store.read(schemas.EVALUATION, PAIR, [keys[1]])["target_date"].iloc[0]
        drop(world, schemas.EVALUATION, keys)
        bars = store.read(schemas.BARS, PAIR, [(NEWEST,)])
        meta = store.info(schemas.BARS, PAIR, (NEWEST,)).meta
        store.write(schemas.BARS, PAIR, (NEWEST,), bars.loc[bars["event_date"] != hole], meta=meta)
        requests, _ = tick(world, "evaluate_matured")
        assert [r.tags[START] for r in requests] == [f"{keys[0][1]}|7d", f"{keys[2][1]}|7d"]
        for request in requests:
            run_request(world, request)
        requests, why = tick(world, "evaluate_matured")
        assert requests == []
        assert "7d: 0 judged bad, 1 without a value of their target date" in why

    @pytest.mark.capability("L18")
    def test_no_matured_evaluation_is_lost_however_often_the_daemon_restarts(self, world: World) -> None:
        """Each round a new process sees the store only, and one request of several is carried out."""
        settle(world)
        wanted = set(keys_of(world, schemas.EVALUATION))
        drop(world, schemas.EVALUATION, sorted(wanted)[::2])
        for _ in range(len(wanted) + 1):
            restarted = World(world.settings, world.instance)
            requests, _ = tick(restarted, "evaluate_matured")
            if not requests:
                break
            run_request(restarted, requests[-1])
        assert set(keys_of(world, schemas.EVALUATION)) == wanted

    def test_no_forecast_that_has_not_matured_is_ever_asked_for(self, world: World) -> None:
        drop(world, schemas.EVALUATION, keys_of(world, schemas.EVALUATION))
        requests, _ = tick(world, "evaluate_matured")
        for request in requests:
            run_request(world, request)
        matured = world.pipeline.store.read(schemas.EVALUATION, PAIR, keys_of(world, schemas.EVALUATION))
        assert matured["matured_on"].max() <= pd.Timestamp(LAST_AS_OF)
        assert matured["actual"].notna().all()


def run_request(world: World, request: dg.RunRequest) -> None:
    """Carry out a request as the daemon would."""
    result = world.definitions.resolve_job_def(EVALUATION_JOB).execute_in_process(
        instance=world.instance, tags=dict(request.tags)
    )
    assert result.success


def settle(world: World) -> None:
    """Evaluate everything that has matured in the built home."""
    for request in tick(world, "evaluate_matured")[0]:
        run_request(world, request)
    assert tick(world, "evaluate_matured")[0] == []


def fail(world: World, job: str, **options: str) -> dg.DagsterRun:
    """Run a job that must fail, and return the run."""
    result = world.definitions.resolve_job_def(job).execute_in_process(
        instance=world.instance, raise_on_error=False, tags=options
    )
    assert not result.success
    return result.dagster_run


def report_failure(world: World, run: dg.DagsterRun) -> None:
    """Hand a failed run to the failure sensor."""
    sensor = world.definitions.resolve_sensor_def("run_failures")
    event = next(
        record.event_log_entry.dagster_event
        for record in world.instance.get_records_for_run(run.run_id).records
        if record.event_log_entry.dagster_event
        and record.event_log_entry.dagster_event.event_type == dg.DagsterEventType.RUN_FAILURE
    )
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name, dagster_event=event, dagster_instance=world.instance, dagster_run=run
    )
    sensor(context.for_run_failure())


@pytest.mark.capability("L18")
def test_a_failed_run_is_one_alert_and_its_repetition_none(world: World) -> None:
    outbox = Outbox.from_settings(world.settings)
    day = "2025-01-15"  # no bars are stored for it
    for _ in range(2):
        run = fail(world, FORECAST_JOB, **jobs.range_tags(f"{day}|7d", f"{day}|7d"), pair=PAIR)
        report_failure(world, run)
    (number, alert), *more = outbox.read().alerts
    assert (number, more) == (1, [])
    assert (alert.kind, alert.severity, alert.pair) == ("run_failure", "high", PAIR)
    assert alert.title == f"Run of {FORECAST_JOB} failed"
    assert f"{PAIR}__forecast" in alert.body
    assert alert.created_at.tzinfo is not None
    other = fail(world, EVALUATION_JOB, **jobs.range_tags(f"{day}|7d", f"{day}|7d"), pair=PAIR, horizon="7d")
    report_failure(world, other)
    assert len(outbox.read().alerts) == 2, "another fault is another alert"


@pytest.mark.capability("L18")
def test_the_failure_message_carries_value_rule_and_remedy(world: World) -> None:
    day = "2025-01-15"
    result = world.definitions.resolve_job_def(FORECAST_JOB).execute_in_process(
        instance=world.instance, raise_on_error=False, tags=jobs.range_tags(f"{day}|7d", f"{day}|7d")
    )
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data.user_failure_data
    assert f"No bars of {PAIR} are stored for {day}." in failure.description
    assert f"forex run --pair {PAIR} --as-of {day}" in str(failure.metadata["remedy"].value)


def test_the_outbox_time_is_now(world: World) -> None:
    before = dt.datetime.now(tz=dt.UTC)
    day = "2025-01-16"
    report_failure(world, fail(world, FORECAST_JOB, **jobs.range_tags(f"{day}|7d", f"{day}|7d")))
    alert = Outbox.from_settings(world.settings).read().alerts[0][1]
    assert before <= alert.created_at <= dt.datetime.now(tz=dt.UTC)
    assert alert.pair in (PAIR, None)
