"""The gate a change passes: one script for set-up, lint and tests, and the same tools before each commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from forex_assets_tests.conftest import REPO

GATE = REPO / ".ci" / "run"


def _ruff(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruff", *arguments, "--config", str(REPO / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.capability("E01")
def test_the_gate_is_executable_shell_that_stops_at_the_first_failure() -> None:
    assert os.access(GATE, os.X_OK)
    assert "set -euo pipefail" in GATE.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(GATE)], check=True)


@pytest.mark.capability("E01")
def test_the_gate_sets_up_lints_and_tests_in_that_order() -> None:
    text = GATE.read_text(encoding="utf-8")
    places = [text.index(command) for command in ("make setup", "make lint", "make test")]
    assert places == sorted(places)


@pytest.mark.capability("E01")
def test_tests_need_85_percent_branch_coverage() -> None:
    dry = subprocess.run(["make", "-n", "test"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert "--cov-branch" in dry
    assert "--cov-fail-under=85" in dry


@pytest.mark.capability("E02")
def test_lint_runs_style_format_types_and_security() -> None:
    dry = subprocess.run(["make", "-n", "lint"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    for tool in ("ruff check", "ruff format --check", "mypy", "bandit"):
        assert tool in dry


@pytest.mark.capability("E02")
@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("def f():\n    return undefined_name\n", "F821"),
        ("try:\n    x = 1\nexcept:\n    x = 2\n", "E722"),
        ("import os\nimport json\n\nprint(os, json)\n", "I001"),
        ("try:\n    x = 1\nexcept Exception:\n    x = 2\n", "BLE001"),
    ],
)
def test_lint_finds_undefined_names_blanket_excepts_and_unsorted_imports(
    tmp_path: Path, source: str, rule: str
) -> None:
    (tmp_path / "planted.py").write_text(source, encoding="utf-8")
    found = _ruff("check", "planted.py", "--output-format", "concise", cwd=tmp_path)
    assert found.returncode == 1
    assert rule in found.stdout


@pytest.mark.capability("E02")
def test_format_check_finds_unformatted_code(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("x = {  'a':1 }\n", encoding="utf-8")
    assert _ruff("format", "--check", "planted.py", cwd=tmp_path).returncode == 1


@pytest.mark.capability("E06")
def test_pre_commit_runs_the_same_tools_and_the_file_hygiene_hooks() -> None:
    config = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {hook["id"] for repo in config["repos"] for hook in repo["hooks"]}
    assert {"trailing-whitespace", "end-of-file-fixer", "check-yaml", "check-added-large-files"} <= hooks
    assert {"ruff-check", "ruff-format", "mypy", "bandit"} <= hooks


@pytest.mark.capability("E06")
def test_pre_commit_reads_its_configuration() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
