"""Feeds broken on purpose: errors of every kind planted into real observations, to measure what the rules catch.

A plant takes the rows of one series in date order and the place of one of them, and returns the rows as a broken feed
would have given them, and which of those are wrong. Sizes are in *robust sigmas*: the median absolute move of the 60 or
the 10 rows before (the larger, as the rules know it), over 0.6745.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Rng = np.random.Generator
PRICES = ("value", "open", "high", "low")
GROSS_SIGMAS = (8.0, 20.0)
"""Range that the size of a gross error is drawn from, in robust sigmas."""
BEFORE, AFTER = 260, 45
"""Rows a plant is judged with: those before it, for level and sigma, and those after it, in which it must be found."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Rows as the broken feed gave them, and which of them (by position) are wrong."""

    rows: pd.DataFrame
    wrong: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error: how it is planted, whether it is gross, and what it needs of a series."""

    name: str
    doc: str
    plant: Callable[[pd.DataFrame, int, float, Rng], Planted]
    gross: bool = True
    needs_prices: bool = False
    needs_reference: bool = False
    needs_stale: bool = False


def robust_sigma(values: npt.NDArray[np.float64], at: int) -> float:
    """Return the robust daily sigma of log moves known before row ``at``; NaN where there are too few."""
    moves = np.abs(np.diff(np.log(values[max(0, at - 61) : at])))
    if len(moves) < 20:
        return float("nan")
    return float(max(np.median(moves[-60:]), np.median(moves[-10:])) / 0.6744897501960817)


def _scaled(
    factor: Callable[[float, Rng], float], rows_wrong: Callable[[Rng], int] = lambda rng: 1
) -> Callable[[pd.DataFrame, int, float, Rng], Planted]:
    def plant(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
        wrong = np.arange(at, min(at + rows_wrong(rng), len(rows)))
        return _times(rows, wrong, factor(sigma, rng))

    return plant


def _times(rows: pd.DataFrame, wrong: npt.NDArray[np.int64], factor: float) -> Planted:
    factors = np.ones(len(rows))
    factors[wrong] = factor
    return Planted(rows.assign(**{name: rows[name].to_numpy() * factors for name in PRICES}), wrong)


def _set(rows: pd.DataFrame, at: int, value: float) -> Planted:
    wrong = np.array([at])
    columns = {name: _with(rows, name, wrong, value if name == "value" else np.nan) for name in PRICES}
    return Planted(rows.assign(**columns), wrong)


def _with(rows: pd.DataFrame, name: str, at: npt.NDArray[np.int64], value: Any) -> npt.NDArray[np.generic]:
    """Return a column with other values at some rows."""
    out: npt.NDArray[np.generic] = rows[name].to_numpy(copy=True)
    out[at] = value
    return out


def _sign(rng: Rng) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _swapped_digits(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
    """Exchange two digits of the value such that the error is gross; the first two where no other pair does."""
    del rng
    value = float(rows["value"].iloc[at])
    digits = list(f"{value:.6g}")
    for first in range(len(digits) - 1, 0, -1):
        swapped = digits.copy()
        swapped[first], swapped[first - 1] = swapped[first - 1], swapped[first]
        text = "".join(swapped)
        if "." in (digits[first], digits[first - 1]) or float(text) <= 0:
            continue
        if abs(np.log(float(text) / value)) >= GROSS_SIGMAS[0] * sigma:
            return _set(rows, at, float(text))
    return _set(rows, at, value * np.exp(GROSS_SIGMAS[0] * sigma))


def _closed_day(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
    del sigma
    days = rows["event_time"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    weekend = days[at] + np.timedelta64(int((5 - (days[at].astype(np.int64) + 3) % 7) % 7) + int(rng.integers(2)), "D")
    return _insert(rows, at, pd.Timestamp(weekend, tz="UTC") - rows["event_time"].iloc[at], 1.0)


def _insert(rows: pd.DataFrame, at: int, later: pd.Timedelta, factor: float) -> Planted:
    """Put a copy of a row after it, dated and known so much later."""
    extra = rows.iloc[[at]].copy()
    extra[["event_time", "available_at"]] += later
    extra["value"] *= factor
    extra[["open", "high", "low"]] = np.nan
    out = pd.concat([rows.iloc[: at + 1], extra, rows.iloc[at + 1 :]], ignore_index=True)
    return Planted(out, np.array([at + 1]))


def _repeated(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
    return _insert(rows, at, pd.Timedelta(0), float(np.exp(_sign(rng) * sigma)))


def _not_come(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
    del sigma
    planted = _insert(rows, at, pd.Timedelta(0), 1.0)
    row = planted.rows.iloc[at]
    later = row["retrieved_at"].normalize() + pd.Timedelta(days=int(rng.integers(5, 400))) - row["event_time"]
    other = planted.rows.index != planted.wrong[0]
    moved = {name: planted.rows[name].where(other, row[name] + later) for name in ("event_time", "available_at")}
    return Planted(planted.rows.assign(**moved), planted.wrong)


def _no_low(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
    close, wrong = float(rows["value"].iloc[at]), np.array([at])
    high = close * np.exp(-max(sigma, 0.002) * float(rng.uniform(0.5, 3)))
    return Planted(rows.assign(high=_with(rows, "high", wrong, high)), wrong)


def _stale(rows: pd.DataFrame, at: int, sigma: float, rng: Rng) -> Planted:
    del sigma
    repeats = int(rng.integers(3, 10))
    wrong = np.arange(at + 1, at + 1 + repeats)
    return Planted(rows.assign(**{name: _with(rows, name, wrong, rows[name].iloc[at]) for name in PRICES}), wrong)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "far_up", "one value 8 to 20 sigmas up", _scaled(lambda s, r: float(np.exp(s * r.uniform(*GROSS_SIGMAS))))
        ),
        Kind(
            "far_down",
            "one value 8 to 20 sigmas down",
            _scaled(lambda s, r: float(np.exp(-s * r.uniform(*GROSS_SIGMAS)))),
        ),
        Kind(
            "two_far",
            "two values in a row 8 to 20 sigmas off",
            _scaled(lambda s, r: float(np.exp(_sign(r) * s * r.uniform(*GROSS_SIGMAS))), lambda r: 2),
        ),
        Kind("times_100", "one value a hundred times too large", _scaled(lambda s, r: 100.0)),
        Kind("hundredth", "one value a hundredth", _scaled(lambda s, r: 0.01)),
        Kind("times_1000", "one value a thousand times too large", _scaled(lambda s, r: 1000.0)),
        Kind("thousandth", "one value a thousandth", _scaled(lambda s, r: 0.001)),
        Kind(
            "wrong_unit_run",
            "5 to 20 values in a row in a hundredth or a thousandth of the unit, or the other way",
            _scaled(lambda s, r: float(r.choice([100.0, 1000.0, 0.01, 0.001])), lambda r: int(r.integers(5, 21))),
        ),
        Kind(
            "lost_point", "one value ten times too large or small", _scaled(lambda s, r: float(r.choice([10.0, 0.1])))
        ),
        Kind(
            "kilograms",
            "one value in kilograms for pounds",
            _scaled(lambda s, r: float(r.choice([2.20462, 1 / 2.20462]))),
        ),
        Kind(
            "inverted", "one over the value", lambda rows, at, s, r: _set(rows, at, 1 / float(rows["value"].iloc[at]))
        ),
        Kind(
            "not_positive",
            "zero or a negative value",
            lambda rows, at, s, r: _set(rows, at, float(r.choice([0.0, -1.0]))),
        ),
        Kind("missing", "no number", lambda rows, at, s, r: _set(rows, at, float("nan"))),
        Kind("swapped_digits", "two digits exchanged, 8 sigmas or more off", _swapped_digits),
        Kind("closed_day", "a value on a Saturday or Sunday", _closed_day, gross=False),
        Kind("repeated", "the same date twice, a sigma apart", _repeated, gross=False),
        Kind("not_come", "a date that has not come", _not_come, gross=False),
        Kind("no_low", "a high below the close", _no_low, gross=False, needs_prices=True),
        Kind("stale", "4 to 10 equal quotes", _stale, gross=False, needs_stale=True),
        Kind(
            "off_reference",
            "one value 3% to 6% off, with a reference",
            _scaled(lambda s, r: float(np.exp(_sign(r) * r.uniform(0.03, 0.06)))),
            gross=False,
            needs_reference=True,
        ),
    )
}


def moved_dates(rows: pd.DataFrame, at: int, move: int) -> pd.DataFrame:
    """Return rows whose values from ``at`` on stand a session late (``move`` 1; Yahoo's CLP=X does) or early (-1)."""
    out = rows.copy()
    for name in PRICES:
        column = out[name].to_numpy(copy=True)
        column[at:] = column[at - 1 : -1] if move > 0 else np.append(column[at + 1 :], column[-1])
        out[name] = column
    return out
