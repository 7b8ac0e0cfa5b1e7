"""The ensemble: members' quantiles averaged with learned weights, gated, corrected on evidence. What the desk gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import ConfigError, DataError, ValidationError
from forex_assets.forecasting.calibration import apply
from forex_assets.forecasting.carry import log_carry, rate_series
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.ensemble.artefacts import EnsembleFit, current
from forex_assets.forecasting.ensemble.conditions import conditions_at
from forex_assets.forecasting.ensemble.members import MEMBER_FAILURES, MEMBERS, on_carry, prior_shares, told
from forex_assets.forecasting.ensemble.weights import admitted
from forex_assets.forecasting.models.loghar import variants
from forex_assets.forecasting.models.rw_empirical import RandomWalkEmpirical
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.panel.artefacts import PLAIN, between_tenors
from forex_assets.forecasting.panel.artefacts import current as current_panel
from forex_assets.forecasting.panel.features import INDEX_FEATURES, NOMINAL_STEPS, VIX_SERIES, Market
from forex_assets.forecasting.prediction import Composition, Predictor, needed_history
from forex_assets.forecasting.price_history import PriceHistory
from forex_assets.forecasting.registry import ModelChoice, get_model

#: Failures that no other origin could help with: these are not tried again origin by origin.
_FOR_ALL = (ImportError, ConfigError, ValidationError, TimeoutError)


class Ensemble:
    """The mean of the members' quantiles, with weights, gates and corrections valid at each origin; it learns nothing.

    Parameters: ``members`` (names, comma-separated), ``weights`` (``learned``, or ``equal`` shares of all members),
    ``centre`` (``carry`` where a pair has two policy rates, or ``last``), ``correction`` (``evidence``, or ``never``).
    A member that fails at an origin, or knows too few values there, is left out of that origin's mean, the others take
    its share, and the composition says so. Before the first weights (2005) prior shares serve.
    """

    name = "ensemble"
    capabilities = Capabilities(
        family="ensemble",
        covariates=(VIX_SERIES, *INDEX_FEATURES),
        parameters={
            "members": Parameter(",".join(MEMBERS), "Models in the mean, comma-separated", text=True),
            "weights": Parameter("learned", "Learned on the panel, or equal shares", choices=("learned", "equal")),
            "centre": Parameter("carry", "Carry where it is known, or last value", choices=("carry", "last")),
            "correction": Parameter("evidence", "Where evidence supports it, or never", choices=("evidence", "never")),
        },
        min_history=RandomWalkEmpirical.capabilities.min_history,
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        return self.compose(Predictor(history, origins, steps, rng.seed), params)[0]

    def compose(self, predictor: Predictor, params: Mapping[str, Any]) -> tuple[QuantilePaths, Composition]:
        """Predict and tell who carries it; see :class:`forex_assets.forecasting.prediction.ComposedModel`.

        Raises
        ------
        ValidationError
            When ``members`` names none, one twice, or an ensemble.
        DataError
            When every member failed at some origin.
        """
        fit, origins, steps = current(), predictor.origins, predictor.steps
        members = member_names(params["members"])
        carry = log_carry(predictor.history, origins, steps) if params["centre"] == "carry" else np.zeros(steps.shape)
        outputs, failures = [], []
        for name in members:
            paths, failed = run_member(predictor, name, params["centre"])
            outputs.append(on_carry(paths, name, carry))
            failures.append(failed)
        works = [not reason for failed in failures for reason in failed]
        alive = np.array(works, dtype=bool).reshape(len(members), len(origins)).T
        _refuse_the_dead(origins, members, alive, failures)
        served = np.array(variants(current_panel(), Market.of(predictor.history.drivers), origins.as_of), dtype=object)
        nominal = _nominal_weights(fit, members, origins, served, params["weights"])
        weights = _shares(nominal, alive, steps)
        mean, quantiles = np.zeros(steps.shape), np.zeros((*steps.shape, outputs[0].quantiles.shape[-1]))
        for i, paths in enumerate(outputs):  # one by one, so that a batch decides no rounding
            share = weights[:, :, i]
            mean += np.where(share > 0, share * paths.mean, 0.0)
            quantiles += np.where(share[:, :, None] > 0, share[:, :, None] * paths.quantiles, 0.0)
        if params["correction"] == "evidence":
            quantiles = _corrected(fit, quantiles, origins, steps, served)
        at_target = _shares(nominal, alive, origins.steps[:, None])[:, 0]
        wanted = _shares(nominal, np.ones_like(alive), origins.steps[:, None])[:, 0]
        told_out = _left_out(fit, predictor.history, members, failures, origins, served, at_target, params)
        made_of = Composition(members, at_target, ((wanted > 0) & ~alive).any(axis=1), told_out)
        return QuantilePaths(mean, quantiles), made_of


def member_names(text: str) -> tuple[str, ...]:
    """Return the members named in a parameter.

    Raises
    ------
    ValidationError
        When it names none, one twice, or a composed model.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) != len(names) or Ensemble.name in names:
        raise ValidationError(
            f"Parameter 'members' of model 'ensemble' is {text!r}; it must name models, each once, and not itself.",
            remedy=f"use for example {','.join(MEMBERS)}.",
        )
    for name in names:
        get_model(name)
    return names


