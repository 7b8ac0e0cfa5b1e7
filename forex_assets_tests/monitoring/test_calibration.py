"""The market calibration: measured on planted truth, refused on made-up input, sealed, and read by the monitors."""

from __future__ import annotations

import datetime as dt
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError as ModelError

from forex_assets.errors import DataError, StoreError, ValidationError
from forex_assets.monitoring import regime, shock
from forex_assets.monitoring.calibration import analysis, estimates, files
from forex_assets.monitoring.observed import Known
from forex_assets.settings.calibration import Calibration, Quantity, calibrated
from forex_assets_tests.monitoring.markets import (
    day,
    frames,
    linked,
    prices,
    real_market,
    series,
    sessions,
    settings,
    t_returns,
)

SETTINGS = settings()
POLICY = SETTINGS.platform.watching.calibration
DAY = dt.date(2024, 6, 28)
N = 3000


def _known(name: str, values: np.ndarray) -> Known:
    return Known(name, "u", sessions(len(values)), values)


@functools.lru_cache(maxsize=1)
def _made() -> Calibration:
    price, copper = linked(np.random.default_rng(0), N)
    return _analyse(_known("usdclp_close", prices(price)), _known("copper_comex", prices(copper, 4.0)))


def _analyse(price: Known, copper: Known | None) -> Calibration:
    return analysis.analyse(
        price,
        copper,
        settings=SETTINGS,
        pair=SETTINGS.pair("usdclp_close"),
        policy=POLICY,
        as_of=DAY,
        sources=["folder"],
        code_version="test",
    )


@pytest.mark.capability("B17", "B18")
class TestEstimates:
    """Planted truth comes back, with its interval."""

    def test_standard_deviations_and_the_link(self) -> None:
        made = _made()
        for quantity, truth in (
            (made.volatility.daily_std, 0.006),
            (made.volatility.weekly_std, 0.006 * 5**0.5),
            (made.volatility.monthly_std, 0.006 * 21**0.5),
        ):
            assert quantity.low is not None
            assert quantity.high is not None
            assert quantity.low * 0.97 <= truth <= quantity.high * 1.03
            assert quantity.unit == "log"
            assert quantity.n > 2900
        assert made.copper_correlation is not None
        assert made.copper_correlation.expected.value == pytest.approx(-0.4, abs=0.06)
        assert made.copper_correlation.p_value_negative < 1e-6
        assert made.copper_correlation.break_threshold.value == pytest.approx(2 * made.copper_correlation.std.value)

    def test_thresholds_are_the_sizes_that_happen_as_often_as_asked(self) -> None:
        rng = np.random.default_rng(1)
        sizes = np.abs(rng.standard_normal(50_000))
        found = estimates.size_exceeded(sizes, 2.0, "sigma")
        assert (sizes > found.value).mean() * 250 == pytest.approx(2.0, rel=0.05)
        assert found.low < 2.652 < found.high
        with pytest.raises(DataError, match="at least 2"):
            estimates.size_exceeded(sizes[:300], 0.2, "sigma")

    def test_a_loud_month_is_found_and_chance_is_not(self) -> None:
        dates = sessions(3600)
        quiet = t_returns(np.random.default_rng(2), len(dates))
        options: dict[str, Any] = {"alpha": 0.05, "min_years": 6}
        accused = 0
        for seed in range(40):
            shuffled = np.random.default_rng(seed).permutation(quiet)
            season = estimates.seasonality(dates, shuffled, **options)
            accused += bool(season.high or season.low)
            assert sorted(season.ranked) == list(range(1, 13))
        assert accused <= 6  # 5% of 40 is 2
        loud = quiet * np.where(dates.astype("datetime64[M]").astype(int) % 12 == 9, 2.0, 1.0)
        season = estimates.seasonality(dates, loud, **options)
        assert season.high == [10]
        assert season.ranked[0] == 10

    def test_holm_worked_by_hand(self) -> None:
        assert estimates.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])

    def test_the_tail_of_returns(self) -> None:
        z = t_returns(np.random.default_rng(3), 6000, 1.0, 5.0)
        found = estimates.t_freedom(z)
        assert found.low is not None
        assert found.low <= 5.0 <= (found.high or 0)
        assert estimates.t_freedom(np.random.default_rng(3).standard_normal(6000)).value > 20

    def test_a_larger_move_on_meeting_days(self) -> None:
        rng = np.random.default_rng(4)
        other, inside = np.abs(rng.standard_normal(1500)), 1.6 * np.abs(rng.standard_normal(70))
        ratio, p = estimates.ratio_of_means(inside, other, draws=400, seed=0)
        assert ratio.low < 1.6 < ratio.high
        assert p < 0.01
        same, p = estimates.ratio_of_means(inside / 1.6, other, draws=400, seed=0)
        assert same.low < 1.0 < same.high
        assert p > 0.05

    def test_fifteen_percent_more_rmse_is_ordinary(self) -> None:
        logs = np.cumsum(t_returns(np.random.default_rng(5), 3000))
        found = estimates.loss_ratio(logs, steps=5, recent=14, baseline=60, share=0.95, power=2)
        assert found.value > 0.3  # the classic alarm at 0.15 fires on a walk that never changed


