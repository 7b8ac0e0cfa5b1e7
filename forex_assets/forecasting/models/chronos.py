"""Chronos-T5, Chronos-Bolt and Chronos-2 as challengers: log returns in, distributions of the tenor's return out.

Sampling and quantile families have different parameters (spec K20): ``num_samples``, ``temperature``, ``top_k`` and
``top_p`` exist for T5 alone, and asking Bolt for one is an error. The loaded pipeline says which family it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from forex_assets.arrays import Floats, Ints
from forex_assets.errors import DataError, ValidationError
from forex_assets.forecasting.contract import Capabilities, OriginRandom, Parameter, QuantilePaths
from forex_assets.forecasting.drivers import aligned_driver
from forex_assets.forecasting.origins import Origins
from forex_assets.forecasting.price_history import KnownSeries, PriceHistory
from forex_assets.levels import QUANTILE_LEVELS

COVARIATES = ("copper_comex", "dxy", "vix")
"""Drivers Chronos-2 sees beside the price where a history carries them."""
_ORIGINS_AT_ONCE = 8
_COMMON = {
    "checkpoint": Parameter("", "Folder or hub id; empty: FOREX_CHRONOS_PATH or platform.yaml", text=True),
    "training_cutoff": Parameter("", "Last day of a foreign checkpoint's training data, YYYY-MM-DD", text=True),
    "precision": Parameter(
        "float64", "Arithmetic; only float64 makes batches exactly equal", choices=("float64", "float32", "bfloat16")
    ),
    "time_limit_s": Parameter(900.0, "Seconds after which a prediction is given up", low=0.001, high=86_400.0),
}


class _Chronos:
    name: str
    family: Any

    def _checkpoint(self, origins: Origins, params: Mapping[str, Any]) -> Any:
        from forex_assets.forecasting.chronos.checkpoint import declared_cutoff, resolve

        found = resolve(self.family, params["checkpoint"], params["precision"])
        cutoff = params["training_cutoff"] or ("" if found.card else declared_cutoff())
        found.refuse_before_cutoff(origins.as_of, cutoff)
        return found

    def _guarded(self, params: Mapping[str, Any], work: Callable[[Callable[[], None]], QuantilePaths]) -> QuantilePaths:
        """Run ``work`` with a time limit; memory that runs out becomes a typed error."""
        from forex_assets.forecasting.chronos.checkpoint import out_of_memory

        limit = float(params["time_limit_s"])
        deadline = time.monotonic() + limit

        def tick() -> None:
            if time.monotonic() > deadline:
                raise DataError(
                    f"Model '{self.name}' did not finish within time_limit_s = {limit:g}.",
                    remedy="allow more time, or use fewer origins, fewer samples, or a smaller checkpoint.",
                )

        try:
            return work(tick)
        except MemoryError as error:
            raise out_of_memory(f"model '{self.name}' predicted", error) from error
        except RuntimeError as error:
            if "alloc" in str(error) or "memory" in str(error):
                raise out_of_memory(f"model '{self.name}' predicted", error) from error
            raise


class ChronosT5(_Chronos):
    """Samples return paths token by token from every token of the vocabulary and reads the quantiles off them.

    ``top_k`` 0 takes all tokens: the library's 50 of 4,096 cut the tails (coverage of a nominal 95% fell to 68-75%).
    ``num_samples`` only sets Monte-Carlo noise; :func:`samples_for` gives the number an error budget needs.
    """

    name = "chronos_t5"
    family = "t5"
    capabilities = Capabilities(
        family="sampling",
        parameters={
            **_COMMON,
            "context_length": Parameter(256, "Past log returns shown", low=16, high=8192, whole=True),
            "num_samples": Parameter(256, "Paths drawn per origin", low=20, high=10_000, whole=True),
            "temperature": Parameter(1.0, "Flattens (above 1) or sharpens the token probabilities", low=0.1, high=5.0),
            "top_k": Parameter(0, "Most likely tokens drawn from; 0: all", low=0, high=100_000, whole=True),
            "top_p": Parameter(1.0, "Probability mass drawn from", low=0.01, high=1.0),
        },
        min_history=121,
        bulk=False,
        needs=("checkpoint",),
    )

    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        from forex_assets.forecasting.chronos.decoder import Sampling, T5Sampler, pad_left
        from forex_assets.forecasting.chronos.quantile import strictly_increasing

        checkpoint = self._checkpoint(origins, params)
        longest, most = int(steps.max(initial=1)), 2 * int(checkpoint.pipeline.model_prediction_length)
        if longest > most:
            raise DataError(
                f"Model '{self.name}' was asked for {longest} steps; checkpoint {checkpoint.location} was trained for "
                f"{most // 2} and is used to {most}.",
                remedy="use a shorter horizon, or train a checkpoint with a longer --prediction-length.",
            )
        sampler = T5Sampler(checkpoint.pipeline)
        s, sampling = params["num_samples"], Sampling(params["top_k"], params["top_p"])
        m, k = steps.shape
        width = min(params["context_length"], int(checkpoint.pipeline.model_context_length))

        def work(tick: Callable[[], None]) -> QuantilePaths:
            quantiles, mean = np.empty((m, k, len(QUANTILE_LEVELS))), np.empty((m, k))
            contexts = [np.zeros(0)] * m
            for group in origins.groups:
                for at, end in zip(group.positions, group.ends, strict=True):
                    contexts[at] = group.series.log_return[max(0, end - 1 - width) : end - 1]
            for start in range(0, m, _ORIGINS_AT_ONCE):
                tick()
                at = np.arange(start, min(m, start + _ORIGINS_AT_ONCE))
                lengths = steps[at].max(axis=1)
                draws = np.full((len(at), int(lengths.max()), 2, s), 0.5)
                for row, (i, length) in enumerate(zip(at, lengths, strict=True)):
                    draws[row, :length] = rng.generator(origins.as_of[i]).random((int(length), 2, s))
                memory = sampler.encode(pad_left([contexts[i] for i in at]))
                paths = sampler.sample(memory, draws, np.full(s, params["temperature"]), sampling, tick)
                moved = np.cumsum(paths, axis=2)
                for row, i in enumerate(at):
                    reached = moved[row][:, steps[i] - 1]  # (s, k)
                    quantiles[i] = np.quantile(reached, QUANTILE_LEVELS, axis=0, method="weibull").T
                    mean[i] = np.exp(reached).mean(axis=0)
            last = origins.last_value[:, None]
            return QuantilePaths(last * mean, last[..., None] * np.exp(strictly_increasing(quantiles)))

        return self._guarded(params, work)


def samples_for(error_sigma: float, level: float = 0.975) -> int:
    """Return how many samples bring the standard error of a quantile to this share of the forecast's sigma.

    For a normal distribution: ``level (1 - level) / (density² n)``.
    """
    from statistics import NormalDist

    if not 0 < error_sigma < 1 or not 0 < level < 1:
        raise ValidationError(
            f"error_sigma={error_sigma!r}, level={level!r}: both must lie between 0 and 1.",
            remedy="for example 0.1 and 0.975.",
        )
    normal = NormalDist()
    return int(np.ceil(level * (1 - level) / (normal.pdf(normal.inv_cdf(level)) * error_sigma) ** 2))


class _QuantileFamily(_Chronos):
    def predict(
        self, history: PriceHistory, origins: Origins, steps: Ints, params: Mapping[str, Any], rng: OriginRandom
    ) -> QuantilePaths:
        """Predict; see :class:`forex_assets.forecasting.contract.Model`."""
        from forex_assets.forecasting.chronos.quantile import at_stored_levels
        from forex_assets.forecasting.models.rw_empirical import empirical_log_quantiles

        checkpoint = self._checkpoint(origins, params)
        m, k = steps.shape
        blocks = min(params["context_length"], int(checkpoint.pipeline.model_context_length))
        levels = [float(level) for level in checkpoint.pipeline.quantiles]

        def work(tick: Callable[[], None]) -> QuantilePaths:
            shape = np.empty((m, k, len(QUANTILE_LEVELS)))
            where: list[tuple[KnownSeries, int, int]] = []
            place = np.empty((m, k), dtype=np.int64)
            for group in origins.groups:
                shape[group.positions] = empirical_log_quantiles(group.series, group.ends, steps[group.positions])
                for at, end in zip(group.positions, group.ends, strict=True):
                    own: dict[int, int] = {}
                    for column, step in enumerate(steps[at]):
                        if int(step) not in own:
                            own[int(step)] = len(where)
                            where.append((group.series, int(end), int(step)))
                        place[at, column] = own[int(step)]
            answer = self._quantiles(checkpoint.pipeline, history, where, blocks, params, tick)
            log_quantiles = at_stored_levels(
                levels, answer[place.ravel()], shape.reshape(m * k, len(QUANTILE_LEVELS))
            ).reshape(m, k, len(QUANTILE_LEVELS))
            quantiles = origins.last_value[:, None, None] * np.exp(log_quantiles)
            return QuantilePaths(quantiles[..., QUANTILE_LEVELS.index(0.5)].copy(), quantiles)

        return self._guarded(params, work)

    def _quantiles(
        self,
        pipeline: Any,
        history: PriceHistory,
        where: list[tuple[KnownSeries, int, int]],
        blocks: int,
        params: Mapping[str, Any],
        tick: Callable[[], None],
    ) -> Floats:
        """Return the family's quantiles of the return over ``step`` values after ``end`` of each series."""
        raise NotImplementedError


