"""The gate on planted losses: what it approves, what it refuses, and that it never reads unknown as fine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forex_assets.errors import DataError
from forex_assets.lifecycle import gate, gate_classic
from forex_assets.lifecycle.criteria import criteria_of
from forex_assets.lifecycle.decisions import decide
from forex_assets.lifecycle.search.objective import Losses
from forex_assets.settings import load_settings

POLICY = load_settings().optimization.gate.model_dump(mode="json")
FAST = {"candidate": 0.1, "incumbent": 0.1}


def losses(n: int, *, factor: float = 1.0, noise: float = 0.05, seed: int = 1, miss: float = 0.05) -> Losses:
    """Losses on the same ``n`` weekly targets; ``factor`` scales the CRPS around draws all callers share."""
    shared = np.random.default_rng(0).gamma(4.0, 0.25, n)
    own = np.random.default_rng(seed)
    origins = np.datetime64("2018-01-01") + 7 * np.arange(n)
    crps = shared * factor * (1 + noise * own.standard_normal(n))
    missed = np.arange(n) % round(1 / miss) == 0
    return Losses(
        origins=origins,
        matured=origins + 7,
        crps=crps,
        interval_score=5 * crps,
        covered_80=(np.arange(n) % 5 > 0).astype(float),
        covered_95=(~missed).astype(float),
        below_95=(missed & (np.arange(n) % (2 * round(1 / miss)) == 0)).astype(float),
        above_95=(missed & (np.arange(n) % (2 * round(1 / miss)) > 0)).astype(float),
        error_sigma=own.standard_normal(n),
        error=8 * own.standard_normal(n),
        actual=np.full(n, 900.0),
        steps=5,
    )


def known(candidate: Losses, incumbent: Losses, **changes: Any) -> dict[str, Any]:
    base = {
        "own": gate.measure([("usdclp", candidate, incumbent)]),
        "panel": None,
        "horizon_days": 7,
        "opening": 1,
        "first": False,
        "latency_s": FAST,
    }
    return {**base, **changes}


def states(outcome: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["state"] for item in outcome["criteria"]}


@pytest.mark.capability("A13", "K06")
def test_a_candidate_better_beyond_noise_is_approved_and_every_criterion_says_why() -> None:
    outcome = gate.decide_gate(known(losses(200, factor=0.9, seed=2), losses(200)), POLICY)
    assert outcome["approved"]
    assert set(states(outcome).values()) == {"met"}
    assert all(item["expected"] and item["actual"] for item in outcome["criteria"])
    assert len(criteria_of(outcome)) == len(outcome["criteria"])


@pytest.mark.capability("A19", "K06")
def test_an_equal_or_worse_candidate_is_refused_with_the_figure() -> None:
    for factor in (1.0, 1.05):
        outcome = gate.decide_gate(known(losses(200, factor=factor, seed=3), losses(200)), POLICY)
        assert not outcome["approved"]
        assert states(outcome)["improvement"] == "failed"
        assert "improvement" in outcome["reasons"][0]


def test_too_few_targets_are_unknown_and_unknown_never_approves() -> None:
    outcome = gate.decide_gate(known(losses(8, factor=0.5, seed=2), losses(8)), POLICY)
    assert states(outcome)["improvement"] == "unknown"
    assert not outcome["approved"]
    same = losses(200)
    assert states(gate.decide_gate(known(same, same), POLICY))["improvement"] == "unknown"


@pytest.mark.capability("K07")
def test_an_interval_that_became_too_wide_fails_like_one_too_narrow() -> None:
    better = losses(400, factor=0.8, seed=2)
    wide = replace(better, covered_80=np.ones(400), below_95=np.zeros(400), above_95=np.zeros(400))
    narrow = replace(better, covered_95=(np.arange(400) % 8 > 0).astype(float))
    assert states(gate.decide_gate(known(wide, losses(400)), POLICY))["coverage_80"] == "failed"
    assert states(gate.decide_gate(known(narrow, losses(400)), POLICY))["coverage_95"] == "failed"


@pytest.mark.capability("K08")
def test_bias_is_judged_in_sigma_and_only_beyond_noise() -> None:
    better = losses(400, factor=0.8, seed=2)
    shifted = replace(better, error_sigma=better.error_sigma + 0.6)
    assert states(gate.decide_gate(known(better, losses(400)), POLICY))["bias"] == "met"
    assert states(gate.decide_gate(known(shifted, losses(400)), POLICY))["bias"] == "failed"


@pytest.mark.capability("K09")
def test_latency_has_an_absolute_budget_within_which_the_ratio_does_not_matter() -> None:
    pair = known(losses(200, factor=0.9, seed=2), losses(200))
    for latency, state in (((0.4, 0.01), "met"), ((3.0, 2.9), "met"), ((5.0, 1.0), "failed")):
        outcome = gate.decide_gate({**pair, "latency_s": {"candidate": latency[0], "incumbent": latency[1]}}, POLICY)
        assert states(outcome)["latency"] == state


@pytest.mark.capability("K19")
def test_the_first_version_must_beat_champion_zero_on_the_panel() -> None:
    good = known(losses(200, factor=0.9, seed=2), losses(200))
    assert not gate.decide_gate({**good, "first": True}, POLICY)["approved"]  # one pair cannot decide it
    panel = gate.measure([(f"pair{k}", losses(200, factor=0.97, seed=10 + k), losses(200, seed=k)) for k in range(6)])
    outcome = gate.decide_gate({**good, "first": True, "panel": panel}, POLICY)
    assert outcome["approved"]
    assert outcome["judged_on"] == "panel"
    assert "own_pair" in states(outcome)
    worse_here = known(losses(200, factor=1.1, seed=2), losses(200))["own"]
    refused = gate.decide_gate({**good, "own": worse_here, "first": True, "panel": panel}, POLICY)
    assert states(refused)["own_pair"] == "failed"


@pytest.mark.capability("K06")
def test_opening_the_gate_is_paid_for_and_runs_out() -> None:
    better = known(losses(200, factor=0.95, seed=2), losses(200))
    marginal = {**better, "own": {**better["own"], "p_better": 0.03}}
    assert gate.decide_gate(marginal, POLICY)["approved"]
    assert not gate.decide_gate({**marginal, "opening": 3}, POLICY)["approved"]
    spent = gate.decide_gate({**marginal, "opening": 7}, POLICY)
    assert states(spent) == {"openings": "failed"}


def test_losses_without_a_common_target_are_refused() -> None:
    late = losses(50)
    late = replace(late, origins=late.origins + 3)
    with pytest.raises(DataError, match="share no matured target"):
        gate.measure([("usdclp", late, losses(50))])


def test_pairs_weigh_the_same_however_wild_and_dates_are_one_observation() -> None:
    wild = [losses(100, factor=factor, seed=seed) for factor, seed in ((0.9, 2), (1.0, 1))]
    scaled = [replace(part, crps=part.crps * 50, interval_score=part.interval_score * 50) for part in wild]
    one, two = gate.measure([("a", *wild)]), gate.measure([("a", *scaled), ("b", *wild)])
    assert two["improvement"] == pytest.approx(one["improvement"])
    assert two["n_effective"] == one["n_effective"]
    assert two["n"] == 2 * one["n"]


@pytest.mark.capability("A14", "A15", "A16", "A17", "A18")
def test_the_classic_criteria_on_hand_computed_figures() -> None:
    def of(**changes: float) -> dict[str, float]:
        return {"rmse": 9.5, "mape": 1.0, "std": 10.0, "coverage": 0.93, "bias": 1.0, "n": 22.0, **changes}

    base = {
        "candidate": of(),
        "incumbent": of(rmse=10.0),
        "has_incumbent": True,
        "latency_s": {"candidate": 1.5, "incumbent": 1.0},
        "forced": True,
    }
    assert gate_classic.decide_gate_classic(base, {})["approved"]  # exactly 5%, exactly 1.5 times
    for change, name in (
        ({"candidate": of(rmse=9.6)}, "improvement"),
        ({"candidate": of(std=11.1)}, "stability"),
        ({"latency_s": {"candidate": 1.51, "incumbent": 1.0}}, "latency"),
        ({"candidate": of(coverage=0.89)}, "coverage"),
        ({"candidate": of(bias=-5.0)}, "bias"),
    ):
        outcome = gate_classic.decide_gate_classic({**base, **change}, {})
        assert [k for k, v in states(outcome).items() if v == "failed"] == [name]
    by_mape = gate_classic.decide_gate_classic({**base, "candidate": of(rmse=9.9, mape=0.97)}, {})
    assert by_mape["approved"]


@pytest.mark.capability("A19", "K06")
def test_the_classic_rule_approves_a_first_one_refuses_failures_and_needs_force() -> None:
    base = {"candidate": {"n": 1.0}, "incumbent": None, "has_incumbent": False, "latency_s": FAST, "forced": True}
    assert gate_classic.decide_gate_classic(base, {})["approved"]
    assert not gate_classic.decide_gate_classic({**base, "forced": False}, {})["approved"]
    failed = gate_classic.decide_gate_classic({**base, "candidate": None}, {})
    assert states(failed) == {"backtest": "failed"}
    without = gate_classic.decide_gate_classic({**base, "has_incumbent": True}, {})
    assert states(without) == {"backtest": "failed"}


def test_a_decision_is_recomputed_from_its_figures_alone() -> None:
    facts = known(losses(200, factor=0.9, seed=2), losses(200))
    assert decide("gate/1", facts, POLICY) == gate.decide_gate(facts, POLICY)
