"""A search in a process of its own: stopped when its time is up, out of memory alone, with a smaller one to fall to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess  # nosec B404
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forex_assets.errors import DataError
from forex_assets.optimization.child import OUT_OF_MEMORY
from forex_assets.pipeline import Pipeline

Line = Callable[[Mapping[str, Any]], None]
#: After ``stop_s`` a child that does not end by itself is killed.
GRACE_S = 20.0


def with_fallback(pipeline: Pipeline, job: Mapping[str, Any], progress: Line) -> tuple[dict[str, Any], str]:
    """Run the job under its limits; out of time or memory a few random draws are tried, then the present one stays."""
    settings = pipeline.settings.optimization.search
    result, why = _child(pipeline, job, progress)
    if result is not None:
        return result, ""
    progress({"warning": f"{why}; trying {settings.fallback_trials} random configurations instead"})
    smaller = {**job, "random": True, "trials": settings.fallback_trials}
    result, again = _child(pipeline, smaller, progress)
    if result is not None:
        return {**result, "timed_out": "time" in why}, f"random search of {settings.fallback_trials} after: {why}"
    nothing: dict[str, Any] = {
        "winner": None,
        "incumbent": None,
        "table": [],
        "metrics": {},
        "reasons": [f"{why}; the smaller random search failed too ({again}): the configuration in use stays"],
        "timed_out": "time" in why,
        "peak_memory_mib": None,
    }
    return nothing, "kept the configuration in use"


def _child(pipeline: Pipeline, job: Mapping[str, Any], progress: Line) -> tuple[dict[str, Any] | None, str]:
    """Run a job in a process of its own; return its result, or None and why there is none.

    Raises
    ------
    ForexError
        What the search itself refused: that would not change with less of it.
    """
    settings = pipeline.settings
    limits = settings.optimization.search
    with tempfile.TemporaryDirectory(prefix="forex-search-") as folder:
        answer = Path(folder) / "result.json"
        request = {**job, "memory_mib": limits.memory_mib, "result": str(answer)}
        environment = {
            **os.environ,
            "FOREX_HOME": str(settings.home),
            "FOREX_CONFIG_DIR": str(settings.config_dir),
            "FOREX_STORE_ROOT": settings.store_root,
            "FOREX_PAIRS": "",
            # One thread each: results do not depend on how many cores a machine has.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        child = subprocess.Popen(  # nosec B603
            [sys.executable, "-m", "forex_assets.optimization.child", json.dumps(request)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.extend(child.stderr or ()), daemon=True)
        reader.start()
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            child.kill()

        timer = threading.Timer(limits.stop_s + GRACE_S, kill)
        timer.start()
        try:
            for line in child.stdout or ():
                with contextlib.suppress(ValueError):
                    progress(json.loads(line))
            code = child.wait()
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            reader.join(timeout=5.0)
        if killed.is_set():
            return None, f"out of time after {limits.stop_s + GRACE_S:.0f} s"
        if answer.is_file():
            body: dict[str, Any] = json.loads(answer.read_text())
            if "error" not in body:
                return body, ""
            if body["kind"] == "memory":
                return None, f"out of memory ({limits.memory_mib} MiB)"
            if body["kind"] == "time":
                return None, f"out of time: {body['error']}"
            raise DataError(body["error"], remedy=body["remedy"])
        if code == OUT_OF_MEMORY:
            return None, f"out of memory ({limits.memory_mib} MiB)"
        if code < 0:
            return None, f"out of memory or killed from outside (signal {-code})"
        tail = "".join(errors[-3:]).strip() or "it said nothing"
        raise DataError(
            f"The search process ended with code {code} and no result: {tail}",
            remedy="run `forex optimize run --in-process` to see where it stops.",
        )
