"""The I/O manager: one Parquet slice per partition, keyed on the set of partitions of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from forex_assets.defs.partitions import store_key
from forex_assets.schemas import TABLES, Table
from forex_assets.store.slice_file import SliceWrite
from forex_assets.store.slices import SliceStore
from forex_assets.verdicts import judge_slice

if TYPE_CHECKING:
    import pandas as pd


_BATCH = 64


class SliceIOManager(dg.IOManager):
    """Writes ``{store key: frame}`` and reads frames, through the slice store.

    A run over many partitions (a single-run backfill, over several horizons too) gives one mapping; every partition of
    the run is written, empty where the asset had no rows for it, so that a rerun never leaves an older slice standing.
    """

    def __init__(self, store: SliceStore) -> None:
        self.store = store

    def handle_output(self, context: dg.OutputContext, obj: Mapping[tuple[str, ...], pd.DataFrame]) -> None:
        """Write each partition's slice with its verdict inside."""
        pair, table = _address(context.asset_key)
        wanted = [store_key(key) for key in context.asset_partition_keys] if context.has_asset_partitions else [()]
        extra = sorted(set(obj) - set(wanted))
        if extra:
            raise dg.DagsterInvariantViolationError(
                f"{context.asset_key.to_user_string()} returned slices outside the run's partitions: {extra[:5]}"
            )
        for start in range(0, len(wanted), _BATCH):
            batch: dict[tuple[str, ...], SliceWrite] = {}
            for key in wanted[start : start + _BATCH]:
                frame = obj[key] if key in obj else table.empty()
                batch[key] = SliceWrite(frame, judge_slice(table, frame), _provenance(frame))
            self.store.write_many(table, pair, batch)

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Read the upstream partitions mapped to this run's, as one frame; a slice judged bad is refused."""
        pair, table = _address(context.asset_key)
        keys = [store_key(key) for key in context.asset_partition_keys] if context.has_asset_partitions else [()]
        return self.store.read(table, pair, keys)


def _address(key: dg.AssetKey) -> tuple[str, Table]:
    return key.path[0], TABLES[key.path[-1]]


def _provenance(frame: pd.DataFrame) -> dict[str, str]:
    meta: dict[str, Any] = {}
    if len(frame):
        first = frame.iloc[0]
        meta = {name: str(first[name]) for name in ("config_hash", "data_hash", "code_version")}
        if "event_date" in frame.columns and frame["event_date"].notna().any():
            meta["newest_event_date"] = frame["event_date"].max().strftime("%Y-%m-%d")
        if "made_from" in frame.attrs:  # the hashes that data_hash combines, by what they are of
            meta["made_from"] = json.dumps(frame.attrs["made_from"], sort_keys=True)
    return meta
