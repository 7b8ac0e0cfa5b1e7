"""What the evidence commands print for people: models compared, slices, walk-forward folds, from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console

from forex_assets.cli.common import number
from forex_assets.cli.tables import Column, print_table

Values = Mapping[str, Any]


def _figure(value: float | None, digits: int = 3) -> str:
    return "?" if value is None or value != value else number(value, digits)


def _share(value: float | None) -> str:
    return "?" if value is None or value != value else f"{value:.1%}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _evidence(value: float | None) -> str:
    if value is None or value != value:
        return "?"
    return f"{value:.1f}" if value < 1_000 else f"{value:.0e}"


def print_comparison(console: Console, rows: Sequence[Values]) -> None:
    """Print every model beside the random walk with the tests, pair by pair."""
    console.print("[bold]Models compared[/] on all matured origins of the backtest")
    for pair, of_pair in groupby(rows, key=lambda row: row["pair"]):
        listed = list(of_pair)
        console.print(
            f"\n[bold]{pair}[/], as of {listed[0]['as_of']}, {listed[0]['trials']} models tried beside the random walk"
        )
        print_table(
            console,
            listed,
            [
                Column("Tenor", lambda row: f"{row['horizon']}d", once=True),
                Column("Model", lambda row: row["model"] + (" *" if row["is_active"] else "")),
                Column("CRPS / RW", lambda row: _figure(row["crps_ratio"]), right=True),
                Column("IS / RW", lambda row: _figure(row["interval_score_95_ratio"]), right=True),
                Column("U", lambda row: _figure(row["theil_u"]), right=True),
                Column("dir.", lambda row: _share(row["direction_hit"]), right=True, wide=True),
                Column("DM p", lambda row: _figure(row["dm_crps_p_adjusted"]), right=True),
                Column("MCS p", lambda row: _figure(row["mcs_crps_p"]), right=True),
                Column("e up", lambda row: _evidence(row["e_better"]), right=True, wide=True),
                Column("e down", lambda row: _evidence(row["e_worse"]), right=True, wide=True),
                Column("Verdict", lambda row: row["verdict"] if row["model"] != "random_walk" else "-"),
            ],
        )
    console.print(
        "[dim]*: deployed. DM p: Diebold-Mariano on the CRPS, HAC, corrected for all models tried. MCS p: whether the "
        "model belongs to the best; small means no. Verdict: from a confidence sequence of the CRPS, valid however "
        "often one looks.[/]"
    )


def print_slices(console: Console, rows: Sequence[Values], by: str) -> None:
    """Print the deployed model and the random walk slice by slice."""
    shown = [row for row in rows if row["is_active"] or row["model"] == "random_walk"]
    console.print(f"[bold]By {by}[/]: the deployed model (*) and the random walk")
    for pair, of_pair in groupby(shown, key=lambda row: row["pair"]):
        console.print(f"\n[bold]{pair}[/]")
        print_table(
            console,
            list(of_pair),
            [
                Column("Tenor", lambda row: f"{row['horizon']}d", once=True),
                Column(by.capitalize(), lambda row: row["value"], once=True),
                Column("Model", lambda row: row["model"] + (" *" if row["is_active"] else "")),
                Column("n", lambda row: str(row["n"]), right=True),
                Column("eff. n", lambda row: f"{row['n_effective']:.0f}", right=True, wide=True),
                Column("95%", lambda row: _share(row["coverage_95"]), right=True),
                Column(
                    "its interval",
                    lambda row: f"{_share(row['coverage_95_low'])} – {_share(row['coverage_95_high'])}",
                    right=True,
                    wide=True,
                ),
                Column("width", lambda row: _share(row["width_95_share"]), right=True),
                Column("IS / RW", lambda row: _figure(row["interval_score_ratio"]), right=True),
            ],
        )
    console.print("[dim]width: of the 95% interval, as a share of the last value.[/]")


def print_walk_forward(console: Console, rows: Sequence[Values], rules: Values) -> None:
    """Print the folds' means against their limits, and why a model is not acceptable."""
    kind = rows[0]["kind"] if rows else "expanding"
    console.print(f"[bold]Walk-forward validation[/], {kind}, {max(len(row['folds']) for row in rows)} folds")
    for pair, of_pair in groupby(rows, key=lambda row: row["pair"]):
        listed = list(of_pair)
        folds = listed[0]["folds"]
        console.print(f"\n[bold]{pair}[/], tests from {folds[0]['test_start']} to {folds[-1]['test_end']}")
        print_table(
            console,
            listed,
            [
                Column("Tenor", lambda row: f"{row['horizon']}d", once=True),
                Column("Model", lambda row: row["model"]),
                Column("n", lambda row: str(sum(fold["n"] for fold in row["folds"])), right=True),
                Column("RMSE", lambda row: number(row["mean_rmse"], 4 if row["mean_rmse"] < 1 else 2), right=True),
                Column("MAPE", lambda row: f"{row['mean_mape']:.2f}%", right=True),
                Column("95%", lambda row: _share(row["mean_coverage_95"]), right=True),
                Column("Acceptable", lambda row: _yes(row["acceptable"])),
                Column("vs RW", lambda row: _yes(row["performance"])),
                Column("stable", lambda row: _yes(row["stability"])),
                Column("fair", lambda row: _yes(row["fairness"])),
            ],
        )
        for row in listed:
            for reason in row["reasons"]:
                console.print(f"[yellow]Not acceptable:[/] {row['horizon']}d {row['model']}: {reason}")
    console.print(
        f"[dim]Means over folds; limits: RMSE {rules['max_mean_rmse_quote_units']:g} quote units, MAPE "
        f"{rules['max_mean_mape_percent']:g}%, coverage {rules['min_mean_coverage_share']:.0%}. vs RW: CRPS no worse "
        "than the random walk's; stable: no fold, fair: no weekday or direction outside the coverage tolerance.[/]"
    )
