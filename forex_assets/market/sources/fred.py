"""FRED, the St. Louis Fed's collection: the graph's CSV without a key, the API with one.

The CSV's first column has been called ``DATE`` and ``observation_date``; missing is ``.`` or empty. Plain clients are
sometimes stalled by its edge, so it has a short time-out of its own and the API is asked next. The API also tells
vintages: when a value was first published and what stood there before, so that a revised series is known as it was.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.clock import calendar_for, to_utc
from forex_assets.errors import SourceError
from forex_assets.market.contract import AVAILABLE_AT, FetchRequest, FetchResult
from forex_assets.market.http.answers import Payload
from forex_assets.market.sources.folder import within
from forex_assets.market.sources.live import (
    FORMAT_REMEDY,
    LiveSource,
    Rows,
    address_for,
    csv_rows,
    day,
    frame_of,
    number,
    result_of,
    shown,
)
from forex_assets.ops.secrets import redact
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import FredAddress

KEY = "FRED_API_KEY"
# The API serves at most 2,000 vintages at once, and a daily series has one a business day.
_VINTAGE_REACH = dt.timedelta(days=7 * 365)
_FOREVER = "9999-12-31"
_MOST_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class FredSource(LiveSource):
    """Series by id: ``base_url`` is the graph's CSV, ``api_url`` the API for those with a key."""

    api_url: str
    api_key: str | None = field(default=None, repr=False)
    name: str = "fred"

    def urls(self) -> tuple[str, ...]:
        """Return both services, the second only with a key."""
        return (self.base_url, self.api_url) if self.api_key else (self.base_url,)

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's rows, with the instants of their first publication where those are known.

        Raises
        ------
        SourceError
            When neither service answers usably.
        """
        address = address_for(request.series, self.name, FredAddress, "{id: DGS10}")
        frame, note, payload = self._rows(request, address)
        notes = [note]
        earlier: pd.DataFrame | None = None
        if address.vintages and self.api_key:
            try:
                frame, earlier = self._dated(frame, request, address)
            except SourceError as error:
                notes.append(f"no vintages: {error.message}")
        frame = within(frame, request)
        if address.sessions_only:
            calendar = calendar_for(request.series.calendar)
            frame = frame[calendar.is_open(frame["event_date"].to_numpy("datetime64[D]"))].reset_index(drop=True)
        result = result_of(frame, payload, *notes)
        return FetchResult(result.frame, result.payload_hash, result.retrieved_at, result.note, earlier=earlier)

    def _rows(self, request: FetchRequest, address: FredAddress) -> Rows:
        try:
            (frame, note), payload = self.ask(
                request.series,
                self.base_url,
                functools.partial(parse_csv, address=address),
                label=f"fred {address.id}",
                kind="text",
                params={"id": address.id, "cosd": request.start.isoformat(), "coed": request.end.isoformat()},
            )
        except SourceError as error:
            if not self.api_key:
                raise
            try:
                versions, payload = self._api(
                    request.series, address, {"observation_start": request.start, "observation_end": request.end}
                )
            except SourceError as again:
                raise SourceError(f"{error.message} {again.message}", remedy=again.remedy) from None
            dates = list(versions["event_date"].to_numpy("datetime64[D]"))
            frame, note = frame_of(dates, list(versions["value"].to_numpy(float)))
            return frame, "; ".join(part for part in (note, f"from the API: {error.message}") if part), payload
        return frame, note, payload

    def _dated(
        self, frame: pd.DataFrame, request: FetchRequest, address: FredAddress
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows with the instant each was first published, and the versions they replaced."""
        start = max(request.start, self.now.date() - _VINTAGE_REACH)
        versions, _ = self._api(
            request.series,
            address,
            {
                "observation_start": start,
                "observation_end": request.end,
                "realtime_start": start,
                "realtime_end": _FOREVER,
            },
            part="vintages",
        )
        rule = request.series.publication
        known = to_utc(
            versions["realtime_start"].to_numpy("datetime64[D]"), dt.time.fromisoformat(rule.time), rule.zone
        )
        versions[AVAILABLE_AT] = pd.DatetimeIndex(known.astype("datetime64[ns]")).tz_localize("UTC")
        # What stood there when the asked-for period began was published then or before: nobody tells when.
        versions.loc[versions["realtime_start"] <= pd.Timestamp(start), AVAILABLE_AT] = pd.NaT
        versions = versions.drop(columns="realtime_start")
        last = versions.drop_duplicates("event_date", keep="last")
        told = frame.merge(last[["event_date", "value", AVAILABLE_AT]], on=["event_date", "value"], how="left")
        return told, versions.drop(index=last.index).reset_index(drop=True)

    def _api(
        self, series: SeriesSpec, address: FredAddress, window: Mapping[str, dt.date | str], *, part: str = "api"
    ) -> tuple[pd.DataFrame, Payload]:
        key = self.api_key or ""
        return self.ask(
            series,
            self.api_url,
            functools.partial(parse_api, address=address, mask=_mask(key)),
            label=f"fred API {address.id}",
            kind="json",
            params={
                "series_id": address.id,
                "file_type": "json",
                **{name: str(value) for name, value in window.items()},
            },
            secret_params={"api_key": key},
            part=part,
        )


