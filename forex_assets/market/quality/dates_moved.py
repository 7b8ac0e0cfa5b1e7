"""Dates of a feed that start to run a session late or early: held against every other series, and against its vintages.

Every series is held against the few that explain it best (:mod:`~forex_assets.market.quality.lockstep`). One whose
dates moved makes the others look moved too: the one with the most evidence is accused, and no longer heard as a witness
against the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from forex_assets.arrays import Dates, Floats
from forex_assets.clock import calendar_for
from forex_assets.market.quality import lockstep
from forex_assets.market.quality.feed import Feed, FeedFinding, State, unknown
from forex_assets.settings.feeds import FeedSettings

_BEHIND_AT_MOST = 10
_YOUNG_AT_MOST = 2
_REVISED_MIN = 5
_REVISED_SHARE = 0.8
_EQUAL = 1e-9


class Panel:
    """The changes of every series on the sessions of every calendar, each made once.

    Parameters
    ----------
    feeds:
        Series to judge and witnesses, by name; those that are not daily are left out.
    limits:
        ``feeds:`` of ``platform.yaml``.
    """

    def __init__(self, feeds: Mapping[str, Feed], limits: FeedSettings) -> None:
        self.feeds = {
            name: feed
            for name, feed in feeds.items()
            if feed.spec.frequency == "daily" and len(feed.all_dates) >= lockstep.LEARN_MIN
        }
        self.limits = limits
        self._changes: dict[str, tuple[Dates, dict[str, Floats]]] = {}

    def _on(self, calendar: str) -> tuple[Dates, dict[str, Floats]]:
        if calendar not in self._changes:
            span = self.limits.learn_sessions + self.limits.recent_sessions + 2 * lockstep.SIGMA_ROWS
            end = max(feed.all_dates[-1] for feed in self.feeds.values())
            sessions = calendar_for(calendar)
            first = max(end - np.timedelta64(2 * span, "D"), np.datetime64(sessions.first, "D"))
            grid = sessions.sessions(first, end)[-span:] if end > first else np.empty(0, dtype="datetime64[D]")
            self._changes[calendar] = (
                grid,
                {
                    name: lockstep.standard(lockstep.bridged_changes_on(grid, feed.all_dates, feed.all_level))
                    for name, feed in self.feeds.items()
                },
            )
        return self._changes[calendar]

    def run(self, name: str, without: frozenset[str] = frozenset()) -> lockstep.Lockstep | None:
        """Return the running test of a series, its last ``recent_sessions`` those to look at; None where too short."""
        feed = self.feeds.get(name)
        if feed is None:
            return None
        grid, others = self._on(feed.spec.calendar)
        recent = self.limits.recent_sessions
        stop = int(np.searchsorted(grid, feed.all_dates[-1], side="right"))
        start = max(
            stop - self.limits.learn_sessions - recent - lockstep.SIGMA_ROWS,
            int(np.searchsorted(grid, feed.all_dates[0])),
        )
        if stop - start < lockstep.LEARN_MIN + recent:
            return None
        # A witness that is far behind cannot testify of the sessions to look at.
        heard = {
            other: changes[start:stop]
            for other, changes in others.items()
            if other != name
            and other not in without
            and np.isfinite(changes[max(start, stop - _BEHIND_AT_MOST) : stop]).any()
        }
        grid = grid[start:stop]
        ours = lockstep.changes_on(grid, feed.all_dates, feed.all_level)
        learned = slice(0, len(grid) - recent)
        profiles = [self._learned(ours, heard, slice(first, learned.stop)) for first in _beginnings(heard, learned)]
        best = max((each for each in profiles if each is not None), key=lambda each: each.gain, default=None)
        return None if best is None else lockstep.follow(grid, ours, heard, best)

    def _learned(self, ours: Floats, heard: Mapping[str, Floats], sessions: slice) -> lockstep.Profile | None:
        others = {name: changes[sessions] for name, changes in heard.items()}
        return lockstep.learn(ours[sessions], others, self.limits.lockstep_partners)


def _beginnings(heard: Mapping[str, Floats], learned: slice) -> list[int]:
    """Return where learning may begin: with the sample, and with the series that are younger, two at most."""
    firsts = {int(np.argmax(np.isfinite(changes))) for changes in heard.values()}
    young = [first for first in firsts if lockstep.SIGMA_ROWS < first <= learned.stop - lockstep.LEARN_MIN]
    return [0, *sorted(young)[-_YOUNG_AT_MOST:]]


def moved_dates(
    feeds: Mapping[str, Feed], limits: FeedSettings, *, witnesses: Mapping[str, Feed]
) -> Iterator[FeedFinding]:
    """Yield what is found of the dates of every feed, held against all others and the witnesses."""
    panel = Panel({**witnesses, **feeds}, limits)
    runs = {name: panel.run(name) for name in panel.feeds}
    accused: list[str] = []
    told_of: dict[str, tuple[lockstep.Lockstep, list[str]]] = {}
    while True:
        over = {
            name: run
            for name, run in runs.items()
            if run is not None
            and name not in accused
            and can_tell(run, limits)
            and strongest(run, limits)[0] > limits.lockstep_evidence
        }
        if not over:
            break
        name = max(over, key=lambda each: strongest(over[each], limits)[0])
        accused.append(name)
        touched = [
            other
            for other, run in runs.items()
            if run is not None and other not in accused and name in run.profile.partners
        ]
        for other in touched:
            runs[other] = panel.run(other, without=frozenset(accused))
        # Without the accused nobody can tell which of the two it is.
        silent = [other for other in touched if other in over and not can_tell(runs[other], limits)]
        # Of a witness and a series to judge, it is the latter that is told of.
        if name not in feeds:
            told_of.update({other: (over[other], [name]) for other in silent if other in feeds})
        else:
            told_of[name] = over[name], silent
    suspects = ", ".join(accused)
    for name, feed in feeds.items():
        if name in told_of:
            yield _finding(feed, told_of[name][0], limits, told_of[name][1])
            continue
        run = runs.get(name)
        if run is not None and can_tell(run, limits):
            yield _finding(feed, run, limits)
        elif feed.spec.reference is None or suspects:
            if suspects:
                yield unknown("date_shift", feed, None, "only_suspects_alike", series=suspects)
            else:
                yield unknown("date_shift", feed, None, "nothing_alike")


def strongest(run: lockstep.Lockstep, limits: FeedSettings) -> tuple[float, int, int]:
    """Return the most evidence of the sessions to look at, its place in the run, and which of the moves it is for."""
    recent = run.evidence[-limits.recent_sessions :]
    at, column = (int(i) for i in np.unravel_index(int(np.argmax(recent)), recent.shape))
    return float(recent[at, column]), len(run.evidence) - len(recent) + at, column


def can_tell(run: lockstep.Lockstep | None, limits: FeedSettings) -> bool:
    """Tell whether a move would be expected to show within the sessions that are looked at."""
    return run is not None and run.profile.gain * limits.recent_sessions >= limits.lockstep_evidence


def _finding(feed: Feed, run: lockstep.Lockstep, limits: FeedSettings, rivals: Sequence[str] = ()) -> FeedFinding:
    most, at, column = strongest(run, limits)
    state: State = "found" if most > limits.lockstep_evidence else "clear"
    since = run.dates[min(int(run.since[at, column]), len(run.dates) - 1)].item() if state == "found" else None
    late, early = ("late", "early") if lockstep.MOVES[column] > 0 else ("early", "late")
    told = f"dates run a session {late} since about {since}" if state == "found" else "dates as before"
    if rivals:
        told += f" (or those of {' and '.join(rivals)} {early}: nothing else held tells which)"
    profile = run.profile
    reason = (
        f"{told}: log-likelihood ratio {most:.1f} (limit {limits.lockstep_evidence:g}); {', '.join(profile.partners)} "
        f"explain{'s' if len(profile.partners) == 1 else ''} {profile.share:.0%} of its changes, {profile.n} sessions"
    )
    return FeedFinding(
        "date_shift",
        feed.spec.id,
        profile.partners[0],
        state,
        since,
        most,
        limits.lockstep_evidence,
        "log-likelihood ratio",
        profile.n,
        reason,
    )


def moved_vintages(feed: Feed, known: pd.DataFrame, limits: FeedSettings) -> Iterator[FeedFinding]:
    """Yield a finding where values that came anew repeat those stored before, a session off."""
    rows = known.loc[(known["series"] == feed.spec.id) & known["value"].notna()]
    rows = rows.sort_values(["event_time", "available_at"], kind="stable")
    first = rows.drop_duplicates("event_time", keep="first")
    last = rows.drop_duplicates("event_time", keep="last")
    if len(first) < 2 or feed.spec.frequency != "daily":
        return
    before, now = first["value"].to_numpy(dtype=np.float64), last["value"].to_numpy(dtype=np.float64)
    revised = np.flatnonzero(before != now)
    revised = revised[revised >= len(before) - limits.recent_sessions]
    if len(revised) < _REVISED_MIN:
        return
    for move in lockstep.MOVES:
        from_place = revised - move
        inside = (from_place >= 0) & (from_place < len(before))
        equal = np.isclose(now[revised[inside]], before[from_place[inside]], rtol=_EQUAL, atol=0.0)
        share = float(equal.sum() / len(revised))
        if share >= _REVISED_SHARE:
            since = first["event_time"].iloc[int(revised[0])].date()
            late = "late" if move > 0 else "early"
            yield FeedFinding(
                "date_shift",
                feed.spec.id,
                feed.spec.id,
                "found",
                since,
                share,
                _REVISED_SHARE,
                "share of revised values",
                len(revised),
                f"of {len(revised)} values that came anew since {since} {equal.sum()} are those stored before, "
                f"a session {late}",
            )
