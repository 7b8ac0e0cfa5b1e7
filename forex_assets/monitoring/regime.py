"""The regime monitor: what the detectors say of a day, as findings. It describes the market and accuses nobody."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates
from forex_assets.monitoring.cannot_tell import CannotTell
from forex_assets.monitoring.finding import Finding, Severity, State
from forex_assets.monitoring.regimes.classic import scan_classic
from forex_assets.monitoring.regimes.detect import scan_regimes
from forex_assets.monitoring.registry import SCAN_COLUMNS, Monitor

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.monitoring.frames import Frames
    from forex_assets.settings import Settings

NAME = "regime"
CENTRAL_BANK_CALENDAR = "CL"


class Rule(NamedTuple):
    """One rule: its column of state and of effect, unit, severity when it holds."""

    name: str
    effect: str
    unit: str
    severity: Severity


RULES = (
    Rule("high_vol", "high_vol_probability", "probability", "low"),
    Rule("copper_shock", "copper_z", "sigma", "medium"),
    Rule("bcch_meeting", "days_to_meeting", "days", "info"),
    Rule("intervention", "programme_age_days", "days", "medium"),
    Rule("risk_gauge", "risk_score", "sigma", "info"),
)


def copper_of(settings: Settings, pair_id: str) -> list[str]:
    """Return the copper series among a pair's drivers, best first."""
    drivers = settings.pair(pair_id).drivers
    return [name for name in settings.recommended.regimes.copper.series if name in drivers]


def regimes(frames: Frames, days: Dates, settings: Settings, profile: str) -> pd.DataFrame:
    """Return the regime of each day under a profile, from what was known at its end."""
    copper = copper_of(settings, frames.pair)
    if profile == "classic":
        return scan_classic(frames.target, frames.drivers, days, settings.classic.regimes, copper=copper)
    return scan_regimes(
        frames.target,
        frames.drivers,
        days,
        settings.recommended.regimes,
        calendar=frames.calendar,
        copper=copper,
        central_bank=CENTRAL_BANK_CALENDAR in settings.pair(frames.pair).calendars,
    )


def judge(frames: Frames, as_of: dt.date, settings: Settings, profile: str) -> tuple[Finding, ...]:
    """Return the findings of one day."""
    table = regimes(frames, np.array([as_of], dtype="datetime64[D]"), settings, profile)
    row = table.iloc[0]
    hashes = {"price": frames.target.at(_end(as_of)).hash}
    if profile == "classic":
        return (_classic(row, frames.pair, as_of, hashes),)
    return tuple(
        _finding(rule, row, frames.pair, as_of, settings, hashes)
        for rule in RULES
        if _applies(rule, row[_column(rule)])
    )


def scan(frames: Frames, days: Dates, settings: Settings, profile: str) -> pd.DataFrame:
    """Return state and effect of every rule for many days."""
    import pandas as pd

    table = regimes(frames, days, settings, profile)
    if profile == "classic":
        state = np.where(
            table["regime"] == "UNKNOWN", "unknown", np.where(table["regime"] == "NORMAL", "clear", "fired")
        )
        parts = [_scan_part(table, frames.pair, "regime", state, "low", table["multiplier"], np.nan)]
    else:
        parts = []
        for rule in RULES:
            column = table[_column(rule)]
            keep = np.array([_applies(rule, item) for item in column], dtype=bool)
            if keep.any():
                state = _states(rule, column[keep])
                effect = _effects(rule, table)[keep]
                parts.append(
                    _scan_part(
                        table[keep], frames.pair, rule.name, state, rule.severity, effect, _threshold(rule, settings)
                    )
                )
    if not parts:
        return pd.DataFrame(columns=list(SCAN_COLUMNS))
    return pd.concat(parts, ignore_index=True).sort_values(["as_of", "rule"], kind="stable", ignore_index=True)


def sentences(row: pd.Series[Any]) -> dict[str, str]:
    """Return one sentence per rule about a row of :func:`regimes` of the recommended profile."""
    return {rule.name: _reason(rule, row) for rule in RULES if _applies(rule, row[_column(rule)])}


