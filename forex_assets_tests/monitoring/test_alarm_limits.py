"""Limits are the lowest that keep to their budget, in every world that chooses; the made drivers stay on the earth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from forex_assets.monitoring.alarm_limits import (
    BUDGET,
    CHOOSING,
    EACH_SERIES,
    FLOORS,
    HORIZON_FIELDS,
    VOLATILITY_WORLDS,
    alarms_per_year,
    choose,
    effects,
    lowest_limit,
    with_limits,
)
from forex_assets.monitoring.alarms import watched_worlds
from forex_assets.settings import load_settings
from forex_assets.simulation.drivers import CORRELATIONS, DRIVERS, driver_levels
from forex_assets_tests.monitoring.scored import settings

SETTINGS = settings()
RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "monitoring_limits.json"


def test_the_lowest_limit_is_the_first_that_keeps_the_budget_all_the_way_up() -> None:
    quiet = np.zeros(252 * 10)
    # One spike in each of ten years, of heights 0.095 to 0.995: a limit lets through as many as are higher.
    quiet[100::252] = np.arange(1, 11) / 10 - 0.005
    assert alarms_per_year([quiet], 0.75, 20) == pytest.approx(0.3)
    assert lowest_limit([quiet], 0.3, 20) == pytest.approx(0.70)
    assert lowest_limit([quiet], 0.0, 20) == pytest.approx(1.00)
    assert lowest_limit([quiet - 5], 1.0, 20) == pytest.approx(0.01)


def test_a_limit_that_merges_alarms_again_further_down_is_not_mistaken_for_a_low_one() -> None:
    # Two humps on one plateau: at 0.5 and below they are one alarm, between 0.5 and 1 they are two.
    path = np.zeros(2520)
    path[100:200] = 0.5
    path[[110, 180]] = 0.995
    assert alarms_per_year([path], 0.4, 20) == pytest.approx(0.1)
    assert alarms_per_year([path], 0.8, 20) == pytest.approx(0.2)
    assert lowest_limit([path], 0.1, 20) == pytest.approx(1.00)


def test_each_limit_keeps_to_its_budget_in_the_worst_world_and_goes_where_it_is_read() -> None:
    rng = np.random.default_rng(0)
    keys = [(name, horizon) for name, each in BUDGET.items() for horizon in each]
    keys += [(name, "all") for name in (*EACH_SERIES, "volatility")]
    by_world = {
        world: {key: [scale * rng.normal(size=2520 * 4) + (key[0] == "volatility") * 3] for key in keys}
        for world, scale in zip(CHOOSING, (0.1, 0.2, 0.3), strict=True)
    }
    limits = {(limit.name, limit.subject): limit for limit in choose(by_world, SETTINGS)}
    for limit in limits.values():
        assert limit.per_year <= limit.budget
    assert limits["skill", "7d"].world == "clp_blocks"
    assert limits["surprise_log_evidence", "all"].world == "garch_t"
    assert limits["walk_log_evidence", "all"].world == "walk_t5"
    made = with_limits(SETTINGS, list(limits.values()))
    policy = made.recommended.performance
    assert policy.horizons["90d"].skill_excess_share == limits["skill", "90d"].value
    assert policy.horizons["7d"].wide_log_variance == limits["wide", "7d"].value
    assert policy.volatility.surprise_log_evidence == limits["surprise_log_evidence", "all"].value
    data, floors = made.platform.watching.data, made.recommended.drift.floors
    assert data.importance_distance == limits["importance_distance", "all"].value
    assert data.min_correlation_change == limits["min_correlation_change", "all"].value
    assert floors.scale_log == limits["scale_log", "all"].value
    assert floors.volatility_log == limits["volatility_log", "all"].value
    assert floors.location_sigma == SETTINGS.recommended.drift.floors.location_sigma
    assert SETTINGS.recommended.performance.horizons["90d"] != policy.horizons["90d"]


def test_the_effects_of_a_path_are_those_of_every_limited_rule() -> None:
    found = effects(watched_worlds("walk_t5", SETTINGS, years=5, paths=1, seed=3), SETTINGS)
    keys = {(name, horizon) for name, each in BUDGET.items() for horizon in each}
    assert set(found) == keys | {(name, "all") for name in (*EACH_SERIES, "volatility")}
    # One array a series: features, residuals, and correlations of each driver.
    assert {name: len(found[name, "all"]) for name in EACH_SERIES} == {
        "scale_log": 6, "volatility_log": 1, "min_correlation_change": 3, "importance_distance": 1,
    }  # fmt: skip
    assert {len(paths[0]) for paths in found.values()} == {5 * 252 - 750}
    assert np.array_equal(found["narrow", "7d"][0], -found["wide", "7d"][0])


@pytest.mark.capability("K01")
def test_the_profile_holds_the_limits_that_were_chosen_on_its_calibration_seed() -> None:
    chosen = json.loads(RESULT.read_text(encoding="utf-8"))
    packaged = load_settings(environ={"FOREX_HOME": "/nowhere"})
    table, policy = packaged.recommended.alarm_table, packaged.recommended.performance
    assert {limit["name"] for limit in chosen["limits"]} == {*BUDGET, *EACH_SERIES, *VOLATILITY_WORLDS}
    assert (chosen["seed"], chosen["years_each"], chosen["paths"]) == (table.calibration_seed, table.years, table.paths)
    for limit in chosen["limits"]:
        name, subject = limit["name"], limit["subject"]
        if name in HORIZON_FIELDS:
            assert getattr(policy.horizons[subject], HORIZON_FIELDS[name]) == pytest.approx(limit["value"])
        elif name in FLOORS:
            assert getattr(packaged.recommended.drift.floors, name) == pytest.approx(limit["value"])
        elif name in EACH_SERIES:
            assert getattr(packaged.platform.watching.data, name) == pytest.approx(limit["value"])
        else:
            assert getattr(policy.volatility, name) == pytest.approx(limit["value"])


def test_made_drivers_stay_in_the_range_of_their_series_and_move_with_the_price_as_measured() -> None:
    rng = np.random.default_rng(11)
    returns = 0.006 * rng.standard_t(5, 252 * 100) * np.sqrt(0.6)
    levels = driver_levels(rng, returns)
    shocks = [returns]
    for name, driver in DRIVERS.items():
        low, high = SETTINGS.series[name].range
        assert SETTINGS.series[name].unit == driver.unit
        assert ((levels[name] > low) & (levels[name] < high)).all()
        x = np.log((levels[name] - driver.floor) / driver.level)
        assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(driver.persistence, abs=0.003)
        shocks.append(np.r_[0.0, x[1:] - driver.persistence * x[:-1]])
    np.testing.assert_allclose(np.corrcoef(shocks), CORRELATIONS, atol=0.03)
