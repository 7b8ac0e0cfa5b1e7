"""Walk-forward validation: where folds lie, pinned figures of a planted world, limits that hold and that break."""

from __future__ import annotations

import numpy as np
import pytest

from forex_assets.errors import DataError, ValidationError
from forex_assets.evaluation.grid import score_grid
from forex_assets.evaluation.walk_forward import Validation, lay_folds, validate_folds
from forex_assets.settings import load_settings
from forex_assets.settings.walk_forward import WalkForwardRules
from forex_assets_tests.evaluation.worlds import backtest, walk

RULES = WalkForwardRules()
BAND = load_settings(environ={}).recommended.coverage
DATES, VALUES = walk(900, seed=77)
MODELS = {"random_walk": (1.0, 0.0), "narrow": (0.3, 0.0), "shifted": (1.0, 6.0)}
FIRST, LAST = DATES[0], np.datetime64("2008-06-13")


@pytest.fixture(scope="module")
def validations() -> dict[str, Validation]:
    rows = backtest(DATES, VALUES, 7, models=MODELS)
    folds = lay_folds(FIRST, LAST, kind="expanding", rules=RULES)
    grids = [score_grid(rows[(rows["as_of"] >= fold.test_start) & (rows["as_of"] <= fold.test_end)]) for fold in folds]
    return {v.model: v for v in validate_folds(grids, folds, kind="expanding", rules=RULES, band=BAND)}


@pytest.mark.capability("E07")
def test_the_classic_numbers_are_the_defaults_and_those_of_the_classic_profile() -> None:
    expected = {"initial_train_days": 365, "test_days": 30, "step_days": 30, "folds": 5}
    limits = {"max_mean_rmse_quote_units": 50.0, "max_mean_mape_percent": 5.0, "min_mean_coverage_share": 0.85}
    assert RULES.model_dump() == expected | limits
    assert load_settings(environ={}).classic.walk_forward == RULES


def test_folds_end_on_the_last_day_a_step_apart_and_see_what_their_kind_says() -> None:
    expanding = lay_folds(FIRST, LAST, kind="expanding", rules=RULES, folds=3)
    assert [str(fold.test_end) for fold in expanding] == ["2008-04-14", "2008-05-14", "2008-06-13"]
    assert [str(fold.test_start) for fold in expanding] == ["2008-03-16", "2008-04-15", "2008-05-15"]
    assert {fold.train_start for fold in expanding} == {FIRST}
    rolling = lay_folds(FIRST, LAST, kind="rolling", rules=RULES, folds=3)
    assert [fold.test_start - fold.train_start for fold in rolling] == [np.timedelta64(365, "D")] * 3


@pytest.mark.capability("E07")
def test_figures_are_pinned_and_those_of_a_plain_computation(validations: dict[str, Validation]) -> None:
    rows = backtest(DATES, VALUES, 7, models=MODELS)
    walk_rows = rows[rows["model"] == "random_walk"].set_index("as_of")
    newest = walk_rows.loc["2008-05-15":"2008-06-13"]
    plain = float(np.sqrt(((newest["mean"] - newest["actual"]) ** 2).mean()))
    found = validations["random_walk"]
    assert found.folds[-1].rmse == pytest.approx(plain)
    assert found.folds[-1].n == len(newest)
    assert found.mean_rmse == pytest.approx(np.mean([fold.rmse for fold in found.folds]))
    assert found.mean_rmse == pytest.approx(PINNED_RMSE, rel=1e-6)
    assert found.mean_mape == pytest.approx(PINNED_MAPE, rel=1e-6)
    assert found.mean_coverage_95 == pytest.approx(PINNED_COVERAGE, rel=1e-6)


@pytest.mark.capability("E07")
def test_a_right_model_passes_all_and_planted_faults_fail_where_they_should(
    validations: dict[str, Validation],
) -> None:
    right, narrow, shifted = (validations[name] for name in ("random_walk", "narrow", "shifted"))
    assert (right.acceptable, right.performance, right.stability, right.fairness) == (True, True, True, True)
    assert not narrow.acceptable
    assert "coverage" in narrow.reasons[0]
    assert "below 85%" in narrow.reasons[0]
    assert (narrow.performance, narrow.stability, narrow.fairness) == (False, False, False)
    assert any("RMSE" in reason for reason in shifted.reasons)
    assert any("MAPE" in reason for reason in shifted.reasons)


def test_limits_are_read_from_the_rules(validations: dict[str, Validation]) -> None:
    rows = backtest(DATES, VALUES, 7)
    folds = lay_folds(FIRST, LAST, kind="expanding", rules=RULES, folds=1)
    grid = score_grid(rows[(rows["as_of"] >= folds[0].test_start) & (rows["as_of"] <= folds[0].test_end)])
    strict = WalkForwardRules(max_mean_rmse_quote_units=1.0)
    found = validate_folds([grid], folds, kind="expanding", rules=strict, band=BAND)[0]
    assert not found.acceptable
    assert "above 1 quote units" in found.reasons[0]


def test_folds_without_outcomes_are_passed_over_and_none_at_all_is_refused() -> None:
    folds = lay_folds(FIRST, LAST, kind="expanding", rules=RULES, folds=2)
    rows = backtest(DATES, VALUES, 7)
    grid = score_grid(rows[(rows["as_of"] >= folds[0].test_start) & (rows["as_of"] <= folds[0].test_end)])
    assert len(validate_folds([grid, None], folds, kind="expanding", rules=RULES, band=BAND)[0].folds) == 1
    with pytest.raises(DataError, match="None of the 2 folds"):
        validate_folds([None, None], folds, kind="expanding", rules=RULES, band=BAND)


def test_folds_that_cannot_be_laid_are_refused_with_value_and_rule() -> None:
    with pytest.raises(DataError, match=r"days after the first value .*; 365 are needed"):
        lay_folds(LAST - np.timedelta64(400, "D"), LAST, kind="rolling", rules=RULES)
    with pytest.raises(ValidationError, match="'sideways' is not one of expanding, rolling"):
        lay_folds(FIRST, LAST, kind="sideways", rules=RULES)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="at least 1"):
        lay_folds(FIRST, LAST, kind="expanding", rules=RULES, folds=0)


#: Means over the five folds of the planted walk above, of a forecast that is right.
PINNED_RMSE, PINNED_MAPE, PINNED_COVERAGE = 11.71552723887457, 1.0880868049612131, 0.9328571428571427
