"""The panel's steps, without Dagster: prices of many pairs, their volatility index, and the pooled fits of a month.

Stored under the prefix ``panel``. Prices and index are one table each, point-in-time by ``available_at``; a month's
fits are one slice that holds every row valid by its first day. Until a month is learned here, the rows the package
ships serve: a fit is never made while a forecast waits.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.errors import DataError
from forex_assets.provenance import combine_hashes, content_hash
from forex_assets.schemas import INTERVAL_CALIBRATION, OBSERVATIONS, PROVENANCE, Table
from forex_assets.schemas.panel import PANEL_BARS, PANEL_FITS, PANEL_INDEX

if TYPE_CHECKING:
    from forex_assets.forecasting.drivers import DriverHistory
    from forex_assets.forecasting.ensemble.artefacts import EnsembleFit
    from forex_assets.forecasting.panel.artefacts import PanelFit
    from forex_assets.forecasting.price_history import PriceHistory
    from forex_assets.pipeline import Pipeline

PANEL = "panel"
VIX = "vix"
FIXING_PAIR = "usdclp"
MIN_PAIRS = 20
STALE_DAYS = 10
"""Prices that end earlier before a month teach it nothing the month before did not know."""
CONFIG = content_hash(["panel", 1])
_NONE = np.empty(0, dtype="datetime64[D]")


def month_key(month: dt.date | np.datetime64) -> str:
    """Return the partition key of a month: its first day."""
    day: Any = np.asarray(month, dtype="datetime64[M]").astype("datetime64[D]")
    return str(day)


# ---- prices --------------------------------------------------------------------------------------------------------


def bars(pipeline: Pipeline, *, now: pd.Timestamp) -> pd.DataFrame:
    """Return the panel's prices: what is stored, and what the sources have besides; a changed value is a new row."""
    from concurrent.futures import ThreadPoolExecutor

    from forex_assets.forecasting.panel.prices import CURRENCIES, FIRST_DAY, ecb_series, pair_id
    from forex_assets.market.chain import OVERLAP_DAYS, Resolved, Window, resolve
    from forex_assets.market.publication import available_at

    settings = pipeline.settings
    stored = read(pipeline, PANEL_BARS, ())
    instant = now.to_pydatetime().astimezone(dt.UTC)
    specs = {pair_id(currency): (ecb_series(currency), ("folder", "ecb", "ecb_live")) for currency in CURRENCIES}
    specs[VIX] = (settings.series[VIX], ("folder", "fred", "yahoo"))
    first = FIRST_DAY.astype(object)
    held_of = _by_series(stored)

    def one(name: str) -> Resolved:
        spec, chain = specs[name]
        held = np.unique(held_of[name]["event_date"].to_numpy().astype("datetime64[D]")) if name in held_of else _NONE
        # What is held need not be asked for again, but for the days in which a revision would show.
        since = max(first, _newest(held, first) - dt.timedelta(days=OVERLAP_DAYS))
        return resolve(spec, chain, sources, Window(start=first, live_start=since, now=instant), held)

    with (
        pipeline.sources(now=now) as sources,
        ThreadPoolExecutor(max_workers=len(specs), thread_name_prefix="panel") as pool,
    ):
        answers = dict(zip(specs, pool.map(one, specs), strict=True))
    parts = [] if stored is None else [stored]
    for name, (spec, _) in specs.items():
        frame = answers[name].frame
        days = frame["event_date"].to_numpy().astype("datetime64[D]")
        fresh = pd.DataFrame(
            {
                "series": name,
                "event_date": days.astype("datetime64[ns]"),
                "available_at": _utc(available_at(spec, days)),
                "value": frame["value"].to_numpy(dtype=float),
                "source": frame["source"].to_numpy(dtype=object),
            }
        )
        parts.append(_new_rows(held_of.get(name), fresh[days >= FIRST_DAY], now))
    parts.append(_new_rows(held_of.get(FIXING_PAIR), _fixing(pipeline), now))
    # One precision a column, read back or fresh: the hash of the same prices is the same.
    kinds = {"event_date": "datetime64[ns]", "available_at": "datetime64[us, UTC]"}
    frame = pd.concat([part.astype(kinds) for part in parts if len(part)], ignore_index=True)
    frame = frame.sort_values(["series", "event_date", "available_at"], kind="stable", ignore_index=True)
    return pipeline.stamp(frame, config_hash=CONFIG, data_hash=_hash(frame))


