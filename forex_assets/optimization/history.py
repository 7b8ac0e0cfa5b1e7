"""``forex optimize backtest``: losses of a fixed set of configurations over real years, and the loop on them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from forex_assets.errors import DataError, ForexError, ValidationError
from forex_assets.forecasting.models.blend import BASES
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import YARDSTICK, ModelChoice, get_model
from forex_assets.lifecycle.history import Matrix, Replay, Rules, replay_history
from forex_assets.lifecycle.search.objective import Evaluator, Losses, paired
from forex_assets.pipeline import Pipeline, utc_now

START = "champion_zero"
STARTS = (START, YARDSTICK)
DEFAULT_FROM = dt.date(2015, 1, 1)
_PATTERNS: tuple[tuple[str, ...], ...] = (
    *((base,) for base in BASES),
    ("rw_ewma", "loghar"),
    ("rw_ewma", "gjr_t"),
    ("loghar", "gjr_t"),
    ("loghar", "rw_blend"),
    ("rw_empirical", "rw_ewma"),
    ("garch_t", "gjr_t"),
    ("rw_ewma", "loghar", "gjr_t"),
    BASES,
)
_WIDTHS = ((1.0, 1.0), (0.92, 0.92), (1.08, 1.08), (1.0, 1.12))
_DECAYS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)


def configurations(begin_with: str = START) -> tuple[ModelChoice, ...]:
    """Return the fixed set: what the years begin with, then blends, decays and heterogeneous autoregressions.

    Raises
    ------
    ValidationError
        When the years cannot begin with that.
    """
    if begin_with not in STARTS:
        raise ValidationError(f"The years cannot begin with {begin_with!r}.", remedy=f"use one of {', '.join(STARTS)}.")

    def blend(bases: tuple[str, ...], lower: float, upper: float) -> ModelChoice:
        weights = {f"weight_{base}": float(base in bases) for base in BASES}
        return ModelChoice("blend", MappingProxyType({**weights, "width_lower": lower, "width_upper": upper}))

    return (
        ModelChoice(begin_with),
        *(ModelChoice(name) for name in (START,) if name != begin_with),
        *(blend(bases, *widths) for bases, widths in itertools.product(_PATTERNS, _WIDTHS)),
        *(ModelChoice("rw_ewma", MappingProxyType({"decay": decay})) for decay in _DECAYS),
        *(
            ModelChoice("loghar", MappingProxyType({"vix": vix, "centre": centre}))
            for vix, centre in itertools.product(("auto", "never"), ("carry", "last"))
        ),
    )


def backtest_loop(
    pipeline: Pipeline,
    pair_id: str,
    horizon: str,
    *,
    start: dt.date = DEFAULT_FROM,
    end: dt.date | None = None,
    begin_with: str = START,
    told: Callable[[str], None] = lambda text: None,
) -> Replay:
    """Replay the loop on a pair's own history, and where the gate asks for it on the panel's.

    Parameters
    ----------
    start:
        First origin that is scored.
    end:
        Last day that is known; default: the newest with data.
    begin_with:
        Model in use when the years begin; ``random_walk`` plants a weak one, as a control.

    Raises
    ------
    DataError
        When the history is too short.
    """
    end = end or pipeline.default_as_of(pair_id, now=utc_now())
    (bars,) = pipeline.bars(pair_id, [end]).values()
    history = pipeline.history(pair_id, bars)
    matrix = _matrix(pipeline, history, horizon, np.datetime64(end, "D"), begin_with, told)
    days = history.calendar.sessions(history.event_date[0], np.datetime64(end, "D"))
    told(
        f"{pair_id} {horizon}: {len(matrix.choices)} configurations x {len(matrix.walk)} origins; replaying the months"
    )
    return replay_history(matrix, rules_of(pipeline, horizon), days=days, first=np.datetime64(start, "D"))


def rules_of(pipeline: Pipeline, horizon: str) -> Rules:
    """Return the rules of a pipeline's settings for a horizon.

    Raises
    ------
    DataError
        When the monitors have no limits for the horizon.
    """
    settings = pipeline.settings
    limits = settings.recommended.performance.horizons.get(horizon)
    if limits is None:
        raise DataError(
            f"The monitors have no limits for the horizon {horizon}.",
            remedy="add it to configs/profiles/recommended.yaml.",
        )
    return Rules(
        settings.optimization,
        settings.deployment.probation.statistical.model_dump(mode="json"),
        limits.window_forecasts,
        limits.skill_excess_share,
    )


def _matrix(
    pipeline: Pipeline,
    history: PriceHistory,
    horizon: str,
    end: np.datetime64,
    begin_with: str,
    told: Callable[[str], None],
) -> Matrix:
    choices = configurations(begin_with)
    needed = max(get_model(name).capabilities.min_history for name in {choice.model for choice in choices})
    if len(history) <= needed:
        raise DataError(
            f"{history.pair} has {len(history)} values; the configurations need more than {needed}.",
            remedy="use a source with a longer history.",
        )
    told(f"{history.pair} {horizon}: losses of {len(choices)} configurations")
    evaluator = _evaluator(pipeline, history, horizon, end, every=1)
    walk, *losses = paired([evaluator.yardstick(), *(evaluator.losses(choice) for choice in choices)])
    return Matrix(
        choices, tuple(losses), walk, pipeline.settings.horizons[horizon], _panel(pipeline, history, horizon, end)
    )


def _evaluator(pipeline: Pipeline, history: PriceHistory, horizon: str, end: np.datetime64, *, every: int) -> Evaluator:
    first = history.event_date[get_model("blend").capabilities.min_history]
    return Evaluator(
        history,
        horizon_days=pipeline.settings.horizons[horizon],
        days=history.calendar.sessions(first, end)[::every],
        as_of=end,
        max_age=pipeline.settings.platform.forecast.max_last_value_age_business_days,
        seed=pipeline.settings.optimization.search.seed,
    )


def _panel(pipeline: Pipeline, own: PriceHistory, horizon: str, end: np.datetime64) -> Any:
    """Return what gives a configuration's losses on the panel's other pairs; computed when the gate asks."""
    from forex_assets.forecasting.panel.prices import CURRENCIES, ecb_price_history, pair_id
    from forex_assets.optimization.gate import EVERY, MIN_PAIRS

    evaluators: dict[str, Evaluator] = {}

    def losses(choice: ModelChoice) -> list[tuple[str, Losses]]:
        if not evaluators:
            for currency in CURRENCIES:
                if pair_id(currency) == own.pair:
                    continue
                history = ecb_price_history(currency, end.astype(object))
                evaluators[history.pair] = _evaluator(pipeline, history, horizon, end, every=EVERY)
        found = []
        for name, evaluator in evaluators.items():
            try:
                found.append((name, evaluator.losses(choice)))
            except ForexError:  # says nothing for either side; too few pairs are no panel
                continue
        if len(found) < MIN_PAIRS:
            raise DataError(
                f"{len(found)} pairs of the panel can be evaluated; {MIN_PAIRS} are needed.",
                remedy="see `forex data coverage`.",
            )
        return found

    return losses
