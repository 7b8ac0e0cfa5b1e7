"""``forex optimize compare``: the classic profile beside the recommended one, measured in the same worlds."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated

import typer

from forex_assets.cli.common import HorizonOption, JsonOption, parse_horizons, print_json, stdout, whole_number
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from forex_assets.lifecycle.simulate import Rate
    from forex_assets.optimization.profiles import ProfileRow


def compare(
    horizon: HorizonOption = "all",
    worlds: Annotated[
        int, typer.Option("--worlds", parser=whole_number("--worlds", 1, 10_000), help="Worlds of search and gate.")
    ] = 50,
    years: Annotated[
        int,
        typer.Option("--years", parser=whole_number("--years", 5, 60), help="Length of each path the triggers watch."),
    ] = 15,
    paths: Annotated[
        int, typer.Option("--paths", parser=whole_number("--paths", 1, 200), help="Paths in each of two null worlds.")
    ] = 4,
    json_output: JsonOption = False,
) -> None:
    """Put the classic profile beside the recommended one: trigger, search, gate, and errors of promotion, measured."""
    from forex_assets.optimization.profiles import compare_profiles

    settings = load_settings()
    names = parse_horizons(settings, horizon)
    rows = compare_profiles(
        settings,
        names,
        worlds=worlds,
        years=years,
        paths=paths,
        seed=settings.optimization.search.seed,
        told=lambda text: typer.echo(text, err=True),
    )
    if json_output:
        print_json({"worlds": worlds, "years": years, "paths": paths, "rows": [row.row() for row in rows]})
        return
    from forex_assets.cli.tables import Column, print_table

    columns: list[Column[tuple[str, ...]]] = [
        Column("Horizon", lambda row: row[0], once=True),
        Column("Where nothing is wrong or better", lambda row: row[1]),
    ]
    for place, profile in enumerate(dict.fromkeys(row.profile for row in rows), start=2):
        columns.append(Column(profile.capitalize(), operator.itemgetter(place)))
    print_table(stdout(), [line for name in names for line in _lines(name, rows)], columns)
    typer.echo("Searches and false alarms: where nothing is wrong, in the null world with most of them:")
    for row in rows:
        typer.echo(
            f"  {row.horizon} {row.profile}: {row.null}, {row.years:.0f} years watched daily; {row.wrong.n} searches "
            f"or openings, {row.found.n} worlds"
        )
    typer.echo(
        "Wrongly promoted: of searches (classic) or gate openings (recommended) with nothing better to find. A year: "
        "with the searches beside it; the recommended profile opens its gate at most "
        f"{settings.optimization.trigger.openings_per_year} times. Ends: 95% interval."
    )


def _lines(horizon: str, rows: list[ProfileRow]) -> list[tuple[str, ...]]:
    """Return one line per figure of a horizon, one profile's beside the other's."""
    both = [row for row in rows if row.horizon == horizon]
    figures: dict[str, Callable[[ProfileRow], str]] = {
        "searches a year": lambda row: f"{row.searches_per_year:.1f}",
        "false alarms a year": lambda row: "{:.2f} [{:.2f}, {:.2f}]".format(*row.false_alarms),
        "wrongly promoted": lambda row: _rate(row.wrong),
        "wrong promotions a year": lambda row: f"{row.wrong_per_year:.2f}",
        "all 10% better: promoted": lambda row: _rate(row.found),
    }
    return [(horizon, name, *(show(row) for row in both)) for name, show in figures.items()]


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return f"{100 * rate.share:.1f}% [{100 * low:.1f}, {100 * high:.1f}]" if rate.n else "none"
