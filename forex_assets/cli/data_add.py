"""``forex data add``: show what a file is, ask what cannot be told, and declare it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import JsonOption, print_json, stdout
from forex_assets.errors import ValidationError
from forex_assets.settings import SeriesSpec, Settings, load_settings

if TYPE_CHECKING:
    from forex_assets.market.own_data.understand import Answers, Question, Understood

_LARGEST_MB = 64
_NUMBERS = {"scale": float, "shift_sessions": int}


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("add")(add)


def add(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or Excel file.")],
    series: Annotated[
        str | None, typer.Option("--series", help="Series it holds; with --unit, a new one of your own.")
    ] = None,
    date_column: Annotated[str | None, typer.Option("--date-column", help="Column of the date.")] = None,
    date_format: Annotated[
        str | None, typer.Option("--date-format", help="strptime format, for example %d-%m-%Y.")
    ] = None,
    column: Annotated[str | None, typer.Option("--column", help="Column of the value.")] = None,
    decimal: Annotated[str | None, typer.Option("--decimal", help="Decimal mark: . or ,")] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", help="Zone whose date counts, for stamps with an offset.")
    ] = None,
    scale: Annotated[float | None, typer.Option("--scale", help="The values are multiplied by this.")] = None,
    shift_sessions: Annotated[
        int | None, typer.Option("--shift-sessions", help="Session a value belongs to: 0 its date, -1 the one before.")
    ] = None,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of an Excel file.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Unit of a new series, for example 'CLP per USD'.")] = None,
    calendar: Annotated[str, typer.Option("--calendar", help="Calendar of a new series.")] = "CL",
    known: Annotated[
        str, typer.Option("--known", help="When a value of a new series is known: 'RULE HH:MM ZONE'.")
    ] = "same_day 18:00 America/Santiago",
    as_pair: Annotated[
        str | None, typer.Option("--as-pair", help="Also forecast the series: id of a new pair on it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write it without asking again.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Add a file of your own: shows what it understood, asks what it cannot tell, and writes the configuration."""
    from forex_assets.market.own_data.declare import declare
    from forex_assets.market.own_data.held import held_values
    from forex_assets.market.own_data.layout import read_layout, suffix_of
    from forex_assets.market.own_data.understand import Answers, understand
    from forex_assets.pipeline import Pipeline, utc_now

    settings = load_settings()
    now = utc_now().to_pydatetime()
    raw = _read(file)
    layout = read_layout(file.name, raw, sheet=sheet)
    new = _new_series(settings, series, unit, calendar, known, as_pair)
    pipeline = Pipeline(settings)
    stored = (pipeline.data.stored_observations(name) for name in settings.pairs)
    held = held_values(settings, (frame for frame in stored if frame is not None), now=now)
    answers = Answers(None if new else series, date_column, date_format, column, decimal, zone, scale, shift_sessions)
    while True:
        understood = understand(_file_name(series, file), layout, settings.series, held, answers, new=new)
        if not understood.questions:
            break
        _show(understood, err=json_output)
        answers = _asked(understood.questions, answers)
    address, name = understood.address, understood.series
    if address is None or name is None:
        raise ValidationError("The file was not understood.", remedy="say what it is with the options.")
    if new is not None and understood.rows is not None:
        new = new.model_copy(update={"range": _range(understood.rows["value"] * address.scale)})
    address = address.model_copy(update={"file": f"{name}{suffix_of(file.name)}"})
    _show(understood, err=json_output)
    confirm(f"Write this to {settings.home / 'added' / 'series.yaml'}?", yes)
    pair = _pair(settings, as_pair, new, name) if as_pair else None
    path = declare(settings.home, raw, address, name, now=now, new=new, pair=pair)
    load_settings()  # what was written is what every command reads from now on
    used = [pair_id for pair_id, spec in settings.pairs.items() if name in spec.all_series] + (
        [as_pair] if as_pair else []
    )
    if json_output:
        print_json(
            {"series": name, "address": address.model_dump(exclude_defaults=True), "written": str(path), "pairs": used,
             "understood": dict(understood.lines)}
        )  # fmt: skip
        return
    typer.echo(f"Written: {path}")
    if used:
        typer.echo(f"Next: `forex data ingest --pair {','.join(used)}`, then `forex run --pair {','.join(used)}`.")
    else:
        typer.echo(f"No pair uses {name} yet: name it in the `drivers` and `chains` of a pair's file.")


def confirm(question: str, yes: bool) -> None:
    """Return when the person agrees; nobody is asked where nobody can answer.

    Raises
    ------
    ValidationError
        When the command is not run by a person and ``--yes`` was not given, or the person declines.
    """
    if yes:
        return
    if not interactive():
        raise ValidationError(f"{question} Nobody is there to answer.", remedy="add --yes if that is what you want.")
    if not typer.confirm(question):
        raise ValidationError("Nothing was written, as you said.", remedy="run the command again with other options.")


