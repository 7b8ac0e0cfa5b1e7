"""``forex optimize backtest``: the loop replayed over the years that have passed."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from forex_assets.cli.common import (
    HorizonOption,
    JsonOption,
    PairOption,
    parse_day,
    parse_horizons,
    parse_pairs,
    print_json,
    stdout,
)
from forex_assets.errors import ValidationError
from forex_assets.home import prepare_home
from forex_assets.settings import load_settings


def backtest(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    first: Annotated[str, typer.Option("--from", help="First forecast day that is scored, YYYY-MM-DD.")] = "2015-01-01",
    begin_with: Annotated[
        str, typer.Option("--begin-with", help="Model in use when the years begin: champion_zero or random_walk.")
    ] = "champion_zero",
    json_output: JsonOption = False,
) -> None:
    """Replay trigger, search, gate and probation month by month over past years, and say whether it was worth it."""
    from forex_assets.optimization.history import backtest_loop
    from forex_assets.pipeline import Pipeline

    settings = load_settings()
    names = parse_horizons(settings, horizon)
    pairs = parse_pairs(settings, pair or next(iter(settings.pairs)))
    if len(pairs) > 1:
        raise ValidationError(f"--pair {pair!r} names {len(pairs)} pairs.", remedy="name one pair at a time.")
    start = parse_day(first, "--from")
    assert start is not None  # nosec B101  (an option with a default)
    prepare_home(settings)
    pipeline, rows = Pipeline(settings), []
    for name in names:
        began = time.perf_counter()
        done = backtest_loop(
            pipeline,
            pairs[0],
            name,
            start=start,
            begin_with=begin_with,
            told=lambda text: typer.echo(text, err=True),
        )
        rows.append({"horizon": name, **done.row(), "seconds": round(time.perf_counter() - began, 1)})
    if json_output:
        print_json({"pair": pairs[0], "begin_with": begin_with, "rows": rows})
        return
    _print(rows, begin_with)


def _print(rows: list[dict[str, Any]], begin_with: str) -> None:
    from forex_assets.cli.tables import Column, print_table

    def share(item: dict[str, float | None]) -> str:
        ends = "" if item["low"] is None else f" [{item['low']:.4f}, {item['high']:.4f}]"
        return f"{item['value']:.4f}{ends}"

    columns: list[Column[dict[str, Any]]] = [
        Column("Horizon", lambda row: row["horizon"]),
        Column("Months", lambda row: str(row["months"])),
        Column("Triggered", lambda row: str(row["triggers"])),
        Column("Searched", lambda row: str(row["searches"])),
        Column("Openings", lambda row: str(row["openings"])),
        Column("Promoted", lambda row: str(row["promotions"])),
        Column("Rolled back", lambda row: str(row["rollbacks"])),
        Column(f"CRPS / {begin_with}", lambda row: share(row["crps"])),
        Column("Interval score", lambda row: share(row["interval_score"])),
    ]
    print_table(stdout(), rows, columns)
    moves = [(row["horizon"], month) for row in rows for month in row["decisions"]]
    for name, month in moves:
        if month["action"] in ("promoted", "rolled back", "confirmed"):
            typer.echo(f"{name} {month['day']}: {month['action']}, in use {month['in_use']}; {month['reasons'][0]}")
    for row in rows:
        best = row["hindsight"]
        typer.echo(
            f"{row['horizon']}: the best of {row['configurations']} in hindsight had {best['crps']:.4f} of the CRPS of "
            f"{begin_with} ({best['configuration']})."
        )
    short = [row["horizon"] for row in rows if row["months_with_shortened_periods"]]
    if short:
        typer.echo(f"Periods of search and gate were shortened where the history was short: {', '.join(short)}.")
    typer.echo("Ratios below 1: the loop did better than leaving things alone. Ends: 95% interval.")