def _fixing(pipeline: Pipeline) -> pd.DataFrame:
    """Return USD/CLP's fixing: as the platform holds it, else as the package ships it."""
    from forex_assets.forecasting.panel.prices import fixing_history

    known = pipeline.stored_observations(FIXING_PAIR) if FIXING_PAIR in pipeline.settings.pairs else None
    series = pipeline.settings.pairs[FIXING_PAIR].target.series if FIXING_PAIR in pipeline.settings.pairs else ""
    if known is not None and (known["series"] == series).any():
        rows = known[(known["series"] == series) & known["withdrawn_at"].isna()]
        return pd.DataFrame(
            {
                "series": FIXING_PAIR,
                "event_date": rows["event_time"]
                .dt.tz_localize(None)
                .dt.normalize()
                .astype("datetime64[ns]")
                .to_numpy(),
                "available_at": rows["available_at"].to_numpy(),
                "value": rows["value"].to_numpy(dtype=float),
                "source": rows["source"].to_numpy(dtype=object),
            }
        ).assign(available_at=pd.DatetimeIndex(rows["available_at"]))
    shipped = fixing_history()
    return pd.DataFrame(
        {
            "series": FIXING_PAIR,
            "event_date": shipped.event_date.astype("datetime64[ns]"),
            "available_at": _utc(shipped.available_at),
            "value": shipped.value,
            "source": "embedded",
        }
    )


