"""Tables in files: one reader for CSV and Parquet, described by the keys of a series' address.

Tolerant of layout (date format, decimal comma, separator, units to scale), strict about what comes out: dates that
parse, numbers that are numbers, one row per date.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import FRAME_COLUMNS, PRICE_COLUMNS
from forex_assets.market.vintages.recording import note
from forex_assets.settings.addresses import TableAddress

if TYPE_CHECKING:
    from forex_assets.settings import SeriesSpec

_SHOWN_DATES = 5
#: Tables last read, newest last: by content, and by how they are to be read.
_READ: dict[tuple[str, ...], tuple[pd.DataFrame, str | None]] = {}
_READ_GUARD = threading.Lock()
_READ_TABLES = 24
MISSING_TEXT = ["", "NaN", "nan", "NA", "N/A", "#N/A", "ND", ".", "null", "None", "-"]


def address_of(series: SeriesSpec, source: str) -> TableAddress:
    """Return the file address of a series at a source.

    Raises
    ------
    ConfigError
        When the address misses ``file`` or holds a key nobody reads.
    """
    body: dict[str, Any] = series.addresses.get(source, {})
    try:
        return TableAddress.model_validate(body)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(
            f"Series {series.id}: addresses.{source} is {body!r}: {lines}.",
            remedy="use the keys of docs/add-a-source.md: " + ", ".join(TableAddress.model_fields) + ".",
        ) from error


def read_table(path: Path, address: TableAddress, *, label: str) -> tuple[pd.DataFrame, str, str | None]:
    """Read one series from a file.

    Parameters
    ----------
    path:
        The file.
    address:
        How to read it.
    label:
        How the file is called in errors and notes.

    Returns
    -------
    The frame of :class:`~forex_assets.market.contract.FetchResult`, the SHA-256 of the file, and a note or None.

    Raises
    ------
    SourceError
        When the file cannot be read, lacks a column, or holds a date or number that is none.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{label} cannot be read: {error.strerror or error}.", remedy="restore the file or its permissions."
        ) from error
    note(label, raw)
    digest = hashlib.sha256(raw).hexdigest()
    key = (digest, path.suffix, address.model_dump_json(), label)
    with _READ_GUARD:
        held = _READ.pop(key, None)
    # The same file is asked for by every pair that has the series.
    tidy, told = held or rows_of(_parse(raw, path, address, label), address, label=label)
    with _READ_GUARD:
        _READ[key] = (tidy, told)
        while len(_READ) > _READ_TABLES:
            _READ.pop(next(iter(_READ)))
    return tidy.copy(), digest, told


def rows_of(table: pd.DataFrame, address: TableAddress, *, label: str) -> tuple[pd.DataFrame, str | None]:
    """Return the rows of a table as its address describes them, and a note about dates that repeated.

    Raises
    ------
    SourceError
        When a column is missing, or holds a date or number that is none.
    """
    wanted = [address.date_column, address.column, *address.drop_where, *(PRICE_COLUMNS if address.ohlc else ())]
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise SourceError(
            f"{label} has no column {', '.join(map(repr, absent))}; it has {', '.join(map(str, table.columns))}.",
            remedy="correct `column`, `date_column`, `ohlc` or `drop_where` of the series' address.",
        )
    for column, texts in address.drop_where.items():
        table = table[~table[column].astype(str).isin([str(text) for text in texts])]
    frame = pd.DataFrame({"event_date": _dates(table[address.date_column], address, label)})
    frame["value"] = _numbers(table[address.column], address, label)
    for name in PRICE_COLUMNS:
        frame[name] = _numbers(table[name], address, label) if address.ohlc else np.nan
    return tidy_frame(frame)


def tidy_frame(frame: pd.DataFrame, *, refuse_contradictions: bool = False) -> tuple[pd.DataFrame, str | None]:
    """Return rows with a value, one per date in ascending order, and a note about dates that repeated.

    Of a repeated date the last row is taken; with ``refuse_contradictions`` only where all its rows agree, and a date
    whose rows contradict each other is left out: nobody can tell which is right.
    """
    kept = frame.loc[np.isfinite(frame["value"].to_numpy(float)), list(FRAME_COLUMNS)]
    notes: list[str] = []
    if refuse_contradictions:
        again = kept["event_date"].duplicated(keep=False)
        odd = again & ~kept.duplicated(keep=False)
        dates = sorted(set(kept.loc[odd, "event_date"].dt.strftime("%Y-%m-%d")))
        if dates:
            kept = kept[~kept["event_date"].isin(pd.to_datetime(dates))]
            shown = ", ".join(dates[:_SHOWN_DATES]) + (", …" if len(dates) > _SHOWN_DATES else "")
            notes.append(f"{len(dates)} dates given more than once with different values are left out: {shown}")
    repeats = int(kept["event_date"].duplicated().sum())
    if repeats:
        kept = kept.drop_duplicates("event_date", keep="last")
        notes.insert(0, f"{repeats} repeated dates: the last row of each was taken")
    tidy = kept.sort_values("event_date", kind="stable").reset_index(drop=True)
    return tidy, "; ".join(notes) or None


