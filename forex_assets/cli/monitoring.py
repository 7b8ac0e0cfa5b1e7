"""Watching commands: check, drift show, monitor replay, monitor calibrate-alarms. None of them stores anything."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import (
    AsOfOption,
    JsonOption,
    PairOption,
    each_pair,
    number_by,
    parse_as_of,
    parse_day,
    parse_pairs,
    print_json,
    settings_with,
    stdout,
)
from forex_assets.cli.tables import Column, print_table
from forex_assets.errors import ValidationError
from forex_assets.settings import load_settings
from forex_assets.store.naming import validate_days

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.pipeline import Pipeline

ProfileOption = Annotated[str, typer.Option("--profile", help="recommended or classic.")]
DataDirOption = Annotated[
    str | None, typer.Option("--data-dir", help="Market data of this folder for this command only; nothing is stored.")
]
StoredDaysOption = Annotated[
    int,
    typer.Option(
        "--days", parser=number_by(validate_days, "--days"), help="Stored days the trend is shown for, 1 to 365."
    ),
]
monitor_app = typer.Typer(name="monitor", help="Replay the monitors over the past; measure their alarms.")
drift_app = typer.Typer(name="drift", help="What changed, since when, and where it is going.")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("check")(check)
    drift_app.command("show")(drift_show)
    monitor_app.command("replay")(replay)
    monitor_app.command("findings")(findings)
    monitor_app.command("calibrate-alarms")(calibrate_alarms)
    app.add_typer(drift_app)
    app.add_typer(monitor_app)


def check(
    pair: PairOption = None,
    all_pairs: Annotated[bool, typer.Option("--all", help="Every pair that has data.")] = False,
    as_of: AsOfOption = None,
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show each horizon's status (exit 1 when a model is degraded), with the classic rule beside it."""
    from forex_assets.monitoring.check import check_rows
    from forex_assets.pipeline import Pipeline, utc_now
    from forex_assets.watching import fresh_frames

    settings = settings_with(data_dir)
    pipeline = Pipeline(settings)
    day = parse_as_of(as_of)
    if pair is not None and all_pairs:
        raise ValidationError("--pair and --all exclude each other.", remedy="give one of them.")
    wanted = parse_pairs(settings, "all" if all_pairs else pair or next(iter(settings.pairs)))

    def rows_of(name: str) -> list[dict[str, Any]]:
        frames = fresh_frames(pipeline, name, now=utc_now())
        return check_rows(frames, day or _newest(pipeline, name), settings)

    parts, skipped = each_pair(wanted, rows_of, may_skip=all_pairs or pair == "all")
    rows = [row for part in parts for row in part]
    if json_output:
        print_json({"rows": rows, "skipped": skipped})
    else:
        print_table(stdout(), rows, CHECK_COLUMNS)
        for row in rows:
            if row["status"] not in ("GOOD", "EXCELLENT"):
                typer.echo(f"{row['pair']} {row['horizon']}: {row['recommendation']}")
    if any(row["degradation_detected"] for row in rows):
        raise typer.Exit(1)


def _newest(pipeline: Pipeline, pair_id: str) -> dt.date:
    from forex_assets.pipeline import utc_now

    now = utc_now()
    return pipeline.default_as_of(pair_id, now=now, observations=pipeline.data.look_up(pair_id, now=now))


def _change(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:+.1%}"


CHECK_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Pair", lambda row: row["pair"], once=True),
    Column("Horizon", lambda row: row["horizon"]),
    Column("Status", lambda row: row["status"]),
    Column("CRPS Δ", lambda row: _change(row["crps_change"]), right=True),
    Column("Matured", lambda row: str(row["matured"]), right=True),
    Column("Classic", lambda row: row["classic_status"]),
    Column("RMSE Δ", lambda row: _change(row["rmse_change"]), right=True),
    Column("MAPE Δ", lambda row: _change(row["mape_change"]), right=True),
    Column("n", lambda row: str(row["samples"]), right=True),
)


