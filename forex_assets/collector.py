"""How often Python looks for garbage in cycles.

Loading the code location makes half a million objects that stay: modules, definitions, schemas. Python's default walks
through them again and again while they are made, and thrice more at the end of the process, when the system takes all
memory back anyway: together a quarter of what one materialised partition takes. Nearly everything else is freed by
reference counts, without the collector.
"""

from __future__ import annotations

import atexit
import gc
import sys

NEW_OBJECTS = 50_000
"""Container objects made since the last look; Python's default is 700."""
COUNTS_AT_THE_END = ("duckdb",)
"""Modules whose binding prints every object that is still there when the process ends (nanobind's check for leaks)."""


def look_less_often() -> None:
    """Let the collector of this process look after every 50,000 new objects, rarely at old ones, and not at the end."""
    gc.set_threshold(NEW_OBJECTS, 20, 100)
    atexit.unregister(leave_everything)
    atexit.register(leave_everything)


def leave_everything() -> None:
    """Spare the end of the process the walks, unless a module would complain of what they leave."""
    if not any(name in sys.modules for name in COUNTS_AT_THE_END):
        gc.freeze()
