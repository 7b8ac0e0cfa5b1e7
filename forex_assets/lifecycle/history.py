"""The whole loop over years that have passed: what it would have decided each month, and whether it was worth it.

Losses of a fixed set of configurations at every origin are given; nothing is forecast here. At each month's end the
trigger, the search with its selection, the gate and statistical probation decide from losses that had matured by then,
and what is in use afterwards is scored on later origins, beside the configuration the years began with.

The rules are the life cycle's own functions. Not replayed: the drift rule, the technical canary and latency (the past
has no such measurements). Probation looks at month ends, in life every day.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forex_assets.arrays import Dates, Floats
from forex_assets.errors import DataError, ValidationError
from forex_assets.evaluation.inference import Interval, ratio_intervals, share_interval
from forex_assets.evaluation.overlap import origin_spacing
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle import gate
from forex_assets.lifecycle.comparison import panel_rows
from forex_assets.lifecycle.probation import decide_statistical
from forex_assets.lifecycle.search.engines import Problem, run_engine
from forex_assets.lifecycle.search.objective import Losses, Objective
from forex_assets.lifecycle.search.periods import Periods, lay_periods
from forex_assets.lifecycle.search.space import Space, key_of
from forex_assets.lifecycle.trigger import decide_retraining
from forex_assets.settings.optimization import OptimizationSettings

#: Largest shares of the history that the gate's and the selection's period may take where it is short.
GATE_SHARE, SELECTION_SHARE = 0.40, 0.10
#: Neither was measured in the past; equal, so that speed decides nothing.
_LATENCY = {"candidate": 0.0, "incumbent": 0.0}
_DAY = np.timedelta64(1, "D")

PanelLosses = Callable[[ModelChoice], Sequence[tuple[str, Losses]]]


@dataclass(frozen=True)
class Rules:
    """Everything that decides: settings of trigger, search and gate, of probation, and the monitor's rule on skill.

    Attributes
    ----------
    skill_window:
        Matured forecasts the performance rule looks at.
    skill_excess_share:
        It fires when their mean CRPS is this share above the random walk's.
    """

    optimization: OptimizationSettings
    probation: Mapping[str, Any]
    skill_window: int
    skill_excess_share: float


@dataclass(frozen=True)
class Matrix:
    """Losses of every configuration at the same origins, one each business day; the first is what the years begin with.

    Attributes
    ----------
    choices, losses:
        Configurations, and the losses of each.
    walk:
        Losses of the random walk at the same origins.
    horizon_days:
        Tenor in calendar days.
    panel:
        Losses of one configuration on other pairs, by pair id; None: there is no panel, and where it must judge the
        gate says unknown.
    """

    choices: tuple[ModelChoice, ...]
    losses: tuple[Losses, ...]
    walk: Losses
    horizon_days: int
    panel: PanelLosses | None = None

    def __post_init__(self) -> None:
        if not self.choices or len(self.choices) != len(self.losses):
            raise ValidationError(
                f"{len(self.choices)} configurations have {len(self.losses)} rows of losses.",
                remedy="give one for each.",
            )
        if any(not np.array_equal(part.origins, self.walk.origins) for part in self.losses):
            raise ValidationError(
                "The configurations were not evaluated at the same origins.", remedy="pair their losses first."
            )


@dataclass(frozen=True)
class Month:
    """What one month's end decided.

    Attributes
    ----------
    day:
        Last business day of the month.
    asking:
        Rules of the trigger that asked for a search.
    searched, opened:
        Whether there was a search, and whether the gate was opened.
    action:
        ``kept``, ``promoted``, ``rejected`` (at the gate), ``rolled back``, ``confirmed`` or ``too short`` (a history).
    in_use:
        Configuration after it.
    reasons:
        Why.
    """

    day: np.datetime64
    asking: tuple[str, ...]
    searched: bool
    opened: bool
    action: str
    in_use: ModelChoice
    reasons: tuple[str, ...]
    shortened: bool = False

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "day": str(self.day),
            "asking": list(self.asking),
            "searched": self.searched,
            "opened": self.opened,
            "action": self.action,
            "in_use": key_of(self.in_use),
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class Replay:
    """Every month of the years, and how the loop did against what they began with.

    Attributes
    ----------
    crps, interval_score:
        Loss of what the loop had in use over that of the first configuration, same targets.
    coverage_80, coverage_95:
        Of the loop; ``start_coverage_80`` and ``start_coverage_95`` of the first configuration.
    hindsight:
        The configuration with the lowest CRPS of all in these very years, and its ratio: what nobody could know.
    """

    horizon_days: int
    configurations: int
    months: tuple[Month, ...]
    first: np.datetime64
    last: np.datetime64
    crps: Interval
    interval_score: Interval
    crps_of_walk: float
    start_crps_of_walk: float
    coverage_80: Interval
    coverage_95: Interval
    start_coverage_80: Interval
    start_coverage_95: Interval
    hindsight: tuple[ModelChoice, float]

    @property
    def counts(self) -> dict[str, int]:
        """How often each thing happened."""
        actions = Counter(month.action for month in self.months)
        return {
            "months": len(self.months),
            "triggers": sum(bool(month.asking) for month in self.months),
            "searches": sum(month.searched for month in self.months),
            "openings": sum(month.opened for month in self.months),
            "promotions": actions["promoted"],
            "confirmations": actions["confirmed"],
            "rollbacks": actions["rolled back"],
            "months_with_shortened_periods": sum(month.shortened for month in self.months),
        }

    def row(self) -> dict[str, Any]:
        """Return everything as plain values."""
        names = ("crps", "interval_score", "coverage_80", "coverage_95", "start_coverage_80", "start_coverage_95")
        return {
            "horizon_days": self.horizon_days,
            "configurations": self.configurations,
            "first_origin": str(self.first),
            "last_origin": str(self.last),
            **self.counts,
            **{name: _interval_row(getattr(self, name)) for name in names},
            "crps_of_walk": self.crps_of_walk,
            "start_crps_of_walk": self.start_crps_of_walk,
            "hindsight": {"configuration": key_of(self.hindsight[0]), "crps": self.hindsight[1]},
            "decisions": [month.row() for month in self.months],
        }


@dataclass
class _State:
    """What is in use while the months pass."""

    current: int = 0
    previous: int = 0
    since: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT"))
    on_probation: bool = False
    ever_deployed: bool = False
    searches: list[dict[str, Any]] = field(default_factory=list)
    openings: list[str] = field(default_factory=list)


def replay_history(matrix: Matrix, rules: Rules, *, days: Dates, first: np.datetime64) -> Replay:
    """Go through the loop at each month's end from ``first`` on.

    Parameters
    ----------
    days:
        Business days up to the end of the years, in order; origins are among them.
    first:
        First origin that is scored; the first decision is made at the end of the month before.

    Raises
    ------
    DataError
        When no origin from ``first`` on has matured.
    """
    scored = matrix.walk.origins >= first
    if not scored.any():
        raise DataError(
            f"No target of a forecast from {first} on has matured.", remedy="start earlier (--from YYYY-MM-DD)."
        )
    state, months = _State(), []
    in_use = np.zeros(len(matrix.walk), dtype=np.int64)
    for day in month_ends(days[days >= first - np.timedelta64(40, "D")]):
        if day >= days[-1]:
            break
        months.append(_month(matrix, rules, state, days, day))
        in_use[matrix.walk.origins > day] = state.current
    return _score(matrix, tuple(months), in_use, scored)


def month_ends(days: Dates) -> Dates:
    """Return the last of the days of each month; the last month counts only when it is over."""
    months = days.astype("datetime64[M]")
    out: Dates = days[:-1][months[1:] != months[:-1]]
    return out


def _month(matrix: Matrix, rules: Rules, state: _State, days: Dates, day: np.datetime64) -> Month:
    """Decide at the end of one day, and move what is in use."""
    if state.on_probation and (seen := _probation(matrix, rules, state, day)):
        return seen
    decided = decide_retraining(
        _facts(matrix, rules, state, days, day), rules.optimization.trigger.model_dump(mode="json")
    )
    asking, reasons = tuple(decided["asking"]), tuple(decided["reasons"])
    current = matrix.choices[state.current]
    if not decided["should_optimize"]:
        return Month(day, asking, False, False, "kept", current, reasons)
    try:
        periods, shortened = _periods(matrix, rules.optimization, day)
    except DataError as error:
        return Month(day, asking, False, False, "too short", current, (error.message,))
    found = run_engine(
        Problem(
            _Known(matrix, rules.optimization.search.origin_every_business_days, periods.gate_start),  # type: ignore[arg-type]
            periods,
            Objective(rules.optimization.search.calibration_penalty),
            current,
        ),
        Space("classic", {}, matrix.choices),
        trials=len(matrix.choices),
        seed=0,
        finalists=rules.optimization.search.finalists,
    )
    asked = {"day": str(day), "rules": list(asking), "result": "rejected"}
    state.searches.append(asked)
    if found.winner is None:
        return Month(day, asking, True, False, "kept", current, found.reasons, shortened)
    winner = matrix.choices.index(found.winner.choice)
    outcome = _gate(matrix, rules, state, winner, periods, day)
    state.openings.append(str(day))
    why = (*found.reasons, *outcome["reasons"])
    if not outcome["approved"]:
        return Month(day, asking, True, True, "rejected", current, why, shortened)
    asked["result"] = "promoted"
    state.previous, state.current, state.since = state.current, winner, day
    state.on_probation = state.ever_deployed = True
    return Month(day, asking, True, True, "promoted", matrix.choices[winner], why, shortened)


def _probation(matrix: Matrix, rules: Rules, state: _State, day: np.datetime64) -> Month | None:
    """Return the month in which probation ended, None while it goes on."""
    new, old = matrix.losses[state.current], matrix.losses[state.previous]
    seen = (new.origins > state.since) & (new.matured <= day)
    rows = [
        [str(when), float(a), float(b), not c, not d]
        for when, a, b, c, d in zip(
            new.origins[seen], new.crps[seen], old.crps[seen], new.covered_95[seen], old.covered_95[seen], strict=True
        )
    ]
    panel = _panel_rows(matrix, rules, state, day)
    known = {
        "losses": rows,
        "overlap": new.steps,
        "days": int((day - state.since) / _DAY),
        "maturity_days": matrix.horizon_days,
        "panel": panel,
        "panel_overlap": math.ceil(new.steps / origin_spacing(np.array([row[0] for row in panel], "datetime64[D]")))
        if len(panel) > 1
        else 1,
    }
    outcome = decide_statistical(known, rules.probation)
    if outcome["state"] == "undecided":
        return None
    state.on_probation = False
    action = "confirmed"
    if outcome["state"] == "failed":
        action = "rolled back"
        state.current = state.previous
    return Month(day, (), False, False, action, matrix.choices[state.current], tuple(outcome["reasons"]))


def _panel_rows(matrix: Matrix, rules: Rules, state: _State, day: np.datetime64) -> list[list[Any]]:
    """Return how the version on probation and the one before it did on the panel; nothing where the gate asked none."""
    if matrix.panel is None or matrix.horizon_days < rules.optimization.gate.pool_from_horizon_days:
        return []
    mine, theirs = (dict(matrix.panel(matrix.choices[which])) for which in (state.current, state.previous))

    def seen(part: Losses) -> Losses:
        return part.rows((part.origins > state.since) & (part.matured <= day))

    return panel_rows([(seen(mine[name]), seen(theirs[name])) for name in sorted(mine.keys() & theirs.keys())])


def _facts(matrix: Matrix, rules: Rules, state: _State, days: Dates, day: np.datetime64) -> dict[str, Any]:
    """Return what the trigger is given: the performance rule's findings of the last days, searches and openings."""
    confirm = rules.optimization.trigger.confirm_days
    return {
        "today": str(day),
        "findings": [_finding(matrix, rules, state.current, when) for when in days[days <= day][-confirm:]],
        "searches": state.searches,
        "openings": state.openings,
        "on_probation": state.on_probation,
        "running": False,
        "tuned_for": "the same" if state.ever_deployed else None,
        "settings_hash": "the same",
    }


