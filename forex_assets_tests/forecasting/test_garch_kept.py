"""Fits kept on disk: the same bits with and without, plain Python as good as compiled, and no numba for a day."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.garch import GARCH, GJR, kernels, recursion
from forex_assets.forecasting.garch.engine import CLIP_DECAY, CLIP_FLOOR_PERCENT, CLIP_SIGMA
from forex_assets.forecasting.garch.kept import KeptFits, current, using
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice

MODELS = [ModelChoice("random_walk"), ModelChoice("gjr_t")]


@settings(max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([GARCH, GJR]),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.69),
    st.sampled_from([1e-8, 0.5, 1e4]),
)
def test_plain_and_compiled_recursions_agree_to_the_last_bit(
    seed: int, kind: int, up: float, down: float, memory: float, size: float
) -> None:
    raw = size * np.random.default_rng(seed).standard_t(3, 300)
    plain = np.array(recursion.clip_returns(raw.tolist(), CLIP_DECAY, CLIP_SIGMA, CLIP_FLOOR_PERCENT))
    r = kernels.clip_returns(raw, CLIP_DECAY, CLIP_SIGMA, CLIP_FLOOR_PERCENT)
    assert plain.tobytes() == r.tobytes()
    theta = np.array([0.01 * size, up, down, memory, 6.0])
    states = kernels.window_states(kind, r, 40, 300, theta)
    assert recursion.window_states(kind, r, 40, 300, theta).tobytes() == states.tobytes()
    rows = np.concatenate([theta, [states[100], 0.0, 1.0]])[None, :].repeat(3, axis=0)
    at, ends = np.array([141, 141, 141]), np.array([141, 160, 300])
    filtered = kernels.states_at(kind, r, at, ends, rows)
    assert recursion.states_at(kind, r, at, ends, rows).tobytes() == filtered.tobytes()
    assert filtered[2] == states[259], "filtered on from the middle of a window is the window's own state"


def forecast(history: PriceHistory, kept: KeptFits | None) -> pd.DataFrame:
    fresh = PriceHistory(history.pair, history.calendar, history.event_date, history.available_at, history.value)
    days = history.event_date[[-40, -1]]

    def made() -> pd.DataFrame:
        return make_forecast(fresh, days, horizon_days=30, models=MODELS, active_model="gjr_t", calibration=None)

    if kept is None:
        return made()
    with using(kept):
        return made()


def test_a_forecast_from_kept_fits_is_the_one_without_and_a_damaged_file_is_made_again(
    garch_history: PriceHistory, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = forecast(garch_history, None)
    folder = tmp_path / "fits"
    pd.testing.assert_frame_equal(forecast(garch_history, KeptFits(folder)), plain)
    files = sorted(folder.iterdir())
    assert len(files) == 2, "one fit for each of the two months"

    def refit(*_: object) -> None:
        raise AssertionError("nothing is fitted again")

    with monkeypatch.context() as patch:
        patch.setattr(kernels, "fit_chain", refit)
        pd.testing.assert_frame_equal(forecast(garch_history, KeptFits(folder)), plain)
    good = files[0].read_text(encoding="utf-8")
    for damaged in ("", good[:40], good.replace("0x1", "0x2", 1), "[]"):
        files[0].write_text(damaged, encoding="utf-8")
        with caplog.at_level(logging.WARNING):
            pd.testing.assert_frame_equal(forecast(garch_history, KeptFits(folder)), plain)
        assert "made again" in caplog.text
        assert files[0].read_text(encoding="utf-8") == good
        caplog.clear()
    assert current() is None


def test_a_fit_is_kept_under_all_it_follows_from(garch_history: PriceHistory, tmp_path: Path) -> None:
    kept = KeptFits(tmp_path)
    forecast(garch_history, kept)
    before = {path.name for path in tmp_path.iterdir()}
    value = garch_history.value.copy()
    value[-300] *= 1.0001
    other = PriceHistory(
        garch_history.pair, garch_history.calendar, garch_history.event_date, garch_history.available_at, value
    )
    forecast(other, kept)
    assert len({path.name for path in tmp_path.iterdir()} - before) == 2, "another past, other fits"
    value = garch_history.value.copy()
    value[-1] *= 1.01
    other = PriceHistory(
        garch_history.pair, garch_history.calendar, garch_history.event_date, garch_history.available_at, value
    )
    count = len(list(tmp_path.iterdir()))
    forecast(other, kept)
    assert len(list(tmp_path.iterdir())) == count, "what came after the fits changes none"


def test_where_nothing_can_be_kept_the_forecast_is_made_and_the_log_says_so(
    garch_history: PriceHistory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        made = forecast(garch_history, KeptFits(blocked))
    pd.testing.assert_frame_equal(made, forecast(garch_history, None))
    assert "cannot be kept" in caplog.text


DAY = """
import sys
import numpy as np
from forex_assets.clock import calendar_for
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.garch.kept import KeptFits, using
from forex_assets.forecasting.registry import ModelChoice

calendar = calendar_for("FX")
days = calendar.sessions(np.datetime64("2023-01-02"), np.datetime64("2025-06-13"))
value = 100.0 * np.exp(np.cumsum(0.005 * np.random.default_rng(1).standard_t(5, len(days))))
history = PriceHistory("made", calendar, days, days.astype("datetime64[us]"), value)
from pathlib import Path
with using(KeptFits(Path(sys.argv[1]))):
    models = [ModelChoice(name) for name in ("random_walk", "champion_zero", "gjr_t", "loghar", "ensemble")]
    frame = make_forecast(history, days[-1:], horizon_days=7, models=models, active_model="ensemble", calibration=None)
print("numba" in sys.modules, [value.hex() for value in frame["q975"]])
"""


def test_a_days_forecast_from_kept_fits_needs_no_numba_and_is_the_same(tmp_path: Path) -> None:
    said = [
        subprocess.run([sys.executable, "-c", DAY, str(tmp_path)], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said[0].startswith("True ")
    assert said[1] == said[0].replace("True ", "False ", 1)
