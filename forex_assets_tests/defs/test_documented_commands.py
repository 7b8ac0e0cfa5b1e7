"""The commands of docs/dagster.md, exactly as they stand there, run in a shell against a fresh home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from forex_assets import schemas
from forex_assets.defs.build import build_definitions
from forex_assets.settings import load_settings
from forex_assets.store.slices import SliceStore

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dagster.md"
FENCE = re.compile(r"^```bash( fails)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAIR = "usdclp"


@dataclass(frozen=True)
class Block:
    """A block of the page: its lines, and for one that must fail the message it promises."""

    script: str
    promised: str | None


def blocks() -> list[Block]:
    found = []
    for fails, script in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        comment = re.match(r"# (.*)\n", script)
        found.append(Block(script, comment[1] if fails and comment else None))
    return found


@dataclass(frozen=True)
class Ran:
    """What came of the page: the home, the shell that ran every good block, and each block that had to fail."""

    home: Path
    good: subprocess.CompletedProcess[str]
    failed: list[tuple[Block, subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the page from top to bottom in one shell, then the blocks that must fail in shells of their own."""
    home = tmp_path_factory.mktemp("documented home") / "forex home"  # a path with spaces, as people have
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("FOREX_", "DAGSTER_"))}
    environ |= {
        "FOREX_HOME": str(home),
        "FOREX_OFFLINE": "1",
        "FOREX_PAIRS": PAIR,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def shell(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euxc", script],
            env=environ,
            cwd=home.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    page = blocks()
    good = shell("".join(block.script for block in page if block.promised is None))
    return Ran(home, good, [(block, shell(page[0].script + block.script)) for block in page if block.promised])


@pytest.mark.e2e
@pytest.mark.capability("J07")
def test_every_documented_command_does_what_the_page_says(ran: Ran) -> None:
    assert ran.good.returncode == 0, ran.good.stdout[-4000:]
    assert "Traceback" not in ran.good.stdout
    assert ran.good.stdout.count("RUN_SUCCESS") == sum(block.script.count("\ndagster") for block in blocks()) + sum(
        block.script.startswith("dagster") for block in blocks()
    ) - len(ran.failed)


@pytest.mark.e2e
@pytest.mark.capability("B26", "L18")
def test_a_documented_failure_ends_with_code_1_and_reaches_the_user_with_its_remedy(ran: Ran) -> None:
    assert len(ran.failed) == 2
    for block, done in ran.failed:
        assert done.returncode == 1
        assert str(block.promised) in done.stdout
        assert "Remedy: " in done.stdout


@pytest.mark.e2e
@pytest.mark.capability("L05")
def test_what_the_commands_materialised_is_in_the_store(ran: Ran) -> None:
    store = SliceStore(str(ran.home / "store"))
    assert len(store.keys(schemas.BARS, PAIR)) == 10
    forecasts = set(store.keys(schemas.FORECAST, PAIR))
    days = [f"2025-06-{day:02}" for day in (2, 3, 4, 5, 6, 9, 10, 11, 12, 13)]
    assert {(horizon, day) for horizon in ("7d", "15d") for day in days} <= forecasts
    assert {(horizon, day) for horizon in ("30d", "90d") for day in days[-2:]} <= forecasts
    assert len(forecasts) == 24
    assert [key[1] for key in store.keys(schemas.EVALUATION, PAIR)] == days[:5]
    report = store.read(schemas.PERFORMANCE_REPORT, PAIR, [("7d",)])
    assert set(report["as_of"].dt.strftime("%Y-%m-%d")) == {"2025-06-11"}
    assert {path.name for path in ran.home.parent.iterdir()} == {"forex home"}, "nothing is written elsewhere"


def test_the_pages_tables_name_the_assets_schedules_and_checks_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    definitions = build_definitions(load_settings(environ={"FOREX_PAIRS": PAIR}))
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert f"`{key.path[-1]}`" in text
    for check in graph.asset_check_keys:
        assert f"`{check.name}`" in text
    repository = definitions.get_repository_def()
    for definition in (*repository.schedule_defs, *repository.sensor_defs):
        assert f"`{definition.name.replace(f'{PAIR}_', '<pair>_')}`" in text
