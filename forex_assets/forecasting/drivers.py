"""Other series a model may look at beside the price, as they were known then."""

from __future__ import annotations

import numpy as np

from forex_assets.arrays import Floats, Instants
from forex_assets.errors import DataError
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory


class DriverHistory(PriceHistory):
    """Every value of a driver (a rate, an index, a commodity) with when it was known: any finite number.

    ``pair`` is the series id.
    """

    _positive = False

    def newest_at(self, instants: Instants, max_age_days: int) -> Floats:
        """Return the newest value known at each instant, shape (m,); NaN where none is, or it is older than allowed.

        Parameters
        ----------
        instants:
            ``datetime64[us]`` UTC, shape (m,), in any order.
        max_age_days:
            Largest number of calendar days from the value's date to the instant.
        """
        out = np.full(len(instants), np.nan)
        for group in self.groups(instants) if len(instants) else []:
            some = group.ends > 0
            at, last = group.positions[some], group.ends[some] - 1
            age = (instants[at].astype("datetime64[D]") - group.series.event_date[last]).astype(np.int64)
            out[at] = np.where(age <= max_age_days, group.series.value[last], np.nan)
        return out


def aligned_driver(history: PriceHistory, series: KnownSeries, name: str, max_age_days: int = 10) -> Floats:
    """Return, for each value of a series, the driver as it was known when that value became known, shape (n,).

    So row i looks at nothing an origin that knows value i could not know. NaN where the driver is missing or stale.

    Raises
    ------
    DataError
        When the history carries no such driver.
    """
    if name not in history.drivers:
        raise DataError(
            f"{history.pair} has no driver '{name}'; it has: {', '.join(history.drivers) or 'none'}.",
            remedy="give the driver a source that serves it (docs/data-sources.md), or use a model without it.",
        )
    key = ("driver", name, max_age_days)
    if key not in series.cache:
        known = np.maximum.accumulate(series.available_at)
        series.cache[key] = history.drivers[name].newest_at(known, max_age_days)
    return np.asarray(series.cache[key])
