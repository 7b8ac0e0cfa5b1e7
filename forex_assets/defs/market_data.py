"""Group market_data: what the sources said, the bad rows apart, and per business day what was known."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from forex_assets.defs.assets import SINGLE_RUN, SLICE_IO, asset_options, describe_slices, readable_errors
from forex_assets.defs.partitions import business_days
from forex_assets.errors import ValidationError
from forex_assets.feed_alerts import alert_of, stored_feed_findings, told
from forex_assets.ops.alerts import Outbox
from forex_assets.pipeline import Pipeline, utc_now
from forex_assets.settings import PairSpec

GROUP = "market_data"
RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def build(pipeline: Pipeline, pair: PairSpec) -> list[dg.AssetsDefinition]:
    """Return the market-data assets of one pair."""
    days = business_days(pipeline.settings, pair)
    zone = pipeline.settings.platform.schedules.timezone
    keys = {name: dg.AssetKey([pair.id, name]) for name in ("observations", "source_status", "quarantine")}

    @dg.multi_asset(
        name=f"{pair.id}_observations",
        specs=[
            dg.AssetSpec(
                keys[name],
                deps=[] if name == "observations" else [keys["observations"]],
                skippable=True,
                **asset_options(pair, name, GROUP, unit="unit of each series"),
            )
            for name in keys
        ],
        retry_policy=RETRIES,
        pool=f"{pair.id}_observations",
        can_subset=True,
    )
    def observations(context: dg.AssetExecutionContext) -> Iterator[Any]:
        now = utc_now()
        with readable_errors():
            frames = pipeline.data.write_ingest(pair.id, now=now)
        suspects = stored_feed_findings(pipeline, pair.id, frames["observations"], as_of=now.to_pydatetime())
        alert = alert_of(suspects, pair.id, now=now.to_pydatetime())
        if alert is not None:
            Outbox.from_settings(pipeline.settings).append(alert)
        status = frames["source_status"]
        answered = status.loc[status["state"] == "answered"]
        target = answered.loc[answered["series"] == pair.target.series]
        for name, frame in frames.items():
            if keys[name] not in context.selected_asset_keys:
                continue
            metadata: dict[str, dg.RawMetadataValue] = {"dagster/row_count": len(frame)}
            if name == "source_status":
                metadata["sources"] = dg.MetadataValue.md(
                    status[["series", "source", "state", "rows", "last_event", "reason"]].to_markdown(index=False)
                )
                metadata["target_served_by"] = ", ".join(target["source"]) or "nobody"
            if name == "observations":
                found = [told(item) for item in suspects if item.state == "found"]
                metadata["feeds_under_suspicion"] = dg.MetadataValue.md(
                    "\n".join(f"- {line}" for line in found) or "none"
                )
            if name == "quarantine" and len(frame):
                metadata["by_rule"] = dg.MetadataValue.md(
                    frame.groupby(["series", "rule"]).size().rename("rows").reset_index().to_markdown(index=False)
                )
            yield dg.MaterializeResult(asset_key=keys[name], metadata=metadata)

    @dg.asset(
        name="bars",
        key_prefix=pair.id,
        partitions_def=days,
        deps=[keys["observations"]],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "bars", GROUP),
    )
    def bars(context: dg.AssetExecutionContext) -> Any:
        with readable_errors():
            frames = pipeline.bars(pair.id, _days(context, zone))
        describe_slices(context, dg.AssetKey([pair.id, "bars"]), frames)
        return frames

    @dg.asset(
        name="drivers",
        key_prefix=pair.id,
        partitions_def=days,
        deps=[keys["observations"]],
        backfill_policy=SINGLE_RUN,
        io_manager_key=SLICE_IO,
        **asset_options(pair, "drivers", GROUP, unit="unit of each series"),
    )
    def drivers(context: dg.AssetExecutionContext) -> Any:
        with readable_errors():
            frames = pipeline.drivers(pair.id, _days(context, zone))
        describe_slices(context, dg.AssetKey([pair.id, "drivers"]), frames)
        return frames

    return [observations, bars, drivers]


def _days(context: dg.AssetExecutionContext, zone: str) -> list[dt.date]:
    """Return the days of this run; one that has not begun is refused, since nothing can be known at its end yet."""
    days = [dt.date.fromisoformat(key) for key in context.partition_keys]
    today = utc_now().tz_convert(zone).date()
    if ahead := [day for day in days if day > today]:
        # Dagster opens one session ahead, which on a closed weekday is a day to come.
        raise ValidationError(
            f"as_of {ahead[0]} has not begun in {zone}, where it is {today}.",
            remedy=f"materialise days up to {today}.",
        )
    return days


__all__ = ["GROUP", "build"]
