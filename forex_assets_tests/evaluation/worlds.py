"""Planted-truth worlds: a driftless walk, its true predictive quantiles, and frames as the other rooms make them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for, target_dates
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS

_UPPER = [0.253347103, 0.524400513, 0.841621234, 1.281551566, 1.644853627, 1.959963985]
#: Normal quantiles at the stored levels.
Z = np.array([*(-z for z in reversed(_UPPER)), 0.0, *_UPPER])
assert len(Z) == len(QUANTILE_LEVELS)


def walk(days: int, *, seed: int, sigma: float = 5.4, start: str = "2005-01-03") -> tuple[np.ndarray, np.ndarray]:
    """Business dates of Chile and a driftless Gaussian walk around 900 (``sigma`` per day)."""
    first = np.datetime64(start, "D")
    dates = calendar_for("CL").sessions(first, first + np.timedelta64(int(days * 1.6) + 40, "D"))[:days]
    values = 900.0 + np.cumsum(np.random.default_rng(seed).normal(0.0, sigma, days))
    return dates, values


def bars(dates: np.ndarray, values: np.ndarray, as_of: str | None = None) -> pd.DataFrame:
    """A BARS snapshot whose values are known at 21:00 UTC of their date."""
    event = pd.to_datetime(dates.astype("datetime64[ns]"))
    return pd.DataFrame(
        {
            "pair": "usdclp",
            "as_of": pd.Timestamp(as_of) if as_of else event.max(),
            "event_date": event,
            "available_at": event.tz_localize("UTC") + pd.Timedelta(hours=21),
            "open": np.nan,
            "high": np.nan,
            "low": np.nan,
            "value": values,
            "source": "planted",
            "withdrawn_at": pd.Series(pd.NaT, index=range(len(event)), dtype="datetime64[ns, UTC]"),
            "withdrawn_rule": None,
        }
    )


def backtest(
    dates: np.ndarray,
    values: np.ndarray,
    horizon: int,
    *,
    models: dict[str, tuple[float, float]] | None = None,
    sigma: float = 5.4,
) -> pd.DataFrame:
    """BACKTEST rows of models given as (width factor, shift in own sigma); ``random_walk`` is the truth."""
    models = models or {"random_walk": (1.0, 0.0)}
    targets = target_dates(dates, horizon, calendar_for("CL"))
    place = np.searchsorted(dates, targets)
    known = place < len(dates)
    known[known] &= dates[place[known]] == targets[known]
    steps = np.where(known, place - np.arange(len(dates)), 1)
    actual = np.where(known, values[np.minimum(place, len(dates) - 1)], np.nan)
    frames = []
    for model, (width, shift) in models.items():
        spread = sigma * np.sqrt(steps) * width
        mean = values + shift * spread
        frame = pd.DataFrame(
            {
                "pair": "usdclp",
                "horizon": horizon,
                "as_of": dates.astype("datetime64[ns]"),
                "target_date": targets.astype("datetime64[ns]"),
                "model": model,
                "steps": steps,
                "last_value": values,
                "last_event_date": dates.astype("datetime64[ns]"),
                "mean": mean,
            }
        )
        frame[list(QUANTILE_COLUMNS)] = mean[:, None] + spread[:, None] * Z
        frame["actual"] = actual
        frame["matured_on"] = frame["target_date"].where(known)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def forecast(rows: pd.DataFrame, active: str = "random_walk") -> pd.DataFrame:
    """FORECAST target rows from BACKTEST rows."""
    out = rows.drop(columns=["actual", "matured_on", "steps"]).assign(
        step=rows["steps"],
        step_date=rows["target_date"],
        is_target=True,
        is_active=rows["model"] == active,
        calibrated_from=pd.NaT,
        regime=None,
        regime_lower=1.0,
        regime_upper=1.0,
        reconstructed=False,
        carried_by=None,
        left_out=None,
        degraded=False,
    )
    return out
