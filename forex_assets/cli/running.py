"""``forex run``, ``forex ui`` and ``forex env``: things that start Dagster."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import (
    AsOfOption,
    DaysOption,
    JsonOption,
    PairOption,
    parse_as_of,
    parse_pairs,
    print_json,
    stdout,
    whole_number,
)
from forex_assets.errors import ValidationError
from forex_assets.home import HOME_VARIABLES, prepare_home
from forex_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from forex_assets.defs.run import PairOutcome, Step

PortOption = Annotated[int, typer.Option("--port", parser=whole_number("--port", 1, 65535), help="Port on 127.0.0.1.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("run")(run)
    app.command("ui")(ui)
    app.command("env")(env)


def run(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    days: DaysOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress display.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Make everything again, also what is up to date.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Make everything: data, backtests, forecasts, evaluations, scores, report and warehouse, through Dagster."""
    settings = load_settings()
    named = pair is not None and pair != "all"
    pairs = parse_pairs(settings, pair)
    day = parse_as_of(as_of)
    count = settings.platform.run.days if days is None else days
    prepare_home(settings)
    started = time.monotonic()
    outcomes = _run_with_progress(settings, pairs, day, count, quiet=quiet or json_output, force=force)
    seconds = time.monotonic() - started
    failed = [outcome for outcome in outcomes if outcome.error is not None and (named or not _no_source(outcome))]
    if json_output:
        print_json(_as_json(settings, outcomes, seconds))
    else:
        _print(settings, outcomes, seconds)
    wrong = failed or ([] if any(outcome.error is None for outcome in outcomes) else outcomes)
    if wrong:
        raise typer.Exit(min(outcome.error.exit_code for outcome in wrong if outcome.error))


def _run_with_progress(
    settings: Settings, pairs: list[str], day: Any, count: int, *, quiet: bool, force: bool
) -> list[PairOutcome]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from forex_assets.defs.run import STEPS_PER_PAIR, run_pairs

    if quiet:
        return run_pairs(settings, pairs, as_of=day, days=count, force=force)
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.fields[pair]}"),
        BarColumn(bar_width=30),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("starting Dagster", total=len(pairs) * STEPS_PER_PAIR, pair="")

        def show(step: Step) -> None:
            text = f"{step.label} ({step.partitions})" if step.partitions > 1 else step.label
            done = pairs.index(step.pair) * STEPS_PER_PAIR + step.index - 1 if step.pair in pairs else None
            progress.update(task, description=text, pair=step.pair, completed=done)
            if not console.is_terminal:
                typer.echo(f"{step.pair}: {text}", err=True)

        outcomes = run_pairs(settings, pairs, as_of=day, days=count, progress=show, force=force)
        progress.update(task, completed=len(pairs) * STEPS_PER_PAIR, description="done", pair="")
    return outcomes


def _no_source(outcome: PairOutcome) -> bool:
    return bool(outcome.error and outcome.missing_source)


def _as_json(settings: Settings, outcomes: list[PairOutcome], seconds: float) -> dict[str, Any]:
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import pair_summary

    pipeline = Pipeline(settings)
    return {
        "seconds": round(seconds, 1),
        "home": str(settings.home),
        "pairs": [
            {"pair": o.pair, "error": {"message": o.error.message, "remedy": o.error.remedy}}
            if o.error
            else {
                **pair_summary(pipeline, o.pair, o.as_of),
                "runs": o.runs,
                "partitions": o.partitions,
                "notes": o.notes,
            }
            for o in outcomes
        ],
    }


def _print(settings: Settings, outcomes: list[PairOutcome], seconds: float) -> None:
    from rich.markup import escape

    from forex_assets.cli.show import print_how_to_read, print_summary
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import pair_summary, unreachable_hosts

    console = stdout()
    pipeline = Pipeline(settings)
    unreachable: dict[str, None] = {}
    for outcome in outcomes:
        if outcome.error is None:
            summary = pair_summary(pipeline, outcome.pair, outcome.as_of)
            print_summary(console, summary, outcome.notes)
            unreachable.update(dict.fromkeys(unreachable_hosts(summary)))
            continue
        console.print(f"\n[bold]{outcome.pair}[/]: [yellow]not run[/]. {escape(outcome.error.message)}")
        console.print(f"Remedy: {escape(outcome.error.remedy)}")
    if any(outcome.error is None for outcome in outcomes):
        print_how_to_read(console)
    if unreachable:
        console.print(f"\n[yellow]Unreachable (no network?):[/] {escape(', '.join(unreachable))}.")
    partitions, runs = sum(o.partitions for o in outcomes), sum(o.runs for o in outcomes)
    console.print(f"\n{partitions} partitions materialised in {runs} Dagster runs, {seconds:.0f} s.")
    if any(outcome.error is None for outcome in outcomes):
        console.print(f"SQL: [bold]{escape(str(settings.home / 'warehouse.duckdb'))}[/]", soft_wrap=True)
        console.print("Lineage and every check: `make ui` or `forex ui`, then http://127.0.0.1:3000", soft_wrap=True)


def ui(port: PortOption = 3000) -> None:
    """Open the Dagster UI and daemon on this machine only (Ctrl-C stops both)."""
    settings = load_settings()
    _require_free(port)
    prepare_home(settings)
    typer.echo(f"Dagster UI: http://127.0.0.1:{port}/asset-groups", err=True)
    arguments = ["-m", "dagster", "dev", "-m", "forex_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  # nosec B606


def _require_free(port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValidationError(
                f"--port {port} cannot be used on 127.0.0.1: {error.strerror or error}.",
                remedy="end what uses it, or choose another --port.",
            ) from error


def env() -> None:
    """Print the exports that make plain `dagster` commands use this home: eval "$(forex env)"."""
    import shlex

    settings = load_settings()
    prepare_home(settings)
    for name in HOME_VARIABLES:
        typer.echo(f"export {name}={shlex.quote(os.environ[name])}")
