"""The alarm table: every rule of every monitor in every null world, and what each planted fault takes to be found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.errors import ValidationError
from forex_assets.evaluation.scores import score_rows
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.monitoring import performance
from forex_assets.monitoring.alarms import (
    BURN_IN_DAYS,
    PAIR,
    Rate,
    Watched,
    frames_of,
    path_alarms,
    rates,
    scan_all,
    share_with_interval,
    watched_days,
    watched_worlds,
)
from forex_assets.monitoring.event_rates import with_events
from forex_assets.monitoring.frames import Frames, Scored
from forex_assets.monitoring.observed import Observed
from forex_assets.monitoring.registry import Profile, monitors
from forex_assets.simulation.nulls import NullPath, matured_forecasts, null_paths
from forex_assets.simulation.planted import Plant, bias_of, crps_up, width_times

if TYPE_CHECKING:
    from forex_assets.settings import Settings

#: The last so many matured forecasts (or days) of a trial's path have the fault.
ACTIVE = 130
#: Length of a trial's path, and the matured forecasts it needs before the fault: the first year makes none.
TRIAL_YEARS, LEAST_FORECASTS = 4, 500
Days: TypeAlias = npt.NDArray[np.datetime64]
Bools: TypeAlias = npt.NDArray[np.bool_]
#: (fault, subject, rule) → delay of each trial in business days; NaN: not found.
Delays: TypeAlias = dict[tuple[str, str, str], list[float]]


class Power(NamedTuple):
    """How often a planted fault is found in time, and how soon."""

    profile: str
    world: str
    fault: str
    subject: str
    rule: str
    within: int
    found: float
    low: float
    high: float
    trials: int
    median_delay: float


@dataclass(frozen=True, slots=True)
class ScoreFault:
    """A fault of the forecasts of one horizon."""

    name: str
    horizon: str
    plant: Plant


def score_faults(horizon: str) -> list[ScoreFault]:
    """Return the faults planted into a horizon's forecasts."""
    found = [ScoreFault(f"CRPS ratio +{up:.2f}", horizon, bias_of(crps_up(up))) for up in (0.1, 0.2, 0.4)]
    found += [ScoreFault(f"intervals x{width:g}", horizon, width_times(width)) for width in (0.5, 0.7, 1.5, 2.0)]
    return found + [ScoreFault(f"bias {bias:g} sigma", horizon, bias_of(bias)) for bias in (0.25, 0.5, 1.0)]


def false_alarms(
    null: str,
    settings: Settings,
    profiles: Sequence[Profile],
    *,
    years: int,
    paths: int,
    seed: int,
    names: tuple[str, ...] | None = None,
) -> list[Rate]:
    """Return the false alarms of every rule (of the monitors named, or all) in one null world."""
    worlds = watched_worlds(null, settings, years=years, paths=paths, seed=seed)
    return false_alarms_in(null, worlds, settings, profiles, names=names)


def false_alarms_in(
    null: str,
    worlds: Iterable[Watched],
    settings: Settings,
    profiles: Sequence[Profile],
    *,
    names: tuple[str, ...] | None = None,
) -> list[Rate]:
    """Return the false alarms of every rule on paths whose forecasts are made already."""
    profiles = [profile for profile in profiles if any(profile in one.profiles for one in monitors(names))]
    per_path: dict[Profile, list[pd.DataFrame]] = {profile: [] for profile in profiles}
    quiet = settings.recommended.performance.quiet_business_days
    for world in worlds:
        for profile in profiles:
            days = watched_days(world.path)
            scanned = scan_all(world.frames, days, settings, profile, names)
            if names is None:
                scanned = with_events(scanned, world.frames, days, settings, profile)
            per_path[profile].append(path_alarms(scanned, quiet))
    return [rate for profile in profiles for rate in rates(per_path[profile], profile, null)]


def score_power(
    null: str,
    settings: Settings,
    profile: Profile,
    within: Mapping[str, int],
    *,
    paths: int,
    seed: int,
) -> list[Power]:
    """Return the power of the performance monitor against faults of the forecasts, one trial a path and fault.

    Parameters
    ----------
    within:
        Horizon → matured business days in which a fault must be found.
    """
    found: Delays = {}
    horizons = {name: settings.horizons[name] for name in within}
    model = settings.active_model(PAIR)
    for path in null_paths(null, years=TRIAL_YEARS, paths=paths, seed=seed):
        scores = matured_forecasts(path, horizons, model)
        usual = frames_of(path, scores, horizons).scored
        for horizon, rows in scores.items():
            active = rows.loc[rows["is_active"]]
            start = _trial_start(len(active), LEAST_FORECASTS)
            matured = usual[horizon].matured_on
            days = _trial_days(np.unique(matured), matured[start])
            mean, actual = (active[name].to_numpy(dtype=np.float64)[start:] for name in ("mean", "actual"))
            quantiles = active[list(QUANTILE_COLUMNS)].to_numpy(dtype=np.float64)[start:]
            for fault in score_faults(horizon):
                made = score_rows(*fault.plant(mean.copy(), quantiles.copy()), actual)
                scored = with_tail(usual[horizon], made, start)
                judged = performance.score_readings(horizon, scored, path.calendar, days, settings, profile)
                _collect(found, fault.name, horizon, {f"performance/{one.rule}": one.fired for one in judged})
    return _powers(found, profile, null, within)


