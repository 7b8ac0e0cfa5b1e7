"""Width factors by regime: planted ones come back shrunk, chance ones are not accepted, the future does not matter."""

from __future__ import annotations

import numpy as np
import pytest

from forex_assets.monitoring.regimes.factors import RegimeFactor, factor_of, regime_factors
from forex_assets_tests.monitoring.markets import sessions, settings

POLICY = settings().recommended.regimes.factors
N = 2000
DAYS = sessions(N)


def _factors(scale: float, seed: int = 0, *, stretch: int = 400, as_of: np.datetime64 = DAYS[-1]) -> list[RegimeFactor]:
    rng = np.random.default_rng(seed)
    labels = np.full(N, "NORMAL", dtype=object)
    labels[600 : 600 + stretch] = "HIGH_VOL"
    steps = 5
    shocks = rng.standard_normal(N + steps)
    errors = np.convolve(shocks, np.ones(steps) / np.sqrt(steps), mode="valid")[:N]
    errors = np.where(labels == "HIGH_VOL", scale * errors, errors)
    return regime_factors(errors, np.full(N, 1.96), DAYS, labels, horizon="7d", steps=steps, as_of=as_of, policy=POLICY)


@pytest.mark.capability("B08", "K12")
def test_a_planted_factor_comes_back_shrunk_towards_one_with_its_interval() -> None:
    found = factor_of(_factors(1.6), "HIGH_VOL")
    assert found is not None
    assert found.accepted
    assert found.score_ratio < 1.0
    assert found.low <= 1.6 <= found.high
    assert 1.0 < found.factor < found.raw
    assert found.factor == pytest.approx(1 + 80 / (80 + POLICY.shrinkage_effective_n) * (found.raw - 1))
    assert found.n == 400
    assert found.n_effective == pytest.approx(80.0)


@pytest.mark.capability("K12")
def test_where_nothing_is_to_gain_the_factor_stays_near_one() -> None:
    factors = [factor_of(_factors(1.0, seed), "HIGH_VOL") for seed in range(12)]
    sizes = [item.factor for item in factors if item is not None]
    assert len(sizes) == 12
    assert np.mean(np.abs(np.array(sizes) - 1.0)) < 0.06
    assert any(not item.accepted and item.factor == 1.0 for item in factors if item is not None)


@pytest.mark.capability("K12")
def test_too_little_evidence_leaves_the_width_alone_and_says_so() -> None:
    found = factor_of(_factors(2.0, stretch=12), "HIGH_VOL")
    assert found is not None
    assert (found.factor, found.accepted) == (1.0, False)
    assert "independent" in found.reason
    assert factor_of(_factors(2.0), "COPPER_SHOCK") is None


@pytest.mark.capability("K12", "K14")
def test_errors_that_matured_later_do_not_matter() -> None:
    early = factor_of(_factors(1.6, as_of=DAYS[800]), "HIGH_VOL")
    assert early is not None
    assert early.n == 201
