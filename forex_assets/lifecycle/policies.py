"""Whether a version may be promoted or rolled back: pure decisions over plain values, replayable from the ledger."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from forex_assets.lifecycle.guards import decide_guards
from forex_assets.lifecycle.versions import SETTINGS

#: Function names under which these decisions are recorded and replayed.
PROMOTION = "promotion/1"
ROLLBACK = "rollback/1"


def risk_class(candidate: Mapping[str, Any], incumbent: Mapping[str, Any] | None, high_risk: Sequence[str]) -> str:
    """Return how much a promotion may break: low, medium or high.

    Low: other parameters of the model in use. Medium: another model. High: a strategy, a model on the high-risk list,
    or a rule overridden by hand.
    """
    if (
        candidate["subject"].startswith("strategy/")
        or candidate.get("forced")
        or any(fnmatch.fnmatchcase(candidate["model"], pattern) for pattern in high_risk)
    ):
        return "high"
    return "low" if incumbent is not None and incumbent["model"] == candidate["model"] else "medium"


def decide_promotion(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to do with a validated candidate: ``promote``, ``stage``, ``keep`` or ``refuse``, and why.

    Parameters
    ----------
    known:
        ``candidate`` and ``incumbent`` (subject, model, hash; the incumbent None for the settings' model),
        ``validation`` (approved, candidate, incumbent, states of the criteria), ``checks`` (name to passed, or None
        for unknown), ``guard_facts`` (judged by :func:`forex_assets.lifecycle.guards.decide_guards`), ``pointers``
        (current, staged, failed, incident), ``halted``, ``approvals`` and ``rejections`` (who, why), ``proposer``,
        ``shadow`` (targets, days, evidence_worse; None before it started), ``force``.
    policy:
        The ``deployment`` settings.
    """
    candidate, pointers = known["candidate"], known["pointers"]
    forced = {**candidate, "forced": known["validation"].get("forced") or known["force"]}
    risk = risk_class(forced, known["incumbent"], policy["high_risk_models"])
    name = policy["policies"][risk]
    base = {"policy": name, "risk_class": risk, "candidate": candidate["hash"]}
    if pointers["current"] == candidate["hash"]:
        return {**base, "action": "keep", "reasons": ["this version is already in use"]}
    against = _against(known, decide_guards(known["guard_facts"], policy["guards"]))
    if against:
        return {**base, "action": "refuse", "reasons": against}
    missing = _missing(name, known, policy)
    if missing:
        return {**base, "action": "stage", "reasons": missing}
    why = {
        "auto": ["the gate approved it, every check passed and every guard is clear"],
        "two-person": [f"approved by {', '.join(sorted(_approvers(known)))}"],
        "shadow-then-auto": [
            f"{(known['shadow'] or {}).get('targets', 0)} targets in shadow show no harm, and every guard is clear"
        ],
    }[name]
    return {**base, "action": "promote", "reasons": why}


def _against(known: Mapping[str, Any], guards: Mapping[str, Any]) -> list[str]:
    candidate, validation, pointers = known["candidate"], known["validation"], known["pointers"]
    reasons = []
    if validation["candidate"] != candidate["hash"]:
        reasons.append(f"the gate judged version {validation['candidate']}, not {candidate['hash']}")
    if not validation["approved"]:
        reasons.append("the gate did not approve it: " + "; ".join(validation["reasons"]))
    unmet = [name for name, state in validation["criteria"].items() if state != "met"]
    if unmet or not validation["criteria"]:
        reasons.append(f"criteria not met: {', '.join(unmet) or 'none was judged'}")
    if validation["incumbent"] != pointers["current"]:
        reasons.append(
            f"the gate compared it with {validation['incumbent']}, but {pointers['current']} is in use: judge it again"
        )
    for name, passed in known["checks"].items():
        if passed is not True:
            reasons.append(f"check {name} " + ("failed" if passed is False else "could not be made"))
    if not guards["allowed"]:
        reasons.extend(guards["reasons"])
    if candidate["hash"] in pointers["failed"] and not known["force"]:
        reasons.append("it was rolled back or rejected before; promoting it again must be forced")
    if pointers["incident"] and not known["force"]:
        reasons.append(f"incident {pointers['incident']} is open; acknowledge it first")
    if known["halted"]:
        reasons.append(known["halted"])
    if known["rejections"]:
        reasons.append("rejected by " + "; ".join(f"{item['by']}: {item['why']}" for item in known["rejections"]))
    return reasons


