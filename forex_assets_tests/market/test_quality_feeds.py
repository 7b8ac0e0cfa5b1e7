"""Rules about a feed: each finds what was planted, says since when, stays quiet without it, looks at no later row."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.errors import ValidationError
from forex_assets.market.quality import (
    FEED_RULES,
    FeedFinding,
    apply_quality,
    judge_feeds,
    lockstep,
    with_witnesses,
)
from forex_assets.market.quality.feeds import found_only
from forex_assets.settings import QualitySettings, SeriesSpec, Settings
from forex_assets.settings.feeds import FeedSettings, PremiumLink
from forex_assets_tests.market.observed import MARKET, NOW, YAHOO, from_file, observations

pytestmark = pytest.mark.capability("J13", "E03")
CL = calendar_for("CL")
DAYS = CL.sessions("2021-06-01", "2024-05-31")
LAST = dt.datetime(2024, 5, 31, 23, 59, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def limits(configured: Settings) -> FeedSettings:
    return configured.platform.feeds


@pytest.fixture(scope="module")
def quality(configured: Settings) -> QualitySettings:
    return configured.platform.quality


def two_walks(seed: int = 1, noise: float = 0.002, sigma: float = 0.006) -> tuple[np.ndarray, np.ndarray]:
    """A price, and another source of the same price."""
    rng = np.random.default_rng(seed)
    price = 800 * np.exp(np.cumsum(rng.normal(0, sigma, len(DAYS))))
    return price, price * np.exp(rng.normal(0, noise, len(DAYS)))


A = MARKET.model_copy(update={"reference": None})
B = MARKET.model_copy(update={"id": "usdclp_other", "reference": None})
FIXING = MARKET.model_copy(update={"id": "usdclp_fixing", "reference": None})


def judge(
    parts: list[tuple[SeriesSpec, np.ndarray, np.ndarray]],
    limits: FeedSettings,
    quality: QualitySettings,
    *,
    as_of: dt.datetime = LAST,
) -> list[FeedFinding]:
    frame = pd.concat([observations(spec, days, values) for spec, days, values in parts], ignore_index=True)
    specs = {spec.id: spec for spec, _, _ in parts}
    judged = apply_quality(frame, specs, quality, now=NOW)
    return list(judge_feeds(judged, specs, limits, quality, as_of=as_of))


def only(findings: list[FeedFinding], rule: str, series: str = A.id) -> FeedFinding:
    (finding,) = [item for item in findings if (item.rule, item.series) == (rule, series)]
    return finding


@pytest.fixture
def sound(limits: FeedSettings, quality: QualitySettings) -> list[FeedFinding]:
    first, second = two_walks()
    return judge([(A, DAYS, first), (B, DAYS, second)], limits, quality)


def test_two_sound_feeds_are_clear_of_everything(sound: list[FeedFinding]) -> None:
    assert {item.rule for item in sound} == {"stale_feed", "calendar_errors", "level_break", "unit_drift", "date_shift"}
    assert {item.state for item in sound} == {"clear"}
    assert all(item.reason and item.n > 0 for item in sound)


def moved(values: np.ndarray, at: int, move: int) -> np.ndarray:
    """Values that stand a session late (1) or early (-1) from a place on."""
    out = values.copy()
    out[at:] = values[at - 1 : -1] if move > 0 else np.append(values[at + 1 :], values[-1])
    return out


C = MARKET.model_copy(update={"id": "usdclp_third", "reference": None})


@pytest.mark.parametrize("move", [1, -1])
@pytest.mark.parametrize("off", [0, 1, 2])
def test_the_series_whose_dates_start_to_run_a_session_off_is_accused_and_no_other(
    limits: FeedSettings, quality: QualitySettings, move: int, off: int
) -> None:
    price, other = two_walks(noise=0.004)
    third = price * np.exp(np.random.default_rng(9).normal(0, 0.004, len(DAYS)))
    sides, at = [price, other, third], len(DAYS) - 40
    sides[off] = moved(sides[off], at, move)
    specs = [A, B, C]
    findings = judge([(spec, DAYS, side) for spec, side in zip(specs, sides, strict=True)], limits, quality)
    accused = [item for item in found_only(findings) if item.rule == "date_shift"]
    assert [item.series for item in accused] == [specs[off].id]
    (finding,) = accused
    assert finding.effect > limits.lockstep_evidence
    assert f"run a session {'late' if move > 0 else 'early'}" in finding.reason
    assert "nothing else held tells which" not in finding.reason
    assert abs((np.datetime64(finding.since, "D") - DAYS[at]).astype(int)) <= 14
    rest = [item for item in findings if item.rule == "date_shift" and item.series != specs[off].id]
    assert {item.state for item in rest} == {"clear"}


@pytest.mark.parametrize("move", [1, -1])
def test_of_two_series_alone_it_is_said_that_it_may_be_either(
    limits: FeedSettings, quality: QualitySettings, move: int
) -> None:
    first, second = two_walks()
    findings = judge([(A, DAYS, moved(first, len(DAYS) - 40, move)), (B, DAYS, second)], limits, quality)
    accused = [item for item in found_only(findings) if item.rule == "date_shift"]
    assert len(accused) == 1
    assert "nothing else held tells which" in accused[0].reason
    other = only(findings, "date_shift", B.id if accused[0].series == A.id else A.id)
    assert other.state == "unknown"
    assert "under suspicion" in other.reason


def test_a_series_of_another_pair_testifies_and_is_not_judged(limits: FeedSettings, quality: QualitySettings) -> None:
    first, second = two_walks()
    late = observations(A, DAYS, moved(first, len(DAYS) - 40, 1))
    own, others = [late], [observations(B, DAYS, second), observations(A, DAYS, first)]
    catalogue = {A.id: A, B.id: B, "monthly": B.model_copy(update={"id": "monthly", "frequency": "monthly"})}
    others.append(observations(catalogue["monthly"], DAYS[:5], second[:5]))
    alone, nobody = with_witnesses(own[0], {A.id: A}, [], catalogue)
    assert (len(alone), nobody) == (len(late), {})
    rows, witnesses = with_witnesses(own[0], {A.id: A}, others, catalogue)
    assert list(witnesses) == [B.id]
    assert len(rows) == len(late) + len(DAYS)
    findings = judge_feeds(rows, {A.id: A}, limits, quality, as_of=LAST, witnesses=witnesses)
    assert {item.series for item in findings} == {A.id}
    assert only(list(findings), "date_shift").state == "found"
    unaided = judge_feeds(alone, {A.id: A}, limits, quality, as_of=LAST)
    assert only(list(unaided), "date_shift").state == "unknown"


@pytest.mark.parametrize("move", [1, -1])
def test_a_history_that_comes_anew_a_session_off_is_found_by_its_vintages(
    limits: FeedSettings, quality: QualitySettings, move: int
) -> None:
    values, _ = two_walks()
    at = len(DAYS) - 30
    before = observations(A, DAYS, values)
    again = observations(A, DAYS, moved(values, at, move)).iloc[at:-1]
    again = again.assign(available_at=before["available_at"].max())
    revised = again.assign(value=before["value"].iloc[at:-1].to_numpy() * 1.0001)

    def found(rows: pd.DataFrame) -> list[FeedFinding]:
        judged = judge_feeds(pd.concat([before, rows], ignore_index=True), {A.id: A}, limits, quality, as_of=LAST)
        return [item for item in found_only(judged) if item.rule == "date_shift"]

    (finding,) = found(again)
    assert finding.against == A.id
    assert f"a session {'late' if move > 0 else 'early'}" in finding.reason
    assert np.datetime64(finding.since, "D") == DAYS[at]
    assert found(revised) == []
    assert found(again.iloc[:3]) == []


def test_dates_wrong_from_the_first_row_are_found_against_the_declared_reference(
    limits: FeedSettings, quality: QualitySettings
) -> None:
    price, fixing = two_walks()
    spec = A.model_copy(update={"reference": MARKET.reference.model_copy(update={"shift_business_days": 0})})
    findings = judge([(spec, DAYS[1:], price[:-1]), (FIXING, DAYS, fixing)], limits, quality)
    against = [item for item in findings if item.rule == "date_shift" and "lag 1" in item.reason]
    assert [item.state for item in against] == ["found"]
    assert against[0].effect == 1.0


def test_series_that_do_not_move_together_are_unknown_not_clear(limits: FeedSettings, quality: QualitySettings) -> None:
    first, _ = two_walks(1)
    _, second = two_walks(2)
    findings = judge([(A, DAYS, first), (B, DAYS, second)], limits, quality)
    for name in (A.id, B.id):
        finding = only(findings, "date_shift", name)
        assert finding.state == "unknown"
        assert math.isnan(finding.effect)


def test_a_feed_that_stopped_is_stale(limits: FeedSettings, quality: QualitySettings) -> None:
    first, second = two_walks()
    findings = judge([(A, DAYS[:-4], first[:-4]), (B, DAYS[:-3], second[:-3])], limits, quality)
    stale = only(findings, "stale_feed")
    assert (stale.state, stale.effect, stale.limit) == ("found", 4.0, 3.0)
    assert np.datetime64(stale.since, "D") == DAYS[-5]
    assert only(findings, "stale_feed", B.id).state == "clear"


def test_missing_sessions_and_values_on_closed_days_are_calendar_errors(
    limits: FeedSettings, quality: QualitySettings
) -> None:
    first, second = two_walks()
    keep = np.setdiff1d(np.arange(len(DAYS)), [len(DAYS) - place for place in (5, 9, 17, 30)])
    weekend = np.sort(np.append(DAYS, np.datetime64("2024-05-25")))  # a Saturday
    findings = judge([(A, DAYS[keep], first[keep]), (B, weekend, np.append(second, second[-1]))], limits, quality)
    missing, closed = only(findings, "calendar_errors"), only(findings, "calendar_errors", B.id)
    assert (missing.state, missing.effect) == ("found", 4.0)
    assert np.datetime64(missing.since, "D") == DAYS[-30]
    assert closed.state == "found"
    assert closed.since == dt.date(2024, 5, 25)


def test_a_level_that_breaks_and_stands_is_named_and_a_ratio_of_units_with_it(
    limits: FeedSettings, quality: QualitySettings
) -> None:
    first, second = two_walks()
    first[-30:] *= 1.12
    second[-20:] *= 2.20462
    findings = judge([(A, DAYS, first), (B, DAYS, second)], limits, quality)
    broken, unit = only(findings, "level_break"), only(findings, "unit_drift", B.id)
    assert broken.state == "found"
    assert np.datetime64(broken.since, "D") == DAYS[-30]
    assert broken.effect == pytest.approx(math.log(1.12), abs=0.03)
    assert only(findings, "unit_drift").state == "clear"
    assert unit.state == "found"
    assert "pounds and kilograms" in unit.reason
    assert np.datetime64(unit.since, "D") == DAYS[-20]


def test_a_level_that_comes_back_or_moves_in_steps_is_no_break(limits: FeedSettings, quality: QualitySettings) -> None:
    first, second = two_walks()
    first[-30:-29] *= 1.12
    second[-30:] *= np.exp(np.minimum(np.arange(30), 12) * 0.01)
    findings = judge([(A, DAYS, first), (B, DAYS, second)], limits, quality)
    assert only(findings, "level_break").state == "clear"
    assert only(findings, "level_break", B.id).state == "clear"


def test_a_source_that_leaves_its_reference_is_a_disagreement_or_a_drift(
    limits: FeedSettings, quality: QualitySettings
) -> None:
    price, fixing = two_walks(noise=0.001)
    spec = A.model_copy(update={"reference": MARKET.reference.model_copy(update={"shift_business_days": 0})})
    wild = price.copy()
    wild[-20::3] *= 1.02
    far = only(judge([(spec, DAYS, wild), (FIXING, DAYS, fixing)], limits, quality), "disagreement")
    assert (far.state, far.unit) == ("found", "share")
    drifting = price.copy()
    drifting[-20:] *= 1.012
    findings = judge([(spec, DAYS, drifting), (FIXING, DAYS, fixing)], limits, quality)
    assert only(findings, "disagreement").effect == pytest.approx(0.012, abs=0.002)
    against = [item for item in findings if item.rule == "unit_drift" and item.against == FIXING.id]
    assert [item.state for item in against] == ["found"]
    clear = judge([(spec, DAYS, price), (FIXING, DAYS, fixing)], limits, quality)
    assert found_only(clear) == []
    assert {item.rule for item in clear} >= {"disagreement", "unit_drift", "date_shift"}


def test_without_its_reference_a_series_is_unknown(limits: FeedSettings, quality: QualitySettings) -> None:
    price, other = two_walks()
    findings = judge([(MARKET, DAYS, price), (B, DAYS, other)], limits, quality)
    unknown = {item.rule for item in findings if item.state == "unknown" and item.series == MARKET.id}
    assert unknown == {"disagreement", "unit_drift", "date_shift"}


def test_a_premium_that_leaves_its_usual_range_is_found(limits: FeedSettings, quality: QualitySettings) -> None:
    linked = limits.model_copy(update={"premiums": [PremiumLink(series=A.id, over=B.id)]})
    first, second = two_walks(noise=0.004)
    assert only(judge([(A, DAYS, first), (B, DAYS, second)], linked, quality), "premium_break").state == "clear"
    first[-15:] *= 1.05
    broken = only(judge([(A, DAYS, first), (B, DAYS, second)], linked, quality), "premium_break")
    assert broken.state == "found"
    assert broken.effect == pytest.approx(0.05, abs=0.01)
    assert abs((np.datetime64(broken.since, "D") - DAYS[-15]).astype(int)) <= 7
    few = judge([(A, DAYS[:40], first[:40]), (B, DAYS[:40], second[:40])], linked, quality)
    assert only(few, "premium_break").state == "unknown"


def test_nothing_held_is_unknown(limits: FeedSettings, quality: QualitySettings) -> None:
    empty = judge([(A, DAYS[:0], np.empty(0))], limits, quality)
    assert {item.state for item in empty} == {"unknown"}
    assert found_only(empty) == []
    with pytest.raises(ValidationError, match="no time zone"):
        judge([(A, DAYS, two_walks()[0])], limits, quality, as_of=dt.datetime(2024, 5, 31))


def test_every_rule_is_described(sound: list[FeedFinding]) -> None:
    assert {item.rule for item in sound} <= set(FEED_RULES)
    assert all(FEED_RULES.values())


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(20, 200), factor=st.sampled_from([0.01, 1.3, 5.0]))
def test_no_finding_depends_on_what_became_known_later(seed: int, cut: int, factor: float) -> None:
    from forex_assets.settings import load_settings

    platform = load_settings(environ={}).platform
    first, second = two_walks(seed)
    instant = pd.Timestamp(DAYS[-cut], tz="UTC") + pd.Timedelta(hours=30)
    frame = pd.concat([observations(A, DAYS, first), observations(B, DAYS, second)], ignore_index=True)
    specs = {A.id: A, B.id: B}
    later = frame["available_at"] > instant
    changed = frame.assign(value=frame["value"].where(~later, frame["value"] * factor))

    def judged(rows: pd.DataFrame) -> list[str]:
        out = apply_quality(rows, specs, platform.quality, now=NOW)
        return [str(item) for item in judge_feeds(out, specs, platform.feeds, platform.quality, as_of=instant)]

    assert judged(frame) == judged(changed) == judged(frame[~later].reset_index(drop=True))


def test_the_running_test_uses_one_session_after_another_at_most() -> None:
    first, second = (np.log(side) for side in two_walks())
    ours, theirs = lockstep.changes_on(DAYS, DAYS, first), lockstep.changes_on(DAYS, DAYS, second)
    heard = {"other": lockstep.standard(theirs)}
    profile = lockstep.learn(ours[:400], {"other": heard["other"][:400]}, 8)
    assert profile is not None
    assert profile.partners == ("other",)
    whole = lockstep.follow(DAYS, ours, heard, profile)
    part = lockstep.follow(DAYS[:600], ours[:600], {"other": heard["other"][:600]}, profile)
    sure = 600 - 2 * lockstep.REACH
    np.testing.assert_allclose(whole.evidence[:sure], part.evidence[:sure], atol=1e-9)
    assert lockstep.learn(ours[:50], {"other": heard["other"][:50]}, 8) is None
    assert lockstep.learn(ours[:400], {}, 8) is None


def test_what_explains_a_series_is_taken_and_what_adds_nothing_is_not() -> None:
    rng = np.random.default_rng(4)
    common, extra, noise = rng.normal(size=(3, 600))
    target = common + extra + 0.5 * rng.normal(size=600)
    heard = {"noise": noise, "extra": extra, "common": common}
    profile = lockstep.learn(target, heard, 8)
    alone = lockstep.learn(target, {"common": common}, 8)
    assert profile is not None
    assert alone is not None
    assert set(profile.partners[:2]) == {"common", "extra"}
    assert profile.share == pytest.approx(1 - 0.25 / 2.25, abs=0.05)
    assert profile.share > alone.share + 0.2
    assert profile.gain > 1.2 * alone.gain > 0
    assert profile.repeat == pytest.approx(np.log(602), abs=0.01)
    assert lockstep.learn(target, heard, 1).partners == profile.partners[:1]  # type: ignore[union-attr]


def test_a_gap_in_a_witness_calendar_is_bridged_and_a_long_one_is_not() -> None:
    grid = DAYS[:40]
    level = np.arange(40.0)
    held = np.delete(np.arange(40), [10, *range(20, 27)])
    changes = lockstep.bridged_changes_on(grid, grid[held], level[held])
    np.testing.assert_allclose(changes[1:20], 1.0)
    assert np.isnan(changes[20:28]).all()
    np.testing.assert_allclose(changes[28:], 1.0)
    assert np.isnan(lockstep.bridged_changes_on(grid, grid[:1], level[:1])).all()


def test_markets_that_part_company_are_no_move(limits: FeedSettings) -> None:
    rng = np.random.default_rng(8)
    common = rng.normal(size=(40, 620))
    alarms = 0
    for each in common:
        other = each + 0.6 * rng.normal(size=620)
        other[560:] = rng.normal(size=60)
        profile = lockstep.learn(each[:560], {"other": other[:560]}, 8)
        assert profile is not None
        run = lockstep.follow(np.arange(620).astype("datetime64[D]"), each, {"other": other}, profile)
        alarms += bool(run.evidence[560:].max() > limits.lockstep_evidence)
    assert alarms <= 2


def test_findings_are_values(sound: list[FeedFinding]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sound[0].state = "found"  # type: ignore[misc]


def test_yahoos_day_and_the_copper_squeezes_are_found_in_real_feeds(
    market_data_dir: Path, configured: Settings, limits: FeedSettings, quality: QualitySettings
) -> None:
    fixing = configured.series["usdclp_fixing"]
    copper = {name: configured.series[name] for name in ("copper_comex", "copper_lme")}
    specs = {YAHOO.id: YAHOO.model_copy(update={"reference": MARKET.reference}), fixing.id: fixing, **copper}
    frame = pd.concat(
        [
            from_file(market_data_dir, specs[YAHOO.id], "usdclp_yahoo_raw_daily.csv"),
            from_file(market_data_dir, fixing, "usdclp_observado_daily.csv", "value"),
            from_file(market_data_dir, copper["copper_comex"], "copper_hg_daily.csv"),
            from_file(market_data_dir, copper["copper_lme"], "copper_lme_bcch_daily.csv", "value"),
        ],
        ignore_index=True,
    )
    judged = apply_quality(frame, specs, quality, now=NOW)

    def on(day: str) -> dict[tuple[str, str], FeedFinding]:
        instant = dt.datetime.fromisoformat(f"{day}T23:00:00+00:00")
        found = found_only(judge_feeds(judged, specs, limits, quality, as_of=instant))
        return {(item.rule, item.series): item for item in found}

    shift = on("2023-06-30")["date_shift", YAHOO.id]
    assert shift.effect == 1.0
    assert "premium_break" not in {rule for rule, _ in on("2023-06-30")}
    assert on("2024-05-20")["premium_break", "copper_comex"].effect > 0.05
    assert on("2025-03-31")["premium_break", "copper_comex"].effect > 0.07
