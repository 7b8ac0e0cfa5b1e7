"""Robustness by regime, weekday, session and horizon: planted gaps are found, chance is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forex_assets.monitoring.subgroups import groups_of, subgroup_table
from forex_assets_tests.monitoring.markets import sessions, settings

POLICY = settings().platform.watching.subgroups
HORIZONS = {"7d": 7}


def _rows(seed: int, *, bad: np.ndarray | None = None, n: int = 1200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    dates = sessions(n)
    beside = rng.gamma(2.0, 3.0, n)
    rows = pd.DataFrame(
        {
            "horizon": 7,
            "as_of": dates.astype("datetime64[ns]"),
            "target_date": (dates + np.timedelta64(7, "D")).astype("datetime64[ns]"),
            "covered_95": rng.random(n) < 0.95,
            "crps": beside * rng.normal(0.97, 0.05, n),
            "crps_benchmark": beside,
        }
    )
    if bad is not None:
        rows.loc[bad, "covered_95"] = rng.random(int(bad.sum())) < 0.6
        rows.loc[bad, "crps"] *= 1.5
    return rows


@pytest.mark.capability("E07", "L15")
def test_chance_is_not_accused() -> None:
    accused = sum(
        any(item.state == "fired" for item in subgroup_table(_rows(seed), HORIZONS, POLICY)) for seed in range(30)
    )
    assert accused <= 3


@pytest.mark.capability("E07", "L15")
def test_a_regime_in_which_the_intervals_fail_is_found() -> None:
    dates = sessions(1200)
    loud = np.zeros(1200, dtype=bool)
    loud[500:800] = True
    regimes = {day: "HIGH_VOL" if flag else "NORMAL" for day, flag in zip(dates, loud, strict=True)}
    table = subgroup_table(_rows(0, bad=loud), HORIZONS, POLICY, regimes)
    by_name = {(item.dimension, item.group): item for item in table}
    found = by_name["regime", "HIGH_VOL"]
    assert found.state == "fired"
    assert found.coverage < 0.75
    assert found.crps_ratio_gap > 0.3
    assert "coverage" in found.reason
    assert by_name["weekday", "Monday"].state == "clear"
    assert {item.dimension for item in table} == {"regime", "weekday", "session", "horizon"}


@pytest.mark.capability("E07", "L15")
def test_a_small_group_is_unknown_and_says_how_small() -> None:
    table = subgroup_table(_rows(1, n=60), HORIZONS, POLICY)
    small = [item for item in table if item.dimension == "weekday"]
    assert {item.state for item in small} == {"unknown"}
    assert "independent" in small[0].reason
    assert subgroup_table(_rows(1).iloc[:0], HORIZONS, POLICY) == []


@pytest.mark.capability("E07")
def test_a_horizon_as_a_whole_is_held_against_nominal_coverage() -> None:
    rows = _rows(2, bad=np.ones(1200, dtype=bool))
    (whole,) = [item for item in subgroup_table(rows, HORIZONS, POLICY) if item.dimension == "horizon"]
    assert whole.state == "fired"


def test_groups_are_told_from_origin_and_target() -> None:
    rows = pd.DataFrame(
        {
            "as_of": pd.to_datetime(["2024-07-01", "2024-06-28"]),
            "target_date": pd.to_datetime(["2024-07-04", "2024-07-05"]),
        }
    )
    groups = groups_of(rows)
    assert groups["weekday"].tolist() == ["Monday", "Friday"]
    assert groups["session"].tolist() == ["United States closed", "United States open"]