def _finding(matrix: Matrix, rules: Rules, current: int, day: np.datetime64) -> dict[str, Any]:
    mine, walk = matrix.losses[current], matrix.walk
    known = np.flatnonzero(walk.matured <= day)[-rules.skill_window :]
    state, reason = "unknown", f"{len(known)} of the {rules.skill_window} matured forecasts it needs"
    if len(known) == rules.skill_window:
        excess = float(mine.crps[known].mean() / walk.crps[known].mean() - 1.0)
        state = "fired" if excess > rules.skill_excess_share else "clear"
        reason = f"CRPS {excess:+.1%} beside the random walk's, limit {rules.skill_excess_share:+.1%}"
    return {
        "monitor": "performance",
        "rule": "skill",
        "subject": f"{matrix.horizon_days}d",
        "day": str(day),
        "state": state,
        "severity": "high" if state == "fired" else "info",
        "reason": reason,
    }


def _periods(matrix: Matrix, settings: OptimizationSettings, day: np.datetime64) -> tuple[Periods, bool]:
    """Return search, selection and gate period before a day, and whether the history made them shorter than set."""
    first = matrix.walk.origins[0]
    have = int((day - first) / _DAY)
    wanted = (settings.gate.period_days, settings.search.selection_days)
    used = (min(wanted[0], round(GATE_SHARE * have)), min(wanted[1], round(SELECTION_SHARE * have)))
    periods = lay_periods(
        day,
        first_day=first,
        horizon_days=matrix.horizon_days,
        gate_days=used[0],
        selection_days=used[1],
        history_years=settings.search.history_years,
    )
    rows = int(periods.search(matrix.walk.origins, matrix.walk.matured).sum())
    every, needed = settings.search.origin_every_business_days, settings.search.min_origins
    if rows // every < needed:
        raise DataError(
            f"{rows // every} origins are left for the search on {day}, {needed} are needed.",
            remedy="begin later, where the history before is longer.",
        )
    return periods, used != wanted


