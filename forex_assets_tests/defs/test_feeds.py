"""A feed that went stale, broke its level or moved its dates is found by the scheduled run: an alert, and a check."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forex_assets.defs import jobs
from forex_assets.feed_alerts import alert_of, feed_findings
from forex_assets.ops.alerts import Outbox
from forex_assets.pipeline import Pipeline
from forex_assets_tests.defs.world import PAIR, World, settings_of, small_config, write_market_folder

BROKEN_SINCE = "2025-05-19"


def broken(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[frame["date"] >= BROKEN_SINCE, "value"] *= 1.12
    return frame


@pytest.mark.capability("J13", "E03", "E11")
def test_the_scheduled_ingestion_tells_of_a_stale_feed_and_of_a_level_that_broke(tmp_path: Path) -> None:
    folder = write_market_folder(tmp_path / "data", {"usdclp_fixing": broken})
    config = small_config(tmp_path / "config", source="folder")
    settings = settings_of(config, tmp_path / "home", data_dir=folder)
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(settings, instance)
        world.run(jobs.INGEST)
        ((_, alert),) = Outbox.from_settings(settings).read().alerts
        assert (alert.kind, alert.severity, alert.pair) == ("feed", "high", PAIR)
        assert f"level_break in usdclp_fixing: since {BROKEN_SINCE}" in alert.body
        assert "stale_feed in usdclp_fixing: newest value dated 2025-06-13" in alert.body
        name = dg.AssetCheckKey(dg.AssetKey([PAIR, "observations"]), "feeds")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([name])[name]
        check = record.evaluation
        assert check is not None, "the job runs it"
        assert not check.passed
        assert check.severity == dg.AssetCheckSeverity.WARN
        assert "level_break in usdclp_fixing" in (check.description or "")
        assert "stale_feed" in str(check.metadata["rows"].value)
        world.run(jobs.INGEST)
        assert len(Outbox.from_settings(settings).read().alerts) == 1, "the same suspicion is told once a cool-down"


@pytest.mark.capability("J13", "E11")
def test_a_feed_in_order_raises_no_alert(tmp_path: Path) -> None:
    settings = settings_of(small_config(tmp_path / "config"), tmp_path / "home")
    now = pd.Timestamp("2025-06-13T23:30", tz="UTC")
    rows = Pipeline(settings).data.ingest(PAIR, now=now, keep_raw=False)["observations"]
    judged = feed_findings(rows, settings, PAIR, as_of=now.to_pydatetime())
    clear = {item.rule for item in judged if item.series == "usdclp_fixing" and item.state == "clear"}
    assert clear >= {"stale_feed", "calendar_errors", "level_break"}
    assert alert_of(judged, PAIR, now=now.to_pydatetime()) is None
