"""How much of what is planted the quality rules find, and what they take from clean rows: counts, with intervals.

Every plant is judged by the production path (:func:`~forex_assets.market.quality.apply_quality`, and for moved dates
:class:`~forex_assets.market.quality.dates_moved.Panel`) over the rows around it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.errors import DataError
from forex_assets.market.publication import available_at
from forex_assets.market.quality import apply_quality, dates_moved, lockstep
from forex_assets.market.quality.feed import feed_of
from forex_assets.settings import QualitySettings, SeriesSpec
from forex_assets.settings.feeds import FeedSettings
from forex_assets.simulation.corruption import AFTER, BEFORE, KINDS, PRICES, Kind, moved_dates, robust_sigma

SHIFT_DAYS = 60
"""Days after the first wrong value within which moved dates must be found."""
_TRIES = 50


@dataclass(frozen=True)
class Subject:
    """One real series the errors are planted in: its declaration, rows in date order, and its reference's, if any."""

    spec: SeriesSpec
    rows: pd.DataFrame
    reference: tuple[SeriesSpec, pd.DataFrame] | None = None

    def can_hold(self, kind: Kind) -> bool:
        """Tell whether the kind of error can be planted in this series."""
        prices = bool(self.rows["high"].notna().mean() > 0.5)
        return (
            (not kind.needs_prices or prices)
            and (not kind.needs_reference or self.reference is not None)
            and (not kind.needs_stale or self.spec.quality.stale)
        )


def observed(spec: SeriesSpec, frame: pd.DataFrame, now: dt.datetime) -> pd.DataFrame:
    """Return the rows a source gave (``event_date``, ``value``, prices) as observations, known by the series' rule."""
    days = frame["event_date"].to_numpy("datetime64[D]")
    known = available_at(spec, days).astype("datetime64[ns]")
    count = len(frame)
    return pd.DataFrame(
        {
            "series": spec.id,
            "event_time": pd.DatetimeIndex(days.astype("datetime64[ns]"), tz="UTC"),
            "available_at": pd.DatetimeIndex(known, tz="UTC"),
            **{name: frame[name].to_numpy(dtype=np.float64) for name in PRICES},
            "source": "real",
            "retrieved_at": pd.DatetimeIndex([pd.Timestamp(now)] * count).as_unit("ns"),
        }
    )


def subject(
    spec: SeriesSpec,
    rows: pd.DataFrame,
    limits: QualitySettings,
    now: dt.datetime,
    reference: tuple[SeriesSpec, pd.DataFrame] | None = None,
) -> Subject:
    """Return a series to plant in: its observations less the rows that the rules withdraw of themselves."""
    ordered = rows.sort_values("event_time", kind="stable").reset_index(drop=True)
    sound = apply_quality(ordered, {spec.id: spec}, limits, now=now)["withdrawn_at"].isna()
    return Subject(spec, ordered[sound].reset_index(drop=True), reference)


def wilson(found: int, n: int) -> tuple[float, float]:
    """Return the 95% score interval of a share."""
    if n == 0:
        return 0.0, 1.0
    z, share = 1.959964, found / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def recall_by_kind(
    subjects: Sequence[Subject],
    limits: QualitySettings,
    *,
    draws: int,
    seed: int,
    now: dt.datetime,
    kinds: Sequence[str] = tuple(KINDS),
) -> pd.DataFrame:
    """Plant every kind of error ``draws`` times, spread over the series, and count the wrong rows withdrawn.

    Columns: ``kind``, ``gross``, ``plants``, ``rows`` (wrong ones), ``found``, ``recall`` with its interval, ``whole``
    (plants of which every wrong row was found), and ``collateral``: sound rows withdrawn around a plant that stand
    without it.
    """
    out = []
    for number, name in enumerate(kinds):
        kind = KINDS[name]
        rng = np.random.default_rng([seed, number])
        able = [subject for subject in subjects if subject.can_hold(kind)]
        if not able:
            continue
        rows = found = whole = collateral = 0
        for draw in range(draws):
            wrong, hit, beside = _one(able[draw % len(able)], kind, limits, rng, now)
            rows, found, collateral = rows + wrong, found + hit, collateral + beside
            whole += hit == wrong
        low, high = wilson(found, rows)
        out.append(
            {
                "kind": name,
                "doc": kind.doc,
                "gross": kind.gross,
                "series": len(able),
                "plants": draws,
                "rows": rows,
                "found": found,
                "recall": found / rows,
                "recall_low": low,
                "recall_high": high,
                "whole": whole,
                "collateral": collateral,
            }
        )
    return pd.DataFrame(out)