def interactive() -> bool:
    """Tell whether a person can answer questions."""
    return sys.stdin.isatty()


def _asked(questions: tuple[Question, ...], answers: Answers) -> Answers:
    if not interactive():
        told = "; ".join(f"{q.text} ({q.option} {' | '.join(q.choices[:8])})" for q in questions)
        options = " ".join(f"{q.option} …" for q in questions)
        raise ValidationError(f"The file does not say: {told}", remedy=f"say it with {options}; nothing was written.")
    for question in questions:
        said = typer.prompt(f"{question.text} [{', '.join(question.choices[:8])}]")
        try:
            value: Any = _NUMBERS.get(question.answer, str)(said)
        except ValueError:
            raise ValidationError(f"{said!r} is no number.", remedy="answer with a number.") from None
        answers = answers.but(**{question.answer: value})
    return answers


def _show(understood: Understood, *, err: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False) if err else stdout()
    for label, text in understood.lines:
        console.print(f"[bold]{label:>10}[/]  {escape(text)}", soft_wrap=True)


def _read(file: Path) -> bytes:
    from forex_assets.market.own_data.layout import suffix_of

    suffix_of(file.name)
    try:
        if file.stat().st_size > _LARGEST_MB * 1_000_000:
            raise ValidationError(f"{file} is larger than {_LARGEST_MB} MB.", remedy="add daily values, not ticks.")
        return file.read_bytes()
    except OSError as error:
        raise ValidationError(f"{file} cannot be read: {error.strerror or error}.", remedy="name a file.") from error


def _file_name(series: str | None, file: Path) -> str:
    from forex_assets.market.own_data.layout import suffix_of

    return f"{series or 'file'}{suffix_of(file.name)}"


def _new_series(
    settings: Settings, series: str | None, unit: str | None, calendar: str, known: str, as_pair: str | None
) -> SeriesSpec | None:
    from pydantic import ValidationError as Invalid

    if series is None or series in settings.series:
        own = read_own(settings).get(series or "")
        if own is None:
            if unit is not None or as_pair is not None:
                raise ValidationError(
                    "--unit and --as-pair declare a series of your own, under an id that is not taken.",
                    remedy="name it with --series, for example --series desk_close.",
                )
            return None
        return settings.series[series or ""]
    if unit is None:
        raise ValidationError(
            f"There is no series {series!r}.",
            remedy=f"choose from {', '.join(settings.series)}; or declare it with --unit (and --calendar, --known).",
        )
    parts = known.split()
    if len(parts) != 3:
        raise ValidationError(f"--known {known!r} is not RULE HH:MM ZONE.", remedy="write it like the default.")
    rule, time, where = parts
    try:
        return SeriesSpec.model_validate(
            {
                "id": series,
                "label": series.replace("_", " "),
                "unit": unit,
                "calendar": calendar,
                "publication": {"rule": rule, "time": time, "zone": where},
                "range": [-1e12, 1e12],
                "max_age_business_days": 5,
                "basis": "close" if as_pair else "value",
            }
        )
    except Invalid as error:
        first = error.errors()[0]
        raise ValidationError(
            f"The new series {series!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="correct --unit, --calendar or --known.",
        ) from None


def read_own(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the series of the desk's own that were declared before."""
    from forex_assets.settings.added import read_added

    return read_added(settings.home).series


def _range(values: Any) -> tuple[float, float]:
    """Return a range three times as wide as the values seen."""
    low, high = float(values.min()), float(values.max())
    if low > 0:
        return low / 3, high * 3
    reach = 3 * max(abs(low), abs(high), 1e-9)
    return -reach, reach


def _pair(settings: Settings, as_pair: str, new: SeriesSpec | None, series: str) -> dict[str, Any]:
    import re

    from forex_assets.settings import PAIR_ID

    spec = new or settings.series[series]
    units = re.fullmatch(r"([A-Z]{3}) per ([A-Z]{3})", spec.unit)
    if not PAIR_ID.match(as_pair) or units is None:
        raise ValidationError(
            f"A pair needs an id like {PAIR_ID.pattern} and a unit like 'CLP per USD', not {as_pair!r}, {spec.unit!r}.",
            remedy="correct --as-pair or --unit.",
        )
    return {
        "id": as_pair,
        "label": f"{units[2]}/{units[1]} ({series.replace('_', ' ')})",
        "base": units[2],
        "quote": units[1],
        "target": {"series": series, "kind": "close"},
        "calendars": [spec.calendar],
        "history_start": "2015-01-02",
        "chains": {series: ["added"]},
    }
