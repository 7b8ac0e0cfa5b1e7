"""The pages say what is there: every command and option, every link, and an example that runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from forex_assets.cli import app
from forex_assets.defs.build import build_definitions
from forex_assets.settings import load_settings, packaged_config_dir
from forex_assets_tests.cli.conftest import Forex

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"
PAGES = [REPO / "README.md", *sorted(DOCS.glob("*.md"))]


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*path, name))


@pytest.mark.capability("B26")
def test_the_page_of_commands_names_every_command_and_option() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    missing = []
    for path, command in _commands(get_command(app)):
        if not getattr(command, "commands", {}) and f"`forex {' '.join(path)}`" not in text:
            missing.append(" ".join(path))
        for parameter in command.params:
            missing += [option for option in parameter.opts if option != "--help" and f"`{option}" not in text]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    broken = [target for target in targets if "://" not in target and not (page.parent / target.split("#")[0]).exists()]
    assert broken == []


def test_every_page_is_in_the_index_of_the_readme() -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in text] == []


def test_the_scores_of_the_readme_are_those_measured() -> None:
    measured = [
        {cell.strip() for cell in line.split("|")}
        for line in (DOCS / "forecast-engine.md").read_text(encoding="utf-8").splitlines()
    ]
    section = (REPO / "README.md").read_text(encoding="utf-8").split("## How good it is")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in section.splitlines() if line.startswith("|")]
    figures = rows[2:]
    assert len(figures) == 4
    assert [row for row in figures if not any(set(row) <= line for line in measured)] == []


def test_pictures_are_small_and_used() -> None:
    pictures = list((DOCS / "images").iterdir())
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert pictures
    for picture in pictures:
        assert picture.suffix == ".png"
        assert picture.stat().st_size <= 250_000, picture.name
        assert f"images/{picture.name})" in text, f"{picture.name} is shown nowhere"


@pytest.mark.capability("A01")
def test_the_pair_of_the_page_is_one_yaml_file(
    forex: Forex, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DOCS / "add-a-pair.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    configs = tmp_path / "configs"
    shutil.copytree(packaged_config_dir(), configs)
    (configs / "pairs" / "gbpusd.yaml").write_text(block, encoding="utf-8")
    monkeypatch.setenv("FOREX_CONFIG_DIR", str(configs))
    said = forex("forecast", "--pair", "gbpusd", "--horizon", "7d", "--json")
    assert said.code == 0, said.err
    (pair,) = json.loads(said.out)["pairs"]
    assert pair["source"] == "ecb"
    assert pair["unit"] == "USD per GBP"
    assert 1.0 < pair["last_value"] < 2.0
    keys = {key.to_user_string() for key in build_definitions(load_settings()).resolve_all_asset_keys()}
    assert {"gbpusd/bars", "gbpusd/forecast", "gbpusd/evaluation", "gbpusd/desk_report"} <= keys
