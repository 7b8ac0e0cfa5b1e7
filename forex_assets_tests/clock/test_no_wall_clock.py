"""The library is told what time it is: no room that computes results reads the wall clock or loads heavy packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import forex_assets

PACKAGE = Path(forex_assets.__file__).parent
ROOMS = ("clock", "market", "forecasting", "evaluation")
WALL_CLOCK = {
    "now": {"datetime", "dt.datetime", "datetime.datetime", "pd.Timestamp", "Timestamp"},
    "utcnow": {"datetime", "dt.datetime", "datetime.datetime", "pd.Timestamp", "Timestamp"},
    "today": {"date", "datetime", "dt.date", "dt.datetime", "datetime.date", "datetime.datetime", "pd.Timestamp"},
    "time": {"time"},
    "time_ns": {"time"},
    "localtime": {"time"},
    "gmtime": {"time"},
}


def wall_clock_calls(source: str) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) in WALL_CLOCK.get(node.func.attr, set())
    ]


def test_the_scan_sees_every_way_to_read_the_clock() -> None:
    readings = ["dt.datetime.now(dt.UTC)", "pd.Timestamp.today()", "time.time()", "date.today()"]
    assert wall_clock_calls("\n".join([*readings, "time.monotonic()", "self.now()"])) == readings


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.capability("K14")
def test_no_result_depends_on_the_wall_clock(room: str) -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): calls
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if (calls := wall_clock_calls(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("use", "absent"),
    [
        ("", "pandas exchange_calendars holidays pydantic dagster scipy torch"),
        ("forex_assets.clock.calendar_for(['CL', 'US', 'TARGET'])", "pandas exchange_calendars holidays dagster scipy"),
        ("forex_assets.clock.bcch.meetings()", "exchange_calendars holidays dagster scipy"),
    ],
)
def test_the_clock_loads_no_more_than_it_needs(use: str, absent: str) -> None:
    code = f"import sys, forex_assets.clock\n{use}\nprint(*sorted(set({absent.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
