"""Regimes: from the past only, held instead of flickering, with a link that is tested; and right on real history."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forex_assets.monitoring import regime
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Observed
from forex_assets.monitoring.regimes.link import probability_negative, rolling_link
from forex_assets.monitoring.regimes.paths import volatility_path
from forex_assets.monitoring.registry import SCAN_COLUMNS
from forex_assets.monitoring.statespace import filtered_probability, hold, long_sigma
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
POLICY = SETTINGS.recommended.regimes
RNG = np.random.default_rng


@functools.lru_cache(maxsize=1)
def _real(folder: Path) -> tuple[Frames, pd.DataFrame]:
    market = real_market(folder)
    days = market.calendar.sessions(np.datetime64("2012-01-02"), np.datetime64("2025-06-13"))
    return market, regime.regimes(market, days, SETTINGS, "recommended").set_index("as_of")


@pytest.mark.capability("B07", "B17", "K15", "K16")
class TestRealHistory:
    """USD/CLP at the close and COMEX copper, point-in-time."""

    def test_high_volatility_is_seen_in_time(self, market_data_dir: Path) -> None:
        _, table = _real(market_data_dir)
        for date in ("2019-11-20", "2022-07-13"):
            assert table.loc[date, "high_vol"] == "fired", date
            assert table.loc[date, "high_vol_probability"] > 0.9, date

    def test_copper_shocks_are_seen_in_time(self, market_data_dir: Path) -> None:
        _, table = _real(market_data_dir)
        for date in ("2020-03-19", "2022-07-15", "2022-09-05"):
            assert table.loc[date, "copper_shock"] == "fired", date

    def test_a_copper_shock_means_more_than_five_percent(self, market_data_dir: Path) -> None:
        _, table = _real(market_data_dir)
        fired = table["copper_shock"] == "fired"
        starts = fired & ~fired.shift(fill_value=False)
        assert (table["copper_change"].abs() > 0.05).mean() > 0.09
        assert starts.sum() / (len(table) / 250) < 2.5

    def test_the_link_is_negative_throughout(self, market_data_dir: Path) -> None:
        _, table = _real(market_data_dir)
        assert (table["copper_link"].dropna() < -0.15).all()
        assert (table["copper_link_high"].dropna() < 0).mean() > 0.98

    def test_regimes_change_at_most_twice_a_month(self, market_data_dir: Path) -> None:
        _, table = _real(market_data_dir)
        for part in (table, table.loc["2019":]):
            labels = part["regime"].to_numpy()
            assert (labels[1:] != labels[:-1]).sum() / (len(part) / 21) <= 2.0

    def test_one_day_says_what_the_replay_says(self, market_data_dir: Path) -> None:
        market, table = _real(market_data_dir)
        dates = [np.datetime64(text) for text in ("2019-11-20", "2020-03-19", "2022-07-14", "2025-06-13")]
        for date in dates:
            alone = regime.regimes(market, np.array([date]), SETTINGS, "recommended").set_index("as_of")
            pd.testing.assert_frame_equal(alone, table.loc[[pd.Timestamp(date)]])

    def test_interventions_are_those_announced_and_no_meeting_is_one(self, market_data_dir: Path) -> None:
        _, table = _real(market_data_dir)
        on = table["intervention"] == "fired"
        dates = ["2019-11-27", "2019-11-28", "2020-01-02", "2020-01-03"]
        assert on[dates].tolist() == [False, True, True, False]
        dates = ["2022-07-13", "2022-07-14", "2022-09-30", "2022-10-03"]
        assert on[dates].tolist() == [False, True, True, False]
        assert table.loc["2024-05-23", "bcch_meeting"] == "fired"
        assert not on["2024-05-23"]
        assert table.loc[on, "programme_date"].dt.year.unique().tolist() == [2019, 2022]


@pytest.mark.capability("K13")
def test_a_meeting_counts_from_the_day_before_its_statement_until_the_market_has_answered() -> None:
    n = 400
    market = frames(series("usdclp_close", sessions(n), prices(t_returns(RNG(1), n))))
    days = np.array(["2024-05-20", "2024-05-22", "2024-05-23", "2024-05-24", "2024-05-27"], dtype="datetime64[D]")
    table = regime.regimes(market, days, SETTINGS, "recommended")
    # 22-23 May 2024: the statement came on the 23rd at 18:00, the market answered on the 24th.
    assert table["bcch_meeting"].tolist() == ["clear", "fired", "fired", "fired", "clear"]
    assert table["meeting_date"].dt.date.astype(str).tolist()[:4] == ["2024-05-23"] * 4


@pytest.mark.capability("K13", "L18")
def test_a_calendar_table_that_ends_is_unknown_not_fine() -> None:
    market = frames(series("usdclp_close", sessions(400, "2027-06-30"), prices(t_returns(RNG(1), 400))))
    (finding,) = [
        item
        for item in regime.judge(market, day(np.datetime64("2027-06-30")), SETTINGS, "recommended")
        if item.rule == "bcch_meeting"
    ]
    assert finding.state == "unknown"
    assert "too old" in finding.reasons[0]


@pytest.mark.capability("K15")
def test_a_doubled_volatility_is_found_and_a_steady_one_seldom_accused() -> None:
    years, runs = 4, 150
    returns = t_returns(RNG(7), (250 * years, runs))
    quiet = volatility_path(returns, POLICY.volatility)
    starts = (quiet.held.on[1:] & ~quiet.held.on[:-1])[120:].sum() / (runs * (years - 0.5))
    assert starts < 0.25
    loud = returns.copy()
    loud[600:] *= 2.0
    found = volatility_path(loud, POLICY.volatility).held.on[600:630].any(axis=0).mean()
    assert found > 0.9


@pytest.mark.capability("K15")
def test_many_paths_side_by_side_are_each_as_alone() -> None:
    returns = t_returns(RNG(3), (500, 4), 0.01)
    together = volatility_path(returns, POLICY.volatility)
    for column in range(4):
        alone = volatility_path(returns[:, column], POLICY.volatility)
        np.testing.assert_allclose(together.probability[:, column], alone.probability, rtol=1e-12)
        np.testing.assert_array_equal(together.held.on[:, column], alone.held.on)
        np.testing.assert_array_equal(together.held.steps[:, column], alone.held.steps)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(0, 12))
def test_a_label_is_held_for_its_dwell_and_changes_only_at_its_thresholds(p: list[float], dwell: int) -> None:
    held = hold(np.array(p), on_at=0.9, off_at=0.1, dwell=dwell, rest=dwell)
    changes = np.flatnonzero(np.diff(held.on.astype(int)) != 0) + 1
    assert (np.diff(changes) >= dwell).all()
    for i in changes:
        assert p[i] >= 0.9 if held.on[i] else p[i] <= 0.1


def test_a_missing_return_leaves_filter_and_label_as_they_are() -> None:
    z = np.array([0.0, 4.0, np.nan, 0.0])
    options = {"calm_scale": 0.9, "loud_scale": 2.0, "freedom": 6.0, "enter": 0.01, "leave": 0.02}
    p = filtered_probability(z, **options)
    assert np.isnan(p[2])
    assert p[3] < p[1]
    wide = filtered_probability(z[:, None], **options)
    np.testing.assert_allclose(wide[:, 0], p)


def test_the_yardstick_knows_nothing_of_the_return_it_judges() -> None:
    returns = t_returns(RNG(0), 300)
    first = long_sigma(returns, half_life=100, warmup=60, clip=3.0)
    changed = returns.copy()
    changed[200:] *= 30
    np.testing.assert_array_equal(first[:201], long_sigma(changed, half_life=100, warmup=60, clip=3.0)[:201])
    assert np.isnan(long_sigma(returns[:10], half_life=100, warmup=60, clip=3.0)).all()


@pytest.mark.capability("K16")
def test_the_test_of_the_link_is_valid_in_storms_and_has_the_right_sign() -> None:
    rng, n, runs = RNG(11), 250, 500
    storm = np.exp(0.6 * rng.standard_normal((runs, n)).cumsum(axis=1) / np.sqrt(n) * 3)
    x, y = (t_returns(rng, (runs, n)) * storm for _ in range(2))
    rejected = naive = 0
    for i in range(runs):
        link = rolling_link(x[i], y[i], n, 5)
        rejected += bool(probability_negative(link)[-1] >= 0.99)
        naive += bool(link.z[-1] * np.sqrt(n - 3) < -2.326)
    # Nominal 1%: the textbook test takes storms that hit both for a link five times as often.
    assert rejected / runs < 0.035
    assert naive / runs > 0.05
    price, copper = linked(rng, n)
    link = rolling_link(price, copper, n, 5)
    assert link.correlation[-1] < -0.2
    assert link.slope[-1] < 0
    assert probability_negative(link)[-1] > 0.999


@pytest.mark.capability("B07")
def test_a_copper_crash_counts_only_through_a_proven_link() -> None:
    n = 700
    dates = sessions(n)
    crash = np.zeros(n)
    crash[-5:] = -0.03
    states = {}
    for name, strength in (("linked", -0.4), ("apart", 0.0)):
        price, copper = linked(RNG(5), n, strength)
        market = frames(
            series("usdclp_close", dates, prices(price)),
            {"copper_comex": series("copper_comex", dates, prices(copper + crash, 4.0), "USD per lb")},
        )
        (row,) = regime.regimes(market, dates[-1:], SETTINGS, "recommended").to_dict("records")
        states[name] = row
    assert states["linked"]["copper_shock"] == "fired"
    assert states["linked"]["regime"] == "COPPER_SHOCK"
    assert states["linked"]["copper_shock_probability"] > 0.5
    assert states["apart"]["copper_shock"] == "clear"


@given(seed=st.integers(0, 2**31), late=st.booleans(), spoiled=st.booleans())
@example(seed=1, late=True, spoiled=True)
@example(seed=2, late=True, spoiled=False)
@example(seed=3, late=False, spoiled=True)
@hypothesis_settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.capability("K14")
def test_the_scan_of_many_days_is_each_day_alone_and_the_future_does_not_matter(
    seed: int, late: bool, spoiled: bool
) -> None:
    rng = RNG(seed)
    n = 560
    dates = sessions(n)
    price, copper = linked(rng, n)
    copper[-20:-15] -= 0.03
    target = series("usdclp_close", dates, prices(price))
    metal = series("copper_comex", dates, prices(copper, 4.0), "USD per lb")
    if late:
        available = metal.available.copy()
        available[-10] = available[-7]
        target_available = target.available.copy()
        target_available[-5] = target_available[-3]
        metal = Observed(metal.name, metal.unit, metal.dates, metal.values, available, metal.withdrawn)
        target = Observed(target.name, target.unit, dates, target.values, target_available, target.withdrawn)
    if spoiled:
        withdrawn = target.withdrawn.copy()
        withdrawn[-12] = target.available[-11]
        values = target.values.copy()
        values[-12] *= 1.3
        target = Observed(target.name, target.unit, dates, values, target.available, withdrawn)
    market = frames(target, {"copper_comex": metal, "vix": series("vix", dates, prices(rng.normal(0, 0.05, n), 20.0))})
    days = dates[-16:]
    for profile in ("recommended", "classic"):
        table = regime.regimes(market, days, SETTINGS, profile)
        scanned = regime.scan(market, days, SETTINGS, profile)
        assert list(scanned.columns) == list(SCAN_COLUMNS)
        # Before, at and between the value that is spoiled (4), the late ones (6 and 11), and after all of them.
        for i in (0, 4, 6, 8, 11, 15):
            alone = regime.regimes(market, days[i : i + 1], SETTINGS, profile)
            pd.testing.assert_frame_equal(alone, table.iloc[i : i + 1].reset_index(drop=True), check_exact=True)
            found = {f.rule: f for f in regime.judge(market, day(days[i]), SETTINGS, profile)}
            rows = scanned.loc[scanned["as_of"] == days[i].astype("datetime64[ns]")]
            assert set(rows["rule"]) == set(found)
            for row in rows.to_dict("records"):
                finding = found[row["rule"]]
                assert (finding.state, finding.severity, finding.subject) == (
                    row["state"],
                    row["severity"],
                    row["subject"],
                )
                np.testing.assert_equal((finding.effect, finding.threshold), (row["effect"], row["threshold"]))
    cut = n - 8
    shorter = Frames(
        pair=market.pair,
        horizons=market.horizons,
        calendar=market.calendar,
        target=_without(market.target, target.available[cut - 1]),
        drivers={name: _without(item, target.available[cut - 1]) for name, item in market.drivers.items()},
        scores=market.scores,
    )
    pd.testing.assert_frame_equal(
        regime.regimes(market, dates[cut - 4 : cut - 3], SETTINGS, "recommended"),
        regime.regimes(shorter, dates[cut - 4 : cut - 3], SETTINGS, "recommended"),
        check_exact=True,
    )


def _without(item: Observed, after: np.datetime64) -> Observed:
    keep = item.available <= after
    return Observed(
        item.name, item.unit, item.dates[keep], item.values[keep], item.available[keep], item.withdrawn[keep]
    )


@pytest.mark.capability("L18")
@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.full(400, 900.0), "does not move"),
        (prices(t_returns(RNG(2), 400))[:50], "too few values"),
    ],
)
def test_what_cannot_be_told_is_unknown_with_the_reason(values: np.ndarray, told: str) -> None:
    dates = sessions(400)[-len(values) :]
    market = frames(series("usdclp_close", dates, values))
    finding = regime.judge(market, day(dates[-1]), SETTINGS, "recommended")[0]
    assert (finding.rule, finding.state) == ("high_vol", "unknown")
    assert told in finding.reasons[0]


@pytest.mark.capability("L18")
def test_a_price_that_stopped_is_unknown() -> None:
    dates = sessions(430)
    market = frames(series("usdclp_close", dates[:400], prices(t_returns(RNG(2), 400))))
    finding = regime.judge(market, day(dates[-1]), SETTINGS, "recommended")[0]
    assert finding.state == "unknown"
    assert "stopped" in finding.reasons[0]
    (row,) = regime.regimes(market, dates[-1:], SETTINGS, "recommended").to_dict("records")
    assert row["regime"] == "UNKNOWN"


@pytest.mark.capability("B07")
def test_a_pair_without_copper_and_central_bank_has_no_such_findings() -> None:
    n = 400
    market = frames(series("eurusd_ecb", sessions(n), prices(t_returns(RNG(2), n), 1.1)), pair="eurusd")
    rules = {finding.rule for finding in regime.judge(market, day(sessions(n)[-1]), SETTINGS, "recommended")}
    assert rules == {"high_vol", "risk_gauge"}


@pytest.mark.capability("B07")
def test_risk_appetite_is_the_sign_of_several_moves() -> None:
    n = 400
    dates, rng = sessions(n), RNG(4)
    fear = rng.normal(0, 0.02, n)
    fear[-5:] = 0.08
    fall = rng.normal(0, 0.008, n)
    fall[-5:] = -0.025
    market = frames(
        series("usdclp_close", dates, prices(t_returns(rng, n))),
        {"vix": series("vix", dates, prices(fear, 20.0)), "sp500": series("sp500", dates, prices(fall, 4000.0))},
    )
    (row,) = regime.regimes(market, dates[-1:], SETTINGS, "recommended").to_dict("records")
    assert row["risk"] == "risk_off"
    assert row["risk_score"] < -1
    one = frames(market.target, {"vix": market.drivers["vix"]})
    assert regime.regimes(one, dates[-1:], SETTINGS, "recommended")["risk"].tolist() == ["unknown"]