def with_tail(scored: Scored, made: Mapping[str, npt.NDArray[np.generic]], start: int) -> Scored:
    """Return matured forecasts whose scores from ``start`` on are others."""
    fields = {}
    for name in ("error_sigma", "pit", "covered_80", "covered_95", "crps", "error"):
        column = getattr(scored, name).copy()
        column[start:] = made[name]
        fields[name] = column
    return replace(scored, **fields)


def _trial_start(n: int, least: int = BURN_IN_DAYS) -> int:
    """Return where the fault begins on a path of n forecasts or days: the last :data:`ACTIVE` have it."""
    start = n - ACTIVE
    if start < least:
        raise ValidationError(
            f"A path of {n} forecasts leaves {start} before the fault; {least} are needed.",
            remedy="simulate longer paths (TRIAL_YEARS).",
        )
    return start


def _trial_days(days: Days, start: np.datetime64) -> Days:
    """Return the day before the fault and those with it."""
    first = int(np.searchsorted(days, start))
    return days[first - 1 :]


def _collect(found: Delays, fault: str, subject: str, fired: Mapping[str, Bools]) -> None:
    """Add the delay of every rule, and of whichever is first (``any``): days after the fault began, NaN for never.

    A rule that was up on the day before tells nothing and is left out.
    """
    for rule, days in fired.items():
        _add(found, (fault, subject, rule), days)
    _add(found, (fault, subject, "any"), np.any(list(fired.values()), axis=0))


def _fired(scanned: pd.DataFrame) -> dict[str, Bools]:
    """Return on which days each rule fires on any subject."""
    out: dict[str, Bools] = {}
    for _, part in scanned.groupby(["monitor", "rule", "subject"], sort=False):
        ordered = part.sort_values("as_of")
        key = f"{ordered['monitor'].iloc[0]}/{ordered['rule'].iloc[0]}"
        fired = (ordered["state"] == "fired").to_numpy(dtype=np.bool_)
        out[key] = out[key] | fired if key in out else fired
    return out


def _add(found: Delays, key: tuple[str, str, str], fired: Bools) -> None:
    if fired[0]:
        return
    hit = np.flatnonzero(fired[1:])
    found.setdefault(key, []).append(float(hit[0]) if len(hit) else math.nan)


def _powers(found: Delays, profile: str, world: str, within: Mapping[str, int]) -> list[Power]:
    out = []
    for (fault, subject, rule), delays in found.items():
        limit = within[subject] if subject in within else within[fault]
        values = np.asarray(delays, dtype=np.float64)
        in_time = values < limit
        share, low, high, n = share_with_interval(in_time)
        delay = float(np.median(values[in_time])) if in_time.any() else math.nan
        out.append(Power(profile, world, fault, subject, rule, limit, share, low, high, n, delay))
    return out


def _louder(path: NullPath, mask: Bools, factor: float) -> NullPath:
    return path.with_returns(np.where(mask, factor * path.returns, path.returns))


def _shifted(path: NullPath, mask: Bools, sigmas: float) -> NullPath:
    return path.with_returns(np.where(mask, path.returns + sigmas * path.returns.std(), path.returns))


def _link_flipped(path: NullPath, mask: Bools, factor: float) -> NullPath:
    levels = path.drivers["copper_comex"]
    moves = np.diff(np.log(levels), prepend=np.log(levels[0]))
    turned = levels[0] * np.exp(np.cumsum(np.where(mask, factor * moves, moves)))
    return replace(path, drivers={**path.drivers, "copper_comex": turned})


PathFault = Callable[[NullPath, Bools], NullPath]
PATH_FAULTS: Mapping[str, PathFault] = {
    "volatility x2": partial(_louder, factor=2.0),
    "volatility x1.5": partial(_louder, factor=1.5),
    "mean shift 0.25 sigma a day": partial(_shifted, sigmas=0.25),
    "copper link changes sign": partial(_link_flipped, factor=-1.0),
}
#: Business days in which each must be found; a shift and a link need most of a recent window of 60.
PATH_WITHIN = {
    "volatility x2": 30,
    "volatility x1.5": 30,
    "mean shift 0.25 sigma a day": 90,
    "copper link changes sign": 90,
    "data outage": 30,
    "stale feed": 30,
}
#: Monitors that accuse and look at prices, drivers or forecasts.
ACCUSING = ("performance", "drift", "data_quality")