def _gate(
    matrix: Matrix, rules: Rules, state: _State, winner: int, periods: Periods, day: np.datetime64
) -> dict[str, Any]:
    """Open the gate for a configuration, on losses that had matured by ``day``."""
    policy = rules.optimization.gate.model_dump(mode="json")
    first = not state.ever_deployed
    every = rules.optimization.search.origin_every_business_days

    def own(which: int) -> Losses:
        part = matrix.losses[which]
        seen = periods.gate(part.origins, part.matured)
        seen &= np.arange(len(part)) % every == 0
        return part.rows(seen)

    pairing = ("own", own(winner), own(state.current))
    panel = None
    if matrix.panel is not None and (first or matrix.horizon_days >= policy["pool_from_horizon_days"]):
        mine, theirs = (dict(matrix.panel(matrix.choices[which])) for which in (winner, state.current))
        others = [gate_rows(name, mine[name], theirs[name], periods) for name in sorted(mine.keys() & theirs.keys())]
        panel = gate.measure([pairing, *others])
    spent = [item for item in state.openings if (day - np.datetime64(item)) / _DAY < 365]
    known = {
        "own": gate.measure([pairing]),
        "panel": panel,
        "horizon_days": matrix.horizon_days,
        "opening": 1 + len(spent),
        "first": first,
        "latency_s": _LATENCY,
    }
    return gate.decide_gate(known, policy)


