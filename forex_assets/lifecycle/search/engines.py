"""The search itself: grid, random draws or Optuna, over one objective, then finalists on a period it never saw.

One configuration that fails scores infinity and the search goes on; all failing is an error that says why (A12).
Optuna: Akiba et al. (2019); TPE: Bergstra et al. (2011).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from forex_assets.errors import DataError, ForexError
from forex_assets.forecasting.registry import ModelChoice
from forex_assets.lifecycle.search.objective import Evaluator, Losses, Objective, paired
from forex_assets.lifecycle.search.periods import Periods
from forex_assets.lifecycle.search.space import CLASSIC_MODEL, Dimension, Space, key_of

if TYPE_CHECKING:
    import optuna

#: What a model may raise without ending the search: its configuration scores infinity.
TRIAL_FAILURES = (ForexError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)
#: Batches in a row without a new configuration after which proposals are drawn at random, and after which the space
#: counts as used up.
DRAW_AFTER, MAX_REPEATED = 10, 60
Progress = Callable[["Trial", int, int], None]
Evaluate = Callable[[Sequence[ModelChoice]], list["Trial"]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration: its objective on the search period (infinite when it failed), and why it failed."""

    choice: ModelChoice
    objective: float
    crps_ratio: float = math.nan
    coverage_80: float = math.nan
    coverage_95: float = math.nan
    rmse: float = math.nan
    selection_crps_ratio: float = math.nan
    seconds: float = 0.0
    error: str = ""

    def row(self) -> dict[str, Any]:
        """Return the trial as plain values; figures that are missing or infinite are None."""
        names = ("objective", "crps_ratio", "coverage_80", "coverage_95", "rmse", "selection_crps_ratio", "seconds")
        figures = {name: getattr(self, name) for name in names}
        return {
            "model": self.choice.model,
            "parameters": dict(self.choice.parameters),
            **{name: value if math.isfinite(value) else None for name, value in figures.items()},
            "error": self.error,
        }


class SearchStoppedError(ForexError):
    """The time is up; ``trials`` are those that were finished."""

    def __init__(self, message: str, trials: Sequence[Trial]) -> None:
        super().__init__(message, remedy="raise optimization.search.stop_s, or search fewer configurations.")
        self.trials = tuple(trials)


@dataclass(frozen=True)
class Problem:
    """What is searched: losses, periods, objective, and the configuration in use.

    ``rank`` says what the search minimises: ``crps`` (the objective), or ``rmse`` over the last 30 days (A10), which
    is for comparison with the classic design only.
    """

    evaluator: Evaluator
    periods: Periods
    objective: Objective
    incumbent: ModelChoice
    rank: str = "crps"
    latency: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def search_rows(self, losses: Losses) -> Losses:
        """Return the losses the search may see."""
        if self.rank == "rmse":
            last = self.evaluator.as_of - np.timedelta64(30, "D")
            return losses.rows((losses.matured > last) & (losses.matured <= self.evaluator.as_of))
        return losses.rows(self.periods.search(losses.origins, losses.matured))

    def trial(self, choice: ModelChoice) -> Trial:
        """Evaluate one configuration on the search period."""
        start = time.perf_counter()
        try:
            mine, walk = paired([self.search_rows(self.evaluator.losses(choice)), self._walk()])
        except TRIAL_FAILURES as error:
            text = error.message if isinstance(error, ForexError) else f"{type(error).__name__}: {error}"
            return Trial(choice, math.inf, seconds=time.perf_counter() - start, error=text)
        except MemoryError:
            raise
        if not len(mine):
            return Trial(choice, math.inf, seconds=time.perf_counter() - start, error="no origin in the search period")
        rmse = float(np.sqrt((mine.error**2).mean()))
        latency = self.latency.get(choice.model, 0.0)
        return Trial(
            choice,
            rmse if self.rank == "rmse" else self.objective.value(mine, walk, latency),
            crps_ratio=float(mine.crps.mean() / walk.crps.mean()),
            coverage_80=float(mine.covered_80.mean()),
            coverage_95=float(mine.covered_95.mean()),
            rmse=rmse,
            seconds=time.perf_counter() - start,
        )

    def trials(self, choices: Sequence[ModelChoice]) -> list[Trial]:
        """Evaluate several configurations, one after another."""
        return [self.trial(choice) for choice in choices]

    def selection_ratio(self, choice: ModelChoice) -> float:
        """Return the CRPS over the random walk's on the selection period."""
        mine, walk = paired([self.evaluator.losses(choice), self.evaluator.yardstick()])
        keep = self.periods.selection(mine.origins, mine.matured)
        return float(mine.crps[keep].mean() / walk.crps[keep].mean()) if keep.any() else math.inf

    def _walk(self) -> Losses:
        return self.search_rows(self.evaluator.yardstick())


