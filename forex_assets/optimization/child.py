"""The process a search runs in: a memory limit of its own, progress as JSON lines, the result as a file.

``python -m forex_assets.optimization.child '<job as JSON>'``; started by :mod:`forex_assets.optimization.search`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Exit code of a process that used more memory than it may.
OUT_OF_MEMORY = 137
#: Address space that libraries reserve without using it, beside twice the limit: past it an allocation fails at once.
RESERVED_MIB = 1536
_POLL_S = 0.05


def main(argument: str) -> int:
    """Run the job; the exit code is 0 whenever a result (or why there is none) was written."""
    job = json.loads(argument)
    _limit(int(job["memory_mib"]))
    from forex_assets.errors import ForexError
    from forex_assets.lifecycle.search.engines import SearchStoppedError
    from forex_assets.optimization.search import run_job
    from forex_assets.pipeline import Pipeline
    from forex_assets.settings import load_settings

    def tell(line: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(line, default=str) + "\n")
        sys.stdout.flush()

    try:
        body: Mapping[str, Any] = run_job(Pipeline(load_settings()), job, tell)
    except MemoryError:
        body = {"error": "out of memory", "kind": "memory", "remedy": "raise optimization.search.memory_mib."}
    except SearchStoppedError as error:
        body = {"error": error.message, "kind": "time", "remedy": error.remedy}
    except ForexError as error:
        body = {"error": error.message, "kind": "refused", "remedy": error.remedy}
    Path(job["result"]).write_text(json.dumps(body, allow_nan=False, default=str), encoding="utf-8")
    return 0


def _limit(memory_mib: int) -> None:
    """End this process when it holds more memory than it may; a single huge allocation fails where it is made."""
    import resource

    size = (2 * memory_mib + RESERVED_MIB) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    threading.Thread(target=_watch, args=(memory_mib,), daemon=True).start()


def _watch(memory_mib: int) -> None:
    page, never = os.sysconf("SC_PAGE_SIZE"), threading.Event()
    while not never.wait(_POLL_S):
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * page
        if held > memory_mib * 1024 * 1024:
            os._exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
