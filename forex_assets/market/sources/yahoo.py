"""Yahoo's chart service: daily bars of currencies, futures, indices and funds. For personal use; never redistributed.

Traps of its answers: failures are an ``error`` beside a null ``result``; the arrays hold nulls; a stamp is the opening
of the session, to be read in the exchange's zone; the last element is the session under way; without a browser's user
agent it answers 429. The daily bar of ``CLP=X`` has been seen to carry the close of the session before: where a series
has a reference, its dates are checked, corrected and that is said, see :mod:`forex_assets.market.alignment`.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from forex_assets.errors import SourceError
from forex_assets.market.contract import PRICE_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.sources.live import (
    FORMAT_REMEDY,
    LiveSource,
    Rows,
    address_for,
    checked,
    frame_of,
    number,
    shown,
)
from forex_assets.market.tabular import empty_frame
from forex_assets.settings.addresses import YahooAddress

_DAY = dt.timedelta(days=1)
_LATEST_STAMP = 10**11  # later ones are milliseconds
_ZONE_REMEDY = "its dates cannot be told; the next source in the chain serves."


@dataclass(frozen=True, kw_only=True)
class YahooSource(LiveSource):
    """Daily bars; the second host is asked when the first fails."""

    user_agent: str
    other_urls: tuple[str, ...] = ()
    name: str = "yahoo"

    def urls(self) -> tuple[str, ...]:
        """Return both hosts."""
        return (self.base_url, *self.other_urls)

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's finished bars.

        Raises
        ------
        SourceError
            When no host answers usably, or the dates cannot be told.
        """
        address = address_for(request.series, self.name, YahooAddress, "{symbol: CLP=X}")
        label = f"yahoo {address.symbol}"
        return checked(request, address.check, label, lambda start: self._bars(request, address, label, start))

    def _bars(self, request: FetchRequest, address: YahooAddress, label: str, start: dt.date) -> Rows:
        read = functools.partial(parse_chart, address=address, label=label, now=self.now)
        params = {
            "interval": "1d",
            "period1": str(_epoch(start - _DAY)),
            "period2": str(_epoch(request.end + 2 * _DAY)),
        }
        troubles: list[str] = []
        for base in self.urls():
            try:
                (frame, note), payload = self.ask(
                    request.series,
                    f"{base.rstrip('/')}/v8/finance/chart/{quote(address.symbol, safe='')}",
                    read,
                    label=label,
                    kind="json",
                    params=params,
                    headers={"User-Agent": self.user_agent},
                )
            except SourceError as error:
                troubles.append(error.message)
                continue
            told = f"the other host failed: {troubles[0]}" if troubles else None
            return frame, "; ".join(part for part in (note, told) if part) or None, payload
        raise SourceError(" ".join(dict.fromkeys(troubles)), remedy="try again later; stored values stay in use.")


def parse_chart(body: Any, *, address: YahooAddress, label: str, now: dt.datetime) -> tuple[pd.DataFrame, str | None]:
    """Return the finished bars of a chart answer, dated in the exchange's zone, and a note.

    Raises
    ------
    SourceError
        When it is a refusal, about something else, of another shape, or stamped in another zone than it says.
    """
    chart = body.get("chart") if isinstance(body, dict) else None
    if not isinstance(chart, dict):
        raise SourceError(f"{label}: the answer has no 'chart'.", remedy=FORMAT_REMEDY)
    error, results = chart.get("error"), chart.get("result")
    if error or not isinstance(results, list) or len(results) != 1:
        told = f"{error.get('code')}: {error.get('description')}" if isinstance(error, dict) else "no result"
        raise SourceError(
            f"{label}: the service refused ({told[:160]}).", remedy="check the symbol, or try again later."
        )
    result = results[0]
    meta = result.get("meta") if isinstance(result, dict) else None
    if not isinstance(meta, dict):
        raise SourceError(f"{label}: the answer has no 'meta'.", remedy=FORMAT_REMEDY)
    _check_meta(meta, address, label)
    zone = _zone(meta, label)
    stamps = result.get("timestamp")
    if stamps is None and not _quotes(result, label).get("close"):
        return empty_frame(), None
    times = _times(stamps, zone, label)
    columns = {"value": _column(result, "close", len(times), label)}
    if address.ohlc:
        columns |= {name: _column(result, name, len(times), label) for name in PRICE_COLUMNS}
    values = columns.pop("value")
    given = [place for place, value in enumerate(values) if np.isfinite(value)]
    finished = [place for place in given if now >= _end(times[place], meta, zone)]
    notes = []
    if len(finished) < len(given):
        days = sorted(
            {times[place].date().isoformat() for place in given} - {times[p].date().isoformat() for p in finished}
        )
        notes.append(f"the unfinished bar of {', '.join(days) or 'today'} is left out")
    _check_stamps([times[place] for place in finished], label)
    frame, note = frame_of(
        [np.datetime64(times[place].date(), "D") for place in finished],
        [values[place] for place in finished],
        **{name: [prices[place] for place in finished] for name, prices in columns.items()},
    )
    return frame, "; ".join(part for part in (note, *notes) if part) or None


