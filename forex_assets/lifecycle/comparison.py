"""Two versions on the same targets of many pairs, as probation compares them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from forex_assets.lifecycle.search.objective import Losses, paired

#: Fewer pairs than this are no panel.
MIN_PAIRS = 5


def panel_rows(parts: Sequence[tuple[Losses, Losses]]) -> list[list[Any]]:
    """Return how the first of each pair's two losses did beside the second, all pairs of a date together.

    Returns
    -------
    list
        By as_of: (as_of, pairs, mean excess of the CRPS in units of each pair's usual one, mean of the 95% intervals
        missed more). Dates on which fewer than :data:`MIN_PAIRS` pairs were forecast are left out.
    """
    dates, excess, missed = [], [], []
    for part in parts:
        new, old = paired(part)
        usual = float(old.crps.mean()) if len(old) else 0.0
        if usual > 0:
            dates.append(new.origins)
            excess.append((new.crps - old.crps) / usual)
            missed.append(old.covered_95 - new.covered_95)
    if not dates:
        return []
    days, place, counts = np.unique(np.concatenate(dates), return_inverse=True, return_counts=True)
    sums = [np.bincount(place, np.concatenate(values)) for values in (excess, missed)]
    return [
        [str(day), int(count), float(gap / count), float(more / count)]
        for day, count, gap, more in zip(days, counts, *sums, strict=True)
        if count >= MIN_PAIRS
    ]
