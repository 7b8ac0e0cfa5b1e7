"""How a file is written: kind, encoding, separator, header line, date format, decimal mark. No meaning yet."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from forex_assets.errors import ValidationError
from forex_assets.market.tabular import MISSING_TEXT, read_excel

Encoding = Literal["utf-8", "latin-1", "cp1252", "utf-16"]
Kind = Literal["csv", "parquet", "xlsx"]

DATE_FORMATS: tuple[str | None, ...] = (
    None, "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%y", "%m-%d-%y",
    "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
    "%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S",
    "%m-%d-%Y %H:%M:%S",
)  # fmt: skip
"""Formats that are tried; None is ISO 8601."""

_SEPARATORS = (";", ",", "\t", "|")
_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv", ".txt": "csv", ".tsv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".xlsx": "xlsx",
}  # fmt: skip
_ISO = re.compile(r"^\d{4}-\d{2}-\d{2}([T ].*)?$")
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
_POINT = re.compile(r"^[+-]?([1-9]\d{0,2}(,\d{3})+|\d+)(\.\d+)?$")
_COMMA = re.compile(r"^[+-]?([1-9]\d{0,2}(\.\d{3})+|\d+)(,\d+)?$")
_MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "nd", ".", "null", "none", "-"})
_MOST_PREAMBLE = 40
_FEWEST_ROWS = 2
_SAMPLE_LINES = 400


@dataclass(frozen=True)
class Layout:
    """A file as a table of texts (or, for Parquet and Excel, of the values it holds), and how it was read."""

    kind: Kind
    table: pd.DataFrame
    separator: str = ","
    encoding: Encoding = "utf-8"
    skip_rows: int = 0
    sheet: str | None = None
    sheets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DateColumn:
    """A column that holds dates in every row, and the formats under which it does."""

    name: str
    formats: tuple[str | None, ...]
    has_time: bool = False
    has_offset: bool = False


def suffix_of(name: str) -> str:
    """Return the ending that says what a file is.

    Raises
    ------
    ValidationError
        When it is none that can be read.
    """
    lower = name.lower()
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if lower.endswith(suffix):
            return suffix
    hint = "save it as .xlsx" if lower.endswith((".xls", ".xlsb", ".ods")) else "export it as CSV, Parquet or Excel"
    raise ValidationError(
        f"{name!r} is of no kind that can be read: {', '.join(_SUFFIXES)}.", remedy=f"{hint} and add that."
    )


def read_layout(name: str, raw: bytes, *, sheet: str | None = None) -> Layout:
    """Return a file as a table, with how it had to be read.

    Raises
    ------
    ValidationError
        When it is no table.
    """
    kind = _SUFFIXES[suffix_of(name)]
    try:
        if kind == "parquet":
            frame = pd.read_parquet(io.BytesIO(raw))
            if not isinstance(frame.index, pd.RangeIndex):
                raise ValidationError(
                    f"{name}: the dates stand in the index, not in a column.",
                    remedy="write it with reset_index(), so that every value has a column.",
                )
            return Layout(kind, frame)
        if kind == "xlsx":
            return _excel(raw, sheet)
        return _csv(gzip.decompress(raw) if name.lower().endswith(".gz") else raw, name)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, csv.Error) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValidationError(
            f"{name} is not a readable table: {told}.", remedy="open it and export it again."
        ) from None


def date_columns(table: pd.DataFrame) -> list[DateColumn]:
    """Return the columns that are dates in every row that has a value anywhere."""
    found = []
    for column in table.columns:
        values = table[column].dropna()
        if not len(values):
            continue
        if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.infer_dtype(values) in ("datetime", "date"):
            stamps = pd.to_datetime(values)
            has_time = bool((stamps != stamps.dt.normalize()).any())
            found.append(DateColumn(str(column), (None,), has_time, stamps.dt.tz is not None))
        elif pd.api.types.infer_dtype(values) == "string":
            texts = values.str.strip()
            formats = tuple(each for each in DATE_FORMATS if parses(texts, each))
            if formats:
                long = bool(texts.str.len().gt(10).any())
                has_time = long and all(each is None or "%H" in each for each in formats)
                offset = bool(has_time and texts.str.contains(_OFFSET).all())
                found.append(DateColumn(str(column), formats, has_time, offset))
    return found


@dataclass(frozen=True)
class AlmostColumn:
    """A column most of whose rows are dates, or numbers, and the first row that is not."""

    name: str
    kind: Literal["date", "number"]
    fitting: int
    rows: int
    first_row: int
    first_value: str

    def __str__(self) -> str:
        return (
            f"column {self.name!r} is a {self.kind} in {self.fitting} of {self.rows} rows, but not in row "
            f"{self.first_row} below the header ({self.first_value!r})"
        )


def almost_columns(table: pd.DataFrame) -> list[AlmostColumn]:
    """Return the columns of text that would be of dates or of numbers but for fewer than half of their rows."""
    found = []
    dated = {column.name for column in date_columns(table)}
    for name in table.columns:
        values = table[name].dropna()
        if str(name) in dated or decimals(values) or pd.api.types.infer_dtype(values) not in ("string", "mixed"):
            continue
        texts = values.astype(str).str.strip()
        texts = texts[~texts.str.lower().isin(_MISSING)]
        masks: list[tuple[Literal["date", "number"], Any]] = [
            ("number", texts.str.match(_POINT)),
            ("number", texts.str.match(_COMMA)),
            *(("date", _dates_in(texts, each)) for each in DATE_FORMATS),
        ]
        kind, best = max(masks, key=lambda item: int(item[1].sum()))
        if len(texts) < 2 * best.sum() and not best.all():
            odd = int(best.to_numpy().argmin())
            row = int(np.flatnonzero(table.index == texts.index[odd])[0]) + 1
            found.append(AlmostColumn(str(name), kind, int(best.sum()), len(texts), row, str(texts.iloc[odd])))
    return found


def _dates_in(texts: pd.Series[Any], date_format: str | None) -> pd.Series[Any]:
    stamps = pd.to_datetime(texts, format=date_format or "ISO8601", utc=date_format is None, errors="coerce")
    return stamps.notna() & (texts.str.match(_ISO) if date_format is None else True)


def parses(texts: pd.Series[Any], date_format: str | None) -> bool:
    """Tell whether every text is a date in this format (None: ISO 8601)."""
    if date_format is None and not texts.str.match(_ISO).all():
        return False
    try:
        pd.to_datetime(texts, format=date_format or "ISO8601", utc=date_format is None)
    except (ValueError, TypeError):
        return False
    return True


def in_order(texts: pd.Series[Any], date_format: str | None) -> bool:
    """Tell whether the dates rise or fall all the way, as an export's do, read in this format."""
    stamps = pd.to_datetime(texts.str.strip(), format=date_format or "ISO8601", utc=date_format is None)
    return len(stamps) > 2 and bool(stamps.is_monotonic_increasing or stamps.is_monotonic_decreasing)


