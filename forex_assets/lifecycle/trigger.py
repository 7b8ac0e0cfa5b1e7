"""Whether a subject is to be optimised: four rules, each fired, clear or unknown, and what holds a search back.

The rules: performance (A04) and drift (A05) read the monitors' findings, time (A06) the ledger, business the settings:
a version tuned for other sources or models is out of date whatever its scores. Any rule that fires asks for a search;
rules that could not be judged never read as fine, and when all of the first two are unknown only time is left and an
alarm is raised (A07).

A search is held back while another runs or its result is on probation, for ``min_days_between`` after the last one
(A37), and when the year's gate openings are spent. A rejected search holds back only the reasons it was made for: a new
reason may ask at once (J16). A version that was deployed holds back all.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from forex_assets.lifecycle.ledger import Entry
from forex_assets.lifecycle.reports import RuleState, TriggerReport
from forex_assets.lifecycle.subject import Subject
from forex_assets.monitoring.finding import SEVERITIES, Finding

FUNCTION = "trigger/1"
RULES = ("performance", "drift", "time", "business")
YEAR_DAYS = 365


def concerns(subject: str, horizon: str) -> bool:
    """Tell whether what a finding is about is a horizon's own, or the whole pair's: anything but another horizon."""
    return subject == horizon or not (subject.endswith("d") and subject[:-1].isdigit())


def known_findings(
    findings: Iterable[Finding | Mapping[str, Any]], *, horizon: str, profile: str
) -> list[dict[str, Any]]:
    """Return the findings a horizon's trigger looks at, as plain values: those about it, or about the whole pair."""
    kept = []
    for item in findings:
        row = item if isinstance(item, Mapping) else {name: getattr(item, name) for name in Finding.__slots__}
        if row["monitor"] not in ("performance", "drift") or row["profile"] != profile:
            continue
        if not concerns(row["subject"], horizon):
            continue
        reasons = row["reasons"]
        kept.append(
            {
                "monitor": row["monitor"],
                "rule": row["rule"],
                "subject": row["subject"],
                "day": _day_text(row["as_of"]),
                "state": row["state"],
                "severity": row["severity"],
                "effect": _known(row.get("effect")),
                "unit": row.get("unit", ""),
                "reason": reasons.split("\n")[0] if isinstance(reasons, str) else reasons[0],
            }
        )
    return sorted(kept, key=lambda row: (row["day"], row["monitor"], row["rule"], row["subject"]))


