"""Data quality while it runs (E11): completeness, ranges, correlations and importances of the series a pair lives on.

Quality rules (:mod:`forex_assets.market.quality`) judge single observations when they arrive; this watches what
they leave: series that thin out, leave their range, or change how they move with the price.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.clock import as_of_instants, calendar_for
from forex_assets.monitoring.finding import Finding, Severity, State
from forex_assets.monitoring.observed import Observed
from forex_assets.monitoring.regimes.link import Link, rolling_link
from forex_assets.monitoring.registry import SCAN_COLUMNS, Monitor
from forex_assets.settings.watching import DataMonitorSettings

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

NAME = "data_quality"
#: Values a series needs beyond its windows: days that it does not share with the price.
_MARGIN = 60
#: Windows of importance worked on at once.
_ROWS = 500
_SEVERITY: dict[str, Severity] = {
    "completeness": "medium",
    "range": "high",
    "correlation_change": "medium",
    "importance_drift": "medium",
}


@dataclass(frozen=True, eq=False)
class Judged:
    """One rule on one series over days: effect, whether it fires, and why it cannot be told (empty: it can)."""

    rule: str
    subject: str
    unit: str
    threshold: float
    effect: Floats
    low: Floats
    high: Floats
    fired: npt.NDArray[np.bool_]
    why_unknown: npt.NDArray[np.object_]
    n: Ints

    @property
    def state(self) -> npt.NDArray[np.object_]:
        """State per day."""
        known = np.where(self.fired, "fired", "clear")
        return np.where(self.why_unknown != "", "unknown", known).astype(object)


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
        judged = _correlation(frames, name, days, policy, len(others))
        out.append(_unless(np.where(price != "", price, stopped[name]), judged))
    if len(others) >= 2:
        fresh = np.stack([stopped[name] == "" for name in others], axis=1)
        out.append(_unless(price, _importance(frames, others, fresh, days, policy)))
    return out


def _stopped(source: Observed, days: Dates, settings: Settings) -> npt.NDArray[np.object_]:
    """Return on which days a series' newest value is older than the series allows, and by how much (empty: fresh)."""
    spec = settings.series[source.name]
    calendar = calendar_for(spec.calendar)
    _, out, _ = _nothing(days)
    for places, known, lengths in source.groups(as_of_instants(days)):
        places, lengths = places[lengths > 0], lengths[lengths > 0]
        if not len(places):
            continue
        newest = np.minimum(known.dates[lengths - 1], days[places])
        age = calendar.count(newest, days[places])
        for i in np.flatnonzero(age > spec.max_age_business_days):
            out[places[i]] = f"the newest value of {source.name} is {age[i]} business days old"
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
    effect, why, count = _nothing(days)
    for places, known, lengths in source.groups(as_of_instants(days)):
        some = lengths > 0
        why[places[~some]] = "no value is known"
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
        effect[places] = np.where(young, np.nan, 1.0 - (held[seen] - held[first]) / window)
        count[places] = np.where(young, 0, window)
        why[places[young]] = "the series is too young"
    fired = np.nan_to_num(effect, nan=0.0) > policy.max_missing_share
    none = np.full(len(days), np.nan)
    return Judged("completeness", name, "share", policy.max_missing_share, effect, none, none, fired, why, count)


def _range(name: str, source: Observed, days: Dates, settings: Settings) -> Judged:
    """Distance of the newest value from the plausible range of its series, 0 inside."""
    low, high = settings.series[name].range
    effect, why, _ = _nothing(days)
    for places, known, lengths in source.groups(as_of_instants(days)):
        some = lengths > 0
        why[places[~some]] = "no value is known"
        value = known.values[lengths[some] - 1]
        effect[places[some]] = np.maximum(np.maximum(low - value, value - high), 0.0)
        why[places[some][~np.isfinite(value)]] = "its newest value is not a number"
    fired = np.nan_to_num(effect, nan=0.0) > 0.0
    none, ones = np.full(len(days), np.nan), np.ones(len(days), dtype=np.int64)
    return Judged("range", name, source.unit, 0.0, effect, none, none, fired, why, ones)


