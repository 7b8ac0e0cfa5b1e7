"""How often the whole trigger asks for a search where nothing is wrong: all its rules, day by day, in null worlds.

The monitors watch paths on which the forecasts are honest by construction; their findings go, day by day, through the
decision that the platform takes, hysteresis, cool-down and all. Every search finds nothing, as it should there. What
performance or drift ask for is a false alarm; what time asks for is a look by the calendar.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.lifecycle.trigger import concerns, decide_retraining
from forex_assets.monitoring.alarms import Watched, rate_interval, scan_all, watched_days
from forex_assets.monitoring.registry import Profile
from forex_assets.simulation.nulls import BUSINESS_DAYS_A_YEAR

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.settings import Settings

MONITORS = ("performance", "drift")
#: The classic trigger: any rule on any day, and a fortnight (A04 to A06, A37).
CLASSIC = {"profile": "classic", "confirm_days": 1, "min_days_between": 14, "max_days_between": 14}


@dataclass(frozen=True, slots=True)
class TriggerRate:
    """Searches a year that one horizon's trigger asked for, and those that a false alarm asked for."""

    profile: str
    null: str
    horizon: str
    years: float
    searches: int
    searches_per_year: float
    false_alarms: int
    false_per_year: float
    low: float
    high: float

    def row(self) -> dict[str, Any]:
        """Return the rate as plain values."""
        return asdict(self)


def policy_of(settings: Settings, profile: Profile) -> dict[str, Any]:
    """Return the rules of a profile's trigger; no gate opening is spent, so that none holds back an alarm."""
    own = settings.optimization.trigger.model_dump(mode="json")
    return {**own, **(CLASSIC if profile == "classic" else {"profile": profile})}


def trigger_rates(
    worlds: Iterable[Watched], settings: Settings, profile: Profile, null: str, horizons: Iterable[str]
) -> list[TriggerRate]:
    """Return the rates of some horizons over the paths of one null world, each with its 95% interval."""
    policy = policy_of(settings, profile)
    asked: dict[str, list[tuple[int, int, int]]] = {horizon: [] for horizon in horizons}
    for world in worlds:
        days = watched_days(world.path)
        scanned = scan_all(world.frames, days, settings, profile, MONITORS)
        for horizon in asked:
            rules = path_searches(scanned, days, horizon, policy)
            false = sum(bool({"performance", "drift"} & set(item)) for item in rules)
            asked[horizon].append((len(rules), false, len(days)))
    out = []
    for horizon, rows in asked.items():
        searches, alarms, spans = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
        years = float(spans.sum()) / BUSINESS_DAYS_A_YEAR
        low, high = rate_interval(alarms, spans)
        out.append(
            TriggerRate(
                profile,
                null,
                horizon,
                years,
                int(searches.sum()),
                float(searches.sum()) / years,
                int(alarms.sum()),
                float(alarms.sum()) / years,
                low * BUSINESS_DAYS_A_YEAR,
                high * BUSINESS_DAYS_A_YEAR,
            )
        )
    return out


def path_searches(scanned: pd.DataFrame, days: Any, horizon: str, policy: Mapping[str, Any]) -> list[list[str]]:
    """Return the rules that asked for each search on one path, in order; every search is rejected.

    Parameters
    ----------
    scanned:
        States of every rule over the days, as :func:`~forex_assets.monitoring.alarms.scan_all` returns them.
    days:
        Watched days, shape (n,).
    """
    findings = _findings(scanned, horizon)
    searches: list[dict[str, Any]] = []
    keep = policy["findings_max_age_days"]
    window: list[dict[str, Any]] = []
    for day in np.asarray(days, dtype="datetime64[D]").tolist():
        oldest = (day - dt.timedelta(days=keep)).isoformat()
        window = [row for row in window if row["day"] >= oldest] + findings.get(day.isoformat(), [])
        known = {
            "today": day.isoformat(),
            "findings": window,
            "searches": searches[-3:],
            "openings": [],
            "on_probation": False,
            "running": False,
            "tuned_for": None,
            "settings_hash": "",
        }
        if not searches:  # as if a search had just been made
            searches.append({"day": day.isoformat(), "rules": [], "result": "rejected"})
            continue
        decided = decide_retraining(known, policy)
        if decided["should_optimize"]:
            searches.append({"day": day.isoformat(), "rules": decided["asking"], "result": "rejected"})
    return [item["rules"] for item in searches[1:]]


def _findings(scanned: pd.DataFrame, horizon: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a horizon's trigger looks at, by day: what fired, and one row a monitor for all that did not."""
    about = {str(name) for name in scanned["subject"].unique() if concerns(str(name), horizon)}
    columns = ["as_of", "monitor", "rule", "subject", "state", "severity"]
    part = scanned.loc[scanned["subject"].isin(about), columns]
    fired = part.loc[part["state"] == "fired"]
    quiet = part.loc[part["state"] != "fired"].drop_duplicates(["as_of", "monitor", "state"])
    found: dict[str, list[dict[str, Any]]] = {}
    for frame in (fired, quiet):
        days = np.datetime_as_string(frame["as_of"].to_numpy(dtype="datetime64[D]")).tolist()
        for day, row in zip(days, frame[columns[1:]].to_dict("records"), strict=True):
            plain = {str(name): str(value) for name, value in row.items()}
            found.setdefault(day, []).append({**plain, "day": day, "reason": plain["rule"]})
    return found
