"""Columns and pieces that many tables share."""

from __future__ import annotations

from collections.abc import Sequence

from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas.table import Column, Table

PAIR = Column("pair", "str", "Pair id as configured, for example usdclp")
AS_OF = Column("as_of", "date", "Day at whose end (America/Santiago) the row was known")
HORIZON = Column("horizon", "int", "Tenor in calendar days from as_of", "days")
TARGET = Column("target_date", "date", "as_of plus the tenor, rolled forward to the pair's next business day")
MODEL = Column("model", "str", "Model name in the registry")
PROVENANCE_COLUMNS: tuple[Column, ...] = (
    Column("config_hash", "str", "Hash of the pair, target, sources and model configuration used"),
    Column("data_hash", "str", "Hash of the market data used"),
    Column("code_version", "str", "Package version and source hash that made the row"),
)
QUANTILES: tuple[Column, ...] = tuple(
    Column(name, "float", f"Predictive quantile {int(name[1:]) / 10:g}%", "quote per base") for name in QUANTILE_COLUMNS
)
#: Names of the columns that trace a row; every table ends with them.
PROVENANCE: tuple[str, ...] = tuple(column.name for column in PROVENANCE_COLUMNS)


def declare(
    name: str, doc: str, key: Sequence[str], columns: Sequence[Column], *, provenance: bool = True, version: int = 1
) -> Table:
    """Declare a table; unless told otherwise its last columns trace each row to configuration, data and code."""
    tail = PROVENANCE_COLUMNS if provenance else ()
    return Table(name=name, doc=doc, columns=(*columns, *tail), key=tuple(key), version=version)


def with_interval(name: str, doc: str, unit: str | None = None) -> tuple[Column, ...]:
    """Return the column ``name`` and both ends of its 95% confidence interval."""
    return (
        Column(name, "float", doc, unit, nullable=True),
        Column(f"{name}_low", "float", f"Lower end of the 95% confidence interval of {name}", unit, nullable=True),
        Column(f"{name}_high", "float", f"Upper end of the 95% confidence interval of {name}", unit, nullable=True),
    )
