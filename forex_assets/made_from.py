"""What a forecast was made from besides its own prices, as hashes by day.

A row's ``data_hash`` combines named hashes: of the bars known that evening, of every driver beside them as known then
(the panel's volatility index among them), and of the learned rows that were in force: pooled fits, weights and
corrections of the ensemble, width factors. What became known, or valid, after a day does not change the day's hash.
"""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forex_assets.clock import as_of_instants
from forex_assets.provenance import content_hash
from forex_assets.schemas.panel import KEYS

if TYPE_CHECKING:
    from forex_assets.forecasting.price_history import PriceHistory

BARS, DRIVERS, PANEL, ENSEMBLE, WIDTHS = "bars", "drivers", "panel_fits", "ensemble_fits", "width_factors"
PARTS = (BARS, DRIVERS, PANEL, ENSEMBLE, WIDTHS)
WIDTH_KEY = ("pair", "horizon", "model", "condition")
WIDTH_COLUMNS = (*WIDTH_KEY, "valid_from", "factor_lower", "factor_upper", "used")
"""What decides a width; the evidence beside it does not."""

_END = np.uint64(0x9E3779B97F4A7C14)
"""Marks the hash of a row that ended; even, so that a row and its end together still tell which row it was."""

Sums = npt.NDArray[np.uint64]


class Ledger:
    """Rows that begin to count at one time and may cease to at a later: the hash of those that count at any time.

    With ``whole`` the end of a row takes nothing away but counts as one more row: the hash of all there was by then.
    """

    def __init__(
        self, rows: pd.DataFrame, since: npt.NDArray[Any], until: npt.NDArray[Any], *, whole: bool = False
    ) -> None:
        hashes: Sums = np.asarray(pd.util.hash_pandas_object(rows, index=False), dtype=np.uint64)
        ends = ~np.isnat(until)
        times = np.concatenate([since, until[ends]])
        order = np.argsort(times, kind="stable")
        self._times = times[order]
        # Sums of unsigned 64-bit hashes wrap around on purpose: adding and taking away commute.
        ended = hashes[ends] * _END if whole else ~hashes[ends] + np.uint64(1)
        self._sums = np.cumsum(np.concatenate([hashes, ended])[order], dtype=np.uint64)
        change = np.full(int(ends.sum()), 1 if whole else -1)
        self._counts = np.cumsum(np.concatenate([np.ones(len(rows), dtype=np.int64), change])[order])

    def at(self, times: npt.NDArray[Any]) -> list[tuple[int, int]]:
        """Return count and sum of hashes of the rows that count at each time."""
        place = np.searchsorted(self._times, times, side="right") - 1
        return [(int(self._counts[i]), int(self._sums[i])) if i >= 0 else (0, 0) for i in place]


def in_force(frame: pd.DataFrame, key: Sequence[str], *, whole: bool = False) -> Ledger:
    """Return the ledger of a table by ``valid_from``: a row counts until the next one of its key is valid."""
    key = [name for name in key if name in frame.columns and name != "valid_from"]
    ordered = frame.sort_values("valid_from", kind="stable", ignore_index=True)
    since = ordered["valid_from"].to_numpy().astype("datetime64[D]")
    following = ordered.groupby(key, sort=False)["valid_from"].shift(-1) if len(ordered) else ordered["valid_from"]
    until = following.to_numpy().astype("datetime64[D]")
    return Ledger(ordered, since, until, whole=whole)


_ledgers: weakref.WeakKeyDictionary[Any, dict[bool, list[tuple[str, Ledger]]]] = weakref.WeakKeyDictionary()


def _of(held: Any, whole: bool, make: Callable[[], list[tuple[str, Ledger]]]) -> list[tuple[str, Ledger]]:
    """Return the ledgers of an immutable object, made once."""
    found = _ledgers.setdefault(held, {})
    if whole not in found:
        found[whole] = make()
    return found[whole]


def _of_fit(fit: Any, whole: bool) -> list[tuple[str, Ledger]]:
    return _of(
        fit, whole, lambda: [(name, in_force(frame, KEYS[name], whole=whole)) for name, frame in fit.frames.items()]
    )


def _of_driver(driver: PriceHistory, whole: bool) -> Ledger:
    def make() -> list[tuple[str, Ledger]]:
        rows = pd.DataFrame({"date": driver.event_date.astype(np.int64), "value": driver.value})
        return [(driver.pair, Ledger(rows, driver.available_at, driver.withdrawn_at, whole=whole))]

    return _of(driver, whole, make)[0][1]


def made_from(
    history: PriceHistory, days: Sequence[dt.date], calibration: pd.DataFrame | None = None, *, whole: bool = False
) -> list[dict[str, str]]:
    """Return, for each day, hashes of what stood beside the prices that evening; pooled fits are those in force.

    Parameters
    ----------
    history:
        Carries the drivers.
    days:
        Forecast days.
    calibration:
        Rows of ``interval_calibration`` without provenance.
    whole:
        True counts all there ever was by each day, as a backtest up to it uses; False what serves on the day.
    """
    from forex_assets.forecasting.ensemble import artefacts as ensemble
    from forex_assets.forecasting.panel import artefacts as panel

    day = np.array(days, dtype="datetime64[D]")
    instants = as_of_instants(day)
    drivers = [(name, _of_driver(item, whole).at(instants)) for name, item in sorted(history.drivers.items())]
    widths = [] if calibration is None else [name for name in WIDTH_COLUMNS if name in calibration.columns]
    learned = {
        PANEL: [(name, rows.at(day)) for name, rows in _of_fit(panel.current(), whole)],
        ENSEMBLE: [(name, rows.at(day)) for name, rows in _of_fit(ensemble.current(), whole)],
        WIDTHS: [] if calibration is None else [("rows", in_force(calibration[widths], WIDTH_KEY).at(day))],
    }
    out = []
    for i in range(len(day)):
        told: dict[str, Any] = {DRIVERS: [(name, at[i]) for name, at in drivers if at[i][0]]}
        told |= {part: [(name, at[i]) for name, at in tables if at[i][0]] for part, tables in learned.items()}
        out.append({part: content_hash(value) for part, value in told.items()})
    return out
