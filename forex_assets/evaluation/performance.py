"""Scores by window of maturity dates, every model beside the random walk on the same targets, with verdicts.

A window holds the forecasts whose outcomes became known in it, never those issued in it: a window of recent issues has
no matured 90d forecast and would call any of them fine (spec J04).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.evaluation.inference import (
    MIN_EFFECTIVE_FOR_RATIO,
    Interval,
    mean_interval,
    ratio_intervals,
    share_interval,
)
from forex_assets.evaluation.outcomes import DateLike, as_dates, last_complete_day
from forex_assets.evaluation.overlap import effective_n, overlap_rows
from forex_assets.evaluation.scores import score_rows
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import PERFORMANCE_REPORT, PROVENANCE
from forex_assets.settings import BiasBand, ClassicProfile, CoverageBand, RecommendedProfile

State = Literal["good", "bad", "unknown"]

BENCHMARK = "random_walk"
LIVE_WINDOW = "live_60"
LIVE_FORECASTS = 60
#: Window name → years of maturities before as_of; None: all of them.
BACKTEST_WINDOWS: Mapping[str, int | None] = {"backtest_1y": 1, "backtest_5y": 5, "backtest_all": None}
WINDOWS = (LIVE_WINDOW, *BACKTEST_WINDOWS)

#: A 95% interval is missed once in twenty independent forecasts; fewer of them may hold no miss at all, and then the
#: interval score of a model that is too narrow looks better than that of a right one, with no spread to warn of it.
MIN_EFFECTIVE_FOR_INTERVAL_SCORE = 20.0

#: The columns :func:`performance_report` returns: PERFORMANCE_REPORT without those the caller stamps.
REPORT_COLUMNS = [name for name in PERFORMANCE_REPORT.column_names if name not in PROVENANCE]
#: Until the monitor has judged a model (:func:`forex_assets.performance_view.with_status`), nothing is known of it.
UNJUDGED: Mapping[str, Any] = {
    "status": "UNKNOWN",
    "status_classic": "UNKNOWN",
    "degradation_detected": False,
    "recommendation": "No verdict: the performance monitor has not judged this model.",
}
_ROWS = [
    *("pair", "horizon", "as_of", "target_date", "matured_on", "model", "actual", "error", "error_sigma", "crps"),
    *("interval_score_95", "covered_80", "covered_95", "below_95", "above_95", "width_95"),
]


def performance_report(
    evaluation: pd.DataFrame,
    backtest: pd.DataFrame,
    *,
    as_of: DateLike,
    recommended: RecommendedProfile,
    classic: ClassicProfile,
    active_model: str,
) -> pd.DataFrame:
    """Return one row per horizon, window and model.

    Parameters
    ----------
    evaluation:
        EVALUATION rows of this platform's own forecasts; may be empty.
    backtest:
        BACKTEST rows; those without an outcome at ``as_of`` are left out.
    as_of:
        Nothing that matured after this date is used.
    recommended, classic:
        The profiles whose verdicts are given side by side.
    active_model:
        The model the pair deploys.

    Returns
    -------
    DataFrame
        PERFORMANCE_REPORT rows without the provenance columns. A window without a matured forecast has ``n`` 0, empty
        scores and the verdict unknown.
    """
    day = pd.Timestamp(last_complete_day(as_of))
    live = evaluation.loc[evaluation["matured_on"] <= day, _ROWS]
    past = _scored_backtest(backtest.loc[backtest["matured_on"] <= day])
    subjects = pd.concat([frame[["pair", "horizon", "model"]] for frame in (evaluation, backtest)]).drop_duplicates()
    rows: list[dict[str, Any]] = []
    for pair, horizon in sorted(set(zip(subjects["pair"], subjects["horizon"], strict=True))):
        names = sorted(_of(subjects, pair, horizon)["model"], key=lambda name: (name != BENCHMARK, name))
        common = {"pair": pair, "horizon": horizon, "as_of": day}
        for window, frame in _windows(_of(live, pair, horizon), _of(past, pair, horizon), day):
            rows.extend(
                common | {"window": window, "is_active": summary["model"] == active_model} | summary
                for summary in _summaries(frame, names, recommended, classic)
            )
    return pd.DataFrame(rows, columns=REPORT_COLUMNS) if rows else PERFORMANCE_REPORT.empty()[REPORT_COLUMNS]


def coverage_state(coverage: Interval, n_effective: float, band: CoverageBand, min_effective_n: float) -> State:
    """Return the verdict on a coverage: see :func:`_state`; the band is two-sided, too wide is wrong too."""
    return _state(coverage, n_effective, band.band_low_share, band.band_high_share, min_effective_n)


def bias_state(bias_sigma: Interval, n_effective: float, band: BiasBand, min_effective_n: float) -> State:
    """Return the verdict on a bias in sigma units: see :func:`_state`."""
    return _state(bias_sigma, n_effective, -band.band_abs_sigma, band.band_abs_sigma, min_effective_n)


def classic_coverage_state(coverage: float, classic: ClassicProfile) -> State:
    """Return the classic verdict (A17): good from ``min_share`` on, whatever the evidence; unknown without any."""
    if math.isnan(coverage):
        return "unknown"
    return "good" if coverage >= classic.coverage.min_share else "bad"


def classic_bias_state(bias: float, classic: ClassicProfile) -> State:
    """Return the classic verdict (A18): good below the fixed limit, whatever the evidence; unknown without any."""
    if math.isnan(bias):
        return "unknown"
    return "good" if abs(bias) < classic.bias.max_abs_quote_units else "bad"


def _state(estimate: Interval, n_effective: float, low: float, high: float, min_effective_n: float) -> State:
    """Return bad, good or unknown.

    Bad: the interval lies wholly outside the band. Good: the estimate lies inside the band and rests on enough
    independent forecasts. Unknown: anything else, which is where the evidence cannot tell.
    """
    if estimate.high < low or estimate.low > high:
        return "bad"
    if n_effective >= min_effective_n and low <= estimate.value <= high:
        return "good"
    return "unknown"


def _of(frame: pd.DataFrame, pair: str, horizon: int) -> pd.DataFrame:
    return frame.loc[(frame["pair"] == pair) & (frame["horizon"] == horizon)]


def _windows(live: pd.DataFrame, past: pd.DataFrame, as_of: pd.Timestamp) -> Iterable[tuple[str, pd.DataFrame]]:
    origins = live[["as_of", "matured_on"]].drop_duplicates().sort_values(["matured_on", "as_of"])
    yield LIVE_WINDOW, live.loc[live["as_of"].isin(origins["as_of"].tail(LIVE_FORECASTS))]
    for name, years in BACKTEST_WINDOWS.items():
        yield name, past if years is None else past.loc[past["matured_on"] > as_of - pd.DateOffset(years=years)]


def _scored_backtest(backtest: pd.DataFrame) -> pd.DataFrame:
    rows = backtest.loc[backtest["actual"].notna()]
    scores = score_rows(
        rows["mean"].to_numpy(dtype=np.float64),
        rows[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64),
        rows["actual"].to_numpy(dtype=np.float64),
    )
    return rows.assign(**scores)[_ROWS]


def _summaries(
    frame: pd.DataFrame, models: list[str], recommended: RecommendedProfile, classic: ClassicProfile
) -> Iterable[dict[str, Any]]:
    ordered = frame.sort_values("as_of", kind="stable")
    by_model = {str(name): rows for name, rows in ordered.groupby("model", sort=False)}
    ratios = _ratios(by_model)
    for model in models:
        rows = by_model.get(model)
        if rows is None or rows.empty:
            yield _empty_summary(model)
        else:
            yield _summary(model, rows, recommended, classic) | ratios[model]


def _steps(rows: pd.DataFrame) -> int:
    """Return the business days one error spans, counted on weekdays: an upper bound on the pair's own calendar."""
    return int(max(1, np.busday_count(as_dates(rows["as_of"]), as_dates(rows["target_date"])).max()))


