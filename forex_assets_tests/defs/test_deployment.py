"""Deployment in the graph: only what the gate, the checks and the guards agree on, watched, and rolled back."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forex_assets import deployment, schemas
from forex_assets.defs import jobs
from forex_assets.defs.deployment import build_drill, build_sensor, due_horizons, running_forecasts
from forex_assets.errors import ForexError
from forex_assets.lifecycle.health import read_watch
from forex_assets.lifecycle.reports import CandidateReport, Criterion, ValidationReport, frame_of
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS, ConfigVersion, Quantity
from forex_assets.ops.alerts import Outbox
from forex_assets.pipeline import Pipeline
from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG, VALIDATION_REPORT
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World

SUBJECT = Subject.forecast(PAIR, "7d")


def _offer(
    world: World, *, model: str = "rw_blend", window: int = 90, approved: bool = True, incumbent: str = SETTINGS
) -> ConfigVersion:
    """Store a candidate and the gate's judgement of it, as search and gate do."""
    now = dt.datetime(2025, 6, 14, tzinfo=dt.UTC)
    version = ConfigVersion(
        SUBJECT,
        model,
        {},
        "d" * 16,
        LAST_AS_OF,
        "1+test",
        model,
        (incumbent,),
        {"crps": Quantity(5.0 + window / 1000, "CLP per USD")},
        {"engine": "test"},
        now,
        "policy:auto",
    )
    state = "met" if approved else "failed"
    criterion = Criterion(
        "improvement", state, "CRPS lower", "-10%", "lower by 10%", -0.1, -0.15, -0.05, 0.0, "share", 200, 40
    )
    report = ValidationReport(
        SUBJECT, LAST_AS_OF, "recommended", version.hash, incumbent, approved, {"crps": 5.0}, (criterion,), ("judged",)
    )
    candidate = CandidateReport(SUBJECT, LAST_AS_OF, "test", version, ("found",), trials=3, table=({"a": 1.5},))
    pipeline = world.pipeline
    for table, found in ((CANDIDATE_CONFIG, candidate), (VALIDATION_REPORT, report)):
        frame = pipeline.stamp(frame_of(found), config_hash="c" * 16, data_hash="d" * 16)
        pipeline.store.write(table, PAIR, ("7d",), frame)
    assert CandidateReport.from_frame(pipeline.store.read(CANDIDATE_CONFIG, PAIR, [("7d",)])).candidate == version
    assert ValidationReport.from_frame(pipeline.store.read(VALIDATION_REPORT, PAIR, [("7d",)])).criteria[0].low == -0.15
    return version


def _next_forecast(world: World) -> pd.DataFrame:
    bars = world.pipeline.snapshot(PAIR).bars
    day = pd.Timestamp(world.pipeline.calendar(PAIR).add(np.array([LAST_AS_OF], dtype="datetime64[D]"), 1)[0]).date()
    (frame,) = world.pipeline.forecast_on(PAIR, "7d", bars, [day]).values()
    return frame


@pytest.mark.capability("A20", "J01", "L04", "E08")
def test_what_the_gate_approved_is_deployed_and_the_next_forecast_carries_its_hash(world: World) -> None:
    before = _next_forecast(world)
    version = _offer(world)
    world.run(jobs.DEPLOY, first="7d", last="7d")
    row = world.pipeline.store.read(schemas.DEPLOYED_CONFIG, PAIR, [("7d",)]).iloc[0]
    assert (row["version"], row["action"], row["previous"]) == (version.hash, "promoted", SETTINGS)
    assert row["config_hash"] == world.pipeline.active(PAIR, "7d").config_hash
    assert row["code_version"] == world.pipeline.code_version
    assert row["valid_from"].date() == LAST_AS_OF + dt.timedelta(days=1)
    after = _next_forecast(world)
    assert set(after["config_hash"]) != set(before["config_hash"])
    assert set(after["config_hash"]) == {world.pipeline.active(PAIR, "7d").config_hash}
    assert set(after.loc[after["is_active"], "model"]) == {version.label}
    # The day it was tuned on, and any before, stay with what was current then.
    assert world.pipeline.active(PAIR, "7d", LAST_AS_OF).origin == "settings"
    # A version of a model with its own defaults gives that model's numbers.
    columns = ["step", "mean", "q025", "q975"]
    same = after.loc[after["model"] == "rw_blend", columns].to_numpy()
    assert np.array_equal(after.loc[after["model"] == version.label, columns].to_numpy(), same)