def _one(
    subject: Subject, kind: Kind, limits: QualitySettings, rng: np.random.Generator, now: dt.datetime
) -> tuple[int, int, int]:
    """Plant once; return how many rows are wrong, how many of them were withdrawn, and how many sound ones were."""
    values = subject.rows["value"].to_numpy(dtype=np.float64)
    for _ in range(_TRIES):
        place = int(rng.integers(BEFORE, len(values) - AFTER))
        sigma = robust_sigma(values, place)
        if np.isfinite(sigma) and sigma > 0:
            break
    else:
        raise DataError(f"{subject.spec.id} has no row with a known sigma.", remedy="give a longer series.")
    window = subject.rows.iloc[place - BEFORE : place + AFTER].reset_index(drop=True)
    planted = kind.plant(window, BEFORE, sigma, rng)
    bad = _withdrawn(subject, planted.rows, limits, now)
    sound = np.delete(bad, planted.wrong)
    before = np.delete(_withdrawn(subject, window, limits, now), planted.wrong if len(bad) == len(window) else [])
    return len(planted.wrong), int(bad[planted.wrong].sum()), int((sound & ~before).sum())


def _withdrawn(
    subject: Subject, rows: pd.DataFrame, limits: QualitySettings, now: dt.datetime
) -> npt.NDArray[np.bool_]:
    specs, frame = {subject.spec.id: subject.spec}, rows
    if subject.reference is not None:
        spec, reference = subject.reference
        event = rows["event_time"]
        low, high = event.iloc[0] - pd.Timedelta(days=120), event.iloc[-1] + pd.Timedelta(days=10)
        specs[spec.id] = spec
        near = reference["event_time"].between(low, high)
        frame = pd.concat([rows, reference[near]], ignore_index=True)
    judged = apply_quality(frame, specs, limits, now=now)
    out: npt.NDArray[np.bool_] = judged["withdrawn_at"].notna().to_numpy()[: len(rows)]
    return out


