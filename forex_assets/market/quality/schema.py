"""The pandera schema of one series' judged observations: types, unit, range of accepted values, whole verdicts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forex_assets.market.quality.rules import RULES
from forex_assets.schemas import OBSERVATIONS
from forex_assets.settings import SeriesSpec


def observation_schema(spec: SeriesSpec) -> Any:
    """Return the pandera schema that the judged observations of ``spec`` satisfy.

    Extra columns (provenance) are allowed. Values outside the range are allowed only where they are withdrawn.
    """
    import pandera.pandas as pandera

    low, high = spec.range
    declared = OBSERVATIONS.pandera_schema().columns
    columns = {name: column for name, column in declared.items() if name not in _PROVENANCE}
    columns["series"] = pandera.Column(object, pandera.Check.equal_to(spec.id))
    columns["unit"] = pandera.Column(object, pandera.Check.equal_to(spec.unit))
    columns["rule"] = pandera.Column(object, pandera.Check.isin(list(RULES)), nullable=True)

    def accepted_in_range(frame: pd.DataFrame) -> pd.Series[bool]:
        return frame["withdrawn_at"].notna() | frame["value"].between(low, high)

    def whole_verdict(frame: pd.DataFrame) -> pd.Series[bool]:
        given = frame["withdrawn_at"].notna()
        return (given == frame["rule"].notna()) & (given == frame["reason"].notna())

    def not_before_known(frame: pd.DataFrame) -> pd.Series[bool]:
        return frame["withdrawn_at"].isna() | (frame["withdrawn_at"] >= frame["available_at"])

    return pandera.DataFrameSchema(
        columns,
        checks=[
            pandera.Check(
                accepted_in_range, error=f"accepted values of {spec.id} lie in {low:g} to {high:g} {spec.unit}"
            ),
            pandera.Check(whole_verdict, error="withdrawn_at, rule and reason come together or not at all"),
            pandera.Check(not_before_known, error="no row is withdrawn before it was available"),
        ],
        unique=["series", "event_time", "available_at", "source"],
        name=f"observations of {spec.id}",
    )


_PROVENANCE = frozenset({"pair", "config_hash", "data_hash", "code_version"})
