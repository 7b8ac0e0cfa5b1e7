"""``forex run``, ``forex ui`` and ``forex env``: things that start Dagster."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import (
    AsOfOption,
    JsonOption,
    PairOption,
    bracket,
    digits_for,
    number,
    parse_day,
    parse_pairs,
    print_json,
)
from forex_assets.errors import ValidationError
from forex_assets.home import prepare_home
from forex_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from forex_assets.defs.run import PairOutcome, Step


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("run")(run)
    app.command("ui")(ui)
    app.command("env")(env)


def run(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    days: Annotated[
        int | None, typer.Option("--days", help="Business days of forecasts and of matured targets.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress display.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Make everything: data, backtests, forecasts, evaluations, scores, report and warehouse, through Dagster."""
    settings = load_settings()
    named = pair is not None and pair != "all"
    pairs = parse_pairs(settings, pair)
    day = parse_day(as_of, "--as-of")
    count = settings.platform.run.days if days is None else days
    if not 1 <= count <= 365:
        raise ValidationError(f"--days {count} is not between 1 and 365.", remedy="choose a number in that range.")
    prepare_home(settings)
    started = time.monotonic()
    outcomes = _run_with_progress(settings, pairs, day, count, quiet=quiet or json_output)
    seconds = time.monotonic() - started
    failed = [outcome for outcome in outcomes if outcome.error is not None and (named or not _no_source(outcome))]
    if json_output:
        print_json(_as_json(settings, outcomes, seconds))
    else:
        _print(settings, outcomes, seconds)
    if failed or all(outcome.error is not None for outcome in outcomes):
        raise typer.Exit(1)


def _run_with_progress(settings: Settings, pairs: list[str], day: Any, count: int, *, quiet: bool) -> list[PairOutcome]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from forex_assets.defs.run import STEPS_PER_PAIR, run_pairs

    if quiet:
        return run_pairs(settings, pairs, as_of=day, days=count)
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

        outcomes = run_pairs(settings, pairs, as_of=day, days=count, progress=show)
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
    from rich.console import Console

    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import pair_summary

    console = Console(soft_wrap=False, highlight=False)
    pipeline = Pipeline(settings)
    for outcome in outcomes:
        if outcome.error is not None:
            console.print(f"\n[bold]{outcome.pair}[/]: [yellow]not run[/]. {outcome.error.message}", soft_wrap=True)
            console.print(f"  Remedy: {outcome.error.remedy}", soft_wrap=True)
            continue
        print_summary(console, pair_summary(pipeline, outcome.pair, outcome.as_of), outcome.notes)
    partitions, runs = sum(o.partitions for o in outcomes), sum(o.runs for o in outcomes)
    console.print(f"\n{partitions} partitions materialised in {runs} Dagster runs, {seconds:.0f} s.")
    console.print(f"SQL: [bold]{settings.home / 'warehouse.duckdb'}[/]", soft_wrap=True)
    console.print("Lineage and every check: [bold]make ui[/] (or `forex ui`), then http://127.0.0.1:3000/asset-groups")


def print_summary(console: Console, summary: dict[str, Any], notes: list[str]) -> None:
    """Print one pair: forecasts with intervals, coverage with n, interval score against the random walk."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    unit, digits = summary["target"]["unit"], digits_for(summary["last_value"])
    console.print(
        f"\n[bold]{summary['label']}[/], as of [bold]{summary['as_of']}[/]: last {summary['target']['kind']} "
        f"[bold]{number(summary['last_value'], digits)}[/] {unit}, dated {summary['last_event_date']}, "
        f"from source [bold]{summary['target_source']}[/]",
        soft_wrap=True,
    )
    table = Table(show_edge=False, pad_edge=False, box=SIMPLE_HEAD)
    for name in ("Tenor", "Target", "Centre", "80% range", "95% range", "Checks"):
        table.add_column(
            name, justify="right" if name in ("Centre", "80% range", "95% range") else "left", no_wrap=True
        )
    for row in summary["horizons"]:
        forecast = row["forecast"]
        cells = (
            [
                forecast["target_date"],
                number(forecast["mean"], digits),
                bracket(forecast["interval_80"], digits),
                bracket(forecast["interval_95"], digits),
            ]
            if forecast
            else ["-", "withheld" if row.get("verdict") else "none", "-", "-"]
        )
        table.add_row(row["horizon"], *cells, row.get("verdict", {}).get("state", "none"))
    console.print(table)
    record = Table(show_edge=False, pad_edge=False, box=SIMPLE_HEAD)
    for name in ("Tenor", "hit, last 60", "hit, 5 years", "IS / RW, 5 years", "Coverage"):
        record.add_column(name, no_wrap=True)
    for row in summary["horizons"]:
        live, past = row["scores"].get("live_60"), row["scores"].get("backtest_5y")
        verdict = live["coverage_state"] if live else "unknown"
        record.add_row(row["horizon"], _coverage(live), _coverage(past), _ratio(past), verdict)
    console.print(record)
    console.print(
        "hit: share of outcomes inside the 95% interval, with its confidence interval and n. IS / RW: interval score "
        "over the random walk's; below 1 is better.",
        soft_wrap=True,
    )
    for language, path in summary["reports"].items():
        console.print(f"Report ({language}): {path}", soft_wrap=True)
    if summary["quarantined_rows"]:
        console.print(f"Quarantined observations: {summary['quarantined_rows']} (reasons in the report and the UI).")
    for note in [*summary["missing"], *notes]:
        console.print(f"[yellow]Missing:[/] {note}", soft_wrap=True)


def _coverage(scores: dict[str, Any] | None) -> str:
    if not scores or scores["coverage_95"] is None:
        return "unknown"
    low, high = scores["coverage_95_low"], scores["coverage_95_high"]
    between = "?" if low is None or high is None else f"{100 * low:.0f}, {100 * high:.0f}"
    return f"{scores['coverage_95']:.0%} [{between}] ({int(scores['n'])})"


def _ratio(scores: dict[str, Any] | None) -> str:
    if not scores or scores["interval_score_ratio"] is None:
        return "unknown"
    low, high = scores["interval_score_ratio_low"], scores["interval_score_ratio_high"]
    between = "?" if low is None or high is None else f"{low:.2f}, {high:.2f}"
    return f"{scores['interval_score_ratio']:.3f} [{between}]"


def ui(port: Annotated[int, typer.Option("--port", help="Port on 127.0.0.1.", min=1, max=65535)] = 3000) -> None:
    """Open the Dagster UI and daemon on this machine only (Ctrl-C stops both)."""
    settings = load_settings()
    prepare_home(settings)
    typer.echo(f"Dagster UI: http://127.0.0.1:{port}/asset-groups", err=True)
    arguments = ["-m", "dagster", "dev", "-m", "forex_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606


def env() -> None:
    """Print the exports that make plain `dagster` commands use this home: eval "$(forex env)"."""
    import shlex

    settings = load_settings()
    prepare_home(settings)
    for name in ("FOREX_HOME", "DAGSTER_HOME", "DAGSTER_CLI_ASSET_MATERIALIZE_MODULE_NAME"):
        typer.echo(f"export {name}={shlex.quote(os.environ[name])}")


__all__ = ["print_summary", "register"]
