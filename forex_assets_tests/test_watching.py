"""From the store to regimes, readiness, calibration and the weekly page: the real parts together, on the demo pair."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from forex_assets import schemas
from forex_assets.calibration_view import analyse_pair, calibration_frame, watch_settings
from forex_assets.cli import app
from forex_assets.errors import DataError, StoreError
from forex_assets.monitoring.calibration.files import save, versions
from forex_assets.pipeline import Pipeline
from forex_assets.readiness_view import readiness_frame, readiness_of, require_level
from forex_assets.regime_view import condition, factors_of, regime_of_day, regime_reports
from forex_assets.reporting.weekly import Line, verdict_of
from forex_assets.settings import load_settings
from forex_assets.verdicts import judge_slice
from forex_assets.watching import stored_frames
from forex_assets.weekly_view import weekly_summary, write_weekly

PAIR = "usdclp"
NOW = pd.Timestamp("2025-06-16T12:40:00Z")
MONDAY = dt.date(2025, 6, 16)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Observations, bars of two weeks, a backtest of two horizons, scores and one day's forecasts of USD/CLP."""
    home = tmp_path_factory.mktemp("home")
    settings = load_settings(environ={"FOREX_HOME": str(home), "FOREX_OFFLINE": "1", "FOREX_PAIRS": PAIR})
    pipeline = Pipeline(settings)
    pipeline.data.write_ingest(PAIR, now=NOW)
    days = [
        d.item() for d in pipeline.calendar(PAIR).sessions(np.datetime64("2025-06-02"), np.datetime64("2025-06-13"))
    ]
    for key, frame in pipeline.bars(PAIR, days).items():
        _write(pipeline, schemas.BARS, key, frame)
    for horizon in ("7d", "15d"):
        rows = pipeline.backtest(PAIR, horizon, start=dt.date(2018, 1, 2), every=3)
        _write(pipeline, schemas.BACKTEST, (horizon,), rows)
        _write(pipeline, schemas.INTERVAL_CALIBRATION, (horizon,), pipeline.interval_calibration(PAIR, horizon, rows))
        _write(pipeline, schemas.PERFORMANCE_REPORT, (horizon,), pipeline.performance(PAIR, horizon, rows))
        for key, frame in pipeline.forecasts(PAIR, horizon, days[-1:]).items():
            _write(pipeline, schemas.FORECAST, key, frame)
    return pipeline


def _write(pipeline: Pipeline, table: schemas.Table, key: tuple[str, ...], frame: pd.DataFrame) -> None:
    meta = {name: str(frame[name].iloc[0]) for name in schemas.PROVENANCE}
    pipeline.store.write(table, PAIR, key, frame, verdict=judge_slice(table, frame), meta=meta)


def _last(pipeline: Pipeline) -> dt.date:
    return pipeline.snapshot_days(PAIR)[-1]


@pytest.mark.capability("B07", "B17")
def test_regimes_of_many_days_are_those_of_each_day(stored: Pipeline) -> None:
    days = stored.snapshot_days(PAIR)
    together = regime_reports(stored, PAIR, days)
    assert set(together) == {(day.isoformat(),) for day in days}
    for day in days[::4]:
        (alone,) = regime_reports(stored, PAIR, [day]).values()
        pd.testing.assert_frame_equal(alone, together[(day.isoformat(),)])
        assert alone["profile"].tolist() == ["classic", "recommended"]
        schemas.REGIME_REPORT.to_arrow(alone)


@pytest.mark.capability("B22", "K27")
def test_readiness_without_monitors_is_not_ready_and_each_missing_horizon_says_why(stored: Pipeline) -> None:
    day = _last(stored)
    found = readiness_of(stored, PAIR, day)
    frame = readiness_frame(stored, PAIR, day, found)
    schemas.READINESS.to_arrow(frame)
    seven, ninety = require_level(found, "7d"), require_level(found, "90d")
    assert (seven.level, ninety.level) == ("NOT_READY", "NOT_READY")
    states = {check.name: check.state for check in seven.checks}
    assert states["monitor_heartbeat"] == "unknown"
    assert states["fault_self_test"] in ("pass", "warn")
    assert {check.name: check.state for check in ninety.checks}["coverage"] == "unknown"
    with pytest.raises(DataError):
        require_level(found, "8d")


