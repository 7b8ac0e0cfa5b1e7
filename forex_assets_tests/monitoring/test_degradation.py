"""Alarms on matured forecasts: planted faults are found, volatility alone is not blamed on the model."""

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

from forex_assets.monitoring import performance
from forex_assets.monitoring.alarms import frames_of
from forex_assets.monitoring.degradation import beyond_benchmark, evidence, overlap_variance, rolling_sum
from forex_assets.monitoring.frames import SCORE_COLUMNS, Frames
from forex_assets.monitoring.registry import judge_day
from forex_assets.monitoring.volatility import surprise
from forex_assets.simulation.planted import Plant, bias_of, crps_up, planted_scores, width_times
from forex_assets_tests.monitoring.scored import matured, path, quiet_frames, scored_of, settings

SETTINGS = settings()
POLICY = SETTINGS.recommended.performance


def planted_frames(horizon: str, plant: Plant, start: int) -> tuple[Frames, np.ndarray]:
    """The quiet world with a fault in every forecast of a horizon from the ``start``-th to mature on."""
    rows = matured()[horizon]
    active = rows.loc[rows["is_active"]].reset_index(drop=True)
    worse = planted_scores(active, plant, np.arange(len(active)) >= start)
    frames = frames_of(
        path(), {**matured(), horizon: pd.concat([worse, rows.loc[~rows["is_active"]]])}, SETTINGS.horizons
    )
    return frames, active["matured_on"].to_numpy("datetime64[D]")


def states(frames: Frames, days: np.ndarray, rule: str, subject: str) -> np.ndarray:
    """State of one rule per day."""
    scanned = performance.scan(frames, days, SETTINGS, "recommended")
    chosen = scanned.loc[(scanned["rule"] == rule) & (scanned["subject"] == subject)]
    return chosen["state"].to_numpy()


@pytest.mark.capability("K04", "B10")
@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        ("skill", bias_of(1.2)),
        ("bias", bias_of(1.2)),
        ("calibration", width_times(0.5)),
        ("calibration", width_times(2.2)),
    ],
)
def test_each_alarm_finds_its_fault_within_sixty_matured_forecasts(rule: str, plant: Plant) -> None:
    frames, days = planted_frames("7d", plant, 1200)
    found = states(frames, days[1190:1260], rule, "7d")
    assert (found[:10] == "clear").all()
    assert (found[10:] == "fired").any()


@pytest.mark.capability("J04")
def test_ninety_day_degradation_is_found_by_maturity_and_not_before_any_worse_forecast_has_matured() -> None:
    frames, days = planted_frames("90d", bias_of(1.5), 1200)
    found = states(frames, days[1150:1450], "skill", "90d")
    assert (found[:50] == "clear").all()
    assert (found[50:] == "fired").any()
    classic = performance.scan(frames, days[1150:1450], SETTINGS, "classic")
    assert (classic.loc[classic["subject"] == "90d", "state"] == "clear").all()  # as it did: blind


@pytest.mark.capability("K04")
def test_a_storm_that_both_forecasts_miss_is_not_blamed_on_the_model() -> None:
    own, beside = np.array([0.9]), np.array([0.9])
    assert beyond_benchmark(own, beside, 0.5)[0] == pytest.approx(0.45)
    assert beyond_benchmark(own, np.array([0.0]), 0.5)[0] == pytest.approx(0.9)
    # What the random walk shows in the other direction is never held against the model.
    assert beyond_benchmark(own, np.array([-2.0]), 0.5)[0] == pytest.approx(0.9)
    assert beyond_benchmark(-own, beside, 0.5)[0] == pytest.approx(-0.9)


def test_the_crps_plant_raises_the_crps_by_what_it_says() -> None:
    rows = matured()["7d"]
    active = rows.loc[rows["is_active"]].reset_index(drop=True)
    worse = planted_scores(active, bias_of(crps_up(0.4)), np.ones(len(active), dtype=bool))
    assert worse["crps"].mean() / active["crps"].mean() == pytest.approx(1.4, abs=0.08)
    assert crps_up(0.4) == pytest.approx(0.9, abs=0.05)


def test_the_effect_carries_interval_evidence_and_reasons() -> None:
    day = path().dates[-1].item()
    found = {(f.rule, f.subject): f for f in performance.judge(quiet_frames(), day, SETTINGS, "recommended")}
    skill = found[("skill", "7d")]
    assert skill.effect_low < skill.effect < skill.effect_high
    assert skill.n == 60
    assert 5 < skill.n_effective < 20
    assert skill.window_end is not None
    assert skill.window_end <= day
    assert "random walk" in skill.reasons[0]
    bias = found[("bias", "7d")]
    assert bias.effect_low < bias.effect < bias.effect_high
    assert bias.unit == "sigma"


