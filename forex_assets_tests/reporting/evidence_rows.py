"""Evidence of a planted backtest as a report gets it: a narrow random walk and a deployed model a little wide."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.evaluation.compare import compare_models, reliability
from forex_assets.evaluation.grid import score_grid
from forex_assets.evaluation.slices import KnownSeries, calendar_labels, performance_slices, volatility_regimes
from forex_assets_tests.evaluation.worlds import backtest, walk

HASHES = {"config_hash": "c0ffee0123456789", "data_hash": "feedbeef01234567", "code_version": "0.3.0+deadbeef"}
MODELS = {"random_walk": (0.9, 0.0), "champion_zero": (1.05, 0.0), "rw_empirical": (1.0, 0.1)}


@lru_cache(maxsize=1)
def evidence(horizons: tuple[int, ...] = (7, 15, 30, 90), *, as_of: str = "2025-06-13") -> dict[str, pd.DataFrame]:
    """Return the tables comparison, reliability and slices of all horizons."""
    dates, values = walk(2_600, seed=9, start="2015-01-02")
    shared: dict[str, Any] = {"as_of": np.datetime64(as_of, "D"), "active_model": "champion_zero"}
    parts: dict[str, list[pd.DataFrame]] = {"comparison": [], "reliability": [], "slices": []}
    prices = KnownSeries(dates, dates.astype("datetime64[us]"), values)
    for days in horizons:
        grid = score_grid(backtest(dates, values, days, models=MODELS), as_of=shared["as_of"])
        labels = calendar_labels(grid)
        labels["regime"] = volatility_regimes(prices, grid.origins.astype("datetime64[us]"))
        parts["comparison"].append(compare_models(grid, **shared))
        parts["reliability"].append(reliability(grid, **shared))
        parts["slices"].append(performance_slices(grid, labels, **shared))
    tables = (schemas.MODEL_COMPARISON, schemas.RELIABILITY, schemas.PERFORMANCE_SLICES)
    return {
        name: table.conform(pd.concat(frames, ignore_index=True).assign(**HASHES))
        for (name, frames), table in zip(parts.items(), tables, strict=True)
    }
