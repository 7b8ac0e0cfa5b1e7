"""Machine code made at set-up: found where it is whole and writable, and enough for the models that need it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forex_assets.compiled import DONE, cache_folder
from forex_assets.settings import load_settings

FORECAST = """
import numpy as np
from forex_assets.clock import calendar_for
from forex_assets.forecasting.backtest import backtest
from forex_assets.forecasting.price_history import PriceHistory
calendar = calendar_for("US")
days = calendar.sessions(np.datetime64("2018-01-01"), np.datetime64("2021-06-30"))
values = 900.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(3).standard_normal(len(days))))
known = days.astype("datetime64[us]") + np.timedelta64(23, "h")
history = PriceHistory("example", calendar, days, known, values)
rows = backtest(history, horizon_days=30, models=["gjr_t", "garch_t", "egarch_t"], start=days[-60], as_of=days[-1]).rows
assert np.isfinite(rows["q500"]).all()
"""


def test_the_environments_code_is_used_once_set_up_has_finished_it(tmp_path: Path) -> None:
    home, environment = tmp_path / "home", tmp_path / "environment"
    assert cache_folder(home, environment) == home / "cache" / "numba"
    environment.mkdir()
    assert cache_folder(home, environment) == home / "cache" / "numba"
    (environment / DONE).touch()
    assert cache_folder(home, environment) == environment


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_code_that_cannot_be_written_beside_is_left_for_the_homes_own(tmp_path: Path) -> None:
    home, environment = tmp_path / "home", tmp_path / "environment"
    environment.mkdir()
    (environment / DONE).touch()
    environment.chmod(0o500)
    assert cache_folder(home, environment) == home / "cache" / "numba"


def test_what_set_up_compiles_is_all_that_the_models_need(tmp_path: Path) -> None:
    """Other data, another calendar, another tenor: no kernel is compiled anew."""
    made = cache_folder(load_settings().home)
    if not (made / DONE).is_file():
        pytest.skip("set-up did not compile the kernels of this environment (python -m forex_assets.compiled)")
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(made), "NUMBA_DEBUG_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FORECAST], env=environ, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "data loaded from" in done.stdout
    assert "data saved to" not in done.stdout
