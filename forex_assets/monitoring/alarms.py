"""How often each rule cries wolf, and how often and how soon it finds what is really wrong: measured, not assumed.

Null worlds give false alarms a year of daily watching; planted faults give power and delay. Monitors are run through
their own ``scan``, so what is measured is what runs. An alarm is a day on which a rule fires after
``quiet_business_days`` without firing: the same fault is not counted daily.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.clock import as_of_instants
from forex_assets.evaluation.inference import clopper_pearson
from forex_assets.monitoring.frames import SCORE_COLUMNS, Frames
from forex_assets.monitoring.observed import Observed
from forex_assets.monitoring.registry import Profile, monitors
from forex_assets.simulation.drivers import DRIVERS
from forex_assets.simulation.nulls import BUSINESS_DAYS_A_YEAR, NullPath, matured_forecasts, null_paths

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.settings import Settings

Bools = npt.NDArray[np.bool_]
#: Days left out at the start of each path: models and monitors are warming up.
BURN_IN_DAYS = 750
#: The pair a simulated path stands for: monitors read its settings.
PAIR = "usdclp_close"


@dataclass(frozen=True, slots=True)
class Rate:
    """False alarms of one rule on one subject in one null world."""

    profile: str
    null: str
    monitor: str
    rule: str
    subject: str
    describes: bool
    years: float
    alarms: int
    per_year: float
    low: float
    high: float
    unknown_share: float


def frames_of(path: NullPath, scores: Mapping[str, pd.DataFrame], horizons: Mapping[str, int]) -> Frames:
    """Return what the monitors would see along a path: every value known on its own day."""
    import pandas as pd

    available = as_of_instants(path.dates) - np.timedelta64(6, "h").astype("timedelta64[us]")
    never = np.full(len(path.dates), np.datetime64("NaT"), dtype="datetime64[us]")

    def observed(name: str, unit: str, values: npt.NDArray[np.float64]) -> Observed:
        return Observed(name, unit, path.dates, values, available, never)

    rows = [frame[list(SCORE_COLUMNS)] for name, frame in scores.items() if name in horizons]
    return Frames(
        pair=PAIR,
        horizons=dict(horizons),
        calendar=path.calendar,
        target=observed("usdclp_close", "CLP per USD", path.prices),
        drivers={name: observed(name, DRIVERS[name].unit, values) for name, values in path.drivers.items()},
        scores=pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(SCORE_COLUMNS)),
    )


@dataclass(frozen=True, eq=False)
class Watched:
    """One path with what the monitors see along it, forecasts of the deployed model included."""

    path: NullPath
    frames: Frames


def watched_worlds(null: str, settings: Settings, *, years: int, paths: int, seed: int) -> Iterator[Watched]:
    """Yield the paths of a null world as the monitors see them."""
    model = settings.active_model(PAIR)
    for path in null_paths(null, years=years, paths=paths, seed=seed):
        scores = matured_forecasts(path, settings.horizons, model)
        yield Watched(path, frames_of(path, scores, settings.horizons))


def watched_days(path: NullPath) -> npt.NDArray[np.datetime64]:
    """Return the days a path is watched on."""
    return path.dates[BURN_IN_DAYS:]


def scan_all(
    frames: Frames,
    days: npt.NDArray[np.datetime64],
    settings: Settings,
    profile: Profile,
    names: tuple[str, ...] | None = None,
) -> pd.DataFrame:
    """Return every monitor's states over days, with whether it describes the market or accuses."""
    import pandas as pd

    parts = [
        monitor.scan(frames, days, settings, profile).assign(describes=monitor.describes)
        for monitor in monitors(names)
        if profile in monitor.profiles
    ]
    return pd.concat(parts, ignore_index=True)


def alarm_starts(fired: Bools, quiet: int) -> npt.NDArray[np.int64]:
    """Return the positions at which an alarm starts: firing, after ``quiet`` positions without."""
    at = np.flatnonzero(fired)
    if not len(at):
        return at.astype(np.int64)
    return np.asarray(at[np.concatenate([[True], np.diff(at) > quiet])], dtype=np.int64)


