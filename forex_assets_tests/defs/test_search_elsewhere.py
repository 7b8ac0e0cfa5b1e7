"""A search whose cluster does not answer, and one that counts what a forecast costs: both through the real search."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from forex_assets.forecasting.registry import ModelChoice
from forex_assets.optimization.search import problem_of, search
from forex_assets_tests.defs.test_optimization import variant
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World

NOW = dt.datetime(2025, 6, 14, 12, tzinfo=dt.UTC)


@pytest.mark.capability("A39")
def test_without_a_cluster_the_search_is_made_here_with_the_same_result_and_a_reason(
    world: World, config_dir: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    small = {"models": ["rw_ewma"], "trials": 3, "proposals_together": 2}
    nowhere = {"scheduler": "tcp://127.0.0.1:9", "workers": 2, "connect_timeout_s": 0.3}
    here = variant(world, config_dir, tmp_path / "here", active="random_walk", **small)
    there = variant(
        world, config_dir, tmp_path / "there", active="random_walk", **small, distributed="dask", dask=nowhere
    )
    reports = [search(item.pipeline, PAIR, "7d", as_of=LAST_AS_OF, now=NOW, isolated=False) for item in (here, there)]
    assert reports[0].candidate is not None
    assert reports[1].candidate is not None
    assert reports[0].candidate.parameters == reports[1].candidate.parameters
    assert reports[0].objective == reports[1].objective
    assert reports[1].reasons[-1].startswith("the Dask cluster tcp://127.0.0.1:9 cannot be used")


@pytest.mark.capability("A39")
def test_the_time_a_forecast_takes_has_a_price_where_one_is_set(world: World, config_dir: Path, tmp_path: Path) -> None:
    choice = ModelChoice("rw_ewma", {"decay": 0.95})
    found = {}
    for price in (0.0, 10.0):
        priced = variant(
            world, config_dir, tmp_path / str(price), models=["rw_ewma"], trials=1, latency_penalty_per_s=price
        )
        problem, _ = problem_of(priced.pipeline, PAIR, "7d", LAST_AS_OF, "adaptive")
        found[price] = problem.trial(choice).objective - 10.0 * problem.latency.get("rw_ewma", 0.0)
    assert found[10.0] == pytest.approx(found[0.0], abs=1e-12)
