"""Drift: the classic five tests on hand-computed numbers, and changes that are planted found, quiet ones not."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.diagnostic import acorr_ljungbox

from forex_assets.monitoring import drift
from forex_assets.monitoring.classic_drift import (
    LEVELS,
    ClassicDrift,
    classic_drift,
    drift_advice,
    drift_score,
    drift_trend,
    ks_severity,
)
from forex_assets.monitoring.drift_report import drift_report
from forex_assets.monitoring.drift_samples import Sample, standardised
from forex_assets.monitoring.drift_tests import measure
from forex_assets.monitoring.onset import onset
from forex_assets.monitoring.windows import Rolling, benjamini_hochberg, ks_distance, ks_exact_p, levene_p, welch_p
from forex_assets.schemas.monitoring import DRIFT_REPORT
from forex_assets_tests.monitoring.scored import path, quiet_frames, settings

SETTINGS = settings()
CLASSIC = SETTINGS.classic.drift
POLICY = SETTINGS.recommended.drift


def drift_of(**changes: float) -> ClassicDrift:
    """Statistics at which nothing fires, but for those given."""
    calm = {
        "ks_statistic": 0.1, "ks_p": 0.9, "t_p": 0.9, "levene_p": 0.9, "ljung_box_recent_p": 0.9,
        "ljung_box_baseline_p": 0.9, "volatility_ratio": 1.0, "baseline_mean": 0.0, "baseline_std": 1.0,
        "recent_mean": 0.0, "recent_std": 1.0,
    }  # fmt: skip
    return ClassicDrift(**{name: np.array([value]) for name, value in {**calm, **changes}.items()})


@pytest.mark.capability("K01")
def test_the_five_statistics_are_those_of_scipy_and_statsmodels() -> None:
    values = 900 + np.cumsum(np.random.default_rng(0).normal(0, 5, 400))
    ends = np.array([120, 257, 400])
    found = classic_drift(values, ends, CLASSIC)
    for i, end in enumerate(ends):
        base, recent = values[end - 120 : end - 30], values[end - 30 : end]
        ks = stats.ks_2samp(recent, base)
        assert found.ks_statistic[i] == pytest.approx(ks.statistic)
        assert found.ks_p[i] == pytest.approx(ks.pvalue, abs=1e-10)
        assert found.t_p[i] == pytest.approx(stats.ttest_ind(recent, base, equal_var=False).pvalue)
        assert found.levene_p[i] == pytest.approx(stats.levene(recent, base).pvalue)
        expected = acorr_ljungbox(np.diff(recent), lags=[10])["lb_pvalue"].iloc[0]
        assert found.ljung_box_recent_p[i] == pytest.approx(expected)
        assert found.volatility_ratio[i] == pytest.approx(recent.std(ddof=1) / base.std(ddof=1))


@pytest.mark.capability("A05", "K02")
@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "NONE"),
        ({"ks_p": 0.04}, "LOW"),
        ({"volatility_ratio": 1.51}, "LOW"),
        ({"volatility_ratio": 0.66}, "LOW"),
        ({"volatility_ratio": 1.5}, "NONE"),
        ({"ljung_box_recent_p": 0.04}, "LOW"),
        ({"ljung_box_recent_p": 0.04, "ljung_box_baseline_p": 0.04}, "NONE"),
        ({"ks_p": 0.04, "t_p": 0.04}, "MEDIUM"),
        ({"t_p": 0.009}, "MEDIUM"),
        ({"ks_p": 0.04, "t_p": 0.04, "levene_p": 0.04}, "HIGH"),
        ({"levene_p": 0.0009}, "HIGH"),
        ({"ks_statistic": float("nan"), "ks_p": float("nan")}, "NONE"),
    ],
)
def test_the_aggregate_severity_counts_as_the_catalogue_says(changes: dict[str, float], level: str) -> None:
    assert LEVELS[int(drift_of(**changes).severity(CLASSIC)[0])] == level


@pytest.mark.capability("A05")
@pytest.mark.parametrize(
    ("p", "distance", "level"),
    [(0.05, 0.9, "NONE"), (0.009, 0.31, "HIGH"), (0.009, 0.3, "MEDIUM"), (0.04, 0.21, "MEDIUM"), (0.04, 0.2, "LOW")],
)
def test_the_ks_only_severity(p: float, distance: float, level: str) -> None:
    assert ks_severity(p, distance, CLASSIC) == level


@pytest.mark.capability("B17")
def test_the_drift_score_is_the_weighted_sum_by_hand() -> None:
    one = np.array([0.5]), np.array([0.2]), np.array([0.4]), np.array([0.6])
    assert drift_score(*one)[0] == pytest.approx(0.40 * 50 + 0.25 * 80 + 0.20 * 60 + 0.15 * 40)
    sure = drift_score(np.array([1.0]), np.zeros(1), np.zeros(1), np.zeros(1))
    assert sure[0] == pytest.approx(100.0)


@pytest.mark.capability("K01")
def test_the_classic_rule_cries_wolf_on_nine_quiet_windows_of_ten() -> None:
    rng = np.random.default_rng(3)
    levels = 900 + 5 * np.cumsum(rng.standard_t(5, (500, 120)), axis=1)
    found = [int(classic_drift(row, np.array([120]), CLASSIC).severity(CLASSIC)[0]) for row in levels]
    share = np.bincount(found, minlength=4) / len(found)
    assert share[3] == pytest.approx(0.906, abs=0.04)
    assert share[0] == pytest.approx(0.035, abs=0.03)


def test_fewer_than_120_points_are_no_drift_and_say_so() -> None:
    frames = quiet_frames()
    short = replace(
        frames.target,
        dates=frames.target.dates[:100], values=frames.target.values[:100],
        available=frames.target.available[:100], withdrawn=frames.target.withdrawn[:100],
    )  # fmt: skip
    day = path().dates[99].item()
    (finding,) = drift.judge(replace(frames, target=short), day, SETTINGS, "classic")
    assert finding.state == "unknown" or "Insufficient data" in finding.reasons[0]
    report = drift_report(replace(frames, target=short), day, SETTINGS, DRIFT_REPORT.empty())
    row = report.loc[report["profile"] == "classic"].iloc[0]
    assert (row["state"], row["severity"]) == ("unknown", "NONE")


@pytest.mark.capability("A38")
@pytest.mark.parametrize(
    ("scores", "trend"),
    [
        ([20.0] * 12, "STABLE"),
        ([20 + 2.0 * i for i in range(12)], "WORSENING"),
        ([60 - 2.0 * i for i in range(12)], "IMPROVING"),
        ([50 + 0.3 * i for i in range(12)], "STABLE"),
        ([70, 30, 70, 30, 70, 30, 70, 30, 70, 30, 70, 69], "UNKNOWN"),
        ([40.0, 50.0], "UNKNOWN"),
    ],
)
def test_the_trend_of_the_stored_history(scores: list[float], trend: str) -> None:
    days = [dt.date(2025, 1, 1) + dt.timedelta(days=i) for i in range(len(scores))]
    found = drift_trend([(day, score, "LOW") for day, score in zip(days, scores, strict=True)])
    assert found.trend == trend


@pytest.mark.capability("A38")
def test_a_slope_that_cannot_be_told_from_none_is_not_predictable() -> None:
    rng = np.random.default_rng(1)
    days = [dt.date(2025, 1, 1) + dt.timedelta(days=i) for i in range(20)]
    noise = drift_trend([(day, float(40 + rng.normal(0, 10)), "LOW") for day in days])
    assert noise.slope_low < 0 < noise.slope_high
    assert "not predictable" in noise.advice
    steady = drift_trend([(day, 20 + 2.0 * i + 0.1 * (i % 2), "LOW") for i, day in enumerate(days)])
    assert steady.slope_low > 0
    assert "not predictable" not in steady.advice


@pytest.mark.capability("B17")
def test_advice_and_action_follow_the_bands() -> None:
    assert drift_advice("WORSENING", 75, 40, 0).startswith("Critical")
    assert drift_advice("STABLE", 10, 10, 5).startswith("Critical")
    assert drift_advice("WORSENING", 60, 50, 0).startswith("Plan")
    assert drift_advice("STABLE", 60, 50, 0).startswith("Advisory")
    assert drift_advice("STABLE", 59, 50, 0).startswith("No action")
    days = [dt.date(2025, 1, i) for i in range(1, 7)]
    trend = drift_trend([(day, 30.0, "HIGH" if day.day > 3 else "NONE") for day in days])
    assert trend.consecutive_high == 3
    assert trend.action_needed
    assert trend.last_none == dt.date(2025, 1, 3)
    assert trend.mean_30 == pytest.approx(30.0)


@given(st.integers(0, 10_000), st.integers(3, 40), st.integers(3, 40))
@hypothesis_settings(max_examples=30, deadline=None)
def test_ks_is_scipys_with_and_without_ties(seed: int, n1: int, n2: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 12, n1) / 1.0, rng.normal(6, 3, n2).round(int(rng.integers(0, 3)))
    expected = stats.ks_2samp(x, y)
    distance = ks_distance(x[None], y[None])
    assert distance[0] == pytest.approx(expected.statistic)
    assert ks_exact_p(distance, n1, n2)[0] == pytest.approx(expected.pvalue, abs=1e-9)


def test_welch_and_levene_of_windows_that_do_not_vary_are_not_a_number() -> None:
    flat = np.ones((1, 30))
    assert np.isnan(welch_p(flat, flat)[0])
    assert np.isnan(levene_p(flat, flat)[0])


@given(st.lists(st.floats(-3, 3), min_size=12, max_size=40), st.integers(1, 4))
@hypothesis_settings(max_examples=40, deadline=None)
def test_autocovariances_from_cumulated_sums_are_those_of_the_window(values: list[float], lag: int) -> None:
    x = np.array(values)
    first, last = 2, len(x) - 1
    window = x[first:last] - x[first:last].mean()
    found = Rolling(x).autocovariance(np.array([first]), np.array([last]), lag)
    assert found[0] == pytest.approx(float((window[lag:] * window[:-lag]).sum()), abs=1e-9)


@pytest.mark.capability("K01")
def test_benjamini_hochberg_rejects_as_the_step_up_rule_does() -> None:
    p = np.array([[0.001, 0.2], [0.012, 0.3], [0.014, 0.9], [0.9, np.nan]])
    found = benjamini_hochberg(p, 0.05)
    assert found[:, 0].tolist() == [True, True, True, False]
    assert not found[:, 1].any()


@pytest.mark.capability("E10")
@pytest.mark.parametrize(
    ("test", "values"),
    [
        ("location", lambda rng: np.r_[rng.normal(size=400), rng.normal(1.2, 1, 60)]),
        ("scale", lambda rng: np.r_[rng.normal(size=400), rng.normal(0, 2.5, 60)]),
        ("distribution", lambda rng: np.r_[rng.normal(size=400), rng.choice([-1.4, 1.4], 60)]),
        ("persistence", lambda rng: np.r_[rng.normal(size=400), np.repeat(rng.normal(size=20), 3)]),
    ],
)
def test_each_test_finds_its_own_change(test: str, values: object) -> None:
    series = values(np.random.default_rng(2))  # type: ignore[operator]
    dates = np.datetime64("2020-01-01") + np.arange(len(series))
    sample = Sample("returns", dates, series, (test,))  # type: ignore[arg-type]
    before, after = measure(sample, test, np.array([400, 460]), POLICY).p_value  # type: ignore[arg-type]
    assert before > 0.001
    assert after < 2e-3


def test_a_link_that_changes_sign_is_found_and_began_when_it_did() -> None:
    frames = quiet_frames()
    copper = frames.drivers["copper_comex"]
    moves = np.diff(np.log(copper.values), prepend=np.log(copper.values[0]))
    start = 1700
    moves[start:] *= -1
    flipped = replace(copper, values=4.0 * np.exp(np.cumsum(moves)))
    broken = replace(frames, drivers={**frames.drivers, "copper_comex": flipped})
    days = path().dates[start - 5 : start + 61]
    scanned = drift.scan(broken, days, SETTINGS, "recommended")
    link = scanned.loc[scanned["rule"] == "link", "state"].to_numpy()
    assert link[0] == "clear"
    assert link[-1] == "fired"


@pytest.mark.capability("K14")
def test_scanning_and_judging_a_day_agree_and_later_values_change_nothing() -> None:
    frames = quiet_frames("garch_t")
    days = path("garch_t").dates[900::170]
    scanned = drift.scan(frames, days, SETTINGS, "recommended").set_index(["as_of", "rule", "subject"])
    cut = days[3]
    later = frames.target.dates > cut
    moved = replace(
        frames, target=replace(frames.target, values=np.where(later, 5 * frames.target.values, frames.target.values))
    )
    for day in days:
        for finding in drift.judge(frames, day.item(), SETTINGS, "recommended"):
            row = scanned.loc[(pd.Timestamp(day), finding.rule, finding.subject)]
            assert (row["state"], row["severity"]) == (finding.state, finding.severity)
            assert row["effect"] == finding.effect or (math.isnan(row["effect"]) and math.isnan(finding.effect))
    before, after = (
        [f.reasons for f in drift.judge(one, cut.item(), SETTINGS, "recommended")] for one in (frames, moved)
    )
    assert after == before


@pytest.mark.capability("K14")
def test_a_value_withdrawn_later_counts_until_it_was_withdrawn() -> None:
    frames = quiet_frames()
    target = frames.target
    place = 1500
    withdrawn = target.withdrawn.copy()
    withdrawn[place] = target.available[place + 3]
    values = target.values.copy()
    values[place] *= 1.5
    odd = replace(frames, target=replace(target, values=values, withdrawn=withdrawn))
    days = target.dates[place - 2 : place + 8]
    scanned = drift.scan(odd, days, SETTINGS, "recommended").set_index(["as_of", "rule", "subject"])
    for day in days[[1, 2, 4, 5, 6]]:  # the day before it, and up to two days after it was withdrawn
        for finding in drift.judge(odd, day.item(), SETTINGS, "recommended"):
            assert scanned.loc[(pd.Timestamp(day), finding.rule, finding.subject)]["state"] == finding.state


def test_when_a_change_began_is_told_by_three_methods() -> None:
    rng = np.random.default_rng(7)
    dates = np.datetime64("2024-01-01") + np.arange(300)
    found = onset(dates, np.r_[rng.normal(size=200), rng.normal(2.0, 1, 100)], of_size=False)
    assert found.began_on is not None
    assert abs((found.began_on - dt.date(2024, 7, 19)).days) <= 15
    assert found.cusum is not None
    assert found.change_point is not None
    assert onset(dates, np.ones(300), of_size=True).began_on is None
    assert onset(dates[:10], np.ones(10), of_size=True) == (None, None, None, None)


def test_standardising_uses_the_past_only_and_survives_a_rate_that_never_moved() -> None:
    moves = np.r_[np.zeros(100), 0.25, np.zeros(20)]
    z = standardised(moves, POLICY)
    assert (z[:100] == 0).all()
    assert z[100] == POLICY.clip_sigma
    rng = np.random.default_rng(0)
    noise = rng.normal(size=300)
    longer = np.r_[noise[:200], 9 * noise]
    np.testing.assert_array_equal(standardised(noise, POLICY)[:200], standardised(longer, POLICY)[:200])


@pytest.mark.capability("K27")
def test_missing_still_and_stopped_series_are_unknown() -> None:
    frames = quiet_frames()
    day = path().dates[-1].item()
    vix = frames.drivers["vix"]
    half = replace(
        vix,
        dates=vix.dates[:-60], values=vix.values[:-60], available=vix.available[:-60], withdrawn=vix.withdrawn[:-60],
    )  # fmt: skip
    found = drift.judge(replace(frames, drivers={**frames.drivers, "vix": half}), day, SETTINGS, "recommended")
    assert {f.state for f in found if f.subject == "vix"} == {"unknown"}
    still = replace(vix, values=np.full(len(vix.values), 18.0))
    found = drift.judge(replace(frames, drivers={**frames.drivers, "vix": still}), day, SETTINGS, "recommended")
    assert {f.state for f in found if f.subject == "vix"} == {"unknown"}


def test_the_report_has_every_subject_its_trend_and_the_declared_columns() -> None:
    frames, day = quiet_frames(), path().dates[-1]
    history = DRIFT_REPORT.empty().drop(columns=["config_hash", "data_hash", "code_version"])
    for back in range(4, -1, -1):
        made = drift_report(frames, (path().dates[-1 - back]).item(), SETTINGS, history)
        history = made if history.empty else pd.concat([history, made], ignore_index=True)
    stamped = made.assign(config_hash="a", data_hash="b", code_version="c")
    DRIFT_REPORT.conform(stamped)
    assert set(made["as_of"]) == {pd.Timestamp(day)}
    wanted = {"price level", "returns", "volatility", "link_copper_comex", "residual_7d", "pit_30d"}
    assert wanted <= set(made["subject"])
    assert made.loc[made["subject"] == "returns", "slope_per_day"].notna().all()
