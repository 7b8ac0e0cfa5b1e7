"""Options and output shared by every command."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from forex_assets.errors import ForexError, ValidationError
from forex_assets.settings import Settings, load_settings

PairOption = Annotated[str | None, typer.Option("--pair", help="Pair ids, comma-separated, or `all`.")]
OnePairOption = Annotated[str, typer.Option("--pair", help="Pair id.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Day YYYY-MM-DD; default: the newest with data.")]
HorizonOption = Annotated[str, typer.Option("--horizon", help="7d, 15d, 30d, 90d or all.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

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
    for name in names:
        if name not in settings.horizons:
            raise ValidationError(
                f"--horizon {name!r} is not one of {', '.join(settings.horizons)}.", remedy="use one of those, or all."
            )
    return names


def settings_with(data_dir: str | None = None) -> Settings:
    """Return the settings, with another market-data folder when one is given."""
    if data_dir is None:
        return load_settings()
    import os

    return load_settings(environ={**os.environ, "FOREX_DATA_DIR": data_dir})


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str, allow_nan=False))


def number(value: float, digits: int = 2) -> str:
    """Return a number with thousands separators."""
    return f"{value:,.{digits}f}"


def digits_for(value: float) -> int:
    """Return how many decimals a price of this size needs."""
    return 2 if value >= 100 else 4


def bracket(values: Sequence[float], digits: int) -> str:
    """Return an interval: ``901.10 – 950.20``."""
    return f"{number(values[0], digits)} – {number(values[1], digits)}"
