"""The search: spaces by capability, nested periods, one objective, failures, deadlines, and going on after a kill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model, resolve_parameters
from forex_assets.lifecycle.search import space as spaces
from forex_assets.lifecycle.search.engines import Problem, SearchStoppedError, Trial, run_engine
from forex_assets.lifecycle.search.objective import Evaluator, Losses, Objective, latency_of, paired
from forex_assets.lifecycle.search.periods import lay_periods
from forex_assets.lifecycle.search.space import Space, key_of, space_of
from forex_assets.simulation.worlds import garch_t_world

MODELS = ("blend", "rw_ewma")


@pytest.fixture(scope="module")
def history() -> PriceHistory:
    world = garch_t_world(4, 2600)
    return PriceHistory.from_bars(world.bars, world.calendar)


@pytest.fixture(scope="module")
def problem(history: PriceHistory) -> Problem:
    return make_problem(history)


def make_problem(history: PriceHistory, cache: Path | None = None) -> Problem:
    periods = lay_periods(
        history.event_date[-1],
        first_day=history.event_date[300],
        horizon_days=7,
        gate_days=600,
        selection_days=300,
        history_years=5,
    )
    days = history.calendar.sessions(periods.search_start, periods.gate_start)[::5]
    evaluator = Evaluator(
        history,
        horizon_days=7,
        days=days,
        as_of=periods.gate_start - np.timedelta64(1, "D"),
        cache=cache,
        data_hash="d" if cache else "",
    )
    return Problem(evaluator, periods, Objective(0.5), ModelChoice("random_walk"))


@pytest.mark.capability("A09")
def test_the_classic_grid_has_exactly_its_27_points() -> None:
    points = space_of("classic", horizon_days=7).points
    assert len(points) == len({key_of(point) for point in points}) == 27
    assert {point.parameters["context_length"] for point in points} == {90, 180, 365}
    assert {point.parameters["num_samples"] for point in points} == {50, 100, 200}
    assert {point.parameters["temperature"] for point in points} == {0.8, 1.0, 1.2}
    by_horizon = space_of("classic-per-horizon", horizon_days=90).points
    assert {point.parameters["context_length"] for point in by_horizon} == {365, 540, 730}
    assert len(space_of("random", horizon_days=7).draws(20, seed=1)) == 20


@pytest.mark.capability("K20")
def test_a_space_holds_only_parameters_its_models_have_and_never_noise() -> None:
    space = space_of("adaptive", horizon_days=7, models=[*MODELS, "gjr_t", "loghar"])
    for model, dimensions in space.models.items():
        assert set(dimensions) <= set(get_model(model).capabilities.parameters)
        assert not set(dimensions) & set(spaces.NOT_RANKED)
    assert "num_samples" not in spaces.dimensions_of(get_model("chronos_t5").capabilities)
    for choice in space.draws(60, seed=3):
        resolve_parameters(get_model(choice.model), choice.parameters)


def test_an_unknown_engine_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="'grid'"):
        space_of("grid", horizon_days=7)


@pytest.mark.capability("K06")
@given(st.integers(1, 90), st.integers(200, 2000), st.integers(100, 400), st.integers(1, 10))
@settings(max_examples=50)
def test_no_outcome_of_one_period_is_known_in_the_one_before(
    horizon_days: int, gate_days: int, selection_days: int, years: int
) -> None:
    end = np.datetime64("2024-06-03")
    periods = lay_periods(
        end,
        first_day=np.datetime64("1999-01-04"),
        horizon_days=horizon_days,
        gate_days=gate_days,
        selection_days=selection_days,
        history_years=years,
    )
    origins = np.arange(np.datetime64("1999-01-04"), end)
    matured = origins + horizon_days
    search, selection, gate = (part(origins, matured) for part in (periods.search, periods.selection, periods.gate))
    assert search.any()
    assert selection.any()
    assert matured[search].max() < origins[selection].min()
    assert matured[selection].max() < origins[gate].min() if gate.any() else True
    assert not (search & selection).any()


def test_a_history_without_room_for_a_search_is_refused() -> None:
    with pytest.raises(DataError, match="holds no search"):
        lay_periods(
            np.datetime64("2024-06-03"),
            first_day=np.datetime64("2022-01-03"),
            horizon_days=30,
            gate_days=700,
            selection_days=200,
            history_years=5,
        )


@pytest.mark.capability("A08", "A10")
def test_losses_are_those_of_the_backtest(history: PriceHistory, problem: Problem) -> None:
    mine = problem.evaluator.losses(ModelChoice("rw_ewma", {"decay": 0.9}))
    rows = run_backtest(
        history,
        horizon_days=7,
        models=[ModelChoice("rw_ewma", {"decay": 0.9})],
        start=problem.evaluator.days[0],
        end=problem.evaluator.days[-1],
        as_of=problem.evaluator.as_of,
    )
    rows = rows.loc[rows["actual"].notna() & rows["as_of"].isin(problem.evaluator.days)]
    np.testing.assert_array_equal(mine.error, (rows["mean"] - rows["actual"]).to_numpy())


def test_a_blend_computed_together_is_the_blend_computed_alone(history: PriceHistory, problem: Problem) -> None:
    params = {"weight_rw_blend": 0.3, "weight_garch_t": 0.0, "width_lower": 1.2}
    shared = problem.evaluator.losses(ModelChoice("blend", params))
    rows = run_backtest(
        history,
        horizon_days=7,
        models=[ModelChoice("blend", params)],
        start=shared.origins[-1],
        end=shared.origins[-1],
        as_of=problem.evaluator.as_of,
    )
    assert shared.covered_95[-1] == float(rows["q025"].iloc[0] <= rows["actual"].iloc[0] <= rows["q975"].iloc[0])
    assert shared.error[-1] == pytest.approx(float(rows["mean"].iloc[0] - rows["actual"].iloc[0]), abs=1e-12)


def test_a_blend_without_any_weight_is_a_failed_trial(problem: Problem) -> None:
    nothing = {f"weight_{base}": 0.0 for base in ("rw_blend", "rw_empirical", "rw_ewma", "garch_t", "gjr_t", "loghar")}
    trial = problem.trial(ModelChoice("blend", nothing))
    assert math.isinf(trial.objective)
    assert trial.error


@pytest.mark.capability("A12")
def test_one_failing_configuration_is_infinite_and_all_failing_is_an_error(problem: Problem) -> None:
    broken = ModelChoice("chronos_t5", {"context_length": 90})
    mixed = Space("classic", {}, (broken, ModelChoice("rw_ewma")))
    found = run_engine(problem, mixed, trials=2, seed=1, finalists=2)
    assert [math.isinf(trial.objective) for trial in found.trials] == [True, False]
    with pytest.raises(DataError, match="All 1 configurations failed"):
        run_engine(problem, Space("classic", {}, (broken,)), trials=1, seed=1, finalists=1)


@pytest.mark.capability("A38", "K21")
def test_an_adaptive_search_finds_the_planted_width_and_keeps_what_is_best(problem: Problem) -> None:
    space = space_of("adaptive", horizon_days=7, models=MODELS)
    found = run_engine(problem, space, trials=30, seed=5, finalists=3)
    assert len(found.trials) <= 30
    assert found.winner is not None
    assert found.winner.selection_crps_ratio < found.incumbent.selection_crps_ratio
    again = Problem(problem.evaluator, problem.periods, problem.objective, found.winner.choice)
    kept = run_engine(again, Space("classic", {}, (found.winner.choice,)), trials=1, seed=5, finalists=1)
    assert kept.winner is None
    assert "in use is the best found" in kept.reasons[0]


@pytest.mark.capability("K20")
def test_the_same_seed_proposes_the_same_configurations(problem: Problem) -> None:
    space = space_of("adaptive", horizon_days=7, models=MODELS)
    runs = [run_engine(problem, space, trials=24, seed=9, finalists=2) for _ in range(2)]
    assert [key_of(trial.choice) for trial in runs[0].trials] == [key_of(trial.choice) for trial in runs[1].trials]


@pytest.mark.capability("A24")
def test_a_search_out_of_time_stops_between_configurations_and_says_how_far_it_came(problem: Problem) -> None:
    seen: list[Trial] = []

    def deadline() -> None:
        if len(seen) >= 3:
            raise SearchStoppedError("The time is up.", ())

    space = space_of("adaptive", horizon_days=7, models=MODELS)
    with pytest.raises(SearchStoppedError) as stopped:
        run_engine(
            problem,
            space,
            trials=10,
            seed=1,
            finalists=1,
            deadline=deadline,
            progress=lambda trial, done, total: seen.append(trial),
        )
    assert len(stopped.value.trials) == 3


@pytest.mark.parametrize("done_before", [1, 5])
def test_a_search_that_was_killed_ends_as_one_that_was_not(
    history: PriceHistory, tmp_path: Path, done_before: int
) -> None:
    space = space_of("adaptive", horizon_days=7, models=MODELS)
    whole = run_engine(make_problem(history), space, trials=8, seed=2, finalists=2, journal=tmp_path / "whole.journal")

    def killed(trial: Trial, done: int, total: int) -> None:
        if done == done_before:
            raise KeyboardInterrupt

    cut = tmp_path / "cut.journal"
    with pytest.raises(KeyboardInterrupt):
        run_engine(make_problem(history, tmp_path), space, trials=8, seed=2, finalists=2, journal=cut, progress=killed)
    resumed = run_engine(make_problem(history, tmp_path), space, trials=8, seed=2, finalists=2, journal=cut)
    assert [key_of(trial.choice) for trial in resumed.trials] == [key_of(trial.choice) for trial in whole.trials]
    assert [trial.objective for trial in resumed.trials] == [trial.objective for trial in whole.trials]


@pytest.mark.capability("A38")
def test_the_budget_is_distinct_configurations_and_a_space_that_is_used_up_ends_the_search(problem: Problem) -> None:
    decays = spaces.Dimension(choices=(0.9, 0.92, 0.95, 0.97))
    small = Space("adaptive", {"rw_ewma": {"decay": decays}})
    asked: list[str] = []

    def evaluate(choices: Sequence[ModelChoice]) -> list[Trial]:
        asked.extend(problem.evaluator.key(choice) for choice in choices)
        return problem.trials(choices)

    some = run_engine(problem, small, trials=3, seed=1, finalists=1, evaluate=evaluate, batch=2)
    assert len(asked) == len(set(asked)) == len(some.trials) == 3
    asked.clear()
    every = run_engine(problem, small, trials=30, seed=1, finalists=1, evaluate=evaluate)
    assert len(asked) == len(set(asked)) == 4
    assert {trial.choice.parameters["decay"] for trial in every.trials} == set(decays.choices)


@pytest.mark.capability("A38")
def test_a_default_that_is_left_out_is_the_same_configuration(problem: Problem) -> None:
    default = get_model("rw_ewma").capabilities.parameters["decay"].default
    both = [ModelChoice("rw_ewma"), ModelChoice("rw_ewma", {"decay": default})]
    assert len({problem.evaluator.key(choice) for choice in both}) == 1


def test_losses_are_kept_by_content_and_a_torn_file_is_computed_again(history: PriceHistory, tmp_path: Path) -> None:
    first = make_problem(history, tmp_path).evaluator
    choice = ModelChoice("rw_ewma", {"decay": 0.95})
    losses = first.losses(choice)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    again = make_problem(history, tmp_path).evaluator.losses(choice)
    np.testing.assert_array_equal(losses.crps, again.crps)
    assert first.key(choice) != first.key(ModelChoice("rw_ewma", {"decay": 0.951}))


def test_only_common_targets_are_compared(problem: Problem) -> None:
    whole = problem.evaluator.losses(ModelChoice("rw_ewma"))
    half: Losses = whole.rows(np.arange(len(whole)) % 2 == 0)
    a, b = paired([whole, half])
    np.testing.assert_array_equal(a.origins, b.origins)
    assert len(a) == len(half)


@pytest.mark.capability("K09")
def test_latency_is_a_warm_median(history: PriceHistory) -> None:
    seconds = latency_of(ModelChoice("rw_ewma"), history, history.event_date[-1], {"7d": 7, "30d": 30})
    assert 0 < seconds < 5
