"""Replay, spells, persisting unknowns, findings as rows, and the real story of USD/CLP."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from forex_assets.clock import calendar_for
from forex_assets.errors import ValidationError
from forex_assets.findings_view import finding_rows
from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.finding import unknown
from forex_assets.monitoring.persistence import persisting_unknowns
from forex_assets.monitoring.registry import judge_day
from forex_assets.monitoring.replay import replay, spells
from forex_assets.pipeline import Pipeline
from forex_assets.reporting.monitoring_charts import replay_figure, write_figure
from forex_assets.schemas.monitoring import FINDINGS
from forex_assets.settings import load_settings
from forex_assets.watching import fresh_frames
from forex_assets_tests.monitoring.scored import path, quiet_frames, settings

SETTINGS = settings()


def test_spells_close_short_gaps_and_keep_the_largest_effect() -> None:
    days = pd.date_range("2024-01-01", periods=60, freq="B")
    state = np.full(60, "clear", dtype=object)
    state[[5, 6, 20, 50]] = "fired"
    effect = np.linspace(0, -6, 60)
    scanned = pd.DataFrame(
        {"as_of": days, "monitor": "m", "rule": "r", "subject": "s", "state": state, "severity": "medium",
         "effect": effect, "threshold": 1.0, "describes": False}
    )  # fmt: skip
    found = spells(scanned, 20)
    assert found["start"].tolist() == [days[5], days[50]]
    assert found["business_days"].tolist() == [3, 1]
    assert found["peak"].iloc[0] == pytest.approx(effect[20])


def test_a_period_without_a_business_day_is_refused() -> None:
    with pytest.raises(ValidationError, match="no business day"):
        replay(quiet_frames(), dt.date(2005, 1, 2), dt.date(2005, 1, 1), SETTINGS, "recommended")


def test_a_replay_is_what_each_day_would_have_found() -> None:
    frames = quiet_frames()
    first, last = path().dates[1500].item(), path().dates[1506].item()
    scanned = replay(frames, first, last, SETTINGS, "recommended", ("performance", "drift", "regime", "shock"))
    keyed = scanned.set_index(["as_of", "monitor", "rule", "subject"])["state"]
    for day in path().dates[1500:1507:3]:
        found = judge_day(frames, day.item(), SETTINGS, "recommended", ("performance", "drift", "regime", "shock"))
        for finding in found:
            assert keyed[(pd.Timestamp(day), finding.monitor, finding.rule, finding.subject)] == finding.state


@pytest.mark.capability("J02", "L18")
def test_unknown_past_its_allowance_is_an_alarm_of_its_own() -> None:
    calendar = calendar_for("FX")
    blind = unknown("drift", "location", "recommended", "usdclp", "vix", dt.date(2024, 3, 15), CannotTell("no_value"))

    def earlier(*states: tuple[str, str]) -> pd.DataFrame:
        made = [
            replace(blind, as_of=dt.date.fromisoformat(day), state=state, cannot_tell=None)  # type: ignore[arg-type]
            for day, state in states
        ]
        return finding_rows(made)

    late = persisting_unknowns(
        [blind], earlier(("2024-03-01", "clear"), ("2024-03-12", "unknown")), blind.as_of, 5, calendar
    )
    assert [finding.state for finding in late] == ["fired"]
    assert late[0].severity == "high"
    assert "10 business days" in late[0].reasons[0]
    assert not persisting_unknowns([blind], earlier(("2024-03-12", "clear")), blind.as_of, 5, calendar)
    assert not persisting_unknowns([blind], earlier(("2024-03-01", "unknown")), blind.as_of, 5, calendar)
    assert not persisting_unknowns([blind], FINDINGS.empty(), blind.as_of, 5, calendar)


def test_findings_become_rows_that_carry_their_rules_false_alarm_rate() -> None:
    found = judge_day(quiet_frames(), path().dates[-1].item(), SETTINGS, "recommended", ("performance",))
    rows = finding_rows(found)
    FINDINGS.conform(rows.assign(config_hash="a", data_hash="b", code_version="c"))
    assert rows["false_alarms_per_year"].notna().all()
    assert finding_rows([]).empty


def test_the_picture_is_drawn_and_other_endings_are_refused(tmp_path: Path) -> None:
    frames = quiet_frames()
    scanned = replay(frames, path().dates[1000].item(), path().dates[1500].item(), SETTINGS, "recommended")
    figure = replay_figure(frames, scanned, spells(scanned, 20), language="es")
    write_figure(figure, tmp_path / "new" / "replay.png")
    assert (tmp_path / "new" / "replay.png").stat().st_size > 10_000
    with pytest.raises(ValidationError, match=r"\.svg"):
        write_figure(figure, tmp_path / "replay.gif")


@pytest.mark.parametrize(
    ("language", "names"),
    [("es", ("sesgo · 7d", "salto del VIX · vix close")), ("en", ("bias · 7d", "jump of the VIX · vix close"))],
)
def test_the_picture_names_its_rules_in_its_language(language: Literal["es", "en"], names: tuple[str, ...]) -> None:
    frames = quiet_frames()
    first, last = (path().dates[at].item() for at in (1000, 1010))
    drawn = pd.DataFrame(
        {
            "rule": ["bias", "vix_day"],
            "subject": ["7d", "vix_close"],
            "start": first,
            "end": last,
            "severity": "medium",
            "describes": [False, True],
        }
    )
    figure = replay_figure(frames, pd.DataFrame({"as_of": [first, last]}), drawn, language=language)
    labels = [label.get_text() for axis in figure.axes[1:] for label in axis.get_yticklabels()]
    assert tuple(labels) == names


@pytest.mark.capability("B17")
def test_the_real_history_tells_the_story_a_desk_knows(market_data_dir: Path, home: Path) -> None:
    made = load_settings(
        environ={
            "FOREX_HOME": str(home), "FOREX_DATA_DIR": str(market_data_dir), "FOREX_OFFLINE": "1",
            "FOREX_PAIRS": "usdclp_close",
        }
    )  # fmt: skip
    frames = fresh_frames(Pipeline(made), "usdclp_close", now=pd.Timestamp("2025-06-16T12:00:00Z"))
    scanned = replay(frames, dt.date(2019, 1, 1), dt.date(2025, 6, 12), made, "recommended", ("performance",))
    found = spells(scanned, 20)
    volatility = found.loc[found["rule"] == "volatility", "start"].dt.strftime("%Y-%m").tolist()
    assert "2019-11" in volatility  # the October crisis reaches the peso
    assert "2022-07" in volatility  # 1,050 per dollar, and the intervention
    years = 6.45
    assert len(found) / years <= 2.0
    assert math.isfinite(scanned.loc[scanned["rule"] == "skill", "effect"].abs().max())
