"""One day of a performance reading as a finding: interval, effective n, window, and sentences a person reads."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.clock import as_of_instants
from forex_assets.evaluation.inference import Interval, mean_interval, ratio_interval, share_interval
from forex_assets.evaluation.overlap import effective_n
from forex_assets.monitoring.degradation import normal_scores
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.frames import Frames, Scored
from forex_assets.monitoring.readings import Reading
from forex_assets.monitoring.registry import Profile

if TYPE_CHECKING:
    from forex_assets.settings import Settings

NO_INTERVAL = Interval(math.nan, math.nan, math.nan, 0, 0.0)


def explain(frames: Frames, reading: Reading, as_of: dt.date, settings: Settings, profile: Profile) -> Finding:
    """Return the finding of a reading over one day."""
    state = reading.state[0]
    scored = frames.scored.get(reading.subject)
    rows = _window(scored, as_of, settings, profile, reading.subject)
    why = reading.cannot_tell(0)
    unknown = why is not None
    interval, sentences = (NO_INTERVAL, ()) if unknown or scored is None else _evidence(reading, scored, rows, settings)
    effect = math.nan if unknown else float(reading.effect[0])
    if why is not None:
        sentences = (f"Cannot tell: {why}.",)
    elif not sentences:
        sentences = _plain(reading, effect)
    if reading.rule == "volatility":
        days, steps = _returns(frames, as_of, settings), 1.0
    else:
        none = np.array([], dtype="datetime64[D]")
        days, steps = (scored.matured_on[rows], scored.steps) if scored is not None else (none, 1.0)
    n = len(days)
    return Finding(
        monitor="performance",
        rule=reading.rule,
        profile=profile,
        pair=frames.pair,
        subject=reading.subject,
        as_of=as_of,
        state=state,
        severity=reading.severity_on(0),
        reasons=sentences,
        effect=effect,
        effect_low=interval.low,
        effect_high=interval.high,
        unit=reading.unit,
        threshold=float(reading.threshold[0]),
        n=n,
        n_effective=effective_n(n, steps) if n else 0.0,
        window_start=days.min().item() if len(days) else None,
        window_end=days.max().item() if len(days) else None,
        input_hashes=dict(frames.input_hashes),
        cannot_tell=why,
    )


def _returns(frames: Frames, as_of: dt.date, settings: Settings) -> npt.NDArray[np.datetime64]:
    """Return the days of the newest returns, those a change of volatility may have begun with."""
    known = frames.target.at(as_of_instants(np.array([as_of], dtype="datetime64[D]"))[0])
    return known.dates[1:][-settings.recommended.performance.volatility.lookback_obs :]


def _window(
    scored: Scored | None, as_of: dt.date, settings: Settings, profile: Profile, name: str
) -> npt.NDArray[np.int64]:
    """Return the rows a day's verdict rests on."""
    if scored is None:
        return np.empty(0, dtype=np.int64)
    end = scored.until(np.datetime64(as_of, "D"))
    if profile == "classic":
        policy = settings.classic.performance
        first = np.datetime64(as_of, "D") - np.timedelta64(policy.recent_days + policy.baseline_days, "D")
        return np.flatnonzero(scored.origin[:end] > first).astype(np.int64)
    limits = settings.recommended.performance.horizons.get(name)
    window = limits.window_forecasts if limits else 0
    return np.arange(max(0, end - window), end, dtype=np.int64)


def _evidence(
    reading: Reading, scored: Scored, rows: npt.NDArray[np.int64], settings: Settings
) -> tuple[Interval, tuple[str, ...]]:
    """Return the effect's interval and sentences, for rules on matured forecasts."""
    rows = rows[np.isfinite(scored.pit[rows]) & np.isfinite(scored.error_sigma[rows])]
    origin = scored.origin[rows]
    effect, limit = float(reading.effect[0]), float(reading.threshold[0])
    verdict = "beyond" if reading.fired[0] else "within"
    if reading.rule == "skill":
        good = np.isfinite(scored.crps[rows]) & np.isfinite(scored.crps_benchmark[rows])
        ratio = ratio_interval(scored.crps[rows][good], scored.crps_benchmark[rows][good], origin[good], scored.steps)
        interval = ratio._replace(value=effect, low=ratio.low - 1.0, high=ratio.high - 1.0)
        return interval, (
            f"CRPS over the last {len(rows)} matured forecasts is {effect:+.1%} against the random walk's on the same "
            f"targets, {verdict} the limit of {limit:+.1%}.",
        )
    if reading.rule == "evidence":
        odds = math.exp(min(effect, 50.0))
        return NO_INTERVAL, (
            f"Evidence that the model is worse than the random walk stands at {odds:,.1f} to 1, {verdict} the limit of "
            f"{math.exp(limit):,.0f} to 1; it may be read every day.",
        )
    if reading.rule == "calibration":
        covered = share_interval(scored.covered_95[rows], scored.steps, origin)
        cap = settings.recommended.performance.squared_error_cap
        squares = mean_interval(np.minimum(scored.error_sigma[rows] ** 2, cap), origin, scored.steps)
        shift = effect - math.log(max(squares.value, 1e-12))
        low, high = (math.log(max(end, 1e-3)) + shift for end in (squares.low, squares.high))
        factor = math.exp(effect / 2.0)
        wrong = "narrow" if effect > 0 else "wide"
        return squares._replace(value=effect, low=low, high=high), (
            f"Beyond what the random walk's own misses explain, intervals look too {wrong}: they would need "
            f"{factor:.2f} times their width ({verdict} the limit of {math.exp(limit / 2.0):.2f}).",
            f"The 95% interval held {covered.value:.0%} of outcomes [{covered.low:.0%}, {covered.high:.0%}], "
            f"n {covered.n}.",
        )
    if reading.rule == "bias":
        mean = mean_interval(normal_scores(scored.pit[rows]), origin, scored.steps)
        side = "above" if effect > 0 else "below"
        return mean._replace(value=effect), (
            f"Outcomes lie {side} the forecasts by {abs(effect):.2f} sigma on average [{mean.low:+.2f}, "
            f"{mean.high:+.2f}], {verdict} the limit of {abs(limit):.2f}.",
        )
    return NO_INTERVAL, (
        f"Classic rule: the errors of the newest forecasts are {effect:+.1%} against the 60 days before "
        f"({verdict} the limit of {limit:.0%}).",
    )


def _plain(reading: Reading, effect: float) -> tuple[str, ...]:
    if reading.rule != "volatility":
        return (f"{reading.rule}: {effect:.3g} {reading.unit}.",)
    limit = float(reading.threshold[0])
    verdict = "more than" if reading.fired[0] else "no more than"
    return (
        f"Returns of {reading.subject} are louder by {verdict} their usual clustering explains: log evidence "
        f"{effect:.1f} against the limit of {limit:.1f}.",
    )
