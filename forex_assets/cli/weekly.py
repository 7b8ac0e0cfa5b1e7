"""The weekly validation from the command line, for hosts that do not run the Dagster daemon (B13)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import typer

from forex_assets.cli.common import AsOfOption, JsonOption, PairOption, each_pair, parse_as_of, parse_pairs, print_json
from forex_assets.errors import ForexError, StoreError
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    from forex_assets.defs.run import Runner


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("weekly")(weekly)


def weekly(pair: PairOption = None, as_of: AsOfOption = None, json_output: JsonOption = False) -> None:
    """Measure the market calibration anew and write the weekly validation: every check, tail risks, what changed.

    The report is that of the week of --as-of; without it, of the week after the newest stored day.
    """
    import dagster as dg

    from forex_assets.defs.run import Runner
    from forex_assets.home import prepare_home

    settings = load_settings()
    day = parse_as_of(as_of)
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        runner = Runner(settings, instance)
        made, skipped = each_pair(wanted, lambda name: _report(runner, name, day), may_skip=pair == "all")
    if json_output:
        print_json({"reports": made, "skipped": skipped})
        return
    for item in made:
        typer.echo(f"{item['pair']}, week of {item['week']}: {item['verdict']}, {item['not_good']} checks not good")
        for note in item["notes"]:
            typer.echo(f"  {note}")
        for language, path in item["paths"].items():
            typer.echo(f"  ({language}): {path}")


def _report(runner: Runner, pair_id: str, day: dt.date | None) -> dict[str, Any]:
    from forex_assets.defs import jobs
    from forex_assets.pipeline import utc_now
    from forex_assets.schemas import WEEKLY_VALIDATION
    from forex_assets.weekly_view import monday_of, newest_week

    pipeline = runner.pipeline
    days = pipeline.snapshot_days(pair_id)
    if not days:
        raise StoreError(f"Nothing of {pair_id} is stored.", remedy=f"run `forex run --pair {pair_id}` first.")
    today = utc_now().tz_convert(runner.settings.platform.schedules.timezone).date()
    week = monday_of(day) if day is not None else newest_week(days[-1], today)
    names = list(runner.settings.horizons)
    notes = []
    try:
        runner.execute(jobs.job_name(pair_id, jobs.CALIBRATION), first=names[0], last=names[-1], tags={"pair": pair_id})
    except ForexError as error:
        notes.append(f"The market calibration was not measured: {error.message}")
    runner.execute(jobs.job_name(pair_id, jobs.WEEKLY), tags={"pair": pair_id, "dagster/partition": week.isoformat()})
    frame = pipeline.store.read(WEEKLY_VALIDATION, pair_id, [(week.isoformat(),)], allow_bad=True)
    first = frame.iloc[0]
    return {
        "pair": pair_id,
        "week": week.isoformat(),
        "verdict": str(first["verdict"]),
        "not_good": int(first["not_good"]),
        "notes": notes,
        "paths": {str(row.language): str(runner.settings.home / str(row.path)) for row in frame.itertuples()},
    }
