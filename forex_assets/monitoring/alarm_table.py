"""The alarm table: every rule of every monitor in every null world, and what each planted fault takes to be found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.monitoring.alarms import (
    BURN_IN_DAYS,
    Rate,
    frames_of,
    path_alarms,
    rates,
    scan_all,
    share_with_interval,
    watched_days,
)
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.registry import Profile, monitors
from forex_assets.simulation.nulls import NullPath, matured_forecasts, null_paths
from forex_assets.simulation.planted import Plant, bias_of, crps_up, episodes, planted_scores, trials, width_times

if TYPE_CHECKING:
    from forex_assets.settings import Settings

MODEL = "champion_zero"
#: Matured forecasts (or days) with a fault, and without one before the next.
ACTIVE, REST = 130, 400
Days = npt.NDArray[np.datetime64]


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
    profiles = [profile for profile in profiles if any(profile in one.profiles for one in monitors(names))]
    per_path: dict[Profile, list[pd.DataFrame]] = {profile: [] for profile in profiles}
    quiet = settings.recommended.performance.quiet_business_days
    for path in null_paths(null, years=years, paths=paths, seed=seed):
        frames = frames_of(path, matured_forecasts(path, settings.horizons, MODEL), settings.horizons)
        for profile in profiles:
            per_path[profile].append(path_alarms(scan_all(frames, watched_days(path), settings, profile, names), quiet))
    return [rate for profile in profiles for rate in rates(per_path[profile], profile, null)]


def score_power(
    null: str,
    settings: Settings,
    profile: Profile,
    horizons: Sequence[str],
    *,
    within: int,
    years: int,
    paths: int,
    seed: int,
) -> list[Power]:
    """Return the power of the performance monitor against faults of the forecasts."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for path in null_paths(null, years=years, paths=paths, seed=seed):
        scores = matured_forecasts(path, {name: settings.horizons[name] for name in horizons}, MODEL)
        for horizon in horizons:
            rows = scores[horizon]
            active = rows.loc[rows["is_active"]].reset_index(drop=True)
            beside = rows.loc[~rows["is_active"]]
            where = episodes(len(active), burn_in=BURN_IN_DAYS, active=ACTIVE, rest=REST)
            days = np.unique(active["matured_on"].to_numpy("datetime64[D]"))[BURN_IN_DAYS // 2 :]
            starts = active["matured_on"].to_numpy("datetime64[D]")[where.start]
            for fault in score_faults(horizon):
                planted = planted_scores(active, fault.plant, where.mask(len(active)))
                frames = frames_of(path, {horizon: pd.concat([planted, beside])}, {horizon: settings.horizons[horizon]})
                scanned = scan_all(frames, days, settings, profile, ("performance",))
                _collect(found, fault.name, horizon, scanned.loc[scanned["subject"] == horizon], days, starts, within)
    return _powers(found, profile, null, within)


def _collect(
    found: dict[tuple[str, str, str], list[float]],
    fault: str,
    subject: str,
    scanned: pd.DataFrame,
    days: Days,
    starts: Days,
    within: int,
) -> None:
    """Add the delays of every rule, and of whichever is first (``any``)."""
    from forex_assets.simulation.planted import Episodes

    where = Episodes(np.searchsorted(days, starts), ACTIVE)
    together = np.zeros(len(days), dtype=bool)
    for (monitor, rule), part in scanned.groupby(["monitor", "rule"], sort=False):
        fired = np.zeros(len(days), dtype=bool)
        for _, one in part.groupby("subject", sort=False):
            fired |= (one.sort_values("as_of")["state"] == "fired").to_numpy()
        found.setdefault((fault, subject, f"{monitor}/{rule}"), []).extend(trials(fired, where, within))
        together |= fired
    found.setdefault((fault, subject, "any"), []).extend(trials(together, where, within))


def _powers(
    found: Mapping[tuple[str, str, str], Sequence[float]], profile: str, world: str, within: int
) -> list[Power]:
    out = []
    for (fault, subject, rule), delays in found.items():
        values = np.asarray(delays, dtype=np.float64)
        share, low, high, n = share_with_interval(np.isfinite(values))
        seen = values[np.isfinite(values)]
        delay = float(np.median(seen)) if len(seen) else math.nan
        out.append(Power(profile, world, fault, subject, rule, within, share, low, high, n, delay))
    return out


def _louder(path: NullPath, mask: npt.NDArray[np.bool_], factor: float) -> NullPath:
    return path.with_returns(np.where(mask, factor * path.returns, path.returns))


def _shifted(path: NullPath, mask: npt.NDArray[np.bool_], sigmas: float) -> NullPath:
    return path.with_returns(np.where(mask, path.returns + sigmas * path.returns.std(), path.returns))


def _link_flipped(path: NullPath, mask: npt.NDArray[np.bool_], factor: float) -> NullPath:
    copper = path.driver_returns["copper_comex"]
    return replace(
        path, driver_returns={**path.driver_returns, "copper_comex": np.where(mask, factor * copper, copper)}
    )


PathFault = Callable[[NullPath, npt.NDArray[np.bool_]], NullPath]
PATH_FAULTS: Mapping[str, PathFault] = {
    "volatility x2": partial(_louder, factor=2.0),
    "volatility x1.5": partial(_louder, factor=1.5),
    "mean shift 0.25 sigma a day": partial(_shifted, sigmas=0.25),
    "copper link changes sign": partial(_link_flipped, factor=-1.0),
}


def path_power(
    null: str,
    settings: Settings,
    profile: Profile,
    *,
    within: int,
    years: int,
    paths: int,
    seed: int,
    names: tuple[str, ...] | None = None,
    faults: Mapping[str, PathFault] = PATH_FAULTS,
) -> list[Power]:
    """Return the power of every monitor against faults of prices and drivers; forecasts are made anew from them."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for path in null_paths(null, years=years, paths=paths, seed=seed):
        where = episodes(len(path.dates), burn_in=BURN_IN_DAYS + 20, active=ACTIVE, rest=REST)
        days = watched_days(path)
        for fault, plant in faults.items():
            planted = plant(path, where.mask(len(path.dates)))
            scores = matured_forecasts(planted, settings.horizons, MODEL)
            scanned = scan_all(frames_of(planted, scores, settings.horizons), days, settings, profile, names)
            _collect(found, fault, "all", scanned, days, path.dates[where.start], within)
    return _powers(found, profile, null, within)


def feed_power(settings: Settings, profile: Profile, *, within: int, years: int, paths: int, seed: int) -> list[Power]:
    """Return how soon a feed that stops, or repeats its last price, is noticed: as fired or as unknown."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for path in null_paths("walk_t5", years=years, paths=paths, seed=seed):
        end = len(path.dates) - within - 1
        scores = matured_forecasts(path, settings.horizons, MODEL)
        for fault, frames in _broken_feeds(path, scores, settings, end):
            days = path.dates[end : end + within]
            scanned = scan_all(frames, days, settings, profile)
            before = scan_all(frames, path.dates[end - 1 : end], settings, profile)
            calm = before.loc[before["state"] == "clear"]
            quiet = set(zip(calm["monitor"], calm["rule"], calm["subject"], strict=True))
            for state, name in (("fired", "fired"), ("unknown", "unknown")):
                hit = scanned.loc[scanned["state"] == state]
                hit = hit.loc[[row in quiet for row in zip(hit["monitor"], hit["rule"], hit["subject"], strict=True)]]
                first = hit["as_of"].to_numpy("datetime64[D]")
                delay = float(np.searchsorted(days, first.min())) if len(first) else math.nan
                found.setdefault((fault, "all", name), []).append(delay)
    return _powers(found, profile, "walk_t5", within)


def _broken_feeds(
    path: NullPath, scores: Mapping[str, pd.DataFrame], settings: Settings, end: int
) -> Iterator[tuple[str, Frames]]:
    until = path.dates[end - 1]
    kept = {name: rows.loc[rows["matured_on"] <= until] for name, rows in scores.items()}
    whole = frames_of(path, kept, settings.horizons)
    target = whole.target
    known = slice(0, end)
    stopped = replace(
        target, dates=target.dates[known], values=target.values[known], available=target.available[known],
        withdrawn=target.withdrawn[known],
    )  # fmt: skip
    yield "data outage", replace(whole, target=stopped)
    values = target.values.copy()
    values[end:] = values[end - 1]
    yield "stale feed", replace(frames_of(path, scores, settings.horizons), target=replace(target, values=values))


def rates_frame(found: Sequence[Rate]) -> pd.DataFrame:
    """Return rates as a frame."""
    return pd.DataFrame([{name: getattr(rate, name) for name in Rate.__slots__} for rate in found])


def powers_frame(found: Sequence[Power]) -> pd.DataFrame:
    """Return powers as a frame."""
    return pd.DataFrame(list(found), columns=list(Power._fields))
