"""The backtest command's rows, scores and declaration: the library calls of the assets, on stored or given data."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forex_assets import schemas, trials
from forex_assets.errors import DataError, ForexError
from forex_assets.pipeline import PROVENANCE, Pipeline, utc_now
from forex_assets.summary import json_value

if TYPE_CHECKING:
    from forex_assets.evaluation.walk_forward import Validation

BENCHMARK = "random_walk"


@dataclass(frozen=True)
class Plan:
    """What a backtest is asked for.

    Attributes
    ----------
    horizons:
        Horizon names.
    start, end:
        First and last origin; None: the configured start, the newest day with data.
    every:
        Business days between origins.
    models:
        Model names beside the random walk; None: those of the configuration.
    fresh:
        True takes nothing from the stored history (another data folder was given).
    """

    horizons: tuple[str, ...]
    start: dt.date | None = None
    end: dt.date | None = None
    every: int = 1
    models: tuple[str, ...] | None = None
    fresh: bool = False


@dataclass
class Made:
    """Rows of a backtest and what was left out of it."""

    rows: pd.DataFrame
    left_out: list[dict[str, str]] = field(default_factory=list)
    withdrawn: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class PairData:
    """One pair's newest bars, and what the quality rules withdrew of them."""

    bars: pd.DataFrame
    as_of: dt.date
    data_hash: str
    withdrawn: dict[str, int]


class Workplace:
    """Where a backtest's data lie: the home for pairs that are stored there, a temporary store for all others.

    The temporary store is filled as the home would be, by the same steps: observations of the pair, and, for models
    that look at the market as a whole, the panel's prices, its volatility index and the newest month's pooled fits.
    """

    def __init__(self, pipeline: Pipeline, folder: Path, plan: Plan) -> None:
        self.home = pipeline
        self.plan = plan
        self._folder = folder
        self.notes: list[str] = []
        self._learned: dt.date | None = None

    def of(self, pair_id: str) -> Pipeline:
        """Return the pipeline that has the pair's data, or will ingest them where nothing else is touched."""
        if not self.plan.fresh and self.home.snapshot_days(pair_id):
            return self.home
        temporary = self._temporary
        if any("panel_" in name for model in models_of(temporary, pair_id, self.plan) for name in _covariates(model)):
            newest = temporary.default_as_of(pair_id, now=utc_now())
            self._learn(min(newest, self.plan.end or newest))
        return temporary

    def _learn(self, last: dt.date) -> None:
        """Make the pooled fits of the last origin's month, unless the package ships them or they are there."""
        from forex_assets.pooled import fits as pooled_fits
        from forex_assets.pooled import stored as pooled_stored
        from forex_assets.schemas.panel import PANEL_FITS

        month = last.replace(day=1)
        if not self._panel or np.datetime64(month, "D") <= pooled_fits.shipped_through():
            return
        if self._learned is None or month > self._learned:
            made, _ = pooled_fits.month_fits(self._temporary, month)
            for table in PANEL_FITS:
                pooled_stored.write(self._temporary, table, (pooled_stored.month_key(month),), made[table.name])
            self._learned = month

    @cached_property
    def _temporary(self) -> Pipeline:
        update = {"home": self._folder, "store_root": str(self._folder / "store")}
        return Pipeline(self.home.settings.model_copy(update=update))

    @cached_property
    def _panel(self) -> bool:
        from forex_assets.pooled import index as pooled_index
        from forex_assets.pooled import prices as pooled_prices
        from forex_assets.pooled import stored as pooled_stored
        from forex_assets.schemas.panel import PANEL_BARS, PANEL_INDEX

        now = utc_now()
        try:
            frame = pooled_prices.bars(self._temporary, now=now)
            pooled_stored.write(self._temporary, PANEL_BARS, (), frame)
            pooled_stored.write(self._temporary, PANEL_INDEX, (), pooled_index.index(self._temporary))
        except ForexError as error:
            self.notes.append(f"The panel of pairs is missing, so fits without it serve. {error.message}")
            return False
        return True


