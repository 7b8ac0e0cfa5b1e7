"""From a pair's real history to its calibration. Synthetic or untraceable input is refused."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.clock import as_of_instants
from forex_assets.clock.bcch import meetings
from forex_assets.errors import DataError
from forex_assets.monitoring.calibration import estimates
from forex_assets.monitoring.observed import Known
from forex_assets.monitoring.regimes.classic import volatility_signals
from forex_assets.monitoring.regimes.paths import copper_path, session_returns
from forex_assets.monitoring.statespace import long_sigma
from forex_assets.settings.calibration import (
    Calibration,
    CopperCorrelation,
    DriftDetection,
    Forecasting,
    MeetingEffect,
    Metadata,
    PerformanceMonitoring,
    PriceShocks,
    Quantity,
    RegimeDetection,
    Volatility,
)
from forex_assets.settings.watching import CalibrationSettings

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.settings import PairSpec, Settings

WEEK, MONTH, QUARTER = 5, 21, 63
_ROLLING = 60
_COVERAGE_HALF_WIDTH = 0.05
#: Days on which the classic volatility z-score may call the market loud, and extreme.
_HIGH_SHARE, _EXTREME_SHARE = 0.05, 0.01


def require_real(observations: pd.DataFrame, pair: PairSpec, series: str, policy: CalibrationSettings) -> list[str]:
    """Return the sources of a series, all of them real and traceable.

    Raises
    ------
    DataError
        When a row comes from a simulation, from a source that the pair does not declare, or without the hash of the
        payload it was read from.
    """
    rows = observations.loc[observations["series"] == series]
    sources = sorted(map(str, rows["source"].unique()))
    made_up = [name for name in sources if any(word in name.lower() for word in policy.synthetic_sources)]
    strangers = [name for name in sources if name not in pair.chains.get(series, [])]
    if made_up or strangers:
        raise DataError(
            f"{series} holds rows of {', '.join(made_up or strangers)}, "
            + ("which are synthetic" if made_up else f"no declared source of {pair.id}")
            + "; thresholds are set from real history only.",
            remedy="calibrate on observations ingested from the pair's sources.",
        )
    hashes = rows["payload_hash"].fillna("").astype(str)
    if (hashes.str.len() < 8).any():
        raise DataError(
            f"{int((hashes.str.len() < 8).sum())} rows of {series} carry no hash of the payload they came from.",
            remedy="ingest them again (`forex run`), so that every number can be traced.",
        )
    return sources


def analyse(
    price: Known,
    copper: Known | None,
    *,
    settings: Settings,
    pair: PairSpec,
    policy: CalibrationSettings,
    as_of: dt.date,
    sources: list[str],
    code_version: str,
) -> Calibration:
    """Return the calibration of a pair from what was known at the end of ``as_of``.

    Raises
    ------
    DataError
        When there are too few values, or they do not move.
    """
    if len(price) < policy.min_observations:
        raise DataError(
            f"{pair.id} has {len(price)} values by {as_of}; a calibration needs {policy.min_observations}.",
            remedy="give a longer history (docs/data-sources.md), or choose a later --as-of.",
        )
    returns = session_returns(price)
    if not (returns != 0).mean() > 0.5:
        raise DataError(
            f"{pair.id} moved on {(returns != 0).mean():.0%} of its days; nothing can be calibrated on a flat series.",
            remedy="see `forex status` and docs/data-quality.md.",
        )
    logs, shocks = np.log(price.values), settings.recommended.shocks
    sigma = long_sigma(returns, half_life=shocks.half_life_obs, warmup=shocks.warmup_obs, clip=shocks.clip_sigma)
    z = (returns / sigma)[shocks.warmup_obs :]
    options = {"draws": policy.bootstrap_draws, "seed": policy.seed}
    season = estimates.seasonality(
        price.dates[1:], returns, alpha=policy.seasonal_alpha, min_years=policy.min_years_per_month
    )
    link = _copper(price, copper, settings, policy) if copper is not None else None
    return Calibration(
        schema_version=1,
        metadata=Metadata(
            calibration_date=as_of,
            pair=pair.id,
            currency_pair=f"{pair.base}/{pair.quote}",
            data_source=sources,
            series=price.name,
            first_date=price.dates[0].item(),
            last_date=min(price.dates[-1].item(), as_of),
            n=len(price),
            input_hash=price.hash if copper is None else f"{price.hash}+{copper.hash}",
            code_version=code_version,
            notes=_notes(copper, season),
        ),
        volatility=Volatility(
            daily_std=estimates.span_std(logs, 1, "log", **options),
            weekly_std=estimates.span_std(logs, WEEK, "log", **options),
            monthly_std=estimates.span_std(logs, MONTH, "log", **options),
            quarterly_std=estimates.span_std(logs, QUARTER, "log", **options),
            high_vol_months=season.high,
            low_vol_months=season.low,
            ranked_months=season.ranked,
            month_tests=season.tests,
        ),
        copper_correlation=link[0] if link else None,
        drift_detection=_drift(),
        regime_detection=_regimes(price, link, settings),
        price_shocks=_price_shocks(logs, sigma, policy),
        performance_monitoring=_performance(logs),
        forecasting=_forecasting(z, settings),
        bcch_meetings=_meetings(price, z, as_of, policy) if "CL" in pair.calendars else None,
    )


def _notes(copper: Known | None, season: estimates.Seasonality) -> list[str]:
    notes = []
    if copper is None:
        notes.append("No copper series: the link is not calibrated.")
    if not season.high and not season.low:
        notes.append("No month's volatility stands out once twelve tests are allowed for; the ranking is chance.")
    notes.append("Quantities with n = 0 are the classic profile's numbers, carried over and not measured.")
    return notes


def _copper(
    price: Known, copper: Known, settings: Settings, policy: CalibrationSettings
) -> tuple[CopperCorrelation, Quantity, Quantity] | None:
    rules = settings.recommended.regimes.copper
    common, here, there = np.intersect1d(price.dates, copper.dates, assume_unique=True, return_indices=True)
    if min(len(common), len(copper)) < policy.min_copper_observations:
        return None
    x, y = np.diff(np.log(price.values[here])), np.diff(np.log(copper.values[there]))
    expected, p = estimates.correlation(x, y, draws=policy.bootstrap_draws, seed=policy.seed)
    windows = len(x) // _ROLLING
    rolling = np.array([np.corrcoef(x[i * _ROLLING : (i + 1) * _ROLLING], y[i * _ROLLING : (i + 1) * _ROLLING])[0, 1]
                        for i in range(windows)])  # fmt: skip
    std = float(rolling.std(ddof=1))
    half = 1.96 * std / math.sqrt(2 * (windows - 1))
    spread = Quantity(value=std, unit="correlation", low=max(std - half, 0.0), high=std + half, n=windows,
                      n_effective=float(windows))  # fmt: skip
    limit = Quantity(value=2 * std, unit="correlation", low=2 * max(std - half, 0.0), high=min(2 * (std + half), 1.0),
                     n=windows, n_effective=float(windows))  # fmt: skip
    path = copper_path(price, copper, rules)
    seen = np.isfinite(path.z)
    sigma = estimates.size_exceeded(np.abs(path.z[seen]), policy.copper_shock_per_year, "sigma")
    share = estimates.size_exceeded(np.abs(np.expm1(path.change[seen])), policy.copper_shock_per_year, "share")
    return (
        CopperCorrelation(series=copper.name, expected=expected, std=spread, break_threshold=limit, p_value_negative=p),
        sigma,
        share,
    )


def _regimes(
    price: Known, link: tuple[CopperCorrelation, Quantity, Quantity] | None, settings: Settings
) -> RegimeDetection:
    scores, _ = volatility_signals(price.values, settings.classic.regimes)
    scores = scores[np.isfinite(scores)]
    return RegimeDetection(
        copper_shock_threshold=link[2] if link else None,
        copper_shock_sigma=link[1] if link else None,
        high_vol_zscore=estimates.size_exceeded(scores, _HIGH_SHARE * 250, "sigma"),
        extreme_vol_zscore=estimates.size_exceeded(scores, _EXTREME_SHARE * 250, "sigma"),
        lookback_days=settings.classic.regimes.lookback_obs,
    )


def _price_shocks(
    logs: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    sigma: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    policy: CalibrationSettings,
) -> PriceShocks:
    sizes = {}
    for span in (1, 3):
        before = sigma[: len(logs) - span]
        move = np.abs(logs[span:] - logs[:-span]) / (before * math.sqrt(span))
        sizes[span] = move[np.isfinite(move)]
    return PriceShocks(
        price_day_medium=estimates.size_exceeded(sizes[1], policy.medium_per_year, "sigma"),
        price_day_critical=estimates.size_exceeded(sizes[1], policy.critical_per_year, "sigma"),
        price_3day_medium=estimates.size_exceeded(sizes[3], policy.medium_per_year, "sigma"),
    )


def _drift() -> DriftDetection:
    return DriftDetection(
        ks_test_pvalue=Quantity(value=0.05, unit="probability"),
        medium_drift_score_threshold=Quantity(value=40.0, unit="score"),
        high_drift_score_threshold=Quantity(value=60.0, unit="score"),
        check_window_days=14,
        baseline_window_days=90,
    )


def _performance(logs: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> PerformanceMonitoring:
    windows = {"steps": WEEK, "recent": 14, "baseline": 60}
    return PerformanceMonitoring(
        rmse_degradation_threshold=estimates.loss_ratio(logs, **windows, share=0.95, power=2),
        mape_degradation_threshold=estimates.loss_ratio(logs, **windows, share=0.95, power=1),
        baseline_days=60,
        recent_days=14,
        significance_level=Quantity(value=0.05, unit="probability"),
    )


def _forecasting(z: np.ndarray[tuple[int, ...], np.dtype[np.float64]], settings: Settings) -> Forecasting:
    nominal = settings.recommended.coverage.level_nominal_share
    return Forecasting(
        ci80_target_coverage=Quantity(value=0.80, unit="share"),
        ci95_target_coverage=Quantity(value=nominal, unit="share"),
        t_distribution_df=estimates.t_freedom(z),
        min_validation_samples=math.ceil(1.96**2 * nominal * (1 - nominal) / _COVERAGE_HALF_WIDTH**2),
    )


def _meetings(
    price: Known,
    z: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    as_of: dt.date,
    policy: CalibrationSettings,
) -> MeetingEffect | None:
    table = meetings()
    last = as_of_instants(np.array([as_of], dtype="datetime64[D]"))[0]
    announced_at = table["announced_at"].dt.tz_convert(None).to_numpy().astype("datetime64[us]")
    held = table.loc[announced_at <= last]
    dates = price.dates[len(price) - len(z) :]
    sizes = np.abs(z)
    span = (dates >= held["announcement_date"].min().to_datetime64().astype("datetime64[D]")) if len(held) else None
    if span is None:
        return None
    reaction = np.isin(dates, held["reaction_date"].to_numpy().astype("datetime64[D]")) & span
    announcement = np.isin(dates, held["announcement_date"].to_numpy().astype("datetime64[D]")) & span & ~reaction
    other = span & ~reaction & ~announcement
    if reaction.sum() < 10 or other.sum() < 100:
        return None
    effect, p = estimates.ratio_of_means(sizes[reaction], sizes[other], draws=policy.bootstrap_draws, seed=policy.seed)
    before, _ = estimates.ratio_of_means(
        sizes[announcement], sizes[other], draws=policy.bootstrap_draws, seed=policy.seed
    )
    return MeetingEffect(reaction_ratio=effect, announcement_ratio=before, p_value=p)
