"""From frames to what a report says, before any language: only rows known at ``as_of``, with the verdicts applied."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import pandas as pd

from forex_assets.clock import AsOf
from forex_assets.reporting.inputs import ReportInputs

State = Literal["good", "bad", "unknown"]

YARDSTICK = "random_walk"
LIVE_WINDOW = "live_60"
WINDOWS = (LIVE_WINDOW, "backtest_1y", "backtest_5y", "backtest_all")
PARTS = ("coverage", "bias")
RECENT_OUTCOMES = 60
NEWEST_QUARANTINED = 12
DEFAULT_MAX_AGE_BUSINESS_DAYS = 3


@dataclass(frozen=True)
class Reason:
    """Why a verdict is not good: a measured value outside its tolerance, or the words stored with the slice."""

    kind: Literal["coverage", "bias", "stored"]
    window: str = ""
    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    text: str = ""


@dataclass(frozen=True)
class Judgement:
    """Verdict on one horizon's deployed forecasts.

    ``state`` is bad as soon as one part is bad; ``basis`` names the newest windows that make a good one.
    """

    state: State
    coverage: State
    bias: State
    reasons: tuple[Reason, ...] = ()
    basis: tuple[str, ...] = ()


@dataclass(frozen=True)
class WindowView:
    """Scores over one window: the deployed model, the random walk, and every other model (PERFORMANCE_REPORT rows)."""

    window: str
    active: Any | None
    yardstick: Any | None
    others: tuple[Any, ...]


@dataclass(frozen=True)
class HorizonView:
    """Everything a report says about one horizon. ``active`` is None where there is no forecast to show."""

    name: str
    days: int
    issued: bool
    withheld: bool
    active: Any | None
    yardstick: Any | None
    path: pd.DataFrame
    judgement: Judgement
    windows: tuple[WindowView, ...]
    outcomes: pd.DataFrame
    pending: int
    widths: pd.DataFrame
    calibration: Any | None

    @property
    def live(self) -> WindowView | None:
        """Scores of the forecasts this platform made itself."""
        return next((window for window in self.windows if window.window == LIVE_WINDOW), None)


@dataclass(frozen=True)
class SourceView:
    """One series: the sources that answered, and the others with their reasons (SOURCE_STATUS rows)."""

    series: str
    answered: tuple[Any, ...]
    others: tuple[Any, ...]


@dataclass(frozen=True)
class ReportView:
    """The content of a report."""

    inputs: ReportInputs
    last: Any | None
    previous: Any | None
    history: pd.DataFrame
    age_business_days: int | None
    max_age_business_days: int
    horizons: tuple[HorizonView, ...]
    sources: tuple[SourceView, ...]
    asked_at: pd.Timestamp | None
    drivers: tuple[Any, ...]
    quarantined: int
    quarantine_rules: tuple[tuple[str, str, int], ...]
    quarantine_newest: tuple[Any, ...]
    issued_last_week: int

    @property
    def shown(self) -> tuple[HorizonView, ...]:
        """The horizons whose forecast may be shown."""
        return tuple(horizon for horizon in self.horizons if horizon.active is not None)

    @property
    def longest(self) -> HorizonView | None:
        """The longest horizon whose forecast may be shown: its path makes the fan."""
        return self.shown[-1] if self.shown else None

    @property
    def price_decimals(self) -> int:
        """Decimals of the pair's prices: two from 100 up (USD/CLP), four below (EUR/USD)."""
        reference = self.last.value if self.last is not None else next(iter(self.shown), None)
        value = getattr(getattr(reference, "active", None), "last_value", reference)
        return 4 if isinstance(value, (int, float)) and value < 100 else 2

    @property
    def stale(self) -> bool:
        """True when the last value is older than its series allows."""
        return self.age_business_days is not None and self.age_business_days > self.max_age_business_days


