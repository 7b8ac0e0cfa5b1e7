"""Official public series shipped inside the package, so that the platform works without a network."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from forex_assets.market.contract import FetchRequest, FetchResult
from forex_assets.market.sources.folder import read_file
from forex_assets.market.tabular import address_of
from forex_assets.settings import SeriesSpec

EMBEDDED_DIR = Path(__file__).resolve().parent.parent / "embedded"


@dataclass(frozen=True)
class EmbeddedSource:
    """The shipped series; ``forex_assets/market/embedded/SOURCES.md`` says where each came from and on what terms."""

    now: dt.datetime
    folder: Path = EMBEDDED_DIR
    name: str = "embedded"
    is_local: bool = True

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return None: what is shipped is always there."""
        path = self._path(series)
        return None if path.is_file() else f"{path.name} is not shipped with the package"

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the shipped rows of the window."""
        path = self._path(request.series)
        address = address_of(request.series, self.name)
        return read_file(path, address, request, label=f"embedded {path.name}", now=self.now)

    def _path(self, series: SeriesSpec) -> Path:
        return self.folder / f"{address_of(series, self.name).file}.gz"
