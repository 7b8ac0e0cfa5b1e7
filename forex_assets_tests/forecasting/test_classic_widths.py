"""Classic interval options, exactly: t30, the table of multipliers, per-pair ACI."""

from __future__ import annotations

import numpy as np
import pytest

from forex_assets.errors import ValidationError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.forecasting.widths import classic_multiplier, widened
from forex_assets_tests.forecasting.conftest import history_of


@pytest.mark.capability("B08", "K12")
@pytest.mark.parametrize(
    ("regime", "z", "expected"),
    [
        ("NORMAL", 9.0, 1.0),
        ("HIGH_VOL", 2.5, 1.625),
        ("HIGH_VOL", 8.0, 2.5),
        ("COPPER_SHOCK", 0.0, 1.5),
        ("BCCH_INTERVENTION", 0.0, 2.0),
        ("UNKNOWN", 0.0, 1.5),
        ("something", 0.0, 1.5),
    ],
)
def test_the_classic_table(regime: str, z: float, expected: float) -> None:
    assert classic_multiplier(regime, z) == expected
    q = np.array([930.0, 950.0, 970.0])
    np.testing.assert_allclose(widened(q, np.array(950.0), expected), 950 + expected * np.array([-20, 0, 20]))


def test_both_tables_of_multipliers_agree() -> None:
    from forex_assets.monitoring.regimes import classic

    for regime in ("NORMAL", "HIGH_VOL", "COPPER_SHOCK", "BCCH_INTERVENTION", "UNKNOWN"):
        for z in (0.0, 2.0, 2.5, 7.0):
            assert classic_multiplier(regime, z) == classic.multiplier(regime, z)


@pytest.mark.parametrize("multiplier", [0.0, -1.0, float("nan"), 90.0])
def test_a_multiplier_that_makes_no_interval_is_refused(multiplier: float) -> None:
    with pytest.raises(ValidationError, match="Multiplier"):
        widened(np.array([930.0, 950.0, 970.0]), np.array(950.0), multiplier)


@pytest.mark.capability("K10")
def test_per_pair_aci_repairs_coverage_slowly_known_errors_only() -> None:
    rng = np.random.default_rng(2)
    values = 900 * np.exp(np.cumsum(0.006 * rng.standard_t(3, 3000)))
    history = history_of(values)
    last = str(history.event_date[-1])
    models = ["random_walk", "rw_aci", ModelChoice("rw_aci", {"rate": 0.2}, "fast")]
    rows = run_backtest(history, horizon_days=15, models=models, start=history.event_date[700], as_of=last)
    rows = rows.dropna(subset=["actual"])
    hit = (rows["actual"] >= rows["q025"]) & (rows["actual"] <= rows["q975"])
    covered = hit.groupby(rows["model"]).mean()
    assert covered["rw_aci"] == pytest.approx(0.95, abs=0.03)
    width = (rows["q975"] / rows["q025"]).groupby(rows["model"])
    log_width = width.apply(np.log)
    spread = log_width.groupby(level=0).std()
    assert spread["fast"] > spread["rw_aci"]  # a fast step chases the last errors
    # What is not known yet changes nothing.
    cut = 2000
    other = history_of(np.concatenate([values[:cut], values[cut:] * 1.3]))
    again = run_backtest(other, horizon_days=15, models=models, start=history.event_date[700], as_of=last)
    day = history.event_date[cut - 1]
    both = [frame[frame["as_of"] <= day].drop(columns=["actual", "matured_on"]) for frame in (rows, again)]
    merged = both[0].merge(both[1], on=["as_of", "model"], suffixes=("", "_again"))
    assert len(merged)
    assert (merged["q025"] == merged["q025_again"]).all()


def test_before_enough_errors_have_matured_aci_is_the_yardstick() -> None:
    rng = np.random.default_rng(8)
    history = history_of(900 * np.exp(np.cumsum(0.006 * rng.normal(size=130))))
    rows = run_backtest(history, horizon_days=30, models=["random_walk", "rw_aci"], as_of=str(history.event_date[-1]))
    wide = rows.pivot(index="as_of", columns="model", values="q975")
    np.testing.assert_allclose(wide["rw_aci"], wide["random_walk"])
