"""The tabulated shapes are scipy's."""

import numpy as np
import pytest
from scipy import special

from forex_assets.forecasting.models import rw_blend
from forex_assets.forecasting.models._common import LEVELS, T8_UPPER_SCORES, T30_UPPER_SCORES, symmetric_scores
from forex_assets.forecasting.models.random_walk import interval_scores


@pytest.mark.parametrize(("degrees", "upper"), [(8.0, T8_UPPER_SCORES), (30.0, T30_UPPER_SCORES)])
def test_tabulated_t_scores_equal_scipy(degrees: float, upper: tuple[float, ...]) -> None:
    np.testing.assert_allclose(symmetric_scores(upper), special.stdtrit(degrees, LEVELS), rtol=0, atol=1e-9)


def test_the_blend_uses_the_table_of_its_own_degrees_of_freedom() -> None:
    assert rw_blend.SHAPE_DEGREES_OF_FREEDOM == 8.0


def test_gaussian_scores_equal_scipy() -> None:
    np.testing.assert_allclose(interval_scores("gaussian"), special.ndtri(LEVELS), rtol=0, atol=1e-12)
