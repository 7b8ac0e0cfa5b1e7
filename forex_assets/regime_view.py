"""From the store to the regime report, and to the width factors by regime."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.calibration_view import watch_settings
from forex_assets.pipeline import PROVENANCE, Pipeline, day_key
from forex_assets.provenance import content_hash
from forex_assets.schemas.watching import REGIME_REPORT
from forex_assets.watching import stored_frames

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames
    from forex_assets.monitoring.regimes.factors import RegimeFactor
    from forex_assets.settings import Settings


def regime_reports(pipeline: Pipeline, pair_id: str, days: Sequence[dt.date]) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return table ``regime_report`` per day, both profiles; all days are computed together.

    Each day uses the calibration that was known then.
    """
    frames = stored_frames(pipeline, pair_id, scores=False)
    made = []
    for settings, group in by_calibration(pipeline, pair_id, days):
        made.append(regime_rows(frames, group, settings))
    table = pd.concat(made, ignore_index=True)
    config_hash = pipeline.settings.config_hash(pair_id)
    hashes = _day_hashes(frames, days)
    return {
        (day_key(day),): pipeline.stamp(
            table.loc[table["as_of"] == pd.Timestamp(day)].reset_index(drop=True),
            config_hash=config_hash,
            data_hash=hashes[day],
        )
        for day in days
    }


def regime_rows(frames: Frames, days: Sequence[dt.date], settings: Settings) -> pd.DataFrame:
    """Return the rows of table ``regime_report`` (without provenance) of some days, both profiles."""
    from forex_assets.monitoring import regime

    dates = np.array(sorted(days), dtype="datetime64[D]")
    found = regime.regimes(frames, dates, settings, "recommended")
    recommended = found.assign(
        pair=frames.pair,
        profile="recommended",
        multiplier=np.nan,
        reasons=["\n".join(regime.sentences(row).values()) for _, row in found.iterrows()],
    )
    classic = regime.regimes(frames, dates, settings, "classic")
    empty: dict[str, Any] = {
        "high_vol_probability": np.nan,
        "high_vol_since": pd.NaT,
        "long_run_sigma": np.nan,
        "copper_shock_probability": np.nan,
        "copper_z": np.nan,
        "copper_link_low": np.nan,
        "copper_link_high": np.nan,
        "meeting_date": pd.NaT,
        "programme_date": pd.NaT,
    }
    label = classic["regime"]
    unknown = label == "UNKNOWN"
    plain = classic.assign(
        pair=frames.pair,
        profile="classic",
        probability=classic["confidence"] / 100.0,
        copper_link=classic["correlation_long"],
        high_vol=_classic_state(label, "HIGH_VOL", unknown),
        copper_shock=_classic_state(label, "COPPER_SHOCK", unknown),
        bcch_meeting=_classic_state(label, "BCCH_INTERVENTION", unknown),
        intervention=_classic_state(label, "BCCH_INTERVENTION", unknown),
        reasons=[regime.classic_sentence(row) for _, row in classic.iterrows()],
        **empty,
    )
    columns = [name for name in REGIME_REPORT.column_names if name not in PROVENANCE]
    parts = [frame[columns].astype(_dtypes(columns)) for frame in (recommended, plain)]
    return pd.concat(parts, ignore_index=True).sort_values(["as_of", "profile"], ignore_index=True)


def origin_regimes(frames: Frames, origins: Iterable[Any], settings: Settings) -> dict[np.datetime64, str]:
    """Return the recommended regime at each origin, as known then."""
    from forex_assets.monitoring import regime

    dates = np.unique(np.array(list(origins), dtype="datetime64[D]"))
    if not len(dates):
        return {}
    table = regime.regimes(frames, dates, settings, "recommended")
    return dict(zip(table["as_of"].to_numpy("datetime64[D]"), table["regime"], strict=True))


def factors_of(
    frames: Frames, settings: Settings, as_of: dt.date, horizons: Sequence[str] | None = None
) -> list[RegimeFactor]:
    """Return the width factors by regime of each horizon, learned from errors matured by ``as_of``."""
    from forex_assets.monitoring.regimes.factors import regime_factors

    out: list[RegimeFactor] = []
    rows = frames.scores.loc[frames.scores["is_active"].astype(bool)]
    limit = np.datetime64(as_of, "D")
    labels = origin_regimes(frames, rows["as_of"].to_numpy("datetime64[D]"), settings)
    for name in horizons or frames.horizons:
        part = rows.loc[rows["horizon"] == frames.horizons[name]].sort_values("as_of", kind="stable")
        if part.empty:
            continue
        sigma = np.abs(part["error"].to_numpy(float)) / np.maximum(np.abs(part["error_sigma"].to_numpy(float)), 1e-12)
        out += regime_factors(
            part["error_sigma"].to_numpy(float),
            part["width_95"].to_numpy(float) / 2.0 / np.where(sigma > 0, sigma, np.nan),
            part["matured_on"].to_numpy("datetime64[D]"),
            [labels[day] for day in part["as_of"].to_numpy("datetime64[D]")],
            horizon=name,
            steps=max(1.0, frames.horizons[name] * 5 / 7),
            as_of=limit,
            policy=settings.recommended.regimes.factors,
        )
    return out


