"""From the store to the weekly validation: every check of the week, tail risks, and what changed (B13)."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.calibration_view import day_end, watch_settings
from forex_assets.errors import DataError
from forex_assets.pipeline import Pipeline, day_key
from forex_assets.schemas.watching import WEEKLY_VALIDATION
from forex_assets.store.files import LocalFiles
from forex_assets.watching import stored_frames

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames
    from forex_assets.reporting.weekly import Change, Line, Tail, WeeklySummary

_STATE = {"good": "good", "bad": "bad", "unknown": "unknown", "pass": "good", "warn": "warn", "fail": "bad"}  # nosec B105
_DESCRIBING = ("regime", "shock")
_WINDOWS = ("live_60", "backtest_1y", "backtest_5y")


def weekly_summary(
    pipeline: Pipeline, pair_id: str, week: dt.date, *, runs: pd.DataFrame | None, now: pd.Timestamp
) -> WeeklySummary:
    """Return the validation of the days before a Monday.

    Parameters
    ----------
    week:
        The Monday; what became known on or after it is not used.
    runs:
        Finished runs (:func:`forex_assets.defs.run_log.read_runs`), or None where there is no record.
    now:
        When the page is made.

    Raises
    ------
    DataError
        When nothing is stored for the days before.
    """
    from forex_assets.reporting.weekly import WeeklySummary, verdict_of

    days = [day for day in pipeline.snapshot_days(pair_id) if day < week]
    if not days:
        raise DataError(
            f"Nothing of {pair_id} is stored for the days before {week}.",
            remedy=f"run `forex run --pair {pair_id}` first, or choose a later week.",
        )
    as_of, pair = days[-1], pipeline.settings.pair(pair_id)
    before = week - dt.timedelta(days=7)
    frames = stored_frames(pipeline, pair_id)
    checks, missing = _checks(pipeline, pair_id, as_of, frames, runs, now)
    changes, compared = _changes(pipeline, pair_id, as_of, before)
    if not compared:
        missing.append("previous")
    regime = _row(pipeline, schemas.REGIME_REPORT, pair_id, as_of)
    move, sigma, when = _largest_move(frames, pipeline, week, before)
    snapshot = pipeline.snapshot(pair_id, as_of)
    return WeeklySummary(
        pair=pair_id,
        label=pair.label,
        unit=pair.unit,
        week=week,
        as_of=as_of,
        generated_at=now.tz_convert("America/Santiago").strftime("%Y-%m-%d %H:%M"),
        verdict=verdict_of(checks),
        regime=str(regime["regime"]) if regime is not None else "–",
        regime_probability=float(regime["probability"]) if regime is not None else math.nan,
        largest_move=move,
        largest_move_sigma=sigma,
        largest_move_on=when,
        checks=tuple(checks),
        changes=tuple(changes),
        tails=tuple(_tails(pipeline, pair_id, as_of)),
        levels=tuple(_levels(pipeline, pair_id, as_of).items()),
        missing=tuple(missing),
        hashes=(pipeline.settings.config_hash(pair_id), snapshot.data_hash),
    )


def write_weekly(pipeline: Pipeline, summary: WeeklySummary) -> pd.DataFrame:
    """Write the page in both languages and return its rows of table ``weekly_validation``."""
    from forex_assets.reporting.weekly import build_weekly

    rows = []
    for language, html in build_weekly(summary).items():
        data = html.encode()
        path = weekly_path(summary.pair, summary.week, language)
        LocalFiles(pipeline.settings.home).write_all([(path, data)])
        rows.append(
            {
                "pair": summary.pair,
                "as_of": pd.Timestamp(summary.as_of),
                "language": language,
                "verdict": summary.verdict,
                "checks": len(summary.checks),
                "not_good": len(summary.not_good()),
                "path": path,
                "size_bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    frame = pipeline.stamp(pd.DataFrame(rows), config_hash=summary.hashes[0], data_hash=summary.hashes[1])
    return frame[list(WEEKLY_VALIDATION.column_names)]


def monday_of(day: dt.date) -> dt.date:
    """Return the Monday of a day's week; a day at the weekend belongs to the Monday that follows it."""
    return day + dt.timedelta(days=7 - day.weekday()) if day.weekday() >= 5 else day - dt.timedelta(days=day.weekday())


