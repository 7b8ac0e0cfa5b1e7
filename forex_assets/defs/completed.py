"""What the last complete run of a pair was made from, so that the next one on the same inputs has nothing to do."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forex_assets import schemas
from forex_assets.desk import report_path
from forex_assets.errors import StoreError, ValidationError
from forex_assets.pipeline import Pipeline
from forex_assets.pooled import fits as pooled_fits
from forex_assets.provenance import content_hash
from forex_assets.store.files import LocalFiles

_TABLES = (
    schemas.BARS,
    schemas.DRIVERS,
    schemas.BACKTEST,
    schemas.INTERVAL_CALIBRATION,
    schemas.FORECAST,
    schemas.EVALUATION,
    schemas.PERFORMANCE_REPORT,
    schemas.MODEL_COMPARISON,
    schemas.RELIABILITY,
    schemas.PERFORMANCE_SLICES,
    schemas.REPORT_INDEX,
)


def fingerprint(pipeline: Pipeline, pair_id: str, as_of: dt.date, days: int) -> str:
    """Return the hash of everything a run's results depend on: observations, configurations, profiles, code, range."""
    settings = pipeline.settings
    observations = pipeline.observations(pair_id)
    return content_hash(
        {
            "observations": str(observations["data_hash"].iloc[0]),
            "sources": sorted(observations["source"].unique()),
            "configs": [pipeline.active(pair_id, horizon, as_of).config_hash for horizon in settings.horizons],
            "profiles": [settings.recommended.model_dump(mode="json"), settings.classic.model_dump(mode="json")],
            "code": pipeline.code_version,
            "panel": pooled_fits.fingerprint(pipeline),
            "as_of": as_of.isoformat(),
            "days": days,
        }
    )


def remember(pipeline: Pipeline, pair_id: str, mark: str, first: str, last: str) -> None:
    """Write down that a run is complete, with every slice of its range."""
    slices = {
        table.name: ["|".join(key) for key in pipeline.store.keys(table, pair_id) if _in_range(key, first, last)]
        for table in _TABLES
    }
    body = json.dumps({"fingerprint": mark, "last": last, "slices": slices}, indent=1)
    LocalFiles(pipeline.settings.home).write_all([(_name(pair_id), body.encode())])


def is_current(pipeline: Pipeline, pair_id: str, mark: str) -> bool:
    """Tell whether the last complete run had this fingerprint and all it made is still there and readable."""
    record = _record(pipeline.settings.home / _name(pair_id))
    if record is None or record["fingerprint"] != mark:
        return False
    reports = [
        pipeline.settings.home / report_path(pair_id, dt.date.fromisoformat(record["last"]), lang)
        for lang in ("es", "en")
    ]
    if not all(report.is_file() for report in reports):
        return False
    try:
        for table in _TABLES:
            for key in record["slices"][table.name]:
                info = pipeline.store.info(table, pair_id, tuple(key.split("|")))
                if info.verdict.state == "bad" and table is not schemas.PERFORMANCE_REPORT:
                    return False
    except (StoreError, ValidationError):
        # Something is missing or damaged: making everything again mends it.
        return False
    return True


def _record(path: Path) -> dict[str, Any] | None:
    """Return what was written down, or None: a record that cannot be read, or is none, proves nothing.

    The run is then made again and writes a new one.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        slices, last = body["slices"], dt.date.fromisoformat(body["last"])
        keys = [key for table in _TABLES for key in slices[table.name]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_whole = isinstance(body.get("fingerprint"), str) and all(isinstance(key, str) for key in keys)
    return body if is_whole and last.isoformat() == body["last"] else None


def _in_range(key: Sequence[str], first: str, last: str) -> bool:
    day = key[-1]
    return not day[:1].isdigit() or "-" not in day or first <= day <= last


def _name(pair_id: str) -> str:
    return f"runs/{pair_id}.json"
