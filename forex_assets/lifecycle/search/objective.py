"""Losses of configurations on the same origins, computed together and kept by content hash; what a search ranks."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from forex_assets.arrays import Dates, Floats, as_day
from forex_assets.errors import DataError
from forex_assets.evaluation.scores import score_rows
from forex_assets.forecasting.backtest import backtest
from forex_assets.forecasting.contract import OriginRandom, QuantilePaths
from forex_assets.forecasting.models import blend
from forex_assets.forecasting.origins import Origins, make_origins
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import YARDSTICK, ModelChoice, get_model, resolve_parameters
from forex_assets.levels import QUANTILE_COLUMNS
from forex_assets.lifecycle.canonical import digest
from forex_assets.store.files import write_file


@dataclass(frozen=True, eq=False)
class Losses:
    """Scores of one configuration, one row per matured origin.

    Attributes
    ----------
    origins, matured:
        Shape (n,).
    crps, interval_score:
        In percent of the last value, so that pairs can be pooled; shape (n,).
    covered_80, covered_95, below_95, above_95:
        1 or 0, shape (n,).
    error_sigma:
        Mean minus outcome in the forecast's own sigma, shape (n,).
    error:
        Mean minus outcome in price units, shape (n,); ``actual`` the outcome.
    steps:
        Business days one error spans at most.
    """

    origins: Dates
    matured: Dates
    crps: Floats
    interval_score: Floats
    covered_80: Floats
    covered_95: Floats
    below_95: Floats
    above_95: Floats
    error_sigma: Floats
    error: Floats
    actual: Floats
    steps: int

    def rows(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Losses:
        """Return the losses of some origins."""
        parts = {f.name: getattr(self, f.name)[keep] for f in fields(self) if f.name != "steps"}
        return Losses(**parts, steps=self.steps)

    def __len__(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class Objective:
    """What the search ranks: CRPS over the random walk's, plus a penalty for coverage that is off either way.

    ``mean absolute coverage error`` is the mean of |coverage − nominal| of the 80 and 95% intervals. ``latency`` has a
    price of its own, 0 by default.
    """

    calibration_penalty: float
    latency_penalty_per_s: float = 0.0

    def value(self, losses: Losses, yardstick: Losses, latency_s: float = 0.0) -> float:
        """Return the objective, lower is better; infinite without rows."""
        if not len(losses):
            return float("inf")
        ratio = float(losses.crps.mean() / yardstick.crps.mean())
        off = (abs(losses.covered_80.mean() - 0.80) + abs(losses.covered_95.mean() - 0.95)) / 2.0
        return ratio + self.calibration_penalty * float(off) + self.latency_penalty_per_s * latency_s


class Evaluator:
    """Losses of any configuration of one pair and horizon at the same origins.

    Parameters
    ----------
    history:
        What was known when.
    horizon_days:
        Tenor in calendar days.
    days:
        Forecast days, shape (m,).
    as_of:
        Outcomes known by the end of this day count.
    max_age:
        Largest number of business days from the last value to an origin.
    seed:
        Platform seed: every configuration sees the same random numbers (K20).
    cache:
        Folder where losses are kept by content hash; None: in memory only.
    data_hash:
        What the history is made of; part of the hash.
    warm_up_years:
        How long before the first day a model that learns from its own past errors starts.
    """

    def __init__(
        self,
        history: PriceHistory,
        *,
        horizon_days: int,
        days: Dates,
        as_of: np.datetime64,
        max_age: int = 10,
        seed: int = 0,
        cache: Path | None = None,
        data_hash: str = "",
        warm_up_years: int = 4,
    ) -> None:
        if not len(days):
            raise DataError("There are no origins to evaluate at.", remedy="use a longer history or a later as_of.")
        self.history = history
        self.horizon_days = horizon_days
        self.days = np.asarray(days, dtype="datetime64[D]")
        self.as_of = as_day(as_of)
        self.max_age = max_age
        self.seed = seed
        self._cache = cache
        self._data_hash = data_hash
        self._warm_up = np.timedelta64(round(365.25 * warm_up_years), "D")
        self._memory: dict[str, Losses] = {}
        self._bases: dict[str, QuantilePaths] = {}
        self._common: tuple[Origins, Floats, Dates] | None = None

    def key(self, choice: ModelChoice) -> str:
        """Return the content hash of a configuration's losses: everything that decides them."""
        model = get_model(choice.model)
        return digest(
            {
                "model": choice.model,
                "parameters": resolve_parameters(model, choice.parameters),
                "pair": self.history.pair,
                "horizon": self.horizon_days,
                "data": self._data_hash,
                "days": digest([str(day) for day in self.days]),
                "as_of": str(self.as_of),
                "seed": self.seed,
                "max_age": self.max_age,
            }
        )

    def losses(self, choice: ModelChoice) -> Losses:
        """Return the losses of a configuration.

        Raises
        ------
        ForexError
            When the model refuses the configuration or the data.
        """
        key = self.key(choice)
        if key not in self._memory:
            self._memory[key] = self._stored(key) or self._kept(key, self._compute(choice))
        return self._memory[key]

    def yardstick(self) -> Losses:
        """Return the losses of the random walk."""
        return self.losses(ModelChoice(YARDSTICK))

    # ---- computing ---------------------------------------------------------------------------------------------

    def _compute(self, choice: ModelChoice) -> Losses:
        if choice.model == blend.Blend.name:
            return self._blend(choice)
        model = get_model(choice.model)
        learns = model.capabilities.calibrated or bool(model.capabilities.bases)
        start = self.days[0] - self._warm_up if learns else self.days[0]
        done = backtest(
            self.history,
            horizon_days=self.horizon_days,
            models=[choice],
            start=max(start, self.history.event_date[0]),
            end=self.days[-1],
            every=1 if learns or len(self.days) < 2 else self._spacing(),
            as_of=self.as_of,
            max_age=self.max_age,
            seed=self.seed,
        ).rows
        days = done["as_of"].to_numpy().astype("datetime64[D]")
        rows = done.loc[np.isin(days, self.days) & done["actual"].notna().to_numpy()]
        return score_losses(
            rows["as_of"].to_numpy().astype("datetime64[D]"),
            rows["matured_on"].to_numpy().astype("datetime64[D]"),
            rows["mean"].to_numpy(float),
            rows[list(QUANTILE_COLUMNS)].to_numpy(float),
            rows["actual"].to_numpy(float),
            rows["last_value"].to_numpy(float),
            int(rows["steps"].max()) if len(rows) else 1,
        )

    def _spacing(self) -> int:
        """Return the sessions between consecutive days when that walks exactly over them, else 1."""
        every = int(self.history.calendar.count(self.days[:1], self.days[1:2])[0])
        walked = self.history.calendar.sessions(self.days[0], self.days[-1])[::every]
        return every if len(walked) == len(self.days) and bool((walked == self.days).all()) else 1

    def _blend(self, choice: ModelChoice) -> Losses:
        params = resolve_parameters(get_model(choice.model), choice.parameters)
        if self._common is None:
            origins = make_origins(
                self.history,
                self.days,
                self.horizon_days,
                self.max_age,
                min_values=get_model(choice.model).capabilities.min_history,
                unusable="drop",
            )
            actual, matured = self.history.outcomes(origins.target_date, self.as_of)
            self._common = (origins, actual, matured)
        origins, actual, matured = self._common
        rng = OriginRandom(origins.pair, origins.horizon_days, choice.model, self.seed)
        steps = origins.steps[:, None]
        for base in blend.BASES:
            if params[f"weight_{base}"] > 0 and base not in self._bases:
                self._bases[base] = blend.base_paths(base, self.history, origins, steps, rng)
        paths = blend.combine(self._bases, params)
        known = ~np.isnat(matured)
        return score_losses(
            origins.as_of[known],
            matured[known],
            paths.mean[known, 0],
            paths.quantiles[known, 0],
            actual[known],
            origins.last_value[known],
            int(origins.steps.max()),
        )

    def share(self, choices: Sequence[ModelChoice], tick: Callable[[], None] = lambda: None) -> None:
        """Compute together what several configurations share, in memory: a grid of one Chronos-T5 (A09)."""
        from forex_assets.lifecycle.search.shared import t5_losses

        for choice, losses in t5_losses(self, choices, tick):
            self._memory[self.key(choice)] = losses

    # ---- keeping -----------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path | None:
        return self._cache / f"{key}.npz" if self._cache and self._data_hash else None

    def _stored(self, key: str) -> Losses | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as body:
                steps = int(body["steps"])
                return Losses(**{f.name: body[f.name] for f in fields(Losses) if f.name != "steps"}, steps=steps)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # torn by a crash: computed again

    def _kept(self, key: str, losses: Losses) -> Losses:
        path = self._path(key)
        if path is not None:
            import io

            buffer = io.BytesIO()
            np.savez(buffer, **{f.name: getattr(losses, f.name) for f in fields(Losses)})
            write_file(path, buffer.getvalue())
        return losses


