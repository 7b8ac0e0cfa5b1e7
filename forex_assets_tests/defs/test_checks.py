"""Asset checks: good passes, unknown warns and says so, bad fails; nothing downstream uses a slice judged bad."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.defs import jobs
from forex_assets.defs.run import run_pair
from forex_assets.desk import report_inputs
from forex_assets.errors import DataError
from forex_assets.store.slice_file import Key
from forex_assets.summary import horizon_summary
from forex_assets.verdicts import RULES, Rule, RuleResult, judge_slice
from forex_assets_tests.defs.world import LAST_AS_OF, PAIR, World

CHECKED = ("bars", "drivers", "backtest", "interval_calibration", "forecast", "evaluation", "performance_report")
OURS_AND_CLASSIC = {"interval_coverage", "interval_coverage_classic", "bias", "bias_classic"}


def run_checks(world: World, table: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks of one asset as the UI does, through a job of checks only, and return what they said."""
    selection = dg.AssetSelection.checks_for_assets(dg.AssetKey([PAIR, table]))
    definitions = dg.Definitions.merge(
        world.definitions, dg.Definitions(jobs=[dg.define_asset_job(f"check_{table}", selection=selection)])
    )
    result = definitions.resolve_job_def(f"check_{table}").execute_in_process(instance=world.instance)
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def state_of(evaluation: dg.AssetCheckEvaluation) -> str:
    """Return the state a check shows, having held its outcome and severity against it."""
    state = str(evaluation.metadata["state"].value)
    assert evaluation.passed == (state == "good")
    assert (evaluation.description or "").startswith(f"{state}: ")
    return state


def change(world: World, table: schemas.Table, key: Key, values: Mapping[str, object]) -> None:
    """Rewrite a slice with some columns changed, judged as the I/O manager judges it."""
    frame = world.pipeline.store.read(table, PAIR, [key], allow_bad=True).assign(**values)
    meta = world.pipeline.store.info(table, PAIR, key).meta
    world.pipeline.store.write(table, PAIR, key, frame, verdict=judge_slice(table, frame), meta=meta)


@pytest.mark.parametrize("table", CHECKED)
def test_every_check_of_the_built_home_ran_with_the_run_and_shows_expected_beside_actual(
    built: World, table: str
) -> None:
    key = dg.AssetKey([PAIR, table])
    checks = [check for check in built.definitions.resolve_asset_graph().asset_check_keys if check.asset_key == key]
    assert {"schema"} <= {check.name for check in checks}
    newest = built.instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    assert set(newest) == set(checks)
    for record in newest.values():
        evaluation = record.evaluation
        assert evaluation is not None
        assert "| slice | state | expected | actual |" in str(evaluation.metadata["slices"].value)
        assert "verdicts_of_recent_slices" in evaluation.metadata
        assert state_of(evaluation) != "bad"


@pytest.mark.capability("E03")
def test_the_checks_on_observations_say_what_each_expected_and_saw(built: World) -> None:
    results = run_checks(built, "observations")
    assert set(results) == {"series_schema", "gaps", "date_shift", "feeds", "quarantine_share"}
    assert results["series_schema"].passed
    assert results["gaps"].passed
    assert results["date_shift"].description == "no series of this pair declares a reference"
    for name in ("series_schema", "gaps", "feeds", "quarantine_share"):
        assert "expected" in (results[name].description or "")
    for result in results.values():
        assert result.severity == dg.AssetCheckSeverity.WARN or result.passed
        assert "rows" in result.metadata


@pytest.mark.capability("E03")
def test_a_stored_value_outside_its_range_fails_the_schema_of_its_series(world: World) -> None:
    rows = world.pipeline.store.read(schemas.OBSERVATIONS, PAIR, [()])
    first = rows.index[rows["series"] == "usdclp_fixing"][0]
    rows.loc[first, "value"] = 9.5  # USD/CLP below its declared range, and not withdrawn
    world.pipeline.store.write(schemas.OBSERVATIONS, PAIR, (), rows)
    broken = run_checks(world, "observations")["series_schema"]
    assert not broken.passed
    assert broken.severity == dg.AssetCheckSeverity.ERROR
    assert "usdclp_fixing" in str(broken.metadata["rows"].value)


def test_without_observations_their_checks_are_unknown(world: World) -> None:
    empty = World(world.settings.model_copy(update={"store_root": "memory://no-observations"}), world.instance)
    for result in run_checks(empty, "observations").values():
        assert not result.passed
        assert (result.description or "").startswith("unknown: ")


