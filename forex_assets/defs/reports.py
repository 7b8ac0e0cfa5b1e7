"""Group reports: the desk report per business day, and the warehouse that SQL tools read."""

import base64
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from forex_assets import schemas
from forex_assets.defs import panel
from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors
from forex_assets.defs.forecasts import ALL_DAYS
from forex_assets.defs.partitions import DAY, business_days
from forex_assets.desk import report_inputs, write_report
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.provenance import code_version
from forex_assets.schemas.panel import PANEL_TABLES
from forex_assets.settings import PairSpec

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

GROUP = "reports"
WAREHOUSE_KEY = dg.AssetKey(["warehouse"])
WAREHOUSE_POOL = "warehouse"


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return the report assets of one pair."""

    @dg.asset(
        name="desk_report",
        key_prefix=pair.id,
        partitions_def=business_days(pipeline.settings, pair),
        deps=[
            dg.AssetDep([pair.id, "forecast"], partition_mapping=dg.MultiToSingleDimensionPartitionMapping(DAY)),
            dg.AssetDep([pair.id, "performance_report"], partition_mapping=ALL_DAYS),
            dg.AssetDep([pair.id, "interval_calibration"], partition_mapping=ALL_DAYS),
            [pair.id, "drivers"],
            [pair.id, "bars"],
            [pair.id, "source_status"],
            [pair.id, "quarantine"],
        ],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **{**asset_options(pair, "desk_report", GROUP), "kinds": {"python", "html"}},
    )
    def desk_report(context: dg.AssetExecutionContext) -> Any:
        from forex_assets.reporting.forecast_charts import fan_chart_png
        from forex_assets.reporting.report import summary_markdown

        frames = {}
        with readable_errors():
            for key in context.partition_keys:
                inputs = report_inputs(pipeline, pair.id, dt.date.fromisoformat(key), generated_at=utc_now())
                frames[(key,)] = write_report(pipeline, inputs)
                picture = base64.b64encode(fan_chart_png(inputs, "en")).decode()
                context.add_asset_metadata(
                    {
                        "summary": dg.MetadataValue.md(summary_markdown(inputs, "en")),
                        "fan_chart": dg.MetadataValue.md(f"![fan chart](data:image/png;base64,{picture})"),
                        **{
                            f"report_{row.language}": dg.MetadataValue.path(str(pipeline.settings.home / str(row.path)))
                            for row in frames[(key,)].itertuples()
                        },
                    },
                    asset_key=context.asset_key,
                    partition_key=key,
                )
        describe_slices(context, context.asset_key, frames)
        return frames

    return [desk_report]


def build_warehouse(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Return the asset that publishes the read copy of every table for SQL tools."""
    of_the_panel = {table.name for table in PANEL_TABLES}
    left_out = {"desk_report", *WRITTEN_BY_PEOPLE, *of_the_panel}
    tables = [name for name in schemas.TABLES if name not in left_out]

    @dg.asset(
        key=WAREHOUSE_KEY,
        group_name=GROUP,
        deps=[
            dg.AssetDep([pair, name], partition_mapping=None if name in UNPARTITIONED else ALL_DAYS)
            for pair in pipeline.settings.pairs
            for name in tables
        ]
        + [dg.AssetDep(panel.BARS), *panel.lineage()],
        description=(
            "`warehouse.duckdb`: one documented table per asset over all pairs, rebuilt beside the old file and "
            "swapped in one step: readers never meet a lock or half a table. Bars are each pair's newest snapshot."
        ),
        kinds={"duckdb"},
        owners=sorted({owner for pair in pipeline.settings.pairs.values() for owner in pair.owners}),
        code_version=code_version(),
        pool=WAREHOUSE_POOL,
        required_resource_keys={"duckdb"},
    )
    def warehouse(context: dg.AssetExecutionContext) -> Any:
        from dagster_duckdb import DuckDBResource

        from forex_assets.store.warehouse import publish

        options = context.resources.duckdb.connection_config

        @contextmanager
        def connect(path: str) -> Iterator["DuckDBPyConnection"]:
            with DuckDBResource(database=path, connection_config=options).get_connection() as connection:
                yield connection

        target = pipeline.settings.home / "warehouse.duckdb"
        with readable_errors():
            published = publish(pipeline.store, target, connect=connect)
        return dg.MaterializeResult(
            metadata={"path": dg.MetadataValue.path(str(target)), "rows": {k: int(v) for k, v in published.items()}}
        )

    return warehouse


def duckdb_resource(path: str) -> dg.ResourceDefinition:
    """Return dagster-duckdb's resource for a file, imported by the run that publishes it and by no other."""

    def make(_: dg.InitResourceContext) -> Any:
        from dagster_duckdb import DuckDBResource

        return DuckDBResource(database=path)

    return dg.ResourceDefinition(make, description=f"DuckDB, for the warehouse {path}")


UNPARTITIONED = ("observations", "quarantine", "source_status")
WRITTEN_BY_PEOPLE = ("quarantine_release",)
"""Tables no asset makes: their rows are decisions given on the command line."""
