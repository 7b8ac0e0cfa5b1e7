"""What a person wants to know of a pair at a glance, as plain values read from the store."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.clock import AsOf
from forex_assets.desk import report_path
from forex_assets.errors import StoreError
from forex_assets.pipeline import Pipeline, day_key, utc_now

SHOWN_WINDOWS = ("live_60", "backtest_5y", "backtest_all")


_UNREACHABLE = re.compile(r"([\w.-]+) cannot be reached")


def pair_summary(pipeline: Pipeline, pair_id: str, as_of: dt.date | None = None) -> dict[str, Any]:
    """Return forecasts, coverage, scores against the random walk, sources, pictures and what is missing.

    Raises
    ------
    StoreError
        When no bars of the pair are stored (for that day).
    """
    pair = pipeline.settings.pair(pair_id)
    snapshot = pipeline.snapshot(pair_id, as_of)
    day = day_key(snapshot.as_of)
    good = snapshot.bars.loc[snapshot.bars["withdrawn_at"].isna()]
    last = good.iloc[-1]
    home = pipeline.settings.home
    reports = {lang: str(home / report_path(pair_id, snapshot.as_of, lang)) for lang in ("es", "en")}
    return {
        "pair": pair.id,
        "label": pair.label,
        "target": {"series": pair.target.series, "kind": pair.target.kind, "unit": pair.unit},
        "as_of": snapshot.as_of.isoformat(),
        "last_value": float(last["value"]),
        "last_event_date": day_key(last["event_date"]),
        "target_source": str(last["source"]),
        **freshness(pipeline, pair_id, last["event_date"]),
        "horizons": [horizon_summary(pipeline, pair_id, name, day) for name in pipeline.settings.horizons],
        "sources": source_summary(pipeline, pair_id),
        "quarantined_rows": quarantined_rows(pipeline, pair_id),
        "reports": {
            lang: path for lang, path in reports.items() if (home / report_path(pair_id, snapshot.as_of, lang)).exists()
        },
        "missing": missing_pieces(pipeline, pair_id, day),
        "damaged": damaged_slices(pipeline, pair_id, day),
    }


def freshness(pipeline: Pipeline, pair_id: str, newest: pd.Timestamp) -> dict[str, Any]:
    """Return how many business days ago the newest value is dated, the series' limit, and whether that is stale."""
    pair = pipeline.settings.pair(pair_id)
    limit = pipeline.settings.series[pair.target.series].max_age_business_days
    today = np.datetime64(AsOf(utc_now().to_pydatetime()).date, "D")
    dated = np.datetime64(newest, "D")
    age = int(pipeline.calendar(pair_id).count(dated, today)) if dated < today else 0
    return {"business_days_old": age, "stale_after_business_days": limit, "stale": age > limit}


def horizon_summary(pipeline: Pipeline, pair_id: str, horizon: str, day: str) -> dict[str, Any]:
    """Return the active model's forecast of one horizon at a day, and how it has done."""
    store = pipeline.store
    out: dict[str, Any] = {"horizon": horizon, "forecast": None, "scores": {}}
    if store.exists(schemas.FORECAST, pair_id, (horizon, day)):
        try:
            info = store.info(schemas.FORECAST, pair_id, (horizon, day))
            frame = store.read(schemas.FORECAST, pair_id, [(horizon, day)], allow_bad=True)
        except StoreError as error:
            out["verdict"] = {"state": "damaged", "reasons": [error.message]}
        else:
            out["verdict"] = {"state": info.verdict.state, "reasons": list(info.verdict.reasons)}
            row = frame.loc[frame["is_target"] & frame["is_active"]].iloc[0]
            if info.verdict.state != "bad":
                out["forecast"] = forecast_values(row)
    frame = readable(pipeline, schemas.PERFORMANCE_REPORT, pair_id, (horizon,))
    if len(frame):
        active = frame.loc[frame["is_active"] & frame["window"].isin(SHOWN_WINDOWS)]
        columns = [
            "n", "n_effective", "coverage_80", "coverage_80_low", "coverage_80_high", "coverage_95", "coverage_95_low",
            "coverage_95_high", "interval_score_ratio", "interval_score_ratio_low", "interval_score_ratio_high",
            "crps_ratio", "theil_u", "bias_sigma", "coverage_state", "bias_state",
        ]  # fmt: skip
        out["scores"] = {
            str(row["window"]): {name: json_value(row[name]) for name in columns} for _, row in active.iterrows()
        }
    return out


