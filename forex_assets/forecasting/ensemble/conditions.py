"""Conditions a correction may depend on: the volatility regime, and scheduled events inside the tenor.

Both are known at the origin: the regime from past returns, an event because its day was announced. Unscheduled events
do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.volatility import session_variance

ANY_PAIR = "any"
CALM, STRESSED = "regime_calm", "regime_stressed"
SHORT_WINDOW, LONG_WINDOW = 20, 250
CALM_RATIO, STRESSED_RATIO = 0.75, 1.25
"""Volatility of the last 20 over that of the last 250 returns below and above which a regime has a name."""

Rows = npt.NDArray[np.bool_]


def conditions_at(origins: Origins, events: Mapping[str, Dates]) -> dict[str, Rows]:
    """Return which origins each condition holds at, shape (m,).

    Parameters
    ----------
    origins:
        Of one pair and tenor.
    events:
        ``<pair prefix>_<name>`` → announced days; the condition holds for pairs whose id starts with the prefix
        (``any``: for every pair), where a day lies in (as_of, target_date].
    """
    ratio = np.ones(len(origins))
    for group in origins.groups:
        short, long = (session_variance(group.series, window)[group.ends] for window in (SHORT_WINDOW, LONG_WINDOW))
        ratio[group.positions] = np.sqrt(short / long)
    found: dict[str, Rows] = {CALM: ratio < CALM_RATIO, STRESSED: ratio > STRESSED_RATIO}
    for name, days in events.items():
        prefix = name.partition("_")[0]
        if prefix != ANY_PAIR and not origins.pair.startswith(prefix):
            found[name] = np.zeros(len(origins), dtype=bool)
            continue
        announced = np.sort(np.asarray(days, dtype="datetime64[D]"))
        first = np.searchsorted(announced, origins.as_of, side="right")
        last = np.searchsorted(announced, origins.target_date, side="right")
        found[name] = np.asarray(last > first)
    return found


def scheduled_events(wanted: Collection[str] | None = None) -> dict[str, Dates]:
    """Return the announced days of scheduled events a correction may depend on, from the tables there are.

    Regular meetings of the Banco Central de Chile (days on which the market answers), for USD/CLP; meetings of the
    Federal Reserve, and the US employment situation and consumer prices, for every pair.

    Parameters
    ----------
    wanted:
        Names of those to read the tables for; default: all.
    """
    from forex_assets.clock.events import dated_days

    makers: dict[str, Callable[[], Dates]] = {
        "usdclp_meeting": _policy_meetings,
        f"{ANY_PAIR}_fomc": lambda: dated_days("fomc"),
        f"{ANY_PAIR}_us_release": lambda: np.union1d(dated_days("us_nfp"), dated_days("us_cpi")),
    }
    return {name: make() for name, make in makers.items() if wanted is None or name in wanted}


def _policy_meetings() -> Dates:
    from forex_assets.clock.bcch import meetings

    frame = meetings()
    return frame.loc[frame["kind"] == "regular", "reaction_date"].to_numpy().astype("datetime64[D]")
