"""Plain values as the commands print them, for tests of what people see."""

from __future__ import annotations

from typing import Any

HORIZONS = ("7d", "15d", "30d", "90d")


def forecast(model: str, price: float, spread: float) -> dict[str, Any]:
    return {
        "model": model,
        "target_date": "2025-09-11",
        "mean": price,
        "median": price,
        "interval_80": [price * (1 - spread), price * (1 + spread)],
        "interval_95": [price * (1 - 2 * spread), price * (1 + 2 * spread)],
        "calibrated_from": "2025-06-01",
    }


def scores(known: bool = True) -> dict[str, Any]:
    return {
        "n": 5092,
        "n_effective": 636.8,
        "coverage_95": 1.0,
        "coverage_95_low": 0.885 if known else None,
        "coverage_95_high": 1.0 if known else None,
        "interval_score_ratio": 1.024,
        "interval_score_ratio_low": 0.8 if known else None,
        "interval_score_ratio_high": 1.39 if known else None,
        "coverage_state": "good" if known else "unknown",
    }


def summary(price: float = 930.25, label: str = "USD/CLP (dólar observado)") -> dict[str, Any]:
    return {
        "pair": "usdclp",
        "label": label,
        "target": {"series": "usdclp_fixing", "kind": "fixing", "unit": "CLP per USD"},
        "as_of": "2025-06-13",
        "last_value": price,
        "last_event_date": "2025-06-13",
        "target_source": "embedded",
        "horizons": [
            {
                "horizon": name,
                "forecast": forecast("champion_zero", price, 0.07),
                "verdict": {"state": "unknown", "reasons": []},
                "scores": {"live_60": scores(known=False), "backtest_5y": scores()},
            }
            for name in HORIZONS
        ],
        "sources": [
            {
                "series": "usdclp_fixing",
                "answered_by": ["embedded"],
                "others": {"siete": "not_configured: offline", "mindicador": "failed: timed out after 3.0 s"},
            }
        ],
        "quarantined_rows": 3,
        "reports": {"es": "/srv/forex/reports/usdclp/2025-06-13/report_es.html"},
        "missing": ["copper_comex, dxy: no source answered (folder: FOREX_DATA_DIR is not set)"],
    }


def day(price: float = 930.25) -> dict[str, Any]:
    return {
        "pair": "usdclp",
        "label": "USD/CLP (dólar observado)",
        "unit": "CLP per USD",
        "as_of": "2025-06-13",
        "last_value": price,
        "last_event_date": "2025-06-13",
        "source": "embedded",
        "damaged": [],
        "horizons": [
            {
                "horizon": name,
                "stored": name != "90d",
                "active": forecast("champion_zero", price, 0.07),
                "random_walk": forecast("random_walk", price, 0.08),
                "direction": {"down": 0.382, "flat": 0.271, "up": 0.347, "band": 0.005},
                "made_of": {
                    "carried_by": {"champion_zero": 0.26, "gjr_t": 0.24, "loghar": 0.5},
                    "left_out": {"driver vix": "no VIX at this origin: the fit without it serves"},
                    "degraded": False,
                },
            }
            for name in HORIZONS
        ],
    }


def report_row(horizon: int, model: str, window: str = "backtest_all") -> dict[str, Any]:
    return {
        "pair": "usdclp_close",
        "horizon": horizon,
        "as_of": "2025-06-13",
        "model": model,
        "window": window,
        **scores(),
        "coverage_80": 0.801,
        "crps_ratio": 0.9937,
        "crps_ratio_low": 0.9871,
        "crps_ratio_high": 1.0042,
        "theil_u": 1.0,
        "width_95": 214.6,
        "bias_sigma": -0.09,
        "bias_state": "unknown",
        "coverage_state_classic": "good",
        "bias_state_classic": "bad",
        "status": "GOOD",
        "status_classic": "EXCELLENT",
        "degradation_detected": False,
        "recommendation": "Nothing to do: no alarm fires on the forecasts that have matured.",
    }
