"""What is stored: slices and their verdicts, the age of the data, the warehouse, and the alerts."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forex_assets.errors import DataError, StoreError, ValidationError
from forex_assets.ops.alerts import Outbox
from forex_assets.ops.doctor.findings import Finding, listed
from forex_assets.schemas import OBSERVATIONS, TABLES
from forex_assets.settings import PairSpec, Settings

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.store.slice_file import SliceInfo
    from forex_assets.store.slices import SliceStore

_RECENT_ALERTS = dt.timedelta(days=7)
_REASON_WIDTH = 120
_VERDICTS = {
    "bad": ("nothing downstream uses them", "look at the failed checks; materialise them again with the data right."),
    "unknown": ("too little evidence to judge them", "nothing: more data will tell."),
}


def stored(settings: Settings, now: dt.datetime) -> list[Finding]:
    """Return the state of slices, data and warehouse."""
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
            + listed([error.message.rstrip(".") for error in damaged]),
            damaged[0].remedy,
        )
    )
    for state, (rule, remedy) in _VERDICTS.items():
        slices = [info for info in infos if info.verdict.state == state]
        if slices:
            shown = listed([_label(info) for info in slices])
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
    stale = [name for name in pair.drivers if (age := ages[name]) is None or not age.fresh]
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


def outbox(settings: Settings, now: dt.datetime) -> Finding:
    """Return what the alert outbox holds."""
    box = Outbox.from_settings(settings)
    try:
        content = box.read()
    except StoreError as error:
        return Finding("alerts", "outbox", "unknown", error.message, error.remedy)
    if content.corrupt:
        numbers = listed([str(line.number) for line in content.corrupt])
        return Finding(
            "alerts",
            "outbox",
            "fail",
            f"{len(content.corrupt)} lines of {box.path} are not alerts: {numbers}",
            "read those lines, then delete them; the others are not affected.",
        )
    recent = [alert for _, alert in content.alerts if now - alert.created_at <= _RECENT_ALERTS]
    counts = Counter(alert.severity for alert in recent)
    shown = ", ".join(f"{counts[name]} {name}" for name in counts)
    detail = f"{len(content.alerts)} alerts, {len(recent)} in the last 7 days" + (f" ({shown})" if shown else "")
    if counts["high"] or counts["critical"]:
        worst = [alert for alert in recent if alert.severity in ("high", "critical")][-1]
        detail += f"; newest of those: {worst.title}"
        return Finding("alerts", "outbox", "warn", detail, f"read {box.path}.")
    return Finding("alerts", "outbox", "ok", detail)


def _label(info: SliceInfo) -> str:
    name = "/".join((info.pair, info.table, *info.key))
    if info.verdict.state == "unknown":
        return name
    reasons = "; ".join(info.verdict.reasons) or "no reason given"
    return f"{name} ({textwrap.shorten(reasons, _REASON_WIDTH, placeholder='…')})"


def _size(infos: Sequence[SliceInfo]) -> str:
    return f"{sum(info.size_bytes for info in infos) / (1 << 20):.1f} MiB"


def _ago(age: dt.timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
