"""ECB euro reference rates from the ECB itself: the window as SDMX CSV, else the archive of the whole history."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.sources.ecb import EURO, parse_history, units_per_euro
from forex_assets.market.sources.folder import within
from forex_assets.market.sources.live import (
    FORMAT_REMEDY,
    LiveSource,
    address_for,
    csv_rows,
    day,
    frame_of,
    number,
    result_of,
    shown,
)
from forex_assets.settings.addresses import EcbAddress

_LONGEST_TOGETHER = dt.timedelta(days=800)


@dataclass(frozen=True, kw_only=True)
class EcbLiveSource(LiveSource):
    """Crosses of the reference rates of 14:15 Frankfurt, published about 16:00: fixings, not closes."""

    archive_url: str
    name: str = "ecb_live"

    def urls(self) -> tuple[str, ...]:
        """Return both services."""
        return (self.base_url, self.archive_url)

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's cross through the euro on every day both currencies have a rate.

        Raises
        ------
        SourceError
            When neither service answers usably.
        """
        address = address_for(request.series, self.name, EcbAddress, "{base: EUR, quote: USD}")
        label = f"ecb_live {address.base}{address.quote}"
        own = [name for name in dict.fromkeys((address.base, address.quote)) if name != EURO]
        # Long histories are asked for one by one: each would be read out of the answer for all.
        is_short = request.end - request.start <= _LONGEST_TOGETHER
        others = address.together if is_short else ()
        wanted = sorted({*own, *others} - {EURO}) if others else own
        subject = "together" if others else None
        try:
            (rates, note), payload = self.ask(
                request.series,
                f"{self.base_url.rstrip('/')}/D.{'+'.join(wanted)}.EUR.SP00.A",
                functools.partial(parse_sdmx, currencies=own, asked=wanted, label=label),
                label=label,
                kind="text",
                params={
                    "format": "csvdata",
                    "startPeriod": request.start.isoformat(),
                    "endPeriod": request.end.isoformat(),
                },
                headers={"Accept": "text/csv"},
                subject=subject,
            )
        except SourceError as error:
            try:
                (rates, note), payload = self.ask(
                    request.series,
                    self.archive_url,
                    lambda raw: (parse_history(raw, f"{label} archive", remedy=FORMAT_REMEDY), None),
                    label=f"{label} archive",
                    kind="bytes",
                    params={},
                    part="archive",
                    subject=subject,
                )
            except SourceError as again:
                raise SourceError(f"{error.message} {again.message}", remedy=again.remedy) from None
            note = f"from the archive: {error.message}"
        frame, repeated = frame_of(
            list(rates.index.to_numpy("datetime64[D]")),
            list(units_per_euro(rates, address.quote) / units_per_euro(rates, address.base)),
        )
        return result_of(within(frame, request), payload, repeated, note)


def parse_sdmx(text: str, *, currencies: list[str], asked: list[str], label: str) -> tuple[pd.DataFrame, str | None]:
    """Return units of each currency per euro, one column each, indexed by date; and a note.

    ``asked`` are all the answer may be about.

    Raises
    ------
    SourceError
        When it is no such table, or about something else.
    """
    rows = csv_rows(text, label, ["CURRENCY", "CURRENCY_DENOM", "TIME_PERIOD", "OBS_VALUE"])
    parts: dict[str, pd.Series[float]] = {}
    notes: list[str] = []
    for row in rows:
        if row[0] not in asked or row[1] != EURO:
            raise SourceError(f"{label}: a row is about {shown('/'.join(row[:2]))}.", remedy=FORMAT_REMEDY)
    for name in currencies:
        mine = [row for row in rows if row[0] == name]
        frame, note = frame_of([day(row[2], label) for row in mine], [number(row[3], label) for row in mine])
        parts[name] = frame.set_index("event_date")["value"]
        notes += [note] if note else []
    table = pd.DataFrame(parts).sort_index().replace([np.inf, -np.inf], np.nan)
    return table, "; ".join(notes) or None
