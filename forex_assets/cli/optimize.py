"""``forex optimize`` and ``forex ledger``: what is deployed, who may change it, and why it was changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forex_assets.cli.common import (
    HorizonOption,
    JsonOption,
    LimitOption,
    PairOption,
    parse_horizons,
    parse_pairs,
    print_json,
    stdout,
)
from forex_assets.cli.optimize_compare import compare
from forex_assets.cli.optimize_history import backtest
from forex_assets.cli.optimize_metrics import metrics
from forex_assets.cli.optimize_run import run, simulate
from forex_assets.errors import DataError, ValidationError
from forex_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from forex_assets.lifecycle.subject import Subject
    from forex_assets.pipeline import Pipeline

optimize_app = typer.Typer(
    help="Search, judge, deploy and take back configurations; the same life cycle as in the graph.",
    no_args_is_help=True,
)
ledger_app = typer.Typer(help="The decisions of the life cycle, one line each, hash-chained.", no_args_is_help=True)

OneHorizon = Annotated[str, typer.Option("--horizon", help="7d, 15d, 30d or 90d.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who does it; default: the user of this session.")]
WhyOption = Annotated[str, typer.Option("--why", help="Justification; goes into the ledger.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for name, command in (
        ("run", run),
        ("simulate", simulate),
        ("compare", compare),
        ("backtest", backtest),
        ("status", status),
        ("history", history),
        ("metrics", metrics),
        ("rollback", rollback),
        ("approve", approve),
        ("acknowledge", acknowledge),
        ("promote", promote),
        ("drill", drill),
    ):
        optimize_app.command(name)(command)
    for name, ledger_command in (("verify", verify), ("show", show), ("replay", replay)):
        ledger_app.command(name)(ledger_command)
    app.add_typer(optimize_app, name="optimize")
    app.add_typer(ledger_app, name="ledger")


# ---- optimize ---------------------------------------------------------------------------------------------------


def status(pair: PairOption = None, horizon: HorizonOption = "all", json_output: JsonOption = False) -> None:
    """Show what is deployed per horizon, since when, and how it fares; exit 1 when something needs a person."""
    from forex_assets.lifecycle_view import status_of

    settings, pipeline = _pipeline()
    names = parse_horizons(settings, horizon)
    found = [status_of(pipeline, name, names, now=_now()) for name in _pairs(settings, pair)]
    if json_output:
        print_json({"pairs": found})
    else:
        _print_status(found)
    if any(item["problems"] for item in found):
        raise typer.Exit(1)


def history(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    limit: LimitOption = 10,
    json_output: JsonOption = False,
) -> None:
    """Show the newest decisions: triggers, searches, gates, promotions, verdicts of probation, rollbacks."""
    from forex_assets.lifecycle_view import history_of

    settings, pipeline = _pipeline()
    names = parse_horizons(settings, horizon)
    rows = [row for name in _pairs(settings, pair) for row in history_of(pipeline, name, names, limit=limit)]
    rows = sorted(rows, key=lambda row: str(row["id"]), reverse=True)[:limit]
    if json_output:
        print_json({"entries": rows})
    else:
        _print_entries(rows)


def rollback(
    horizon: OneHorizon,
    why: WhyOption,
    pair: PairOption = None,
    to: Annotated[str, typer.Option("--to", help="previous, last_known_good, or the hash of an earlier version.")] = (
        "previous"
    ),
    by: ByOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Go back to the version before, at once; doing it twice goes back twice."""
    from forex_assets.deployment import deployer_of, newest_day, sinks_of, warn_of_sinks

    settings, pipeline = _pipeline()
    subject = _subject(settings, pair, horizon)
    pointers = pipeline.lifecycle.of(subject)
    _confirm(f"Roll {subject} back from {pointers.current} to {pointers.previous if to == 'previous' else to}?", yes)
    now = _now()
    move = deployer_of(pipeline).rollback(
        subject, why=[why], as_of=newest_day(pipeline, subject.pair, now), now=now, to=to, actor=_person(by)
    )
    told = sinks_of(pipeline).tell(subject.scope, now=now)
    warn_of_sinks(pipeline, told, now)
    _answer(
        {"subject": subject.key, "version": move.version, "entry": move.entry, "sinks": _told(told)},
        f"{subject}: {move.version} is in use again (ledger {move.entry}).",
        json_output,
    )