def test_scanning_and_judging_a_day_agree_exactly() -> None:
    frames = quiet_frames("garch_t")
    days = path("garch_t").dates[800::97]
    for profile in ("recommended", "classic"):
        scanned = performance.scan(frames, days, SETTINGS, profile).set_index(["as_of", "rule", "subject"])
        for day in days:
            for finding in performance.judge(frames, day.item(), SETTINGS, profile):
                row = scanned.loc[(pd.Timestamp(day), finding.rule, finding.subject)]
                assert (row["state"], row["severity"]) == (finding.state, finding.severity)
                assert row["effect"] == finding.effect or (math.isnan(row["effect"]) and math.isnan(finding.effect))


@pytest.mark.capability("K14")
def test_nothing_that_matured_or_became_known_later_changes_a_day() -> None:
    frames = quiet_frames()
    cut = path().dates[1300]
    later = frames.target.dates > cut
    moved = replace(
        frames,
        target=replace(frames.target, values=np.where(later, frames.target.values * 3, frames.target.values)),
        scores=frames.scores.assign(
            crps=frames.scores["crps"].where(frames.scores["matured_on"] <= pd.Timestamp(cut), 1e6),
            pit=frames.scores["pit"].where(frames.scores["matured_on"] <= pd.Timestamp(cut), 0.999),
        ),
    )
    before, after = (
        [(f.rule, f.subject, f.state, f.reasons) for f in performance.judge(one, cut.item(), SETTINGS, "recommended")]
        for one in (frames, moved)
    )
    assert after == before


@pytest.mark.capability("J02")
def test_a_renamed_column_is_unknown_and_said_never_no_degradation() -> None:
    frames = quiet_frames()
    broken = replace(frames, scores=frames.scores.rename(columns={"crps": "predicted_value"}))
    found = judge_day(broken, path().dates[-1].item(), SETTINGS, "recommended", ("performance",))
    assert [finding.state for finding in found] == ["unknown"]
    assert "crps" in found[0].reasons[0]


@pytest.mark.capability("J11", "L18", "A07")
def test_a_failing_monitor_is_unknown_and_the_others_go_on() -> None:
    frames = quiet_frames()
    broken = replace(frames, scores=frames.scores.rename(columns={"pit": "other"}))
    found = judge_day(broken, path().dates[-1].item(), SETTINGS, "recommended", ("performance", "shock"))
    assert {finding.state for finding in found if finding.monitor == "performance"} == {"unknown"}
    assert any(finding.monitor == "shock" for finding in found)


@pytest.mark.capability("E10")
def test_too_few_stopped_and_missing_scores_are_unknown_with_the_reason() -> None:
    frames = quiet_frames()
    early, late = path().dates[260].item(), (path().dates[-1] + np.timedelta64(60, "D")).item()
    first = {f.subject: f for f in performance.judge(frames, early, SETTINGS, "recommended") if f.rule == "skill"}
    assert first["90d"].state == "unknown"
    assert "of the 250 matured" in first["90d"].reasons[0]
    stopped = {f.rule: f for f in performance.judge(frames, late, SETTINGS, "recommended")}
    assert stopped["skill"].state == "unknown"
    assert "business days" in stopped["skill"].reasons[0]
    assert stopped["volatility"].state == "unknown"
    holes = frames.scores.assign(crps=frames.scores["crps"].where(np.arange(len(frames.scores)) % 3 > 0))
    found = performance.judge(replace(frames, scores=holes), path().dates[-1].item(), SETTINGS, "recommended")
    assert {f.state for f in found if f.rule == "skill"} == {"unknown"}
    nothing = replace(frames, scores=frames.scores.iloc[:0])
    assert {
        f.state
        for f in performance.judge(nothing, path().dates[-1].item(), SETTINGS, "recommended")
        if f.rule == "skill"
    } == {"unknown"}


def test_prices_that_stand_still_are_unknown_not_calm() -> None:
    frames = quiet_frames()
    values = frames.target.values.copy()
    values[-40:] = values[-40]
    found = performance.judge(
        replace(frames, target=replace(frames.target, values=values)), path().dates[-1].item(), SETTINGS, "recommended"
    )
    (volatility,) = [f for f in found if f.rule == "volatility"]
    assert volatility.state == "unknown"
    assert "do not move" in volatility.reasons[0]


