"""Series that thin out, leave their range, or move otherwise are noticed; stable ones are not accused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forex_assets.monitoring import data_quality
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.observed import Observed
from forex_assets_tests.monitoring.markets import CL, day, frames, prices, series, settings, t_returns

SETTINGS = settings()
N = 660
WEEKDAYS = np.arange("2021-10-01", "2024-06-29", dtype="datetime64[D]")
WEEKDAYS = WEEKDAYS[np.is_busday(WEEKDAYS)][-N:]
DATES = WEEKDAYS[CL.is_open(WEEKDAYS)]
LINKS = {"copper_comex": (-0.4, 4.0, "USD per lb"), "dxy": (0.4, 100.0, "index"), "vix": (0.25, 20.0, "index")}


def _market(seed: int, *, turned: str = "", turn: int = 60) -> Frames:
    rng = np.random.default_rng(seed)
    price = t_returns(rng, N)
    drivers = {}
    for name, (link, start, unit) in LINKS.items():
        path = np.full(N, link)
        if name == turned:
            path[-turn:] = -2 * link
        values = path * price + np.sqrt(1 - path**2) * t_returns(rng, N)
        drivers[name] = series(name, WEEKDAYS, prices(values, start), unit)
    return frames(_target(price), drivers)


def _target(returns: np.ndarray) -> Observed:
    """A price that has no value on closed days; its move then shows on the next."""
    whole = series("usdclp_close", WEEKDAYS, prices(returns))
    return _drop(whole, CL.is_open(WEEKDAYS))


def _judged(market: Frames, date: np.datetime64 = DATES[-1]) -> dict[tuple[str, str], Finding]:
    found = data_quality.judge(market, day(date), SETTINGS, "recommended")
    return {(item.rule, item.subject): item for item in found}


def _drop(source: Observed, keep: np.ndarray) -> Observed:
    return Observed(
        source.name,
        source.unit,
        source.dates[keep],
        source.values[keep],
        source.available[keep],
        source.withdrawn[keep],
    )


@pytest.mark.capability("E11")
def test_a_healthy_market_is_clear() -> None:
    found = _judged(_market(0))
    assert {item.state for item in found.values()} == {"clear"}
    assert {rule for rule, _ in found} == {"completeness", "range", "correlation_change", "importance_drift"}
    assert all(item.reasons[0].endswith(".") for item in found.values())


@pytest.mark.capability("E11", "L18")
def test_a_series_that_thins_out_is_noticed_and_a_young_one_is_unknown() -> None:
    market = _market(1)
    holes = np.ones(len(DATES), dtype=bool)
    holes[-40:-5:6] = False
    thin = dataclasses.replace(market, target=_drop(market.target, holes))
    finding = _judged(thin)["completeness", "usdclp_close"]
    assert finding.state == "fired"
    assert finding.effect == pytest.approx(6 / 60)
    holes[:] = True
    holes[-40:-22:6] = False  # three of sixty are as many as are allowed
    finding = _judged(dataclasses.replace(market, target=_drop(market.target, holes)))["completeness", "usdclp_close"]
    assert (finding.state, finding.effect) == ("clear", SETTINGS.platform.watching.data.max_missing_share)
    young = np.zeros(N, dtype=bool)
    young[-30:] = True
    market = dataclasses.replace(market, drivers={"dxy": _drop(market.drivers["dxy"], young)})
    found = _judged(market)
    assert found["completeness", "dxy"].state == "unknown"
    assert found["correlation_change", "dxy"].state == "unknown"
    none = dataclasses.replace(market, drivers={"dxy": _drop(market.drivers["dxy"], np.zeros(30, dtype=bool))})
    assert "no value" in _judged(none)["range", "dxy"].reasons[0]


@pytest.mark.capability("E11")
def test_a_value_outside_its_range_is_noticed() -> None:
    market = _market(2)
    values = market.drivers["copper_comex"].values.copy()
    values[-1] = 400.0  # cents per pound
    wrong = dataclasses.replace(market.drivers["copper_comex"], values=values)
    finding = _judged(dataclasses.replace(market, drivers={"copper_comex": wrong}))["range", "copper_comex"]
    assert (finding.state, finding.severity) == ("fired", "high")


@pytest.mark.capability("E11", "K16")
def test_a_link_that_changes_sign_is_noticed_with_its_interval() -> None:
    noticed = [_judged(_market(seed, turned="copper_comex"))["correlation_change", "copper_comex"] for seed in range(8)]
    assert sum(item.state == "fired" for item in noticed) >= 7
    assert all(item.effect > 0 for item in noticed)
    assert all(item.effect_low <= item.effect <= item.effect_high for item in noticed)


@pytest.mark.capability("E11")
def test_importance_that_moves_from_one_series_to_another_is_noticed() -> None:
    rng = np.random.default_rng(3)
    price = t_returns(rng, N)
    first, second = np.full(N, -0.85), np.zeros(N)
    first[-120:], second[-120:] = 0.0, 0.85
    drivers = {
        name: series(name, WEEKDAYS, prices(path * price + np.sqrt(1 - path**2) * t_returns(rng, N), 50.0), "index")
        for name, path in (("dxy", first), ("vix", second))
    }
    market = frames(_target(price), drivers)
    finding = _judged(market)["importance_drift", "all"]
    assert finding.state == "fired"
    assert 0.5 < finding.effect <= 1.0


@given(seed=st.integers(0, 2**31), late=st.booleans())
@hypothesis_settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_scan_is_each_day_alone(seed: int, late: bool) -> None:
    market = _market(seed, turned="dxy", turn=40)
    if late:
        available = market.target.available.copy()
        available[-6] = available[-3]
        market = dataclasses.replace(market, target=dataclasses.replace(market.target, available=available))
    days = DATES[-9:]
    table = data_quality.scan(market, days, SETTINGS, "recommended")
    for date in days[::2]:
        found = _judged(market, date)
        rows = table.loc[table["as_of"] == date.astype("datetime64[ns]")].to_dict("records")
        assert len(rows) == len(found)
        for row in rows:
            item = found[row["rule"], row["subject"]]
            assert (item.state, item.severity, item.threshold) == (row["state"], row["severity"], row["threshold"])
            np.testing.assert_equal(item.effect, row["effect"])
