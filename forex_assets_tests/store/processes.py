"""Real child processes: started fresh (spawn), waited for with a limit, never left behind."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

SPAWN = mp.get_context("spawn")
PATIENCE_S = 120.0


def start(target: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a child."""
    child = SPAWN.Process(target=target, args=args, daemon=True)
    child.start()
    return child


def finish(children: list[BaseProcess]) -> None:
    """Wait for children and hold that each ended well."""
    for child in children:
        child.join(PATIENCE_S)
    codes = [child.exitcode for child in children]
    for child in children:
        if child.is_alive():
            child.kill()
            child.join(PATIENCE_S)
    assert codes == [0] * len(children)


def kill_at_fault_point(target: Callable[..., None], *args: Any) -> Any:
    """Start ``target(connection, *args)``, wait until it reports its fault point, then kill -9 it there."""
    ours, theirs = SPAWN.Pipe()
    child = start(target, theirs, *args)
    try:
        assert ours.poll(PATIENCE_S), "the child never reached its fault point"
        report = ours.recv()
        assert child.is_alive()
    finally:
        if child.is_alive():
            os.kill(child.pid or 0, signal.SIGKILL)
        child.join(PATIENCE_S)
    assert child.exitcode == -signal.SIGKILL
    return report


def stop_here(connection: Connection, report: object) -> None:
    """Report and block until killed."""
    connection.send(report)
    connection.recv()
    raise AssertionError("a fault point must not be passed")
