"""How the loop itself fares: the metrics of A25 and the alert conditions of A26 as findings, from its ledger alone.

Each is one :class:`Finding` of monitor ``optimization`` per subject, with a name ready for Prometheus. A metric that
has no target under the recommended rules is ``clear`` and informs; its classic target stands beside it as profile
``classic``. What cannot be judged yet is ``unknown``, never fine. Absence counts: no judged trigger, no search and no
probation check for too long fire, because a loop that is dead raises nothing else (K28).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from forex_assets.evaluation.inference import clopper_pearson
from forex_assets.lifecycle.ledger import Entry
from forex_assets.lifecycle.subject import Subject
from forex_assets.monitoring.finding import Finding, Severity, State

MONITOR = "optimization"
Profile = Literal["recommended", "classic"]
RECOMMENDED: Profile = "recommended"
CLASSIC: Profile = "classic"
KINDS = ("trigger", "search", "gate", "promotion", "staging", "rollback", "acknowledgement")


class Metric(NamedTuple):
    """Name for Prometheus, unit, and what it says in a line."""

    name: str
    unit: str
    doc: str


#: Rules that are metrics (A25), and rules that are alert conditions (A26, and absence).
METRICS: Mapping[str, Metric] = {
    "search_frequency": Metric("forex_loop_searches_per_year", "per year", "Searches of the last year"),
    "validation_success": Metric("forex_loop_validation_success_ratio", "share", "Gate openings that approved"),
    "deployment_success": Metric("forex_loop_deployment_success_ratio", "share", "Approved candidates not refused"),
    "search_time": Metric("forex_loop_search_seconds_mean", "s", "Mean time of a search"),
    "search_time_max": Metric("forex_loop_search_seconds_max", "s", "Longest search"),
    "search_memory": Metric("forex_loop_search_memory_mebibytes_max", "MiB", "Largest memory of a search"),
    "rmse_before": Metric("forex_loop_rmse_before", "quote", "RMSE of the version in use in the newest search"),
    "rmse_after": Metric("forex_loop_rmse_after", "quote", "RMSE of its candidate on the same targets"),
    "rmse_improvement": Metric("forex_loop_rmse_improvement_ratio", "share", "RMSE the candidate saves"),
    "crps_improvement": Metric("forex_loop_crps_improvement_ratio", "share", "CRPS saved, as the gate measured it"),
    "stability": Metric("forex_loop_version_changes_per_year", "per year", "How often the version in use changed"),
    "rollbacks": Metric("forex_loop_rollbacks_per_year", "per year", "Rollbacks of the last year"),
}
ALERTS: Mapping[str, Metric] = {
    "validation_fails": Metric("forex_loop_validation_failures_in_a_row", "openings", "Gates in a row that said no"),
    "deployment_fails": Metric("forex_loop_deployment_failures_in_a_row", "attempts", "Deployments refused in a row"),
    "rollback_executed": Metric("forex_loop_rollback_age_days", "days", "Age of the newest rollback"),
    "search_slow": Metric("forex_loop_search_seconds_last", "s", "Time of the newest search"),
    "search_heartbeat": Metric("forex_loop_search_age_days", "days", "Age of the newest search"),
    "trigger_heartbeat": Metric("forex_loop_trigger_age_days", "days", "Age of the newest judged trigger"),
    "probation_heartbeat": Metric("forex_loop_probation_check_age_seconds", "s", "Age of the newest probation check"),
}
RULES: Mapping[str, Metric] = {**METRICS, **ALERTS}
SEVERITY: Mapping[str, Severity] = {
    "validation_fails": "medium",
    "deployment_fails": "high",
    "rollback_executed": "high",
    "search_slow": "medium",
    "search_heartbeat": "low",
    "trigger_heartbeat": "high",
    "probation_heartbeat": "high",
}
#: A25's targets, held against under profile ``classic`` only: with nothing to find, approving 60% is a fault.
CLASSIC_TARGETS: Mapping[str, tuple[float, bool]] = {  # target, whether more is better
    "search_frequency": (365 / 7, True),
    "validation_success": (0.60, True),
    "deployment_success": (1.0, True),
    "search_time": (300.0, False),
    "rmse_improvement": (0.05, True),
    "rollbacks": (0.0, False),
}


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """What is known of one subject's loop.

    Parameters
    ----------
    subject:
        Pair and horizon, or strategy and session.
    entries:
        Its ledger entries of :data:`KINDS`, oldest first.
    judged_at:
        When its trigger was last judged, also where that changed nothing and made no entry.
    incident:
        Whether an incident is open.
    on_probation:
        Whether the version in use is in its technical probation.
    checked_at:
        When that was last checked; the promotion's time before the first check.
    """

    subject: Subject
    entries: Sequence[Entry]
    judged_at: dt.datetime | None = None
    incident: bool = False
    on_probation: bool = False
    checked_at: dt.datetime | None = None


class _Reading(NamedTuple):
    value: float
    reason: str
    n: int
    low: float = math.nan
    high: float = math.nan


def judge_loop(facts: LoopFacts, *, now: dt.datetime, as_of: dt.date, policy: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return every metric and alert condition of a subject.

    Parameters
    ----------
    facts:
        What the ledger and the pointers hold.
    now, as_of:
        Instant judged, and the day it belongs to.
    policy:
        ``optimization.watch`` with ``alert_s``, ``memory_mib`` and ``search_heartbeat_days`` of the search, and
        ``check_every_s`` of the technical probation.
    """
    known = [entry for entry in facts.entries if entry.at <= now]
    recent = [entry for entry in known if entry.at > now - dt.timedelta(days=policy["window_days"])]
    readings = _metrics(recent, policy["window_days"])
    found = [
        _finding(facts.subject, as_of, rule, readings[rule], RECOMMENDED, fires=None, threshold=math.nan)
        for rule in METRICS
    ]
    for rule, (target, more) in CLASSIC_TARGETS.items():
        reading = readings[rule]
        short = isinstance(reading, _Reading) and (reading.value < target if more else reading.value > target)
        found.append(_finding(facts.subject, as_of, rule, reading, CLASSIC, fires=short, threshold=target))
    for rule, (alert, fires, threshold) in _alerts(facts, known, now, policy).items():
        found.append(_finding(facts.subject, as_of, rule, alert, RECOMMENDED, fires=fires, threshold=threshold))
    return tuple(found)


