"""What a checkpoint of ours learns from: log prices of the ECB panel, or of any folder of daily files, up to a day."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.price_history import GROSS_MOVE_LOG, PriceHistory

VALUE_COLUMNS = ("value", "close")
MIN_RETURNS = 250


@dataclass(frozen=True)
class Series:
    """Log prices of one series, in date order."""

    name: str
    date: Dates
    log_value: Floats


@dataclass(frozen=True)
class TrainingData:
    """The series a checkpoint learns from and why others were left out."""

    series: tuple[Series, ...]
    skipped: dict[str, str]

    @property
    def through(self) -> dt.date:
        """Last day of any value."""
        last: dt.date = max(item.date[-1] for item in self.series).item()
        return last

    @property
    def first(self) -> dt.date:
        """First day of any value."""
        day: dt.date = min(item.date[0] for item in self.series).item()
        return day

    @property
    def hash(self) -> str:
        """Return a hash of every name, date and value."""
        digest = hashlib.sha256()
        for item in sorted(self.series, key=lambda one: one.name):
            digest.update(item.name.encode())
            digest.update(item.date.astype("datetime64[D]").astype("<i8").tobytes())
            digest.update(np.round(item.log_value, 12).astype("<f8").tobytes())
        return digest.hexdigest()[:16]


def panel_data(through: dt.date) -> TrainingData:
    """Return the panel of the pooled fits (ECB crosses, dólar observado), values dated up to a day."""
    from forex_assets.forecasting.panel.prices import panel_histories

    return of_histories(panel_histories(through), through)


def of_histories(histories: dict[str, PriceHistory], through: dt.date) -> TrainingData:
    """Return training data of price histories as known at the end of a day.

    Raises
    ------
    DataError
        When none is long enough.
    """
    from forex_assets.clock import as_of_instants

    instant = as_of_instants(np.array([through], dtype="datetime64[D]"))[0]
    found: list[Series] = []
    skipped: dict[str, str] = {}
    for name, history in histories.items():
        dates, values = history.known_at(instant)
        held = dates <= np.datetime64(through, "D")
        _keep(name, dates[held], values[held], found, skipped)
    return _checked(found, skipped, f"the {len(histories)} histories", through)


def folder_data(folder: Path, through: dt.date, names: tuple[str, ...] = ()) -> TrainingData:
    """Return training data of a folder: CSV files with a column ``date`` and one named ``value`` or ``close``.

    Parameters
    ----------
    folder:
        Holds one file per series.
    through:
        Later rows are not read into memory's result.
    names:
        File names without ``.csv``; empty: every file that fits.

    Raises
    ------
    DataError
        When no file fits.
    ValidationError
        When the folder or a named file does not exist.
    """
    import pandas as pd

    if not folder.is_dir():
        raise ValidationError(f"{folder} is not an existing folder.", remedy="name a folder of daily CSV files.")
    paths = [folder / f"{name}.csv" for name in names] if names else sorted(folder.glob("*.csv"))
    found: list[Series] = []
    skipped: dict[str, str] = {}
    for path in paths:
        if not path.is_file():
            raise ValidationError(f"{path} does not exist.", remedy=f"name files of {folder}, without .csv.")
        head = pd.read_csv(path, nrows=0).columns
        column = next((name for name in VALUE_COLUMNS if name in head), None)
        if "date" not in head or column is None:
            skipped[path.stem] = "no column date, or none named value or close"
            continue
        frame = pd.read_csv(path, usecols=["date", column], parse_dates=["date"]).dropna()
        frame = (
            frame.loc[frame["date"] <= pd.Timestamp(through)].drop_duplicates("date", keep="last").sort_values("date")
        )
        _keep(path.stem, frame["date"].to_numpy("datetime64[D]"), frame[column].to_numpy(float), found, skipped)
    return _checked(found, skipped, str(folder), through)


def _keep(name: str, dates: Dates, values: Floats, found: list[Series], skipped: dict[str, str]) -> None:
    if len(values) <= MIN_RETURNS:
        skipped[name] = f"{max(len(values) - 1, 0)} returns, {MIN_RETURNS} are needed"
    elif not (np.isfinite(values) & (values > 0)).all():
        skipped[name] = "holds a value that is not a positive number"
    elif (np.abs(np.diff(np.log(values))) > GROSS_MOVE_LOG).any():
        skipped[name] = "holds a move beyond a factor of 3: a wrong unit or value"
    elif np.ptp(values) == 0:
        skipped[name] = "never moves"
    else:
        found.append(Series(name, dates, np.log(values)))


def _checked(found: list[Series], skipped: dict[str, str], where: str, through: dt.date) -> TrainingData:
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3]) or "there are none"
        raise DataError(
            f"No series of {where} up to {through} can be learned from ({why}).",
            remedy=f"give daily series of more than {MIN_RETURNS} positive values before that day.",
        )
    return TrainingData(tuple(found), skipped)
