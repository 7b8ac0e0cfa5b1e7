"""The hand-over of regimes to the intervals: width factors that hold only while a regime does (B07, B08, K12).

They are learned from the matured errors of one model on one pair, walked forward under the rule of evidence that every
correction obeys (:mod:`forex_assets.forecasting.ensemble.calibration`): shrunk to 1 by the non-overlapping tenors
behind them, and used only from the January on at which they had lowered the interval score beyond noise. Refused ones
stay in ``interval_calibration`` with their numbers. The regimes come from the caller, as known at each origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.schemas import INTERVAL_CALIBRATION

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.forecasting.ensemble.calibration import CalibrationConfig

#: Prefix of the condition a factor by regime has in ``interval_calibration``.
PREFIX = "regime:"
#: Regimes a factor may depend on. NORMAL has none: it is what the others are measured against.
REGIMES = ("HIGH_VOL", "COPPER_SHOCK", "BCCH_MEETING", "INTERVENTION")
#: Years of matured errors before the first factors.
FIRST_YEARS = 3


@dataclass(frozen=True, eq=False)
class Conditioned:
    """Per origin the regime its interval is conditioned on (None: none) and the factors, shape (m,)."""

    names: npt.NDArray[np.object_]
    lower: Floats
    upper: Floats

    @property
    def changes(self) -> bool:
        """Whether any interval is other than it would be."""
        return any(name is not None for name in self.names)


@dataclass(frozen=True)
class RegimeFactors:
    """What a forecast needs of them: the regime of each origin, and the rows of ``interval_calibration``.

    The default changes nothing, and neither does a regime that is unknown or has no factor in use.
    """

    labels: Mapping[np.datetime64, str] = field(default_factory=dict)
    rows: pd.DataFrame | None = None

    def on(self, model: str, horizon_days: int, as_of: Dates) -> Conditioned:
        """Return the factors at each origin."""
        lower, upper = np.ones(len(as_of)), np.ones(len(as_of))
        names = np.full(len(as_of), None, dtype=object)
        if self.rows is None or not self.labels:
            return Conditioned(names, lower, upper)
        rows = self.rows.loc[(self.rows["model"] == model) & (self.rows["horizon"] == horizon_days)]
        for condition, part in rows.groupby("condition", sort=False):
            ordered = part.sort_values("valid_from", kind="stable")
            since = ordered["valid_from"].to_numpy("datetime64[D]")
            place = np.searchsorted(since, np.asarray(as_of, dtype="datetime64[D]"), side="right") - 1
            regime = str(condition).removeprefix(PREFIX)
            holds = np.array([self.labels.get(day, "") == regime for day in as_of.astype("datetime64[D]")], dtype=bool)
            used = holds & (place >= 0) & ordered["used"].to_numpy(bool)[np.maximum(place, 0)]
            lower[used] = ordered["factor_lower"].to_numpy(float)[place[used]]
            upper[used] = ordered["factor_upper"].to_numpy(float)[place[used]]
            names[used] = regime
        return Conditioned(names, lower, upper)


def in_use(calibration: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the factors by regime of a calibration, or None where none of them is used on any day."""
    if calibration is None or "condition" not in calibration.columns:
        return None
    rows = calibration.loc[calibration["condition"].str.startswith(PREFIX)]
    return rows if bool(rows["used"].any()) else None


def learn_by_regime(
    backtest: pd.DataFrame,
    labels: Mapping[np.datetime64, str],
    *,
    model: str,
    config: CalibrationConfig,
    regimes: Sequence[str] = REGIMES,
) -> pd.DataFrame:
    """Return the factors of one model, horizon and pair by regime and January, as rows without provenance.

    Parameters
    ----------
    backtest:
        BACKTEST rows of one pair and horizon.
    labels:
        Origin → regime, as known then; origins without one are left out.
    model:
        Whose intervals they are for.
    config:
        Shrinkage, and the evidence asked for.
    """
    import pandas as pd

    from forex_assets.forecasting.ensemble.calibration import Errors, learn_corrections

    rows = backtest.loc[(backtest["model"] == model) & backtest["actual"].notna() & backtest["matured_on"].notna()]
    days = rows["as_of"].to_numpy("datetime64[D]")
    names = np.array([labels.get(day, "") for day in days], dtype=object)
    rows, days, names = rows.loc[names != ""], days[names != ""], names[names != ""]
    columns = [name for name in INTERVAL_CALIBRATION.column_names if name not in _PROVENANCE]
    if rows.empty:
        return INTERVAL_CALIBRATION.empty()[columns]
    horizon = int(rows["horizon"].iloc[0])
    matured = rows["matured_on"].to_numpy("datetime64[D]")
    errors = Errors.of(
        days,
        matured,
        rows["actual"].to_numpy(float),
        rows[list(QUANTILE_COLUMNS)].to_numpy(float),
        {PREFIX + name: names == name for name in regimes if (names == name).any()},
    )
    first = matured.min().astype("datetime64[Y]") + FIRST_YEARS
    last = backtest["as_of"].to_numpy("datetime64[D]").max().astype("datetime64[Y]")
    starts = np.arange(first, last + 1).astype("datetime64[D]")
    made = learn_corrections(errors, starts, horizon, config, shrink_to_all=False)
    return pd.DataFrame(
        [
            {
                "pair": str(rows["pair"].iloc[0]),
                "horizon": horizon,
                "model": model,
                "scope": "pair",
                "condition": item.condition,
                "used": item.used,
                "reason": item.reason,
                "valid_from": pd.Timestamp(item.valid_from),
                "learned_through": pd.Timestamp(item.learned_through),
                "n": item.n,
                "n_effective": item.n_effective,
                "factor_lower": item.lower,
                "factor_upper": item.upper,
                **item.shares,
            }
            for item in made
        ],
        columns=columns,
    )


_PROVENANCE = ("config_hash", "data_hash", "code_version")
