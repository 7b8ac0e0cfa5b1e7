"""Market shocks: moves, levels and volatilities beyond the limits of a profile (SPEC 2.7). They describe the market.

A shock is news: it fires while the newest value is fresh. A series that stopped is unknown, never calm.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.clock import as_of_instants
from forex_assets.errors import DataError
from forex_assets.monitoring.cannot_tell import CannotTell, reasons
from forex_assets.monitoring.finding import Finding, Severity, State, unknown
from forex_assets.monitoring.observed import Known, Observed
from forex_assets.monitoring.registry import SCAN_COLUMNS, Monitor
from forex_assets.monitoring.statespace import long_sigma
from forex_assets.settings.shocks import UNITS, ShockPolicy, ShockRule

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings


NAME = "shock"
TARGET = "target"
_FLAT = 1e-9


class Reading(NamedTuple):
    """One rule on many days: effect, place of its severity among the rule's limits (-1: none), unknown or not."""

    series: str
    unit: str
    effect: Floats
    grade: Ints
    unknown: npt.NDArray[np.bool_]
    why: npt.NDArray[np.object_]
    n: Ints
    date: Dates


def measure(known: Known, rule: ShockRule, policy: ShockPolicy) -> Floats:
    """Return what a rule measures after each value, NaN where there is not enough before it."""
    values, n = known.values, len(known)
    out = np.full(n, np.nan)
    if rule.measure in ("level", "range"):
        return values.astype(np.float64)
    if rule.measure == "difference":
        if n > rule.obs:
            out[rule.obs :] = values[rule.obs :] - values[: -rule.obs]
        return out
    if (values <= 0).any():
        raise DataError(
            f"{known.name} of {known.dates[values <= 0][0]} is {values[values <= 0][0]:g}; a relative change needs "
            "positive values.",
            remedy="withdraw it by a quality rule (docs/data-quality.md), or correct the source.",
        )
    if rule.measure == "change":
        if n > rule.obs:
            out[rule.obs :] = values[rule.obs :] / values[: -rule.obs] - 1.0
        return out
    returns = np.diff(np.log(values))
    if rule.measure == "change_sigma":
        if n > rule.obs:
            sigma = long_sigma(
                returns, half_life=policy.half_life_obs, warmup=policy.warmup_obs, clip=policy.clip_sigma
            )[: n - rule.obs]
            move = np.log(values[rule.obs :] / values[: -rule.obs])
            with np.errstate(divide="ignore", invalid="ignore"):
                out[rule.obs :] = np.where(sigma > _FLAT, move / (sigma * np.sqrt(rule.obs)), np.nan)
        return out
    return _volatility(returns, rule, n)


def _volatility(returns: Floats, rule: ShockRule, n: int) -> Floats:
    out = np.full(n, np.nan)
    long = rule.long_obs or rule.obs
    need = long if rule.measure == "volatility_ratio" else long + rule.obs - 1
    if len(returns) < need:
        return out
    short = _windows(returns, rule.obs).std(axis=1, ddof=1)
    if rule.measure == "volatility_ratio":
        base = _windows(returns, long).std(axis=1, ddof=1)
    else:
        base = _windows(short, long).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[need:] = np.where(base > _FLAT, short[len(short) - len(base) :] / base, np.nan)
    return out


def read(
    sources: Sequence[Observed], rule: ShockRule, policy: ShockPolicy, days: Dates, frames: Frames
) -> Reading | None:
    """Return one rule's reading at the end of each day, from the first source with values; None without any."""
    source = next((item for item in sources if len(item.values)), None)
    if source is None:
        return None
    instants = as_of_instants(days)
    lengths = source.prefixes(instants)
    effect, date = np.full(len(days), np.nan), np.full(len(days), np.datetime64("NaT", "D"))
    counts = np.zeros(len(days), dtype=np.int64)
    whole = lengths > 0
    if whole.any():
        newest = source.at(instants[-1])
        effect[whole] = measure(newest, rule, policy)[lengths[whole] - 1]
        date[whole], counts[whole] = newest.dates[lengths[whole] - 1], lengths[whole]
    for i in np.flatnonzero(lengths < 0):
        own = source.at(instants[i])
        if len(own):
            effect[i], date[i], counts[i] = measure(own, rule, policy)[-1], own.dates[-1], len(own)
    none = np.isnat(date)
    seen = np.where(none, days, np.minimum(date, days))
    age = np.where(none, 0, np.where(seen < days, frames.calendar.count(seen, days), 0))
    stopped = age > policy.max_age_business_days
    unknown = none | stopped | ~np.isfinite(effect)
    why = reasons(len(days), CannotTell("values_few_or_still"))
    why[stopped] = CannotTell("series_stopped")
    why[none] = CannotTell("no_value")
    grade = np.where(unknown | (age > policy.fresh_business_days), -1, _grade(effect, rule))
    unit = source.unit if UNITS[rule.measure] == "series unit" else UNITS[rule.measure]
    return Reading(source.name, unit, effect, grade.astype(np.int64), unknown, why, counts, date)


