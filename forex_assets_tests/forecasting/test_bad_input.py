"""Whatever a history lacks, every model refuses it with the value, the rule and what to do; none answers nonsense."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.clock import calendar_for
from forex_assets.errors import DataError, ForexError
from forex_assets.forecasting.backtest import run_backtest
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import get_model, model_names
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.pipeline import PROVENANCE, Pipeline
from forex_assets.store.slices import SliceStore
from forex_assets_tests.defs.world import PAIR, settings_of, small_config
from forex_assets_tests.forecasting.conftest import history_of

MODELS = [name for name in model_names() if not get_model(name).capabilities.needs]
N = 1300
Q = list(QUANTILE_COLUMNS)


def walk(n: int = N) -> np.ndarray:
    return np.asarray(900 * np.exp(np.cumsum(np.random.default_rng(8).normal(0, 0.006, n))))


def gappy() -> PriceHistory:
    """Daily values, of which only every fourth is left over the last year."""
    full = history_of(walk())
    kept = np.array([i for i in range(N) if i < N - 260 or i % 4 == 0])
    return PriceHistory("usdclp", calendar_for("CL"), full.event_date[kept], full.available_at[kept], full.value[kept])


UNUSABLE: dict[str, tuple[Callable[[], PriceHistory], str]] = {
    "short": (lambda: history_of(walk(40)), "40 values are known"),
    "gappy": (gappy, "stretch over .* business days"),
    "constant": (lambda: history_of(np.concatenate([walk(), np.full(70, 900.0)])), "there is no volatility"),
    "times 1000": (lambda: history_of(np.concatenate([walk(), 1000 * walk(70)])), "more than a factor of 3"),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("case", UNUSABLE)
def test_a_history_that_cannot_carry_a_forecast_is_refused(model: str, case: str) -> None:
    make, match = UNUSABLE[case]
    history = make()
    with pytest.raises(DataError, match=match) as caught:
        make_forecast(history, history.event_date[-1], 30, [model], model)
    assert caught.value.remedy
    assert str(history.event_date[-1]) in caught.value.message


@pytest.mark.parametrize("model", MODELS)
def test_a_horizon_beyond_the_limit_names_it_and_a_remedy(model: str) -> None:
    history = history_of(walk())
    limit = get_model(model).capabilities.max_steps
    with pytest.raises(DataError, match=rf"asked for \d+ observations .*1200d\); it is made for {limit}") as caught:
        make_forecast(history, history.event_date[-1], 1200, [model], model)
    assert "shorter horizon" in caught.value.remedy


@pytest.mark.parametrize("bad", [0.0, -900.0, np.nan, np.inf])
def test_one_value_that_is_no_price_is_refused_with_its_date_before_any_model_sees_it(bad: float) -> None:
    values = walk()
    values[700] = bad
    with pytest.raises(DataError, match="must be a positive finite number") as caught:
        history_of(values)
    assert str(history_of(walk()).event_date[700]) in caught.value.message
    assert caught.value.remedy


def test_a_backtest_leaves_unusable_origins_out_and_counts_them_by_reason() -> None:
    values = np.concatenate([walk(), np.full(90, 900.0), 900 * walk(400) / walk(400)[0]])
    history = history_of(values)
    rows = run_backtest(history, horizon_days=7, models=["random_walk", "ensemble"], as_of=str(history.event_date[-1]))
    assert rows.attrs["dropped"]["constant"] > 20
    assert rows.attrs["dropped"]["too_short"] >= 60
    assert np.isfinite(rows[Q].to_numpy()).all()


def test_a_forecast_that_fails_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    pipeline = Pipeline(
        settings_of(small_config(tmp_path / "configs"), tmp_path / "home"), SliceStore("memory://bad-input")
    )
    for name, frame in pipeline.data.ingest(PAIR, now=pd.Timestamp("2025-06-14 12:00", tz="UTC")).items():
        pipeline.store.write(schemas.TABLES[name], PAIR, (), frame)
    days = [dt.date(2025, 6, 12), dt.date(2025, 6, 13)]
    made = pipeline.bars(PAIR, days)
    for key in made:
        frame = made[key]
        if key == ("2025-06-13",):  # the newest snapshot stands still
            frame = frame.assign(value=np.where(frame["event_date"] > "2025-01-01", 930.0, frame["value"]))
        meta = {name: str(frame[name].iloc[0]) for name in PROVENANCE}
        pipeline.store.write(schemas.BARS, PAIR, key, frame, meta=meta)
    (kept,) = pipeline.forecasts(PAIR, "7d", days[:1]).values()
    pipeline.store.write(schemas.FORECAST, PAIR, ("7d", "2025-06-12"), kept)
    before = pipeline.store.read(schemas.FORECAST, PAIR, [("7d", "2025-06-12")])
    with pytest.raises(ForexError, match="no volatility"):
        pipeline.forecasts(PAIR, "7d", days[1:])
    after = pipeline.store.read(schemas.FORECAST, PAIR, [("7d", "2025-06-12")])
    pd.testing.assert_frame_equal(after, before, check_exact=True)
    assert not pipeline.store.exists(schemas.FORECAST, PAIR, ("7d", "2025-06-13"))
