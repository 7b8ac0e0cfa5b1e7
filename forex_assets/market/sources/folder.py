"""A folder of market data (``FOREX_DATA_DIR``): CSV or Parquet files described by the series' address."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forex_assets.clock import calendar_for
from forex_assets.errors import SourceError
from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.tabular import address_of, read_table
from forex_assets.settings import SeriesSpec
from forex_assets.settings.addresses import TableAddress


@dataclass(frozen=True)
class FolderSource:
    """Files in one folder; a series without a file there is simply not configured."""

    folder: Path | None
    now: dt.datetime
    name: str = "folder"
    is_local: bool = True

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why the folder has nothing for ``series``, or None."""
        if self.folder is None:
            return "FOREX_DATA_DIR is not set"
        file = address_of(series, self.name).file
        return None if (self.folder / file).is_file() else f"the data folder has no {file}"

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the file's rows of the window.

        Raises
        ------
        SourceError
            When the file cannot be read, or leads outside the folder.
        """
        if self.folder is None:
            raise SourceError("FOREX_DATA_DIR is not set.", remedy="set it to a folder of market data.")
        address = address_of(request.series, self.name)
        path = self.folder / address.file
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise SourceError(
                f"folder file {address.file} leads outside the data folder.", remedy="replace the link by the file."
            )
        return read_file(path, address, request, label=f"folder file {address.file}", now=self.now)


def read_file(path: Path, address: TableAddress, request: FetchRequest, *, label: str, now: dt.datetime) -> FetchResult:
    """Return a file's rows of the window, noting what stays out.

    Raises
    ------
    SourceError
        When the file cannot be read.
    """
    frame, digest, repeated = read_table(path, address, label=label)
    notes = [repeated]
    late = int((frame["event_date"] > pd.Timestamp(request.end)).sum())
    if late:
        notes.append(f"{late} rows dated after {request.end} are left for later")
    frame = within(_moved(frame, address, request.series), request)
    if address.sessions_only:
        is_session = calendar_for(request.series.calendar).is_open(frame["event_date"].to_numpy("datetime64[D]"))
        notes.append(f"{int((~is_session).sum())} rows on closed days are repetitions, not observations")
        frame = frame[is_session].reset_index(drop=True)
    return FetchResult(frame, digest, now, "; ".join(note for note in notes if note) or None)


def _moved(frame: pd.DataFrame, address: TableAddress, series: SeriesSpec) -> pd.DataFrame:
    """Return rows dated the session they belong to; a date that is no session stays for the quality rules to judge."""
    if not address.shift_sessions or not len(frame):
        return frame
    dates = calendar_for(series.calendar).add(frame["event_date"].to_numpy("datetime64[D]"), address.shift_sessions)
    moved = frame.assign(event_date=dates.astype("datetime64[ns]"))
    return moved.drop_duplicates("event_date", keep="last").reset_index(drop=True)


def within(frame: pd.DataFrame, request: FetchRequest) -> pd.DataFrame:
    """Return the rows of a request's window."""
    dates = frame["event_date"]
    return frame[(dates >= pd.Timestamp(request.start)) & (dates <= pd.Timestamp(request.end))].reset_index(drop=True)