@pytest.mark.capability("B17")
def test_the_real_history_is_calibrated_and_the_meeting_effect_is_on_the_reaction_day(market_data_dir: Path) -> None:
    market = real_market(market_data_dir)
    end = np.datetime64("2025-06-14T03:59:59", "us")
    made = analysis.analyse(
        market.target.at(end),
        market.drivers["copper_comex"].at(end),
        settings=SETTINGS,
        pair=SETTINGS.pair("usdclp_close"),
        policy=POLICY,
        as_of=dt.date(2025, 6, 13),
        sources=["folder"],
        code_version="test",
    )
    assert made.copper_correlation is not None
    assert -0.5 < made.copper_correlation.expected.value < -0.3
    assert made.bcch_meetings is not None
    assert made.bcch_meetings.reaction_ratio.value > made.bcch_meetings.announcement_ratio.value
    assert made.bcch_meetings.reaction_ratio.low > 1.0
    assert made.volatility.high_vol_months == []
    assert made.regime_detection.copper_shock_threshold is not None
    assert made.regime_detection.copper_shock_threshold.value > 0.05
    changed = calibrated(SETTINGS, made)
    table = regime.regimes(
        market, np.array(["2020-03-19", "2022-09-05"], dtype="datetime64[D]"), changed, "recommended"
    )
    assert table["copper_shock"].tolist() == ["fired", "fired"]


@pytest.mark.capability("B17", "B18")
def test_the_monitors_read_what_was_calibrated() -> None:
    n = 400
    dates = sessions(n)
    returns = t_returns(np.random.default_rng(6), n, 0.006, 30.0)
    returns[-1] = 0.006 * 3.0
    market = frames(series("usdclp_close", dates, prices(returns)))
    made = _made()
    sizes = {
        "price_day_medium": Quantity(value=2.5, unit="sigma", n=10),
        "price_day_critical": Quantity(value=9.0, unit="sigma", n=10),
    }
    limits = made.price_shocks.model_copy(update=sizes)
    stricter = calibrated(SETTINGS, made.model_copy(update={"price_shocks": limits}))

    def state(chosen: Any, profile: str = "recommended") -> str:
        return {f.rule: f.state for f in shock.judge(market, day(dates[-1]), chosen, profile)}["price_day"]

    assert state(SETTINGS) == "clear"
    assert state(stricter) == "fired"
    assert state(stricter, "classic") == "clear"
    assert calibrated(SETTINGS, None) is SETTINGS
    assert stricter.recommended.regimes.copper.on_sigma == made.regime_detection.copper_shock_sigma.value  # type: ignore[union-attr]


@pytest.mark.capability("B17", "J05")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": "synthetic_walk"}, "synthetic"),
        ({"source": "a_friend"}, "no declared source"),
        ({"payload_hash": ""}, "no hash"),
    ],
)
def test_synthetic_or_untraceable_input_is_refused(change: dict[str, str], told: str) -> None:
    rows = pd.DataFrame({"series": ["usdclp_close"] * 3, "source": "folder", "payload_hash": "0123456789abcdef"})
    pair = SETTINGS.pair("usdclp_close")
    assert analysis.require_real(rows, pair, "usdclp_close", POLICY) == ["folder"]
    rows.loc[1, list(change)] = list(change.values())
    with pytest.raises(DataError, match=told):
        analysis.require_real(rows, pair, "usdclp_close", POLICY)


@pytest.mark.capability("B17")
@pytest.mark.parametrize(
    ("values", "told"),
    [(prices(t_returns(np.random.default_rng(0), 500)), "needs 2750"), (np.full(2800, 900.0), "flat")],
)
def test_too_few_or_flat_values_are_refused(values: np.ndarray, told: str) -> None:
    with pytest.raises(DataError, match=told):
        _analyse(_known("usdclp_close", values), None)


def test_without_copper_there_is_no_link_and_it_says_so() -> None:
    made = _analyse(_known("usdclp_close", prices(t_returns(np.random.default_rng(0), 2900))), None)
    assert made.copper_correlation is None
    assert made.regime_detection.copper_shock_sigma is None
    assert "No copper series" in made.metadata.notes[0]
    assert calibrated(SETTINGS, made).recommended.regimes == SETTINGS.recommended.regimes


