"""Weights, gates and corrections of the ensemble as tables by date of validity, and which rows hold at an origin.

A row with ``valid_from`` = m is learned only from what had matured before m. The package ships rows for its members,
learned on the panel; :func:`using` puts others in force for a block of code.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError
from forex_assets.forecasting.panel.artefacts import EMBEDDED_DIR, PLAIN
from forex_assets.forecasting.panel.shipped import InForce, read_tables, write_tables
from forex_assets.schemas import Table
from forex_assets.schemas.panel import bare

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS, CORRECTIONS = bare("panel_weights"), bare("panel_corrections")
TABLES = (WEIGHTS, CORRECTIONS)


@dataclass(frozen=True)
class _Rows:
    valid_from: Dates
    values: Floats

    def at(self, days: Dates) -> Floats:
        """Return the values valid on each day, NaN where none is yet."""
        width = self.values.shape[1] if self.values.ndim == 2 else 0
        out = np.full((len(days), width), np.nan)
        row = np.searchsorted(self.valid_from, days, side="right") - 1
        some = row >= 0
        out[some] = self.values[row[some]]
        return out


class EnsembleFit:
    """Weights, gates and corrections of all months, ready to be applied; immutable.

    Parameters
    ----------
    weights, corrections:
        Rows of :data:`WEIGHTS` and :data:`CORRECTIONS`.
    events:
        Condition → days of scheduled events (``meeting``), for corrections that hold where one is inside the tenor.

    Raises
    ------
    DataError
        When a table has other columns, repeats a key, holds a row learned after it became valid, or weights that are no
        shares of a whole.
    """

    def __init__(
        self, weights: pd.DataFrame, corrections: pd.DataFrame, events: Mapping[str, Dates] | None = None
    ) -> None:
        self.frames = {
            table.name: table.conform(frame) for table, frame in zip(TABLES, (weights, corrections), strict=True)
        }
        self.events: Mapping[str, Dates] = dict(events or {})
        for name, frame in self.frames.items():
            late = frame["learned_through"] >= frame["valid_from"]
            if late.any():
                row = frame[late].iloc[0]
                raise DataError(
                    f"Table {name} holds a row valid from {row['valid_from'].date()} that learned through "
                    f"{row['learned_through'].date()}; only earlier days may be learned from.",
                    remedy="learn the ensemble again (forex_assets.forecasting.ensemble.learn).",
                )
        total = self.frames[WEIGHTS.name].groupby(["valid_from", "variant", "steps"])["weight"].sum()
        wrong = (total - 1.0).abs() > 1e-6
        if wrong.any() or (self.frames[WEIGHTS.name]["weight"] < 0).any():
            found = (
                f"{total[wrong].index[0]} add up to {total[wrong].iloc[0]:.6g}" if wrong.any() else "some are negative"
            )
            raise DataError(
                f"Table {WEIGHTS.name}: weights must be shares of 1; {found}.",
                remedy="learn the ensemble again (forex_assets.forecasting.ensemble.learn).",
            )
        self._variants = set(self.frames[WEIGHTS.name]["variant"])
        self._made: dict[tuple[str, str, int], dict[str, _Rows]] = {}

    @functools.cached_property
    def _gates(self) -> dict[tuple[str, int, str], pd.DataFrame]:
        groups: Any = self.frames[WEIGHTS.name].groupby(["variant", "steps", "member"])
        return {(key[0], int(key[1]), key[2]): rows.sort_values("valid_from") for key, rows in groups}

    def _weights(self, variant: str, steps: int) -> dict[str, _Rows]:
        return self._rows(WEIGHTS, (variant, steps), "member", ["weight"])

    def _corrections(self, variant: str, steps: int) -> dict[str, _Rows]:
        return self._rows(CORRECTIONS, (variant, steps), "condition", ["factor_lower", "factor_upper", "used"])

    def with_events(self, events: Mapping[str, Dates]) -> EnsembleFit:
        """Return the same rows with scheduled events beside them."""
        import copy

        made = copy.copy(self)
        made.events = dict(events)
        return made

    def _rows(self, table: Table, key: tuple[str, int], by: str, columns: Sequence[str]) -> dict[str, _Rows]:
        whole = (table.name, *key)
        if whole not in self._made:
            frame = self.frames[table.name]
            part = frame[(frame["variant"] == key[0]) & (frame["steps"] == key[1])].sort_values("valid_from")
            self._made[whole] = {
                str(name): _Rows(
                    rows["valid_from"].to_numpy().astype("datetime64[D]"), rows[columns].to_numpy(dtype=float)
                )
                for name, rows in part.groupby(by, sort=True)
            }
        return self._made[whole]

    def variant(self, wanted: str) -> str:
        """Return the variant that serves where ``wanted`` is asked for: it, or ``plain`` where there is none of it."""
        return wanted if wanted in self._variants else PLAIN

    def weights(self, variant: str, steps: int, members: Sequence[str], days: Dates) -> Floats:
        """Return the weights of members on each day, (m, k): as learned; NaN for a member without a row by then."""
        rows = self._weights(self.variant(variant), steps)
        out = np.full((len(days), len(members)), np.nan)
        for i, member in enumerate(members):
            if member in rows:
                out[:, i] = rows[member].at(days)[:, 0]
        return out

    def gate(self, variant: str, steps: int, member: str, day: np.datetime64) -> tuple[str, str] | None:
        """Return state and reason of a model's gate on a day, or None where nothing was learned of it by then."""
        rows = self._gates.get((self.variant(variant), steps, member))
        if rows is None:
            return None
        at = int(np.searchsorted(rows["valid_from"].to_numpy().astype("datetime64[D]"), day, side="right")) - 1
        if at < 0:
            return None
        row = rows.iloc[at]
        told = str(row["reason"])
        if row["gate"] == "shut" and row["n"]:
            told += (
                f" (CRPS ratio {row['crps_ratio']:.4f}, {row['crps_z']:+.1f} standard errors; Theil's U "
                f"{row['theils_u']:.4f}, {row['u_z']:+.1f}; n = {row['n']:,})"
            )
        return str(row["gate"]), told

    def watched(self, variant: str, steps: int) -> tuple[str, ...]:
        """Return every model there are gates of."""
        return tuple(self._weights(self.variant(variant), steps))

    def conditions(self) -> tuple[str, ...]:
        """Return every condition of a correction that is ever used."""
        frame = self.frames[CORRECTIONS.name]
        return tuple(sorted(frame.loc[frame["used"], "condition"].unique()))

    def correction(self, variant: str, steps: int, condition: str, days: Dates) -> Floats:
        """Return lower and upper factor on each day, (m, 2); 1 where the correction is not used, NaN never."""
        rows = self._corrections(self.variant(variant), steps).get(condition)
        out = np.ones((len(days), 2))
        if rows is not None:
            held = rows.at(days)
            used = held[:, 2] == 1.0
            out[used] = held[used, :2]
        return out

    def save(self, folder: Path) -> None:
        """Write the tables as ``<table>.csv.gz``, the same bytes for the same tables."""
        write_tables(folder, self.frames)

    @classmethod
    def load(cls, folder: Path, events: Mapping[str, Dates] | None = None) -> EnsembleFit:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            When a table is missing or unreadable.
        """
        frames = read_tables(folder, TABLES, "Ensemble")
        return cls(frames[0], frames[1], events)


@functools.cache
def embedded() -> EnsembleFit:
    """Return the weights, gates and corrections shipped with the package."""
    return EnsembleFit.load(EMBEDDED_DIR)


_in_force = InForce("ensemble_fit", embedded)
current = _in_force.current
using = _in_force.using
