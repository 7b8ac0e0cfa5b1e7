"""What a declared table is: columns, key, Arrow schema on disk, and the check of a frame against them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from forex_assets.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["date", "instant", "float", "int", "str", "bool"]

_PANDAS_DTYPES: dict[Kind, str] = {
    "date": "datetime64[ns]",
    "instant": "datetime64[ns, UTC]",
    "float": "float64",
    "int": "int64",
    "str": "object",
    "bool": "bool",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, kind, what it means, its unit, and whether it may be empty."""

    name: str
    kind: Kind
    doc: str
    unit: str | None = None
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A stored table: its columns, the key that identifies a row, and its schema version."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    version: int = 1
    column_names: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = tuple(column.name for column in self.columns)
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name} declares a column twice")
        missing = set(self.key) - set(names)
        if missing:
            raise ValueError(f"table {self.name} has a key on undeclared columns {sorted(missing)}")
        object.__setattr__(self, "column_names", names)

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema on disk (dates as ``date32``, instants as microseconds in UTC)."""
        return _arrow_schema(self)

    def empty(self) -> pd.DataFrame:
        """Return a frame of this table with no rows and the right types."""
        import pandas as pd

        return pd.DataFrame({c.name: pd.Series([], dtype=_dtype(c)) for c in self.columns})

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return ``frame`` with exactly this table's columns, in order and with their types.

        Raises
        ------
        DataError
            When a column is missing or extra, cannot take its type, is empty where it may not be, or keys repeat.
        """
        import pandas as pd

        self._check_names(frame)
        result = pd.DataFrame({c.name: self._values(frame, c) for c in self.columns}, index=frame.index)
        self._check_key(result)
        return result

    def to_arrow(self, frame: pd.DataFrame) -> pa.Table:
        """Return ``frame`` as an Arrow table of this table's schema, checked as :meth:`conform` does in one pass less.

        Instants are kept to the microsecond, so a nanosecond rest is cut rather than refused.

        Raises
        ------
        DataError
            As :meth:`conform`.
        """
        rows, keys = self._arrow_of(frame)
        self._check_key(keys)
        return rows

    def _arrow_of(self, frame: pd.DataFrame) -> tuple[pa.Table, pd.DataFrame]:
        """Return ``frame`` as Arrow, checked but for repeated keys, and its key columns in their declared kinds."""
        import pandas as pd
        import pyarrow as pa

        self._check_names(frame)
        arrays: list[Any] = []
        keys: dict[str, Any] = {}
        for column, item in zip(self.columns, self.arrow_schema(), strict=True):
            # Arrow finds the empty texts while it converts them.
            values = frame[column.name].to_numpy(object) if column.kind == "str" else self._values(frame, column)
            try:
                array = pa.array(values, type=item.type, from_pandas=True, safe=False)
            except pa.ArrowException as error:
                raise self._wrong_kind(column, error) from error
            if array.null_count and not column.nullable:
                raise self._empty(column, array.null_count, len(frame))
            arrays.append(array)
            if column.name in self.key:
                keys[column.name] = values
        return pa.Table.from_arrays(arrays, schema=self.arrow_schema()), pd.DataFrame(keys)

    def to_arrow_many(self, frames: Sequence[pd.DataFrame]) -> list[pa.Table]:
        """Return each frame as :meth:`to_arrow` does, converted together: most of the work is per column, not per row.

        Raises
        ------
        DataError
            As :meth:`to_arrow`, for the first frame that breaks a rule.
        """
        import pandas as pd

        if len(frames) < 2 or any(not frame.dtypes.equals(frames[0].dtypes) for frame in frames[1:]):
            return [self.to_arrow(frame) for frame in frames]
        try:
            whole, keys = self._arrow_of(pd.concat(frames, ignore_index=True))
        except DataError:
            return [self.to_arrow(frame) for frame in frames]  # names the rows of the frame that is wrong
        tables, start = [], 0
        for frame in frames:
            end = start + len(frame)
            self._check_key(keys.iloc[start:end])
            tables.append(whole.slice(start, end - start))
            start = end
        return tables

    def _check_names(self, frame: pd.DataFrame) -> None:
        missing = [name for name in self.column_names if name not in frame.columns]
        extra = [str(name) for name in frame.columns if name not in self.column_names]
        if missing or extra or len(frame.columns) != len(self.columns):
            raise DataError(
                f"Rows for table '{self.name}' have the wrong columns: missing {missing}, unexpected {extra}, "
                f"{len(frame.columns)} instead of {len(self.columns)}.",
                remedy=f"produce exactly the columns declared in forex_assets.schemas for '{self.name}', each once.",
            )

    def _values(self, frame: pd.DataFrame, column: Column) -> Any:
        try:
            values, empty = _cast(frame[column.name], column)
        except (ValueError, TypeError, AttributeError) as error:
            raise self._wrong_kind(column, error) from error
        if empty and not column.nullable:
            raise self._empty(column, empty, len(frame))
        return values

    def _wrong_kind(self, column: Column, error: Exception) -> DataError:
        return DataError(
            f"Column '{column.name}' of table '{self.name}' does not hold the declared kind '{column.kind}': {error}.",
            remedy="convert the values before writing, or correct the declaration in forex_assets.schemas.",
        )

    def _empty(self, column: Column, count: int, rows: int) -> DataError:
        return DataError(
            f"Column '{column.name}' of table '{self.name}' is empty in {count} of {rows} rows, "
            "and the table does not allow that.",
            remedy="quarantine or complete those rows before writing.",
        )

    def _check_key(self, frame: pd.DataFrame) -> None:
        if any(frame[name].is_unique for name in self.key):  # then so is the whole key, and far sooner known
            return
        repeated = frame.duplicated(list(self.key))
        if repeated.any():
            first = frame.loc[repeated, list(self.key)].iloc[0].to_dict()
            raise DataError(
                f"Table '{self.name}' has more than one row for key {first}.",
                remedy=f"rows must be unique on {list(self.key)}; drop or merge the repeats.",
            )

    def pandera_schema(self) -> Any:
        """Return the pandera schema of this table (types, emptiness, uniqueness of the key)."""
        import pandera.pandas as pandera

        return pandera.DataFrameSchema(
            {c.name: pandera.Column(_dtype(c), nullable=c.nullable) for c in self.columns},
            unique=list(self.key),
            strict=True,
            ordered=True,
            name=self.name,
        )