def readings(frames: Frames, days: Dates, policy: ShockPolicy, settings: Settings) -> dict[str, Reading | None]:
    """Return every rule that concerns the pair on every day; None where none of its series has values."""
    days = np.asarray(days, dtype="datetime64[D]")
    drivers = settings.pair(frames.pair).drivers
    out: dict[str, Reading | None] = {}
    for name, rule in policy.rules.items():
        if not any(item == TARGET or item in drivers or item in frames.drivers for item in rule.series):
            continue
        sources = [
            frames.target if item == TARGET else frames.drivers[item]
            for item in rule.series
            if item == TARGET or item in frames.drivers
        ]
        out[name] = read(sources, rule, policy, days, frames)
    return out


def policy_of(settings: Settings, profile: str) -> ShockPolicy:
    """Return the rules of a profile."""
    return settings.classic.shocks if profile == "classic" else settings.recommended.shocks


def judge(frames: Frames, as_of: dt.date, settings: Settings, profile: str) -> tuple[Finding, ...]:
    """Return the findings of one day: one per rule that concerns the pair."""
    policy = policy_of(settings, profile)
    found = readings(frames, np.array([as_of], dtype="datetime64[D]"), policy, settings)
    return tuple(_finding(name, policy.rules[name], item, frames.pair, as_of, profile) for name, item in found.items())


def scan(frames: Frames, days: Dates, settings: Settings, profile: str) -> pd.DataFrame:
    """Return state and effect of every rule for many days."""
    import pandas as pd

    policy = policy_of(settings, profile)
    days = np.asarray(days, dtype="datetime64[D]")
    parts = []
    for name, item in readings(frames, days, policy, settings).items():
        rule = policy.rules[name]
        unknown = np.ones(len(days), dtype=bool) if item is None else item.unknown
        grade = np.full(len(days), -1) if item is None else item.grade
        severity = [_severity(rule, bool(u), int(g)) for u, g in zip(unknown, grade, strict=True)]
        parts.append(
            pd.DataFrame(
                {
                    "as_of": days.astype("datetime64[ns]"),
                    "monitor": NAME,
                    "rule": name,
                    "subject": item.series if item else rule.series[0],
                    "state": np.where(unknown, "unknown", np.where(grade >= 0, "fired", "clear")).astype(object),
                    "severity": np.array(severity, dtype=object),
                    "effect": item.effect if item else np.nan,
                    "threshold": rule.limits[0][1],
                }
            )
        )  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=list(SCAN_COLUMNS))
    table = pd.concat(parts, ignore_index=True)[list(SCAN_COLUMNS)]
    return table.sort_values(["as_of", "rule"], kind="stable", ignore_index=True)


def forecast_change(
    forecast: pd.DataFrame, previous: pd.DataFrame, pair: str, as_of: dt.date, policy: ShockPolicy, profile: str
) -> tuple[Finding, ...]:
    """Return how far the deployed forecast of each horizon moved since the day before (event alert of SPEC 2.7).

    Parameters
    ----------
    forecast, previous:
        Rows of table ``forecast`` of both days; only the deployed model's target rows count.
    """
    out = []
    before = _centres(previous)
    for horizon, (mean, _) in _centres(forecast).items():
        if horizon not in before:
            why = CannotTell("no_forecast_before")
            out.append(unknown(NAME, "forecast_change", profile, pair, f"{horizon}d", as_of, why))
            continue
        change = mean / before[horizon][0] - 1.0
        size = abs(change)
        severity: Severity = (
            "high"
            if size >= policy.forecast_change_high
            else "medium"
            if size >= policy.forecast_change_medium
            else "info"
        )
        out.append(
            Finding(
                monitor=NAME,
                rule="forecast_change",
                profile=profile,
                pair=pair,
                subject=f"{horizon}d",
                as_of=as_of,
                state="fired" if severity != "info" else "clear",
                severity=severity,
                reasons=(f"The {horizon}d forecast moved {change:+.2%} since {before[horizon][1]}.",),
                effect=change,
                unit="share",
                threshold=policy.forecast_change_medium,
                n=2,
                n_effective=2.0,
            )
        )
    return tuple(out)


