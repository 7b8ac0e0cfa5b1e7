"""Declared tables: the one place that says which columns a stored frame has, of which kind, in which unit.

The same declaration gives the Arrow schema on disk, the pandera check on write and read, the column documentation in
the Dagster UI, and the comments in the warehouse. Frames between rooms follow these tables; nothing else is shared.
Kinds: ``date`` is a calendar date (``datetime64[ns]`` without zone in pandas, ``date32`` on disk), ``instant`` a moment
in UTC (microseconds on disk), the others what they say.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from forex_assets.errors import DataError
from forex_assets.levels import QUANTILE_COLUMNS

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
        self._check_key(pd.DataFrame(keys))
        return pa.Table.from_arrays(arrays, schema=self.arrow_schema())

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


_PAIR = Column("pair", "str", "Pair id as configured, for example usdclp")
_AS_OF = Column("as_of", "date", "Day at whose end (America/Santiago) the row was known")
_HORIZON = Column("horizon", "int", "Tenor in calendar days from as_of", "days")
_TARGET = Column("target_date", "date", "as_of plus the tenor, rolled forward to the pair's next business day")
_MODEL = Column("model", "str", "Model name in the registry")
_PROVENANCE: tuple[Column, ...] = (
    Column("config_hash", "str", "Hash of the pair, target, sources and model configuration used"),
    Column("data_hash", "str", "Hash of the market data used"),
    Column("code_version", "str", "Package version and source hash that made the row"),
)
_QUANTILES: tuple[Column, ...] = tuple(
    Column(name, "float", f"Predictive quantile {int(name[1:]) / 10:g}%", "quote per base") for name in QUANTILE_COLUMNS
)
#: Names of the columns that trace a row; every table ends with them.
PROVENANCE: tuple[str, ...] = tuple(column.name for column in _PROVENANCE)


def _table(
    name: str, doc: str, key: Sequence[str], columns: Sequence[Column], *, provenance: bool = True, version: int = 1
) -> Table:
    tail = _PROVENANCE if provenance else ()
    return Table(name=name, doc=doc, columns=(*columns, *tail), key=tuple(key), version=version)


OBSERVATIONS = _table(
    "observations",
    "Every observation a source gave for the pair's target and drivers, with when it could be known.",
    ["series", "event_time", "available_at", "source"],
    [
        _PAIR,
        Column("series", "str", "Series id in the catalogue"),
        Column("event_time", "instant", "What the value describes; a daily value stands at 00:00 UTC of its date"),
        Column("available_at", "instant", "When the value could first be known"),
        Column("value", "float", "The value", "unit"),
        Column("open", "float", "Opening price where the source has one", "unit", nullable=True),
        Column("high", "float", "Highest price where the source has one", "unit", nullable=True),
        Column("low", "float", "Lowest price where the source has one", "unit", nullable=True),
        Column("unit", "str", "Unit of the value"),
        Column("source", "str", "Source that answered"),
        Column("retrieved_at", "instant", "When this platform fetched it"),
        Column("payload_hash", "str", "SHA-256 of the raw payload it came from"),
        Column("withdrawn_at", "instant", "From when it is known to be bad; empty while good", nullable=True),
        Column("rule", "str", "Quality rule that withdrew it", nullable=True),
        Column("reason", "str", "What the rule saw", nullable=True),
    ],
)
QUARANTINE = _table(
    "quarantine",
    "Observations withdrawn by a quality rule, with rule and reason; nothing is dropped silently.",
    ["series", "event_time", "available_at", "source"],
    OBSERVATIONS.columns[: -len(_PROVENANCE)],
)
SOURCE_STATUS = _table(
    "source_status",
    "Which source answered for each series, and why the ones before it did not.",
    ["series", "rank"],
    [
        _PAIR,
        Column("series", "str", "Series id in the catalogue"),
        Column("rank", "int", "Place in the declared chain, 1 first"),
        Column("source", "str", "Source name"),
        Column("state", "str", "answered, not_needed, not_configured, failed or empty"),
        Column("rows", "int", "Rows taken from this source", "rows"),
        Column("first_event", "date", "Earliest date taken", nullable=True),
        Column("last_event", "date", "Latest date taken", nullable=True),
        Column("reason", "str", "Why it failed, was empty or was not asked", nullable=True),
        Column("asked_at", "instant", "When it was asked"),
    ],
)
BARS = _table(
    "bars",
    "The pair's price history exactly as known at the end of as_of: one snapshot per business day.",
    ["as_of", "event_date", "available_at"],
    [
        _PAIR,
        _AS_OF,
        Column("event_date", "date", "Date the value belongs to"),
        Column("available_at", "instant", "When the value could first be known"),
        Column("open", "float", "Opening price where the source has one", "quote per base", nullable=True),
        Column("high", "float", "Highest price where the source has one", "quote per base", nullable=True),
        Column("low", "float", "Lowest price where the source has one", "quote per base", nullable=True),
        Column("value", "float", "Target value: fixing or close as the pair declares", "quote per base"),
        Column("source", "str", "Source that answered"),
        Column("withdrawn_at", "instant", "From when it is known to be bad; empty while good", nullable=True),
        Column("withdrawn_rule", "str", "Quality rule that withdrew it", nullable=True),
    ],
)
DRIVERS = _table(
    "drivers",
    "What was known of each driver at the end of as_of: newest value, age and changes.",
    ["as_of", "series"],
    [
        _PAIR,
        _AS_OF,
        Column("series", "str", "Series id in the catalogue"),
        Column("event_date", "date", "Date the newest known value describes", nullable=True),
        Column("available_at", "instant", "When that value could first be known", nullable=True),
        Column("value", "float", "Newest known value", "unit", nullable=True),
        Column("unit", "str", "Unit of the value"),
        Column("source", "str", "Source that answered", nullable=True),
        Column("age_days", "int", "Calendar days from event_date to as_of", "days", nullable=True),
        Column("change_kind", "str", "log (log change) or diff (difference in the series' unit)"),
        Column("change_1", "float", "Change over 1 observation", "change_kind", nullable=True),
        Column("change_5", "float", "Change over 5 observations", "change_kind", nullable=True),
        Column("change_20", "float", "Change over 20 observations", "change_kind", nullable=True),
        Column("state", "str", "fresh, stale or missing"),
        Column("note", "str", "Why it is stale or missing", nullable=True),
    ],
)
FORECAST = _table(
    "forecast",
    "The path of each model from the last known value to the target date, as quantiles; the last step is the tenor.",
    ["as_of", "horizon", "model", "step"],
    [
        _PAIR,
        _HORIZON,
        _AS_OF,
        _MODEL,
        Column("step", "int", "Values after the last known one", "business days"),
        Column("step_date", "date", "Date of the value this step describes"),
        _TARGET,
        Column("is_target", "bool", "True on the last step, the one that is scored"),
        Column("last_value", "float", "Last value known at as_of", "quote per base"),
        Column("last_event_date", "date", "Date of the last value known at as_of"),
        Column("mean", "float", "Mean of the predictive distribution", "quote per base"),
        *_QUANTILES,
        Column("is_active", "bool", "True for the model the active configuration deploys"),
        Column("calibrated_from", "date", "Start of the calibration row used; empty: uncalibrated", nullable=True),
        Column("reconstructed", "bool", "True for a what-if made with a later configuration"),
    ],
)
BACKTEST = _table(
    "backtest",
    "Walk-forward rows of every model: what it would have said at each origin, and what then happened.",
    ["horizon", "as_of", "model"],
    [
        _PAIR,
        _HORIZON,
        _AS_OF,
        _TARGET,
        _MODEL,
        Column("steps", "int", "Values from the last known one to the target", "business days"),
        Column("last_value", "float", "Last value known at as_of", "quote per base"),
        Column("last_event_date", "date", "Date of the last value known at as_of"),
        Column("mean", "float", "Mean of the predictive distribution", "quote per base"),
        *_QUANTILES,
        Column("actual", "float", "Value dated the target date; empty until it is known", "quote per base", True),
        Column("matured_on", "date", "Day (Santiago) the actual became known; empty until then", nullable=True),
    ],
)
EVALUATION = _table(
    "evaluation",
    "Outcome and scores of the forecast made at as_of, once its target value is known.",
    ["horizon", "as_of", "model"],
    [
        _PAIR,
        _HORIZON,
        _AS_OF,
        _TARGET,
        Column("matured_on", "date", "Day (Santiago) the actual became known"),
        _MODEL,
        Column("is_active", "bool", "True for the model the active configuration deployed"),
        Column("last_value", "float", "Last value known at as_of", "quote per base"),
        Column("mean", "float", "Mean of the predictive distribution", "quote per base"),
        Column("q025", "float", "Predictive quantile 2.5%", "quote per base"),
        Column("q100", "float", "Predictive quantile 10%", "quote per base"),
        Column("q500", "float", "Predictive quantile 50%", "quote per base"),
        Column("q900", "float", "Predictive quantile 90%", "quote per base"),
        Column("q975", "float", "Predictive quantile 97.5%", "quote per base"),
        Column("actual", "float", "Value dated the target date", "quote per base"),
        Column("error", "float", "mean minus actual", "quote per base"),
        Column("error_sigma", "float", "error over the model's own standard deviation (width of 80% / 2.563)", "sigma"),
        Column("crps", "float", "2 x mean pinball loss over the stored levels", "quote per base"),
        Column("interval_score_80", "float", "Winkler score of the 80% interval", "quote per base"),
        Column("interval_score_95", "float", "Winkler score of the 95% interval", "quote per base"),
        Column("covered_80", "bool", "Actual inside the 80% interval"),
        Column("covered_95", "bool", "Actual inside the 95% interval"),
        Column("below_95", "bool", "Actual below the 95% interval"),
        Column("above_95", "bool", "Actual above the 95% interval"),
        Column("width_80", "float", "Width of the 80% interval", "quote per base"),
        Column("width_95", "float", "Width of the 95% interval", "quote per base"),
        Column("pit", "float", "Probability integral transform of the actual, 0 to 1"),
    ],
)
INTERVAL_CALIBRATION = _table(
    "interval_calibration",
    "Width factors by start of validity, learned only from errors matured before it.",
    ["horizon", "model", "valid_from"],
    [
        _PAIR,
        _HORIZON,
        _MODEL,
        Column("valid_from", "date", "First as_of the factors apply to"),
        Column("learned_through", "date", "Newest maturity used"),
        Column("n", "int", "Matured errors used", "forecasts"),
        Column("n_effective", "float", "The same, counting overlapping tenors once", "forecasts"),
        Column("factor_lower", "float", "Multiplier of the distance from median to lower quantiles"),
        Column("factor_upper", "float", "Multiplier of the distance from median to upper quantiles"),
        Column("coverage_80_before", "float", "Past coverage of the uncalibrated 80% interval", "share"),
        Column("coverage_80_after", "float", "Past coverage with the factors", "share"),
        Column("coverage_95_before", "float", "Past coverage of the uncalibrated 95% interval", "share"),
        Column("coverage_95_after", "float", "Past coverage with the factors", "share"),
        Column("tail_low_before", "float", "Share below the uncalibrated 95% interval", "share"),
        Column("tail_low_after", "float", "The same with the factors", "share"),
        Column("tail_high_before", "float", "Share above the uncalibrated 95% interval", "share"),
        Column("tail_high_after", "float", "The same with the factors", "share"),
    ],
)


def _with_interval(name: str, doc: str, unit: str | None = None) -> tuple[Column, ...]:
    return (
        Column(name, "float", doc, unit, nullable=True),
        Column(f"{name}_low", "float", f"Lower end of the 95% confidence interval of {name}", unit, nullable=True),
        Column(f"{name}_high", "float", f"Upper end of the 95% confidence interval of {name}", unit, nullable=True),
    )


PERFORMANCE_REPORT = _table(
    "performance_report",
    "Scores by window of maturity dates, each beside the random walk on the same targets, with n and intervals.",
    ["horizon", "window", "model"],
    [
        _PAIR,
        _HORIZON,
        _AS_OF,
        Column("window", "str", "live_60 (forecasts made by this platform), backtest_1y, backtest_5y, backtest_all"),
        Column("window_start", "date", "First maturity in the window", nullable=True),
        Column("window_end", "date", "Last maturity in the window", nullable=True),
        _MODEL,
        Column("is_active", "bool", "True for the model the active configuration deploys"),
        Column("n", "int", "Matured forecasts", "forecasts"),
        Column("n_effective", "float", "The same, counting overlapping tenors once", "forecasts"),
        *_with_interval("coverage_80", "Share of outcomes inside the 80% interval", "share"),
        *_with_interval("coverage_95", "Share of outcomes inside the 95% interval", "share"),
        Column("tail_low_95", "float", "Share of outcomes below the 95% interval", "share", nullable=True),
        Column("tail_high_95", "float", "Share of outcomes above the 95% interval", "share", nullable=True),
        Column("interval_score_95", "float", "Mean Winkler score of the 95% interval", "quote per base", nullable=True),
        *_with_interval("interval_score_ratio", "interval_score_95 over the random walk's on the same targets"),
        Column("crps", "float", "Mean CRPS over the stored levels", "quote per base", nullable=True),
        *_with_interval("crps_ratio", "crps over the random walk's on the same targets"),
        Column("width_95", "float", "Mean width of the 95% interval", "quote per base", nullable=True),
        Column("rmse", "float", "Root mean squared error of the mean", "quote per base", nullable=True),
        Column("mae", "float", "Mean absolute error of the mean", "quote per base", nullable=True),
        Column("mape", "float", "Mean absolute percentage error of the mean", "percent", nullable=True),
        Column("theil_u", "float", "rmse over the random walk's on the same targets", nullable=True),
        *_with_interval("bias", "Mean error (forecast minus actual)", "quote per base"),
        *_with_interval("bias_sigma", "Mean error in the model's own standard deviations", "sigma"),
        Column("coverage_state", "str", "good, bad or unknown: 95% coverage against its tolerance"),
        Column("bias_state", "str", "good, bad or unknown: bias in sigma units against its tolerance"),
        Column("coverage_state_classic", "str", "The classic rule: coverage at least 0.90 (A17)"),
        Column("bias_state_classic", "str", "The classic rule: absolute mean error below 5 quote units (A18)"),
    ],
)
REPORT_INDEX = _table(
    "desk_report",
    "One row per report written: where it is and what it was made from.",
    ["as_of", "language"],
    [
        _PAIR,
        _AS_OF,
        Column("language", "str", "es or en"),
        Column("path", "str", "File, relative to the home folder"),
        Column("size_bytes", "int", "Size of the file", "bytes"),
        Column("sha256", "str", "Hash of the file"),
    ],
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        OBSERVATIONS,
        QUARANTINE,
        SOURCE_STATUS,
        BARS,
        DRIVERS,
        FORECAST,
        BACKTEST,
        EVALUATION,
        INTERVAL_CALIBRATION,
        PERFORMANCE_REPORT,
        REPORT_INDEX,
    )
}
