"""A run on the same inputs has nothing to do; whatever changed or broke is made again."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forex_assets import schemas
from forex_assets.defs.completed import fingerprint, is_current, remember
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets.store.slice_file import Verdict

DAY = dt.date(2025, 6, 13)
NOW = pd.Timestamp("2025-06-14T00:00:00Z")


@pytest.fixture
def pipeline(home: Path) -> Pipeline:
    made = Pipeline(load_settings())
    made.data.write_ingest("usdclp", now=NOW)
    frame = made.bars("usdclp", [DAY])[(DAY.isoformat(),)]
    made.store.write(schemas.BARS, "usdclp", (DAY.isoformat(),), frame, verdict=Verdict("good"))
    for language in ("es", "en"):
        report = home / "reports" / "usdclp" / DAY.isoformat() / f"report_{language}.html"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text("report", encoding="utf-8")
    remember(made, "usdclp", fingerprint(made, "usdclp", DAY, 5), DAY.isoformat(), DAY.isoformat())
    return made


def current(pipeline: Pipeline, days: int = 5) -> bool:
    return is_current(pipeline, "usdclp", fingerprint(pipeline, "usdclp", DAY, days))


def test_the_same_inputs_are_current_and_asking_the_sources_again_changes_nothing(pipeline: Pipeline) -> None:
    assert current(pipeline)
    pipeline.data.write_ingest("usdclp", now=NOW + pd.Timedelta(days=1))
    assert current(pipeline)


def test_another_range_or_configuration_is_not_current(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not current(pipeline, days=6)
    platform = pipeline.settings.platform
    forecast = platform.forecast.model_copy(update={"active_model": "rw_blend"})
    changed = pipeline.settings.model_copy(update={"platform": platform.model_copy(update={"forecast": forecast})})
    assert not current(Pipeline(changed))


def test_a_missing_damaged_or_bad_slice_is_made_again(pipeline: Pipeline) -> None:
    key = (DAY.isoformat(),)
    path = Path(pipeline.store.info(schemas.BARS, "usdclp", key).path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert not current(pipeline)
    path.unlink()
    assert not current(pipeline)
    path.write_bytes(whole)
    assert current(pipeline)
    frame = pipeline.store.read(schemas.BARS, "usdclp", [key])
    pipeline.store.write(schemas.BARS, "usdclp", key, frame, verdict=Verdict("bad", ("planted",)))
    assert not current(pipeline)


def test_a_missing_report_or_an_unreadable_record_is_made_again(pipeline: Pipeline) -> None:
    record = pipeline.settings.home / "runs" / "usdclp.json"
    text = record.read_text(encoding="utf-8")
    assert json.loads(text)["slices"]["bars"] == [DAY.isoformat()]
    record.write_text(text[:20], encoding="utf-8")
    assert not current(pipeline)
    record.write_text(text, encoding="utf-8")
    (pipeline.settings.home / "reports" / "usdclp" / DAY.isoformat() / "report_es.html").unlink()
    assert not current(pipeline)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda part: st.lists(part, max_size=3),
    max_leaves=4,
)


@pytest.mark.capability("B04")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(["fingerprint", "last", "slices", "bars", "key", "whole"]), value=JSON)
def test_a_record_of_any_other_shape_is_no_record(pipeline: Pipeline, field: str, value: Any) -> None:
    path = pipeline.settings.home / "runs" / "usdclp.json"
    whole = path.read_bytes()
    body = json.loads(whole)
    if field == "key":
        body["slices"]["bars"] = [value]
    elif field == "bars":
        body["slices"]["bars"] = value
    elif field == "whole":
        body = value
    else:
        body[field] = value
    try:
        path.write_text(json.dumps(body), encoding="utf-8")
        mark = json.loads(whole)["fingerprint"]
        # Without any slice named there is nothing that could be missing.
        assert is_current(pipeline, "usdclp", mark) == (field == "bars" and value in ([], ""))
    finally:
        path.write_bytes(whole)


@pytest.mark.capability("B04")
def test_a_record_of_bytes_or_a_link_in_a_circle_is_no_record(pipeline: Pipeline) -> None:
    path = pipeline.settings.home / "runs" / "usdclp.json"
    for raw in (b"\x00", b"\xff\xfe{}", b"", b"{"):
        path.write_bytes(raw)
        assert not current(pipeline)
    path.unlink()
    path.symlink_to(path)
    assert not current(pipeline)
