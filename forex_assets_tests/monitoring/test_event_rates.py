"""Event alerts over many days are those of each day, so that the rate measured is that of the rule that runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forex_assets.monitoring import shock
from forex_assets.monitoring.alarms import scan_all
from forex_assets.monitoring.event_rates import CHANGE_RULE, EVENT_RULE, with_events
from forex_assets.monitoring.false_alarms import false_alarm_rate
from forex_assets.monitoring.registry import PROFILES, Profile, judge_day
from forex_assets_tests.monitoring.scored import path, quiet_frames, settings

SETTINGS = settings()


@pytest.mark.capability("B07")
@pytest.mark.parametrize("profile", PROFILES)
def test_changes_and_messages_of_many_days_are_those_of_each_day(profile: Profile) -> None:
    frames, one = quiet_frames("garch_t"), path("garch_t")
    loudest = 900 + int(np.argmax(np.abs(one.returns[900:-100])))
    days = one.dates[loudest - 2 : loudest + 3]
    table = with_events(scan_all(frames, days, SETTINGS, profile), frames, days, SETTINGS, profile)
    states = table.set_index(["as_of", "rule", "subject"])
    rows = frames.scores.assign(is_target=True)
    rows = rows.loc[rows["is_active"]]
    for day, before in ((days[1], days[0]), (days[2], days[1]), (days[4], days[3])):
        now, then = (rows.loc[rows["as_of"] == pd.Timestamp(each)] for each in (day, before))
        changes = shock.forecast_change(now, then, frames.pair, day.item(), shock.policy_of(SETTINGS, profile), profile)
        assert {change.subject for change in changes} == set(frames.horizons)
        for change in changes:
            row = states.loc[(pd.Timestamp(day), CHANGE_RULE, change.subject)]
            assert (row["state"], row["severity"]) == (change.state, change.severity)
            assert row["effect"] == pytest.approx(change.effect, abs=1e-12)
        found = [*judge_day(frames, day.item(), SETTINGS, profile), *changes]
        message = states.loc[(pd.Timestamp(day), EVENT_RULE, "all")]
        assert (message["state"] == "fired") == shock.worth_sending(found)
        assert message["effect"] == sum(finding.state == "fired" for finding in found)
    assert states.loc[(pd.Timestamp(days[2]), CHANGE_RULE, "7d"), "state"] == "fired"
    assert states.loc[(pd.Timestamp(days[2]), EVENT_RULE, "all"), "state"] == "fired"


def test_a_day_without_the_forecast_before_it_cannot_be_told() -> None:
    frames, one = quiet_frames("garch_t"), path("garch_t")
    days = one.dates[[5, -1]]  # before the first forecast, and after the last that has matured
    table = with_events(scan_all(frames, days, SETTINGS, "classic", ("shock",)), frames, days, SETTINGS, "classic")
    assert set(table.loc[table["rule"] == CHANGE_RULE, "state"]) == {"unknown"}


@pytest.mark.capability("K28")
@pytest.mark.parametrize("profile", PROFILES)
def test_every_rule_a_person_sees_has_a_measured_rate(profile: Profile) -> None:
    found = {
        (f.monitor, f.rule, f.subject) for f in judge_day(quiet_frames(), path().dates[-1].item(), SETTINGS, profile)
    }
    found |= {(shock.NAME, CHANGE_RULE, name) for name in SETTINGS.horizons} | {(shock.NAME, EVENT_RULE, "all")}
    # No world holds a policy rate: what its rule tells is the decision the central bank published.
    unfed = {("shock", "policy_rate", "tpm")}
    assert {key for key in found if false_alarm_rate(profile, *key) is None} == unfed
