"""What was known when: snapshots of a pair's bars and drivers at the end of any day, and hashes that tell them apart.

A value is known at an instant when it was available at or before it. A value withdrawn at or before the instant is
shown with its rule; one withdrawn later is shown as good, as it looked then.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.arrays import Dates
from forex_assets.clock import as_of_instants, calendar_for, santiago_dates
from forex_assets.errors import DataError
from forex_assets.provenance import HASH_LENGTH
from forex_assets.schemas import OBSERVATIONS
from forex_assets.settings import PairSpec, SeriesSpec, Settings

CHANGE_LAGS = (1, 5, 20)
_TAIL_ROWS = 1 + max(CHANGE_LAGS)
_RECORD = np.dtype(
    [
        ("available", "<i8"),
        ("event", "<i8"),
        ("withdrawn", "<i8"),
        ("source", "<u8"),
        ("rule", "<u8"),
        ("prices", "<f8", (4,)),
    ]
)
_Floats = npt.NDArray[np.float64]


def bars_as_of(observations: pd.DataFrame, pair: PairSpec, as_of: Any) -> pd.DataFrame:
    """Return the pair's bars as known at the end of ``as_of`` in Santiago.

    Parameters
    ----------
    observations:
        Table ``observations``.
    pair:
        The pair; its target series is what the bars hold.
    as_of:
        A date.

    Returns
    -------
    Table ``bars`` without the provenance columns, in the order the rows became known (then by event date).
    """
    (_, frame) = next(bars_for(observations, pair, np.array([as_of], dtype="datetime64[D]")))
    return frame


def bars_for(observations: pd.DataFrame, pair: PairSpec, as_ofs: Dates) -> Iterator[tuple[dt.date, pd.DataFrame]]:
    """Yield the snapshot of :func:`bars_as_of` for each date, computed from one sorted frame."""
    rows = _rows_of(observations, pair, pair.target.series)
    dates = np.asarray(as_ofs, dtype="datetime64[D]")
    for day, instant in zip(dates, as_of_instants(dates), strict=True):
        known = np.flatnonzero(rows.available_us <= instant)
        withdrawn = rows.withdrawn_us[known] <= instant
        at = rows.withdrawn_at[known].copy()
        at[~withdrawn] = pd.NaT
        rule = rows.rule[known].copy()
        rule[~withdrawn] = None
        frame = pd.DataFrame(
            {
                "pair": np.full(len(known), pair.id, dtype=object),
                "as_of": np.full(len(known), day.astype("datetime64[ns]")),
                "event_date": rows.event_date[known],
                "available_at": rows.available_at[known],
                "open": rows.open[known],
                "high": rows.high[known],
                "low": rows.low[known],
                "value": rows.value[known],
                "source": rows.source[known],
                "withdrawn_at": at,
                "withdrawn_rule": rule,
            },
            copy=False,
        )
        yield day.item(), frame


def drivers_as_of(observations: pd.DataFrame, settings: Settings, pair: PairSpec, as_ofs: Dates) -> pd.DataFrame:
    """Return what was known of each driver at the end of each date: one row per driver and date, missing ones too.

    Parameters
    ----------
    observations:
        Table ``observations``.
    settings:
        Catalogue of series.
    pair:
        The pair; its ``drivers`` are listed in their order.
    as_ofs:
        Dates.

    Returns
    -------
    Table ``drivers`` without the provenance columns, ordered by date, then driver.
    """
    dates = np.asarray(as_ofs, dtype="datetime64[D]")
    instants = as_of_instants(dates)
    records: list[tuple[int, int, dict[str, Any]]] = []
    for place, name in enumerate(pair.drivers):
        rows, spec = _rows_of(observations, pair, name), settings.series[name]
        newest = [_newest(rows, instant) for instant in instants]
        held = np.array([tail[-1] if len(tail) else -1 for tail in newest], dtype=int)
        ages = _ages(spec, rows.event_date[held[held >= 0]].astype("datetime64[D]"), dates[held >= 0])
        business_age = np.full(len(dates), -1)
        business_age[held >= 0] = ages
        for index, tail in enumerate(newest):
            record = _driver_record(pair, spec, rows, tail, dates[index], instants[index], int(business_age[index]))
            records.append((index, place, record))
    columns = _DRIVER_DTYPES
    ordered = [record for _, _, record in sorted(records, key=lambda item: item[:2])]
    frame = pd.DataFrame(ordered, columns=list(columns))
    for column in ("as_of", "event_date"):
        frame[column] = pd.to_datetime(frame[column]).astype("datetime64[ns]")
    frame["available_at"] = pd.to_datetime(frame["available_at"], utc=True).astype("datetime64[ns, UTC]")
    return frame.astype(columns)


def data_hash(bars: pd.DataFrame) -> str:
    """Return the hash of a snapshot: the last of :func:`chain_hashes`, and one for no rows."""
    return hashlib.sha256(_encode(bars).tobytes()).hexdigest()[:HASH_LENGTH]


def chain_hashes(bars: pd.DataFrame) -> list[str]:
    """Return the hash after each row of a snapshot, rows taken in the order they became known.

    The hash after row *n* depends on the first *n* rows only, so a snapshot that is a pure prefix of a later one has
    the later one's hash at its own length. Rows are ordered by available_at, event_date and source, whatever their
    order in the frame; ``as_of`` does not enter.
    """
    digest = hashlib.sha256()
    hashes = []
    records = _encode(bars)
    size, buffer = records.dtype.itemsize, records.tobytes()
    for start in range(0, len(buffer), size):
        digest.update(buffer[start : start + size])
        hashes.append(digest.hexdigest()[:HASH_LENGTH])
    return hashes


def quarantine(observations: pd.DataFrame) -> pd.DataFrame:
    """Return the observations withdrawn by a rule, with rule and reason (the columns of ``observations``)."""
    columns = [name for name in OBSERVATIONS.column_names if name in observations.columns]
    return observations.loc[observations["withdrawn_at"].notna(), columns].reset_index(drop=True)


def newest_usable_date(observations: pd.DataFrame, pair: PairSpec, *, now: dt.datetime | None = None) -> dt.date:
    """Return the newest date of a good target value that is not after today in Santiago.

    Parameters
    ----------
    observations:
        Table ``observations``.
    pair:
        The pair.
    now:
        Today; default: when the newest observation was fetched.

    Raises
    ------
    DataError
        When there is no such value.
    """
    rows = _rows_of(observations, pair, pair.target.series)
    moment = pd.Timestamp(now) if now is not None else observations["retrieved_at"].max()
    if len(rows.value) and not pd.isna(moment):
        instant = np.datetime64(moment.tz_convert("UTC").tz_localize(None).to_pydatetime(), "us")
        today = santiago_dates(np.array([instant]))[0]
        good = (rows.available_us <= instant) & ~(rows.withdrawn_us <= instant)
        days = rows.event_date[good].astype("datetime64[D]")
        if (days <= today).any():
            day: dt.date = days[days <= today].max().item()
            return day
    raise DataError(
        f"No usable value of {pair.target.series} is known for {pair.id}.",
        remedy="see source_status of the pair (forex status), set FOREX_DATA_DIR, or allow live providers.",
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """The observations of one series as arrays, in the order they became known, then by event date."""

    event_date: Dates
    available_at: Any
    available_us: Dates
    withdrawn_at: Any
    withdrawn_us: Dates
    rule: npt.NDArray[np.object_]
    value: _Floats
    open: _Floats
    high: _Floats
    low: _Floats
    source: npt.NDArray[np.object_]


_DRIVER_DTYPES: dict[str, str] = {
    "pair": "object",
    "as_of": "datetime64[ns]",
    "series": "object",
    "event_date": "datetime64[ns]",
    "available_at": "datetime64[ns, UTC]",
    "value": "float64",
    "unit": "object",
    "source": "object",
    "age_days": "float64",
    "change_kind": "object",
    "change_1": "float64",
    "change_5": "float64",
    "change_20": "float64",
    "state": "object",
    "note": "object",
}


def _rows_of(observations: pd.DataFrame, pair: PairSpec, series: str) -> _Rows:
    chosen = observations[(observations["series"] == series) & (observations["pair"] == pair.id)]
    chosen = chosen.sort_values(["available_at", "event_time", "source"], kind="stable")
    return _Rows(
        event_date=chosen["event_time"].dt.tz_localize(None).dt.normalize().to_numpy("datetime64[ns]"),
        available_at=chosen["available_at"].array,
        available_us=_microseconds(chosen["available_at"]),
        withdrawn_at=chosen["withdrawn_at"].array,
        withdrawn_us=_microseconds(chosen["withdrawn_at"]),
        rule=np.array([name or None for name in chosen["rule"].fillna("")], dtype=object),
        value=chosen["value"].to_numpy(float),
        open=chosen["open"].to_numpy(float),
        high=chosen["high"].to_numpy(float),
        low=chosen["low"].to_numpy(float),
        source=chosen["source"].to_numpy(object),
    )


def _microseconds(instants: pd.Series[Any]) -> Dates:
    return np.asarray(instants.dt.tz_convert(None), dtype="datetime64[us]")


def _newest(rows: _Rows, instant: np.datetime64) -> npt.NDArray[np.intp]:
    """Return the positions of the newest good rows at an instant, one per event date, oldest first."""
    good = np.flatnonzero((rows.available_us <= instant) & ~(rows.withdrawn_us <= instant))
    days = rows.event_date[good]
    if (days[1:] <= days[:-1]).any():
        # Revisions and late rows arrive out of order; of one date the version known last stands.
        order = np.argsort(days, kind="stable")
        good, days = good[order], days[order]
        good = good[np.append(days[1:] != days[:-1], True)] if len(good) else good
    return good[-_TAIL_ROWS:]


def _ages(spec: SeriesSpec, event_dates: Dates, as_ofs: Dates) -> npt.NDArray[np.int64]:
    """Return the sessions of the series' calendar from each event date to each as_of; 0 for a date still ahead."""
    if not len(event_dates):
        return np.empty(0, dtype=np.int64)
    return np.maximum(calendar_for(spec.calendar).count(event_dates, as_ofs), 0)