@contextlib.contextmanager
def workplace(pipeline: Pipeline, plan: Plan) -> Iterator[Workplace]:
    """Return the place of a backtest; what it stores beside the home is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="forex-backtest-") as folder:
        yield Workplace(pipeline, Path(folder), plan)


def _covariates(model: str) -> tuple[str, ...]:
    from forex_assets.forecasting.registry import get_model

    return get_model(model).capabilities.covariates


def models_of(pipeline: Pipeline, pair_id: str, plan: Plan) -> list[str]:
    """Return the models a plan runs for a pair, the random walk first, each checked.

    Raises
    ------
    ValidationError
        When a model is not registered.
    """
    from forex_assets.forecasting.registry import get_model

    asked = plan.models
    if asked is None:
        asked = tuple(pipeline.active(pair_id, plan.horizons[0]).models)
    names = list(dict.fromkeys([BENCHMARK, *asked]))
    for name in names:
        get_model(name)
    return names


def backtest_rows(pipeline: Pipeline, pair_id: str, plan: Plan) -> Made:
    """Return the walk-forward rows of one pair.

    A model that cannot run on this history (too short for it, no checkpoint, a covariate missing) is left out with its
    reason; the others go on.

    Raises
    ------
    DataError
        When the random walk itself cannot run.
    """
    data = pair_data(pipeline, pair_id, fresh=plan.fresh)
    if plan.start is not None and data.as_of < plan.start:
        raise DataError(
            f"The newest usable value of {pair_id} is known on {data.as_of}, before the first origin asked for, "
            f"{plan.start}; {_told(data.withdrawn)}.",
            remedy=_CORRECT_THE_FILE if data.withdrawn else "choose an earlier --start, or give newer data.",
        )
    names = models_of(pipeline, pair_id, plan)
    made = Made(pd.DataFrame(), withdrawn={pair_id: data.withdrawn} if data.withdrawn else {})
    frames = []
    for horizon in plan.horizons:
        rows, left_out = _rows_of(pipeline, pair_id, horizon, data, plan, names)
        frames.append(rows)
        made.left_out += left_out
    made.rows = pd.concat(frames, ignore_index=True)
    return made


def _rows_of(
    pipeline: Pipeline, pair_id: str, horizon: str, data: PairData, plan: Plan, names: Sequence[str]
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    def run(models: Sequence[str]) -> pd.DataFrame:
        return pipeline.backtest_of(
            pair_id,
            horizon,
            data.bars,
            data.as_of,
            data.data_hash,
            start=plan.start,
            end=plan.end,
            every=plan.every,
            models=models,
        )

    try:
        return run(names), []
    except ForexError:
        if len(names) == 1:
            raise
    # One of them cannot: each alone, so that the others go on. Without the yardstick nothing can be said.
    frames = [run(names[:1])]
    left_out: list[dict[str, str]] = []
    for name in names[1:]:
        try:
            frames.append(run([name]))
        except ForexError as error:
            left_out.append(
                {
                    "pair": pair_id,
                    "horizon": horizon,
                    "model": name,
                    "error": type(error).__name__,
                    "message": error.message,
                    "remedy": error.remedy,
                }
            )
    rows = pd.concat(frames, ignore_index=True)
    order = {name: place for place, name in enumerate(names)}
    rows = rows.assign(_rank=rows["model"].map(order)).sort_values(["as_of", "_rank"], kind="stable")
    return rows.drop(columns="_rank").reset_index(drop=True), left_out


def pair_data(pipeline: Pipeline, pair_id: str, *, fresh: bool) -> PairData:
    """Return the newest stored bars of a pair, or those of an ingest into the pipeline's store.

    Raises
    ------
    DataError
        When no value is known, or the quality rules withdrew every one.
    """
    from forex_assets.market.asof import bars_as_of, data_hash

    if not fresh and pipeline.snapshot_days(pair_id):
        snapshot = pipeline.snapshot(pair_id)
        return PairData(snapshot.bars, snapshot.as_of, snapshot.data_hash, withdrawn_by_rule(snapshot.bars))
    pair = pipeline.settings.pair(pair_id)
    observations = pipeline.observations(pair_id)
    target = observations.loc[observations["series"] == pair.target.series]
    withdrawn = withdrawn_by_rule(target)
    if target.empty:
        raise DataError(f"No value of {pair_id} is known.", remedy="give a --data-dir that has its target series.")
    newest = pipeline.default_as_of(pair_id, now=utc_now(), observations=observations)
    bars = bars_as_of(observations, pair, newest)
    if bars["withdrawn_at"].notna().all():
        raise DataError(
            f"No usable value of {pair_id} is left of {len(target)}: {_told(withdrawn)}.", remedy=_CORRECT_THE_FILE
        )
    return PairData(bars, newest, data_hash(bars), withdrawn)


_CORRECT_THE_FILE = "correct the source: prices must move, be positive, and keep one unit."


def _told(withdrawn: dict[str, int]) -> str:
    rules = ", ".join(f"{rule} {count}" for rule, count in withdrawn.items())
    return f"the quality rules withdrew {sum(withdrawn.values())} ({rules})" if rules else "no rule withdrew any"


def withdrawn_by_rule(rows: pd.DataFrame) -> dict[str, int]:
    """Return how many values each quality rule withdrew, the most first; a revision is no defect."""
    column = "withdrawn_rule" if "withdrawn_rule" in rows.columns else "rule"
    rules = rows.loc[rows["withdrawn_at"].notna(), column].fillna("unknown").astype(str)
    counts = rules[rules != "revision"].value_counts()
    return {str(rule): int(count) for rule, count in counts.items()}


def declaration(pipeline: Pipeline, made: Sequence[Made], plan: Plan) -> dict[str, Any]:
    """Return what a reader must know of a backtest: models and when they are refitted, trials, origins, gaps."""
    rows = pd.concat([item.rows for item in made], ignore_index=True)
    names = list(dict.fromkeys(rows["model"]))
    return {
        "code_version": pipeline.code_version,
        "point_in_time": "an origin sees the values known at the end of its day in America/Santiago, and no other",
        "every_business_days": plan.every,
        "horizons_days": [pipeline.settings.horizons[name] for name in plan.horizons],
        "pairs": list(dict.fromkeys(rows["pair"])),
        "first_origin": json_value(rows["as_of"].min()),
        "last_origin": json_value(rows["as_of"].max()),
        "matured": int(rows["actual"].notna().sum()),
        "trials": sum(name != BENCHMARK for name in names),
        "models": [{"name": name, **_model_facts(name)} for name in names],
        "left_out": [entry for item in made for entry in item.left_out],
        "withdrawn_values": {name: rules for item in made for name, rules in item.withdrawn.items()},
    }


def _model_facts(name: str) -> dict[str, Any]:
    from forex_assets.forecasting.registry import get_model

    capabilities = get_model(name).capabilities
    return {
        "family": capabilities.family,
        "min_history": capabilities.min_history,
        "covariates": list(capabilities.covariates),
        "refit": refit_schedule(name),
    }


def refit_schedule(name: str) -> str:
    """Return when a model learns anew, in words."""
    from forex_assets.forecasting.registry import get_model

    capabilities = get_model(name).capabilities
    if "refit" in capabilities.parameters:
        return f"parameters each {capabilities.parameters['refit'].default}, state at every origin"
    if any("panel_" in series for series in capabilities.covariates):
        return "pooled fits of the panel each month, state at every origin"
    if capabilities.bases:
        parts = "; ".join(dict.fromkeys(refit_schedule(base) for base in capabilities.bases))
        return f"as its members: {parts}"
    if "checkpoint" in capabilities.needs:
        return "never: a fixed checkpoint, refused where its training data reach past the origin"
    if capabilities.calibrated:
        return "width factors each month, from matured errors only"
    return "at every origin, from the window before it"


def backtest_scores(pipeline: Pipeline, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the scores per pair, horizon and model beside the random walk on the same targets.

    Raises
    ------
    DataError
        When no row has matured.
    """
    from forex_assets.evaluation.performance import UNJUDGED, performance_report

    matured = _matured(rows)
    nothing_live = schemas.EVALUATION.empty().drop(columns=list(PROVENANCE))
    out: list[dict[str, Any]] = []
    for pair_id, of_pair in matured.groupby("pair", sort=False):
        report = performance_report(
            nothing_live,
            of_pair,
            as_of=of_pair["matured_on"].max(),
            recommended=pipeline.settings.recommended,
            classic=pipeline.settings.classic,
            active_model=pipeline.settings.active_model(str(pair_id)),
        )
        # A backtest of one's own is no watching: the monitor's columns stay out.
        out += _plain(report.loc[report["window"] == "backtest_all"].drop(columns=list(UNJUDGED)))
    return out