def recall_of_shifts(
    targets: Sequence[tuple[Subject, Subject, Sequence[Subject]]], limits: FeedSettings, *, draws: int, seed: int
) -> pd.DataFrame:
    """Move the dates of a series by a session, and count how often that is found within 60 days of the first wrong one.

    Each target comes with the one it is known to move with, in whose years the plants are, and with all that may
    testify. A plant is judged once, with the rows that were known 60 days after the first wrong value was; where the
    rule says that it cannot tell, the plant counts as not found.

    Columns: ``series``, ``beside``, ``witnesses`` (how many), ``share`` (median share of variance explained),
    ``plants``, ``untold`` (plants that the rule says it cannot judge), ``found``, ``recall`` with its interval,
    ``sessions`` (median until found), and of the same windows left alone: ``alarms``.
    """
    out = []
    for number, (target, beside, witnesses) in enumerate(targets):
        rng = np.random.default_rng([seed, 1000 + number])
        begin = max(target.rows["event_time"].iloc[0], beside.rows["event_time"].iloc[0])
        rows = target.rows[target.rows["event_time"] >= begin].reset_index(drop=True)
        least = min(limits.learn_sessions, (len(rows) - limits.recent_sessions) // 2)
        found = alarms = untold = 0
        delays, shares = [], []
        for _ in range(draws):
            at = int(rng.integers(least, len(rows) - limits.recent_sessions))
            move = int(rng.choice([1, -1]))
            quiet = _run(target.spec, rows, rows["available_at"].iloc[at], witnesses, limits)
            run = _run(target.spec, moved_dates(rows, at, move), rows["available_at"].iloc[at], witnesses, limits)
            if not dates_moved.can_tell(run, limits):
                untold += 1
                continue
            if quiet is None or run is None:
                continue
            shares.append(run.profile.share)
            alarms += bool(dates_moved.strongest(quiet, limits)[0] > limits.lockstep_evidence)
            day = rows["event_time"].iloc[at].tz_localize(None).to_datetime64()
            since = int(np.searchsorted(run.dates, day))
            hits = np.flatnonzero(run.evidence[since:].max(axis=1) > limits.lockstep_evidence)
            if len(hits):
                found += 1
                delays.append(int(hits[0]) + lockstep.REACH)
        low, high = wilson(found, draws)
        out.append(
            {
                "series": target.spec.id,
                "beside": beside.spec.id,
                "witnesses": len(witnesses),
                "share": float(np.median(shares)) if shares else float("nan"),
                "plants": draws,
                "untold": untold,
                "found": found,
                "recall": found / draws,
                "recall_low": low,
                "recall_high": high,
                "sessions": float(np.median(delays)) if delays else float("nan"),
                "alarms": alarms,
            }
        )
    return pd.DataFrame(out)


def _run(
    spec: SeriesSpec, rows: pd.DataFrame, first: pd.Timestamp, witnesses: Sequence[Subject], limits: FeedSettings
) -> lockstep.Lockstep | None:
    """Return the running test of a series, from what was known 60 days after an instant."""
    instant = first + pd.Timedelta(days=SHIFT_DAYS)
    start = first - pd.Timedelta(days=2 * (limits.learn_sessions + limits.recent_sessions))
    held = {}
    for each, known in ((spec, rows), *((item.spec, item.rows) for item in witnesses)):
        near = known[(known["available_at"] <= instant) & (known["event_time"] >= start)]
        held[each.id] = feed_of(each, near, instant)
    return dates_moved.Panel(held, limits).run(spec.id)


def alarms_on_clean(
    subjects: Sequence[Subject], limits: FeedSettings, first: str, last: str, *, without: Sequence[str] = ()
) -> pd.DataFrame:
    """Judge the dates of all series together, nothing planted, every ``recent_sessions`` weekdays of a period.

    Columns: ``as_of``, ``series``, ``state``, ``since``, ``reason``; ``without`` names series that only testify.
    """
    out: list[dict[str, object]] = []
    for day in pd.bdate_range(first, last, tz="UTC")[limits.recent_sessions :: limits.recent_sessions]:
        instant = day + pd.Timedelta(hours=23)
        start = instant - pd.Timedelta(days=2 * (limits.learn_sessions + limits.recent_sessions))
        held = {}
        for item in subjects:
            near = item.rows[(item.rows["available_at"] <= instant) & (item.rows["event_time"] >= start)]
            held[item.spec.id] = feed_of(item.spec, near, instant)
        judged = {name: feed for name, feed in held.items() if name not in without}
        out.extend(
            {
                "as_of": day.date(),
                "series": finding.series,
                "state": finding.state,
                "since": finding.since,
                "reason": finding.reason,
            }
            for finding in dates_moved.moved_dates(judged, limits, witnesses=held)
        )
    return pd.DataFrame(out, columns=["as_of", "series", "state", "since", "reason"])


def clean_losses(judged: pd.DataFrame, first: str, last: str) -> pd.DataFrame:
    """Return per series the rows of a period and how many of them the rules withdrew.

    ``judged`` are real observations as they came, nothing planted. Columns: ``series``, ``rows``, ``withdrawn``,
    ``share``.
    """
    inside = judged[judged["event_time"].between(pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))]
    grouped = inside["withdrawn_at"].notna().groupby(inside["series"])
    out = pd.DataFrame({"rows": grouped.size(), "withdrawn": grouped.sum()}).reset_index()
    return out.assign(share=out["withdrawn"] / out["rows"])


def summary_of(table: pd.DataFrame) -> Mapping[str, float]:
    """Return the pooled recall of gross errors with its interval, and the smallest of any gross kind."""
    gross = table[table["gross"]]
    found, rows = int(gross["found"].sum()), int(gross["rows"].sum())
    low, high = wilson(found, rows)
    return {
        "gross_recall": found / rows,
        "gross_recall_low": low,
        "gross_recall_high": high,
        "gross_rows": float(rows),
        "gross_recall_least": float(gross["recall"].min()),
    }
