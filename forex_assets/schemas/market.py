"""Tables of market data."""

from __future__ import annotations

from forex_assets.schemas.columns import (
    AS_OF,
    PAIR,
    PROVENANCE_COLUMNS,
    declare,
)
from forex_assets.schemas.table import Column

OBSERVATIONS = declare(
    "observations",
    "Every observation a source gave for the pair's target and drivers, with when it could be known.",
    ["series", "event_time", "available_at", "source"],
    [
        PAIR,
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
QUARANTINE = declare(
    "quarantine",
    "Observations withdrawn by a quality rule, with rule and reason; nothing is dropped silently.",
    ["series", "event_time", "available_at", "source"],
    OBSERVATIONS.columns[: -len(PROVENANCE_COLUMNS)],
)
SOURCE_STATUS = declare(
    "source_status",
    "Which source answered for each series, and why the ones before it did not.",
    ["series", "rank"],
    [
        PAIR,
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
BARS = declare(
    "bars",
    "The pair's price history exactly as known at the end of as_of: one snapshot per business day.",
    ["as_of", "event_date", "available_at"],
    [
        PAIR,
        AS_OF,
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
DRIVERS = declare(
    "drivers",
    "What was known of each driver at the end of as_of: newest value, age and changes.",
    ["as_of", "series"],
    [
        PAIR,
        AS_OF,
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