def exposition(findings: Sequence[Finding]) -> str:
    """Return findings in the text format that Prometheus reads, one gauge per rule and one for its state.

    Values that are not known are left out, and their state says ``unknown``.
    """
    own = [item for item in findings if item.monitor == MONITOR and item.profile == RECOMMENDED]
    lines: list[str] = []
    for rule, metric in RULES.items():
        rows = [item for item in own if item.rule == rule and math.isfinite(item.effect)]
        if rows:
            lines += [f"# HELP {metric.name} {metric.doc}.", f"# TYPE {metric.name} gauge"]
            lines += [
                f'{metric.name}{{pair="{item.pair}",horizon="{item.subject}"}} {item.effect:.10g}' for item in rows
            ]
    lines += [
        "# HELP forex_loop_rule_state State of each rule: 0 clear, 1 fired, 2 unknown.",
        "# TYPE forex_loop_rule_state gauge",
    ]
    states = {"clear": 0, "fired": 1, "unknown": 2}
    lines += [
        f'forex_loop_rule_state{{pair="{item.pair}",horizon="{item.subject}",rule="{item.rule}",'
        f'severity="{SEVERITY.get(item.rule, "info")}"}} {states[item.state]}'
        for item in own
        if item.rule in ALERTS
    ]
    return "\n".join(lines) + "\n"


# ---- metrics ----------------------------------------------------------------------------------------------------


def _metrics(recent: Sequence[Entry], days: int) -> dict[str, _Reading | str]:
    searches = [entry for entry in recent if entry.kind == "search"]
    done = [entry for entry in searches if not entry.outcome.get("failed")]
    gates = [entry for entry in recent if entry.kind == "gate"]
    attempts = [entry for entry in recent if _is_attempt(entry)]
    rollbacks = [entry for entry in recent if _is_rollback(entry)]
    promoted = [entry for entry in attempts if entry.outcome.get("action") == "promote"]
    per_year = 365.0 / days
    no_search = f"no search in {days} days"
    seconds = [float(entry.outcome["seconds"]) for entry in done if entry.outcome.get("seconds") is not None]
    memory = [float(value) for entry in done if (value := entry.outcome.get("peak_memory_mib")) is not None]
    return {
        "search_frequency": _Reading(
            len(searches) * per_year, f"{len(searches)} searches in {days} days", len(searches)
        ),
        "validation_success": _share([bool(entry.outcome.get("approved")) for entry in gates], "gate openings approved")
        or f"the gate was not opened in {days} days",
        "deployment_success": _share([_succeeded(entry) for entry in attempts], "deployments not refused")
        or f"no deployment was tried in {days} days",
        "search_time": _Reading(
            sum(seconds) / len(seconds), f"mean of {len(seconds)} searches in {days} days", len(seconds)
        )
        if seconds
        else no_search,
        "search_time_max": _Reading(max(seconds), f"longest of {len(seconds)} searches", len(seconds))
        if seconds
        else no_search,
        "search_memory": _Reading(max(memory), f"largest of {len(memory)} searches", len(memory))
        if memory
        else no_search,
        **_rmse(done),
        "crps_improvement": _gain(gates),
        "stability": _Reading(
            (len(promoted) + len(rollbacks)) * per_year,
            f"{len(promoted)} promotions and {len(rollbacks)} rollbacks in {days} days",
            len(promoted) + len(rollbacks),
        ),
        "rollbacks": _Reading(len(rollbacks) * per_year, f"{len(rollbacks)} rollbacks in {days} days", len(rollbacks)),
    }


