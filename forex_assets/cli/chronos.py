"""``forex chronos``: train a small checkpoint on past returns, look at one, and see whether it can be made faster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from forex_assets.cli.common import JsonOption, parse_day, print_json
from forex_assets.errors import ValidationError

chronos_app = typer.Typer(help="Chronos checkpoints: train, inspect, optimise (docs/chronos.md).", no_args_is_help=True)
DEFAULT_STEPS = 4000


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(chronos_app, name="chronos")


@chronos_app.command("train")
def chronos_train(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not exist yet.")],
    through: Annotated[
        str, typer.Option("--through", help="Last day of the data; origins before it will be refused.")
    ] = "2017-12-29",
    family: Annotated[str, typer.Option("--family", help="t5 (samples), bolt or chronos2 (quantiles).")] = "t5",
    size: Annotated[str, typer.Option("--size", help="tiny, mini or small.")] = "mini",
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Folder of daily CSV files; default: the ECB panel and USD/CLP.")
    ] = None,
    series: Annotated[
        str | None, typer.Option("--series", help="With --data-dir: file names without .csv, comma-separated.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help=f"Step budget; default {DEFAULT_STEPS:,}.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Time budget, resumed runs included.")] = None,
    context_length: Annotated[int, typer.Option("--context-length", help="Returns a window shows.")] = 256,
    prediction_length: Annotated[int, typer.Option("--prediction-length", help="Returns a T5 learns to add.")] = 75,
    validation_days: Annotated[
        int, typer.Option("--validation-days", help="Last calendar days, for early stopping only.")
    ] = 730,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Windows per step.")] = 32,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak of the schedule.")] = 5e-3,
    evaluate_every: Annotated[int, typer.Option("--evaluate-every", help="Steps between evaluations.")] = 50,
    patience: Annotated[int, typer.Option("--patience", help="Evaluations without improvement to stop after.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Of weights and windows.")] = 20250613,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an unfinished run in the way.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Train a small Chronos on past returns; the same command goes on where a killed run stopped."""
    from forex_assets.forecasting.chronos.data import folder_data, panel_data
    from forex_assets.forecasting.chronos.train import TrainOptions, train

    day = parse_day(through, "--through")
    if day is None or (series and data_dir is None):
        raise ValidationError("--series names files of --data-dir, which is not given.", remedy="add --data-dir.")
    options = TrainOptions(
        family=family,  # type: ignore[arg-type]  # checked there
        size=size,
        context_length=context_length,
        prediction_length=prediction_length,
        validation_days=validation_days,
        batch_size=batch_size,
        learning_rate=learning_rate,
        steps=DEFAULT_STEPS if steps is None and minutes is None else steps,
        time_budget_s=None if minutes is None else minutes * 60.0,
        evaluate_every=evaluate_every,
        patience=patience,
        seed=seed,
    )
    names = tuple(name.strip() for name in (series or "").split(",") if name.strip())
    data = panel_data(day) if data_dir is None else folder_data(data_dir.expanduser(), day, names)
    for name, reason in data.skipped.items():
        typer.echo(f"{name}: left out. {reason}.", err=True)
    with _Bar() as bar:
        card = train(data, options, out.expanduser().absolute(), restart=restart, on_step=bar.show)
    if json_output:
        import json

        print_json(json.loads((out.expanduser() / "forex_card.json").read_text(encoding="utf-8")))
        return
    typer.echo(
        f"{out}: {card.family}, {card.parameters:,} weights, {card.steps:,} steps in {card.seconds:.0f} s, stopped by "
        f"{card.stopped_by}.\nValidation loss {card.first_validation_loss:.4f} -> {card.validation_loss:.4f}. Learned "
        f"from {len(card.series)} series through {card.data_through}: earlier origins are refused.\n"
        f"Use it: FOREX_CHRONOS_PATH={out}"
    )


class _Bar:
    """A progress bar on stderr where that is a terminal."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task("training", total=1.0, state="")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, at: Any) -> None:
        """Show where a run stands."""
        losses = f"loss {at.training_loss:.4f}  validation {at.validation_loss:.4f} (best {at.best_loss:.4f})"
        state = f"step {at.step:,}  {losses}"
        self._progress.update(self._task, completed=at.share_done, state=state)


@chronos_app.command("info")
def chronos_info(
    path: Annotated[str, typer.Argument(help="Folder of a checkpoint, or id of the hub.")],
    json_output: JsonOption = False,
) -> None:
    """Say what a checkpoint is: family (read from the loaded pipeline), size, limits, training cutoff."""
    from forex_assets.forecasting.chronos.checkpoint import expand, load

    found = [load(item, "float32").describe() for item in expand([path])]
    if json_output:
        print_json(found[0] if len(found) == 1 else found)
        return
    from rich.table import Table

    from forex_assets.cli.common import stdout

    table = Table(show_header=False, box=None)
    for body in found:
        for name, value in body.items():
            if value not in (None, "", []):
                table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
        if body["training_cutoff"] is None:
            table.add_row("training cutoff", "unknown: state it (chronos.training_cutoff), or every origin is refused")
        table.add_section()
    stdout().print(table)


@chronos_app.command("optimise")
def chronos_optimise(
    path: Annotated[str, typer.Argument(help="Folder of a checkpoint.")],
    origins: Annotated[int, typer.Option("--origins", help="Origins after the training cutoff to judge on.")] = 60,
    json_output: JsonOption = False,
) -> None:
    """Try int8, bf16, torch.compile and ONNX: each is accepted only if CRPS, coverage and latency budgets hold."""
    from forex_assets.forecasting.chronos.optimise import optimise

    found = optimise(path, origins=origins)
    if json_output:
        print_json(found.as_dict())
        return
    from rich.table import Table

    from forex_assets.cli.common import stdout

    table = Table("variant", "ms / origin", "times faster", "CRPS ratio", "95% coverage", "verdict", "why")
    for row in found.rows:
        table.add_row(*row.cells())
    stdout().print(table)
    typer.echo(found.conclusion)
