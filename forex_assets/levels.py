"""The quantile levels every forecast stores and their column names."""

from __future__ import annotations

QUANTILE_LEVELS: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)


def quantile_column(level: float) -> str:
    """Return the column name of a level: ``0.025`` → ``q025``."""
    return f"q{round(level * 1000):03d}"


QUANTILE_COLUMNS: tuple[str, ...] = tuple(quantile_column(level) for level in QUANTILE_LEVELS)
MEDIAN_INDEX = QUANTILE_LEVELS.index(0.5)
INTERVALS: dict[int, tuple[str, str]] = {80: ("q100", "q900"), 95: ("q025", "q975")}
