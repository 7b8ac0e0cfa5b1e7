"""``forex demo loop --daemon``: the same story, with the real Dagster daemon asking the sensors and launching runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess  # nosec B404
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from forex_assets.defs.loop_demo import PAIR, Demo
from forex_assets.errors import DataError
from forex_assets.reporting.loop_story import Story

SENSORS = ("trigger", "optimize", "deploy", "probation", "forecast_new_bars")
STEP_LIMIT_S = 300.0
_LOOK_EVERY_S = 1.0
_END_LIMIT_S = 15.0
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class DaemonDemo(Demo):
    """The story in which nothing is evaluated here: each step waits for the run that the daemon launches."""

    by_daemon = True

    def play_with(self, log: Path) -> Story:
        """Start the daemon, play, and end the daemon.

        Raises
        ------
        DataError
            When the daemon launches no run in time, or a run fails.
        """
        self._consumed: dict[str, int] = {}
        self._log = log
        for sensor in SENSORS:  # runs before the daemon are none of its
            self._consumed[sensor] = len(self._runs(sensor))
        with self._daemon():
            return self.play()

    def _follow(self, sensor: str) -> None:
        """Wait until the daemon has carried out one more run of a sensor's job."""
        self.told(f"waiting for the daemon: sensor {PAIR}_{sensor}")
        until = time.monotonic() + STEP_LIMIT_S
        while time.monotonic() < until:
            runs = self._runs(sensor)
            if len(runs) > self._consumed[sensor]:
                run = runs[self._consumed[sensor]]
                self._consumed[sensor] += 1
                good = run.status == dg.DagsterRunStatus.SUCCESS
                self._expect(good, f"run {run.run_id} of {run.job_name} ended as {run.status.value}", [])
                self.told(f"the daemon ran {run.job_name} (run {run.run_id[:8]})")
                return
            time.sleep(_LOOK_EVERY_S)
        self._expect(False, f"the daemon launched no run of {PAIR}_{sensor} in {STEP_LIMIT_S:.0f} s", [str(self._log)])

    def _runs(self, sensor: str) -> list[dg.DagsterRun]:
        """Return the finished runs of a sensor's job that a sensor launched, oldest first."""
        filters = dg.RunsFilter(tags={"dagster/sensor_name": f"{PAIR}_{sensor}"}, statuses=list(_FINISHED))
        return list(reversed(self.runner.instance.get_runs(filters)))

    @contextlib.contextmanager
    def _daemon(self) -> Iterator[None]:
        settings = self.pipeline.settings
        environ = {
            **os.environ,
            "FOREX_HOME": str(settings.home),
            "FOREX_CONFIG_DIR": str(settings.config_dir),
            "FOREX_OFFLINE": "1",
            "FOREX_PAIRS": PAIR,
        }
        location = ["-m", "forex_assets.definitions"]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as log:
            for sensor in SENSORS:
                command = [sys.executable, "-m", "dagster", "sensor", "start", f"{PAIR}_{sensor}", *location]
                done = subprocess.run(command, env=environ, stdout=log, stderr=log, check=False)  # nosec B603
                if done.returncode:
                    raise DataError(f"Sensor {PAIR}_{sensor} could not be started.", remedy=f"see {self._log}.")
            self.told("the sensors are on; starting the daemon")
            command = [str(Path(sys.executable).with_name("dagster-daemon")), "run", *location]
            process = subprocess.Popen(  # nosec B603
                command, env=environ, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield
            finally:
                end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process group that was started here: asked first, then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_LIMIT_S)
            return
