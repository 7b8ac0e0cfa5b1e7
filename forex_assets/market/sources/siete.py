"""BCCh SIETE, the central bank's own web service (free registration).

Its credentials travel in the query string, so they are read from the environment or private files only, handed to the
HTTP client as parameters, and appear in no error, log, cache key or setting; its answers are not cached on disk. A
refusal is HTTP 200 with ``Codigo`` other than 0. Dates are DD-MM-YYYY, values are text, sometimes with a decimal comma;
missing days are ``NaN`` with status ``ND``.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import PRICE_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.http.answers import Payload
from forex_assets.market.http.gateway import HttpGateway
from forex_assets.market.sources.folder import within
from forex_assets.market.tabular import empty_frame, tidy_frame
from forex_assets.market.vintages.recording import note_cached
from forex_assets.ops.secrets import redact, secret
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import SieteAddress

_MISSING = frozenset({"", "nan", "nd", "none", "null"})
_TEXT_LIMIT = 160


@dataclass(frozen=True)
class SieteSource:
    """The central bank's own series, by code."""

    base_url: str
    gateway: HttpGateway
    now: dt.datetime
    max_requests_per_s: float
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    offline: bool = False
    name: str = "siete"
    is_local: bool = False

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why the service cannot be asked, or None."""
        if self.offline:
            return "offline"
        if not (self.user and self.password):
            return "BCCH_USER and BCCH_PASS are not set"
        return None

    def urls(self) -> tuple[str, ...]:
        """Return the address that may be asked."""
        return (self.base_url,)

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the window's rows.

        Raises
        ------
        SourceError
            When the service refuses (also within HTTP 200), fails, or answers another shape.
        """
        address = _address(request.series)
        if not (self.user and self.password):
            raise SourceError("siete: no credentials.", remedy="set BCCH_USER and BCCH_PASS, or their _FILE forms.")
        label = f"siete {address.code}"
        slot, asked = f"{self.name} {request.series.id}", f"{address.code} {request.start} {request.end}"
        with self.gateway.turn(slot, asked):
            payload = self.gateway.cached(slot, not_before=self.now, asked=asked)
            if payload is None:
                payload = self._ask(request, address.code, label)
                self.gateway.keep(slot, payload, asked=asked, on_disk=False)
            else:
                note_cached(label, payload.sha256)
        frame = parse_answer(payload.body, address, self._mask)
        tidy, note = tidy_frame(frame, refuse_contradictions=True) if len(frame) else (frame, None)
        return FetchResult(within(tidy, request), payload.sha256, payload.retrieved_at, note)

    def _ask(self, request: FetchRequest, code: str, label: str) -> Payload:
        user, password = self.user or "", self.password or ""
        return self.gateway.get(
            self.base_url,
            label=label,
            params={
                "user": user,
                "pass": password,
                "function": "GetSeries",
                "timeseries": code,
                "firstdate": request.start.isoformat(),
                "lastdate": request.end.isoformat(),
            },
            per_second=self.max_requests_per_s,
            secrets=(user, password),
        )

    def _mask(self, text: str) -> str:
        for value in (self.password, self.user):
            if value:
                text = text.replace(value, "***")
        return redact(text)


def read_credentials(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return user and password from ``BCCH_USER``/``BCCH_PASS`` or the private files their ``_FILE`` forms name."""
    return secret("BCCH_USER", environ), secret("BCCH_PASS", environ)


def parse_answer(body: Any, address: SieteAddress, mask: Callable[[str], str]) -> pd.DataFrame:
    """Return the observations of a ``GetSeries`` answer.

    Raises
    ------
    SourceError
        When ``Codigo`` is not 0, or the shape is another one.
    """
    label = f"siete {address.code}"
    if not isinstance(body, dict) or "Codigo" not in body:
        raise SourceError(
            f"{label}: the answer has no 'Codigo'.", remedy="the service changed its format; check its documentation."
        )
    if str(body["Codigo"]) != "0":
        told = mask(str(body.get("Descripcion", "no description")))[:_TEXT_LIMIT]
        raise SourceError(
            f"{label}: the service refused with code {mask(str(body['Codigo']))[:20]}: {told}.",
            remedy="check BCCH_USER and BCCH_PASS, that the account is active, and the series code.",
        )
    series = body.get("Series")
    observations = series.get("Obs") if isinstance(series, dict) else None
    if observations is None:
        return empty_frame()
    try:
        rows = [
            (dt.datetime.strptime(str(item["indexDateString"]).strip(), "%d-%m-%Y"), _number(item))
            for item in observations
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{label}: an observation has another shape ({mask(str(error))[:_TEXT_LIMIT]}).",
            remedy="the service changed its format; check its documentation.",
        ) from None
    if not rows:
        return empty_frame()
    frame = pd.DataFrame(rows, columns=["event_date", "value"])
    frame["event_date"] = frame["event_date"].astype("datetime64[ns]")
    frame["value"] = frame["value"].astype(float) * address.scale
    for column in PRICE_COLUMNS:
        frame[column] = np.nan
    return frame


def _number(item: Mapping[str, Any]) -> float:
    text = str(item["value"]).strip()
    if text.lower() in _MISSING or str(item.get("statusCode", "OK")).upper() == "ND":
        return math.nan
    if "," in text:
        text = text.replace(".", "").replace(",", ".")
    return float(text)


def _address(series: SeriesSpec) -> SieteAddress:
    body = series.addresses.get("siete", {})
    try:
        return SieteAddress.model_validate(body)
    except ValidationError as error:
        raise ConfigError(
            f"Series {series.id}: addresses.siete is {body!r}, it must be {{code: CODE}}.",
            remedy="use a series code of the service's catalogue, for example F073.TCO.PRE.Z.D.",
        ) from error
