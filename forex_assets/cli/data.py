"""``forex data``: what is known of every series, since when, from whom; asking for it; files of one's own."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli import data_add, data_calendar
from forex_assets.cli.common import JsonOption, LimitOption, PairOption, parse_day, parse_pairs, print_json, stdout
from forex_assets.cli.tables import Column, print_table
from forex_assets.errors import DataError, ForexError, StoreError, ValidationError
from forex_assets.settings import load_settings

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from forex_assets.pipeline import Pipeline

data_app = typer.Typer(
    help="Market data: status, ingestion, revisions, quarantine, files of one's own.", no_args_is_help=True
)
quarantine_app = typer.Typer(help="Values withdrawn by a quality rule.", no_args_is_help=True)
SeriesOption = Annotated[str | None, typer.Option("--series", help="Series ids, comma-separated.")]
_SHOWN = 40


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    data_app.command("status")(status)
    data_app.command("check")(check)
    data_app.command("ingest")(ingest)
    data_app.command("revisions")(revisions)
    quarantine_app.command("show")(show)
    quarantine_app.command("release")(release)
    data_app.add_typer(quarantine_app, name="quarantine")
    data_add.register(data_app)
    data_calendar.register(data_app)
    app.add_typer(data_app, name="data")


def status(pair: PairOption = None, json_output: JsonOption = False) -> None:
    """Say how every series stands: newest value, its age, who gave it, revisions, quarantine, payloads kept."""
    from forex_assets.market.status import series_status
    from forex_assets.market.vintages.archive import RawArchive
    from forex_assets.pipeline import Pipeline, utc_now

    settings = load_settings()
    pipeline = Pipeline(settings)
    now = utc_now().to_pydatetime()
    rows: list[tuple[str, Any]] = []
    for name in parse_pairs(settings, pair):
        observations = pipeline.data.stored_observations(name)
        if observations is None:
            typer.echo(f"{name}: nothing stored; `forex data ingest --pair {name}` asks for it.", err=True)
            continue
        archive, releases = RawArchive(settings.home), pipeline.data.releases(name)
        found = series_status(observations, settings, settings.pair(name), now=now, archive=archive, releases=releases)
        rows += [(name, each) for each in found]
    if not rows:
        raise DataError("No observations are stored.", remedy="run `forex data ingest`, or `forex run`.")
    if json_output:
        print_json([{"pair": name, **dataclasses.asdict(each)} for name, each in rows])
        return
    print_table(
        stdout(),
        rows,
        [
            Column("Pair", lambda row: row[0], once=True),
            Column("Series", lambda row: row[1].series),
            Column("State", lambda row: row[1].state),
            Column("Date", lambda row: str(row[1].event_date or "—")),
            Column("Value", lambda row: "—" if row[1].value is None else f"{row[1].value:,.6g}", right=True),
            Column("Source", lambda row: row[1].source or "—"),
            Column("Rev.", lambda row: str(row[1].revised), right=True),
            Column("Quar.", lambda row: str(row[1].quarantined), right=True),
            Column("Values", lambda row: f"{row[1].values:,}", right=True, wide=True),
            Column("Payloads", lambda row: f"{row[1].retrievals:,}", right=True, wide=True),
        ],
    )


def check(pair: PairOption = None, json_output: JsonOption = False) -> None:
    """Hold everything stored against its rules: payloads, tables, freshness of the targets; exit code 1 on a fault."""
    from forex_assets import schemas
    from forex_assets.market.status import series_status, unarchived
    from forex_assets.market.vintages.archive import RawArchive
    from forex_assets.pipeline import Pipeline, utc_now

    settings = load_settings()
    pipeline = Pipeline(settings)
    archive = RawArchive(settings.home)
    now = utc_now().to_pydatetime()
    faults = [("payloads", text) for text in archive.verify()]
    notes: list[tuple[str, str]] = []
    for name in parse_pairs(settings, pair):
        if not pipeline.store.exists(schemas.OBSERVATIONS, name, ()):
            notes.append((name, "nothing stored"))
            continue
        try:
            observations = pipeline.store.verify(schemas.OBSERVATIONS, name, [()])
        except (StoreError, DataError) as error:
            faults.append((name, error.message))
            continue
        notes += [(name, text) for text in unarchived(observations, archive)]
        spec = settings.pair(name)
        found = series_status(observations, settings, spec, now=now, archive=archive)
        stale = [f"{each.series} ({each.event_date})" for each in found if each.state == "stale"]
        missing = [each.series for each in found if each.state == "missing"]
        if spec.target.series in missing:
            faults.append((name, f"its target {spec.target.series} has no usable value"))
        notes += [(name, f"stale: {', '.join(stale)}")] if stale else []
        notes += [(name, f"without any value: {', '.join(missing)}")] if missing else []
        notes += [(name, text) for text in _suspicions(pipeline, name, observations, now)]
    if json_output:
        print_json({"faults": [list(each) for each in faults], "notes": [list(each) for each in notes]})
    else:
        for where, text in faults:
            typer.echo(f"Fault: {where}: {text}")
        for where, text in notes:
            typer.echo(f"Note: {where}: {text}")
        packs = len(list(archive.packs()))
        typer.echo(f"{packs} archives of payloads, {archive.size_bytes() / 1e6:.1f} MB; {len(faults)} faults.")
    if faults:
        raise typer.Exit(1)


def _suspicions(pipeline: Pipeline, pair_id: str, observations: pd.DataFrame, now: dt.datetime) -> list[str]:
    """Return what the feed rules found, but for age, which is told with the other dates."""
    from forex_assets.feed_alerts import stored_feed_findings, told

    found = stored_feed_findings(pipeline, pair_id, observations, as_of=now)
    return [told(item) for item in found if item.state == "found" and item.rule != "stale_feed"]


def ingest(pair: PairOption = None, json_output: JsonOption = False) -> None:
    """Ask every source of every series, keep what it says, and say what is new, revised and withdrawn."""
    from forex_assets.pipeline import Pipeline, utc_now

    settings = load_settings()
    pipeline = Pipeline(settings)
    named = parse_pairs(settings, pair)
    before: dict[str, pd.DataFrame | None] = {}
    for name in named:
        with contextlib.suppress(StoreError):  # a damaged one is told when it is ingested
            before[name] = pipeline.data.stored_observations(name)
    made: list[dict[str, Any]] = []
    failed: list[tuple[str, ForexError]] = []
    for name, frames in pipeline.data.write_ingests(named, now=utc_now()).items():
        if isinstance(frames, ForexError):
            failed.append((name, frames))
        else:
            made.append(_told(name, before.get(name), frames))
    if json_output:
        print_json(
            {"pairs": made, "failed": [{"pair": n, "message": e.message, "remedy": e.remedy} for n, e in failed]}
        )
    else:
        for each in made:
            typer.echo(
                f"{each['pair']}: {each['new']:,} new rows, {each['revised']} revised, {each['withdrawn']} withdrawn, "
                f"{each['rows']:,} in all."
            )
            for line in each["trouble"]:
                typer.echo(f"  {line}", err=True)
    for name, fault in failed:
        typer.echo(f"{name}: {fault.message} Remedy: {fault.remedy}", err=True)
    if failed:
        raise typer.Exit(1)


def _told(name: str, before: pd.DataFrame | None, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    observations, asked = frames["observations"], frames["source_status"]
    trouble = asked[asked["state"] == "failed"]

    def count(frame: pd.DataFrame | None, rule: bool) -> int:
        if frame is None:
            return 0
        revision = frame["rule"] == "revision"
        return int((revision if not rule else frame["withdrawn_at"].notna() & ~revision).sum())

    by_reason: dict[tuple[str, str], list[str]] = {}
    for row in trouble.itertuples():
        by_reason.setdefault((str(row.source), str(row.reason)), []).append(str(row.series))
    return {
        "pair": name,
        "rows": len(observations),
        "new": len(observations) - (0 if before is None else len(before)),
        "revised": count(observations, False) - count(before, False),
        "withdrawn": count(observations, True) - count(before, True),
        "answered": sorted(asked.loc[asked["state"] == "answered", "source"].unique()),
        "trouble": [f"{source}: {reason} ({', '.join(series)})" for (source, reason), series in by_reason.items()],
    }


def revisions(
    pair: PairOption = None,
    series: SeriesOption = None,
    since: Annotated[str | None, typer.Option("--since", help="Only changes known from this day on.")] = None,
    diff: Annotated[
        str | None, typer.Option("--diff", help="DAY,DAY: how what was known at the end of one differs from the other.")
    ] = None,
    limit: LimitOption = _SHOWN,
    json_output: JsonOption = False,
) -> None:
    """Report what was revised, when, and by how much; or how what was known differs between two days."""
    import pandas as pd

    from forex_assets.clock import AsOf
    from forex_assets.market.vintages import revisions as vintages

    settings = load_settings()
    pipeline = _pipeline(settings)
    start = parse_day(since, "--since")
    wanted = None if series is None else _series(settings, series)
    first_day = AsOf.end_of(start).instant if start else None
    parts = []
    days = _two_days(diff) if diff else None
    for name in parse_pairs(settings, pair):
        observations = pipeline.data.stored_observations(name)
        if observations is None:
            continue
        if days:
            frame = vintages.diff(observations, AsOf.end_of(days[0]), AsOf.end_of(days[1]), series=wanted)
        else:
            frame = vintages.revisions(observations, series=wanted, since=first_day)
        frame.insert(0, "pair", name)
        parts.append(frame)
    if not parts:
        raise DataError("No observations are stored.", remedy="run `forex data ingest`, or `forex run`.")
    rows = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if json_output:
        print_json([{k: None if v != v else v for k, v in row.items()} for row in rows.to_dict("records")])
        return
    if not len(rows):
        typer.echo("Nothing differs." if days else "No value that was known has changed.")
        return
    _print_changes(rows, limit, is_diff=bool(days))


def _print_changes(rows: pd.DataFrame, limit: int, *, is_diff: bool) -> None:
    old, new = ("first_value", "second_value") if is_diff else ("old_value", "new_value")
    records = rows.head(limit).to_dict("records")

    def text(value: Any) -> str:
        return "—" if value != value or value is None else f"{value:,.6g}"

    columns: list[Column[dict[Any, Any]]] = [
        Column("Pair", lambda row: str(row["pair"]), once=True),
        Column("Series", lambda row: str(row["series"])),
        Column("Date", lambda row: f"{row['event_date']:%Y-%m-%d}"),
        Column("What", lambda row: str(row["kind"])),
        Column("Was", lambda row: text(row[old]), right=True),
        Column("Is", lambda row: text(row[new]), right=True),
        Column("Change", lambda row: text(row["change"]), right=True, wide=True),
        Column(
            "%",
            lambda row: "—" if row["change_percent"] != row["change_percent"] else f"{row['change_percent']:+.2f}",
            right=True,
        ),
    ]
    if not is_diff:
        columns.append(Column("Known", lambda row: f"{row['new_known_at']:%Y-%m-%d %H:%M}"))
        columns.append(Column("From", lambda row: str(row["new_source"] or row["old_source"]), wide=True))
    print_table(stdout(), records, columns)
    if len(rows) > len(records):
        typer.echo(f"… and {len(rows) - len(records):,} more (--json gives all).")


def show(pair: PairOption = None, series: SeriesOption = None, json_output: JsonOption = False) -> None:
    """Show the values a quality rule withdrew, why, and which of them a person put back."""
    settings = load_settings()
    pipeline = _pipeline(settings)
    wanted = None if series is None else _series(settings, series)
    records: list[dict[str, Any]] = []
    for name in parse_pairs(settings, pair):
        observations = pipeline.data.stored_observations(name)
        if observations is None:
            continue
        held = observations[observations["withdrawn_at"].notna() & (observations["rule"] != "revision")]
        held = held if wanted is None else held[held["series"].isin(wanted)]
        back = pipeline.data.releases(name)
        known = {} if back is None else {(r.series, r.event_time, r.source): r for r in back.itertuples()}
        for row in held.itertuples():
            released = known.get((row.series, row.event_time, row.source))
            records.append(
                {
                    "pair": name,
                    "series": row.series,
                    "event_date": f"{row.event_time:%Y-%m-%d}",
                    "value": row.value,
                    "source": row.source,
                    "rule": row.rule,
                    "reason": row.reason,
                    "withdrawn_at": str(row.withdrawn_at),
                    "released_by": None if released is None else released.released_by,
                    "released_at": None if released is None else str(released.released_at),
                    "why": None if released is None else released.why,
                }
            )
    if json_output:
        print_json(records)
        return
    if not records:
        typer.echo("Nothing is in quarantine.")
        return
    records.sort(key=lambda row: row["event_date"], reverse=True)
    print_table(
        stdout(),
        records[:_SHOWN],
        [
            Column("Pair", lambda row: row["pair"], once=True),
            Column("Series", lambda row: row["series"]),
            Column("Date", lambda row: row["event_date"]),
            Column("Value", lambda row: f"{row['value']:,.6g}", right=True),
            Column("Rule", lambda row: row["rule"]),
            Column("Source", lambda row: row["source"]),
            Column("Released by", lambda row: row["released_by"] or "", wide=True),
            Column("Reason", lambda row: row["reason"] or "", wide=True),
        ],
    )
    if len(records) > _SHOWN:
        typer.echo(f"… and {len(records) - _SHOWN:,} more (--json gives all).")


def release(
    series: Annotated[str, typer.Option("--series", help="Series of the value.")],
    date: Annotated[str, typer.Option("--date", help="Date the value carries, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option("--why", help="What shows that the value is right; it is recorded.")],
    pair: PairOption = None,
    by: Annotated[str | None, typer.Option("--by", help="Who decides; default: the user logged in.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Put a quarantined value back: a new row, known from now on, that no rule withdraws; who and why are kept."""
    from forex_assets.pipeline import utc_now

    settings = load_settings()
    pipeline = _pipeline(settings)
    names = _series(settings, series)
    if len(names) != 1:
        raise ValidationError(f"--series {series!r} names several series.", remedy="release one value at a time.")
    pairs = [
        name
        for name in (parse_pairs(settings, pair))
        if names[0] in settings.pair(name).all_series and pipeline.data.stored_observations(name) is not None
    ]
    if not pairs:
        raise DataError(f"No pair with stored observations has {names[0]}.", remedy="run `forex data ingest` first.")
    day = parse_day(date, "--date")
    if day is None:
        raise ValidationError("--date is missing.", remedy="give the date the value carries.")
    data_add.confirm(f"Release {names[0]} of {day} in {', '.join(pairs)}?", yes)
    who = by or getpass.getuser()
    done, refused = [], []
    for name in pairs:
        try:
            record = pipeline.data.release(name, series=names[0], day=day, who=who, why=why, now=utc_now())
        except DataError as error:
            refused.append(error)
            continue
        done.append({str(key): str(value) for key, value in record.iloc[0].items()})
    if not done:
        raise refused[0]
    if json_output:
        print_json(done)
        return
    for row in done:
        typer.echo(
            f"{row['pair']}: {row['series']} of {day} stands again with {row['value']}, known from "
            f"{row['released_at'][:19]} UTC on (rule {row['rule']}, released by {row['released_by']}: {row['why']})."
        )


def _pipeline(settings: Any) -> Pipeline:
    from forex_assets.pipeline import Pipeline

    return Pipeline(settings)


def _series(settings: Any, text: str) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in settings.series]
    if unknown or not names:
        raise ValidationError(
            f"--series {text!r}: there is no series {', '.join(map(repr, unknown)) or 'named'}.",
            remedy=f"choose from {', '.join(settings.series)}.",
        )
    return names


def _two_days(text: str) -> tuple[Any, Any]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2:
        raise ValidationError(f"--diff {text!r} is not two days.", remedy="write --diff 2025-06-01,2025-06-13.")
    first, second = (parse_day(part, "--diff") for part in parts)
    return first, second
