"""Learn weights, gates and corrections from the panel, walked forward: pure functions from histories to tables.

Members forecast from weekly origins of every pair of the panel. At the start of each month the gates look at what has
matured in the ten years before; each January, and whenever a gate has moved, the weights are learned again from all
that has matured. Losses are in units of the random walk's sigma, so that pairs weigh alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forex_assets.arrays import Dates, Day, Floats, Ints, as_day
from forex_assets.errors import DataError
from forex_assets.forecasting.carry import log_carry
from forex_assets.forecasting.ensemble.artefacts import CORRECTIONS, WEIGHTS, EnsembleFit
from forex_assets.forecasting.ensemble.calibration import (
    CalibrationConfig,
    Errors,
    learn_corrections,
    ratio_and_z,
    tenors_between,
)
from forex_assets.forecasting.ensemble.conditions import Rows, conditions_at
from forex_assets.forecasting.ensemble.gate import Evidence, GateConfig, State, decide_gate
from forex_assets.forecasting.ensemble.members import (
    MEMBER_FAILURES,
    MEMBERS,
    VARIANT_PARAMETERS,
    WATCHED,
    on_carry,
    prior_shares,
    told,
)
from forex_assets.forecasting.ensemble.weights import WeightConfig, admitted, best_mean, crps, shrunk
from forex_assets.forecasting.origins import make_origins
from forex_assets.forecasting.panel.artefacts import PLAIN, VARIANTS
from forex_assets.forecasting.panel.features import NOMINAL_STEPS, Market
from forex_assets.forecasting.prediction import Predictor, min_history
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import YARDSTICK, ModelChoice
from forex_assets.levels import QUANTILE_LEVELS

TENOR_DAYS = {5: 7, 11: 15, 21: 30, 63: 90}
_LOW_80, _HIGH_80 = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
_WIDTH_80_SIGMA = 2.5631031310892007


@dataclass(frozen=True)
class EnsembleConfig:
    """Choices of the ensemble, made on data to 2017 (docs/forecast-engine.md)."""

    members: tuple[str, ...] = MEMBERS
    watched: tuple[str, ...] = WATCHED
    """Models whose gate is kept though they are not in the mean."""
    start: str = "2003-01-06"
    """First origin."""
    first_month: str = "2005-01-01"
    every: int = 5
    """Business days between origins."""
    gate_years: int = 10
    min_rows: int = 500
    weights: WeightConfig = field(default_factory=WeightConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)


@dataclass(frozen=True)
class Sample:
    """Matured forecasts of one tenor and variant, all pairs, in units of the random walk's sigma.

    Attributes
    ----------
    day, matured:
        Shape (n,).
    outcome:
        Log return to the outcome, shape (n,).
    quantiles, centre:
        Of each model's log return, (n, k, 13) and log of its mean (n, k).
    yardstick:
        Quantiles of the random walk, (n, 13).
    conditions:
        Name → rows.
    failed:
        Model → why it has no forecasts; its columns are NaN.
    """

    day: Dates
    matured: Dates
    outcome: Floats
    quantiles: Floats
    centre: Floats
    yardstick: Floats
    conditions: Mapping[str, Rows]
    failed: Mapping[str, str]


def learn_ensemble(
    histories: Mapping[str, PriceHistory],
    *,
    through: Day,
    config: EnsembleConfig | None = None,
    events: Mapping[str, Dates] | None = None,
) -> EnsembleFit:
    """Learn every month's rows with the pooled fits in force (:func:`forex_assets.forecasting.panel.artefacts.using`).

    Parameters
    ----------
    histories:
        Price history of each pair; where they bring the market drivers along, both variants are learned.
    through:
        Last day a row may become valid on.
    config:
        Choices; default: those made on data to 2017.
    events:
        Scheduled events a correction may depend on (:func:`.conditions.conditions_at`).

    Raises
    ------
    DataError
        When there is no pair, or nothing has matured.
    """
    config = config or EnsembleConfig()
    if not histories:
        raise DataError("An ensemble needs at least one price history.", remedy="pass the panel's histories.")
    weights: list[dict[str, Any]] = []
    corrections: list[dict[str, Any]] = []
    market = all(Market.of(history.drivers) is not None for history in histories.values())
    for steps in NOMINAL_STEPS:
        predictors: dict[str, Predictor] = {}  # both variants share what does not differ between them
        for variant in VARIANTS if market else (PLAIN,):
            sample = gather(histories, steps, variant, as_day(through), config, events or {}, predictors)
            if sample is None:
                continue
            rows, by_month = _weight_rows(sample, variant, steps, as_day(through), config)
            weights += rows
            corrections += _correction_rows(sample, by_month, variant, steps, as_day(through), config)
    if not weights:
        raise DataError(
            f"No weights can be learned by {as_day(through)}: fewer than {config.min_rows} forecasts have matured.",
            remedy="use longer histories, more pairs, or a later day.",
        )
    import pandas as pd

    return EnsembleFit(
        pd.DataFrame(weights, columns=list(WEIGHTS.column_names)),
        pd.DataFrame(corrections, columns=list(CORRECTIONS.column_names)) if corrections else CORRECTIONS.empty(),
        events,
    )


def gather(
    histories: Mapping[str, PriceHistory],
    steps: int,
    variant: str,
    through: np.datetime64,
    config: EnsembleConfig,
    events: Mapping[str, Dates],
    predictors: dict[str, Predictor] | None = None,
) -> Sample | None:
    """Return the matured forecasts of all models from weekly origins of all pairs, or None where there are none.

    ``predictors`` by pair hold what was computed for the same tenor before, and take up what is new.
    """
    predictors = {} if predictors is None else predictors
    models = (*config.members, *config.watched)
    parts: list[tuple[Any, ...]] = []
    conditions: list[dict[str, Rows]] = []
    failed: dict[str, str] = {}
    for pair, history in histories.items():
        first = max(as_day(config.start), history.event_date[0])
        days = history.calendar.sessions(first, through)[:: config.every] if first <= through else first[None][:0]
        needed = min_history([ModelChoice(name) for name in (YARDSTICK, *models)])
        origins = make_origins(history, days, TENOR_DAYS[steps], min_values=needed, unusable="drop")
        if not len(origins):
            continue
        predictor = predictors.setdefault(pair, Predictor(history, origins, origins.steps[:, None]))
        last = np.log(origins.last_value)
        base = np.log(predictor.paths(ModelChoice(YARDSTICK)).quantiles[:, 0]) - last[:, None]
        sigma = (base[:, _HIGH_80] - base[:, _LOW_80]) / _WIDTH_80_SIGMA
        carry = log_carry(history, origins, origins.steps[:, None])
        quantiles = np.full((len(origins), len(models), len(QUANTILE_LEVELS)), np.nan)
        centre = np.full((len(origins), len(models)), np.nan)
        for i, name in enumerate(models):
            if name in failed:
                continue
            try:
                paths = predictor.paths(ModelChoice(name, VARIANT_PARAMETERS[variant].get(name, {})))
            except MEMBER_FAILURES as error:
                failed[name] = f"failed on {pair}: {told(error)}"
                continue
            paths = on_carry(paths, name, carry)
            quantiles[:, i] = (np.log(paths.quantiles[:, 0]) - last[:, None]) / sigma[:, None]
            centre[:, i] = (np.log(paths.mean[:, 0]) - last) / sigma
        actual, matured = history.outcomes(origins.target_date, through)
        done = np.isfinite(actual)
        outcome = (np.log(np.where(done, actual, 1.0)) - last) / sigma
        held = conditions_at(origins, events)
        parts.append(
            tuple(item[done] for item in (origins.as_of, matured, outcome, quantiles, centre, base / sigma[:, None]))
        )
        conditions.append({name: rows[done] for name, rows in held.items()})
    if not parts or not sum(len(part[0]) for part in parts):
        return None
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((columns[0], columns[1]))
    joined = {name: np.concatenate([part[name] for part in conditions])[order] for name in conditions[0]}
    sorted_columns: list[Any] = [column[order] for column in columns]
    day, matured, outcome, quantiles, centre, yardstick = sorted_columns
    return Sample(day, matured, outcome, quantiles, centre, yardstick, joined, failed)


def _weight_rows(
    sample: Sample, variant: str, steps: int, through: np.datetime64, config: EnsembleConfig
) -> tuple[list[dict[str, Any]], tuple[Dates, Floats]]:
    """Return the rows of ``panel_weights`` of one tenor, and the members' weights by month."""
    models = (*config.members, *config.watched)
    k = len(config.members)
    horizon = TENOR_DAYS[steps]
    dates = _by_date(sample, len(models))
    months = np.arange(as_day(config.first_month).astype("datetime64[M]"), through.astype("datetime64[M]") + 1).astype(
        "datetime64[D]"
    )
    state: dict[str, State] = {name: "open" if name in config.members else "shut" for name in models}
    held: tuple[Any, ...] | None = None
    weights = np.full(k, 1.0 / k)
    rows: list[dict[str, Any]] = []
    kept: list[np.datetime64] = []
    by_month: list[Floats] = []
    for month in months:
        cut = int(np.searchsorted(sample.matured, month, side="left"))
        if cut < config.min_rows:
            continue
        evidence = {name: dates.evidence(i, month, horizon, config.gate_years) for i, name in enumerate(models)}
        reasons = {}
        for name in models:
            if name in sample.failed:
                state[name], reasons[name] = "shut", sample.failed[name]
                continue
            verdict = decide_gate(state[name], evidence[name][0], config.gate)
            state[name], reasons[name] = verdict.state, verdict.reason
        admitted_now = np.array([state[name] == "open" for name in config.members])
        if not admitted_now.any():
            admitted_now = np.array([name not in sample.failed for name in config.members])
            reasons |= {
                name: f"{reasons[name]}; serves since every gate is shut"
                for name in config.members
                if name not in sample.failed
            }
        mark = (month.astype("datetime64[Y]"), tuple(admitted_now))
        if mark != held:
            chosen = np.flatnonzero(admitted_now)
            tenors = tenors_between(sample.day[:cut], horizon)
            prior = prior_shares([config.members[i] for i in chosen])
            best = best_mean(sample.quantiles[:cut][:, chosen], sample.outcome[:cut], prior, config.weights)
            weights = np.zeros(k)
            weights[chosen] = shrunk(best, tenors, prior, config.weights)
            weights = _rounded(admitted(weights, admitted_now))
            held = mark
        kept.append(month)
        by_month.append(weights)
        for i, name in enumerate(models):
            found, n = evidence[name]
            rows.append(
                {
                    "valid_from": month,
                    "learned_through": sample.matured[cut - 1],
                    "variant": variant,
                    "steps": steps,
                    "member": name,
                    "weight": float(weights[i]) if i < k else 0.0,
                    "gate": state[name],
                    "reason": reasons[name],
                    "crps_ratio": round(found.crps_ratio, 5) if found else 1.0,
                    "crps_z": round(found.crps_z, 2) if found else 0.0,
                    "theils_u": round(found.theils_u, 5) if found else 1.0,
                    "u_z": round(found.u_z, 2) if found else 0.0,
                    "n": n,
                    "n_effective": round(found.tenors, 1) if found else 0.0,
                }
            )
    return rows, (np.array(kept, dtype="datetime64[D]"), np.array(by_month).reshape(len(kept), k))