@pytest.mark.capability("A20", "D07")
def test_a_calibrated_model_keeps_its_width_factors_when_it_is_promoted(world: World) -> None:
    version = _offer(world, model="champion_zero")
    world.run(jobs.DEPLOY, first="7d", last="7d")
    made = world.pipeline.forecasts(PAIR, "7d", [LAST_AS_OF])  # still the settings' model
    assert version.label not in set(made[("7d", str(LAST_AS_OF))]["model"])
    config = world.pipeline.active(PAIR, "7d")
    factors = world.pipeline.calibration_of(config)
    assert factors is not None
    own, plain = (factors.loc[factors["model"] == name] for name in (version.label, "champion_zero"))
    assert len(own) == len(plain) > 0
    assert np.allclose(own["factor_lower"], plain["factor_lower"])


@pytest.mark.parametrize(
    "fault", ["rejected", "another incumbent", "no candidate", "kill file", "edited ledger", "bad slice"]
)
@pytest.mark.capability("L08", "J12", "A19", "A24")
def test_deployed_config_refuses_when_its_own_re_read_does_not_agree(world: World, fault: str) -> None:
    pipeline = world.pipeline
    kill = world.settings.home / "KILL"
    _offer(world, approved=fault != "rejected", incumbent="a" * 16 if fault == "another incumbent" else SETTINGS)
    if fault == "no candidate":
        report = CandidateReport(SUBJECT, LAST_AS_OF, "test", None, ("nothing beat the incumbent",))
        frame = pipeline.stamp(frame_of(report), config_hash="c" * 16, data_hash="d" * 16)
        pipeline.store.write(CANDIDATE_CONFIG, PAIR, ("7d",), frame)
    if fault == "bad slice":
        from forex_assets.store.slice_file import Verdict

        frame = pipeline.store.read(VALIDATION_REPORT, PAIR, [("7d",)])
        pipeline.store.write(VALIDATION_REPORT, PAIR, ("7d",), frame, verdict=Verdict("bad", ("planted",)))
    if fault == "kill file":
        kill.touch()
    if fault == "edited ledger":
        from forex_assets.lifecycle.ledger import Decision

        for _ in range(2):
            pipeline.lifecycle.ledger.append(
                Decision("trigger", SUBJECT, {"x": 1}, ["why"]), now=dt.datetime.now(dt.UTC)
            )
        path = pipeline.lifecycle.ledger.path
        path.write_bytes(path.read_bytes().replace(b'"x":1', b'"x":2', 1))
    try:
        with pytest.raises(ForexError) as failure:
            world.run(jobs.DEPLOY, first="7d", last="7d")
    finally:
        kill.unlink(missing_ok=True)
    words = {
        "rejected": "did not approve",
        "another incumbent": "judge it again",
        "no candidate": "found no candidate",
        "kill file": "kill file",
        "edited ledger": "ledger is intact failed",
        "bad slice": "bad",
    }
    assert words[fault] in str(failure.value)
    assert pipeline.lifecycle.of(SUBJECT).current == SETTINGS


@pytest.mark.capability("A24", "J12", "L08")
def test_nothing_is_deployed_while_a_forecast_of_the_pair_is_starting_or_running(world: World) -> None:
    version = _offer(world)
    job = jobs.job_name(PAIR, jobs.FORECAST)
    for status in (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED):
        run = world.instance.add_run(dg.DagsterRun(job_name=job, status=status))
        assert running_forecasts(world.instance, PAIR) == 1
        with pytest.raises(ForexError, match=r"1 forecast run\(s\) queued or running"):
            world.run(jobs.DEPLOY, first="7d", last="7d")
        assert world.pipeline.lifecycle.of(SUBJECT).current == SETTINGS
        entry = world.pipeline.lifecycle.ledger.entries(subject=SUBJECT, kinds=("promotion",))[-1]
        assert "queued or running" in entry.reasons[0]
        world.instance.delete_run(run.run_id)
    world.run(jobs.DEPLOY, first="7d", last="7d")
    assert world.pipeline.lifecycle.of(SUBJECT).current == version.hash


