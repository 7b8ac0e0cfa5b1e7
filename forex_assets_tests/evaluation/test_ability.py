"""Tests of equal ability hold their size under overlap, find planted differences, and agree with ``arch``."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import ValidationError
from forex_assets.evaluation.ability import (
    bootstrap_means,
    diebold_mariano,
    holm,
    model_confidence_set,
    superior_ability,
)

DAYS = np.busday_offset("2005-01-03", np.arange(3_000))


def overlapping(rng: np.random.Generator, n: int, steps: int) -> np.ndarray:
    """Loss differences that overlap as those of ``steps``-step forecasts do, of mean nothing."""
    noise = rng.normal(size=n + steps)
    total = np.concatenate([[0.0], np.cumsum(noise)])
    return (total[steps : steps + n] - total[:n]) / math.sqrt(steps)


@pytest.mark.capability("K03")
@pytest.mark.parametrize("steps", [1, 21])
def test_equal_models_are_told_apart_about_as_often_as_the_level_says(steps: int) -> None:
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(300):
        difference = overlapping(rng, 1_000, steps)
        p_values.append(diebold_mariano(10.0 + difference, np.full(1_000, 10.0), DAYS[:1_000], steps).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.085


@pytest.mark.capability("K03")
def test_ignoring_the_overlap_would_find_differences_that_are_not_there() -> None:
    rng = np.random.default_rng(5)
    worlds = [overlapping(rng, 1_000, 21) for _ in range(200)]
    naive = [diebold_mariano(10.0 + d, np.full(1_000, 10.0), DAYS[:1_000] + np.arange(1_000) * 60, 1) for d in worlds]
    aware = [diebold_mariano(10.0 + d, np.full(1_000, 10.0), DAYS[:1_000], 21) for d in worlds]
    assert np.mean([test.p_value < 0.05 for test in naive]) > 0.4
    assert np.mean([test.p_value < 0.05 for test in aware]) < 0.1


def test_a_planted_difference_is_found_with_its_sign() -> None:
    rng = np.random.default_rng(6)
    found = diebold_mariano(9.0 + overlapping(rng, 2_000, 5), np.full(2_000, 10.0), DAYS[:2_000], 5)
    assert found.difference == pytest.approx(-1.0, abs=0.15)
    assert found.statistic < -4
    assert found.p_value < 1e-4


def test_equal_losses_and_short_samples_give_no_p_value() -> None:
    same = np.random.default_rng(1).gamma(2.0, size=500)
    assert math.isnan(diebold_mariano(same, same, DAYS[:500], 5).p_value)
    assert math.isnan(diebold_mariano(same[:60] + 1.0, same[:60] * 1.1, DAYS[:60], 62).p_value)
    assert math.isnan(diebold_mariano(same[:0], same[:0], DAYS[:0], 5).difference)


def test_losses_of_different_rows_are_refused() -> None:
    with pytest.raises(ValidationError, match="same origins"):
        diebold_mariano(np.ones(3), np.ones(4), DAYS[:3], 1)
    with pytest.raises(ValidationError, match="not finite"):
        diebold_mariano(np.array([1.0, np.nan]), np.ones(2), DAYS[:2], 1)


@pytest.mark.filterwarnings("ignore")
def test_the_confidence_set_is_that_of_arch_on_the_same_draws() -> None:
    from arch.bootstrap import MCS

    rng = np.random.default_rng(8)
    common = rng.gamma(4.0, size=(600, 1))
    losses = common + rng.normal(0.0, 0.6, (600, 5)) + np.array([0.0, 0.02, 0.05, 0.1, 0.3])
    reference = MCS(losses, size=0.1, reps=400, block_size=10, method="R", seed=3)
    reference.compute()
    means = np.stack([losses[index].mean(axis=0) for index in reference._bootstrap_indices])
    ours = model_confidence_set(losses, means)
    theirs = reference.pvalues["Pvalue"].to_numpy()[np.argsort(reference.pvalues.index.to_numpy())]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_superior_ability_is_near_that_of_arch() -> None:
    from arch.bootstrap import SPA

    rng = np.random.default_rng(9)
    walk = rng.gamma(4.0, size=800)
    for shift in (-0.1, 0.0, 0.1):
        losses = walk[:, None] + rng.normal(0.0, 0.8, (800, 3)) + np.array([0.2, 0.1, shift])
        reference = SPA(walk, losses, block_size=12, reps=1_000, seed=4)
        reference.compute()
        means = bootstrap_means(np.column_stack([losses, walk]), DAYS[:800], 1)
        ours = superior_ability(losses, walk, means[:, :3], means[:, 3])
        assert ours == pytest.approx(float(reference.pvalues["consistent"]), abs=0.12)


def test_the_worst_model_leaves_the_confidence_set_and_the_best_stays() -> None:
    rng = np.random.default_rng(10)
    shared = rng.gamma(4.0, size=(2_000, 1))
    losses = shared + rng.normal(0.0, 0.3, (2_000, 3)) + np.array([0.0, 0.01, 0.4])
    p_values = model_confidence_set(losses, bootstrap_means(losses, DAYS[:2_000], 5))
    assert p_values[2] < 0.01 < 0.1 < p_values[0]
    assert p_values.max() == 1.0


def test_models_with_the_same_losses_stay_together() -> None:
    losses = np.repeat(np.random.default_rng(2).gamma(2.0, size=(500, 1)), 3, axis=1)
    means = bootstrap_means(losses, DAYS[:500], 5)
    np.testing.assert_array_equal(model_confidence_set(losses, means), 1.0)
    assert math.isnan(superior_ability(losses[:, 1:], losses[:, 0], means[:, 1:], means[:, 0]))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_corrected_p_values_are_larger_bounded_and_keep_their_order(raw: list[float]) -> None:
    p_values = np.array(raw)
    adjusted = holm(p_values)
    assert (adjusted >= p_values - 1e-15).all()
    assert (adjusted <= 1.0).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


def test_holm_is_that_of_the_textbook_and_passes_over_missing_values() -> None:
    np.testing.assert_allclose(holm([0.01, math.nan, 0.04, 0.03]), [0.03, math.nan, 0.06, 0.06])
