"""Commands that judge models on the past: backtest (with walk-forward validation) and evaluate."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets import schemas
from forex_assets.cli.common import (
    HorizonOption,
    JsonOption,
    PairOption,
    each_pair,
    output_file,
    parse_day,
    parse_horizons,
    parse_pairs,
    print_json,
    settings_with,
    stdout,
    whole_number,
)
from forex_assets.errors import StoreError, ValidationError
from forex_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from forex_assets.backtest_view import Made, Plan
    from forex_assets.pipeline import Pipeline

DataDirOption = Annotated[
    str | None,
    typer.Option(
        "--data-dir", help="Market data of this folder for this command only: nothing is stored, no provider is asked."
    ),
]
EveryOption = Annotated[
    int, typer.Option("--every", parser=whole_number("--every", 1, 260), help="Business days between origins.")
]
FoldsOption = Annotated[
    int | None,
    typer.Option("--folds", parser=whole_number("--folds", 1, 60), help="Folds of --validate; default: 5."),
]
METADATA_KEY = b"forex_backtest"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("backtest")(backtest)
    app.command("evaluate")(evaluate)


def backtest(
    pair: PairOption = None,
    models: Annotated[
        str | None,
        typer.Option("--models", help="Models beside the random walk, comma-separated; default: the configured ones."),
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="First origin YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last origin YYYY-MM-DD.")] = None,
    every: EveryOption = 1,
    horizon: HorizonOption = "all",
    data_dir: DataDirOption = None,
    out: Annotated[str | None, typer.Option("--out", help="Write every row to this Parquet file.")] = None,
    validate: Annotated[
        str | None, typer.Option("--validate", help="Validate in folds instead: expanding or rolling.")
    ] = None,
    folds: FoldsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Walk forward through history, point-in-time, and score every model beside the random walk."""
    from forex_assets.backtest_view import Plan, backtest_rows, workplace
    from forex_assets.evaluation.walk_forward import KINDS
    from forex_assets.pipeline import Pipeline

    settings, wanted = _subjects(settings_with(data_dir), pair)
    first, last = parse_day(start, "--start"), parse_day(end, "--end")
    if first and last and first > last:
        raise ValidationError(f"--start {first} is after --end {last}.", remedy="swap them.")
    if folds is not None and validate is None:
        raise ValidationError(f"--folds {folds} goes with --validate.", remedy="add --validate expanding or rolling.")
    if validate is not None and validate not in KINDS:
        raise ValidationError(
            f"Walk-forward {validate!r} is not one of {', '.join(KINDS)}.", remedy="use one of those."
        )
    target = output_file(out, "--out", ".parquet")
    pipeline = Pipeline(settings)
    plan = Plan(
        horizons=tuple(parse_horizons(settings, horizon)),
        start=first,
        end=last,
        every=every,
        models=_model_names(models),
        fresh=data_dir is not None,
    )
    if validate is not None:
        if first is not None or target is not None:
            option = "--start" if first is not None else "--out"
            raise ValidationError(f"{option} does not go with --validate.", remedy=f"leave {option} out.")
        _validate(pipeline, wanted, plan, validate, folds, json_output, may_skip=pair == "all")
        return
    with workplace(pipeline, plan) as place:
        made, skipped = each_pair(
            wanted, lambda name: backtest_rows(place.of(name), name, plan), may_skip=pair == "all"
        )
    _report(pipeline, made, plan, target, skipped, json_output, place.notes)


def _subjects(settings: Settings, pair: str | None) -> tuple[Settings, list[str]]:
    """Return the pairs asked for; a folder's pairs need no configuration."""
    if settings.data_dir is None:
        return settings, parse_pairs(settings, pair or next(iter(settings.pairs)))
    from forex_assets.market.folder_pairs import with_folder_pairs

    if pair == "all":
        return with_folder_pairs(settings, None)
    names = [part.strip() for part in (pair or next(iter(settings.pairs))).split(",") if part.strip()]
    known, names = with_folder_pairs(settings, names)
    return known, parse_pairs(known, ",".join(names))


def _model_names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    from forex_assets.forecasting.registry import choices, model_names

    if text == "all":
        return tuple(model_names())
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise ValidationError(f"--models {text!r} names no model.", remedy=f"use one of {', '.join(model_names())}.")
    return tuple(choice.model for choice in choices(names))


