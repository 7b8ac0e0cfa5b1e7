"""BIS bilateral exchange rates (dataset WS_XRU) as SDMX CSV: official, no key, weekly. History and cross-check.

Which day a rate describes differs by country and is not said in the answer, so the dates are checked against the
series' reference like any vendor's.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

import pandas as pd

from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.sources.live import (
    LiveSource,
    Rows,
    address_for,
    checked,
    csv_rows,
    day,
    frame_of,
    number,
    shown,
)
from forex_assets.settings.addresses import BisAddress

_ACCEPT = "application/vnd.sdmx.data+csv;version=1.0.0, text/csv;q=0.9"
_DIMENSIONS = ("FREQ", "REF_AREA", "CURRENCY", "COLLECTION")


@dataclass(frozen=True, kw_only=True)
class BisSource(LiveSource):
    """Daily rates in units of a currency per US dollar."""

    name: str = "bis"

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's rates.

        Raises
        ------
        SourceError
            When the service fails, answers another shape, or its dates cannot be told.
        """
        address = address_for(request.series, self.name, BisAddress, "{key: D.CL.CLP.A}")
        label = f"bis {address.key}"
        return checked(request, address.check, label, lambda start: self._rates(request, address, label, start))

    def _rates(self, request: FetchRequest, address: BisAddress, label: str, start: dt.date) -> Rows:
        (frame, note), payload = self.ask(
            request.series,
            f"{self.base_url.rstrip('/')}/{address.key}",
            functools.partial(parse_sdmx, address=address, label=label),
            label=label,
            kind="text",
            params={"format": "csv", "startPeriod": start.isoformat(), "endPeriod": request.end.isoformat()},
            headers={"Accept": _ACCEPT},
        )
        return frame, note, payload


def parse_sdmx(text: str, *, address: BisAddress, label: str) -> tuple[pd.DataFrame, str | None]:
    """Return the rates of an SDMX CSV about this key.

    Raises
    ------
    SourceError
        When it is no such table, or about another key.
    """
    rows = csv_rows(text, label, [*_DIMENSIONS, "TIME_PERIOD", "OBS_VALUE"])
    for row in rows:
        if ".".join(row[:4]) != address.key:
            raise SourceError(
                f"{label}: a row is about {shown('.'.join(row[:4]))}.", remedy="check the key in series.yaml."
            )
    return frame_of([day(row[4], label) for row in rows], [number(row[5], label) for row in rows])