@pytest.mark.capability("B18")
class TestFiles:
    """Versions that are never rewritten, sealed and, with a key, signed."""

    def test_a_version_comes_back_and_a_day_gets_the_one_it_could_know(self, tmp_path: Path) -> None:
        made = _made()
        first = files.save(tmp_path, made, None)
        assert first.calibration == made
        assert (first.version, first.signed, first.verified) == (1, False, False)
        assert files.save(tmp_path, made, None).path == first.path
        later = made.model_copy(
            update={"metadata": made.metadata.model_copy(update={"calibration_date": dt.date(2024, 12, 31)})}
        )
        second = files.save(tmp_path, later, None)
        assert second.version == 2
        assert files.versions(tmp_path, "usdclp_close") == [first.path, second.path]
        found = files.current(tmp_path, "usdclp_close", dt.date(2024, 7, 1), None)
        assert found is not None
        assert found.version == 1
        newest = files.current(tmp_path, "usdclp_close", None, None)
        assert newest is not None
        assert newest.version == 2
        assert files.current(tmp_path, "usdclp_close", dt.date(2020, 1, 1), None) is None
        assert files.current(tmp_path, "eurusd", None, None) is None

    def test_a_changed_number_is_found_out(self, tmp_path: Path) -> None:
        stored = files.save(tmp_path, _made(), None)
        stored.path.write_text(stored.path.read_text().replace('"baseline_days": 60', '"baseline_days": 61'))
        with pytest.raises(StoreError, match="not what was written"):
            files.current(tmp_path, "usdclp_close", None, None)

    def test_with_a_key_only_its_signature_counts(self, tmp_path: Path) -> None:
        unsigned = files.save(tmp_path / "a", _made(), None)
        with pytest.raises(StoreError, match="not signed"):
            files.decode(unsigned.path, "key")
        signed = files.save(tmp_path / "b", _made(), "key")
        assert (signed.signed, signed.verified) == (True, True)
        assert files.decode(signed.path, None).verified is False
        with pytest.raises(StoreError, match="another key"):
            files.decode(signed.path, "other")

    @pytest.mark.parametrize("content", ["", "{}", "[1]", '{"seal": {}, "calibration": {}}'])
    def test_a_damaged_file_is_an_error_with_a_remedy(self, tmp_path: Path, content: str) -> None:
        stored = files.save(tmp_path, _made(), None)
        stored.path.write_text(content)
        with pytest.raises(StoreError) as caught:
            files.current(tmp_path, "usdclp_close", None, None)
        assert "update-config" in caught.value.remedy

    def test_a_file_that_breaks_a_rule_of_the_format_is_refused_though_its_hash_is_right(self, tmp_path: Path) -> None:
        made = _made()
        wrong = made.model_copy(
            update={"volatility": made.volatility.model_copy(update={"daily_std": made.volatility.quarterly_std})}
        )
        stored = tmp_path / "calibration" / "usdclp_close"
        stored.mkdir(parents=True)
        data = files.encode(wrong, None)
        digest = json.loads(data)["seal"]["sha256"]
        path = stored / f"v0001_2024-06-28_{digest[:12]}.json"
        path.write_bytes(data)
        with pytest.raises(StoreError, match="grow from day to quarter"):
            files.decode(path, None)
        with pytest.raises(StoreError, match="names are"):
            files.decode(stored / "notes.json", None)
        with pytest.raises(ValidationError):
            files.versions(tmp_path, "../etc")


@pytest.mark.capability("B18")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"value": 5.0, "unit": "share"}, "0.05 is 5%"),
        ({"value": 0.5, "unit": "percent"}, "none of"),
        ({"value": 0.5, "unit": "share", "low": 0.6, "high": 0.7}, "outside"),
        ({"value": 0.5, "unit": "share", "n": 3, "n_effective": 4.0}, "more than n"),
        ({"value": float("nan"), "unit": "share"}, "is no share"),
    ],
)
def test_a_wrong_unit_or_interval_is_refused(body: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Quantity.model_validate(body)


@pytest.mark.capability("B18", "K28")
@pytest.mark.parametrize(
    ("section", "change", "told"),
    [
        ("drift_detection", {"medium_drift_score_threshold": {"value": 60.0, "unit": "score"},
                             "high_drift_score_threshold": {"value": 40.0, "unit": "score"}}, "must be below"),
        ("drift_detection", {"check_window_days": 90}, "check_window_days"),
        ("performance_monitoring", {"recent_days": 60}, "recent_days"),
        ("forecasting", {"ci80_target_coverage": {"value": 0.99, "unit": "share"}}, "ci80"),
        ("volatility", {"high_vol_months": [3], "low_vol_months": [3]}, "both"),
        ("metadata", {"first_date": "2030-01-01"}, "dates must run"),
    ],
)  # fmt: skip
def test_thresholds_out_of_order_are_refused(section: str, change: dict[str, Any], told: str) -> None:
    body = _made().model_dump(mode="json")
    body[section] |= change
    with pytest.raises(ModelError, match=told):
        Calibration.model_validate(body)