def newest_week(stored: dt.date, today: dt.date) -> dt.date:
    """Return the Monday whose report looks back on the newest stored day, but none after this week's."""
    after = stored + dt.timedelta(days=7 - stored.weekday())
    return min(after, today - dt.timedelta(days=today.weekday()))


def weekly_path(pair_id: str, week: dt.date, language: str) -> str:
    """Return a page's path relative to the home folder."""
    return f"reports/{pair_id}/weekly/{week.isoformat()}/weekly_{language}.html"


def _checks(
    pipeline: Pipeline,
    pair_id: str,
    as_of: dt.date,
    frames: Frames,
    runs: pd.DataFrame | None,
    now: pd.Timestamp,
) -> tuple[list[Line], list[str]]:
    from forex_assets.monitoring.operations import judge_runs

    missing: list[str] = []
    checks = _performance(pipeline, pair_id)
    if not checks:
        missing.append("performance")
    readiness = _frame(pipeline, schemas.READINESS, pair_id, as_of)
    if readiness is None:
        missing.append("readiness")
    else:
        checks += _readiness(readiness)
    findings = _frame(pipeline, schemas.FINDINGS, pair_id, as_of)
    if findings is None:
        missing.append("findings")
    else:
        checks += _findings(findings)
    checks += _subgroups(pipeline, pair_id, frames, as_of)
    if runs is None or runs.empty:
        missing.append("runs")
    else:
        for item in judge_runs(runs, pair_id, now, pipeline.settings.platform.watching.operations):
            checks.append(_from_finding("operations", item.rule, item.subject, item.state, item))
    checks += _verdicts(pipeline, pair_id, as_of)
    if watch_settings(pipeline, pair_id, as_of)[1] is None:
        missing.append("calibration")
    return checks, missing


def _performance(pipeline: Pipeline, pair_id: str) -> list[Line]:
    from forex_assets.reporting.weekly import Line

    out: list[Line] = []
    band, bias = pipeline.settings.recommended.coverage, pipeline.settings.recommended.bias.band_abs_sigma
    for key in pipeline.store.keys(schemas.PERFORMANCE_REPORT, pair_id):
        table = pipeline.store.read(schemas.PERFORMANCE_REPORT, pair_id, [key], allow_bad=True)
        rows = table.loc[table["is_active"] & table["window"].isin(_WINDOWS)]
        for row in rows.to_dict("records"):
            subject, n = f"{key[0]} {row['window']}", int(row["n"])
            out.append(
                Line("performance", "coverage", subject, _STATE[str(row["coverage_state"])], row["coverage_95"],
                     row["coverage_95_low"], row["coverage_95_high"], band.band_low_share, "share", n)
            )  # fmt: skip
            out.append(
                Line("performance", "bias", subject, _STATE[str(row["bias_state"])], row["bias_sigma"],
                     row["bias_sigma_low"], row["bias_sigma_high"], bias, "sigma", n)
            )  # fmt: skip
            low, high = float(row["crps_ratio_low"]), float(row["crps_ratio_high"])
            state = "unknown" if not math.isfinite(low) else "bad" if low > 1.0 else "good"
            out.append(Line("performance", "skill", subject, state, row["crps_ratio"], low, high, 1.0, "ratio", n))
    return out


def _readiness(frame: pd.DataFrame) -> list[Line]:
    from forex_assets.reporting.weekly import Line

    rows = frame.loc[frame["profile"] == "recommended"]
    return [
        Line("readiness", str(r["check"]), str(r["horizon"]), _STATE[str(r["state"])], r["value"], limit=r["threshold"],
             unit=str(r["unit"]), n=int(r["n"]))
        for r in rows.to_dict("records")
    ]  # fmt: skip


def _findings(frame: pd.DataFrame) -> list[Line]:
    rows = frame.loc[frame["profile"] == "recommended"]
    out = []
    for row in rows.to_dict("records"):
        area = "market" if row["monitor"] in _DESCRIBING else "monitors"
        subject = f"{row['monitor']} {row['subject']}" if area == "monitors" else str(row["subject"])
        out.append(_from_finding(area, str(row["rule"]), subject, str(row["state"]), row))
    return out


