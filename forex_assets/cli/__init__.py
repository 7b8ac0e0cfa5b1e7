"""The ``forex`` command. Results go to stdout, logs and progress to stderr; ``--json`` prints nothing but JSON there.

Exit codes: 0 done, 1 found wanting or failed, 2 wrong use, 3 ready with reservations.
"""

from __future__ import annotations

import sys

import typer

from forex_assets.cli import maintenance, reading, running
from forex_assets.cli.common import report_error
from forex_assets.errors import ForexError

app = typer.Typer(
    name="forex",
    help="Forecast USD/CLP and other pairs with honest intervals, and watch how they do. `forex run` makes everything.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
running.register(app)
reading.register(app)
maintenance.register(app)


@app.callback()
def options(debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.")) -> None:
    """Options of every command."""
    global _debug
    _debug = debug


_debug = False


def main() -> None:
    """Run the command and turn typed errors into one readable message and an exit code."""
    from forex_assets.ops.secrets import redact

    try:
        app(prog_name="forex")
    except ForexError as error:
        if _debug:
            raise
        report_error(error, redact)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