def _column(rule: Rule) -> str:
    return "risk" if rule.name == "risk_gauge" else rule.name


def _applies(rule: Rule, value: object) -> bool:
    return value != "not_applicable"


def _states(rule: Rule, values: Any) -> npt.NDArray[np.object_]:
    items = np.asarray(values, dtype=object)
    if rule.name != "risk_gauge":
        return items
    return np.where(items == "unknown", "unknown", np.where(items == "neutral", "clear", "fired")).astype(object)


def _effects(rule: Rule, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    if rule.effect == "programme_age_days":
        return np.asarray((table["as_of"] - table["programme_date"]).dt.days, dtype=np.float64)
    return table[rule.effect].to_numpy(dtype=np.float64)


def _threshold(rule: Rule, settings: Settings) -> float:
    policy = settings.recommended.regimes
    return {
        "high_vol": policy.volatility.on_probability,
        "copper_shock": policy.copper.on_sigma,
        "bcch_meeting": float("nan"),
        "intervention": float("nan"),
        "risk_gauge": policy.risk.threshold_sigma,
    }[rule.name]


def _scan_part(
    table: pd.DataFrame, pair: str, rule: str, state: Any, severity: Severity, effect: Any, threshold: float
) -> pd.DataFrame:
    import pandas as pd

    states = np.asarray(state, dtype=object)
    return pd.DataFrame(
        {
            "as_of": table["as_of"].to_numpy(),
            "monitor": NAME,
            "rule": rule,
            "subject": pair,
            "state": states,
            "severity": np.where(states == "fired", severity, np.where(states == "unknown", "low", "info")).astype(
                object
            ),
            "effect": np.asarray(effect, dtype=np.float64),
            "threshold": threshold,
        }
    )[list(SCAN_COLUMNS)]


def _finding(
    rule: Rule, row: pd.Series[Any], pair: str, as_of: dt.date, settings: Settings, hashes: dict[str, str]
) -> Finding:
    state: State = _states(rule, [row[_column(rule)]])[0]
    frame = row.to_frame().T.infer_objects()
    n = int(row["copper_n"] if rule.name == "copper_shock" else row["price_n"])
    if rule.name in ("bcch_meeting", "intervention"):
        n = 0
    return Finding(
        monitor=NAME,
        rule=rule.name,
        profile="recommended",
        pair=pair,
        subject=pair,
        as_of=as_of,
        state=state,
        severity=rule.severity if state == "fired" else ("low" if state == "unknown" else "info"),
        reasons=(_reason(rule, row),),
        effect=float(_effects(rule, frame)[0]),
        unit=rule.unit,
        threshold=_threshold(rule, settings),
        n=n,
        n_effective=float(n),
        window_end=None
        if row["price_last"] is None or row["price_last"] != row["price_last"]
        else row["price_last"].date(),
        input_hashes=hashes,
        cannot_tell=_cannot_tell(rule, row) if state == "unknown" else None,
    )


def _cannot_tell(rule: Rule, row: pd.Series[Any]) -> CannotTell:
    if rule.name in ("high_vol", "copper_shock"):
        why: CannotTell = row["high_vol_note" if rule.name == "high_vol" else "copper_note"]
        return why
    if rule.name == "risk_gauge":
        return CannotTell("few_fresh_series", have=int(row["risk_inputs"]))
    return CannotTell("no_meeting")


def _reason(rule: Rule, row: pd.Series[Any]) -> str:
    return _SENTENCES[rule.name](row)


def _high_vol(row: pd.Series[Any]) -> str:
    if row["high_vol"] == "unknown":
        return f"The volatility state cannot be told: {row['high_vol_note']}."
    probability = f"probability {row['high_vol_probability']:.0%} that daily moves are about twice their long-run size"
    sigma = f"long-run volatility {row['long_run_sigma']:.2%} a day"
    if row["high_vol"] == "fired":
        return f"High volatility since {row['high_vol_since'].date()}: {probability} ({sigma})."
    return f"Volatility is ordinary: {probability} ({sigma})."


def _copper(row: pd.Series[Any]) -> str:
    if row["copper_shock"] == "unknown":
        return f"A copper shock cannot be told: {row['copper_note']}."
    move = f"{row['copper_series']} moved {row['copper_change']:+.1%} in 5 sessions, {row['copper_z']:+.1f} sigmas"
    link = (
        f"link to the price {row['copper_link']:+.2f} [{row['copper_link_low']:+.2f}, {row['copper_link_high']:+.2f}]"
    )
    felt = f"worth {row['copper_implied_sigma']:.1f} sigmas of the price"
    head = "Copper shock" if row["copper_shock"] == "fired" else "No copper shock"
    return f"{head}: {move}; {link}, {felt}; probability {row['copper_shock_probability']:.0%}."


def _meeting(row: pd.Series[Any]) -> str:
    if row["bcch_meeting"] == "unknown":
        return CannotTell("no_meeting").sentence
    when = row["meeting_date"].date()
    days = int(row["days_to_meeting"])
    if row["bcch_meeting"] == "fired":
        timing = (
            "today" if days == 0 else f"in {days} days" if days > 0 else f"{-days} days ago; the market answers now"
        )
        return f"Policy meeting of {when} ({timing}); the statement comes at 18:00 Santiago, after the close."
    return f"Next policy meeting on {when}, in {days} days."


def _intervention(row: pd.Series[Any]) -> str:
    if row["intervention"] == "fired":
        return f"The central bank is selling dollars under the programme announced on {row['programme_date'].date()}."
    return "No announced programme of dollar sales is running."


def _risk(row: pd.Series[Any]) -> str:
    if row["risk"] == "unknown":
        return f"Risk appetite cannot be told: {CannotTell('few_fresh_series', have=int(row['risk_inputs']))}."
    name = {"risk_on": "Risk-on", "risk_off": "Risk-off", "neutral": "Neutral appetite for risk"}[row["risk"]]
    return f"{name}: mean 5-day move of {int(row['risk_inputs'])} risk series is {row['risk_score']:+.1f} sigmas."


_SENTENCES = {
    "high_vol": _high_vol,
    "copper_shock": _copper,
    "bcch_meeting": _meeting,
    "intervention": _intervention,
    "risk_gauge": _risk,
}


def _classic(row: pd.Series[Any], pair: str, as_of: dt.date, hashes: dict[str, str]) -> Finding:
    regime = str(row["regime"])
    state: State = "unknown" if regime == "UNKNOWN" else "clear" if regime == "NORMAL" else "fired"
    reason = classic_sentence(row)
    return Finding(
        monitor=NAME,
        rule="regime",
        profile="classic",
        pair=pair,
        subject=pair,
        as_of=as_of,
        state=state,
        severity="low" if state != "clear" else "info",
        cannot_tell=CannotTell("few_values") if state == "unknown" else None,
        reasons=(reason,),
        effect=float(row["multiplier"]),
        unit="multiplier",
        n=int(row["price_n"]),
        n_effective=float(row["price_n"]),
        input_hashes=hashes,
    )


def classic_sentence(row: pd.Series[Any]) -> str:
    """Return what the classic detector says, in a sentence."""
    return (
        f"Classic regime {row['regime']} (confidence {row['confidence']:.0f}%), multiplier {row['multiplier']:.2f}: "
        f"volatility z {row['vol_zscore']:+.2f}, percentile {row['vol_percentile']:.0f}; "
        f"{int(row['days_to_meeting'])} days to the third Tuesday."
    )


def _end(day: dt.date) -> np.datetime64:
    from forex_assets.clock import as_of_instants

    return np.datetime64(as_of_instants(np.array([day], dtype="datetime64[D]"))[0], "us")


MONITOR = Monitor(
    name=NAME,
    doc="Volatility state, copper shock, policy meeting, dollar sales by the central bank, appetite for risk.",
    judge=judge,
    scan=scan,
    describes=True,
)
