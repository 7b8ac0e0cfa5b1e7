"""The demonstration of the loop plays to its end on the real parts, and its page says what happened."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from forex_assets.defs import jobs, loop_daemon
from forex_assets.defs.loop_daemon import SENSORS, DaemonDemo, end
from forex_assets.defs.loop_demo import PLANTED, WEAK_START, Demo, edit_config, prepare
from forex_assets.errors import DataError, ValidationError
from forex_assets.lifecycle.subject import Subject
from forex_assets.optimization.probation import choice_of
from forex_assets.optimization.search import incumbent_of
from forex_assets.reporting.loop_story import KEYS, WORDS, Story, render_story, write_story
from forex_assets_tests.defs.world import PAIR, World, settings_of

SUBJECT = Subject.forecast(PAIR, "7d")


def weak(world: World, config_dir: Path, folder: Path) -> World:
    """Return a copy of the built home with the demo's planted degradation in use, backtested as it is."""
    shutil.copytree(config_dir, folder)
    edit_config(folder)
    made = World(settings_of(folder, world.settings.home), world.instance)
    config = {"ops": {f"{PAIR}__backtest": {"config": {"as_of": str(made.pipeline.snapshot_days(PAIR)[-1])}}}}
    made.runner.execute(jobs.job_name(PAIR, jobs.BACKTEST), first="7d", last="7d", config=config)
    return made


@pytest.mark.capability("A02", "A13", "A23", "A30", "A31", "J01", "K19", "L04", "L09")
def test_the_loop_is_played_from_a_weak_start_to_the_rollback(world: World, config_dir: Path, tmp_path: Path) -> None:
    home = weak(world, config_dir, tmp_path / "weak")

    # What the settings say of the model in use is what search, gate and probation hold a candidate against.
    day = home.pipeline.snapshot_days(PAIR)[-1]
    for held in (incumbent_of(home.pipeline, PAIR, "7d", day), choice_of(home.pipeline, SUBJECT, "settings")):
        assert (held.model, dict(held.parameters)) == (WEAK_START, PLANTED)

    told: list[str] = []
    story = Demo(home.runner, told.append, isolated=False).play()

    assert [chapter.key for chapter in story.chapters] == list(KEYS)
    facts: dict[str, Any] = {chapter.key: chapter.facts for chapter in story.chapters}
    hashes = [row["config_hash"] for row in facts["rolled_back"]["forecasts"]]
    assert hashes[1] == facts["deployed"]["forecasts"][1]["config_hash"]
    assert hashes[2] == facts["start"]["config_hash"] != hashes[1]  # the weak one again
    assert facts["deployed"]["version"] == facts["search"]["candidate"]
    # The monitors found the planted degradation, and that is why a search was asked for.
    rules = {row["rule"]: row for row in facts["trigger"]["rules"]}
    assert rules["performance"]["state"] == "fired"
    assert "performance" in facts["trigger"]["asking"]
    covered = {row["model"]: row["coverage_95"] for row in facts["start"]["scores"]}
    assert covered[WEAK_START] < 0.75 < 0.9 < covered["champion_zero"]
    assert all(row["state"] == "met" for row in facts["gate"]["criteria"])
    kinds = {chapter.key: [entry["kind"] for entry in chapter.entries] for chapter in story.chapters}
    assert (kinds["trigger"], kinds["search"], kinds["gate"]) == (["trigger"], ["search"], ["gate"])
    assert "promotion" in kinds["deployed"]
    assert kinds["rolled_back"][-1] == "rollback"
    pointers = home.pipeline.lifecycle.of(SUBJECT)
    assert pointers.current == "settings"
    assert pointers.incident == facts["rolled_back"]["incident"]
    assert pointers.failed == (facts["deployed"]["version"],)

    ledger = home.pipeline.lifecycle.ledger.entries(subject=SUBJECT)
    assert sum(len(chapter.entries) for chapter in story.chapters) == len(ledger)
    for page in write_story(story, tmp_path / "pages"):
        text = page.read_text(encoding="utf-8")
        assert all(entry.id in text for entry in ledger)
        assert all(value in text for value in hashes)
        assert "http" not in text  # self-contained
    assert len(told) >= len(KEYS)

    # Played again: the degradation is found again, but a version was deployed just now; the demo says where it stopped.
    with pytest.raises(DataError, match="performance fired, but a version was deployed"):
        Demo(home.runner).play()