def findings(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    profile: ProfileOption = "recommended",
    json_output: JsonOption = False,
) -> None:
    """Show what fires or cannot judge on the newest stored day, each rule with its measured false alarms a year."""
    from forex_assets.findings_view import newest_findings
    from forex_assets.monitoring.registry import check_profile
    from forex_assets.pipeline import Pipeline
    from forex_assets.reporting.alarm_texts import meaning
    from forex_assets.summary import json_value

    settings = load_settings()
    pipeline, chosen, day = Pipeline(settings), check_profile(profile), parse_as_of(as_of)
    wanted = parse_pairs(settings, pair or next(iter(settings.pairs)))
    parts, skipped = each_pair(wanted, lambda name: newest_findings(pipeline, name, day), may_skip=pair == "all")
    rows: list[dict[str, Any]] = [
        {
            **{str(name): value for name, value in row.items()},
            "means_es": meaning(row["monitor"], row["rule"], "es"),
            "means_en": meaning(row["monitor"], row["rule"], "en"),
        }
        for part in parts
        for row in part.loc[part["profile"] == chosen].to_dict("records")
    ]
    if json_output:
        plain = [{name: json_value(value) for name, value in row.items()} for row in rows]
        print_json({"rows": plain, "skipped": skipped})
        return
    shown = {str(row["as_of"].date()) for row in rows}
    on = f" on {shown.pop()}" if len(shown) == 1 else ""
    for state, title in (("fired", "fires"), ("unknown", "cannot judge")):
        some = [row for row in rows if row["state"] == state]
        typer.echo(f"{len(some)} of {len(rows)} rules{on}: {title}")
        if some:
            print_table(stdout(), some, FINDING_COLUMNS)
        for row in some if state == "fired" else []:
            typer.echo(f"{row['rule']} {row['subject']}: {str(row['reasons']).splitlines()[0]}")
            typer.echo(f"  {row['means_es']}")
            typer.echo(f"  {row['means_en']}")


def _rate(value: float) -> str:
    return "not measured" if not math.isfinite(value) else f"{value:.2f}"


FINDING_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Pair", lambda row: row["pair"], once=True),
    Column("Day", lambda row: str(row["as_of"].date()), once=True, wide=True),
    Column("Severity", lambda row: row["severity"]),
    Column("Monitor", lambda row: row["monitor"], wide=True),
    Column("Rule", lambda row: row["rule"]),
    Column("On", lambda row: row["subject"]),
    Column("Effect", lambda row: "–" if not math.isfinite(row["effect"]) else f"{row['effect']:.2f}", right=True),
    Column(
        "Limit",
        lambda row: "–" if not math.isfinite(row["threshold"]) else f"{row['threshold']:.2f}",
        right=True,
        wide=True,
    ),
    Column("False/y", lambda row: _rate(row["false_alarms_per_year"]), right=True),
)


