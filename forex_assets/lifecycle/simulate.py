"""Error rates of the whole loop: how often it deploys when there is nothing to find, and when there is something.

Worlds with planted truth go through the real search, selection and gate. Every configuration forecasts the outcome's
true distribution blurred by a slowly moving error of its own, of a size that sets its expected CRPS; in the null world
all sizes are the same, in a planted one the incumbent's is larger, so that the others are better by a known share.
Outcomes are sums of Student t(5) moves over the tenor, from overlapping origins; pairs of a panel share a factor.
Beside it stands the classic rule: the best of 27 by RMSE on the last 30 days, judged on those same days (K06).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from forex_assets.arrays import Floats
from forex_assets.errors import ValidationError
from forex_assets.evaluation.inference import clopper_pearson
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle import gate, gate_classic
from forex_assets.lifecycle.search.engines import Problem, run_engine
from forex_assets.lifecycle.search.objective import Losses, Objective
from forex_assets.lifecycle.search.periods import lay_periods
from forex_assets.lifecycle.search.space import Space
from forex_assets.settings.optimization import OptimizationSettings

STEPS = MappingProxyType({7: 5, 15: 11, 30: 21, 90: 63})
BASE_BLUR = 0.04
"""Variance of a configuration's own error, in units of the outcome's."""
BLUR_HALF_LIFE_DAYS = 20
FACTOR_SHARE = 0.35
"""Share of the outcomes' variance that pairs of a panel have in common (ECB crosses against the dollar: about that)."""
PANEL_PAIRS = 20
CONFIGURATIONS = 27
SECOND_OPENING_DAYS = 60
_START = np.datetime64("2000-01-03")


