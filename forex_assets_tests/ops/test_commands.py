"""Every command explains itself, and every scheduled command is one that exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from forex_assets.cli import app
from forex_assets.ops.schedule_export import SCHEDULED_COMMANDS, schedules
from forex_assets.settings import load_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*path, name))


@pytest.mark.capability("B26")
@pytest.mark.parametrize(("path", "command"), list(_commands(get_command(app))), ids=lambda value: str(value)[:40])
def test_every_command_and_option_has_help(home: Path, path: tuple[str, ...], command: Any) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0, shown.output
    assert command.help
    for parameter in command.params:
        assert parameter.param_type_name == "argument" or parameter.help, f"{' '.join(path)} {parameter.name}"


@pytest.mark.capability("J07")
@pytest.mark.parametrize("name", list(SCHEDULED_COMMANDS))
def test_a_scheduled_command_names_options_that_exist(home: Path, name: str) -> None:
    arguments = SCHEDULED_COMMANDS[name].arguments
    # --help stops before anything runs, but only after every option was recognised.
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    assert CliRunner().invoke(app, [*arguments, "--no-such-option", "--help"]).exit_code == 2


@pytest.mark.capability("B13", "B14", "B15", "B16")
def test_the_operations_page_lists_every_schedule_as_it_is(home: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, cron in schedules(load_settings()).items():
        assert f"| `{name}` | {min(cron.hours):02d}:{min(cron.minutes):02d}" in text
        assert f"`forex {' '.join(SCHEDULED_COMMANDS[name].arguments)}`" in text
        assert f"{cron.text} /bin/sh" in text