def _rmse(done: Sequence[Entry]) -> dict[str, _Reading | str]:
    names = ("rmse_before", "rmse_after", "rmse_improvement")
    for entry in reversed(done):
        before, after = entry.outcome.get("incumbent_rmse"), entry.outcome.get("rmse")
        if before and after is not None:
            text = f"RMSE {before:.4g} before, {after:.4g} after, on the targets of the search ending {entry.as_of}"
            values = (float(before), float(after), 1.0 - float(after) / float(before))
            return {name: _Reading(value, text, 1) for name, value in zip(names, values, strict=True)}
    return dict.fromkeys(names, "no search found a candidate")


def _gain(gates: Sequence[Entry]) -> _Reading | str:
    for entry in reversed(gates):
        metrics = entry.outcome.get("metrics") or {}
        if metrics.get("improvement") is not None:
            low, high = (_number(metrics.get(f"improvement_{end}")) for end in ("low", "high"))
            n = int(metrics.get("n") or 0)
            text = f"CRPS {metrics['improvement']:+.2%} [{low:+.2%}, {high:+.2%}] at the gate of {entry.as_of}"
            return _Reading(float(metrics["improvement"]), text, n, low, high)
    return "no gate measured an improvement"


def _share(hits: Sequence[bool], what: str) -> _Reading | None:
    if not hits:
        return None
    good, n = sum(hits), len(hits)
    low, high = (float(end) for end in clopper_pearson(good / n, n))
    return _Reading(good / n, f"{good} of {n} {what} [{low:.0%}, {high:.0%}]", n, low, high)


# ---- alert conditions -------------------------------------------------------------------------------------------


def _alerts(
    facts: LoopFacts, known: Sequence[Entry], now: dt.datetime, policy: Mapping[str, Any]
) -> dict[str, tuple[_Reading | str, bool | None, float]]:
    gates = [entry for entry in known if entry.kind == "gate"]
    attempts = [entry for entry in known if _is_attempt(entry)]
    searches = [entry for entry in known if entry.kind == "search"]
    rejected = _in_a_row(gates, lambda entry: not entry.outcome.get("approved"))
    refused = _in_a_row(attempts, lambda entry: not _succeeded(entry))
    limit = policy["validation_failures_in_a_row"]
    out: dict[str, tuple[_Reading | str, bool | None, float]] = {
        "validation_fails": (
            _Reading(rejected, f"the gate said no {rejected} times in a row{_why(gates, rejected)}", len(gates))
            if gates
            else "the gate was never opened",
            rejected >= limit,
            limit,
        ),
        "deployment_fails": (
            _Reading(refused, f"{refused} deployments in a row were refused{_why(attempts, refused)}", len(attempts))
            if attempts
            else "nothing was ever deployed",
            refused >= 1,
            1,
        ),
        "rollback_executed": _rollback(facts, known, now, policy["rollback_days"]),
        "search_slow": _slow(searches, policy),
        "search_heartbeat": _age(searches, "search", known, now, policy["search_heartbeat_days"], facts.judged_at),
    }
    if facts.judged_at is None:
        out["trigger_heartbeat"] = ("no trigger was ever judged", None, policy["trigger_heartbeat_days"])
    else:
        age = (now - facts.judged_at).total_seconds() / 86_400
        text = f"the trigger was last judged {age:.1f} days ago"
        out["trigger_heartbeat"] = (
            _Reading(age, text, 1),
            age > policy["trigger_heartbeat_days"],
            policy["trigger_heartbeat_days"],
        )
    out["probation_heartbeat"] = _probation(facts, now, policy)
    return out