class ChronosBolt(_QuantileFamily):
    """Nine quantiles of the tenor's return, tails completed on past standardised moves; ``mean`` is the median."""

    name = "chronos_bolt"
    family = "bolt"
    capabilities = Capabilities(
        family="quantile",
        parameters={
            **_COMMON,
            "context_length": Parameter(128, "Past returns over the tenor shown", low=16, high=8192, whole=True),
        },
        min_history=641,
        bulk=False,
        needs=("checkpoint",),
    )

    def _quantiles(
        self,
        pipeline: Any,
        history: PriceHistory,
        where: list[tuple[KnownSeries, int, int]],
        blocks: int,
        params: Mapping[str, Any],
        tick: Callable[[], None],
    ) -> Floats:
        from forex_assets.forecasting.chronos.quantile import block_returns, bolt_quantiles

        contexts = [block_returns(series.log_value[:end], step, blocks) for series, end, step in where]
        return bolt_quantiles(pipeline, contexts, blocks, tick)


class Chronos2(_QuantileFamily):
    """Twenty-one quantiles of the tenor's return, with past drivers as covariates where the history carries them."""

    name = "chronos_2"
    family = "chronos2"
    capabilities = Capabilities(
        family="quantile",
        covariates=COVARIATES,
        parameters={
            **_COMMON,
            "precision": Parameter("float32", "Arithmetic", choices=("float32", "bfloat16")),
            "context_length": Parameter(128, "Past returns over the tenor shown", low=16, high=8192, whole=True),
            "covariates": Parameter("auto", "Show drivers where there are any, or never", choices=("auto", "never")),
        },
        min_history=641,
        bulk=False,
        needs=("checkpoint",),
    )

    def _quantiles(
        self,
        pipeline: Any,
        history: PriceHistory,
        where: list[tuple[KnownSeries, int, int]],
        blocks: int,
        params: Mapping[str, Any],
        tick: Callable[[], None],
    ) -> Floats:
        from forex_assets.forecasting.chronos.quantile import block_returns, chronos2_quantiles

        contexts, beside = [], []
        for series, end, step in where:
            contexts.append(block_returns(series.log_value[:end], step, blocks))
            beside.append(
                covariates_of(history, series, end, step, len(contexts[-1])) if params["covariates"] == "auto" else {}
            )
        return chronos2_quantiles(pipeline, contexts, beside, tick)


def covariates_of(history: PriceHistory, series: KnownSeries, end: int, step: int, count: int) -> dict[str, Floats]:
    """Return the log changes of each driver over the same blocks as the price's, as known then; missing ones left out.

    A driver with a gap in the blocks is left out: Chronos-2 would take the gap for an observation of its own.
    """
    found: dict[str, Floats] = {}
    for name in COVARIATES:
        if name not in history.drivers:
            continue
        values = aligned_driver(history, series, name)[:end][::-1][: count * step + 1 : step][::-1]
        if np.isfinite(values).all() and (values > 0).all() and np.ptp(values) > 0:
            found[name] = np.diff(np.log(values))
    return found