def _from_finding(area: str, rule: str, subject: str, state: str, item: Any) -> Line:
    from forex_assets.reporting.weekly import Line

    def of(name: str) -> Any:
        return item[name] if isinstance(item, Mapping) else getattr(item, name)

    if area == "market":
        shown = {"fired": "info", "clear": "good"}.get(state, "unknown")
    else:
        shown = "good" if state == "clear" else "unknown" if state == "unknown" else "bad"
        if shown == "bad" and of("severity") in ("info", "low", "medium"):
            shown = "warn"
    return Line(area, rule, subject, shown, float(of("effect")), float(of("effect_low")), float(of("effect_high")),
                float(of("threshold")), str(of("unit")), int(of("n")))  # fmt: skip


def _subgroups(pipeline: Pipeline, pair_id: str, frames: Frames, as_of: dt.date) -> list[Line]:
    from forex_assets.monitoring.subgroups import subgroup_table
    from forex_assets.regime_view import origin_regimes
    from forex_assets.reporting.weekly import Line

    scores = frames.scores.loc[frames.scores["matured_on"] <= pd.Timestamp(as_of)]
    active = scores.loc[scores["is_active"].astype(bool)]
    recent = active.loc[active["matured_on"] > pd.Timestamp(as_of) - pd.DateOffset(years=5)]
    if recent.empty:
        return []
    beside = scores.loc[scores["model"] == "random_walk", ["horizon", "as_of", "crps"]]
    rows = recent.merge(beside, on=["horizon", "as_of"], suffixes=("", "_benchmark"))
    settings, _ = watch_settings(pipeline, pair_id, as_of)
    regimes = origin_regimes(frames, rows["as_of"].to_numpy("datetime64[D]"), settings)
    policy = settings.platform.watching.subgroups
    states = {"fired": "warn", "clear": "good", "unknown": "unknown"}
    return [
        Line("subgroups", item.dimension, f"{item.group} {item.horizon}".replace(f"{item.horizon} {item.horizon}",
             item.horizon), "info" if item.state == "unknown" else states[item.state], item.coverage, limit=math.nan,
             unit="share", n=item.n)
        for item in subgroup_table(rows, frames.horizons, policy, regimes)
    ]  # fmt: skip