def worth_sending(findings: Sequence[Finding]) -> bool:
    """Tell whether an event alert goes out: any high or critical one, or two of medium severity (SPEC 2.7)."""
    fired = [finding.severity for finding in findings if finding.state == "fired"]
    return any(item in ("high", "critical") for item in fired) or fired.count("medium") >= 2


def _centres(rows: pd.DataFrame) -> dict[int, tuple[float, dt.date]]:
    chosen = rows.loc[rows["is_target"].astype(bool) & rows["is_active"].astype(bool)]
    return {int(row["horizon"]): (float(row["mean"]), row["as_of"].date()) for row in chosen.to_dict("records")}


def _grade(effect: Floats, rule: ShockRule) -> Ints:
    """Return the place of the severest limit reached, -1 where none is."""
    values = np.array([value for _, value in rule.limits])
    with np.errstate(invalid="ignore"):
        if rule.side == "both":
            reached = np.abs(effect)[:, None] >= values[None, :]
        elif rule.side == "up":
            reached = effect[:, None] >= values[None, :]
        else:
            reached = effect[:, None] <= values[None, :]
    return np.asarray(reached.sum(axis=1) - 1, dtype=np.int64)


def _severity(rule: ShockRule, unknown: bool, grade: int) -> Severity:
    if unknown:
        return "low"
    return cast("Severity", rule.limits[grade][0]) if grade >= 0 else "info"


def _finding(name: str, rule: ShockRule, item: Reading | None, pair: str, as_of: dt.date, profile: str) -> Finding:
    subject = item.series if item else rule.series[0]
    why: CannotTell | None = None
    if item is None:
        why = CannotTell("none_of_series", names=", ".join(rule.series))
    elif item.unknown[0]:
        why = item.why[0]
    grade = int(item.grade[0]) if item else -1
    state: State = "unknown" if why is not None else "fired" if grade >= 0 else "clear"
    limit = rule.limits[0][1]
    if item is None:
        reason = CannotTell("none_of_series", names=", ".join(rule.series)).sentence
    elif why is not None:
        reason = f"{name} of {subject} cannot be told: {why}."
    else:
        reason = (
            f"{name}: {_text(item.effect[0], rule, item.unit)} on {item.date[0]}, "
            f"{'at or beyond' if grade >= 0 else 'within'} the limit of {_text(limit, rule, item.unit)}."
        )
    dated = item is not None and not np.isnat(item.date[0])
    return Finding(
        monitor=NAME,
        rule=name,
        profile=profile,
        pair=pair,
        subject=subject,
        as_of=as_of,
        state=state,
        severity=_severity(rule, why is not None, grade),
        reasons=(reason,),
        effect=float(item.effect[0]) if item else float("nan"),
        unit=item.unit if item else UNITS[rule.measure],
        threshold=limit,
        n=int(item.n[0]) if item else 0,
        n_effective=float(item.n[0]) if item else 0.0,
        window_end=cast("Any", item).date[0].item() if dated else None,
        cannot_tell=why,
    )


def _text(value: float, rule: ShockRule, unit: str) -> str:
    if UNITS[rule.measure] == "share":
        return f"{value:+.2%}" if rule.measure == "change" else f"{value:.2%}"
    if UNITS[rule.measure] in ("sigma", "ratio"):
        return f"{value:+.1f} sigmas" if rule.measure == "change_sigma" else f"{value:.2f} times"
    return f"{value:.2f} ({unit})"


def _windows(values: Floats, window: int) -> Floats:
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(values, window))


MONITOR = Monitor(
    name=NAME,
    doc="Moves, levels and volatilities of the price and its drivers beyond their limits.",
    judge=judge,
    scan=scan,
    describes=True,
)
