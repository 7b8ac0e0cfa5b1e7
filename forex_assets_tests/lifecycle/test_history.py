"""The loop over past years, on planted losses: what is better is found, nothing else is, and nothing is foreseen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.history import Matrix, Month, Rules, month_ends, replay_history
from forex_assets.lifecycle.search.objective import Losses
from forex_assets.lifecycle.search.space import key_of
from forex_assets.optimization.history import START, configurations, rules_of
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings, packaged_config_dir

DAYS = np.arange(np.datetime64("2001-01-02"), np.datetime64("2013-06-30"))
DAYS = DAYS[np.is_busday(DAYS)]
FIRST = np.datetime64("2010-01-01")
STEPS = 5
Level = Callable[[np.ndarray], np.ndarray] | float


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    """The packaged rules of 7d, with a search of few origins."""
    settings = load_settings(packaged_config_dir(), {"FOREX_HOME": str(tmp_path_factory.mktemp("rules"))})
    found = rules_of(Pipeline(settings), "7d")
    search = found.optimization.search.model_copy(update={"min_origins": 100})
    return replace(found, optimization=found.optimization.model_copy(update={"search": search}))


def planted(levels: Sequence[Level], *, seed: int = 0, panel: bool = True, drift: float = 0.0) -> Matrix:
    """Return losses whose expected size is the level times what all configurations share; the first is in use."""
    origins = DAYS[:-STEPS]
    choices = tuple(ModelChoice(f"planted_{number}") for number in range(len(levels)))

    def losses(pair: int) -> dict[str, Losses]:
        rng = np.random.default_rng([seed, pair])
        shared = rng.gamma(2.0, 0.5, size=len(origins))
        return {
            key_of(choice): _losses(shared * (level(origins) if callable(level) else level), rng)
            for choice, level in zip(choices, levels, strict=True)
        }

    own = losses(0)
    others = {f"pair{number}": losses(number) for number in range(1, 7)} if panel else {}
    walk = replace(own[key_of(choices[0])], crps=own[key_of(choices[0])].crps * (1.0 + drift))
    return Matrix(
        choices,
        tuple(own[key_of(choice)] for choice in choices),
        walk,
        7,
        (lambda choice: [(name, part[key_of(choice)]) for name, part in others.items()]) if panel else None,
    )


def _losses(size: np.ndarray, rng: np.random.Generator) -> Losses:
    crps = size * np.exp(0.10 * rng.standard_normal(len(size)))
    uniform = rng.uniform(size=len(size))
    return Losses(
        origins=DAYS[:-STEPS],
        matured=DAYS[STEPS:],
        crps=crps,
        interval_score=5.0 * crps,
        covered_80=((uniform > 0.1) & (uniform < 0.9)).astype(float),
        covered_95=((uniform > 0.025) & (uniform < 0.975)).astype(float),
        below_95=(uniform <= 0.025).astype(float),
        above_95=(uniform >= 0.975).astype(float),
        error_sigma=rng.standard_normal(len(size)),
        error=rng.standard_normal(len(size)),
        actual=np.full(len(size), 100.0),
        steps=STEPS,
    )


def actions(months: Sequence[Month]) -> list[str]:
    """Return what each month did."""
    return [month.action for month in months]


@pytest.mark.capability("K06", "K19")
def test_a_better_configuration_is_found_promoted_and_pays(rules: Rules) -> None:
    done = replay_history(planted([1.0, 1.0, 0.9, 1.0]), rules, days=DAYS, first=FIRST)
    assert done.counts["promotions"] == 1
    assert done.counts["rollbacks"] == 0
    promoted = next(month for month in done.months if month.action == "promoted")
    assert promoted.in_use.model == "planted_2"
    assert promoted.day <= np.datetime64("2010-01-31")
    assert "confirmed" in actions(done.months)
    assert done.crps.high < 0.95
    assert done.hindsight[0].model == "planted_2"
    assert done.crps.value >= done.hindsight[1] - 1e-9


@pytest.mark.capability("K06", "K19")
def test_with_nothing_to_find_almost_nothing_is_promoted_and_nothing_is_lost(rules: Rules) -> None:
    runs = [replay_history(planted([1.0] * 8, seed=seed), rules, days=DAYS, first=FIRST) for seed in range(4)]
    openings = sum(run.counts["openings"] for run in runs)
    assert openings > 0
    assert sum(run.counts["promotions"] for run in runs) <= 0.1 * openings + 1
    assert all(abs(run.crps.value - 1.0) < 0.01 for run in runs)
    assert all(run.counts["searches"] >= 12 for run in runs)  # the time rule, every quarter


@pytest.mark.capability("K19", "L09")
def test_what_turns_bad_after_its_promotion_is_rolled_back(rules: Rules) -> None:
    turn = np.datetime64("2009-12-01")
    treacherous = planted([1.0, lambda days: np.where(days < turn, 0.9, 1.8)])
    done = replay_history(treacherous, rules, days=DAYS, first=FIRST)
    assert actions(done.months)[:6].count("promoted") == 1
    (back,) = [month for month in done.months if month.action == "rolled back"]
    assert back.day < np.datetime64("2010-07-01")
    assert back.in_use.model == "planted_0"
    assert "evidence" in back.reasons[0]


@pytest.mark.capability("A04", "A07")
def test_an_incumbent_worse_than_the_random_walk_asks_by_performance(rules: Rules) -> None:
    decayed = planted([lambda days: np.where(days < np.datetime64("2011-03-01"), 1.0, 1.4), 1.0])
    steady = replace(decayed, walk=decayed.losses[1])
    done = replay_history(steady, rules, days=DAYS, first=FIRST)
    asked = [month.day for month in done.months if "performance" in month.asking]
    assert asked
    assert min(asked) >= np.datetime64("2011-03-31")


@pytest.mark.capability("J01", "K06")
@pytest.mark.parametrize("cut", ["2010-06-30", "2011-12-30"])
def test_what_matures_after_a_months_end_changes_no_decision_of_it(rules: Rules, cut: str) -> None:
    matrix = planted([1.0, 1.0, 0.97, 0.95], seed=3)
    day = np.datetime64(cut)
    rng = np.random.default_rng(9)

    def spoilt(part: Losses) -> Losses:
        later = part.matured > day
        factor = np.where(later, rng.uniform(0.1, 9.0, size=len(part)), 1.0)
        flip = np.where(later, 1.0 - part.covered_95, part.covered_95)
        return replace(part, crps=part.crps * factor, interval_score=part.interval_score * factor, covered_95=flip)

    assert matrix.panel is not None
    kept = matrix.panel
    changed = replace(
        matrix,
        losses=tuple(spoilt(part) for part in matrix.losses),
        walk=spoilt(matrix.walk),
        panel=lambda choice: [(name, spoilt(part)) for name, part in kept(choice)],
    )
    before, after = (replay_history(item, rules, days=DAYS, first=FIRST).months for item in (matrix, changed))
    until = [month for month in before if month.day <= day]
    assert until
    assert [month.row() for month in until] == [month.row() for month in after if month.day <= day]
    assert any(month.searched for month in until)
    assert [month.row() for month in before] != [month.row() for month in after]  # the change is there to be seen


def test_without_a_panel_the_first_version_is_never_approved(rules: Rules) -> None:
    done = replay_history(planted([1.0, 0.8], panel=False), rules, days=DAYS, first=FIRST)
    assert done.counts["openings"] > 0
    assert done.counts["promotions"] == 0
    assert any("panel" in reason for month in done.months for reason in month.reasons)


def test_a_short_history_shortens_the_periods_and_says_so_or_waits(rules: Rules) -> None:
    done = replay_history(planted([1.0, 0.9]), rules, days=DAYS, first=np.datetime64("2003-06-01"))
    assert "too short" in actions(done.months)
    assert done.counts["months_with_shortened_periods"] > 0
    assert done.counts["promotions"] >= 1


def test_wrong_use_says_what_is_wrong(rules: Rules) -> None:
    matrix = planted([1.0, 1.0])
    with pytest.raises(DataError, match="No target of a forecast from 2030"):
        replay_history(matrix, rules, days=DAYS, first=np.datetime64("2030-01-01"))
    with pytest.raises(ValidationError, match="2 configurations have 1 rows"):
        replace(matrix, losses=matrix.losses[:1])
    with pytest.raises(ValidationError, match="same origins"):
        replace(matrix, walk=matrix.walk.rows(np.arange(len(matrix.walk)) > 3))
    with pytest.raises(ValidationError, match="begin with 'chronos_t5'"):
        configurations("chronos_t5")


def test_the_last_month_counts_only_when_it_is_over() -> None:
    days = np.array(["2024-01-30", "2024-01-31", "2024-02-28", "2024-03-01"], dtype="datetime64[D]")
    assert month_ends(days).astype(str).tolist() == ["2024-01-31", "2024-02-28"]


@pytest.mark.capability("A08", "K20")
def test_the_fixed_set_holds_enough_different_configurations() -> None:
    keys = [key_of(choice) for choice in configurations()]
    assert keys[0] == f"{START}()"
    assert len(set(keys)) == len(keys) >= 64
