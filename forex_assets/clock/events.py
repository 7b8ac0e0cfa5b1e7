"""Scheduled events: policy meetings and data releases, as far as their dates were known at any moment.

Three origins, and every row says which (``basis``): tables of dates (``configs/calendars``), imports of the desk's own
(``<home>/calendars/imported.csv``), and rules (``event_rules.csv``) that fill the periods without a known date. A rule
is an expectation, not a fact, and is labelled so.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forex_assets.clock import bcch
from forex_assets.clock.as_of import AsOf, as_of_instants
from forex_assets.clock.calendars import calendar_for
from forex_assets.clock.zones import SANTIAGO, to_utc
from forex_assets.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

EVENT_COLUMNS = (
    "event", "country", "name", "kind", "period", "date", "at", "basis", "evidence", "source", "impact", "known_from",
    "known_until",
)  # fmt: skip
IMPORTED_COLUMNS = ("imported_at", "event", "country", "name", "date", "at", "impact", "source")
_DATED = ("event", "period", "date", "time", "known_from", "known_until", "evidence", "source")
_RULES = ("event", "country", "name", "kind", "zone", "rule", "calendar", "months", "day", "time", "source")
_TABLES = ("fomc_meetings.csv", "us_releases.csv")
_EVIDENCE = frozenset({"official_calendar", "press", "unofficial_calendar", "recall", "tpm_series"})
_FRIDAY = 4
_BEHIND, _AHEAD = dt.timedelta(days=365), dt.timedelta(days=400)


def events_known(
    as_of: AsOf | str | dt.date,
    *,
    start: dt.date | None = None,
    end: dt.date | None = None,
    home: Path | None = None,
) -> pd.DataFrame:
    """Return the events of a span as they were known at ``as_of``, in order of their instants.

    Parameters
    ----------
    as_of:
        The moment; an event whose date was not public, or had been given up for another, is not there.
    start, end:
        First and last date of the events; default: from a year before to 400 days after.
    home:
        Home folder whose imports are read; default: none are.

    Returns
    -------
    :data:`EVENT_COLUMNS`: ``date`` is local, ``at`` in UTC (empty where no time is known), ``basis`` is ``table``,
    ``rule`` or ``import``, ``evidence`` what a table's date rests on.

    Raises
    ------
    ConfigError
        When a table is malformed.
    """
    import pandas as pd

    moment = AsOf.parse(as_of)
    first, last = start or moment.date - _BEHIND, end or moment.date + _AHEAD
    from forex_assets.settings import calendars_dir

    dated = _known(_dated(calendars_dir()), moment)
    parts = [dated, _expected(calendars_dir(), dated, first, last, moment), _meetings(moment)]
    if home is not None:
        parts.append(_known(imported(home), moment))
    rows = pd.concat([part[list(EVENT_COLUMNS)] for part in parts if len(part)] or [dated], ignore_index=True)
    days = rows["date"]
    rows = rows[(days >= pd.Timestamp(first)) & (days <= pd.Timestamp(last))]
    order = rows["at"].fillna(rows["date"].dt.tz_localize("UTC"))
    return rows.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def imported(home: Path) -> pd.DataFrame:
    """Return what was imported under a home; known from the moment of its import, never earlier.

    Raises
    ------
    ConfigError
        When the file is malformed.
    """
    import pandas as pd

    path = home / "calendars" / "imported.csv"
    if not path.is_file():
        return pd.DataFrame({name: [] for name in EVENT_COLUMNS})
    table = _read(path, IMPORTED_COLUMNS)
    frame = pd.DataFrame(
        {
            "event": table["event"],
            "country": table["country"],
            "name": table["name"],
            "kind": "import",
            "period": None,
            "date": _days(path, table["date"]),
            "at": pd.to_datetime(table["at"], utc=True),
            "basis": "import",
            "evidence": None,
            "source": table["source"],
            "impact": table["impact"],
            "known_from": pd.to_datetime(table["imported_at"], utc=True),
            "known_until": pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns, UTC]"),
        }
    )
    return frame[list(EVENT_COLUMNS)]


def _known(rows: pd.DataFrame, moment: AsOf) -> pd.DataFrame:
    if not len(rows):
        return rows
    public = rows["known_from"] <= moment.instant
    given_up = rows["known_until"] <= moment.instant
    return rows[public & ~given_up].reset_index(drop=True)


def dated_days(event: str) -> npt.NDArray[np.datetime64]:
    """Return the days of one event in the tables of dates that were announced before and kept, growing."""
    from forex_assets.settings import calendars_dir

    return _dated_days(calendars_dir(), event)


@functools.cache
def _dated_days(folder: Path, event: str) -> npt.NDArray[np.datetime64]:
    days = set()
    for name in _TABLES:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["event"] == event and row["known_from"] < row["date"] and not row["known_until"]:
                    days.add(row["date"])
    return np.array(sorted(days), dtype="datetime64[D]")


@functools.lru_cache(maxsize=8)
def _dated(folder: Path) -> pd.DataFrame:
    import pandas as pd

    rules = _rules(folder).set_index("event")
    parts = []
    for name in _TABLES:
        path = folder / name
        table = _read(path, _DATED)
        unknown = sorted(set(table["event"]) - set(rules.index)) + sorted(set(table["evidence"]) - _EVIDENCE)
        if unknown:
            raise ConfigError(f"{path}: {unknown[0]!r} is not declared.", remedy="see docs/calendars.md.")
        declared = rules.loc[table["event"]].reset_index(drop=True)
        days = _days(path, table["date"])
        known_from = as_of_instants(_days(path, table["known_from"]).to_numpy().astype("datetime64[D]"))
        # What was announced on the day itself was known when it happened.
        at = _instants(days, table["time"], declared["zone"])
        known_from = np.where(table["known_from"] == table["date"], at, known_from)
        until = as_of_instants(_days(path, table["known_until"]).to_numpy().astype("datetime64[D]"))
        parts.append(
            pd.DataFrame(
                {
                    "event": table["event"],
                    "country": declared["country"],
                    "name": declared["name"],
                    "kind": declared["kind"],
                    "period": table["period"],
                    "date": days,
                    "at": pd.DatetimeIndex(at).tz_localize("UTC"),
                    "basis": "table",
                    "evidence": table["evidence"],
                    "source": table["source"],
                    "impact": None,
                    "known_from": pd.DatetimeIndex(known_from).tz_localize("UTC"),
                    "known_until": pd.DatetimeIndex(until).tz_localize("UTC"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _expected(folder: Path, dated: pd.DataFrame, first: dt.date, last: dt.date, moment: AsOf) -> pd.DataFrame:
    """Return what the rules expect for the periods no known date covers; a rule is known a year ahead."""
    import pandas as pd

    taken = set(zip(dated["event"], dated["period"], strict=True))
    months = np.arange(np.datetime64(first, "M") - 3, np.datetime64(last, "M") + 1)
    records: list[dict[str, Any]] = []
    for rule in _rules(folder).to_dict("records"):
        if rule["rule"] == "none":
            continue
        starts = (months + int(rule["months"])).astype("datetime64[D]")
        if rule["rule"] == "first_friday":
            days = starts + ((_FRIDAY - np.array([day.item().weekday() for day in starts])) % 7)
        else:
            calendar = calendar_for(str(rule["calendar"]))
            days = calendar.roll_forward(starts + (int(rule["day"]) - 1))
        at = to_utc(days, dt.time.fromisoformat(str(rule["time"])), str(rule["zone"]))
        for month, day, instant in zip(months, days, at, strict=True):
            if (rule["event"], str(month)) in taken:
                continue
            records.append(
                {
                    **{name: rule[name] for name in ("event", "country", "name", "kind", "source")},
                    "period": str(month),
                    "date": pd.Timestamp(day),
                    "at": pd.Timestamp(instant, tz="UTC"),
                    "basis": "rule",
                    "evidence": None,
                    "impact": None,
                    "known_from": pd.Timestamp(instant, tz="UTC") - pd.Timedelta(days=365),
                    "known_until": pd.NaT,
                }
            )
    frame = pd.DataFrame(records, columns=list(EVENT_COLUMNS))
    return frame[frame["known_from"] <= moment.instant] if len(frame) else frame


def _meetings(moment: AsOf) -> pd.DataFrame:
    """Return the policy meetings of the Banco Central de Chile in the same form."""
    import pandas as pd

    table = bcch.meetings_known(moment)
    return pd.DataFrame(
        {
            "event": "bcch_rpm",
            "country": "CL",
            "name": "BCCh policy statement",
            "kind": "policy_meeting",
            "period": table["announcement_date"].dt.strftime("%Y-%m"),
            "date": table["announcement_date"],
            "at": table["announced_at"],
            "basis": "table",
            "evidence": table["evidence"],
            "source": "bcch_meetings.csv",
            "impact": None,
            "known_from": table["known_from"],
            "known_until": pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns, UTC]"),
        }
    )


@functools.lru_cache(maxsize=8)
def _rules(folder: Path) -> pd.DataFrame:
    path = folder / "event_rules.csv"
    table = _read(path, _RULES)
    wrong = sorted(set(table["rule"]) - {"none", "first_friday", "day_rolled_forward"})
    if wrong:
        raise ConfigError(f"{path}: {wrong[0]!r} is no rule.", remedy="use none, first_friday or day_rolled_forward.")
    return table


def _instants(days: pd.Series[Any], times: pd.Series[Any], zones: pd.Series[Any]) -> np.ndarray[Any, Any]:
    out = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[us]")
    held = days.to_numpy().astype("datetime64[D]")
    for time, zone in sorted(set(zip(times, zones, strict=True))):
        here = ((times == time) & (zones == zone)).to_numpy()
        out[here] = to_utc(held[here], dt.time.fromisoformat(time), zone or SANTIAGO)
    return out


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"Cannot read the table {path}: {told}.", remedy="restore the file.") from error
    if tuple(table.columns) != columns:
        raise ConfigError(
            f"{path} must have the columns {', '.join(columns)}; it has {', '.join(table.columns)}.",
            remedy="restore the file.",
        )
    return table


def _days(path: Path, texts: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    try:
        return pd.to_datetime(texts.replace("", None), format="%Y-%m-%d").astype("datetime64[ns]")
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.", remedy="write dates as YYYY-MM-DD.") from error
