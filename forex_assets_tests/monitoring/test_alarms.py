"""Counting alarms, the null worlds, planted faults, and the packaged table of rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forex_assets.errors import ValidationError
from forex_assets.monitoring import false_alarms as packaged
from forex_assets.monitoring.alarm_table import false_alarms, feed_power, path_power, powers_frame, score_power
from forex_assets.monitoring.alarms import alarm_starts, rate_interval, share_with_interval
from forex_assets.monitoring.false_alarms import false_alarm_rate, measured_rates
from forex_assets.monitoring.registry import check_profile, monitors
from forex_assets.simulation.nulls import null_paths
from forex_assets.simulation.planted import Episodes, episodes, planted_scores, trials, width_times
from forex_assets_tests.monitoring.scored import matured, settings

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


def test_a_share_has_wilsons_interval() -> None:
    share, low, high, n = share_with_interval([True] * 9 + [False])
    assert (share, n) == (0.9, 10)
    assert low == pytest.approx(0.596, abs=0.001)
    assert high == pytest.approx(0.982, abs=0.001)
    assert np.isnan(share_with_interval([])[0])


def test_trials_leave_out_alarms_that_were_up_before() -> None:
    fired = np.zeros(100, dtype=bool)
    fired[[9, 25, 70]] = True
    delays = list(trials(fired, Episodes(np.array([10, 20, 40]), 10), 15))
    assert delays[0] == 5.0
    assert np.isnan(delays[1])
    with pytest.raises(ValidationError, match="No episode"):
        episodes(100, burn_in=90, active=50, rest=10)


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
    copper = np.corrcoef(one.returns, one.driver_returns["copper_comex"])[0, 1]
    assert copper == pytest.approx(-0.36, abs=0.1)


def test_wrong_names_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match="no null world 'calm'"):
        next(iter(null_paths("calm", years=5, paths=1, seed=1)))
    with pytest.raises(ValidationError, match="no profile 'strict'"):
        check_profile("strict")
    with pytest.raises(ValidationError, match="no monitor 'mood'"):
        list(monitors(("mood",)))


def test_false_alarms_and_power_are_measured_through_the_monitors_own_scan() -> None:
    found = false_alarms("walk_t5", SETTINGS, ["recommended"], years=6, paths=1, seed=2)
    total = next(rate for rate in found if (rate.monitor, rate.rule) == ("all", "all"))
    assert total.years == pytest.approx(6 - 750 / 252, abs=0.01)
    assert total.low <= total.per_year <= total.high
    assert {rate.monitor for rate in found} >= {"performance", "drift", "regime", "shock"}
    power = powers_frame(
        score_power("walk_t5", SETTINGS, "recommended", ["7d"], within=60, years=8, paths=1, seed=2)
    ).set_index(["fault", "rule"])
    assert power.loc[("intervals x0.5", "any"), "found"] >= 0.5
    assert power.loc[("intervals x0.5", "any"), "trials"] >= 2


@pytest.mark.capability("E11", "J11")
def test_an_outage_becomes_unknown_and_loud_prices_an_alarm() -> None:
    feeds = powers_frame(feed_power(SETTINGS, "recommended", within=30, years=6, paths=1, seed=2))
    outage = feeds.loc[(feeds["fault"] == "data outage") & (feeds["rule"] == "unknown")]
    assert outage["found"].iloc[0] == 1.0
    assert outage["median_delay"].iloc[0] <= 15
    loud = powers_frame(
        path_power("walk_t5", SETTINGS, "recommended", within=30, years=6, paths=1, seed=2, names=("performance",))
    )
    assert set(loud["fault"]) >= {"volatility x2", "copper link changes sign"}


def test_every_rule_has_a_measured_rate_and_a_rule_nobody_measured_has_none() -> None:
    rates = measured_rates()
    for rule in ("skill", "bias", "calibration", "evidence"):
        for horizon in SETTINGS.horizons:
            found = rates[("recommended", "performance", rule, horizon)]
            assert found.low <= found.per_year <= found.high
    assert false_alarm_rate("recommended", "performance", "volatility", "usdclp_fixing") is not None
    assert false_alarm_rate("recommended", "performance", "skill", "45d") is None
    assert false_alarm_rate("recommended", "nobody", "nothing", "x") is None


@pytest.mark.capability("K28")
def test_all_monitors_of_a_pair_together_cry_wolf_at_most_about_once_a_year() -> None:
    everything = {key: rate for key, rate in measured_rates().items() if key[:2] == ("recommended", "all")}
    (total,) = everything.values()
    assert total.low <= 1.0


def test_rates_survive_a_round_trip(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (rate, *_) = false_alarms("walk_t5", SETTINGS, ["classic"], years=5, paths=1, seed=1)
    path = str(tmp_path) + "/alarm_rates.csv"
    packaged.write_rates([rate, replace(rate, null="garch_t", per_year=rate.per_year + 1)], path)
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
