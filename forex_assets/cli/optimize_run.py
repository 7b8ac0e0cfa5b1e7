"""``forex optimize run``: from the trigger to a deployment, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import (
    HorizonOption,
    JsonOption,
    PairOption,
    parse_horizons,
    parse_pairs,
    print_json,
    stdout,
    whole_number,
)
from forex_assets.errors import ValidationError
from forex_assets.home import prepare_home
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    from forex_assets.defs.loop_run import LoopOutcome

ENGINES = ("classic", "classic-per-horizon", "random", "adaptive")


def run(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    every: Annotated[bool, typer.Option("--all", help="Every horizon; the same as --horizon all.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Search where no rule asks; let a classic engine's candidate through."),
    ] = False,
    engine: Annotated[str, typer.Option("--engine", help="Another search engine than the settings': classic, …")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge the triggers, and stop there.")] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Search in this process, without limits of memory and time.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Judge the trigger, search, open the gate and deploy, per horizon; exit 1 when a step failed."""
    from forex_assets.defs.loop_run import run_loop

    settings = load_settings()
    if engine and engine not in ENGINES:
        raise ValidationError(f"--engine {engine!r} is unknown.", remedy=f"use one of {', '.join(ENGINES)}.")
    names = parse_horizons(settings, "all" if every else horizon)
    pairs = parse_pairs(settings, pair or next(iter(settings.pairs)))
    prepare_home(settings)
    found: dict[str, list[LoopOutcome]] = {}
    for name in pairs:
        found[name] = run_loop(
            settings,
            name,
            names,
            force=force,
            dry_run=dry_run,
            engine=engine,
            isolated=not in_process,
            told=lambda text: typer.echo(text, err=True),
        )
    if json_output:
        print_json({"pairs": [{"pair": name, "horizons": [_row(o) for o in items]} for name, items in found.items()]})
    else:
        _print(found)
    if any(outcome.error for items in found.values() for outcome in items):
        raise typer.Exit(1)


def simulate(
    horizon: HorizonOption = "all",
    improvement: Annotated[
        str, typer.Option("--improvement", help="Planted shares of lower CRPS, comma-separated; 0: nothing to find.")
    ] = "0,0.02,0.05,0.10",
    worlds: Annotated[
        int, typer.Option("--worlds", parser=whole_number("--worlds", 1, 10_000), help="Worlds per row.")
    ] = 100,
    json_output: JsonOption = False,
) -> None:
    """Measure how often the loop deploys when there is nothing to find, and when something better is planted."""
    from forex_assets.lifecycle.simulate import simulate_loop

    settings = load_settings()
    names = parse_horizons(settings, horizon)
    shares = _shares(improvement)
    rows = []
    for name in names:
        for share in shares:
            typer.echo(f"{name}, {share:.0%} better: {worlds} worlds", err=True)
            done = simulate_loop(
                settings.optimization,
                horizon_days=settings.horizons[name],
                improvement=share,
                worlds=worlds,
                seed=settings.optimization.search.seed,
            )
            rows.append({"horizon": name, **done.row()})
    if json_output:
        print_json({"worlds": worlds, "rows": rows})
        return
    from forex_assets.cli.tables import Column, print_table

    columns: list[Column[dict[str, Any]]] = [
        Column("Horizon", lambda row: row["horizon"], once=True),
        Column("Planted", lambda row: f"{row['improvement']:.0%}"),
        Column("Openings", lambda row: f"{row['per_opening']['n']:.0f}"),
        Column("Per opening", lambda row: _rate(row["per_opening"])),
        Column("Within two", lambda row: _rate(row["within_two"])),
        Column("Classic rule", lambda row: _rate(row["classic"])),
    ]
    print_table(stdout(), rows, columns)


def _shares(text: str) -> list[float]:
    try:
        return [float(item) for item in text.split(",") if item.strip()]
    except ValueError:
        raise ValidationError(
            f"--improvement {text!r} is no list of shares.", remedy="write shares such as 0,0.05,0.10."
        ) from None


def _rate(rate: dict[str, float]) -> str:
    low, high = 100 * rate["low"], 100 * rate["high"]
    return f"{100 * rate['share']:.0f}% [{low:.0f}, {high:.0f}]" if rate["n"] else "none"


def _row(outcome: LoopOutcome) -> dict[str, object]:
    names = ("horizon", "result", "triggered", "candidate", "approved", "deployed", "reasons", "entries")
    return {name: getattr(outcome, name) for name in names}


def _print(found: dict[str, list[LoopOutcome]]) -> None:
    console = stdout()
    for name, items in found.items():
        for outcome in items:
            console.print(f"[bold]{name} {outcome.horizon}[/bold]: {outcome.result}", highlight=False)
            for reason in outcome.reasons[:3]:
                console.print(f"    {reason}", highlight=False, markup=False)
    console.print("Every decision with its evidence: `forex optimize history`, `forex ledger show ID`.")
