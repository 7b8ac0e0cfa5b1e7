"""Table of the values a person put back."""

from __future__ import annotations

from forex_assets.schemas.columns import PAIR, declare
from forex_assets.schemas.table import Column

QUARANTINE_RELEASE = declare(
    "quarantine_release",
    "Quarantined observations a person put back: who, why and when; each stands as a new row available from then.",
    ["series", "event_time", "source", "released_at"],
    [
        PAIR,
        Column("series", "str", "Series id in the catalogue"),
        Column("event_time", "instant", "What the value describes"),
        Column("available_at", "instant", "When the withdrawn row had become available"),
        Column("source", "str", "Source of the withdrawn row"),
        Column("value", "float", "The value", "unit"),
        Column("rule", "str", "Quality rule that had withdrawn it"),
        Column("released_at", "instant", "When it was released; the new row is available from then"),
        Column("released_by", "str", "Who released it"),
        Column("why", "str", "The reason given"),
    ],
)
