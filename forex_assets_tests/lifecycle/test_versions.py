"""Subjects, versions and reports: what they hold, what they refuse, and that they come back as they were stored."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forex_assets.errors import DataError, ValidationError
from forex_assets.lifecycle.canonical import canonical, differences, plain
from forex_assets.lifecycle.reports import (
    CandidateReport,
    Criterion,
    RuleState,
    TriggerReport,
    ValidationReport,
    frame_of,
)
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.lifecycle.versions import ConfigVersion, DamagedVersionError, Quantity, VersionStore
from forex_assets.schemas.lifecycle import CANDIDATE_CONFIG, LIFECYCLE_TABLES, TRIGGER_REPORT, VALIDATION_REPORT
from forex_assets_tests.lifecycle.factory import AS_OF, NOW, SUBJECT, report, version


@pytest.mark.capability("E08", "E14")
def test_a_subject_is_a_pair_and_horizon_or_a_strategy_and_session() -> None:
    assert Subject.parse("forecast/usdclp/7d") == Subject.forecast("usdclp", "7d")
    assert (SUBJECT.pair, SUBJECT.horizon, SUBJECT.scope, str(SUBJECT)) == (
        "usdclp",
        "7d",
        "forecast-usdclp",
        "usdclp 7d",
    )
    strategy = Subject.strategy("orb", "rth")
    assert (strategy.strategy_name, strategy.session, strategy.scope) == ("orb", "rth", "strategies")
    with pytest.raises(ValidationError, match="is no forecast"):
        _ = strategy.pair
    for key in ("forecast/usdclp", "whim/usdclp/7d", "forecast/../7d", "forecast//7d", "forecast/usdclp/7 d"):
        with pytest.raises(ValidationError):
            Subject.parse(key)


@pytest.mark.capability("E14", "D12", "L01")
def test_a_version_comes_back_as_it_was_and_its_name_is_the_hash_of_its_content(tmp_path: Path) -> None:
    store, made = VersionStore(tmp_path), version(1)
    assert store.put(made) == store.put(made) == made.hash
    assert store.get(made.hash) == made
    assert store.hashes() == [made.hash]
    assert made.label == f"rw_blend@{made.hash[:8]}"
    body = json.loads((store.folder / f"{made.hash}.json").read_text())
    assert body["parameters"] == {"window": {"value": 31, "unit": "business days"}}
    assert {"data_hash", "code_version", "model_id", "parents", "metrics", "approver", "schema"} <= set(body)
    assert version(2).hash != made.hash
    assert made.diff(version(2)) == ["parameters.window.value: 32 → 31"]
    assert made.diff(None) == ["model: settings → 'rw_blend' (window=31)"]


@given(value=st.integers() | st.floats(allow_nan=False) | st.text(max_size=20), unit=st.text(min_size=1, max_size=9))
def test_any_parameter_value_survives_the_store(
    tmp_path_factory: pytest.TempPathFactory, value: object, unit: str
) -> None:
    if not unit.strip():
        return
    made = version(1, parameters={"x": Quantity(value, unit)})
    store = VersionStore(tmp_path_factory.mktemp("versions"))
    assert store.get(store.put(made)) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"parents": ("nonsense",)},
        {"created_at": dt.datetime(2025, 1, 1)},
        {"approver": " "},
    ],
)
def test_a_version_without_what_traces_it_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        version(1, **wrong)


def test_quantities_need_a_unit_and_a_plain_value() -> None:
    with pytest.raises(ValidationError, match="no unit"):
        Quantity(1, " ")
    with pytest.raises(ValidationError, match="no JSON form"):
        Quantity(object(), "1")


@pytest.mark.parametrize("change", [{"schema": 2}, {"parameters": {"x": 1}}, {"extra": 1}, {"created_at": "soon"}])
def test_what_is_no_version_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="no configuration version"):
        ConfigVersion.from_dict({**version(1).as_dict(), **change})


def test_a_missing_version_says_which_and_what_to_do(tmp_path: Path) -> None:
    store = VersionStore(tmp_path)
    with pytest.raises(DamagedVersionError, match="0000000000000000"):
        store.get("0" * 16)
    with pytest.raises(ValidationError, match="16 hexadecimal digits"):
        store.get("../etc/passwd")
    assert store.find("0" * 16) is None


@pytest.mark.capability("A03", "A08", "A13")
def test_reports_fit_their_tables_and_come_back_as_they_were() -> None:
    provenance = {"config_hash": "c" * 16, "data_hash": "d" * 16, "code_version": "1"}
    trigger = TriggerReport(
        SUBJECT, AS_OF, "recommended", True, ("late",), (RuleState("time", "fired", "20 days"),), "000001-aa"
    )
    assert len(TRIGGER_REPORT.conform(frame_of(trigger).assign(**provenance))) == 1
    found = CandidateReport(
        SUBJECT, AS_OF, "classic", version(1), ("best of 27",), 27, 1, 5.0, 5.5, 9.0, table=({"a": 1},)
    )
    stored = CANDIDATE_CONFIG.conform(frame_of(found).assign(**provenance))
    back = CandidateReport.from_frame(stored)
    assert (back.candidate, back.trials, back.objective, back.table) == (version(1), 27, 5.0, ({"a": 1},))
    judged = report(version(1))
    rows = VALIDATION_REPORT.conform(frame_of(judged).assign(**provenance))
    again = ValidationReport.from_frame(rows)
    assert (again.candidate, again.approved, again.metrics, again.reasons) == (
        judged.candidate,
        True,
        judged.metrics,
        judged.reasons,
    )
    for wrong in (rows.iloc[:0], rows._append(rows.assign(candidate="f" * 16, criterion="other"))):
        with pytest.raises(DataError, match="not one"):
            ValidationReport.from_frame(wrong)
    with pytest.raises(DataError, match="0 rows"):
        CandidateReport.from_frame(stored.iloc[:0])
    assert {table.name for table in LIFECYCLE_TABLES} >= {"deployed_config", "post_deployment_health"}


@pytest.mark.capability("A19", "L18")
def test_a_report_cannot_approve_what_is_not_met_or_unknown() -> None:
    for state in ("failed", "unknown"):
        criterion = Criterion("coverage", state, "95%", "?", "too few")  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match="criteria not met: coverage"):
            report(version(1), criteria=(criterion,))
    with pytest.raises(ValidationError, match="none judged"):
        report(version(1), criteria=())
    with pytest.raises(ValidationError, match="no reason"):
        report(version(1), reasons=())
    with pytest.raises(ValidationError, match="none of"):
        Criterion("x", "fine", "", "", "")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="none of"):
        RuleState("x", "fine", "")  # type: ignore[arg-type]


def test_plain_values_have_one_spelling_and_differences_are_named() -> None:
    assert canonical({"b": (1, 2.5), "a": {float("nan")}}) == b'{"a":["nan"],"b":[1,2.5]}'
    assert plain({"at": NOW, "on": AS_OF}) == {"at": "2025-06-15T06:00:00.000000+00:00", "on": "2025-06-13"}
    assert differences({"a": [1, {"b": 2}], "c": 1}, {"a": [1, {"b": 3}]}) == ["a[1].b: 2 → 3", "c: 1 → 'absent'"]
    assert differences(1, 1) == []


def test_a_folder_without_a_life_cycle_has_the_settings_model(tmp_path: Path) -> None:
    store = LifecycleStore(tmp_path)
    assert store.resolve(SUBJECT).version is None
    assert store.verify().intact
    assert store.is_intact()
    assert store.pointers.scopes() == []
