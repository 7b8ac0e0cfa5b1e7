"""Everything there is to say about an installation: what is installed, configured, reachable, fresh and writable.

:func:`diagnose` looks and changes nothing. A question that was asked and could not be answered is *unknown*, which is
never taken for fine; a question that was not asked (the network, unless wanted) is not in the answer.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping

from forex_assets.errors import ValidationError
from forex_assets.ops.doctor.configuration import configuration, credentials
from forex_assets.ops.doctor.findings import Finding
from forex_assets.ops.doctor.home import dagster_folder, disk, home_folder
from forex_assets.ops.doctor.program import browser, packages, program, python
from forex_assets.ops.doctor.sources import network, sources
from forex_assets.ops.doctor.stored import outbox, stored
from forex_assets.ops.secrets import redact
from forex_assets.settings import Settings


def diagnose(
    settings: Settings, *, now: dt.datetime, probe_network: bool, environ: Mapping[str, str] | None = None
) -> list[Finding]:
    """Return everything there is to say about this installation, in reading order.

    Parameters
    ----------
    now:
        The moment ages are counted to, zone-aware.
    probe_network:
        Whether to try the live providers (2 s to connect each, all at once); they are not asked when offline.
    environ:
        Environment to look at; default: the process's own.
    """
    if now.utcoffset() is None:
        raise ValidationError(f"The time {now!r} has no zone.", remedy="pass an aware datetime.")
    env = dict(os.environ if environ is None else environ)
    findings = [python(), *packages(), program()]
    findings += configuration(settings, now)
    findings += credentials(settings, env)
    findings += [home_folder(settings.home), disk(settings.home), *dagster_folder(settings, env)]
    findings += sources(settings, now, env)
    findings += stored(settings, now)
    findings += [outbox(settings, now), browser()]
    if probe_network:
        findings += network(settings)
    return [Finding(item.area, item.name, item.state, redact(item.detail), redact(item.remedy)) for item in findings]
