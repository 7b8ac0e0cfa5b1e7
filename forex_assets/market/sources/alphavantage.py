"""Alpha Vantage (key): daily currencies, shares and Treasury yields.

Refusals are HTTP 200 with ``Note``, ``Information`` or ``Error Message``, some of which repeat the key: it is masked in
whatever is told of them, and no answer that holds it is kept.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.sources.live import (
    FORMAT_REMEDY,
    LimitUsedUpError,
    LiveSource,
    Rows,
    address_for,
    checked,
    day,
    frame_of,
    number,
    shown,
)
from forex_assets.ops.secrets import redact
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import AlphaVantageAddress

KEY = "ALPHAVANTAGE_API_KEY"
# The compact answer holds the last hundred bars.
_COMPACT = dt.timedelta(days=130)
_REFUSALS = ("Error Message", "Note", "Information")
_PRICES = {"open": "1. open", "high": "2. high", "low": "3. low", "value": "4. close"}


@dataclass(frozen=True, kw_only=True)
class AlphaVantageSource(LiveSource):
    """Daily values; the key comes from the environment or a private file only."""

    api_key: str | None = field(default=None, repr=False)
    name: str = "alphavantage"

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why the service cannot be asked, or None."""
        return super().not_configured(series) or (None if self.api_key else f"{KEY} is not set")

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's finished values.

        Raises
        ------
        SourceError
            When the service refuses (also within HTTP 200), fails, or its dates cannot be told.
        """
        address = address_for(
            request.series, self.name, AlphaVantageAddress, "{function: FX_DAILY, from_symbol: USD, to_symbol: CLP}"
        )
        if not self.api_key:
            raise SourceError("alphavantage: no key.", remedy=f"set {KEY}, or {KEY}_FILE.")
        label = f"alphavantage {address.function}"
        return checked(request, address.check, label, lambda start: self._rows(request, address, label, start))

    def _rows(self, request: FetchRequest, address: AlphaVantageAddress, label: str, start: dt.date) -> Rows:
        key = self.api_key or ""
        params = address.arguments
        if address.function != "TREASURY_YIELD":
            params["outputsize"] = "compact" if self.now.date() - start < _COMPACT else "full"

        def mask(text: str) -> str:
            return redact(text.replace(key, "***"))

        (frame, note), payload = self.ask(
            request.series,
            self.base_url,
            functools.partial(parse_answer, address=address, label=label, now=self.now, mask=mask),
            label=label,
            kind="json",
            params=params,
            secret_params={"apikey": key},
        )
        return frame, note, payload


def parse_answer(
    body: Any, *, address: AlphaVantageAddress, label: str, now: dt.datetime, mask: Callable[[str], str]
) -> tuple[pd.DataFrame, str | None]:
    """Return the finished values of an answer, and a note.

    Raises
    ------
    LimitUsedUpError
        When the answer says that the key's limit is used up.
    SourceError
        When it is another refusal, or of another shape.
    """
    if not isinstance(body, dict):
        raise SourceError(f"{label}: the answer is {shown(body)}.", remedy=FORMAT_REMEDY)
    for name in _REFUSALS:
        if name in body:
            told = f"{label}: the service says: {mask(str(body[name]))[:200]}"
            if any(word in told.lower() for word in ("rate limit", "call frequency", "requests per day", "per minute")):
                raise LimitUsedUpError(told, remedy="wait, or use another key; the next source in the chain serves.")
            raise SourceError(told, remedy=f"check {KEY} and the address in series.yaml.")
    if address.function == "TREASURY_YIELD":
        return _yields(body, label)
    series = next((value for key, value in body.items() if key.startswith("Time Series")), None)
    meta = body.get("Meta Data")
    if not isinstance(series, dict) or not isinstance(meta, dict):
        raise SourceError(f"{label}: the answer has no time series; it has {shown(list(body))}.", remedy=FORMAT_REMEDY)
    _check_meta(meta, address, label)
    today = np.datetime64(now.astimezone(_zone(meta, label)).date(), "D")
    days = {key: day(key, label) for key in series}
    finished = [key for key, when in days.items() if when < today]
    try:
        prices = {
            name: [number(series[key][field_name], label) for key in finished] for name, field_name in _PRICES.items()
        }
    except (KeyError, TypeError):
        raise SourceError(f"{label}: a bar has another shape.", remedy=FORMAT_REMEDY) from None
    frame, note = frame_of([days[key] for key in finished], prices["value"])
    left = len(days) - len(finished)
    told_left = f"{left} bars of a day that is not over are left out" if left else None
    return frame, "; ".join(part for part in (note, told_left) if part) or None


def _yields(body: Mapping[str, Any], label: str) -> tuple[pd.DataFrame, str | None]:
    if body.get("unit") != "percent" or body.get("interval") != "daily":
        raise SourceError(
            f"{label}: the answer is {shown(body.get('interval'))} in {shown(body.get('unit'))}, "
            "daily percent is expected.",
            remedy=FORMAT_REMEDY,
        )
    try:
        rows = [(day(item["date"], label), number(item["value"], label)) for item in body["data"]]
    except (KeyError, TypeError):
        raise SourceError(f"{label}: a value has another shape.", remedy=FORMAT_REMEDY) from None
    return frame_of([row[0] for row in rows], [row[1] for row in rows])


def _field(meta: Mapping[str, Any], ending: str) -> Any:
    """Return a field of the meta data; their numbering differs between functions."""
    return next((value for key, value in meta.items() if str(key).endswith(ending)), None)


def _check_meta(meta: Mapping[str, Any], address: AlphaVantageAddress, label: str) -> None:
    pairs = (("From Symbol", address.from_symbol), ("To Symbol", address.to_symbol), (" Symbol", address.symbol))
    for ending, wanted in pairs:
        if wanted is not None and _field(meta, ending) != wanted:
            raise SourceError(
                f"{label}: the answer is about {shown(_field(meta, ending))}, not {wanted}.",
                remedy="check the address in series.yaml.",
            )


def _zone(meta: Mapping[str, Any], label: str) -> ZoneInfo:
    name = _field(meta, "Time Zone")
    try:
        if isinstance(name, str) and name:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise SourceError(
        f"{label}: the dates' zone is {shown(name)}, which is none.",
        remedy="its dates cannot be told; the next source in the chain serves.",
    )
