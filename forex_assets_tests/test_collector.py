"""The garbage collector of a process that loads the platform looks less often, and still finds garbage in cycles."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from forex_assets.collector import NEW_OBJECTS, look_less_often


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


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


def test_loading_the_code_location_tells_the_collector() -> None:
    code = "import gc, forex_assets.definitions; print(gc.get_threshold()[0])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(said) == NEW_OBJECTS
