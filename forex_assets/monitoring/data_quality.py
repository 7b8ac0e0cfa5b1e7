"""Data quality while it runs (E11): completeness, ranges, correlations and importances of the series a pair lives on.

Quality rules (:mod:`forex_assets.market.quality`) judge single observations when they arrive; this watches what
they leave: series that thin out, leave their range, or change how they move with the price.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates
from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.data_links import Judged, correlation_change, importance_drift, nothing
from forex_assets.monitoring.finding import Finding, Severity, State
from forex_assets.monitoring.observed import Observed
from forex_assets.monitoring.registry import SCAN_COLUMNS, Monitor
from forex_assets.settings.watching import DataMonitorSettings

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings


NAME = "data_quality"
_SEVERITY: dict[str, Severity] = {
    "completeness": "medium",
    "range": "high",
    "correlation_change": "medium",
    "importance_drift": "medium",
}


def read_days(frames: Frames, days: Dates, settings: Settings) -> list[Judged]:
    """Return every rule on every series for many days, each day from what was known at its end."""
    days = np.asarray(days, dtype="datetime64[D]")
    policy = settings.platform.watching.data
    sources = {frames.target.name: frames.target} | {
        name: series
        for name, series in frames.drivers.items()
        if name in settings.series and settings.series[name].frequency == "daily"
    }
    stopped = {name: _stopped(source, days, settings) for name, source in sources.items()}
    out: list[Judged] = []
    for name, source in sources.items():
        out.append(_completeness(name, source, days, settings, policy))
        out.append(_unless(stopped[name], _range(name, source, days, settings)))
    unit = settings.pair(frames.pair).unit
    others = [name for name in sources if name != frames.target.name and _moves(settings, name, unit)]
    price = stopped[frames.target.name]
    for name in others:
        judged = correlation_change(frames, name, days, policy, len(others))
        out.append(_unless(np.where(price != "", price, stopped[name]), judged))
    if len(others) >= 2:
        fresh = np.stack([stopped[name] == "" for name in others], axis=1)
        out.append(_unless(price, importance_drift(frames, others, fresh, days, policy)))
    return out


def _stopped(source: Observed, days: Dates, settings: Settings) -> npt.NDArray[np.object_]:
    """Return on which days a series' newest value is older than the series allows, and by how much (empty: fresh)."""
    spec = settings.series[source.name]
    calendar = calendar_for(spec.calendar)
    _, out, _ = nothing(days)
    for places, known, lengths in source.groups(as_of_instants(days)):
        places, lengths = places[lengths > 0], lengths[lengths > 0]
        if not len(places):
            continue
        newest = np.minimum(known.dates[lengths - 1], days[places])
        age = calendar.count(newest, days[places])
        for i in np.flatnonzero(age > spec.max_age_business_days):
            out[places[i]] = CannotTell("series_old", series=source.name, days=int(age[i]))
    return out


def _unless(stopped: npt.NDArray[np.object_], judged: Judged) -> Judged:
    """Return the same rule, unknown on the days on which what it looks at had stopped."""
    gone = (stopped != "") & (judged.why_unknown == "")
    if not gone.any():
        return judged
    effect, low, high = (np.where(gone, np.nan, values) for values in (judged.effect, judged.low, judged.high))
    why, n = np.where(gone, stopped, judged.why_unknown), np.where(gone, 0, judged.n)
    return replace(judged, effect=effect, low=low, high=high, fired=judged.fired & ~gone, why_unknown=why, n=n)


def judge(frames: Frames, as_of: dt.date, settings: Settings, profile: str) -> tuple[Finding, ...]:
    """Return the findings of one day."""
    return tuple(
        _finding(item, frames.pair, as_of, profile)
        for item in read_days(frames, np.array([as_of], dtype="datetime64[D]"), settings)
    )


def scan(frames: Frames, days: Dates, settings: Settings, profile: str) -> pd.DataFrame:
    """Return state and effect of every rule and series for many days."""
    import pandas as pd

    days = np.asarray(days, dtype="datetime64[D]")
    parts = [
        pd.DataFrame(
            {
                "as_of": days.astype("datetime64[ns]"),
                "monitor": NAME,
                "rule": item.rule,
                "subject": item.subject,
                "state": item.state,
                "severity": np.array([_severity(item, str(state)) for state in item.state], dtype=object),
                "effect": item.effect,
                "threshold": item.threshold,
            }
        )[list(SCAN_COLUMNS)]
        for item in read_days(frames, days, settings)
    ]
    if not parts:
        return pd.DataFrame(columns=list(SCAN_COLUMNS))
    table = pd.concat(parts, ignore_index=True)
    return table.sort_values(["as_of", "rule", "subject"], kind="stable", ignore_index=True)


