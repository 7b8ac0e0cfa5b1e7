"""Training windows: which past and which next values a network is shown, drawn from seeds alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError
from forex_assets.forecasting.chronos.data import TrainingData
from forex_assets.forecasting.chronos.quantile import MIN_BLOCKS

LONGEST_BLOCK = 75
"""Values in a tenor of 90 calendar days when the last value is ten business days old."""
MIN_CONTEXT = 16
LARGEST_MOVE = 15.0
"""Mean absolute returns of the context at which a target is cut: the reach of the tokens."""


@dataclass(frozen=True)
class Window:
    """Contexts (b, context), NaN on the left where short, and the values that followed, (b, length), NaN if none."""

    context: Floats
    target: Floats


class Windows:
    """Draws windows whose targets lie in a stretch of days.

    Parameters
    ----------
    data:
        The series.
    after, through:
        Targets are dated after the first and up to the second; contexts may be older.
    context, length:
        Values shown and values to be forecast.
    blocks:
        True draws returns over 1 to 75 values that do not overlap (Bolt), False returns of single values (T5).
    """

    def __init__(
        self,
        data: TrainingData,
        after: np.datetime64 | None,
        through: np.datetime64,
        context: int,
        length: int,
        blocks: bool,
    ) -> None:
        self.data, self.context, self.length, self.blocks = data, context, length, blocks
        lows, highs = [], []
        for item in data.series:
            first = 0 if after is None else int(np.searchsorted(item.date, after, side="right"))
            # Index of the last known value before the first target, and of the last value targets may use.
            lows.append(max(MIN_CONTEXT, first - 1))
            highs.append(int(np.searchsorted(item.date, through, side="right")) - 1)
        self.low, self.high = np.array(lows), np.array(highs)
        room = np.maximum(self.high - (1 if blocks else length) - self.low + 1, 0)
        if not room.sum():
            raise DataError(
                f"No series has {length} values after {after} and up to {through} with a past before them.",
                remedy="train on more years, or use a shorter --prediction-length or --validation-days.",
            )
        self.room = room
        self.weights = np.cumsum(room) / room.sum()

    def draw(self, seed: tuple[int, ...], rows: int) -> Window:
        """Return ``rows`` windows that follow from the seed."""
        rng = np.random.default_rng(seed)
        which: Ints = np.searchsorted(self.weights, rng.random(rows), side="right")
        spots, sizes, signs = rng.random(rows), rng.random(rows), rng.random(rows) < 0.5
        context, target = np.full((rows, self.context), np.nan), np.full((rows, self.length), np.nan)
        for i in range(rows):
            at = int(which[i])
            x = self.data.series[at].log_value
            low, high = int(self.low[at]), int(self.high[at])
            step = 1
            if self.blocks:
                largest = max(1, min(LONGEST_BLOCK, (high - low) // 2, (high - 1) // (MIN_BLOCKS + 1)))
                step = int(np.exp(sizes[i] * np.log(largest)) + 0.5)
                low = max(low, MIN_BLOCKS * step)
            span = step if self.blocks else self.length
            end = min(low + int(spots[i] * max(high - span - low + 1, 1)), high - 1)
            start = end % step if end // step < self.context else end - self.context * step
            seen = np.diff(x[start : end + 1 : step])
            ahead = np.diff(x[end : min(high, end + self.length * step) + 1 : step])
            context[i, self.context - len(seen) :] = seen
            target[i, : len(ahead)] = ahead[: self.length]
        # A rate that wakes from a standstill would outweigh every other window.
        most = LARGEST_MOVE * np.maximum(np.nanmean(np.abs(context), axis=1, keepdims=True), 1e-6)
        target = np.clip(target, -most, most)
        flip = np.where(signs, -1.0, 1.0)[:, None]  # a rate is as good upside down
        return Window(context * flip, target * flip)