@dataclass(frozen=True)
class Found:
    """What a search came to: the best finalist (None: the configuration in use stays), and everything looked at."""

    winner: Trial | None
    incumbent: Trial
    trials: tuple[Trial, ...]
    finalists: tuple[Trial, ...]
    reasons: tuple[str, ...]


def run_engine(
    problem: Problem,
    space: Space,
    *,
    trials: int,
    seed: int,
    finalists: int,
    deadline: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
    journal: Path | None = None,
    evaluate: Evaluate | None = None,
    batch: int = 1,
    group: int = 1,
) -> Found:
    """Search a space and choose among the finalists.

    Parameters
    ----------
    trials:
        Distinct configurations of a continuous space, distinct in what is computed: a proposal whose content hash was
        seen costs nothing and does not count. A finite space is searched whole unless its engine is ``random``.
    deadline:
        Called between evaluations; raises :class:`SearchStoppedError` when the time is up.
    journal:
        Optuna's journal: a search that was killed goes on where it was.
    evaluate:
        Evaluates a batch of configurations somewhere else, in order; default: here.
    batch:
        Configurations an adaptive search proposes together, before it knows the result of any of them.
    group:
        Configurations of a finite space that are evaluated together; has no part in what is found.

    Raises
    ------
    DataError
        When every configuration failed.
    SearchStoppedError
        When the time is up.
    """
    done: list[Trial] = []
    here, evaluate = evaluate is None, evaluate or problem.trials
    total = trials

    def run(choices: Sequence[ModelChoice]) -> list[Trial]:
        try:
            deadline()
        except SearchStoppedError as stopped:
            raise SearchStoppedError(stopped.message, done) from None
        found = evaluate(choices)
        for trial in found:
            done.append(trial)
            if progress:
                progress(trial, len(done), total)
        return found

    if space.engine == "adaptive":
        _adaptive(run, space, problem.evaluator.key, trials=trials, seed=seed, journal=journal, batch=batch)
    else:
        points = space.draws(min(trials, 20), seed) if space.engine == "random" else list(space.points)
        points = points or space.draws(trials, seed)
        total = len(points)
        if here and sum(point.model == CLASSIC_MODEL for point in points) > 1:
            with contextlib.suppress(*TRIAL_FAILURES):  # what stops it stops each configuration, which then says so
                problem.evaluator.share([*points, problem.incumbent], deadline)
        for some in _batches(points, group):
            run(some)
    return conclude(problem, done, finalists)


def conclude(problem: Problem, done: Sequence[Trial], finalists: int) -> Found:
    """Choose among finished trials: the best on the search period, judged on the selection period beside the incumbent.

    Raises
    ------
    DataError
        When every configuration failed.
    """
    unique = {key_of(trial.choice): trial for trial in done}
    good = sorted(
        (t for t in unique.values() if math.isfinite(t.objective)), key=lambda t: (t.objective, key_of(t.choice))
    )
    if not good:
        why = "; ".join(sorted({trial.error for trial in done})) or "none was evaluated"
        raise DataError(
            f"All {len(done)} configurations failed: {why}.",
            remedy="correct what they name, or search other models (optimization.search.models).",
        )
    incumbent = problem.trial(problem.incumbent)
    if problem.rank == "rmse":  # A10 has no selection period: the window that ranks also chooses
        best = good[0]
        better = best.objective < incumbent.objective
        reasons = (
            f"lowest RMSE of {len(good)} on the last 30 days: {best.objective:.4g}, in use {incumbent.objective:.4g}",
        )
        return Found(best if better else None, incumbent, tuple(unique.values()), tuple(good[:1]), reasons)
    mine = problem.selection_ratio(problem.incumbent) if math.isfinite(incumbent.objective) else math.inf
    incumbent = _with_selection(incumbent, mine)
    chosen = [_with_selection(t, problem.selection_ratio(t.choice)) for t in good[:finalists]]
    best = min(chosen, key=lambda trial: (trial.selection_crps_ratio, trial.objective))
    same = key_of(best.choice) == key_of(problem.incumbent)
    if same or best.selection_crps_ratio >= mine:
        reason = (
            "the configuration in use is the best found"
            if same
            else f"no finalist is better on the selection period: CRPS ratio {best.selection_crps_ratio:.4f}, in use "
            f"{mine:.4f}"
        )
        return Found(None, incumbent, tuple(unique.values()), tuple(chosen), (reason,))
    reason = (
        f"best of {len(chosen)} finalists on the selection period: CRPS {best.selection_crps_ratio:.4f} of the random "
        f"walk's, in use {mine:.4f}"
    )
    return Found(best, incumbent, tuple(unique.values()), tuple(chosen), (reason,))


