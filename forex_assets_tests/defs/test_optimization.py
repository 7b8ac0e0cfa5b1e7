"""The loop in the graph: trigger, search, gate and deployment by sensors, on real data and a planted weak incumbent."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forex_assets.defs import jobs
from forex_assets.defs.optimization import deployment_requests, search_requests, trigger_requests
from forex_assets.lifecycle.decisions import replay
from forex_assets.lifecycle.subject import Subject
from forex_assets.optimization.search import search
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World, edit_yaml, settings_of

SUBJECT = Subject.forecast(PAIR, "7d")
NAMES = ["7d", "30d"]
NOW = dt.datetime(2025, 6, 14, 12, tzinfo=dt.UTC)


@pytest.fixture
def weak(world: World, config_dir: Path, tmp_path: Path) -> World:
    """A copy of the built home whose incumbent is the plain random walk, with a small search."""
    return variant(world, config_dir, tmp_path / "weak", active="random_walk")


def variant(
    world: World, config_dir: Path, folder: Path, *, active: str = "champion_zero", **search_settings: Any
) -> World:
    shutil.copytree(config_dir, folder)
    edit_yaml(folder / "pairs" / f"{PAIR}.yaml", lambda body: body.update(active_model=active))

    def change(body: dict[str, Any]) -> None:
        body["search"].update({"models": ["loghar", "rw_ewma"], "trials": 4, "history_years": 6, **search_settings})

    edit_yaml(folder / "optimization.yaml", change)
    return World(settings_of(folder, world.settings.home), world.instance)


def _entries(world: World, kind: str) -> list[Any]:
    return world.pipeline.lifecycle.ledger.entries(subject=SUBJECT, kinds=(kind,))


@pytest.mark.capability("A02", "A08", "A13", "A19", "A23", "E13", "J01", "J12", "K19", "L04")
def test_the_loop_goes_from_findings_to_a_forecast_with_the_new_configuration(weak: World) -> None:
    instance = weak.instance
    (request,) = trigger_requests(weak.pipeline, PAIR, NAMES, instance)[0]
    assert request.run_key == f"{PAIR}-trigger-{LAST_AS_OF}-0"
    weak.run(jobs.TRIGGER, first="7d", last="30d")
    assert trigger_requests(weak.pipeline, PAIR, NAMES, instance)[0] == []  # every trigger has seen them

    requests, _ = search_requests(weak.pipeline, PAIR, NAMES, instance)
    assert [item.partition_key for item in requests] == NAMES
    config = dict(requests[0].run_config)
    config["ops"][f"{PAIR}__candidate_config"]["config"]["isolated"] = False
    weak.run(jobs.OPTIMIZE, first="7d", last="7d", config=config)
    assert [item.partition_key for item in search_requests(weak.pipeline, PAIR, NAMES, instance)[0]] == ["30d"]
    (gate,) = _entries(weak, "gate")
    assert gate.outcome["judged_on"] == "panel"  # nothing was ever deployed: all pairs judge
    assert gate.outcome["approved"], gate.reasons

    (request,) = deployment_requests(weak.pipeline, PAIR, NAMES, instance)[0]
    assert (request.partition_key, request.run_key) == ("7d", f"{gate.id}-0")
    weak.run(jobs.DEPLOY, first="7d", last="7d")
    assert deployment_requests(weak.pipeline, PAIR, NAMES, instance)[0] == []
    active = weak.pipeline.active(PAIR, "7d")
    assert active.deployed is not None
    assert active.deployed.version == gate.outcome["candidate"]
    tomorrow = LAST_AS_OF + dt.timedelta(days=3)
    (frame,) = weak.pipeline.forecast_on(PAIR, "7d", weak.pipeline.snapshot(PAIR).bars, [tomorrow]).values()
    assert set(frame["config_hash"]) == {active.config_hash}
    assert set(frame.loc[frame["is_active"], "model"]) == {active.deployed.label}

    # Deployed moments ago: the same trigger now waits.
    weak.run(jobs.TRIGGER, first="7d", last="7d")
    assert not _entries(weak, "trigger")[-1].outcome["should_optimize"]
    ledger = weak.pipeline.lifecycle.ledger
    assert ledger.verify().intact
    for kind in ("trigger", "gate"):
        assert replay(ledger, _entries(weak, kind)[0].id).result == "same"


@pytest.mark.capability("A19", "K06", "K19")
def test_when_nothing_better_is_found_nothing_changes(world: World, config_dir: Path, tmp_path: Path) -> None:
    calm = variant(world, config_dir, tmp_path / "calm", active="rw_ewma", models=["rw_ewma"], trials=1)
    calm.run(jobs.TRIGGER, first="7d", last="7d")
    config = {"ops": {f"{PAIR}__candidate_config": {"config": {"isolated": False}}}}
    calm.run(jobs.OPTIMIZE, first="7d", last="7d", config=config)
    (search_entry,) = _entries(calm, "search")
    assert search_entry.outcome["candidate"] == ""
    assert _entries(calm, "gate") == []
    assert deployment_requests(calm.pipeline, PAIR, NAMES, calm.instance)[0] == []
    assert calm.pipeline.active(PAIR, "7d").origin == "settings"


@pytest.mark.capability("A12", "A24")
def test_a_search_that_cannot_run_is_on_record_and_asked_for_once_more(
    world: World, config_dir: Path, tmp_path: Path
) -> None:
    broken = variant(world, config_dir, tmp_path / "broken", min_origins=5000)
    broken.run(jobs.TRIGGER, first="7d", last="7d")
    for attempt in range(2):
        requests, _ = search_requests(broken.pipeline, PAIR, ["7d"], broken.instance)
        assert [item.run_key.rsplit("-", 1)[-1] for item in requests] == [str(attempt)]
        config = {"ops": {f"{PAIR}__candidate_config": {"config": {"isolated": False}}}}
        with pytest.raises(Exception, match="5000 are needed"):
            broken.run(jobs.OPTIMIZE, first="7d", last="7d", config=config)
    assert search_requests(broken.pipeline, PAIR, ["7d"], broken.instance)[0] == []
    assert [entry.outcome["failed"] for entry in _entries(broken, "search")] == [True, True]


@pytest.mark.capability("A24", "A32", "A35")
def test_out_of_memory_falls_back_to_random_search_and_then_keeps_what_is_in_use(
    world: World, config_dir: Path, tmp_path: Path
) -> None:
    small = variant(world, config_dir, tmp_path / "small", memory_mib=60, fallback_trials=2)
    seen: list[Any] = []
    report = search(small.pipeline, PAIR, "7d", as_of=LAST_AS_OF, now=NOW, progress=seen.append)
    assert report.candidate is None
    assert "out of memory (60 MiB)" in report.reasons[0]
    assert report.fallback == "kept the configuration in use"
    assert any("random configurations instead" in line.get("warning", "") for line in seen)
    assert _entries(small, "search")[-1].outcome["fallback"]


@pytest.mark.capability("A24", "A36", "K28")
def test_out_of_time_falls_back_to_a_smaller_search(world: World, config_dir: Path, tmp_path: Path) -> None:
    hasty = variant(
        world, config_dir, tmp_path / "hasty", warn_s=0.000_1, stop_s=0.000_2, alert_s=0.000_2, fallback_trials=1
    )
    report = search(hasty.pipeline, PAIR, "7d", as_of=LAST_AS_OF, now=NOW)
    assert "out of time" in f"{report.fallback} {report.reasons}"
    assert report.timed_out


def test_the_child_gives_what_the_search_gives_here(world: World, config_dir: Path, tmp_path: Path) -> None:
    some = variant(world, config_dir, tmp_path / "some", active="random_walk", models=["rw_ewma"], trials=3)
    there = search(some.pipeline, PAIR, "7d", as_of=LAST_AS_OF, now=NOW)
    here = search(some.pipeline, PAIR, "7d", as_of=LAST_AS_OF, now=NOW, isolated=False)
    assert [row["parameters"] for row in there.table] == [row["parameters"] for row in here.table]
    assert [row["objective"] for row in there.table] == [row["objective"] for row in here.table]
    assert 0 < there.peak_memory_mib < 1024


def _no_requests(make: Callable[..., Any], world: World) -> bool:
    return not make(world.pipeline, PAIR, NAMES, world.instance)[0]


def test_sensors_ask_for_nothing_on_an_empty_home(world: World, config_dir: Path, tmp_path: Path) -> None:
    settings = settings_of(config_dir, tmp_path / "empty")
    empty = World(settings, world.instance)
    assert all(_no_requests(make, empty) for make in (trigger_requests, search_requests, deployment_requests))
