"""``forex data calendar``: the events that are known, and calendars of one's own."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Annotated

import typer

from forex_assets.cli.common import AsOfOption, JsonOption, parse_as_of, print_json, stdout
from forex_assets.cli.tables import Column, print_table
from forex_assets.errors import ValidationError
from forex_assets.settings import load_settings

calendar_app = typer.Typer(help="Policy meetings and data releases.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    calendar_app.command("show")(show)
    calendar_app.command("import")(import_)
    app.add_typer(calendar_app, name="calendar")


def show(
    as_of: AsOfOption = None,
    days: Annotated[int, typer.Option("--days", help="Days ahead, 1 to 400.", min=1, max=400)] = 60,
    json_output: JsonOption = False,
) -> None:
    """Show the events ahead as they were known on a day, with what their dates rest on."""
    import datetime as dt

    from forex_assets.clock import AsOf
    from forex_assets.clock.events import events_known
    from forex_assets.pipeline import utc_now

    settings = load_settings()
    day = parse_as_of(as_of)
    moment = AsOf.end_of(day) if day else AsOf(utc_now().to_pydatetime())
    rows = events_known(moment, start=moment.date, end=moment.date + dt.timedelta(days=days), home=settings.home)
    records = rows.to_dict("records")
    if json_output:
        print_json(
            [
                {str(k): (None if v != v else str(v) if v is not None else None) for k, v in row.items()}
                for row in records
            ]
        )
        return
    if not records:
        typer.echo("No event is known in that span.")
        return
    print_table(
        stdout(),
        records,
        [
            Column("Date", lambda row: f"{row['date']:%Y-%m-%d}"),
            Column("UTC", lambda row: "" if row["at"] != row["at"] else f"{row['at']:%H:%M}"),
            Column("", lambda row: str(row["country"])),
            Column("Event", lambda row: row["name"][:34]),
            Column("Basis", lambda row: _text(row["evidence"]) or str(row["basis"])),
            Column("Period", lambda row: _text(row["period"]), wide=True),
        ],
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def import_(
    file: Annotated[Path, typer.Argument(help="ICS file, or CSV export of an economic calendar.")],
    zone: Annotated[str | None, typer.Option("--zone", help="Zone of its times, where the file does not say.")] = None,
    country: Annotated[str | None, typer.Option("--country", help="Country, where the file does not say.")] = None,
    date_format: Annotated[
        str | None, typer.Option("--date-format", help="strptime format of a CSV's dates; ISO is read without.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Import a calendar into the home; its events are known from this moment on."""
    from forex_assets.clock.events import IMPORTED_COLUMNS, imported
    from forex_assets.clock.imports import read_events
    from forex_assets.pipeline import utc_now
    from forex_assets.store.files import LocalFiles
    from forex_assets.store.locks import FileLock

    settings = load_settings()
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ValidationError(f"{file} cannot be read: {error.strerror or error}.", remedy="name a file.") from error
    found = read_events(file.name, raw, zone=zone, country=country, date_format=date_format)
    if not found:
        raise ValidationError(f"{file} holds no event.", remedy="export the calendar again.")
    now = utc_now().isoformat()
    folder = settings.home / "calendars"
    (settings.home / "locks").mkdir(parents=True, exist_ok=True)
    with FileLock(settings.home / "locks" / "calendars"):
        held = imported(settings.home)
        known = {(n, c, str(d.date()), "" if a != a else a.isoformat()) for n, c, d, a in
                 zip(held["name"], held["country"], held["date"], held["at"], strict=True)}  # fmt: skip
        path = folder / "imported.csv"
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not path.is_file():
            writer.writerow(IMPORTED_COLUMNS)
        fresh = 0
        for event in found:
            at = "" if event.at is None else event.at.isoformat()
            if (event.name, event.country, event.date.isoformat(), at) in known:
                continue
            code = re.sub(r"[^a-z0-9]+", "_", event.name.lower()).strip("_")
            writer.writerow([now, code, event.country, event.name, event.date, at, event.impact, file.name])
            fresh += 1
        before = path.read_bytes() if path.is_file() else b""
        LocalFiles(folder).write_all([("imported.csv", before + text.getvalue().encode())])
    imported(settings.home)
    if json_output:
        print_json({"events": len(found), "new": fresh, "written": str(path)})
        return
    typer.echo(f"{len(found)} events read, {fresh} of them new: {path}")
