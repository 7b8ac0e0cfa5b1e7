"""Claims are generated from tests: ids exist, and the page says what the suite says."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from forex_assets_tests import evidence
from forex_assets_tests.evidence import COMMAND, PAGE, Shown, capabilities, render, unknown_ids

SIZES = {"A": 39, "B": 27, "D": 23, "E": 28, "J": 25, "K": 28, "L": 20}


@pytest.mark.capability("L20")
def test_every_id_of_the_catalogue_has_a_meaning() -> None:
    expected = [f"{letter}{number:02d}" for letter, size in SIZES.items() for number in range(1, size + 1)]
    known = capabilities()
    assert sorted(known) == sorted(expected)
    assert all(len(meaning) > 15 for meaning in known.values())


@pytest.fixture(scope="module")
def page() -> str:
    return evidence.generate()


@pytest.mark.capability("L20")
def test_the_page_agrees_with_the_suite(page: str) -> None:
    assert PAGE.is_file(), f"make it with: {COMMAND}"
    assert PAGE.read_text(encoding="utf-8") == page, f"docs/evidence.md is out of date; run: {COMMAND}"


@pytest.mark.capability("L20")
def test_the_page_claims_nothing_without_a_test() -> None:
    known = {"A01": "one", "L20": "two"}
    text = render([Shown("forex_assets_tests/test_x.py", "test_claims_rest_on_tests", ("L20",))], known)
    assert "| A01 | one | *not yet shown* |" in text
    assert "| L20 | two | [claims rest on tests](../forex_assets_tests/test_x.py) |" in text
    assert "| L: Faults: engineering | 1 | 1 | 0 |" in text


@pytest.mark.capability("L20")
def test_a_marker_with_an_unknown_id_is_refused(pytester_items: list[pytest.Item]) -> None:
    shown = evidence.marked(pytester_items)
    assert shown == [Shown(shown[0].path, "test_claim", ("L20", "Z99"))]
    assert unknown_ids(shown, capabilities()) == [f"{shown[0].path}::test_claim names 'Z99'"]
    with pytest.raises(pytest.UsageError, match="'Z99'"):
        evidence.pytest_collection_modifyitems(pytester_items)


@pytest.fixture
def pytester_items(request: pytest.FixtureRequest) -> list[Any]:
    """Two cases of one parametrised test whose marker names an id that does not exist."""
    marks = [pytest.mark.capability("L20").mark, pytest.mark.capability("Z99").mark]
    items = []
    for case in ("[a]", "[b::c]"):
        item = pytest.Function.from_parent(request.node.parent, name=f"test_claim{case}", callobj=lambda: None)
        item.own_markers = list(marks)
        items.append(item)
    return items


def test_an_id_named_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "capabilities.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([["id", "meaning"], ["A01", "x"], ["A01", "y"]])
    monkeypatch.setattr(evidence, "PACKAGE", tmp_path)
    with pytest.raises(ValueError, match="twice"):
        capabilities()
