"""Which session the rows of an answer belong to: measured against a reference, corrected, and said.

Some providers date a close one day late. Whether a live answer does is never assumed: the changes of its rows are
correlated, at several lags, with those of a series whose sessions are known. Where the lag is clear the dates are
corrected; where it is not, or where the reference ends too early to tell, the rows are not used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forex_assets.arrays import Dates
from forex_assets.clock import BusinessCalendar, calendar_for
from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest, References
from forex_assets.market.quality.shift import MIN_PAIRS, ShiftReport, detect_date_shift
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import DateCheck

#: Sessions checked together: fewer would not tell the right lag from the one an average spills into.
SEGMENT_SESSIONS = 500
#: Rows this many sessions after the last one that could be compared are not vouched for.
TRUSTED_SESSIONS = 60
#: The typical distance from the reference at the right dates; more is another unit or another thing.
LEVEL_TOLERANCE_LOG = 0.05
_MAX_LAG = 3
_HISTORY = dt.timedelta(days=3 * 365)
_NOT_USED = "its rows are not used; the next source in the chain serves."


@dataclass(frozen=True)
class Aligned:
    """Rows with their right dates, and what was found."""

    frame: pd.DataFrame
    note: str
    report: ShiftReport


def check_of(series: SeriesSpec, declared: DateCheck | None) -> DateCheck | None:
    """Return what a series' dates are checked against: its address's own check, else its declared reference."""
    if declared is not None:
        return declared
    if series.reference is None:
        return None
    return DateCheck(series=series.reference.series, shift_business_days=series.reference.shift_business_days)


def reference_rows(request: FetchRequest, check: DateCheck, label: str) -> pd.DataFrame:
    """Return the rows to check against.

    Raises
    ------
    SourceError
        When there are none.
    """
    give: References | None = request.references
    frame = give(check.series) if give is not None else None
    if frame is None or not len(frame):
        raise SourceError(
            f"{label}: its dates cannot be checked, there is no value of {check.series} to compare with.",
            remedy=_NOT_USED,
        )
    return frame


def history_start(request: FetchRequest, reference: pd.DataFrame) -> dt.date:
    """Return from when on to ask, so that enough rows can be compared."""
    dates = reference["event_date"].to_numpy("datetime64[D]")
    first: dt.date = dates.min().item()
    last: dt.date = dates.max().item()
    return max(min(request.start, last - _HISTORY), first)


def align_dates(
    frame: pd.DataFrame, reference: pd.DataFrame, series: SeriesSpec, check: DateCheck, label: str
) -> Aligned:
    """Return the rows on the sessions they describe.

    Parameters
    ----------
    frame:
        Columns of :data:`~forex_assets.market.contract.FRAME_COLUMNS`, dated as the provider does.
    reference:
        ``event_date`` and ``value`` of the series to check against.
    series, check:
        The series asked for, and how its reference is dated.
    label:
        How the request is called in messages.

    Raises
    ------
    SourceError
        When the lag cannot be told, or the level is not the reference's.
    """
    calendar = calendar_for(series.calendar)
    frame = frame[_inside(calendar, frame)].reset_index(drop=True)
    reference = reference[_inside(calendar, reference)]
    shift = check.shift_business_days
    whole = _lag(frame, reference, calendar, shift)
    if not whole.confident:
        raise SourceError(
            f"{label}: which session its dates belong to cannot be told from {check.series} "
            f"({whole.n} pairs of changes, {_told(whole.correlation, 0, 1)}).",
            remedy=_NOT_USED,
        )
    _check_level(frame, reference, calendar, whole.lag, shift, check, label)
    sessions = _common_sessions(frame, reference, calendar)
    lags, unclear = _lags(frame, reference, calendar, sessions, whole, shift)
    moved = _move(frame, lags, calendar)
    limit = calendar.add(sessions[-1:], TRUSTED_SESSIONS)[0]
    late = moved["event_date"].to_numpy("datetime64[D]") > limit
    moved = moved[~late].reset_index(drop=True)
    notes = [_verdict(whole, check, lags)]
    if unclear:
        notes.append(f"{unclear} rows in stretches whose lag cannot be told are left out")
    if late.any():
        notes.append(f"{int(late.sum())} rows more than {TRUSTED_SESSIONS} sessions after the last check are left out")
    return Aligned(moved, "; ".join(notes), whole)


def _lag(frame: pd.DataFrame, reference: pd.DataFrame, calendar: BusinessCalendar, shift: int) -> ShiftReport:
    return detect_date_shift(frame, reference, calendar, _MAX_LAG, reference_shift_business_days=shift)


def _lags(
    frame: pd.DataFrame,
    reference: pd.DataFrame,
    calendar: BusinessCalendar,
    sessions: Dates,
    whole: ShiftReport,
    shift: int,
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], int]:
    """Return each row's lag; a stretch that clearly has another keeps its own, an unclear one has none (-99)."""
    dates = frame["event_date"].to_numpy("datetime64[D]")
    lags = np.full(len(frame), whole.lag, dtype=np.int64)
    stretches = np.array_split(sessions, max(1, round(len(sessions) / SEGMENT_SESSIONS)))
    if len(stretches) == 1:
        return lags, 0
    unclear = 0
    for place, stretch in enumerate(stretches):
        low = dates >= stretch[0] if place else np.ones(len(dates), dtype=bool)
        high = dates < stretches[place + 1][0] if place + 1 < len(stretches) else np.ones(len(dates), dtype=bool)
        inside = low & high
        report = _lag(frame[inside], reference, calendar, shift)
        if report.confident:
            lags[inside] = report.lag
        elif report.n >= MIN_PAIRS and report.lag != whole.lag:
            lags[inside] = _UNCLEAR
            unclear += int(inside.sum())
    return lags, unclear