def run_member(predictor: Predictor, name: str, centre: str) -> tuple[QuantilePaths, list[str]]:
    """Return a member's paths, NaN where it failed, and per origin why it did (empty where it did not).

    Origins are tried together; where that fails, in halves down to single ones, so that what one origin does to a
    member is no other origin's business.
    """
    origins, steps = predictor.origins, predictor.steps
    m, k = steps.shape
    model = get_model(name)
    own_centre = "centre" in model.capabilities.parameters and centre == "last"
    choice = ModelChoice(name, {"centre": "last"} if own_centre else {})
    reasons = [""] * m
    short = origins.known_count < needed_history(model)
    for i in np.flatnonzero(short):
        reasons[i] = f"{origins.known_count[i]} values are known, {needed_history(model)} are needed"
    open_sets = [np.flatnonzero(~short)]
    mean, quantiles = np.full((m, k), np.nan), np.full((m, k, 13), np.nan)
    while open_sets:
        positions = open_sets.pop()
        if not len(positions):
            continue
        part = predictor if len(positions) == m else predictor.subset(positions)
        try:
            paths = part.paths(choice)
        except _FOR_ALL as error:
            for i in positions:
                reasons[i] = told(error)
        except MEMBER_FAILURES as error:
            if len(positions) == 1:
                reasons[positions[0]] = told(error)
            else:
                half = len(positions) // 2
                open_sets += [positions[half:], positions[:half]]
        else:
            mean[positions], quantiles[positions] = paths.mean, paths.quantiles
    return QuantilePaths(mean, quantiles), reasons


def _refuse_the_dead(
    origins: Origins, members: Sequence[str], alive: npt.NDArray[np.bool_], failures: Sequence[Sequence[str]]
) -> None:
    dead = np.flatnonzero(~alive.any(axis=1))
    if len(dead):
        i = int(dead[0])
        why = "; ".join(f"{name}: {failed[i]}" for name, failed in zip(members, failures, strict=True))
        raise DataError(
            f"Every member of the ensemble failed for {origins.pair} at {origins.as_of[i]}, "
            f"{origins.horizon_days}d ({len(dead)} such origins): {why}.",
            remedy="repair what the members name, or run random_walk alone.",
        )


def _nominal_weights(
    fit: EnsembleFit, members: Sequence[str], origins: Origins, served: npt.NDArray[np.object_], how: str
) -> Floats:
    """Return the members' weights at the nominal tenors, (m, tenors, k), before anyone fails."""
    prior = np.full(len(members), 1.0 / len(members)) if how == "equal" else prior_shares(members)
    out = np.tile(prior, (len(origins), len(NOMINAL_STEPS), 1))
    if how == "equal":
        return out
    for j, steps in enumerate(NOMINAL_STEPS):
        for variant in set(served):
            rows = np.flatnonzero(served == variant)
            learned = fit.weights(variant, steps, members, origins.as_of[rows])
            some = np.isfinite(learned).any(axis=1)
            shares = np.nan_to_num(learned[some])
            total = shares.sum(axis=1, keepdims=True)
            # Where all asked for are outside the mean, they serve with their prior shares.
            served_by = np.tile(prior, (len(shares), 1))
            out[rows[some], j] = np.divide(shares, total, out=served_by, where=total > 0)
    return out