def approve(
    horizon: OneHorizon,
    why: WhyOption,
    pair: PairOption = None,
    reject: Annotated[bool, typer.Option("--reject", help="Reject the staged version instead.")] = False,
    by: ByOption = None,
    json_output: JsonOption = False,
) -> None:
    """Approve the staged version of a horizon, with a justification; `forex optimize promote` then deploys it."""
    from forex_assets.deployment import deployer_of

    settings, pipeline = _pipeline()
    subject = _subject(settings, pair, horizon)
    staged = pipeline.lifecycle.of(subject).staged
    if staged is None:
        raise ValidationError(
            f"No version is staged for {subject}.", remedy="see `forex optimize status` for what waits for approval."
        )
    version = pipeline.lifecycle.versions.get(staged)
    entry = deployer_of(pipeline).vote(version, by=_person(by), why=why, approve=not reject, now=_now())
    word = "rejected" if reject else "approved"
    _answer(
        {"subject": subject.key, "version": staged, word: True, "by": entry.actor, "entry": entry.id},
        f"{subject}: version {staged} {word} by {entry.actor} (ledger {entry.id}).",
        json_output,
    )


def acknowledge(
    horizon: OneHorizon, why: WhyOption, pair: PairOption = None, by: ByOption = None, json_output: JsonOption = False
) -> None:
    """Close the open incident of a horizon, saying what was found; automation goes on."""
    from forex_assets.deployment import deployer_of

    settings, pipeline = _pipeline()
    subject = _subject(settings, pair, horizon)
    entry = deployer_of(pipeline).acknowledge(subject, by=_person(by), why=why, now=_now())
    incident = entry.outcome["incident"]
    _answer(
        {"subject": subject.key, "incident": incident, "by": entry.actor, "entry": entry.id},
        f"{subject}: incident {incident} acknowledged by {entry.actor} (ledger {entry.id}).",
        json_output,
    )


def promote(
    pair: PairOption = None,
    horizon: HorizonOption = "all",
    force: Annotated[
        bool, typer.Option("--force", help="Also a version that was rolled back, or with an incident open.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and record, change nothing.")] = False,
    by: ByOption = None,
    yes: YesOption = False,
    json_output: JsonOption = False,
) -> None:
    """Deploy the newest validated candidates, as the policy of their risk class says; exit 1 when one is refused."""
    from forex_assets.deployment import deploy
    from forex_assets.schemas.lifecycle import VALIDATION_REPORT

    settings, pipeline = _pipeline()
    (pair_id,) = _pairs(settings, pair, only_one=True)
    names = parse_horizons(settings, horizon)
    if horizon == "all":
        names = [name for name in names if pipeline.store.exists(VALIDATION_REPORT, pair_id, (name,))]
    if not names:
        raise DataError(
            f"No horizon of {pair_id} has a validated candidate.", remedy="run `forex optimize run --all` first."
        )
    if not dry_run:
        _confirm(f"Deploy the candidates of {pair_id} {', '.join(names)}?", yes)
    done = deploy(
        pipeline,
        pair_id,
        names,
        now=_now(),
        running_forecasts=_running_forecasts(settings, pair_id),
        dry_run=dry_run,
        force=force,
        actor=_person(by),
    )
    rows = [
        {
            "subject": move.subject.key,
            "action": move.action,
            "version": move.version,
            "policy": move.policy,
            "risk_class": move.risk_class,
            "reasons": list(move.reasons),
            "entry": move.entry,
        }
        for move in done.moves
    ]
    text = "\n".join(
        f"{m.subject}: {m.action} {m.version}. {'; '.join(m.reasons)} (ledger {m.entry})." for m in done.moves
    )
    _answer({"moves": rows, "guards": done.guards["guards"], "sinks": _told(done.told)}, text, json_output)
    if done.refused:
        raise typer.Exit(1)


