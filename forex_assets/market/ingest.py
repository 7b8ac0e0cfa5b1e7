"""Ingestion: fetch every series of a pair, date its publication, and merge it with what is stored.

Nothing stored is ever lost. A value that did not change keeps the moment it was first fetched; a value that changed is
a new row, available from the moment the change was seen, and the old row is withdrawn at that moment: what was known
before stays reproducible.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.arrays import Dates
from forex_assets.errors import ConfigError, DataError, SourceError, ValidationError
from forex_assets.market.chain import Outcome, Resolved, Window, is_published_ahead, resolve
from forex_assets.market.contract import AVAILABLE_AT, PRICE_COLUMNS, FetchRequest, References, Source
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.publication import available_at
from forex_assets.market.quality import apply_quality
from forex_assets.market.sources import OverHttp, build_sources
from forex_assets.market.vintages.archive import RawArchive
from forex_assets.market.vintages.releases import stand_released
from forex_assets.schemas import OBSERVATIONS, PROVENANCE, SOURCE_STATUS, Table
from forex_assets.settings import PairSpec, SeriesSpec, Settings

REVISION = "revision"
_HISTORY_START = dt.date(1999, 1, 1)
_DRIVER_WARM_UP = dt.timedelta(days=366)
_VERSION = ["series", "event_time"]
# Two sources that print the same rate to six decimals agree.
_PRINT_ROUNDING = 5.1e-7
_FLOAT_NOISE = 1e-9
_NOWHERE = np.empty(0, dtype=np.intp)
_NO_ROWS = OBSERVATIONS.empty().drop(columns=list(PROVENANCE))


@dataclass(frozen=True)
class Ingest:
    """What one ingestion of a pair holds.

    Parameters
    ----------
    pair:
        Pair id.
    observations:
        Table ``observations`` without the provenance columns: everything stored plus everything new.
    source_status:
        Table ``source_status`` without the provenance columns: one row per series and source of its chain.
    notes:
        What a person should be told once, for example that no live provider could be asked.
    """

    pair: str
    observations: pd.DataFrame
    source_status: pd.DataFrame
    notes: tuple[str, ...] = ()

    def require(self, series: str) -> None:
        """Raise unless at least one good observation of ``series`` is held.

        Raises
        ------
        DataError
            Naming what became of every source in the chain.
        """
        rows = self.observations
        if ((rows["series"] == series) & rows["withdrawn_at"].isna()).any():
            return
        chain = self.source_status[self.source_status["series"] == series]
        told = "; ".join(
            f"{source}: {state}" + (f" ({reason})" if reason else "")
            for source, state, reason in zip(chain["source"], chain["state"], chain["reason"], strict=True)
        )
        raise DataError(
            f"No source gave a usable value of {series} for {self.pair}. {told}.",
            remedy="set FOREX_DATA_DIR to a folder that has it, configure a provider, or read docs/data-sources.md.",
        )


def ingest(
    settings: Settings,
    pair_id: str,
    *,
    now: dt.datetime,
    stored: pd.DataFrame | None = None,
    environ: Mapping[str, str] | None = None,
    gateway: HttpGateway | None = None,
    sources: Mapping[str, Source] | None = None,
    archive: RawArchive | None = None,
    releases: pd.DataFrame | None = None,
) -> Ingest:
    """Fetch every series of a pair in parallel and merge it with what is stored.

    Parameters
    ----------
    settings:
        Catalogue, chains, providers, quality limits.
    pair_id:
        The pair.
    now:
        The moment of this ingestion, zone-aware; becomes ``retrieved_at`` of every new row.
    stored:
        The observations held so far, with or without provenance columns.
    environ:
        Where credentials are read; default: the process's environment.
    gateway, sources:
        Shared HTTP client and sources, where several pairs are ingested together; default: built here.
    archive:
        Keeps every payload taken in, before any row is used; default: none is kept.
    releases:
        Table ``quarantine_release`` of the pair: rows a person put back stand, whatever the rules say of them.

    Raises
    ------
    ConfigError
        When the pair is unknown or an address is malformed.
    ValidationError
        When ``now`` has no time zone.
    """
    if now.tzinfo is None:
        raise ValidationError(f"now={now.isoformat()} has no time zone.", remedy="give a zone-aware instant.")
    pair = settings.pair(pair_id)
    instant = now.astimezone(dt.UTC)
    held = _conform_stored(stored, pair)
    places = _places(held)
    with contextlib.ExitStack() as stack:
        if sources is None:
            client = gateway or stack.enter_context(open_gateway(settings, now=instant))
            sources = build_sources(settings, now=instant, gateway=client, environ=environ)
        resolved = _resolve_all(settings, pair, sources, instant, held, places)
    if archive is not None:
        archive.keep([item for result in resolved.values() for item in result.asked])
    parts = [held]
    status: list[pd.DataFrame] = []
    for name in pair.all_series:
        spec, chain = settings.series[name], pair.chains[name]
        mine = held.iloc[places.get(name, _NOWHERE)]
        fresh, early = _observe(spec, pair, _all_versions(resolved[name], mine), instant)
        parts.append(new_rows(mine, fresh, chain, now=instant))
        status.append(_status_rows(pair, name, resolved[name].outcomes, instant, early))
    merged = _stacked([part for part in parts if len(part)] or [held])
    judged = _judge(merged, settings, pair, instant, releases)
    return Ingest(
        pair=pair.id,
        observations=_order(judged, pair),
        source_status=_conform(pd.concat(status, ignore_index=True), SOURCE_STATUS),
        notes=_notes(resolved),
    )


def open_gateway(settings: Settings, *, now: dt.datetime) -> HttpGateway:
    """Return the HTTP client of one ingestion, with its cache under the home folder; close it after use."""
    return HttpGateway(settings.platform.providers.http, cache_dir=settings.home / "cache" / "http", now=now)


@contextlib.contextmanager
def shared_sources(settings: Settings, *, now: dt.datetime) -> Iterator[Mapping[str, Source]]:
    """Give the sources several pairs are ingested with, over one client: what one of them asked, all have."""
    with open_gateway(settings, now=now) as gateway:
        yield build_sources(settings, now=now, gateway=gateway)


def merge_series(stored: pd.DataFrame, fresh: pd.DataFrame, chain: Sequence[str], *, now: dt.datetime) -> pd.DataFrame:
    """Merge fresh observations of one series into the stored ones.

    A date not held is added. A date held with the same value stays as it is. A changed value from the same source, or a
    different value from a source of higher precedence, is a revision: a new row available from ``now`` at the earliest
    (:func:`withdraw_replaced` then withdraws the row it replaces at that instant).

    Parameters
    ----------
    stored, fresh:
        Observations of one series; of an event time that ``fresh`` holds several versions of, all are taken where
        nothing was stored, else the newest is compared.
    chain:
        Source names, highest precedence first.
    now:
        The moment the fresh rows were fetched.
    """
    parts = [part for part in (stored, new_rows(stored, fresh, chain, now=now)) if len(part)]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0] if parts else stored


def new_rows(stored: pd.DataFrame, fresh: pd.DataFrame, chain: Sequence[str], *, now: dt.datetime) -> pd.DataFrame:
    """Return what :func:`merge_series` adds to the stored rows of a series: dates not held, and revisions."""
    if not len(fresh) or not len(stored):
        return fresh
    active = current_versions(stored[stored["event_time"].isin(fresh["event_time"])])
    versions, fresh = fresh, current_versions(fresh)
    place = pd.Index(active["event_time"]).get_indexer(pd.Index(fresh["event_time"]))
    known = place >= 0
    old = active.iloc[place[known]]
    new, new_dates = fresh[known], versions[~versions["event_time"].isin(active["event_time"])]
    rank = {name: order for order, name in enumerate(chain)}
    old_rank = old["source"].map(rank).fillna(len(chain)).to_numpy(int)
    new_rank = new["source"].map(rank).fillna(len(chain)).to_numpy(int)
    same_source = old["source"].to_numpy() == new["source"].to_numpy()
    changed = _differs(old, new, ("value", *PRICE_COLUMNS), atol=0.0)
    disagrees = _differs(old, new, ("value",), atol=_PRINT_ROUNDING)
    revise = (same_source & changed) | ((new_rank < old_rank) & disagrees)
    revisions = new[revise].copy()
    # Never before the rule's instant, never before it was seen, and always after the version it replaces.
    earliest = np.maximum(
        _naive_utc(revisions["available_at"]), np.datetime64(now.astimezone(dt.UTC).replace(tzinfo=None))
    )
    seen = np.maximum(earliest, _naive_utc(old.loc[revise, "available_at"]) + np.timedelta64(1, "us"))
    revisions["available_at"] = pd.DatetimeIndex(seen.astype("datetime64[ns]")).tz_localize("UTC")
    # A page from the cache was fetched before; it was compared with what is stored now.
    revisions["retrieved_at"] = pd.Timestamp(now).tz_convert("UTC").as_unit("ns")
    parts = [part for part in (new_dates, revisions) if len(part)]
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0] if parts else new_dates


def current_versions(observations: pd.DataFrame) -> pd.DataFrame:
    """Return the newest version of every event time, keeping the index."""
    ordered = observations.sort_values(["available_at", "retrieved_at"], kind="stable")
    return ordered.drop_duplicates(_VERSION, keep="last")


def _places(held: pd.DataFrame) -> dict[str, npt.NDArray[np.intp]]:
    """Return where the rows of each series stand, found in one pass."""
    codes, names = pd.factorize(held["series"])
    order = np.argsort(codes, kind="stable")
    return dict(
        zip(map(str, names), np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]), strict=False)
    )


def _resolve_all(
    settings: Settings,
    pair: PairSpec,
    sources: Mapping[str, Source],
    now: dt.datetime,
    held: pd.DataFrame,
    places: Mapping[str, npt.NDArray[np.intp]],
) -> dict[str, Resolved]:
    for name in pair.all_series:
        unknown = [source for source in pair.chains[name] if source not in sources]
        if unknown:
            raise ConfigError(
                f"Pair {pair.id}: the chain of {name} names the source {', '.join(map(repr, unknown))}, which does not "
                f"exist; there are {', '.join(sources)}.",
                remedy=f"correct `chains.{name}` in the pair's file, or add the source (docs/add-a-source.md).",
            )

    _announce(settings, sources)
    held_dates = _event_dates(held)

    def one(name: str) -> Resolved:
        earliest = (
            min(pair.history_start, settings.platform.backtest.start)
            if name == pair.target.series
            else pair.history_start - _DRIVER_WARM_UP
        )
        window = Window(start=_HISTORY_START, live_start=max(earliest, _HISTORY_START), now=now)
        dates = held_dates[places.get(name, _NOWHERE)]
        return resolve(settings.series[name], pair.chains[name], sources, window, dates, references(name))

    def references(asking: str) -> References:
        def give(name: str) -> pd.DataFrame:
            spec = settings.series.get(name)
            if spec is None:
                raise SourceError(
                    f"The reference series {name} of {asking} is not declared.", remedy="declare it in series.yaml."
                )
            rows = _standing(held.iloc[places.get(name, _NOWHERE)])
            # A series others refer to refers to none itself, so nobody waits in a circle.
            if name != asking and name in answers and spec.reference is None:
                rows = _joined(answers[name].result().frame, rows)
                if len(rows):
                    return rows
            return _joined(_local_rows(spec, sources, now), rows)

        return give

    # One thread a series: a provider that is slow holds up nobody who waits for another.
    names = sorted(pair.all_series, key=lambda name: settings.series[name].reference is not None)
    answers: dict[str, Future[Resolved]] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(names)), thread_name_prefix="ingest") as pool:
        for name in names:
            answers[name] = pool.submit(one, name)
        return {name: answers[name].result() for name in pair.all_series}


def _announce(settings: Settings, sources: Mapping[str, Source]) -> None:
    """Name every address the loaded pairs may ask, so that the hosts that are dead are found out together and once."""
    for pair in settings.pairs.values():
        for name in pair.all_series:
            for source in (sources.get(each) for each in pair.chains[name]):
                if isinstance(source, OverHttp) and source.not_configured(settings.series[name]) is None:
                    source.gateway.expect(source.urls())


def _standing(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the stored rows of a series that no rule withdrew, as a source would give them."""
    rows = rows[rows["withdrawn_at"].isna()]
    dates = rows["event_time"].dt.tz_localize(None).astype("datetime64[ns]")
    return pd.DataFrame({"event_date": dates, "value": rows["value"]})


