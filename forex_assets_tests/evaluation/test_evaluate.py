"""Evaluation rows: complete, refused before they mature, and never changed by what is learnt later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError
from forex_assets.evaluation import evaluate, matured, outcomes
from forex_assets.schemas import EVALUATION
from forex_assets_tests.evaluation.worlds import backtest, bars, forecast, walk

DATES, VALUES = walk(160, seed=4, start="2024-01-02")
BARS = bars(DATES, VALUES)
LAST = str(DATES[-1])
ROWS = forecast(backtest(DATES[:60], VALUES[:60], 15, models={"random_walk": (1, 0), "narrow": (0.5, 0)}))
STAMPS = {"config_hash": "c", "data_hash": "d", "code_version": "v"}


def test_rows_follow_the_declared_table() -> None:
    found = evaluate(ROWS, outcomes(BARS, ROWS["target_date"], LAST))
    table = EVALUATION.conform(found.assign(**STAMPS))
    assert len(table) == len(ROWS)
    place = np.searchsorted(DATES, found["target_date"].to_numpy().astype("datetime64[D]"))
    assert found["actual"].to_numpy() == pytest.approx(VALUES[place])
    assert found["error"].to_numpy() == pytest.approx(found["mean"] - found["actual"])


def test_only_the_last_step_of_a_path_is_scored() -> None:
    path = pd.concat([ROWS.assign(is_target=False, step=1), ROWS])
    known = outcomes(BARS, ROWS["target_date"], LAST)
    pd.testing.assert_frame_equal(evaluate(path, known), evaluate(ROWS, known))


@pytest.mark.capability("K18")
def test_a_forecast_that_has_not_matured_is_refused_with_its_target_date() -> None:
    early = ROWS["as_of"].iloc[0]
    known = outcomes(BARS, ROWS["target_date"], early)
    assert not matured(ROWS["target_date"], BARS, early).any()
    with pytest.raises(DataError, match=f"{ROWS['target_date'].min():%Y-%m-%d}") as caught:
        evaluate(ROWS, known)
    assert "matures when the value dated" in caught.value.message
    assert "never used in its place" in caught.value.remedy


def test_no_forecast_gives_no_rows() -> None:
    found = evaluate(ROWS.iloc[:0], outcomes(BARS, ROWS["target_date"], LAST))
    assert found.empty
    assert len(EVALUATION.conform(found.assign(**STAMPS))) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 159), st.floats(25, 5000), st.floats(1, 3000), st.booleans())
def test_changing_anything_known_after_maturity_changes_no_row(
    place: int, hours: float, value: float, withdraw: bool
) -> None:
    before = evaluate(ROWS, outcomes(BARS, ROWS["target_date"], LAST))
    later = BARS["available_at"].iloc[place] + pd.Timedelta(hours=hours)
    changed = BARS.copy()
    if withdraw:
        changed.loc[place, "withdrawn_at"] = later
    changed = pd.concat([changed, changed.iloc[[place]].assign(available_at=later, value=value)], ignore_index=True)
    pd.testing.assert_frame_equal(evaluate(ROWS, outcomes(changed, ROWS["target_date"], LAST)), before)


def test_an_evaluation_is_the_same_whenever_it_is_made_after_maturity() -> None:
    one = ROWS[ROWS["as_of"] == ROWS["as_of"].iloc[7]]
    target = one["target_date"].iloc[0]
    first = evaluate(one, outcomes(BARS, one["target_date"], target))
    pd.testing.assert_frame_equal(first, evaluate(one, outcomes(BARS, one["target_date"], LAST)))
    assert (first["matured_on"] == target).all()