def _new_rows(mine: pd.DataFrame | None, fresh: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Return rows of dates a series does not hold yet, and rows whose value changed, those known from now on."""
    if mine is None or not len(fresh):
        return fresh
    newest = (
        mine.sort_values("available_at").drop_duplicates("event_date", keep="last").set_index("event_date")["value"]
    )
    held = newest.reindex(fresh["event_date"]).to_numpy(dtype=float)
    new = np.isnan(held)
    changed = ~new & (np.abs(fresh["value"].to_numpy() - held) > 1e-9 * np.abs(held))
    revised = fresh[changed].assign(available_at=now.tz_convert("UTC").as_unit("us"))
    added: pd.DataFrame = fresh[new]
    return pd.concat([added, revised], ignore_index=True) if len(revised) else added


def _by_series(stored: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    return {} if stored is None else {str(name): rows for name, rows in stored.groupby("series", sort=False)}


def _newest(held: Any, first: dt.date) -> dt.date:
    newest: dt.date = held[-1].item() if len(held) else first
    return newest


def _utc(instants: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.asarray(instants, dtype="datetime64[us]")).tz_localize("UTC")


def _naive(column: pd.Series[Any]) -> Any:
    aware = isinstance(column.dtype, pd.DatetimeTZDtype)
    instants = column if aware else pd.to_datetime(column, utc=True)  # rows of different origin differ in precision
    return instants.dt.tz_convert(None).to_numpy().astype("datetime64[us]")


def _hash(frame: pd.DataFrame) -> str:
    columns = frame[["series", "event_date", "available_at", "value"]]
    return content_hash([len(columns), int(pd.util.hash_pandas_object(columns, index=False).sum())])


def histories(frame: pd.DataFrame) -> dict[str, PriceHistory]:
    """Return the panel's price histories by pair."""
    from forex_assets.forecasting.price_history import PriceHistory

    calendars = {FIXING_PAIR: calendar_for("CL")}
    target = calendar_for("TARGET")
    return {
        str(name): PriceHistory(
            str(name),
            calendars.get(str(name), target),
            rows["event_date"].to_numpy().astype("datetime64[D]"),
            _naive(rows["available_at"]),
            rows["value"].to_numpy(dtype=float),
        )
        for name, rows in frame[frame["series"] != VIX].groupby("series", sort=True)
    }


def driver(frame: pd.DataFrame, name: str, calendar: str = "FX") -> DriverHistory | None:
    """Return one series of a table with series, event_date, available_at and value as a driver, or None."""
    from forex_assets.forecasting.drivers import DriverHistory

    rows = frame[frame["series"] == name]
    if rows.empty:
        return None
    return DriverHistory(
        name,
        calendar_for(calendar),
        rows["event_date"].to_numpy().astype("datetime64[D]"),
        _naive(rows["available_at"]),
        rows["value"].to_numpy(dtype=float),
    )


# ---- index ---------------------------------------------------------------------------------------------------------


def index(pipeline: Pipeline) -> pd.DataFrame:
    """Return the panel's volatility index from its stored prices; empty without VIX, beside which alone it serves."""
    return _index_of(pipeline, stored_bars(pipeline))


def fresh_index(pipeline: Pipeline, *, now: pd.Timestamp) -> pd.DataFrame:
    """Return the same from what the sources have, storing nothing; it takes seconds."""
    return _index_of(pipeline, bars(pipeline, now=now))


def _index_of(pipeline: Pipeline, frame: pd.DataFrame) -> pd.DataFrame:
    from forex_assets.forecasting.panel.index import panel_index

    rows = []
    if (frame["series"] == VIX).any():
        for name, item in panel_index(histories(frame)).items():
            rows.append(
                pd.DataFrame(
                    {
                        "series": name,
                        "event_date": item.event_date.astype("datetime64[ns]"),
                        "available_at": _utc(item.available_at),
                        "value": item.value,
                    }
                )
            )
    if not rows:
        return PANEL_INDEX.empty()
    made = pd.concat(rows, ignore_index=True)
    return pipeline.stamp(made, config_hash=CONFIG, data_hash=str(frame["data_hash"].iloc[0]))


# ---- fits ----------------------------------------------------------------------------------------------------------


def shipped_through() -> np.datetime64:
    """Return the first day of the last month whose rows the package ships."""
    from forex_assets.forecasting.ensemble.artefacts import WEIGHTS, embedded

    newest = embedded().frames[WEIGHTS.name]["valid_from"].max()
    return np.datetime64(newest, "D")


def fits(pipeline: Pipeline, month: dt.date) -> tuple[dict[str, pd.DataFrame], str]:
    """Return every table of a month's pooled fits, and where their rows come from.

    Rows of months the package ships are the shipped ones; a later month is learned from the stored prices, if these
    reach it, and otherwise keeps the rows there are.
    """
    start = np.datetime64(month_key(month), "D")
    shipped = _shipped()
    if start <= shipped_through():
        return _cut(pipeline, shipped, start, "shipped"), "shipped with the package"
    frame = read(pipeline, PANEL_BARS, ())
    if frame is None:
        return _cut(pipeline, shipped, start, "shipped"), "shipped with the package: no prices are stored to learn from"
    newest = np.datetime64(frame.loc[frame["series"] != VIX, "event_date"].max(), "D")
    if newest < start - np.timedelta64(STALE_DAYS, "D"):
        return _cut(pipeline, shipped, start, "shipped"), f"shipped with the package: prices reach only {newest}"
    return _cut(pipeline, _learn(frame, start), start, _hash(frame)), f"learned from prices to {newest}"


def _learn(frame: pd.DataFrame, start: np.datetime64) -> dict[str, pd.DataFrame]:
    from forex_assets.forecasting.panel import build

    made = build.make(start.astype(object), driver(frame, VIX, "US"), histories=histories(frame))
    return {name: table for each in made for name, table in each.frames.items()}


def _shipped() -> dict[str, pd.DataFrame]:
    from forex_assets.forecasting.ensemble.artefacts import embedded as shipped_ensemble
    from forex_assets.forecasting.panel.artefacts import embedded as shipped_panel

    return {**shipped_panel().frames, **shipped_ensemble().frames}


def _cut(
    pipeline: Pipeline, frames: Mapping[str, pd.DataFrame], start: np.datetime64, source: str
) -> dict[str, pd.DataFrame]:
    out = {}
    for table in PANEL_FITS:
        rows = frames[table.name]
        rows = rows[rows["valid_from"] <= pd.Timestamp(start)].reset_index(drop=True)
        hashed = combine_hashes({"source": source, "through": str(start), "table": table.name})
        out[table.name] = pipeline.stamp(rows, config_hash=CONFIG, data_hash=hashed)
    return out


def is_due(pipeline: Pipeline, now: pd.Timestamp) -> bool:
    """Tell whether the prices of the panel should be asked for again: none stored, or newer ones can be had."""
    frame = read(pipeline, PANEL_BARS, ())
    if frame is None or not pipeline.store.exists(PANEL_INDEX, PANEL, ()) or not stored_months(pipeline):
        return True
    settings = pipeline.settings
    if settings.data_dir is not None and not (frame["series"] == VIX).any():
        return True
    newest = frame.loc[frame["series"] != VIX, "event_date"].max()
    return not settings.offline and bool(newest < now.tz_localize(None).normalize() - pd.Timedelta(days=1))


def stored_months(pipeline: Pipeline) -> list[str]:
    """Return the months whose every fit is stored, in order."""
    keys = [set(pipeline.store.keys(table, PANEL)) for table in PANEL_FITS]
    return sorted(key[0] for key in set.intersection(*keys) if len(key) == 1)


def newest_fits(pipeline: Pipeline) -> tuple[PanelFit, EnsembleFit]:
    """Return the pooled fits of the newest stored month, or the shipped ones; each row serves from its own day on."""
    from forex_assets.forecasting.ensemble import artefacts as ensemble
    from forex_assets.forecasting.ensemble.conditions import scheduled_events
    from forex_assets.forecasting.panel import artefacts as panel

    months = stored_months(pipeline)
    if not months or np.datetime64(months[-1], "D") <= shipped_through():
        shipped = ensemble.embedded()
        return panel.embedded(), shipped.with_events(scheduled_events(shipped.conditions()))
    key = (months[-1],)

    def load() -> tuple[PanelFit, EnsembleFit]:
        bare = {
            table.name: pipeline.store.read(table, PANEL, [key]).drop(columns=list(PROVENANCE)) for table in PANEL_FITS
        }
        learned = ensemble.EnsembleFit(bare["panel_weights"], bare["panel_corrections"])
        return (
            panel.PanelFit(bare["panel_coefficients"], bare["panel_shapes"], bare["panel_factors"]),
            learned.with_events(scheduled_events(learned.conditions())),
        )

    written = [pipeline.store.info(table, PANEL, key) for table in PANEL_FITS]
    fits: tuple[PanelFit, EnsembleFit] = pipeline.kept("fits", written, load)
    return fits


@contextlib.contextmanager
def in_force(pipeline: Pipeline) -> Iterator[None]:
    """Put the newest pooled fits in force for a block of code."""
    from forex_assets.forecasting.ensemble import artefacts as ensemble
    from forex_assets.forecasting.panel import artefacts as panel

    pooled, weights = newest_fits(pipeline)
    with panel.using(pooled), ensemble.using(weights):
        yield


def fingerprint(pipeline: Pipeline) -> dict[str, str]:
    """Return what forecasts depend on besides the pair's own observations: hashes of the index and of the fits."""
    months = stored_months(pipeline)
    out = {"month": months[-1] if months else "shipped"}
    if pipeline.store.exists(PANEL_INDEX, PANEL, ()):
        out["index"] = pipeline.store.info(PANEL_INDEX, PANEL, ()).meta.get("data_hash", "empty")
    return out


def corrections_of(pipeline: Pipeline, pair_id: str, horizon: str) -> pd.DataFrame:
    """Return the ensemble's pooled corrections of a horizon as rows of ``interval_calibration``, without provenance.

    Of the fits in force and the variant that serves the pair; those of the nearest nominal tenor.
    """
    from forex_assets.forecasting.ensemble.artefacts import CORRECTIONS
    from forex_assets.forecasting.ensemble.learn import TENOR_DAYS
    from forex_assets.forecasting.panel.artefacts import PLAIN
    from forex_assets.forecasting.panel.artefacts import VIX as WITH_VIX
    from forex_assets.forecasting.panel.features import Market

    days = pipeline.settings.horizons[horizon]
    steps = min(TENOR_DAYS, key=lambda step: abs(TENOR_DAYS[step] - days))
    variant = WITH_VIX if Market.of(pair_drivers(pipeline, pair_id)) is not None else PLAIN
    frame = newest_fits(pipeline)[1].frames[CORRECTIONS.name]
    rows = frame[(frame["steps"] == steps) & (frame["variant"] == variant)]
    made = rows.assign(pair=pair_id, horizon=days, model="ensemble", scope=PANEL)
    names = [name for name in INTERVAL_CALIBRATION.column_names if name in made.columns]
    return made[names].reset_index(drop=True)


# ---- reading -------------------------------------------------------------------------------------------------------


def read(pipeline: Pipeline, table: Table, key: tuple[str, ...]) -> pd.DataFrame | None:
    """Return a stored slice of the panel, or None when it is not there."""
    if not pipeline.store.exists(table, PANEL, key):
        return None
    return pipeline.store.read(table, PANEL, [key])


def stored_bars(pipeline: Pipeline) -> pd.DataFrame:
    """Return the stored prices.

    Raises
    ------
    DataError
        When there are none.
    """
    frame = read(pipeline, PANEL_BARS, ())
    if frame is None or frame.empty:
        raise DataError("No prices of the panel are stored.", remedy="materialise panel/bars first (job panel_job).")
    return frame


def write(pipeline: Pipeline, table: Table, key: tuple[str, ...], frame: pd.DataFrame) -> None:
    """Store a slice of the panel."""
    from forex_assets.pipeline import judge

    meta = {name: str(frame[name].iloc[0]) for name in PROVENANCE} if len(frame) else {}
    pipeline.store.write(table, PANEL, key, frame, verdict=judge(table, frame), meta=meta)


def drivers_made_from(pipeline: Pipeline, pair_id: str) -> list[Any]:
    """Return what :func:`pair_drivers` depends on, to compare: the slices as written, or the frames looked up."""
    from forex_assets.pipeline import Same

    def source(table: Table, owner: str, look_up: Callable[[str], pd.DataFrame | None]) -> Any:
        stored = pipeline.store.exists(table, owner, ())
        return pipeline.store.info(table, owner, ()) if stored else Same(look_up(pair_id))

    return [
        source(OBSERVATIONS, pair_id, pipeline.known_observations),
        source(PANEL_INDEX, PANEL, pipeline.looked_up_index),
    ]


def pair_drivers(pipeline: Pipeline, pair_id: str) -> dict[str, DriverHistory]:
    """Return what a pair's models may look at beside its price: its drivers, and the panel's volatility index."""
    from forex_assets.forecasting.drivers import DriverHistory

    pair = pipeline.settings.pair(pair_id)
    out: dict[str, DriverHistory] = {}
    observations = pipeline.known_observations(pair_id)
    if observations is not None:
        rows = observations[observations["series"].isin(pair.drivers)]
        for name, part in rows.groupby("series", sort=True):
            spec = pipeline.settings.series[str(name)]
            out[str(name)] = DriverHistory(
                str(name),
                calendar_for(spec.calendar),
                part["event_time"].dt.tz_convert(None).to_numpy().astype("datetime64[D]"),
                _naive(part["available_at"]),
                part["value"].to_numpy(dtype=float),
                None if part["withdrawn_at"].isna().all() else _naive(part["withdrawn_at"]),
            )
    table = read(pipeline, PANEL_INDEX, ())
    table = table if table is not None else pipeline.looked_up_index(pair_id)
    if table is not None:
        for name in table["series"].unique():
            item = driver(table, str(name))
            if item is not None:
                out[str(name)] = item
    return out


__all__ = [
    "MIN_PAIRS",
    "PANEL",
    "bars",
    "fits",
    "in_force",
    "index",
    "newest_fits",
    "pair_drivers",
    "write",
]
