"""The one contract every source of market data keeps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.settings import SeriesSpec

PRICE_COLUMNS: tuple[str, ...] = ("open", "high", "low")
FRAME_COLUMNS: tuple[str, ...] = ("event_date", "value", *PRICE_COLUMNS)
AVAILABLE_AT = "available_at"

References: TypeAlias = "Callable[[str], pd.DataFrame]"
"""Series id → its rows as far as they are at hand (``event_date``, ``value``), to check an answer's dates against."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A series and the window of event dates wanted, both ends included.

    ``references`` gives a source the rows of another series to check its dates against, where there are any.
    """

    series: SeriesSpec
    start: dt.date
    end: dt.date
    references: References | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError(
                f"a request for {self.series.id} runs from {self.start} to {self.end}: start must not follow end"
            )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a source answered.

    Parameters
    ----------
    frame:
        Columns :data:`FRAME_COLUMNS`: ``event_date`` (``datetime64[ns]`` without zone, unique, ascending), ``value``
        and the prices as ``float64``; ``value`` is never empty, the prices are where the source has none.
    payload_hash:
        SHA-256 of the raw bytes the rows came from.
    retrieved_at:
        When those bytes were fetched (UTC).
    note:
        What a reader should know about the answer, for example dates that repeated.
    earlier:
        Versions of dates in ``frame`` that the provider has since replaced, where it tells: the same columns and
        ``available_at``. Then ``frame`` has that column too: when each value was first published (UTC), empty where
        the provider does not tell.
    """

    frame: pd.DataFrame
    payload_hash: str
    retrieved_at: dt.datetime
    note: str | None = None
    earlier: pd.DataFrame | None = None


class Source(Protocol):
    """A place a series can come from."""

    @property
    def name(self) -> str:
        """Name used in the chains of ``configs/pairs/*.yaml``."""
        ...

    @property
    def is_local(self) -> bool:
        """True where asking costs no network; such sources establish coverage before live ones are asked."""
        ...

    def not_configured(self, series: SeriesSpec) -> str | None:
        """Return why this source cannot be asked for ``series``, or None where it can."""
        ...

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the rows of the window; none is an answer too.

        Raises
        ------
        SourceError
            When the source refuses, fails, or answers something unusable.
        """
        ...