@pytest.mark.capability("B10", "B11")
def test_the_report_says_status_and_what_to_do() -> None:
    frames, days = planted_frames("7d", width_times(0.5), 1200)
    reports = {r.horizon: r for r in performance.degradation_reports(frames, days[1259].item(), SETTINGS)}
    assert reports["7d"].degradation_detected
    assert reports["7d"].status in ("DEGRADED", "CRITICAL")
    assert "narrow" in reports["7d"].recommendation
    quiet = performance.degradation_reports(quiet_frames(), days[1100].item(), SETTINGS)
    assert {r.status for r in quiet} <= {"GOOD", "EXCELLENT"}
    unknown = performance.degradation_reports(quiet_frames(), dt.date(2000, 6, 1), SETTINGS)
    assert {r.status for r in unknown} == {"UNKNOWN"}
    classic = performance.degradation_reports(quiet_frames(), days[1100].item(), SETTINGS, "classic")
    assert {r.status for r in classic} <= {"GOOD", "EXCELLENT", "DEGRADED", "CRITICAL"}


@pytest.mark.capability("K03")
def test_evidence_against_a_model_that_is_no_worse_stays_below_its_bound() -> None:
    rng = np.random.default_rng(0)
    ever = []
    for _ in range(60):
        scored = scored_of(rng.normal(size=300), steps=5.0)
        loss = np.abs(rng.normal(size=300))
        game = replace(scored, crps=loss, crps_benchmark=loss[rng.permutation(300)])
        ever.append(np.exp(evidence(game, np.ones(300, dtype=bool), [0.1, 0.2, 0.4, 0.8])).max())
    assert np.mean(np.array(ever) >= 20) < 0.1
    worse = replace(scored, crps=loss + 1.5, crps_benchmark=loss)
    assert np.exp(evidence(worse, np.ones(300, dtype=bool), [0.1, 0.2, 0.4, 0.8]))[-1] > 20


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.integers(1, 20))
@hypothesis_settings(max_examples=40, deadline=None)
def test_rolling_sums_are_those_of_their_windows(values: list[float], window: int) -> None:
    found = rolling_sum(np.array(values), window)
    for i, value in enumerate(found):
        if i + 1 < window:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(sum(values[i + 1 - window : i + 1]), abs=1e-9)


def test_overlap_makes_a_mean_as_uncertain_as_a_simulation_says() -> None:
    rng = np.random.default_rng(2)
    steps = rng.normal(size=(4000, 64)) / math.sqrt(5)
    errors = np.lib.stride_tricks.sliding_window_view(np.cumsum(steps, axis=1), 6, axis=1)
    means = (errors[..., -1] - errors[..., 0]).mean(axis=1)
    assert means.var() == pytest.approx(overlap_variance(59, 5.0), rel=0.08)


def test_volatility_twice_as_high_is_a_surprise_and_clustering_is_not() -> None:
    rng = np.random.default_rng(5)
    returns = 0.006 * rng.standard_t(5, 1500) * math.sqrt(0.6)
    quiet, loud = surprise(returns, POLICY.volatility), returns.copy()
    loud[1400:] *= 2
    assert np.isnan(quiet[:250]).all()
    assert np.nanmax(quiet) < POLICY.volatility.surprise_log_evidence
    assert np.nanmax(surprise(loud, POLICY.volatility)[1400:1430]) > POLICY.volatility.walk_log_evidence
    assert set(SCORE_COLUMNS) <= set(quiet_frames().scores.columns)


def test_the_evidence_of_louder_returns_is_the_sum_over_every_start() -> None:
    """A slow plain twin: each start's likelihood ratio by its own recursion."""
    alarm = POLICY.volatility.model_copy(update={"lookback_obs": 7})
    returns = 0.006 * np.random.default_rng(6).standard_t(5, 330)
    found = surprise(returns, alarm)
    half, rest = 0.5 ** (1 / alarm.long_run_half_life_obs), 1 - alarm.reaction - alarm.persistence
    level = usual = float(np.mean(returns[:250] ** 2))
    expected, levels = [], []
    for r in returns:
        expected.append(usual)
        levels.append(level)
        level += (1 - half) * (min(r * r, 16 * level) - level)
        usual = rest * level + alarm.reaction * r * r + alarm.persistence * usual

    def density(r: float, variance: float) -> float:
        nu = alarm.freedom
        return -0.5 * math.log(variance) - (nu + 1) / 2 * math.log1p(r * r / (variance * (nu - 2)))

    for t in (260, 299, 329):
        ratios = []
        for start in range(t - 6, t + 1):
            variance, gain = alarm.louder_factor**2 * expected[start], 0.0
            for i in range(start, t + 1):
                gain += density(returns[i], variance) - density(returns[i], expected[i])
                variance = (
                    rest * alarm.louder_factor**2 * levels[start]
                    + alarm.reaction * returns[i] ** 2
                    + alarm.persistence * variance
                )
            ratios.append(math.exp(gain))
        assert found[t] == pytest.approx(math.log(sum(ratios)), abs=1e-9)
