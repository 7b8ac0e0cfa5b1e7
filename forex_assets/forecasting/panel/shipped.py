"""Learned tables as files of the package, and which learned thing is in force for a block of code."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from forex_assets.errors import DataError
from forex_assets.schemas import Table

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def write_tables(folder: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    """Write tables as ``<table>.csv.gz``, the same bytes for the same tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(
            folder / f"{name}.csv.gz",
            index=False,
            float_format="%.6g",
            date_format="%Y-%m-%d",
            compression={"method": "gzip", "mtime": 0},
        )


def read_tables(folder: Path, tables: Sequence[Table], what: str) -> list[pd.DataFrame]:
    """Read what :func:`write_tables` wrote, in the order of ``tables``.

    Raises
    ------
    DataError
        When a table is missing or unreadable.
    """
    import pandas as pd

    frames = []
    for table in tables:
        path = folder / f"{table.name}.csv.gz"
        try:
            frames.append(pd.read_csv(path, parse_dates=["valid_from", "learned_through"]))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{what}: {path.name} cannot be read: {error}.",
                remedy="run python -m forex_assets.forecasting.panel.build, or reinstall the package.",
            ) from error
    return frames


class InForce(Generic[T]):
    """What is in force: the thing put there for a block of code, else the shipped one."""

    def __init__(self, name: str, shipped: Callable[[], T]) -> None:
        self._shipped = shipped
        self._put: contextvars.ContextVar[T | None] = contextvars.ContextVar(name, default=None)

    def current(self) -> T:
        """Return what is in force."""
        return self._put.get() or self._shipped()

    @contextlib.contextmanager
    def using(self, other: T) -> Iterator[T]:
        """Put another in force for a block of code."""
        token = self._put.set(other)
        try:
            yield other
        finally:
            self._put.reset(token)