def backtest_comparison(pipeline: Pipeline, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the MODEL_COMPARISON rows of every pair and horizon, as plain values."""
    from forex_assets.evaluation.compare import compare_models
    from forex_assets.evaluation.grid import score_grid

    matured = _matured(rows)
    as_of = np.datetime64(matured["matured_on"].max(), "D")
    out: list[dict[str, Any]] = []
    names = {days: name for name, days in pipeline.settings.horizons.items()}
    for (pair_id, days), part in matured.groupby(["pair", "horizon"], sort=False):
        active = pipeline.settings.active_model(str(pair_id))
        # What was tried before counts, this command's own models besides: it keeps nothing.
        held = trials.tried(pipeline.settings.home, str(pair_id), names.get(int(str(days)), f"{days}d"))
        before = trials.count(held, part["as_of"].min(), part["as_of"].max())
        new = set(part["model"]) - {BENCHMARK} - set(held["model"])
        found = compare_models(score_grid(part), as_of=as_of, active_model=active, tried=before + len(new))
        out += _plain(found)
    return out


def walk_forward(
    pipeline: Pipeline, pair_id: str, plan: Plan, *, kind: str, folds: int | None
) -> tuple[list[Validation], list[dict[str, str]]]:
    """Validate every model in folds before the newest matured forecast; also what was left out.

    Raises
    ------
    ValidationError
        When kind or number of folds breaks its rule.
    DataError
        When the history is too short for the folds, or nothing has matured.
    """
    from forex_assets.evaluation.grid import score_grid
    from forex_assets.evaluation.walk_forward import lay_folds, validate_folds

    data = pair_data(pipeline, pair_id, fresh=plan.fresh)
    rules = pipeline.settings.classic.walk_forward
    names = models_of(pipeline, pair_id, plan)
    event = data.bars["event_date"].to_numpy().astype("datetime64[D]")
    end = np.datetime64(min(plan.end or data.as_of, data.as_of), "D")
    validations: list[Validation] = []
    left_out: list[dict[str, str]] = []
    for horizon in plan.horizons:
        days = pipeline.settings.horizons[horizon]
        last = min(end, np.datetime64(data.as_of, "D") - np.timedelta64(days, "D"))
        laid = lay_folds(event.min(), last, kind=kind, rules=rules, folds=folds)  # type: ignore[arg-type]
        grids = []
        for fold in laid:
            seen = data
            if kind == "rolling":
                seen = replace(data, bars=data.bars.loc[event >= fold.train_start])
            span = replace(plan, start=pd.Timestamp(fold.test_start).date(), end=pd.Timestamp(fold.test_end).date())
            rows, missing = _rows_of(pipeline, pair_id, horizon, seen, span, names)
            left_out += [entry for entry in missing if entry not in left_out]
            matured = rows.dropna(subset=["actual"])
            grids.append(score_grid(matured) if len(matured) else None)
        band = pipeline.settings.recommended.coverage
        validations += validate_folds(grids, laid, kind=kind, rules=rules, band=band)
    return validations, left_out


def _matured(rows: pd.DataFrame) -> pd.DataFrame:
    matured = rows.drop(columns=[name for name in PROVENANCE if name in rows.columns]).dropna(subset=["actual"])
    if matured.empty:
        raise DataError(
            f"None of the {len(rows)} rows has matured.", remedy="choose an earlier --start, or an --end further back."
        )
    return matured


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): json_value(value) for name, value in row.items()} for row in frame.to_dict("records")]
