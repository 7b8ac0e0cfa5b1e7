"""The directional view is that of the quantiles, and its scores are those of a plain computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import ValidationError
from forex_assets.evaluation.direction import brier, hits, outcome_classes, probabilities
from forex_assets_tests.evaluation.worlds import Z


def normal(mean: float, spread: float, rows: int = 1) -> np.ndarray:
    return np.tile(mean + spread * Z, (rows, 1))


@given(st.floats(0.9, 1.1), st.floats(0.001, 0.2), st.floats(0.0, 0.05))
@settings(max_examples=80, deadline=None)
def test_probabilities_are_probabilities(centre: float, spread: float, band: float) -> None:
    found = probabilities(900.0 * normal(centre, spread), np.array([900.0]), band)
    assert found.shape == (1, 3)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1.0)


def test_probabilities_of_a_normal_forecast_are_those_of_the_normal_distribution() -> None:
    from scipy.stats import norm

    sigma = 9.0
    found = probabilities(normal(900.0, sigma), np.array([900.0]))[0]
    edge = norm.cdf(-900.0 * 0.005 / sigma)
    np.testing.assert_allclose(found, [edge, 1 - 2 * edge, edge], atol=0.005)


def test_a_wider_band_makes_flat_likelier_and_a_higher_centre_makes_up_likelier() -> None:
    last = np.array([900.0])
    flat = [probabilities(normal(900.0, 9.0), last, band)[0, 1] for band in (0.0, 0.005, 0.01, 0.02)]
    assert flat[0] == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(flat) > 0).all()
    assert probabilities(normal(910.0, 9.0), last)[0, 2] > probabilities(normal(900.0, 9.0), last)[0, 2]


def test_outcomes_and_scores_are_those_of_a_plain_computation() -> None:
    last = np.full(4, 1000.0)
    outcome = outcome_classes(np.array([994.0, 995.1, 1004.9, 1005.1]), last)
    np.testing.assert_array_equal(outcome, [0, 1, 1, 2])
    probability = np.tile([0.2, 0.5, 0.3], (4, 1))
    np.testing.assert_allclose(brier(probability, outcome), [0.98, 0.38, 0.38, 0.78])
    np.testing.assert_array_equal(hits(probability, outcome), [0, 1, 1, 0])
    np.testing.assert_allclose(hits(np.tile([0.4, 0.2, 0.4], (4, 1)), outcome), [0.5, 0, 0, 0.5])


def test_the_true_distribution_has_the_best_expected_brier_score() -> None:
    rng = np.random.default_rng(4)
    actual, last = 900.0 + 9.0 * rng.normal(size=40_000), np.full(40_000, 900.0)
    outcome = outcome_classes(actual, last)
    right, narrow, shifted = (
        brier(probabilities(normal(900.0 + shift, 9.0 * width, 40_000), last), outcome).mean()
        for width, shift in ((1.0, 0.0), (0.5, 0.0), (1.0, 6.0))
    )
    assert right < narrow
    assert right < shifted


@pytest.mark.parametrize("band", [-0.1, 1.0, float("nan")])
def test_a_band_that_is_no_share_is_refused(band: float) -> None:
    with pytest.raises(ValidationError, match="neutral band"):
        probabilities(normal(900.0, 9.0), np.array([900.0]), band)
