"""Stooq's daily CSV. Its refusals are HTTP 200 with a sentence, or a web page; its dates are Warsaw's."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.sources.live import (
    LimitUsedUpError,
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
from forex_assets.settings.addresses import StooqAddress

_ZONE = ZoneInfo("Europe/Warsaw")


@dataclass(frozen=True, kw_only=True)
class StooqSource(LiveSource):
    """Daily bars by symbol."""

    name: str = "stooq"

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's finished bars.

        Raises
        ------
        SourceError
            When the service refuses (also within HTTP 200), fails, or its dates cannot be told.
        """
        address = address_for(request.series, self.name, StooqAddress, "{symbol: usdclp}")
        label = f"stooq {address.symbol}"
        return checked(request, address.check, label, lambda start: self._bars(request, address, label, start))

    def _bars(self, request: FetchRequest, address: StooqAddress, label: str, start: dt.date) -> Rows:
        (frame, note), payload = self.ask(
            request.series,
            self.base_url,
            functools.partial(parse_csv, address=address, label=label, now=self.now),
            label=label,
            kind="text",
            params={"s": address.symbol, "d1": f"{start:%Y%m%d}", "d2": f"{request.end:%Y%m%d}", "i": "d"},
        )
        return frame, note, payload


def parse_csv(text: str, *, address: StooqAddress, label: str, now: dt.datetime) -> tuple[pd.DataFrame, str | None]:
    """Return the finished bars of a CSV, and a note.

    Raises
    ------
    LimitUsedUpError
        When the service says that its daily limit is used up.
    SourceError
        When it has nothing, or the answer is no such table.
    """
    if "daily hits limit" in text[:200].lower():
        raise LimitUsedUpError(f"{label}: the service says {shown(text.strip())}.", remedy="try again tomorrow.")
    if text.strip().lower().rstrip(".") == "no data":
        raise SourceError(f"{label}: the service says 'No data'.", remedy="check the symbol in series.yaml.")
    rows = csv_rows(text, label, ["Date", "Open", "High", "Low", "Close"])
    today = np.datetime64(now.astimezone(_ZONE).date(), "D")
    days = [day(row[0], label) for row in rows]
    finished = [place for place, when in enumerate(days) if when < today]
    prices = {
        name: [number(rows[place][column], label) for place in finished]
        for column, name in enumerate(("open", "high", "low", "value"), start=1)
    }
    values = prices.pop("value")
    frame, note = frame_of([days[place] for place in finished], values, **(prices if address.ohlc else {}))
    told = (
        f"{len(days) - len(finished)} bars of a day that is not over are left out"
        if len(finished) < len(days)
        else None
    )
    return frame, "; ".join(part for part in (note, told) if part) or None
