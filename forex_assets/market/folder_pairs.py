"""Pairs that a folder of market data holds and the configuration does not know.

A daily file whose name starts with two currency codes is a pair: ``fx_usdbrl_ecb_daily.csv`` is ``usdbrl``,
``usdbrl_close_daily.csv`` is ``usdbrl_close``. Values are quote per base (BRL per USD), in the column ``value``, or in
``close`` for a market close. ECB reference rates follow the TARGET calendar and are known at 16:00 Frankfurt; anything
else is taken as known at 17:00 New York on the FX week. Drivers are the common ones of the catalogue.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forex_assets.errors import DataError, ValidationError
from forex_assets.settings import PairSpec, SeriesSpec, Settings

#: Codes of freely or formerly traded currencies; a file name starting with anything else is no pair.
CURRENCIES = frozenset(
    [
        "AED",
        "ARS",
        "AUD",
        "BGN",
        "BHD",
        "BOB",
        "BRL",
        "CAD",
        "CHF",
        "CLP",
        "CNH",
        "CNY",
        "COP",
        "CRC",
        "CYP",
        "CZK",
        "DKK",
        "DOP",
        "EEK",
        "EGP",
        "EUR",
        "GBP",
        "GHS",
        "GTQ",
        "HKD",
        "HRK",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "ISK",
        "JPY",
        "KES",
        "KRW",
        "KWD",
        "KZT",
        "LKR",
        "LTL",
        "LVL",
        "MAD",
        "MTL",
        "MXN",
        "MYR",
        "NGN",
        "NOK",
        "NZD",
        "OMR",
        "PEN",
        "PHP",
        "PKR",
        "PLN",
        "PYG",
        "QAR",
        "ROL",
        "RON",
        "RSD",
        "RUB",
        "SAR",
        "SEK",
        "SGD",
        "SIT",
        "SKK",
        "THB",
        "TND",
        "TRL",
        "TRY",
        "TWD",
        "UAH",
        "USD",
        "UYU",
        "VND",
        "XAG",
        "XAU",
        "ZAR",
    ]
)
DRIVERS = ("fed_funds", "dxy", "vix")
_FILE = re.compile(r"^(?:fx_)?(?P<pair>[a-z]{6})(?:(?P<rest>(?:_[a-z0-9]+)*?)_daily)?\.(?:csv|csv\.gz|parquet)$")
_SILENT = ("ecb", "long")
#: A value this many times above or below the usual one is an error of unit, not a price.
_RANGE_FACTOR = 200.0


@dataclass(frozen=True)
class FolderPair:
    """A pair found in a folder by its file's name."""

    id: str
    file: str

    @property
    def base(self) -> str:
        """Base currency."""
        return self.id[:3].upper()

    @property
    def quote(self) -> str:
        """Quote currency."""
        return self.id[3:6].upper()

    @property
    def is_ecb(self) -> bool:
        """Whether the file holds ECB reference rates."""
        return "ecb" in re.split(r"[_.]", self.file)


def folder_pairs(folder: Path) -> dict[str, list[FolderPair]]:
    """Return the pairs a folder holds by id, with every file that claims to be one."""
    found: dict[str, list[FolderPair]] = {}
    for path in sorted(folder.iterdir()):
        match = _FILE.match(path.name)
        if not match or not path.is_file():
            continue
        code = match["pair"].upper()
        if code[:3] not in CURRENCIES or code[3:] not in CURRENCIES or code[:3] == code[3:]:
            continue
        words = [word for word in (match["rest"] or "").split("_") if word and word not in _SILENT]
        name = "_".join([match["pair"], *words])
        found.setdefault(name, []).append(FolderPair(name, path.name))
    return found