def _check_meta(meta: Mapping[str, Any], address: YahooAddress, label: str) -> None:
    if str(meta.get("symbol", "")).upper() != address.symbol:
        raise SourceError(
            f"{label}: the answer is about {shown(meta.get('symbol'))}.", remedy="check the symbol in series.yaml."
        )
    if address.currency is not None and meta.get("currency") != address.currency:
        raise SourceError(
            f"{label}: the answer is in {shown(meta.get('currency'))}, {address.currency} is expected.",
            remedy="check the symbol and currency in series.yaml.",
        )
    if meta.get("dataGranularity", "1d") != "1d":
        raise SourceError(
            f"{label}: the answer holds bars of {shown(meta['dataGranularity'])}, not of a day.", remedy=FORMAT_REMEDY
        )


def _zone(meta: Mapping[str, Any], label: str) -> ZoneInfo:
    name = meta.get("exchangeTimezoneName")
    try:
        if isinstance(name, str) and name:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise SourceError(f"{label}: the exchange's zone is {shown(name)}, which is none.", remedy=_ZONE_REMEDY)


def _times(stamps: Any, zone: ZoneInfo, label: str) -> list[dt.datetime]:
    whole = isinstance(stamps, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in stamps)
    if not whole or any(abs(item) > _LATEST_STAMP for item in stamps):
        raise SourceError(f"{label}: 'timestamp' does not hold seconds: {shown(stamps)}.", remedy=FORMAT_REMEDY)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return [(epoch + dt.timedelta(seconds=item)).astimezone(zone) for item in stamps]


def _quotes(result: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    try:
        quotes = result["indicators"]["quote"][0]
    except (KeyError, IndexError, TypeError):
        quotes = None
    if not isinstance(quotes, dict):
        raise SourceError(f"{label}: the answer has no 'quote'.", remedy=FORMAT_REMEDY)
    return quotes


def _column(result: Mapping[str, Any], name: str, length: int, label: str) -> list[float]:
    values = _quotes(result, label).get(name)
    if not isinstance(values, list) or len(values) != length:
        found = f"{len(values)} values" if isinstance(values, list) else "nothing"
        raise SourceError(f"{label}: '{name}' holds {found} for {length} stamps.", remedy=FORMAT_REMEDY)
    return [number(value, label) for value in values]


def _end(opened: dt.datetime, meta: Mapping[str, Any], zone: ZoneInfo) -> dt.datetime:
    """Return when a session that opened then is over: at the end the answer names for it, else with its day."""
    period = meta.get("currentTradingPeriod")
    regular = period.get("regular") if isinstance(period, dict) else None
    stamps = [regular.get(name) for name in ("start", "end")] if isinstance(regular, dict) else []
    if isinstance(regular, dict) and all(isinstance(item, int) and abs(item) <= _LATEST_STAMP for item in stamps):
        start, end = (dt.datetime.fromtimestamp(regular[name], tz=zone) for name in ("start", "end"))
        if start.date() == opened.date() and end > start:
            return end
    return dt.datetime.combine(opened.date() + _DAY, dt.time(), tzinfo=zone)


def _check_stamps(times: Sequence[dt.datetime], label: str) -> None:
    """Refuse stamps whose zone is another one than the answer says: their dates would be wrong for half a year."""
    if not times:
        return
    weekends = sum(time.weekday() >= 5 for time in times)
    if weekends > max(1, 0.02 * len(times)):
        raise SourceError(
            f"{label}: {weekends} of {len(times)} bars fall on weekends in the zone the answer names.",
            remedy=_ZONE_REMEDY,
        )
    clock = Counter(60 * time.hour + time.minute for time in times).most_common(2)
    if len(clock) == 2 and abs(clock[0][0] - clock[1][0]) in (60, 1380) and clock[1][1] >= 0.2 * len(times):
        raise SourceError(
            f"{label}: its sessions open an hour later in one season than in the other, in the zone the answer names.",
            remedy=_ZONE_REMEDY,
        )


def _epoch(date: dt.date) -> int:
    return int(dt.datetime.combine(date, dt.time(), tzinfo=dt.UTC).timestamp())
