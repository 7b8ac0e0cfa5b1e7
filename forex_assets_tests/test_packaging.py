"""The wheel is complete and works outside the source tree; set-up says what it needs."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
BUILD_INPUTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md")
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")

pytestmark = pytest.mark.skipif(
    not (REPO / "pyproject.toml").is_file(), reason="the tests run outside a source checkout: nothing to build"
)


def pip(*arguments: str | Path) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--no-deps"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy of what is shipped, without a network."""
    source = tmp_path_factory.mktemp("source tree")
    for name in BUILD_INPUTS:
        shutil.copy2(REPO / name, source)
    for name in ("forex_assets", "configs"):
        shutil.copytree(REPO / name, source / name, ignore=NOT_SHIPPED)
    built = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", built, source)
    (path,) = built.glob("forex_assets-*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder holding the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("installed here")
    pip("install", "--target", target, wheel)
    return target


def run_installed(target: Path, code: str, cwd: Path) -> str:
    """Run code that sees the installed package, not the source tree, from a folder outside both."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FOREX_", "DAGSTER_"))}
    environment |= {"PYTHONPATH": str(target), "FOREX_HOME": str(cwd / "home"), "FOREX_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def shipped_files() -> set[str]:
    return {
        f"{prefix}{path.relative_to(root).as_posix()}"
        for root, prefix in ((REPO / "forex_assets", "forex_assets/"), (REPO / "configs", "forex_assets/configs/"))
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def test_the_wheel_holds_every_file_of_the_package_and_the_configuration_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == shipped_files()
    assert not any("forex_assets_tests" in name for name in names)


def test_the_wheel_names_its_command_license_and_pythons(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "[console_scripts]\nforex = forex_assets.cli:main" in texts["entry_points.txt"]
    assert "License-Expression: Apache-2.0" in texts["METADATA"]
    assert re.search(r"^Requires-Python: (>=3\.11,<3\.13|<3\.13,>=3\.11)$", texts["METADATA"], re.MULTILINE)
    assert "Provides-Extra: dev" in texts["METADATA"]


def test_the_installed_package_reads_its_own_configuration(installed: Path, tmp_path: Path) -> None:
    code = (
        "import forex_assets\n"
        "from forex_assets.settings import load_settings\n"
        "from forex_assets.clock import bcch, calendar_for\n"
        "settings = load_settings()\n"
        "assert len(bcch.meetings()) > 70 and not calendar_for('CL').is_open('2025-09-18')\n"
        "print(forex_assets.__file__, settings.config_dir, *settings.pairs, sep='\\n')"
    )
    package, config_dir, *pairs = run_installed(installed, code, tmp_path).splitlines()
    assert Path(package) == installed / "forex_assets" / "__init__.py"
    assert Path(config_dir) == (installed / "forex_assets" / "configs").resolve()
    assert pairs[0] == "usdclp"


def test_the_installed_package_carries_the_fixing_and_says_where_it_came_from(installed: Path, tmp_path: Path) -> None:
    code = (
        "import datetime as dt\n"
        "from forex_assets.market.contract import FetchRequest\n"
        "from forex_assets.market.sources.embedded import EMBEDDED_DIR, EmbeddedSource\n"
        "from forex_assets.settings import load_settings\n"
        "series = load_settings().series['usdclp_fixing']\n"
        "request = FetchRequest(series, dt.date(2025, 6, 2), dt.date(2025, 6, 13))\n"
        "source = EmbeddedSource(dt.datetime(2025, 6, 14, tzinfo=dt.UTC))\n"
        "assert source.not_configured(series) is None\n"
        "print(len(source.fetch(request).frame), (EMBEDDED_DIR / 'SOURCES.md').is_file())"
    )
    assert run_installed(installed, code, tmp_path) == "10 True"


def test_the_installed_package_has_its_report_templates(installed: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "import jinja2, forex_assets.reporting.report as report\n"
        "folder = Path(report.__file__).parent / 'templates'\n"
        "loader = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True)\n"
        "print(*(loader.get_template(name).name for name in sorted(loader.list_templates())))"
    )
    names = run_installed(installed, code, tmp_path).split()
    assert "report.html.j2" in names
    assert names == sorted(path.name for path in (REPO / "forex_assets" / "reporting" / "templates").iterdir())


def test_the_installed_command_starts_and_the_code_location_loads(installed: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='forex')\n"
        "assert callable(command.load())\n"
        "from forex_assets.definitions import defs\n"
        "keys = defs.resolve_asset_graph().get_all_asset_keys()\n"
        "print(sorted(key.to_user_string() for key in keys if key.path[0] == 'usdclp')[0])"
    )
    assert run_installed(installed, code, tmp_path).startswith("usdclp/")


def test_constraints_pin_every_dependency_once() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (REPO / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    names = [canonical(pin.split("==")[0]) for pin in pins]
    assert len(names) == len(set(names))
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in wanted:
        assert canonical(re.split(r"[\[<>=!~ ;]", requirement)[0]) in names, requirement


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for name, texts in project["optional-dependencies"].items() if name != "dev" for text in texts]
    declared = {canonical(re.split(r"[\[<>=!~ ;]", text)[0]) for text in [*project["dependencies"], *extras]}
    providers = packages_distributions() | {
        **{"evidently": ["evidently"], "dask": ["dask"]},  # extras, perhaps not here
        "distributed": ["dask"],  # an extra of it
    }
    undeclared = {}
    for path in sorted((REPO / "forex_assets").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            else:
                continue
            for name in {module.split(".")[0] for module in modules} - {"forex_assets"} - sys.stdlib_module_names:
                if not declared & {canonical(provider) for provider in providers.get(name, [])}:
                    undeclared[name] = path.relative_to(REPO).as_posix()
    assert undeclared == {}


def bootstrap(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "TORCH_INDEX_URL")}
    command = ["make", "--no-print-directory", "-C", str(folder), "setup"]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A source checkout in a path with a space, without an environment."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "a clone"
    (folder / "scripts").mkdir(parents=True)
    for name in ("Makefile", "scripts/bootstrap", "pyproject.toml", "constraints.txt", "setup.py"):
        shutil.copy2(REPO / name, folder / name)
    return folder


def fake_python(folder: Path, name: str, version: str) -> Path:
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {version}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_set_up_refuses_another_python_and_says_which_it_needs(checkout: Path, tmp_path: Path) -> None:
    done = bootstrap(checkout, PYTHON=str(fake_python(tmp_path, "python3.10", "3.10")))
    assert done.returncode != 0
    assert "is Python '3.10'; this project needs 3.11 or 3.12" in done.stderr
    assert "Remedy: " in done.stderr
    assert not (checkout / ".venv").exists()


def test_set_up_says_so_when_no_fitting_python_is_on_the_path(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("python3", "python3.12", "python3.11", "python"):
        fake_python(tools, name, "3.13")
    done = bootstrap(checkout, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert "no Python 3.11 or 3.12 was found (python3 is '3.13')" in done.stderr


def test_set_up_leaves_a_folder_that_is_no_environment_alone(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "precious").write_text("kept", encoding="utf-8")
    done = bootstrap(checkout, PYTHON=sys.executable)
    assert done.returncode != 0
    assert "is no virtual environment" in done.stderr
    assert (checkout / ".venv" / "precious").read_text(encoding="utf-8") == "kept"


def test_set_up_installs_once_and_again_when_its_inputs_change(checkout: Path, tmp_path: Path) -> None:
    log = tmp_path / "pip.log"
    venv = checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("", encoding="utf-8")
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\nif [ "$1" = -c ]; then echo 3.11; else echo "$@" >> "{log}"; fi\n', encoding="utf-8")
    python.chmod(0o755)

    def installs() -> list[str]:
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        log.unlink(missing_ok=True)
        return [line.split()[-1] for line in lines if " install " in line]

    fitting = str(fake_python(tmp_path, "python3.11", "3.11"))
    first = bootstrap(checkout, PYTHON=fitting)
    assert first.returncode == 0, first.stderr
    assert installs() == ["torch", "setuptools", ".[dev]"]
    assert bootstrap(checkout, PYTHON=fitting).returncode == 0
    assert installs() == []
    with (checkout / "constraints.txt").open("a", encoding="utf-8") as handle:
        handle.write("# changed\n")
    assert bootstrap(checkout, PYTHON=fitting).returncode == 0
    assert installs() == ["torch", "setuptools", ".[dev]"]


def test_make_offers_every_target_from_any_folder(checkout: Path, tmp_path: Path) -> None:
    for command in (["make", "-C", str(checkout)], ["make", "-f", str(checkout / "Makefile")]):
        done = subprocess.run([*command, "help"], cwd=tmp_path, capture_output=True, text=True, check=True)
        for target in ("run", "test", "ui", "lint", "bench", "clean"):
            assert f"make {target} " in done.stdout
    plan = subprocess.run(
        ["make", "-n", "-f", str(checkout / "Makefile"), "run", "test", "ARGS=--pair usdclp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f'cd "{checkout}" && .venv/bin/forex run --pair usdclp' in plan
    assert "--cov-fail-under=85" in plan


def test_no_file_of_the_set_up_names_a_package_registry() -> None:
    files = ["Makefile", "scripts/bootstrap", ".ci/run", "constraints.txt", "pyproject.toml", ".pre-commit-config.yaml"]
    for name in files:
        assert not re.search(r"https?://|pypi\.|pytorch\.org", (REPO / name).read_text(encoding="utf-8")), name


def test_the_ci_script_is_executable_and_is_valid_bash() -> None:
    script = REPO / ".ci" / "run"
    assert os.access(script, os.X_OK)
    for path in (script, REPO / "scripts" / "bootstrap"):
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
