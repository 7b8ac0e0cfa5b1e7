"""Declared tables: what conforms comes back from disk as it was, what does not is refused by name."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forex_assets.errors import DataError
from forex_assets.levels import INTERVALS, MEDIAN_INDEX, QUANTILE_COLUMNS, QUANTILE_LEVELS, quantile_column
from forex_assets.schemas import TABLES, Column, Table

EVERY_KIND = Table(
    name="every_kind",
    doc="One column of each kind, with and without emptiness.",
    columns=(
        Column("id", "int", "Row number", "rows"),
        Column("day", "date", "A day"),
        Column("day_maybe", "date", "A day or nothing", nullable=True),
        Column("at", "instant", "A moment"),
        Column("at_maybe", "instant", "A moment or nothing", nullable=True),
        Column("value", "float", "A number", "CLP per USD"),
        Column("value_maybe", "float", "A number or nothing", nullable=True),
        Column("count_maybe", "int", "A count or nothing", nullable=True),
        Column("text", "str", "A text"),
        Column("text_maybe", "str", "A text or nothing", nullable=True),
        Column("flag", "bool", "A truth value"),
    ),
    key=("id",),
)
_DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2199, 12, 31)).map(pd.Timestamp)
_INSTANTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 12, 31)).map(lambda t: pd.Timestamp(t, tz="UTC"))
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_ROW = st.fixed_dictionaries(
    {
        "day": _DAYS,
        "day_maybe": st.none() | _DAYS,
        "at": _INSTANTS,
        "at_maybe": st.none() | _INSTANTS,
        "value": _FLOATS,
        "value_maybe": st.none() | _FLOATS,
        "count_maybe": st.none() | st.integers(-(2**40), 2**40),
        "text": _TEXTS,
        "text_maybe": st.none() | _TEXTS,
        "flag": st.booleans(),
    }
)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    body = {name: [row[name] for row in rows] for name in EVERY_KIND.column_names if name != "id"}
    frame = pd.DataFrame({"id": range(len(rows)), **body})
    for column in EVERY_KIND.columns:
        if column.kind == "instant":
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True)
    return frame


def _through_parquet(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    sink = io.BytesIO()
    pq.write_table(table.to_arrow(frame), sink)
    stored = pq.read_table(io.BytesIO(sink.getvalue()))
    assert stored.schema.equals(table.arrow_schema())
    return table.conform(stored.to_pandas(date_as_object=False, coerce_temporal_nanoseconds=True))


@given(rows=st.lists(_ROW, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rows_come_back_from_parquet_exactly_as_they_conform(rows: list[dict[str, Any]]) -> None:
    frame = _frame(rows)
    conformed = EVERY_KIND.conform(frame)
    pd.testing.assert_frame_equal(_through_parquet(EVERY_KIND, frame), conformed)
    pd.testing.assert_frame_equal(EVERY_KIND.conform(conformed), conformed)


@given(rows=st.lists(_ROW, min_size=1, max_size=3), seed=st.integers(0, 2**16))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_column_order_and_naive_text_dates_do_not_matter(rows: list[dict[str, Any]], seed: int) -> None:
    frame = _frame(rows)
    order = np.random.default_rng(seed).permutation(frame.columns)
    shuffled = frame[order].assign(day=frame["day"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(EVERY_KIND.conform(shuffled), EVERY_KIND.conform(frame))


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_is_documented_and_its_empty_frame_survives_the_disk(name: str) -> None:
    table = TABLES[name]
    assert table.doc.endswith(".")
    assert all(len(column.doc) > 4 for column in table.columns)
    empty = table.conform(table.empty())
    pd.testing.assert_frame_equal(_through_parquet(table, table.empty()), empty)
    table.pandera_schema().validate(empty)


@pytest.mark.capability("E09")
@pytest.mark.parametrize("name", sorted(set(TABLES) - {"quarantine"}))
def test_every_row_of_every_table_traces_to_config_data_and_code(name: str) -> None:
    columns = {column.name: column for column in TABLES[name].columns}
    for trace in ("config_hash", "data_hash", "code_version"):
        assert not columns[trace].nullable


def _one_row(**changes: Any) -> pd.DataFrame:
    row = {
        "id": 0,
        "day": pd.Timestamp("2025-06-13"),
        "day_maybe": pd.NaT,
        "at": pd.Timestamp("2025-06-13 22:00", tz="UTC"),
        "at_maybe": pd.NaT,
        "value": 933.42,
        "value_maybe": None,
        "count_maybe": None,
        "text": "usdclp",
        "text_maybe": None,
        "flag": True,
    }
    return pd.DataFrame([{**row, **changes}])


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (_one_row().drop(columns="value"), r"missing \['value'\]"),
        (_one_row(extra=1), r"unexpected \['extra'\]"),
        (pd.concat([_one_row(), _one_row()[["value"]]], axis=1), "12 instead of 11"),
        (_one_row(day=None), "'day' .*is empty in 1 of 1 rows"),
        (_one_row(value=None), "'value' .*is empty in 1 of 1 rows"),
        (_one_row(text=None), "'text' .*is empty in 1 of 1 rows"),
        (_one_row(at=pd.NaT), "'at' .*is empty in 1 of 1 rows"),
        (_one_row(id=0.5), "'id' .*not a whole number"),
        (_one_row(id=np.nan), "'id' .*missing or not a whole number"),
        (_one_row(value="n/a"), "'value' .*declared kind 'float'"),
        (_one_row(flag=None), "'flag' .*truth value is missing"),
        (_one_row(flag="False"), "'flag' .*neither True nor False"),
        (_one_row(day="yesterday"), "'day' .*declared kind 'date'"),
        (_one_row(day=pd.Timestamp("2025-06-13", tz="America/Santiago")), "'day' .*must not carry a time zone"),
        (_one_row(at=pd.Timestamp("2025-06-13 22:00")), "'at' .*must carry a time zone"),
        (pd.concat([_one_row(), _one_row()]), r"more than one row for key \{'id': 0\}"),
    ],
)
@pytest.mark.parametrize("path", ["conform", "to_arrow"])
def test_what_does_not_conform_is_refused_with_column_and_rule(frame: pd.DataFrame, said: str, path: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        getattr(EVERY_KIND, path)(frame)
    assert caught.value.remedy


def test_instants_are_kept_as_moments_whatever_zone_they_come_in() -> None:
    local = _one_row(at=pd.Timestamp("2025-06-13 18:00", tz="America/Santiago"))
    assert EVERY_KIND.conform(local)["at"].iloc[0] == pd.Timestamp("2025-06-13 22:00", tz="UTC")
    assert _through_parquet(EVERY_KIND, local)["at"].iloc[0] == pd.Timestamp("2025-06-13 22:00", tz="UTC")


def test_the_pandera_schema_agrees_with_conform() -> None:
    import pandera.errors

    schema = EVERY_KIND.pandera_schema()
    good = EVERY_KIND.conform(pd.concat([_one_row(), _one_row(id=1)], ignore_index=True))
    schema.validate(good)
    for bad in (good.assign(value=np.nan), good.assign(id=0), good.drop(columns="text"), good.assign(day="x")):
        with pytest.raises((pandera.errors.SchemaError, pandera.errors.SchemaErrors)):
            schema.validate(bad)


def test_a_contradictory_declaration_is_refused() -> None:
    column = Column("a", "int", "A number")
    with pytest.raises(ValueError, match="declares a column twice"):
        Table("t", "A table.", (column, column), ("a",))
    with pytest.raises(ValueError, match=r"undeclared columns \['b'\]"):
        Table("t", "A table.", (column,), ("b",))


def test_quantile_columns_are_named_after_their_levels_and_ordered() -> None:
    assert QUANTILE_COLUMNS[:3] == ("q025", "q050", "q100")
    assert len(set(QUANTILE_COLUMNS)) == len(QUANTILE_LEVELS) == 13
    assert list(QUANTILE_LEVELS) == sorted(QUANTILE_LEVELS)
    np.testing.assert_allclose(np.add(QUANTILE_LEVELS, QUANTILE_LEVELS[::-1]), 1.0)
    assert QUANTILE_COLUMNS[MEDIAN_INDEX] == quantile_column(0.5) == "q500"
    for nominal, (low, high) in INTERVALS.items():
        assert int(high[1:]) - int(low[1:]) == nominal * 10


@given(st.lists(st.lists(_ROW, max_size=4), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frames_converted_together_are_those_converted_one_by_one(parts: list[list[dict[str, Any]]]) -> None:
    frames = [_frame(rows) for rows in parts]
    together = EVERY_KIND.to_arrow_many(frames)
    assert [table.to_pylist() for table in together] == [EVERY_KIND.to_arrow(frame).to_pylist() for frame in frames]
    assert all(table.schema == EVERY_KIND.arrow_schema() for table in together)


def test_a_key_may_repeat_between_frames_converted_together_but_not_within_one() -> None:
    row = dict.fromkeys(EVERY_KIND.column_names)
    row |= {"id": 1, "day": pd.Timestamp("2025-01-02"), "at": pd.Timestamp("2025-01-02", tz="UTC"), "value": 1.0}
    row |= {"text": "a", "flag": True}
    frame = pd.DataFrame([row])
    assert len(EVERY_KIND.to_arrow_many([frame, frame])) == 2
    with pytest.raises(DataError, match="more than one row for key"):
        EVERY_KIND.to_arrow_many([frame, pd.concat([frame, frame], ignore_index=True)])


def test_a_wrong_frame_among_many_is_named_as_it_is_alone() -> None:
    row = dict.fromkeys(EVERY_KIND.column_names)
    row |= {"id": 1, "day": pd.Timestamp("2025-01-02"), "at": pd.Timestamp("2025-01-02", tz="UTC"), "value": 1.0}
    row |= {"text": "a", "flag": True}
    good, bad = pd.DataFrame([row]), pd.DataFrame([{**row, "text": None}])
    with pytest.raises(DataError, match=r"Column 'text' .* is empty in 1 of 1 rows"):
        EVERY_KIND.to_arrow_many([good, good, bad])
