"""Shocks: the classic limits number by number, sigmas that do not mistake a calm year, and news only while fresh."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError as SettingsError

from forex_assets.errors import DataError
from forex_assets.monitoring import shock
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Known, Observed
from forex_assets.settings.shocks import ShockRule
from forex_assets_tests.monitoring.markets import day, frames, prices, series, sessions, settings, t_returns

SETTINGS = settings()
N = 300
DATES = sessions(N)


def _market(changes: dict[str, float], *, levels: dict[str, float] | None = None, sigma: float = 0.001) -> Frames:
    """A quiet market whose last value of some series moves by the share given, or ends at a level."""
    rng = np.random.default_rng(0)
    made = {}
    for name, start in (("usdclp_close", 900.0), ("copper_comex", 4.0), ("dxy", 100.0), ("vix", 20.0), ("tpm", 5.0)):
        values = prices(t_returns(rng, N, sigma), start) if name != "tpm" else np.full(N, start)
        if name in changes:
            values[-1] = values[-2] + changes[name] if name == "tpm" else values[-2] * (1 + changes[name])
        if levels and name in levels:
            values *= levels[name] / values[-1]
            values[-1] = levels[name]
        made[name] = series(name, DATES, values, {"tpm": "percent per year"}.get(name, "u"))
    return frames(made.pop("usdclp_close"), made)


def _severity(market: Frames, rule: str, profile: str = "classic") -> str:
    found = {f.rule: f for f in shock.judge(market, day(DATES[-1]), SETTINGS, profile)}
    return found[rule].severity if found[rule].state == "fired" else found[rule].state


@pytest.mark.capability("B07")
@pytest.mark.parametrize(
    ("changes", "levels", "rule", "severity"),
    [
        ({"usdclp_close": 0.0201}, {}, "price_day", "medium"),
        ({"usdclp_close": -0.0401}, {}, "price_day", "critical"),
        ({"usdclp_close": 0.0199}, {}, "price_day", "clear"),
        ({"usdclp_close": 0.036}, {}, "price_3day", "medium"),
        ({"copper_comex": 0.051}, {}, "copper_day", "medium"),
        ({"copper_comex": -0.0751}, {}, "copper_day", "critical"),
        ({"copper_comex": -0.11}, {}, "copper_week", "medium"),
        ({"copper_comex": 0.11}, {}, "copper_week", "clear"),
        ({"dxy": 0.0101}, {}, "dxy_day", "medium"),
        ({}, {"dxy": 105.0}, "dxy_high", "medium"),
        ({}, {"dxy": 107.0}, "dxy_high", "critical"),
        ({}, {"dxy": 95.0}, "dxy_low", "medium"),
        ({}, {"dxy": 93.0}, "dxy_low", "critical"),
        ({}, {"dxy": 100.0}, "dxy_low", "clear"),
        ({}, {"vix": 30.0}, "vix_level", "low"),
        ({}, {"vix": 35.0}, "vix_level", "medium"),
        ({}, {"vix": 40.0}, "vix_level", "critical"),
        ({"vix": 0.21}, {}, "vix_day", "medium"),
        ({"vix": -0.30}, {}, "vix_day", "clear"),
        ({"tpm": 0.5}, {}, "policy_rate", "medium"),
        ({"tpm": -0.25}, {}, "policy_rate", "clear"),
    ],
)
def test_the_classic_limits(changes: dict[str, float], levels: dict[str, float], rule: str, severity: str) -> None:
    assert _severity(_market(changes, levels=levels), rule) == severity


@pytest.mark.capability("B07")
def test_the_classic_volatility_rules_worked_by_hand() -> None:
    policy = SETTINGS.classic.shocks
    returns = np.concatenate([np.tile([0.01, -0.01], 60), [0.02, -0.02, 0.02, -0.02, 0.02, -0.02, 0.02]])
    known = Known("x", "u", sessions(128), np.concatenate([[1.0], np.exp(np.cumsum(returns))]))
    ratio = shock.measure(known, policy.rules["volatility_week"], policy)[-1]
    assert ratio == pytest.approx(np.std(returns[-7:], ddof=1) / np.std(returns[-90:], ddof=1))
    assert 1.5 <= ratio < 2.0
    weeks = [np.std(returns[i - 7 : i], ddof=1) for i in range(len(returns) - 29, len(returns) + 1)]
    mean = shock.measure(known, policy.rules["volatility_mean"], policy)[-1]
    assert mean == pytest.approx(weeks[-1] / np.mean(weeks))


@pytest.mark.capability("B07")
def test_sigmas_tell_a_shock_in_a_calm_market_from_a_day_in_a_wild_one() -> None:
    calm = _market({"usdclp_close": 0.015}, sigma=0.002)
    wild = _market({"usdclp_close": 0.021}, sigma=0.012)
    assert _severity(calm, "price_day", "recommended") == "critical"
    assert _severity(calm, "price_day", "classic") == "clear"
    assert _severity(wild, "price_day", "recommended") == "clear"
    assert _severity(wild, "price_day", "classic") == "medium"


@pytest.mark.capability("L18")
def test_a_series_that_stopped_or_is_missing_is_unknown_and_old_news_is_no_news() -> None:
    market = _market({"copper_comex": 0.09})
    later = day(DATES[-1] + np.timedelta64(4, "D"))
    again = {f.rule: f.state for f in shock.judge(market, later, SETTINGS, "classic")}
    assert again["copper_day"] == "clear"
    stopped = {f.rule: f for f in shock.judge(market, day(DATES[-1] + np.timedelta64(20, "D")), SETTINGS, "classic")}
    assert stopped["copper_day"].state == "unknown"
    assert "stopped" in stopped["copper_day"].reasons[0]
    none = {f.rule: f for f in shock.judge(frames(market.target), day(DATES[-1]), SETTINGS, "classic")}
    assert none["vix_level"].state == "unknown"
    assert "price_range" not in none


@given(seed=st.integers(0, 2**31), withdrawn=st.booleans())
@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_scan_is_each_day_alone(seed: int, withdrawn: bool) -> None:
    rng = np.random.default_rng(seed)
    target = series("usdclp_close", DATES, prices(t_returns(rng, N, 0.012)))
    if withdrawn:
        away = target.withdrawn.copy()
        away[-6] = target.available[-4]
        target = Observed(target.name, target.unit, DATES, target.values, target.available, away)
    market = frames(target, {"vix": series("vix", DATES, prices(rng.normal(0, 0.08, N), 30.0))})
    days = DATES[-8:]
    for profile in ("classic", "recommended"):
        table = shock.scan(market, days, SETTINGS, profile)
        for date in days:
            rows = table.loc[table["as_of"] == date.astype("datetime64[ns]")].to_dict("records")
            found = {f.rule: f for f in shock.judge(market, day(date), SETTINGS, profile)}
            assert len(rows) == len(found)
            for row in rows:
                f = found[row["rule"]]
                assert (f.state, f.severity, f.subject) == (row["state"], row["severity"], row["subject"])
                np.testing.assert_equal((f.effect, f.threshold), (row["effect"], row["threshold"]))


def _forecasts(date: str, centre: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"horizon": [7], "is_target": [True], "is_active": [True], "mean": [centre], "as_of": [pd.Timestamp(date)]}
    )


@pytest.mark.capability("B07")
@pytest.mark.parametrize(("moved", "severity"), [(0.019, "info"), (0.02, "medium"), (-0.031, "high")])
def test_a_forecast_that_jumps_is_an_event(moved: float, severity: str) -> None:
    policy = SETTINGS.classic.shocks
    today = day(DATES[-1])
    now, before = _forecasts("2024-06-28", 900 * (1 + moved) + 1e-9), _forecasts("2024-06-27", 900.0)
    (finding,) = shock.forecast_change(now, before, "usdclp", today, policy, "classic")
    assert finding.severity == severity
    (alone,) = shock.forecast_change(now, before.iloc[:0], "usdclp", today, policy, "classic")
    assert alone.state == "unknown"


def test_events_go_out_when_one_is_high_or_two_are_medium() -> None:
    def made(severity: str, state: str = "fired") -> Finding:
        return Finding("shock", "r", "classic", "p", "s", day(DATES[-1]), state, severity, ("why",))

    assert shock.worth_sending([made("high")])
    assert shock.worth_sending([made("medium"), made("medium")])
    assert not shock.worth_sending([made("medium"), made("info"), made("critical", "clear")])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"measure": "change", "medium": 5.0}, "0.05 is 5%"),
        ({"measure": "change", "medium": 0.05, "critical": 0.02}, "grow"),
        ({"measure": "level", "side": "down", "medium": 93.0, "critical": 95.0}, "fall"),
        ({"measure": "level"}, "at least one"),
        ({"measure": "volatility_ratio", "obs": 30, "long_obs": 7, "medium": 2.0}, "long_obs"),
    ],
)
def test_a_wrong_unit_or_order_is_refused_when_loaded(rule: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        ShockRule.model_validate({"series": ["target"], **rule})


def test_a_price_that_is_not_positive_is_refused() -> None:
    known = Known("x", "u", DATES[:3], np.array([1.0, 0.0, 2.0]))
    policy = SETTINGS.classic.shocks
    with pytest.raises(DataError, match="positive"):
        shock.measure(known, policy.rules["price_day"], policy)