def _shares(nominal: Floats, alive: npt.NDArray[np.bool_], steps: Ints) -> Floats:
    """Return the shares of those alive at every step, (m, k, members), by log steps between the nominal tenors."""
    low, upper = between_tenors(steps)
    at = np.arange(len(nominal))[:, None]
    mixed = (1.0 - upper)[..., None] * nominal[at, low] + upper[..., None] * nominal[at, low + 1]
    shares = admitted(mixed, alive[:, None, :])
    lost = shares.sum(axis=-1) == 0.0
    if lost.any():  # all the weight was on members that failed: the others serve equally
        equal = alive / np.maximum(alive.sum(axis=1, keepdims=True), 1)
        shares[lost] = np.broadcast_to(equal[:, None, :], shares.shape)[lost]
    return shares


def _corrected(
    fit: EnsembleFit, quantiles: Floats, origins: Origins, steps: Ints, served: npt.NDArray[np.object_]
) -> Floats:
    used = fit.conditions()
    if not used:
        return quantiles
    held = {"all": np.ones(len(origins), dtype=bool), **conditions_at(origins, fit.events)}
    factors = np.ones((len(origins), len(NOMINAL_STEPS), 2))
    for j, step in enumerate(NOMINAL_STEPS):
        for variant in set(served):
            rows = np.flatnonzero(served == variant)
            common = fit.correction(variant, step, "all", origins.as_of[rows])
            factors[rows, j] *= common
            for condition in used:
                if condition == "all" or condition not in held:
                    continue
                own = fit.correction(variant, step, condition, origins.as_of[rows])
                holds = held[condition][rows] & (own != 1.0).any(axis=1)
                factors[rows[holds], j] *= own[holds] / common[holds]
    low, upper = between_tenors(steps)
    at = np.arange(len(origins))[:, None]
    mixed = (1.0 - upper)[..., None] * factors[at, low] + upper[..., None] * factors[at, low + 1]
    return apply(quantiles, mixed[..., 0], mixed[..., 1])


def _left_out(
    fit: EnsembleFit,
    history: PriceHistory,
    members: Sequence[str],
    failures: Sequence[Sequence[str]],
    origins: Origins,
    served: npt.NDArray[np.object_],
    shares: Floats,
    params: Mapping[str, Any],
) -> Callable[[int], Mapping[str, str]]:
    """Return who is left out at an origin and why: failed members, shut gates, watched models, missing drivers."""
    low, upper = between_tenors(origins.steps)
    nearest = np.array(NOMINAL_STEPS)[low + (upper > 0.5)]
    rates = rate_series(history.pair)
    no_rates = params["centre"] == "carry" and rates is not None and not set(rates) <= set(history.drivers)
    standing: dict[tuple[str, int, np.datetime64], dict[str, str]] = {}

    def tell(i: int) -> Mapping[str, str]:
        day = origins.as_of[i]
        key = (str(served[i]), int(nearest[i]), day.astype("datetime64[M]"))
        if key not in standing:
            standing[key] = _standing(fit, members, key[0], key[1], day, params["weights"])
        out = dict(standing[key])
        for j, name in enumerate(members):
            if failures[j][i]:
                out[name] = failures[j][i]
            elif shares[i, j] > 0:
                out.pop(name, None)
        if served[i] == PLAIN:
            out["driver vix"] = "no VIX or panel volatility at this origin; the fit without them serves"
        if no_rates:
            out["driver carry"] = "no policy rates beside the prices; centred on the last value"
        return out

    return tell


def _standing(
    fit: EnsembleFit, members: Sequence[str], variant: str, steps: int, day: np.datetime64, how: str
) -> dict[str, str]:
    """Return the models outside the mean by rule on a day, and why."""
    out: dict[str, str] = {}
    for name in dict.fromkeys([*members, *fit.watched(variant, steps)]):
        gate = fit.gate(variant, steps, name, day)
        if name in members and how == "equal":
            continue
        if gate is None:
            if name in members:
                out[name] = "nothing was learned of it by then"
        elif gate[0] == "shut":
            out[name] = f"gate shut: {gate[1]}"
        elif name not in members:
            out[name] = "no member: its gate is open, but the mean scored no better with it on the years to 2017"
    return out