def test_a_page_without_chapters_is_still_a_page_in_both_languages() -> None:
    story = Story(PAIR, "7d", "2025-06-13", (), 1.0)
    assert '<html lang="es">' in render_story(story, "es")
    assert '<html lang="en">' in render_story(story, "en")
    assert WORDS["es"].keys() == WORDS["en"].keys()
    assert all(key in WORDS["es"] and f"{key}.text" in WORDS["es"] for key in KEYS)
    assert story.row()["chapters"] == []


def test_a_demo_never_touches_a_home_in_use(tmp_path: Path, config_dir: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "store").mkdir()
    with pytest.raises(ValidationError, match="not empty"):
        prepare(used, config_dir)
    settings = prepare(tmp_path / "new", config_dir)
    assert settings.active_model(PAIR) == WEAK_START
    assert settings.platform.forecast.parameters[WEAK_START] == PLANTED
    assert settings.home == tmp_path / "new"
    with pytest.raises(ValidationError, match="earlier demo"):
        prepare(tmp_path / "new", config_dir)


@pytest.mark.capability("A02")
def test_a_step_by_the_daemon_is_a_finished_run_that_its_sensor_launched(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def launched(sensor: str, status: dg.DagsterRunStatus) -> None:
        tags = {"dagster/sensor_name": f"{PAIR}_{sensor}"}
        world.instance.add_run(dg.DagsterRun(job_name=f"{PAIR}_{sensor}_job", status=status, tags=tags))

    class Steps(DaemonDemo):
        """Three steps in place of the whole story, runs in place of the daemon's."""

        @contextlib.contextmanager
        def _daemon(self) -> Any:
            yield

        def play(self) -> Story:
            launched("trigger", dg.DagsterRunStatus.STARTED)
            launched("trigger", dg.DagsterRunStatus.SUCCESS)
            self._follow("trigger")
            launched("deploy", dg.DagsterRunStatus.FAILURE)
            with pytest.raises(DataError, match="ended as FAILURE"):
                self._follow("deploy")
            monkeypatch.setattr(loop_daemon, "STEP_LIMIT_S", 0.0)
            self._follow("trigger")
            return Story(PAIR, "7d", "", (), 0.0)

    launched("trigger", dg.DagsterRunStatus.SUCCESS)  # of a time before: not the daemon's answer
    with pytest.raises(DataError, match=f"launched no run of {PAIR}_trigger in 0 s"):
        Steps(world.runner, told.append).play_with(tmp_path / "daemon.log")
    assert [line for line in told if line.startswith("the daemon ran")] == [
        next(line for line in told if f"{PAIR}_trigger_job" in line)
    ]
    for name in SENSORS:  # those there are
        assert world.definitions.resolve_sensor_def(f"{PAIR}_{name}").name


@pytest.mark.parametrize("stubborn", [False, True])
def test_the_daemon_is_ended_even_when_it_does_not_listen(stubborn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_daemon, "_END_LIMIT_S", 0.5 if stubborn else 10.0)
    # Said either way: a process inherits what its parent ignores.
    wish = "SIG_IGN" if stubborn else "SIG_DFL"
    code = f"import signal, time; signal.signal(signal.SIGTERM, signal.{wish}); print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    end(process)
    process.stdout.close()
    assert process.wait(10) == -(signal.SIGKILL if stubborn else signal.SIGTERM)
