"""The measured false-alarm rate of every rule, as packaged with the code that was measured."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple, TypeAlias

from forex_assets.errors import DataError
from forex_assets.monitoring.alarms import Rate

FILE = "alarm_rates.csv"
COLUMNS = (
    "profile", "null", "monitor", "rule", "subject", "describes", "years", "alarms", "per_year", "low", "high",
    "unknown_share", "seed", "nominal_per_year",
)  # fmt: skip


#: Profile, null, monitor, rule, subject.
RateKey: TypeAlias = tuple[str, str, str, str, str]


class WorstRate(NamedTuple):
    """The largest rate over the null worlds, with its interval and the world."""

    per_year: float
    low: float
    high: float
    null: str


def write_rates(rates: Sequence[Rate], path: str, *, seed: int, nominal: Mapping[RateKey, float]) -> None:
    """Write measured rates as CSV.

    Parameters
    ----------
    rates, path:
        What was measured, and where to.
    seed:
        Seed of the paths they were measured on; not the one that chose the limits.
    nominal:
        (profile, null, monitor, rule, subject) → alarms a year on the paths that chose the limits; empty in the file
        where none is known.
    """
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rate in rates:
            expected = nominal.get((rate.profile, rate.null, rate.monitor, rate.rule, rate.subject))
            row = [getattr(rate, name) for name in COLUMNS[:-2]] + [seed, "" if expected is None else expected]
            writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in row])


@functools.lru_cache(maxsize=1)
def measured_rates() -> Mapping[tuple[str, str, str, str], WorstRate]:
    """Return the worst measured rate of each (profile, monitor, rule, subject); none where no world feeds the rule.

    Raises
    ------
    DataError
        When the packaged file is missing or damaged.
    """
    source = resources.files("forex_assets.monitoring").joinpath(FILE)
    worst: dict[tuple[str, str, str, str], WorstRate] = {}
    try:
        rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))
        for row in rows:
            if float(row["unknown_share"]) >= 1.0:
                continue  # a rule that could judge on no day has raised no alarm, and shown nothing
            key = (row["profile"], row["monitor"], row["rule"], row["subject"])
            rate = WorstRate(float(row["per_year"]), float(row["low"]), float(row["high"]), row["null"])
            if key not in worst or rate.per_year > worst[key].per_year:
                worst[key] = rate
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"The packaged alarm rates ({FILE}) cannot be read: {type(error).__name__}: {error}.",
            remedy="reinstall forex_assets, or measure them anew: forex monitor calibrate-alarms.",
        ) from error
    return worst


def false_alarm_rate(profile: str, monitor: str, rule: str, subject: str) -> WorstRate | None:
    """Return a rule's worst measured rate, or None where it was never measured.

    A subject of the market (a price, a driver) has the rate of the simulated one that stands for it.
    """
    rates = measured_rates()
    exact = rates.get((profile, monitor, rule, subject))
    if exact is not None:
        return exact
    same = [rate for key, rate in rates.items() if key[:3] == (profile, monitor, rule)]
    horizons = {key[3] for key in rates if key[:3] == (profile, monitor, rule)}
    if subject.endswith("d") and subject[:-1].isdigit() and any(h.endswith("d") for h in horizons):
        return None  # another horizon's rate says nothing about this one
    return max(same, key=lambda rate: rate.per_year, default=None)