def _verdicts(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> list[Line]:
    """Return the verdicts of the newest slice of each table that later steps use."""
    from forex_assets.reporting.weekly import Line

    out = []
    for table in (schemas.BARS, schemas.DRIVERS, schemas.FORECAST, schemas.BACKTEST, schemas.INTERVAL_CALIBRATION):
        keys = [key for key in pipeline.store.keys(table, pair_id) if "-" not in key[-1] or key[-1] <= day_key(as_of)]
        last = keys[-1][-1] if keys else ""
        for key in [key for key in keys if key[-1] == last or "-" not in key[-1]]:
            verdict = pipeline.store.info(table, pair_id, key).verdict
            out.append(Line("data", "verdict", f"{table.name} {' '.join(key)}".strip(), _STATE[verdict.state]))
    return out


def _tails(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> list[Tail]:
    from forex_assets.reporting.weekly import Tail

    out = []
    for name in pipeline.settings.horizons:
        key = (name, day_key(as_of))
        forecast = None
        if pipeline.store.exists(schemas.FORECAST, pair_id, key):
            table = pipeline.store.read(schemas.FORECAST, pair_id, [key], allow_bad=True)
            forecast = table.loc[table["is_target"] & table["is_active"]].iloc[0]
        score = None
        if pipeline.store.exists(schemas.PERFORMANCE_REPORT, pair_id, (name,)):
            table = pipeline.store.read(schemas.PERFORMANCE_REPORT, pair_id, [(name,)], allow_bad=True)
            rows = table.loc[table["is_active"] & (table["window"] == "backtest_5y")]
            score = rows.iloc[0] if len(rows) else None
        if forecast is None and score is None:
            continue
        low, high, last = (
            (float(forecast["q025"]), float(forecast["q975"]), float(forecast["last_value"]))
            if forecast is not None
            else (math.nan, math.nan, math.nan)
        )
        out.append(
            Tail(
                horizon=name,
                target_date=forecast["target_date"].date() if forecast is not None else None,
                low=low,
                high=high,
                low_share=low / last - 1.0,
                high_share=high / last - 1.0,
                below=float(score["tail_low_95"]) if score is not None else math.nan,
                above=float(score["tail_high_95"]) if score is not None else math.nan,
                n=int(score["n"]) if score is not None else 0,
            )
        )
    return out


def _largest_move(
    frames: Frames, pipeline: Pipeline, week: dt.date, before: dt.date
) -> tuple[float, float, dt.date | None]:
    from forex_assets.monitoring.regimes.paths import session_returns
    from forex_assets.monitoring.statespace import long_sigma

    known = frames.target.at(day_end(week - dt.timedelta(days=1)))
    shocks = pipeline.settings.recommended.shocks
    if len(known) <= shocks.warmup_obs + 1:
        return math.nan, math.nan, None
    returns = session_returns(known)
    sigma = long_sigma(returns, half_life=shocks.half_life_obs, warmup=shocks.warmup_obs, clip=shocks.clip_sigma)
    inside = np.flatnonzero(known.dates[1:] >= np.datetime64(before, "D"))
    if not len(inside):
        return math.nan, math.nan, None
    place = int(inside[np.argmax(np.abs(returns[inside]))])
    day: dt.date = known.dates[place + 1].item()
    return float(np.expm1(returns[place])), float(returns[place] / sigma[place]), day


def _changes(pipeline: Pipeline, pair_id: str, as_of: dt.date, before: dt.date) -> tuple[list[Change], bool]:
    """Return what differs from the newest stored day before the week, and whether there was one to compare with."""
    from forex_assets.monitoring.calibration.files import versions
    from forex_assets.reporting.weekly import Change

    def change(key: str, **values: str) -> Change:
        return Change(key, tuple(values.items()))

    out: list[Change] = []
    older = before - dt.timedelta(days=1)
    then, now = (_levels(pipeline, pair_id, day) for day in (older, as_of))
    for horizon, level in now.items():
        if horizon in then and then[horizon] != level:
            out.append(change("level", horizon=horizon, before=then[horizon], after=level))
    old, new = (_row(pipeline, schemas.REGIME_REPORT, pair_id, day) for day in (older, as_of))
    if old is not None and new is not None and old["regime"] != new["regime"]:
        out.append(change("regime", before=str(old["regime"]), after=str(new["regime"])))
    was, on = (_fired(pipeline, pair_id, day) for day in (older, as_of))
    if was is not None and on is not None:
        out += [change("fired", rule=rule, subject=subject) for rule, subject in sorted(on - was)]
        out += [change("cleared", rule=rule, subject=subject) for rule, subject in sorted(was - on)]
    for horizon in pipeline.settings.horizons:
        first, last = (pipeline.active(pair_id, horizon, day).config_hash for day in (older, as_of))
        if first != last:
            out.append(change("config", horizon=horizon, before=first[:8], after=last[:8]))
    for path in versions(pipeline.settings.home, pair_id):
        calibrated = dt.date.fromisoformat(path.name.split("_")[1])
        if before <= calibrated <= as_of:
            out.append(change("calibration", after=calibrated.isoformat()))
    if new is not None and not pd.isna(new["meeting_date"]) and before <= new["meeting_date"].date() <= as_of:
        out.append(change("meeting", after=str(new["meeting_date"].date())))
    return out, bool(then) or old is not None or was is not None


def _levels(pipeline: Pipeline, pair_id: str, day: dt.date) -> dict[str, str]:
    frame = _frame(pipeline, schemas.READINESS, pair_id, day)
    if frame is None:
        return {}
    rows = frame.loc[frame["profile"] == "recommended"].drop_duplicates("horizon")
    return dict(zip(rows["horizon"].astype(str), rows["level"].astype(str), strict=True))


def _fired(pipeline: Pipeline, pair_id: str, day: dt.date) -> set[tuple[str, str]] | None:
    frame = _frame(pipeline, schemas.FINDINGS, pair_id, day)
    if frame is None:
        return None
    rows = frame.loc[(frame["profile"] == "recommended") & (frame["state"] == "fired")]
    return set(zip(rows["rule"].astype(str), rows["subject"].astype(str), strict=True))


def _frame(pipeline: Pipeline, table: schemas.Table, pair_id: str, day: dt.date) -> pd.DataFrame | None:
    """Return the newest slice of a table up to a day, at most a week old; None where there is none."""
    limit = day_key(day - dt.timedelta(days=7))
    keys = [key for key in pipeline.store.keys(table, pair_id) if limit < key[-1] <= day_key(day)]
    return pipeline.store.read(table, pair_id, [keys[-1]], allow_bad=True) if keys else None


def _row(pipeline: Pipeline, table: schemas.Table, pair_id: str, day: dt.date) -> Any:
    frame = _frame(pipeline, table, pair_id, day)
    if frame is None:
        return None
    return frame.loc[frame["profile"] == "recommended"].iloc[0]
