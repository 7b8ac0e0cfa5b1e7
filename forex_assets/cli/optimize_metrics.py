"""``forex optimize metrics``: how the retraining loop itself fares, for people, programs and a metrics scraper."""

from __future__ import annotations

import math
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
)
from forex_assets.errors import ValidationError
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    from forex_assets.monitoring.finding import Finding


def metrics(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print the text format that Prometheus reads, for its textfile reader.")
    ] = False,
    alert: Annotated[
        bool, typer.Option("--alert", help="Put an alert into the outbox where the loop is silent; for a cron outside.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Show metrics and alert conditions of the retraining loop; exit 1 when one of the conditions fires."""
    from forex_assets.lifecycle.loop_findings import ALERTS, exposition
    from forex_assets.optimization.loop_health import alert_absence, loop_findings
    from forex_assets.pipeline import Pipeline, utc_now

    if prometheus and json_output:
        raise ValidationError("--prometheus and --json exclude each other.", remedy="give one of them.")
    settings = load_settings()
    pipeline, now = Pipeline(settings), utc_now().to_pydatetime()
    names = parse_horizons(settings, horizon)
    found = [
        item
        for pair_id in parse_pairs(settings, pair or next(iter(settings.pairs)))
        for name in names
        for item in loop_findings(pipeline, pair_id, name, now=now)
    ]
    if alert:
        alert_absence(pipeline, found, now)
    if prometheus:
        typer.echo(exposition(found), nl=False)
    elif json_output:
        print_json({"at": now.isoformat(), "findings": [_row(item) for item in found]})
    else:
        _print([item for item in found if item.profile == "recommended"])
    if any(item.state == "fired" and item.rule in ALERTS and item.profile == "recommended" for item in found):
        raise typer.Exit(1)


def _row(item: Finding) -> dict[str, Any]:
    from forex_assets.lifecycle.loop_findings import RULES

    figures = {name: getattr(item, name) for name in ("effect", "effect_low", "effect_high", "threshold")}
    return {
        "pair": item.pair,
        "horizon": item.subject,
        "rule": item.rule,
        "profile": item.profile,
        "metric": RULES[item.rule].name,
        "state": item.state,
        "severity": item.severity,
        **{name: value if math.isfinite(value) else None for name, value in figures.items()},
        "unit": item.unit,
        "n": item.n,
        "reasons": list(item.reasons),
    }


def _print(found: list[Finding]) -> None:
    from forex_assets.cli.tables import Column, print_table

    columns: list[Column[Finding]] = [
        Column("Horizon", lambda item: f"{item.pair} {item.subject}", once=True),
        Column("Rule", lambda item: item.rule),
        Column("State", lambda item: f"{item.state} ({item.severity})" if item.state == "fired" else item.state),
        Column("Value", _figure),
        Column("Why", lambda item: item.reasons[0].partition(": ")[2], wide=True),
    ]
    print_table(stdout(), found, columns)
    for item in found:
        if item.state == "fired":
            typer.echo(f"{item.pair} {item.subject}: {item.reasons[0]}")


def _figure(item: Finding) -> str:
    return "" if math.isnan(item.effect) else f"{item.effect:.3g} {item.unit}"
