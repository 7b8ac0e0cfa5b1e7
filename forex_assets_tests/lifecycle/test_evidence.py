"""Evidence that may be looked at every day: it errs as rarely as it says, finds what is planted, ignores scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forex_assets.lifecycle.comparison import panel_rows
from forex_assets.lifecycle.evidence import EFFECTS, bounded_evidence, mean_evidence, mean_interval, t_evidence
from forex_assets.lifecycle.search.objective import Losses


def test_looking_every_day_raises_false_alarms_no_more_than_the_level_allows() -> None:
    rng = np.random.default_rng(7)
    alarms = np.zeros(2)
    for _ in range(200):
        gaps = np.clip(rng.normal(0, 0.15, 120), -1, 1)
        looks = range(10, 121, 10)
        alarms += [
            max(evidence(gaps[:n]) for n in looks) >= 20
            for evidence in (lambda part: bounded_evidence(part, 0.0, 1), lambda part: mean_evidence(part, 1))
        ]
    assert (alarms <= 16).all()  # 5% of 200 and two standard errors


def test_the_evidence_of_one_effect_is_the_ratio_of_the_t_statistics_densities(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    monkeypatch.setattr("forex_assets.lifecycle.evidence.EFFECTS", (0.5,))
    for n in (2, 5, 30):
        values = rng.normal(0.3, 1.0, n)
        t = values.mean() / values.std(ddof=1) * math.sqrt(n)
        slow = stats.nct.pdf(t, n - 1, 0.5 * math.sqrt(n)) / stats.t.pdf(t, n - 1)
        assert mean_evidence(values, 1) == pytest.approx(float(slow), rel=1e-3)


@given(shift=st.floats(-1, 1), scale=st.floats(1e-3, 1e3), overlap=st.integers(1, 9), n=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_scale_changes_nothing_and_what_is_below_is_no_evidence(
    shift: float, scale: float, overlap: int, n: int
) -> None:
    values = np.random.default_rng(n).normal(shift, 1.0, n)
    assert mean_evidence(values * scale, overlap) == pytest.approx(mean_evidence(values, overlap), rel=1e-6)
    assert mean_evidence(-np.abs(values), overlap) <= 1 + 1e-9
    assert 0 <= mean_evidence(values, overlap) <= 1e300


def test_planted_effects_are_found_and_sequences_that_do_not_overlap_are_kept_apart() -> None:
    values = np.random.default_rng(1).normal(0.8, 1.0, 60)
    assert mean_evidence(values, 1) > 1000
    assert 1 < mean_evidence(values, 6) < mean_evidence(values, 1)
    assert mean_evidence(values, 60) <= 2.0  # one target each says its sign at most
    apart = [mean_evidence(values[place::6], 1) for place in range(6)]
    assert mean_evidence(values, 6) == pytest.approx(np.mean(apart), rel=1e-6)
    assert mean_evidence(np.full(40, 1.0), 1) > 20
    assert len(EFFECTS) == 5
    assert t_evidence(np.zeros(2), np.zeros(2), np.array([0, 3]))[0] == 1.0


def test_the_interval_holds_the_mean_and_is_open_where_nothing_can_be_ruled_out() -> None:
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(60):
        low, high = mean_interval(rng.normal(0.3, 1.0, 80), 1, 0.05)
        missed += not low <= 0.3 <= high
    assert missed <= 6
    assert mean_interval(rng.normal(0.3, 1.0, 20), 21, 0.05) == (-math.inf, math.inf)
    assert mean_interval(np.ones(2), 1, 0.05) == (-math.inf, math.inf)


def test_pairs_of_a_date_are_one_observation_in_units_of_their_usual_loss() -> None:
    days = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")

    def losses(level: float, covered: float, n: int = 10) -> Losses:
        flat = np.zeros(n)
        names = ("interval_score", "covered_80", "below_95", "above_95", "error_sigma", "error", "actual")
        return Losses(
            origins=days[:n],
            matured=days[:n] + 7,
            crps=np.full(n, level),
            covered_95=np.full(n, covered),
            steps=5,
            **dict.fromkeys(names, flat),
        )

    parts = [(losses(1.1 * level, 0.0), losses(level, 1.0)) for level in (1.0, 10.0, 100.0, 1000.0)]
    assert panel_rows(parts) == []  # four pairs are no panel
    parts.append((losses(1.1, 0.0, 6), losses(1.0, 1.0)))
    rows = panel_rows(parts)
    assert [row[1] for row in rows] == [5] * 6
    assert rows[0][0] == "2024-01-01"
    assert rows[0][2:] == pytest.approx([0.1, 1.0])
    assert panel_rows([]) == []