_UNCLEAR = -99


def _move(
    frame: pd.DataFrame, lags: np.ndarray[tuple[int, ...], np.dtype[np.int64]], calendar: BusinessCalendar
) -> pd.DataFrame:
    """Return the rows on weekdays moved by their lags, where those are sessions.

    Weekdays, because such feeds have a bar on closed days too: the one after a closed day repeats it, and belongs to
    no session.
    """
    dates = frame["event_date"].to_numpy("datetime64[D]")
    known = (lags != _UNCLEAR) & np.is_busday(dates)
    moved = frame[known].copy()
    dates = np.busday_offset(dates[known], -lags[known], roll="forward")
    moved["event_date"] = dates.astype("datetime64[ns]")
    open_days = calendar.is_open(dates)
    moved = moved.loc[open_days].drop_duplicates("event_date", keep="last")
    ordered: pd.DataFrame = moved.sort_values("event_date", kind="stable").reset_index(drop=True)
    return ordered


def _common_sessions(frame: pd.DataFrame, reference: pd.DataFrame, calendar: BusinessCalendar) -> Dates:
    theirs = reference["event_date"].to_numpy("datetime64[D]")
    common = np.intersect1d(frame["event_date"].to_numpy("datetime64[D]"), theirs)
    return common[calendar.is_open(common)]


def _check_level(
    frame: pd.DataFrame,
    reference: pd.DataFrame,
    calendar: BusinessCalendar,
    lag: int,
    shift: int,
    check: DateCheck,
    label: str,
) -> None:
    moved = _move(frame, np.full(len(frame), lag, dtype=np.int64), calendar)
    theirs = reference[["event_date", "value"]].copy()
    dates = theirs["event_date"].to_numpy("datetime64[D]")
    theirs["event_date"] = calendar.add(calendar.roll_forward(dates), -shift).astype("datetime64[ns]")
    both = moved.merge(theirs.drop_duplicates("event_date"), on="event_date", suffixes=("", "_reference"))
    ratio = both["value"] / both["value_reference"]
    ratio = ratio[ratio > 0]
    if not len(ratio):
        return
    typical = float(np.exp(np.median(np.log(ratio.to_numpy(float)))))
    if abs(np.log(typical)) > LEVEL_TOLERANCE_LOG:
        raise SourceError(
            f"{label}: its values are typically {typical:.4g} times {check.series}: another unit, or another thing.",
            remedy=f"correct the address; {_NOT_USED}",
        )


def _inside(calendar: BusinessCalendar, frame: pd.DataFrame) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which rows a calendar can date, with room for a lag."""
    dates = frame["event_date"].to_numpy("datetime64[D]")
    margin = np.timedelta64(60, "D")
    low, high = np.datetime64(calendar.first, "D") + margin, np.datetime64(calendar.last, "D") - margin
    return np.asarray((dates >= low) & (dates <= high))


def _verdict(report: ShiftReport, check: DateCheck, lags: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> str:
    told = _told(report.correlation, 0, report.lag)
    others = int(((lags != report.lag) & (lags != _UNCLEAR)).sum())
    extra = f", {others} rows of other stretches by their own lag" if others else ""
    if report.lag == 0:
        return f"dates checked against {check.series}: same session ({told}, {report.n} changes){extra}"
    late = f"{abs(report.lag)} session{'s' if abs(report.lag) > 1 else ''} {'late' if report.lag > 0 else 'early'}"
    return f"dates checked against {check.series}: {late}, corrected ({told}, {report.n} changes){extra}"


def _told(correlation: Mapping[int, float], *lags: int) -> str:
    return "rank correlation " + ", ".join(
        f"{correlation[lag]:.2f} "
        + ("on the same date" if lag == 0 else f"{abs(lag)} {'back' if lag > 0 else 'ahead'}")
        for lag in dict.fromkeys(lags)
        if lag in correlation
    )
