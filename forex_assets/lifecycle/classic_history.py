"""The optimisation history in the columns of the classic design, one row per search, from the ledger (SPEC 2.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forex_assets.lifecycle.ledger import Entry, Ledger
from forex_assets.monitoring.finding import SEVERITIES

COLUMNS = (
    "horizon",
    "optimization_date",
    "triggered_by",
    "performance_degradation_pct",
    "drift_severity",
    "days_since_last",
    "success",
)
KINDS = ("trigger", "search", "gate", "promotion", "staging")


def classic_history(ledger: Ledger, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return one row per search, oldest first.

    Parameters
    ----------
    ledger:
        Where large inputs are kept.
    entries:
        Entries of :data:`KINDS` of one subject, oldest first.

    Returns
    -------
    list of dict
        :data:`COLUMNS`; ``triggered_by`` names the rules, or ``hand``; what the trigger could not know is None;
        ``success`` says whether the search ended in a deployment.
    """
    rows: list[dict[str, Any]] = []
    trigger: Entry | None = None
    last: Entry | None = None
    for place, entry in enumerate(entries):
        if entry.kind == "trigger":
            trigger = entry
        if entry.kind != "search":
            continue
        findings = _findings(ledger, trigger)
        candidate = str(entry.outcome.get("candidate") or "")
        rows.append(
            {
                "horizon": entry.subject.part if entry.subject else "",
                "optimization_date": entry.at.isoformat(timespec="seconds"),
                "triggered_by": ", ".join(entry.outcome.get("rules", [])) or "hand",
                "performance_degradation_pct": _degradation(findings),
                "drift_severity": _drift(findings),
                "days_since_last": (entry.at - last.at).days if last else None,
                "success": bool(candidate) and any(_deploys(item, candidate) for item in entries[place + 1 :]),
            }
        )
        last = entry
    return rows


def _findings(ledger: Ledger, trigger: Entry | None) -> Sequence[Mapping[str, Any]]:
    found = ledger.given(trigger)[0]["findings"] if trigger else ()
    newest = max((row["day"] for row in found), default="")
    return [row for row in found if row["day"] == newest and row["state"] != "unknown"]


def _degradation(findings: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the largest degradation that performance findings state, in percent."""
    values = [
        100.0 * float(row["effect"])
        for row in findings
        if row["monitor"] == "performance" and row["unit"].startswith("share of") and row["effect"] is not None
    ]
    return round(max(values), 2) if values else None


def _drift(findings: Sequence[Mapping[str, Any]]) -> str | None:
    own = [row for row in findings if row["monitor"] == "drift"]
    fired = [row["severity"] for row in own if row["state"] == "fired"]
    if fired:
        return str(max(fired, key=SEVERITIES.index)).upper()
    return "NONE" if own else None


def _deploys(entry: Entry, candidate: str) -> bool:
    same = entry.outcome.get("candidate") == candidate
    return entry.kind == "promotion" and same and entry.outcome.get("action") == "promote"