def drill(pair: PairOption = None, horizon: OneHorizon = "7d", json_output: JsonOption = False) -> None:
    """Damage a copy of everything the life cycle keeps, restore it, and say how long that took; exit 1 on failure."""
    from dataclasses import asdict

    from forex_assets.lifecycle.drill import drill as run_drill

    settings, pipeline = _pipeline()
    subject = _subject(settings, pair, horizon)
    report = run_drill(settings.home, settings.deployment, subject=subject, now=_now())
    del pipeline
    if json_output:
        print_json(
            {
                "subject": subject.key,
                "passed": report.passed,
                "restore_s": report.restore_s,
                "planted": report.planted,
                "steps": [asdict(step) for step in report.steps],
                "entry": report.entry,
            }
        )
    else:
        for step in report.steps:
            typer.echo(
                f"{'restored' if step.restored else 'FAILED':9} {step.seconds:6.3f} s  {step.name}: {step.detail}"
            )
    if not report.passed:
        raise typer.Exit(1)


# ---- ledger -----------------------------------------------------------------------------------------------------


def verify(json_output: JsonOption = False) -> None:
    """Check every line against its hash and the line before; exit 1 and name the line when one was changed."""
    from dataclasses import asdict

    _, pipeline = _pipeline()
    found = pipeline.lifecycle.verify()
    if json_output:
        faults = [asdict(fault) for fault in found.faults]
        print_json({"lines": found.lines, "head": found.head, "intact": found.intact, "faults": faults})
    else:
        for fault in found.faults:
            typer.echo(f"line {fault.line} {fault.entry}: {fault.problem}")
        typer.echo(f"{found.lines} lines, " + ("intact" if found.intact else f"{len(found.faults)} fault(s)"))
    if not found.intact:
        raise typer.Exit(1)


def show(
    entry: Annotated[str, typer.Argument(help="Id of a decision, or its beginning; left out: the newest ones.")] = "",
    limit: LimitOption = 10,
    json_output: JsonOption = False,
) -> None:
    """Show one decision with what it was made from, or the newest ones."""
    from forex_assets.lifecycle_view import entry_row

    _, pipeline = _pipeline()
    ledger = pipeline.lifecycle.ledger
    if not entry:
        rows = [entry_row(item) for item in ledger.entries(limit=limit)[::-1]]
        if json_output:
            print_json({"entries": rows})
        else:
            _print_entries(rows)
        return
    found = ledger.find(entry)
    inputs, policy = ledger.given(found)
    body = {**found.as_dict(), "inputs": dict(inputs), "policy": dict(policy)}
    if json_output:
        print_json(body)
        return
    for name in ("id", "at", "kind", "subject", "actor", "as_of", "function", "code_version"):
        typer.echo(f"{name:13} {body[name] if body[name] is not None else ''}")
    for reason in found.reasons:
        typer.echo(f"{'why':13} {reason}")
    for name in ("outcome", "inputs", "policy"):
        for key, value in sorted(dict(body[name]).items()):
            if key != "move":
                typer.echo(f"{name:13} {key}: {value}")


def replay(
    entry: Annotated[str, typer.Argument(help="Id of a decision, or its beginning.")],
    json_output: JsonOption = False,
) -> None:
    """Recompute a decision from its inputs and policy; exit 1 and say what differs when it comes out otherwise."""
    from forex_assets.lifecycle.decisions import replay as recompute

    _, pipeline = _pipeline()
    found = recompute(pipeline.lifecycle.ledger, entry)
    body = {
        "id": found.entry.id,
        "result": found.result,
        "differences": list(found.differences),
        "notes": list(found.notes),
    }
    text = "\n".join(
        [f"{found.entry.id}: {found.result}", *found.differences, *(f"note: {note}" for note in found.notes)]
    )
    _answer(body, text, json_output)
    if found.result == "different":
        raise typer.Exit(1)


# ---- shared -----------------------------------------------------------------------------------------------------