def gate_rows(name: str, mine: Losses, theirs: Losses, periods: Periods) -> gate.Pairing:
    """Return a pair's losses of candidate and incumbent on the gate's period, as the gate measures them."""
    return (
        name,
        mine.rows(periods.gate(mine.origins, mine.matured)),
        theirs.rows(periods.gate(theirs.origins, theirs.matured)),
    )


class _Known:
    """Losses that are there already, at the search's origins and as the search asks for them."""

    def __init__(self, matrix: Matrix, every: int, as_of: np.datetime64) -> None:
        keep = np.arange(len(matrix.walk)) % every == 0
        # Outcomes of the gate's period do not exist for a search.
        keep &= matrix.walk.matured < as_of
        self._keep, self._walk = keep, matrix.walk.rows(keep)
        self._losses = {key_of(choice): part for choice, part in zip(matrix.choices, matrix.losses, strict=True)}
        self.as_of = as_of

    def losses(self, choice: ModelChoice) -> Losses:
        return self._losses[key_of(choice)].rows(self._keep)

    def yardstick(self) -> Losses:
        return self._walk


def _score(matrix: Matrix, months: tuple[Month, ...], in_use: Any, scored: Any) -> Replay:
    """Compare what was in use with the first configuration on every matured target."""
    at = np.flatnonzero(scored)
    used, start, walk = in_use[scored], matrix.losses[0].rows(scored), matrix.walk.rows(scored)

    def realised(name: str) -> Floats:
        out: Floats = np.stack([getattr(part, name) for part in matrix.losses])[used, at]
        return out

    crps, wide = realised("crps"), realised("interval_score")
    block = float(start.steps)
    ratios = ratio_intervals(
        np.stack([crps, wide], 1), np.stack([start.crps, start.interval_score], 1), start.origins, block
    )
    means = [float(part.crps[scored].mean()) for part in matrix.losses]
    best = int(np.argmin(means))

    def covered(hits: Floats) -> Interval:
        return share_interval(hits, block, start.origins)

    return Replay(
        horizon_days=matrix.horizon_days,
        configurations=len(matrix.choices),
        months=months,
        first=start.origins[0],
        last=start.origins[-1],
        crps=ratios[0],
        interval_score=ratios[1],
        crps_of_walk=float(crps.mean() / walk.crps.mean()),
        start_crps_of_walk=float(start.crps.mean() / walk.crps.mean()),
        coverage_80=covered(realised("covered_80")),
        coverage_95=covered(realised("covered_95")),
        start_coverage_80=covered(start.covered_80),
        start_coverage_95=covered(start.covered_95),
        hindsight=(matrix.choices[best], means[best] / means[0]),
    )


def _interval_row(interval: Interval) -> dict[str, float | None]:
    row = {name: float(value) for name, value in interval._asdict().items()}
    return {name: value if np.isfinite(value) else None for name, value in row.items()}
