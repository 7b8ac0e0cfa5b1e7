"""Group panel, shared by all pairs: prices of many pairs, and what is learned from them together, by month."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from forex_assets.defs.assets import readable_errors, table_schema
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.pooled import fits as pooled_fits
from forex_assets.pooled import index as pooled_index
from forex_assets.pooled import prices as pooled_prices
from forex_assets.pooled import stored as pooled_stored
from forex_assets.provenance import code_version
from forex_assets.schemas import Table
from forex_assets.schemas.panel import PANEL_BARS, PANEL_FITS, PANEL_INDEX, PANEL_WEIGHTS

GROUP = "panel"
START = "2015-01-01"
BARS = dg.AssetKey([pooled_stored.PANEL, "bars"])
INDEX = dg.AssetKey([pooled_stored.PANEL, "volatility_index"])
#: Asset → table of its rows.
FITS = {
    "volatility_regression": "panel_coefficients",
    "pair_widths": "panel_factors",
    "error_shape": "panel_shapes",
    "ensemble_weights": "panel_weights",
    "ensemble_corrections": "panel_corrections",
}
FIT_KEYS = {name: dg.AssetKey([pooled_stored.PANEL, name]) for name in FITS}
LEARNED = tuple(FIT_KEYS.values())
JOB, PRICES_JOB, SCHEDULE = "panel_month_job", "panel_prices_job", "panel_month"


def months() -> dg.MonthlyPartitionsDefinition:
    """Return the months pooled fits are made for; the current one is open from its first day."""
    return dg.MonthlyPartitionsDefinition(start_date=START, end_offset=1)


def lineage() -> list[dg.AssetDep]:
    """Return what every forecast and backtest takes from the panel: rows valid at its origins, whatever the month."""
    every = dg.AllPartitionMapping()
    return [*(dg.AssetDep(key, partition_mapping=every) for key in LEARNED), dg.AssetDep(INDEX)]


def build(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """Return the assets of the panel."""
    owners = sorted({owner for pair in pipeline.settings.pairs.values() for owner in pair.owners})

    def options(table: Table, unit: str) -> dict[str, Any]:
        return {
            "group_name": GROUP,
            "description": f"{table.doc}\n\nKey: {', '.join(table.key)}.",
            "metadata": {"dagster/column_schema": table_schema(table), "unit": unit, "table": table.name},
            "owners": owners,
            "kinds": {"python", "parquet"},
            "code_version": code_version(),
        }

    @dg.asset(
        key=BARS,
        deps=[[pooled_stored.FIXING_PAIR, "observations"]]
        if pooled_stored.FIXING_PAIR in pipeline.settings.pairs
        else [],
        **options(PANEL_BARS, "quote per base"),
    )
    def bars(context: dg.AssetExecutionContext) -> Any:
        with readable_errors():
            frame = pooled_prices.bars(pipeline, now=utc_now())
            pooled_stored.write(pipeline, PANEL_BARS, (), frame)
        newest = frame.groupby("series")["event_date"].max()
        vix = newest.get(pooled_stored.VIX)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": len(frame),
                "pairs": int((newest.index != pooled_stored.VIX).sum()),
                "newest": str(newest.drop(pooled_stored.VIX, errors="ignore").max().date()),
                "vix": str(vix.date()) if vix is not None else "none: the fits without it serve",
                "sources": ", ".join(sorted(frame["source"].unique())),
            }
        )

    @dg.asset(key=INDEX, deps=[BARS], **options(PANEL_INDEX, "log ratio"))
    def volatility_index(context: dg.AssetExecutionContext) -> Any:
        with readable_errors():
            frame = pooled_index.index(pipeline)
            pooled_stored.write(pipeline, PANEL_INDEX, (), frame)
        newest = str(frame["event_date"].max().date()) if len(frame) else "not made: there is no VIX to serve beside"
        return dg.MaterializeResult(metadata={"dagster/row_count": len(frame), "newest": newest})

    tables = {table.name: table for table in PANEL_FITS}
    below = {"pair_widths": ["volatility_regression"], "error_shape": ["volatility_regression", "pair_widths"]}
    below |= {"ensemble_weights": ["error_shape"], "ensemble_corrections": ["ensemble_weights"]}

    @dg.multi_asset(
        name="panel_fits",
        specs=[
            dg.AssetSpec(
                key,
                deps=[BARS, INDEX, *(FIT_KEYS[other] for other in below.get(name, []))],
                **options(tables[FITS[name]], "as documented by column"),
            )
            for name, key in FIT_KEYS.items()
        ],
        partitions_def=months(),
    )
    def panel_fits(context: dg.AssetExecutionContext) -> Iterator[Any]:
        month = dt.date.fromisoformat(context.partition_key)
        with readable_errors():
            frames, source = pooled_fits.month_fits(pipeline, month)
            for table in FITS.values():
                pooled_stored.write(pipeline, tables[table], (pooled_stored.month_key(month),), frames[table])
        for name, table in FITS.items():
            frame = frames[table]
            metadata: dict[str, Any] = {"dagster/partition_row_count": len(frame), "learned": source}
            if len(frame):
                metadata["learned_through"] = str(frame["learned_through"].max().date())
            if table == PANEL_WEIGHTS.name:
                metadata["weights_now"] = dg.MetadataValue.md(weights_now(frame))
            yield dg.MaterializeResult(asset_key=FIT_KEYS[name], metadata=metadata)

    return [bars, volatility_index, panel_fits]


def weights_now(frame: pd.DataFrame) -> str:
    """Return the newest weights and gates as a Markdown table."""
    rows = frame[(frame["valid_from"] == frame["valid_from"].max()) & (frame["variant"] == frame["variant"].max())]
    columns = ["steps", "member", "weight", "gate", "reason", "crps_ratio", "theils_u", "n", "n_effective"]
    return str(rows[columns].to_markdown(index=False))


def build_checks(pipeline: Pipeline) -> list[dg.AssetChecksDefinition]:
    """Return the checks of the panel: enough pairs, and weights that are shares learned from the past."""

    @dg.asset_check(asset=BARS, name="enough_pairs", description="The panel holds at least 20 pairs that end together.")
    def enough_pairs() -> dg.AssetCheckResult:
        frame = pooled_stored.stored_bars(pipeline)
        newest = frame[frame["series"] != pooled_stored.VIX].groupby("series")["event_date"].max()
        behind = newest[newest < newest.max() - pd.Timedelta(days=pooled_fits.STALE_DAYS)]
        return dg.AssetCheckResult(
            passed=len(newest) - len(behind) >= pooled_prices.MIN_PAIRS,
            metadata={
                "expected": f"at least {pooled_prices.MIN_PAIRS} pairs within {pooled_fits.STALE_DAYS} days of the "
                "newest",
                "actual": f"{len(newest) - len(behind)} of {len(newest)}",
                "behind": ", ".join(map(str, behind.index)) or "none",
            },
        )

    @dg.asset_check(
        asset=FIT_KEYS["ensemble_weights"],
        name="shares_learned_from_the_past",
        description="Weights of a tenor add up to 1, and every row was learned before it became valid.",
    )
    def shares() -> dg.AssetCheckResult:
        stored = pooled_stored.stored_months(pipeline)
        frame = pooled_stored.read(pipeline, PANEL_WEIGHTS, (stored[-1],)) if stored else None
        if frame is None:
            return dg.AssetCheckResult(passed=False, metadata={"expected": "a stored month", "actual": "none"})
        total = frame.groupby(["valid_from", "variant", "steps"])["weight"].sum()
        late = int((frame["learned_through"] >= frame["valid_from"]).sum())
        worst = float(np.abs(total - 1.0).max())
        return dg.AssetCheckResult(
            passed=bool(worst < 1e-6 and late == 0),
            metadata={
                "expected": "sums of 1, no row learned late",
                "actual": f"largest gap {worst:.2g}, {late} late rows",
                "month": stored[-1],
            },
        )

    return [enough_pairs, shares]


def build_jobs() -> list[Any]:
    """Return the jobs of the panel: its prices and index, and the fits of a month."""
    return [
        dg.define_asset_job(
            PRICES_JOB,
            selection=dg.AssetSelection.assets(BARS, INDEX),
            description="Panel: ask the sources for the prices of all pairs, and make its volatility index.",
        ),
        dg.define_asset_job(
            JOB,
            selection=dg.AssetSelection.assets(*LEARNED),
            description="Panel: the pooled fits of a month; about a minute where they have to be learned.",
        ),
    ]


def build_schedule(pipeline: Pipeline) -> dg.ScheduleDefinition:
    """Return the schedule that learns the fits of each month on its first day; stopped until someone starts it."""

    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        month = pooled_stored.month_key(context.scheduled_execution_time.date())
        return dg.RunRequest(run_key=f"panel-{month}", partition_key=month)

    return dg.ScheduleDefinition(
        name=SCHEDULE,
        cron_schedule="0 4 1 * *",
        execution_timezone=pipeline.settings.platform.schedules.timezone,
        job_name=JOB,
        execution_fn=evaluate,
        description="The pooled fits of the month that begins.",
    )