def _rollback(
    facts: LoopFacts, known: Sequence[Entry], now: dt.datetime, days: int
) -> tuple[_Reading | str, bool | None, float]:
    rollbacks = [entry for entry in known if _is_rollback(entry)]
    if not rollbacks:
        return _Reading(math.nan, "nothing was ever rolled back", 0), False, days
    newest = rollbacks[-1]
    age = (now - newest.at).total_seconds() / 86_400
    still = "; its incident is open" if facts.incident else ""
    text = f"rolled back {age:.1f} days ago to {newest.outcome.get('target')}: {newest.reasons[0]}{still}"
    return _Reading(age, text, len(rollbacks)), facts.incident or age <= days, days


def _slow(searches: Sequence[Entry], policy: Mapping[str, Any]) -> tuple[_Reading | str, bool | None, float]:
    limit = policy["alert_s"]
    timed = [entry for entry in searches if entry.outcome.get("seconds") is not None]
    if not timed:
        return "no search was ever timed", None, limit
    seconds, stopped = float(timed[-1].outcome["seconds"]), bool(timed[-1].outcome.get("timed_out"))
    text = f"the newest search took {seconds:.0f} s" + (" and was stopped by its time limit" if stopped else "")
    return _Reading(seconds, text, len(timed)), stopped or seconds > limit, limit


def _age(
    searches: Sequence[Entry],
    what: str,
    known: Sequence[Entry],
    now: dt.datetime,
    limit: int,
    judged_at: dt.datetime | None,
) -> tuple[_Reading | str, bool | None, float]:
    begun = [entry.at for entry in (searches[-1:] or known[:1])]
    if not begun and judged_at is None:
        return "the loop has not begun: no decision is on record", None, limit
    since = begun[0] if begun else judged_at
    assert since is not None  # nosec B101  (one of the two is there)
    age = (now - since).total_seconds() / 86_400
    text = f"the last {what} was {age:.1f} days ago" if searches else f"no {what} in the {age:.1f} days on record"
    return _Reading(age, text, len(searches)), age > limit, limit


def _probation(
    facts: LoopFacts, now: dt.datetime, policy: Mapping[str, Any]
) -> tuple[_Reading | str, bool | None, float]:
    limit = policy["check_every_s"] * policy["probation_missed_checks"]
    if not facts.on_probation:
        return _Reading(math.nan, "nothing is in technical probation", 0), False, limit
    if facts.checked_at is None:
        return "when it was last checked is not known", None, limit
    age = (now - facts.checked_at).total_seconds()
    return _Reading(age, f"the version on probation was last checked {age:.0f} s ago", 1), age > limit, limit


# ---- pieces -----------------------------------------------------------------------------------------------------


def _is_attempt(entry: Entry) -> bool:
    """Return whether an entry is about deploying a candidate in earnest; a dry run is refused by design."""
    facts = (entry.inputs or {}).get("guard_facts") or {}
    return entry.kind in ("promotion", "staging") and not facts.get("dry_run")


def _succeeded(entry: Entry) -> bool:
    return entry.outcome.get("action") != "refuse"


def _is_rollback(entry: Entry) -> bool:
    return entry.kind == "rollback" and entry.outcome.get("action") == "rollback"


def _in_a_row(entries: Sequence[Entry], bad: Any) -> int:
    count = 0
    for entry in reversed(entries):
        if not bad(entry):
            break
        count += 1
    return count


def _why(entries: Sequence[Entry], count: int) -> str:
    return f", last: {entries[-1].reasons[0]}" if count else ""


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _finding(
    subject: Subject,
    as_of: dt.date,
    rule: str,
    reading: _Reading | str,
    profile: Profile,
    *,
    fires: bool | None,
    threshold: float,
) -> Finding:
    if isinstance(reading, str):
        state: State = "unknown"
        reading = _Reading(math.nan, reading, 0)
    else:
        state = "fired" if fires else "clear"
    severity: Severity = SEVERITY.get(rule, "low") if state != "clear" else "info"
    return Finding(
        monitor=MONITOR,
        rule=rule,
        profile=profile,
        pair=subject.owner,
        subject=subject.part,
        as_of=as_of,
        state=state,
        severity=severity,
        reasons=(f"{RULES[rule].doc}: {reading.reason}.",),
        effect=reading.value,
        effect_low=reading.low,
        effect_high=reading.high,
        unit=RULES[rule].unit,
        threshold=threshold,
        n=reading.n,
        n_effective=float(reading.n),
    )