def build_view(inputs: ReportInputs) -> ReportView:
    """Return the content of the report on ``inputs``; rows known only after ``as_of`` are left out."""
    known_until = pd.Timestamp(AsOf.parse(inputs.as_of).instant)
    day = pd.Timestamp(inputs.as_of)
    history = _history(inputs.bars, known_until)
    last = _row(history, -1)
    forecast = inputs.forecast[inputs.forecast["as_of"] <= day]
    evaluation = inputs.evaluation[inputs.evaluation["matured_on"] <= day]
    performance = inputs.performance[inputs.performance["as_of"] <= day]
    calibration = inputs.calibration[inputs.calibration["valid_from"] <= day]
    horizons = tuple(
        _horizon(inputs, name, days, forecast, evaluation, performance, calibration)
        for name, days in inputs.horizons.items()
    )
    quarantine = _known_quarantine(inputs.quarantine, known_until)
    spec = inputs.series.get(inputs.pair.target.series)
    statuses = inputs.source_status
    week = forecast[
        (forecast["as_of"] > day - pd.Timedelta(days=7)) & forecast["is_target"] & forecast["is_active"]
    ].drop_duplicates(["as_of", "horizon"])
    return ReportView(
        inputs=inputs,
        last=last,
        previous=_row(history, -2),
        history=history,
        age_business_days=None if last is None else _weekdays_between(last.event_date, day),
        max_age_business_days=DEFAULT_MAX_AGE_BUSINESS_DAYS if spec is None else spec.max_age_business_days,
        horizons=horizons,
        sources=_sources(statuses, inputs),
        asked_at=statuses["asked_at"].max() if len(statuses) else None,
        drivers=_drivers(inputs, day),
        quarantined=len(quarantine),
        quarantine_rules=_rule_counts(quarantine),
        quarantine_newest=tuple(
            records(quarantine.sort_values("event_time", ascending=False).head(NEWEST_QUARANTINED))
        ),
        issued_last_week=len(week),
    )


def judge(rows: Sequence[Any], stored: Any | None = None) -> Judgement:
    """Return the verdict on a horizon from the deployed model's PERFORMANCE_REPORT rows and the slice's own verdict.

    One bad window makes the part bad; good needs a window that says so; everything else is unknown.
    """
    coverage, bias = (_worst([getattr(row, f"{part}_state") for row in rows]) for part in PARTS)
    reasons = [
        Reason("coverage", row.window, row.coverage_95, row.coverage_95_low, row.coverage_95_high)
        for row in rows
        if row.coverage_state == "bad"
    ]
    reasons += [
        Reason("bias", row.window, row.bias_sigma, row.bias_sigma_low, row.bias_sigma_high)
        for row in rows
        if row.bias_state == "bad"
    ]
    states: list[State] = [coverage, bias]
    if stored is not None:
        states.append(known_state(stored.state))
        if stored.state == "bad":
            reasons += [Reason("stored", text=text) for text in stored.reasons]
    state: State = "bad" if "bad" in states else "unknown" if "unknown" in states else "good"
    return Judgement(state, coverage, bias, tuple(reasons), _basis(rows) if state == "good" else ())


def _basis(rows: Sequence[Any]) -> tuple[str, ...]:
    """Return the newest window in which both parts are good, or else the newest of each."""
    good = {part: [row.window for row in rows if getattr(row, f"{part}_state") == "good"] for part in PARTS}
    shared = next((row.window for row in rows if all(row.window in good[part] for part in PARTS)), None)
    return (shared,) if shared else tuple(windows[0] for windows in good.values() if windows)


def records(frame: pd.DataFrame) -> list[Any]:
    """Return the rows with their columns as attributes, much faster than ``itertuples`` for few rows."""
    names = [str(name) for name in frame.columns]
    values = zip(*(frame[name].tolist() for name in names), strict=True)
    return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in values]


def known_state(state: object) -> State:
    """Return a state as written, or unknown for anything that is neither good nor bad."""
    return "good" if state == "good" else "bad" if state == "bad" else "unknown"


def _worst(states: Sequence[str]) -> State:
    if "bad" in states:
        return "bad"
    return "good" if "good" in states else "unknown"


def _horizon(
    inputs: ReportInputs,
    name: str,
    days: int,
    forecast: pd.DataFrame,
    evaluation: pd.DataFrame,
    performance: pd.DataFrame,
    calibration: pd.DataFrame,
) -> HorizonView:
    day = pd.Timestamp(inputs.as_of)
    own = forecast[forecast["horizon"] == days]
    targets = own[own["is_target"] & own["is_active"]].sort_values("as_of")
    today = own[own["as_of"] == day]
    path = today[today["is_active"]].sort_values("step")
    active = _row(path[path["is_target"]], -1)
    yardstick = _row(today[today["is_target"] & (today["model"] == YARDSTICK) & ~today["is_active"]], -1)
    outcomes = evaluation[(evaluation["horizon"] == days) & evaluation["is_active"]].sort_values(
        ["target_date", "as_of"]
    )
    windows = _windows(performance[performance["horizon"] == days])
    judgement = judge([w.active for w in windows if w.active is not None], inputs.verdicts.get(days))
    withheld = judgement.state == "bad"
    scored = outcomes["as_of"].max() if len(outcomes) else pd.NaT
    learned = calibration[calibration["horizon"] == days]
    if active is not None:
        learned = learned[(learned["model"] == active.model) & (learned["condition"] == "all")]
    return HorizonView(
        name=name,
        days=days,
        issued=active is not None,
        withheld=withheld,
        active=None if withheld else active,
        yardstick=None if withheld else yardstick,
        path=path.iloc[:0] if withheld else path,
        judgement=judgement,
        windows=windows,
        outcomes=outcomes.tail(RECENT_OUTCOMES),
        pending=int(((targets["target_date"] > day) & ~(targets["as_of"] <= scored)).sum()),
        widths=_widths(outcomes, targets[targets["as_of"] < day] if withheld else targets),
        calibration=_row(learned.sort_values("valid_from"), -1),
    )


