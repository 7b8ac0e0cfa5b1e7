"""Intervals under overlap: their size on planted truth, their plain twins, their invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import ValidationError
from forex_assets.evaluation import (
    effective_n,
    hits_effective_n,
    mean_interval,
    overlap_rows,
    ratio_interval,
    ratio_intervals,
    share_interval,
)
from forex_assets.evaluation.bootstrap import _stationary_blocks, stationary_bootstrap_sums
from forex_assets.evaluation.inference import _newey_west_half_width
from forex_assets.evaluation.overlap import _hit_correlation, overlap_moments

DAYS = np.busday_offset("2000-01-03", np.arange(5_200))


def overlapping_errors(n: int, steps: int, worlds: int, seed: int) -> np.ndarray:
    """Errors of ``n`` daily forecasts of a Gaussian walk ``steps`` ahead, in units of their own sigma."""
    moves = np.random.default_rng(seed).normal(size=(worlds, n + steps))
    path = np.concatenate([np.zeros((worlds, 1)), np.cumsum(moves, axis=1)], axis=1)
    return (path[:, steps : steps + n] - path[:, :n]) / math.sqrt(steps)


def triangle(n: int, overlap: float) -> np.ndarray:
    places = np.arange(n)
    return np.maximum(0.0, 1 - np.abs(places[:, None] - places[None, :]) / overlap)


# --- size on planted truth -------------------------------------------------------------------------------------------


@pytest.mark.capability("K03")
@pytest.mark.parametrize(("n", "steps"), [(60, 5), (60, 62), (250, 5), (250, 21), (250, 62), (1250, 21)])
def test_overlap_aware_interval_of_a_mean_holds_its_size_where_the_naive_one_does_not(n: int, steps: int) -> None:
    worlds = 500
    ours = naive = 0
    for error in overlapping_errors(n, steps, worlds, seed=n + steps):
        found = mean_interval(error, DAYS[:n], steps)
        ours += found.low <= 0 <= found.high
        naive += abs(error.mean()) < 1.96 * error.std(ddof=1) / math.sqrt(n)
    # Two standard errors of 500 worlds are 2 points; samples shorter than one overlap err on the wide side.
    assert 0.92 <= ours / worlds <= (0.985 if n > steps else 1.0)
    assert naive / worlds < 0.70


@pytest.mark.capability("K03", "J08")
@pytest.mark.parametrize(("n", "steps"), [(60, 5), (60, 62), (250, 21), (1250, 21)])
def test_overlap_aware_interval_of_a_coverage_holds_its_size(n: int, steps: int) -> None:
    worlds, truth = 400, 0.950
    ours = naive = 0
    for error in overlapping_errors(n, steps, worlds, seed=2 * n + steps):
        hits = np.abs(error) < 1.959964
        found = share_interval(hits, steps, DAYS[:n])
        ours += found.low <= truth <= found.high
        independent = share_interval(hits, 1)
        naive += independent.low <= truth <= independent.high
    assert ours / worlds >= 0.93
    if n >= 250:
        assert naive / worlds < 0.65


@pytest.mark.capability("K03")
@pytest.mark.parametrize(("n", "steps"), [(250, 5), (250, 21), (1250, 21)])
def test_bootstrap_interval_of_a_loss_ratio_holds_its_size(n: int, steps: int) -> None:
    worlds, width = 300, 1.25
    inside = 0
    # Squared error of a forecast that shrinks the outcome: its mean ratio to the plain one is known.
    for error in overlapping_errors(n, steps, worlds, seed=3 * n + steps):
        other = overlapping_errors(n, steps, 1, seed=int(abs(error[0]) * 1e9))[0]
        found = ratio_interval((width * (error + other)) ** 2 / 2, error**2, DAYS[:n], steps)
        inside += found.low <= width**2 <= found.high
    assert 0.91 <= inside / worlds <= 0.995


def test_ratio_of_two_equally_good_models_is_seldom_called_different() -> None:
    worlds, n, steps = 300, 1250, 21
    false_claims = 0
    for error in overlapping_errors(n, steps, worlds, seed=77):
        other = overlapping_errors(n, steps, 1, seed=int(abs(error[0]) * 1e9))[0]
        found = ratio_interval(np.abs(error), np.abs(other), DAYS[:n], steps)
        false_claims += not found.low <= 1 <= found.high
    assert false_claims / worlds <= 0.08


# --- plain twins -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "overlap"), [(2, 1.0), (7, 3.0), (40, 11.0), (60, 62.0), (50, 4.6)])
def test_effective_n_is_that_of_the_correlation_matrix(n: int, overlap: float) -> None:
    matrix = triangle(n, overlap)
    centring = np.eye(n) - 1 / n
    effective, scale, freedom = overlap_moments(n, overlap)
    product = centring @ matrix
    assert effective == pytest.approx(n * n / matrix.sum())
    assert effective == pytest.approx(effective_n(n, overlap))
    assert scale == pytest.approx(n / np.trace(product))
    assert freedom == pytest.approx(max(1.0, np.trace(product) ** 2 / np.trace(product @ product)))


def test_hit_correlation_is_that_of_simulated_normals() -> None:
    rng = np.random.default_rng(9)
    first, noise = rng.normal(size=(2, 2_000_000))
    for rho in (0.3, 0.8, 0.98):
        second = rho * first + math.sqrt(1 - rho * rho) * noise
        for share, edge in ((0.95, 1.959964), (0.8, 1.281552)):
            expected = np.corrcoef(np.abs(first) < edge, np.abs(second) < edge)[0, 1]
            assert _hit_correlation(np.array([rho]), share)[0] == pytest.approx(expected, abs=0.005)


def test_newey_west_is_the_weighted_sum_over_all_pairs() -> None:
    values = np.random.default_rng(1).normal(size=90)
    values -= values.mean()
    lags = 11
    places = np.arange(90)
    weight = np.maximum(0, 1 - np.abs(places[:, None] - places[None, :]) / (lags + 1))
    variance = values @ weight @ values / 90**2 / (1 - lags / 90)
    from scipy.stats import t

    expected = t.ppf(0.975, 1.5 * 90 / (lags + 1)) * math.sqrt(variance)
    assert _newey_west_half_width(values, lags) == pytest.approx(expected)


def test_bootstrap_totals_are_those_of_the_rows_they_stand_for() -> None:
    rows = np.random.default_rng(2).normal(size=(37, 3))
    totals = stationary_bootstrap_sums(rows, 6.0, 50, np.random.default_rng(4))
    starts, lengths = _stationary_blocks(37, 6.0, 50, np.random.default_rng(4))
    assert (lengths.sum(axis=1) == 37).all()
    for draw in range(50):
        picked = [
            (start + step) % 37
            for start, length in zip(starts[draw], lengths[draw], strict=True)
            for step in range(length)
        ]
        assert totals[draw] == pytest.approx(rows[picked].sum(axis=0))


def test_blocks_have_the_mean_length_asked_for() -> None:
    _, lengths = _stationary_blocks(20_000, 40.0, 20, np.random.default_rng(6))
    assert lengths[lengths > 0].mean() == pytest.approx(40.0, rel=0.1)


# --- definitions and invariances -------------------------------------------------------------------------------------


@pytest.mark.capability("J08")
def test_without_overlap_a_share_has_the_exact_clopper_pearson_interval() -> None:
    found = share_interval([True] * 19 + [False] * 2, 1)
    assert (found.low, found.high) == pytest.approx((0.696, 0.988), abs=5e-4)
    assert found.n_effective == found.n == 21


@pytest.mark.capability("J08")
def test_18_of_21_and_19_of_21_cannot_be_told_apart() -> None:
    fewer = share_interval([True] * 18 + [False] * 3, 1)
    more = share_interval([True] * 19 + [False] * 2, 1)
    assert fewer.low < more.value < fewer.high
    assert more.low < fewer.value < more.high
    assert min(fewer.high, more.high) - max(fewer.low, more.low) > 0.25


@given(st.integers(1, 400), st.floats(1, 100))
def test_effective_n_lies_between_one_and_n_and_falls_with_overlap(n: int, overlap: float) -> None:
    found = effective_n(n, overlap)
    assert 1 <= found <= n + 1e-9
    assert effective_n(n, overlap * 1.5) <= found + 1e-9
    assert found <= hits_effective_n(n, overlap, 0.95) + 1e-9 <= n + 2e-9


def test_effective_n_of_rows_without_overlap_is_n() -> None:
    assert effective_n(37, 1) == pytest.approx(37)
    assert effective_n(0, 5) == 0
    assert hits_effective_n(0, 5, 0.9) == 0


def test_overlap_counts_origins_by_their_distance() -> None:
    assert overlap_rows(DAYS[:100], 21) == 21
    assert overlap_rows(DAYS[:500:5], 21) == pytest.approx(4.2)
    assert overlap_rows(DAYS[:2000:50], 21) == 1
    assert overlap_rows(np.repeat(DAYS[:100], 3), 21) == 21
    assert overlap_rows(DAYS[:1], 21) == 21


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 120), st.integers(1, 65), st.floats(0.1, 50), st.floats(-100, 100), st.integers(0, 10_000))
def test_mean_interval_moves_with_shift_and_unit_and_ignores_row_order(
    n: int, steps: int, unit: float, shift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n)
    before = mean_interval(values, DAYS[:n], steps)
    order = rng.permutation(n)
    after = mean_interval(values[order] * unit + shift, DAYS[:n][order], steps)
    expected = [before.value * unit + shift, before.low * unit + shift, before.high * unit + shift]
    assert list(after[:3]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 200), st.integers(1, 4), st.integers(0, 10_000))
def test_ratio_interval_is_reproducible_scale_free_and_ignores_row_order(n: int, steps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    num, den = rng.gamma(2, size=n), rng.gamma(2, size=n)
    before = ratio_interval(num, den, DAYS[:n], steps)
    order = rng.permutation(n)
    after = ratio_interval(3 * num[order], 3 * den[order], DAYS[:n][order], steps)
    assert list(after[:3]) == pytest.approx(list(before[:3]))
    assert before.low <= before.value <= before.high


def test_all_rows_of_one_date_are_drawn_together() -> None:
    rng = np.random.default_rng(12)
    num, den = rng.gamma(2, size=(2, 300))
    alone = ratio_interval(num, den, DAYS[:300], 5)
    panel = ratio_interval(np.repeat(num, 8), np.repeat(den, 8), np.repeat(DAYS[:300], 8), 5)
    assert panel[:3] == pytest.approx(alone[:3])  # eight copies of a pair are no new evidence
    assert panel.n == 2400
    assert panel.n_effective == alone.n_effective
    mean_alone, mean_panel = (
        mean_interval(num, DAYS[:300], 5),
        mean_interval(np.repeat(num, 8), np.repeat(DAYS[:300], 8), 5),
    )
    assert mean_panel[:3] == pytest.approx(mean_alone[:3])


def test_several_ratios_share_their_draws() -> None:
    rng = np.random.default_rng(13)
    num, den = rng.gamma(2, size=(300, 2)), rng.gamma(2, size=(300, 2))
    together = ratio_intervals(num, den, DAYS[:300], 5)
    apart = [ratio_interval(num[:, k], den[:, k], DAYS[:300], 5) for k in range(2)]
    assert np.array(together) == pytest.approx(np.array(apart))


def test_identical_losses_have_the_ratio_one_exactly() -> None:
    loss = np.random.default_rng(14).gamma(2, size=100)
    assert ratio_interval(loss, loss, DAYS[:100], 5)[:3] == (1.0, 1.0, 1.0)


def test_a_sample_that_cannot_tell_gives_no_interval() -> None:
    loss = np.random.default_rng(15).gamma(2, size=60)
    other = np.random.default_rng(16).gamma(2, size=60)
    assert math.isnan(ratio_interval(other, loss, DAYS[:60], 62).low)  # one and a half independent errors
    assert math.isnan(ratio_interval(1.3 * loss, loss, DAYS[:60], 1).low)  # no row tells them apart
    assert math.isnan(ratio_interval(loss, np.zeros(60), DAYS[:60], 1).value)
    assert math.isnan(mean_interval(loss[:2], DAYS[:2], 1).low)
    assert math.isnan(mean_interval(loss[:1], DAYS[:1], 1).low)
    for empty in (mean_interval([], [], 5), share_interval([], 5), ratio_interval([], [], [], 5)):
        assert (math.isnan(empty.value), empty.n, empty.n_effective) == (True, 0, 0)


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: mean_interval([1.0, 2.0], DAYS[:3], 5), "2 values cannot belong to 3 dates"),
        (lambda: mean_interval([1.0, math.nan], DAYS[:2], 5), "not finite"),
        (lambda: share_interval([True, False], 0.5), "at least 1"),
        (lambda: effective_n(5, 0), "at least 1"),
        (lambda: ratio_intervals(np.ones((3, 1)), np.ones((3, 2)), DAYS[:3], 1), "same rows"),
    ],
)
def test_wrong_arguments_are_named(call: object, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        call()  # type: ignore[operator]