def _moves(settings: Settings, name: str, unit: str) -> bool:
    """Tell whether a series is another price (neither a rate, nor an index of inflation, nor the same price again)."""
    spec = settings.series[name]
    return spec.change == "log" and spec.unit not in (unit, "CLP")


def _completeness(name: str, source: Observed, days: Dates, settings: Settings, policy: DataMonitorSettings) -> Judged:
    """Share of the last sessions that should be known by now and have no value."""
    spec = settings.series[name]
    calendar, window = calendar_for(spec.calendar), policy.window_sessions
    effect, why, count = nothing(days)
    for places, known, lengths in source.groups(as_of_instants(days)):
        some = lengths > 0
        why[places[~some]] = CannotTell("no_value")
        places, lengths = places[some], lengths[some]
        if not len(places):
            continue
        due = calendar.add(calendar.roll_back(days[places]), -spec.max_age_business_days)
        sessions = calendar.sessions(due.min() - np.timedelta64(2 * window + 30, "D"), due.max())
        held = np.concatenate([[0], np.cumsum(np.isin(sessions, known.dates))])
        end = np.searchsorted(sessions, due, side="right")
        first = np.maximum(end - window, 0)
        young = end - window < np.searchsorted(sessions, known.dates[0])
        seen = np.clip(np.searchsorted(sessions, known.dates[lengths - 1], side="right"), first, end)
        effect[places] = np.where(young, np.nan, (window - (held[seen] - held[first])) / window)
        count[places] = np.where(young, 0, window)
        why[places[young]] = CannotTell("series_young")
    fired = np.nan_to_num(effect, nan=0.0) > policy.max_missing_share
    none = np.full(len(days), np.nan)
    return Judged("completeness", name, "share", policy.max_missing_share, effect, none, none, fired, why, count)


def _range(name: str, source: Observed, days: Dates, settings: Settings) -> Judged:
    """Distance of the newest value from the plausible range of its series, 0 inside."""
    low, high = settings.series[name].range
    effect, why, _ = nothing(days)
    for places, known, lengths in source.groups(as_of_instants(days)):
        some = lengths > 0
        why[places[~some]] = CannotTell("no_value")
        value = known.values[lengths[some] - 1]
        effect[places[some]] = np.maximum(np.maximum(low - value, value - high), 0.0)
        why[places[some][~np.isfinite(value)]] = CannotTell("value_not_finite")
    fired = np.nan_to_num(effect, nan=0.0) > 0.0
    none, ones = np.full(len(days), np.nan), np.ones(len(days), dtype=np.int64)
    return Judged("range", name, source.unit, 0.0, effect, none, none, fired, why, ones)


def _severity(item: Judged, state: str) -> Severity:
    return _SEVERITY[item.rule] if state == "fired" else "low" if state == "unknown" else "info"


def _finding(item: Judged, pair: str, as_of: dt.date, profile: str) -> Finding:
    state: State = item.state[0]
    return Finding(
        monitor=NAME,
        rule=item.rule,
        profile=profile,
        pair=pair,
        subject=item.subject,
        as_of=as_of,
        state=state,
        severity=_severity(item, state),
        reasons=(_reason(item, state),),
        effect=float(item.effect[0]),
        effect_low=float(item.low[0]),
        effect_high=float(item.high[0]),
        unit=item.unit,
        threshold=item.threshold,
        n=int(item.n[0]),
        n_effective=float(item.n[0]),
        window_end=as_of,
        cannot_tell=item.why_unknown[0] if state == "unknown" else None,
    )


def _reason(item: Judged, state: str) -> str:
    if state == "unknown":
        return f"{item.rule} of {item.subject} cannot be told: {item.why_unknown[0]}."
    value = float(item.effect[0])
    if item.rule == "completeness":
        return f"{item.subject}: {value:.1%} of {int(item.n[0])} sessions have no value (limit {item.threshold:.0%})."
    if item.rule == "range":
        where = "inside" if value == 0 else f"{value:g} outside"
        return f"{item.subject}: the newest value is {where} its plausible range."
    if item.rule == "correlation_change":
        return (
            f"{item.subject}: correlation with the price changed by {value:+.2f} "
            f"[{float(item.low[0]):+.2f}, {float(item.high[0]):+.2f}]."
        )
    return f"The series' shares of importance moved by {value:.2f} (limit {item.threshold:g}, 0 the same, 1 all new)."


MONITOR = Monitor(
    name=NAME,
    doc="Series that thin out, leave their range, or change how they move with the price.",
    judge=judge,
    scan=scan,
    profiles=("recommended",),
)
