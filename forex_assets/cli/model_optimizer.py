"""``model-optimizer``: the names of the classic design's command, on the same functions as ``forex optimize``.

Kept so that a crontab or a compose file written for it goes on working; what it does, refuses and records is what
``forex optimize`` does. One pair: the first that is configured.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from forex_assets.cli import optimize, optimize_run, run_application
from forex_assets.cli.common import JsonOption, parse_horizons, print_json, stdout, whole_number
from forex_assets.errors import ValidationError
from forex_assets.settings import load_settings

app = typer.Typer(
    name="model-optimizer",
    help="Optimise, deploy and take back the configurations of the first configured pair; see `forex optimize`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ManyHorizons = Annotated[str, typer.Option("--horizon", "-h", help="7d, 15d, 30d or 90d, comma-separated.")]
DataDirOption = Annotated[str, typer.Option("--data-dir", help="Folder of market data; default: FOREX_DATA_DIR.")]
ConfigDirOption = Annotated[
    str, typer.Option("--config-dir", help="Folder of configuration; default: FOREX_CONFIG_DIR, or the packaged one.")
]


@app.callback()
def options(debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.")) -> None:
    """Options of every command, before or after its name."""


@app.command()
def run(
    horizon: ManyHorizons = "",
    every: Annotated[bool, typer.Option("--all", "-a", help="Every horizon.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="Judge the triggers, and stop there.")] = False,
    data_dir: DataDirOption = "",
    config_dir: ConfigDirOption = "",
    json_output: JsonOption = False,
) -> None:
    """Judge the trigger, search, validate and deploy."""
    if bool(horizon) == every:
        raise ValidationError(
            "run needs a horizon or all of them, not both." if every else "run needs --horizon or --all.",
            remedy="give --horizon 7d, or --all.",
        )
    _use(data_dir, config_dir)
    optimize_run.run(horizon=horizon or "all", every=every, dry_run=dry_run, json_output=json_output)


@app.command()
def rollback(
    horizon: Annotated[str, typer.Argument(help="7d, 15d, 30d or 90d.")] = "",
    option: Annotated[str, typer.Option("--horizon", "-h", help="The same as an option.")] = "",
    why: Annotated[str, typer.Option("--why", help="Justification; goes into the ledger.")] = "asked for by hand",
    json_output: JsonOption = False,
) -> None:
    """Go back to the version before, at once and without asking; doing it twice goes back twice."""
    if bool(horizon) == bool(option):
        raise ValidationError(
            f"rollback has two horizons, {horizon!r} and {option!r}." if horizon else "rollback needs a horizon.",
            remedy="name one: model-optimizer rollback 7d.",
        )
    optimize.rollback(horizon=horizon or option, why=why, yes=True, json_output=json_output)


@app.command()
def status(json_output: JsonOption = False) -> None:
    """Show what is deployed per horizon, and how it fares."""
    optimize.status(json_output=json_output)


@app.command()
def history(
    horizon: ManyHorizons = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", parser=whole_number("--limit", 1, 100_000), help="Newest searches to show.")
    ] = 10,
    json_output: JsonOption = False,
) -> None:
    """Show the searches in the columns of the classic history file, newest first."""
    from forex_assets.lifecycle.classic_history import KINDS, classic_history
    from forex_assets.lifecycle.subject import Subject
    from forex_assets.pipeline import Pipeline

    settings = load_settings()
    pair_id, ledger = next(iter(settings.pairs)), Pipeline(settings).lifecycle.ledger
    rows = [
        row
        for name in parse_horizons(settings, horizon or "all")
        for row in classic_history(ledger, ledger.entries(subject=Subject.forecast(pair_id, name), kinds=KINDS))
    ]
    rows = sorted(rows, key=lambda row: str(row["optimization_date"]), reverse=True)[:limit]
    if json_output:
        print_json({"pair": pair_id, "rows": rows})
    else:
        _print(rows)


def main() -> None:
    """Run the command; an error becomes a readable message and an exit code."""
    run_application(app, "model-optimizer")


def _use(data_dir: str, config_dir: str) -> None:
    """Point this process and those it starts at other folders."""
    for option, name, value in (
        ("--data-dir", "FOREX_DATA_DIR", data_dir),
        ("--config-dir", "FOREX_CONFIG_DIR", config_dir),
    ):
        if not value:
            continue
        folder = Path(value).expanduser().absolute()
        if not folder.is_dir():
            raise ValidationError(f"{option} {value!r} is not an existing folder.", remedy="name one that is.")
        os.environ[name] = str(folder)


def _print(rows: list[dict[str, Any]]) -> None:
    from forex_assets.cli.tables import Column, print_table

    def shown(value: Any, form: str = "") -> str:
        return "" if value is None else format(value, form)

    columns: list[Column[dict[str, Any]]] = [
        Column("Horizon", lambda row: row["horizon"]),
        Column("Date (UTC)", lambda row: row["optimization_date"][:16].replace("T", " ")),
        Column("Triggered by", lambda row: row["triggered_by"]),
        Column("Degradation %", lambda row: shown(row["performance_degradation_pct"], "+.1f")),
        Column("Drift", lambda row: shown(row["drift_severity"])),
        Column("Days since", lambda row: shown(row["days_since_last"], "d")),
        Column("Success", lambda row: "yes" if row["success"] else "no"),
    ]
    print_table(stdout(), rows, columns)
