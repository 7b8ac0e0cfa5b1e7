"""Realistic inputs of a report from a small random walk: every frame passes its declared table."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.reporting import ReportInputs
from forex_assets.schemas import Table
from forex_assets.settings import PairSpec, load_settings

AS_OF = dt.date(2025, 6, 13)
HORIZONS = {"7d": 7, "15d": 15, "30d": 30, "90d": 90}
HASHES = {"config_hash": "c0ffee0123456789", "data_hash": "feedbeef01234567", "code_version": "0.3.0+deadbeef"}
Z = np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])


def _prices() -> pd.Series[float]:
    """One value per weekday from 2024-01-01 through 2025-12-31, so that early forecasts have outcomes."""
    dates = pd.bdate_range("2024-01-01", "2025-12-31")
    rng = np.random.default_rng(32)
    shocks = 0.0068 * rng.standard_t(5, len(dates)) / np.sqrt(5 / 3)
    return pd.Series(900 * np.exp(np.cumsum(shocks)), index=dates)


def _roll(date: pd.Timestamp) -> pd.Timestamp:
    return date if date.weekday() < 5 else date + pd.offsets.BDay(1)


def _instant(date: pd.Timestamp) -> pd.Timestamp:
    return pd.Timestamp(date.date(), tz="America/Santiago") + pd.Timedelta(hours=18)


def _quantiles(last: float, sigma: float) -> dict[str, float]:
    return dict(zip(QUANTILE_COLUMNS, last * np.exp(sigma * Z), strict=True))


def _sigma(prices: pd.Series[float], date: pd.Timestamp, steps: int, model: str) -> float:
    returns = np.diff(np.log(prices[:date].to_numpy()[-61:]))
    factor = 1.06 if model == "champion_zero" else 1.0
    return float(factor * returns.std(ddof=1) * np.sqrt(steps))


def _forecast_rows(prices: pd.Series[float], date: pd.Timestamp, days: int, every_step: bool) -> list[dict[str, Any]]:
    last_date = prices[:date].index[-1]
    target = _roll(date + pd.Timedelta(days=days))
    steps = pd.bdate_range(last_date + pd.offsets.BDay(1), target)
    rows = []
    for model in ("champion_zero", "random_walk"):
        for step, step_date in enumerate(steps, start=1):
            if step < len(steps) and not (every_step and model == "champion_zero"):
                continue
            last = float(prices[last_date])
            rows.append(
                {
                    "pair": "usdclp", "horizon": days, "as_of": date, "model": model, "step": step,
                    "step_date": step_date, "target_date": target, "is_target": step == len(steps),
                    "last_value": last, "last_event_date": last_date, "mean": last,
                    **_quantiles(last, _sigma(prices, date, step, model)),
                    "is_active": model == "champion_zero",
                    "calibrated_from": pd.Timestamp("2025-01-02") if model == "champion_zero" else pd.NaT,
                    "regime": None, "regime_lower": 1.0, "regime_upper": 1.0,
                    "reconstructed": False, "carried_by": None, "left_out": None, "degraded": False,
                }
            )  # fmt: skip
    return rows


def _evaluation_rows(prices: pd.Series[float], as_of: pd.Timestamp, days: int) -> list[dict[str, Any]]:
    rows = []
    for date in prices[:as_of].index[::-1]:
        if len(rows) == 60:
            break
        [row] = [r for r in _forecast_rows(prices, date, days, every_step=False) if r["model"] == "champion_zero"]
        if row["target_date"] > as_of:
            continue
        actual = float(prices[row["target_date"]])
        low, high, low80, high80 = row["q025"], row["q975"], row["q100"], row["q900"]
        rows.append(
            {
                **{k: row[k] for k in ("pair", "horizon", "as_of", "target_date", "model", "is_active", "last_value")},
                **{k: row[k] for k in ("mean", "q025", "q100", "q500", "q900", "q975")},
                "matured_on": row["target_date"], "actual": actual, "error": row["mean"] - actual,
                "error_sigma": (row["mean"] - actual) / ((high80 - low80) / 2.563), "crps": abs(row["mean"] - actual),
                "interval_score_80": high80 - low80, "interval_score_95": high - low,
                "covered_80": low80 <= actual <= high80, "covered_95": low <= actual <= high,
                "below_95": actual < low, "above_95": actual > high, "width_80": high80 - low80,
                "width_95": high - low, "pit": 0.5,
            }
        )  # fmt: skip
    return rows


def _performance_rows(evaluation: pd.DataFrame, as_of: pd.Timestamp) -> list[dict[str, Any]]:
    rows = []
    windows = {"live_60": 60, "backtest_1y": 250, "backtest_5y": 1250, "backtest_all": 5100}
    for days in HORIZONS.values():
        live = evaluation[evaluation["horizon"] == days]
        for window, n in windows.items():
            for model, shift in (("champion_zero", 0.0), ("random_walk", -0.012), ("rw_blend", -0.004)):
                effective = max(n / (1 + 0.7 * days), 1.0)
                c95 = float(live["covered_95"].mean()) if window == "live_60" else 0.951
                c80 = float(live["covered_80"].mean()) if window == "live_60" else 0.804
                c95, c80 = min(c95 + shift, 1.0), c80 + shift
                half = min(1.96 * np.sqrt(0.05 * 0.95 / effective), 0.4)
                known = effective > 20
                ratio, spread = (0.985 if model != "random_walk" else 1.0), min(0.9 / np.sqrt(effective), 0.5)
                rows.append(
                    {
                        "pair": "usdclp", "horizon": days, "as_of": as_of, "window": window,
                        "window_start": as_of - pd.Timedelta(days=int(n * 1.4)), "window_end": as_of, "model": model,
                        "is_active": model == "champion_zero", "n": n, "n_effective": effective,
                        "coverage_80": c80, "coverage_80_low": c80 - 1.6 * half,
                        "coverage_80_high": min(c80 + 1.6 * half, 1),
                        "coverage_95": c95, "coverage_95_low": c95 - half, "coverage_95_high": min(c95 + half, 1.0),
                        "tail_low_95": (1 - c95) * 0.4, "tail_high_95": (1 - c95) * 0.6, "interval_score_95": 60.0,
                        "interval_score_ratio": ratio,
                        "interval_score_ratio_low": None if model == "random_walk" else ratio - spread * 0.2,
                        "interval_score_ratio_high": None if model == "random_walk" else ratio + spread * 0.2,
                        "crps": 8.0, "crps_ratio": 0.997 if model != "random_walk" else 1.0,
                        "crps_ratio_low": None if model == "random_walk" else 0.99,
                        "crps_ratio_high": None if model == "random_walk" else 1.004,
                        "width_95": 55.0, "rmse": 12.0, "mae": 9.0, "mape": 1.0, "theil_u": 1.0,
                        "bias": 1.2, "bias_low": -2.0, "bias_high": 4.0, "bias_sigma": 0.06,
                        "bias_sigma_low": 0.06 - 2 / np.sqrt(effective),
                        "bias_sigma_high": 0.06 + 2 / np.sqrt(effective),
                        "coverage_state": "good" if known else "unknown", "bias_state": "good" if known else "unknown",
                        "coverage_state_classic": "good" if c95 >= 0.9 else "bad", "bias_state_classic": "good",
                        "status": "GOOD", "status_classic": "GOOD", "degradation_detected": False,
                        "recommendation": "Nothing to do: no alarm fires on the forecasts that have matured.",
                    }
                )  # fmt: skip
    return rows


def _source_rows() -> list[dict[str, Any]]:
    asked = pd.Timestamp("2025-06-13 22:31", tz="UTC")
    rows = []
    plans: dict[str, list[tuple[str, str, int, str | None]]] = {
        "usdclp_fixing": [
            ("siete", "not_configured", 0, "BCCH_USER and BCCH_PASS are not set"),
            ("mindicador", "failed", 0, "connection refused after 3 attempts"),
            ("folder", "not_configured", 0, "FOREX_DATA_DIR is not set"),
            ("embedded", "answered", 6343, None),
        ],
        "tpm": [
            ("siete", "not_configured", 0, "BCCH_USER and BCCH_PASS are not set"),
            ("embedded", "answered", 6343, None),
        ],
        "copper_lme": [("mindicador", "answered", 21, None), ("embedded", "answered", 609, None)],
        "wti": [("folder", "not_needed", 0, None), ("embedded", "answered", 9933, None)],
        "vix": [("folder", "not_configured", 0, "FOREX_DATA_DIR is not set")],
    }
    for series, chain in plans.items():
        for rank, (source, state, count, reason) in enumerate(chain, start=1):
            answered = state == "answered"
            rows.append(
                {
                    "pair": "usdclp", "series": series, "rank": rank, "source": source, "state": state, "rows": count,
                    "first_event": pd.Timestamp("2000-01-03") if answered else pd.NaT,
                    "last_event": pd.Timestamp("2025-06-13") if answered else pd.NaT,
                    "reason": reason, "asked_at": asked,
                }
            )  # fmt: skip
    return rows


def _driver_rows(as_of: pd.Timestamp) -> list[dict[str, Any]]:
    facts: list[tuple[str, float | None, str, int, str, tuple[float, float, float], str, str | None]] = [
        ("tpm", 5.0, "percent per year", 0, "diff", (0.0, 0.0, 0.0), "fresh", None),
        ("uf", 39189.45, "CLP", 0, "log", (0.0002, 0.0011, 0.0038), "fresh", None),
        ("ipc_yoy", 4.4, "percent", 43, "diff", (-0.1, -0.5, 0.2), "fresh", None),
        ("copper_lme", 4.41, "USD per lb", 1, "log", (0.0068, -0.012, 0.031), "fresh", None),
        (
            "wti",
            66.41,
            "USD per barrel",
            14,
            "diff",
            (1.2, 3.1, 4.05),
            "stale",
            "newest value is 14 days old, 12 allowed",
        ),
        ("vix", None, "index", 0, "log", (0, 0, 0), "missing", "no source answered"),
        ("dxy", None, "index", 0, "log", (0, 0, 0), "missing", "no source answered"),
    ]
    rows = []
    for series, value, unit, age, kind, changes, state, note in facts:
        known = value is not None
        event = as_of - pd.Timedelta(days=age)
        rows.append(
            {
                "pair": "usdclp", "as_of": as_of, "series": series, "event_date": event if known else pd.NaT,
                "available_at": _instant(event) if known else pd.NaT, "value": value, "unit": unit,
                "source": "embedded" if known else None, "age_days": age if known else None, "change_kind": kind,
                "change_1": changes[0] if known else None, "change_5": changes[1] if known else None,
                "change_20": changes[2] if known else None, "state": state, "note": note,
            }
        )  # fmt: skip
    return rows


def _quarantine_rows() -> list[dict[str, Any]]:
    facts = [
        ("copper_lme", "2025-05-21", 44.12, "range", "44.12 is outside 0.5 to 12"),
        ("usdclp_fixing", "2025-04-08", 9.98, "unit", "100 times below its neighbours"),
        ("usdclp_fixing", "2025-08-20", 1.0, "future", "known only after this report"),
    ]
    return [
        {
            "pair": "usdclp", "series": series, "event_time": pd.Timestamp(date, tz="UTC"),
            "available_at": _instant(pd.Timestamp(date)), "value": value, "open": None, "high": None, "low": None,
            "unit": "CLP per USD", "source": "mindicador", "retrieved_at": pd.Timestamp("2025-06-13 22:31", tz="UTC"),
            "payload_hash": "ab" * 32, "withdrawn_at": _instant(pd.Timestamp(date)), "rule": rule, "reason": reason,
        }
        for series, date, value, rule, reason in facts
    ]  # fmt: skip


def _calibration_rows() -> list[dict[str, Any]]:
    return [
        {
            "pair": "usdclp", "horizon": days, "model": "champion_zero", "valid_from": pd.Timestamp("2025-01-02"),
            "scope": "pair", "condition": "all", "used": True, "reason": "always used",
            "learned_through": pd.Timestamp("2024-12-30"), "n": 4980, "n_effective": 4980 / (0.7 * days),
            "factor_lower": 1.02, "factor_upper": 1.09, "coverage_80_before": 0.782, "coverage_80_after": 0.801,
            "coverage_95_before": 0.931, "coverage_95_after": 0.949, "tail_low_before": 0.03, "tail_low_after": 0.025,
            "tail_high_before": 0.039, "tail_high_after": 0.026,
        }
        for days in HORIZONS.values()
    ]  # fmt: skip


def table(spec: Table, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame of the table, with provenance where it has any."""
    if not rows:
        return spec.empty()
    provenance = {name: HASHES[name] for name in HASHES if name in spec.column_names}
    return spec.conform(pd.DataFrame(rows).assign(**provenance))


