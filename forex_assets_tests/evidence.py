"""The evidence page: which test shows which capability, collected from the ``capability`` markers (L20).

``python -m forex_assets_tests.evidence > docs/evidence.md`` collects the whole suite without running it. The page says
nothing that a marker on an existing test does not say.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parent
REPO = PACKAGE.parent
PAGE = REPO / "docs" / "evidence.md"
COMMAND = "python -m forex_assets_tests.evidence > docs/evidence.md"
GROUPS = {
    "A": "The optimisation loop",
    "B": "Operating the forecasts",
    "D": "Session-aware strategies",
    "E": "The platform around it",
    "J": "Faults: claimed against does",
    "K": "Faults: statistics",
    "L": "Faults: engineering",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A test and the ids its marker names; parametrised cases count as one test."""

    path: str
    name: str
    ids: tuple[str, ...]


def capabilities() -> dict[str, str]:
    """Return every known id and what it stands for, in catalogue order."""
    with (PACKAGE / "capabilities.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    known = {row["id"]: row["meaning"] for row in rows}
    if len(known) != len(rows):
        raise ValueError("capabilities.csv names an id twice")
    return known


def marked(items: Iterable[pytest.Item]) -> list[Shown]:
    """Return the marked tests among collected items, one entry per test function."""
    found: dict[tuple[str, str], set[str]] = {}
    for item in items:
        ids = {str(value) for mark in item.iter_markers("capability") for value in mark.args}
        if ids:
            path, _, name = item.nodeid.partition("::")
            found.setdefault((path, re.sub(r"\[.*$", "", name, flags=re.DOTALL)), set()).update(ids)
    return [Shown(path, name, tuple(sorted(ids))) for (path, name), ids in found.items()]


def unknown_ids(shown: Iterable[Shown], known: Mapping[str, str]) -> list[str]:
    """Return a line per marker id that the catalogue does not have."""
    return [
        f"{test.path}::{test.name} names {identifier!r}"
        for test in shown
        for identifier in test.ids
        if identifier not in known
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a run whose markers name ids that do not exist; import this into conftest.py to register it."""
    wrong = unknown_ids(marked(items), capabilities())
    if wrong:
        raise pytest.UsageError("unknown capability ids (see forex_assets_tests/capabilities.csv): " + "; ".join(wrong))


def render(shown: Sequence[Shown], known: Mapping[str, str]) -> str:
    """Return the evidence page."""
    by_id: dict[str, list[Shown]] = {identifier: [] for identifier in known}
    for test in sorted(shown, key=lambda test: (test.path, test.name)):
        for identifier in test.ids:
            by_id[identifier].append(test)
    lines = [
        "# Evidence",
        "",
        f"Generated from the tests by `{COMMAND}`;",
        "a test fails when this page is out of date. A row holds only what a test that exists is marked with.",
        "*Not yet shown* means that no test claims it, whatever the code may do.",
        "",
        "| Group | Ids | Shown | Not yet shown |",
        "|---|---|---|---|",
    ]
    for letter, title in GROUPS.items():
        ids = [identifier for identifier in known if identifier.startswith(letter)]
        count = sum(bool(by_id[identifier]) for identifier in ids)
        lines.append(f"| {letter}: {title} | {len(ids)} | {count} | {len(ids) - count} |")
    for letter, title in GROUPS.items():
        lines += ["", f"## {letter}: {title}", "", "| Id | What | Shown by |", "|---|---|---|"]
        for identifier, meaning in known.items():
            if identifier.startswith(letter):
                tests = "<br>".join(_link(test) for test in by_id[identifier]) or "*not yet shown*"
                lines.append(f"| {identifier} | {meaning} | {tests} |")
    return "\n".join([*lines, ""])


def _link(test: Shown) -> str:
    sentence = test.name.split("::")[-1].removeprefix("test_").replace("_", " ")
    return f"[{sentence}](../{test.path})"


class _Collector:
    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def collect() -> list[Shown]:
    """Collect the whole suite in this process, quietly, and return its marked tests.

    Raises
    ------
    RuntimeError
        When a test module cannot be collected: a page without it would be incomplete.
    """
    collector = _Collector()
    saved, quiet = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    try:
        arguments = ["--collect-only", "-qq", "--rootdir", str(REPO), "-c", str(REPO / "pyproject.toml"), str(PACKAGE)]
        status: Any = pytest.main(arguments, plugins=[collector])
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
        os.close(quiet)
    if status != pytest.ExitCode.OK:
        raise RuntimeError(f"collecting the tests ended with {status!r}; run `pytest --collect-only` to see why")
    return marked(collector.items)


def generate() -> str:
    """Return the page made by a process of its own, so that a running test session is not collected into itself."""
    done = subprocess.run(
        [sys.executable, "-m", "forex_assets_tests.evidence"], cwd=REPO, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{COMMAND} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def main() -> int:
    """Print the page; exit status 1 with the reason on stderr where it cannot be made."""
    known = capabilities()
    shown = collect()
    wrong = unknown_ids(shown, known)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    sys.stdout.write(render(shown, known))
    return 0


if __name__ == "__main__":
    sys.exit(main())
