"""Calendars from elsewhere: ICS files and the weekly CSV exports of economic calendars, into one form.

Nothing is guessed: a time without a zone needs one from the person who imports it, and a row that cannot be read stops
the import with its line.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forex_assets.clock.zones import to_utc, zone_info
from forex_assets.errors import ValidationError

COUNTRY_OF = {"USD": "US", "CLP": "CL", "EUR": "EU", "GBP": "GB", "JPY": "JP", "CNY": "CN", "CAD": "CA", "AUD": "AU",
              "NZD": "NZ", "CHF": "CH"}  # fmt: skip
_NAMES = {
    "name": ("title", "event", "name", "summary", "evento"),
    "date": ("date", "fecha"),
    "time": ("time", "hora"),
    "country": ("country", "currency", "pais", "país"),
    "impact": ("impact", "importance", "importancia"),
}
_FEED = ("title", "country", "date", "time", "impact", "forecast", "previous")
_NO_TIME = frozenset({"", "all day", "tentative", "day 1", "day 2"})
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})\s*([ap]m)?$", re.IGNORECASE)
_STAMP = re.compile(r"^(\d{8})(?:T(\d{2})(\d{2})(\d{2})(Z?))?$")


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """One event: its local date, and its instant in UTC where a time is known."""

    name: str
    country: str
    date: dt.date
    at: dt.datetime | None
    impact: str = ""


def read_events(
    name: str, raw: bytes, *, zone: str | None = None, country: str | None = None, date_format: str | None = None
) -> list[ImportedEvent]:
    """Return the events of an ICS or CSV file.

    Parameters
    ----------
    name, raw:
        The file.
    zone:
        Zone of the times, where the file does not say.
    country:
        Country of the events, where the file does not say.
    date_format:
        How a CSV writes dates, where it is not ISO or the known export.

    Raises
    ------
    ValidationError
        When the file is neither, or does not say something that was not given either.
    """
    if zone is not None:
        zone_info(zone)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if text.lstrip().upper().startswith("BEGIN:VCALENDAR"):
        return list(_ics(name, text, zone, country))
    return list(_csv(name, text, zone, country, date_format))


def _csv(
    name: str, text: str, zone: str | None, country: str | None, date_format: str | None
) -> Iterator[ImportedEvent]:
    rows = list(csv.reader(io.StringIO(text)))
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    places = {
        field: next((header.index(each) for each in names if each in header), None) for field, names in _NAMES.items()
    }
    if places["name"] is None or places["date"] is None:
        raise ValidationError(
            f"{name} is no calendar: a CSV needs columns for title and date, it has {', '.join(header)[:120]}.",
            remedy="export it with a header (Title, Country, Date, Time, Impact), or as ICS.",
        )
    form = date_format or ("%m-%d-%Y" if tuple(header[: len(_FEED)]) == _FEED else None)
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header):
            raise _bad(name, line, f"it has {len(row)} columns, the header {len(header)}")

        def cell(field: str, row: list[str] = row) -> str:
            place = places[field]
            return "" if place is None else row[place].strip()

        where = COUNTRY_OF.get(cell("country").upper(), cell("country").upper()) or country
        if not where:
            raise _unsaid(name, "the country", "--country US")
        day = _day(name, line, cell("date"), form)
        yield ImportedEvent(cell("name"), where, day, _at(name, line, day, cell("time"), zone), cell("impact"))


def _day(name: str, line: int, text: str, form: str | None) -> dt.date:
    try:
        return dt.datetime.strptime(text, form).date() if form else dt.date.fromisoformat(text)
    except ValueError:
        how = f"written {form}" if form else "written YYYY-MM-DD"
        raise _bad(name, line, f"{text!r} is no date {how} (--date-format says how)") from None


def _at(name: str, line: int, day: dt.date, text: str, zone: str | None) -> dt.datetime | None:
    if text.lower() in _NO_TIME:
        return None
    found = _CLOCK.match(text)
    if not found:
        raise _bad(name, line, f"{text!r} is no time")
    hour, minute, half = int(found[1]), int(found[2]), (found[3] or "").lower()
    if (half and not 1 <= hour <= 12) or hour > 23 or minute > 59:
        raise _bad(name, line, f"{text!r} is no time")
    hour = hour % 12 + (12 if half == "pm" else 0) if half else hour
    if zone is None:
        raise _unsaid(name, "the zone of its times", "--zone UTC (or America/New_York, …)")
    return _utc(day, dt.time(hour, minute), zone)


def _utc(day: dt.date, time: dt.time, zone: str) -> dt.datetime:
    stamp: dt.datetime = to_utc(np.array([day], dtype="datetime64[D]"), time, zone)[0].item()
    return stamp.replace(tzinfo=dt.UTC)


def _ics(name: str, text: str, zone: str | None, country: str | None) -> Iterator[ImportedEvent]:
    inside = False
    fields: dict[str, tuple[str, str]] = {}
    for line, content in enumerate(_unfolded(text.splitlines()), start=1):
        key, _, value = content.partition(":")
        bare = key.split(";")[0].upper()
        if content.upper() == "BEGIN:VEVENT":
            inside, fields = True, {}
        elif content.upper() == "END:VEVENT":
            inside = False
            yield _vevent(name, line, fields, zone, country)
        elif inside and bare in ("SUMMARY", "DTSTART", "RRULE", "LOCATION", "STATUS"):
            fields[bare] = (key, value.strip())


def _vevent(
    name: str, line: int, fields: dict[str, tuple[str, str]], zone: str | None, country: str | None
) -> ImportedEvent:
    if "DTSTART" not in fields or "SUMMARY" not in fields:
        raise _bad(name, line, "an event has no DTSTART or SUMMARY")
    if "RRULE" in fields:
        raise _bad(name, line, "an event repeats by a rule (RRULE); export it as single events")
    key, value = fields["DTSTART"]
    found = _STAMP.match(value)
    if not found:
        raise _bad(name, line, f"DTSTART {value!r} is no stamp")
    try:
        day = dt.datetime.strptime(found[1], "%Y%m%d").date()
        time = dt.time(int(found[2]), int(found[3]), int(found[4])) if found[2] else None
    except ValueError:
        raise _bad(name, line, f"DTSTART {value!r} is no stamp") from None
    said = re.search(r"TZID=\"?([^\";:]+)", key)
    where = COUNTRY_OF.get(country or "", country or "")
    if not where:
        raise _unsaid(name, "the country", "--country US")
    at = None
    if time is not None:
        own = "UTC" if found[5] else said[1] if said else zone
        if own is None:
            raise _unsaid(name, "the zone of its times", "--zone UTC (or America/New_York, …)")
        zone_info(own)
        at = _utc(day, time, own)
    return ImportedEvent(_plain(fields["SUMMARY"][1]), where, day, at)


def _unfolded(lines: Sequence[str]) -> Iterator[str]:
    held = ""
    for line in lines:
        if line[:1] in (" ", "\t"):
            held += line[1:]
            continue
        if held:
            yield held
        held = line
    if held:
        yield held


def _plain(text: str) -> str:
    return text.replace("\\,", ",").replace("\\;", ";").replace("\\n", " ").replace("\\\\", "\\").strip()


def _bad(name: str, line: int, why: str) -> ValidationError:
    return ValidationError(f"{name} line {line}: {why}.", remedy="correct that line; nothing was imported.")


def _unsaid(name: str, what: str, option: str) -> ValidationError:
    return ValidationError(f"{name} does not say {what}.", remedy=f"say it with {option}; nothing was imported.")
