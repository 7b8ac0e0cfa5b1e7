"""Pooled fits as tables by month, and which of their rows is valid at an origin.

A row with ``valid_from`` = m is learned only from what had matured before m, so it may serve every forecast made from m
on. The package ships fits of both variants (``embedded/``, made by :mod:`.build`: statistics learned from prices and
VIX, no value of either); :func:`using` puts others in their place for a block of code. The variant ``vix`` serves
where a price history brings the drivers along.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.errors import DataError
from forex_assets.forecasting.models.rw_blend import shape_scores
from forex_assets.forecasting.panel.features import MARKET_FEATURES, NOMINAL_STEPS, OWN_FEATURES
from forex_assets.forecasting.panel.shipped import InForce, read_tables, write_tables
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import Table
from forex_assets.schemas.panel import bare

if TYPE_CHECKING:
    import pandas as pd

PLAIN, VIX = "plain", "vix"
VARIANTS = (PLAIN, VIX)
INTERCEPT = "intercept"
PAIR_PREFIX = "pair:"
EMBEDDED_DIR = Path(__file__).resolve().parent / "embedded"

COEFFICIENTS, SHAPES, FACTORS = bare("panel_coefficients"), bare("panel_shapes"), bare("panel_factors")
TABLES = (COEFFICIENTS, SHAPES, FACTORS)

Key = tuple[str, int]


@dataclass(frozen=True)
class _Rows:
    """Rows of one variant and tenor: validity in growing order and what holds from then on."""

    valid_from: Dates
    values: Floats

    def at(self, days: Dates, missing: Floats) -> Floats:
        """Return the values valid on each day, ``missing`` where none is yet."""
        if not len(self.valid_from):
            return np.repeat(missing[None], len(days), axis=0)
        row = np.searchsorted(self.valid_from, days, side="right") - 1
        out = self.values[np.maximum(row, 0)].copy()
        out[row < 0] = missing
        return out


class PanelFit:
    """Pooled fits of all months, ready to be applied; immutable.

    Parameters
    ----------
    coefficients, shapes, factors:
        Rows of :data:`COEFFICIENTS`, :data:`SHAPES`, :data:`FACTORS`.

    Raises
    ------
    DataError
        When a table has other columns, repeats a key, or holds a row learned after it became valid.
    """

    def __init__(self, coefficients: pd.DataFrame, shapes: pd.DataFrame, factors: pd.DataFrame) -> None:
        self.frames = {
            table.name: table.conform(frame)
            for table, frame in zip(TABLES, (coefficients, shapes, factors), strict=True)
        }
        for name, frame in self.frames.items():
            late = frame["learned_through"] >= frame["valid_from"]
            if late.any():
                row = frame[late].iloc[0]
                raise DataError(
                    f"Table {name} holds a row valid from {row['valid_from'].date()} that learned through "
                    f"{row['learned_through'].date()}; only earlier days may be learned from.",
                    remedy="make the fits again with forex_assets.forecasting.panel.fit.",
                )
        self._coefficients: dict[Key, tuple[_Rows, tuple[str, ...]]] = {}
        self._shapes: dict[Key, _Rows] = {}
        self._factors: dict[tuple[str, int, str], _Rows] = {}

    @property
    def variants(self) -> tuple[str, ...]:
        """Variants there are fits of."""
        there = set(self.frames[COEFFICIENTS.name]["variant"])
        return tuple(variant for variant in VARIANTS if variant in there)

    @property
    def pairs(self) -> tuple[str, ...]:
        """Pairs with a width factor of their own."""
        return tuple(sorted(set(self.frames[FACTORS.name]["pair"])))

    def _part(self, table: Table, variant: str, steps: int) -> pd.DataFrame:
        frame = self.frames[table.name]
        return frame[(frame["variant"] == variant) & (frame["steps"] == steps)]

    def _coefficients_of(self, variant: str, steps: int) -> tuple[_Rows, tuple[str, ...]]:
        if (variant, steps) not in self._coefficients:
            self._coefficients[(variant, steps)] = self._coefficient_rows(variant, steps)
        return self._coefficients[(variant, steps)]

    def _coefficient_rows(self, variant: str, steps: int) -> tuple[_Rows, tuple[str, ...]]:
        part = self._part(COEFFICIENTS, variant, steps)
        if part.empty:
            return _Rows(np.array([], dtype="datetime64[D]"), np.zeros((0, 0))), ()
        wide = part.pivot(index="valid_from", columns="feature", values="coefficient").fillna(0.0)
        return _Rows(_days(wide.index), wide.to_numpy()), tuple(wide.columns)

    def _shape_rows(self, variant: str, steps: int) -> _Rows:
        part = self._part(SHAPES, variant, steps).sort_values("valid_from")
        return _Rows(_days(part["valid_from"]), part[list(QUANTILE_COLUMNS)].to_numpy())

    def log_ratio(self, variant: str, steps: int, pair: str, features: Floats, days: Dates) -> Floats:
        """Return the forecast log variance over the base on each day, shape (m,); 0 before the first fit.

        Parameters
        ----------
        features:
            Of ``OWN_FEATURES``, then for variant ``vix`` ``MARKET_FEATURES``; shape (m, f).
        """
        rows, names = self._coefficients_of(variant, steps)
        values = rows.at(days, np.zeros(len(names)))
        out = np.zeros(len(days))
        known = feature_names(variant)
        for i, name in enumerate(names):
            if name == INTERCEPT or name == PAIR_PREFIX + pair:
                out += values[:, i]
            elif name in known:
                out += values[:, i] * features[:, known.index(name)]
        return out

    def shape(self, variant: str, steps: int, days: Dates) -> Floats:
        """Return standardised quantiles on each day, shape (m, 13); Student's t with 8 degrees before the first fit."""
        if (variant, steps) not in self._shapes:
            self._shapes[(variant, steps)] = self._shape_rows(variant, steps)
        return self._shapes[(variant, steps)].at(days, shape_scores())

    def factor(self, variant: str, steps: int, pair: str, days: Dates) -> Floats:
        """Return the width factor of a pair on each day, shape (m,); 1 for a pair the panel does not know."""
        key = (variant, steps, pair)
        if key not in self._factors:
            part = self._part(FACTORS, variant, steps)
            part = part[part["pair"] == pair].sort_values("valid_from")
            self._factors[key] = _Rows(_days(part["valid_from"]), part[["factor"]].to_numpy())
        return np.asarray(self._factors[key].at(days, np.ones(1))[:, 0])

    def save(self, folder: Path) -> None:
        """Write the three tables as ``<table>.csv.gz``, the same bytes for the same tables."""
        write_tables(folder, self.frames)

    @classmethod
    def load(cls, folder: Path) -> PanelFit:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            When a table is missing or unreadable.
        """
        frames = read_tables(folder, TABLES, "Pooled fits")
        return cls(frames[0], frames[1], frames[2])


def feature_names(variant: str) -> tuple[str, ...]:
    """Return the features of a variant, in the order of the columns."""
    return (*OWN_FEATURES, *MARKET_FEATURES) if variant == VIX else OWN_FEATURES


def _days(values: object) -> Dates:
    days: Dates = np.asarray(values, dtype="datetime64[D]")
    return days


@functools.cache
def embedded() -> PanelFit:
    """Return the fits shipped with the package."""
    return PanelFit.load(EMBEDDED_DIR)


_in_force = InForce("panel_fit", embedded)
current = _in_force.current
using = _in_force.using


def between_tenors(steps: Ints) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the lower neighbour among the nominal tenors and the weight of the upper one, by log steps."""
    nominal = np.log(np.array(NOMINAL_STEPS, dtype=np.float64))
    x = np.clip(np.log(steps.astype(np.float64)), nominal[0], nominal[-1])
    low = np.clip(np.searchsorted(nominal, x, side="right") - 1, 0, len(nominal) - 2)
    return low, (x - nominal[low]) / (nominal[low + 1] - nominal[low])