def readable(pipeline: Pipeline, table: schemas.Table, pair_id: str, key: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of a slice; none where it is not stored, or damaged (:func:`damaged_slices` names those)."""
    try:
        return pipeline.store.read(table, pair_id, [key], allow_bad=True)
    except StoreError:
        return table.empty()


def damaged_slices(pipeline: Pipeline, pair_id: str, day: str) -> list[str]:
    """Return the slices a summary is made from that are stored and cannot be read, each with why."""
    keys: list[tuple[schemas.Table, tuple[str, ...]]] = [(schemas.SOURCE_STATUS, ()), (schemas.QUARANTINE, ())]
    for horizon in pipeline.settings.horizons:
        keys += [(schemas.FORECAST, (horizon, day)), (schemas.PERFORMANCE_REPORT, (horizon,))]
    found = []
    for table, key in keys:
        if pipeline.store.exists(table, pair_id, key):
            (batch,) = pipeline.store.scan(table, pair_id, [key])
            found += [item.problem for item in batch.slices if item.info is None]
    return [problem for problem in found if problem is not None]


def forecast_values(row: pd.Series[Any]) -> dict[str, Any]:
    """Return one target row of a forecast as plain values."""
    return {
        "model": str(row["model"]),
        "target_date": day_key(row["target_date"]),
        "mean": float(row["mean"]),
        "median": float(row["q500"]),
        "interval_80": [float(row["q100"]), float(row["q900"])],
        "interval_95": [float(row["q025"]), float(row["q975"])],
        "last_value": float(row["last_value"]),
        "last_event_date": day_key(row["last_event_date"]),
        "calibrated_from": None if pd.isna(row["calibrated_from"]) else day_key(row["calibrated_from"]),
        "config_hash": str(row["config_hash"]),
        "data_hash": str(row["data_hash"]),
        "code_version": str(row["code_version"]),
    }


def json_value(value: Any) -> Any:
    """Return a JSON value: days as YYYY-MM-DD, missing as None, everything else as it is."""
    if isinstance(value, str | bool):
        return value
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return day_key(value)
    return value.item() if hasattr(value, "item") else value


def source_summary(pipeline: Pipeline, pair_id: str) -> list[dict[str, Any]]:
    """Return, per series, which source answered and why the ones before it did not."""
    frame = readable(pipeline, schemas.SOURCE_STATUS, pair_id, ())
    out = []
    for series, rows in frame.groupby("series", sort=False):
        answered = rows.loc[rows["state"] == "answered"]
        out.append(
            {
                "series": str(series),
                "answered_by": [str(name) for name in answered["source"]],
                "last_event": day_key(answered["last_event"].max()) if len(answered) else None,
                "others": {
                    str(row["source"]): f"{row['state']}: {row['reason']}" if row["reason"] else str(row["state"])
                    for _, row in rows.loc[rows["state"] != "answered"].iterrows()
                },
            }
        )
    return out


def why_not(entry: Mapping[str, Any]) -> str:
    """Return why sources did not answer for a series, each reason once: ``siete, bis: offline; folder: …``."""
    return "; ".join(f"{', '.join(sources)}: {reason}" for reason, sources in _reasons(entry).items())


def _reasons(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the sources of a series that did not answer, by reason."""
    names: dict[str, list[str]] = {}
    for name, why in entry["others"].items():
        reason = "unreachable" if _UNREACHABLE.search(why) else why.removeprefix("not_configured: ")
        names.setdefault(reason, []).append(name)
    return names


def unreachable_hosts(summary: Mapping[str, Any]) -> list[str]:
    """Return the provider hosts that could not be reached for any series of a pair's summary, each once."""
    reasons = (why for entry in summary["sources"] for why in entry["others"].values())
    return list(dict.fromkeys(host for why in reasons for host in _UNREACHABLE.findall(why)))


def quarantined_rows(pipeline: Pipeline, pair_id: str) -> int:
    """Return how many observations of the pair are in quarantine."""
    return len(readable(pipeline, schemas.QUARANTINE, pair_id, ()))


def missing_pieces(pipeline: Pipeline, pair_id: str, day: str) -> list[str]:
    """Return what is not there, each with its reason."""
    store = pipeline.store
    silent: dict[str, list[str]] = {}
    for entry in source_summary(pipeline, pair_id):
        if not entry["answered_by"]:
            silent.setdefault("; ".join(_reasons(entry)), []).append(entry["series"])
    notes = [f"{', '.join(names)}: no source answered ({reasons})" for reasons, names in silent.items()]
    for horizon in pipeline.settings.horizons:
        if not store.exists(schemas.FORECAST, pair_id, (horizon, day)):
            notes.append(f"forecast {horizon}: not made for {day}")
        if not any(key[0] == horizon for key in store.keys(schemas.EVALUATION, pair_id)):
            notes.append(f"evaluation {horizon}: no forecast has matured yet")
    return notes
