"""When a change began: three methods that see it differently, and the date most of them are near.

CUSUM of the standardised series, ADWIN (river) and change points (ruptures), each over the window that fired and the
one before it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import numpy as np

from forex_assets.arrays import Dates, Floats


class Onset(NamedTuple):
    """Date each method puts on the change (None: it sees none), and their middle."""

    began_on: dt.date | None
    cusum: dt.date | None
    adwin: dt.date | None
    change_point: dt.date | None


def onset(dates: Dates, values: Floats, *, of_size: bool) -> Onset:
    """Return when a series changed.

    Parameters
    ----------
    dates, values:
        The observations, shape (n,), oldest first; missing ones are left out.
    of_size:
        True looks for a change of size (absolute values), False for one of level.
    """
    good = np.isfinite(values)
    dates, values = dates[good], values[good]
    if len(values) < 20 or np.ptp(values) == 0:
        return Onset(None, None, None, None)
    series = np.abs(values - np.median(values)) if of_size else values
    series = (series - series.mean()) / max(float(series.std()), 1e-12)
    found = [_cusum(series), _adwin(series), _change_point(series)]
    days = [None if place is None else dates[place].item() for place in found]
    seen = sorted(place for place in found if place is not None)
    middle = dates[seen[len(seen) // 2]].item() if seen else None
    return Onset(middle, *days)


def _cusum(series: Floats) -> int | None:
    """Return where the cumulated sum is farthest from the line between its ends."""
    total = np.cumsum(series - series.mean())
    place = int(np.argmax(np.abs(total[:-1])))
    return place + 1 if abs(total[place]) > 1.36 * np.sqrt(len(series)) else None


def _adwin(series: Floats) -> int | None:
    """Return where the newest window ADWIN kept begins, if it ever dropped an older one."""
    from river.drift import ADWIN

    detector: Any = ADWIN(delta=0.01)
    scaled = (np.clip(series, -4, 4) + 4) / 8
    began: int | None = None
    for place, value in enumerate(scaled):
        detector.update(float(value))
        if detector.drift_detected:
            began = place - int(detector.width) + 1
    return began


def _change_point(series: Floats) -> int | None:
    """Return the last change of level by penalised segmentation (PELT, squared error)."""
    import ruptures

    n = len(series)
    cuts = ruptures.Pelt(model="l2", min_size=10, jump=2).fit(series.reshape(-1, 1)).predict(pen=4.0 * np.log(n))
    inner = [cut for cut in cuts if cut < n]
    return int(inner[-1]) if inner else None
