"""What is wrong with a feed rather than with a row: judged over its last weeks against the ones before.

Every rule answers *found*, *clear* or *unknown* with a sentence; none withdraws a row, for none can say which row is
wrong. Only what was known at the instant given is looked at, and only rows that no row rule had withdrawn by then.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import ValidationError
from forex_assets.market.quality.dates_moved import moved_dates, moved_vintages
from forex_assets.market.quality.feed import Feed, FeedFinding, State, feed_of, unknown
from forex_assets.market.quality.rules import Scale
from forex_assets.market.quality.shift import detect_date_shift
from forex_assets.settings import QualitySettings, SeriesSpec
from forex_assets.settings.feeds import FeedSettings

FEED_RULES: dict[str, str] = {
    "stale_feed": "the newest value is older than the series allows",
    "calendar_errors": "values on closed days, or more sessions without a value than usual",
    "level_break": "a new level, many robust sigmas from the one before, that stands",
    "unit_drift": "a new level in the ratio of two units, or a gap to the reference that has moved",
    "disagreement": "too many values too far from the reference, or all of them a little",
    "date_shift": "dates that run a session late or early against another series",
    "premium_break": "a premium over another series far from its usual one",
}
#: Two units in which the same price may come, as the factor between them.
UNIT_FACTORS: Mapping[str, float] = {
    "pounds and kilograms": 2.20462,
    "pounds and tonnes": 2204.62,
    "troy ounces and pounds": 14.5833,
    "troy ounces and kilograms": 32.1507,
    "barrels and gallons": 42.0,
    "tens": 10.0,
    "hundreds": 100.0,
    "thousands": 1000.0,
}
_OLD_LEVEL_ROWS = 5
_NEW_LEVEL_ROWS = 3
_PREMIUM_ROWS = 5
_PREMIUM_LEARN = 250
_PREMIUM_MIN = 60
_DAY_US = 86_400_000_000


def judge_feeds(
    observations: pd.DataFrame,
    specs: Mapping[str, SeriesSpec],
    limits: FeedSettings,
    quality: QualitySettings,
    *,
    as_of: dt.datetime,
    witnesses: Mapping[str, SeriesSpec] | None = None,
) -> tuple[FeedFinding, ...]:
    """Return what every rule says of every series of the observations, as known at ``as_of``.

    Parameters
    ----------
    observations:
        Judged rows of table ``observations``.
    specs:
        Declarations of the series to judge; one of which nothing is held is *unknown*, never clear.
    limits, quality:
        ``feeds:`` and ``quality:`` of ``platform.yaml``.
    as_of:
        Instant, zone-aware.
    witnesses:
        Declarations of further series of the observations, which are not judged: dates are held against them too.

    Raises
    ------
    ValidationError
        When ``as_of`` has no time zone.
    """
    if as_of.tzinfo is None:
        raise ValidationError(
            f"as_of={as_of} has no time zone.", remedy="pass a zone-aware instant, for example in UTC."
        )
    instant = pd.Timestamp(as_of).tz_convert("UTC")
    known = observations.loc[observations["available_at"] <= instant]
    feeds = {name: feed_of(spec, known.loc[known["series"] == name], instant) for name, spec in specs.items()}
    found = [finding for feed in feeds.values() for finding in _alone(feed, limits, quality, instant)]
    for feed in feeds.values():
        reference = feed.spec.reference
        if reference is not None:
            found += _against_reference(feed, feeds.get(reference.series), limits, quality)
    testify = {
        name: feed_of(spec, known.loc[known["series"] == name], instant)
        for name, spec in (witnesses or {}).items()
        if name not in feeds
    }
    found += moved_dates(feeds, limits, witnesses=testify)
    found += [finding for feed in feeds.values() for finding in moved_vintages(feed, known, limits)]
    found += [
        _premium(feeds[link.series], feeds[link.over], limits)
        for link in limits.premiums
        if link.series in feeds and link.over in feeds
    ]
    order = list(FEED_RULES)
    return tuple(sorted(found, key=lambda item: (item.series, order.index(item.rule), item.against or "")))


def with_witnesses(
    observations: pd.DataFrame,
    specs: Mapping[str, SeriesSpec],
    others: Iterable[pd.DataFrame],
    catalogue: Mapping[str, SeriesSpec],
) -> tuple[pd.DataFrame, dict[str, SeriesSpec]]:
    """Return observations with the daily series that only other pairs hold, and the declarations of those.

    Parameters
    ----------
    observations, specs:
        What is to be judged.
    others:
        Observations of other pairs; a series is taken from the first that holds it.
    catalogue:
        Declarations of every series.
    """
    witnesses: dict[str, SeriesSpec] = {}
    parts = [observations]
    for frame in others:
        held = frame["series"].unique()
        new = [name for name in held if name in catalogue and name not in specs and name not in witnesses]
        daily = {name: catalogue[name] for name in new if catalogue[name].frequency == "daily"}
        if daily:
            parts.append(frame.loc[frame["series"].isin(list(daily))])
            witnesses.update(daily)
    return (pd.concat(parts, ignore_index=True) if witnesses else observations), witnesses


def _alone(feed: Feed, limits: FeedSettings, quality: QualitySettings, instant: pd.Timestamp) -> Iterator[FeedFinding]:
    yield _stale(feed, instant)
    yield _calendar_errors(feed, limits, instant)
    if feed.spec.quality.jump and feed.spec.frequency == "daily":
        yield from _level_break(feed, limits, quality)


def _stale(feed: Feed, instant: pd.Timestamp) -> FeedFinding:
    from forex_assets.clock import AsOf

    limit = float(feed.spec.max_age_business_days)
    if not len(feed.dates):
        return unknown("stale_feed", feed, None, "no_value")
    today = np.datetime64(AsOf(instant.to_pydatetime()).date, "D")
    newest = feed.dates[feed.dates <= today]
    if not len(newest):
        return unknown("stale_feed", feed, None, "dated_ahead")
    age = float(feed.calendar.count(newest[-1], today))
    state: State = "found" if age > limit else "clear"
    reason = f"newest value dated {newest[-1]}, {age:.0f} business days old (limit {limit:.0f})"
    since = newest[-1].item() if state == "found" else None
    return FeedFinding("stale_feed", feed.spec.id, None, state, since, age, limit, "business days", len(newest), reason)


def _calendar_errors(feed: Feed, limits: FeedSettings, instant: pd.Timestamp) -> FeedFinding:
    if feed.spec.frequency != "daily":
        return unknown("calendar_errors", feed, None, "monthly")
    if len(feed.dates) < limits.recent_sessions:
        return unknown("calendar_errors", feed, None, "few_values", need=limits.recent_sessions)
    first = max(feed.dates[0], np.datetime64(feed.calendar.first, "D"))
    sessions = feed.calendar.sessions(first, feed.dates[-1])
    if len(sessions) < limits.recent_sessions:
        return unknown("calendar_errors", feed, None, "calendar_ends")
    missing = ~np.isin(sessions, feed.dates)
    recent, before = missing[-limits.recent_sessions :], missing[-limits.learn_sessions : -limits.recent_sessions]
    usual = before.mean() * len(recent) if len(before) else 0.0
    limit = max(float(limits.missing_sessions), limits.missing_times_usual * usual)
    start = sessions[-limits.recent_sessions]
    closed = feed.closed[(feed.closed >= start) & (feed.closed <= feed.dates[-1])]
    count = int(recent.sum())
    bad = [*sessions[-len(recent) :][recent][:1], *closed[:1]] if count > limit or len(closed) else []
    reason = (
        f"in the last {len(recent)} sessions {count} have no value (usually {usual:.1f}, limit {limit:.0f}) "
        f"and {len(closed)} values stand on closed days"
    )
    return FeedFinding(
        "calendar_errors",
        feed.spec.id,
        None,
        "found" if bad else "clear",
        min(bad).item() if bad else None,
        float(count + len(closed)),
        limit,
        "sessions",
        len(recent),
        reason,
    )


def _level_break(feed: Feed, limits: FeedSettings, quality: QualitySettings) -> Iterator[FeedFinding]:
    level = feed.all_level[-(limits.recent_sessions + quality.volatility_window_rows) :]
    dates = feed.all_dates[-len(level) :] if len(level) else feed.all_dates
    n = len(level)
    if n < 20 + _OLD_LEVEL_ROWS + _NEW_LEVEL_ROWS:
        yield unknown("level_break", feed, None, "no_level")
        return
    windows = np.lib.stride_tricks.sliding_window_view
    old = np.median(windows(level, _OLD_LEVEL_ROWS), axis=1)[: n - _OLD_LEVEL_ROWS - _NEW_LEVEL_ROWS + 1]
    new = np.median(windows(level, _NEW_LEVEL_ROWS), axis=1)[_OLD_LEVEL_ROWS:]
    first = np.arange(_OLD_LEVEL_ROWS, n - _NEW_LEVEL_ROWS + 1)
    step = level[first] - level[first - 1]
    moves = pd.Series(np.abs(np.diff(level, prepend=np.nan)))
    sigma = moves.rolling(quality.volatility_window_rows, min_periods=20).median().shift(1).to_numpy()[first] / 0.6745
    limit = np.maximum(limits.level_break_log, limits.level_break_robust_sigma * np.nan_to_num(sigma, nan=np.inf))
    # The new level stands in one step: most of the move between the two medians happened on that day.
    size = new - old
    excess = np.where(np.abs(step) >= 0.7 * np.abs(size), np.abs(size) / limit, 0.0)
    excess[first < n - limits.recent_sessions] = 0.0
    at = int(np.argmax(excess))
    scale = Scale.of(feed.spec)
    broke = bool(excess[at] >= 1)
    moved, day = float(size[at]), dates[first[at]]
    edge = float(limit[at]) if math.isfinite(float(limit[at])) else math.nan
    if broke:
        reason = f"since {day} the level is {scale.describe(moved)} from the one before (limit {edge:.1%})"
    else:
        reason = (
            f"no step beyond {limits.level_break_robust_sigma:g} sigmas in the last {limits.recent_sessions} values"
        )
    state: State = "found" if broke else "clear"
    since = day.item() if broke else None
    yield FeedFinding("level_break", feed.spec.id, None, state, since, moved, edge, feed.spec.change, n, reason)
    if feed.spec.change != "log":
        return
    unit = next(
        (
            name
            for name, factor in UNIT_FACTORS.items()
            if abs(abs(moved) - math.log(factor)) <= limits.unit_factor_tolerance_log + _quiet(sigma[at])
        ),
        None,
    )
    changed = broke and unit is not None
    yield FeedFinding(
        "unit_drift",
        feed.spec.id,
        None,
        "found" if changed else "clear",
        since if changed else None,
        moved,
        edge,
        "log",
        n,
        f"since {day} about {math.exp(abs(moved)):.4g} times the level before or the other way round: {unit}?"
        if changed
        else "no new level in the ratio of two units",
    )


def _quiet(sigma: float) -> float:
    return float(sigma) if math.isfinite(sigma) else 0.0


def _against_reference(
    feed: Feed, reference: Feed | None, limits: FeedSettings, quality: QualitySettings
) -> Iterator[FeedFinding]:
    declared = feed.spec.reference
    name = declared.series if declared is not None else None
    rules = ("disagreement", "unit_drift", "date_shift")
    if declared is None or reference is None or not len(reference.dates) or not len(feed.dates):
        for rule in rules:
            yield unknown(rule, feed, name, "no_reference", series=str(name))
        return
    own = feed.all_dates >= np.datetime64(feed.calendar.first, "D")
    dates, level = feed.all_dates[own], feed.all_level[own]
    described = feed.calendar.add(dates, declared.shift_business_days) if declared.shift_business_days else dates
    place = np.searchsorted(reference.dates, described)
    both = place < len(reference.dates)
    both[both] &= reference.dates[place[both]] == described[both]
    gap, at = level[both] - reference.level[place[both]], dates[both]
    if len(gap) < limits.disagreement_sessions:
        yield unknown("disagreement", feed, name, "few_common", n=len(gap))
        yield unknown("unit_drift", feed, name, "few_common", n=len(gap))
    else:
        yield _disagreement(feed, reference, gap, at, limits, quality)
        yield _gap_drift(feed, reference, gap, at, limits)
    yield _misdated(feed, reference, limits)


def _disagreement(
    feed: Feed, reference: Feed, gap: Floats, at: Dates, limits: FeedSettings, quality: QualitySettings
) -> FeedFinding:
    recent = gap[-limits.disagreement_sessions :]
    moves = np.abs(np.diff(reference.level[-quality.volatility_window_rows :]))
    sigma = float(np.median(moves) / 0.6745) if len(moves) else 0.0
    edge = max(quality.cross_source_tolerance_log, quality.cross_source_robust_sigma * sigma)
    far = np.abs(recent) > edge
    share, bias = float(far.mean()), float(np.median(recent))
    wide, biased = share >= limits.disagreement_share, abs(bias) >= limits.disagreement_bias_log
    reason = (
        f"of the last {len(recent)} common dates {far.sum()} are beyond {edge:.1%} from {reference.spec.id}, "
        f"median gap {np.expm1(bias):+.2%}"
    )
    days = at[-len(recent) :]
    since = (days[far][0] if far.any() else days[0]).item() if wide or biased else None
    effect, limit = (bias, limits.disagreement_bias_log) if biased and not wide else (share, limits.disagreement_share)
    return FeedFinding(
        "disagreement",
        feed.spec.id,
        reference.spec.id,
        "found" if wide or biased else "clear",
        since,
        effect,
        limit,
        "log" if biased and not wide else "share",
        len(recent),
        reason,
    )


def _gap_drift(feed: Feed, reference: Feed, gap: Floats, at: Dates, limits: FeedSettings) -> FeedFinding:
    recent = gap[-limits.disagreement_sessions :]
    before = gap[-limits.learn_sessions : -limits.disagreement_sessions]
    if len(before) < limits.recent_sessions:
        return unknown("unit_drift", feed, reference.spec.id, "few_earlier", n=len(before))
    drift = float(np.median(recent) - np.median(before))
    noise = float(np.median(np.abs(before - np.median(before))) / 0.6745) * 1.25 / math.sqrt(len(recent))
    limit = max(limits.unit_drift_log, 6 * noise)
    state: State = "found" if abs(drift) > limit else "clear"
    reason = f"the median gap to {reference.spec.id} moved by {np.expm1(drift):+.2%} (limit {limit:.2%})"
    since = at[-len(recent)].item() if state == "found" else None
    return FeedFinding(
        "unit_drift", feed.spec.id, reference.spec.id, state, since, drift, limit, "log", len(gap), reason
    )


def _misdated(feed: Feed, reference: Feed, limits: FeedSettings) -> FeedFinding:
    declared = feed.spec.reference
    shift = declared.shift_business_days if declared is not None else 0
    keep = slice(-limits.learn_sessions, None)
    report = detect_date_shift(
        pd.DataFrame({"event_date": feed.all_dates[keep].astype("datetime64[ns]"), "value": feed.all_value[keep]}),
        pd.DataFrame({"event_date": reference.dates[keep].astype("datetime64[ns]"), "value": reference.value[keep]}),
        feed.calendar,
        reference_shift_business_days=shift,
    )
    if not report.confident:
        return unknown("date_shift", feed, reference.spec.id, "no_lag", n=report.n)
    state: State = "found" if report.lag else "clear"
    best = report.correlation[report.lag]
    reason = f"changes agree best at lag {report.lag} (correlation {best:.2f}, {report.correlation[0]:.2f} at lag 0)"
    since = feed.all_dates[keep][0].item() if state == "found" else None
    return FeedFinding(
        "date_shift",
        feed.spec.id,
        reference.spec.id,
        state,
        since,
        float(report.lag),
        0.0,
        "sessions",
        report.n,
        reason,
    )


def _premium(feed: Feed, over: Feed, limits: FeedSettings) -> FeedFinding:
    common, mine, theirs = np.intersect1d(feed.dates, over.dates, return_indices=True)
    # The two markets close at different hours: the median of some days is what can be compared.
    premium = pd.Series(feed.level[mine] - over.level[theirs]).rolling(_PREMIUM_ROWS, min_periods=1).median().to_numpy()
    before = premium[-(_PREMIUM_LEARN + _PREMIUM_ROWS) : -_PREMIUM_ROWS]
    if len(before) < _PREMIUM_MIN:
        return unknown("premium_break", feed, over.spec.id, "few_common", n=len(common))
    usual = float(np.median(before))
    sigma = float(np.median(np.abs(before - usual)) / 0.6745)
    now = float(premium[-1])
    moved = now - usual
    limit = max(limits.premium_log, limits.premium_robust_sigma * sigma)
    state: State = "found" if abs(moved) > limit else "clear"
    beyond = np.abs(premium - usual) > limit
    run = len(beyond) - int(np.argmax(~beyond[::-1])) if not beyond.all() else 0
    since = common[min(run, len(common) - 1)].item() if state == "found" else None
    reason = f"premium {np.expm1(now):+.1%}, usually {np.expm1(usual):+.1%} (limit {limit:.1%} from it)"
    return FeedFinding(
        "premium_break", feed.spec.id, over.spec.id, state, since, moved, limit, "log", len(before), reason
    )


def found_only(findings: Sequence[FeedFinding]) -> list[FeedFinding]:
    """Return the findings that accuse a feed."""
    return [finding for finding in findings if finding.state == "found"]
