"""What makes a slice bad, good or unknown; each rule states what it expected beside what it saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets import schemas
from forex_assets.levels import QUANTILE_COLUMNS, QUANTILE_LEVELS
from forex_assets.schemas import Table
from forex_assets.verdicts import RULES, judge_slice

_NORMAL = np.array([-1.96, -1.645, -1.282, -0.842, -0.524, -0.253, 0, 0.253, 0.524, 0.842, 1.282, 1.645, 1.96])


def _typed(table: Table, rows: list[dict[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    for column in table.columns:
        if column.name not in frame:
            empty = table.empty()[column.name].dtype
            frame[column.name] = pd.Series([None] * len(frame)).astype(empty if column.nullable else object)
    return frame[list(table.column_names)]


def forecast(**changes: object) -> pd.DataFrame:
    """A day's forecast of two models, the second one changed: ``width`` (times the walk's), ``shift``, ``model``."""
    rows = []
    for model, width, shift in (
        ("random_walk", 1.0, 0.0),
        ("other", changes.get("width", 1.0), changes.get("shift", 0.0)),
    ):
        centre = 930.0 * (1 + float(shift))  # type: ignore[arg-type]
        quantiles = centre * np.exp(_NORMAL * 0.015 * float(width))  # type: ignore[arg-type]
        rows.append(
            {
                "pair": "usdclp", "horizon": 7, "as_of": pd.Timestamp("2025-06-13"), "model": model, "step": 4,
                "is_target": True, "last_value": 930.0, "mean": centre, "is_active": model != "random_walk",
                **dict(zip(QUANTILE_COLUMNS, quantiles, strict=True)),
            }
        )  # fmt: skip
    return _typed(schemas.FORECAST, rows)


def test_a_plausible_forecast_is_good() -> None:
    assert judge_slice(schemas.FORECAST, forecast()).state == "good"


@pytest.mark.capability("L18")
@pytest.mark.parametrize("table", [schemas.BARS, schemas.FORECAST, schemas.BACKTEST])
def test_an_empty_slice_that_others_compute_from_is_bad(table: Table) -> None:
    verdict = judge_slice(table, table.empty())
    assert verdict.state == "bad"
    assert verdict.reasons[0] == "not_empty: expected at least 1 row, saw 0 rows"


@given(row=st.integers(0, 1), level=st.integers(1, len(QUANTILE_LEVELS) - 1), gap=st.floats(0.01, 500))
def test_crossing_quantiles_are_bad_wherever_they_cross(row: int, level: int, gap: float) -> None:
    frame = forecast()
    frame.loc[row, QUANTILE_COLUMNS[level]] = frame.loc[row, QUANTILE_COLUMNS[level - 1]] - gap
    verdict = judge_slice(schemas.FORECAST, frame)
    assert verdict.state == "bad"
    assert any(
        reason == "monotone_quantiles: expected 0 rows crossing or not positive, saw 1 of 2"
        for reason in verdict.reasons
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_quantiles_that_are_no_price_are_bad(value: float) -> None:
    frame = forecast()
    frame.loc[1, "q025"] = value
    assert judge_slice(schemas.FORECAST, frame).state == "bad"


@pytest.mark.capability("J09")
@pytest.mark.parametrize(
    ("width", "state"), [(0.2, "bad"), (0.26, "good"), (1.0, "good"), (3.5, "good"), (5.0, "bad"), (1 / 930, "bad")]
)
def test_a_width_far_from_the_random_walks_is_bad(width: float, state: str) -> None:
    # 1/930 is the classic error of units: a volatility of log returns used as CLP.
    verdict = judge_slice(schemas.FORECAST, forecast(width=width))
    assert verdict.state == state
    if state == "bad":
        assert "95% width 0.25-4 x the random walk's" in verdict.reasons[0]
        assert "width ratio" in verdict.reasons[0]


@pytest.mark.parametrize(("shift", "state"), [(0.2, "good"), (0.3, "bad"), (-0.3, "bad")])
def test_a_centre_far_from_the_last_value_is_bad(shift: float, state: str) -> None:
    assert judge_slice(schemas.FORECAST, forecast(shift=shift)).state == state


def test_without_a_random_walk_beside_it_a_forecast_is_bad() -> None:
    frame = forecast().iloc[1:]
    verdict = judge_slice(schemas.FORECAST, frame)
    assert verdict.state == "bad"
    assert "no random walk to compare with" in verdict.reasons[-1]


@pytest.mark.parametrize(("value", "state"), [(930.0, "good"), (-5.0, "bad"), (np.inf, "bad"), (0.0, "bad")])
def test_a_price_in_use_that_is_no_price_makes_bars_bad(value: float, state: str) -> None:
    rows = [
        {"pair": "usdclp", "value": 925.0, "withdrawn_at": pd.NaT},
        {"pair": "usdclp", "value": value, "withdrawn_at": pd.NaT},
    ]
    frame = _typed(schemas.BARS, rows)
    assert judge_slice(schemas.BARS, frame).state == state
    frame["withdrawn_at"] = pd.Timestamp("2025-06-13", tz="UTC")
    assert judge_slice(schemas.BARS, frame).state == "good", "a withdrawn value is not in use"


def performance(coverage: str, bias: str) -> pd.DataFrame:
    return _typed(
        schemas.PERFORMANCE_REPORT,
        [
            {
                "window": "live_60", "is_active": True, "n": 60, "n_effective": 12.0,
                "coverage_95": 0.93, "coverage_95_low": 0.8, "coverage_95_high": 0.99, "coverage_state": coverage,
                "bias_sigma": 0.1, "bias_sigma_low": -0.3, "bias_sigma_high": 0.5, "bias_state": bias,
            }
        ],
    )  # fmt: skip


@pytest.mark.capability("L18")
@pytest.mark.parametrize(
    ("coverage", "bias", "state"),
    [
        ("good", "good", "good"),
        ("good", "unknown", "unknown"),
        ("unknown", "good", "unknown"),
        ("bad", "unknown", "bad"),
    ],
)
def test_bad_outweighs_unknown_and_unknown_never_reads_as_good(coverage: str, bias: str, state: str) -> None:
    verdict = judge_slice(schemas.PERFORMANCE_REPORT, performance(coverage, bias))
    assert verdict.state == state
    assert bool(verdict.reasons) == (state != "good")
    if state != "good":
        assert "n 60, effective n 12.0" in verdict.reasons[0]


def test_no_matured_forecast_is_unknown() -> None:
    verdict = judge_slice(schemas.PERFORMANCE_REPORT, performance("good", "good").iloc[:0])
    assert verdict.state == "unknown"
    assert "no matured forecast yet" in verdict.reasons[0]


@pytest.mark.parametrize("name", sorted(set(schemas.TABLES) - set(RULES)))
def test_a_table_without_rules_is_good_as_written(name: str) -> None:
    assert judge_slice(schemas.TABLES[name], schemas.TABLES[name].empty()).state == "good"


@pytest.mark.parametrize("rule", [rule for rules in RULES.values() for rule in rules], ids=lambda rule: rule.name)
def test_every_rule_says_in_a_sentence_what_it_means(rule: object) -> None:
    doc: str = rule.doc  # type: ignore[attr-defined]
    check: Callable[..., object] = rule.check  # type: ignore[attr-defined]
    assert doc.endswith(".")
    assert callable(check)
