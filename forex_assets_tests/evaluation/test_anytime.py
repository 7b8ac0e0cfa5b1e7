"""Evidence that may be looked at every day: rarely misled however often one looks, and it finds planted differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.evaluation.anytime import E_THRESHOLD, confidence_sequence, e_value, largest_difference
from forex_assets.evaluation.inference import mean_interval
from forex_assets.evaluation.scores import crps_from_quantiles
from forex_assets_tests.evaluation.worlds import Z

DAYS = np.busday_offset("2005-01-03", np.arange(4_000))


def overlapping_bits(rng: np.random.Generator, n: int, steps: int) -> np.ndarray:
    total = np.concatenate([[0.0], np.cumsum(rng.choice([-1.0, 1.0], n + steps))])
    return (total[steps : steps + n] - total[:n]) / steps


@pytest.mark.capability("K03")
@pytest.mark.parametrize("steps", [1, 5, 21])
def test_looking_again_and_again_rarely_finds_what_is_not_there(steps: int) -> None:
    rng = np.random.default_rng(steps)
    looks = range(200, 1_201, 200)
    alarms = 0
    for _ in range(120):
        gain = overlapping_bits(rng, 1_200, steps)
        ever = max(e_value(gain[:n], np.ones(n), DAYS[:n], DAYS[steps : steps + n]) for n in looks)
        alarms += ever >= E_THRESHOLD
    assert alarms / 120 <= 0.05


def test_a_steady_gain_is_found_and_its_mirror_is_not() -> None:
    rng = np.random.default_rng(3)
    gain = np.clip(0.3 + rng.normal(0.0, 0.5, 1_500), -1.0, 1.0)
    better = e_value(gain, np.ones(1_500), DAYS[:1_500], DAYS[5:1_505])
    worse = e_value(-gain, np.ones(1_500), DAYS[:1_500], DAYS[5:1_505])
    assert better > E_THRESHOLD > 1.0 >= worse


@given(st.integers(0, 10_000), st.floats(0.3, 3.0), st.floats(-2.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_the_difference_of_two_scores_never_exceeds_its_bound(seed: int, width: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = np.tile(Z, (20, 1)), shift + width * np.tile(Z, (20, 1))
    actual = rng.normal(0.0, 5.0, 20)
    gap = np.abs(crps_from_quantiles(actual, first) - crps_from_quantiles(actual, second))
    assert (gap <= largest_difference(first, second) + 1e-12).all()


def test_the_same_forecasts_are_no_evidence() -> None:
    assert e_value(np.zeros(50), np.zeros(50), DAYS[:50], DAYS[5:55]) == 1.0
    assert e_value(np.zeros(0), np.zeros(0), DAYS[:0], DAYS[:0]) == 1.0


def test_what_has_not_been_settled_is_not_used_for_the_next_bet() -> None:
    rng = np.random.default_rng(4)
    gain = overlapping_bits(rng, 400, 10)
    changed = gain.copy()
    changed[-10:] = 1.0  # settled after every bet was made
    before = e_value(gain[:390], np.ones(390), DAYS[:390], DAYS[10:400])
    assert e_value(changed[:390], np.ones(390), DAYS[:390], DAYS[10:400]) == before


def test_forecasts_still_out_are_counted_as_bad_as_can_be() -> None:
    gain = np.clip(0.3 + np.random.default_rng(3).normal(0.0, 0.5, 900), -1.0, 1.0)
    now = e_value(gain[:890], np.ones(890), DAYS[:890], DAYS[10:900])
    worst = np.concatenate([gain[:890], -np.ones(10)])
    settled = e_value(worst, np.ones(900), DAYS[:900], DAYS[10:910])
    assert settled >= now * np.exp(-0.32 - 4 * 0.0955)
    assert now > E_THRESHOLD


@pytest.mark.capability("K03")
@pytest.mark.parametrize("steps", [1, 5, 21])
def test_the_sequence_holds_the_truth_at_every_look_in_nearly_all_worlds(steps: int) -> None:
    rng = np.random.default_rng(40 + steps)
    ever = 0
    for _ in range(150):
        gap = overlapping_bits(rng, 1_500, steps)
        looks = [confidence_sequence(gap[:n], DAYS[:n], steps) for n in range(500, 1_501, 100)]
        ever += any(low > 0 or high < 0 for low, high in looks)
    assert ever / 150 <= 0.05


def test_the_sequence_finds_a_planted_difference_and_is_wider_than_one_look_needs() -> None:
    rng = np.random.default_rng(8)
    gap = -0.2 + overlapping_bits(rng, 2_000, 5)
    low, high = confidence_sequence(gap, DAYS[:2_000], 5)
    once = mean_interval(gap, DAYS[:2_000], 5)
    assert low < once.low < -0.2 < once.high < high < 0


def test_too_few_or_equal_differences_give_no_sequence() -> None:
    gap = overlapping_bits(np.random.default_rng(1), 300, 21)
    assert np.isnan(confidence_sequence(gap, DAYS[:300], 21)).all()
    assert np.isnan(confidence_sequence(np.zeros(900), DAYS[:900], 5)).all()
    assert np.isnan(confidence_sequence(gap[:0], DAYS[:0], 5)).all()
