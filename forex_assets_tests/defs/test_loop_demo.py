"""The demonstration of the loop plays to its end on the real parts, and its page says what happened."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from forex_assets.defs.loop_demo import Demo, edit_config, prepare
from forex_assets.errors import DataError, ValidationError
from forex_assets.lifecycle.subject import Subject
from forex_assets.reporting.loop_story import KEYS, WORDS, Story, render_story, write_story
from forex_assets_tests.defs.world import PAIR, World, settings_of

SUBJECT = Subject.forecast(PAIR, "7d")


def weak(world: World, config_dir: Path, folder: Path) -> World:
    """Return a copy of the built home with the demo's planted weak start in use."""
    shutil.copytree(config_dir, folder)
    edit_config(folder)
    return World(settings_of(folder, world.settings.home), world.instance)


@pytest.mark.capability("A02", "A13", "A23", "A30", "A31", "J01", "K19", "L04", "L09")
def test_the_loop_is_played_from_a_weak_start_to_the_rollback(world: World, config_dir: Path, tmp_path: Path) -> None:
    home = weak(world, config_dir, tmp_path / "weak")

    told: list[str] = []
    story = Demo(home.runner, told.append, isolated=False).play()

    assert [chapter.key for chapter in story.chapters] == list(KEYS)
    facts: dict[str, Any] = {chapter.key: chapter.facts for chapter in story.chapters}
    hashes = [row["config_hash"] for row in facts["rolled_back"]["forecasts"]]
    assert hashes[1] == facts["deployed"]["forecasts"][1]["config_hash"]
    assert hashes[2] == facts["start"]["config_hash"] != hashes[1]  # the weak one again
    assert facts["deployed"]["version"] == facts["search"]["candidate"]
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

    # Played again: the sensor finds nothing new to ask, and the demo says where it stopped.
    with pytest.raises(DataError, match="The demo stopped: sensor usdclp_trigger asks for nothing"):
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
    assert settings.active_model(PAIR) == "random_walk"
    assert settings.home == tmp_path / "new"
    with pytest.raises(ValidationError, match="earlier demo"):
        prepare(tmp_path / "new", config_dir)
