"""The series shipped with the package, as the files hold them."""

from __future__ import annotations

import pandas as pd

from forex_assets.market.sources.embedded import EMBEDDED_DIR
from forex_assets.settings import load_settings


def read_embedded(series: str) -> pd.DataFrame:
    """Return ``date`` and ``value`` of a shipped series."""
    file = load_settings(environ={}).series[series].addresses["embedded"]["file"]
    return pd.read_csv(EMBEDDED_DIR / f"{file}.gz", parse_dates=["date"])
