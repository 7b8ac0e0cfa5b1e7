"""What was known when: against a slow plain twin, and the cases that matter by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.clock import as_of_instants, calendar_for, santiago_dates
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.simulation.worlds import random_walk_world
from forex_assets_tests.forecasting.conftest import history_of

CALENDAR = calendar_for("ALL")
DAY0 = np.datetime64("2020-01-01", "D")
NOON = np.timedelta64(16 * 3600, "s")
NEVER = np.datetime64("NaT", "us")


def instants(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[us]") + NOON


Row = tuple[int, int, float, int | None]


@st.composite
def row_sets(draw: st.DrawFn) -> list[Row]:
    """Rows (date, availability lag, value, withdrawal lag): late rows, revisions and withdrawals of every kind."""
    rows = []
    for day in range(draw(st.integers(3, 14))):
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 3, 0]))):
            withdrawn = draw(st.sampled_from([None, None, None, 0, 1, 3, 9]))
            rows.append((day, draw(st.sampled_from([0, 0, 0, 0, 1, 2, 7])), draw(st.floats(500, 1500)), withdrawn))
    if not rows:
        rows = [(0, 0, 700.0, None)]
    return draw(st.permutations(rows))


def build(rows: list[Row]) -> tuple[PriceHistory, list[tuple[np.datetime64, np.datetime64, float, np.datetime64]]]:
    dates = np.array([DAY0 + day for day, _, _, _ in rows], dtype="datetime64[D]")
    # Rows of one date get distinct seconds, so that "the newest" is never a tie.
    available = instants(np.array([DAY0 + day + lag for day, lag, _, _ in rows], dtype="datetime64[D]"))
    available = available + np.arange(len(rows)).astype("timedelta64[s]")
    withdrawn = np.array(
        [
            NEVER if gone is None else at + np.timedelta64(gone, "D")
            for at, (_, _, _, gone) in zip(available, rows, strict=True)
        ]
    )
    values = np.array([value for _, _, value, _ in rows])
    history = PriceHistory("made", CALENDAR, dates, available, values, withdrawn)
    return history, list(zip(dates, available, values, withdrawn, strict=True))


def plain_known(rows: list, instant: np.datetime64) -> dict[np.datetime64, float]:
    """The slow plain twin: newest row per date that is available and not withdrawn."""
    best: dict[np.datetime64, tuple[np.datetime64, float]] = {}
    for date, available, value, withdrawn in rows:
        if available > instant or (not np.isnat(withdrawn) and withdrawn <= instant):
            continue
        if date not in best or available > best[date][0]:
            best[date] = (available, value)
    return {date: value for date, (_, value) in sorted(best.items())}


@given(row_sets())
@settings(max_examples=150, deadline=None)
@pytest.mark.capability("K14")
def test_known_values_equal_the_plain_twin_at_every_instant(rows: list[Row]) -> None:
    history, raw = build(rows)
    probes = as_of_instants(np.arange(DAY0 - 1, DAY0 + 40))
    for probe in probes:
        dates, values = history.known_at(probe)
        assert dict(zip(dates, values, strict=True)) == plain_known(raw, probe)
    for group in history.groups(probes):
        for position, end in zip(group.positions, group.ends, strict=True):
            expected = plain_known(raw, probes[position])
            assert list(group.series.event_date[:end]) == list(expected)
            assert list(group.series.value[:end]) == list(expected.values())


@given(row_sets())
@settings(max_examples=100, deadline=None)
@pytest.mark.capability("K18")
def test_an_outcome_is_the_value_of_the_target_date_at_the_end_of_the_day_it_first_became_known(
    rows: list[Row],
) -> None:
    history, raw = build(rows)
    targets = np.arange(DAY0, DAY0 + 16)
    actual, matured = history.outcomes(targets)
    days = np.arange(DAY0 - 1, DAY0 + 60)
    evenings = as_of_instants(days)
    for i, target in enumerate(targets):
        expected = (np.nan, np.datetime64("NaT", "D"))
        for day, evening in zip(days, evenings, strict=True):
            known = plain_known(raw, evening)
            if target in known:
                expected = (known[target], day)
                break
        np.testing.assert_equal(actual[i], expected[0])
        np.testing.assert_equal(matured[i], expected[1])


@pytest.mark.capability("K18")
def test_an_outcome_is_never_taken_from_a_neighbouring_date() -> None:
    history = history_of(np.linspace(900, 910, 30), CALENDAR, "2020-01-01")
    missing = np.array(["2019-12-31", "2020-01-31"], dtype="datetime64[D]")
    actual, matured = history.outcomes(missing)
    assert np.isnan(actual).all()
    assert np.isnat(matured).all()


def test_an_outcome_that_matures_after_as_of_is_empty() -> None:
    history = history_of(np.linspace(900, 910, 30), CALENDAR, "2020-01-01")
    target = np.array(["2020-01-10"], dtype="datetime64[D]")
    assert np.isnan(history.outcomes(target, "2020-01-09")[0][0])
    assert history.outcomes(target, "2020-01-10")[0][0] == history.value[9]


@pytest.mark.capability("K17")
def test_a_fixing_dated_the_next_business_day_is_known_the_evening_before(fixing_history: PriceHistory) -> None:
    origins = make_origins(fixing_history, np.array(["2025-06-12"], dtype="datetime64[D]"), 7)
    assert str(origins.last_event_date[0]) == "2025-06-13"
    assert str(origins.target_date[0]) == "2025-06-19"
    assert origins.steps[0] == 4
    _, matured = fixing_history.outcomes(np.array(["2025-06-13"], dtype="datetime64[D]"))
    assert str(matured[0]) == "2025-06-12"


def test_one_history_without_withdrawals_is_one_array_for_every_origin(fixing_history: PriceHistory) -> None:
    days = fixing_history.calendar.sessions("2005-01-03", "2025-06-13")
    assert len(fixing_history.groups(as_of_instants(days))) == 1


def test_a_value_withdrawn_the_next_day_counts_only_in_between() -> None:
    values = np.linspace(900, 910, 100)
    clean = history_of(values, CALENDAR, "2020-01-01")
    wrong = values.copy()
    wrong[80] = 5.46
    withdrawn = np.full(100, NEVER)
    withdrawn[80] = clean.available_at[81]
    history = PriceHistory("made", CALENDAR, clean.event_date, clean.available_at, wrong, withdrawn)
    days = clean.event_date[78:84]
    origins = make_origins(history, days, 7, unusable="drop")
    assert dict(origins.dropped) == {"gross_jump": 1}
    assert clean.event_date[80] not in origins.as_of
    assert 5.46 not in origins.known(len(origins) - 1)[1]


def test_a_withdrawn_value_that_comes_back_corrected_is_the_outcome() -> None:
    clean = history_of(np.linspace(900, 910, 100), CALENDAR, "2020-01-01")
    date, known = clean.event_date[50], clean.available_at[50]
    history = PriceHistory(
        "made",
        CALENDAR,
        np.array([date, date]),
        np.array([known, known + np.timedelta64(3, "h")]),
        np.array([5.46, 905.0]),
        np.array([known + np.timedelta64(2, "h"), NEVER]),
    )
    actual, matured = history.outcomes(np.array([date]))
    assert actual[0] == 905.0
    assert matured[0] == santiago_dates(history.available_at)[-1]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.0, -3.2, np.nan, np.inf])
def test_a_value_that_is_no_price_is_refused_with_its_date(bad: float) -> None:
    values = np.linspace(900, 910, 100)
    values[40] = bad
    with pytest.raises(DataError, match="2020-02-10") as caught:
        history_of(values, CALENDAR, "2020-01-01")
    assert caught.value.remedy


def test_a_wrong_value_withdrawn_at_once_is_never_known() -> None:
    clean = history_of(np.linspace(900, 910, 100), CALENDAR, "2020-01-01")
    values, withdrawn = clean.value.copy(), np.full(100, NEVER)
    values[40], withdrawn[40] = -1.0, clean.available_at[40]
    history = PriceHistory("made", CALENDAR, clean.event_date, clean.available_at, values, withdrawn)
    assert len(history) == 99


def test_a_row_without_its_date_is_refused() -> None:
    with pytest.raises(DataError, match="lacks its date"):
        PriceHistory(
            "made",
            CALENDAR,
            np.array(["NaT"], dtype="datetime64[D]"),
            np.array([DAY0], dtype="datetime64[us]"),
            np.ones(1),
        )


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="equally many"):
        PriceHistory("made", CALENDAR, np.array([DAY0]), np.array([DAY0], dtype="datetime64[us]"), np.ones(2))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.linspace(900, 910, 60), "60 values are known, 61 are needed"),
        (np.concatenate([np.linspace(900, 910, 80), np.full(61, 910.0)]), "has been 910.0 for 60 observations"),
        (np.concatenate([np.linspace(900, 910, 80), np.linspace(900, 910, 80) * 1000]), "factor of 3"),
        (np.concatenate([np.linspace(900, 910, 80), np.linspace(900, 910, 80) / 1000]), "factor of 3"),
    ],
    ids=["too short", "constant", "times 1000", "over 1000"],
)
def test_an_unusable_origin_is_refused_by_value_rule_and_remedy(values: np.ndarray, match: str) -> None:
    history = history_of(values, CALENDAR, "2020-01-01")
    with pytest.raises(DataError, match=match) as caught:
        make_origins(history, history.event_date[-1:], 7)
    assert caught.value.remedy
    dropped = make_origins(history, history.event_date[-1:], 7, unusable="drop")
    assert len(dropped) == 0
    assert sum(dropped.dropped.values()) == 1


def test_a_stale_last_value_is_refused_with_its_age() -> None:
    history = history_of(np.linspace(900, 910, 100))
    late = history.calendar.add(history.event_date[-1], 11)
    with pytest.raises(DataError, match=f"dated {history.event_date[-1]}, 11 business days before; at most 10"):
        make_origins(history, np.array([late]), 7, max_age=10)
    assert len(make_origins(history, np.array([late]), 7, max_age=11)) == 1


def test_a_target_that_is_already_known_is_refused(fixing_history: PriceHistory) -> None:
    with pytest.raises(DataError, match="already known"):
        make_origins(fixing_history, np.array(["2025-06-12"], dtype="datetime64[D]"), 1)


@pytest.mark.parametrize("horizon", [0, -7, 7.0, "7", True, None])
def test_a_horizon_that_is_no_positive_whole_number_is_refused(horizon: object) -> None:
    history = history_of(np.linspace(900, 910, 100))
    with pytest.raises(ValidationError, match=r"[Hh]orizon"):
        make_origins(history, history.event_date[-1:], horizon)  # type: ignore[arg-type]


def test_bars_must_be_one_snapshot_of_one_pair() -> None:
    world = random_walk_world(1, 100)
    two = pd.concat([world.bars, world.bars.assign(as_of=pd.Timestamp("2030-01-01"))])
    with pytest.raises(DataError, match="as_of"):
        PriceHistory.from_bars(two, world.calendar)
    with pytest.raises(DataError, match="pair"):
        PriceHistory.from_bars(pd.concat([world.bars, world.bars.assign(pair="other")]), world.calendar)
    with pytest.raises(DataError, match="no rows"):
        PriceHistory.from_bars(world.bars.iloc[:0], world.calendar)
    naive = world.bars.assign(available_at=world.bars["available_at"].dt.tz_localize(None))
    with pytest.raises(DataError, match="time zone"):
        PriceHistory.from_bars(naive, world.calendar)


def test_origins_answer_what_was_known_one_by_one(fixing_history: PriceHistory) -> None:
    days = fixing_history.calendar.sessions("2024-01-02", "2024-03-01")
    origins = make_origins(fixing_history, days, 15)
    for position in (0, len(origins) - 1):
        dates, values = origins.known(position)
        assert dates[-1] == origins.last_event_date[position]
        assert values[-1] == origins.last_value[position]
    with pytest.raises(IndexError):
        origins.known(len(origins))


def test_no_forecast_day_makes_no_origin() -> None:
    history = history_of(np.linspace(900, 910, 100))
    assert len(make_origins(history, np.array([], dtype="datetime64[D]"), 7)) == 0
