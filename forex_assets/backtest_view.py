"""The backtest command's rows and scores: the same library calls as the assets, on stored or given data."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from forex_assets import schemas
from forex_assets.errors import DataError
from forex_assets.pipeline import PROVENANCE, Pipeline, utc_now
from forex_assets.summary import json_value


def backtest_rows(
    pipeline: Pipeline,
    pair_ids: list[str],
    horizons: list[str],
    *,
    start: dt.date | None,
    end: dt.date | None,
    every: int,
    fresh: bool,
) -> pd.DataFrame:
    """Return the walk-forward rows of several pairs and horizons.

    Parameters
    ----------
    fresh:
        True ingests in memory and stores nothing (another data folder was given); False works on the stored history,
        or on an in-memory ingest when nothing is stored.
    """
    frames = []
    for pair_id in pair_ids:
        bars, as_of, data_hash = _bars(pipeline, pair_id, fresh=fresh)
        frames += [
            pipeline.backtest_of(pair_id, horizon, bars, as_of, data_hash, start=start, end=end, every=every)
            for horizon in horizons
        ]
    return pd.concat(frames, ignore_index=True)


def _bars(pipeline: Pipeline, pair_id: str, *, fresh: bool) -> tuple[pd.DataFrame, dt.date, str]:
    from forex_assets.market.asof import bars_as_of, data_hash

    if not fresh and pipeline.snapshot_days(pair_id):
        snapshot = pipeline.snapshot(pair_id)
        return snapshot.bars, snapshot.as_of, snapshot.data_hash
    pair = pipeline.settings.pair(pair_id)
    observations = pipeline.ingest(pair_id, now=utc_now(), merge=False)["observations"]
    newest = pipeline.default_as_of(pair_id, now=utc_now(), observations=observations)
    bars = bars_as_of(observations, pair, newest)
    if bars.empty:
        raise DataError(f"No value of {pair_id} is known.", remedy="give a --data-dir that has its target series.")
    return bars, newest, data_hash(bars)


def backtest_scores(pipeline: Pipeline, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the scores per pair, horizon and model beside the random walk on the same targets.

    Raises
    ------
    DataError
        When no row has matured.
    """
    from forex_assets.evaluation.performance import performance_report

    matured = rows.drop(columns=list(PROVENANCE)).dropna(subset=["actual"])
    if matured.empty:
        raise DataError(
            f"None of the {len(rows)} rows has matured.", remedy="choose an earlier --start, or an --end further back."
        )
    nothing_live = schemas.EVALUATION.empty().drop(columns=list(PROVENANCE))
    out: list[dict[str, Any]] = []
    for pair_id, of_pair in matured.groupby("pair", sort=False):
        report = performance_report(
            nothing_live,
            of_pair,
            as_of=of_pair["matured_on"].max(),
            recommended=pipeline.settings.recommended,
            classic=pipeline.settings.classic,
            active_model=pipeline.settings.active_model(str(pair_id)),
        )
        whole = report.loc[report["window"] == "backtest_all"]
        out += [{str(name): json_value(value) for name, value in row.items()} for row in whole.to_dict("records")]
    return out