def with_folder_pairs(settings: Settings, names: list[str] | None) -> tuple[Settings, list[str]]:
    """Return settings that know the folder's pairs too, and the ids asked for.

    Parameters
    ----------
    settings:
        Settings with a data folder.
    names:
        Pair ids; None: every configured pair and every plain pair of the folder that is not configured.

    Raises
    ------
    ValidationError
        When a name is neither configured nor in the folder, or two files claim it.
    DataError
        When a file holds no usable column.
    """
    if settings.data_dir is None:
        return settings, names if names is not None else list(settings.pairs)
    found = folder_pairs(settings.data_dir)
    if names is None:
        own = {str(address.get("file")) for spec in settings.series.values() for address in spec.addresses.values()}
        names = list(settings.pairs)
        names += [
            name
            for name, pairs in found.items()
            if name not in settings.pairs and "_" not in name and pairs[0].file not in own
        ]
    series, pairs = dict(settings.series), dict(settings.pairs)
    for name in names:
        if name in settings.pairs:
            continue
        files = found.get(name, [])
        if len(files) != 1:
            _refuse(name, files, settings, found)
        pairs[name], target = _spec(settings, files[0])
        series[target.id] = target
    return settings.model_copy(update={"series": series, "pairs": pairs}), names


def _refuse(name: str, files: list[FolderPair], settings: Settings, found: dict[str, list[FolderPair]]) -> None:
    if files:
        raise ValidationError(
            f"Pair '{name}' is claimed by {len(files)} files: {', '.join(pair.file for pair in files)}.",
            remedy="keep one of them in the folder, or rename the other (usdbrl_close_daily.csv is usdbrl_close).",
        )
    known = sorted({*settings.pairs, *found})
    raise ValidationError(
        f"Pair '{name}' is neither configured nor in {settings.data_dir}; there are {', '.join(known)}.",
        remedy=f"use one of those, or add fx_{name[:6]}_daily.csv with the columns date and value.",
    )


def _spec(settings: Settings, pair: FolderPair) -> tuple[PairSpec, SeriesSpec]:
    folder = settings.data_dir
    assert folder is not None  # nosec B101  # the caller looked
    column, middle = _column(folder / pair.file)
    is_close = column == "close"
    calendar = "TARGET" if pair.is_ecb else "FX"
    publication = (
        {"rule": "same_day", "time": "16:00", "zone": "Europe/Berlin"}
        if pair.is_ecb
        else {"rule": "same_day", "time": "17:00", "zone": "America/New_York"}
    )
    series = SeriesSpec.model_validate(
        {
            "id": f"{pair.id}_folder",
            "label": f"{pair.base}/{pair.quote}, {pair.file}",
            "unit": f"{pair.quote} per {pair.base}",
            "calendar": calendar,
            "publication": publication,
            "range": (middle / _RANGE_FACTOR, middle * _RANGE_FACTOR),
            "max_age_business_days": 5,
            "basis": "close" if is_close else "fixing",
            "quality": {"calendar": "sessions" if pair.is_ecb else "weekdays"},
            "addresses": {"folder": {"file": pair.file, "column": column}},
        }
    )
    drivers = [name for name in DRIVERS if name in settings.series]
    spec = PairSpec.model_validate(
        {
            "id": pair.id,
            "label": f"{pair.base}/{pair.quote} ({pair.file})",
            "base": pair.base,
            "quote": pair.quote,
            "target": {"series": series.id, "kind": "close" if is_close else "fixing"},
            "calendars": [calendar],
            "history_start": dt.date(1999, 1, 4),
            "chains": {
                series.id: ["folder"],
                **{
                    name: [source for source in ("folder", "embedded") if source in settings.series[name].addresses]
                    for name in drivers
                },
            },
            "drivers": drivers,
        }
    )
    return spec, series


def _column(path: Path) -> tuple[str, float]:
    """Return the column of a file's values and the middle of them."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path.name} cannot be read as a table: {error}.", remedy="give a CSV or Parquet file with a header."
        ) from error
    for column in ("value", "close"):
        if column in frame.columns:
            values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
            positive = values[np.isfinite(values) & (values > 0)]
            if len(positive):
                return column, float(np.median(positive))
            raise DataError(
                f"{path.name} holds no positive number in its column '{column}' ({len(frame)} rows).",
                remedy="give prices in quote per base, such as BRL per USD.",
            )
    raise DataError(
        f"{path.name} has neither a column 'value' nor 'close'; it has {', '.join(map(str, frame.columns))}.",
        remedy="name the column of the prices 'value' (a fixing) or 'close' (a market close).",
    )
