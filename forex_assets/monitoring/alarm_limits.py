"""Limits of the alarms, chosen in simulated worlds where nothing is wrong: so many false alarms a year, no more.

The limits in the recommended profile are what :func:`choose` returns on the paths of ``alarm_table.calibration_seed``.
Their rates are then measured on the paths of ``alarm_table.reporting_seed``, which chose nothing, and on the real ECB
pairs, which chose nothing either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats
from forex_assets.monitoring import drift, performance
from forex_assets.monitoring.alarms import alarm_starts, watched_days
from forex_assets.monitoring.data_quality import read_days
from forex_assets.monitoring.degradation import overlap_variance
from forex_assets.simulation.nulls import BUSINESS_DAYS_A_YEAR

if TYPE_CHECKING:
    from forex_assets.monitoring.alarms import Watched
    from forex_assets.settings import Settings

#: Worlds that choose limits. The real ECB pairs only report.
CHOOSING = ("walk_t5", "garch_t", "clp_blocks")
#: False alarms a year that each limit may raise in the worst of the worlds, by horizon.
BUDGET: Mapping[str, Mapping[str, float]] = {
    "skill": {"7d": 0.04, "15d": 0.03, "30d": 0.02, "90d": 0.02},
    "narrow": {"7d": 0.02, "15d": 0.02, "30d": 0.015, "90d": 0.015},
    "wide": {"7d": 0.02, "15d": 0.02, "30d": 0.015, "90d": 0.015},
    "bias": {"7d": 0.05, "15d": 0.04, "30d": 0.03, "90d": 0.02},
}
#: Limit → its field in the profile's horizons.
HORIZON_FIELDS: Mapping[str, str] = {
    "skill": "skill_excess_share",
    "narrow": "narrow_log_variance",
    "wide": "wide_log_variance",
    "bias": "bias_standard_errors",
}
#: The volatility alarm has a limit for each of two worlds; that of clustering volatility is in force.
VOLATILITY_BUDGET = 0.40
VOLATILITY_WORLDS: Mapping[str, str] = {"surprise_log_evidence": "garch_t", "walk_log_evidence": "walk_t5"}
#: Limits that one series after another is held to, and the false alarms a year that each series may raise.
EACH_SERIES: Mapping[str, float] = {
    "scale_log": 0.008,
    "volatility_log": 0.03,
    "min_correlation_change": 0.02,
    "importance_distance": 0.02,
}
#: Those of them that are floors of drift; the others belong to the data monitor.
FLOORS = ("scale_log", "volatility_log")
#: Limits are rounded up to this.
STEP = 0.01


class Limit(NamedTuple):
    """One limit, the budget it was chosen for, and what it raises in the world that decided it."""

    name: str
    subject: str
    value: float
    budget: float
    per_year: float
    world: str


def effects(worlds: Iterable[Watched], settings: Settings) -> dict[tuple[str, str], list[Floats]]:
    """Return the effect of each limited rule on each path, by (limit, subject), larger is worse."""
    policy = settings.recommended.performance
    out: dict[tuple[str, str], list[Floats]] = {}
    for world in worlds:
        days = watched_days(world.path)
        for reading in performance.readings(world.frames, days, settings, "recommended"):
            for name, values in _signed(reading.rule, reading.effect):
                if name == "bias":
                    scored, limits = world.frames.scored[reading.subject], policy.horizons[reading.subject]
                    values = values / math.sqrt(overlap_variance(limits.window_forecasts, scored.steps))
                known = np.where(reading.is_unknown, -np.inf, values)
                subject = "all" if name == "volatility" else reading.subject
                out.setdefault((name, subject), []).append(known)
        for name, values in [*_drifts(world, days, settings), *_data_changes(world, days, settings)]:
            out.setdefault((name, "all"), []).append(values)
    return out


def _drifts(world: Watched, days: npt.NDArray[np.datetime64], settings: Settings) -> Iterable[tuple[str, Floats]]:
    """Yield the size of each significant drift that a chosen floor holds back, one series after another."""
    for reading in drift.readings(world.frames, days, settings, "recommended"):
        if reading.rule == "scale":
            assert reading.significant is not None  # nosec B101
            name = "volatility_log" if reading.subject == "volatility" else "scale_log"
            yield name, np.where(reading.significant & ~reading.is_unknown, np.abs(reading.effect), -np.inf)


def _data_changes(world: Watched, days: npt.NDArray[np.datetime64], settings: Settings) -> Iterable[tuple[str, Floats]]:
    """Yield the size of each significant change of a correlation, and how far importances moved."""
    watching = settings.platform.watching
    floorless = watching.data.model_copy(update={"min_correlation_change": 0.0})
    loose = settings.model_copy(
        update={
            "platform": settings.platform.model_copy(
                update={"watching": watching.model_copy(update={"data": floorless})}
            )
        }
    )
    for judged in read_days(world.frames, days, loose):
        if judged.rule == "correlation_change":
            yield "min_correlation_change", np.where(judged.state == "fired", np.abs(judged.effect), -np.inf)
        elif judged.rule == "importance_drift":
            yield "importance_distance", np.where(judged.why_unknown == "", judged.effect, -np.inf)


def _signed(rule: str, effect: Floats) -> list[tuple[str, Floats]]:
    if rule == "calibration":
        return [("narrow", effect), ("wide", -effect)]
    if rule == "bias":
        return [("bias", np.abs(effect))]
    return [(rule, effect)] if rule in ("skill", "volatility") else []


def alarms_per_year(paths: Sequence[Floats], limit: float, quiet: int) -> float:
    """Return the alarms a year of watching that a limit raises on paths of effects."""
    alarms = sum(len(alarm_starts(path >= limit, quiet)) for path in paths)
    return alarms * BUSINESS_DAYS_A_YEAR / max(sum(len(path) for path in paths), 1)


def lowest_limit(paths: Sequence[Floats], budget: float, quiet: int) -> float:
    """Return the lowest multiple of :data:`STEP` from which up no limit raises more alarms than the budget.

    Alarms close together count once, so that their number need not fall steadily: every step down is looked at.
    """
    top = max([0.0, *(float(path.max()) for path in paths)])
    step = max(math.ceil(top / STEP) + 1, 1)
    while step > 1 and alarms_per_year(paths, (step - 1) * STEP, quiet) <= budget:
        step -= 1
    return round(step * STEP, 10)


def choose(by_world: Mapping[str, Mapping[tuple[str, str], list[Floats]]], settings: Settings) -> list[Limit]:
    """Return every limit: the lowest that keeps to its budget in each world that chooses."""
    quiet = settings.recommended.performance.quiet_business_days
    wanted = [(name, horizon, budget) for name, each in BUDGET.items() for horizon, budget in each.items()]
    wanted += [(name, "all", budget) for name, budget in EACH_SERIES.items()]
    out = [_worst(name, subject, budget, by_world, quiet) for name, subject, budget in wanted]
    for name, world in VOLATILITY_WORLDS.items():
        found = _worst("volatility", "all", VOLATILITY_BUDGET, {world: by_world[world]}, quiet)
        out.append(found._replace(name=name))
    return out


def _worst(
    name: str,
    subject: str,
    budget: float,
    by_world: Mapping[str, Mapping[tuple[str, str], list[Floats]]],
    quiet: int,
) -> Limit:
    limits = {world: lowest_limit(paths[name, subject], budget, quiet) for world, paths in by_world.items()}
    world = max(limits, key=lambda each: limits[each])
    rate = alarms_per_year(by_world[world][name, subject], limits[world], quiet)
    return Limit(name, subject, limits[world], budget, rate, world)


def with_limits(settings: Settings, limits: Sequence[Limit]) -> Settings:
    """Return settings with these limits in the recommended profile and the data monitor."""
    policy, data = settings.recommended.performance, settings.platform.watching.data
    chosen = {(limit.name, limit.subject): limit.value for limit in limits}
    horizons = {
        name: old.model_copy(
            update={field: chosen[limit, name] for limit, field in HORIZON_FIELDS.items() if (limit, name) in chosen}
        )
        for name, old in policy.horizons.items()
    }
    loud = {name: chosen[name, "all"] for name in VOLATILITY_WORLDS if (name, "all") in chosen}
    series = {name: chosen[name, "all"] for name in EACH_SERIES if (name, "all") in chosen}
    floors = {name: series.pop(name) for name in FLOORS if name in series}
    drift_policy = settings.recommended.drift
    performance_policy = policy.model_copy(
        update={"horizons": horizons, "volatility": policy.volatility.model_copy(update=loud)}
    )
    drift_policy = drift_policy.model_copy(update={"floors": drift_policy.floors.model_copy(update=floors)})
    watching = settings.platform.watching.model_copy(update={"data": data.model_copy(update=series)})
    return settings.model_copy(
        update={
            "recommended": settings.recommended.model_copy(
                update={"performance": performance_policy, "drift": drift_policy}
            ),
            "platform": settings.platform.model_copy(update={"watching": watching}),
        }
    )
