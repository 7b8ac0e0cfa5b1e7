"""The panel's prices: what is stored, and what the sources have besides."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets.pooled.stored import CONFIG, FIXING_PAIR, PANEL, VIX, price_hash, read, stored_months, utc
from forex_assets.schemas.panel import PANEL_BARS, PANEL_INDEX

if TYPE_CHECKING:
    from forex_assets.pipeline import Pipeline

MIN_PAIRS = 20
_NONE = np.empty(0, dtype="datetime64[D]")


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
        pipeline.data.sources(now=now) as sources,
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
                "available_at": utc(available_at(spec, days)),
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
    return pipeline.stamp(frame, config_hash=CONFIG, data_hash=price_hash(frame))


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


def _fixing(pipeline: Pipeline) -> pd.DataFrame:
    """Return USD/CLP's fixing: as the platform holds it, else as the package ships it."""
    from forex_assets.forecasting.panel.prices import fixing_history

    known = pipeline.data.stored_observations(FIXING_PAIR) if FIXING_PAIR in pipeline.settings.pairs else None
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
            "available_at": utc(shipped.available_at),
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