def drift_show(
    pair: PairOption = None,
    as_of: AsOfOption = None,
    days: StoredDaysOption = 90,
    profile: ProfileOption = "recommended",
    html: Annotated[
        Path | None, typer.Option("--html", help="Write Evidently's deep dive here (extra `evidently`).")
    ] = None,
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show what has drifted: score, trend, advice and when it began (exit 1 when action is needed)."""
    import pandas as pd

    from forex_assets.findings_view import drift_history
    from forex_assets.monitoring.drift_report import drift_report
    from forex_assets.monitoring.registry import check_profile
    from forex_assets.pipeline import Pipeline, utc_now
    from forex_assets.watching import fresh_frames

    settings = settings_with(data_dir)
    chosen = check_profile(profile)
    pipeline = Pipeline(settings)
    (name, *more) = parse_pairs(settings, pair or next(iter(settings.pairs)))
    if more:
        raise ValidationError(f"drift show takes one pair, got {1 + len(more)}.", remedy="name one pair.")
    day = parse_as_of(as_of) or _newest(pipeline, name)
    history = drift_history(pipeline, name, before=day)
    history = history.loc[history["as_of"] >= pd.Timestamp(day) - pd.Timedelta(days=days)]
    frames = fresh_frames(pipeline, name, now=utc_now())
    if html is not None:
        from forex_assets.reporting.drift_html import write_deep_dive

        write_deep_dive(frames, day, settings, html)
        typer.echo(f"Deep dive: {html}", err=True)
    frame = drift_report(frames, day, settings, history)
    rows = _records(frame.loc[frame["profile"] == chosen])
    if json_output:
        print_json({"pair": name, "as_of": day, "profile": chosen, "rows": rows})
    else:
        typer.echo(f"{name} as of {day}, profile {chosen}")
        print_table(stdout(), rows, DRIFT_COLUMNS)
        for row in rows:
            if row["state"] == "fired":
                typer.echo(f"{row['subject']}: {row['reason']}. {row['advice']}")
    if any(row["drift_detected"] and row["action_needed"] for row in rows):
        raise typer.Exit(1)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _day(value: Any) -> str:
    return "–" if value is None or str(value) == "NaT" else f"{value:%Y-%m-%d}"


DRIFT_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Subject", lambda row: row["subject"]),
    Column("State", lambda row: row["state"]),
    Column("Severity", lambda row: row["severity"]),
    Column(
        "Score", lambda row: "–" if not math.isfinite(row["drift_score"]) else f"{row['drift_score']:.0f}", right=True
    ),
    Column("Since", lambda row: _day(row["began_on"])),
    Column("Trend", lambda row: row["trend"]),
    Column("Mean", lambda row: "yes" if row["mean_fired"] else "", wide=True),
    Column("Size", lambda row: "yes" if row["variance_fired"] else "", wide=True),
    Column("Shape", lambda row: "yes" if row["shape_fired"] else "", wide=True),
)


def replay(
    pair: PairOption = None,
    first: Annotated[str | None, typer.Option("--from", help="First day YYYY-MM-DD; default: ten years back.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day YYYY-MM-DD; default: the newest with data.")
    ] = None,
    profile: ProfileOption = "recommended",
    monitor: Annotated[str | None, typer.Option("--monitor", help="Monitors, comma-separated; default: all.")] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Write the picture here (PNG or SVG).")] = None,
    data_dir: DataDirOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run the monitors over a past period, each day from what was known then, and say what would have fired."""
    from forex_assets.monitoring.registry import check_profile
    from forex_assets.monitoring.replay import replay as run
    from forex_assets.monitoring.replay import spells
    from forex_assets.pipeline import Pipeline, utc_now
    from forex_assets.watching import fresh_frames

    settings = settings_with(data_dir)
    chosen = check_profile(profile)
    names = tuple(part.strip() for part in monitor.split(",")) if monitor else None
    pipeline = Pipeline(settings)
    (name, *more) = parse_pairs(settings, pair or next(iter(settings.pairs)))
    if more:
        raise ValidationError(f"monitor replay takes one pair, got {1 + len(more)}.", remedy="name one pair.")
    start, end = parse_day(first, "--from"), parse_day(last, "--to")
    frames = fresh_frames(pipeline, name, now=utc_now())
    end = end or _newest(pipeline, name)
    start = start or end.replace(year=end.year - 10, day=min(end.day, 28))
    scanned = run(frames, start, end, settings, chosen, names)
    found = spells(scanned, settings.recommended.performance.quiet_business_days)
    if picture is not None:
        from forex_assets.reporting.monitoring_charts import replay_figure, write_figure

        write_figure(replay_figure(frames, scanned, found, language="en"), picture)
        typer.echo(f"Picture: {picture}", err=True)
    if json_output:
        counted = scanned.groupby(["monitor", "rule", "subject", "state"]).size().unstack(fill_value=0).reset_index()
        print_json(
            {"pair": name, "from": start, "to": end, "profile": chosen, "spells": _records(found),
             "days": _records(counted)}
        )  # fmt: skip
        return
    typer.echo(f"{name}, {start} to {end}, profile {chosen}")
    _print_spells(found)


def _print_spells(found: pd.DataFrame) -> None:
    alarms, events = found.loc[~found["describes"]], found.loc[found["describes"]]
    typer.echo(f"\nAlarms: {len(alarms)}")
    print_table(stdout(), _records(alarms), SPELL_COLUMNS)
    typer.echo(f"\nMarket events and regimes: {len(events)}")
    counts = events.groupby(["monitor", "rule", "subject"], sort=False).agg(
        spells=("start", "size"), days=("business_days", "sum"), newest=("start", "max")
    )
    print_table(stdout(), _records(counts.reset_index()), EVENT_COLUMNS)


SPELL_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Monitor", lambda row: row["monitor"], wide=True),
    Column("Rule", lambda row: row["rule"]),
    Column("Subject", lambda row: row["subject"]),
    Column("From", lambda row: _day(row["start"])),
    Column("To", lambda row: _day(row["end"])),
    Column("Days", lambda row: str(row["business_days"]), right=True),
    Column("Severity", lambda row: row["severity"]),
)
EVENT_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Rule", lambda row: f"{row['monitor']}/{row['rule']}"),
    Column("Subject", lambda row: row["subject"]),
    Column("Spells", lambda row: str(row["spells"]), right=True),
    Column("Days", lambda row: str(row["days"]), right=True),
    Column("Newest", lambda row: _day(row["newest"])),
)