def _pipeline() -> tuple[Settings, Pipeline]:
    from forex_assets.pipeline import Pipeline

    settings = load_settings()
    return settings, Pipeline(settings)


def _now() -> Any:
    from forex_assets.pipeline import utc_now

    return utc_now().to_pydatetime()


def _pairs(settings: Settings, text: str | None, *, only_one: bool = False) -> list[str]:
    names = parse_pairs(settings, text or next(iter(settings.pairs)))
    if only_one and len(names) > 1:
        raise ValidationError(f"--pair {text!r} names {len(names)} pairs.", remedy="name one pair at a time.")
    return names


def _subject(settings: Settings, pair: str | None, horizon: str) -> Subject:
    from forex_assets.lifecycle.subject import Subject

    names = parse_horizons(settings, horizon)
    if len(names) != 1:
        raise ValidationError(f"--horizon {horizon!r} names {len(names)} horizons.", remedy="name one at a time.")
    (pair_id,) = _pairs(settings, pair, only_one=True)
    return Subject.forecast(pair_id, names[0])


def _person(by: str | None) -> str:
    import getpass

    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ValidationError("Who does this is not known.", remedy="give --by NAME.") from error


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    import sys

    if not sys.stdin.isatty():
        raise ValidationError("This asks before it acts, and nobody is there to answer.", remedy="give --yes.")
    typer.confirm(question, abort=True, err=True)


def _running_forecasts(settings: Settings, pair_id: str) -> int | None:
    from forex_assets.home import dagster_home

    folder = dagster_home(settings)
    if not (folder / "dagster.yaml").exists():
        return 0  # no Dagster instance was ever made here, so nothing runs in one
    import dagster as dg

    from forex_assets.defs.deployment import running_forecasts

    os.environ.setdefault("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        return running_forecasts(instance, pair_id)


def _told(told: Any) -> list[dict[str, Any]]:
    return [
        {
            "sink": item.sink,
            "subject": item.subject.key,
            "generation": item.generation,
            "state": item.state,
            "detail": item.detail,
        }
        for item in told
    ]


def _answer(body: dict[str, Any], text: str, json_output: bool) -> None:
    if json_output:
        print_json(body)
    else:
        typer.echo(text)


def _print_status(found: list[dict[str, Any]]) -> None:
    from forex_assets.cli.tables import Column, print_table

    rows = [{"pair": item["pair"], **row} for item in found for row in item["horizons"]]
    columns: list[Column[dict[str, Any]]] = [
        Column("Pair", lambda row: row["pair"], once=True),
        Column("Horizon", lambda row: row["horizon"]),
        Column("In use", lambda row: row["current"]),
        Column("Model", lambda row: row["model"]),
        Column("From", lambda row: row["valid_from"] or ""),
        Column("Probation", _probation),
        Column("Staged", lambda row: row["staged"] or "", wide=True),
        Column("Last known good", lambda row: row["last_known_good"], wide=True),
    ]
    print_table(stdout(), rows, columns)
    for item in found:
        for problem in item["problems"]:
            typer.echo(f"{item['pair']}: {problem}")


def _probation(row: dict[str, Any]) -> str:
    if row["probation"] == "none":
        return ""
    if row["probation"] == "technical":
        return f"check {row['checks']['healthy']}/{row['checks']['made']}"
    days = row["decidable_in_days"]
    return f"~{float(days):.0f} days" if days is not None else "comparing"


def _print_entries(rows: list[dict[str, Any]]) -> None:
    from forex_assets.cli.tables import Column, print_table

    columns: list[Column[dict[str, Any]]] = [
        Column("Entry", lambda row: row["id"]),
        Column("When (UTC)", lambda row: row["at"][:16].replace("T", " ")),
        Column("Kind", lambda row: row["kind"]),
        Column("Subject", lambda row: row["subject"].removeprefix("forecast/")),
        Column("What", lambda row: row["what"]),
        Column("By", lambda row: row["actor"], wide=True),
        Column("Why", lambda row: row["reasons"][0], wide=True),
    ]
    print_table(stdout(), rows, columns)
