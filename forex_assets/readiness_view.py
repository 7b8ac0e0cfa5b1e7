"""From the store to the readiness of a pair's horizons."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.calibration_view import day_end, watch_settings
from forex_assets.errors import DataError
from forex_assets.pipeline import Pipeline, day_key
from forex_assets.provenance import content_hash
from forex_assets.schemas.watching import READINESS
from forex_assets.watching import stored_frames

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames
    from forex_assets.monitoring.readiness.classic import ClassicEvidence
    from forex_assets.monitoring.readiness.evidence import Readiness


def readiness_of(pipeline: Pipeline, pair_id: str, as_of: dt.date, frames: Frames | None = None) -> list[Readiness]:
    """Return the readiness of every horizon at the end of a day, and the classic one."""
    from forex_assets.monitoring.readiness.classic import judge_classic
    from forex_assets.monitoring.readiness.evidence import HorizonEvidence, judge_readiness
    from forex_assets.monitoring.readiness.selftest import for_horizon, run_self_test

    settings, _ = watch_settings(pipeline, pair_id, as_of)
    frames = frames or stored_frames(pipeline, pair_id)
    pair, watching = settings.pair(pair_id), settings.platform.watching
    known = frames.target.at(day_end(as_of))
    calendar = pipeline.calendar(pair_id)
    tested = run_self_test(frames, as_of, settings)
    heartbeat = _heartbeat(pipeline, pair_id, as_of)
    reports = _performance(pipeline, pair_id, as_of)
    out = [
        judge_readiness(
            HorizonEvidence(
                horizon=horizon,
                heartbeat_age_business_days=_age(calendar, heartbeat, as_of),
                self_test=for_horizon(tested, horizon),
                backtest=reports.get((horizon, "backtest_5y")),
                live=reports.get((horizon, "live_60")),
                data_age_business_days=_age(calendar, known.dates[-1].item() if len(known) else None, as_of),
                max_data_age_business_days=settings.series[pair.target.series].max_age_business_days,
            ),
            watching.readiness,
        )
        for horizon in settings.horizons
    ]
    return [*out, judge_classic(_classic_evidence(pipeline, pair_id, as_of), watching.classic_readiness)]


def readiness_frame(pipeline: Pipeline, pair_id: str, as_of: dt.date, found: Sequence[Readiness]) -> pd.DataFrame:
    """Return table ``readiness`` of a day."""
    rows = [
        {
            "pair": pair_id,
            "as_of": pd.Timestamp(as_of),
            "profile": item.profile,
            "horizon": item.horizon,
            "level": item.level,
            "score": item.score,
            "check": check.name,
            "critical": check.critical,
            "state": check.state,
            "check_score": check.score,
            "value": check.value,
            "threshold": check.threshold,
            "unit": check.unit,
            "n": check.n,
            "message": check.message,
        }
        for item in found
        for check in item.checks
    ]
    seen = content_hash([[row["check"], row["state"], str(row["value"])] for row in rows])
    return pipeline.stamp(pd.DataFrame(rows), config_hash=pipeline.settings.config_hash(pair_id), data_hash=seen)[
        list(READINESS.column_names)
    ]


def require_level(found: Sequence[Readiness], horizon: str) -> Readiness:
    """Return the recommended readiness of a horizon.

    Raises
    ------
    DataError
        When it was not judged.
    """
    for item in found:
        if item.profile == "recommended" and item.horizon == horizon:
            return item
    raise DataError(f"No readiness of {horizon} was judged.", remedy="use a configured horizon.")


def _age(calendar: Any, last: dt.date | None, day: dt.date) -> int | None:
    if last is None:
        return None
    return int(calendar.count(np.datetime64(last, "D"), np.datetime64(day, "D"))) if last < day else 0


def _heartbeat(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> dt.date | None:
    """Return the newest day up to ``as_of`` on which every monitor gave its findings."""
    days = [key[-1] for key in pipeline.store.keys(schemas.FINDINGS, pair_id) if key[-1] <= day_key(as_of)]
    return dt.date.fromisoformat(max(days)) if days else None


def _performance(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> dict[tuple[str, str], dict[str, Any]]:
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for key in pipeline.store.keys(schemas.PERFORMANCE_REPORT, pair_id):
        table = pipeline.store.read(schemas.PERFORMANCE_REPORT, pair_id, [key], allow_bad=True)
        rows = table.loc[table["is_active"] & (table["as_of"] <= pd.Timestamp(as_of))]
        for row in rows.to_dict("records"):
            out[(key[0], str(row["window"]))] = {str(name): value for name, value in row.items()}
    return out


def _classic_evidence(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> ClassicEvidence:
    from forex_assets.monitoring.readiness.classic import ClassicEvidence

    names, day = list(pipeline.settings.horizons), day_key(as_of)
    made = [key for key in pipeline.store.keys(schemas.FORECAST, pair_id) if key[1] <= day]
    done = [key for key in pipeline.store.keys(schemas.EVALUATION, pair_id) if key[1] <= day]
    days = sorted(dt.date.fromisoformat(key[1]) for key in made)
    return ClassicEvidence(
        predictions={name: sum(key[0] == name for key in made) for name in names},
        with_actuals={name: sum(key[0] == name for key in done) for name in names},
        days_operating=(as_of - days[0]).days if days else None,
        days_since_prediction=(as_of - days[-1]).days if days else None,
        has_file=bool(made),
        log_mb=_log_mb(pipeline),
    )


def _log_mb(pipeline: Pipeline) -> float | None:
    folder = pipeline.settings.home / "logs"
    if not folder.is_dir():
        return None
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    except OSError:
        # The classic check has a score of its own for a log that cannot be read.
        return -1.0
