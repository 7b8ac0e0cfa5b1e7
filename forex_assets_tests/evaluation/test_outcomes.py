"""Which value a forecast is judged by, and since when it counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import AsOf, as_of_instants, santiago_dates
from forex_assets.errors import DataError, ForexError
from forex_assets.evaluation import matured, outcomes
from forex_assets_tests.evaluation.worlds import bars, walk

DATES, VALUES = walk(80, seed=2, start="2024-01-02")
LAST = str(DATES[-1])


def revision(frame: pd.DataFrame, place: int, hours: float, value: float) -> pd.DataFrame:
    row = frame.iloc[[place]].assign(
        available_at=frame["available_at"].iloc[place] + pd.Timedelta(hours=hours), value=value
    )
    return pd.concat([frame, row], ignore_index=True)


def only(frame: pd.DataFrame) -> tuple[float, str]:
    assert len(frame) == 1
    return float(frame["actual"].iloc[0]), f"{frame['matured_on'].iloc[0]:%Y-%m-%d}"


def test_outcome_is_the_value_dated_the_target_on_the_day_it_became_known() -> None:
    assert only(outcomes(bars(DATES, VALUES), [DATES[10]], LAST)) == (VALUES[10], str(DATES[10]))


def test_a_fixing_known_the_evening_before_matures_that_day() -> None:
    frame = bars(DATES, VALUES)
    frame["available_at"] = pd.to_datetime(DATES.astype("datetime64[ns]")).tz_localize("UTC") - pd.Timedelta(hours=3)
    assert only(outcomes(frame, [DATES[10]], LAST))[1] == str(DATES[10] - np.timedelta64(1, "D"))


@pytest.mark.capability("K18")
def test_a_missing_target_has_no_outcome_even_when_its_neighbours_do() -> None:
    frame = bars(DATES, VALUES).drop(index=10).reset_index(drop=True)
    found = outcomes(frame, DATES[8:13], LAST)
    assert list(found["target_date"].to_numpy().astype("datetime64[D]")) == [*DATES[8:10], *DATES[11:13]]
    assert list(matured(DATES[8:13], frame, LAST)) == [True, True, False, True, True]


def test_a_correction_on_the_first_day_counts_and_a_later_one_does_not() -> None:
    frame = bars(DATES, VALUES)
    assert only(outcomes(revision(frame, 10, 2, 1.0), [DATES[10]], LAST))[0] == 1.0
    assert only(outcomes(revision(frame, 10, 24, 1.0), [DATES[10]], LAST))[0] == VALUES[10]


def test_a_value_withdrawn_before_its_first_day_ended_gives_way_to_the_next_one() -> None:
    frame = revision(bars(DATES, VALUES), 10, 30, 1.0)
    frame.loc[10, "withdrawn_at"] = frame.loc[10, "available_at"] + pd.Timedelta(hours=1)
    assert only(outcomes(frame, [DATES[10]], LAST)) == (1.0, str(santiago_dates(as_of_instants(DATES[10:11]))[0] + 2))


def test_a_value_withdrawn_later_stays_the_outcome() -> None:
    frame = bars(DATES, VALUES)
    frame.loc[10, "withdrawn_at"] = frame.loc[10, "available_at"] + pd.Timedelta(days=2)
    assert only(outcomes(frame, [DATES[10]], LAST))[0] == VALUES[10]


def test_nothing_matures_before_its_day_has_ended_in_santiago() -> None:
    frame = bars(DATES, VALUES)
    day = DATES[10]
    assert not matured([day], frame, day - np.timedelta64(1, "D"))[0]
    assert matured([day], frame, day)[0]
    assert not matured([day], frame, AsOf.parse(f"{day}T19:00:00-03:00"))[0]
    assert matured([day], frame, AsOf.end_of(day.item()))[0]


def test_repeats_count_once_and_answers_keep_the_order_asked() -> None:
    frame = bars(DATES, VALUES)
    absent = np.datetime64("2024-01-06")
    assert len(outcomes(frame, [DATES[3], DATES[3]], LAST)) == 1
    assert list(matured([absent, DATES[3], absent], frame, LAST)) == [False, True, False]
    assert outcomes(frame, [absent], LAST).empty
    assert outcomes(frame.iloc[:0], [DATES[3]], LAST).empty


@pytest.mark.capability("B06")
def test_instants_without_a_zone_are_refused_and_any_zone_gives_the_same_outcome() -> None:
    frame = bars(DATES, VALUES)
    naive = frame.assign(available_at=frame["available_at"].dt.tz_localize(None))
    with pytest.raises(DataError, match="without a time zone"):
        outcomes(naive, DATES, LAST)
    with pytest.raises(ForexError, match="no time zone"):
        outcomes(frame, DATES, pd.Timestamp("2024-03-01 12:00"))
    elsewhere = frame.assign(available_at=frame["available_at"].dt.tz_convert("Asia/Tokyo"))
    pd.testing.assert_frame_equal(outcomes(elsewhere, DATES, LAST), outcomes(frame, DATES, LAST))


def test_several_snapshots_at_once_are_refused() -> None:
    frame = pd.concat([bars(DATES, VALUES, "2024-03-01"), bars(DATES, VALUES, "2024-03-04")])
    with pytest.raises(DataError, match="one snapshot"):
        outcomes(frame, DATES, LAST)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 79), st.floats(25, 2000), st.floats(1, 2000)), max_size=12),
    st.lists(st.tuples(st.integers(0, 79), st.floats(25, 2000)), max_size=6),
)
def test_nothing_learnt_after_maturity_changes_an_outcome(
    revisions: list[tuple[int, float, float]], withdrawals: list[tuple[int, float]]
) -> None:
    frame = bars(DATES, VALUES)
    before = outcomes(frame, DATES, LAST)
    for place, hours, value in revisions:
        frame = revision(frame, place, hours, value)
    for place, hours in withdrawals:
        frame.loc[place, "withdrawn_at"] = frame.loc[place, "available_at"] + pd.Timedelta(hours=hours)
    pd.testing.assert_frame_equal(outcomes(frame.sample(frac=1, random_state=1), DATES, LAST), before)


def test_the_vectorised_rule_equals_a_plain_walk_through_the_days() -> None:
    rng = np.random.default_rng(8)
    frame = bars(DATES, VALUES)
    for place in rng.integers(0, 80, 60):
        frame = revision(frame, int(place), float(rng.uniform(-20, 90)), float(rng.normal(900, 5)))
    taken_back = rng.random(len(frame)) < 0.3
    frame.loc[taken_back, "withdrawn_at"] = frame["available_at"] + pd.to_timedelta(rng.uniform(0, 72, len(frame)), "h")
    as_of = DATES[60]
    found = outcomes(frame, DATES, as_of).set_index("target_date")
    for day in DATES:
        expected = None
        rows = frame[frame["event_date"] == pd.Timestamp(day)]
        for end in pd.date_range(day - 5, as_of):
            instant = pd.Timestamp(as_of_instants(np.array([end.date()], dtype="datetime64[D]"))[0], tz="UTC")
            known = rows[(rows["available_at"] <= instant) & ~(rows["withdrawn_at"] <= instant)]
            if len(known):
                expected = (known.sort_values("available_at")["value"].iloc[-1], end)
                break
        if expected is None:
            assert pd.Timestamp(day) not in found.index
        else:
            assert tuple(found.loc[pd.Timestamp(day)]) == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_backtest_and_the_evaluation_judge_by_the_same_outcome(seed: int) -> None:
    from forex_assets.clock import calendar_for
    from forex_assets.forecasting.price_history import PriceHistory

    rng = np.random.default_rng(seed)
    frame = bars(DATES[:30], VALUES[:30])
    for place in rng.integers(0, 30, 20):
        frame = revision(frame, int(place), float(rng.uniform(-20, 90)), float(rng.normal(900, 5)))
    taken_back = rng.random(len(frame)) < 0.4
    frame.loc[taken_back, "withdrawn_at"] = frame["available_at"] + pd.to_timedelta(rng.uniform(0, 72, len(frame)), "h")
    as_of = DATES[rng.integers(0, 40)]
    actual, matured_on = PriceHistory.from_bars(frame, calendar_for("CL")).outcomes(DATES[:30], as_of)
    found = outcomes(frame, DATES[:30], as_of).set_index("target_date").reindex(DATES[:30].astype("datetime64[ns]"))
    np.testing.assert_array_equal(actual, found["actual"])
    np.testing.assert_array_equal(matured_on, found["matured_on"].to_numpy().astype("datetime64[D]"))
