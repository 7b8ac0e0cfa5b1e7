"""The report says which models carry the forecast, with what share, and why others are left out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from forex_assets.reporting.report import build_report
from forex_assets_tests.reporting.factory import make_inputs


@pytest.mark.capability("B27")
def test_the_report_shows_shares_and_reasons_and_that_a_member_failed() -> None:
    inputs = make_inputs()
    shares = json.dumps({"champion_zero": 0.26, "loghar": 0.74})
    reasons = json.dumps({"gjr_t": "ValueError: no luck today", "driver vix": "no VIX at this origin"})
    carried = inputs.forecast.assign(carried_by=shares, left_out=reasons, degraded=True)
    pages = build_report(replace(inputs, forecast=carried))
    for language, title, broken in (
        ("en", "What carries this forecast", "Degraded: a model failed"),
        ("es", "Qué sostiene este pronóstico", "Degradado: un modelo falló"),
    ):
        text = pages[language]
        assert title in text
        assert broken in text
        assert "ValueError: no luck today" in text
        assert "GJR-GARCH" in text
        assert "74" in text
    plain = build_report(inputs)["en"]
    assert "What carries this forecast" not in plain
