"""The search on a real Dask cluster of this machine: the same results, a worker killed, a cluster that is not there."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.search.engines import Found, Problem, SearchStoppedError, Trial, run_engine
from forex_assets.lifecycle.search.space import key_of, space_of
from forex_assets.optimization.distributed import NO_DASHBOARD, dask_evaluation
from forex_assets.settings import load_settings
from forex_assets.settings.optimization import DaskSettings, SearchSettings
from forex_assets.simulation.worlds import garch_t_world
from forex_assets_tests.lifecycle.test_search import make_problem

pytest.importorskip("distributed")
LOCAL = DaskSettings(scheduler="", workers=2, connect_timeout_s=10.0)
NOWHERE = DaskSettings(scheduler="tcp://127.0.0.1:9", workers=2, connect_timeout_s=0.5)
SPACE = space_of("adaptive", horizon_days=7, models=["rw_ewma"])


@pytest.fixture(scope="module")
def problem() -> Problem:
    world = garch_t_world(4, 2600)
    return make_problem(PriceHistory.from_bars(world.bars, world.calendar))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of two processes that the tests of this module share, as one that is named in the settings."""
    import dask
    from dask.distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=NO_DASHBOARD, silence_logs=50
        ) as made,
    ):
        yield made


def named(cluster: Any) -> DaskSettings:
    return DaskSettings(scheduler=cluster.scheduler_address, workers=2, connect_timeout_s=10.0)


def search(problem: Problem, evaluate: Any = None, trials: int = 4) -> Found:
    return run_engine(problem, SPACE, trials=trials, seed=3, finalists=2, evaluate=evaluate, batch=2)


def table(found: Found) -> list[tuple[str, float, float]]:
    return [(key_of(trial.choice), trial.objective, trial.crps_ratio) for trial in found.trials]


@pytest.mark.capability("A39")
def test_workers_find_exactly_what_is_found_here(problem: Problem, cluster: Any) -> None:
    notes: list[str] = []
    with dask_evaluation(problem, named(cluster), memory_mib=1024, told=notes.append) as evaluate:
        there = search(problem, evaluate)
    here = search(problem)
    assert table(there) == table(here)
    assert there.winner is not None
    assert here.winner is not None
    assert key_of(there.winner.choice) == key_of(here.winner.choice)
    assert notes == []


class Deadly(Problem):
    """A problem that kills the process it is evaluated in, for as many times as a configuration says."""

    def trial(self, choice: ModelChoice) -> Trial:
        died = Path(choice.parameters["deaths"])
        left = int(died.read_text())
        if left:
            died.write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return Trial(choice, 1.0)


def dies(folder: Path, times: int) -> ModelChoice:
    (folder / str(times)).write_text(str(times))
    return ModelChoice("rw_ewma", {"deaths": str(folder / str(times))})


def deadly(problem: Problem) -> Problem:
    return Deadly(problem.evaluator, problem.periods, problem.objective, problem.incumbent)


@pytest.mark.capability("A12", "A39")
def test_a_worker_killed_midway_costs_its_configuration_nothing(problem: Problem, cluster: Any, tmp_path: Path) -> None:
    notes: list[str] = []
    choices = [dies(tmp_path, 1), dies(tmp_path, 0)]
    with dask_evaluation(deadly(problem), named(cluster), memory_mib=1024, told=notes.append) as evaluate:
        assert evaluate is not None
        found = evaluate(choices)
    assert [trial.objective for trial in found] == [1.0, 1.0]
    assert [trial.choice for trial in found] == choices
    assert notes == []


@pytest.mark.capability("A12", "A39")
def test_a_configuration_that_always_kills_its_worker_scores_infinity(
    problem: Problem, cluster: Any, tmp_path: Path
) -> None:
    with dask_evaluation(deadly(problem), named(cluster), memory_mib=1024) as evaluate:
        assert evaluate is not None
        (found,) = evaluate([dies(tmp_path, 9)])
    assert math.isinf(found.objective)
    assert "ended its worker" in found.error


@pytest.mark.capability("A39")
def test_a_cluster_that_is_not_there_is_named_and_the_search_is_made_here(problem: Problem) -> None:
    notes: list[str] = []
    with dask_evaluation(problem, NOWHERE, memory_mib=1024, told=notes.append) as evaluate:
        assert evaluate is None
        assert table(search(problem, evaluate, trials=2)) == table(search(problem, trials=2))
    assert len(notes) == 1
    assert notes[0].startswith("the Dask cluster tcp://127.0.0.1:9 cannot be used (")
    assert notes[0].endswith("every configuration is evaluated here")


@pytest.mark.capability("A39")
def test_a_cluster_lost_midway_is_on_record_and_the_rest_is_made_here(problem: Problem) -> None:
    from dask.distributed import LocalCluster

    notes: list[str] = []
    choices = [ModelChoice("rw_ewma", {"decay": decay}) for decay in (0.9, 0.95)]
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=NO_DASHBOARD, silence_logs=50
    ) as made:
        settings = DaskSettings(scheduler=made.scheduler_address, workers=1, connect_timeout_s=1.0)
        with dask_evaluation(problem, settings, memory_mib=1024, told=notes.append) as evaluate:
            assert evaluate is not None
            first = evaluate(choices[:1])
            made.close()
            rest = evaluate(choices)
    assert notes == ["the Dask cluster was lost; the search goes on here"]
    assert [trial.objective for trial in first + rest[1:]] == [trial.objective for trial in problem.trials(choices)]


@pytest.mark.capability("A24", "A39")
def test_the_deadline_ends_the_wait_for_workers(problem: Problem, cluster: Any) -> None:
    def deadline() -> None:
        raise SearchStoppedError("The time is up.", ())

    with dask_evaluation(problem, named(cluster), memory_mib=1024, deadline=deadline) as evaluate:
        assert evaluate is not None
        with pytest.raises(SearchStoppedError):
            evaluate([ModelChoice("loghar")])


@pytest.mark.capability("A39")
def test_settings_that_would_leave_workers_idle_are_refused_at_load() -> None:
    body = load_settings().optimization.search.model_dump()
    assert SearchSettings.model_validate(body | {"distributed": "dask", "proposals_together": 2}).dask.workers == 2
    with pytest.raises(ValueError, match=r"proposals_together \(1\) is below dask.workers \(2\)"):
        SearchSettings.model_validate(body | {"distributed": "dask"})
