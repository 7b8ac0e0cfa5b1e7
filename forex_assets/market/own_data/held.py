"""What is known of every series now, to compare a file with: the stored values and those of the local sources."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable

import pandas as pd

from forex_assets.clock import AsOf
from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest
from forex_assets.market.ingest import open_gateway
from forex_assets.market.sources import build_sources
from forex_assets.market.vintages.revisions import known_as_of
from forex_assets.settings import Settings
from forex_assets.settings.added import SOURCE

_FIRST = dt.date(1999, 1, 1)


def held_values(
    settings: Settings, observations: Iterable[pd.DataFrame], *, now: dt.datetime
) -> dict[str, pd.DataFrame]:
    """Return ``event_date`` and ``value`` of every series something is known of.

    Values that came from added files do not count: a file is not compared with itself.

    Parameters
    ----------
    settings:
        Catalogue and local sources.
    observations:
        Stored observations of the pairs.
    now:
        The moment, zone-aware.
    """
    held: dict[str, pd.DataFrame] = {}
    for frame in observations:
        known = known_as_of(frame[frame["source"] != SOURCE], AsOf(now))
        for name, rows in known.groupby("series", sort=False):
            if len(rows) > len(held.get(str(name), ())):
                held[str(name)] = rows[["event_date", "value"]].reset_index(drop=True)
    with open_gateway(settings, now=now) as gateway:
        sources = build_sources(settings, now=now, gateway=gateway, environ={})
        for name, spec in settings.series.items():
            for source in (sources.get(each) for each in spec.addresses if each != SOURCE):
                if source is None or not source.is_local or source.not_configured(spec) is not None:
                    continue
                with contextlib.suppress(SourceError):  # another source of the series is compared with
                    rows = source.fetch(FetchRequest(spec, _FIRST, now.date() + dt.timedelta(days=60))).frame
                    parts = [held[name]] if name in held else []
                    joined = pd.concat([*parts, rows[["event_date", "value"]]], ignore_index=True)
                    held[name] = joined.drop_duplicates("event_date", keep="first").sort_values("event_date")
    return held