def decide_retraining(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether to optimise, with the state of every rule.

    Parameters
    ----------
    known:
        ``today`` (day whose end is judged); ``findings`` (:func:`known_findings`), of the last days; ``searches`` of
        this subject (``day``, ``rules`` that asked for it, ``result``: ``promoted``, ``rejected``, ``failed`` or
        ``open``), oldest first; ``openings`` (days the gate was opened); ``on_probation``; ``running``;
        ``tuned_for`` and ``settings_hash`` (hash of what the version in use was tuned for, None before the first).
    policy:
        The ``optimization.trigger`` settings.

    Returns
    -------
    dict
        ``should_optimize``, ``rules`` (rule → state and reason), ``asking`` (rules that fired and are not held back),
        ``alarm`` (empty when all is well), ``reasons``.
    """
    today = dt.date.fromisoformat(known["today"])
    rules = {
        "performance": _monitored("performance", known["findings"], today, policy),
        "drift": _monitored("drift", known["findings"], today, policy),
        "time": _time(known["searches"], today, policy),
        "business": _business(known),
    }
    fired = [name for name in RULES if rules[name]["state"] == "fired"]
    held = {name: _held_back(name, known["searches"], today, policy) for name in fired}
    asking = [name for name in fired if not held[name]]
    stop = _stopped(known, today, policy)
    alarm = ""
    if rules["performance"]["state"] == rules["drift"]["state"] == "unknown":
        alarm = "neither performance nor drift can be judged: only the time rule is left"
    reasons = [f"{name}: {rules[name]['reason']}" for name in asking] if not stop else [stop]
    reasons += [f"{name} fired, but {held[name]}" for name in fired if held[name]]
    if not fired:
        reasons.append("no rule fired")
    if alarm:
        reasons.append(alarm)
    return {
        "should_optimize": bool(asking) and not stop,
        "rules": rules,
        "asking": asking if not stop else [],
        "alarm": alarm,
        "reasons": reasons,
    }


def trigger_report(subject: Subject, decided: Mapping[str, Any], *, as_of: dt.date, profile: str) -> TriggerReport:
    """Return a decision of :func:`decide_retraining` as a report."""
    states = tuple(RuleState(name, rule["state"], rule["reason"]) for name, rule in decided["rules"].items())
    return TriggerReport(
        subject=subject,
        as_of=as_of,
        profile=profile,
        should_optimize=decided["should_optimize"],
        reasons=tuple(decided["reasons"]),
        states=states,
    )


def searches_of(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the searches of one subject with what became of them, oldest first, from its ledger entries."""
    found = []
    for place, entry in enumerate(entries):
        if entry.kind != "search":
            continue
        later = entries[place + 1 :]
        candidate = entry.outcome.get("candidate", "")
        result = "open"
        if entry.outcome.get("failed"):
            result = "failed"
        elif not candidate or any(_rejects(item, candidate) for item in later):
            result = "rejected"
        elif any(_promotes(item, candidate) for item in later):
            result = "promoted"
        assert entry.as_of is not None  # nosec B101  (filtered by the caller)
        found.append({"day": entry.as_of.isoformat(), "rules": list(entry.outcome.get("rules", [])), "result": result})
    return found


def openings_of(entries: Sequence[Entry]) -> list[str]:
    """Return the days the gate's period was opened for a subject, oldest first."""
    return [entry.as_of.isoformat() for entry in entries if entry.kind == "gate" and entry.as_of is not None]


def _monitored(
    monitor: str, findings: Sequence[Mapping[str, Any]], today: dt.date, policy: Mapping[str, Any]
) -> dict[str, str]:
    """Judge one monitor's newest stored days: fired when any rule of it fired on every one of ``confirm_days``."""
    oldest = today - dt.timedelta(days=policy["findings_max_age_days"])
    recent = [
        row for row in findings if row["monitor"] == monitor and oldest <= dt.date.fromisoformat(row["day"]) <= today
    ]
    if not recent:
        return {"state": "unknown", "reason": f"no finding of the {monitor} monitor since {oldest}"}
    days = sorted({row["day"] for row in recent})[-policy["confirm_days"] :]
    floor = SEVERITIES.index(policy["min_severity"])
    by_rule: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in recent:
        if row["day"] in days:
            by_rule.setdefault((row["rule"], row["subject"]), {})[row["day"]] = row
    waiting = ""
    for (rule, about), of_day in sorted(by_rule.items()):
        held = [day for day, row in of_day.items() if _serious(row, floor)]
        if len(held) >= policy["confirm_days"]:
            return {"state": "fired", "reason": f"{of_day[days[-1]]['reason']} ({rule}, {about})"}
        if days[-1] in held:
            waiting = f"{rule} fired on {len(held)} of {policy['confirm_days']} stored days; it waits to be confirmed"
    newest = [row for row in recent if row["day"] == days[-1]]
    unjudged = [row for row in newest if row["state"] == "unknown"]
    if len(unjudged) == len(newest):
        return {"state": "unknown", "reason": unjudged[0]["reason"]}
    clear = f"{len(newest) - len(unjudged)} rules judged on {days[-1]}, none fired and confirmed"
    if unjudged:
        clear += f"; {len(unjudged)} could not be judged"
    return {"state": "clear", "reason": waiting or clear}


def _serious(row: Mapping[str, Any], floor: int) -> bool:
    return row["state"] == "fired" and SEVERITIES.index(row["severity"]) >= floor


def _time(searches: Sequence[Mapping[str, Any]], today: dt.date, policy: Mapping[str, Any]) -> dict[str, str]:
    done = [dt.date.fromisoformat(item["day"]) for item in searches if item["result"] != "failed"]
    if not done:
        return {"state": "fired", "reason": "no configuration was ever searched for"}
    if max(done) > today:
        return {"state": "unknown", "reason": f"the last search is dated {max(done)}, after {today}: a clock ran back"}
    days = (today - max(done)).days
    state = "fired" if days >= policy["max_days_between"] else "clear"
    return {"state": state, "reason": f"the last search was {days} days ago, limit {policy['max_days_between']}"}


def _business(known: Mapping[str, Any]) -> dict[str, str]:
    tuned_for = known["tuned_for"]
    if tuned_for is None:
        return {"state": "clear", "reason": "the settings' model is in use; nothing was tuned for other settings"}
    if tuned_for == "":
        return {"state": "unknown", "reason": "the version in use does not say for which settings it was tuned"}
    if tuned_for == known["settings_hash"]:
        return {"state": "clear", "reason": "the version in use was tuned for the present sources and settings"}
    return {
        "state": "fired",
        "reason": f"the version in use was tuned for other sources or settings ({tuned_for}, now "
        f"{known['settings_hash']})",
    }


def _held_back(rule: str, searches: Sequence[Mapping[str, Any]], today: dt.date, policy: Mapping[str, Any]) -> str:
    for item in reversed(searches):
        days = (today - dt.date.fromisoformat(item["day"])).days
        if days >= policy["min_days_between"]:
            return ""
        if item["result"] == "promoted":
            return f"a version was deployed {days} days ago, limit {policy['min_days_between']}"
        if item["result"] == "rejected" and rule in item["rules"]:
            return f"a search for this reason was rejected {days} days ago, limit {policy['min_days_between']}"
    return ""


def _stopped(known: Mapping[str, Any], today: dt.date, policy: Mapping[str, Any]) -> str:
    if known["running"]:
        return "a search of this subject is queued or running"
    if known["on_probation"]:
        return "the version in use is still on probation"
    spent = [day for day in known["openings"] if 0 <= (today - dt.date.fromisoformat(day)).days < YEAR_DAYS]
    if len(spent) >= policy["openings_per_year"]:
        return f"the gate was opened {len(spent)} times within a year, limit {policy['openings_per_year']}"
    return ""


def _known(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _day_text(value: Any) -> str:
    return value.isoformat()[:10] if hasattr(value, "isoformat") else str(value)[:10]


def _rejects(entry: Entry, candidate: str) -> bool:
    judged = bool(entry.outcome.get("candidate") == candidate)
    if entry.kind == "gate":
        return judged and not entry.outcome.get("approved")
    return judged and entry.kind == "promotion" and bool(entry.outcome.get("action") == "refuse")


def _promotes(entry: Entry, candidate: str) -> bool:
    promoted = entry.kind == "promotion" and entry.outcome.get("action") == "promote"
    return promoted and bool(entry.outcome.get("candidate") == candidate)