def by_calibration(
    pipeline: Pipeline, pair_id: str, days: Sequence[dt.date]
) -> Iterable[tuple[Settings, list[dt.date]]]:
    """Yield groups of days that share the calibration known at their end, with the settings it gives."""
    from forex_assets.monitoring.calibration.files import versions

    if not versions(pipeline.settings.home, pair_id):
        yield pipeline.settings, list(days)
        return
    groups: dict[str, tuple[Settings, list[dt.date]]] = {}
    for day in days:
        settings, stored = watch_settings(pipeline, pair_id, day)
        groups.setdefault(stored.sha256 if stored else "", (settings, []))[1].append(day)
    yield from groups.values()


def _day_hashes(frames: Frames, days: Sequence[dt.date]) -> dict[dt.date, str]:
    """Return, per day, the hash of what was known of the price and of each driver's newest value."""
    from forex_assets.clock import as_of_instants

    dates = np.array(sorted(days), dtype="datetime64[D]")
    instants = as_of_instants(dates)
    sources = [frames.target, *frames.drivers.values()]
    parts: list[list[str]] = [[] for _ in dates]
    for source in sources:
        lengths, newest = source.prefixes(instants), source.at(instants[-1])
        for i, length in enumerate(lengths.tolist()):
            known = newest.head(length) if length >= 0 else source.at(instants[i])
            parts[i].append(known.hash)
    return {day.item(): content_hash(part) for day, part in zip(dates, parts, strict=True)}


def _classic_state(label: Any, name: str, unknown: Any) -> Any:
    return np.where(unknown, "unknown", np.where(label == name, "fired", "clear"))


def _dtypes(columns: Sequence[str]) -> dict[str, str]:
    kinds = {column.name: column.kind for column in REGIME_REPORT.columns}
    return {name: {"float": "float64", "date": "datetime64[ns]"}.get(kinds[name], "object") for name in columns}


def regime_of_day(
    pipeline: Pipeline, pair_id: str, as_of: dt.date, profile: str, *, fresh: bool = False
) -> dict[str, Any]:
    """Return the regime of a day and each stored forecast's interval before and after conditioning, as plain values.

    The classic profile multiplies by its fixed table, in price units; the recommended one by the factors in
    ``interval_calibration``: an interval is conditioned where they are used, and the refusal is told where not.
    """
    from forex_assets.pipeline import utc_now
    from forex_assets.watching import fresh_frames

    frames = fresh_frames(pipeline, pair_id, now=utc_now()) if fresh else stored_frames(pipeline, pair_id)
    settings, _ = watch_settings(pipeline, pair_id, as_of)
    table = regime_rows(frames, [as_of], settings)
    row = table.loc[table["profile"] == profile].iloc[0]
    intervals = []
    for name in frames.horizons:
        forecast = None if fresh else _target_row(pipeline, pair_id, name, as_of)
        if forecast is None:
            continue
        median, after = float(forecast["q500"]), (float(forecast["q025"]), float(forecast["q975"]))
        lower, upper = float(forecast["regime_lower"]), float(forecast["regime_upper"])
        before = (condition(median, after, 1.0 / lower)[0], condition(median, after, 1.0 / upper)[1])
        if profile == "classic":
            lower = upper = float(row["multiplier"])
            n, reason = 0, "fixed table of the classic profile"
            after = (median + lower * (before[0] - median), median + upper * (before[1] - median))
        else:
            n, reason = _why(pipeline, pair_id, name, str(forecast["model"]), str(row["regime"]), as_of)
        intervals.append(
            {
                "horizon": name,
                "target_date": forecast["target_date"].date(),
                "before_95": before,
                "after_95": after,
                "factor_lower": lower,
                "factor_upper": upper,
                "n": n,
                "reason": reason,
            }
        )
    return {
        "pair": pair_id,
        "as_of": as_of,
        "profile": profile,
        "regime": str(row["regime"]),
        "probability": float(row["probability"]),
        "risk": str(row["risk"]),
        "states": {name: str(row[name]) for name in ("high_vol", "copper_shock", "bcch_meeting", "intervention")},
        "reasons": str(row["reasons"]).splitlines(),
        "intervals": intervals,
    }


def condition(median: float, interval: tuple[float, float], factor: float) -> tuple[float, float]:
    """Return an interval with its log distances from the median multiplied by a factor."""
    low, high = (float(median * (end / median) ** factor) for end in interval)
    return low, high


def _why(pipeline: Pipeline, pair_id: str, horizon: str, model: str, regime: str, as_of: dt.date) -> tuple[int, str]:
    """Return on how many errors the factor of a regime rests, and why it is used or not."""
    from forex_assets.forecasting.regime_factors import PREFIX

    calibration = pipeline.calibration(pair_id, horizon)
    if calibration is None:
        return 0, "no width factors are stored"
    rows = calibration.loc[
        (calibration["model"] == model)
        & (calibration["condition"] == PREFIX + regime)
        & (calibration["valid_from"] <= pd.Timestamp(as_of))
    ].sort_values("valid_from")
    if rows.empty:
        return 0, f"no factor of {regime} had been learned"
    newest = rows.iloc[-1]
    factors = f"{newest['factor_lower']:.2f} below, {newest['factor_upper']:.2f} above"
    return int(newest["n"]), f"{newest['reason']} (learned {factors})"


def _target_row(pipeline: Pipeline, pair_id: str, horizon: str, as_of: dt.date) -> pd.Series[Any] | None:
    key = (horizon, day_key(as_of))
    if not pipeline.store.exists(schemas.FORECAST, pair_id, key):
        return None
    table = pipeline.store.read(schemas.FORECAST, pair_id, [key])
    rows = table.loc[table["is_target"] & table["is_active"]]
    return rows.iloc[0] if len(rows) else None
