"""Gaps against the calendar, counts by rule, and the schema that judged observations satisfy."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pandera.errors
import pytest

from forex_assets.clock import calendar_for
from forex_assets.market.quality import RULES, apply_quality, gap_report, observation_schema, quality_summary
from forex_assets.settings import QualitySettings, SeriesSpec
from forex_assets_tests.market.observed import MARKET, NOW, observations

CL = calendar_for("CL")
DAYS = CL.sessions("2022-01-03", "2022-12-30")
QUIET = MARKET.model_copy(update={"reference": None})


def walk() -> np.ndarray:
    return 800 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.005, len(DAYS))))


def judged(limits: QualitySettings, drop: list[int], wrong: list[int]) -> pd.DataFrame:
    values = walk()
    values[wrong] /= 100
    keep = np.setdiff1d(np.arange(len(DAYS)), drop)
    return apply_quality(observations(QUIET, DAYS[keep], values[keep]), {QUIET.id: QUIET}, limits, now=NOW)


@pytest.mark.capability("E11")
def test_gaps_are_runs_of_sessions_without_a_usable_value(limits: QualitySettings) -> None:
    gaps = gap_report(
        judged(limits, [40, 41, 43, 100], [42, 150]), QUIET, CL, dt.date(2022, 1, 1), dt.date(2022, 12, 31)
    )
    assert gaps["first_missing"].to_list() == [pd.Timestamp(DAYS[i]) for i in (40, 100, 150)]
    assert gaps["last_missing"].to_list() == [pd.Timestamp(DAYS[i]) for i in (43, 100, 150)]
    assert gaps["missing"].to_list() == [4, 1, 1]
    assert gaps["withdrawn"].to_list() == [1, 0, 1]
    assert set(gaps["series"]) == {QUIET.id}


def test_holidays_are_no_gaps(limits: QualitySettings) -> None:
    gaps = gap_report(judged(limits, [], []), QUIET, CL, dt.date(2022, 1, 1), dt.date(2022, 12, 31))
    assert gaps.empty
    assert list(gaps.columns) == ["series", "first_missing", "last_missing", "missing", "withdrawn"]


def test_rows_not_yet_judged_count_as_they_are() -> None:
    gaps = gap_report(observations(QUIET, DAYS[:10], walk()[:10]), QUIET, CL, dt.date(2022, 1, 1), DAYS[11].item())
    assert gaps["missing"].to_list() == [2]


def test_a_monthly_series_is_expected_on_the_first_of_each_month(series: dict[str, SeriesSpec]) -> None:
    frame = observations(series["ipc_yoy"], ["2022-02-01", "2022-03-01", "2022-06-01"], [7.8, 9.4, 12.5])
    gaps = gap_report(frame, series["ipc_yoy"], CL, dt.date(2022, 1, 15), dt.date(2022, 6, 30))
    assert gaps["first_missing"].to_list() == [pd.Timestamp("2022-04-01")]
    assert gaps["missing"].to_list() == [2]


@pytest.mark.capability("E11")
def test_the_summary_counts_by_series_and_rule(limits: QualitySettings) -> None:
    summary = quality_summary(judged(limits, [], [42, 150])).set_index("rule")
    assert summary["rows"].to_dict() == {"accepted": len(DAYS) - 2, "unit": 2}
    assert summary.loc["unit", "share"] == pytest.approx(2 / len(DAYS))
    assert summary.loc["unit", "first_event"] == pd.Timestamp(DAYS[42])
    assert summary.loc["unit", "last_event"] == pd.Timestamp(DAYS[150])


@pytest.mark.capability("L18", "E11")
def test_a_rule_that_could_not_look_reads_unknown_not_clear(
    limits: QualitySettings, series: dict[str, SeriesSpec]
) -> None:
    frame = pd.concat(
        [observations(MARKET, DAYS, walk()), observations(series["tpm"], DAYS, np.full(len(DAYS), 9.75))],
        ignore_index=True,
    )
    specs = {MARKET.id: MARKET, "tpm": series["tpm"]}
    summary = quality_summary(apply_quality(frame, specs, limits, now=NOW), specs)
    states = {(row.series, row.rule): row.state for row in summary.itertuples()}
    assert states[MARKET.id, "cross_source"] == "unknown"  # its reference, the fixing, is not there
    assert states["tpm", "cross_source"] == states["tpm", "jump"] == states["tpm", "stale"] == "off"
    assert states[MARKET.id, "spike"] == states["tpm", "range"] == "clear"
    assert states["tpm", "accepted"] == "accepted"
    assert states["tpm", "revision"] == "clear"
    assert len(summary) == 2 * (len(RULES) + 1)
    assert (summary["rows"] >= 0).all()


def test_an_empty_frame_has_an_empty_summary(limits: QualitySettings) -> None:
    empty = apply_quality(observations(QUIET, [], []), {QUIET.id: QUIET}, limits, now=NOW)
    assert quality_summary(empty).empty


@pytest.mark.capability("E03")
def test_judged_observations_satisfy_the_schema_of_their_series(limits: QualitySettings) -> None:
    observation_schema(QUIET).validate(judged(limits, [3], [42, 150]), lazy=True)


@pytest.mark.capability("E03")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("value", 5.0),
        ("unit", "USD per CLP"),
        ("series", "something_else"),
        ("rule", "no such rule"),
        ("reason", "a reason without a verdict"),
        ("source", None),
    ],
)
def test_the_schema_refuses_what_the_rules_would_not_leave(limits: QualitySettings, column: str, value: object) -> None:
    frame = judged(limits, [], [])
    frame.loc[10, column] = value
    with pytest.raises(pandera.errors.SchemaErrors):
        observation_schema(QUIET).validate(frame, lazy=True)


def test_the_schema_refuses_a_verdict_dated_before_its_row(limits: QualitySettings) -> None:
    frame = judged(limits, [], [42])
    frame.loc[42, "withdrawn_at"] -= pd.Timedelta(days=1)
    with pytest.raises(pandera.errors.SchemaErrors, match="before it was available"):
        observation_schema(QUIET).validate(frame, lazy=True)
