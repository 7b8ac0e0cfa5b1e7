"""mindicador.cl: a keyless community mirror of BCCh indicators, read by year pages.

Traps of its answers: ``fecha`` is Santiago's midnight written in UTC (T03 in summer, T04 in winter, T00 has been
seen), so its first ten characters are the date and nothing may be converted; pages are newest first; ``ipc`` is the
monthly change, not the index and not the 12-month change; without a year the address is unstable.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forex_assets.clock import AsOf
from forex_assets.errors import SourceError
from forex_assets.market.contract import PRICE_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.http.answers import Payload
from forex_assets.market.http.failures import UnreachableError
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources.folder import within
from forex_assets.market.sources.live import address_for, due_lately, fresh_since
from forex_assets.market.tabular import empty_frame, tidy_frame
from forex_assets.market.vintages.recording import note_cached
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import MindicadorAddress

# Santiago's midnight in UTC, or a plain midnight; any other hour would be another zone, and the date not the first ten
# characters.
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}(T0[034]:00:00(\.0+)?Z)?$")
# A year's page is final this long after the year: late corrections have settled.
_SETTLED_AFTER = dt.timedelta(days=10)
# An empty page of a closed year may be the provider's lapse: it is asked for again after this long.
_EMPTY_GOOD_FOR = dt.timedelta(days=7)
_EVER = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class MindicadorSource:
    """Year pages of one indicator, newest first; closed years are cached for ever, the open one for some hours."""

    base_url: str
    gateway: HttpGateway
    now: dt.datetime
    cache_hours_open_year: float
    offline: bool = False
    enabled: bool = True
    max_requests_per_s: float | None = None
    name: str = "mindicador"
    is_local: bool = False

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return ``offline`` where live providers are switched off; nothing else is needed."""
        if self.offline:
            return "offline"
        return None if self.enabled else f"switched off (providers.{self.name}.enabled in platform.yaml)"

    def urls(self) -> tuple[str, ...]:
        """Return the address that may be asked."""
        return (self.base_url,)

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's rows from the year pages it touches.

        A year that fails is named in the note as long as another one answered.

        Raises
        ------
        SourceError
            When no page could be read.
        """
        address = address_for(request.series, self.name, MindicadorAddress, "{slug: dolar}")
        frames: list[pd.DataFrame] = []
        digest = hashlib.sha256()
        retrieved: list[dt.datetime] = []
        trouble: list[str] = []
        for year in range(min(request.end.year, self._last_year(request.series)), request.start.year - 1, -1):
            try:
                payload = self._page(request.series, address.slug, year)
                frame = parse_page(payload.body, address, f"{self.name} {address.slug}/{year}")
            except UnreachableError:
                raise
            except SourceError as error:
                trouble.append(error.message)
                continue
            frames.append(frame)
            digest.update(payload.sha256.encode())
            retrieved.append(payload.retrieved_at)
        if trouble and not any(len(frame) for frame in frames):
            raise SourceError("; ".join(trouble), remedy="try again later; stored values stay in use.")
        filled = [frame for frame in frames if len(frame)]
        tidy, note = (
            tidy_frame(pd.concat(filled, ignore_index=True), refuse_contradictions=True)
            if filled
            else (empty_frame(), None)
        )
        told = "; ".join(part for part in (note, *trouble) if part) or None
        return FetchResult(
            within(tidy, request), digest.hexdigest(), max(retrieved, default=self.now).astimezone(dt.UTC), told
        )

    def _page(self, series: SeriesSpec, slug: str, year: int) -> Payload:
        url = f"{self.base_url.rstrip('/')}/{slug}/{year}"
        with self.gateway.turn(url):
            kept = self.gateway.cached(url, not_before=self._good_since(series, year))
            if kept is not None and (_has_rows(kept) or kept.retrieved_at >= self.now - _EMPTY_GOOD_FOR):
                note_cached(f"{self.name} {slug}/{year}", kept.sha256)
                return kept
            payload = self.gateway.get(
                url,
                label=f"{self.name} {slug}/{year}",
                per_second=self.max_requests_per_s,
                known=self.gateway.cached(url, not_before=_EVER),
            )
            if _has_rows(payload) or (_is_page(payload) and year < self._today().year):
                self.gateway.keep(url, payload)
            return payload

    def _good_since(self, series: SeriesSpec, year: int) -> dt.datetime:
        """Return from when on a cached page of ``year`` is still good.

        A closed year's page is good for ever once it was fetched after the year had settled. The open year's is good
        for some hours, but never across a publication: what was due after it was fetched cannot be on it.
        """
        if year < self._today().year:
            settled = dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC) + _SETTLED_AFTER
            if self.now >= settled:
                return settled
        return fresh_since(series, self.now, self.cache_hours_open_year)

    def _last_year(self, series: SeriesSpec) -> int:
        """Return the last year with a page: the next one already in December, for what is published ahead."""
        due = due_lately(series, self.now)
        newest: dt.date = due.max().item() if len(due) else self._today()
        return max(newest.year, self._today().year)

    def _today(self) -> dt.date:
        return AsOf(self.now).date


def _is_page(payload: Payload) -> bool:
    return isinstance(payload.body, dict) and isinstance(payload.body.get("serie"), list)


def _has_rows(payload: Payload) -> bool:
    return _is_page(payload) and bool(payload.body["serie"])


def parse_page(body: Any, address: MindicadorAddress, label: str) -> pd.DataFrame:
    """Return the rows of one year page; an empty ``serie`` is an answer with no rows.

    Raises
    ------
    SourceError
        When the body is not a page of this indicator.
    """
    if not isinstance(body, dict) or not isinstance(body.get("serie"), list):
        told = body.get("message") if isinstance(body, dict) else None
        raise SourceError(
            f"{label}: the answer has no 'serie'" + (f": {str(told)[:120]}." if told else "."),
            remedy="check the slug in series.yaml; the provider may have changed its format.",
        )
    if body.get("codigo", address.slug) != address.slug:
        raise SourceError(
            f"{label}: the answer is about {str(body['codigo'])[:40]!r}.", remedy="check the slug in series.yaml."
        )
    rows: list[tuple[str, float]] = []
    for item in body["serie"]:
        try:
            stamp = str(item["fecha"])
            value = math.nan if item["valor"] is None else float(item["valor"])
        except (KeyError, TypeError, ValueError):
            raise SourceError(
                f"{label}: {str(item)[:80]!r} is no observation.", remedy="the provider changed its format; report it."
            ) from None
        if not _DATE.match(stamp):
            raise SourceError(
                f"{label}: {stamp[:40]!r} is no date of the known shapes.",
                remedy="the provider changed its format; report it.",
            )
        rows.append((stamp[:10], value * address.scale))
    if not rows:
        return empty_frame()
    try:
        dates = np.array([stamp for stamp, _ in rows], dtype="datetime64[D]")
    except ValueError as error:
        raise SourceError(f"{label}: {error}.", remedy="the provider sent an impossible date; report it.") from None
    frame = pd.DataFrame({"event_date": dates.astype("datetime64[ns]"), "value": [value for _, value in rows]})
    for column in PRICE_COLUMNS:
        frame[column] = np.nan
    return frame