def _windows(rows: pd.DataFrame) -> tuple[WindowView, ...]:
    if rows.empty:
        return ()
    newest = rows[rows["as_of"] == rows["as_of"].max()]
    names = [str(name) for name in newest["window"].unique()]
    ordered = [name for name in WINDOWS if name in names] + sorted(set(names) - set(WINDOWS))
    views = []
    for name in ordered:
        rows_of = sorted(records(newest[newest["window"] == name]), key=lambda row: str(row.model))
        active = next((row for row in rows_of if row.is_active), None)
        yardstick = next((row for row in rows_of if row.model == YARDSTICK), None)
        others = tuple(row for row in rows_of if row is not active and row is not yardstick)
        views.append(WindowView(name, active, yardstick, others))
    return tuple(views)


def _widths(outcomes: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    parts = pd.concat(
        [
            pd.DataFrame({"as_of": outcomes["as_of"], "width": outcomes["width_95"] / outcomes["last_value"]}),
            pd.DataFrame(
                {"as_of": targets["as_of"], "width": (targets["q975"] - targets["q025"]) / targets["last_value"]}
            ),
        ]
    )
    return parts.drop_duplicates("as_of", keep="last").sort_values("as_of", ignore_index=True)


def _history(bars: pd.DataFrame, known_until: pd.Timestamp) -> pd.DataFrame:
    withdrawn = bars["withdrawn_at"].notna() & (bars["withdrawn_at"] <= known_until)
    known = bars[(bars["available_at"] <= known_until) & ~withdrawn]
    newest = known.sort_values(["event_date", "available_at"]).drop_duplicates("event_date", keep="last")
    return newest.reset_index(drop=True)


def _known_quarantine(rows: pd.DataFrame, known_until: pd.Timestamp) -> pd.DataFrame:
    return rows[(rows["available_at"] <= known_until) & (rows["withdrawn_at"] <= known_until)]


def _rule_counts(quarantine: pd.DataFrame) -> tuple[tuple[str, str, int], ...]:
    pairs = zip(quarantine["series"].astype(str), quarantine["rule"].fillna("").astype(str), strict=True)
    return tuple((series, rule, count) for (series, rule), count in sorted(Counter(pairs).items()))


def _sources(rows: pd.DataFrame, inputs: ReportInputs) -> tuple[SourceView, ...]:
    rows = rows.sort_values(["series", "rank"])
    order = [name for name in inputs.pair.all_series if (rows["series"] == name).any()]
    order += sorted({str(name) for name in rows["series"]} - set(order))
    views = []
    for name in order:
        of_series = records(rows[rows["series"] == name])
        views.append(
            SourceView(
                name,
                tuple(row for row in of_series if row.state == "answered"),
                tuple(row for row in of_series if row.state != "answered"),
            )
        )
    return tuple(views)


def _drivers(inputs: ReportInputs, day: pd.Timestamp) -> tuple[Any, ...]:
    rows = {str(row.series): row for row in records(inputs.drivers[inputs.drivers["as_of"] == day])}
    order = [name for name in inputs.pair.drivers if name in rows]
    return tuple(rows[name] for name in [*order, *sorted(set(rows) - set(order))])


def _row(frame: pd.DataFrame, position: int) -> Any | None:
    if len(frame) < (position + 1 if position >= 0 else -position):
        return None
    return records(frame.iloc[[position]])[0]


def _weekdays_between(earlier: pd.Timestamp, later: pd.Timestamp) -> int:
    """Weekdays after ``earlier`` up to ``later``; zero when ``earlier`` is not before it."""
    days = pd.bdate_range(earlier.date() + dt.timedelta(days=1), later.date())
    return len(days)
