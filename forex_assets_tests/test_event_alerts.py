"""Forecast changes and event alerts: part of the findings, sent once, and never for a day that is history."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forex_assets import schemas
from forex_assets.event_alerts import CHANGE_RULE, EVENT_RULE, alert_of, event_finding, forecast_changes
from forex_assets.findings_view import finding_rows, findings_of
from forex_assets.forecasting.forecast import make_forecast
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.monitoring.finding import Finding
from forex_assets.monitoring.persistence import RULE_SUFFIX, persisting_unknowns
from forex_assets.ops.alerts import Outbox
from forex_assets.pipeline import Pipeline
from forex_assets.settings import load_settings
from forex_assets.watching import frames_from
from forex_assets_tests.evaluation.worlds import bars, walk

PAIR = "usdclp"
DATES, VALUES = walk(600, seed=8)
DAY, BEFORE = DATES[-1].astype(object), DATES[-2].astype(object)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(load_settings(environ={"FOREX_HOME": str(tmp_path), "FOREX_OFFLINE": "1", "FOREX_PAIRS": PAIR}))


def store(pipeline: Pipeline, day: dt.date, scale: float, horizon: str = "7d") -> None:
    history = PriceHistory.from_bars(bars(DATES, VALUES), pipeline.calendar(PAIR))
    days = np.array([day], dtype="datetime64[D]")
    frame = make_forecast(history, days, 7, ["random_walk"], "random_walk").assign(
        mean=lambda rows: 900.0 * scale, config_hash="c", data_hash="d", code_version="v"
    )
    pipeline.store.write(schemas.FORECAST, PAIR, (horizon, day.isoformat()), frame)


@pytest.mark.capability("K18", "K28")
@pytest.mark.parametrize(
    ("scale", "state", "severity"),
    [(1.01, "clear", "info"), (1.0201, "fired", "medium"), (0.969, "fired", "high")],
)
def test_a_forecast_that_moved_is_a_finding_of_the_day(
    pipeline: Pipeline, scale: float, state: str, severity: str
) -> None:
    store(pipeline, BEFORE, 1.0)
    store(pipeline, DAY, scale)
    found = {item.subject: item for item in forecast_changes(pipeline, PAIR, DAY, pipeline.settings, "recommended")}
    assert set(found) == {"7d", "15d", "30d", "90d"}
    assert (found["7d"].state, found["7d"].severity) == (state, severity)
    assert found["7d"].effect == pytest.approx(scale - 1)
    assert str(BEFORE) in found["7d"].reasons[0]
    assert found["15d"].state == "unknown"
    assert "is stored" in found["15d"].reasons[0]


@pytest.mark.capability("L18")
def test_without_a_recent_forecast_before_it_a_change_is_unknown(pipeline: Pipeline) -> None:
    store(pipeline, DATES[-8].astype(object), 1.0)
    store(pipeline, DAY, 1.5)
    found = forecast_changes(pipeline, PAIR, DAY, pipeline.settings, "recommended")
    assert found[0].state == "unknown"


def finding(severity: str, state: str = "fired", profile: str = "recommended") -> Finding:
    return Finding("shock", "price_day", profile, PAIR, "x", DAY, state, severity, ("why",))  # type: ignore[arg-type]


@pytest.mark.capability("K28")
@pytest.mark.parametrize(
    ("found", "sent"),
    [
        ([], False),
        ([finding("medium")], False),
        ([finding("medium"), finding("medium")], True),
        ([finding("high")], True),
        ([finding("critical", state="unknown")], False),
        ([finding("critical", profile="classic")], False),
    ],
)
def test_one_high_or_two_medium_findings_send_a_message(found: list[Finding], sent: bool) -> None:
    event = event_finding(found, PAIR, DAY, "recommended")
    assert (event.state == "fired") == sent
    rows = finding_rows([event])
    now = pd.Timestamp(DAY, tz="UTC") + pd.Timedelta(hours=23)
    alert = alert_of(rows, now=now)
    assert (alert is not None) == sent
    if alert is not None:
        assert alert.severity == event.severity
        assert "why" in alert.body
        assert alert_of(rows, now=now + pd.Timedelta(days=30)) is None, "an old day is history, not news"


@pytest.mark.capability("K28")
def test_findings_hold_changes_and_the_event_and_a_second_run_sends_nothing_new(pipeline: Pipeline) -> None:
    store(pipeline, BEFORE, 1.0)
    store(pipeline, DAY, 1.05)
    frames = frames_from(pipeline, PAIR, schemas.OBSERVATIONS.empty(), schemas.EVALUATION.empty())
    (frame,) = findings_of(pipeline, frames, [DAY]).values()
    schemas.FINDINGS.to_arrow(frame)
    assert set(frame.loc[frame["rule"] == EVENT_RULE, "profile"]) == {"recommended", "classic"}
    changed = frame.loc[(frame["rule"] == CHANGE_RULE) & (frame["subject"] == "7d")]
    assert set(changed["state"]) == {"fired"}
    outbox = Outbox.from_settings(pipeline.settings)
    now = pd.Timestamp(DAY, tz="UTC") + pd.Timedelta(hours=23)
    sent = [outbox.append(alert) for _ in range(2) if (alert := alert_of(frame, now=now)) is not None]
    assert sent == [True, False]


@pytest.mark.capability("L18", "J01")
def test_a_rule_that_stays_blind_for_months_stays_an_alarm(pipeline: Pipeline) -> None:
    calendar = pipeline.calendar(PAIR)
    days = [day.astype(object) for day in DATES[-90:]]
    blind = dataclasses.replace(finding("low", "unknown"), rule="skill", monitor="performance", subject="7d")
    rows = finding_rows([dataclasses.replace(blind, as_of=days[0], state="clear", severity="info")])
    told = []
    for day in days[1:]:
        today = dataclasses.replace(blind, as_of=day)
        recent = rows.loc[rows["as_of"] >= pd.Timestamp(day) - pd.Timedelta(days=40)]
        alarms = persisting_unknowns([today], recent, day, 5, calendar)
        told.append(alarms[0].effect if alarms else 0.0)
        rows = pd.concat([rows, finding_rows([today, *alarms])], ignore_index=True)
    assert told[:5] == [0.0] * 5
    assert told[5:] == [float(n) for n in range(6, 90)], "it counts on, also after the last answer has left the rows"
    assert alarms[0].rule == "skill" + RULE_SUFFIX