def _correlation(frames: Frames, name: str, days: Dates, policy: DataMonitorSettings, tests: int) -> Judged:
    """Change of a series' correlation with the price: the newest window against the longer one before it."""
    effect, why, count = _nothing(days)
    low, high = np.full(len(days), np.nan), np.full(len(days), np.nan)
    limit = _normal_quantile(1.0 - policy.correlation_p_value / max(tests, 1) / 2.0)
    fired = np.zeros(len(days), dtype=bool)
    need = policy.recent_obs + policy.baseline_obs
    for places, ends, known in _common(frames, [name], days):
        # Only the windows of the days asked for; each window's numbers are the same whatever stands around it.
        first = max(int(ends.min()) - need - 1, 0)
        recent, before = _two_links(known[0][first:], known[1][first:], policy)
        at = ends - 1 - first  # return j ends on common date j + 1
        inside = np.maximum(at, 0)
        why[places[ends < need]] = f"fewer than {need} common returns"
        enough = np.zeros(len(at), dtype=bool)
        if len(before.z):
            enough = (ends >= need) & np.isfinite(before.z[inside]) & np.isfinite(recent.z[inside])
        why[places[~enough & (ends >= need)]] = "a series does not move"
        places, inside = places[enough], inside[enough]
        gap = recent.z[inside] - before.z[inside]
        error = np.hypot(recent.z_error[inside], before.z_error[inside])
        change = recent.correlation[inside] - before.correlation[inside]
        effect[places] = change
        low[places] = np.minimum(np.tanh(gap - 1.96 * error), change)
        high[places] = np.maximum(np.tanh(gap + 1.96 * error), change)
        fired[places] = (np.abs(gap) > limit * error) & (np.abs(change) >= policy.min_correlation_change)
        count[places] = need
    return Judged("correlation_change", name, "correlation", policy.min_correlation_change, effect, low, high, fired,
                  why, count)  # fmt: skip


