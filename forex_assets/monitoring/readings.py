"""One rule over many days: its statistic, its limits, and in which of the three states it is.

A monitor computes readings once; ``scan`` tabulates them and ``judge`` dresses one day of them in evidence and
sentences, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats
from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.finding import Severity
from forex_assets.monitoring.registry import SCAN_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

Strings = npt.NDArray[np.object_]
#: An effect this many times its limit is high, and critical.
HIGH_AT, CRITICAL_AT = 1.5, 2.5


@dataclass(frozen=True, eq=False)
class Reading:
    """One rule on one subject over days.

    Attributes
    ----------
    rule, subject, unit:
        What was read, on what, in which unit.
    effect:
        The statistic per day, shape (n,); NaN where it does not exist.
    above, below:
        Fires from ``above`` up, or from ``below`` down; infinite where that side does not count.
    why_unknown:
        :class:`~forex_assets.monitoring.cannot_tell.CannotTell` per day, empty where the rule could be judged, shape
        (n,).
    significant:
        Whether the effect is more than chance, where the rule asks for that besides its size, shape (n,).
    """

    rule: str
    subject: str
    unit: str
    effect: Floats
    above: float
    below: float
    why_unknown: Strings
    significant: npt.NDArray[np.bool_] | None = None

    @property
    def fired(self) -> npt.NDArray[np.bool_]:
        """Whether it fires, per day."""
        with np.errstate(invalid="ignore"):
            out = (self.effect >= self.above) | (self.effect <= self.below)
        if self.significant is not None:
            out = out & self.significant
        return np.asarray(out & ~self.is_unknown, dtype=np.bool_)

    @property
    def is_unknown(self) -> npt.NDArray[np.bool_]:
        """Whether it could not be judged, per day."""
        return np.asarray((self.why_unknown != "") | ~np.isfinite(self.effect), dtype=np.bool_)

    @property
    def state(self) -> Strings:
        """State per day."""
        return np.where(self.is_unknown, "unknown", np.where(self.fired, "fired", "clear")).astype(object)

    @property
    def threshold(self) -> Floats:
        """The limit the effect was held against, per day: that of its own side."""
        side = np.where(self.effect < 0, self.below, self.above)
        other = np.where(self.effect < 0, self.above, self.below)
        chosen = np.where(np.isfinite(side), side, other)
        return np.where(np.isfinite(chosen), chosen, np.nan)

    @property
    def severity(self) -> Strings:
        """Severity per day: info when clear, low when unknown, by multiples of the limit when fired."""
        with np.errstate(invalid="ignore", divide="ignore"):
            size = np.nan_to_num(self.effect / self.threshold, nan=1.0)
        fired = np.select([size >= CRITICAL_AT, size >= HIGH_AT], ["critical", "high"], default="medium")
        out = np.where(self.fired, fired, np.where(self.is_unknown, "low", "info"))
        return out.astype(object)

    def cannot_tell(self, index: int) -> CannotTell | None:
        """Return why one day could not be judged, None where it could."""
        if not self.is_unknown[index]:
            return None
        why = self.why_unknown[index]
        return why if isinstance(why, CannotTell) else CannotTell("no_statistic")

    def severity_on(self, index: int) -> Severity:
        """Return the severity of one day."""
        value: Severity = self.severity[index]
        return value


def tabulate(monitor: str, days: Dates, readings: Sequence[Reading]) -> pd.DataFrame:
    """Return readings as the frame ``scan`` gives."""
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "as_of": days.astype("datetime64[ns]"),
                "monitor": monitor,
                "rule": reading.rule,
                "subject": reading.subject,
                "state": reading.state,
                "severity": reading.severity,
                "effect": np.where(reading.is_unknown, np.nan, reading.effect),
                "threshold": reading.threshold,
            }
        )
        for reading in readings
    ]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in SCAN_COLUMNS})
    return pd.concat(parts, ignore_index=True)[list(SCAN_COLUMNS)]
