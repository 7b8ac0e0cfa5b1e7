"""The gate is sticky both ways, and no correction is used without evidence."""

from __future__ import annotations

import numpy as np
import pytest

from forex_assets.forecasting.ensemble.calibration import (
    CalibrationConfig,
    Errors,
    learn_corrections,
    ratio_and_z,
    tenors_between,
)
from forex_assets.forecasting.ensemble.gate import Evidence, GateConfig, State, decide_gate
from forex_assets.levels import QUANTILE_LEVELS

Z = np.array([-1.96, -1.645, -1.282, -0.842, -0.524, -0.253, 0, 0.253, 0.524, 0.842, 1.282, 1.645, 1.96])


def evidence(crps: float = 1.0, z: float = 0.0, u: float = 1.0, u_z: float = 0.0, tenors: float = 100.0) -> Evidence:
    return Evidence(crps, z, u, u_z, tenors)


@pytest.mark.capability("B27", "K19")
@pytest.mark.parametrize(
    ("before", "seen", "after"),
    [
        ("open", evidence(0.99, -2.0), "open"),
        ("open", evidence(1.01, 1.2), "open"),  # worse, but within noise: stays
        ("open", evidence(1.01, 2.0), "shut"),
        ("open", evidence(0.99, -1.0, 1.02, 2.5), "shut"),  # the width is good, the centre is not
        ("open", evidence(0.99, -1.0, 1.004, 9.0), "open"),  # U up to its limit is no reason
        ("shut", evidence(1.01, 0.2), "shut"),  # within noise, but worse: must earn its way back
        ("shut", evidence(0.999, -0.1), "open"),
        ("shut", evidence(0.99, -3.0, 1.01, 0.1), "shut"),
        ("open", evidence(1.5, 9.0, tenors=10.0), "open"),  # too little evidence moves nothing
        ("shut", evidence(0.5, -9.0, tenors=10.0), "shut"),
        ("open", None, "open"),
        ("shut", None, "shut"),
    ],
)
def test_the_gate_moves_on_evidence_and_only_then(before: State, seen: Evidence | None, after: State) -> None:
    verdict = decide_gate(before, seen)
    assert verdict.state == after
    assert verdict.reason


def test_a_model_at_the_limit_does_not_flap() -> None:
    rng = np.random.default_rng(5)
    ratios = 1.002 + 0.004 * rng.standard_normal(400)
    for start in ("open", "shut"):
        state: State = start  # type: ignore[assignment]
        moves, sticky, plain = [], 0, 0
        for ratio in ratios:
            after = decide_gate(state, evidence(ratio, (ratio - 1) / 0.006)).state
            sticky += after != state
            state = after
            moves.append(ratio > 1.0)
        plain = int(np.sum(np.diff(np.array(moves).astype(int)) != 0))
        assert sticky <= plain / 5


@pytest.mark.parametrize(("drift", "expected"), [(0.0, "open"), (0.15, "shut")])
def test_a_planted_excess_is_found_and_noise_is_not(drift: float, expected: str) -> None:
    rng = np.random.default_rng(11)
    day = np.arange("2005-01-03", "2015-01-03", 7, dtype="datetime64[D]")
    base = np.full(len(day), 1.0)
    shut = 0
    for _ in range(60):
        excess = drift + rng.standard_normal(len(day))
        ratio, z = ratio_and_z(excess, base, day, 7)
        shut += decide_gate("open", evidence(ratio, z, tenors=tenors_between(day, 7))).state == "shut"
    assert (shut / 60 > 0.8) == (expected == "shut")
    if expected == "open":
        assert shut / 60 < 0.15


def test_overlapping_errors_are_not_taken_for_many() -> None:
    rng = np.random.default_rng(4)
    day = np.arange("2005-01-03", "2015-01-03", 7, dtype="datetime64[D]")
    found, naive = [], []
    for _ in range(80):
        shocks = rng.standard_normal(len(day) + 12)
        excess = np.convolve(shocks, np.ones(13), mode="valid")  # as 90d errors of weekly origins overlap
        found.append(ratio_and_z(excess, np.full(len(day), 50.0), day, 90)[1])
        naive.append(excess.mean() / (excess.std() / np.sqrt(len(excess))))
    assert np.mean(np.abs(found) > 1.96) < 0.2
    assert np.mean(np.abs(naive) > 1.96) > 0.4
    assert tenors_between(day, 90) == pytest.approx(1 + 3650 / 90, rel=0.01)
    assert tenors_between(np.array([], dtype="datetime64[D]"), 7) == 0.0
    assert ratio_and_z(np.zeros(3), np.ones(3), day[:3], 7) == (1.0, 0.0)
    assert ratio_and_z(np.ones(3), np.zeros(3), day[:3], 7) == (1.0, 0.0)


def errors_of(scale_low: float, scale_high: float, stressed_scale: float = 1.0, seed: int = 1) -> Errors:
    """Weekly errors of ten pairs over 14 years whose forecasts are wrong by known factors."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange("2001-01-01", "2015-01-01", 7, dtype="datetime64[D]"), 10)
    stressed = (np.arange(len(day)) // 10) % 3 == 0
    z = rng.standard_normal(len(day))
    z = np.where(z < 0, scale_low * z, scale_high * z) * np.where(stressed, stressed_scale, 1.0)
    actual = np.exp(0.02 * z)
    quantiles = np.exp(0.02 * np.tile(Z, (len(day), 1)))
    return Errors.of(day, day + 9, actual, quantiles, {"regime_stressed": stressed})


STARTS = np.arange("2003", "2015", dtype="datetime64[Y]").astype("datetime64[D]")


@pytest.mark.capability("K12")
def test_a_planted_asymmetry_is_learned_slowly_and_used_once_it_helps() -> None:
    found = [item for item in learn_corrections(errors_of(1.0, 1.6), STARTS, 7) if item.condition == "all"]
    last = found[-1]
    assert 0.97 < last.lower < 1.03
    assert 1.15 < last.upper < 1.6  # half of the way at ten years of weeks
    assert last.used
    assert last.score_ratio < 1.0
    assert not found[0].used
    assert last.shares["tail_high_after"] < last.shares["tail_high_before"]
    assert all(item.learned_through < item.valid_from for item in found)


@pytest.mark.capability("K12")
def test_without_cause_no_correction_is_used_and_the_table_shows_it() -> None:
    used = [item.used for seed in range(6) for item in learn_corrections(errors_of(1.0, 1.0, seed=seed), STARTS, 7)]
    assert np.mean(used) < 0.08
    item = learn_corrections(errors_of(1.0, 1.0), STARTS, 7)[-1]
    assert "not used" in item.reason


@pytest.mark.capability("K12")
def test_a_regime_that_matters_gets_its_own_factors_and_one_that_does_not_none() -> None:
    found = {item.condition: item for item in learn_corrections(errors_of(1.0, 1.0, 1.8), STARTS, 7)}
    own = found["regime_stressed"]
    assert own.used
    assert own.upper > 1.15
    assert own.n < found["all"].n
    fast = CalibrationConfig(prior_tenors=1.0)
    quick = {item.condition: item for item in learn_corrections(errors_of(1.0, 1.0, 1.8), STARTS, 7, fast)}
    assert quick["regime_stressed"].upper > own.upper
    assert len(QUANTILE_LEVELS) == len(Z)
    assert GateConfig().shut_z > 0
