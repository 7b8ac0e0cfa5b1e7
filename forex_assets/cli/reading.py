"""Reading commands: forecast, status, validate, report. None of them changes what Dagster holds."""

from __future__ import annotations

import datetime as dt
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets import schemas
from forex_assets.cli.common import (
    AsOfOption,
    HorizonOption,
    JsonOption,
    PairOption,
    each_pair,
    parse_as_of,
    parse_horizons,
    parse_pairs,
    print_json,
    stdout,
)
from forex_assets.errors import DataError, StoreError
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    from forex_assets.pipeline import Pipeline


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("forecast")(forecast)
    app.command("status")(status)
    app.command("validate")(validate)
    app.command("report")(report)


def forecast(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    horizon: HorizonOption = "all",
    json_output: JsonOption = False,
) -> None:
    """Show the forecast of a day: the stored one, or the same computed on the spot from what was known then."""
    from forex_assets.cli.show import print_forecasts
    from forex_assets.forecast_view import forecast_of
    from forex_assets.pipeline import Pipeline

    settings = load_settings()
    pipeline = Pipeline(settings)
    day = parse_as_of(as_of)
    names = parse_horizons(settings, horizon)
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    results, skipped = each_pair(wanted, lambda name: forecast_of(pipeline, name, day, names), may_skip=pair == "all")
    if json_output:
        print_json({"pairs": results, "skipped": skipped})
    else:
        print_forecasts(stdout(), results)