def calibrate_alarms(
    years: Annotated[
        int | None, typer.Option("--years", help="Length of each simulated path, 5 to 60 years (the profile's).")
    ] = None,
    paths: Annotated[
        int | None, typer.Option("--paths", help="Simulated paths a null world, 1 to 200 (the profile's).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the simulation (the one the packaged rates are measured on).")
    ] = None,
    null: Annotated[str, typer.Option("--null", help="Null worlds, comma-separated, or all.")] = "all",
    profile: ProfileOption = "recommended",
    json_output: JsonOption = False,
) -> None:
    """Measure how many false alarms a year each rule raises where nothing is wrong."""
    from forex_assets.monitoring.alarm_table import false_alarms, rates_frame
    from forex_assets.monitoring.registry import check_profile
    from forex_assets.simulation.nulls import NULLS

    chosen = check_profile(profile)
    settings = load_settings()
    table = settings.recommended.alarm_table
    years = table.years if years is None else years
    paths = table.paths if paths is None else paths
    seed = table.reporting_seed if seed is None else seed
    for value, low, high, option in ((years, 5, 60, "--years"), (paths, 1, 200, "--paths")):
        if not low <= value <= high:
            raise ValidationError(
                f"{option} {value} is not between {low} and {high}.", remedy="choose a number in that range."
            )
    worlds = NULLS if null == "all" else tuple(part.strip() for part in null.split(","))
    found = [
        rate
        for world in worlds
        for rate in false_alarms(world, settings, [chosen], years=years, paths=paths, seed=seed)
    ]
    rows = _records(rates_frame(found))
    if json_output:
        print_json({"profile": chosen, "seed": seed, "rates": rows})
    else:
        for world in worlds:
            typer.echo(f"World {world}, profile {chosen}, seed {seed}")
            print_table(stdout(), [row for row in rows if row["null"] == world], RATE_COLUMNS)


RATE_COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("Rule", lambda row: f"{row['monitor']}/{row['rule']}"),
    Column("Subject", lambda row: row["subject"]),
    Column("Alarms", lambda row: str(row["alarms"]), right=True),
    Column("A year", lambda row: f"{row['per_year']:.2f}", right=True),
    Column("95% interval", lambda row: f"{row['low']:.2f}–{row['high']:.2f}", right=True),
)