def decimals(values: pd.Series[Any]) -> tuple[str, ...]:
    """Return the decimal marks under which every text of a column is a number; numbers proper have the point."""
    held = values.dropna()
    texts = held[held.map(lambda value: isinstance(value, str)).astype(bool)].astype(str).str.strip()
    texts = texts[~texts.str.lower().isin(_MISSING)]
    if not len(texts):
        return (".",) if pd.to_numeric(held, errors="coerce").notna().any() else ()
    if not (texts.str.contains(",", regex=False) | texts.str.contains(".", regex=False)).any():
        return (".",) if texts.str.match(_POINT).all() else ()
    return tuple(mark for mark, form in ((".", _POINT), (",", _COMMA)) if texts.str.match(form).all())


def _csv(raw: bytes, name: str) -> Layout:
    encoding, text = _decoded(raw)
    lines = text.splitlines()
    best: tuple[int, int, str] | None = None
    for separator in _SEPARATORS:
        counts = [len(row) for row in csv.reader(lines[:_SAMPLE_LINES], delimiter=separator)]
        width, rows = (
            Counter(count for count in counts if count > 1).most_common(1)[0]
            if any(count > 1 for count in counts)
            else (0, 0)
        )
        if rows > _FEWEST_ROWS and (best is None or (rows, width) > best[:2]):
            best = (rows, width, separator)
    if best is None:
        raise ValidationError(
            f"{name} holds no table: no separator of ; , tab | gives several columns.", remedy="export it as CSV."
        )
    _, width, separator = best
    rows_of = list(csv.reader(lines, delimiter=separator))
    whole = (place for place, row in enumerate(rows_of) if len(row) == width and all(cell.strip() for cell in row))
    start = next(whole, None)
    if start is None:
        raise ValidationError(f"{name}: no line names every column.", remedy="give the table a header.")
    if start > _MOST_PREAMBLE:
        raise ValidationError(f"{name}: the table starts at line {start + 1}.", remedy="delete what stands above it.")
    header = [cell.strip() for cell in rows_of[start]]
    _check_header(header, name)
    body = [row for row in rows_of[start + 1 :] if any(cell.strip() for cell in row)]
    odd = [place for place, row in enumerate(body) if len(row) != width]
    if odd:
        raise ValidationError(
            f"{name}: row {odd[0] + start + 2} has {len(body[odd[0]])} columns, the header {width}.",
            remedy="delete lines below the table (totals, footnotes), or correct that row.",
        )
    table = pd.DataFrame(body, columns=header, dtype=object).map(lambda cell: cell.strip())
    return Layout("csv", table.where(~table.isin(MISSING_TEXT)), separator, encoding, start)


def _excel(raw: bytes, sheet: str | None) -> Layout:
    import openpyxl  # type: ignore[import-untyped]

    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    names = tuple(book.sheetnames)
    if sheet is not None and sheet not in names:
        raise ValidationError(
            f"There is no sheet {sheet!r}; there are {', '.join(names)}.", remedy="name one of those."
        )
    chosen = sheet or names[0]
    rows = list(book[chosen].iter_rows(values_only=True))
    book.close()
    widths = Counter(sum(cell is not None for cell in row) for row in rows)
    full = max((width for width, count in widths.items() if width > 1 and count > _FEWEST_ROWS), default=0)
    if not full:
        raise ValidationError(f"Sheet {chosen!r} holds no table.", remedy="name the sheet that does (--sheet).")
    start = next(
        place
        for place, row in enumerate(rows)
        if sum(isinstance(cell, str) and bool(cell.strip()) for cell in row) >= full
    )
    frame = read_excel(raw, sheet=chosen, skip_rows=start).dropna(how="all").dropna(axis=1, how="all")
    _check_header([str(name) for name in frame.columns], chosen)
    return Layout("xlsx", frame.reset_index(drop=True), skip_rows=start, sheet=chosen, sheets=names)


def _check_header(header: Sequence[str], name: str) -> None:
    repeated = [cell for cell, count in Counter(header).items() if count > 1]
    if repeated:
        raise ValidationError(
            f"{name}: the column {repeated[0]!r} stands there twice.", remedy="give every column a name of its own."
        )


def _decoded(raw: bytes) -> tuple[Encoding, str]:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", raw.decode("utf-16")
    try:
        return "utf-8", raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1", raw.decode("latin-1")
