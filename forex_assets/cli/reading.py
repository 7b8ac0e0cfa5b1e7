"""Reading commands: forecast, backtest, status, validate, report. None of them changes what Dagster holds."""

from __future__ import annotations

import datetime as dt
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from forex_assets import schemas
from forex_assets.cli.common import (
    AsOfOption,
    HorizonOption,
    JsonOption,
    PairOption,
    bracket,
    digits_for,
    number,
    parse_day,
    parse_horizons,
    parse_pairs,
    print_json,
    settings_with,
)
from forex_assets.errors import DataError, StoreError, ValidationError
from forex_assets.settings import load_settings

DataDirOption = Annotated[str | None, typer.Option("--data-dir", help="Folder of market data for this command only.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("forecast")(forecast)
    app.command("backtest")(backtest)
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
    from forex_assets.forecast_view import forecast_of
    from forex_assets.pipeline import Pipeline

    settings = load_settings()
    pipeline = Pipeline(settings)
    day = parse_day(as_of, "--as-of")
    names = parse_horizons(settings, horizon)
    results = [
        forecast_of(pipeline, name, day, names) for name in parse_pairs(settings, pair or next(iter(settings.pairs)))
    ]
    if json_output:
        print_json(results if len(results) > 1 else results[0])
        return
    _print_forecasts(results)


def _print_forecasts(results: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for result in results:
        digits = digits_for(result["last_value"])
        table = Table(
            title=f"{result['label']}, as of {result['as_of']}, last {number(result['last_value'], digits)} "
            f"({result['last_event_date']}, {result['source']})",
            title_justify="left",
            show_edge=False,
        )
        for column in (
            "Tenor",
            "Target",
            "Model",
            "Centre",
            "80% range",
            "95% range",
            "RW 95% range",
            "Calibrated",
            "From",
        ):
            table.add_column(
                column, justify="left" if column in ("Tenor", "Target", "Model") else "right", no_wrap=True
            )
        for row in result["horizons"]:
            active, walk = row["active"], row["random_walk"]
            table.add_row(
                row["horizon"],
                active["target_date"],
                active["model"],
                number(active["mean"], digits),
                bracket(active["interval_80"], digits),
                bracket(active["interval_95"], digits),
                bracket(walk["interval_95"], digits),
                active["calibrated_from"] or "no",
                "store" if row["stored"] else "computed now",
            )
        console.print(table)


def backtest(
    pair: PairOption = None,
    start: Annotated[str | None, typer.Option("--start", help="First origin YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last origin YYYY-MM-DD.")] = None,
    every: Annotated[int, typer.Option("--every", help="Business days between origins.", min=1, max=260)] = 1,
    horizon: HorizonOption = "all",
    data_dir: DataDirOption = None,
    out: Annotated[str | None, typer.Option("--out", help="Write every row to this Parquet file.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Walk forward through history, point-in-time, and score every model beside the random walk."""
    from forex_assets.backtest_view import backtest_rows, backtest_scores
    from forex_assets.pipeline import Pipeline

    settings = settings_with(data_dir)
    first, last = parse_day(start, "--start"), parse_day(end, "--end")
    if first and last and first > last:
        raise ValidationError(f"--start {first} is after --end {last}.", remedy="swap them.")
    target = _writable(out)
    pipeline = Pipeline(settings)
    rows = backtest_rows(
        pipeline,
        parse_pairs(settings, pair or next(iter(settings.pairs))),
        parse_horizons(settings, horizon),
        start=first,
        end=last,
        every=every,
        fresh=data_dir is not None,
    )
    if target is not None:
        from forex_assets.store.files import LocalFiles

        LocalFiles(target.parent).write_all([(target.name, _parquet(rows))])
    scores = backtest_scores(pipeline, rows)
    if json_output:
        print_json({"rows": len(rows), "out": str(target) if target else None, "scores": scores})
        return
    _print_scores(scores, len(rows), target)


def _parquet(rows: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    rows.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _writable(out: str | None) -> Path | None:
    if out is None:
        return None
    target = Path(out).expanduser().absolute()
    if not target.parent.is_dir():
        raise ValidationError(f"--out {out!r}: the folder {target.parent} does not exist.", remedy="create it first.")
    if target.suffix != ".parquet":
        raise ValidationError(f"--out {out!r} must end in .parquet.", remedy="name the file rows.parquet, for example.")
    return target


def _print_scores(scores: list[dict[str, Any]], rows: int, target: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(
        title="Backtest, every model beside the random walk on the same targets", title_justify="left", show_edge=False
    )
    for column in (
        "Pair",
        "Tenor",
        "Model",
        "n",
        "eff. n",
        "80% cover",
        "95% cover",
        "IS ratio",
        "CRPS ratio",
        "U",
        "Width 95%",
    ):
        table.add_column(column, justify="left" if column in ("Pair", "Tenor", "Model") else "right")
    for row in scores:
        table.add_row(
            row["pair"],
            f"{row['horizon']}d",
            row["model"],
            str(row["n"]),
            f"{row['n_effective']:.0f}",
            f"{row['coverage_80']:.1%}",
            _between(row, "coverage_95", ".1%", ".0%"),
            _between(row, "interval_score_ratio", ".3f", ".2f"),
            _between(row, "crps_ratio", ".4f", ".3f"),
            f"{row['theil_u']:.3f}",
            number(row["width_95"], digits_for(row["width_95"] * 10)),
        )
    console.print(table)
    console.print(f"{rows} rows" + (f", written to {target}" if target else ""))


def status(
    pair: PairOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when anything is bad, missing or unknown too long.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Show what is stored and how it does; with --check, judge it."""
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import pair_summary

    settings = load_settings()
    pipeline = Pipeline(settings)
    summaries: list[dict[str, Any]] = []
    empty: list[str] = []
    for name in parse_pairs(settings, pair):
        if pipeline.snapshot_days(name):
            summaries.append(pair_summary(pipeline, name))
        else:
            empty.append(name)
    problems = [f"{s['pair']} {text}" for s in summaries for text in _problems(s)]
    if pair not in (None, "all"):
        problems += [f"{name}: nothing stored; run `forex run --pair {name}`" for name in empty]
    if not summaries:
        problems.append("nothing is stored yet; run `forex run`")
    if json_output:
        print_json({"pairs": summaries, "not_stored": empty, "problems": problems})
    else:
        _print_status(summaries, empty, problems)
    if check and problems:
        raise typer.Exit(1)


def _problems(summary: dict[str, Any]) -> list[str]:
    out: list[str] = []
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


def _print_status(summaries: list[dict[str, Any]], empty: list[str], problems: list[str]) -> None:
    from rich.console import Console

    from forex_assets.cli.running import print_summary

    console = Console(highlight=False)
    for summary in summaries:
        print_summary(console, summary, [])
    for name in empty:
        console.print(f"{name}: nothing stored.")
    console.print("\n[bold]Problems:[/] " + ("; ".join(problems) if problems else "none found."), soft_wrap=True)


def validate(pair: PairOption = None, json_output: JsonOption = False) -> None:
    """Judge coverage, bias and interval score of the matured forecasts of every pair (the weekly validation)."""
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import json_value

    settings = load_settings()
    pipeline = Pipeline(settings)
    rows: list[dict[str, Any]] = []
    for name in parse_pairs(settings, pair):
        keys = pipeline.store.keys(schemas.PERFORMANCE_REPORT, name)
        if keys:
            frame = pipeline.store.read(schemas.PERFORMANCE_REPORT, name, keys, allow_bad=True)
            active = frame.loc[frame["is_active"]]
            rows.extend({str(k): json_value(v) for k, v in row.items()} for row in active.to_dict("records"))
    if not rows:
        raise StoreError("No performance report is stored for these pairs.", remedy="run `forex run` first.")
    bad = [row for row in rows if "bad" in (row["coverage_state"], row["bias_state"]) and row["window"] == "live_60"]
    if json_output:
        print_json({"rows": rows, "bad": len(bad)})
    else:
        _print_validation(rows)
    if bad:
        raise typer.Exit(1)


def _between(row: dict[str, Any], name: str, form: str, end_form: str) -> str:
    """Return an estimate with its confidence interval; an end nobody could compute is shown as unknown."""
    if row[name] is None:
        return "unknown"
    ends = ", ".join(
        "?" if row[f"{name}_{end}"] is None else f"{row[f'{name}_{end}']:{end_form}}" for end in ("low", "high")
    )
    return f"{row[name]:{form}} \\[{ends}]"


def _print_validation(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(title="Matured forecasts of the deployed model", title_justify="left", show_edge=False)
    for column in (
        "Pair",
        "Tenor",
        "Window",
        "n",
        "eff. n",
        "95% cover",
        "IS ratio",
        "bias σ",
        "Coverage",
        "Bias",
        "A17",
        "A18",
    ):
        table.add_column(column)
    for row in rows:
        ratio = row["interval_score_ratio"]
        sigma = row["bias_sigma"]
        table.add_row(
            row["pair"],
            f"{row['horizon']}d",
            row["window"],
            str(row["n"]),
            f"{row['n_effective']:.1f}",
            _between(row, "coverage_95", ".1%", ".0%"),
            "unknown" if ratio is None else f"{ratio:.3f}",
            "unknown" if sigma is None else f"{sigma:+.2f}",
            row["coverage_state"],
            row["bias_state"],
            row["coverage_state_classic"],
            row["bias_state_classic"],
        )
    console.print(table)


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
    day = parse_day(as_of, "--as-of")
    written: dict[str, dict[str, str]] = {}
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    stored = [name for name in wanted if pipeline.snapshot_days(name)]
    if not stored:
        raise DataError(f"Nothing is stored for {', '.join(wanted)}.", remedy="run `forex run` first.")
    for name in stored:
        chosen: dt.date = day or pipeline.snapshot(name).as_of
        if not no_materialize:
            _materialize_report(settings, name, chosen)
        else:
            write_report(pipeline, report_inputs(pipeline, name, chosen, generated_at=utc_now()))
        folder = settings.home / "reports" / name / chosen.isoformat()
        written[name] = {language: str(folder / f"report_{language}.html") for language in ("es", "en")}
    if json_output:
        print_json({"reports": written})
    else:
        for name, paths in written.items():
            for language, path in paths.items():
                typer.echo(f"{name} ({language}): {path}")
    if open_browser:
        webbrowser.open(Path(next(iter(written.values()))["es"]).as_uri())


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
