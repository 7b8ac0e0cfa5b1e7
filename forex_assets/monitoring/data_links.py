"""How the series beside a price move with it: correlations and shares of importance, now and before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.clock import as_of_instants
from forex_assets.monitoring.cannot_tell import CannotTell, reasons
from forex_assets.monitoring.regimes.link import Link, rolling_link
from forex_assets.settings.watching import DataMonitorSettings

if TYPE_CHECKING:
    from forex_assets.monitoring.frames import Frames


#: Values a series needs beyond its windows: days that it does not share with the price.
_MARGIN = 60
#: Windows of importance worked on at once.
_ROWS = 500


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


def correlation_change(frames: Frames, name: str, days: Dates, policy: DataMonitorSettings, tests: int) -> Judged:
    """Change of a series' correlation with the price: the newest window against the longer one before it."""
    effect, why, count = nothing(days)
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
        why[places[ends < need]] = CannotTell("few_common_returns", need=need)
        enough = np.zeros(len(at), dtype=bool)
        if len(before.z):
            enough = (ends >= need) & np.isfinite(before.z[inside]) & np.isfinite(recent.z[inside])
        why[places[~enough & (ends >= need)]] = CannotTell("series_still")
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


def importance_drift(
    frames: Frames, names: Sequence[str], fresh: npt.NDArray[np.bool_], days: Dates, policy: DataMonitorSettings
) -> Judged:
    """Total variation between the shares of importance that the series had before and have now.

    Only series that are fresh on a day (days × names) take part in it.

    A series' importance is the absolute coefficient of its standardised return in a regression of the price's.
    """
    effect, why, count = nothing(days)
    recent, before = 2 * policy.recent_obs, policy.baseline_obs
    need = recent + before
    for chosen, group in _old_enough(frames, names, fresh, days, need + _MARGIN).items():
        if len(chosen) < 2:
            why[group] = CannotTell("few_series", need=need)
            continue
        for local, ends, returns in _common(frames, chosen, days[group]):
            places, enough = group[local], ends >= need
            why[places[~enough]] = CannotTell("few_common_returns", need=need)
            places, ends = places[enough], ends[enough]
            if not len(places):
                continue
            windows = np.lib.stride_tricks.sliding_window_view(np.stack(returns), need, axis=1)
            for rows in np.array_split(np.arange(len(places)), -(-len(places) // _ROWS)):
                window = np.ascontiguousarray(windows[:, ends[rows] - need].swapaxes(0, 1))
                moved = np.abs(_shares(window[..., before:]) - _shares(window[..., :before]))
                effect[places[rows]] = 0.5 * moved.sum(axis=1)
            count[places] = np.where(np.isfinite(effect[places]), need, 0)
            why[places[~np.isfinite(effect[places])]] = CannotTell("series_still")
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


def nothing(days: Dates) -> tuple[Floats, npt.NDArray[np.object_], Ints]:
    """Return effect, reasons and counts of days before anything is told of them."""
    return np.full(len(days), np.nan), reasons(len(days)), np.zeros(len(days), dtype=np.int64)


def _normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