def _missing(name: str, known: Mapping[str, Any], policy: Mapping[str, Any]) -> list[str]:
    if known["force"] and not _people(known["approvals"]):
        return ["a forced promotion waits for a person's approval with a justification"]
    if name == "two-person":
        lacking = policy["approvals_needed"] - len(_approvers(known))
        return [f"waits for {lacking} more approval(s) by other people than its proposer"] if lacking > 0 else []
    if name == "shadow-then-auto":
        shadow = known["shadow"]
        if shadow is None:
            return ["runs in shadow first"]
        targets, days = policy["shadow_min_targets"], policy["shadow_min_days"]
        if shadow["targets"] < targets or shadow["days"] < days:
            return [f"in shadow for {shadow['days']} of {days} days with {shadow['targets']} of {targets} targets"]
        limit = 1 / policy["probation"]["statistical"]["alpha"]
        if shadow["evidence_worse"] >= limit:
            return [f"shows harm in shadow (evidence {shadow['evidence_worse']:.1f} of {limit:.0f})"]
    return []


def _people(approvals: Sequence[Mapping[str, str]]) -> set[str]:
    return {item["by"] for item in approvals if item["by"].strip() and item["why"].strip()}


def _approvers(known: Mapping[str, Any]) -> set[str]:
    return _people(known["approvals"]) - {known["proposer"]}


def halted(rollbacks: Sequence[str], now: str, policy: Mapping[str, Any]) -> str:
    """Return why automation is halted after repeated automatic rollbacks, or an empty text.

    Parameters
    ----------
    rollbacks:
        Instants of the automatic rollbacks of a set of subjects that no acknowledgement followed.
    now:
        Instant judged.
    policy:
        The ``rollback`` settings.
    """
    limit = dt.datetime.fromisoformat(now) - dt.timedelta(days=policy["within_days"])
    recent = [at for at in rollbacks if dt.datetime.fromisoformat(at) >= limit]
    if len(recent) < policy["halt_after"]:
        return ""
    return (
        f"automation is halted: {len(recent)} automatic rollbacks within {policy['within_days']} days, "
        "the last one not acknowledged"
    )


def decide_rollback(known: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return whether to roll back, and to which version.

    Parameters
    ----------
    known:
        ``pointers`` (current, earlier, last_known_good), ``wanted`` (``previous``, ``last_known_good`` or a hash),
        ``readable`` (hashes of earlier versions whose files are whole), ``automatic``, ``kill_file`` (None: unknown),
        ``why``.
    policy:
        The ``rollback`` settings.
    """
    del policy
    pointers, earlier = known["pointers"], list(known["pointers"]["earlier"])
    if known["automatic"] and known["kill_file"] is not False:
        return {"action": "refuse", "target": None, "reasons": ["a kill file stops automation", *known["why"]]}
    if not earlier:
        return {"action": "refuse", "target": None, "reasons": ["there is no earlier version", *known["why"]]}
    wanted = known["wanted"]
    if wanted == "previous":
        place = len(earlier) - 1
    else:
        name = pointers["last_known_good"] if wanted == "last_known_good" else wanted
        places = [i for i, item in enumerate(earlier) if item == name]
        if not places and wanted != "last_known_good":
            return {"action": "refuse", "target": None, "reasons": [f"{name} was never in use before the current one"]}
        place = places[-1] if places else len(earlier) - 1
    usable = [SETTINGS, *known["readable"]]
    skipped = []
    while place >= 0 and earlier[place] not in usable:
        skipped.append(f"version {earlier[place]} cannot be read and is stepped over")
        place -= 1
    if place < 0:
        return {"action": "refuse", "target": None, "reasons": [*skipped, "no earlier version can be read"]}
    return {"action": "rollback", "target": earlier[place], "reasons": [*known["why"], *skipped]}
