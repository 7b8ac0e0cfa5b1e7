"""The leakage canary: what becomes known after t changes nothing that is said at or before t."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.arrays import Ints
from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.errors import DataError
from forex_assets.forecasting.backtest import Backtest, backtest
from forex_assets.forecasting.calibration import learn
from forex_assets.forecasting.contract import OriginRandom, QuantilePaths
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.models.random_walk import RandomWalk
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import bulk_model_names
from forex_assets_tests.forecasting.conftest import history_of

N = 460
NEVER = np.datetime64("NaT", "us")
CALENDAR = calendar_for("FX")
BASE = history_of(900 * np.exp(np.cumsum(np.random.default_rng(20).normal(0, 0.007, N))), CALENDAR)


@st.composite
def pasts_and_futures(draw: st.DrawFn) -> tuple[np.datetime64, PriceHistory, PriceHistory]:
    """A day t and two histories that are the same in all that is known by the end of t."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dates, known, value = BASE.event_date.copy(), BASE.available_at.copy(), BASE.value.copy()
    gone = np.full(N, NEVER)
    for i in rng.choice(N, draw(st.integers(0, 6)), replace=False):  # late rows
        known[i] += np.timedelta64(int(rng.integers(1, 40)), "D")
    for i in rng.choice(N, draw(st.integers(0, 6)), replace=False):  # withdrawn rows
        gone[i] = known[i] + np.timedelta64(int(rng.integers(1, 60)), "D")
    again = rng.choice(N, draw(st.integers(0, 6)), replace=False)  # revisions
    dates, value = np.append(dates, dates[again]), np.append(value, value[again] * 1.01)
    known = np.append(known, known[again] + np.timedelta64(int(rng.integers(1, 90)), "D"))
    gone = np.append(gone, np.full(len(again), NEVER))

    t = BASE.event_date[draw(st.integers(330, N - 20))]
    end_of_t = as_of_instants(np.array([t]))[0]
    after = known > end_of_t
    other_value = np.where(after, value * np.exp(rng.normal(0, 0.3, len(value))), value)
    other_gone = gone.copy()
    later = ~np.isnat(gone) & (gone > end_of_t)
    other_gone[later] = NEVER  # a withdrawal that had not happened yet need not happen
    undecided = np.flatnonzero(np.isnat(gone))
    for i in rng.choice(undecided, 5, replace=False):  # and another may
        other_gone[i] = max(known[i], end_of_t) + np.timedelta64(1, "D")
    keep = ~after | (rng.random(len(value)) > draw(st.sampled_from([0.0, 0.3, 1.0])))
    order = rng.permutation(np.flatnonzero(keep))
    return (
        t,
        PriceHistory("made", CALENDAR, dates, known, value, gone),
        PriceHistory("made", CALENDAR, dates[order], known[order], other_value[order], other_gone[order]),
    )


def run(history: PriceHistory, horizon: int) -> Backtest:
    return backtest(
        history,
        horizon_days=horizon,
        models=bulk_model_names(),
        start=BASE.event_date[0],
        as_of=BASE.event_date[-1],
    )


def said_by(frame: pd.DataFrame, t: np.datetime64, column: str) -> pd.DataFrame:
    return frame[frame[column] <= pd.Timestamp(str(t))].reset_index(drop=True)


@given(pasts_and_futures(), st.sampled_from([7, 15, 30]))
@settings(max_examples=40, deadline=None)
@pytest.mark.capability("J10", "K14")
def test_no_backtest_row_or_factor_of_the_past_depends_on_what_becomes_known_later(
    case: tuple[np.datetime64, PriceHistory, PriceHistory], horizon: int
) -> None:
    t, one, other = case
    first, second = run(one, horizon), run(other, horizon)
    rows, others = said_by(first.rows, t, "as_of"), said_by(second.rows, t, "as_of")
    forecasts = [name for name in rows.columns if name not in ("actual", "matured_on")]
    pd.testing.assert_frame_equal(rows[forecasts], others[forecasts], check_exact=True)
    outcomes = ["as_of", "model", "actual", "matured_on"]
    pd.testing.assert_frame_equal(
        said_by(first.rows, t, "matured_on")[outcomes],
        said_by(second.rows, t, "matured_on")[outcomes],
        check_exact=True,
    )
    for made, remade in ((first.calibration, second.calibration), (learn(first.rows), learn(second.rows))):
        pd.testing.assert_frame_equal(
            said_by(made, t, "valid_from"), said_by(remade, t, "valid_from"), check_exact=True, check_dtype=False
        )


@given(pasts_and_futures(), st.sampled_from([7, 30, 90]))
@settings(max_examples=40, deadline=None)
@pytest.mark.capability("J10", "K14")
def test_no_forecast_path_of_the_past_depends_on_what_becomes_known_later(
    case: tuple[np.datetime64, PriceHistory, PriceHistory], horizon: int
) -> None:
    t, one, other = case
    days = CALENDAR.sessions(t - np.timedelta64(20, "D"), t)
    frames = []
    for history in (one, other):
        try:
            frames.append(make_forecast(history, days, horizon, bulk_model_names(), "champion_zero"))
        except DataError as error:  # both must refuse alike
            frames.append(pd.DataFrame({"refused": [str(error)]}))
    pd.testing.assert_frame_equal(*frames, check_exact=True)


@pytest.mark.capability("J10")
def test_a_backtest_made_earlier_holds_the_same_rows_as_one_made_later() -> None:
    whole = run(BASE, 15)
    early_day = BASE.event_date[400]
    early = backtest(BASE, horizon_days=15, models=bulk_model_names(), start=BASE.event_date[0], as_of=early_day)
    matured = early.rows["matured_on"].notna()
    pd.testing.assert_frame_equal(
        early.rows[matured], said_by(whole.rows, early_day, "as_of")[matured], check_exact=True
    )
    assert early.rows.loc[~matured, "actual"].isna().all()
    assert (early.rows["matured_on"].dropna() <= pd.Timestamp(str(early_day))).all()


@pytest.mark.capability("J10")
def test_the_canary_has_teeth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that looks one value ahead of its origin is caught by the same comparison."""
    t = BASE.event_date[400]
    after = BASE.event_date > t
    other = PriceHistory(
        "made", CALENDAR, BASE.event_date, BASE.available_at, np.where(after, BASE.value * 1.02, BASE.value)
    )
    honest = RandomWalk.predict

    def peek(
        self: RandomWalk,
        history: PriceHistory,
        origins: Origins,
        steps: Ints,
        params: dict[str, str],
        rng: OriginRandom,
    ) -> QuantilePaths:
        paths = honest(self, history, origins, steps, params, rng)
        for group in origins.groups:
            ahead = np.minimum(group.ends, len(group.series) - 1)
            paths.mean[group.positions] = group.series.value[ahead][:, None]
        return paths

    monkeypatch.setattr(RandomWalk, "predict", peek)
    rows = [
        said_by(
            backtest(
                h, horizon_days=7, models=["random_walk"], start=BASE.event_date[0], as_of=BASE.event_date[-1]
            ).rows,
            t,
            "as_of",
        )
        for h in (BASE, other)
    ]
    with pytest.raises(AssertionError, match="mean"):
        pd.testing.assert_frame_equal(*(part.drop(columns=["actual", "matured_on"]) for part in rows), check_exact=True)
