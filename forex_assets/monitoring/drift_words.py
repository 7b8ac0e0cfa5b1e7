"""One day of the drift tests as findings: effect with interval, n, when it began, and sentences."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.clock import as_of_instants
from forex_assets.monitoring.classic_drift import LEVELS, classic_drift
from forex_assets.monitoring.drift import (
    CLASSIC_RULE,
    CLASSIC_SEVERITY,
    NAME,
    Tested,
    classic_reading,
    measured_over,
    readings,
)
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.frames import Frames
from forex_assets.monitoring.onset import onset
from forex_assets.monitoring.readings import Reading
from forex_assets.monitoring.registry import Profile

if TYPE_CHECKING:
    from forex_assets.settings import Settings

NORMAL_95 = 1.959963984540054
MEANING = {
    "location": "the mean",
    "scale": "the size of moves",
    "distribution": "the distribution",
    "persistence": "the day-to-day dependence",
    "link": "the link to the pair",
}


def explain(frames: Frames, as_of: dt.date, settings: Settings, profile: Profile) -> tuple[Finding, ...]:
    """Return the findings of one day."""
    day = np.array([as_of], dtype="datetime64[D]")
    if profile == "classic":
        return (_classic(frames, as_of, settings),)
    policy = settings.recommended.drift
    tested = {(t.test, t.sample.subject): t for t in measured_over(frames, day, policy)}
    return tuple(
        _finding(frames, reading, tested[(reading.rule, reading.subject)], as_of, settings)  # type: ignore[index]
        for reading in readings(frames, day, settings, profile)
    )


def _finding(frames: Frames, reading: Reading, tested: Tested, as_of: dt.date, settings: Settings) -> Finding:
    policy = settings.recommended.drift
    state = reading.state[0]
    end = int(tested.ends[0])
    window = slice(max(0, end - policy.recent_obs), end)
    dates = tested.sample.dates[window]
    common = {
        "monitor": NAME, "rule": reading.rule, "profile": "recommended", "pair": frames.pair,
        "subject": reading.subject, "as_of": as_of, "unit": reading.unit, "threshold": float(reading.threshold[0]),
        "n": len(dates), "n_effective": len(dates) / max(1.0, tested.sample.steps),
        "window_start": dates[0].item() if len(dates) else None, "window_end": dates[-1].item() if len(dates) else None,
        "input_hashes": dict(frames.input_hashes),
    }  # fmt: skip
    if state == "unknown":
        why = reading.cannot_tell(0)
        said = (f"Cannot tell: {why}.",)
        return Finding(state="unknown", severity="low", reasons=said, cannot_tell=why, **common)  # type: ignore[arg-type]
    effect, error, p = (float(column[0]) for column in tested.measured)
    what = MEANING[reading.rule]
    sentences = [
        f"{reading.subject}: {what} of the last {policy.recent_obs} observations differs from the "
        f"{policy.baseline_obs} before by {effect:+.2f} {reading.unit} (floor {abs(float(reading.threshold[0])):.2f}, "
        f"p = {p:.2g} with dependence allowed for"
        f"{', beyond chance among all tests of the day' if tested.significant[0] else ''})."
    ]
    if state == "fired":
        both = slice(max(0, end - policy.recent_obs - policy.baseline_obs), end)
        began = onset(
            tested.sample.dates[both], tested.sample.values[both], of_size=reading.rule in ("scale", "distribution")
        )
        seen = ", ".join(
            f"{name} {day}"
            for name, day in (("CUSUM", began.cusum), ("ADWIN", began.adwin), ("change point", began.change_point))
            if day is not None
        )
        if began.began_on is not None:
            sentences.append(f"It began about {began.began_on} ({seen}).")
    return Finding(
        state=state,
        severity=reading.severity_on(0),
        reasons=tuple(sentences),
        effect=effect,
        effect_low=effect - NORMAL_95 * error
        if reading.rule != "distribution"
        else max(0.0, effect - NORMAL_95 * error),
        effect_high=effect + NORMAL_95 * error,
        **common,  # type: ignore[arg-type]
    )


def _classic(frames: Frames, as_of: dt.date, settings: Settings) -> Finding:
    policy = settings.classic.drift
    day = np.array([as_of], dtype="datetime64[D]")
    reading = classic_reading(frames, day, settings)
    known = frames.target.at(as_of_instants(day)[0])
    found = classic_drift(known.values, np.array([len(known)]), policy)
    level = int(found.severity(policy)[0])
    names = ("KS", "Welch t", "Levene", "Ljung-Box", "volatility ratio")
    fired = [name for name, on in zip(names, found.fired(policy)[:, 0], strict=True) if on]
    n = policy.baseline_obs + policy.recent_obs
    if len(known) < n:
        reason = f"Insufficient data: {len(known)} of {n} observations; the classic rule says NONE."
    else:
        reason = (
            f"Classic severity {LEVELS[level]}: {', '.join(fired) or 'no test'} fired on the price level; drift score "
            f"{found.score()[0]:.0f} of 100, KS D = {found.ks_statistic[0]:.2f}, p = {found.ks_p[0]:.2g}."
        )
    window = known.dates[-n:]
    return Finding(
        monitor=NAME,
        rule=CLASSIC_RULE,
        profile="classic",
        pair=frames.pair,
        subject=reading.subject,
        as_of=as_of,
        state=reading.state[0],
        cannot_tell=reading.cannot_tell(0),
        severity=CLASSIC_SEVERITY[level],
        reasons=(reason,),
        effect=float(level),
        effect_low=math.nan,
        effect_high=math.nan,
        unit=reading.unit,
        threshold=reading.above,
        n=min(n, len(known)),
        n_effective=float(min(n, len(known))),
        window_start=window[0].item() if len(window) else None,
        window_end=window[-1].item() if len(window) else None,
        input_hashes=dict(frames.input_hashes),
    )