def empty_frame() -> pd.DataFrame:
    """Return a frame of the contract's columns with no rows."""
    frame = pd.DataFrame({name: np.empty(0, dtype=float) for name in FRAME_COLUMNS})
    return frame.astype({"event_date": "datetime64[ns]"})


def _parse(raw: bytes, path: Path, address: TableAddress, label: str) -> pd.DataFrame:
    try:
        if path.name.endswith(".parquet"):
            return pd.read_parquet(io.BytesIO(raw))
        if path.name.endswith(".xlsx"):
            return read_excel(raw, sheet=address.sheet, skip_rows=address.skip_rows)
        text = gzip.decompress(raw) if path.name.endswith(".gz") else raw
        return pd.read_csv(
            io.BytesIO(text),
            sep=address.separator,
            dtype=str,
            keep_default_na=False,
            na_values=MISSING_TEXT,
            encoding="utf-8-sig" if address.encoding == "utf-8" else address.encoding,
            skiprows=address.skip_rows,
        )
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        # pandas' parser errors, pyarrow's ArrowInvalid and UnicodeDecodeError are all ValueErrors.
        raise SourceError(
            f"{label} is not a readable table: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            remedy="check the file, and `separator` of the series' address.",
        ) from error


def read_excel(raw: bytes, *, sheet: str | None = None, skip_rows: int = 0) -> pd.DataFrame:
    """Return a sheet of an Excel file (the first, unless named) with texts as they are and numbers as numbers."""
    frame: pd.DataFrame = pd.read_excel(
        io.BytesIO(raw),
        sheet_name=0 if sheet is None else sheet,
        skiprows=skip_rows,
        engine="openpyxl",
        keep_default_na=False,
        na_values=MISSING_TEXT,
    )
    return frame


def _dates(column: pd.Series[Any], address: TableAddress, label: str) -> pd.Series[Any]:
    try:
        if column.dtype == object and pd.api.types.infer_dtype(column) == "string":
            parsed = pd.to_datetime(
                column.str.strip(), format=address.date_format or "ISO8601", utc=address.zone is not None
            )
        else:
            parsed = pd.to_datetime(column)
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"{label}: column {address.date_column!r} holds something that is no date: {str(error).splitlines()[0]}",
            remedy="set `date_format` of the series' address, for example '%d-%m-%Y', or correct the file.",
        ) from error
    if parsed.isna().any():
        raise SourceError(
            f"{label}: column {address.date_column!r} is empty in {int(parsed.isna().sum())} rows.",
            remedy="correct the file.",
        )
    if parsed.dt.tz is not None and address.zone:
        parsed = parsed.dt.tz_convert(address.zone).dt.tz_localize(None)
    if parsed.dt.tz is not None:
        raise SourceError(
            f"{label}: column {address.date_column!r} holds zone-aware instants, a date is expected.",
            remedy="set `zone` of the series' address to the zone in which the date is meant.",
        )
    return parsed.dt.normalize().astype("datetime64[ns]")


def _numbers(column: pd.Series[Any], address: TableAddress, label: str) -> pd.Series[Any]:
    if column.dtype == object and not address.thousands and address.decimal == ".":
        numbers = pd.to_numeric(column, errors="coerce")
        if not (numbers.isna() & column.notna()).any():
            return numbers.astype(float) * address.scale
    if column.dtype == object:
        said = column.map(lambda value: isinstance(value, str))
        text = column[said].str.strip()
        grouping = address.thousands or ("." if address.decimal != "." else None)
        if grouping:
            text = text.str.replace(grouping, "", regex=False)
        text = text.str.replace(address.decimal, ".", regex=False)
        plain = column.where(~said)
        plain[said] = text
        numbers = pd.to_numeric(plain, errors="coerce")
        wrong = numbers.isna() & column.notna()
        if wrong.any():
            raise SourceError(
                f"{label}: {int(wrong.sum())} values are no number, the first is {column[wrong].iloc[0]!r}.",
                remedy="set `decimal` of the series' address, or correct the file.",
            )
    else:
        numbers = pd.to_numeric(column)
    return numbers.astype(float) * address.scale
