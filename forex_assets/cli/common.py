"""Options and output shared by every command."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from forex_assets.errors import DataError, ForexError, StoreError, ValidationError
from forex_assets.settings import Settings, load_settings
from forex_assets.store.naming import (
    sanitize_filename,
    sanitize_path,
    validate_days,
    validate_horizon,
    validate_limit,
    validate_positive_integer,
)

if TYPE_CHECKING:
    from rich.console import Console

PairOption = Annotated[str | None, typer.Option("--pair", help="Pair ids, comma-separated, or `all`.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Day YYYY-MM-DD; default: the newest with data.")]
HorizonOption = Annotated[str, typer.Option("--horizon", help="7d, 15d, 30d, 90d or all.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]

Result = TypeVar("Result")


def number_by(check: Callable[[Any, str], int], name: str) -> Callable[[Any], int]:
    """Return the parser of an option whose whole number a rule of :mod:`forex_assets.store.naming` checks."""

    def parse(value: Any) -> int:
        return check(int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value, name)

    parse.__name__ = "integer"  # what --help shows as the kind of value
    return parse


def whole_number(name: str, low: int, high: int) -> Callable[[Any], int]:
    """Return the parser of an option that takes a whole number: ``typer.Option("--every", parser=whole_number(…))``."""
    return number_by(lambda value, param_name: validate_positive_integer(value, low, high, param_name), name)


_DIGITS = re.compile(r"-?[0-9]{1,9}", re.ASCII)
DaysOption = Annotated[
    int | None,
    typer.Option(
        "--days", parser=number_by(validate_days, "--days"), help="Business days of forecasts and of matured targets."
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", parser=number_by(validate_limit, "--limit"), help="Rows to show, 1 to 100.")
]
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")


def report_error(error: ForexError, redact: Callable[[str], str]) -> None:
    """Print an error and its remedy to stderr."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[bold red]Error:[/] {_escape(redact(error.message))}")
    console.print(f"[bold]Remedy:[/] {_escape(redact(error.remedy))}")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def parse_day(text: str | None, name: str) -> dt.date | None:
    """Return a day given as YYYY-MM-DD.

    Raises
    ------
    ValidationError
        When it is not one.
    """
    if text is None:
        return None
    if not _DATE.match(text):
        raise ValidationError(
            f"{name} {text!r} is not a day YYYY-MM-DD.", remedy=f"write for example {name} 2025-06-13."
        )
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValidationError(f"{name} {text!r} is not a day: {error}.", remedy="correct month and day.") from error


def parse_as_of(text: str | None) -> dt.date | None:
    """Return the day of ``--as-of``, which must have begun in the desk's zone.

    Raises
    ------
    ValidationError
        When it is no day, or one that is still to come: nothing can be known at its end yet.
    """
    day = parse_day(text, "--as-of")
    if day is None:
        return None
    from forex_assets.clock import AsOf
    from forex_assets.pipeline import utc_now

    today = AsOf(utc_now().to_pydatetime()).date
    if day > today:
        raise ValidationError(
            f"--as-of {day} has not begun; in Santiago it is {today}.", remedy=f"choose a day up to {today}."
        )
    return day


def parse_pairs(settings: Settings, text: str | None) -> list[str]:
    """Return the pairs named, each checked; None or ``all`` means every configured one."""
    if text is None or text == "all":
        return list(settings.pairs)
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise ValidationError(
            f"--pair {text!r} names no pair.", remedy=f"use one of {', '.join(settings.pairs)}, or all."
        )
    return list(dict.fromkeys(settings.pair(name).id for name in names))


def parse_horizons(settings: Settings, text: str) -> list[str]:
    """Return the horizons named; ``all`` means every configured one."""
    if text == "all":
        return list(settings.horizons)
    names = [part.strip() for part in text.split(",")]
    return [validate_horizon(name, tuple(settings.horizons), "--horizon") for name in names]


