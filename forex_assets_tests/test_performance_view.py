"""The status of every model in a performance report: as the monitor gives it, as ``forex check`` shows it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.evaluation import performance_report
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.monitoring.check import check_rows
from forex_assets.performance_view import with_status
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets.watching import frames_from, matured_scores, scored_backtest
from forex_assets_tests.evaluation.worlds import backtest, walk

PAIR, HORIZON = "usdclp", "7d"
MODELS = {"random_walk": (1.0, 0.0), "ensemble": (1.0, 0.0), "narrow": (0.35, 0.0), "biased": (1.0, 1.5)}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    home = str(tmp_path_factory.mktemp("home"))
    return Pipeline(load_settings(environ={"FOREX_HOME": home, "FOREX_OFFLINE": "1", "FOREX_PAIRS": PAIR}))


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, dt.date]:
    dates, values = walk(700, seed=4)
    found = backtest(dates, values, 7, models=MODELS)
    return found, dates[-1].astype(object)


def judged(pipeline: Pipeline, rows: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    nothing = schemas.EVALUATION.empty()
    report = performance_report(
        nothing,
        rows,
        as_of=day,
        recommended=pipeline.settings.recommended,
        classic=pipeline.settings.classic,
        active_model="ensemble",
    )
    assert set(report["status"]) == {"UNKNOWN"}
    found = with_status(pipeline, PAIR, HORIZON, report, nothing, rows, day)
    assert not found.duplicated(["window", "model"]).any()
    return found.drop_duplicates("model").set_index("model")


@pytest.mark.capability("B10", "B11")
def test_every_model_has_a_status_and_a_sentence_and_planted_faults_are_told(
    pipeline: Pipeline, rows: tuple[pd.DataFrame, dt.date]
) -> None:
    found = judged(pipeline, *rows)
    assert found.loc["random_walk", "status"] in ("GOOD", "EXCELLENT")
    assert not found.loc["random_walk", "degradation_detected"]
    for name, word in (("narrow", "too narrow"), ("biased", "one side")):
        assert found.loc[name, "status"] in ("DEGRADED", "CRITICAL")
        assert found.loc[name, "degradation_detected"]
        assert word in found.loc[name, "recommendation"]
    assert set(found["status_classic"]) <= {"EXCELLENT", "GOOD", "DEGRADED", "CRITICAL"}


@pytest.mark.capability("B11", "B12")
def test_the_status_of_the_deployed_model_is_the_one_the_command_shows(
    pipeline: Pipeline, rows: tuple[pd.DataFrame, dt.date]
) -> None:
    table, day = rows
    scores = matured_scores(schemas.EVALUATION.empty(), table, "ensemble")
    frames = frames_from(pipeline, PAIR, schemas.OBSERVATIONS.empty(), scores)
    shown = next(row for row in check_rows(frames, day, pipeline.settings) if row["horizon"] == HORIZON)
    found = judged(pipeline, table, day)
    assert pipeline.active(PAIR, HORIZON).model == "ensemble"
    assert found.loc["ensemble", "status"] == shown["status"]
    assert found.loc["ensemble", "status_classic"] == shown["classic_status"]
    assert found.loc["ensemble", "recommendation"] == shown["recommendation"]


@pytest.mark.capability("L18", "J04")
def test_too_few_matured_forecasts_are_unknown_and_never_good(
    pipeline: Pipeline, rows: tuple[pd.DataFrame, dt.date]
) -> None:
    table, _ = rows
    early = pd.Timestamp(np.sort(table["matured_on"].dropna().unique())[30]).date()
    found = judged(pipeline, table, early)
    assert set(found["status"]) == {"UNKNOWN"}
    assert found["recommendation"].str.startswith("No verdict").all()


@pytest.mark.capability("J04", "J11")
def test_nothing_that_matures_later_changes_a_status(pipeline: Pipeline, rows: tuple[pd.DataFrame, dt.date]) -> None:
    table, day = rows
    cut = day - dt.timedelta(days=60)
    changed = table.copy()
    later = changed["matured_on"] > pd.Timestamp(cut)
    changed.loc[later, ["actual"]] *= 3.0
    changed.loc[later, list(QUANTILE_COLUMNS)] *= 0.5
    names = ["status", "status_classic", "degradation_detected", "recommendation"]
    pd.testing.assert_frame_equal(judged(pipeline, table, cut)[names], judged(pipeline, changed, cut)[names])


def test_no_live_forecast_that_matures_later_changes_a_status(
    pipeline: Pipeline, rows: tuple[pd.DataFrame, dt.date]
) -> None:
    table, day = rows
    cut = day - dt.timedelta(days=60)
    table = table.drop_duplicates(["as_of", "model"])
    report = performance_report(
        schemas.EVALUATION.empty(), table, as_of=cut, recommended=pipeline.settings.recommended,
        classic=pipeline.settings.classic, active_model="ensemble",
    )  # fmt: skip
    live = scored_backtest(table).assign(is_active=lambda frame: frame["model"] == "ensemble")
    changed = live.copy()
    changed.loc[changed["matured_on"] > pd.Timestamp(cut), ["crps", "error", "error_sigma", "pit"]] = [
        9.0,
        90.0,
        9.0,
        1.0,
    ]
    one, other = (with_status(pipeline, PAIR, HORIZON, report, scores, table, cut) for scores in (live, changed))
    pd.testing.assert_frame_equal(one, other)
    assert set(one["status"]) != {"UNKNOWN"}


def test_a_report_without_rows_stays_without_rows(pipeline: Pipeline) -> None:
    empty = schemas.PERFORMANCE_REPORT.empty()
    nothing = schemas.EVALUATION.empty(), schemas.BACKTEST.empty()
    assert with_status(pipeline, PAIR, HORIZON, empty, *nothing, dt.date(2025, 1, 2)).empty
