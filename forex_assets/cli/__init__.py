"""The ``forex`` command. Results go to stdout, logs and progress to stderr; ``--json`` prints nothing but JSON there.

Exit codes: 0 done, 1 found wanting or failed, 2 wrong use, 3 ready with reservations.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from types import TracebackType

import typer

from forex_assets.cli import (
    backtesting,
    chronos,
    data,
    demo,
    maintenance,
    monitoring,
    optimize,
    reading,
    running,
    watching,
    weekly,
)
from forex_assets.cli.common import report_error
from forex_assets.cli.usage import UsageError, as_validation_error, is_help
from forex_assets.errors import ForexError, StoreError
from forex_assets.home import keep_pictures_in
from forex_assets.settings import home_dir

app = typer.Typer(
    name="forex",
    help="Forecast USD/CLP and other pairs with honest intervals, and watch how they do. `forex run` makes everything.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
running.register(app)
reading.register(app)
backtesting.register(app)
maintenance.register(app)
data.register(app)
optimize.register(app)
demo.register(app)
chronos.register(app)
monitoring.register(app)
watching.register(app)
weekly.register(app)

DEBUG = "--debug"


@app.callback()
def options(debug: bool = typer.Option(False, DEBUG, help="Show the traceback of an error.")) -> None:
    """Options of every command, before or after its name."""


def main() -> None:
    """Run the command; an error becomes a readable message and an exit code, with ``--debug`` a traceback."""
    run_application(app, "forex")


def run_application(application: typer.Typer, name: str) -> None:
    """Run one of the commands this package installs, under the rules that all of them keep."""
    from forex_assets.collector import look_less_often
    from forex_assets.ops.secrets import install_redaction, redact

    look_less_often()
    install_redaction()
    arguments = sys.argv[1:]
    debug = DEBUG in arguments
    if not debug:
        sys.excepthook = _readable_failure
    command = typer.main.get_command(application)
    try:
        # Here, before any command: pictures are drawn by commands that only read, too, and matplotlib reads this once.
        keep_pictures_in(home_dir(os.environ))
        sys.exit(command([item for item in arguments if item != DEBUG], prog_name=name, standalone_mode=False))
    except UsageError as error:
        if is_help(error):
            typer.echo(str(error), err=True)
            sys.exit(2)
        wrong = as_validation_error(error)
        if debug:
            raise wrong from error
        report_error(wrong, redact)
        sys.exit(wrong.exit_code)
    except ForexError as error:
        if debug:
            raise
        report_error(error, redact)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(0)


def _readable_failure(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Report an error nobody foresaw: what it was, and how to see more."""
    from forex_assets.ops.secrets import redact

    if not issubclass(kind, Exception):
        sys.stderr.write("Interrupted. What was stored before stays; run the command again to go on.\n")
        return
    report_error(as_forex_error(error), redact)


def as_forex_error(error: BaseException) -> ForexError:
    """Return the typed error for one that came from the operating system, SQLite, or a mistake in this program."""
    cause: BaseException | None = error
    while cause is not None:
        # SQLAlchemy keeps the driver's error in ``orig``.
        for candidate in (cause, getattr(cause, "orig", None)):
            if isinstance(candidate, OSError):
                where = f" {candidate.filename}" if candidate.filename else ""
                return StoreError(
                    f"Cannot read or write{where}: {candidate.strerror or candidate}.",
                    remedy="see that the home folder (FOREX_HOME) is writable and has space: `forex doctor`.",
                )
            if isinstance(candidate, sqlite3.Error):
                return StoreError(
                    f"Dagster's database in the home folder refused: {candidate}.",
                    remedy="see that the home folder (FOREX_HOME) is writable and has space: `forex doctor`.",
                )
        cause = cause.__cause__ or cause.__context__
    return ForexError(
        f"Unexpected {type(error).__name__}: {error}.",
        remedy=f"run the command again with {DEBUG} to see where, and report it.",
    )


if __name__ == "__main__":
    main()
