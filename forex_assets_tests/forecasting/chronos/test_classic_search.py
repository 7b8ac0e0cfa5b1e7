"""The classic engine whole: 27 points of a small Chronos-T5 on the last 30 days, as configuration by configuration."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from forex_assets.errors import DataError
from forex_assets.forecasting.chronos.checkpoint import using
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.gate import decide_gate
from forex_assets.lifecycle.search.engines import Problem, run_engine
from forex_assets.lifecycle.search.objective import Evaluator, Objective
from forex_assets.lifecycle.search.periods import lay_periods
from forex_assets.lifecycle.search.space import Space, key_of, space_of
from forex_assets.settings import load_settings


@pytest.fixture
def problem(histories: dict[str, PriceHistory]) -> Problem:
    history = histories["usdaaa"]
    end = history.event_date[-1]
    periods = lay_periods(
        end, first_day=history.event_date[300], horizon_days=7, gate_days=600, selection_days=300, history_years=5
    )
    days = history.calendar.sessions(end - np.timedelta64(42, "D"), end)
    evaluator = Evaluator(history, horizon_days=7, days=days, as_of=end)
    return Problem(evaluator, periods, Objective(0.5), ModelChoice("random_walk"), rank="rmse")


@pytest.mark.capability("A09", "A10", "A19")
def test_the_classic_engine_ranks_its_27_points_by_rmse_over_the_last_30_days(
    problem: Problem, checkpoints: Path
) -> None:
    space = space_of("classic", horizon_days=7)
    with using(checkpoints):
        found = run_engine(problem, space, trials=27, seed=1, finalists=5)
    assert [trial.error for trial in found.trials] == [""] * 27
    best = min(found.trials, key=lambda trial: (trial.objective, key_of(trial.choice)))
    assert found.finalists[0].choice == best.choice
    assert all(trial.objective == trial.rmse for trial in found.trials)
    assert (found.winner is not None) == (best.objective < found.incumbent.objective)
    assert "on the last 30 days" in found.reasons[0]
    own = problem.search_rows(problem.evaluator.losses(best.choice))
    assert np.all(own.matured > problem.evaluator.as_of - np.timedelta64(30, "D"))
    assert best.rmse == pytest.approx(float(np.sqrt((own.error**2).mean())))


@pytest.mark.capability("A11", "K20")
def test_the_shared_grid_agrees_with_one_configuration_at_a_time_within_monte_carlo_error(
    problem: Problem, checkpoints: Path
) -> None:
    points = [
        ModelChoice("chronos_t5", {"context_length": 90, "num_samples": samples, "temperature": 1.0})
        for samples in (50, 200)
    ]
    alone = Problem(
        Evaluator(
            problem.evaluator.history,
            horizon_days=7,
            days=problem.evaluator.days,
            as_of=problem.evaluator.as_of,
        ),
        problem.periods,
        problem.objective,
        problem.incumbent,
        rank="rmse",
    )
    with using(checkpoints):
        problem.evaluator.share(points)
        for point in points:
            mine, theirs = problem.evaluator.losses(point), alone.evaluator.losses(point)
            np.testing.assert_array_equal(mine.origins, theirs.origins)
            spread = theirs.error / theirs.error_sigma  # the forecast's own sigma, price units
            noise = np.abs(spread) * math.sqrt(2.0 / float(point.parameters["num_samples"]))
            assert float(np.mean(np.abs(mine.error - theirs.error) < 4.0 * noise)) > 0.95


@pytest.mark.capability("A12")
def test_without_a_checkpoint_every_configuration_fails_and_the_error_says_why(
    problem: Problem, tmp_path: Path
) -> None:
    space = space_of("classic", horizon_days=7)
    with using(tmp_path / "none"), pytest.raises(DataError, match="All 2 configurations failed"):
        run_engine(problem, Space("classic", space.models, space.points[:2]), trials=2, seed=1, finalists=1)


@pytest.mark.capability("K06")
def test_a_candidate_ranked_on_the_gates_own_days_is_refused_unless_a_person_forces_it() -> None:
    policy = load_settings().optimization.gate.model_dump(mode="json")
    sample = {
        **{"n": 400, "n_effective": 80.0, "improvement": 0.2, "improvement_low": 0.1, "improvement_high": 0.3},
        **{"p_better": 0.0001, "p_worse": 0.9999, "interval_score_ratio": 0.8, "loss_spread_ratio": 0.9},
        **{"interval_score_ratio_low": 0.7, "interval_score_ratio_high": 0.9},
        **{"bias_sigma": 0.0, "bias_sigma_low": -0.1, "bias_sigma_high": 0.1, "bias_sigma_incumbent": 0.0},
    }
    for name, value in (("coverage_80", 0.8), ("coverage_95", 0.95), ("tail_low", 0.025), ("tail_high", 0.025)):
        sample |= {name: value, f"{name}_low": value, f"{name}_high": value, f"{name}_incumbent": value}
    known = {
        **{"own": sample, "panel": None, "horizon_days": 7, "opening": 1, "first": False},
        "latency_s": {"candidate": 0.1, "incumbent": 0.1},
    }
    assert decide_gate(known, policy)["approved"]
    refused = decide_gate(known | {"seen": "classic", "forced": False}, policy)
    assert not refused["approved"]
    assert refused["reasons"] == [
        "unseen_period: expected a search that has not seen the gate's period, or forced; "
        "found classic: ranked on the last 30 days"
    ]
    assert decide_gate(known | {"seen": "classic", "forced": True}, policy)["approved"]