@pytest.mark.parametrize("table", ["backtest", "forecast", "evaluation"])
def test_sound_slices_pass_every_check(built: World, table: str) -> None:
    results = run_checks(built, table)
    assert {name: state_of(result) for name, result in results.items()} == dict.fromkeys(results, "good")


def test_old_embedded_data_warn_and_block_nothing(built: World) -> None:
    freshness = run_checks(built, "bars")["freshness"]
    assert state_of(freshness) == "unknown"
    assert freshness.severity == dg.AssetCheckSeverity.WARN
    assert "newest value at most 3 business days before today" in (freshness.description or "")
    assert built.pipeline.store.info(schemas.BARS, PAIR, (LAST_AS_OF.isoformat(),)).verdict.state == "good"


@pytest.mark.capability("A17", "A18", "L18")
def test_coverage_and_bias_stand_beside_the_classic_thresholds_with_n_and_interval(built: World) -> None:
    results = run_checks(built, "performance_report")
    assert set(results) >= OURS_AND_CLASSIC
    for name in ("interval_coverage", "bias"):
        # A handful of overlapping forecasts cannot tell: that is a warning that says unknown, not a pass.
        assert state_of(results[name]) == "unknown"
        assert results[name].severity == dg.AssetCheckSeverity.WARN
        text = str(results[name].metadata["slices"].value)
        assert "effective n" in text
        assert "n 4" in text
    assert "coverage_95 >= 0.9" in str(results["interval_coverage_classic"].metadata["slices"].value)
    assert r"\|mean error\| < 5 CLP per USD" in str(results["bias_classic"].metadata["slices"].value)
    assert {state_of(results[name]) for name in OURS_AND_CLASSIC if "classic" in name} <= {"good", "bad"}


@pytest.mark.capability("A17", "A18")
def test_each_state_of_our_rules_and_of_the_classic_ones_is_shown_as_it_is(world: World) -> None:
    store = world.pipeline.store
    for ours, classic, key in (("good", "bad", ("7d",)), ("bad", "good", ("30d",))):
        columns = {
            "coverage_state": ours,
            "bias_state": ours,
            "coverage_state_classic": classic,
            "bias_state_classic": classic,
        }
        change(world, schemas.PERFORMANCE_REPORT, key, columns)
    assert store.info(schemas.PERFORMANCE_REPORT, PAIR, ("7d",)).verdict.state == "good"
    results = run_checks(world, "performance_report")
    for name in OURS_AND_CLASSIC:
        assert state_of(results[name]) == "bad"
        rows = str(results[name].metadata["slices"].value).splitlines()[2:]
        assert sorted(row.split("|")[2].strip() for row in rows) == ["bad", "good"]
    assert results["interval_coverage"].severity == dg.AssetCheckSeverity.ERROR
    # The classic rules hold or fail whatever the evidence: they inform.
    assert results["interval_coverage_classic"].severity == dg.AssetCheckSeverity.WARN


def test_the_slices_column_names_each_slice_on_one_row_of_the_table(built: World) -> None:
    text = str(run_checks(built, "forecast")["monotone_quantiles"].metadata["slices"].value)
    rows = text.splitlines()[2:]
    assert len(rows) == 10  # the newest five of each of two tenors
    assert all(row.count("|") == 5 for row in rows), "a key holding a bar would break the row"
    assert rows[-1].startswith(f"| 7d/{LAST_AS_OF} | good |")


def test_without_any_stored_slice_every_check_is_unknown(world: World) -> None:
    from forex_assets.defs.checks import newest_slices

    empty = World(world.settings.model_copy(update={"store_root": "memory://nothing-stored"}), world.instance)
    assert newest_slices(empty.pipeline, PAIR, schemas.FORECAST) == ([], [])
    results = run_checks(empty, "forecast")
    assert {state_of(result) for result in results.values()} == {"unknown"}
    assert all("none stored" in (result.description or "") for result in results.values())


def test_a_damaged_slice_fails_its_checks_and_not_the_run_that_mends_it(world: World) -> None:
    key = ("30d", LAST_AS_OF.isoformat())
    path = Path(world.pipeline.store.info(schemas.FORECAST, PAIR, key).path)
    path.write_bytes(path.read_bytes()[:100])
    results = run_checks(world, "forecast")
    assert {state_of(result) for result in results.values()} == {"bad"}
    assert "30d/2025-06-13" in (results["schema"].description or "")
    assert dict(results["schema"].metadata["verdicts_of_recent_slices"].value)["unreadable"] == 1  # type: ignore[call-overload]
    assert run_pair(world.runner, PAIR, as_of=LAST_AS_OF, days=2).error is None
    assert run_checks(world, "forecast")["schema"].passed


