"""Make the tables of closures: ``python -m forex_assets.clock.build [FOLDER]``.

Two libraries and a short list of documented corrections. The tables are kept with the configuration, so only this
module needs the libraries; a test holds tables and libraries equal.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

from forex_assets.clock.calendars import TABLES

YEARS: dict[str, tuple[int, int]] = {"CL": (1999, 2032), "US": (1986, 2032), "TARGET": (1999, 2032)}
"""First and last year of each table. The US table starts with the oldest series priced on it."""

CL_OPEN_ALTHOUGH_XSGO_CLOSED = {dt.date(2007, 6, 4), dt.date(2018, 1, 16)}
"""The fixing was published on these days, on which the exchange's calendar is closed."""

CL_CLOSED_ALTHOUGH_XSGO_OPEN = {
    dt.date(2000, 9, 4): "National Unity Day",
    dt.date(2001, 9, 3): "National Unity Day",
    dt.date(2002, 4, 24): "National Population and Housing Census",
    dt.date(2004, 9, 17): "National Holiday",
    dt.date(2007, 7, 16): "Our Lady of Mount Carmel",
    dt.date(2021, 9, 17): "National Holiday",
    dt.date(2023, 1, 2): "National Holiday",
    # Law 20.983: a Friday 17 September before a weekend of national days is a holiday.
    dt.date(2027, 9, 17): "National Holiday",
    dt.date(2032, 9, 17): "National Holiday",
}
"""No fixing was (or will be) published on these days, on which the exchange's calendar is open."""

CL_XSGO_FROM = dt.date(2000, 1, 1)
"""Before, the exchange's calendar moves holidays to Mondays by a law (19.668) of March 2000."""

Closure = tuple[dt.date, str, str]


def closures(name: str) -> list[Closure]:
    """Return the weekdays closed as rows ``date, name, source``, oldest first."""
    rows = {"CL": _chile, "US": _united_states, "TARGET": _target}[name](*YEARS[name])
    return sorted(row for row in rows if row[0].weekday() < 5)


def _chile(first: int, last: int) -> list[Closure]:
    """Public and bank holidays, with the exchange's calendar as a second witness."""
    from holidays import BANK, PUBLIC, country_holidays

    banks = country_holidays("CL", years=range(first, last + 1), categories=(PUBLIC, BANK), language="en_US")
    exchange = _exchange_closures("XSGO", first, last)
    rows = {day: (day, label, "holidays") for day, label in banks.items()}
    for day in sorted(exchange):
        if day < CL_XSGO_FROM:
            continue
        label = rows[day][1] if day in rows else "Exchange holiday"
        rows[day] = (day, label, "holidays+XSGO" if day in rows else "XSGO")
    for day in CL_OPEN_ALTHOUGH_XSGO_CLOSED:
        rows.pop(day, None)
    for day, label in CL_CLOSED_ALTHOUGH_XSGO_OPEN.items():
        rows[day] = (day, label, "holidays+correction")
    return list(rows.values())


def _united_states(first: int, last: int) -> list[Closure]:
    """Federal Reserve bank holidays and stock-exchange closures: a day on which some publisher is shut.

    The Reserve Banks stay open on the Friday before a holiday that falls on a Saturday and close on the Monday after
    one that falls on a Sunday.
    """
    from holidays import country_holidays

    federal = country_holidays("US", years=range(first - 1, last + 1), observed=False, language="en_US")
    rows: dict[dt.date, Closure] = {}
    for day, label in federal.items():
        moved = day + dt.timedelta(days=1) if day.weekday() == 6 else day
        if first <= moved.year <= last:
            rows[moved] = (moved, label if moved == day else f"{label} (observed)", "holidays")
    good_fridays = set(country_holidays("US", subdiv="CT", years=range(first, last + 1)).get_named("Good Friday"))
    for day in sorted(_exchange_closures("XNYS", first, last)):
        label = "Good Friday" if day in good_fridays else "Exchange closure"
        rows[day] = (day, rows[day][1], "holidays+XNYS") if day in rows else (day, label, "XNYS")
    return list(rows.values())


def _target(first: int, last: int) -> list[Closure]:
    """Days without a reference rate of the European Central Bank."""
    from holidays import financial_holidays

    days = financial_holidays("ECB", years=range(first, last + 1), language="en_US")
    return [(day, label, "holidays") for day, label in days.items()]


def _exchange_closures(code: str, first: int, last: int) -> set[dt.date]:
    import pandas as pd
    from exchange_calendars import get_calendar

    start, end = f"{first}-01-01", f"{last}-12-31"
    sessions = get_calendar(code, start=start, end=end).sessions
    return {stamp.date() for stamp in pd.bdate_range(start, end).difference(sessions)}


def write(folder: Path) -> list[Path]:
    """Write every table into a folder and return the files."""
    import csv

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, file_name in TABLES.items():
        path = folder / file_name
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(("date", "name", "source"))
            writer.writerows((day.isoformat(), label, source) for day, label, source in closures(name))
        paths.append(path)
    return paths


def main(arguments: list[str]) -> int:
    """Write the tables into the folder given, by default the one in use."""
    from forex_assets.settings import calendars_dir

    for path in write(Path(arguments[0]) if arguments else calendars_dir()):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
