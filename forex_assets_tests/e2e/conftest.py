"""A home made once by the real ``forex run``, copies of it to change, and the command as a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forex_assets.store.locks import FileLock

PAIRS = "usdclp,usdzar"
DAYS = 10
FOREX = Path(sys.executable).with_name("forex")
RUN_LIMIT_S = 300.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Host:
    """A user's machine: a home folder of the platform, an empty HOME, an empty working folder, nothing else.

    Only the shared host's commands are measured for coverage; measuring the same lines again costs a third more time.
    """

    root: Path
    measured: bool = False

    @property
    def home(self) -> Path:
        """FOREX_HOME."""
        return self.root / "forex home"

    @property
    def user_home(self) -> Path:
        """HOME, which nothing may write to."""
        return self.root / "user"

    @property
    def work(self) -> Path:
        """The working folder, which nothing may write to."""
        return self.root / "work"

    def environment(self, **extra: str) -> dict[str, str]:
        """Return a small environment: what a login has, this home, no live provider."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "TZ", "TMPDIR") if name in os.environ}
        coverage = {name: value for name, value in os.environ.items() if self.measured and name.startswith("COV")}
        return {
            **kept, **coverage, "HOME": str(self.user_home), "FOREX_HOME": str(self.home), "FOREX_OFFLINE": "1",
            "COLUMNS": "80", **extra,
        }  # fmt: skip

    def command(
        self, *arguments: str, check: int | None = 0, timeout_s: float = RUN_LIMIT_S, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run any program in the working folder and return what it said, after checking its exit status."""
        done = subprocess.run(
            arguments,
            cwd=self.work,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert check is None or done.returncode == check, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def forex(self, *arguments: str, check: int | None = 0, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run ``forex`` with arguments."""
        return self.command(str(FOREX), *arguments, check=check, **extra)

    def json(self, *arguments: str, check: int | None = 0, **extra: str) -> Any:
        """Run ``forex … --json`` and return its output, which must be strict JSON and nothing else."""
        return strict_json(self.forex(*arguments, "--json", check=check, **extra).stdout)

    def left_elsewhere(self) -> list[Path]:
        """Return every file outside FOREX_HOME."""
        return [path for folder in (self.user_home, self.work) for path in folder.rglob("*")]


def strict_json(text: str) -> Any:
    """Return parsed JSON; NaN and Infinity, which are none, are refused."""

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def new_host(root: Path, *, measured: bool = False) -> Host:
    """Return a host with nothing on it."""
    host = Host(root, measured)
    for folder in (host.home, host.user_home, host.work):
        folder.mkdir(parents=True)
    return host


@dataclass(frozen=True)
class Made:
    """The shared host and what its first run said."""

    host: Host
    stdout: str
    stderr: str
    elsewhere: list[str]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The host every test reads, made by one `forex run`; workers of one session share it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root, record = shared / "made once", shared / "made-once.json"
    with FileLock(shared / "made-once.lock", timeout=RUN_LIMIT_S):
        if not record.exists():
            host = new_host(root, measured=True)
            done = host.forex("run", "--pair", PAIRS, "--days", str(DAYS))
            elsewhere = [str(path) for path in host.left_elsewhere()]
            record.write_text(json.dumps([done.stdout, done.stderr, elsewhere]), encoding="utf-8")
    stdout, stderr, elsewhere = json.loads(record.read_text(encoding="utf-8"))
    return Made(Host(root, measured=True), stdout, stderr, elsewhere)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A fresh host."""
    return new_host(tmp_path / "host")


def copy_of(made: Made, root: Path) -> Host:
    """Return a copy of the shared host that may be changed."""
    shutil.copytree(made.host.root, root)
    return Host(root)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Host:
    """A copy of the shared host that the test may change."""
    return copy_of(made, tmp_path / "copy")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start programs in process groups of their own; what is left of them ends with the test."""
    running: list[subprocess.Popen[str]] = []

    def launch(*arguments: str, cwd: Path, env: Mapping[str, str], output: Path) -> subprocess.Popen[str]:
        with output.open("w", encoding="utf-8") as handle:
            process = subprocess.Popen(
                arguments, cwd=cwd, env=dict(env), stdout=handle, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,
            )  # fmt: skip
        running.append(process)
        return process

    yield launch
    for process in running:
        end_group(process)


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process started in a session of its own, and its children."""
    import contextlib
    import signal

    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