@pytest.mark.capability("B17", "B18", "K12")
def test_the_calibration_holds_numbers_with_intervals_and_factors_by_regime(stored: Pipeline) -> None:
    made = analyse_pair(stored, PAIR)
    frames = stored_frames(stored, PAIR)
    factors = factors_of(frames, stored.settings, made.metadata.calibration_date, ["7d"])
    table = calibration_frame(stored, made, "7d", factors)
    schemas.CALIBRATION.to_arrow(table)
    assert {"volatility", "price_shocks", "regime_factor"} <= set(table["section"])
    measured = table.loc[
        (table["n"] > 0) & table["section"].isin(["volatility", "price_shocks"]) & table["low"].notna()
    ]
    assert (measured["low"] <= measured["value"]).all()
    assert made.metadata.data_source == ["embedded"]


@pytest.mark.capability("B17", "B18", "K14")
def test_a_day_before_a_calibration_does_not_use_it(stored: Pipeline, tmp_path: Path) -> None:
    pipeline = Pipeline(stored.settings.model_copy(update={"home": tmp_path}), stored.store)
    made = analyse_pair(pipeline, PAIR, dt.date(2025, 6, 10))
    save(tmp_path, made, None)
    changed, sealed = watch_settings(pipeline, PAIR, dt.date(2025, 6, 10))
    assert sealed is not None
    limit = changed.recommended.shocks.rules["price_day"].medium
    assert limit == made.price_shocks.price_day_medium.value
    before, none = watch_settings(pipeline, PAIR, dt.date(2025, 6, 9))
    assert none is None
    assert before is pipeline.settings
    days = pipeline.snapshot_days(PAIR)
    assert len(regime_reports(pipeline, PAIR, days)) == len(days)
    (path,) = versions(tmp_path, PAIR)
    path.write_text("{}")
    with pytest.raises(StoreError):
        watch_settings(pipeline, PAIR, dt.date(2025, 6, 13))


@pytest.mark.capability("B07", "B08")
def test_intervals_before_and_after_conditioning(stored: Pipeline) -> None:
    assert condition(900.0, (850.0, 960.0), 1.0) == pytest.approx((850.0, 960.0))
    low, high = condition(900.0, (850.0, 960.0), 2.0)
    assert low == pytest.approx(900 * (850 / 900) ** 2)
    assert high > 960
    shown = regime_of_day(stored, PAIR, _last(stored), "recommended")
    assert {row["horizon"] for row in shown["intervals"]} == {"7d", "15d"}
    for row in shown["intervals"]:
        (low, high), (lowest, highest) = row["before_95"], row["after_95"]
        assert (lowest <= low + 1e-9) == (row["factor_lower"] >= 1.0)
        assert (highest >= high - 1e-9) == (row["factor_upper"] >= 1.0)
    classic = regime_of_day(stored, PAIR, _last(stored), "classic")
    assert classic["intervals"][0]["reason"].startswith("fixed table")


