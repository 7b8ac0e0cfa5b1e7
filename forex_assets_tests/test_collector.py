"""The garbage collector of a process that loads the platform looks less often, and still finds garbage in cycles."""

from __future__ import annotations

import atexit
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from forex_assets.collector import NEW_OBJECTS, leave_everything, look_less_often


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    atexit.unregister(leave_everything)


class Node:
    """Something that can hold itself."""

    def __init__(self) -> None:
        self.own = self


def test_cycles_are_still_collected(thresholds: None) -> None:
    look_less_often()
    assert gc.isenabled()
    gone = weakref.ref(Node())
    kept = [[] for _ in range(2 * NEW_OBJECTS)]
    assert len(kept) == 2 * NEW_OBJECTS
    assert gone() is None


def test_what_runs_at_the_end_of_a_process_still_runs() -> None:
    code = """
import tempfile, weakref
from forex_assets.collector import look_less_often
look_less_often()
look_less_often()
class Held: pass
held = Held()
held.own = held
weakref.finalize(held, print, "finalised")
folder = tempfile.TemporaryDirectory()
print(folder.name)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said[1] == "finalised"
    assert not Path(said[0]).exists()


@pytest.mark.parametrize("module", ["duckdb", "pyarrow", "torch"])
def test_no_module_complains_at_the_end_of_a_process(module: str) -> None:
    pytest.importorskip(module)
    code = f"from forex_assets.collector import look_less_often; look_less_often(); import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_loading_the_code_location_tells_the_collector() -> None:
    code = "import gc, forex_assets.definitions; print(gc.get_threshold()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == NEW_OBJECTS
    assert "leak" not in done.stderr
