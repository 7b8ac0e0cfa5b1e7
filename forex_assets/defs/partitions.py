"""Partitions shared by every group: business days of a pair, horizons, and their product.

The pair itself is an asset-key prefix, never a dimension: Dagster allows two, and they are taken.
"""

from __future__ import annotations

import datetime as dt

import dagster as dg
import numpy as np

from forex_assets.clock import calendar_for
from forex_assets.settings import PairSpec, Settings

DAY = "as_of"
HORIZON = "horizon"
_LAST_YEAR = 2032


def business_days(settings: Settings, pair: PairSpec) -> dg.TimeWindowPartitionsDefinition:
    """Return the pair's business days from its ``history_start`` to today (Santiago), closures left out.

    ``end_offset=1`` opens today's partition at midnight: the day's forecast is made that evening, not the day after.
    """
    calendar = calendar_for(pair.calendars)
    start = np.datetime64(pair.history_start, "D")
    closures = calendar.closures(start, np.datetime64(f"{_LAST_YEAR}-12-31", "D"))
    return dg.TimeWindowPartitionsDefinition(
        start=pair.history_start.isoformat(),
        fmt="%Y-%m-%d",
        cron_schedule="0 0 * * 1-5",
        timezone=settings.platform.schedules.timezone,
        exclusions=[dt.datetime.combine(day.item(), dt.time()) for day in closures],
        end_offset=1,
    )


def weeks(settings: Settings, pair: PairSpec) -> dg.WeeklyPartitionsDefinition:
    """Return the weeks of a pair by their Monday; the report of a week is about the days before that Monday."""
    first = np.datetime64(pair.history_start, "D")
    monday = first + (4 - first.astype(np.int64)) % 7
    return dg.WeeklyPartitionsDefinition(
        start_date=str(monday),
        day_offset=1,
        timezone=settings.platform.schedules.timezone,
        end_offset=1,
    )


def horizons(settings: Settings) -> dg.StaticPartitionsDefinition:
    """Return the configured horizons in growing order."""
    return dg.StaticPartitionsDefinition(list(settings.horizons))


def day_by_horizon(settings: Settings, pair: PairSpec) -> dg.MultiPartitionsDefinition:
    """Return business day × horizon."""
    return dg.MultiPartitionsDefinition({DAY: business_days(settings, pair), HORIZON: horizons(settings)})


def store_key(partition_key: str) -> tuple[str, ...]:
    """Return the store key of a Dagster partition key: ``2025-06-13|7d`` → ``("7d", "2025-06-13")``."""
    if isinstance(partition_key, dg.MultiPartitionKey):
        dimensions = partition_key.keys_by_dimension
        return (dimensions[HORIZON], dimensions[DAY])
    parts = partition_key.split("|")
    return (parts[1], parts[0]) if len(parts) == 2 else (partition_key,)


def partition_key(store_key: tuple[str, ...]) -> str:
    """Return the Dagster partition key of a store key, the inverse of :func:`store_key`."""
    return f"{store_key[1]}|{store_key[0]}" if len(store_key) == 2 else store_key[0]
