"""The classic detector number by number (SPEC 2.3), on examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from forex_assets.monitoring import regime
from forex_assets.monitoring.observed import Known
from forex_assets.monitoring.regimes.classic import (
    correlation_signals,
    days_to_third_tuesday,
    decide,
    multiplier,
    volatility_signals,
)
from forex_assets_tests.monitoring.markets import day, frames, linked, prices, series, sessions, settings, t_returns

POLICY = settings().classic.regimes
DECIDE = pytest.mark.parametrize(
    ("signals", "expected"),
    [
        # near the third Tuesday and z above 1.5: BCCH, whatever copper does; 80 + 5 x 1.6 = 88
        ((1.6, 50.0, 0.09, True, 3.0), ("BCCH_INTERVENTION", 88.0)),
        ((4.0, 99.0, 0.0, False, 0.0), ("BCCH_INTERVENTION", 95.0)),
        # z of exactly 1.5 is not above it
        ((1.5, 50.0, 0.0, False, 3.0), ("NORMAL", 70.0)),
        # copper beyond 5% and the correlation broken: 70 + 6
        ((0.5, 50.0, -0.06, True, 10.0), ("COPPER_SHOCK", 76.0)),
        ((0.5, 50.0, 0.30, True, 10.0), ("COPPER_SHOCK", 90.0)),
        ((0.5, 50.0, 0.05, True, 10.0), ("NORMAL", 90.0)),
        ((0.5, 50.0, 0.09, False, 10.0), ("NORMAL", 90.0)),
        # z above 2 and percentile above 80: 60 + 90 / 5 = 78 (the cap of 85 cannot be reached)
        ((2.5, 90.0, 0.0, False, 10.0), ("HIGH_VOL", 78.0)),
        ((2.5, 80.0, 0.0, False, 10.0), ("NORMAL", 50.0)),
        ((2.0, 90.0, 0.0, False, 10.0), ("NORMAL", 60.0)),
        ((-1.0, 3.0, float("nan"), False, 10.0), ("NORMAL", 80.0)),
        ((float("nan"), 90.0, 0.2, True, 0.0), ("UNKNOWN", 0.0)),
    ],
)


@DECIDE
@pytest.mark.capability("B07")
def test_the_order_of_decision_and_its_confidence(
    signals: tuple[float, float, float, bool, float], expected: tuple[str, float]
) -> None:
    regime_found, confidence = decide(*signals, POLICY)
    assert (regime_found, pytest.approx(confidence)) == expected


@pytest.mark.capability("B08", "K12")
def test_the_multipliers() -> None:
    assert multiplier("NORMAL", 9.0) == 1.0
    assert multiplier("HIGH_VOL", 2.5) == pytest.approx(1.625)
    assert multiplier("HIGH_VOL", 2.0) == 1.5
    assert multiplier("HIGH_VOL", 6.0) == 2.5
    assert multiplier("HIGH_VOL", 60.0) == 2.5
    assert multiplier("COPPER_SHOCK", 0.0) == 1.5
    assert multiplier("BCCH_INTERVENTION", 0.0) == 2.0
    assert multiplier("UNKNOWN", float("nan")) == 1.5


@pytest.mark.capability("B07", "K15")
def test_z_score_and_percentile_worked_by_hand() -> None:
    # 60 returns of +-1%, then 30 of +-2%: every window alternates, so each standard deviation is a simple sum.
    returns = np.concatenate([np.tile([0.01, -0.01], 30), np.tile([0.02, -0.02], 15)])
    values = np.concatenate([[100.0], 100.0 * np.exp(np.cumsum(returns))])
    z, percentile = volatility_signals(values, POLICY)
    assert np.isnan(z[:-1]).all()
    newest = np.sqrt(30 * 0.02**2 / 29)
    whole = np.sqrt((60 * 0.01**2 + 30 * 0.02**2) / 89)
    # The 61 rolling windows hold k = 0..0 (31 times) and then 1..30 returns of the loud kind.
    rolling = []
    for start in range(61):
        window = returns[start : start + 30]
        rolling.append(np.sqrt(((window - window.sum() / 30) ** 2).sum() / 29))
    mean = sum(rolling) / 61
    spread = np.sqrt(sum((item - mean) ** 2 for item in rolling) / 60)
    assert z[-1] == pytest.approx((newest - whole) / spread)
    assert z[-1] == pytest.approx(1.75, abs=0.4)
    assert percentile[-1] == pytest.approx(100 * 60 / 61)
    assert multiplier("HIGH_VOL", z[-1]) == pytest.approx(1 + 0.25 * z[-1])


@pytest.mark.capability("K15")
def test_the_z_score_of_volatility_is_capped_low_because_its_window_holds_what_it_judges() -> None:
    returns = np.concatenate([np.tile([0.001, -0.001], 30), np.tile([0.1, -0.1], 15)])
    z, _ = volatility_signals(np.concatenate([[1.0], np.exp(np.cumsum(returns))]), POLICY)
    # A hundredfold volatility scores hardly more than a doubled one.
    assert z[-1] < 2.0


@pytest.mark.capability("K16")
def test_the_correlation_break_needs_sixty_common_points() -> None:
    dates = sessions(100)
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.01, (2, 100))
    y[-30:] = -x[-30:]
    price, copper = Known("p", "", dates, prices(x)), Known("c", "", dates, prices(y))
    common, long, short = correlation_signals(price, copper, POLICY)
    assert short[-1] == pytest.approx(-1.0, abs=0.02)
    assert long[-1] == pytest.approx(np.corrcoef(x[-90:], y[-90:])[0, 1])
    assert abs(long[-1] - short[-1]) > POLICY.correlation_break
    few = Known("c", "", dates[:60], prices(y[:60]))
    assert np.isnan(correlation_signals(price, few, POLICY)[1]).all()
    some = Known("c", "", dates[:62], prices(y[:62]))
    assert np.isfinite(correlation_signals(price, some, POLICY)[1]).sum() == 2
    assert len(common) == 100


@pytest.mark.capability("B07", "B17")
def test_five_step_changes_of_copper_and_price_worked_by_hand() -> None:
    dates = sessions(120)
    price, copper = prices(t_returns(np.random.default_rng(2), 120)), np.full(120, 4.0)
    price[-6], price[-1] = 900.0, 927.0  # +3% in five steps
    copper[-1] = 3.7  # -7.5%
    drivers = {"copper_comex": series("copper_comex", dates, copper, "USD per lb")}
    market = frames(series("usdclp_close", dates, price), drivers)
    row = regime.regimes(market, dates[-1:], settings(), "classic").iloc[0]
    assert row["price_change"] == pytest.approx(0.03)
    assert row["copper_change"] == pytest.approx(-0.075)


@pytest.mark.capability("K13", "K14")
def test_proximity_is_the_third_tuesday_seen_from_as_of() -> None:
    days = np.array(["2025-01-18", "2025-01-21", "2025-01-22"], dtype="datetime64[D]")
    assert days_to_third_tuesday(days).tolist() == [3.0, 0.0, 27.0]
    assert days_to_third_tuesday(days[:0]).size == 0


@pytest.mark.capability("B07", "K15", "L18")
def test_too_few_values_are_unknown_and_widen_by_half() -> None:
    dates = sessions(60)
    market = frames(series("usdclp_close", dates, prices(t_returns(np.random.default_rng(0), 60))))
    (finding,) = regime.judge(market, day(dates[-1]), settings(), "classic")
    assert finding.state == "unknown"
    assert finding.effect == 1.5


@pytest.mark.capability("B07")
def test_the_classic_gauge_counts_signs_and_needs_all_three() -> None:
    n = 200
    dates = sessions(n)
    price, _ = linked(np.random.default_rng(1), n)
    up, down = prices(np.full(n, 0.001), 100.0), prices(np.full(n, -0.001), 100.0)
    drivers = {"dxy": series("dxy", dates, down), "vix": series("vix", dates, down), "eem": series("eem", dates, up)}
    market = frames(series("usdclp_close", dates, prices(price)), drivers)
    row = regime.regimes(market, dates[-1:], settings(), "classic").iloc[0]
    assert (row["risk"], row["risk_score"]) == ("risk_on", 3.0)
    del drivers["eem"]
    assert regime.regimes(market, dates[-1:], settings(), "classic").iloc[0]["risk"] == "unknown"


@pytest.mark.capability("K13")
def test_the_classic_calendar_cries_wolf_in_a_month_without_a_meeting() -> None:
    n = 300
    dates = sessions(n, "2025-02-19")  # a day after the third Tuesday; the Bank did not meet in February 2025
    returns = np.tile([0.003, -0.003], n // 2)
    returns[-8:] *= 5
    market = frames(series("usdclp_close", dates, prices(returns)))
    days = dates[(dates >= np.datetime64("2025-02-17")) & (dates <= np.datetime64("2025-02-18"))]
    assert set(regime.regimes(market, days, settings(), "classic")["regime"]) == {"BCCH_INTERVENTION"}
    assert set(regime.regimes(market, days, settings(), "recommended")["bcch_meeting"]) == {"clear"}
