"""What every asset of the graph shares: key, group, schema, kinds, owners, code version, and readable errors."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from forex_assets.errors import ForexError
from forex_assets.provenance import code_version
from forex_assets.schemas import TABLES, Table
from forex_assets.settings import PairSpec

if TYPE_CHECKING:
    import pandas as pd

SLICE_IO = "slices"
#: Partitions of one run up to which each gets metadata of its own.
MAX_DESCRIBED = 150
SINGLE_RUN = dg.BackfillPolicy.single_run()


def table_schema(table: Table) -> dg.TableSchema:
    """Return the Dagster column schema of a table: types, units and meaning."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.kind,
                description=f"{column.doc} [{column.unit}]" if column.unit else column.doc,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in table.columns
        ]
    )


def asset_options(pair: PairSpec, table_name: str, group: str, *, unit: str | None = None) -> dict[str, Any]:
    """Return the keyword arguments common to the assets of a pair."""
    table = TABLES[table_name]
    return {
        "group_name": group,
        "description": f"{table.doc}\n\nPair: {pair.label}, in {unit or pair.unit}. Key: {', '.join(table.key)}.",
        "metadata": {"dagster/column_schema": table_schema(table), "unit": unit or pair.unit, "pair": pair.id},
        "owners": pair.owners,
        "kinds": {"python", "parquet"},
        "code_version": code_version(),
        "tags": {"pair": pair.id},
    }


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turn the library's typed errors into a Dagster failure that shows value, rule and remedy."""
    try:
        yield
    except ForexError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"what": error.message, "remedy": error.remedy, "type": type(error).__name__},
            allow_retries=False,
        ) from error


def describe_slices(context: dg.AssetExecutionContext, key: dg.AssetKey, frames: Mapping[Any, pd.DataFrame]) -> None:
    """Attach rows and data hash to each materialised partition (kept small: it is stored once per partition).

    A run over more than ``MAX_DESCRIBED`` partitions says nothing per partition.
    """
    from forex_assets.defs.partitions import partition_key

    if len(frames) > MAX_DESCRIBED:
        # Dagster enumerates the run's whole range for every entry added, so the cost would grow with its square; what
        # would be said here stands in the footer of every slice.
        context.log.info("%d slices written; their rows and hashes stand in their footers", len(frames))
        return
    for store_key, frame in frames.items():
        metadata: dict[str, Any] = {"dagster/partition_row_count" if store_key else "dagster/row_count": len(frame)}
        if len(frame):
            metadata["data_hash"] = str(frame["data_hash"].iloc[0])
            metadata["config_hash"] = str(frame["config_hash"].iloc[0])
        partition = partition_key(store_key) if store_key else None
        context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)


def say(context: dg.AssetExecutionContext, partition: str, name: str, text: str) -> None:
    """Attach Markdown to one materialised partition, for people to read in the UI."""
    context.add_asset_metadata({name: dg.MetadataValue.md(text)}, asset_key=context.asset_key, partition_key=partition)


def picture_markdown(label: str, svg: str) -> str:
    """Return a picture as Markdown that needs no file beside it."""
    return f"![{label}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
