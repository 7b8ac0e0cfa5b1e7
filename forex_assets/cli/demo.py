"""``forex demo loop``: the self-retraining loop shown once, on real data, in a home of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from forex_assets.cli.common import JsonOption, print_json
from forex_assets.settings import load_settings

demo_app = typer.Typer(help="What the platform does by itself, shown once in a home of its own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    demo_app.callback()(_about)
    demo_app.command("loop")(loop)
    app.add_typer(demo_app, name="demo")


def _about() -> None:
    """What the platform does by itself, shown once in a home of its own."""


def loop(
    home: Annotated[
        str | None, typer.Option("--home", help="Folder of the demo, not there yet; default: a temporary one.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary folder, with ledger, store and Dagster's runs.")
    ] = False,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="Let the real Dagster daemon ask the sensors; takes minutes.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Plant a weak start, let the loop replace it, plant harm, let the loop take it back; write the story as a page."""
    from forex_assets.defs.loop_demo import run_demo
    from forex_assets.reporting.loop_story import write_story

    settings = load_settings()
    folder = Path(home).expanduser().absolute() if home else Path(tempfile.mkdtemp(prefix="forex-demo-"))
    temporary = home is None and not keep
    try:
        story = run_demo(folder, settings.config_dir, daemon=daemon, told=lambda text: typer.echo(text, err=True))
        pages = write_story(story, (settings.home if temporary else folder) / "demo")
    finally:
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)
    if json_output:
        print_json({**story.row(), "pages": [str(page) for page in pages], "home": None if temporary else str(folder)})
        return
    for number, chapter in enumerate(story.chapters, start=1):
        names = ", ".join(f"{entry['kind']} {entry['id']}" for entry in chapter.entries)
        typer.echo(f"{number}. {chapter.key} ({chapter.seconds:.0f} s){': ' + names if names else ''}")
    for page in pages:
        typer.echo(f"Story: {page}")
    if not temporary:
        typer.echo(f"Home: {folder} (FOREX_HOME={folder} FOREX_CONFIG_DIR={folder / 'demo-configs'} forex ledger show)")