def path_alarms(scanned: pd.DataFrame, quiet: int) -> pd.DataFrame:
    """Return alarms, days and unknown days of one path by rule and subject."""
    import pandas as pd

    rows = []
    for (monitor, rule, subject), part in scanned.groupby(["monitor", "rule", "subject"], sort=False):
        state = part.sort_values("as_of")["state"].to_numpy()
        rows.append(
            {
                "monitor": monitor,
                "rule": rule,
                "subject": subject,
                "describes": bool(part["describes"].iloc[0]),
                "alarms": len(alarm_starts(state == "fired", quiet)),
                "days": len(state),
                "unknown": int((state == "unknown").sum()),
            }
        )
    return pd.DataFrame(rows)


def rates(per_path: Sequence[pd.DataFrame], profile: Profile, null: str) -> list[Rate]:
    """Return the rate of every rule over paths, and of all accusing rules together (``all/all/all``)."""
    import pandas as pd

    everything = pd.concat([frame.assign(path=i) for i, frame in enumerate(per_path)], ignore_index=True)
    out = []
    for key, part in everything.groupby(["monitor", "rule", "subject", "describes"], sort=False):
        monitor, rule, subject, describes = key
        out.append(_rate(profile, null, (str(monitor), str(rule), str(subject), bool(describes)), part))
    accusing = everything.loc[~everything["describes"]]
    for monitor, part in [*accusing.groupby("monitor", sort=False), ("all", accusing)]:
        total = part.groupby("path").agg(alarms=("alarms", "sum"), days=("days", "max"), unknown=("unknown", "min"))
        out.append(_rate(profile, null, (str(monitor), "all", "all", False), total))
    return out


def _rate(profile: str, null: str, key: tuple[str, str, str, bool], part: pd.DataFrame) -> Rate:
    alarms, days = int(part["alarms"].sum()), float(part["days"].sum())
    years = days / BUSINESS_DAYS_A_YEAR
    low, high = rate_interval(part["alarms"].to_numpy(dtype=np.float64), part["days"].to_numpy(dtype=np.float64))
    monitor, rule, subject, describes = key
    unknown = float(part["unknown"].sum() / days) if days else 1.0
    return Rate(
        profile, null, monitor, rule, subject, describes, years, alarms, alarms / years if years else math.nan,
        low * BUSINESS_DAYS_A_YEAR, high * BUSINESS_DAYS_A_YEAR, unknown,
    )  # fmt: skip


def rate_interval(counts: npt.NDArray[np.float64], days: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% interval of a rate a day from counts per path.

    Poisson (Garwood), with the count divided by how much the paths differ more than chance would have them
    (their dispersion, never below 1).
    """
    from scipy.stats import chi2

    total, span = float(counts.sum()), float(days.sum())
    if span <= 0:
        return math.nan, math.nan
    expected = total / span * days
    dispersion = 1.0
    if len(counts) > 1 and total > 0:
        dispersion = max(1.0, float(np.sum((counts - expected) ** 2 / expected) / (len(counts) - 1)))
    effective = total / dispersion
    low = chi2.ppf(0.025, 2 * effective) / 2 if effective > 0 else 0.0
    high = chi2.ppf(0.975, 2 * (effective + 1)) / 2
    return float(low * dispersion / span), float(high * dispersion / span)


def share_with_interval(found: Iterable[bool]) -> tuple[float, float, float, int]:
    """Return a share of trials with its Clopper-Pearson 95% interval, and their number."""
    values = np.asarray(list(found), dtype=np.float64)
    n = len(values)
    if n == 0:
        return math.nan, math.nan, math.nan, 0
    share = float(values.mean())
    low, high = clopper_pearson(share, n)
    return share, float(low), float(high), n
