"""The platform's self-diagnosis: what is installed, configured, reachable, fresh and writable, and what to do about it.

:func:`diagnose` looks and changes nothing. A question that was asked and could not be answered is *unknown*, which is
never taken for fine; a question that was not asked (the network, unless wanted) is not in the answer.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from forex_assets.errors import ConfigError, DataError, ForexError, StoreError, ValidationError
from forex_assets.home import dagster_home
from forex_assets.ops.alerts import Outbox
from forex_assets.ops.schedule_export import schedules
from forex_assets.ops.secrets import FILE_SUFFIX, KNOWN_SECRETS, check_private_file, is_configured, redact, secret
from forex_assets.provenance import code_version
from forex_assets.schemas import OBSERVATIONS, TABLES
from forex_assets.settings import PairSpec, Settings

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from forex_assets.market.contract import Source
    from forex_assets.store.slice_file import SliceInfo
    from forex_assets.store.slices import SliceStore

State = Literal["ok", "warn", "fail", "unknown"]

_DISTRIBUTION = "forex_assets"
_PYTHON = ">=3.11,<3.13"
_FREE_WARN_BYTES = 1 << 30
_FREE_FAIL_BYTES = 200 << 20
_CALENDAR_AHEAD = dt.timedelta(days=400)
_RECENT_ALERTS = dt.timedelta(days=7)
_CONNECT_TIMEOUT_S = 2.0
_ANSWER_TIMEOUT_S = 4.0
_LISTED = 5
_REASON_WIDTH = 120
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_VERDICTS = {
    "bad": ("nothing downstream uses them", "look at the failed checks; materialise them again with the data right."),
    "unknown": ("too little evidence to judge them", "nothing: more data will tell."),
}
_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "bold red"),
    "unknown": ("unknown", "magenta"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: where it belongs, its state, what was seen, and what to do when it is not ok."""

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""


def diagnose(
    settings: Settings, *, now: dt.datetime, probe_network: bool, environ: Mapping[str, str] | None = None
) -> list[Finding]:
    """Return everything there is to say about this installation, in reading order.

    Parameters
    ----------
    now:
        The moment ages are counted to, zone-aware.
    probe_network:
        Whether to try the live providers (2 s to connect each, all at once); they are not asked when offline.
    environ:
        Environment to look at; default: the process's own.
    """
    if now.utcoffset() is None:
        raise ValidationError(f"The time {now!r} has no zone.", remedy="pass an aware datetime.")
    env = dict(os.environ if environ is None else environ)
    findings = [_python(), *_packages(), _program()]
    findings += _configuration(settings, now)
    findings += _credentials(settings, env)
    findings += [_home(settings.home), _disk(settings.home), *_dagster(settings, env)]
    findings += _sources(settings, now, env)
    findings += _stored(settings, now)
    findings += [_outbox(settings, now), _browser()]
    if probe_network:
        findings += _network(settings)
    return [Finding(item.area, item.name, item.state, redact(item.detail), redact(item.remedy)) for item in findings]


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 where everything is ok or a warning, 1 where anything failed or could not be told."""
    return 1 if any(finding.state in ("fail", "unknown") for finding in findings) else 0


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as JSON-ready values with a count per state."""
    counts = Counter(finding.state for finding in findings)
    return {
        "counts": {state: counts.get(state, 0) for state in _MARKS},
        "exit_code": exit_code(findings),
        "findings": [asdict(finding) for finding in findings],
    }


