"""What the live sources share: asking with cache and validators, and reading texts strictly.

Nothing is guessed: a number that is none, a row with too many fields or a date of another shape is a typed error that
names what was seen, so that the chain goes on to the next source.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from forex_assets.arrays import Dates
from forex_assets.clock import AsOf
from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.alignment import align_dates, check_of, history_start, reference_rows
from forex_assets.market.chain import due_dates
from forex_assets.market.contract import PRICE_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.http.answers import Kind, Payload
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.publication import available_at
from forex_assets.market.sources.folder import within
from forex_assets.market.tabular import empty_frame, tidy_frame
from forex_assets.market.vintages.recording import note_cached
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import DateCheck

_M = TypeVar("_M", bound=BaseModel)
_T = TypeVar("_T")
_LONGEST_WAIT = dt.timedelta(days=92)
_EVER = dt.datetime.min.replace(tzinfo=dt.UTC)
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_MISSING = frozenset({"", ".", "nan", "n/a", "na", "nd", "null", "none", "-"})
_TEXT_LIMIT = 120
FORMAT_REMEDY = "the provider changed its format; the next source in the chain serves. Report it."


class LimitUsedUpError(SourceError):
    """The provider says, in whatever form, that its limit is used up: nothing else need be asked of it for a while."""


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """A provider asked over HTTP.

    Parameters
    ----------
    base_url:
        Address without credentials, from ``providers:`` in ``platform.yaml``.
    gateway:
        The HTTP client all live sources of one ingestion share.
    now:
        The moment of the ingestion.
    cache_hours:
        How long an answer is good for, unless something was due to be published since.
    max_requests_per_s:
        The provider's limit, kept over all threads of the process.
    read_timeout_s:
        A time-out of its own, where waiting longer is pointless.
    offline, enabled:
        Whether live providers, and this one, may be asked.
    """

    base_url: str
    gateway: HttpGateway = field(repr=False)
    now: dt.datetime
    cache_hours: float
    max_requests_per_s: float | None = None
    read_timeout_s: float | None = None
    offline: bool = False
    enabled: bool = True
    name: str
    is_local: bool = False

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why the provider cannot be asked, or None."""
        if self.offline:
            return "offline"
        return None if self.enabled else f"switched off (providers.{self.name}.enabled in platform.yaml)"

    def urls(self) -> tuple[str, ...]:
        """Return the addresses that may be asked, so that their hosts can be looked up together."""
        return (self.base_url,)

    def ask(
        self,
        series: SeriesSpec,
        url: str,
        read: Callable[[Any], _T],
        *,
        label: str,
        kind: Kind,
        params: Mapping[str, str],
        secret_params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        part: str = "",
        subject: str | None = None,
    ) -> tuple[_T, Payload]:
        """Return what ``read`` makes of the answer, and the answer: from the cache while that is good.

        One answer a series (or other ``subject``, where several series read the same) and ``part`` is kept, and only
        one that could be read; an old one makes the request conditional. ``secret_params`` and ``headers`` enter no
        cache, error or log; an answer that repeats one of the former, or of ``secrets``, is kept for this ingestion
        and not on disk.

        Raises
        ------
        SourceError
            When the provider fails, or ``read`` refuses its answer.
        """
        slot = f"{self.name} {subject or series.id} {part}".strip()
        asked = f"{url}?" + "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        with self.gateway.turn(slot, asked):
            fresh = self.gateway.cached(slot, not_before=fresh_since(series, self.now, self.cache_hours), asked=asked)
            if fresh is not None:
                note_cached(label, fresh.sha256)
                return read(fresh.body), fresh
            payload = self.gateway.get(
                url,
                label=label,
                kind=kind,
                params={**params, **(secret_params or {})},
                headers=headers,
                per_second=self.max_requests_per_s,
                read_timeout_s=self.read_timeout_s,
                known=self.gateway.cached(slot, not_before=_EVER, asked=asked),
                secrets=(*(secret_params or {}).values(), *secrets),
            )
            try:
                value = read(payload.body)
            except LimitUsedUpError as error:
                self.gateway.give_up(url, error.message)
                raise
            repeats = any(text in str(payload.body) for text in (*(secret_params or {}).values(), *secrets))
            self.gateway.keep(slot, payload, asked=asked, on_disk=not repeats)
            return value, payload


Rows: TypeAlias = "tuple[pd.DataFrame, str | None, Payload]"
"""Rows as the provider dates them, what is to be said about them, and the answer they came from."""


def checked(
    request: FetchRequest, declared: DateCheck | None, label: str, rows: Callable[[dt.date], Rows]
) -> FetchResult:
    """Return the rows of a window; where the series has a reference, on dates that were checked against it.

    Parameters
    ----------
    request:
        The window, and where references are found.
    declared:
        The check the address declares, or None for the series' own reference.
    label:
        How the request is called in messages.
    rows:
        Gives the provider's rows from a date on; asked for more than the window where dates are to be checked.

    Raises
    ------
    SourceError
        When the provider fails, or its dates cannot be told.
    """
    check = check_of(request.series, declared)
    if check is None:
        frame, note, payload = rows(request.start)
        return result_of(within(frame, request), payload, note)
    reference = reference_rows(request, check, label)
    frame, note, payload = rows(history_start(request, reference))
    if not len(frame):
        return result_of(frame, payload, note)
    aligned = align_dates(frame, reference, request.series, check, label)
    return result_of(within(aligned.frame, request), payload, aligned.note, note)