@pytest.mark.capability("B13")
def test_the_weekly_page_shows_every_check_tails_and_what_is_missing(stored: Pipeline) -> None:
    for day in (stored.snapshot_days(PAIR)[3], _last(stored)):
        frame = readiness_frame(stored, PAIR, day, readiness_of(stored, PAIR, day))
        if day != _last(stored):
            frame = frame.assign(level=frame["level"].mask(frame["horizon"] == "7d", "READY"))
        _write(stored, schemas.READINESS, (day.isoformat(),), frame)
        for key, rows in regime_reports(stored, PAIR, [day]).items():
            _write(stored, schemas.REGIME_REPORT, key, rows)
    summary = weekly_summary(stored, PAIR, MONDAY, runs=None, now=NOW)
    assert summary.verdict == "bad"
    assert {check.area for check in summary.checks} >= {"performance", "readiness", "subgroups", "data"}
    assert [tail.horizon for tail in summary.tails] == ["7d", "15d"]
    assert summary.largest_move_on is not None
    assert {"findings", "runs", "calibration"} <= set(summary.missing)
    assert ("level", (("horizon", "7d"), ("before", "READY"), ("after", "NOT_READY"))) in [
        (item.key, item.values) for item in summary.changes
    ]
    table = write_weekly(stored, summary)
    schemas.WEEKLY_VALIDATION.to_arrow(table)
    for row in table.to_dict("records"):
        page = (stored.settings.home / row["path"]).read_text(encoding="utf-8")
        assert page.count("<tr>") > 40
        assert not re.search(r"\b(nan|None|NaT|undefined|live_60|backtest_\w+)\b", page)
        assert f'lang="{row["language"]}"' in page
    assert "Validación semanal" in (stored.settings.home / table["path"].iloc[0]).read_text(encoding="utf-8")
    with pytest.raises(DataError, match="before 2025-06-02"):
        weekly_summary(stored, PAIR, dt.date(2025, 6, 2), runs=None, now=NOW)


@pytest.mark.capability("B13")
def test_the_verdict_is_the_worst_and_nothing_checked_is_not_good() -> None:
    def line(state: str) -> Line:
        return Line("data", "verdict", "x", state)

    assert verdict_of([line("good"), line("info")]) == "good"
    assert verdict_of([line("good"), line("unknown")]) == "attention"
    assert verdict_of([line("bad"), line("unknown")]) == "bad"
    assert verdict_of([]) == "attention"


@pytest.fixture
def cli(stored: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the commands on the stored home."""
    monkeypatch.setenv("FOREX_HOME", str(stored.settings.home))
    monkeypatch.setenv("FOREX_OFFLINE", "1")
    monkeypatch.setenv("FOREX_PAIRS", PAIR)
    for name in ("FOREX_DATA_DIR", "FOREX_CONFIG_DIR", "FOREX_STORE_ROOT", "FOREX_CALIBRATION_KEY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.mark.capability("B07", "B22", "B27")
def test_the_commands_show_decide_and_record(cli: Any, stored: Pipeline) -> None:
    shown = json.loads(cli("regime", "show", "--json").stdout)
    assert shown["pairs"][0]["intervals"]
    assert "multiplier" in cli("regime", "show", "--profile", "classic").stdout
    checked = cli("readiness", "check", "--horizon", "7d", "--json")
    assert checked.exit_code == 1
    assert json.loads(checked.stdout)["level"] == "NOT_READY"
    assert "fault_self_test" in cli("readiness", "check").stdout
    assert "Nothing was recorded" in cli("readiness", "enable", "random_walk", "--dry-run").stdout
    before = len(stored.lifecycle.ledger.entries())
    refused = cli("readiness", "enable", "random_walk", "--horizon", "7d", "--yes")
    assert refused.exit_code == 1
    entries = stored.lifecycle.ledger.entries()
    assert len(entries) == before + 1
    assert entries[-1].outcome["allowed"] is False
    from forex_assets.lifecycle.decisions import replay

    assert replay(stored.lifecycle.ledger, entries[-1].id).result == "same"


@pytest.mark.capability("B17", "B18")
def test_the_commands_calibrate_and_write_a_sealed_version(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = cli("calibrate", "analyze")
    assert "price_day_medium" in shown.stdout
    monkeypatch.setenv("FOREX_CALIBRATION_KEY", "a key of the desk")
    written = json.loads(cli("calibrate", "update-config", "--json").stdout)["written"]
    assert written[0]["signed"] is True
    assert Path(written[0]["path"]).is_file()
    Path(written[0]["path"]).unlink()