def status(
    pair: PairOption = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when anything is bad, missing or stale.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Show what is stored and how it does; with --check, judge it."""
    from forex_assets.cli.show import print_status
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import pair_summary

    settings = load_settings()
    pipeline = Pipeline(settings)
    summaries: list[dict[str, Any]] = []
    empty: list[str] = []
    problems: list[str] = []
    for name in parse_pairs(settings, pair):
        if not pipeline.snapshot_days(name):
            empty.append(name)
            continue
        try:
            summaries.append(pair_summary(pipeline, name))
        except StoreError as error:  # the other pairs go on
            problems.append(f"{name}: {error.message} Remedy: {error.remedy}")
    problems += [f"{s['pair']} {text}" for s in summaries for text in _problems(s)]
    if pair not in (None, "all"):
        problems += [f"{name}: nothing stored; run `forex run --pair {name}`" for name in empty]
    if not summaries and not problems:
        problems.append("nothing is stored yet; run `forex run`")
    if json_output:
        print_json({"pairs": summaries, "not_stored": empty, "problems": problems})
    else:
        print_status(stdout(), summaries, empty, problems)
    if check and problems:
        raise typer.Exit(1)


def _problems(summary: dict[str, Any]) -> list[str]:
    out: list[str] = [f"damaged: {text}" for text in summary["damaged"]]
    if summary["stale"]:
        out.append(
            f"newest value, of {summary['last_event_date']}, is {summary['business_days_old']} business days old "
            f"(limit {summary['stale_after_business_days']})"
        )
    for row in summary["horizons"]:
        if row["forecast"] is None:
            reason = "; ".join(row.get("verdict", {}).get("reasons", [])) or "not made"
            out.append(f"{row['horizon']}: no usable forecast ({reason})")
        live = row["scores"].get("live_60")
        out.extend(
            f"{row['horizon']}: {name} is bad over {int(live['n'])} matured forecasts"
            for name in ("coverage", "bias")
            if live and live[f"{name}_state"] == "bad"
        )
    return out


def validate(pair: PairOption = None, json_output: JsonOption = False) -> None:
    """Judge coverage, bias and interval score of the matured forecasts of every pair (the weekly validation)."""
    from forex_assets.cli.show import print_validation
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import json_value

    settings = load_settings()
    pipeline = Pipeline(settings)
    rows: list[dict[str, Any]] = []
    wanted = parse_pairs(settings, pair)
    for name in wanted:
        for key in ((horizon,) for horizon in settings.horizons):
            if pipeline.store.exists(schemas.PERFORMANCE_REPORT, name, key):
                frame = pipeline.store.read(schemas.PERFORMANCE_REPORT, name, [key], allow_bad=True)
                active = frame.loc[frame["is_active"]]
                rows.extend({str(k): json_value(v) for k, v in row.items()} for row in active.to_dict("records"))
    if not rows:
        raise StoreError(f"No performance report is stored for {', '.join(wanted)}.", remedy="run `forex run` first.")
    stored = {row["pair"] for row in rows}
    empty = [name for name in wanted if name not in stored]
    bad = [row for row in rows if "bad" in (row["coverage_state"], row["bias_state"]) and row["window"] == "live_60"]
    if json_output:
        print_json({"rows": rows, "bad": len(bad), "not_stored": empty})
    else:
        print_validation(stdout(), rows)
        for name in empty:
            typer.echo(f"{name}: nothing stored; `{_run_command([name], None)}` makes it.", err=True)
        for row in bad:
            typer.echo(
                f"Bad: {row['pair']} {row['horizon']}d, coverage {row['coverage_state']}, bias {row['bias_state']}"
            )
    if bad:
        raise typer.Exit(1)


def report(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    no_materialize: Annotated[
        bool, typer.Option("--no-materialize", help="Write the files from what is stored, without a Dagster run.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Write the desk report (Spanish and English) of the newest stored day, and say where it is."""
    from forex_assets.desk import report_inputs, write_report
    from forex_assets.pipeline import Pipeline, utc_now

    settings = load_settings()
    pipeline = Pipeline(settings)
    day = parse_as_of(as_of)
    written: dict[str, dict[str, str]] = {}
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    skipped = [
        name
        for name in wanted
        if not (pipeline.snapshot_days(name) if day is None else _stored_on(pipeline, name, day))
    ]
    if skipped and (pair != "all" or len(skipped) == len(wanted)):
        when = f" on {day}" if day else ""
        raise DataError(
            f"No bars of {', '.join(skipped)} are stored{when}.", remedy=f"run `{_run_command(skipped, day)}` first."
        )
    for name in skipped:
        typer.echo(f"{name}: skipped, nothing stored; `{_run_command([name], day)}` makes it.", err=True)
    for name in (name for name in wanted if name not in skipped):
        chosen: dt.date = day or pipeline.snapshot(name).as_of
        if not no_materialize:
            _materialize_report(settings, name, chosen)
        else:
            write_report(pipeline, report_inputs(pipeline, name, chosen, generated_at=utc_now()))
        folder = settings.home / "reports" / name / chosen.isoformat()
        written[name] = {language: str(folder / f"report_{language}.html") for language in ("es", "en")}
    if json_output:
        print_json({"reports": written, "skipped": skipped})
    else:
        for name, paths in written.items():
            for language, path in paths.items():
                typer.echo(f"{name} ({language}): {path}")
    if open_browser:
        _open(Path(next(iter(written.values()))["es"]))


def _stored_on(pipeline: Pipeline, pair_id: str, day: dt.date) -> bool:
    return pipeline.store.exists(schemas.BARS, pair_id, (day.isoformat(),))


def _run_command(pairs: list[str], day: dt.date | None) -> str:
    return f"forex run --pair {','.join(pairs)}" + (f" --as-of {day}" if day else "")


def _open(path: Path) -> None:
    """Open a file in the browser; a host without one is told where the file is."""
    if not webbrowser.open(path.as_uri()):
        typer.echo(f"No browser could be started here; open {path} yourself.", err=True)


def _materialize_report(settings: Any, pair_id: str, day: dt.date) -> None:
    import dagster as dg

    from forex_assets.defs import jobs
    from forex_assets.defs.run import Runner
    from forex_assets.home import prepare_home

    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        runner = Runner(settings, instance)
        runner.execute(
            jobs.job_name(pair_id, jobs.REPORT), first=day.isoformat(), last=day.isoformat(), tags={"pair": pair_id}
        )
