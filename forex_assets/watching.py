"""From the store to what the monitors see, and from their judgements to the frames of the watching assets.

Everything here is read from what is stored; nothing asks a source or a clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas
from forex_assets.errors import DataError
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.pipeline import PROVENANCE, Pipeline, day_key
from forex_assets.provenance import combine_hashes, content_hash
from forex_assets.schemas.watching import CALIBRATION, READINESS, REGIME_REPORT

if TYPE_CHECKING:
    from forex_assets.monitoring.calibration.files import Stored
    from forex_assets.monitoring.frames import Frames
    from forex_assets.monitoring.observed import Observed
    from forex_assets.monitoring.readiness.evidence import Readiness
    from forex_assets.monitoring.regimes.factors import RegimeFactor
    from forex_assets.settings import Settings
    from forex_assets.settings.calibration import Calibration

BENCHMARK = "random_walk"
_EVIDENCE_YEARS = 5
_PREVIOUS_DAY = "previous_business_day"


def frames_of(pipeline: Pipeline, pair_id: str, *, scores: bool = True) -> Frames:
    """Return everything the monitors look at: prices, drivers and the scores of matured forecasts.

    Scores are those of the stored evaluations, and before them those of the stored backtest.
    """
    from forex_assets.monitoring.frames import SCORE_COLUMNS, Frames

    settings = pipeline.settings
    pair = settings.pair(pair_id)
    observations = pipeline.observations(pair_id)
    series = {name: _observed(pipeline, observations, name) for name in (pair.target.series, *pair.drivers)}
    table = scores_of(pipeline, pair_id) if scores else schemas.EVALUATION.empty()[list(SCORE_COLUMNS)]
    return Frames(
        pair=pair_id,
        horizons=settings.horizons,
        calendar=pipeline.calendar(pair_id),
        target=series[pair.target.series],
        drivers={
            **{name: series[name] for name in pair.drivers if len(series[name].values)},
            **_ranges(observations, pair.target.series),
        },
        scores=table,
        input_hashes={"observations": str(observations["data_hash"].iloc[0]) if len(observations) else ""},
    )


def scores_of(pipeline: Pipeline, pair_id: str) -> pd.DataFrame:
    """Return the matured forecasts of the deployed model and of the random walk, live ones before backtest ones."""
    from forex_assets.evaluation.scores import score_rows
    from forex_assets.monitoring.frames import SCORE_COLUMNS

    columns, store, parts = list(SCORE_COLUMNS), pipeline.store, []
    for horizon in pipeline.settings.horizons:
        active = pipeline.active(pair_id, horizon).model
        keys = [key for key in store.keys(schemas.EVALUATION, pair_id) if key[0] == horizon]
        live = store.read(schemas.EVALUATION, pair_id, keys) if keys else schemas.EVALUATION.empty()
        live = live.loc[live["is_active"] | (live["model"] == BENCHMARK), columns]
        parts.append(live)
        if store.exists(schemas.BACKTEST, pair_id, (horizon,)):
            rows = store.read(schemas.BACKTEST, pair_id, [(horizon,)])
            rows = rows.loc[rows["model"].isin([active, BENCHMARK]) & rows["actual"].notna()]
            rows = rows.loc[~rows["as_of"].isin(live["as_of"])]
            if len(rows):
                made = score_rows(
                    rows["mean"].to_numpy(float),
                    rows[list(QUANTILE_COLUMNS)].to_numpy(float),
                    rows["actual"].to_numpy(float),
                )
                parts.append(rows.assign(is_active=rows["model"] == active, **made)[columns])
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else schemas.EVALUATION.empty()[columns]


def watch_settings(pipeline: Pipeline, pair_id: str, as_of: dt.date | None = None) -> tuple[Settings, Stored | None]:
    """Return the settings with the thresholds calibrated for a pair on data up to ``as_of``, and that calibration."""
    from forex_assets.monitoring.calibration.files import current
    from forex_assets.settings.calibration import calibrated

    stored = current(pipeline.settings.home, pair_id, as_of, signing_key())
    return calibrated(pipeline.settings, stored.calibration if stored else None), stored


def signing_key() -> str | None:
    """Return the key that signs calibrations, or None where there is none."""
    from forex_assets.monitoring.calibration.files import KEY_NAME
    from forex_assets.ops.secrets import secret

    return secret(KEY_NAME)


# ---- regimes -------------------------------------------------------------------------------------------------------


def regime_reports(pipeline: Pipeline, pair_id: str, days: Sequence[dt.date]) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return table ``regime_report`` per day, both profiles; all days are computed together.

    Each day uses the calibration that was known then.
    """
    frames = frames_of(pipeline, pair_id, scores=False)
    made = []
    for settings, group in _by_calibration(pipeline, pair_id, days):
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


# ---- readiness -----------------------------------------------------------------------------------------------------


def readiness_of(pipeline: Pipeline, pair_id: str, as_of: dt.date, frames: Frames | None = None) -> list[Readiness]:
    """Return the readiness of every horizon at the end of a day, and the classic one."""
    from forex_assets.monitoring.readiness.classic import judge_classic
    from forex_assets.monitoring.readiness.evidence import HorizonEvidence, judge_readiness
    from forex_assets.monitoring.readiness.selftest import for_horizon, run_self_test

    settings, _ = watch_settings(pipeline, pair_id, as_of)
    frames = frames or frames_of(pipeline, pair_id)
    pair, watching = settings.pair(pair_id), settings.platform.watching
    known = frames.target.at(_end(as_of))
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