def render(findings: Sequence[Finding], console: Console) -> None:
    """Print the findings by area, remedies under what needs one."""
    from rich.table import Table
    from rich.text import Text

    name_width = max((len(finding.name) for finding in findings), default=0)
    for area in dict.fromkeys(finding.area for finding in findings):
        console.print(Text(area, style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
        table.add_column(width=max(len(label) for label, _ in _MARKS.values()))
        table.add_column(width=name_width)
        table.add_column(overflow="fold")
        for finding in findings:
            if finding.area != area:
                continue
            label, style = _MARKS[finding.state]
            table.add_row(Text(label, style=style), Text(finding.name), Text(finding.detail))
            if finding.remedy and finding.state != "ok":
                table.add_row("", "", Text(f"→ {finding.remedy}", style="dim"))
        console.print(table)
    counts = Counter(finding.state for finding in findings)
    console.print()
    console.print(Text(", ".join(f"{counts[state]} {label}" for state, (label, _) in _MARKS.items() if counts[state])))


def _python() -> Finding:
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    where = f"Python {version} ({platform.python_implementation()}) on {platform.system()} {platform.machine()}"
    if version not in SpecifierSet(_PYTHON, prereleases=True):
        return Finding("program", "python", "fail", where, f"use a Python {_PYTHON}.")
    return Finding("program", "python", "ok", where)


def _program() -> Finding:
    return Finding("program", "forex_assets", "ok", f"version {code_version()}")


def _packages() -> list[Finding]:
    from packaging.requirements import Requirement

    try:
        declared = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [
            Finding(
                "program",
                "packages",
                "unknown",
                "forex_assets is not installed in this environment, so its requirements cannot be read",
                "pip install -c constraints.txt . (or `make run`).",
            )
        ]
    wrong: list[Finding] = []
    checked = 0
    for text in declared:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        checked += 1
        try:
            have = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            have = None
        if have is None or not need.specifier.contains(have, prereleases=True):
            seen = "not installed" if have is None else f"version {have}"
            rule = f"{need.name}{need.specifier}"
            wrong.append(
                Finding(
                    "program", need.name, "fail", f"{seen}; needed: {rule}", f"pip install -c constraints.txt '{rule}'"
                )
            )
    return wrong or [Finding("program", "packages", "ok", f"{checked} required packages at the versions needed")]


def _configuration(settings: Settings, now: dt.datetime) -> list[Finding]:
    from forex_assets.clock import calendar_for

    found = []
    for pair in settings.pairs.values():
        detail = (
            f"{pair.label}: target {pair.target.series} ({pair.target.kind}), config {settings.config_hash(pair.id)}"
        )
        try:
            calendar_for(pair.calendars).roll_forward((now + _CALENDAR_AHEAD).date())
        except ForexError as error:
            found.append(Finding("configuration", pair.id, "fail", f"{detail}; {error.message}", error.remedy))
        else:
            found.append(Finding("configuration", pair.id, "ok", detail))
    try:
        timed = schedules(settings)
    except ValidationError as error:
        found.append(Finding("configuration", "schedules", "fail", error.message, error.remedy))
    else:
        listed = ", ".join(f"{name} '{cron.text}'" for name, cron in timed.items())
        found.append(Finding("configuration", "schedules", "ok", f"{listed} ({settings.platform.schedules.timezone})"))
    return found


def _credentials(settings: Settings, env: Mapping[str, str]) -> list[Finding]:
    found = []
    for name, purpose in KNOWN_SECRETS.items():
        if not is_configured(name, env):
            found.append(
                Finding(
                    "credentials",
                    name,
                    "warn",
                    f"not set ({purpose}); the sources after it in each chain are used",
                    f"optional: set {name}, or {name}{FILE_SUFFIX} to a file of mode 600.",
                )
            )
            continue
        try:
            secret(name, env)
        except ConfigError as error:
            found.append(Finding("credentials", name, "fail", error.message, error.remedy))
        else:
            place = "environment" if env.get(name, "").strip() else "private file"
            found.append(Finding("credentials", name, "ok", f"set ({place})"))
    env_file = settings.home / "forex.env"
    if env_file.exists():
        try:
            check_private_file(env_file, "The settings of scheduled runs")
        except ConfigError as error:
            found.append(Finding("credentials", "forex.env", "fail", error.message, error.remedy))
        else:
            found.append(Finding("credentials", "forex.env", "ok", "private (scheduled runs read it)"))
    return found


def _home(home: Path) -> Finding:
    existing = _existing(home)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as error:
        return Finding(
            "home",
            "folder",
            "fail",
            f"{home} cannot be written: {error.strerror or error}",
            "give write permission there, or set FOREX_HOME to a folder of your own.",
        )
    if existing != home:
        return Finding("home", "folder", "ok", f"{home} does not exist yet and can be made")
    return Finding("home", "folder", "ok", f"{home} can be written")


def _disk(home: Path) -> Finding:
    try:
        free = shutil.disk_usage(_existing(home)).free
    except OSError as error:
        return Finding(
            "home", "disk", "unknown", f"free space cannot be told: {error.strerror or error}", "check the disk."
        )
    detail = f"{free / (1 << 30):.1f} GiB free"
    remedy = "free some space, or set FOREX_HOME to a larger disk."
    if free < _FREE_FAIL_BYTES:
        return Finding("home", "disk", "fail", detail, remedy)
    return Finding("home", "disk", "warn" if free < _FREE_WARN_BYTES else "ok", detail, remedy)


def _existing(path: Path) -> Path:
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _dagster(settings: Settings, env: dict[str, str]) -> list[Finding]:
    folder = dagster_home(settings, env)
    target = folder / "dagster.yaml"
    if not folder.is_dir():
        return [Finding("dagster", "DAGSTER_HOME", "ok", f"{folder} will be made by the first run")]
    found = [Finding("dagster", "DAGSTER_HOME", "ok", str(folder))]
    if not folder.is_relative_to(settings.home):
        found = [
            Finding(
                "dagster",
                "DAGSTER_HOME",
                "warn",
                f"{folder} is outside the home folder {settings.home}",
                "unset DAGSTER_HOME, so that all state lives under one folder.",
            )
        ]
    try:
        have, want = _yaml_mapping(target), _yaml_mapping(settings.config_dir / "dagster.yaml")
    except DataError as error:
        return [*found, Finding("dagster", "dagster.yaml", "fail", error.message, error.remedy)]
    changed = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    if changed:
        found.append(
            Finding(
                "dagster",
                "dagster.yaml",
                "warn",
                f"differs from the shipped one in: {', '.join(changed)}",
                "delete it to get the shipped one on the next run, or keep it if that is meant.",
            )
        )
    else:
        found.append(Finding("dagster", "dagster.yaml", "ok", "as shipped (telemetry off, queued runs, pools)"))
    return found


def _yaml_mapping(path: Path) -> dict[str, Any]:
    import yaml

    remedy = "delete it: the next run writes the shipped one."
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", remedy="run `forex run`: it writes the shipped one.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read: {error}", remedy=remedy) from error
    if not isinstance(body, dict):
        raise DataError(f"{path} holds {type(body).__name__}, not a mapping", remedy=remedy)
    return body


def _sources(settings: Settings, now: dt.datetime, env: Mapping[str, str]) -> list[Finding]:
    built = _build_sources(settings, now, env)
    folder = "" if settings.data_dir is None else f"; folder: {settings.data_dir}"
    mode = "off (FOREX_OFFLINE=1)" if settings.offline else "on"
    found = [Finding("sources", "live providers", "warn" if settings.offline else "ok", f"{mode}{folder}", _ONLINE)]
    served = 0
    for pair in settings.pairs.values():
        finding = _pair_sources(settings, pair, built)
        served += finding.state == "ok" or "no source for its target" not in finding.detail
        found.append(finding)
    if not served:
        remedy = "set FOREX_DATA_DIR, or reinstall the package with its embedded series."
        found.append(Finding("sources", "all pairs", "fail", "no pair has a source for its target", remedy))
    return found


_ONLINE = "unset FOREX_OFFLINE to let runs ask for the newest values."


def _build_sources(settings: Settings, now: dt.datetime, env: Mapping[str, str]) -> dict[str, Source]:
    from forex_assets.market.http.gateway import HttpGateway
    from forex_assets.market.sources import build_sources

    gateway = HttpGateway(settings.platform.providers.http, cache_dir=None, now=now)
    try:
        return build_sources(settings, now=now, gateway=gateway, environ=env)
    except ConfigError:
        # Already a finding of its own under credentials; what is configured without them is still worth telling.
        public = {name: value for name, value in env.items() if name.removesuffix(FILE_SUFFIX) not in KNOWN_SECRETS}
        return build_sources(settings, now=now, gateway=gateway, environ=public)


def _pair_sources(settings: Settings, pair: PairSpec, built: Mapping[str, Source]) -> Finding:
    reasons: dict[str, str] = {}

    def configured(series: str) -> list[str]:
        names = []
        for name in pair.chains[series]:
            why = built[name].not_configured(settings.series[series]) if name in built else "no such source"
            if why is None:
                names.append(name)
            elif series == pair.target.series:
                reasons[name] = why
        return names

    target = configured(pair.target.series)
    missing = [name for name in pair.drivers if not configured(name)]
    not_asked = "".join(f"; {name}: {why}" for name, why in reasons.items())
    if not target:
        detail = f"no source for its target {pair.target.series}{not_asked}"
        return Finding("sources", pair.id, "warn", detail, "set FOREX_DATA_DIR to a folder that has it.")
    detail = f"{pair.target.series} from {', '.join(target)}{not_asked}"
    if missing:
        detail += f"; {len(missing)} of {len(pair.drivers)} drivers have no source: {', '.join(missing)}"
        return Finding("sources", pair.id, "warn", detail, "optional: set FOREX_DATA_DIR to a folder that has them.")
    return Finding("sources", pair.id, "ok", detail)


def _stored(settings: Settings, now: dt.datetime) -> list[Finding]:
    from forex_assets.store.slices import SliceStore

    try:
        store = SliceStore(settings.store_root)
        pairs = store.pairs()
    except (StoreError, ValidationError) as error:
        return [Finding("store", "slices", "fail", error.message, error.remedy)]
    if not pairs:
        empty = Finding("store", "slices", "warn", "nothing is stored yet", "run `forex run`.")
        return [empty, _warehouse(settings, now, None)]
    infos, damaged = _inspect(store, pairs)
    found = [_freshness(settings, store, pair, now) for pair in settings.pairs.values()]
    found.append(
        Finding("store", "slices", "ok", f"{len(infos)} slices of {len(pairs)} pairs, {_size(infos)}")
        if not damaged
        else Finding(
            "store",
            "slices",
            "fail",
            f"{len(damaged)} of {len(damaged) + len(infos)} slices cannot be read: "
            + _first([error.message.rstrip(".") for error in damaged]),
            damaged[0].remedy,
        )
    )
    for state, (rule, remedy) in _VERDICTS.items():
        slices = [info for info in infos if info.verdict.state == state]
        if slices:
            shown = _first([_label(info) for info in slices])
            found.append(Finding("store", f"verdict {state}", "warn", f"{len(slices)} slices, {rule}: {shown}", remedy))
    newest = max((info.written_at for info in infos), default=None)
    return [*found, _warehouse(settings, now, newest)]


def _inspect(store: SliceStore, pairs: Sequence[str]) -> tuple[list[SliceInfo], list[StoreError]]:
    infos: list[SliceInfo] = []
    damaged: list[StoreError] = []
    for pair in pairs:
        for table in TABLES.values():
            for key in store.keys(table, pair):
                try:
                    infos.append(store.info(table, pair, key))
                except StoreError as error:
                    damaged.append(error)
    return infos, damaged


def _freshness(settings: Settings, store: SliceStore, pair: PairSpec, now: dt.datetime) -> Finding:
    if not store.exists(OBSERVATIONS, pair.id, ()):
        return Finding("data", pair.id, "warn", "no observations stored yet", f"run `forex run --pair {pair.id}`.")
    columns = ["series", "event_time", "source", "withdrawn_at"]
    try:
        rows = store.read(OBSERVATIONS, pair.id, [()], columns=columns, allow_bad=True)
    except (StoreError, DataError) as error:
        return Finding("data", pair.id, "unknown", f"age of the data unknown: {error.message}", error.remedy)
    usable = rows.loc[rows["withdrawn_at"].isna()]
    ages = {name: _age(settings, name, usable, now) for name in pair.all_series}
    target = ages[pair.target.series]
    stale = [name for name in pair.drivers if ages[name] is None or not ages[name].fresh]  # type: ignore[union-attr]
    drivers = f"{len(pair.drivers) - len(stale)} of {len(pair.drivers)} drivers fresh" if pair.drivers else "no drivers"
    drivers += f" (not: {', '.join(stale)})" if stale else ""
    if target is None:
        return Finding(
            "data",
            pair.id,
            "warn",
            f"no usable value of {pair.target.series} is stored; {drivers}",
            "see what each source answered: `forex status`.",
        )
    detail = f"{pair.target.series} through {target.newest} from {target.source}, {target.sessions} business days old"
    detail += f" (limit {target.limit}); {drivers}"
    remedy = "run `forex run` with a network or a newer FOREX_DATA_DIR; embedded series end where the package does."
    return Finding("data", pair.id, "ok" if target.fresh and not stale else "warn", detail, remedy)


@dataclass(frozen=True, slots=True)
class _Age:
    newest: dt.date
    source: str
    sessions: int
    limit: int

    @property
    def fresh(self) -> bool:
        return self.sessions <= self.limit


def _age(settings: Settings, series: str, usable: pd.DataFrame, now: dt.datetime) -> _Age | None:
    from forex_assets.clock import AsOf, calendar_for

    spec = settings.series[series]
    today = AsOf(now.astimezone(dt.UTC)).date
    rows = usable.loc[usable["series"] == series]
    rows = rows.loc[rows["event_time"].dt.date <= today] if len(rows) else rows
    if rows.empty:
        return None
    last = rows.loc[rows["event_time"].idxmax()]
    newest = last["event_time"].date()
    sessions = int(calendar_for(spec.calendar).count(newest, today))
    return _Age(newest, str(last["source"]), sessions, spec.max_age_business_days)


def _warehouse(settings: Settings, now: dt.datetime, newest_slice: dt.datetime | None) -> Finding:
    path = settings.home / "warehouse.duckdb"
    publish = "run `forex run`: it ends by publishing the warehouse."
    try:
        made = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    except FileNotFoundError:
        return Finding("store", "warehouse", "warn", "not published yet", publish)
    except OSError as error:
        return Finding("store", "warehouse", "unknown", f"{path}: {error.strerror or error}", "check the home folder.")
    detail = f"published {made:%Y-%m-%d %H:%M} UTC, {_ago(now - made)}"
    if newest_slice is not None and made < newest_slice:
        return Finding("store", "warehouse", "warn", f"{detail}; slices were written after it", publish)
    return Finding("store", "warehouse", "ok", detail)


def _outbox(settings: Settings, now: dt.datetime) -> Finding:
    outbox = Outbox.from_settings(settings)
    try:
        content = outbox.read()
    except StoreError as error:
        return Finding("alerts", "outbox", "unknown", error.message, error.remedy)
    if content.corrupt:
        numbers = _first([str(line.number) for line in content.corrupt])
        return Finding(
            "alerts",
            "outbox",
            "fail",
            f"{len(content.corrupt)} lines of {outbox.path} are not alerts: {numbers}",
            "read those lines, then delete them; the others are not affected.",
        )
    recent = [alert for _, alert in content.alerts if now - alert.created_at <= _RECENT_ALERTS]
    counts = Counter(alert.severity for alert in recent)
    listed = ", ".join(f"{counts[name]} {name}" for name in counts)
    detail = f"{len(content.alerts)} alerts, {len(recent)} in the last 7 days" + (f" ({listed})" if listed else "")
    if counts["high"] or counts["critical"]:
        worst = [alert for alert in recent if alert.severity in ("high", "critical")][-1]
        detail += f"; newest of those: {worst.title}"
        return Finding("alerts", "outbox", "warn", detail, f"read {outbox.path}.")
    return Finding("alerts", "outbox", "ok", detail)


def _browser() -> Finding:
    for name in _BROWSERS:
        if shutil.which(name):
            return Finding("optional", "browser", "ok", f"{name} found (screenshots and browser tests)")
    return Finding(
        "optional", "browser", "warn", "no Chromium found; browser tests skip", "optional: install chromium."
    )


def _network(settings: Settings) -> list[Finding]:
    if settings.offline:
        return [Finding("network", "live providers", "warn", "not asked: FOREX_OFFLINE=1", _ONLINE)]
    urls = settings.platform.providers.addresses()
    answers: dict[str, tuple[State, str]] = {}

    def ask(name: str) -> Callable[[], None]:
        def run() -> None:
            answers[name] = _reach(urls[name])

        return run

    # Daemon threads: a resolver that hangs must hold up neither the answer nor the end of the process.
    threads = {name: threading.Thread(target=ask(name), daemon=True, name=f"doctor-{name}") for name in urls}
    deadline = time.monotonic() + _CONNECT_TIMEOUT_S + _ANSWER_TIMEOUT_S
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    remedy = "nothing, if that is normal here: runs go on with local sources. Else check network and proxy settings."
    found = []
    for name in urls:
        state, detail = answers.get(name, ("warn", "no answer in time"))
        found.append(Finding("network", name, state, detail, remedy))
    return found


def _reach(url: str) -> tuple[State, str]:
    import httpx

    timeout = httpx.Timeout(_ANSWER_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
    started = time.monotonic()
    host = httpx.URL(url).host
    try:
        with httpx.Client(timeout=timeout, follow_redirects=False) as client, client.stream("GET", url) as answer:
            status = answer.status_code
    except httpx.HTTPError as error:
        return "warn", f"{host} cannot be reached: {str(error) or type(error).__name__}"
    return "ok", f"{host} answered {status} in {1000 * (time.monotonic() - started):.0f} ms"


def _label(info: SliceInfo) -> str:
    name = "/".join((info.pair, info.table, *info.key))
    if info.verdict.state == "unknown":
        return name
    reasons = "; ".join(info.verdict.reasons) or "no reason given"
    return f"{name} ({textwrap.shorten(reasons, _REASON_WIDTH, placeholder='…')})"


def _first(items: Sequence[str]) -> str:
    more = len(items) - _LISTED
    return ", ".join(items[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _size(infos: Sequence[SliceInfo]) -> str:
    return f"{sum(info.size_bytes for info in infos) / (1 << 20):.1f} MiB"


def _ago(age: dt.timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
