"""Scores: their definitions against slow plain twins, their invariances, and that the truth wins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError
from forex_assets.evaluation import scores
from forex_assets.levels import QUANTILE_LEVELS
from forex_assets_tests.evaluation.worlds import Z

finite = st.floats(-1e3, 1e3, allow_nan=False)


@st.composite
def quantile_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 5))
    steps = draw(st.lists(st.floats(0.01, 50), min_size=13 * n, max_size=13 * n))
    start = draw(st.lists(finite, min_size=n, max_size=n))
    actual = draw(st.lists(finite, min_size=n, max_size=n))
    return np.array(actual), np.array(start)[:, None] + np.cumsum(np.array(steps).reshape(n, 13), axis=1)


def plain_pinball(actual: float, quantile: float, level: float) -> float:
    return level * (actual - quantile) if actual >= quantile else (1 - level) * (quantile - actual)


def plain_interval_score(actual: float, lower: float, upper: float, alpha: float) -> float:
    score = upper - lower
    if actual < lower:
        score += 2 / alpha * (lower - actual)
    if actual > upper:
        score += 2 / alpha * (actual - upper)
    return score


def plain_pit(actual: float, quantiles: np.ndarray) -> float:
    levels = QUANTILE_LEVELS
    if actual < quantiles[0]:
        scale = (quantiles[1] - quantiles[0]) * levels[0] / (levels[1] - levels[0])
        return levels[0] * math.exp(-(quantiles[0] - actual) / scale)
    if actual > quantiles[-1]:
        scale = (quantiles[-1] - quantiles[-2]) * (1 - levels[-1]) / (levels[-1] - levels[-2])
        return 1 - (1 - levels[-1]) * math.exp(-(actual - quantiles[-1]) / scale)
    return float(np.interp(actual, quantiles, levels))


@given(quantile_rows())
def test_vectorised_scores_equal_their_plain_twins(case: tuple[np.ndarray, np.ndarray]) -> None:
    actual, quantiles = case
    row = scores.score_rows(quantiles[:, 6], quantiles, actual)
    for i, y in enumerate(actual):
        q = quantiles[i]
        losses = [plain_pinball(y, q[k], level) for k, level in enumerate(QUANTILE_LEVELS)]
        assert scores.pinball(actual, quantiles)[i] == pytest.approx(losses)
        assert row["crps"][i] == pytest.approx(2 * sum(losses) / 13)
        assert row["interval_score_95"][i] == pytest.approx(plain_interval_score(y, q[0], q[12], 0.05))
        assert row["interval_score_80"][i] == pytest.approx(plain_interval_score(y, q[2], q[10], 0.2))
        assert row["pit"][i] == pytest.approx(plain_pit(y, q), abs=1e-9)
        assert row["covered_95"][i] == (q[0] <= y <= q[12])
        assert row["covered_80"][i] == (q[2] <= y <= q[10])
        assert (row["below_95"][i], row["above_95"][i]) == (y < q[0], y > q[12])
        assert row["width_95"][i] == pytest.approx(q[12] - q[0])
        assert row["error"][i] == pytest.approx(q[6] - y)


@given(quantile_rows(), st.floats(-500, 500), st.floats(0.1, 10))
def test_losses_scale_with_the_unit_and_ignore_the_level(
    case: tuple[np.ndarray, np.ndarray], shift: float, unit: float
) -> None:
    actual, quantiles = case
    before = scores.score_rows(quantiles[:, 6], quantiles, actual)
    after = scores.score_rows(quantiles[:, 6] * unit + shift, quantiles * unit + shift, actual * unit + shift)
    for name in ("crps", "interval_score_80", "interval_score_95", "width_95", "error"):
        assert after[name] == pytest.approx(before[name] * unit, rel=1e-6, abs=1e-6)
    for name in ("error_sigma", "pit"):
        assert after[name] == pytest.approx(before[name], rel=1e-5, abs=1e-5)


@given(quantile_rows())
def test_pit_is_a_distribution_function(case: tuple[np.ndarray, np.ndarray]) -> None:
    _, quantiles = case
    row = quantiles[:1]
    ladder = np.linspace(row.min() - 100, row.max() + 100, 301)
    value = scores.pit(ladder, np.repeat(row, len(ladder), axis=0))
    assert (value >= 0).all()
    assert (value <= 1).all()
    assert (np.diff(value) >= -1e-12).all()
    assert scores.pit(row[0], np.repeat(row, 13, axis=0)) == pytest.approx(QUANTILE_LEVELS)


def test_pit_of_an_atom_is_the_middle_of_its_jump() -> None:
    quantiles = np.array([[1.0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7, 8, 8]] * 4)
    assert scores.pit(np.array([3.0, 1.0, 8.0, 9.0]), quantiles) == pytest.approx([0.35, 0.0375, 0.9625, 1.0])


def test_pit_is_uniform_when_the_forecast_is_the_truth() -> None:
    rng = np.random.default_rng(3)
    actual = rng.normal(900, 20, 20_000)
    value = np.sort(scores.pit(actual, np.tile(900 + 20 * Z, (len(actual), 1))))
    distance = np.abs(value - (np.arange(len(value)) + 0.5) / len(value)).max()
    assert distance < 0.02  # linear segments bend the normal curve by less than 0.01


@pytest.mark.capability("K05")
@pytest.mark.parametrize(("scale", "shift"), [(0.7, 0.0), (1.4, 0.0), (1.0, 0.5), (1.0, -0.5)])
@pytest.mark.parametrize("score", ["crps", "interval_score_80", "interval_score_95"])
def test_the_true_distribution_beats_wrong_ones_in_expectation(scale: float, shift: float, score: str) -> None:
    rng = np.random.default_rng(11)
    actual = rng.normal(0.0, 1.0, 50_000)
    truth = np.tile(Z, (len(actual), 1))
    wrong = scale * truth + shift
    right = scores.score_rows(truth[:, 6], truth, actual)[score].astype(float)
    other = scores.score_rows(wrong[:, 6], wrong, actual)[score].astype(float)
    gain = other - right
    assert gain.mean() > 4 * gain.std() / math.sqrt(len(gain))


def test_crps_by_quantiles_is_near_the_exact_crps_of_a_normal() -> None:
    actual = np.random.default_rng(5).normal(size=20_000)
    exact = 1 / math.sqrt(math.pi)
    # Six of the thirteen equally weighted levels lie in the tails, where losses are small: 15% below the integral.
    found = scores.crps_from_quantiles(actual, np.tile(Z, (len(actual), 1))).mean()
    assert found == pytest.approx(0.845 * exact, rel=0.02)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"mean": np.nan}, "not a finite number"),
        ({"actual": np.inf}, "not a finite number"),
        ({"quantile": 2000.0}, "fall as the level grows"),
        ({"flat": True}, "without width"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused_by_name(change: dict[str, float], rule: str) -> None:
    mean, actual, quantiles = np.array([900.0, 900.0]), np.array([901.0, 905.0]), np.tile(900 + 10 * Z, (2, 1))
    mean[1] = change.get("mean", mean[1])
    actual[1] = change.get("actual", actual[1])
    quantiles[1, 3] = change.get("quantile", quantiles[1, 3])
    if change.get("flat"):
        quantiles[1] = 900.0
    with pytest.raises(DataError, match=rule) as caught:
        scores.score_rows(mean, quantiles, actual)
    assert "Row 1 of 2" in str(caught.value)


@settings(max_examples=20)
@given(st.floats(1, 100))
def test_error_in_sigma_of_a_normal_forecast_is_its_z(sigma: float) -> None:
    quantiles = (900 + sigma * Z)[None, :]
    row = scores.score_rows(np.array([900.0]), quantiles, np.array([900 - 2 * sigma]))
    assert row["error_sigma"][0] == pytest.approx(2.0, rel=1e-6)