def _importance(
    frames: Frames, names: Sequence[str], fresh: npt.NDArray[np.bool_], days: Dates, policy: DataMonitorSettings
) -> Judged:
    """Total variation between the shares of importance that the series had before and have now.

    Only series that are fresh on a day (days × names) take part in it.

    A series' importance is the absolute coefficient of its standardised return in a regression of the price's.
    """
    effect, why, count = _nothing(days)
    recent, before = 2 * policy.recent_obs, policy.baseline_obs
    need = recent + before
    for chosen, group in _old_enough(frames, names, fresh, days, need + _MARGIN).items():
        if len(chosen) < 2:
            why[group] = f"fewer than two series with {need} returns up to now"
            continue
        for local, ends, returns in _common(frames, chosen, days[group]):
            places, enough = group[local], ends >= need
            why[places[~enough]] = f"fewer than {need} common returns"
            places, ends = places[enough], ends[enough]
            if not len(places):
                continue
            windows = np.lib.stride_tricks.sliding_window_view(np.stack(returns), need, axis=1)
            for rows in np.array_split(np.arange(len(places)), -(-len(places) // _ROWS)):
                window = np.ascontiguousarray(windows[:, ends[rows] - need].swapaxes(0, 1))
                moved = np.abs(_shares(window[..., before:]) - _shares(window[..., :before]))
                effect[places[rows]] = 0.5 * moved.sum(axis=1)
            count[places] = np.where(np.isfinite(effect[places]), need, 0)
            why[places[~np.isfinite(effect[places])]] = "a series does not move"
    fired = np.nan_to_num(effect, nan=0.0) > policy.importance_distance
    none = np.full(len(days), np.nan)
    return Judged("importance_drift", "all", "share", policy.importance_distance, effect, none, none, fired, why, count)


def _old_enough(
    frames: Frames, names: Sequence[str], fresh: npt.NDArray[np.bool_], days: Dates, need: int
) -> dict[tuple[str, ...], Ints]:
    """Return the places of the days by which series are fresh and have at least ``need`` values then."""
    instants = as_of_instants(days)
    enough = np.zeros((len(days), len(names)), dtype=bool)
    for column, name in enumerate(names):
        source = frames.drivers[name]
        lengths = source.prefixes(instants)
        lengths = np.array([n if n >= 0 else len(source.at(t)) for n, t in zip(lengths, instants, strict=True)])
        enough[:, column] = (lengths >= need) & fresh[:, column]
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(enough):
        groups.setdefault(tuple(name for name, keep in zip(names, row, strict=True) if keep), []).append(i)
    return {chosen: np.array(places, dtype=np.int64) for chosen, places in groups.items()}


def _shares(windows: Floats) -> Floats:
    """Return the importance share of each series but the first, windows (m, series, w); NaN where one is flat."""
    spread = windows.std(axis=2, keepdims=True)
    flat = ~(spread > 1e-12).all(axis=(1, 2))
    z = (windows - windows.mean(axis=2, keepdims=True)) / np.where(spread > 1e-12, spread, 1.0)
    both = z @ z.swapaxes(1, 2) / windows.shape[2]
    # A little ridge: drivers such as two copper prices are nearly the same series.
    ridge = both[:, 1:, 1:] + 0.1 * np.eye(windows.shape[1] - 1)
    weights = np.abs(np.linalg.solve(ridge, both[:, 1:, :1])[..., 0])
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(flat[:, None] | (total <= 0), np.nan, weights / total))


def _two_links(x: Floats, y: Floats, policy: DataMonitorSettings) -> tuple[Link, Link]:
    recent = rolling_link(x, y, policy.recent_obs, policy.lags)
    whole = rolling_link(x, y, policy.baseline_obs, policy.lags)
    shifted = []
    for column in whole:
        moved = np.full(len(column), np.nan)
        if len(column) > policy.recent_obs:
            moved[policy.recent_obs :] = column[: -policy.recent_obs]
        shifted.append(moved)
    return recent, Link(*shifted)


def _common(frames: Frames, names: Sequence[str], days: Dates) -> Iterator[tuple[Ints, Ints, list[Floats]]]:
    """Yield groups of days, how many common returns each knows, and the returns on dates price and series share.

    Days whose knowledge is a prefix of the newest one's share one group.
    """
    sources = [frames.target, *(frames.drivers[name] for name in names)]
    instants = as_of_instants(days)
    lengths = np.stack([source.prefixes(instants) for source in sources])
    whole = (lengths >= 0).all(axis=0)
    groups: list[tuple[Ints, np.datetime64, Ints | None]] = []
    if whole.any():
        groups.append((np.flatnonzero(whole).astype(np.int64), instants[-1], lengths))
    groups += [(np.array([i], dtype=np.int64), instants[i], None) for i in np.flatnonzero(~whole)]
    for places, instant, prefix in groups:
        known = [source.at(instant) for source in sources]
        common = known[0].dates
        for item in known[1:]:
            common = np.intersect1d(common, item.dates, assume_unique=True)
        returns = []
        for item in known:
            here = np.searchsorted(item.dates, common)
            with np.errstate(divide="ignore", invalid="ignore"):
                returns.append(np.nan_to_num(np.diff(np.log(item.values[here])), posinf=0.0, neginf=0.0))
        last = np.full(len(places), np.datetime64("9999-12-31", "D"))
        for k, item in enumerate(known):
            counts = prefix[k, places] if prefix is not None else np.full(len(places), len(item))
            before_all = np.datetime64("0001-01-01", "D")
            own = item.dates[np.maximum(counts - 1, 0)] if len(item) else np.full(len(places), before_all)
            last = np.minimum(last, np.where(counts > 0, own, before_all))
        yield places, np.maximum(np.searchsorted(common, last, side="right") - 1, 0).astype(np.int64), returns


def _nothing(days: Dates) -> tuple[Floats, npt.NDArray[np.object_], Ints]:
    """Return effect, reasons and counts of days before anything is told of them."""
    return np.full(len(days), np.nan), np.full(len(days), "", dtype=object), np.zeros(len(days), dtype=np.int64)


def _normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)


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
