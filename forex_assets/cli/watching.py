"""Watching commands: regime show, readiness check and enable, calibrate analyze and update-config."""

from __future__ import annotations

import datetime as dt
import getpass
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import (
    AsOfOption,
    HorizonOption,
    JsonOption,
    PairOption,
    digits_for,
    each_pair,
    parse_as_of,
    parse_horizons,
    parse_pairs,
    print_json,
    settings_with,
    stdout,
)
from forex_assets.cli.monitoring import DataDirOption, ProfileOption, _newest
from forex_assets.cli.tables import Column, print_table
from forex_assets.errors import DataError, ValidationError
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    from forex_assets.monitoring.readiness.evidence import Readiness
    from forex_assets.pipeline import Pipeline

regime_app = typer.Typer(name="regime", help="Which regime the market is in, and what it does to the intervals.")
readiness_app = typer.Typer(name="readiness", help="Whether forecasts may be relied on, and the switch of models.")
calibrate_app = typer.Typer(name="calibrate", help="Thresholds of a pair from its own history.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    regime_app.command("show")(regime_show)
    regime_app.command("intervals")(regime_intervals)
    readiness_app.command("check")(readiness_check)
    readiness_app.command("enable")(readiness_enable)
    calibrate_app.command("analyze")(analyze)
    calibrate_app.command("update-config")(update_config)
    for child in (regime_app, readiness_app, calibrate_app):
        app.add_typer(child)


def regime_show(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    profile: ProfileOption = "recommended",
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the regime of a day, and each horizon's interval before and after the factor of that regime."""
    from forex_assets.monitoring.registry import check_profile
    from forex_assets.pipeline import Pipeline
    from forex_assets.regime_view import regime_of_day

    settings = settings_with(data_dir)
    pipeline, day, chosen = Pipeline(settings), parse_as_of(as_of), check_profile(profile)
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    results, skipped = each_pair(
        wanted,
        lambda name: regime_of_day(pipeline, name, day or _newest(pipeline, name), chosen, fresh=data_dir is not None),
        may_skip=pair == "all",
    )
    if json_output:
        print_json({"pairs": results, "skipped": skipped})
        return
    for item in results:
        share = item["probability"]
        chance = f" ({share:.0%})" if isinstance(share, float) and math.isfinite(share) else ""
        typer.echo(f"{item['pair']} {item['as_of']}: {item['regime']}{chance}, {item['risk'].replace('_', ' ')}")
        for sentence in item["reasons"]:
            typer.echo(f"  {sentence}")
        if item["intervals"]:
            print_table(stdout(), item["intervals"], _INTERVAL_COLUMNS)
            for row in item["intervals"]:
                typer.echo(f"  {row['horizon']}: {row['reason']}")
        else:
            typer.echo("  No stored forecast of that day to condition.")


def regime_intervals(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    page: Annotated[str | None, typer.Option("--page", help="Write it as an HTML page to this file too.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Show intervals before and after regime conditioning over the stored past: used, learned and classic factors."""
    from forex_assets.pipeline import Pipeline
    from forex_assets.regime_demo import conditioning
    from forex_assets.reporting.regime_page import regime_page
    from forex_assets.store.files import write_file

    settings = load_settings()
    pipeline = Pipeline(settings)
    names = parse_horizons(settings, horizon)
    (wanted,) = _one(parse_pairs(settings, pair or next(iter(settings.pairs))))
    found = conditioning(pipeline, wanted, names)
    if page:
        write_file(Path(page), regime_page(found).encode())
    if json_output:
        print_json({**found, "page": page})
        return
    typer.echo(f"{wanted}: 95% intervals of the stored backtest, each origin with the factor valid on its day")
    print_table(stdout(), found["summary"], _CONDITIONED_COLUMNS)
    for row in found["summary"]:
        if row["regime"] != "NORMAL":
            typer.echo(f"{row['horizon']} {row['regime']}: {row['reason']}")
    typer.echo("The newest day of each regime:")
    print_table(stdout(), found["examples"], _EXAMPLE_COLUMNS)
    if page:
        typer.echo(f"Page: {page}")


def readiness_check(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    as_of: AsOfOption = None,
    profile: ProfileOption = "recommended",
    json_output: JsonOption = False,
) -> None:
    """Judge whether forecasts may be relied on: exit 0 READY or OPTIMAL, 3 CAUTIOUS, 1 NOT_READY."""
    from forex_assets.monitoring.readiness.evidence import EXIT_CODES, worst
    from forex_assets.monitoring.registry import check_profile
    from forex_assets.pipeline import Pipeline

    settings = load_settings()
    pipeline, chosen = Pipeline(settings), check_profile(profile)
    names = parse_horizons(settings, horizon)
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    results, skipped = each_pair(
        wanted, lambda name: _judged(pipeline, name, as_of, names, chosen), may_skip=pair == "all"
    )
    level = worst([item.level for result in results for item in result[2]])
    if json_output:
        print_json({"level": level, "pairs": [_as_dict(*result) for result in results], "skipped": skipped})
    else:
        for name, day, found in results:
            typer.echo(f"{name}, {day}, profile {chosen}")
            rows = [(item, check) for item in found for check in item.checks]
            print_table(stdout(), rows, _CHECK_COLUMNS)
            for item, check in rows:
                if check.state != "pass":
                    typer.echo(f"{item.horizon} {check.name}: {check.message}")
        typer.echo(f"Level: {level}")
    if EXIT_CODES[level]:
        raise typer.Exit(EXIT_CODES[level])


def readiness_enable(
    model: Annotated[str, typer.Argument(help="Model to switch on, as the registry names it.")],
    pair: PairOption = None,
    horizon: HorizonOption = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, but record nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before recording.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Decide from readiness whether a model may be switched on, and record the decision in the ledger."""
    from forex_assets.forecasting.registry import get_model
    from forex_assets.lifecycle.ledger import Decision
    from forex_assets.lifecycle.model_switch import FUNCTION, decide_switch
    from forex_assets.lifecycle.subject import Subject
    from forex_assets.pipeline import Pipeline, utc_now

    settings = load_settings()
    get_model(model)
    pipeline = Pipeline(settings)
    (name,) = _one(parse_pairs(settings, pair or next(iter(settings.pairs))))
    names = parse_horizons(settings, horizon)
    _, day, found = _judged(pipeline, name, None, names, "recommended")
    known = {"model": model, "pair": name, "as_of": day.isoformat(), "levels": {f.horizon: f.level for f in found}}
    policy = {"accepted": list(settings.deployment.guards.readiness_levels)}
    outcome = decide_switch(known, policy)
    entry = None
    if not dry_run:
        if not yes and not json_output:
            verdict = "allowed" if outcome["allowed"] else "refused"
            typer.confirm(f"Record that {model} is {verdict} for {name}?", abort=True)
        subject = Subject.forecast(name, names[0]) if len(names) == 1 else None
        made = pipeline.lifecycle.ledger.append(
            Decision("guard", subject, outcome, outcome["reasons"], FUNCTION, known, policy, getpass.getuser(), day),
            now=utc_now().to_pydatetime(),
        )
        entry = made.id
    if json_output:
        print_json({**outcome, "levels": known["levels"], "as_of": day, "entry": entry})
    else:
        typer.echo(f"{model} for {name} {', '.join(names)}: {'allowed' if outcome['allowed'] else 'refused'}")
        for reason in outcome["reasons"]:
            typer.echo(f"  {reason}")
        typer.echo(f"Recorded as {entry}." if entry else "Nothing was recorded (--dry-run).")
        if outcome["allowed"]:
            typer.echo("The switch itself is a promotion: `forex optimize promote`; its guards read the same level.")
    if not outcome["allowed"]:
        raise typer.Exit(1)


def analyze(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show a pair's volatility, seasons, copper link, meeting effect and thresholds, from real history only."""
    from forex_assets.calibration_view import analyse_pair, quantities

    settings, made, skipped = _analysed(pair, as_of, data_dir, analyse_pair)
    del settings
    if json_output:
        print_json({"pairs": [item.model_dump(mode="json") for item in made], "skipped": skipped})
        return
    for item in made:
        meta = item.metadata
        typer.echo(f"{meta.pair}: {meta.series}, {meta.first_date} to {meta.last_date}, {meta.n} values")
        rows = [(section, name, values) for section, name, values in quantities(item.model_dump(mode="python"))]
        print_table(stdout(), rows, _QUANTITY_COLUMNS)
        for note in meta.notes:
            typer.echo(f"  {note}")


def update_config(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before writing.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Write a pair's calibration as a new sealed version; from then on its monitors read it."""
    from forex_assets.calibration_view import analyse_pair, signing_key
    from forex_assets.monitoring.calibration.files import save

    settings, made, skipped = _analysed(pair, as_of, None, analyse_pair)
    key = signing_key()
    if not yes and not json_output:
        typer.confirm(f"Write new thresholds of {', '.join(item.metadata.pair for item in made)}?", abort=True)
    stored = [save(settings.home, item, key) for item in made]
    rows = [
        {
            "pair": item.calibration.metadata.pair,
            "version": item.version,
            "path": str(item.path),
            "sha256": item.sha256,
            "signed": item.signed,
        }
        for item in stored
    ]
    if json_output:
        print_json({"written": rows, "skipped": skipped})
        return
    for row in rows:
        seal = "signed" if row["signed"] else "sealed by its hash only (no FOREX_CALIBRATION_KEY)"
        typer.echo(f"{row['pair']}: version {row['version']}, {seal}: {row['path']}")


def _analysed(pair: str | None, as_of: str | None, data_dir: str | None, make: Any) -> tuple[Any, list[Any], Any]:
    from forex_assets.pipeline import Pipeline

    settings = settings_with(data_dir)
    pipeline, day = Pipeline(settings), parse_as_of(as_of)
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    made, skipped = each_pair(
        wanted, lambda name: make(pipeline, name, day, fresh=data_dir is not None), may_skip=pair == "all"
    )
    return settings, made, skipped


def _judged(
    pipeline: Pipeline, name: str, as_of: str | None, horizons: list[str], profile: str
) -> tuple[str, dt.date, list[Readiness]]:
    from forex_assets.readiness_view import readiness_of

    days = pipeline.snapshot_days(name)
    if not days:
        raise DataError(f"Nothing of {name} is stored.", remedy=f"run `forex run --pair {name}` first.")
    day = parse_as_of(as_of) or days[-1]
    found = [item for item in readiness_of(pipeline, name, day) if item.profile == profile]
    return name, day, [item for item in found if item.horizon in (*horizons, "all")]


def _as_dict(name: str, day: dt.date, found: list[Readiness]) -> dict[str, Any]:
    import dataclasses

    return {"pair": name, "as_of": day, "horizons": [dataclasses.asdict(item) for item in found]}


def _one(names: list[str]) -> list[str]:
    if len(names) != 1:
        raise ValidationError(
            f"A model is switched for one pair at a time, got {', '.join(names)}.", remedy="give one with --pair."
        )
    return names


def _number(value: Any, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) and math.isfinite(value) else "–"


def _span(ends: tuple[float, float]) -> str:
    digits = digits_for(ends[0])
    return f"{_number(ends[0], digits)} – {_number(ends[1], digits)}"


_INTERVAL_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Horizon", lambda row: row["horizon"]),
    Column("Target", lambda row: str(row["target_date"]), wide=True),
    Column("95% before", lambda row: _span(row["before_95"]), right=True),
    Column("Factors", lambda row: f"{row['factor_lower']:.2f} {row['factor_upper']:.2f}", right=True),
    Column("95% after", lambda row: _span(row["after_95"]), right=True),
    Column("Errors", lambda row: str(row["n"]), right=True),
)
_CONDITIONED_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Tenor", lambda row: row["horizon"], once=True),
    Column("Regime", lambda row: row["regime"]),
    Column("n", lambda row: str(row["n"]), right=True),
    Column("hit before", lambda row: f"{row['coverage_95_before']:.0%}", right=True),
    Column("used", lambda row: f"{row['coverage_95_used']:.0%}", right=True),
    Column("classic", lambda row: f"{row['coverage_95_classic']:.0%}", right=True),
    Column("IS used", lambda row: f"{row['score_ratio_used']:.3f}", right=True),
    Column("learned", lambda row: f"{row['score_ratio_learned']:.3f}", right=True, wide=True),
    Column("IS classic", lambda row: f"{row['score_ratio_classic']:.3f}", right=True),
    Column("Factors", lambda row: f"{row['factor_lower']:.2f} {row['factor_upper']:.2f}", right=True, wide=True),
)
_EXAMPLE_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Tenor", lambda row: row["horizon"], once=True),
    Column("Regime", lambda row: row["regime"]),
    Column("Day", lambda row: str(row["as_of"])),
    Column("95% before", lambda row: _span(row["before"]), right=True),
    Column("95% used", lambda row: _span(row["used"]), right=True),
    Column("95% classic", lambda row: _span(row["classic"]), right=True, wide=True),
    Column("Outcome", lambda row: _number(row["actual"], digits_for(row["actual"])), right=True, wide=True),
)
_CHECK_COLUMNS: tuple[Column[tuple[Any, Any]], ...] = (
    Column("Horizon", lambda row: row[0].horizon, once=True),
    Column("Level", lambda row: row[0].level, once=True),
    Column("Check", lambda row: row[1].name),
    Column("State", lambda row: row[1].state),
    Column("Seen", lambda row: _number(row[1].value, 2), right=True),
    Column("Asked", lambda row: _number(row[1].threshold, 2), right=True),
    Column("Unit", lambda row: row[1].unit, wide=True),
)
_QUANTITY_COLUMNS: tuple[Column[tuple[str, str, dict[str, Any]]], ...] = (
    Column("Section", lambda row: row[0], once=True),
    Column("Number", lambda row: row[1]),
    Column("Value", lambda row: _number(row[2]["value"]), right=True),
    Column("Low", lambda row: _number(row[2]["low"]), right=True, wide=True),
    Column("High", lambda row: _number(row[2]["high"]), right=True, wide=True),
    Column("Unit", lambda row: row[2]["unit"]),
    Column("n", lambda row: str(row[2]["n"]), right=True),
)