def score_losses(
    origins: Dates, matured: Dates, mean: Floats, quantiles: Floats, actual: Floats, last_value: Floats, steps: int
) -> Losses:
    """Return the losses of forecasts with their outcomes: errors as prices, scores in percent of the last value."""
    scores = {name: values.astype(np.float64) for name, values in score_rows(mean, quantiles, actual).items()}
    percent = 100.0 / last_value
    return Losses(
        origins=origins,
        matured=matured,
        crps=scores["crps"] * percent,
        interval_score=scores["interval_score_95"] * percent,
        **{name: scores[name] for name in ("covered_80", "covered_95", "below_95", "above_95", "error_sigma", "error")},
        actual=actual,
        steps=steps,
    )


def paired(parts: Sequence[Losses]) -> list[Losses]:
    """Return several configurations' losses at the origins that all of them have."""
    common = parts[0].origins
    for part in parts[1:]:
        common = np.intersect1d(common, part.origins)
    return [part.rows(np.isin(part.origins, common)) for part in parts]


def latency_of(choice: ModelChoice, history: PriceHistory, day: np.datetime64, horizons: Mapping[str, int]) -> float:
    """Return the warm median seconds of one daily forecast of every horizon (K09: never a cold or a single timing)."""
    import time

    from forex_assets.forecasting.prediction import Predictor

    def once() -> float:
        start = time.perf_counter()
        for days in horizons.values():
            origins = make_origins(history, np.array([day]), days, 10)
            Predictor(history, origins, np.arange(1, origins.steps[0] + 1)[None, :]).paths(choice)
        return time.perf_counter() - start

    once()
    return float(np.median([once() for _ in range(5)]))
