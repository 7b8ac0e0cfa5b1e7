"""What Typer refuses (an unknown command, an option without its value), said the way every other error is said."""

from __future__ import annotations

import difflib
from typing import Any

import typer

from forex_assets.errors import ValidationError

#: Typer carries its own copy of click or uses the one installed; this is the error class of either.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


def is_help(error: BaseException) -> bool:
    """Tell whether the error is the help text of a command group called without a command."""
    return type(error).__name__ == "NoArgsIsHelpError"


def as_validation_error(error: Any) -> ValidationError:
    """Return our error for one of Typer's: the value, the rule and the remedy, exit code 2."""
    context = error.ctx
    command = context.command_path if context is not None else "forex"
    message = str(error.format_message()).strip().rstrip(".")
    if error.__class__.__name__ == "NoSuchOption":
        known = [option for parameter in context.command.params for option in parameter.opts] if context else []
        return ValidationError(
            f"{command} has no option {error.option_name!r}.", remedy=_nearest(error.option_name, known, command)
        )
    group = getattr(context.command, "commands", None) if context is not None else None
    if group and message.startswith("No such command"):
        given = message.split("'")[1]
        return ValidationError(f"{command} has no command {given!r}.", remedy=_nearest(given, list(group), command))
    return ValidationError(f"{command}: {message}.", remedy=f"`{command} --help` says what it takes.")


def _nearest(given: str, known: list[str], command: str) -> str:
    near = difflib.get_close_matches(given, known, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}`{command} --help` lists what there is."