def _rounded(weights: Floats) -> Floats:
    """Return weights to four decimals that still add up to 1: the largest takes the rest."""
    out = np.round(weights, 4)
    largest = int(np.argmax(out))
    out[largest] = round(1.0 - float(np.delete(out, largest).sum()), 4)
    return np.asarray(out)


@dataclass(frozen=True)
class _Dates:
    """Losses summed by origin date over pairs; a date has matured when its last pair has."""

    day: Dates
    matured: Dates
    count: Ints
    crps_excess: Floats
    crps_base: Floats
    square_excess: Floats
    square_base: Floats

    def evidence(self, model: int, month: np.datetime64, horizon: int, years: int) -> tuple[Evidence | None, int]:
        """Return the evidence of what matured in the years before a month, and the forecasts behind it."""
        since = (month.astype("datetime64[M]") - 12 * years).astype("datetime64[D]")
        rows = np.flatnonzero((self.matured < month) & (self.matured >= since))
        if not len(rows) or not np.isfinite(self.crps_excess[rows, model]).all():
            return None, 0
        day = self.day[rows]
        ratio, z = ratio_and_z(self.crps_excess[rows, model], self.crps_base[rows], day, horizon)
        squared, u_z = ratio_and_z(self.square_excess[rows, model], self.square_base[rows], day, horizon)
        tenors = tenors_between(day, horizon)
        bounded = float(np.clip(z, -99.0, 99.0)), float(np.clip(u_z, -99.0, 99.0))
        found = Evidence(ratio, bounded[0], float(np.sqrt(max(squared, 0.0))), bounded[1], tenors)
        return found, int(self.count[rows].sum())


