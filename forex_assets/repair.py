"""Repair of a damaged store: what can be made again from kept payloads is, the rest is moved aside and named.

Nothing is deleted: a damaged file lies on below ``.damaged/`` of the store, where no reader looks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from forex_assets.errors import ForexError
from forex_assets.pipeline import Pipeline
from forex_assets.schemas import OBSERVATIONS, QUARANTINE, SOURCE_STATUS
from forex_assets.store.damage import Damaged

#: Tables made by an ingestion, and made again by replaying it.
REBUILT = frozenset(table.name for table in (OBSERVATIONS, QUARANTINE, SOURCE_STATUS))


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of one damaged slice.

    Parameters
    ----------
    damaged:
        The slice.
    aside:
        Where its file lies now.
    outcome:
        ``rebuilt``, ``to_materialise`` (made again by the graph), or ``failed``.
    detail:
        What was done, or why not, and the command that goes on.
    """

    damaged: Damaged
    aside: str
    outcome: str
    detail: str


def repair(pipeline: Pipeline, damaged: Sequence[Damaged], *, now: dt.datetime) -> list[Repaired]:
    """Move every damaged file aside, make again what the archive of payloads gives, and name the rest.

    Raises
    ------
    StoreError
        When a file cannot be moved; those before it are done.
    """
    label = now.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    moved = [(item, pipeline.store.set_aside(item.name, label)) for item in damaged]
    rebuilt = {
        pair: _rebuild(pipeline, pair, now)
        for pair in dict.fromkeys(item.pair for item, _ in moved if item.table in REBUILT)
    }
    out = []
    for item, aside in moved:
        outcome, detail = rebuilt[item.pair] if item.table in REBUILT else ("to_materialise", _command(item))
        out.append(Repaired(item, aside, outcome, detail))
    return out


def _rebuild(pipeline: Pipeline, pair: str, now: dt.datetime) -> tuple[str, str]:
    if pair not in pipeline.settings.pairs:
        return "failed", f"{pair} is not configured; add configs/pairs/{pair}.yaml and repair again"
    try:
        rows = pipeline.data.rebuild_observations(pair, now=pd.Timestamp(now))
    except ForexError as error:
        return "failed", f"{error.message} Remedy: {error.remedy}"
    if rows is None:
        return "rebuilt", "no payload was kept: made from the sources that answer now; older versions are lost"
    return "rebuilt", f"{rows} rows from the payloads kept"


def _command(item: Damaged) -> str:
    day = next((part for part in item.key if len(part) == 10 and part[4] == "-"), None)
    when = f" --as-of {day}" if day else ""
    return f"`forex run --pair {item.pair}{when} --force` makes {item.pair}/{item.table} again"
