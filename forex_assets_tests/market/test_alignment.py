"""Which session the rows of an answer belong to: measured, corrected, said, and never assumed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import calendar_for
from forex_assets.errors import SourceError
from forex_assets.market.alignment import align_dates
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import DateCheck
from forex_assets_tests.market.observed import MARKET

CL = calendar_for("CL")
DAYS = CL.sessions("2018-01-02", "2024-12-27")
LEVEL = 800 * np.exp(np.random.default_rng(4).normal(0, 0.006, len(DAYS)).cumsum())
CHECK = DateCheck(series="usdclp_fixing")


def frame(days: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    rows = pd.DataFrame({"event_date": days.astype("datetime64[ns]"), "value": values})
    return rows.assign(open=np.nan, high=np.nan, low=np.nan)


REFERENCE = frame(DAYS, LEVEL)


def late(days: np.ndarray, lag: int) -> np.ndarray:
    return np.busday_offset(days, lag, roll="forward" if lag >= 0 else "backward")


@pytest.mark.capability("E03", "K17")
@settings(max_examples=20, deadline=None)
@given(lag=st.integers(-1, 1), start=st.integers(0, 800), length=st.integers(150, 800), seed=st.integers(0, 99))
def test_rows_come_back_on_the_session_they_describe_whatever_the_lag(
    lag: int, start: int, length: int, seed: int
) -> None:
    part = slice(start, start + length)
    values = LEVEL[part] * np.exp(np.random.default_rng(seed).normal(0, 0.0005, len(DAYS[part])))
    given_rows = frame(late(DAYS[part], lag), values).drop_duplicates("event_date", keep="first")
    aligned = align_dates(given_rows, REFERENCE, MARKET, CHECK, "feed")
    both = aligned.frame.merge(REFERENCE, on="event_date", suffixes=("", "_true"))
    assert len(both) == len(aligned.frame) > 0.9 * length
    wrong = np.abs(np.log(both["value"] / both["value_true"])) > 0.004
    assert wrong.mean() < 0.05, "days beside holidays apart, every value stands on its session"
    word = {0: "same session", 1: "1 session late, corrected", -1: "1 session early, corrected"}[lag]
    assert f"dates checked against usdclp_fixing: {word} (rank correlation " in aligned.note


def test_a_feed_that_changed_its_dating_is_corrected_stretch_by_stretch() -> None:
    half = 1000
    days = np.concatenate([late(DAYS[:half], 1), DAYS[half + 2 :]])
    values = np.concatenate([LEVEL[:half], LEVEL[half + 2 :]])
    aligned = align_dates(frame(days, values), REFERENCE, MARKET, CHECK, "feed")
    both = aligned.frame.merge(REFERENCE, on="event_date", suffixes=("", "_true"))
    late_part = both[both["event_date"] > pd.Timestamp(DAYS[-400].item())]
    assert (late_part["value"] == late_part["value_true"]).all(), "the newest rows stand where they belong"
    early_part = both[both["event_date"] < pd.Timestamp(DAYS[400].item())]
    assert (early_part["value"] == early_part["value_true"]).mean() > 0.95
    assert "rows of other stretches by their own lag" in aligned.note


def test_rows_long_after_the_last_value_to_compare_with_are_left_out() -> None:
    aligned = align_dates(REFERENCE, REFERENCE.iloc[:1000], MARKET, CHECK, "feed")
    assert len(aligned.frame) == 1060
    assert f"{len(DAYS) - 1060} rows more than 60 sessions after the last check are left out" in aligned.note


@pytest.mark.capability("L18")
@pytest.mark.parametrize("factor", [0.01, 100, 1000, 1.2])
def test_another_unit_is_refused_by_its_level(factor: float) -> None:
    with pytest.raises(SourceError, match="times usdclp_fixing: another unit"):
        align_dates(REFERENCE.assign(value=LEVEL * factor), REFERENCE, MARKET, CHECK, "feed")


@pytest.mark.capability("L18")
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_too_few_rows_are_refused_not_taken_as_dated(rows: int) -> None:
    with pytest.raises(SourceError, match="cannot be told from usdclp_fixing"):
        align_dates(REFERENCE.iloc[:rows], REFERENCE, MARKET, CHECK, "feed")


def test_unrelated_rows_are_refused() -> None:
    other = 800 * np.exp(np.random.default_rng(9).normal(0, 0.006, len(DAYS)).cumsum())
    with pytest.raises(SourceError, match="cannot be told"):
        align_dates(frame(DAYS, other), REFERENCE, MARKET, CHECK, "feed")


def test_the_close_is_checked_against_its_declared_reference(series: dict[str, SeriesSpec]) -> None:
    from forex_assets.market.alignment import check_of

    assert check_of(series["usdclp_close"], None) == DateCheck(series="usdclp_fixing", shift_business_days=1)
    assert check_of(series["usdclp_close"], CHECK) == CHECK
    assert check_of(series["vix"], None) is None
