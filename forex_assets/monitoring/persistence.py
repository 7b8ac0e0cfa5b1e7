"""Unknown past its allowance is an alarm of its own: a monitor that stays blind must not look like a quiet one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forex_assets.monitoring.finding import Finding

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.clock import BusinessCalendar

RULE_SUFFIX = "_unknown_persists"
KEY = ("monitor", "rule", "profile", "subject")


def persisting_unknowns(
    found: Sequence[Finding], earlier: pd.DataFrame, as_of: dt.date, allowance: int, calendar: BusinessCalendar
) -> list[Finding]:
    """Return a fired finding for each rule that has been unknown for more business days than allowed.

    Parameters
    ----------
    found:
        Findings of the day.
    earlier:
        FINDINGS rows of earlier days.
    as_of, allowance, calendar:
        The day, business days a rule may be unknown, and the calendar that counts them.

    Notes
    -----
    Only rules that once gave an answer are watched: one that never could (a horizon younger than its tenor) says so in
    its own finding. An answer older than the rows shown is known from the alarm raised since, so that one that stays
    blind for ever stays an alarm.
    """
    unknown = [finding for finding in found if finding.state == "unknown"]
    if not unknown or earlier.empty:
        return []
    past = earlier.loc[earlier["as_of"] < np.datetime64(as_of)]
    states: dict[tuple[str, ...], list[tuple[np.datetime64, str]]] = {}
    columns = [past[name].to_numpy() for name in KEY]
    for *key, day, state in zip(*columns, past["as_of"].to_numpy("datetime64[D]"), past["state"], strict=True):
        states.setdefault(tuple(key), []).append((day, state))
    out = []
    for finding in unknown:
        known = [
            day
            for day, state in states.get((finding.monitor, finding.rule, finding.profile, finding.subject), [])
            if state != "unknown"
        ]
        last = max(known) if known else _last_answer(past, finding, calendar)
        if last is None:
            continue
        blind = int(calendar.count(np.array([last]), np.array([as_of], dtype="datetime64[D]"))[0])
        if blind > allowance:
            out.append(
                Finding(
                    monitor=finding.monitor,
                    rule=f"{finding.rule}{RULE_SUFFIX}",
                    profile=finding.profile,
                    pair=finding.pair,
                    subject=finding.subject,
                    as_of=as_of,
                    state="fired",
                    severity="high",
                    reasons=(
                        f"The rule {finding.rule} on {finding.subject} has not been able to judge for {blind} business "
                        f"days; {allowance} are allowed. The last answer was on {last}.",
                        *finding.reasons,
                    ),
                    effect=float(blind),
                    unit="business days",
                    threshold=float(allowance),
                    input_hashes=finding.input_hashes,
                )
            )
    return out


def _last_answer(past: pd.DataFrame, finding: Finding, calendar: BusinessCalendar) -> np.datetime64 | None:
    """Return when a rule answered last according to the newest alarm about its silence, or None without one."""
    rows = past.loc[
        (past["monitor"] == finding.monitor)
        & (past["rule"] == finding.rule + RULE_SUFFIX)
        & (past["profile"] == finding.profile)
        & (past["subject"] == finding.subject)
        & np.isfinite(past["effect"].astype(float))
    ]
    if rows.empty:
        return None
    newest = rows.sort_values("as_of", kind="stable").iloc[-1]
    day = np.array([newest["as_of"]], dtype="datetime64[D]")
    back: np.datetime64 = calendar.add(calendar.roll_forward(day), -int(newest["effect"]))[0]
    return back
