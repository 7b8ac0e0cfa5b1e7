"""What the monitors look at: every version of prices and drivers, and the scores of matured forecasts.

One :class:`Frames` serves a single day and a replay of years: nothing in it is cut to a day. A monitor cuts for itself:
series by :class:`forex_assets.monitoring.observed.Observed` at the instant the day ends, scores by ``matured_on``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError
from forex_assets.monitoring.observed import Observed

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.clock import BusinessCalendar


#: Columns of ``Frames.scores``: EVALUATION columns the monitors read, one row per horizon, origin and model.
SCORE_COLUMNS = (
    *("horizon", "as_of", "target_date", "matured_on", "model", "is_active", "last_value", "mean", "actual", "error"),
    *("error_sigma", "crps", "interval_score_95", "covered_80", "covered_95", "width_95", "pit"),
)


@dataclass(frozen=True, eq=False)
class Scored:
    """Matured forecasts of the deployed model beside the random walk, one per origin, in the order they matured.

    Attributes
    ----------
    horizon:
        Name, for example ``7d``.
    steps:
        Consecutive origins whose errors share steps (business days of the tenor).
    origin, matured_on:
        Forecast day and day the outcome became known, shape (n,).
    error_sigma:
        Mean minus actual, in the forecast's own standard deviations.
    pit:
        Probability integral transform of the outcome, 0 to 1.
    covered_80, covered_95:
        Whether the interval held the outcome.
    crps, crps_benchmark:
        CRPS of the deployed model and of the random walk on the same target.
    width_benchmark:
        Width of the random walk's 95% interval, known at the origin.
    error, actual:
        Mean minus actual, and the outcome, in quote per base.
    """

    horizon: str
    steps: float
    origin: Dates
    matured_on: Dates
    error_sigma: Floats
    pit: Floats
    covered_80: Floats
    covered_95: Floats
    crps: Floats
    crps_benchmark: Floats
    width_benchmark: Floats
    error: Floats
    actual: Floats

    def __len__(self) -> int:
        """Count the forecasts."""
        return len(self.origin)

    def until(self, as_of: np.datetime64) -> int:
        """Return how many have matured by the end of a day."""
        return int(np.searchsorted(self.matured_on, as_of, side="right"))


@dataclass(frozen=True, eq=False)
class Frames:
    """Everything known of one pair, in every version, with when each version was known.

    Attributes
    ----------
    pair:
        Pair id.
    horizons:
        Horizon name → calendar days.
    calendar:
        Business calendar of the pair.
    target:
        The pair's own price.
    drivers:
        Series id → its values, for each driver that has any.
    scores:
        Rows of :data:`SCORE_COLUMNS`: matured forecasts of the active model and of ``random_walk``.
    input_hashes:
        Name of each input and the hash of its content.
    """

    pair: str
    horizons: Mapping[str, int]
    calendar: BusinessCalendar
    target: Observed
    drivers: Mapping[str, Observed]
    scores: pd.DataFrame
    input_hashes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def scored(self) -> dict[str, Scored]:
        """Horizon name → matured forecasts in order of maturity; horizons without any are absent."""
        found = {}
        for name, days in self.horizons.items():
            rows = self.scores.loc[self.scores["horizon"] == days]
            active = rows.loc[rows["is_active"].astype(bool)]
            if len(active):
                found[name] = _scored(name, active, rows.loc[rows["model"] == "random_walk"], self.calendar)
        return found


def _scored(name: str, active: pd.DataFrame, benchmark: pd.DataFrame, calendar: BusinessCalendar) -> Scored:
    missing = [column for column in SCORE_COLUMNS if column not in active.columns]
    if missing:
        raise DataError(
            f"Scores of matured forecasts lack the columns {missing}; a monitor that cannot read its input is unknown, "
            "never clear.",
            remedy="give the columns of table 'evaluation' (forex_assets.schemas.EVALUATION).",
        )
    active = active.sort_values(["matured_on", "as_of"], kind="stable")
    origin = active["as_of"].to_numpy("datetime64[D]")
    beside = benchmark.drop_duplicates("as_of", keep="last").set_index("as_of").reindex(active["as_of"])
    target = active["target_date"].to_numpy("datetime64[D]")
    steps = float(np.median(calendar.count(origin, target))) if len(origin) else 1.0

    def of(frame: pd.DataFrame, column: str) -> Floats:
        return frame[column].to_numpy(dtype=np.float64)

    return Scored(
        horizon=name,
        steps=max(1.0, steps),
        origin=origin,
        matured_on=active["matured_on"].to_numpy("datetime64[D]"),
        error_sigma=of(active, "error_sigma"),
        pit=of(active, "pit"),
        covered_80=of(active, "covered_80"),
        covered_95=of(active, "covered_95"),
        crps=of(active, "crps"),
        crps_benchmark=of(beside, "crps"),
        width_benchmark=of(beside, "width_95"),
        error=of(active, "error"),
        actual=of(active, "actual"),
    )
