"""Who may import what: Dagster stays in its room, and the code location loads without the heavy libraries."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import forex_assets

ROOT = Path(forex_assets.__file__).parent
DAGSTER_MAY_BE_IMPORTED_IN = ("defs", "cli", "definitions.py")
HEAVY = (
    "torch",
    "chronos",
    "arch",
    "statsmodels",
    "matplotlib",
    "exchange_calendars",
    "holidays",
    "pandera",
    "scipy",
    "numba",
)


def imports(path: Path, *, top_level: bool = False) -> Iterator[str]:
    """Yield every module a file imports; with ``top_level`` those that importing the file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _top_level(tree) if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        if isinstance(node, ast.If):
            continue  # under TYPE_CHECKING
        yield node


FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
LIBRARY = [path for path in FILES if path.parts[0] not in DAGSTER_MAY_BE_IMPORTED_IN]
COMMANDS = [path for path in FILES if path.parts[0] == "cli"]


@pytest.mark.parametrize("path", LIBRARY, ids=str)
def test_the_library_does_not_know_dagster(path: Path) -> None:
    found = [name for name in imports(ROOT / path) if name.split(".")[0].startswith("dagster")]
    assert found == []


@pytest.mark.parametrize("path", COMMANDS, ids=str)
def test_the_command_line_imports_dagster_only_inside_functions(path: Path) -> None:
    top = list(imports(ROOT / path, top_level=True))
    assert not [name for name in top if name.split(".")[0] == "dagster" or name.startswith("forex_assets.def")]


@pytest.mark.parametrize("path", LIBRARY, ids=str)
def test_imports_run_downhill_only(path: Path) -> None:
    assert [name for name in imports(ROOT / path) if name.startswith(("forex_assets.defs", "forex_assets.cli"))] == []


def _loaded(code: str, home: Path) -> dict[str, bool]:
    script = f"import sys, json\n{code}\nprint(json.dumps({{name: name in sys.modules for name in {HEAVY!r}}}))"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FOREX_")},
        "FOREX_HOME": str(home),
        "DAGSTER_HOME": "",
    }
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_loading_the_code_location_imports_no_heavy_library_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    loaded = _loaded("import forex_assets.definitions as d; d.defs.get_repository_def()", home)
    assert loaded == dict.fromkeys(HEAVY, False)
    assert not home.exists()


def test_importing_the_command_line_loads_neither_dagster_nor_pandas(tmp_path: Path) -> None:
    code = "import forex_assets.cli\nassert 'dagster' not in sys.modules and 'pandas' not in sys.modules"
    assert _loaded(code, tmp_path / "home") == dict.fromkeys(HEAVY, False)


@pytest.mark.capability("J03")
def test_every_module_and_entry_point_of_the_package_imports() -> None:
    code = (
        "import importlib, pkgutil, forex_assets\n"
        "names = [m.name for m in pkgutil.walk_packages(forex_assets.__path__, 'forex_assets.')"
        " if not m.name.endswith('__main__')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "import forex_assets.cli; assert callable(forex_assets.cli.main)\n"
        "print(len(names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