def _with_selection(trial: Trial, ratio: float) -> Trial:
    from dataclasses import replace

    return replace(trial, selection_crps_ratio=ratio)


def _batches(points: Sequence[ModelChoice], size: int) -> Iterable[Sequence[ModelChoice]]:
    return [points[i : i + size] for i in range(0, len(points), size)]


def _adaptive(
    run: Evaluate,
    space: Space,
    content: Callable[[ModelChoice], str],
    *,
    trials: int,
    seed: int,
    journal: Path | None,
    batch: int,
) -> None:
    """Propose and evaluate until ``trials`` distinct configurations were; ``content`` says which are the same."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _study(journal)
    known: dict[str, Trial] = {}

    def evaluated(choices: Sequence[ModelChoice]) -> list[Trial]:
        keys = [content(choice) for choice in choices]
        new = {key: choice for key, choice in zip(keys, choices, strict=True) if key not in known}
        if new:
            known.update(zip(new, run(list(new.values())), strict=True))
        return [known[key] for key in keys]

    started = [trial for trial in study.trials if trial.state != optuna.trial.TrialState.WAITING]
    if not study.trials:
        for name in space.models:
            study.enqueue_trial({"model": name, **_defaults(name, space)})
    # A journal's trials are kept by content hash: they cost nothing. Those a kill interrupted are evaluated first, so
    # that the search goes on as one that was never interrupted.
    for begun in started:
        if _is_whole(begun.params, space):
            (result,) = evaluated([_choice_of(begun.params, space)])
            if not begun.state.is_finished():
                _tell(study, begun.number, result)
        elif not begun.state.is_finished():
            study.tell(begun.number, state=optuna.trial.TrialState.FAIL)
            if fixed := begun.system_attrs.get("fixed_params"):
                study.enqueue_trial(fixed)
    repeated = 0
    while len(known) < trials and repeated < MAX_REPEATED:
        at = seed + len(study.get_trials(deepcopy=False))  # copies of them would cost more than the search
        study.sampler = _sampler(at, batch) if repeated < DRAW_AFTER else optuna.samplers.RandomSampler(seed=at)
        before = len(known)
        asked = [study.ask() for _ in range(min(batch, trials - before))]
        for trial, result in zip(asked, evaluated([_suggested(trial, space) for trial in asked]), strict=True):
            _tell(study, trial.number, result)
        repeated = 0 if len(known) > before else repeated + 1


def _study(journal: Path | None) -> optuna.Study:
    import optuna

    storage = None
    if journal is not None:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        journal.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(study_name="search", storage=storage, load_if_exists=True, direction="minimize")


def _tell(study: optuna.Study, number: int, result: Trial) -> None:
    import optuna

    if math.isfinite(result.objective):
        study.tell(number, result.objective)
    else:
        study.tell(number, state=optuna.trial.TrialState.FAIL)


def _sampler(seed: int, batch: int) -> optuna.samplers.TPESampler:
    """Return TPE over groups of parameters that belong together, that is one model's."""
    import warnings

    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=20, multivariate=True, group=True, constant_liar=batch > 1
        )


def _defaults(name: str, space: Space) -> dict[str, Any]:
    from forex_assets.forecasting.registry import get_model

    rules = get_model(name).capabilities.parameters
    return {f"{name}.{key}": rules[key].default for key in space.models[name]}


def _suggested(trial: optuna.Trial, space: Space) -> ModelChoice:
    name = trial.suggest_categorical("model", list(space.models))
    return ModelChoice(
        name,
        MappingProxyType({key: _suggest(trial, f"{name}.{key}", dim) for key, dim in space.models[name].items()}),
    )


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension) -> Any:
    if dimension.choices:
        return trial.suggest_categorical(name, list(dimension.choices))
    if dimension.whole:
        return trial.suggest_int(name, round(dimension.low), round(dimension.high), log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def _is_whole(params: Mapping[str, Any], space: Space) -> bool:
    """Return whether a trial of a journal has all its parameters: a kill may come between two of them."""
    name = str(params.get("model"))
    return name in space.models and all(f"{name}.{key}" in params for key in space.models[name])


def _choice_of(params: Mapping[str, Any], space: Space) -> ModelChoice:
    name = params["model"]
    return ModelChoice(name, MappingProxyType({key: params[f"{name}.{key}"] for key in space.models[name]}))
