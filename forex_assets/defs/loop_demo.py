"""``forex demo loop``: the whole loop once, on real data in a home of its own, with planted degradation and harm.

Sensors and jobs are the platform's own, on a real Dagster instance; the sensors are evaluated here, one after another,
in place of the daemon, which would ask them once a minute. Planted are the degradation (the configuration in use halves
the width of its intervals, which the monitors must find) and the harm (the promoted version's file and its copy are
overwritten, as a bad disk would).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.run import Runner, run_pair
from forex_assets.errors import DataError, StoreError, ValidationError
from forex_assets.home import prepare_home
from forex_assets.lifecycle.decisions import replay
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import SETTINGS
from forex_assets.lifecycle_view import entry_row
from forex_assets.reporting.loop_story import Chapter, Story
from forex_assets.settings import Settings, load_settings

PAIR, HORIZON = "usdclp", "7d"
WEAK_START = "rw_ewma"
PLANTED = {"width": 0.5}
"""The degradation: intervals half as wide as the volatility says."""
DAYS = 4
CHECK_EVERY_S = 1
_MAX_CHECKS = 12
_MARK = "demo-loop.txt"
Told = Callable[[str], None]


def prepare(home: Path, config_dir: Path, told: Told = lambda text: None) -> Settings:
    """Make a home with a configuration of its own: one tenor, the weak start, a small search, checks each second.

    Raises
    ------
    ValidationError
        When the folder holds something that is not an earlier demo.
    StoreError
        When it cannot be written.
    """
    if home.exists() and any(home.iterdir()):
        if not (home / _MARK).is_file():
            raise ValidationError(
                f"--home {home} is not empty and no home of an earlier demo.", remedy="name a folder that is not there."
            )
        raise ValidationError(f"--home {home} holds an earlier demo.", remedy="delete it, or name another folder.")
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / _MARK).write_text("Home of `forex demo loop`: planted weakness and harm. Not for use.\n")
        folder = home / "demo-configs"
        shutil.copytree(config_dir, folder)
    except OSError as error:
        raise StoreError(
            f"Cannot write {home}: {error.strerror or error}.", remedy="name a writable folder with --home."
        ) from error
    edit_config(folder)
    told(f"home {home}, configuration {folder}")
    environ = {"FOREX_HOME": str(home), "FOREX_OFFLINE": "1", "FOREX_PAIRS": PAIR}
    return load_settings(folder, environ)


def edit_config(folder: Path) -> None:
    """Plant the weak start in a configuration folder, and make the search small and the checks frequent."""

    def platform(body: dict[str, Any]) -> None:
        body["horizons"] = {HORIZON: 7}
        body["backtest"]["start"] = dt.date(2019, 1, 2)
        forecast = body["forecast"]
        forecast["models"] = [*(name for name in forecast["models"] if name != WEAK_START), WEAK_START]
        forecast["parameters"] = {**(forecast.get("parameters") or {}), WEAK_START: dict(PLANTED)}

    def search(body: dict[str, Any]) -> None:
        body["search"].update({"models": ["loghar", "rw_ewma"], "trials": 6, "history_years": 6})

    def deployment(body: dict[str, Any]) -> None:
        body["probation"]["technical"].update({"check_every_s": CHECK_EVERY_S})
        body["guards"]["frozen_windows"] = []

    _edit(folder / "platform.yaml", platform)
    _edit(folder / "pairs" / f"{PAIR}.yaml", lambda body: body.update(active_model=WEAK_START))
    _edit(folder / "optimization.yaml", search)
    _edit(folder / "deployment.yaml", deployment)


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    import yaml

    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(body)
    path.write_text(yaml.safe_dump(body, sort_keys=False, allow_unicode=True), encoding="utf-8")


def run_demo(home: Path, config_dir: Path, *, daemon: bool = False, told: Told = lambda text: None) -> Story:
    """Make the home, run the pair's graph in it, and play the loop.

    Parameters
    ----------
    daemon:
        Whether the real Dagster daemon asks the sensors and launches the runs; minutes instead of seconds.

    Raises
    ------
    ForexError
        When a step does not do what the story says; what happened so far is in the home.
    """
    settings = prepare(home, config_dir, told)
    before = {name: os.environ.get(name) for name in ("DAGSTER_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")}
    environ = {"DAGSTER_HOME": str(home / "dagster")}
    prepare_home(settings, environ)
    os.environ.update(environ)
    try:
        with dg.DagsterInstance.get() as instance:
            runner = Runner(settings, instance)
            told("market data, forecasts, scores and monitors of the weak start")
            outcome = run_pair(runner, PAIR, as_of=None, days=DAYS)
            if outcome.error is not None:
                raise outcome.error
            if daemon:
                from forex_assets.defs.loop_daemon import DaemonDemo

                return DaemonDemo(runner, told).play_with(home / "logs" / "daemon.log")
            return Demo(runner, told).play()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Demo:
    """The loop on a home where the pair's graph has run once with the weak start in use."""

    by_daemon = False

    def __init__(self, runner: Runner, told: Told = lambda text: None, *, isolated: bool = True) -> None:
        self.runner, self.pipeline, self.told, self.isolated = runner, runner.pipeline, told, isolated
        self.subject = Subject.forecast(PAIR, HORIZON)
        self.chapters: list[Chapter] = []
        self._seen = 0
        self._started = time.perf_counter()

    def play(self) -> Story:
        """Go from the weak start to the rollback, and return the story.

        Raises
        ------
        DataError
            When a sensor asks for nothing where the story needs it, or a decision comes out otherwise.
        """
        day = self.pipeline.snapshot_days(PAIR)[-1]
        start = self.pipeline.active(PAIR, HORIZON)
        self._tell("start", day=str(day), model=start.model, config_hash=start.config_hash, scores=self._scores())

        self._watch()
        self._follow("trigger")
        trigger = self._newest("trigger")
        self._expect(trigger.outcome["should_optimize"], "the trigger asks for no search", trigger.reasons)
        asking = trigger.outcome["asking"]
        self._expect("performance" in asking, "the planted degradation was not found", trigger.reasons)
        rules = [{"rule": name, **rule} for name, rule in trigger.outcome["rules"].items()]
        self._tell("trigger", rules=rules, asking=asking)

        self._follow("optimize")
        search, gate = self._newest("search"), self._newest("gate")
        table = sorted(self._search_table(), key=lambda row: row["objective"] or np.inf)
        self._tell(
            "search", table=table[:6], trials=len(table), candidate=search.outcome["candidate"], kinds=["search"]
        )
        self._expect(gate.outcome["approved"], "the gate says no", gate.reasons)
        self._tell("gate", criteria=gate.outcome["criteria"], judged_on=gate.outcome["judged_on"], kinds=["gate"])

        self._follow("deploy")
        active = self.pipeline.active(PAIR, HORIZON)
        self._expect(active.origin == search.outcome["candidate"], "the candidate is not in use", gate.reasons)
        next_day = self._forecast_next(day)
        version = self.pipeline.lifecycle.versions.get(active.origin)
        self._tell(
            "deployed",
            version=active.origin,
            changes=version.diff(None),
            forecasts=[self._forecast_row(day), self._forecast_row(next_day)],
        )
        made = self._forecast_row(next_day)
        self._expect(made["config_hash"] == active.config_hash, "the forecast carries another hash", [str(made)])

        self._follow("probation")
        health = self._health()
        self._expect(health["verdict"] != "unhealthy", "the first check failed", [health["reasons"]])
        self._tell("watched", health=health)

        self._plant_harm(active.origin)
        self._tell("harm", version=active.origin, files=len(self._files(active.origin)))
        for _ in range(_MAX_CHECKS):
            time.sleep(CHECK_EVERY_S)
            self._follow("probation")
            if self.pipeline.lifecycle.of(self.subject).current == SETTINGS:
                break
        after = self.pipeline.active(PAIR, HORIZON)
        self._expect(after.origin == "settings", "nothing was rolled back", [str(self._health())])
        last_day = self._forecast_next(next_day)
        forecasts = [self._forecast_row(item) for item in (day, next_day, last_day)]
        incident = self.pipeline.lifecycle.of(self.subject).incident
        self._tell("rolled_back", forecasts=forecasts, incident=incident, health=self._health())
        back = forecasts[-1]["config_hash"]
        self._expect(back == start.config_hash, "the next forecast carries another hash", [back])
        self._check_the_books()
        seconds = time.perf_counter() - self._started
        return Story(PAIR, HORIZON, str(day), tuple(self.chapters), seconds, self.by_daemon)

    # ---- steps -------------------------------------------------------------------------------------------------

    def _follow(self, sensor: str) -> None:
        """Evaluate one of the pair's sensors as the daemon does, and carry out what it asks for."""
        definitions = self.runner.repository
        found = definitions.resolve_sensor_def(f"{PAIR}_{sensor}")
        context = dg.build_sensor_context(
            instance=self.runner.instance, repository_def=definitions.get_repository_def(), sensor_name=found.name
        )
        data = found.evaluate_tick(context)
        requests = [item for item in data.run_requests or [] if item.partition_key in (None, HORIZON)]
        self._expect(requests, f"sensor {found.name} asks for nothing", [data.skip_message or ""])
        for request in requests:
            config = {name: dict(value) for name, value in (request.run_config or {}).items()}
            if not self.isolated and "ops" in config:
                config["ops"][f"{PAIR}__candidate_config"]["config"]["isolated"] = False
            self.told(f"sensor {found.name} asks for {found.job_name} {request.partition_key or ''}".rstrip())
            self.runner.execute(
                str(found.job_name),
                first=request.partition_key,
                last=request.partition_key,
                config=config,
                tags={name: value for name, value in request.tags.items() if name != "dagster/partition"},
            )

    def _watch(self) -> None:
        """Have the monitors judge the newest two days: the trigger wants what they find confirmed."""
        for day in self.pipeline.snapshot_days(PAIR)[-2:]:
            text = day.isoformat()
            self.told(f"the monitors judge {text}")
            self.runner.execute(jobs.job_name(PAIR, jobs.MONITORING), first=text, last=text, tags={"pair": PAIR})

    def _forecast_next(self, day: dt.date) -> dt.date:
        """Snapshot the next business day, and let the sensor of new bars have it forecast."""
        calendar = self.pipeline.calendar(PAIR)
        found: dt.date = calendar.add(np.array([day], dtype="datetime64[D]"), 1)[0].item()
        text = found.isoformat()
        self.runner.execute(jobs.job_name(PAIR, jobs.SNAPSHOT), first=text, last=text, tags={"pair": PAIR})
        self._follow("forecast_new_bars")
        return found

    def _plant_harm(self, version: str) -> None:
        for path in self._files(version):
            path.chmod(0o644)
            path.write_text('{"planted": "overwritten by forex demo loop"}\n', encoding="utf-8")
        self.told(f"planted harm: {version} overwritten in {len(self._files(version))} files")

    def _files(self, version: str) -> list[Path]:
        return sorted((self.pipeline.lifecycle.root / "versions").rglob(f"{version}*.json"))

    def _check_the_books(self) -> None:
        ledger = self.pipeline.lifecycle.ledger
        checked = self.pipeline.lifecycle.verify()
        replayed = [(entry.kind, replay(ledger, entry.id).result) for entry in ledger.entries() if entry.function]
        self._expect(checked.intact, "the ledger is not intact", [fault.problem for fault in checked.faults])
        self._expect(all(result == "same" for _, result in replayed), "a decision replays otherwise", [str(replayed)])
        self._tell("books", lines=checked.lines, head=checked.head, replayed=len(replayed))

    # ---- what was seen -----------------------------------------------------------------------------------------

    def _tell(self, key: str, *, kinds: list[str] | None = None, **facts: Any) -> None:
        """Close a chapter: its facts, and the ledger entries made since the last one (of some kinds)."""
        entries = self.pipeline.lifecycle.ledger.entries()
        new = [entry for entry in entries[self._seen :] if kinds is None or entry.kind in kinds]
        self._seen += len(new)
        rows = tuple(entry_row(entry) for entry in new)
        self.chapters.append(Chapter(key, facts, rows, time.perf_counter() - self._started))
        self.told(f"[{len(self.chapters)}] {key}")

    def _newest(self, kind: str) -> Any:
        found = self.pipeline.lifecycle.ledger.entries(subject=self.subject, kinds=(kind,), limit=1)
        self._expect(found, f"the ledger has no {kind}", [])
        return found[0]

    def _scores(self) -> list[dict[str, Any]]:
        """Return the scores of the weak start and of the model calibrated on past errors, side by side."""
        frame = self.pipeline.store.read(schemas.BACKTEST, PAIR, [(HORIZON,)])
        frame = frame.loc[frame["actual"].notna() & frame["model"].isin([WEAK_START, "champion_zero"])]
        inside = (frame["actual"] >= frame["q025"]) & (frame["actual"] <= frame["q975"])
        found = frame.assign(inside=inside).groupby("model")["inside"].agg(["mean", "size"])
        return [
            {"model": str(name), "coverage_95": float(row["mean"]), "n": int(row["size"])}
            for name, row in found.iterrows()
        ]

    def _search_table(self) -> list[Mapping[str, Any]]:
        from forex_assets.lifecycle.reports import CandidateReport
        from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG

        return list(CandidateReport.from_frame(self.pipeline.store.read(CANDIDATE_CONFIG, PAIR, [(HORIZON,)])).table)

    def _forecast_row(self, day: dt.date) -> dict[str, Any]:
        frame = self.pipeline.store.read(schemas.FORECAST, PAIR, [(HORIZON, day.isoformat())])
        row = frame.loc[frame["is_active"] & frame["is_target"]].iloc[0]
        names = ("mean", "q025", "q975")
        figures = {name: float(row[name]) for name in names}
        return {"day": day.isoformat(), "model": row["model"], "config_hash": row["config_hash"], **figures}

    def _health(self) -> dict[str, Any]:
        from forex_assets.schemas.lifecycle import POST_DEPLOYMENT_HEALTH

        row = self.pipeline.store.read(POST_DEPLOYMENT_HEALTH, PAIR, [(HORIZON,)]).iloc[0]
        return {name: str(row[name]) for name in ("phase", "verdict", "checks", "failed_in_a_row", "reasons")}

    def _expect(self, holds: Any, what: str, why: Any) -> None:
        if not holds:
            raise DataError(
                f"The demo stopped: {what}. {'; '.join(str(item) for item in why)}".strip(),
                remedy=f"look at its home {self.pipeline.settings.home} (`forex ledger show`).",
            )
