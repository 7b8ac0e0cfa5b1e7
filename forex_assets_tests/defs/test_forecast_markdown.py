"""What the UI says of a day's deployed forecast: its direction, what carries it, why others do not, and its data."""

from __future__ import annotations

import re

import pytest

from forex_assets.defs.forecasts import forecast_markdown
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.panel.prices import fixing_history


@pytest.mark.capability("B27")
def test_a_forecast_says_what_carries_it_and_which_way_it_points() -> None:
    frame = make_forecast(fixing_history(), "2025-06-13", 7, ["random_walk", "ensemble"], "ensemble")
    frame.attrs["made_from"] = {"bars": "a" * 16, "panel_fits": "b" * 16}
    told = forecast_markdown(frame)
    assert re.fullmatch(r"down \d+%, flat \(within 0\.5%\) \d+%, up \d+%", told["direction"])
    shares = [float(share) for share in re.findall(r"\| ([0-9.]+)% \|", told["made_of"])]
    assert sum(shares) == pytest.approx(100.0, abs=0.2)
    assert "- rw_drift: gate shut" in told["made_of"]
    assert "- driver vix: no VIX" in told["made_of"]
    assert "Degraded" not in told["made_of"]
    assert "| panel_fits | `bbbbbbbbbbbbbbbb` |" in told["made_from"]
    failed = frame.assign(degraded=True)
    assert "Degraded" in forecast_markdown(failed)["made_of"]
    plain = make_forecast(fixing_history(), "2025-06-13", 7, ["random_walk"], "random_walk")
    assert set(forecast_markdown(plain)) == {"direction"}
    assert forecast_markdown(frame[frame["model"] == "random_walk"]) == {}
