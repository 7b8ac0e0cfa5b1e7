"""The drift monitor: has what the model lives on changed: returns, volatility, features, residuals, PIT.

A test fires when its effect is large (a floor) *and* more than chance after correction for every test, series and
horizon of the day (Benjamini-Hochberg), with p-values that allow for dependence (K01, K02). Profile ``classic`` is the
five tests of the price level.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Ints
from forex_assets.clock import as_of_instants
from forex_assets.monitoring.cannot_tell import CannotTell, reasons
from forex_assets.monitoring.classic_drift import LEVELS, classic_drift
from forex_assets.monitoring.drift_samples import Sample, Test, samples_at
from forex_assets.monitoring.drift_tests import UNITS, Measured, floor_of, measure
from forex_assets.monitoring.finding import Finding, Severity
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.readings import Reading, tabulate
from forex_assets.monitoring.registry import Monitor, Profile
from forex_assets.monitoring.windows import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.observed import Known
    from forex_assets.settings import Settings
    from forex_assets.settings.monitoring import DriftPolicy

NAME = "drift"
CLASSIC_RULE = "classic_five_tests"
#: Count of fired tests from which the classic aggregate is MEDIUM (or its smallest p-value says so).
CLASSIC_FIRES_AT = 2
CLASSIC_SEVERITY: tuple[Severity, ...] = ("info", "low", "medium", "high")


class Tested(NamedTuple):
    """One test of one sample over days, with how many of its values were known on each."""

    sample: Sample
    test: Test
    ends: Ints
    measured: Measured
    significant: npt.NDArray[np.bool_]


def readings(frames: Frames, days: Dates, settings: Settings, profile: Profile) -> list[Reading]:
    """Return every rule's reading over days."""
    if profile == "classic":
        return [classic_reading(frames, days, settings)]
    policy = settings.recommended.drift
    groups = _known_groups(frames, days)
    parts = [
        _readings_of(measured_over(frames, days[at], policy, known), days[at], policy, frames) for at, known in groups
    ]
    return _join(parts, [at for at, _ in groups], len(days))


def measured_over(
    frames: Frames, days: Dates, policy: DriftPolicy, known: tuple[Known, Mapping[str, Known]] | None = None
) -> list[Tested]:
    """Return every test of every sample over days on which what is known only grows."""
    if known is None:
        instant = as_of_instants(days[-1:])[0]
        known = frames.target.at(instant), {name: series.at(instant) for name, series in frames.drivers.items()}
    samples = samples_at(frames, *known, policy)
    instants = as_of_instants(days)
    lengths = {"": _dates_known(frames.target.prefixes(instants), known[0])}
    for name, series in known[1].items():
        lengths[name] = _dates_known(frames.drivers[name].prefixes(instants), series)
    made: list[tuple[Sample, Test, Ints, Measured]] = []
    for sample in samples:
        ends = _ends(sample, days, lengths)
        made += [(sample, test, ends, measure(sample, test, ends, policy)) for test in sample.tests]
    if not made:
        return []
    rejected = benjamini_hochberg(np.array([found.p_value for *_, found in made]), policy.false_discovery_share)
    return [Tested(*found, rejected[i]) for i, found in enumerate(made)]


def _dates_known(prefix: Ints, known: Known) -> Dates:
    """Return the newest date known on each day (NaT: none)."""
    out = np.full(len(prefix), np.datetime64("NaT", "D"))
    some = prefix > 0
    out[some] = known.dates[prefix[some] - 1]
    return out


def _ends(sample: Sample, days: Dates, newest: Mapping[str, Dates]) -> Ints:
    """Return how many values of a sample are known on each day."""
    if sample.subject.startswith(("residual_", "pit_")):
        limit = days
    elif sample.subject.startswith("link_"):
        own = newest[sample.subject.removeprefix("link_")]
        limit = np.where(np.isnat(own) | np.isnat(newest[""]), np.datetime64("NaT", "D"), np.minimum(own, newest[""]))
    else:
        limit = newest["" if sample.subject in ("returns", "volatility") else sample.subject]
    ends = np.searchsorted(sample.dates, limit, side="right")
    return np.asarray(np.where(np.isnat(limit), 0, ends), dtype=np.int64)