@dataclass(frozen=True)
class Rate:
    """A share of simulated worlds with its exact 95% interval."""

    hits: int
    n: int

    @property
    def share(self) -> float:
        """The share."""
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson, 95%."""
        low, high = clopper_pearson(self.share, self.n)
        return float(low), float(high)

    def row(self) -> dict[str, float]:
        """Return the rate as plain values."""
        low, high = self.interval
        return {"share": self.share, "low": low, "high": high, "n": self.n}


@dataclass(frozen=True)
class Simulated:
    """What happened in the worlds of one horizon and planted improvement.

    Attributes
    ----------
    proposed:
        Worlds in which the search proposed something at the first opening.
    first, within_two:
        Promoted at the first opening, and within the first two.
    per_opening:
        Promotions per gate opening.
    classic:
        Worlds in which the first criterion of the classic rule (RMSE 5% lower) is met on its one window.
    classic_gate:
        Worlds in which its five criteria are met there, so that it promotes.
    """

    horizon_days: int
    improvement: float
    proposed: Rate
    first: Rate
    within_two: Rate
    per_opening: Rate
    classic: Rate
    classic_gate: Rate

    def row(self) -> dict[str, Any]:
        """Return everything as plain values."""
        names = ("proposed", "first", "within_two", "per_opening", "classic", "classic_gate")
        rates = {name: getattr(self, name).row() for name in names}
        return {"horizon_days": self.horizon_days, "improvement": self.improvement, **rates}


def simulate_loop(
    settings: OptimizationSettings, *, horizon_days: int, improvement: float, worlds: int, seed: int
) -> Simulated:
    """Run the loop in simulated worlds.

    Parameters
    ----------
    settings:
        Periods, origins, gate.
    horizon_days:
        7, 15, 30 or 90.
    improvement:
        Share by which every challenger's expected CRPS is below the incumbent's; 0: nothing to find.
    worlds:
        Independent worlds.

    Raises
    ------
    ValidationError
        When the horizon is unknown or the improvement no share.
    """
    if horizon_days not in STEPS:
        raise ValidationError(f"Horizon {horizon_days} is not simulated.", remedy=f"use one of {list(STEPS)}.")
    if not 0.0 <= improvement < 0.5:
        raise ValidationError(
            f"improvement={improvement!r} is no share in [0, 0.5).", remedy="use 0.05 for 5% lower CRPS."
        )
    counts = np.zeros(6, dtype=int)
    openings = 0
    for number in range(worlds):
        proposed, promoted, classic = _world(
            settings, horizon_days, improvement, np.random.default_rng([seed, horizon_days, number])
        )
        openings += len(promoted)
        counts += [proposed, bool(promoted[:1] == [True]), any(promoted), sum(promoted), *classic]
    return Simulated(
        horizon_days,
        improvement,
        proposed=Rate(int(counts[0]), worlds),
        first=Rate(int(counts[1]), worlds),
        within_two=Rate(int(counts[2]), worlds),
        per_opening=Rate(int(counts[3]), openings),
        classic=Rate(int(counts[4]), worlds),
        classic_gate=Rate(int(counts[5]), worlds),
    )


def _world(
    settings: OptimizationSettings, horizon_days: int, improvement: float, rng: np.random.Generator
) -> tuple[bool, list[bool], tuple[bool, bool]]:
    """Return whether something was proposed, what each opening decided, and what the classic rule would have done."""
    world = _World(settings, horizon_days, improvement, rng)
    promoted: list[bool] = []
    proposed_first = False
    for opening, shift in enumerate((0, SECOND_OPENING_DAYS), start=1):
        winner = world.search(shift)
        if opening == 1:
            proposed_first = winner is not None
        if winner is None:
            continue
        promoted.append(world.judge(winner, shift, len(promoted) + 1))
        if promoted[-1]:
            break
    return proposed_first, promoted, world.classic()


class _World:
    """Losses of the incumbent (configuration 0) and its challengers, own pair first, then the panel."""

    def __init__(
        self, settings: OptimizationSettings, horizon_days: int, improvement: float, rng: np.random.Generator
    ) -> None:
        self.settings, self.horizon_days, self.steps = settings, horizon_days, STEPS[horizon_days]
        self.rng = rng
        search, spare = settings.search, settings.gate.period_days + settings.search.selection_days
        calendar_days = round(search.history_years * 365.25) + spare + 4 * horizon_days + 2 * SECOND_OPENING_DAYS
        self.days = _START + np.arange(calendar_days)
        self.days = self.days[np.is_busday(self.days)]
        self.origins = np.arange(0, len(self.days) - self.steps, 1)
        blur = (1.0 + BASE_BLUR) / (1.0 - improvement) ** 2 - 1.0
        self.blur = np.r_[blur, np.full(CONFIGURATIONS, BASE_BLUR)]
        self.factor = self._moves()
        self.own = self._pair(CONFIGURATIONS + 1)
        self.panel: list[dict[int, Losses]] = []

    def _moves(self) -> Floats:
        moves = self.rng.standard_t(5, size=len(self.days)) / math.sqrt(5 / 3)
        total = np.r_[0.0, np.cumsum(moves)]
        out: Floats = (total[self.origins + self.steps] - total[self.origins]) / math.sqrt(self.steps)
        return out

    def _pair(self, configurations: int, which: Sequence[int] | None = None) -> dict[int, Losses]:
        outcome = math.sqrt(FACTOR_SHARE) * self.factor + math.sqrt(1 - FACTOR_SHARE) * self._moves()
        names = list(range(configurations)) if which is None else list(which)
        return {name: self._losses(outcome, float(self.blur[name])) for name in names}

    def _losses(self, outcome: Floats, variance: float) -> Losses:
        decay = 0.5 ** (1.0 / BLUR_HALF_LIFE_DAYS)
        shocks = self.rng.standard_normal(len(outcome)) * math.sqrt(1 - decay**2)
        shocks[0] /= math.sqrt(1 - decay**2)
        from scipy.signal import lfilter

        mean = math.sqrt(variance) * lfilter([1.0], [1.0, -decay], shocks)
        scale = math.sqrt(1.0 + variance)
        z = (outcome - mean) / scale
        size = np.abs(z)
        crps = scale * (z * (2 * _normal_cdf(z) - 1) + 2 * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))
        crps = crps - scale / math.sqrt(math.pi)
        wide = 2 * 1.959964 * scale
        return Losses(
            origins=self.days[self.origins],
            matured=self.days[self.origins + self.steps],
            crps=crps,
            interval_score=wide + 40.0 * scale * np.maximum(size - 1.959964, 0.0),
            covered_80=(size <= 1.281552).astype(float),
            covered_95=(size <= 1.959964).astype(float),
            below_95=(z < -1.959964).astype(float),
            above_95=(z > 1.959964).astype(float),
            error_sigma=-z,
            error=mean - outcome,
            actual=100.0 + outcome,
            steps=self.steps,
        )

    def _end(self, shift: int) -> np.datetime64:
        return np.datetime64(self.days[len(self.days) - 1 - SECOND_OPENING_DAYS + shift])

    def search(self, shift: int) -> int | None:
        """Return the configuration the real search proposes, None when it keeps the incumbent."""
        settings, end = self.settings, self._end(shift)
        periods = lay_periods(
            end,
            first_day=self.days[0],
            horizon_days=self.horizon_days,
            gate_days=settings.gate.period_days,
            selection_days=settings.search.selection_days,
            history_years=settings.search.history_years,
        )
        every = settings.search.origin_every_business_days
        known = np.arange(len(self.origins)) % every == 0
        evaluator = _Known({name: part.rows(known) for name, part in self.own.items()}, periods.gate_start)
        points = tuple(ModelChoice(str(name)) for name in range(1, CONFIGURATIONS + 1))
        problem = Problem(
            evaluator,  # type: ignore[arg-type]
            periods,
            Objective(settings.search.calibration_penalty),
            ModelChoice("0"),
        )
        space = Space("classic", {}, points)
        found = run_engine(problem, space, trials=len(points), seed=0, finalists=settings.search.finalists)
        return int(found.winner.choice.model) if found.winner else None

    def judge(self, winner: int, shift: int, opening: int) -> bool:
        """Return what the real gate decides, on this pair and where it asks for it on the panel."""
        policy = self.settings.gate.model_dump(mode="json")
        end = self._end(shift)
        start = end - np.timedelta64(self.settings.gate.period_days, "D")
        pooled = self.horizon_days >= policy["pool_from_horizon_days"]

        def pairing(part: Mapping[int, Losses]) -> gate.Pairing:
            seen = (part[winner].origins >= start) & (part[winner].matured <= end)
            seen &= np.arange(len(seen)) % 5 == 0
            return "simulated", part[winner].rows(seen), part[0].rows(seen)

        panel = None
        if pooled:
            others = [self._pair(0, (0, winner)) for _ in range(PANEL_PAIRS)]
            panel = gate.measure([pairing(self.own), *map(pairing, others)])
        known = {
            "own": gate.measure([pairing(self.own)]),
            "panel": panel,
            "horizon_days": self.horizon_days,
            "opening": opening,
            "first": False,
            "latency_s": {"candidate": 0.1, "incumbent": 0.1},
        }
        return bool(gate.decide_gate(known, policy)["approved"])

    def classic(self) -> tuple[bool, bool]:
        """Return what the classic rule says of the best of 27 by RMSE on the last 30 days, on those same days.

        First whether it looks 5% better (A10, A14), then whether all five criteria are met (A14 to A19).
        """
        end = self._end(0)
        part = self.own[0]
        # One origin: the path of the last 30 days, as the classic backtest has it.
        seen = (part.matured > end - np.timedelta64(30, "D")) & (part.matured <= end)
        rmse = {name: math.sqrt(float((item.error[seen] ** 2).mean())) for name, item in self.own.items()}
        best = min((value, name) for name, value in rmse.items() if name > 0)
        alike = {"candidate": 1.0, "incumbent": 1.0}
        known = gate_classic.measure_classic(self.own[best[1]].rows(seen), part.rows(seen), alike)
        approved = gate_classic.decide_gate_classic({**known, "forced": True}, {})["approved"]
        return best[0] <= (1.0 - gate_classic.MIN_RMSE_GAIN) * rmse[0], bool(approved)


class _Known:
    """Losses that are there already, as the search asks for them."""

    def __init__(self, losses: Mapping[int, Losses], as_of: np.datetime64) -> None:
        self._losses = losses
        self.as_of = as_of

    def losses(self, choice: ModelChoice) -> Losses:
        return self._losses[int(choice.model)]

    def yardstick(self) -> Losses:
        return self._losses[0]


def _normal_cdf(z: Floats) -> Floats:
    from scipy.special import ndtr

    out: Floats = ndtr(z)
    return out