# ---- calibration ---------------------------------------------------------------------------------------------------


def analyse_pair(pipeline: Pipeline, pair_id: str, as_of: dt.date | None = None) -> Calibration:
    """Return the market calibration of a pair from its stored observations.

    Raises
    ------
    DataError
        When the history is synthetic, untraceable, too short or flat.
    """
    from forex_assets.monitoring.calibration.analysis import analyse, require_real
    from forex_assets.pipeline import utc_now

    settings = pipeline.settings
    pair, policy = settings.pair(pair_id), settings.platform.watching.calibration
    observations = pipeline.observations(pair_id)
    sources = require_real(observations, pair, pair.target.series, policy)
    day = as_of or pipeline.default_as_of(pair_id, now=utc_now())
    frames = frames_of(pipeline, pair_id, scores=False)
    copper = None
    for name in settings.recommended.regimes.copper.series:
        if name in frames.drivers and name in pair.drivers:
            known = frames.drivers[name].at(_end(day))
            if len(known) >= policy.min_copper_observations:
                require_real(observations, pair, name, policy)
                copper = known
                break
    return analyse(
        frames.target.at(_end(day)),
        copper,
        settings=settings,
        pair=pair,
        policy=policy,
        as_of=day,
        sources=sources,
        code_version=pipeline.code_version,
    )


def calibration_frame(
    pipeline: Pipeline, calibration: Calibration, horizon: str, factors: Sequence[RegimeFactor]
) -> pd.DataFrame:
    """Return table ``calibration`` of one horizon: the pair's numbers and its width factors by regime."""
    day = pd.Timestamp(calibration.metadata.calibration_date)
    rows = [
        {"section": section, "name": name, **values}
        for section, name, values in _quantities(calibration.model_dump(mode="python"))
    ]
    rows += [
        {
            "section": "regime_factor",
            "name": item.regime,
            "value": item.factor,
            "low": item.low,
            "high": item.high,
            "unit": "ratio",
            "n": item.n,
            "n_effective": item.n_effective,
            "note": f"raw {item.raw:.2f}, shrunk {item.shrunk:.2f}: {item.reason}",
        }
        for item in factors
        if item.horizon == horizon
    ]
    frame = pd.DataFrame(rows).assign(pair=calibration.metadata.pair, horizon=horizon, calibrated_on=day)
    made = pipeline.stamp(
        frame,
        config_hash=pipeline.settings.config_hash(calibration.metadata.pair),
        data_hash=combine_hashes({"market": calibration.metadata.input_hash, "horizon": horizon}),
    )
    return made[list(CALIBRATION.column_names)]


def _quantities(body: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for section, content in body.items():
        if not isinstance(content, dict):
            continue
        for name, value in content.items():
            if isinstance(value, dict) and "unit" in value:
                note = "" if value["n"] else "carried over from the classic profile, not measured"
                yield (
                    section,
                    name,
                    {
                        "value": value["value"],
                        "low": np.nan if value["low"] is None else value["low"],
                        "high": np.nan if value["high"] is None else value["high"],
                        "unit": value["unit"],
                        "n": value["n"],
                        "n_effective": value["n_effective"],
                        "note": note,
                    },
                )
        for test in content.get("month_tests", []):
            yield (
                section,
                f"month_{test['month']:02d}",
                {
                    "value": test["log_ratio"],
                    "low": np.nan,
                    "high": np.nan,
                    "unit": "log",
                    "n": test["years"],
                    "n_effective": float(test["years"]),
                    "note": f"p {test['p_value']:.3f}, corrected for twelve months {test['p_corrected']:.3f}",
                },
            )


# ---- pieces --------------------------------------------------------------------------------------------------------


def _observed(pipeline: Pipeline, observations: pd.DataFrame, name: str) -> Observed:
    from forex_assets.clock import calendar_for
    from forex_assets.monitoring.observed import observed

    spec = pipeline.settings.series[name]
    sessions = (
        calendar_for(spec.calendar) if spec.basis == "fixing" and spec.publication.rule == _PREVIOUS_DAY else None
    )
    return observed(observations, name, spec.unit, sessions=sessions)


def _ranges(observations: pd.DataFrame, target: str) -> dict[str, Observed]:
    """Return the price's daily range over its close where the source gives high and low."""
    from forex_assets.monitoring.observed import observed

    rows = observations.loc[
        (observations["series"] == target) & observations["high"].notna() & observations["low"].notna()
    ]
    if rows.empty:
        return {}
    share = (rows["high"] - rows["low"]) / rows["value"]
    made = rows.assign(series="intraday_range", unit="share", value=share)
    return {"intraday_range": observed(made, "intraday_range", "share")}


def _by_calibration(
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


def _end(day: dt.date) -> np.datetime64:
    from forex_assets.clock import as_of_instants

    instant: np.datetime64 = as_of_instants(np.array([day], dtype="datetime64[D]"))[0]
    return instant


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


def _classic_evidence(pipeline: Pipeline, pair_id: str, as_of: dt.date) -> Any:
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


def _classic_state(label: Any, name: str, unknown: Any) -> Any:
    return np.where(unknown, "unknown", np.where(label == name, "fired", "clear"))


def _dtypes(columns: Sequence[str]) -> dict[str, str]:
    kinds = {column.name: column.kind for column in REGIME_REPORT.columns}
    return {name: {"float": "float64", "date": "datetime64[ns]"}.get(kinds[name], "object") for name in columns}


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
