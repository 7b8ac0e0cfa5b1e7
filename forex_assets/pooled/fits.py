"""The pooled fits of a month: learned or shipped, put in force, and read.

Until a month is learned here, the rows the package ships serve: a fit is never made while a forecast waits.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forex_assets.pooled.drivers import pair_drivers
from forex_assets.pooled.stored import CONFIG, PANEL, VIX, driver, histories, month_key, price_hash, read, stored_months
from forex_assets.provenance import combine_hashes
from forex_assets.schemas import INTERVAL_CALIBRATION, PROVENANCE
from forex_assets.schemas.panel import PANEL_BARS, PANEL_FITS, PANEL_INDEX

if TYPE_CHECKING:
    from forex_assets.forecasting.ensemble.artefacts import EnsembleFit
    from forex_assets.forecasting.panel.artefacts import PanelFit
    from forex_assets.pipeline import Pipeline

STALE_DAYS = 10
"""Prices that end earlier before a month teach it nothing the month before did not know."""


def shipped_through() -> np.datetime64:
    """Return the first day of the last month whose rows the package ships."""
    from forex_assets.forecasting.ensemble.artefacts import WEIGHTS, embedded

    newest = embedded().frames[WEIGHTS.name]["valid_from"].max()
    return np.datetime64(newest, "D")


def month_fits(pipeline: Pipeline, month: dt.date) -> tuple[dict[str, pd.DataFrame], str]:
    """Return every table of a month's pooled fits, and where their rows come from.

    Rows of months the package ships are the shipped ones; a later month is learned from the stored prices, if these
    reach it, and otherwise keeps the rows there are.
    """
    start = np.datetime64(month_key(month), "D")
    shipped = _shipped()
    if start <= shipped_through():
        return _cut(pipeline, shipped, start, "shipped"), "shipped with the package"
    frame = read(pipeline, PANEL_BARS, ())
    if frame is None:
        return _cut(pipeline, shipped, start, "shipped"), "shipped with the package: no prices are stored to learn from"
    newest = np.datetime64(frame.loc[frame["series"] != VIX, "event_date"].max(), "D")
    if newest < start - np.timedelta64(STALE_DAYS, "D"):
        return _cut(pipeline, shipped, start, "shipped"), f"shipped with the package: prices reach only {newest}"
    return _cut(pipeline, _learn(frame, start), start, price_hash(frame)), f"learned from prices to {newest}"


def _learn(frame: pd.DataFrame, start: np.datetime64) -> dict[str, pd.DataFrame]:
    from forex_assets.forecasting.panel import build

    made = build.make(start.astype(object), driver(frame, VIX, "US"), histories=histories(frame))
    return {name: table for each in made for name, table in each.frames.items()}


def _shipped() -> dict[str, pd.DataFrame]:
    from forex_assets.forecasting.ensemble.artefacts import embedded as shipped_ensemble
    from forex_assets.forecasting.panel.artefacts import embedded as shipped_panel

    return {**shipped_panel().frames, **shipped_ensemble().frames}


def _cut(
    pipeline: Pipeline, frames: Mapping[str, pd.DataFrame], start: np.datetime64, source: str
) -> dict[str, pd.DataFrame]:
    out = {}
    for table in PANEL_FITS:
        rows = frames[table.name]
        rows = rows[rows["valid_from"] <= pd.Timestamp(start)].reset_index(drop=True)
        hashed = combine_hashes({"source": source, "through": str(start), "table": table.name})
        out[table.name] = pipeline.stamp(rows, config_hash=CONFIG, data_hash=hashed)
    return out


def newest_fits(pipeline: Pipeline) -> tuple[PanelFit, EnsembleFit]:
    """Return the pooled fits of the newest stored month, or the shipped ones; each row serves from its own day on."""
    from forex_assets.forecasting.ensemble import artefacts as ensemble
    from forex_assets.forecasting.ensemble.conditions import scheduled_events
    from forex_assets.forecasting.panel import artefacts as panel

    months = stored_months(pipeline)
    if not months or np.datetime64(months[-1], "D") <= shipped_through():
        shipped = ensemble.embedded()
        return panel.embedded(), shipped.with_events(scheduled_events(shipped.conditions()))
    key = (months[-1],)

    def load() -> tuple[PanelFit, EnsembleFit]:
        bare = {
            table.name: pipeline.store.read(table, PANEL, [key]).drop(columns=list(PROVENANCE)) for table in PANEL_FITS
        }
        learned = ensemble.EnsembleFit(bare["panel_weights"], bare["panel_corrections"])
        return (
            panel.PanelFit(bare["panel_coefficients"], bare["panel_shapes"], bare["panel_factors"]),
            learned.with_events(scheduled_events(learned.conditions())),
        )

    written = [pipeline.store.info(table, PANEL, key) for table in PANEL_FITS]
    fits: tuple[PanelFit, EnsembleFit] = pipeline.memory.kept("fits", written, load)
    return fits


@contextlib.contextmanager
def in_force(pipeline: Pipeline) -> Iterator[None]:
    """Put the newest pooled fits in force for a block of code."""
    from forex_assets.forecasting.ensemble import artefacts as ensemble
    from forex_assets.forecasting.panel import artefacts as panel

    pooled, weights = newest_fits(pipeline)
    with panel.using(pooled), ensemble.using(weights):
        yield


def fingerprint(pipeline: Pipeline) -> dict[str, str]:
    """Return what forecasts depend on besides the pair's own observations: hashes of the index and of the fits."""
    months = stored_months(pipeline)
    out = {"month": months[-1] if months else "shipped"}
    if pipeline.store.exists(PANEL_INDEX, PANEL, ()):
        out["index"] = pipeline.store.info(PANEL_INDEX, PANEL, ()).meta.get("data_hash", "empty")
    return out


def corrections_of(pipeline: Pipeline, pair_id: str, horizon: str) -> pd.DataFrame:
    """Return the ensemble's pooled corrections of a horizon as rows of ``interval_calibration``, without provenance.

    Of the fits in force and the variant that serves the pair; those of the nearest nominal tenor.
    """
    from forex_assets.forecasting.ensemble.artefacts import CORRECTIONS
    from forex_assets.forecasting.ensemble.learn import TENOR_DAYS
    from forex_assets.forecasting.panel.artefacts import PLAIN
    from forex_assets.forecasting.panel.artefacts import VIX as WITH_VIX
    from forex_assets.forecasting.panel.features import Market

    days = pipeline.settings.horizons[horizon]
    steps = min(TENOR_DAYS, key=lambda step: abs(TENOR_DAYS[step] - days))
    variant = WITH_VIX if Market.of(pair_drivers(pipeline, pair_id)) is not None else PLAIN
    frame = newest_fits(pipeline)[1].frames[CORRECTIONS.name]
    rows = frame[(frame["steps"] == steps) & (frame["variant"] == variant)]
    made = rows.assign(pair=pair_id, horizon=days, model="ensemble", scope=PANEL)
    names = [name for name in INTERVAL_CALIBRATION.column_names if name in made.columns]
    return made[names].reset_index(drop=True)