def output_file(text: str | None, option: str, suffix: str) -> Path | None:
    """Return the file an option such as ``--out`` names, which may be made or replaced.

    A relative path stays inside the working folder; an absolute one names an existing folder of its own. Links that
    lead elsewhere are refused.

    Raises
    ------
    ValidationError
        When the folder does not exist, or the name breaks the rule of file names.
    """
    if text is None:
        return None
    if not text.endswith(suffix):
        raise ValidationError(f"{option} {text!r} must end in {suffix}.", remedy=f"name it rows{suffix}, for example.")
    given = Path(text.replace("\0", "?")).expanduser()
    base = given.parent if given.is_absolute() else Path.cwd()
    if not (base / given).parent.is_dir():
        raise ValidationError(
            f"{option} {text!r}: the folder {(base / given).parent} does not exist.", remedy="create it first."
        )
    try:
        return sanitize_path(sanitize_filename(given.name) if given.is_absolute() else text, base)
    except ValidationError as error:
        raise ValidationError(f"{option} {text!r}: {error.message}", remedy=error.remedy) from error


def each_pair(
    names: Sequence[str], make: Callable[[str], Result], *, may_skip: bool
) -> tuple[list[Result], list[dict[str, str]]]:
    """Return what ``make`` gives for each pair and, where skipping is allowed, which pairs have no data and why.

    ``--pair all`` means every pair that has data; a pair named must have them.

    Raises
    ------
    DataError
        When a pair that may not be skipped has no data, or no pair has any.
    """
    made: list[Result] = []
    skipped: list[dict[str, str]] = []
    for name in names:
        try:
            made.append(make(name))
        except (DataError, StoreError) as error:
            if not may_skip:
                raise
            skipped.append({"pair": name, "message": error.message, "remedy": error.remedy})
    if not made:
        why = "; ".join(entry["message"] for entry in skipped)
        raise DataError(f"No pair has the data for this. {why}", remedy=skipped[0]["remedy"])
    for entry in skipped:
        typer.echo(f"{entry['pair']}: skipped. {entry['message']}", err=True)
    return made, skipped


def settings_with(data_dir: str | None = None) -> Settings:
    """Return the settings; with a data folder given, that folder and the embedded series, and no live provider.

    Raises
    ------
    ValidationError
        When the folder does not exist.
    """
    if data_dir is None:
        return load_settings()
    import os
    from pathlib import Path

    folder = Path(data_dir).expanduser().absolute()
    if not folder.is_dir():
        raise ValidationError(
            f"--data-dir {data_dir!r} is not an existing folder.",
            remedy="name a folder of market data (docs/data-sources.md).",
        )
    return load_settings(environ={**os.environ, "FOREX_DATA_DIR": str(folder), "FOREX_OFFLINE": "1"})


def stdout() -> Console:
    """Return the console results are printed on: as wide as the terminal, ``COLUMNS``, or 80."""
    from rich.console import Console

    return Console(highlight=False)


def print_json(value: Any) -> None:
    """Print a value as strict JSON on stdout; a number that is not finite becomes ``null``."""
    typer.echo(json.dumps(_strict(value), indent=2, ensure_ascii=False, default=_plain, allow_nan=False))


def _plain(value: Any) -> Any:
    return _strict(value.item()) if hasattr(value, "item") else str(value)


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def number(value: float, digits: int = 2) -> str:
    """Return a number with thousands separators."""
    return f"{value:,.{digits}f}"


def digits_for(value: float) -> int:
    """Return how many decimals a price of this size needs: about six figures in all."""
    return next((digits for limit, digits in ((10_000, 0), (2_000, 1), (100, 2)) if value >= limit), 4)


def price_range(values: Sequence[float], digits: int) -> str:
    """Return an interval: ``901.10 – 950.20``."""
    return f"{number(values[0], digits)} – {number(values[1], digits)}"