def _dtype(column: Column) -> Any:
    """Return the type of a conformed column; an integer that may be missing is held as a float."""
    return "float64" if column.kind == "int" and column.nullable else _PANDAS_DTYPES[column.kind]


def _cast(series: pd.Series[Any], column: Column) -> tuple[Any, int]:
    """Return the values of a column in its declared kind, and how many are empty."""
    import numpy as np
    import pandas as pd

    dtype = _dtype(column)
    values: Any
    if column.kind == "date":
        values = series if series.dtype.kind == "M" else pd.to_datetime(series)
        if values.dt.tz is not None:
            raise ValueError("a calendar date must not carry a time zone")
        values = values.to_numpy().astype("datetime64[D]").astype(dtype)
    elif column.kind == "instant":
        values = series if series.dtype.kind == "M" else pd.to_datetime(series)
        if len(values) and values.notna().any() and values.dt.tz is None:
            raise ValueError("an instant must carry a time zone")
        if values.dt.tz is None:
            values = values.astype("datetime64[ns]").dt.tz_localize("UTC").array
        elif values.dtype == dtype:
            values = values.array
        else:
            values = values.dt.tz_convert("UTC").astype(dtype).array
    elif column.kind == "str":
        values = series.to_numpy(dtype=object)
        empty = pd.isna(values)
        count = int(empty.sum())
        if count:
            values = values.copy()
            values[empty] = None
        return values, count
    elif column.kind == "int" and column.nullable:
        values = series.to_numpy(dtype="float64", na_value=np.nan)
    elif column.kind == "bool":
        if series.isna().any():
            raise ValueError("a truth value is missing")
        if series.dtype == object and not series.map(lambda value: isinstance(value, bool | np.bool_)).all():
            raise ValueError("a value is neither True nor False")
        values = series.to_numpy(dtype=bool)
    elif column.kind == "int":
        if series.dtype.kind == "f" and not (series % 1 == 0).all():
            raise ValueError("a value is missing or not a whole number")
        values = series.to_numpy(dtype="int64")
    else:
        values = series.to_numpy(dtype="float64", na_value=np.nan)
    return values, int(pd.isna(values).sum())


@functools.lru_cache(maxsize=64)
def _arrow_schema(table: Table) -> pa.Schema:
    import pyarrow as pa

    types = {
        "date": pa.date32(),
        "instant": pa.timestamp("us", tz="UTC"),
        "float": pa.float64(),
        "int": pa.int64(),
        "str": pa.string(),
        "bool": pa.bool_(),
    }

    def arrow_type(column: Column) -> pa.DataType:
        # An integer that may be missing travels as a float, as pandas holds it.
        return pa.float64() if column.kind == "int" and column.nullable else types[column.kind]

    return pa.schema([pa.field(c.name, arrow_type(c), nullable=c.nullable) for c in table.columns])