def path_power(
    null: str,
    settings: Settings,
    profile: Profile,
    *,
    paths: int,
    seed: int,
    names: tuple[str, ...] = ACCUSING,
    faults: Mapping[str, PathFault] = PATH_FAULTS,
) -> list[Power]:
    """Return the power of the accusing monitors against faults of prices and drivers, one trial a path and fault.

    Forecasts are made anew from faulty prices.
    """
    found: Delays = {}
    model = settings.active_model(PAIR)
    for path in null_paths(null, years=TRIAL_YEARS, paths=paths, seed=seed):
        start = _trial_start(len(path.dates))
        mask = np.arange(len(path.dates)) >= start
        days = _trial_days(path.dates, path.dates[start])
        usual: dict[str, pd.DataFrame] | None = None
        for fault, plant in faults.items():
            planted = plant(path, mask)
            if planted.returns is path.returns:
                usual = usual if usual is not None else matured_forecasts(path, settings.horizons, model)
                scores = usual
            else:
                scores = matured_forecasts(planted, settings.horizons, model)
            frames = frames_of(planted, scores, settings.horizons)
            _collect(found, fault, "all", _fired(scan_all(frames, days, settings, profile, names)))
    return _powers(found, profile, null, PATH_WITHIN)


def volatility_power(null: str, settings: Settings, *, paths: int, seed: int) -> list[Power]:
    """Return the power of the volatility alarm alone, with each of its two limits: no forecasts are needed for it."""
    found: dict[str, Delays] = {"surprise_log_evidence": {}, "walk_log_evidence": {}}
    policy = settings.recommended.performance
    for path in null_paths(null, years=TRIAL_YEARS, paths=paths, seed=seed):
        start = _trial_start(len(path.dates))
        mask = np.arange(len(path.dates)) >= start
        for fault in ("volatility x2", "volatility x1.5"):
            evidence = performance.volatility_statistics(PATH_FAULTS[fault](path, mask).prices, policy)[start - 2 :]
            for name, delays in found.items():
                _add(delays, (fault, "all", f"performance/volatility at {name}"),
                     evidence >= getattr(policy.volatility, name))  # fmt: skip
    return [power for delays in found.values() for power in _powers(delays, "recommended", null, PATH_WITHIN)]


def feed_power(settings: Settings, profile: Profile, *, paths: int, seed: int) -> list[Power]:
    """Return how soon a feed that stops, or repeats its last price, is noticed: as fired or as unknown.

    Only rules that accuse count, and only those that were clear on the day before.
    """
    found: Delays = {}
    within = PATH_WITHIN["data outage"]
    for world in watched_worlds("walk_t5", settings, years=TRIAL_YEARS, paths=paths, seed=seed):
        end = len(world.path.dates) - within
        days = world.path.dates[end - 1 :]
        for fault, frames in _broken_feeds(world, end):
            scanned = scan_all(frames, days, settings, profile, ACCUSING)
            for state in ("fired", "unknown"):
                first = np.zeros(len(days), dtype=bool)
                for _, part in scanned.groupby(["monitor", "rule", "subject"], sort=False):
                    states = part.sort_values("as_of")["state"].to_numpy()
                    if states[0] == "clear":
                        first |= states == state
                _add(found, (fault, "all", state), first)
    return _powers(found, profile, "walk_t5", PATH_WITHIN)


def _broken_feeds(world: Watched, end: int) -> Iterator[tuple[str, Frames]]:
    """Yield both faults of the price's feed, from the value at ``end`` on."""
    frames, dates = world.frames, world.path.dates
    kept = frames.scores.loc[frames.scores["matured_on"] <= dates[end - 1]]
    yield "data outage", replace(frames, target=_until(frames.target, dates[end - 1]), scores=kept)
    values = frames.target.values.copy()
    values[end:] = values[end - 1]
    yield "stale feed", replace(frames, target=replace(frames.target, values=values))


def _until(series: Observed, last: np.datetime64) -> Observed:
    """Return a series without the values dated after a day."""
    keep = series.dates <= last
    return replace(
        series, dates=series.dates[keep], values=series.values[keep], available=series.available[keep],
        withdrawn=series.withdrawn[keep],
    )  # fmt: skip


def rates_frame(found: Sequence[Rate]) -> pd.DataFrame:
    """Return rates as a frame."""
    return pd.DataFrame([{name: getattr(rate, name) for name in Rate.__slots__} for rate in found])


def powers_frame(found: Sequence[Power]) -> pd.DataFrame:
    """Return powers as a frame."""
    return pd.DataFrame(list(found), columns=list(Power._fields))