def _driver_record(
    pair: PairSpec,
    spec: SeriesSpec,
    rows: _Rows,
    tail: npt.NDArray[np.intp],
    day: np.datetime64,
    instant: np.datetime64,
    business_age: int,
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "pair": pair.id, "as_of": day, "series": spec.id, "unit": spec.unit, "change_kind": spec.change,
        "state": "missing", "note": None, "source": None,
    }  # fmt: skip
    if not len(tail):
        return {**record, "note": _why_missing(rows, instant)}
    last = tail[-1]
    event_day = rows.event_date[last].astype("datetime64[D]")
    limit = spec.max_age_business_days
    stale = business_age > limit
    changes = {f"change_{lag}": _change(rows.value[tail], lag, spec.change) for lag in CHANGE_LAGS}
    return {
        **record,
        **changes,
        "event_date": event_day,
        "available_at": rows.available_at[last],
        "value": float(rows.value[last]),
        "source": rows.source[last],
        "age_days": float((day - event_day).astype(int)),
        "state": "stale" if stale else "fresh",
        "note": (
            f"newest value is dated {event_day}, {business_age} sessions of {spec.calendar} ago; the limit is {limit}"
            if stale
            else None
        ),
    }


def _why_missing(rows: _Rows, instant: np.datetime64) -> str:
    if not len(rows.value):
        return "no source has given any value; see source_status"
    known = rows.available_us <= instant
    if not known.any():
        return f"its first value became known on {santiago_dates(rows.available_us.min()[None])[0]}, after this as_of"
    return f"all {int(known.sum())} values known then had been withdrawn; see quarantine"


