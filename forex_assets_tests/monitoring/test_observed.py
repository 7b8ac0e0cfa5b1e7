"""What was known when: versions, withdrawals, late values; and when a past day is a prefix of the newest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.clock import as_of_instants
from forex_assets.errors import DataError
from forex_assets.monitoring.observed import Observed, observed
from forex_assets_tests.monitoring.markets import CL, NEVER, sessions

FIRST = np.datetime64("2024-01-01T00:00:00", "us")
HOUR = np.timedelta64(3_600_000_000, "us")


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 40))),
        min_size=1,
        max_size=25,
    )
)
def test_a_prefix_is_what_was_known(rows: list[tuple[int, int, int | None]]) -> None:
    dates = np.array([np.datetime64("2024-01-01") + d for d, _, _ in rows])
    available = np.array([FIRST + a * HOUR for _, a, _ in rows])
    withdrawn = np.array([NEVER if w is None else FIRST + (a + w) * HOUR for _, a, w in rows])
    made = Observed("x", "u", dates, np.arange(len(rows), dtype=float), available, withdrawn)
    instants = FIRST + np.arange(0, 110, 3) * HOUR
    newest = made.at(instants[-1])
    for instant, length in zip(instants, made.prefixes(instants), strict=True):
        known = made.at(instant)
        if length >= 0:
            assert known.dates.tolist() == newest.dates[:length].tolist()
            assert known.values.tolist() == newest.values[:length].tolist()
            assert known.hash == newest.prefix_hash(int(length))
            assert len(newest.head(int(length))) == length


def test_a_regular_history_is_a_prefix_every_day() -> None:
    dates = sessions(50)
    made = Observed("x", "u", dates, np.ones(50), as_of_instants(dates), np.full(50, NEVER))
    assert made.prefixes(as_of_instants(dates)).tolist() == list(range(1, 51))
    assert made.prefixes(np.empty(0, dtype="datetime64[us]")).size == 0


def test_a_value_withdrawn_the_next_day_breaks_its_own_day_only() -> None:
    dates = sessions(10)
    withdrawn = np.full(10, NEVER)
    instants = as_of_instants(dates)
    withdrawn[5] = instants[6]
    made = Observed("x", "u", dates, np.arange(10.0), instants, withdrawn)
    assert np.flatnonzero(made.prefixes(instants) < 0).tolist() == [5]
    assert made.at(instants[5]).values[-1] == 5.0
    assert 5.0 not in made.at(instants[6]).values


def _rows(unit: str = "CLP per USD") -> pd.DataFrame:
    dates = sessions(4)
    return pd.DataFrame(
        {
            "series": ["a", "a", "a", "b"],
            "unit": unit,
            "event_time": pd.DatetimeIndex(dates).tz_localize("UTC"),
            "available_at": pd.DatetimeIndex(as_of_instants(dates)).tz_localize("UTC"),
            "withdrawn_at": pd.DatetimeIndex([pd.NaT] * 4, tz="UTC"),
            "value": [1.0, 2.0, np.nan, 9.0],
        }
    )


def test_a_series_out_of_the_table_has_its_finite_values_on_the_sessions_they_describe() -> None:
    made = observed(_rows(), "a", "CLP per USD")
    assert made.values.tolist() == [1.0, 2.0]
    shifted = observed(_rows(), "a", "CLP per USD", sessions=CL)
    assert (shifted.dates == CL.add(made.dates, -1)).all()


def test_another_unit_is_refused() -> None:
    with pytest.raises(DataError, match="CLP per USD") as caught:
        observed(_rows("cents"), "a", "CLP per USD")
    assert "series.yaml" in caught.value.remedy
