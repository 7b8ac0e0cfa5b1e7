"""``forex doctor`` and ``forex schedule export``: keep a host in order."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forex_assets.cli.common import JsonOption, print_json
from forex_assets.errors import ValidationError
from forex_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from forex_assets.ops.doctor.findings import Finding, State

schedule_app = typer.Typer(help="The platform's schedules for hosts without the Dagster daemon.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("doctor")(doctor)
    app.add_typer(schedule_app, name="schedule")


def doctor(
    network: Annotated[
        bool, typer.Option("--network", help="Also try to reach the live providers (2 s each).")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every stored file to its last byte, and the warehouse.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="As --deep, after mending: observations again from kept payloads, other damaged files moved aside.",
        ),
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Say what is installed, configured, reachable, fresh and writable, and what to do about each shortfall."""
    from rich.console import Console

    from forex_assets.ops.doctor.deep import deep_findings
    from forex_assets.ops.doctor.diagnosis import diagnose
    from forex_assets.ops.doctor.findings import as_json, exit_code, render
    from forex_assets.pipeline import utc_now

    settings, now = load_settings(), utc_now().to_pydatetime()
    mended = _repair(settings, now) if repair else []
    findings = diagnose(settings, now=now, probe_network=network)
    if deep or repair:
        findings += [*mended, *deep_findings(settings, now=utc_now().to_pydatetime())]
    if json_output:
        print_json(as_json(findings))
    else:
        render(findings, Console(highlight=False))
    if code := exit_code(findings):
        raise typer.Exit(code)


def _repair(settings: Settings, now: dt.datetime) -> list[Finding]:
    from forex_assets.ops.doctor.findings import Finding
    from forex_assets.pipeline import Pipeline
    from forex_assets.repair import repair
    from forex_assets.store.damage import inspect_store

    pipeline = Pipeline(settings)
    done = repair(pipeline, inspect_store(pipeline.store, now=now).damaged, now=now)
    marks: dict[str, State] = {"rebuilt": "ok", "to_materialise": "warn", "failed": "fail"}
    return [
        Finding(
            "repair",
            "/".join((item.damaged.pair, item.damaged.table, *item.damaged.key)),
            marks[item.outcome],
            f"{item.outcome.replace('_', ' ')}: {item.detail if item.outcome == 'rebuilt' else item.damaged.reason}; "
            f"the damaged file is {item.aside}",
            "" if item.outcome == "rebuilt" else item.detail,
        )
        for item in done
    ]


@schedule_app.command("export")
def schedule_export(
    cron: Annotated[bool, typer.Option("--cron", help="One crontab block.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="User units: one service and one timer each.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="What removes them again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the files, write none.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Write the schedules as cron or systemd files under the home folder, and say how to put them into force."""
    from forex_assets.ops.schedule_export import export, write

    if cron == systemd:
        raise ValidationError(
            "Choose one of --cron and --systemd.", remedy="for example `forex schedule export --cron`."
        )
    settings = load_settings()
    plan = export(settings, "cron" if cron else "systemd", forex_path=_forex_path(), uninstall=uninstall)
    written = [] if dry_run else write(plan)
    if json_output:
        files = {str(path): text for path, text in plan.files.items()}
        print_json(
            {"files": files, "written": [str(p) for p in written], "commands": plan.commands, "notes": plan.notes}
        )
        return
    for path, text in plan.files.items():
        typer.echo(f"# {path}" + ("" if dry_run else " (written)"))
        if dry_run:
            typer.echo(text)
    for note in plan.notes:
        typer.echo(f"# {note}", err=True)
    for command in plan.commands:
        typer.echo(command)


def _forex_path() -> Path:
    """Return the absolute path of the running ``forex`` command."""
    beside = Path(sys.executable).with_name("forex")
    return beside if beside.exists() else Path(sys.argv[0]).absolute()