def _by_date(sample: Sample, models: int) -> _Dates:
    day, place, count = np.unique(sample.day, return_inverse=True, return_counts=True)
    matured = np.full(len(day), sample.matured[0])
    np.maximum.at(matured, place, sample.matured)
    base = crps(sample.outcome, sample.yardstick)
    square = sample.outcome**2
    crps_excess, square_excess = np.full((len(day), models), np.nan), np.full((len(day), models), np.nan)
    for i in range(models):
        if not np.isfinite(sample.quantiles[:, i]).all():
            continue
        crps_excess[:, i] = np.bincount(place, crps(sample.outcome, sample.quantiles[:, i]) - base)
        square_excess[:, i] = np.bincount(place, (sample.outcome - sample.centre[:, i]) ** 2 - square)
    sums: list[Floats] = [np.bincount(place, base).astype(float), np.bincount(place, square).astype(float)]
    return _Dates(day, matured, count, crps_excess, sums[0], square_excess, sums[1])


def _correction_rows(
    sample: Sample,
    by_month: tuple[Dates, Floats],
    variant: str,
    steps: int,
    through: np.datetime64,
    config: EnsembleConfig,
) -> list[dict[str, Any]]:
    """Return the rows of ``panel_corrections`` of one tenor: of the mean as it would have been."""
    months, weights = by_month
    if not len(months):
        return []
    row = np.searchsorted(months, sample.day, side="right") - 1
    said = np.flatnonzero(row >= 0)
    quantiles = np.einsum(
        "nk,nkl->nl", weights[row[said]], np.nan_to_num(sample.quantiles[said][:, : len(config.members)])
    )
    conditions = {name: rows[said] for name, rows in sample.conditions.items() if rows.mean() < 0.95}
    errors = Errors.of(
        sample.day[said], sample.matured[said], np.exp(sample.outcome[said]), np.exp(quantiles), conditions
    )
    starts = np.arange(months[0].astype("datetime64[Y]") + 1, through.astype("datetime64[Y]") + 1).astype(
        "datetime64[D]"
    )
    found = learn_corrections(errors, starts, TENOR_DAYS[steps], config.calibration)
    return [
        {
            "valid_from": item.valid_from,
            "learned_through": item.learned_through,
            "variant": variant,
            "steps": steps,
            "condition": item.condition,
            "factor_lower": item.lower,
            "factor_upper": item.upper,
            "used": item.used,
            "reason": item.reason,
            "score_ratio": round(item.score_ratio, 5),
            "score_z": round(float(np.clip(item.score_z, -99.0, 99.0)), 2),
            "n": item.n,
            "n_effective": item.n_effective,
            **item.shares,
        }
        for item in found
    ]


__all__ = ["EnsembleConfig", "Sample", "gather", "learn_ensemble"]