def _local_rows(spec: SeriesSpec, sources: Mapping[str, Source], now: dt.datetime) -> pd.DataFrame:
    """Return a series' rows from the local sources it has an address at; a source that fails gives none."""
    request = FetchRequest(spec, _HISTORY_START, now.date())
    parts = []
    for name in spec.addresses:
        source = sources.get(name)
        if source is None or not source.is_local or source.not_configured(spec) is not None:
            continue
        with contextlib.suppress(SourceError):  # its own chain records why
            parts.append(source.fetch(request).frame[["event_date", "value"]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["event_date", "value"])


def _joined(answered: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per date of both, the answered one first."""
    parts = [part for part in (answered[["event_date", "value"]], rows) if len(part)]
    if not parts:
        return rows
    joined = pd.concat(parts, ignore_index=True).drop_duplicates("event_date", keep="first")
    return joined.sort_values("event_date", kind="stable").reset_index(drop=True)


def _all_versions(resolved: Resolved, held: pd.DataFrame) -> pd.DataFrame:
    """Return the rows served that may be new, with the earlier versions of their dates."""
    rows, earlier = _unseen(resolved.frame, held), resolved.earlier
    if earlier is None or not len(earlier):
        return rows
    return pd.concat([earlier[earlier["event_date"].isin(rows["event_date"])], rows], ignore_index=True)


def _unseen(served: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose newest version is not from the very same payload; the others can change nothing."""
    if not len(served) or not len(held):
        return served
    if not set(served["payload_hash"].unique()) & set(held["payload_hash"].unique()):
        return served
    held = current_versions(held)
    fingerprints = [
        pd.util.hash_array(dates.to_numpy().astype("datetime64[D]").astype(np.int64))
        ^ pd.util.hash_array(frame["source"].to_numpy(object))
        ^ (pd.util.hash_array(frame["payload_hash"].to_numpy(object)) * np.uint64(3))
        ^ pd.util.hash_array(np.nan_to_num(frame["value"].to_numpy(float), nan=-1.0)) * np.uint64(5)
        for frame, dates in ((served, served["event_date"]), (held, held["event_time"].dt.tz_localize(None)))
    ]
    return served[~np.isin(*fingerprints)]


def _observe(
    spec: SeriesSpec, pair: PairSpec, served: pd.DataFrame, now: dt.datetime
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return observations of one series, and per source how many rows the rule says are not published yet."""
    if not len(served):
        return _NO_ROWS, {}
    published = available_at(spec, served["event_date"].to_numpy("datetime64[D]"))
    # Where a provider tells when a value first appeared, it was not known before, whatever the timetable says.
    told = _naive_utc(served[AVAILABLE_AT])
    published = np.where(np.isnat(told), published, np.fmax(published, told))
    early = published > np.datetime64(now.replace(tzinfo=None), "us")
    if is_published_ahead(spec):
        early[:] = False
    counts = {str(name): int(count) for name, count in served.loc[early, "source"].value_counts().items()}
    rows = served[~early]
    frame = pd.DataFrame(
        {
            "pair": pair.id,
            "series": spec.id,
            "event_time": rows["event_date"].dt.tz_localize("UTC"),
            "available_at": pd.DatetimeIndex(published[~early].astype("datetime64[ns]")).tz_localize("UTC"),
            **{name: rows[name] for name in ("value", *PRICE_COLUMNS)},
            "unit": spec.unit,
            "source": rows["source"],
            "retrieved_at": rows["retrieved_at"],
            "payload_hash": rows["payload_hash"],
            "withdrawn_at": pd.NaT,
            "rule": None,
            "reason": None,
        }
    )
    frame = frame.drop_duplicates(["event_time", "available_at"], keep="last")
    return _conform(frame, OBSERVATIONS).reset_index(drop=True), counts


def _judge(
    merged: pd.DataFrame, settings: Settings, pair: PairSpec, now: dt.datetime, releases: pd.DataFrame | None
) -> pd.DataFrame:
    """Apply the quality rules to every row, then withdraw each row at the instant a newer version replaced it.

    Rows a person released stand.
    """
    if not len(merged):
        return merged
    mine = merged["series"].isin(pair.all_series)
    specs = {name: settings.series[name] for name in pair.all_series}
    own = merged if mine.all() else merged[mine].reset_index(drop=True)
    judged = apply_quality(own, specs, settings.platform.quality, now=now)
    judged = _conform(withdraw_replaced(stand_released(judged, releases)), OBSERVATIONS)
    return _stacked([part for part in (judged, merged[~mine]) if len(part)])


def withdraw_replaced(observations: pd.DataFrame) -> pd.DataFrame:
    """Return observations in which every version but the newest of an event time is withdrawn from the next one on.

    A row that a quality rule withdrew before that keeps the rule's verdict. A version withdrawn the moment it arrived
    (a wrong unit, say) replaces nothing: the value it meant to correct stands.
    """
    arrived_good = observations[~(observations["withdrawn_at"] <= observations["available_at"])]
    several = arrived_good[arrived_good.duplicated(_VERSION, keep=False)]
    ordered = several.sort_values([*_VERSION, "available_at", "retrieved_at"], kind="stable")
    following = ordered.shift(-1)
    same = (ordered[_VERSION] == following[_VERSION]).all(axis=1)
    replaced = ordered[same & ~(ordered["withdrawn_at"] <= following["available_at"])]
    if not len(replaced):
        return observations
    out = observations.copy()
    newer = following.loc[replaced.index]
    out.loc[replaced.index, "withdrawn_at"] = newer["available_at"]
    out.loc[replaced.index, "rule"] = REVISION
    out.loc[replaced.index, "reason"] = [
        f"{source} says {value:.10g} now" for source, value in zip(newer["source"], newer["value"], strict=True)
    ]
    return out


def _status_rows(
    pair: PairSpec, series: str, outcomes: Sequence[Outcome], now: dt.datetime, early: Mapping[str, int]
) -> pd.DataFrame:
    def reason(outcome: Outcome) -> str | None:
        waiting = early.get(outcome.source, 0)
        told = f"{waiting} of its rows are not published yet by the series' rule" if waiting else None
        return "; ".join(part for part in (outcome.reason, told) if part) or None

    return pd.DataFrame(
        {
            "pair": pair.id,
            "series": series,
            "rank": [outcome.rank for outcome in outcomes],
            "source": [outcome.source for outcome in outcomes],
            "state": [outcome.state for outcome in outcomes],
            "rows": [outcome.rows for outcome in outcomes],
            "first_event": _dates([outcome.first_event for outcome in outcomes]),
            "last_event": _dates([outcome.last_event for outcome in outcomes]),
            "reason": pd.Series([reason(outcome) for outcome in outcomes], dtype=object),
            "asked_at": pd.Timestamp(now).tz_convert("UTC"),
        }
    )


def _notes(resolved: Mapping[str, Resolved]) -> tuple[str, ...]:
    """State once, per source and reason, what several series ran into."""
    series_by_trouble: dict[tuple[str, str], list[str]] = {}
    for series, result in resolved.items():
        for outcome in result.outcomes:
            if outcome.state in ("failed", "not_configured") and outcome.reason:
                series_by_trouble.setdefault((outcome.source, outcome.reason), []).append(series)
    return tuple(f"{source}: {reason} ({', '.join(names)})" for (source, reason), names in series_by_trouble.items())


def _stacked(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return conformed observations below one another; pandas would look into every empty text to find a type."""
    if len(parts) == 1:
        return parts[0].reset_index(drop=True)
    columns = {name: [part[name].array for part in parts] for name in parts[0].columns}
    joined: dict[str, Any] = {name: type(arrays[0])._concat_same_type(arrays) for name, arrays in columns.items()}
    return pd.DataFrame(joined, copy=False)


def _conform_stored(stored: pd.DataFrame | None, pair: PairSpec) -> pd.DataFrame:
    if stored is None:
        return _conform(OBSERVATIONS.empty().drop(columns=list(PROVENANCE)), OBSERVATIONS)
    foreign = set(stored["pair"].dropna().unique()) - {pair.id}
    if foreign:
        raise DataError(
            f"Stored observations of {sorted(foreign)} were given to the ingestion of {pair.id}.",
            remedy="read the stored observations of the pair itself.",
        )
    return _conform(stored, OBSERVATIONS).reset_index(drop=True)


def _conform(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return ``frame`` with a table's columns and types, without the provenance columns the graph adds."""
    bare = _bare(table)
    return bare.conform(frame[list(bare.column_names)])


@functools.cache
def _bare(table: Table) -> Table:
    return replace(table, columns=tuple(column for column in table.columns if column.name not in PROVENANCE))


def _differs(
    old: pd.DataFrame, new: pd.DataFrame, columns: Sequence[str], *, atol: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    left, right = old[list(columns)].to_numpy(float), new[list(columns)].to_numpy(float)
    close = np.isclose(left, right, rtol=_FLOAT_NOISE, atol=atol, equal_nan=True)
    return np.asarray(~close.all(axis=1), dtype=np.bool_)


def _naive_utc(instants: pd.Series[Any]) -> npt.NDArray[np.datetime64]:
    return np.asarray(instants.dt.tz_convert(None), dtype="datetime64[us]")


def _event_dates(rows: pd.DataFrame) -> Dates:
    return np.asarray(rows["event_time"].dt.tz_localize(None), dtype="datetime64[D]")


def _dates(days: Sequence[dt.date | None]) -> npt.NDArray[np.datetime64]:
    return np.array([np.datetime64(day or "NaT", "D") for day in days], dtype="datetime64[ns]")


def _order(frame: pd.DataFrame, pair: PairSpec) -> pd.DataFrame:
    """Return the rows by the pair's series, then by event time, available time and source."""
    codes, names = pd.factorize(frame["series"], sort=True)
    order = {name: place for place, name in enumerate(pair.all_series)}
    place = np.array([order.get(str(name), len(order)) for name in names], dtype=np.int64)[codes]
    instants = [frame[name].to_numpy("datetime64[ns]") for name in ("available_at", "event_time")]
    # The last key counts most.
    ordered = np.lexsort((pd.factorize(frame["source"], sort=True)[0], *instants, codes, place))
    return frame.iloc[ordered].reset_index(drop=True)
