"""Classic against recommended: both profiles of trigger, search and gate in the same worlds, in one table.

Nothing is wrong in the first worlds, so that what a trigger asks for is a false alarm; nothing is better in the second,
so that what a gate promotes is an error; everything is 10% better in the third, so that it should be promoted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.lifecycle.simulate import Rate, simulate_loop
from forex_assets.monitoring.registry import PROFILES
from forex_assets.optimization.trigger_rates import TriggerRate, trigger_rates

if TYPE_CHECKING:
    from forex_assets.settings import Settings

NULLS = ("walk_t5", "garch_t")
BETTER = 0.10


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One profile at one horizon.

    Attributes
    ----------
    searches_per_year, false_alarms, years:
        Searches a year where nothing is wrong; those that performance or drift asked for, a year with its interval, in
        the null world where there are most, and how many years that is of.
    wrong:
        Searches with nothing better to find that end in a promotion.
    wrong_per_year:
        Wrong promotions a year: both together, openings a year capped where the profile caps them.
    found:
        Worlds in which everything is 10% better and something is promoted (recommended: within two openings).
    """

    horizon: str
    profile: str
    null: str
    years: float
    searches_per_year: float
    false_alarms: tuple[float, float, float]
    wrong: Rate
    wrong_per_year: float
    found: Rate

    def row(self) -> dict[str, Any]:
        """Return plain values."""
        low = {"value": self.false_alarms[0], "low": self.false_alarms[1], "high": self.false_alarms[2]}
        return {**asdict(self), "false_alarms": low, "wrong": self.wrong.row(), "found": self.found.row()}


def compare_profiles(
    settings: Settings,
    horizons: Sequence[str],
    *,
    worlds: int,
    years: int,
    paths: int,
    seed: int,
    told: Callable[[str], None] = lambda text: None,
) -> list[ProfileRow]:
    """Return both profiles at each horizon.

    Parameters
    ----------
    worlds:
        Worlds of search and gate, with nothing to find and with something.
    years, paths:
        Length and number of the paths that the triggers watch, in each of two null worlds.
    """
    from forex_assets.monitoring.alarms import watched_worlds

    asked: dict[tuple[str, str], TriggerRate] = {}
    for null in NULLS:
        told(f"triggers on {paths} paths of {years} years of {null}")
        watched = list(watched_worlds(null, settings, years=years, paths=paths, seed=seed))
        for profile in PROFILES:
            for rate in trigger_rates(watched, settings, profile, null, horizons):
                key = (rate.horizon, profile)
                if key not in asked or rate.false_per_year > asked[key].false_per_year:
                    asked[key] = rate
    rows = []
    for horizon in horizons:
        done = {}
        for share in (0.0, BETTER):
            told(f"{horizon}: search and gate in {worlds} worlds, {share:.0%} better")
            done[share] = simulate_loop(
                settings.optimization,
                horizon_days=settings.horizons[horizon],
                improvement=share,
                worlds=worlds,
                seed=seed,
            )
        for profile in reversed(PROFILES):  # the classic one first: the other is held against it
            trigger = asked[horizon, profile]
            classic = profile == "classic"
            none, some = done[0.0], done[BETTER]
            # A search of the recommended profile opens the gate only where the selection period agrees.
            opened = 1.0 if classic else none.proposed.share
            wrong = none.classic_gate if classic else none.per_opening
            openings = opened * trigger.searches_per_year
            if not classic:
                openings = min(openings, float(settings.optimization.trigger.openings_per_year))
            rows.append(
                ProfileRow(
                    horizon,
                    profile,
                    trigger.null,
                    trigger.years,
                    trigger.searches_per_year,
                    (trigger.false_per_year, trigger.low, trigger.high),
                    wrong,
                    openings * wrong.share if np.isfinite(wrong.share) else 0.0,
                    some.classic_gate if classic else some.within_two,
                )
            )
    return rows
