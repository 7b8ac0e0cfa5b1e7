"""The recommended regime detector: filtered states, proven links, published dates; a probability beside every label.

:func:`scan_regimes` gives one row per day, each from what was known at that day's end. A day whose knowledge is a
prefix of the newest one's is read off the same computation; any other is computed by itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Dates, Floats, Ints
from forex_assets.clock import as_of_instants
from forex_assets.monitoring.cannot_tell import CannotTell, reasons
from forex_assets.monitoring.observed import Known, Observed
from forex_assets.monitoring.regimes.events import ON, UNKNOWN, meetings_on, programmes_on
from forex_assets.monitoring.regimes.link import interval
from forex_assets.monitoring.regimes.paths import CopperPath, Paths, build_paths
from forex_assets.settings.regimes import RegimePolicy

if TYPE_CHECKING:
    import pandas as pd

    from forex_assets.clock import BusinessCalendar


NORMAL, HIGH_VOL, COPPER_SHOCK = "NORMAL", "HIGH_VOL", "COPPER_SHOCK"
BCCH_MEETING, INTERVENTION, UNKNOWN_REGIME = "BCCH_MEETING", "INTERVENTION", "UNKNOWN"
#: Where several hold, the label is the first of these; each has its own columns besides.
PRECEDENCE = (INTERVENTION, COPPER_SHOCK, HIGH_VOL, BCCH_MEETING)
_STATES = np.array(["unknown", "clear", "fired"], dtype=object)


def scan_regimes(
    target: Observed,
    drivers: Mapping[str, Observed],
    days: Dates,
    policy: RegimePolicy,
    *,
    calendar: BusinessCalendar,
    copper: Sequence[str] = (),
    central_bank: bool = False,
) -> pd.DataFrame:
    """Return the regime at the end of each day.

    Parameters
    ----------
    target:
        The pair's price.
    drivers:
        Series id → its values; those the policy does not name are ignored.
    days:
        Days at whose end everything used was known, growing.
    policy:
        Thresholds.
    calendar:
        The pair's calendar, for ages.
    copper:
        Copper series that concern the pair, best first; empty: copper shocks do not apply.
    central_bank:
        Whether the Banco Central de Chile's calendar concerns the pair.

    Returns
    -------
    One row per day: ``regime``, ``probability``, and per component its state (fired, clear, unknown, or not_applicable)
    with its evidence.
    """
    import pandas as pd

    days = np.asarray(days, dtype="datetime64[D]")
    if not len(days):
        return pd.DataFrame(columns=["as_of", "regime"])
    instants = as_of_instants(days)
    used = {name: drivers[name] for name in (*copper, *policy.risk.signs) if name in drivers}
    lengths = {name: series.prefixes(instants) for name, series in {"": target, **used}.items()}
    whole = np.all([values >= 0 for values in lengths.values()], axis=0)
    newest = _paths_at(target, used, instants[-1], policy, copper)
    for name in copper:
        if name in newest.copper:
            whole &= _link_known(newest, name, lengths[""], lengths[name])
    parts = []
    if whole.any():
        parts.append(
            _read(newest, {k: v[whole] for k, v in lengths.items()}, days[whole], policy, calendar, copper,
                  central_bank)
        )  # fmt: skip
    for i in np.flatnonzero(~whole):
        own = _paths_at(target, used, instants[i], policy, copper)
        counts = {"": np.array([len(own.price)])} | {
            name: np.array([len(known)])
            for name, known in [*((n, k) for n, (k, _) in own.copper.items()),
                                *((n, k) for n, (k, _) in own.gauges.items())]
        }  # fmt: skip
        parts.append(_read(own, counts, days[i : i + 1], policy, calendar, copper, central_bank))
    return pd.concat(parts, ignore_index=True).sort_values("as_of", kind="stable", ignore_index=True)


def _paths_at(
    target: Observed, used: Mapping[str, Observed], instant: np.datetime64, policy: RegimePolicy, copper: Sequence[str]
) -> Paths:
    return build_paths(
        target.at(instant),
        {name: used[name].at(instant) for name in copper if name in used},
        {name: used[name].at(instant) for name in policy.risk.signs if name in used},
        policy,
    )


def _link_known(paths: Paths, name: str, price_lengths: Ints, copper_lengths: Ints) -> npt.NDArray[np.bool_]:
    """Tell where every price before the last copper date was known: the copper path of that day then used the same."""
    known, _ = paths.copper[name]
    last = known.dates[np.maximum(copper_lengths, 1) - 1] if len(known) else np.empty(0, dtype="datetime64[D]")
    if not len(last):
        return np.ones(len(copper_lengths), dtype=bool)
    needed = np.searchsorted(paths.price.dates, last, side="left")
    known_then: npt.NDArray[np.bool_] = (copper_lengths == 0) | (price_lengths >= needed)
    return known_then


def _read(
    paths: Paths,
    lengths: Mapping[str, Ints],
    days: Dates,
    policy: RegimePolicy,
    calendar: BusinessCalendar,
    copper: Sequence[str],
    central_bank: bool,
) -> pd.DataFrame:
    """Return the rows of days whose knowledge ends at the given length of each series."""
    import pandas as pd

    columns: dict[str, Any] = {"as_of": days.astype("datetime64[ns]")}
    columns |= _volatility(paths, lengths[""], days, policy, calendar)
    columns |= _copper(paths, lengths, days, policy, calendar, copper)
    columns |= _events(days, policy, central_bank)
    columns |= _risk(paths, lengths, days, policy, calendar)
    frame = pd.DataFrame(columns)
    frame["regime"], frame["probability"] = _label(frame)
    return frame


def _age(known: Known, lengths: Ints, days: Dates, calendar: BusinessCalendar) -> Ints:
    """Return the business days from the newest value to each day; a large number where there is none."""
    if not len(known):
        return np.full(len(days), 10_000, dtype=np.int64)
    last = known.dates[np.maximum(lengths, 1) - 1]
    age = np.where(last < days, calendar.count(np.minimum(last, days), days), 0)
    return np.where(lengths > 0, age, 10_000).astype(np.int64)


def _volatility(
    paths: Paths, lengths: Ints, days: Dates, policy: RegimePolicy, calendar: BusinessCalendar
) -> dict[str, Any]:
    path, at = paths.volatility, lengths - 2
    probability = _at(path.probability, at)
    on = _at(path.held.on.astype(float), at)
    steps = _at(path.held.steps.astype(float), at)
    age = _age(paths.price, lengths, days, calendar)
    enough = lengths > policy.volatility.warmup_obs + 20
    unknown = ~enough | ~np.isfinite(probability) | (age > policy.max_age_business_days)
    note = reasons(len(days), CannotTell("price_still"))
    note[age > policy.max_age_business_days] = CannotTell("price_stopped")
    note[~enough] = CannotTell("few_values")
    note[~unknown] = ""
    state = _state(on == 1.0, unknown)
    since = paths.price.dates[np.clip(at + 1 - (np.nan_to_num(steps) - 1).astype(np.int64), 0, None)] if len(
        paths.price
    ) else np.full(len(days), np.datetime64("NaT", "D"))  # fmt: skip
    return {
        "high_vol": state,
        "high_vol_probability": np.where(unknown, np.nan, probability),
        "high_vol_since": np.where(state == "fired", since, np.datetime64("NaT", "D")).astype("datetime64[ns]"),
        "high_vol_note": note,
        "long_run_sigma": _at(path.sigma, at),
        "price_n": lengths.astype(np.int64),
        "price_last": _dates_at(paths.price, lengths),
    }


def _copper(
    paths: Paths,
    lengths: Mapping[str, Ints],
    days: Dates,
    policy: RegimePolicy,
    calendar: BusinessCalendar,
    names: Sequence[str],
) -> dict[str, Any]:
    m = len(days)
    out: dict[str, Any] = {
        "copper_shock": np.full(m, "unknown" if names else "not_applicable", dtype=object),
        "copper_series": np.full(m, "", dtype=object),
        **{
            name: np.full(m, np.nan)
            for name in (
                *("copper_shock_probability", "copper_change", "copper_z", "copper_implied_sigma"),
                *("copper_link", "copper_link_low", "copper_link_high", "copper_link_z", "copper_link_error"),
            )
        },
        "copper_n": np.zeros(m, dtype=np.int64),
        "copper_last": np.full(m, np.datetime64("NaT", "ns")),
        "copper_note": reasons(m, CannotTell("no_copper") if names else ""),
    }
    chosen = np.zeros(m, dtype=bool)
    for name in names:
        if name not in paths.copper:
            continue
        known, path = paths.copper[name]
        count = lengths[name]
        age = _age(known, count, days, calendar)
        usable = (count > policy.copper.warmup_obs + policy.copper.move_obs) & (age <= policy.max_age_business_days)
        pick = ~chosen & usable
        stale = ~chosen & ~usable & (count > 0)
        out["copper_note"][stale] = CannotTell("series_short_or_stopped", series=name)
        if pick.any():
            _fill_copper(out, pick, name, known, path, count)
        chosen |= pick
    return out


def _fill_copper(
    out: dict[str, Any], pick: npt.NDArray[np.bool_], name: str, known: Known, path: CopperPath, count: Ints
) -> None:
    at = count[pick] - 1
    unknown = ~np.isfinite(path.z[at]) | ~np.isfinite(path.implied_sigma[at])
    out["copper_shock"][pick] = _state(path.held.on[at], unknown)
    out["copper_series"][pick] = name
    out["copper_shock_probability"][pick] = path.probability[at]
    out["copper_change"][pick] = np.expm1(path.change[at])
    out["copper_z"][pick] = path.z[at]
    out["copper_implied_sigma"][pick] = path.implied_sigma[at]
    where = path.place[at] - 2
    rho, z, error = (_at(column, where) for column in (path.link.correlation, path.link.z, path.link.z_error))
    out["copper_link"][pick], out["copper_link_z"][pick], out["copper_link_error"][pick] = rho, z, error
    ends = [interval(*item) for item in zip(rho.tolist(), z.tolist(), error.tolist(), strict=True)]
    out["copper_link_low"][pick] = [low for low, _ in ends]
    out["copper_link_high"][pick] = [high for _, high in ends]
    out["copper_n"][pick] = count[pick]
    out["copper_last"][pick] = known.dates[at].astype("datetime64[ns]")
    note = reasons(len(at))
    note[unknown] = CannotTell("few_common_days")
    out["copper_note"][pick] = note


def _events(days: Dates, policy: RegimePolicy, central_bank: bool) -> dict[str, Any]:
    m = len(days)
    if not central_bank:
        return {
            "bcch_meeting": np.full(m, "not_applicable", dtype=object),
            "meeting_date": np.full(m, np.datetime64("NaT", "ns")),
            "days_to_meeting": np.full(m, np.nan),
            "intervention": np.full(m, "not_applicable", dtype=object),
            "programme_date": np.full(m, np.datetime64("NaT", "ns")),
        }
    events = policy.events
    meetings = meetings_on(days, lead=events.meeting_lead_business_days, reach_days=events.calendar_reach_days)
    programmes = programmes_on(days)
    return {
        "bcch_meeting": _state(meetings.state == ON, meetings.state == UNKNOWN),
        "meeting_date": meetings.announcement.astype("datetime64[ns]"),
        "days_to_meeting": meetings.days_to,
        "intervention": _state(programmes.state == ON, np.zeros(m, dtype=bool)),
        "programme_date": programmes.announcement.astype("datetime64[ns]"),
    }


def _risk(
    paths: Paths, lengths: Mapping[str, Ints], days: Dates, policy: RegimePolicy, calendar: BusinessCalendar
) -> dict[str, Any]:
    total, count = np.zeros(len(days)), np.zeros(len(days), dtype=np.int64)
    for name, sign in policy.risk.signs.items():
        if name not in paths.gauges:
            continue
        known, z = paths.gauges[name]
        value = _at(z, lengths[name] - 1)
        usable = np.isfinite(value) & (_age(known, lengths[name], days, calendar) <= policy.max_age_business_days)
        total = total + np.where(usable, sign * value, 0.0)
        count = count + usable
    enough = count >= policy.risk.min_inputs
    # Independent inputs would make the sum's spread sqrt(count); they are not, so the score is a plain mean.
    score = np.where(enough, total / np.maximum(count, 1), np.nan)
    limit = policy.risk.threshold_sigma
    label = np.where(
        ~enough, "unknown", np.where(score >= limit, "risk_on", np.where(score <= -limit, "risk_off", "neutral"))
    )
    return {"risk": label.astype(object), "risk_score": score, "risk_inputs": count}


def _label(frame: pd.DataFrame) -> tuple[npt.NDArray[np.object_], Floats]:
    columns = {INTERVENTION: "intervention", COPPER_SHOCK: "copper_shock", HIGH_VOL: "high_vol"}
    columns[BCCH_MEETING] = "bcch_meeting"
    fired = {name: (frame[column] == "fired").to_numpy() for name, column in columns.items()}
    probability = {
        INTERVENTION: np.ones(len(frame)),
        COPPER_SHOCK: frame["copper_shock_probability"].to_numpy(float),
        HIGH_VOL: frame["high_vol_probability"].to_numpy(float),
        BCCH_MEETING: np.ones(len(frame)),
    }
    unknown = np.logical_or.reduce(
        [(frame[columns[name]] == "unknown").to_numpy() for name in (HIGH_VOL, COPPER_SHOCK)]
    )
    doubt = np.nanmax(np.column_stack([probability[HIGH_VOL], probability[COPPER_SHOCK], np.zeros(len(frame))]), axis=1)
    label = np.where(unknown & (frame["high_vol"] == "unknown").to_numpy(), UNKNOWN_REGIME, NORMAL).astype(object)
    chance = np.where(label == UNKNOWN_REGIME, np.nan, 1.0 - doubt)
    for name in reversed(PRECEDENCE):
        label[fired[name]] = name
        chance = np.where(fired[name], probability[name], chance)
    return label, chance


def _state(on: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    return _STATES[np.where(unknown, 0, np.where(on, 2, 1))]


def _at(values: Any, at: Ints) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return np.full(len(at), np.nan)
    return np.where(at >= 0, numbers[np.maximum(at, 0)], np.nan)


def _dates_at(known: Known, lengths: Ints) -> Dates:
    if not len(known):
        return np.full(len(lengths), np.datetime64("NaT", "ns"))
    dates = known.dates[np.maximum(lengths, 1) - 1]
    return np.where(lengths > 0, dates, np.datetime64("NaT", "D")).astype("datetime64[ns]")


def regime_day(frame: pd.DataFrame, day: dt.date) -> pd.Series[Any]:
    """Return the row of one day."""
    row: pd.Series[Any] = frame.loc[frame["as_of"] == np.datetime64(day, "ns")].iloc[0]
    return row
