"""Counting alarms, the null worlds, planted faults, and the packaged table of rates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets.errors import ValidationError
from forex_assets.monitoring import false_alarms as packaged
from forex_assets.monitoring.alarm_table import (
    PATH_FAULTS,
    false_alarms,
    feed_power,
    path_power,
    powers_frame,
    score_power,
    volatility_power,
    with_tail,
)
from forex_assets.monitoring.alarms import alarm_starts, rate_interval, share_with_interval
from forex_assets.monitoring.false_alarms import false_alarm_rate, measured_rates
from forex_assets.monitoring.registry import check_profile, monitors
from forex_assets.simulation.nulls import NULLS, null_paths
from forex_assets.simulation.planted import planted_scores, width_times
from forex_assets_tests.monitoring.scored import matured, quiet_frames, settings

SETTINGS = settings()


def test_an_alarm_starts_after_quiet_days_only() -> None:
    fired = np.zeros(100, dtype=bool)
    fired[[3, 4, 20, 60, 81, 90]] = True
    assert alarm_starts(fired, 20).tolist() == [3, 60, 81]
    assert alarm_starts(np.zeros(5, dtype=bool), 20).tolist() == []


def test_the_interval_of_a_rate_is_garwoods_and_wider_where_paths_differ() -> None:
    low, high = rate_interval(np.full(10, 2.0), np.full(10, 100.0))
    assert low * 1000 == pytest.approx(12.2, abs=0.1)
    assert high * 1000 == pytest.approx(30.9, abs=0.1)
    uneven = rate_interval(np.r_[np.zeros(9), 20.0], np.full(10, 100.0))
    assert uneven[0] < low
    assert uneven[1] > high
    assert rate_interval(np.zeros(3), np.full(3, 100.0))[0] == 0.0


def test_a_share_has_clopper_and_pearsons_interval() -> None:
    share, low, high, n = share_with_interval([True] * 9 + [False])
    assert (share, n) == (0.9, 10)
    assert low == pytest.approx(0.5550, abs=1e-4)
    assert high == pytest.approx(0.9975, abs=1e-4)
    assert share_with_interval([True] * 5)[1:3] == (pytest.approx(0.025 ** (1 / 5)), 1.0)
    assert np.isnan(share_with_interval([])[0])


def test_a_planted_width_changes_coverage_and_nothing_outside_its_rows() -> None:
    rows = matured()["7d"]
    active = rows.loc[rows["is_active"]].reset_index(drop=True)
    where = np.arange(len(active)) % 2 == 0
    worse = planted_scores(active, width_times(0.5), where)
    pd.testing.assert_frame_equal(
        worse.loc[~where, ["crps", "pit", "q025"]], active.loc[~where, ["crps", "pit", "q025"]]
    )
    assert worse.loc[where, "covered_95"].mean() < active.loc[where, "covered_95"].mean() - 0.15


@pytest.mark.parametrize("null", ["walk_t5", "garch_t", "clp_blocks"])
def test_null_worlds_are_driftless_repeatable_and_of_the_length_asked(null: str) -> None:
    (one,) = null_paths(null, years=6, paths=1, seed=5)
    (again,) = null_paths(null, years=6, paths=1, seed=5)
    (other,) = null_paths(null, years=6, paths=1, seed=6)
    np.testing.assert_array_equal(one.returns, again.returns)
    assert not np.array_equal(one.returns, other.returns)
    assert len(one.dates) == 6 * 252
    assert abs(one.returns.mean()) < 4 * one.returns.std() / np.sqrt(len(one.returns))
    copper = np.corrcoef(one.returns[1:], np.diff(np.log(one.drivers["copper_comex"])))[0, 1]
    assert copper == pytest.approx(-0.41, abs=0.1)


def test_wrong_names_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match="no null world 'calm'"):
        next(iter(null_paths("calm", years=5, paths=1, seed=1)))
    with pytest.raises(ValidationError, match="no profile 'strict'"):
        check_profile("strict")
    with pytest.raises(ValidationError, match="no monitor 'mood'"):
        list(monitors(("mood",)))


def test_false_alarms_and_power_are_measured_through_the_monitors_own_rules() -> None:
    found = false_alarms("walk_t5", SETTINGS, ["recommended"], years=6, paths=1, seed=2)
    total = next(rate for rate in found if (rate.monitor, rate.rule) == ("all", "all"))
    assert total.years == pytest.approx(6 - 750 / 252, abs=0.01)
    assert total.low <= total.per_year <= total.high
    assert {rate.monitor for rate in found} >= {"performance", "drift", "regime", "shock", "data_quality"}
    power = powers_frame(score_power("walk_t5", SETTINGS, "recommended", {"7d": 60}, paths=4, seed=2)).set_index(
        ["fault", "rule"]
    )
    assert power.loc[("intervals x0.5", "any"), "trials"] >= 3
    assert power.loc[("intervals x0.5", "any"), "found"] >= 0.5
    assert power.loc[("CRPS ratio +0.40", "any"), "found"] >= power.loc[("CRPS ratio +0.10", "any"), "found"]


def test_a_planted_tail_is_what_the_frame_of_scores_would_say() -> None:
    rows = matured()["7d"]
    active = rows.loc[rows["is_active"]].reset_index(drop=True)
    start = len(active) - 50
    worse = planted_scores(active, width_times(0.7), np.arange(len(active)) >= start)
    frames = replace(quiet_frames(), scores=pd.concat([worse, rows.loc[~rows["is_active"]]]))
    made = {name: worse[name].to_numpy()[start:] for name in ("error_sigma", "pit", "covered_80", "covered_95")}
    made |= {name: worse[name].to_numpy()[start:] for name in ("crps", "error")}
    found = with_tail(quiet_frames().scored["7d"], made, start)
    for name in ("error_sigma", "pit", "covered_80", "covered_95", "crps", "error", "crps_benchmark"):
        np.testing.assert_allclose(getattr(found, name), getattr(frames.scored["7d"], name))


@pytest.mark.capability("E11", "J11", "L18")
def test_an_outage_and_a_frozen_price_are_noticed_within_days() -> None:
    feeds = powers_frame(feed_power(SETTINGS, "recommended", paths=2, seed=2)).set_index(["fault", "rule"])
    assert feeds.loc[("data outage", "fired"), "found"] == 1.0
    assert feeds.loc[("data outage", "fired"), "median_delay"] <= 10
    assert feeds.loc[("stale feed", "unknown"), "found"] == 1.0
    assert feeds.loc[("stale feed", "unknown"), "median_delay"] <= 5


@pytest.mark.capability("K28")
def test_a_fault_of_prices_is_a_trial_of_its_own_path_and_reaches_every_accusing_monitor() -> None:
    faults = {name: PATH_FAULTS[name] for name in ("volatility x2", "copper link changes sign")}
    found = powers_frame(path_power("walk_t5", SETTINGS, "recommended", paths=1, seed=4, faults=faults))
    assert set(found["fault"]) == set(faults)
    assert {rule.split("/")[0] for rule in found["rule"]} == {"performance", "drift", "data_quality", "any"}
    assert (found["trials"] == 1).all()
    alone = powers_frame(volatility_power("walk_t5", SETTINGS, paths=60, seed=4)).set_index(["fault", "rule"])
    loose, strict = (f"performance/volatility at {name}_log_evidence" for name in ("walk", "surprise"))
    assert alone.loc[("volatility x2", loose), "found"] > 0.8
    assert alone.loc[("volatility x2", strict), "found"] < alone.loc[("volatility x2", loose), "found"]


def test_every_rule_has_a_measured_rate_and_a_rule_nobody_measured_has_none() -> None:
    rates = measured_rates()
    for rule in ("skill", "bias", "calibration", "evidence"):
        for horizon in SETTINGS.horizons:
            found = rates[("recommended", "performance", rule, horizon)]
            assert found.low <= found.per_year <= found.high
    assert false_alarm_rate("recommended", "shock", "price_day", "usdclp_fixing") is not None
    assert false_alarm_rate("recommended", "performance", "skill", "45d") is None
    assert false_alarm_rate("recommended", "nobody", "nothing", "x") is None


def packaged_rows() -> pd.DataFrame:
    """The packaged table of rates."""
    return pd.read_csv(Path(packaged.__file__).with_name("alarm_rates.csv"))


@pytest.mark.capability("K28", "K01")
@pytest.mark.parametrize("null", NULLS)
def test_all_monitors_of_a_pair_together_cry_wolf_at_most_once_a_year(null: str) -> None:
    rows = packaged_rows()
    (total,) = rows.loc[
        (rows["profile"] == "recommended") & (rows["monitor"] == "all") & (rows["null"] == null)
    ].itertuples()
    assert total.per_year <= 1.0
    assert total.years >= 490
    parts = rows.loc[(rows["profile"] == "recommended") & (rows["rule"] == "all") & (rows["null"] == null)]
    assert {"performance", "drift", "data_quality"} <= set(parts["monitor"])
    assert total.alarms == parts.loc[parts["monitor"] != "all", "alarms"].sum()


@pytest.mark.capability("K01", "K03")
def test_rates_come_from_paths_that_chose_no_limit_and_hold_the_nominal_rate() -> None:
    rows, table = packaged_rows(), SETTINGS.recommended.alarm_table
    assert set(rows["seed"]) == {table.reporting_seed}
    assert table.reporting_seed != table.calibration_seed
    mine = rows.loc[(rows["profile"] == "recommended") & ~rows["describes"]]
    assert mine.loc[mine["null"] == "ecb_pairs", "nominal_per_year"].isna().all()  # real pairs chose nothing
    known = mine.loc[mine["null"] != "ecb_pairs"]
    assert known["nominal_per_year"].notna().all()
    inside = known["nominal_per_year"].between(known["low"] - 5e-5, known["high"] + 5e-5)
    assert inside.mean() >= 0.90
    assert inside[known["rule"] == "all"].mean() >= 0.75


def test_rates_survive_a_round_trip(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (rate, *_) = false_alarms("walk_t5", SETTINGS, ["classic"], years=5, paths=1, seed=1)
    path = str(tmp_path) + "/alarm_rates.csv"
    made = [rate, replace(rate, null="garch_t", per_year=rate.per_year + 1)]
    key = ("classic", "walk_t5", rate.monitor, rate.rule, rate.subject)
    packaged.write_rates(made, path, seed=7, nominal={key: 4.0})
    written = pd.read_csv(path)
    assert written["seed"].tolist() == [7, 7]
    assert written["nominal_per_year"].tolist()[0] == 4.0
    assert np.isnan(written["nominal_per_year"].tolist()[1])
    monkeypatch.setattr(packaged.resources, "files", lambda _: __import__("pathlib").Path(str(tmp_path)))
    measured_rates.cache_clear()
    try:
        found = measured_rates()[("classic", rate.monitor, rate.rule, rate.subject)]
        assert found.null == "garch_t"
        (tmp_path / "alarm_rates.csv").write_text("profile,null\nclassic,walk\n")  # type: ignore[operator]
        measured_rates.cache_clear()
        with pytest.raises(Exception, match="cannot be read"):
            measured_rates()
    finally:
        measured_rates.cache_clear()
