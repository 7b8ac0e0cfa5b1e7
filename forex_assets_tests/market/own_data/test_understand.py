"""A file nobody described: planted layouts are told, ambiguous ones asked about, none guessed."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forex_assets.errors import ValidationError
from forex_assets.market.own_data.compare import match
from forex_assets.market.own_data.layout import date_columns, decimals, read_layout
from forex_assets.market.own_data.understand import Answers, Understood, understand
from forex_assets.market.tabular import read_table
from forex_assets.settings import SeriesSpec, load_settings
from forex_assets_tests.market.shipped import read_embedded

SPECS = load_settings(environ={}).series
FIXING = read_embedded("usdclp_fixing").rename(columns={"date": "event_date"}).tail(120).reset_index(drop=True)
HELD = {"usdclp_fixing": FIXING}


def comma(value: float) -> str:
    return f"{value:,.2f}".replace(",", "X").replace(".", ",").replace("X", ".")


def export(
    separator: str = ";",
    date_format: str = "%d-%m-%Y",
    number: Any = comma,
    head: str = "Fecha{0}Valor",
    rows: pd.DataFrame = FIXING,
    preamble: str = "",
) -> bytes:
    lines = [
        f"{day:{date_format}}{separator}{number(value)}" for day, value in rows[["event_date", "value"]].to_numpy()
    ]
    return (preamble + "\n".join([head.format(separator), *lines]) + "\n").encode()


def told(raw: bytes, name: str = "bank.csv", answers: Answers | None = None, **options: Any) -> Understood:
    return understand("usdclp_fixing.csv", read_layout(name, raw), SPECS, HELD, answers or Answers(), **options)


def as_read(understood: Understood, raw: bytes, folder: Path, name: str = "usdclp_fixing.csv") -> pd.DataFrame:
    assert understood.address is not None
    path = folder / name
    path.write_bytes(raw)
    frame, _, _ = read_table(path, understood.address.model_copy(update={"file": name}), label="own")
    return frame


@pytest.mark.capability("B02")
@settings(max_examples=40, deadline=None)
@given(
    separator=st.sampled_from([";", "\t", "|"]),
    date_format=st.sampled_from(["%d-%m-%Y", "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d.%m.%Y", "%d-%b-%Y"]),
    number=st.sampled_from(
        [comma, lambda v: f"{v:.2f}", lambda v: f"{v:,.2f}", lambda v: f"{v:.4f}".replace(".", ",")]
    ),
    preamble=st.sampled_from(["", "Banco Ejemplo S.A.\n\n", "Banco\nInforme diario\n"]),
    times=st.sampled_from([1.0, 100.0]),
)
def test_a_planted_layout_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, separator: str, date_format: str, number: Any, preamble: str, times: float
) -> None:
    rows = FIXING.assign(value=FIXING["value"] * times)
    raw = export(separator, date_format, number, rows=rows, preamble=preamble)
    understood = told(raw)
    assert understood.questions == ()
    assert understood.series == "usdclp_fixing"
    frame = as_read(understood, raw, tmp_path_factory.mktemp("own"))
    assert frame["event_date"].tolist() == FIXING["event_date"].tolist()
    assert np.allclose(frame["value"], FIXING["value"], atol=0.006)


@pytest.mark.capability("B02")
def test_what_was_understood_is_said_with_the_overlap() -> None:
    lines = dict(told(export(rows=FIXING.iloc[:100])).lines)
    assert lines["dates"] == "column 'Fecha', %d-%m-%Y"
    assert lines["decimal"].startswith("comma")
    assert lines["unit"] == "CLP per USD, as it is (checked on 100 dates)"
    assert lines["belongs to"] == "the date it carries (checked on 100 dates)"
    assert "100 with the same value" in lines["overlap"]
    assert "previous_business_day" in lines["known from"]


@pytest.mark.capability("K17")
def test_values_dated_a_session_late_are_found_and_moved() -> None:
    late = FIXING.assign(event_date=FIXING["event_date"].shift(-1)).dropna()
    understood = told(export(rows=late))
    assert understood.address is not None
    assert understood.address.shift_sessions == -1
    assert "the session 1 before" in dict(understood.lines)["belongs to"]


def test_day_or_month_first_is_asked_where_both_fit() -> None:
    both = FIXING[FIXING["event_date"].dt.day <= 12].iloc[::-1].iloc[[3, 0, 9, 5, 7, 1, 12, 15, 8, 2, 4, 6]]
    understood = told(export(rows=both))
    (question,) = understood.questions
    assert (question.answer, question.choices) == ("date_format", ("%d-%m-%Y", "%m-%d-%Y"))
    assert question.option == "--date-format"
    assert not told(export(rows=both), answers=Answers(date_format="%d-%m-%Y")).questions
    with pytest.raises(ValidationError, match="does not fit"):
        told(export(rows=both), answers=Answers(date_format="%Y/%m/%d"))


def test_the_decimal_mark_is_asked_where_both_fit_and_nothing_is_held() -> None:
    small = FIXING.assign(value=FIXING["value"] / 1000)
    raw = export(number=lambda v: f"{v:.3f}", rows=small)
    spec = SPECS["copper_comex"]
    layout = read_layout("c.csv", raw)
    understood = understand("c.csv", layout, SPECS, {}, Answers(series=spec.id))
    assert {question.answer for question in understood.questions} == {"shift_sessions"}, "0.930 is no thousand"
    raw = export(number=lambda v: f"{v + 1:.3f}", rows=small)
    layout = read_layout("c.csv", raw)
    (question,) = understand("c.csv", layout, SPECS, {}, Answers(series=spec.id)).questions
    assert (question.answer, set(question.choices)) == ("decimal", {".", ","})
    answered = understand("c.csv", layout, SPECS, {}, Answers(series=spec.id, decimal="."))
    assert {question.answer for question in answered.questions} == {"shift_sessions"}, "nothing to compare dates with"
    assert understand("c.csv", layout, SPECS, {}, Answers(series=spec.id, decimal=".", shift_sessions=0)).address


def test_columns_are_asked_for_where_several_fit() -> None:
    rows = FIXING.head(30)
    lines = [f"{d:%Y-%m-%d};{d:%Y-%m-%d};{v:.2f};{v + 1:.2f}" for d, v in rows[["event_date", "value"]].to_numpy()]
    raw = "\n".join(["Fecha;Liquidacion;Compra;Venta", *lines]).encode()
    assert told(raw).questions[0].answer == "date_column"
    answers = Answers(date_column="Fecha")
    (question,) = told(raw, answers=answers).questions
    assert (question.answer, question.choices) == ("column", ("Compra", "Venta"))
    understood = told(raw, answers=answers.but(column="Compra"))
    assert understood.series == "usdclp_fixing"
    with pytest.raises(ValidationError, match="does not fit"):
        told(raw, answers=Answers(date_column="Compra"))
    with pytest.raises(ValidationError, match="does not fit"):
        told(raw, answers=answers.but(column="Fecha"))
    with pytest.raises(ValidationError, match="does not fit"):
        told(raw, answers=answers.but(column="Compra", decimal=","))


def test_a_series_that_cannot_be_told_is_asked_for() -> None:
    rows = FIXING.assign(value=range(5000, 5000 + len(FIXING)))
    (question,) = told(export(rows=rows)).questions
    assert question.answer == "series"
    asked = told(export(rows=rows), answers=Answers(series="usdclp_fixing")).questions
    assert {question.answer for question in asked} == {"scale", "shift_sessions"}
    done = told(export(rows=rows), answers=Answers(series="usdclp_fixing", scale=0.5, shift_sessions=1))
    assert done.address is not None
    assert (done.address.scale, done.address.shift_sessions) == (0.5, 1)


def test_a_unit_out_of_range_is_asked_where_nothing_is_held() -> None:
    raw = export(rows=FIXING.assign(value=FIXING["value"] * 1000))
    understood = understand("x.csv", read_layout("x.csv", raw), SPECS, {}, Answers(series="usdclp_fixing"))
    assert {question.answer: question.choices for question in understood.questions}["scale"] == ("0.001",)


def test_excel_and_parquet_are_read_with_their_own_dates(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Fecha": FIXING["event_date"], "Valor": FIXING["value"]})
    book = io.BytesIO()
    with pd.ExcelWriter(book, engine="openpyxl") as writer:
        pd.DataFrame({"Banco": ["Ejemplo"]}).to_excel(writer, sheet_name="Portada", index=False)
        frame.to_excel(writer, sheet_name="Datos", index=False, startrow=3)
    layout = read_layout("bank.xlsx", book.getvalue(), sheet="Datos")
    understood = understand("bank.xlsx", layout, SPECS, HELD, Answers())
    assert "sheet 'Datos' of 2" in understood.lines[0][1]
    assert "3 lines above the header" in understood.lines[0][1]
    assert as_read(understood, book.getvalue(), tmp_path, "bank.xlsx")["value"].tolist() == FIXING["value"].tolist()
    with pytest.raises(ValidationError, match="no sheet"):
        read_layout("bank.xlsx", book.getvalue(), sheet="Nada")
    with pytest.raises(ValidationError, match="holds no table"):
        read_layout("bank.xlsx", book.getvalue())
    parquet = io.BytesIO()
    frame.to_parquet(parquet, index=False)
    understood = told(parquet.getvalue(), "bank.parquet")
    assert (
        as_read(understood, parquet.getvalue(), tmp_path, "bank.parquet")["value"].tolist() == frame["Valor"].tolist()
    )
    indexed = io.BytesIO()
    frame.set_index("Fecha").to_parquet(indexed)
    with pytest.raises(ValidationError, match="index"):
        read_layout("bank.parquet", indexed.getvalue())


def test_stamps_with_an_offset_belong_to_the_date_of_a_zone(tmp_path: Path) -> None:
    lines = [f"{d:%Y-%m-%d}T22:30:00-04:00,{v}" for d, v in FIXING[["event_date", "value"]].to_numpy()]
    raw = "\n".join(["ts,value", *lines]).encode()
    understood = told(raw, answers=Answers(zone="America/Santiago"))
    assert "instants with an offset" in dict(understood.lines)["dates"]
    assert as_read(understood, raw, tmp_path)["event_date"].tolist() == FIXING["event_date"].tolist()
    naive = "\n".join(["ts,value", *[line.replace("-04:00", "") for line in lines]]).encode()
    assert "stamps without a zone" in dict(told(naive).lines)["dates"]


@pytest.mark.capability("L18")
@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("bank.xls", b"x", "no kind that can be read"),
        ("bank.pdf", b"x", "no kind that can be read"),
        ("bank.csv", b"hello", "holds no table"),
        ("bank.csv", b"a;a\n1;2\n3;4\n5;6\n", "stands there twice"),
        ("bank.csv", b"a;b\n2025-01-01;2\n2025-01-02;4\n2025-01-03;6\nTotal\n", "has 1 columns"),
        ("bank.parquet", b"PAR1", "not a readable table"),
        ("bank.xlsx", b"PK", "not a readable table"),
        ("bank.csv.gz", b"\x1f\x8b", "not a readable table"),
    ],
)
def test_what_is_no_table_is_refused(name: str, raw: bytes, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        read_layout(name, raw)


def test_a_table_without_dates_or_numbers_is_refused() -> None:
    with pytest.raises(ValidationError, match="No column holds a date"):
        told(b"a;b\n1;2\n3;4\n5;6\n")
    with pytest.raises(ValidationError, match="No column holds numbers"):
        told(b"a;b\n2025-01-01;x\n2025-01-02;y\n2025-01-03;z\n")


def test_a_row_that_is_no_date_or_no_number_is_named() -> None:
    rows = b"fecha;compra\n03-03-2025;1,5\n04-03-2025;2,5\n05-03-2025;3,5\nTotal;7,5\n"
    with pytest.raises(ValidationError, match=r"column 'fecha' is a date in 3 of 4 rows, but not in row 4 .*'Total'"):
        told(rows)
    with pytest.raises(ValidationError, match="column 'fecha' is a date in 3 of 4 rows"):
        told(rows, answers=Answers(date_column="fecha"))
    prices = b"fecha;compra;venta\n2025-03-03;1.5;2\n2025-03-04;2,5*;3\n2025-03-05;;3\n2025-03-06;3.5;4\n"
    with pytest.raises(ValidationError, match=r"'compra' is a number in 2 of 3 rows, but not in row 2 .*'2,5\*'"):
        told(prices, answers=Answers(column="compra"))
    left_out = [text for label, text in told(prices).lines if label == "left out"]
    assert left_out == ["column 'compra' is a number in 2 of 3 rows, but not in row 2 below the header ('2,5*')"]
    with pytest.raises(ValidationError, match=r"No column holds numbers; .* 'compra' is a number in 2 of 3 rows"):
        told(b"fecha;compra\n2025-03-03;1.5\n2025-03-04;2.5%\n2025-03-05;3.5\n")


def test_encodings_and_compression_are_told() -> None:
    assert (
        read_layout("x.csv", "día;b\n2025-01-01;1\n2025-01-02;2\n2025-01-03;2\n".encode("latin-1")).encoding
        == "latin-1"
    )
    assert (
        read_layout("x.csv", "día;b\n2025-01-01;1\n2025-01-02;2\n2025-01-03;2\n".encode("utf-16")).encoding == "utf-16"
    )
    assert len(read_layout("x.csv.gz", gzip.compress(export())).table) == len(FIXING)


def test_numbers_and_dates_of_a_column() -> None:
    assert decimals(pd.Series(["1.234,5", "2,0"])) == (",",)
    assert decimals(pd.Series(["1,234.5", "2.0"])) == (".",)
    assert decimals(pd.Series(["1,234", None])) == (".", ",")
    assert decimals(pd.Series(["12", "nd"])) == (".",)
    assert decimals(pd.Series(["a"])) == ()
    assert decimals(pd.Series([1.5, 2.0])) == (".",)
    assert date_columns(pd.DataFrame({"a": [None, None], "b": ["x", "y"]})) == []


def test_a_rate_near_zero_is_compared_by_differences() -> None:
    spec: SeriesSpec = SPECS["us_2y"]
    days = pd.bdate_range("2025-01-02", periods=40)
    held = pd.DataFrame({"event_date": days, "value": np.r_[0.0, np.linspace(0.01, 4, 39)]})
    fit = match(held.assign(value=held["value"] + 0.0), held, spec)
    assert fit is not None
    assert (fit.scale, fit.equal) == (1.0, 40)
    assert match(held.head(5), held, spec) is None