PLANTED = {
    "crossing quantiles": ("monotone_quantiles", {"q025": 2000.0}),
    "an absurd width": ("forecast_sanity", {"q025": 1.0, "q050": 1.0}),
}


@pytest.mark.capability("L18")
@pytest.mark.parametrize("fault", PLANTED)
def test_a_slice_whose_verdict_is_bad_is_not_used_downstream(world: World, fault: str) -> None:
    rule, values = PLANTED[fault]
    store = world.pipeline.store
    evaluated = [key for key in store.keys(schemas.EVALUATION, PAIR) if key[0] == "7d"]
    key = evaluated[-1]
    frame = store.read(schemas.FORECAST, PAIR, [key])
    walk = frame["model"] == "random_walk"
    planted = {name: frame[name].where(walk, value) for name, value in values.items()}
    change(world, schemas.FORECAST, key, planted)
    verdict = store.info(schemas.FORECAST, PAIR, key).verdict
    assert verdict.state == "bad"
    assert any(reason.startswith(rule) for reason in verdict.reasons)

    before = store.info(schemas.EVALUATION, PAIR, key).written_at
    with pytest.raises(DataError, match=f"{key[1]}.*{rule}") as caught:
        world.run(jobs.EVALUATION, first=f"{key[1]}|{key[0]}", last=f"{key[1]}|{key[0]}")
    assert caught.value.remedy
    assert store.info(schemas.EVALUATION, PAIR, key).written_at == before

    day = dt.date.fromisoformat(key[1])
    shown = horizon_summary(world.pipeline, PAIR, "7d", key[1])
    assert shown["forecast"] is None
    assert shown["verdict"]["state"] == "bad"
    if store.exists(schemas.BARS, PAIR, (key[1],)):
        inputs = report_inputs(world.pipeline, PAIR, day, generated_at=pd.Timestamp("2025-06-14", tz="UTC"))
        assert inputs.verdicts[7].state == "bad"


@pytest.mark.capability("L18", "B26")
def test_the_main_job_goes_on_around_a_bad_forecast_and_says_which_it_withholds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    condemned = dt.date(2025, 6, 6)

    def never_that_day(frame: pd.DataFrame) -> RuleResult:
        bad = bool((frame["as_of"] == pd.Timestamp(condemned)).any())
        return RuleResult("planted", "bad" if bad else "good", "another day", "this day")

    rule = Rule("planted", "A rule that condemns one day.", never_that_day)
    monkeypatch.setitem(cast("dict[str, object]", RULES), "forecast", (rule,))
    store = world.pipeline.store
    for key in store.keys(schemas.EVALUATION, PAIR):
        change(world, schemas.FORECAST, key, {})
    ready, withheld = world.pipeline.evaluable(PAIR, "7d", [condemned, dt.date(2025, 6, 5)], as_of=LAST_AS_OF)
    assert (ready, list(withheld)) == ([dt.date(2025, 6, 5)], [condemned])
    outcome = run_pair(world.runner, PAIR, as_of=LAST_AS_OF, days=2)
    assert outcome.error is None
    evaluated = [key[1] for key in store.keys(schemas.EVALUATION, PAIR) if key[0] == "7d"]
    assert "2025-06-05" in evaluated
    assert any(note.startswith(f"7d: the forecast of {condemned} is withheld (planted") for note in outcome.notes)


def test_the_report_names_the_reason_a_forecast_is_withheld(world: World) -> None:
    from forex_assets.reporting.report import build_report

    key = ("7d", LAST_AS_OF.isoformat())
    frame = world.pipeline.store.read(schemas.FORECAST, PAIR, [key])
    figures = {f"{value:,.2f}" for value in frame.loc[frame["is_target"] & frame["is_active"], "q975"]}
    inputs = report_inputs(world.pipeline, PAIR, LAST_AS_OF, generated_at=pd.Timestamp("2025-06-14", tz="UTC"))
    assert any(figure in build_report(inputs)["en"] for figure in figures)
    change(world, schemas.FORECAST, key, {"q025": np.where(frame["model"] == "random_walk", frame["q025"], 5000.0)})
    inputs = report_inputs(world.pipeline, PAIR, LAST_AS_OF, generated_at=pd.Timestamp("2025-06-14", tz="UTC"))
    pages = build_report(inputs)
    assert "monotone_quantiles" in pages["en"]
    assert "monotone_quantiles" in pages["es"]
    assert not any(figure in pages["en"] for figure in figures)