def parse_csv(text: str, *, address: FredAddress) -> tuple[pd.DataFrame, str | None]:
    """Return the rows of the graph's CSV, with either name of its first column.

    Raises
    ------
    SourceError
        When it is no such table.
    """
    label = f"fred {address.id}"
    rows = csv_rows(text, label, [("observation_date", "DATE"), address.id])
    return frame_of([day(when, label) for when, _ in rows], [number(value, label) for _, value in rows])


def parse_api(body: Any, *, address: FredAddress, mask: Callable[[str], str]) -> pd.DataFrame:
    """Return every version of every observation, in the order of their publication.

    Columns: those of the contract and ``realtime_start``, the day a version appeared.

    Raises
    ------
    SourceError
        When it is a refusal, of another shape, or not the whole.
    """
    label = f"fred API {address.id}"
    if not isinstance(body, dict) or "observations" not in body:
        told = mask(str(body.get("error_message", "")))[:160] if isinstance(body, dict) else ""
        raise SourceError(
            f"{label}: the answer has no 'observations'" + (f": {told}." if told else "."),
            remedy=f"check {KEY} and the series id.",
        )
    items = body["observations"]
    if body.get("units", "lin") != "lin":
        raise SourceError(f"{label}: the values are in units {shown(body['units'])}, not levels.", remedy=FORMAT_REMEDY)
    if not isinstance(items, list) or body.get("count", len(items)) > min(len(items), _MOST_ROWS):
        raise SourceError(f"{label}: the answer does not hold all its observations.", remedy=FORMAT_REMEDY)
    try:
        rows = [
            (day(item["date"], label), number(item["value"], label), day(item["realtime_start"], label))
            for item in items
        ]
    except (KeyError, TypeError):
        raise SourceError(f"{label}: an observation has another shape.", remedy=FORMAT_REMEDY) from None
    frame = pd.DataFrame(
        {
            "event_date": np.array([row[0] for row in rows], dtype="datetime64[D]").astype("datetime64[ns]"),
            "value": np.array([row[1] for row in rows], dtype=float),
            **dict.fromkeys(("open", "high", "low"), np.nan),
            "realtime_start": np.array([row[2] for row in rows], dtype="datetime64[D]").astype("datetime64[ns]"),
        }
    )
    given = frame.loc[np.isfinite(frame["value"].to_numpy(float))]
    ordered: pd.DataFrame = given.sort_values(["event_date", "realtime_start"], kind="stable").reset_index(drop=True)
    return ordered


def _mask(key: str) -> Callable[[str], str]:
    return lambda text: redact(text.replace(key, "***") if key else text)
