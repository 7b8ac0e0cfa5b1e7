"""From the store to the desk report on disk, for the asset and the command alike."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import pandas as pd

from forex_assets import schemas
from forex_assets.pipeline import Pipeline, day_key
from forex_assets.store.files import write_file
from forex_assets.store.naming import sanitize_path

if TYPE_CHECKING:
    from forex_assets.reporting.data_quality import DataQuality
    from forex_assets.reporting.inputs import ReportInputs
    from forex_assets.reporting.monitoring_section import MonitoringView

SHOWN_DAYS = 90
REPLAY_DAYS = 730


def report_inputs(pipeline: Pipeline, pair_id: str, as_of: dt.date, *, generated_at: pd.Timestamp) -> ReportInputs:
    """Return what the report of a day is made from; pieces that are not stored stay empty and the report says so.

    Raises
    ------
    StoreError
        When the day's bars are not stored.
    """
    from forex_assets.lifecycle_view import changes_of
    from forex_assets.reporting.inputs import ReportInputs

    store, settings = pipeline.store, pipeline.settings
    snapshot = pipeline.snapshot(pair_id, as_of)
    day = day_key(as_of)
    forecast_keys = [key for key in store.keys(schemas.FORECAST, pair_id) if key[1] <= day]
    verdicts = {
        days: store.info(schemas.FORECAST, pair_id, (name, day)).verdict
        for name, days in settings.horizons.items()
        if (name, day) in forecast_keys
    }
    recent = sorted({key[1] for key in forecast_keys})[-SHOWN_DAYS:]
    evaluation_keys = [key for key in store.keys(schemas.EVALUATION, pair_id) if key[1] <= day]
    newest_evaluations = [
        key for name in settings.horizons for key in [k for k in evaluation_keys if k[0] == name][-SHOWN_DAYS:]
    ]

    def rows(table: schemas.Table, keys: list[tuple[str, ...]]) -> pd.DataFrame:
        return store.read(table, pair_id, keys, allow_bad=True) if keys else table.empty()

    def whole(table: schemas.Table) -> pd.DataFrame:
        return rows(table, [()] if store.exists(table, pair_id, ()) else [])

    day_keys: list[tuple[str, ...]] = [(day,)]
    forecast = rows(schemas.FORECAST, [key for key in forecast_keys if key[1] in recent])
    config = str(forecast["config_hash"].iloc[-1]) if len(forecast) else settings.config_hash(pair_id)
    return ReportInputs(
        pair=settings.pair(pair_id),
        as_of=as_of,
        horizons=settings.horizons,
        generated_at=generated_at.to_pydatetime(),
        config_hash=config,
        data_hash=snapshot.data_hash,
        code_version=pipeline.code_version,
        series=settings.series,
        verdicts=verdicts,
        coverage_band=(settings.recommended.coverage.band_low_share, settings.recommended.coverage.band_high_share),
        bias_band_sigma=settings.recommended.bias.band_abs_sigma,
        monitoring=monitoring_view(pipeline, pair_id, as_of),
        changes=changes_of(pipeline, pair_id, as_of),
        bars=snapshot.bars,
        forecast=forecast,
        evaluation=rows(schemas.EVALUATION, newest_evaluations),
        performance=rows(schemas.PERFORMANCE_REPORT, store.keys(schemas.PERFORMANCE_REPORT, pair_id)),
        drivers=rows(schemas.DRIVERS, day_keys if store.exists(schemas.DRIVERS, pair_id, (day,)) else []),
        source_status=whole(schemas.SOURCE_STATUS),
        quarantine=whole(schemas.QUARANTINE),
        data_quality=_quality_of(pipeline, pair_id, as_of),
        comparison=rows(schemas.MODEL_COMPARISON, store.keys(schemas.MODEL_COMPARISON, pair_id)),
        reliability=rows(schemas.RELIABILITY, store.keys(schemas.RELIABILITY, pair_id)),
        slices=rows(schemas.PERFORMANCE_SLICES, store.keys(schemas.PERFORMANCE_SLICES, pair_id)),
        calibration=rows(schemas.INTERVAL_CALIBRATION, store.keys(schemas.INTERVAL_CALIBRATION, pair_id)),
    )


def _quality_of(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> DataQuality:
    """Return the section on data quality; empty where no observations can be read."""
    from forex_assets.reporting.data_quality import DataQuality, data_quality

    settings = pipeline.settings
    if not pipeline.store.exists(schemas.OBSERVATIONS, pair_id, ()):
        return DataQuality()
    observations = pipeline.store.read(schemas.OBSERVATIONS, pair_id, [()], allow_bad=True)
    platform = settings.platform
    return data_quality(
        observations,
        settings.pair(pair_id),
        settings.series,
        platform.feeds,
        platform.quality,
        as_of=as_of,
        others=pipeline.data.other_observations(pair_id),
    )


def monitoring_view(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> MonitoringView:
    """Return the stored findings of a day and the picture of the two years before; empty where none are stored."""
    from forex_assets.monitoring.replay import replay, spells
    from forex_assets.reporting.monitoring_charts import replay_figure
    from forex_assets.reporting.monitoring_section import MonitoringView, picture
    from forex_assets.watching import stored_frames

    key = (day_key(as_of),)
    if not pipeline.store.exists(schemas.FINDINGS, pair_id, key):
        return MonitoringView()
    findings = pipeline.store.read(schemas.FINDINGS, pair_id, [key], allow_bad=True)
    frames = stored_frames(pipeline, pair_id)
    first = as_of - dt.timedelta(days=REPLAY_DAYS)
    scanned = replay(frames, first, as_of, pipeline.settings, "recommended")
    found = spells(scanned, pipeline.settings.recommended.performance.quiet_business_days)
    return MonitoringView(
        findings,
        {"es": picture(replay_figure(frames, scanned, found, language="es")),
         "en": picture(replay_figure(frames, scanned, found, language="en"))},
    )  # fmt: skip


def report_path(pair_id: str, as_of: dt.date, language: str) -> str:
    """Return a report's path relative to the home folder."""
    return f"reports/{pair_id}/{as_of.isoformat()}/report_{language}.html"


def write_report(pipeline: Pipeline, inputs: ReportInputs) -> pd.DataFrame:
    """Write the report in both languages and return its index rows."""
    from forex_assets.reporting.report import build_report

    rows = []
    for language, html in build_report(inputs).items():
        path = report_path(inputs.pair.id, inputs.as_of, language)
        write_file(sanitize_path(path, pipeline.settings.home), html.encode())
        rows.append(
            {
                "pair": inputs.pair.id,
                "as_of": pd.Timestamp(inputs.as_of),
                "language": language,
                "path": path,
                "size_bytes": len(html.encode()),
                "sha256": hashlib.sha256(html.encode()).hexdigest(),
            }
        )
    return pipeline.stamp(pd.DataFrame(rows), config_hash=inputs.config_hash, data_hash=inputs.data_hash)