def pair_spec() -> PairSpec:
    return load_settings(environ={}).pairs["usdclp"]


@lru_cache(maxsize=1)
def _make() -> ReportInputs:
    prices = _prices()
    as_of = pd.Timestamp(AS_OF)
    settings = load_settings(environ={})
    forecast: list[dict[str, Any]] = []
    for date in prices[:as_of].index[-60:]:
        for days in HORIZONS.values():
            forecast += _forecast_rows(prices, date, days, every_step=date == as_of)
    evaluation = table(
        schemas.EVALUATION, [row for days in HORIZONS.values() for row in _evaluation_rows(prices, as_of, days)]
    )
    known = prices[:as_of]
    bars = pd.DataFrame(
        {
            "pair": "usdclp", "as_of": as_of, "event_date": known.index,
            "available_at": [_instant(date - pd.offsets.BDay(1)) for date in known.index],
            "open": np.nan, "high": np.nan, "low": np.nan, "value": known.to_numpy(), "source": "embedded",
            "withdrawn_at": pd.NaT, "withdrawn_rule": None,
        }
    )  # fmt: skip
    return ReportInputs(
        pair=settings.pairs["usdclp"],
        as_of=AS_OF,
        horizons=HORIZONS,
        generated_at=dt.datetime(2025, 6, 13, 22, 45, tzinfo=dt.UTC),
        series=settings.series,
        **HASHES,
        bars=schemas.BARS.conform(bars.assign(**HASHES)[list(schemas.BARS.column_names)]),
        forecast=table(schemas.FORECAST, forecast),
        evaluation=evaluation,
        performance=table(schemas.PERFORMANCE_REPORT, _performance_rows(evaluation, as_of)),
        drivers=table(schemas.DRIVERS, _driver_rows(as_of)),
        source_status=table(schemas.SOURCE_STATUS, _source_rows()),
        quarantine=table(schemas.QUARANTINE, _quarantine_rows()),
        calibration=table(schemas.INTERVAL_CALIBRATION, _calibration_rows()),
    )


def make_inputs(**changes: Any) -> ReportInputs:
    """Return the inputs of a complete report, with ``changes``."""
    return replace(_make(), **changes)


def with_bad(inputs: ReportInputs, days: int, part: str = "coverage") -> ReportInputs:
    """Return inputs in which the deployed model's ``part`` is bad at one horizon over one year."""
    rows = inputs.performance.copy()
    hit = (rows["horizon"] == days) & (rows["window"] == "backtest_1y") & rows["is_active"]
    rows.loc[hit, f"{part}_state"] = "bad"
    if part == "coverage":
        rows.loc[hit, ["coverage_95", "coverage_95_low", "coverage_95_high"]] = [0.82, 0.76, 0.87]
    else:
        rows.loc[hit, ["bias_sigma", "bias_sigma_low", "bias_sigma_high"]] = [0.62, 0.31, 0.93]
    return replace(inputs, performance=rows)
