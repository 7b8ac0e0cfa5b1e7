"""Small frames of the declared tables."""

from __future__ import annotations

import pandas as pd

from forex_assets.schemas import BARS, FORECAST, Table

_PROVENANCE = {"config_hash": "c" * 16, "data_hash": "d" * 16, "code_version": "0.1+00000000"}


def bars(rows: int = 5, *, as_of: str = "2025-06-13", value: float = 930.0, pair: str = "usdclp") -> pd.DataFrame:
    """``rows`` bars that end at ``as_of``, all with one value."""
    days = pd.bdate_range(end=as_of, periods=rows)
    return pd.DataFrame(
        {
            "pair": pair,
            "as_of": pd.Timestamp(as_of),
            "event_date": days,
            "available_at": days.tz_localize("UTC") - pd.Timedelta(hours=3),
            "open": float("nan"),
            "high": float("nan"),
            "low": float("nan"),
            "value": value,
            "source": "embedded",
            "withdrawn_at": pd.Series([pd.NaT] * rows, dtype="datetime64[ns, UTC]"),
            "withdrawn_rule": None,
            **_PROVENANCE,
        }
    )


def filled(table: Table, rows: int = 3, *, start: str = "2025-01-01") -> pd.DataFrame:
    """Rows of any table with every column filled and the key unique."""
    days = pd.date_range(start, periods=rows)
    by_kind = {
        "date": days,
        "instant": days.tz_localize("UTC"),
        "float": [float(i) for i in range(rows)],
        "int": list(range(rows)),
        "str": [f"text{i}" for i in range(rows)],
        "bool": [i % 2 == 0 for i in range(rows)],
    }
    return pd.DataFrame({column.name: by_kind[column.kind] for column in table.columns})


def forecast(as_of: str, rows: int = 3) -> pd.DataFrame:
    """Forecast rows of one origin."""
    return filled(FORECAST, rows).assign(pair="usdclp", as_of=pd.Timestamp(as_of))


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Hold two frames equal, types and order included."""
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


__all__ = ["BARS", "FORECAST", "bars", "filled", "forecast", "same"]
