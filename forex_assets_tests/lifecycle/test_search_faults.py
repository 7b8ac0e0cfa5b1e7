"""Faults of a search on real processes: killed from outside, hung, its run killed; what is in use stays, on record."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forex_assets import schemas
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.optimization import limits
from forex_assets.optimization.search import search
from forex_assets.pipeline import Pipeline
from forex_assets.verdicts import judge_slice
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, edit_yaml, settings_of, small_config

SUBJECT = Subject.forecast(PAIR, "7d")
Make = Callable[..., Pipeline]
NOW = dt.datetime(2025, 6, 14, 12, tzinfo=dt.UTC)


def searchers(parent: int | None = None) -> list[int]:
    """Return the search processes that a process (this one) started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                above = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if above == (parent or os.getpid()) and b"optimization.child" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def _nothing_changed(pipeline: Pipeline) -> Any:
    """Assert that what is in use is what was, and that the search is on record; return its entry."""
    lifecycle = pipeline.lifecycle
    assert lifecycle.of(SUBJECT).current == SETTINGS
    assert pipeline.active(PAIR, "7d").origin == "settings"
    assert lifecycle.verify().intact
    return lifecycle.ledger.entries(subject=SUBJECT, kinds=("search",))[-1]


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the pair's prices and nothing else, and its configuration beside it."""
    folder = tmp_path_factory.mktemp("searched")
    pipeline = Pipeline(settings_of(small_config(folder / "configs"), folder / "home"))
    (frame,) = pipeline.bars(PAIR, [LAST_AS_OF]).values()
    verdict, meta = judge_slice(schemas.BARS, frame), {"data_hash": str(frame["data_hash"].iloc[0])}
    pipeline.store.write(schemas.BARS, PAIR, (LAST_AS_OF.isoformat(),), frame, verdict=verdict, meta=meta)
    return folder


@pytest.fixture
def pipeline_with(bars: Path, tmp_path: Path) -> Make:
    """Return what makes a pipeline on a copy of that home, with a small search over one model."""

    def make(**changes: Any) -> Pipeline:
        for name in ("configs", "home"):
            shutil.copytree(bars / name, tmp_path / name)
        small = {"models": ["rw_ewma"], "fallback_trials": 2, "history_years": 6, **changes}
        edit_yaml(tmp_path / "configs" / "optimization.yaml", lambda body: body["search"].update(small))
        edit_yaml(tmp_path / "configs" / "pairs" / f"{PAIR}.yaml", lambda body: body.update(active_model="random_walk"))
        return Pipeline(settings_of(tmp_path / "configs", tmp_path / "home"))

    return make


@pytest.mark.capability("A24", "J12", "A32")
def test_a_search_killed_from_outside_falls_back_to_a_few_random_draws(pipeline_with: Make) -> None:
    small = pipeline_with(trials=6)
    killed: list[int] = []

    def progress(line: Any) -> None:
        if "done" in line and not killed:
            killed.extend(searchers())
            os.kill(killed[0], signal.SIGKILL)

    report = search(small, PAIR, "7d", as_of=LAST_AS_OF, now=NOW, progress=progress)
    assert killed
    assert report.fallback == "random search of 2 after: out of memory or killed from outside (signal 9)"
    assert report.trials == 2
    assert _nothing_changed(small).outcome["fallback"] == report.fallback
    assert searchers() == []


@contextlib.contextmanager
def _stopping_every_search() -> Iterator[list[int]]:
    """Stop (SIGSTOP) every search process of this one as soon as it is there."""
    over, seen = threading.Event(), []

    def watch() -> None:
        while not over.wait(0.02):
            for number in searchers():
                if number not in seen:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(number, signal.SIGSTOP)
                    seen.append(number)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.capability("A24", "J12", "K28")
def test_a_search_that_hangs_is_killed_when_its_time_is_up_and_what_is_in_use_stays(
    pipeline_with: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GRACE_S", 0.4)
    hung = pipeline_with(warn_s=0.1, stop_s=0.4, alert_s=0.4)
    with _stopping_every_search() as seen:
        report = search(hung, PAIR, "7d", as_of=LAST_AS_OF, now=NOW)
    assert len(seen) == 2
    assert report.candidate is None
    assert report.timed_out
    assert report.fallback == "kept the configuration in use"
    assert "out of time after 1 s" in _nothing_changed(hung).reasons[0]
    assert searchers() == []


@pytest.mark.capability("A24", "A35", "J12")
def test_a_run_killed_in_mid_search_leaves_no_process_and_the_next_one_goes_on(pipeline_with: Make) -> None:
    small = pipeline_with(trials=6)
    ready, told = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            search(
                small,
                PAIR,
                "7d",
                as_of=LAST_AS_OF,
                now=NOW,
                progress=lambda line: os.write(told, b"x") if "done" in line else None,
            )
        finally:
            os._exit(0)
    assert os.read(ready, 1) == b"x"
    (child,) = searchers(parent)
    handle = os.pidfd_open(child)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    assert poll.poll(60_000)  # it ends as soon as nobody reads what it says
    for number in (ready, told, handle):
        os.close(number)
    assert small.lifecycle.verify().intact
    assert small.lifecycle.ledger.entries(subject=SUBJECT, kinds=("search",)) == []
    report = search(small, PAIR, "7d", as_of=LAST_AS_OF, now=NOW, isolated=False)
    assert report.trials >= 1
    assert _nothing_changed(small).outcome["failed"] is False
