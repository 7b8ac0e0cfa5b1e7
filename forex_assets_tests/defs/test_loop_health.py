"""The loop's findings through the graph and the command: the stored slice, the alert of a silent loop, exit codes."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from forex_assets.defs import jobs
from forex_assets.lifecycle.ledger import Decision
from forex_assets.lifecycle.loop_findings import ALERTS, METRICS
from forex_assets.lifecycle.store import LifecycleStore
from forex_assets.lifecycle.subject import Subject
from forex_assets.ops.alerts import Outbox
from forex_assets.schemas.lifecycle import LOOP_FINDINGS
from forex_assets.settings import load_settings
from forex_assets_tests.cli.conftest import Forex, forex  # noqa: F401 - a fixture
from forex_assets_tests.defs.world import PAIR, World

LONG_AGO = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
JUDGED = Decision("trigger", Subject.forecast(PAIR, "7d"), {"should_optimize": False}, ["clear"], as_of=LONG_AGO.date())


@pytest.mark.capability("A25", "A26", "K28")
def test_the_daily_asset_stores_every_rule_and_tells_of_silence(world: World) -> None:
    world.pipeline.lifecycle.ledger.append(JUDGED, now=LONG_AGO)
    assert world.run(jobs.LOOP, first="7d", last="30d") == 2
    frame = world.pipeline.store.read(LOOP_FINDINGS, PAIR, [("7d",)])
    own = frame.loc[frame["profile"] == "recommended"].set_index("rule")
    assert set(own.index) == {*METRICS, *ALERTS}
    assert list(own.loc[["search_heartbeat", "trigger_heartbeat"], "state"]) == ["fired", "fired"]
    other = world.pipeline.store.read(LOOP_FINDINGS, PAIR, [("30d",)])
    assert set(other.loc[other["rule"] == "trigger_heartbeat", "state"]) == {"unknown"}
    alerts = {alert.kind: alert.severity for _, alert in Outbox.from_settings(world.settings).read().alerts}
    assert alerts == {"search_heartbeat": "low", "trigger_heartbeat": "high"}


@pytest.mark.capability("A25", "A26")
def test_the_command_shows_scrapes_and_alerts(forex: Forex, home: Path) -> None:  # noqa: F811
    said = forex("optimize", "metrics", "--horizon", "7d")
    assert said.code == 0
    assert "search_heartbeat" in said.out
    assert "unknown" in said.out
    LifecycleStore(home).ledger.append(JUDGED, now=LONG_AGO)
    said = forex("optimize", "metrics", "--horizon", "7d", "--json")
    assert said.code == 1
    rows = {(row["rule"], row["profile"]): row for row in json.loads(said.out)["findings"]}
    assert rows["trigger_heartbeat", "recommended"]["metric"] == "forex_loop_trigger_age_days"
    assert rows["trigger_heartbeat", "recommended"]["state"] == "fired"
    assert rows["rollback_executed", "recommended"]["effect"] is None
    said = forex("optimize", "metrics", "--horizon", "7d", "--prometheus", "--alert")
    assert said.code == 1
    assert 'rule="trigger_heartbeat",severity="high"} 1' in said.out
    kinds = [alert.kind for _, alert in Outbox.from_settings(load_settings()).read().alerts]
    assert kinds == ["search_heartbeat", "trigger_heartbeat"]
    assert "The trigger" not in forex("optimize", "metrics", "--horizon", "7d").err
    said = forex("optimize", "metrics", "--prometheus", "--json")
    assert said.code == 2
    assert "exclude each other" in said.err
