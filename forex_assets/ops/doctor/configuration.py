"""What is configured: pairs, schedules and credentials."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from forex_assets.errors import ConfigError, ForexError, ValidationError
from forex_assets.ops.doctor.findings import Finding
from forex_assets.ops.schedule_export import schedules
from forex_assets.ops.secrets import FILE_SUFFIX, KNOWN_SECRETS, check_private_file, is_configured, secret
from forex_assets.settings import Settings

_CALENDAR_AHEAD = dt.timedelta(days=400)


def configuration(settings: Settings, now: dt.datetime) -> list[Finding]:
    """Return what is configured, and whether calendars and schedules hold."""
    from forex_assets.clock import calendar_for

    found = []
    for pair in settings.pairs.values():
        detail = (
            f"{pair.label}: target {pair.target.series} ({pair.target.kind}), config {settings.config_hash(pair.id)}"
        )
        try:
            calendar_for(pair.calendars).roll_forward((now + _CALENDAR_AHEAD).date())
        except ForexError as error:
            found.append(Finding("configuration", pair.id, "fail", f"{detail}; {error.message}", error.remedy))
        else:
            found.append(Finding("configuration", pair.id, "ok", detail))
    try:
        timed = schedules(settings)
    except ValidationError as error:
        found.append(Finding("configuration", "schedules", "fail", error.message, error.remedy))
    else:
        listed = ", ".join(f"{name} '{cron.text}'" for name, cron in timed.items())
        found.append(Finding("configuration", "schedules", "ok", f"{listed} ({settings.platform.schedules.timezone})"))
    return found


def credentials(settings: Settings, env: Mapping[str, str]) -> list[Finding]:
    """Return which credentials are set, and whether their files are private; never a value."""
    found = []
    for name, purpose in KNOWN_SECRETS.items():
        if not is_configured(name, env):
            found.append(
                Finding(
                    "credentials",
                    name,
                    "warn",
                    f"not set ({purpose}); the sources after it in each chain are used",
                    f"optional: set {name}, or {name}{FILE_SUFFIX} to a file of mode 600.",
                )
            )
            continue
        try:
            secret(name, env)
        except ConfigError as error:
            found.append(Finding("credentials", name, "fail", error.message, error.remedy))
        else:
            place = "environment" if env.get(name, "").strip() else "private file"
            found.append(Finding("credentials", name, "ok", f"set ({place})"))
    env_file = settings.home / "forex.env"
    if env_file.exists():
        try:
            check_private_file(env_file, "The settings of scheduled runs")
        except ConfigError as error:
            found.append(Finding("credentials", "forex.env", "fail", error.message, error.remedy))
        else:
            found.append(Finding("credentials", "forex.env", "ok", "private (scheduled runs read it)"))
    return found