def _summary(
    model: str, rows: pd.DataFrame, recommended: RecommendedProfile, classic: ClassicProfile
) -> dict[str, Any]:
    origins = as_dates(rows["as_of"])
    steps = _steps(rows)
    n_effective = effective_n(len(rows), overlap_rows(origins, steps))
    error = rows["error"].to_numpy(dtype=np.float64)
    coverage_80 = share_interval(rows["covered_80"].to_numpy(), steps, origins)
    coverage_95 = share_interval(rows["covered_95"].to_numpy(), steps, origins)
    bias = mean_interval(error, origins, steps)
    bias_sigma = mean_interval(rows["error_sigma"].to_numpy(dtype=np.float64), origins, steps)
    return {
        "window_start": rows["matured_on"].min(),
        "window_end": rows["matured_on"].max(),
        "model": model,
        "n": len(rows),
        "n_effective": n_effective,
        **_spread("coverage_80", coverage_80),
        **_spread("coverage_95", coverage_95),
        "tail_low_95": float(rows["below_95"].mean()),
        "tail_high_95": float(rows["above_95"].mean()),
        "interval_score_95": float(rows["interval_score_95"].mean()),
        "crps": float(rows["crps"].mean()),
        "width_95": float(rows["width_95"].mean()),
        "rmse": math.sqrt(float(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "mape": 100.0 * float(np.mean(np.abs(error) / rows["actual"].abs())),
        **_spread("bias", bias),
        **_spread("bias_sigma", bias_sigma),
        "coverage_state": coverage_state(coverage_95, n_effective, recommended.coverage, recommended.min_effective_n),
        "bias_state": bias_state(bias_sigma, n_effective, recommended.bias, recommended.min_effective_n),
        "coverage_state_classic": classic_coverage_state(coverage_95.value, classic),
        "bias_state_classic": classic_bias_state(bias.value, classic),
        **UNJUDGED,
    }


def _empty_summary(model: str) -> dict[str, Any]:
    states = ("coverage_state", "bias_state", "coverage_state_classic", "bias_state_classic")
    empty: dict[str, Any] = dict.fromkeys(REPORT_COLUMNS, math.nan)
    for name in ("pair", "horizon", "as_of", "window", "is_active"):
        del empty[name]
    return (
        empty
        | dict.fromkeys(states, "unknown")
        | dict(UNJUDGED)
        | {
            "window_start": pd.NaT,
            "window_end": pd.NaT,
            "model": model,
            "n": 0,
            "n_effective": 0.0,
        }
    )


def _ratios(by_model: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Return, per model, the ratios to the random walk over the origins both have; models with the same share draws."""
    nothing = {name: math.nan for part in ("interval_score_ratio", "crps_ratio") for name in _names(part)}
    out = {model: nothing | {"theil_u": math.nan} for model in by_model}
    benchmark = by_model.get(BENCHMARK)
    if benchmark is None or benchmark.empty:
        return out
    groups: dict[bytes, list[str]] = {}
    origins_of: dict[bytes, npt.NDArray[np.datetime64]] = {}
    for model, rows in by_model.items():
        common = np.intersect1d(as_dates(rows["as_of"]), as_dates(benchmark["as_of"]))
        if len(common):
            groups.setdefault(common.tobytes(), []).append(model)
            origins_of[common.tobytes()] = common
    for key, models in groups.items():
        origins = origins_of[key]
        yardstick = _at(benchmark, origins)
        frames = [_at(by_model[model], origins) for model in models]
        columns = ["interval_score_95", "crps"]
        losses = np.concatenate([frame[columns].to_numpy(dtype=np.float64) for frame in frames], axis=1)
        reference = np.tile(yardstick[columns].to_numpy(dtype=np.float64), len(models))
        enough = np.tile([MIN_EFFECTIVE_FOR_INTERVAL_SCORE, MIN_EFFECTIVE_FOR_RATIO], len(models))
        found = ratio_intervals(losses, reference, origins, _steps(yardstick), min_effective_n=enough)
        yardstick_mse = float(np.mean(yardstick["error"] ** 2))
        for place, (model, frame) in enumerate(zip(models, frames, strict=True)):
            mse = float(np.mean(frame["error"] ** 2))
            out[model] = {
                **_spread("interval_score_ratio", found[2 * place]),
                **_spread("crps_ratio", found[2 * place + 1]),
                "theil_u": math.sqrt(mse / yardstick_mse) if yardstick_mse > 0 else math.nan,
            }
    return out


def _at(rows: pd.DataFrame, origins: npt.NDArray[np.datetime64]) -> pd.DataFrame:
    return rows.loc[np.isin(as_dates(rows["as_of"]), origins)]


def _names(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _spread(name: str, interval: Interval) -> dict[str, float]:
    return dict(zip(_names(name), interval[:3], strict=True))