def _change(values: _Floats, lag: int, kind: str) -> float:
    if len(values) <= lag:
        return float("nan")
    new, old = float(values[-1]), float(values[-1 - lag])
    if kind == "diff":
        return new - old
    return float(np.log(new / old)) if new > 0 and old > 0 else float("nan")


def _encode(bars: pd.DataFrame) -> npt.NDArray[np.void]:
    """Return one fixed-size record per row, in the order rows became known; its bytes are what is hashed."""
    records = np.empty(len(bars), dtype=_RECORD)
    event = bars["event_date"].to_numpy("datetime64[D]").astype(np.int64)
    available = _microseconds(bars["available_at"]).astype(np.int64)
    source, rule = _text_codes(bars["source"]), _text_codes(bars["withdrawn_rule"])
    prices = bars[["value", "open", "high", "low"]].to_numpy(float)
    records["event"], records["available"], records["source"], records["rule"] = event, available, source, rule
    records["withdrawn"] = _microseconds(bars["withdrawn_at"]).astype(np.int64)
    # One bit pattern for every missing price, and one for zero.
    records["prices"] = np.where(np.isnan(prices), np.nan, prices) + 0.0
    order = np.lexsort((source, event, available))
    return records[order]


def _text_codes(texts: pd.Series[Any]) -> npt.NDArray[np.uint64]:
    """Return eight bytes of hash for each text; a missing one counts as empty."""
    codes, names = pd.factorize(texts, use_na_sentinel=True)
    hashed = [hashlib.sha256(str(name).encode()).digest()[:8] for name in names] + [bytes(8)]
    return np.frombuffer(b"".join(hashed), dtype="<u8")[codes]
