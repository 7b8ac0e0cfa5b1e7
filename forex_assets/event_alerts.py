"""Event alerts (SPEC 2.7): how far each forecast moved since the day before, and whether the day is worth a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from forex_assets import schemas
from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.event_rates import CHANGE_RULE, EVENT_RULE, MAX_GAP
from forex_assets.monitoring.finding import SEVERITIES, Finding, unknown
from forex_assets.pipeline import Pipeline, day_key

if TYPE_CHECKING:
    from forex_assets.monitoring.registry import Profile
    from forex_assets.ops.alerts import Alert
    from forex_assets.settings import Settings

MONITOR = "shock"
#: A day older than this is history: it is judged, but nobody is called.
NEWS_DAYS = 5


def forecast_changes(
    pipeline: Pipeline, pair_id: str, day: dt.date, settings: Settings, profile: Profile
) -> list[Finding]:
    """Return how far the deployed forecast of each horizon moved since the one before it.

    Without a stored forecast of the day, or of one of the business days before, the change is unknown.
    """
    from forex_assets.monitoring.shock import forecast_change, policy_of

    policy, calendar = policy_of(settings, profile), pipeline.calendar(pair_id)
    stored = pipeline.store.keys(schemas.FORECAST, pair_id)
    out: list[Finding] = []
    for name, days in settings.horizons.items():
        made = sorted(key[1] for key in stored if key[0] == name and key[1] <= day_key(day))
        earlier = [key for key in made if key < day_key(day)]
        near = bool(earlier) and int(calendar.count([earlier[-1]], [day_key(day)])[0]) <= MAX_GAP
        if not made or made[-1] != day_key(day):
            why = CannotTell("no_forecast", horizon=name, day=day)
            out.append(unknown(MONITOR, CHANGE_RULE, profile, pair_id, f"{days}d", day, why))
            continue
        rows = [
            pipeline.store.read(schemas.FORECAST, pair_id, [(name, key)], allow_bad=True)
            for key in (made[-1], *(earlier[-1:] if near else []))
        ]
        before = rows[1] if near else schemas.FORECAST.empty()
        out.extend(forecast_change(rows[0], before, pair_id, day, policy, profile))
    return out


def event_finding(found: Sequence[Finding], pair_id: str, day: dt.date, profile: Profile) -> Finding:
    """Return whether the day's findings are worth a message: one high or critical, or two of medium severity."""
    from forex_assets.monitoring.shock import worth_sending

    mine = [item for item in found if item.profile == profile]
    fired = sorted(
        (item for item in mine if item.state == "fired"), key=lambda item: SEVERITIES.index(item.severity), reverse=True
    )
    sent = worth_sending(mine)
    reasons = [f"{item.severity}: {item.monitor}/{item.rule} {item.subject}. {item.reasons[0]}" for item in fired]
    if not sent:
        reasons.insert(0, "No message: a high finding, or two medium ones, would send one.")
    return Finding(
        monitor=MONITOR,
        rule=EVENT_RULE,
        profile=profile,
        pair=pair_id,
        subject="all",
        as_of=day,
        state="fired" if sent else "clear",
        severity=fired[0].severity if sent else "info",
        reasons=tuple(reasons),
        effect=float(len(fired)),
        unit="findings",
        n=len(mine),
        n_effective=float(len(mine)),
    )


def alert_of(findings: pd.DataFrame, *, now: pd.Timestamp) -> Alert | None:
    """Return the message of a day's stored findings, or None where there is nothing to send or the day is history."""
    from forex_assets.ops.alerts import Alert

    rows = findings.loc[
        (findings["rule"] == EVENT_RULE) & (findings["profile"] == "recommended") & (findings["state"] == "fired")
    ]
    if rows.empty:
        return None
    row: dict[Any, Any] = rows.iloc[-1].to_dict()
    day = pd.Timestamp(row["as_of"])
    if now.tz_convert("America/Santiago").tz_localize(None).normalize() - day > pd.Timedelta(days=NEWS_DAYS):
        return None
    return Alert(
        kind="event",
        severity=str(row["severity"]),
        pair=str(row["pair"]),
        title=f"{row['pair']} {day.date()}: {int(row['effect'])} findings fire",
        body=str(row["reasons"]),
        key=f"event:{row['pair']}:{day.date()}",
        created_at=now.to_pydatetime(),
    )
