"""The whole loop by the real Dagster daemon: five to ten minutes, so only where `FOREX_DAEMON_TESTS=1` asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 1500.0


@pytest.mark.skipif(os.environ.get("FOREX_DAEMON_TESTS") != "1", reason="takes minutes; FOREX_DAEMON_TESTS=1 runs it")
@pytest.mark.capability("A02", "A23", "A30", "J01", "L04")
def test_the_daemon_takes_a_weak_start_to_a_deployment_and_planted_harm_to_a_rollback(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    command = [str(Path(sys.executable).with_name("forex")), "demo", "loop", "--daemon", "--home", str(home), "--json"]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH") if name in os.environ}
    environ = {**kept, "HOME": str(tmp_path), "FOREX_HOME": str(tmp_path / "own"), "FOREX_OFFLINE": "1"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    story = json.loads(done.stdout)
    facts = {chapter["key"]: chapter["facts"] for chapter in story["chapters"]}
    hashes = [row["config_hash"] for row in facts["rolled_back"]["forecasts"]]
    assert hashes[0] == hashes[2] == facts["start"]["config_hash"] != hashes[1]
    assert facts["deployed"]["version"] == facts["search"]["candidate"]
    assert "the daemon ran usdclp_trigger_job" in done.stderr
    assert "the daemon ran usdclp_deployment_job" in done.stderr
    assert (home / "logs" / "daemon.log").stat().st_size > 0
