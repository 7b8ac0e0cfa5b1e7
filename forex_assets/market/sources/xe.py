"""XE mid-market rates (account and key): one mid a day at midnight UTC, so which session it closes has to be checked.

Credentials travel in the Authorization header. The rates are mids of many quotes, not a session's close.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.errors import SourceError
from forex_assets.market.alignment import check_of
from forex_assets.market.contract import FetchRequest, FetchResult
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
from forex_assets.ops.secrets import redact
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import XeAddress

ACCOUNT, KEY = "XE_ACCOUNT_ID", "XE_API_KEY"
_PER_PAGE = 500
_MOST_PAGES = 30


@dataclass(frozen=True, kw_only=True)
class XeSource(LiveSource):
    """Daily mids; never used with dates that were not checked."""

    account: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    name: str = "xe"

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why the service cannot be asked, or None."""
        missing = None if self.account and self.api_key else f"{ACCOUNT} and {KEY} are not set"
        return super().not_configured(series) or missing

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's mids on the sessions they close.

        Raises
        ------
        SourceError
            When the service refuses or fails, or the dates cannot be told.
        """
        address = address_for(request.series, self.name, XeAddress, "{from: USD, to: CLP}")
        if not (self.account and self.api_key):
            raise SourceError("xe: no credentials.", remedy=f"set {ACCOUNT} and {KEY}, or their _FILE forms.")
        label = f"xe {address.base}{address.quote}"
        if check_of(request.series, address.check) is None:
            raise SourceError(
                f"{label}: a mid of midnight UTC belongs to a session only a reference can tell, and "
                f"{request.series.id} declares none.",
                remedy="declare `reference:` for the series, or `check:` in the address.",
            )
        return checked(request, address.check, label, lambda start: self._mids(request, address, label, start))

    def _mids(self, request: FetchRequest, address: XeAddress, label: str, start: dt.date) -> Rows:
        read = functools.partial(parse_page, address=address, label=label, now=self.now, mask=self._mask)
        pages: list[pd.DataFrame] = []
        for page in range(1, _MOST_PAGES + 1):
            (frame, rows), payload = self.ask(
                request.series,
                self.base_url,
                read,
                label=label,
                kind="json",
                params={
                    "from": address.base,
                    "to": address.quote,
                    "start_timestamp": f"{start.isoformat()}T00:00",
                    "end_timestamp": f"{request.end.isoformat()}T00:00",
                    "interval": "DAILY",
                    "per_page": str(_PER_PAGE),
                    "page": str(page),
                },
                headers={"Authorization": f"Basic {self._secrets[0]}"},
                secrets=self._secrets,
                part=f"page {page}",
            )
            pages.append(frame)
            if rows < _PER_PAGE:
                break
        both = pd.concat(pages, ignore_index=True)
        tidy, note = frame_of(list(both["event_date"].to_numpy("datetime64[D]")), list(both["value"]))
        return tidy, note, payload

    @property
    def _secrets(self) -> list[str]:
        """What must not be told: the credentials as they travel, and as they are."""
        token = base64.b64encode(f"{self.account}:{self.api_key}".encode()).decode()
        return [token, *(value for value in (self.api_key, self.account) if value)]

    def _mask(self, text: str) -> str:
        for value in self._secrets:
            text = text.replace(value, "***")
        return redact(text)


def parse_page(
    body: Any, *, address: XeAddress, label: str, now: dt.datetime, mask: Callable[[str], str]
) -> tuple[pd.DataFrame, int]:
    """Return the mids of one page by their UTC date, repetitions included, and how many rows the page had.

    Raises
    ------
    SourceError
        When it is a refusal, about something else, or of another shape.
    """
    quotes = body.get("to") if isinstance(body, dict) else None
    rows = quotes.get(address.quote) if isinstance(quotes, dict) else None
    if not isinstance(rows, list):
        told = mask(str(body.get("message", "")))[:160] if isinstance(body, dict) else ""
        raise SourceError(
            f"{label}: the answer has no rates of {address.quote}" + (f": {told}." if told else "."),
            remedy=f"check {ACCOUNT} and {KEY}, and the address in series.yaml.",
        )
    if body.get("from") != address.base or number(body.get("amount"), label) != 1:
        raise SourceError(
            f"{label}: the answer is about {shown(body.get('amount'))} {shown(body.get('from'))}.", remedy=FORMAT_REMEDY
        )
    days: list[np.datetime64] = []
    values: list[float] = []
    for row in rows:
        try:
            when = dt.datetime.fromisoformat(str(row["timestamp"]))
            mid = number(row["mid"], label)
        except (KeyError, TypeError, ValueError):
            raise SourceError(f"{label}: {shown(row)} is no rate.", remedy=FORMAT_REMEDY) from None
        if when.tzinfo is None:
            raise SourceError(f"{label}: {shown(row['timestamp'])} has no zone.", remedy=FORMAT_REMEDY)
        if when <= now:
            days.append(np.datetime64(when.astimezone(dt.UTC).date(), "D"))
            values.append(mid)
    frame = pd.DataFrame(
        {"event_date": np.array(days, dtype="datetime64[D]").astype("datetime64[ns]"), "value": values}
    )
    return frame, len(rows)
