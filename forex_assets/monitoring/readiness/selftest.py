"""Faults planted into a copy of the live frames: a monitor that does not notice them is not watching.

Nothing is stored and no alert goes out; the planted frames live in memory only.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.errors import ForexError
from forex_assets.monitoring import regime
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.observed import Known, Observed
from forex_assets.monitoring.registry import monitors

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings

#: Scored forecasts a horizon needs before faults can be planted among them.
_MIN_SCORED = 60
_NARROW = 3.0
_TENORS = 6


def run_self_test(frames: Frames, as_of: dt.date, settings: Settings) -> Mapping[str, bool | None]:
    """Return, for each planted fault, whether it was noticed; None where it could not be planted.

    ``volatility``: the newest returns grow. ``stopped_feed``: the newest values are missing. ``narrow_intervals:<h>``:
    the newest forecasts of a horizon have intervals a third as wide as they should be.
    """
    policy = settings.platform.watching.readiness
    out: dict[str, bool | None] = {
        "volatility": _noticed(
            _loud(frames, as_of, policy.self_test_vol_factor, policy.self_test_sessions), as_of, settings, "fired"
        ),
        "stopped_feed": _noticed(_stopped(frames, as_of), as_of, settings, "unknown"),
    }
    for horizon, scored in frames.scored.items():
        name = f"narrow_intervals:{horizon}"
        n = scored.until(np.datetime64(as_of, "D"))
        enough = n >= planted_forecasts(scored.steps)
        out[name] = _narrow_noticed(frames, horizon, as_of, settings) if enough else None
    return out


def for_horizon(results: Mapping[str, bool | None], horizon: str) -> dict[str, bool | None]:
    """Return the faults that concern a horizon; one without scores could not be tried."""
    own = {name: seen for name, seen in results.items() if ":" not in name or name.endswith(f":{horizon}")}
    own.setdefault(f"narrow_intervals:{horizon}", None)
    return own


def planted_forecasts(steps: float) -> int:
    """Return how many forecasts a fault is planted in: sixty, and six tenors' worth where those overlap more."""
    return max(_MIN_SCORED, round(_TENORS * steps))


def _noticed(planted: Frames | None, as_of: dt.date, settings: Settings, state: str) -> bool | None:
    if planted is None:
        return None
    findings = regime.judge(planted, as_of, settings, "recommended")
    return any(finding.rule == "high_vol" and finding.state == state for finding in findings)


def _loud(frames: Frames, as_of: dt.date, factor: float, sessions: int) -> Frames | None:
    known = _known(frames, as_of)
    if len(known) < 2 * sessions + 200:
        return None
    returns = np.diff(np.log(known.values))
    returns[-sessions:] *= factor
    values = known.values[0] * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    return dataclasses.replace(frames, target=_as_observed(known, values, len(known)))


def _stopped(frames: Frames, as_of: dt.date) -> Frames | None:
    known = _known(frames, as_of)
    if len(known) < 250:
        return None
    return dataclasses.replace(frames, target=_as_observed(known, known.values, len(known) - 15))


def _narrow_noticed(frames: Frames, horizon: str, as_of: dt.date, settings: Settings) -> bool | None:
    scored = frames.scored[horizon]
    until = scored.until(np.datetime64(as_of, "D"))
    newest = np.zeros(len(scored), dtype=bool)
    newest[max(0, until - planted_forecasts(scored.steps)) : until] = True
    sigma = np.where(newest, scored.error_sigma * _NARROW, scored.error_sigma)
    from scipy.special import ndtr

    # An error of s sigmas means an outcome s sigmas below the mean: its PIT is that of a normal there.
    pit = np.where(newest, ndtr(-sigma), scored.pit)
    changed = dataclasses.replace(
        scored,
        error_sigma=sigma,
        pit=pit,
        covered_80=np.where(newest, np.abs(sigma) <= 1.2816, scored.covered_80).astype(np.float64),
        covered_95=np.where(newest, np.abs(sigma) <= 1.96, scored.covered_95).astype(np.float64),
    )
    planted = dataclasses.replace(frames)
    planted.__dict__["scored"] = {**frames.scored, horizon: changed}
    found: list[Finding] = []
    try:
        for monitor in monitors(("performance",)):
            found.extend(monitor.judge(planted, as_of, settings, "recommended"))
    except ForexError:
        return False
    return any(finding.state == "fired" and finding.subject == horizon for finding in found)


def _known(frames: Frames, as_of: dt.date) -> Known:
    from forex_assets.clock import as_of_instants

    return frames.target.at(as_of_instants(np.array([as_of], dtype="datetime64[D]"))[0])


def _as_observed(known: Known, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], length: int) -> Observed:
    from forex_assets.clock import as_of_instants

    available = as_of_instants(known.dates[:length]).astype("datetime64[us]")
    # A fixing dated tomorrow is known today: planted values are known on the evening of the day before at the latest.
    available -= np.timedelta64(24, "h")
    never = np.full(length, np.datetime64("NaT", "us"))
    return Observed(known.name, known.unit, known.dates[:length], values[:length], available, never)