def _known_groups(frames: Frames, days: Dates) -> list[tuple[Ints, tuple[Known, Mapping[str, Known]]]]:
    """Return groups of days that share one history: nearly all of them, and each day between a value and its change."""
    if not len(days):
        return []
    instants = as_of_instants(days)
    series = {"": frames.target, **frames.drivers}
    broken = np.any([one.prefixes(instants) < 0 for one in series.values()], axis=0)

    def known(instant: np.datetime64) -> tuple[Known, Mapping[str, Known]]:
        found = {name: one.at(instant) for name, one in series.items()}
        return found.pop(""), found

    whole = np.flatnonzero(~broken).astype(np.int64)
    groups = [(whole, known(instants[-1]))] if len(whole) else []
    return groups + [(np.array([i]), known(instants[i])) for i in np.flatnonzero(broken)]


def _readings_of(tested: Sequence[Tested], days: Dates, policy: DriftPolicy, frames: Frames) -> list[Reading]:
    out = []
    need = policy.baseline_obs + policy.recent_obs
    for sample, test, ends, found, significant in tested:
        why = reasons(len(days))
        few = ends < need
        if few.any():
            why[few] = np.array(
                [CannotTell("few_observations", have=int(n), need=need) for n in ends[few]], dtype=object
            )
        last = sample.dates[np.maximum(ends - 1, 0)] if len(sample.dates) else days
        age = np.where(few, 0, frames.calendar.count(np.minimum(last, days), days))
        old = ~few & (age > policy.max_age_business_days)
        if old.any():
            why[old] = np.array([CannotTell("observation_old", days=int(n)) for n in age[old]], dtype=object)
        gone = ~few & ~old & ~np.isfinite(found.effect)
        why[gone] = CannotTell("observations_missing")
        floor = floor_of(sample.subject, test, policy.floors)
        below = -np.inf if test == "distribution" else -floor
        out.append(Reading(test, sample.subject, UNITS[test], found.effect, floor, below, why, significant))
    return out


def _join(parts: Sequence[list[Reading]], places: Sequence[Ints], n: int) -> list[Reading]:
    """Return readings over all days from readings over groups of them, in the order they are met."""
    joined: dict[tuple[str, str], Reading] = {}
    for found, at in zip(parts, places, strict=True):
        for reading in found:
            key = (reading.rule, reading.subject)
            if key not in joined:
                why = reasons(n, CannotTell("not_known_yet"))
                joined[key] = Reading(
                    reading.rule, reading.subject, reading.unit, np.full(n, np.nan), reading.above, reading.below, why,
                    np.zeros(n, dtype=bool),
                )  # fmt: skip
            whole = joined[key]
            assert whole.significant is not None  # nosec B101
            assert reading.significant is not None  # nosec B101
            whole.effect[at], whole.why_unknown[at] = reading.effect, reading.why_unknown
            whole.significant[at] = reading.significant
    return list(joined.values())


def classic_reading(frames: Frames, days: Dates, settings: Settings) -> Reading:
    """Return the classic aggregate over days: it fires from MEDIUM up, as the trigger of A05 asks."""
    policy = settings.classic.drift
    effect = np.full(len(days), np.nan)
    for at, (target, _) in _known_groups(replace(frames, drivers={}), days):
        newest = _dates_known(frames.target.prefixes(as_of_instants(days))[at], target) if len(at) > 1 else None
        ends = np.searchsorted(target.dates, newest, side="right") if newest is not None else np.array([len(target)])
        effect[at] = classic_drift(target.values, ends, policy).severity(policy)
    return Reading(
        CLASSIC_RULE,
        "price level",
        "severity 0 to 3",
        effect,
        float(LEVELS.index("MEDIUM")),
        -np.inf,
        reasons(len(days)),
    )


def _fields(frames: Frames) -> dict[str, object]:
    names = ("pair", "horizons", "calendar", "target", "drivers", "scores", "input_hashes")
    return {name: getattr(frames, name) for name in names}


def scan(frames: Frames, as_ofs: Dates, settings: Settings, profile: Profile) -> pd.DataFrame:
    """Return state and effect of every rule over many days."""
    days = np.asarray(as_ofs, dtype="datetime64[D]")
    return tabulate(NAME, days, readings(frames, days, settings, profile))


def judge(frames: Frames, as_of: dt.date, settings: Settings, profile: Profile) -> tuple[Finding, ...]:
    """Return the findings of one day."""
    from forex_assets.monitoring.drift_words import explain

    return explain(frames, as_of, settings, profile)


MONITOR = Monitor(
    name=NAME,
    doc="Change in what the model lives on: returns, volatility, features, residuals and PIT.",
    judge=judge,
    scan=scan,
)
