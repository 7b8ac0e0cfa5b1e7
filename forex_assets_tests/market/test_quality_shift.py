"""Which session a source's dates belong to, found from its changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.errors import DataError, ValidationError
from forex_assets.market.quality import detect_date_shift

CL = calendar_for("CL")
DAYS = CL.sessions("2020-01-02", "2022-12-30")


def frame(dates: object, values: object) -> pd.DataFrame:
    return pd.DataFrame({"event_date": np.asarray(dates, dtype="datetime64[ns]"), "value": values})


def read(folder: Path, file: str, column: str) -> pd.DataFrame:
    data = pd.read_csv(folder / file, parse_dates=["date"])
    return data.rename(columns={"date": "event_date", column: "value"})[["event_date", "value"]]


@pytest.mark.capability("E03", "K17")
def test_yahoo_bar_dated_t_is_known_as_close_of_t_minus_1(market_data_dir: Path) -> None:
    yahoo = read(market_data_dir, "usdclp_yahoo_raw_daily.csv", "close")
    fixing = read(market_data_dir, "usdclp_observado_daily.csv", "value")
    report = detect_date_shift(yahoo, fixing, CL, reference_shift_business_days=1)
    assert report.lag == 1
    assert report.confident
    assert report.correlation[1] > 0.55
    assert report.correlation[0] < 0.4  # a fixing averages, so its moves spill into the next
    recent = detect_date_shift(
        yahoo[yahoo["event_date"] >= "2019"], read(market_data_dir, "usdclp_market_daily.csv", "close"), CL
    )
    assert (recent.lag, recent.confident) == (1, True)
    assert abs(recent.correlation[0]) < 0.05
    assert recent.correlation[1] > 0.65


def test_a_market_close_is_dated_on_its_own_session_and_the_fixing_one_later(market_data_dir: Path) -> None:
    market = read(market_data_dir, "usdclp_market_daily.csv", "close")
    fixing = read(market_data_dir, "usdclp_observado_daily.csv", "value")
    declared = detect_date_shift(market, fixing, CL, reference_shift_business_days=1)
    assert (declared.lag, declared.confident) == (0, True)
    undeclared = detect_date_shift(fixing, market, CL)
    assert (undeclared.lag, undeclared.confident) == (1, True)


@settings(max_examples=40, deadline=None)
@given(lag=st.integers(-3, 3), noise=st.floats(0, 0.004), wild=st.integers(0, 5), seed=st.integers(0, 1000))
def test_a_planted_lag_is_found_through_noise_and_wild_values(lag: int, noise: float, wild: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    level = 800 * np.exp(np.cumsum(rng.normal(0, 0.006, len(DAYS))))
    ours = np.roll(level, lag) * np.exp(rng.normal(0, noise / 2, len(DAYS)))
    ours[rng.integers(10, len(DAYS) - 10, wild)] *= 100
    inside = slice(5, -5)
    report = detect_date_shift(frame(DAYS[inside], ours[inside]), frame(DAYS, level), CL)
    assert report.lag == lag
    assert report.confident
    assert report.n > 600


@pytest.mark.capability("L18")
@pytest.mark.parametrize("days", [0, 2, 40])
def test_too_few_values_give_unknown_not_a_lag(days: int) -> None:
    level = 800 + np.arange(len(DAYS)) * 0.1
    report = detect_date_shift(frame(DAYS[:days], level[:days]), frame(DAYS, level), CL)
    assert not report.confident


def test_unrelated_series_give_unknown() -> None:
    rng = np.random.default_rng(1)
    one, other = (800 * np.exp(np.cumsum(rng.normal(0, 0.006, len(DAYS)))) for _ in range(2))
    assert not detect_date_shift(frame(DAYS, one), frame(DAYS, other), CL).confident


def test_a_series_that_never_moves_gives_unknown() -> None:
    level = np.full(len(DAYS), 800.0)
    report = detect_date_shift(frame(DAYS, level), frame(DAYS, level), CL)
    assert not report.confident
    assert report.lag == 0


def test_observations_serve_as_frames_too() -> None:
    level = 800 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.006, len(DAYS))))
    stamped = pd.DataFrame({"event_time": pd.DatetimeIndex(DAYS.astype("datetime64[ns]"), tz="UTC"), "value": level})
    assert detect_date_shift(stamped, frame(DAYS, level), CL).lag == 0


def test_frames_that_cannot_be_compared_are_refused() -> None:
    good = frame(DAYS, np.ones(len(DAYS)))
    with pytest.raises(DataError, match="event_date"):
        detect_date_shift(good.drop(columns="event_date"), good, CL)
    with pytest.raises(DataError, match="2020-01-02 more than once"):
        detect_date_shift(good, pd.concat([good.iloc[[0]], good]), CL)
    with pytest.raises(ValidationError, match="max_lag=0"):
        detect_date_shift(good, good, CL, max_lag=0)