def _report(
    pipeline: Pipeline,
    made: list[Made],
    plan: Plan,
    target: Path | None,
    skipped: list[dict[str, str]],
    json_output: bool,
    notes: list[str],
) -> None:
    import pandas as pd

    from forex_assets.backtest_view import backtest_comparison, backtest_scores, declaration
    from forex_assets.cli.show import print_backtest

    rows = pd.concat([item.rows for item in made], ignore_index=True)
    facts = declaration(pipeline, made, plan) | {"notes": notes}
    if target is not None:
        from forex_assets.store.files import LocalFiles

        LocalFiles(target.parent).write_all([(target.name, _parquet(rows, facts))])
    matured = bool(rows["actual"].notna().any())
    scores = backtest_scores(pipeline, rows) if matured else []
    out_path = str(target) if target else None
    if json_output:
        compared = backtest_comparison(pipeline, rows) if matured else []
        print_json(
            {
                "rows": len(rows),
                "out": out_path,
                "declaration": facts,
                "scores": scores,
                "comparison": compared,
                "skipped": skipped,
            }
        )
        return
    print_backtest(stdout(), scores, len(rows), out_path)
    _say_left_out(facts["left_out"])
    for name, rules in facts["withdrawn_values"].items():
        told = ", ".join(f"{rule} {count}" for rule, count in rules.items())
        typer.echo(f"{name}: the quality rules withdrew {sum(rules.values())} values ({told}).", err=True)
    for note in notes:
        typer.echo(note, err=True)
    if not matured:
        typer.echo("None of the rows has matured, so there are no scores.", err=True)


def _say_left_out(entries: list[dict[str, str]]) -> None:
    for entry in entries:
        typer.echo(
            f"{entry['pair']} {entry['horizon']}: {entry['model']} left out. {entry['message']} {entry['remedy']}",
            err=True,
        )


def _parquet(rows: pd.DataFrame, facts: dict[str, Any]) -> bytes:
    """Return the rows as a Parquet file whose schema carries the declaration."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(rows, preserve_index=False)
    text = json.dumps(facts, default=str).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), METADATA_KEY: text})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _validate(
    pipeline: Pipeline,
    wanted: list[str],
    plan: Plan,
    kind: str,
    folds: int | None,
    json_output: bool,
    *,
    may_skip: bool,
) -> None:
    from forex_assets.backtest_view import walk_forward, workplace
    from forex_assets.cli.show_evidence import print_walk_forward

    with workplace(pipeline, plan) as place:
        made, skipped = each_pair(
            wanted, lambda name: walk_forward(place.of(name), name, plan, kind=kind, folds=folds), may_skip=may_skip
        )
    found = [asdict(validation) for validations, _ in made for validation in validations]
    left_out = [entry for _, entries in made for entry in entries]
    rules = pipeline.settings.classic.walk_forward.model_dump()
    if json_output:
        print_json({"validations": found, "limits": rules, "left_out": left_out, "skipped": skipped})
    else:
        print_walk_forward(stdout(), found, rules)
        _say_left_out(left_out)
    active = {name: pipeline.settings.active_model(name) for name in wanted}
    if any(not item["acceptable"] for item in found if item["model"] == active.get(item["pair"])):
        raise typer.Exit(1)


def evaluate(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    by: Annotated[
        str | None,
        typer.Option("--by", help="Show a slice: regime, meeting, shock, weekday, year or quarter."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Show the stored evidence on every model: tests against the random walk, calibration, slices."""
    from forex_assets.cli.show_evidence import print_comparison, print_slices
    from forex_assets.evaluation.slices import SLICES
    from forex_assets.pipeline import Pipeline
    from forex_assets.summary import json_value

    settings = load_settings()
    pipeline = Pipeline(settings)
    if by is not None and by not in SLICES:
        raise ValidationError(f"--by {by!r} is not one of {', '.join(SLICES)}.", remedy="use one of those.")
    wanted = parse_pairs(settings, pair)
    names = parse_horizons(settings, horizon)

    def stored(table: schemas.Table) -> list[dict[str, Any]]:
        return [
            {str(name): json_value(value) for name, value in row.items()}
            for pair_id in wanted
            for key in ((name,) for name in names)
            if pipeline.store.exists(table, pair_id, key)
            for row in pipeline.store.read(table, pair_id, [key], allow_bad=True).to_dict("records")
        ]

    compared = stored(schemas.MODEL_COMPARISON)
    if not compared:
        raise StoreError(f"No evidence is stored for {', '.join(wanted)}.", remedy="run `forex run` first.")
    if json_output:
        print_json(
            {
                "comparison": compared,
                "reliability": stored(schemas.RELIABILITY),
                "slices": [row for row in stored(schemas.PERFORMANCE_SLICES) if by is None or row["slice"] == by],
            }
        )
    elif by is None:
        print_comparison(stdout(), compared)
    else:
        print_slices(stdout(), [row for row in stored(schemas.PERFORMANCE_SLICES) if row["slice"] == by], by)