@pytest.mark.capability("A30", "L07", "L09", "A26")
def test_three_failed_checks_in_a_row_roll_back_and_the_incident_stays_open(world: World) -> None:
    _offer(world)
    world.run(jobs.DEPLOY, first="7d", last="7d")
    pipeline = Pipeline(world.settings)
    start = dt.datetime.now(tz=dt.UTC)
    names = list(world.settings.horizons)
    assert due_horizons(pipeline, PAIR, names, start)["7d"][0] == "a technical check is due"
    assert deployment.canary(pipeline, SUBJECT)["passed"] is True
    health = deployment.watch(pipeline, PAIR, "7d", now=start)
    assert (health.phase, health.watch.checks, health.watch.failed_in_a_row) == ("technical", 1, 0)
    assert due_horizons(pipeline, PAIR, names, start + dt.timedelta(seconds=30)) == {}
    # From here on no interval but the random walk's own is found sane.
    limits = world.settings.deployment.probation.technical.model_copy(update={"max_width_ratio": 1.0000001})
    probation = world.settings.deployment.probation.model_copy(update={"technical": limits})
    strict = world.settings.deployment.model_copy(update={"probation": probation})
    broken = world.settings.model_copy(update={"deployment": strict})
    for minute in range(1, 4):
        health = deployment.watch(Pipeline(broken), PAIR, "7d", now=start + dt.timedelta(minutes=minute))
    assert health.phase == "rolled_back"
    pointers = pipeline.lifecycle.of(SUBJECT)
    assert (pointers.current, pointers.incident) == (SETTINGS, health.entry)
    kinds = [alert.kind for _, alert in Outbox.from_settings(world.settings).read().alerts]
    assert "rollback" in kinds
    assert due_horizons(pipeline, PAIR, names, start + dt.timedelta(days=1)) == {}


@pytest.mark.capability("A30", "L07")
def test_the_sensor_asks_for_a_check_each_minute_through_the_graph(world: World) -> None:
    _offer(world)
    world.run(jobs.DEPLOY, first="7d", last="7d")
    pair = world.settings.pair(PAIR)
    sensor = build_sensor(world.pipeline, pair)
    with dg.build_sensor_context(instance=world.instance) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    assert (request.partition_key, request.tags["why"]) == ("7d", "a technical check is due")
    world.run(jobs.PROBATION, first="7d", last="7d")
    watch = read_watch(world.pipeline.lifecycle.root, SUBJECT, world.pipeline.lifecycle.of(SUBJECT))
    assert (watch.checks, watch.healthy) == (1, 1)
    row = world.pipeline.store.read(schemas.POST_DEPLOYMENT_HEALTH, PAIR, [("7d",)]).iloc[0]
    assert (row["phase"], row["checks"], row["failed_in_a_row"]) == ("technical", 1, 0)
    with dg.build_sensor_context(instance=world.instance) as context:
        skipped = sensor(context)
    assert isinstance(skipped, dg.SensorResult)
    assert skipped.skip_reason is not None


def test_losses_are_paired_on_the_same_targets(built: World) -> None:
    found = deployment.paired_losses(built.pipeline, SUBJECT, "rw_blend", "random_walk", since=dt.date(2019, 1, 1))
    rows = built.pipeline.store.read(schemas.EVALUATION, PAIR, None)
    rows = rows.loc[(rows["horizon"] == 7) & (rows["model"] == "rw_blend")].sort_values("as_of")
    assert [row[1] for row in found.rows] == pytest.approx(rows["crps"].tolist())
    assert 1 <= found.overlap <= 7
    assert found.maturity_days == 7
    assert deployment.paired_losses(built.pipeline, SUBJECT, "rw_blend", "nobody", since=dt.date(2019, 1, 1)).rows == []


@pytest.mark.capability("L02")
def test_the_restore_drill_runs_as_a_job_and_fails_where_something_cannot_be_restored(world: World) -> None:
    job, schedule = build_drill(world.pipeline)
    assert schedule.job_name == job.name
    assert job.execute_in_process(instance=world.instance).success
    ledger = world.pipeline.lifecycle.ledger
    assert [entry.kind for entry in ledger.entries()] == ["drill"]
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b'"passed":true', b'"passed":null'))
    assert not job.execute_in_process(instance=world.instance, raise_on_error=False).success
