"""Matured forecasts with a planted truth, for the tests of the monitors."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.monitoring.alarms import frames_of
from forex_assets.monitoring.frames import Frames, Scored
from forex_assets.settings import Settings, load_settings
from forex_assets.simulation.nulls import NullPath, matured_forecasts, null_paths


@functools.cache
def settings() -> Settings:
    """The packaged settings."""
    return load_settings(environ={"FOREX_HOME": "/nowhere"})


@functools.cache
def path(null: str = "walk_t5", years: int = 8, seed: int = 3) -> NullPath:
    """One path of a null world."""
    return next(iter(null_paths(null, years=years, paths=1, seed=seed)))


@functools.cache
def matured(null: str = "walk_t5", years: int = 8, seed: int = 3) -> dict[str, pd.DataFrame]:
    """Its forecasts by horizon, scored."""
    return matured_forecasts(path(null, years, seed), settings().horizons, "champion_zero")


@functools.cache
def quiet_frames(null: str = "walk_t5") -> Frames:
    """What the monitors see where nothing is wrong."""
    return frames_of(path(null), matured(null), settings().horizons)


def scored_of(error: Any, *, steps: float = 1.0, actual: float = 900.0, first: str = "2020-01-06") -> Scored:
    """Daily forecasts with given errors that mature ``steps`` business days after their origin."""
    error = np.asarray(error, dtype=float)
    n = len(error)
    origin = np.busday_offset(np.datetime64(first), np.arange(n), roll="forward")
    ones = np.ones(n)
    return Scored(
        horizon="7d", steps=steps, origin=origin, matured_on=np.busday_offset(origin, int(steps)), error_sigma=error,
        pit=np.full(n, 0.5), covered_80=ones, covered_95=ones, crps=np.abs(error), crps_benchmark=np.abs(error),
        width_benchmark=4 * ones, error=error, actual=np.full(n, actual),
    )  # fmt: skip