def result_of(frame: pd.DataFrame, payload: Payload, *notes: str | None) -> FetchResult:
    """Return the contract's result of rows and what is to be said about them."""
    told = "; ".join(note for note in notes if note)
    return FetchResult(frame, payload.sha256, payload.retrieved_at.astimezone(dt.UTC), told or None)


def due_lately(series: SeriesSpec, now: dt.datetime) -> Dates:
    """Return the event dates of the last months that the publication rule says are known now."""
    return due_dates(series, AsOf(now).date - _LONGEST_WAIT, now)


def fresh_since(series: SeriesSpec, now: dt.datetime, hours: float) -> dt.datetime:
    """Return from when on a cached answer is still good.

    It is for some hours, but never across a publication: what was due after it was fetched cannot be in it.
    """
    young = now - dt.timedelta(hours=hours)
    due = due_lately(series, now)
    if not len(due):
        return young
    newest: dt.datetime = available_at(series, due).max().item()
    return max(young, newest.replace(tzinfo=dt.UTC))


def address_for(series: SeriesSpec, source: str, model: type[_M], example: str) -> _M:
    """Return a series' address at a source.

    Raises
    ------
    ConfigError
        When the address has another shape.
    """
    body = series.addresses.get(source, {})
    try:
        return model.model_validate(body)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'address'}: {item['msg']}" for item in error.errors())
        raise ConfigError(
            f"Series {series.id}: addresses.{source} is {body!r}: {lines}.",
            remedy=f"write it like {example} (docs/providers.md).",
        ) from error


def number(value: Any, label: str) -> float:
    """Return a number of an answer, NaN where it says that there is none.

    Raises
    ------
    SourceError
        When it is something else, for example a text with a decimal comma.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else math.nan
    if value is None:
        return math.nan
    text = value.strip() if isinstance(value, str) else ""
    if isinstance(value, str) and text.lower() in _MISSING:
        return math.nan
    if not _NUMBER.match(text):
        told = " (a decimal comma?)" if "," in str(value) else ""
        raise SourceError(f"{label}: {shown(value)} is no number{told}.", remedy=FORMAT_REMEDY)
    return float(text)


def day(value: Any, label: str) -> np.datetime64:
    """Return a date of an answer, written YYYY-MM-DD.

    Raises
    ------
    SourceError
        When it is something else.
    """
    text = value.strip() if isinstance(value, str) else ""
    try:
        if _DAY.match(text):
            return np.datetime64(text, "D")
    except ValueError:
        pass
    raise SourceError(f"{label}: {shown(value)} is no date.", remedy=FORMAT_REMEDY)


def shown(value: Any) -> str:
    """Return a foreign value as a short text for a message."""
    return repr(value)[:_TEXT_LIMIT]


def csv_rows(text: str, label: str, columns: Sequence[str | tuple[str, ...]]) -> list[list[str]]:
    """Return the wanted columns of a CSV, row by row; a tuple names a column that has had several names.

    Raises
    ------
    SourceError
        When it is no such table: a plain sentence instead of one, a column that is missing, a row with another number
        of fields than the header.
    """
    lines = [line for line in csv.reader(io.StringIO(text.lstrip("\ufeff"))) if any(cell.strip() for cell in line)]
    header = [cell.strip() for cell in lines[0]] if lines else []
    places: list[int] = []
    for column in columns:
        names = (column,) if isinstance(column, str) else column
        found = [header.index(name) for name in names if name in header]
        if not found:
            if len(lines) <= 2 and len(header) < len(columns):
                raise SourceError(
                    f"{label}: the answer is no table but {shown(text.strip())}.",
                    remedy="the provider has nothing for this, or its limit is used up; see its message.",
                )
            raise SourceError(
                f"{label}: the answer has no column {' or '.join(names)}; it has {', '.join(header)[:_TEXT_LIMIT]}.",
                remedy=FORMAT_REMEDY,
            )
        places.append(found[0])
    for place, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise SourceError(
                f"{label}: row {place} has {len(line)} fields, the header {len(header)} "
                "(cut short, or a decimal comma?).",
                remedy=FORMAT_REMEDY,
            )
    return [[line[place].strip() for place in places] for line in lines[1:]]


def frame_of(
    days: Sequence[np.datetime64], values: Sequence[float], **prices: Sequence[float]
) -> tuple[pd.DataFrame, str | None]:
    """Return rows as the contract wants them, and a note: dates that contradict themselves are left out."""
    if not len(days):
        return empty_frame(), None
    frame = pd.DataFrame({"event_date": np.array(days, dtype="datetime64[D]").astype("datetime64[ns]")})
    frame["value"] = np.asarray(values, dtype=float)
    for name in PRICE_COLUMNS:
        frame[name] = np.asarray(prices[name], dtype=float) if name in prices else np.nan
    return tidy_frame(frame, refuse_contradictions=True)
